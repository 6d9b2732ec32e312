//! The platform's REST API as far as the line uses it, with faults; in the test's own process.

use super::sockudo;
use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

/// What happens and what is to go wrong.
#[derive(Default)]
pub struct Book {
    /// Requests answered with success or not: path and status, in order.
    pub log: Vec<(String, u16)>,
    pub tokens: HashSet<String>,
    made: u64,
    /// Sign subscriptions wrongly.
    pub sign_wrongly: bool,
    /// Answer this to every `/pusher/auth/`.
    pub refuse_auth: Option<u16>,
    /// Answer this to every login.
    pub refuse_login: Option<u16>,
    /// Lifetime of tokens in seconds.
    pub life: Option<u64>,
    /// The user as the login tells it.
    pub user: Option<Value>,
}

impl Book {
    pub fn count(&self, path: &str, status: u16) -> usize {
        self.log.iter().filter(|(p, s)| p == path && *s == status).count()
    }
}

#[derive(Clone)]
pub struct Platform {
    pub url: url::Url,
    book: Arc<Mutex<Book>>,
}

impl Platform {
    pub async fn start() -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v2", listener.local_addr().unwrap()).parse().unwrap();
        let router = axum::Router::new()
            .route("/api-token-auth/", post(login))
            .route("/api-token-refresh/", post(refresh))
            .route("/pusher/auth/", post(auth))
            .route("/conferencing/video-token/", post(video))
            .route("/v2/customer/{id}", get(customer))
            .with_state(book.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, book }
    }

    pub fn book(&self) -> std::sync::MutexGuard<'_, Book> {
        self.book.lock().unwrap()
    }
}

type Shared = State<Arc<Mutex<Book>>>;

fn answer(book: &mut Book, path: &str, status: u16, body: Value) -> Response {
    book.log.push((path.into(), status));
    (StatusCode::from_u16(status).unwrap(), Json(body)).into_response()
}

fn jwt(book: &mut Book) -> String {
    book.made += 1;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let mut claims = json!({ "username": "chattademo", "user_id": 1124, "orig_iat": now, "jti": book.made });
    if let Some(life) = book.life {
        claims["exp"] = json!(now + life);
    }
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()));
    book.tokens.insert(token.clone());
    token
}

fn welcome(book: &mut Book, path: &str) -> Response {
    let user = json!({ "id": 1124, "username": "chattademo", "user_type": "resident", "customer": 7, "set_top_box": { "id": 322 } });
    let user = book.user.clone().unwrap_or(user);
    let token = jwt(book);
    answer(book, path, 200, json!({ "token": token, "user": user }))
}

fn known(book: &Book, headers: &HeaderMap) -> bool {
    let token = headers.get("authorization").and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    token.is_some_and(|token| book.tokens.contains(token))
}

async fn login(State(book): Shared, Json(body): Json<Value>) -> Response {
    let (mut book, path) = (book.lock().unwrap(), "/api-token-auth/");
    if let Some(status) = book.refuse_login {
        return answer(&mut book, path, status, json!({}));
    }
    if body["username"] != "chattademo" || body["password"] != "secret" {
        return answer(&mut book, path, 400, json!({ "non_field_errors": ["Unable to log in with provided credentials."] }));
    }
    welcome(&mut book, path)
}

async fn refresh(State(book): Shared, Json(body): Json<Value>) -> Response {
    let (mut book, path) = (book.lock().unwrap(), "/api-token-refresh/");
    let known = body["token"].as_str().is_some_and(|token| book.tokens.contains(token));
    if known { welcome(&mut book, path) } else { answer(&mut book, path, 400, json!({ "non_field_errors": ["Signature has expired."] })) }
}

async fn auth(State(book): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let (mut book, path) = (book.lock().unwrap(), "/pusher/auth/");
    if headers.get("content-type").is_none_or(|value| value != "application/x-www-form-urlencoded") {
        return answer(&mut book, path, 415, json!({}));
    }
    if !known(&book, &headers) {
        return answer(&mut book, path, 401, json!({}));
    }
    if let Some(status) = book.refuse_auth {
        return answer(&mut book, path, status, json!({}));
    }
    let field = |name: &str| url::form_urlencoded::parse(&body).find(|(key, _)| key == name).map(|(_, value)| value.to_string()).unwrap();
    let mut signature = sockudo::sign(&field("socket_id"), &field("channel_name")).auth;
    if book.sign_wrongly {
        signature = signature.replace(|c: char| c.is_ascii_digit(), "0");
    }
    answer(&mut book, path, 200, json!({ "auth": signature }))
}

async fn video(State(book): Shared, headers: HeaderMap, Json(body): Json<Value>) -> Response {
    let (mut book, path) = (book.lock().unwrap(), "/conferencing/video-token/");
    if !known(&book, &headers) {
        return answer(&mut book, path, 401, json!({}));
    }
    let grants = json!({ "grants": { "identity": body["username"], "video": { "room": body["room_name"] } } });
    let token = format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(grants.to_string()));
    answer(&mut book, path, 200, json!({ "token": token }))
}

async fn customer(State(book): Shared, headers: HeaderMap) -> Response {
    let (mut book, path) = (book.lock().unwrap(), "/v2/customer");
    let status = if known(&book, &headers) { 200 } else { 401 };
    answer(&mut book, path, status, json!({ "id": 7 }))
}
