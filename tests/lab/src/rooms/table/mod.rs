//! Rooms, participants and sessions: a state machine without I/O. Frames go in with a time, frames for connections are
//! collected in [`Table::out`].

#[cfg(test)]
mod tests;

use super::Pairing;
use super::arbitration::{End, PeerConnection};
use super::participant::Participant;
use crate::jwt;
use serde_json::{Value, json};
use sha2::Digest as _;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;

/// Rooms remembered; the oldest empty ones are forgotten first.
const ROOMS: usize = 4096;
/// Bytes of a room's name.
const NAME: usize = 200;
/// Participants of a room (error 53105 beyond).
const PARTICIPANTS: usize = 50;
/// Peer connections that one participant may bring in one message.
const BROUGHT: usize = 16;

pub(super) type ConnId = u64;
pub(super) type ParticipantId = u64;

/// An error of the protocol: code and text (contract twilio-video §11).
pub(super) type Refusal = (u32, &'static str);

pub(super) const NO_PARTICIPANT: Refusal = (53204, "Participant not found");

pub(super) struct Link {
    pub(super) maker: ParticipantId,
    pub(super) other: Option<ParticipantId>,
    pub(super) pc: PeerConnection,
}

impl Link {
    fn end(&self, who: ParticipantId) -> Option<End> {
        if self.maker == who {
            Some(End::Maker)
        } else if self.other == Some(who) {
            Some(End::Other)
        } else {
            None
        }
    }

    fn beyond(&self, who: ParticipantId) -> Option<ParticipantId> {
        match self.end(who)? {
            End::Maker => self.other,
            End::Other => Some(self.maker),
        }
    }
}

pub(super) struct Room {
    pub(super) sid: String,
    pub(super) created: u64,
    pub(super) audio_only: bool,
    /// In the order of joining.
    pub(super) members: Vec<ParticipantId>,
    pub(super) links: BTreeMap<String, Link>,
}

/// How the rooms behave.
#[derive(Debug, Clone)]
pub(super) struct Rules {
    pub(super) pairing: Pairing,
    pub(super) session_timeout: Duration,
    pub(super) peer_loss: Duration,
    pub(super) secret: String,
}

/// All rooms.
pub(super) struct Table {
    rules: Rules,
    pub(super) rooms: BTreeMap<String, Room>,
    pub(super) people: BTreeMap<ParticipantId, Participant>,
    sessions: BTreeMap<String, ParticipantId>,
    by_conn: BTreeMap<ConnId, ParticipantId>,
    next: u64,
    pub(super) joined: u64,
    /// Frames' bodies to send, in order.
    pub(super) out: Vec<(ConnId, Value)>,
}

/// What a good access token says.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ticket {
    pub(super) identity: String,
    room: Option<String>,
}

impl Table {
    pub(super) fn new(rules: Rules) -> Self {
        Self {
            rules,
            rooms: BTreeMap::new(),
            people: BTreeMap::new(),
            sessions: BTreeMap::new(),
            by_conn: BTreeMap::new(),
            next: 0,
            joined: 0,
            out: Vec::new(),
        }
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    pub(super) fn ticket(&self, token: &Value, now: i64) -> Result<Ticket, Refusal> {
        let token = token.as_str().unwrap_or_default();
        let claims = jwt::verify(token, &self.rules.secret, now).map_err(|bad| match bad {
            jwt::Bad::Malformed => (20101, "Invalid Access Token"),
            jwt::Bad::Signature => (20107, "Invalid Access Token signature"),
            jwt::Bad::Expired => (20104, "Access Token expired or expiration date invalid"),
        })?;
        let grants = &claims["grants"];
        match grants["identity"].as_str() {
            Some(identity) if grants["video"].is_object() && !identity.is_empty() => {
                Ok(Ticket { identity: identity.to_owned(), room: grants["video"]["room"].as_str().map(str::to_owned) })
            }
            _ => Err((20106, "Invalid Access Token grants")),
        }
    }

    /// Gets or creates a room; its sid follows from its name, so that it stays the same as long as the lab's memory and
    /// longer. `audio_only` is taken while nobody is in it.
    pub(super) fn create(&mut self, name: &str, audio_only: Option<bool>) -> (String, bool) {
        if let Some(room) = self.rooms.get_mut(name) {
            if let Some(audio_only) = audio_only.filter(|_| room.members.is_empty()) {
                room.audio_only = audio_only;
            }
            return (room.sid.clone(), false);
        }
        if self.rooms.len() >= ROOMS {
            let oldest = self.rooms.iter().filter(|(_, r)| r.members.is_empty()).min_by_key(|(_, r)| r.created);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.rooms.remove(&oldest);
            }
        }
        let hash: String = sha2::Sha256::digest(name.as_bytes()).iter().take(16).map(|b| format!("{b:02x}")).collect();
        let sid = format!("RM{hash}");
        let created = self.number();
        let room = Room { sid: sid.clone(), created, audio_only: audio_only == Some(true), members: Vec::new(), links: BTreeMap::new() };
        self.rooms.insert(name.to_owned(), room);
        (sid, true)
    }

