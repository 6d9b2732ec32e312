//! Connections of the Pusher server: handshake, liveness, close codes.

use super::{Pusher, server_event};
use crate::Shared;
use crate::faults::At;
use crate::log::Part;
use crate::wire::{self, Got, Wire};
use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde_json::json;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::time::Instant;

/// Largest frame taken: enough that an event over the limit of 10 KB gets its error instead of a cut line.
const FRAME_LIMIT: usize = 256 * 1024;

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().route("/app/{key}", get(upgrade)).fallback(get(no_path)).with_state(shared)
}

async fn upgrade(
    State(shared): State<Arc<Shared>>,
    Path(key): Path<String>,
    Query(query): Query<BTreeMap<String, String>>,
    ws: WebSocketUpgrade,
) -> Response {
    let refusal = match query.get("protocol").map(|p| p.parse::<u32>()) {
        _ if !Pusher::knows(&key) => Some((4001, format!("App key {} does not exist", key.chars().take(40).collect::<String>()))),
        None => Some((4008, "No protocol version supplied".to_owned())),
        Some(Err(_)) => Some((4006, "Invalid version string format".to_owned())),
        Some(Ok(5..=7)) => None,
        Some(Ok(_)) => Some((4007, "Unsupported protocol version".to_owned())),
    };
    ws.max_message_size(FRAME_LIMIT).on_upgrade(move |socket| async move {
        match refusal {
            Some((code, message)) => refuse(shared, socket, code, &message).await,
            None => connection(shared, socket, &key).await,
        }
    })
}

async fn no_path(State(shared): State<Arc<Shared>>, ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(move |socket| async move { refuse(shared, socket, 4005, "Path not found").await })
}

async fn refuse(shared: Arc<Shared>, socket: WebSocket, code: u16, message: &str) {
    shared.log.add(Part::Pusher, Some("out"), None, "connection refused", json!({"code": code, "message": message}));
    let (sender, receiver) = wire::pair();
    sender.text(json!({"event": "pusher:error", "data": {"code": code, "message": message}}).to_string().into());
    sender.close(code, message);
    let mut wire = Wire::new(socket, receiver, At::Pusher, &shared.faults, shared.stop.subscribe());
    while !matches!(wire.next(None).await, Got::Gone) {}
}

async fn connection(shared: Arc<Shared>, socket: WebSocket, key: &str) {
    if shared.faults.refuses(At::Pusher) {
        return;
    }
    let pusher = &shared.pusher;
    let (sender, receiver) = wire::pair();
    let mut wire = Wire::new(socket, receiver, At::Pusher, &shared.faults, shared.stop.subscribe());
    let (id, socket_id) = pusher.open(key, sender.clone());
    shared.log.add(Part::Pusher, Some("in"), None, "connected", json!({"socket_id": socket_id}));
    // The server pings a silent client and gives it `pong_timeout` to say anything at all (close code 4201).
    let mut pinged: Option<Instant> = None;
    loop {
        let deadline = match pinged {
            Some(at) => at + pusher.pong_timeout,
            None => wire.last_in + pusher.activity_timeout,
        };
        match wire.next(Some(deadline)).await {
            Got::Text(text) => {
                pinged = None;
                pusher.receive(id, &text);
            }
            Got::Deadline if pinged.is_some() => {
                sender.close_now(4201, "Pong reply not received in time");
                pinged = Some(Instant::now());
            }
            Got::Deadline => {
                sender.text(server_event("pusher:ping", None, &json!({})));
                pinged = Some(Instant::now());
            }
            Got::Gone => break,
        }
    }
    pusher.closed(id);
    wire.limbo().await;
}
