//! The page's port: the page and its scripts, what it needs to know, the log strip, the television link, faults and state.

use crate::faults::Fault;
use crate::serve::OverTls;
use crate::{Shared, tv};
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use futures_util::stream::{self, Stream, StreamExt as _};
use serde_json::{Value, json};
use std::convert::Infallible;
use std::path::{Component, PathBuf};
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// The browser builds of the npm packages, by the name the page asks for.
const SCRIPTS: [(&str, &str); 2] =
    [("pusher.js", "pusher-js/dist/web/pusher.js"), ("twilio-video.js", "twilio-video/dist/twilio-video.js")];

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/lab/config", get(config))
        .route("/lab/log", get(log_stream))
        .route("/lab/state", get(|State(shared): State<Arc<Shared>>| async move { Json(shared.state()) }))
        .route("/lab/faults", get(shown).post(fault))
        .route("/lab/ca.pem", get(ca))
        .route("/media/people/{file}", get(crate::rest::portrait))
        .route("/tv/box", get(tv::box_link))
        .route("/tv/view", get(tv::view_link))
        .route("/tv/picture.jpg", get(picture))
        .route("/npm/{name}", get(script))
        .fallback(file)
        .with_state(shared)
}

/// What the page needs to know, with the host name it was itself reached by.
async fn config(State(shared): State<Arc<Shared>>, Extension(OverTls(tls)): Extension<OverTls>, headers: HeaderMap) -> Json<Value> {
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or("127.0.0.1");
    let host = if host.ends_with(']') { host } else { host.rsplit_once(':').map_or(host, |(name, _)| name) };
    let (http, ws) = if tls { ("https", "wss") } else { ("http", "ws") };
    let ports = shared.ports();
    let login = shared.directory.by_name(&shared.options.login);
    Json(json!({
        "api": format!("{http}://{host}:{}", ports.api),
        "pusher": {"key": shared.options.app_key, "host": host, "port": ports.pusher, "tls": tls, "cluster": "eu"},
        "rooms": format!("{ws}://{host}:{}/signaling", ports.rooms),
        "login": {"username": shared.options.login, "password": "password", "id": login.map(|p| p.id)},
        "customer": login.map_or(7, |p| p.customer),
    }))
}

/// Server-sent events: the latest entries, then every new one; `id` is the entry's number.
async fn log_stream(State(shared): State<Arc<Shared>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let (kept, live) = shared.log.read();
    let mut stop = shared.stop.subscribe();
    let live = stream::unfold(live, |mut live| async move {
        loop {
            match live.recv().await {
                Ok(entry) => return Some((entry, live)),
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return None,
            }
        }
    });
    let entries = stream::iter(kept).chain(live).take_until(async move { drop(stop.wait_for(|s| *s).await) });
    let events = entries.map(|e| Ok(Event::default().id(e.seq.to_string()).json_data(&e).unwrap_or_default()));
    Sse::new(events).keep_alive(KeepAlive::default())
}

async fn shown(State(shared): State<Arc<Shared>>) -> Json<Value> {
    Json(shared.faults.shown())
}

async fn fault(State(shared): State<Arc<Shared>>, body: axum::body::Bytes) -> (StatusCode, Json<Value>) {
    match serde_json::from_slice::<Fault>(&body) {
        Ok(fault) => {
            let hit = shared.fault(&fault);
            (StatusCode::OK, Json(json!({"ok": true, "hit": hit})))
        }
        Err(e) => (StatusCode::BAD_REQUEST, Json(json!({"ok": false, "error": e.to_string()}))),
    }
}

async fn ca(State(shared): State<Arc<Shared>>) -> Response {
    match &shared.ca_pem {
        Some(pem) => ([(header::CONTENT_TYPE, "application/x-pem-file")], pem.clone()).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn picture(State(shared): State<Arc<Shared>>) -> Response {
    match shared.tv.last_picture() {
        Some(jpeg) => ([(header::CONTENT_TYPE, "image/jpeg"), (header::CACHE_CONTROL, "no-store")], Body::from(jpeg)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn script(State(shared): State<Arc<Shared>>, Path(name): Path<String>) -> Response {
    let Some((_, path)) = SCRIPTS.iter().find(|(n, _)| *n == name) else { return StatusCode::NOT_FOUND.into_response() };
    let path = shared.options.npm_dir.join(path);
    match tokio::fs::read(&path).await {
        Ok(text) => ([(header::CONTENT_TYPE, "text/javascript; charset=utf-8")], text).into_response(),
        Err(e) => {
            let say = format!("{} cannot be read ({e}); run `make tools`", path.display());
            log::warn!("{say}");
            (StatusCode::NOT_FOUND, say).into_response()
        }
    }
}

/// Files of the page.
async fn file(State(shared): State<Arc<Shared>>, uri: axum::http::Uri) -> Response {
    let asked = uri.path().trim_start_matches('/');
    let asked = PathBuf::from(if asked.is_empty() { "index.html" } else { asked });
    // Only plain names below the page's directory: no way up, no root.
    if !asked.components().all(|c| matches!(c, Component::Normal(_))) {
        return StatusCode::NOT_FOUND.into_response();
    }
    let kind = match asked.extension().and_then(|e| e.to_str()) {
        Some("html") => "text/html; charset=utf-8",
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    };
    match tokio::fs::read(shared.options.page_dir.join(&asked)).await {
        Ok(content) => ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "no-cache")], content).into_response(),
        Err(_) => (StatusCode::NOT_FOUND, "not found").into_response(),
    }
}