    fn name_of(&self, name_or_sid: &str) -> Option<String> {
        if self.rooms.contains_key(name_or_sid) {
            return Some(name_or_sid.to_owned());
        }
        self.rooms.iter().find(|(_, r)| r.sid == name_or_sid).map(|(name, _)| name.clone())
    }

    pub(super) fn connect(&mut self, conn: ConnId, body: &Value, ticket: &Ticket) -> Result<(), Refusal> {
        let granted = ticket.room.as_ref().map(|room| self.name_of(room).unwrap_or_else(|| room.clone()));
        let asked = body["name"].as_str().map(|room| self.name_of(room).unwrap_or_else(|| room.to_owned()));
        let name = match (asked, granted) {
            (Some(asked), Some(granted)) if asked != granted => return Err((20106, "Invalid Access Token grants")),
            (Some(name), _) | (None, Some(name)) => name,
            (None, None) => return Err((53106, "Room not found")),
        };
        if name.is_empty() || name.len() > NAME {
            return Err((53106, "Room not found"));
        }
        if self.by_conn.contains_key(&conn) {
            return Err((53003, "The client is connected already"));
        }
        self.create(&name, None);
        let twin = self.members(&name).into_iter().find(|id| self.people.get(id).is_some_and(|p| p.identity == ticket.identity));
        if let Some(twin) = twin {
            if let Some(conn) = self.people.get(&twin).and_then(|p| p.conn) {
                let text = "Participant disconnected because of duplicate identity";
                self.out.push((conn, json!({"version": 2, "type": "error", "code": 53205, "message": text})));
            }
            self.remove(twin);
        }
        let existing = self.members(&name);
        if existing.len() >= PARTICIPANTS {
            return Err((53105, "Room contains too many Participants"));
        }
        let id = self.number();
        self.joined += 1;
        let mut person = Participant::new(&ticket.identity, &name, conn);
        person.set_tracks(&body["participant"]);
        self.sessions.insert(person.session.clone(), id);
        self.by_conn.insert(conn, id);
        self.people.insert(id, person);
        let room = self.rooms.get_mut(&name).expect("created above");
        room.members.push(id);
        // The client's first peer connection comes with its offer before anybody is there to take it.
        let mut spare = None;
        for brought in body["peer_connections"].as_array().into_iter().flatten().take(BROUGHT) {
            let Some(pc_id) = brought["id"].as_str().filter(|pc| !room.links.contains_key(*pc)) else { continue };
            let mut link = Link { maker: id, other: None, pc: PeerConnection::default() };
            link.pc.describe(End::Maker, &brought["description"]);
            link.pc.candidates(End::Maker, &brought["ice"]);
            room.links.insert(pc_id.to_owned(), link);
            spare = Some(pc_id.to_owned());
        }
        let mine = self.pair(&name, id, spare, &existing);
        let Some(person) = self.people.get(&id) else { return Ok(()) };
        let (sid, session) = (self.rooms[&name].sid.clone(), person.session.clone());
        let mut connected = self.whole(id, &name, &sid);
        connected["type"] = json!("connected");
        connected["session"] = json!(session);
        connected["peer_connections"] = json!(mine);
        connected["options"] = json!({
            "session_timeout": self.rules.session_timeout.as_secs(), "signaling_region": "lab", "signaling_edge": "lab",
        });
        self.out.push((conn, connected));
        Ok(())
    }

