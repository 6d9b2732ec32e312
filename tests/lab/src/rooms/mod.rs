//! Twilio-compatible room signalling (contract twilio-video §3 to §5 and §10), peer-to-peer rooms: `transport` speaks the
//! frames, `table` holds rooms and participants, `arbitration` decides which descriptions of a peer connection pass.

mod arbitration;
mod participant;
mod table;
mod transport;
mod views;

use crate::faults::{At, Fault, Faults};
use crate::log::{Log, Part};
use crate::wire;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use table::{ConnId, Rules, Table};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

pub(crate) use transport::router;

/// Who makes the first offer (contract twilio-video §10 item 4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pairing {
    /// The newcomer's first offer goes to who is there.
    #[default]
    NewcomerOffers,
    /// The waiting participant's first offer is handed to the newcomer.
    ExistingOffers,
}

struct Desk {
    table: Table,
    conns: BTreeMap<ConnId, wire::Sender>,
    next: ConnId,
}

/// The rooms server.
pub(crate) struct Rooms {
    desk: Mutex<Desk>,
    /// Wakes the clock when there may be a new deadline.
    wake: Notify,
    log: Arc<Log>,
    faults: Arc<Faults>,
    ice_servers: Value,
    heartbeat: Duration,
}

impl Rooms {
    pub(crate) fn new(log: Arc<Log>, faults: Arc<Faults>, options: &crate::Options) -> Self {
        let table = Table::new(Rules {
            pairing: options.pairing,
            session_timeout: options.session_timeout,
            peer_loss: options.peer_loss,
            secret: options.secret.clone(),
        });
        Self {
            desk: Mutex::new(Desk { table, conns: BTreeMap::new(), next: 0 }),
            wake: Notify::new(),
            log,
            faults,
            ice_servers: options.ice_servers.clone(),
            heartbeat: options.heartbeat,
        }
    }

    /// Gets or creates a room by name: its sid, and whether it is new.
    pub(crate) fn create(&self, name: &str, audio_only: bool) -> (String, bool) {
        crate::lock(&self.desk).table.create(name, Some(audio_only))
    }

    fn open(&self, sender: wire::Sender) -> ConnId {
        let mut desk = crate::lock(&self.desk);
        desk.next += 1;
        let id = desk.next;
        desk.conns.insert(id, sender);
        id
    }

    fn closed(&self, conn: ConnId) {
        self.at_the_table(|table| table.lost(conn, Instant::now()));
        crate::lock(&self.desk).conns.remove(&conn);
        self.wake.notify_one();
    }

    /// Does something to the table and sends what comes of it, in order.
    fn at_the_table<T>(&self, act: impl FnOnce(&mut Table) -> T) -> T {
        let mut desk = crate::lock(&self.desk);
        let result = act(&mut desk.table);
        for (conn, body) in std::mem::take(&mut desk.table.out) {
            if let Some(sender) = desk.conns.get(&conn) {
                self.log.add(Part::Room, Some("out"), sender.who().as_deref(), transport::what(&body), transport::detail(&body));
                sender.text(json!({"body": body, "type": "msg"}).to_string().into());
            }
        }
        result
    }

    /// Announces lost participants in time, until the lab stops.
    pub(crate) async fn clock(&self, mut stop: watch::Receiver<bool>) {
        loop {
            let deadline = crate::lock(&self.desk).table.next_deadline();
            tokio::select! {
                () = wire::stopped(&mut stop) => return,
                () = self.wake.notified() => {}
                () = wire::until(deadline) => self.at_the_table(|table| table.expire(Instant::now())),
            }
        }
    }

    /// Carries out a one-shot fault; returns how many connections it hit.
    pub(crate) fn fault(&self, fault: &Fault) -> usize {
        let each = |act: &dyn Fn(&wire::Sender) -> bool| crate::lock(&self.desk).conns.values().filter(|s| act(s)).count();
        match fault {
            Fault::Drop { at: At::Rooms, who } => each(&|s| {
                let hit = who.is_none() || *who == s.who();
                if hit {
                    s.cut();
                }
                hit
            }),
            Fault::Close { at: At::Rooms, who, code, reason } => each(&|s| {
                let hit = who.is_none() || *who == s.who();
                if hit {
                    s.close_now(*code, reason);
                }
                hit
            }),
            Fault::ForgetSessions => {
                self.at_the_table(Table::forget);
                each(&|s| {
                    s.cut();
                    true
                })
            }
            Fault::CompleteRoom { room } => self.at_the_table(|table| table.complete(room)),
            _ => 0,
        }
    }

    /// For `/lab/state`.
    pub(crate) fn state(&self) -> Value {
        let desk = crate::lock(&self.desk);
        let mut state = desk.table.state();
        state["connections"] = json!(desk.conns.len());
        state
    }
}
