//! The platform's REST API (contract chatta §2), with the slashes, error bodies and CORS answers of its kind.

use crate::Shared;
use crate::directory::{Person, Role};
use crate::jwt::{self, Bad};
use crate::log::Part;
use axum::body::Bytes;
use axum::extract::{Path, Query, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, patch, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// Longest room or user name taken.
const NAME_LIMIT: usize = 200;

type Answer = (StatusCode, Json<Value>);

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/api-token-auth/", post(login))
        .route("/api-token-refresh/", post(refresh))
        .route("/pusher/auth/", post(pusher_auth))
        .route("/conferencing/video-token/", post(video_token))
        .route("/v2/customer/{id}", get(customer))
        .route("/v2/resident", get(residents))
        .route("/v2/resident/{id}", get(resident))
        .route("/v2/set-top-box/{id}/power_normal", patch(power_normal))
        .route("/v2/conferencing-room", post(room))
        .route("/media/people/{file}", get(portrait))
        .fallback(|| async { detail(StatusCode::NOT_FOUND, "Not found.") })
        .method_not_allowed_fallback(|| async { detail(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed.") })
        .layer(middleware::from_fn_with_state(shared.clone(), around))
        .with_state(shared)
}

/// CORS, faults and the log, around every call.
async fn around(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let origin = request.headers().get(header::ORIGIN).cloned();
    let what = format!("{} {}", request.method(), request.uri().path());
    let preflight = request.method() == Method::OPTIONS;
    let who = bearer(request.headers()).and_then(|token| jwt::verify(token, &shared.options.secret, 0).ok());
    let who = who.and_then(|claims| claims["username"].as_str().map(str::to_owned));
    let fault = if preflight { None } else { shared.faults.rest(request.uri().path()) };
    let mut response = if preflight {
        StatusCode::OK.into_response()
    } else {
        if let Some(fault) = &fault {
            tokio::time::sleep(Duration::from_millis(fault.delay_ms)).await;
        }
        match fault.as_ref().map(|f| (f.status, f.break_json)) {
            Some((Some(status), _)) => {
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                detail(status, "A fault was asked for.").into_response()
            }
            Some((None, true)) => ([(header::CONTENT_TYPE, "application/json")], "{\"token\": \"abc").into_response(),
            _ => next.run(request).await,
        }
    };
    cors(response.headers_mut(), origin);
    if !preflight {
        let ms = began.elapsed().as_secs_f64() * 1000.0;
        shared.log.add(Part::Rest, Some("in"), who.as_deref(), what, json!({"status": response.status().as_u16(), "ms": ms.round()}));
    }
    response
}

fn cors(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.unwrap_or(HeaderValue::from_static("*")));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PATCH, OPTIONS"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
}

fn detail(status: StatusCode, text: &str) -> Answer {
    (status, Json(json!({"detail": text})))
}

fn non_field(text: &str) -> Answer {
    (StatusCode::BAD_REQUEST, Json(json!({"non_field_errors": [text]})))
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    headers.get(header::AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

/// JSON or form fields, as the platform takes both.
fn fields(headers: &HeaderMap, body: &[u8]) -> Option<Value> {
    let form = headers.get(header::CONTENT_TYPE).is_some_and(|t| t.as_bytes().starts_with(b"application/x-www-form-urlencoded"));
    if form {
        // A form body is written as a query is.
        let uri = format!("/?{}", std::str::from_utf8(body).ok()?).parse().ok()?;
        let Query(pairs) = Query::<BTreeMap<String, String>>::try_from_uri(&uri).ok()?;
        return Some(json!(pairs));
    }
    serde_json::from_slice(body).ok()
}

/// Whoever the bearer token belongs to.
fn logged_in<'a>(shared: &'a Shared, headers: &HeaderMap) -> Result<&'a Person, Answer> {
    let refuse = |text| detail(StatusCode::UNAUTHORIZED, text);
    let token = bearer(headers).ok_or_else(|| refuse("Authentication credentials were not provided."))?;
    let claims = jwt::verify(token, &shared.options.secret, jwt::unix_now()).map_err(|bad| match bad {
        Bad::Expired => refuse("Signature has expired."),
        Bad::Malformed | Bad::Signature => refuse("Error decoding signature."),
    })?;
    if claims["epoch"].as_u64() != Some(shared.token_epoch.load(Ordering::Relaxed)) {
        return Err(refuse("Signature has expired."));
    }
    claims["user_id"].as_u64().and_then(|id| shared.directory.person(id)).ok_or_else(|| refuse("Invalid signature."))
}

fn login_token(shared: &Shared, person: &Person, orig_iat: i64) -> String {
    let now = jwt::unix_now();
    let life = shared.faults.token_life().unwrap_or(shared.options.token_life.as_secs() as i64);
    let claims = json!({
        "user_id": person.id, "username": person.username, "exp": now + life, "email": format!("{}@example.com", person.username),
        "orig_iat": orig_iat,
        // The lab's own: lets a test expire every token at once.
        "epoch": shared.token_epoch.load(Ordering::Relaxed),
    });
    jwt::sign(&json!({"typ": "JWT", "alg": "HS256"}), &claims, &shared.options.secret)
}

async fn login(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Answer {
    let Some(fields) = fields(&headers, &body) else { return detail(StatusCode::BAD_REQUEST, "JSON parse error") };
    let mut missing = serde_json::Map::new();
    for name in ["username", "password"] {
        if fields[name].as_str().is_none_or(str::is_empty) {
            missing.insert(name.to_owned(), json!(["This field is required."]));
        }
    }
    if !missing.is_empty() {
        return (StatusCode::BAD_REQUEST, Json(Value::Object(missing)));
    }
    let person = shared.directory.by_name(fields["username"].as_str().unwrap_or_default());
    let Some(person) = person.filter(|p| p.accepts(fields["password"].as_str().unwrap_or_default())) else {
        return non_field("Unable to log in with provided credentials.");
    };
    let token = login_token(&shared, person, jwt::unix_now());
    let user = shared.directory.person_json(person, shared.pusher.online(person.id), false);
    (StatusCode::OK, Json(json!({"token": token, "user": user})))
}

async fn refresh(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Answer {
    let token = fields(&headers, &body).and_then(|f| f["token"].as_str().map(str::to_owned));
    let Some(token) = token else { return (StatusCode::BAD_REQUEST, Json(json!({"token": ["This field is required."]}))) };
    let claims = match jwt::verify(&token, &shared.options.secret, jwt::unix_now()) {
        Ok(claims) if claims["epoch"].as_u64() == Some(shared.token_epoch.load(Ordering::Relaxed)) => claims,
        Ok(_) | Err(Bad::Expired) => return non_field("Signature has expired."),
        Err(Bad::Malformed | Bad::Signature) => return non_field("Error decoding signature."),
    };
    let Some(person) = claims["user_id"].as_u64().and_then(|id| shared.directory.person(id)) else {
        return non_field("User doesn't exist.");
    };
    let token = login_token(&shared, person, claims["orig_iat"].as_i64().unwrap_or_else(jwt::unix_now));
    let user = shared.directory.person_json(person, shared.pusher.online(person.id), true);
    (StatusCode::OK, Json(json!({"token": token, "user": user})))
}

async fn customer(State(shared): State<Arc<Shared>>, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    let person = match logged_in(&shared, &headers) {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    let own = id.parse().ok().filter(|id| *id == person.customer);
    match own.and_then(|id| shared.directory.customer_json(id)) {
        Some(customer) => (StatusCode::OK, Json(customer)),
        None => detail(StatusCode::NOT_FOUND, "Not found."),
    }
}

#[derive(Deserialize)]
struct ResidentQuery {
    online: Option<String>,
    customer: Option<String>,
}

async fn residents(State(shared): State<Arc<Shared>>, headers: HeaderMap, Query(query): Query<ResidentQuery>) -> Answer {
    let person = match logged_in(&shared, &headers) {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    let customer = match query.customer.as_deref().map(str::parse::<u64>) {
        None => person.customer,
        Some(Ok(id)) => id,
        Some(Err(_)) => {
            return (StatusCode::BAD_REQUEST, Json(json!({"customer": ["Select a valid choice."]})));
        }
    };
    // Another customer's residents are not refused but not seen, as lists of this kind of API do.
    let visible = shared.directory.residents(customer).filter(|r| r.customer == person.customer);
    let wanted = query.online.as_deref().map(|o| o == "true");
    let results: Vec<Value> = visible
        .map(|r| (r, shared.pusher.online(r.id)))
        .filter(|(_, online)| wanted.is_none_or(|w| w == *online))
        .map(|(r, online)| shared.directory.person_json(r, online, true))
        .collect();
    (StatusCode::OK, Json(json!({"count": results.len(), "next": null, "previous": null, "results": results})))
}

async fn resident(State(shared): State<Arc<Shared>>, headers: HeaderMap, Path(id): Path<String>) -> Answer {
    let person = match logged_in(&shared, &headers) {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    let found = id.parse().ok().and_then(|id| shared.directory.person(id));
    match found.filter(|r| r.is_resident() && r.customer == person.customer) {
        Some(r) => (StatusCode::OK, Json(shared.directory.person_json(r, shared.pusher.online(r.id), true))),
        None => detail(StatusCode::NOT_FOUND, "Not found."),
    }
}

#[derive(Deserialize)]
struct Force {
    force: Option<String>,
}

async fn power_normal(State(shared): State<Arc<Shared>>, headers: HeaderMap, Path(id): Path<String>, Query(query): Query<Force>) -> Answer {
    let person = match logged_in(&shared, &headers) {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    let owner = id.parse().ok().and_then(|id| shared.directory.box_owner(id)).filter(|o| o.customer == person.customer);
    let Some((owner, Role::Resident(set_top_box))) = owner.map(|o| (o, &o.role)) else {
        return detail(StatusCode::NOT_FOUND, "Not found.");
    };
    shared.power_normal(owner.customer, *set_top_box, query.force.as_deref() == Some("true"));
    (StatusCode::OK, Json(shared.directory.box_json(*set_top_box, owner.id)))
}

async fn room(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Answer {
    if let Err(refused) = logged_in(&shared, &headers) {
        return refused;
    }
    let Some(fields) = fields(&headers, &body) else { return detail(StatusCode::BAD_REQUEST, "JSON parse error") };
    let Some(name) = fields["unique_name"].as_str().filter(|n| !n.is_empty() && n.len() <= NAME_LIMIT) else {
        return (StatusCode::BAD_REQUEST, Json(json!({"unique_name": ["This field is required."]})));
    };
    let (audio_only, recording) = (fields["audio_only"] == true, fields["enable_recording"] == true);
    let (sid, created) = shared.rooms.create(name, audio_only);
    let status = if created { StatusCode::CREATED } else { StatusCode::OK };
    let room = json!({
        "sid": sid, "unique_name": name, "status": "in-progress", "type": "go", "enable_recording": recording, "audio_only": audio_only,
    });
    (status, Json(room))
}

async fn video_token(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Answer {
    let person = match logged_in(&shared, &headers) {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    let Some(fields) = fields(&headers, &body) else { return detail(StatusCode::BAD_REQUEST, "JSON parse error") };
    let Some(room) = fields["room_name"].as_str().filter(|n| !n.is_empty() && n.len() <= NAME_LIMIT) else {
        return (StatusCode::BAD_REQUEST, Json(json!({"room_name": ["This field is required."]})));
    };
    if fields["username"].as_str() != Some(&person.username) {
        return detail(StatusCode::FORBIDDEN, "You do not have permission to perform this action.");
    }
    (StatusCode::OK, Json(json!({"identity": person.username, "token": shared.video_token(&person.username, room)})))
}

/// The photograph of somebody in the directory.
pub(crate) async fn portrait(State(shared): State<Arc<Shared>>, Path(file): Path<String>) -> Response {
    let id = file.strip_suffix(".png").and_then(|id| id.parse().ok());
    match id.filter(|id| shared.directory.person(*id).is_some()) {
        Some(id) => ([(header::CONTENT_TYPE, "image/png")], crate::portrait::png(id)).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn pusher_auth(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> Answer {
    if let Some(status) = shared.faults.auth_status() {
        let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
        return detail(status, "You do not have permission to perform this action.");
    }
    let person = match logged_in(&shared, &headers) {
        Ok(person) => person,
        Err(refused) => return refused,
    };
    let fields = fields(&headers, &body).unwrap_or_default();
    let (Some(socket_id), Some(channel)) = (fields["socket_id"].as_str(), fields["channel_name"].as_str()) else {
        return detail(StatusCode::BAD_REQUEST, "socket_id and channel_name are required.");
    };
    let customer = channel.rsplit_once('-').and_then(|(_, id)| id.parse::<u64>().ok());
    let kind = channel.rsplit_once('-').map_or("", |(kind, _)| kind);
    let known = ["private-call", "private-presence", "presence-call", "presence-customer", "private-customer"].contains(&kind);
    if !known || customer != Some(person.customer) {
        return detail(StatusCode::FORBIDDEN, "You do not have permission to perform this action.");
    }
    let host = headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
    match shared.pusher.authorise(socket_id, channel, person.id, host) {
        Some(auth) => (StatusCode::OK, Json(auth)),
        None => detail(StatusCode::FORBIDDEN, "You do not have permission to perform this action."),
    }
}