    /// Finds a peer connection for the newcomer and each of `existing`, and tells those; gives what the newcomer must know
    /// (contract twilio-video §10 item 4).
    fn pair(&mut self, name: &str, newcomer: ParticipantId, mut spare: Option<String>, existing: &[ParticipantId]) -> Vec<Value> {
        let mut mine = Vec::new();
        for (index, other) in existing.iter().enumerate() {
            let room = self.rooms.get_mut(name).expect("the newcomer's room");
            let waiting = room.links.iter().find(|(_, l)| l.maker == *other && l.other.is_none()).map(|(id, _)| id.clone());
            let mut theirs = Vec::new();
            let newcomer_offers = self.rules.pairing == Pairing::NewcomerOffers && index == 0;
            if let Some(pc_id) = if newcomer_offers { spare.take() } else { None } {
                let link = room.links.get_mut(&pc_id).expect("the newcomer's first");
                link.other = Some(*other);
                theirs.push(link.pc.seen_from(End::Other, &pc_id));
                // A pending peer connection would hide a failure of the one that is used.
                if let Some(waiting) = waiting
                    && let Some(link) = room.links.remove(&waiting)
                {
                    theirs.push(link.pc.close(&waiting));
                }
            } else if let Some(waiting) = waiting.filter(|_| self.rules.pairing == Pairing::ExistingOffers) {
                let link = room.links.get_mut(&waiting).expect("found above");
                link.other = Some(newcomer);
                mine.push(link.pc.seen_from(End::Other, &waiting));
            } else {
                let pc_id = uuid::Uuid::new_v4().to_string();
                let link = Link { maker: newcomer, other: Some(*other), pc: PeerConnection::default() };
                room.links.insert(pc_id.clone(), link);
                mine.push(json!({"id": pc_id, "description": {"type": "create-offer", "revision": 1}}));
            }
            let mut news = json!({"participants": [self.seen(newcomer)], "subscribed": self.subscribed(*other)});
            if !theirs.is_empty() {
                news["peer_connections"] = json!(theirs);
            }
            self.update(*other, news);
        }
        if self.rules.pairing == Pairing::ExistingOffers
            && !existing.is_empty()
            && let Some(spare) = spare
            && let Some(link) = self.rooms.get_mut(name).and_then(|r| r.links.remove(&spare))
        {
            mine.push(link.pc.close(&spare));
        }
        mine
    }

    pub(super) fn sync(&mut self, conn: ConnId, body: &Value) -> Result<(), Refusal> {
        let id = body["session"].as_str().and_then(|s| self.sessions.get(s)).copied().ok_or(NO_PARTICIPANT)?;
        if self.by_conn.get(&conn).is_some_and(|here| *here != id) {
            return Err((53003, "The client is connected already"));
        }
        let Some(person) = self.people.get_mut(&id) else { return Err(NO_PARTICIPANT) };
        if let Some(old) = person.conn.replace(conn) {
            self.by_conn.remove(&old);
        }
        self.by_conn.insert(conn, id);
        person.resumed();
        let name = person.room.clone();
        let changed = person.set_tracks(&body["participant"]);
        for brought in body["peer_connections"].as_array().into_iter().flatten().take(BROUGHT) {
            let (Some(pc_id), description) = (brought["id"].as_str(), &brought["description"]) else { continue };
            let Some(link) = self.rooms.get_mut(&name).and_then(|r| r.links.get_mut(pc_id)) else { continue };
            let Some(end) = link.end(id) else { continue };
            // Sent while the socket was dead it is news; otherwise it is what the server has relayed before.
            if !link.pc.is_news(end, description) || !link.pc.describe(end, description) {
                continue;
            }
            let ice = link.pc.candidates(end, &brought["ice"]);
            if let Some(other) = link.beyond(id) {
                let mut entry = json!({"id": pc_id, "description": description});
                if let Some(ice) = ice {
                    entry["ice"] = ice;
                }
                self.update(other, json!({"peer_connections": [entry]}));
            }
        }
        let Some(room) = self.rooms.get(&name) else { return Err(NO_PARTICIPANT) };
        let mine: Vec<Value> = room.links.iter().filter_map(|(pc_id, link)| Some(link.pc.seen_from(link.end(id)?, pc_id))).collect();
        let sid = room.sid.clone();
        let mut synced = self.whole(id, &name, &sid);
        synced["type"] = json!("synced");
        synced["peer_connections"] = json!(mine);
        self.out.push((conn, synced));
        for other in self.others(id) {
            let mut news = json!({"participants": [self.seen(id)]});
            if changed {
                news["subscribed"] = self.subscribed(other);
            }
            self.update(other, news);
        }
        Ok(())
    }

