//! How the table looks from one participant's place: who is there, which tracks, and what is sent.

use super::participant::{Participant, Track};
use super::table::{ParticipantId, Table};
use serde_json::{Value, json};

impl Table {
    pub(super) fn members(&self, name: &str) -> Vec<ParticipantId> {
        self.rooms.get(name).map(|r| r.members.clone()).unwrap_or_default()
    }

    pub(super) fn others(&self, id: ParticipantId) -> Vec<ParticipantId> {
        let room = self.people.get(&id).map(|p| p.room.as_str()).unwrap_or_default();
        self.members(room).into_iter().filter(|m| *m != id).collect()
    }

    /// In audio-only rooms video is refused (53125) and nobody hears of it.
    pub(super) fn refused(&self, person: &Participant, track: &Track) -> bool {
        track.is_video() && self.rooms.get(&person.room).is_some_and(|r| r.audio_only)
    }

    pub(super) fn seen(&self, id: ParticipantId) -> Value {
        self.people.get(&id).map_or(Value::Null, |p| p.seen(|t| !self.refused(p, t)))
    }

    pub(super) fn published(&self, id: ParticipantId) -> Value {
        self.people.get(&id).map_or(Value::Null, |p| p.published(|t| !self.refused(p, t)))
    }

    pub(super) fn subscribed(&mut self, id: ParticipantId) -> Value {
        let mut tracks = Vec::new();
        for other in self.others(id) {
            let Some(other) = self.people.get(&other) else { continue };
            tracks.extend(other.tracks.iter().filter(|t| !self.refused(other, t)).map(Track::subscribed));
        }
        let revision = self.people.get_mut(&id).map_or(1, Participant::next_subscribed);
        json!({"revision": revision, "tracks": tracks})
    }

    /// What `connected` and `synced` have in common.
    pub(super) fn whole(&mut self, id: ParticipantId, name: &str, sid: &str) -> Value {
        let others: Vec<Value> = self.others(id).into_iter().map(|o| self.seen(o)).collect();
        json!({
            "version": 2, "sid": sid, "name": name, "participant": self.seen(id), "participants": others,
            "published": self.published(id), "subscribed": self.subscribed(id),
            "recording": {"enabled": false, "revision": 1, "is_recording": false},
        })
    }

    /// Sends news; who has no socket now gets them with `synced`.
    pub(super) fn update(&mut self, id: ParticipantId, mut news: Value) {
        let Some((conn, room)) = self.people.get(&id).and_then(|p| Some((p.conn?, p.room.clone()))) else { return };
        news["version"] = json!(2);
        news["type"] = json!("update");
        news["sid"] = json!(self.rooms.get(&room).map(|r| r.sid.clone()));
        news["name"] = json!(room);
        self.out.push((conn, news));
    }

    /// For `/lab/state`.
    pub(super) fn state(&self) -> Value {
        let rooms: Vec<Value> = self
            .rooms
            .iter()
            .map(|(name, room)| {
                let people = room.members.iter().filter_map(|id| self.people.get(id)).map(Participant::state).collect::<Vec<_>>();
                let name_of = |id: &ParticipantId| self.people.get(id).map(|p| p.identity.clone());
                let links = room.links.iter().map(|(id, l)| {
                    let (revision, stable) = l.pc.revisions();
                    json!({"id": id, "between": [name_of(&l.maker), l.other.as_ref().and_then(name_of)], "revision": revision, "stable": stable})
                });
                json!({
                    "name": name, "sid": room.sid, "audio_only": room.audio_only, "participants": people,
                    "peer_connections": links.collect::<Vec<_>>(),
                })
            })
            .collect();
        json!({"joined": self.joined, "list": rooms})
    }
}
