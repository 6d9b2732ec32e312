//! Somebody in a room: tracks, revisions, session, and how others see them (contract twilio-video §4).

use super::table::ConnId;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::time::Instant;

/// Tracks of a participant.
const TRACKS: usize = 32;

/// A published track: what the client says of it, and its sid.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Track {
    said: Value,
    sid: String,
}

impl Track {
    pub(super) fn is_video(&self) -> bool {
        self.said["kind"] == "video"
    }

    fn ready(&self) -> Value {
        let mut track = self.said.clone();
        track["sid"] = json!(self.sid);
        track["state"] = json!("ready");
        track
    }

    /// In peer-to-peer rooms the id to expect in the SDP is the publisher's own.
    pub(super) fn subscribed(&self) -> Value {
        json!({"id": self.said["id"], "sid": self.sid})
    }
}

#[derive(Debug)]
pub(super) struct Participant {
    pub(super) identity: String,
    pub(super) room: String,
    pub(super) conn: Option<ConnId>,
    pub(super) session: String,
    pub(super) lost_until: Option<Instant>,
    pub(super) tracks: Vec<Track>,
    sid: String,
    state: &'static str,
    /// Grows with every change that others see.
    revision: u64,
    client_revision: i64,
    published_revision: u64,
    subscribed_revision: u64,
    /// A track keeps its sid for as long as its publisher stays.
    sids: BTreeMap<String, String>,
}

fn hex(bytes: usize) -> String {
    (0..bytes).map(|_| format!("{:02x}", rand::random::<u8>())).collect()
}

impl Participant {
    pub(super) fn new(identity: &str, room: &str, conn: ConnId) -> Self {
        Self {
            identity: identity.to_owned(),
            room: room.to_owned(),
            conn: Some(conn),
            session: hex(64),
            lost_until: None,
            tracks: Vec::new(),
            sid: format!("PA{}", hex(16)),
            state: "connected",
            revision: 0,
            client_revision: 0,
            published_revision: 0,
            subscribed_revision: 0,
            sids: BTreeMap::new(),
        }
    }

    /// Takes the participant's own account of its tracks; true when something changed.
    pub(super) fn set_tracks(&mut self, said: &Value) -> bool {
        let Some(revision) = said["revision"].as_i64().filter(|r| *r > self.client_revision) else { return false };
        self.client_revision = revision;
        let mut tracks = Vec::new();
        for track in said["tracks"].as_array().into_iter().flatten().take(TRACKS) {
            let Some(id) = track["id"].as_str().filter(|_| track["kind"].is_string()) else { continue };
            if self.sids.len() > 8 * TRACKS && !self.sids.contains_key(id) {
                continue;
            }
            let sid = self.sids.entry(id.to_owned()).or_insert_with(|| format!("MT{}", hex(16))).clone();
            tracks.push(Track { said: track.clone(), sid });
        }
        // The first account counts even without tracks: clients ignore revisions below 1.
        if tracks == self.tracks && self.revision > 0 {
            return false;
        }
        self.tracks = tracks;
        self.published_revision += 1;
        self.revision += 1;
        true
    }

    pub(super) fn lost(&mut self, until: Instant) {
        self.conn = None;
        self.state = "reconnecting";
        self.revision += 1;
        self.lost_until = Some(until);
    }

    pub(super) fn resumed(&mut self) {
        self.state = "connected";
        self.revision += 1;
        self.lost_until = None;
    }

    pub(super) fn leave(&mut self) {
        self.state = "disconnected";
        self.revision += 1;
        self.tracks.clear();
    }

    /// As others see it, with the tracks that `passes` lets through.
    pub(super) fn seen(&self, passes: impl Fn(&Track) -> bool) -> Value {
        let tracks: Vec<_> = self.tracks.iter().filter(|t| passes(t)).map(Track::ready).collect();
        json!({"sid": self.sid, "identity": self.identity, "state": self.state, "revision": self.revision, "tracks": tracks})
    }

    /// What became of the own tracks.
    pub(super) fn published(&self, passes: impl Fn(&Track) -> bool) -> Value {
        let entry = |track: &Track| {
            if passes(track) {
                return track.ready();
            }
            let mut failed = track.said.clone();
            failed["state"] = json!("failed");
            failed["error"] = json!({"code": 53125, "message": "The track kind is not supported by the Room"});
            failed
        };
        json!({"revision": self.published_revision, "tracks": self.tracks.iter().map(entry).collect::<Vec<_>>()})
    }

    pub(super) fn next_subscribed(&mut self) -> u64 {
        self.subscribed_revision += 1;
        self.subscribed_revision
    }

    pub(super) fn state(&self) -> Value {
        let tracks: Vec<_> = self.tracks.iter().map(|t| json!({"kind": t.said["kind"], "enabled": t.said["enabled"]})).collect();
        json!({"identity": self.identity, "sid": self.sid, "state": self.state, "tracks": tracks})
    }
}