    pub(super) fn updated(&mut self, body: &Value) -> Result<(), Refusal> {
        let id = body["session"].as_str().and_then(|s| self.sessions.get(s)).copied().ok_or(NO_PARTICIPANT)?;
        let Some(person) = self.people.get_mut(&id) else { return Err(NO_PARTICIPANT) };
        let name = person.room.clone();
        if person.set_tracks(&body["participant"]) {
            let published = self.published(id);
            self.update(id, json!({"published": published}));
            for other in self.others(id) {
                let news = json!({"participants": [self.seen(id)], "subscribed": self.subscribed(other)});
                self.update(other, news);
            }
        }
        for brought in body["peer_connections"].as_array().into_iter().flatten().take(BROUGHT) {
            let Some(pc_id) = brought["id"].as_str() else { continue };
            let Some(room) = self.rooms.get_mut(&name) else { continue };
            let Some(link) = room.links.get_mut(pc_id) else { continue };
            let Some(end) = link.end(id) else { continue };
            let mut entry = json!({"id": pc_id});
            let description = &brought["description"];
            if description.is_object() && link.pc.describe(end, description) {
                entry["description"] = description.clone();
            }
            if let Some(ice) = link.pc.candidates(end, &brought["ice"]) {
                entry["ice"] = ice;
            }
            let other = link.beyond(id);
            if entry["description"]["type"] == "close" {
                room.links.remove(pc_id);
            }
            let has_news = entry.as_object().is_some_and(|e| e.len() > 1);
            if let Some(other) = other.filter(|_| has_news) {
                self.update(other, json!({"peer_connections": [entry]}));
            }
        }
        Ok(())
    }

    /// An orderly leave.
    pub(super) fn disconnected(&mut self, body: &Value) {
        if let Some(id) = body["session"].as_str().and_then(|s| self.sessions.get(s)).copied() {
            self.remove(id);
        }
    }

    /// A socket has gone: the others hear `reconnecting` at once, and of the end when `peer_loss` has passed.
    pub(super) fn lost(&mut self, conn: ConnId, now: Instant) {
        let Some(id) = self.by_conn.remove(&conn) else { return };
        let until = now + self.rules.peer_loss;
        let Some(person) = self.people.get_mut(&id) else { return };
        person.lost(until);
        for other in self.others(id) {
            self.update(other, json!({"participants": [self.seen(id)]}));
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.people.values().filter_map(|p| p.lost_until).min()
    }

    pub(super) fn expire(&mut self, now: Instant) {
        let gone: Vec<_> = self.people.iter().filter(|(_, p)| p.lost_until.is_some_and(|at| at <= now)).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.remove(id));
    }

    fn remove(&mut self, id: ParticipantId) {
        let others = self.others(id);
        let Some(mut person) = self.people.remove(&id) else { return };
        self.sessions.remove(&person.session);
        if let Some(conn) = person.conn {
            self.by_conn.remove(&conn);
        }
        person.leave();
        let farewell = person.seen(|_| false);
        let Some(room) = self.rooms.get_mut(&person.room) else { return };
        room.members.retain(|m| *m != id);
        let mut closes: BTreeMap<ParticipantId, Vec<Value>> = BTreeMap::new();
        room.links.retain(|pc_id, link| {
            if let Some(other) = link.beyond(id) {
                closes.entry(other).or_default().push(link.pc.close(pc_id));
            }
            link.end(id).is_none()
        });
        for other in others {
            let mut news = json!({"participants": [farewell], "subscribed": self.subscribed(other)});
            if let Some(closes) = closes.remove(&other) {
                news["peer_connections"] = json!(closes);
            }
            self.update(other, news);
        }
    }

    /// Ends a room for everybody in it; returns how many that were.
    pub(super) fn complete(&mut self, name: &str) -> usize {
        let members = self.members(name);
        for id in &members {
            if let Some(conn) = self.people.get(id).and_then(|p| p.conn) {
                self.out.push((conn, json!({"version": 2, "type": "disconnected", "status": "completed"})));
            }
            if let Some(person) = self.people.remove(id) {
                self.sessions.remove(&person.session);
                person.conn.map(|conn| self.by_conn.remove(&conn));
            }
        }
        self.rooms.remove(name);
        members.len()
    }

    /// Forgets all sessions, as a server that was restarted.
    pub(super) fn forget(&mut self) {
        self.rooms.clear();
        self.people.clear();
        self.sessions.clear();
        self.by_conn.clear();
    }
}
