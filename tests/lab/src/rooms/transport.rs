//! The transport below the rooms (contract twilio-video §3): hello and welcome, heartbeats both ways, busy, bye.

use super::Rooms;
use super::table::{ConnId, Refusal};
use crate::Shared;
use crate::faults::At;
use crate::jwt;
use crate::log::Part;
use crate::wire::{self, Got, Sender, Wire};
use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::get;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Largest frame taken; session descriptions of a room of twenty stay far below.
const FRAME_LIMIT: usize = 1 << 20;
/// How long a new socket may take to its hello.
const HELLO: Duration = Duration::from_secs(15);

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    let signaling = |State(shared): State<Arc<Shared>>, ws: WebSocketUpgrade| async move {
        let upgraded = ws.max_message_size(FRAME_LIMIT);
        upgraded.on_upgrade(move |socket| async move { connection(shared, socket).await })
    };
    Router::new().route("/signaling", get(signaling)).route("/v1/VideoEvents", get(insights)).with_state(shared)
}

/// The telemetry socket: greeted, then swallowed.
async fn insights(State(shared): State<Arc<Shared>>, ws: WebSocketUpgrade) -> Response {
    ws.max_message_size(FRAME_LIMIT).on_upgrade(move |mut socket| async move {
        let mut stop = shared.stop.subscribe();
        loop {
            let message = tokio::select! {
                () = wire::stopped(&mut stop) => return,
                message = socket.recv() => message,
            };
            let Some(Ok(message)) = message else { return };
            let Message::Text(text) = message else { continue };
            if serde_json::from_str::<Value>(&text).is_ok_and(|m| m["type"] == "connect") {
                let greeting = json!({"type": "connected", "session": uuid::Uuid::new_v4().simple().to_string(), "version": 1});
                if socket.send(Message::Text(greeting.to_string().into())).await.is_err() {
                    return;
                }
            }
        }
    })
}

async fn connection(shared: Arc<Shared>, socket: WebSocket) {
    if shared.faults.refuses(At::Rooms) {
        return;
    }
    let rooms = &shared.rooms;
    let (sender, receiver) = wire::pair();
    let conn = rooms.open(sender.clone());
    let mut wire = Wire::new(socket, receiver, At::Rooms, &shared.faults, shared.stop.subscribe());
    let opened = Instant::now();
    // Set by a hello: how often the other side wants to hear something.
    let mut negotiated: Option<Duration> = None;
    let mut beat = opened;
    loop {
        let (quiet, dead) = match negotiated {
            // A little before it is due, as the real service: a heartbeat about every 4.5 s of idleness.
            Some(timeout) => (Some(wire.last_out.max(beat) + timeout.mul_f64(0.9)), wire.last_in + timeout * 3),
            None => (None, opened + HELLO),
        };
        match wire.next(Some(quiet.map_or(dead, |quiet| quiet.min(dead)))).await {
            Got::Text(text) => match serde_json::from_str::<Value>(&text) {
                Ok(frame) => {
                    if let Some(timeout) = rooms.frame(conn, &sender, &frame) {
                        negotiated = Some(timeout);
                    }
                }
                Err(_) => sender.text(json!({"type": "bad", "reason": "not JSON"}).to_string().into()),
            },
            Got::Deadline if Instant::now() >= dead => {
                rooms.log.add(Part::Room, Some("out"), sender.who().as_deref(), "silent client cut", Value::Null);
                break;
            }
            Got::Deadline => {
                beat = Instant::now();
                if !shared.faults.mutes(At::Rooms) {
                    sender.text(json!({"type": "heartbeat"}).to_string().into());
                }
            }
            Got::Gone => break,
        }
    }
    rooms.closed(conn);
    rooms.log.add(Part::Room, Some("in"), sender.who().as_deref(), "socket closed", Value::Null);
    wire.limbo().await;
}

