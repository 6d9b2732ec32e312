//! Each rule of twilio-video.md sections 3 to 7 and each trap of section 12 by name.

mod candidates;
mod descriptions;
mod joining;
mod paths;
mod people;
mod sockets;

use super::*;

fn failed(room: &Fixture) -> Option<&str> {
    room.events.iter().find_map(|e| if let RoomEvent::Failed(why) = e { Some(why.as_str()) } else { None })
}

/// Candidates of the far side.
fn ice(pc: &str, ufrag: &str, revision: u64, lines: &[&str]) -> Value {
    let candidates: Vec<_> = lines.iter().map(|l| json!({ "candidate": l, "sdpMid": "0", "usernameFragment": ufrag })).collect();
    json!({ "peer_connections": [{ "id": pc, "ice": { "ufrag": ufrag, "revision": revision, "candidates": candidates } }] })
}

/// The answer to a `sync`, with the carer still there.
fn synced(extra: Value) -> Value {
    let mut synced = json!({ "type": "synced", "participants": [carer("PA1", 1, "connected")], "subscribed": subscribed("PA1", 1), "peer_connections": [] });
    for (key, value) in extra.as_object().into_iter().flatten() {
        synced[key] = value.clone();
    }
    synced
}
