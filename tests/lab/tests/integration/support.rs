//! What the lab's own tests share: a small HTTP client and a WebSocket that speaks JSON.

use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Longer than anything takes here; a test that waits so long has failed.
pub const PATIENCE: Duration = Duration::from_secs(20);

pub struct Answer {
    pub status: u16,
    pub headers: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }
}

/// One request on its own connection.
pub async fn http(base: &str, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let address = base.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut text = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut text)).await.unwrap().unwrap();
    let (headers, body) = text.split_once("\r\n\r\n").unwrap();
    let status = headers.split(' ').nth(1).unwrap().parse().unwrap();
    Answer { status, headers: headers.to_lowercase(), body: body.to_owned() }
}

/// The body of a GET as it is.
pub async fn http_bytes(address: &str, path: &str) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap().unwrap();
    let body = answer.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
    answer.split_off(body)
}

pub async fn json_call(base: &str, method: &str, path: &str, token: Option<&str>, body: &Value) -> Answer {
    let bearer = token.map(|t| format!("Bearer {t}"));
    let mut headers = vec![("content-type", "application/json")];
    if let Some(bearer) = &bearer {
        headers.push(("authorization", bearer));
    }
    let body = if body.is_null() { String::new() } else { body.to_string() };
    http(base, method, path, &headers, &body).await
}

pub async fn login(base: &str, username: &str) -> String {
    let fields = serde_json::json!({"username": username, "password": "password"});
    let answer = json_call(base, "POST", "/api-token-auth/", None, &fields).await;
    answer.json()["token"].as_str().unwrap().to_owned()
}

pub struct Socket(pub WebSocketStream<MaybeTlsStream<TcpStream>>, VecDeque<Heard>);

#[derive(Debug, PartialEq)]
pub enum Heard {
    Json(Value),
    /// Text that is no JSON.
    Noise(String),
    Closed(u16),
    /// The connection ended without a close frame.
    Cut,
}

impl Socket {
    pub async fn open(url: &str) -> Self {
        Self(tokio_tungstenite::connect_async(url).await.unwrap().0, VecDeque::new())
    }

    pub async fn send(&mut self, value: &Value) {
        self.0.send(Message::Text(value.to_string().into())).await.unwrap();
    }

    /// Returns when the server has dealt with everything sent so far: it answers pings in order with all else.
    pub async fn settled(&mut self) {
        if self.0.send(Message::Ping(Default::default())).await.is_err() {
            return;
        }
        loop {
            match tokio::time::timeout(PATIENCE, self.0.next()).await.expect("a pong in time") {
                Some(Ok(Message::Pong(_))) => return,
                Some(Ok(Message::Ping(_))) => {}
                other => {
                    let heard = heard(other);
                    let over = !matches!(heard, Heard::Json(_) | Heard::Noise(_));
                    self.1.push_back(heard);
                    if over {
                        return;
                    }
                }
            }
        }
    }

    pub async fn next(&mut self) -> Heard {
        if let Some(earlier) = self.1.pop_front() {
            return earlier;
        }
        tokio::time::timeout(PATIENCE, async {
            loop {
                match self.0.next().await {
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => return heard(other),
                }
            }
        })
        .await
        .expect("a frame in time")
    }

    pub async fn json(&mut self) -> Value {
        match self.next().await {
            Heard::Json(value) => value,
            other => panic!("not a frame: {other:?}"),
        }
    }

    /// The next frame for which `wanted` holds.
    pub async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let value = self.json().await;
            if wanted(&value) {
                return value;
            }
        }
    }
}

fn heard(message: Option<Result<Message, Error>>) -> Heard {
    match message {
        Some(Ok(Message::Text(text))) => serde_json::from_str(&text).map_or_else(|_| Heard::Noise(text.to_string()), Heard::Json),
        Some(Ok(Message::Close(frame))) => Heard::Closed(frame.map_or(1005, |f| f.code.into())),
        Some(Err(Error::ConnectionClosed | Error::AlreadyClosed | Error::Protocol(_) | Error::Io(_))) | None => Heard::Cut,
        other => panic!("{other:?}"),
    }
}
