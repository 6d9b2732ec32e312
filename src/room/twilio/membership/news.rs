//! What the server's messages change.

use super::super::messages::{Body, DescriptionKind, PeerConnection, State};
use super::super::negotiation::Negotiation;
use super::super::path::Path;
use super::super::refusal;
use super::{CONNECTIONS, Command, Connection, Membership, SESSION, Stage};
use crate::call::RoomEvent;
use rand::RngExt;
use std::time::Instant;
use zeroize::Zeroizing;

impl Membership {
    pub(super) fn socket_lost(&mut self, now: Instant) {
        match self.stage {
            Stage::Joined => {
                if self.unsynced.is_none() {
                    log::info!("the room's signalling is interrupted ({}); media goes on", self.transport.trouble());
                    self.unsynced = Some(now);
                }
                for connection in self.connections.values_mut() {
                    connection.negotiation.repeat_candidates();
                }
            }
            Stage::Over => {}
            _ if self.leaving.is_some() => self.finish(now),
            _ => {
                log::info!("the room is not joined yet ({}); trying again", self.transport.trouble());
                self.close_all();
                self.stage = Stage::Greeting;
            }
        }
    }

    pub(super) fn message(&mut self, now: Instant, body: Body) {
        match (body, self.stage) {
            // A second one would make two offers and two connects (section 12, 10).
            (Body::Iced(servers), Stage::Greeting) if self.leaving.is_none() => {
                self.out.push_back(Command::Servers(servers));
                let pc = uuid::Builder::from_random_bytes(self.random.random()).into_uuid().to_string();
                if let Some(connection) = self.connection(&pc) {
                    connection.negotiation.offer(false);
                }
                self.stage = Stage::Offering;
            }
            (Body::Connected(state), Stage::Joining) => self.connected(now, *state),
            (Body::Synced(state), Stage::Joined) if self.unsynced.is_some() => {
                self.unsynced = None;
                self.transport.settled();
                for (pc, kind, revision) in std::mem::take(&mut self.told) {
                    if let Some(connection) = self.connections.get_mut(&pc) {
                        connection.negotiation.description_sent(kind, revision);
                    }
                }
                let kept: Vec<&str> = state.peer_connections.iter().map(|pc| pc.id.as_str()).collect();
                let missing: Vec<String> = self.connections.keys().filter(|id| !kept.contains(&id.as_str())).cloned().collect();
                for pc in missing {
                    self.close(&pc);
                }
                self.state(now, *state, true);
                self.tell_folded(now);
            }
            (Body::Update(state), Stage::Joined) => self.state(now, *state, false),
            (Body::Error { code, message }, stage) if stage != Stage::Over => self.fail(now, refusal::words(code, &message)),
            (Body::Disconnected { status }, stage) if stage != Stage::Over => {
                let why = if status == "completed" {
                    refusal::words(53118, "")
                } else {
                    "the service closed the room for us; the caller must call again".into()
                };
                self.fail(now, why);
            }
            _ => {}
        }
    }

    pub(super) fn connected(&mut self, now: Instant, state: State) {
        let Some(session) = state.session.clone() else {
            log::warn!(MESSAGE_ID = crate::journal::messages::PLATFORM_ODD.id; "the service let us in without a session; check the version of the service");
            return;
        };
        self.session = Some(Zeroizing::new(session));
        self.session_timeout = state.options.as_ref().and_then(|o| o.session_timeout).unwrap_or(SESSION);
        self.stage = Stage::Joined;
        self.transport.settled();
        if self.leaving.is_some() {
            return self.finish(now);
        }
        if let Some(me) = &state.participant {
            self.roster.set_me(me);
        }
        log::info!(room = state.sid.as_deref().unwrap_or_default(); "in the room");
        self.out.push_back(Command::Report(RoomEvent::Joined));
        self.state(now, state, true);
    }

    pub(super) fn state(&mut self, now: Instant, state: State, complete: bool) {
        self.roster.apply(&state.participants, complete);
        if let Some(subscribed) = &state.subscribed {
            self.roster.subscribe(subscribed);
        }
        let published = state.published.as_ref().filter(|p| p.revision.is_some_and(|r| r > self.published));
        self.published = published.and_then(|p| p.revision).unwrap_or(self.published);
        for track in published.into_iter().flat_map(|p| &p.tracks).filter(|t| t.state.as_deref() == Some("failed")) {
            let before = self.me.tracks.len();
            self.me.tracks.retain(|mine| track.id.as_deref() != Some(&mine.id));
            if self.me.tracks.len() < before {
                self.me.revision += 1;
                let error = track.error.clone().unwrap_or_default();
                log::warn!(MESSAGE_ID = crate::journal::messages::PLATFORM_ODD.id; "a track of ours is not accepted: {}", refusal::words(error.code, &error.message));
            }
        }
        for news in state.peer_connections {
            self.news(now, news);
        }
    }

    pub(super) fn news(&mut self, now: Instant, news: PeerConnection) {
        if news.id.len() > 128 || self.closed.contains(&news.id) || self.leaving.is_some() {
            return;
        }
        if news.description.as_ref().is_some_and(|d| d.kind == DescriptionKind::Close) {
            return self.close(&news.id);
        }
        if news.description.is_none() && news.ice.is_none() {
            return;
        }
        let Some(connection) = self.connection(&news.id) else { return };
        if let Some(ice) = news.ice {
            connection.negotiation.candidates(ice);
        }
        if let Some(description) = news.description {
            if matches!(description.kind, DescriptionKind::Offer | DescriptionKind::Answer) {
                connection.path.begun(now);
            }
            connection.negotiation.described(description);
        }
    }

    pub(super) fn connection(&mut self, pc: &str) -> Option<&mut Connection> {
        if !self.connections.contains_key(pc) {
            if self.connections.len() >= CONNECTIONS {
                log::warn!(MESSAGE_ID = crate::journal::messages::PLATFORM_ODD.id; "the room wants more than {CONNECTIONS} peer connections; further ones are ignored");
                return None;
            }
            self.connections.insert(pc.to_owned(), Connection { negotiation: Negotiation::new(), path: Path::default() });
        }
        self.connections.get_mut(pc)
    }
}