impl Rooms {
    /// Carries out one frame; gives the negotiated timeout after a hello.
    fn frame(&self, conn: ConnId, sender: &Sender, frame: &Value) -> Option<Duration> {
        let say = |value: Value| sender.text(value.to_string().into());
        match frame["type"].as_str() {
            Some("hello") => {
                if let Some((retry_after, keep_alive)) = self.faults.busy() {
                    let mut busy = json!({"type": "busy", "keepAlive": keep_alive, "retryAfter": retry_after});
                    if retry_after >= 0 {
                        busy["cookie"] = json!("ck1");
                    }
                    say(busy);
                    return None;
                }
                let asked = frame["timeout"].as_u64().map_or(self.heartbeat, Duration::from_millis);
                let timeout = asked.min(self.heartbeat).max(Duration::from_millis(100));
                say(json!({"negotiatedTimeout": timeout.as_millis() as u64, "type": "welcome"}));
                self.body(conn, sender, &frame["body"]);
                Some(timeout)
            }
            Some("msg") => {
                self.body(conn, sender, &frame["body"]);
                None
            }
            Some("heartbeat" | "bye") => None,
            other => {
                let other = other.unwrap_or_default().chars().take(40).collect::<String>();
                say(json!({"type": "bad", "reason": format!("unknown type {other}")}));
                None
            }
        }
    }

    fn body(&self, conn: ConnId, sender: &Sender, body: &Value) {
        let kind = body["type"].as_str().unwrap_or_default();
        let ticket = match kind {
            "ice" | "connect" | "sync" => match self.at_the_table(|t| t.ticket(&body["token"], jwt::unix_now())) {
                Ok(ticket) => {
                    sender.set_who(&ticket.identity);
                    Some(ticket)
                }
                Err(refusal) => return self.refuse(conn, refusal),
            },
            _ => None,
        };
        self.log.add(Part::Room, Some("in"), sender.who().as_deref(), what(body), detail(body));
        let outcome = match (kind, ticket) {
            ("ice", _) => {
                self.at_the_table(|t| t.out.push((conn, json!({"version": 1, "type": "iced", "ice_servers": self.ice_servers}))));
                Ok(())
            }
            ("connect", Some(ticket)) => match self.faults.room_error() {
                Some(code) => Err((code, "A fault was asked for")),
                None => self.at_the_table(|t| t.connect(conn, body, &ticket)),
            },
            ("sync", Some(_)) => self.at_the_table(|t| t.sync(conn, body)),
            ("update", _) => self.at_the_table(|t| t.updated(body)),
            ("disconnect", _) => {
                self.at_the_table(|t| {
                    t.disconnected(body);
                    t.out.push((conn, json!({"version": 2, "type": "disconnected", "status": "ok"})));
                });
                Ok(())
            }
            _ => Err((53001, "Unknown message")),
        };
        if let Err(refusal) = outcome {
            self.refuse(conn, refusal);
        }
    }

    fn refuse(&self, conn: ConnId, (code, message): Refusal) {
        self.at_the_table(|t| t.out.push((conn, json!({"version": 2, "type": "error", "code": code, "message": message}))));
    }
}

/// A body in one line for the log: its type, and for updates what it is about.
pub(super) fn what(body: &Value) -> String {
    let mut what = body["type"].as_str().unwrap_or("?").chars().take(20).collect::<String>();
    for pc in body["peer_connections"].as_array().into_iter().flatten() {
        let description = &pc["description"];
        if let Some(kind) = description["type"].as_str() {
            what.push_str(&format!(" {}:{}", kind.chars().take(12).collect::<String>(), description["revision"]));
        }
        if let Some(candidates) = pc["ice"]["candidates"].as_array() {
            what.push_str(&format!(" ice×{}{}", candidates.len(), if pc["ice"]["complete"] == true { "." } else { "" }));
        }
    }
    what
}

/// More of a body for the log: who is in which state, codes; never descriptions, candidates, credentials or tokens.
pub(super) fn detail(body: &Value) -> Value {
    let mut detail = serde_json::Map::new();
    for field in ["name", "code", "message", "status"] {
        if !body[field].is_null() {
            detail.insert(field.to_owned(), body[field].clone());
        }
    }
    if let Some(people) = body["participants"].as_array() {
        let people: Vec<_> = people.iter().map(|p| json!({"identity": p["identity"], "state": p["state"]})).collect();
        detail.insert("participants".to_owned(), json!(people));
    }
    if let Some(tracks) = body["participant"]["tracks"].as_array() {
        let tracks: Vec<_> = tracks.iter().map(|t| json!({"kind": t["kind"], "enabled": t["enabled"]})).collect();
        detail.insert("tracks".to_owned(), json!(tracks));
    }
    if let Some(servers) = body["ice_servers"].as_array() {
        detail.insert("ice_servers".to_owned(), json!(servers.len()));
    }
    Value::Object(detail)
}
