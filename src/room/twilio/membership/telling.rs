//! What we tell the server: that we join, what changed, that we go.

use super::super::messages;
use super::{Command, Membership, Stage};
use crate::call::RoomEvent;
use std::time::Instant;

impl Membership {
    pub(super) fn connect(&mut self, now: Instant, pc: &str) {
        let Some(connection) = self.connections.get_mut(pc) else { return };
        let entry = messages::entry(pc, connection.negotiation.unsent_description(), None);
        let connect = messages::connect(&self.wish.room, &self.wish.token, &self.me, &[entry]);
        self.me_told = self.me.revision;
        self.stage = Stage::Joining;
        self.transport.send(now, &connect);
    }

    /// Tells what changed: an update for each description and each candidate list, the participant always whole.
    pub(super) fn tell(&mut self, now: Instant) {
        let (true, Some(session)) = (self.is_synced() && self.transport.is_up(), self.session.clone()) else { return };
        let mut updates = Vec::new();
        for (pc, connection) in &mut self.connections {
            if let Some(description) = connection.negotiation.unsent_description() {
                updates.push(messages::update(&session, &self.me, &[messages::entry(pc, Some(description), None)]));
            }
            if let Some(candidates) = connection.negotiation.unsent_candidates() {
                updates.push(messages::update(&session, &self.me, &[messages::entry(pc, None, Some(candidates))]));
            }
        }
        if updates.is_empty() && self.me_told < self.me.revision {
            updates.push(messages::update(&session, &self.me, &[]));
        }
        if !updates.is_empty() {
            self.me_told = self.me.revision;
        }
        for update in &updates {
            self.transport.send(now, update);
        }
    }

    /// Tells what changed while the socket was lost, in one update.
    pub(super) fn tell_folded(&mut self, now: Instant) {
        let Some(session) = self.session.clone() else { return };
        let mut entries = Vec::new();
        for (pc, connection) in &mut self.connections {
            let description = connection.negotiation.unsent_description().cloned();
            let candidates = connection.negotiation.unsent_candidates();
            if description.is_some() || candidates.is_some() {
                entries.push(messages::entry(pc, description.as_ref(), candidates));
            }
        }
        if !entries.is_empty() || self.me_told < self.me.revision {
            self.me_told = self.me.revision;
            self.transport.send(now, &messages::update(&session, &self.me, &entries));
        }
    }

    pub(super) fn fail(&mut self, now: Instant, why: String) {
        if self.stage != Stage::Over && self.leaving.is_none() {
            self.out.push_back(Command::Report(RoomEvent::Failed(why)));
        }
        self.finish(now);
    }

    /// Disconnect, goodbye, close: in this order and once.
    pub(super) fn finish(&mut self, now: Instant) {
        if self.stage == Stage::Over {
            return;
        }
        self.stage = Stage::Over;
        self.leaving = None;
        self.transport.send(now, &messages::disconnect(self.session.as_ref().map(|s| s.as_str())));
        self.transport.close();
        self.settle(now);
        self.close_all();
        self.out.push_back(Command::Done);
    }
    pub(super) fn close(&mut self, pc: &str) {
        self.closed.insert(pc);
        if self.connections.remove(pc).is_some() {
            self.roster.forget(pc);
            self.out.push_back(Command::ClosePeer { pc: pc.to_owned() });
        }
    }

    pub(super) fn close_all(&mut self) {
        for pc in self.connections.keys().cloned().collect::<Vec<_>>() {
            self.close(&pc);
        }
    }
}
