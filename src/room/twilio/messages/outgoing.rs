//! What we say.

use super::DescriptionKind;
use serde::Serialize;
use serde_json::{Value, json};

/// One of our tracks, as it stands in `participant.tracks`.
#[derive(Debug, Clone, Serialize)]
pub struct LocalTrack {
    /// Whether something comes.
    pub enabled: bool,
    /// Second token of `a=msid`.
    pub id: String,
    /// `audio` or `video`.
    pub kind: &'static str,
    /// What the others may show.
    pub name: &'static str,
    /// Always `standard`.
    pub priority: &'static str,
}

/// Ourselves, always whole.
#[derive(Debug, Clone, Serialize)]
pub struct Me {
    /// Grows with each change.
    pub revision: u64,
    /// All our tracks.
    pub tracks: Vec<LocalTrack>,
}

/// A description of ours.
#[derive(Debug, Clone, Serialize)]
pub struct LocalDescription {
    /// Offer or answer.
    #[serde(rename = "type")]
    pub kind: DescriptionKind,
    /// Numbers the exchange.
    pub revision: u64,
    /// The SDP.
    pub sdp: String,
}

/// First words on a socket.
pub fn hello(id: &str, cookie: Option<&str>, body: &Value) -> String {
    let mut hello = json!({ "id": id, "timeout": 5000, "type": "hello", "version": 2, "body": body });
    if let Some(cookie) = cookie {
        hello["cookie"] = json!(cookie);
    }
    hello.to_string()
}

/// Still here.
pub fn heartbeat() -> String {
    json!({ "type": "heartbeat" }).to_string()
}

/// Last word on a socket.
pub fn bye() -> String {
    json!({ "type": "bye" }).to_string()
}

/// An RSP message as a frame.
pub fn message(body: &Value) -> String {
    json!({ "type": "msg", "body": body }).to_string()
}

/// Asks for the servers; the body of the first hello.
pub fn ice(token: &str) -> Value {
    json!({ "type": "ice", "version": 1, "edge": "roaming", "token": token })
}

/// Joins. `publisher` has the shape of the page's own client, which the real service expects (section 9, 6).
pub fn connect(room: &str, token: &str, me: &Me, peer_connections: &[Value]) -> Value {
    json!({
        "type": "connect", "version": 2, "name": room, "token": token, "participant": me, "peer_connections": peer_connections,
        "ice_servers": "acquire", "format": "unified", "media_signaling": {},
        "publisher": { "name": "twilio-video.js", "sdk_version": "2.28.1", "user_agent": concat!("residentd/", env!("CARGO_PKG_VERSION")) },
        "subscribe": { "rules": [{ "type": "include", "all": true }], "revision": 1 },
    })
}

/// Takes the session up again on a new socket; the body of its hello.
pub fn sync(room: &str, token: &str, session: &str, me: &Me, peer_connections: &[Value]) -> Value {
    json!({
        "type": "sync", "version": 2, "name": room, "token": token, "session": session, "participant": me,
        "peer_connections": peer_connections,
    })
}

/// Tells what changed; the participant always whole.
pub fn update(session: &str, me: &Me, peer_connections: &[Value]) -> Value {
    let mut update = json!({ "type": "update", "version": 2, "session": session, "participant": me });
    if !peer_connections.is_empty() {
        update["peer_connections"] = json!(peer_connections);
    }
    update
}

/// Leaves.
pub fn disconnect(session: Option<&str>) -> Value {
    json!({ "type": "disconnect", "version": 2, "session": session })
}

/// An entry of `peer_connections`.
pub fn entry(pc: &str, description: Option<&LocalDescription>, ice: Option<Value>) -> Value {
    let mut entry = json!({ "id": pc });
    if let Some(description) = description {
        entry["description"] = json!(description);
    }
    if let Some(ice) = ice {
        entry["ice"] = ice;
    }
    entry
}

/// Candidates of ours: the whole list, each with the first mid and our ufrag.
pub fn candidates(ufrag: &str, mid: &str, revision: u64, lines: &[String], complete: bool) -> Value {
    let candidates: Vec<Value> =
        lines.iter().map(|line| json!({ "candidate": line, "sdpMid": mid, "sdpMLineIndex": 0, "usernameFragment": ufrag })).collect();
    let mut ice = json!({ "candidates": candidates, "ufrag": ufrag, "revision": revision });
    if complete {
        ice["complete"] = json!(true);
    }
    ice
}
