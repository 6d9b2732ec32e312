//! Twilio Video room signalling as the unmodified page speaks it (contracts: twilio-video.md), P2P and group rooms with
//! the same code.
//!
//! ```text
//! socket ─▶ transport (TCMP) ─▶ membership ─▶ negotiation, one a peer connection ─▶ seat ─▶ media::peer
//!                                   ├─▶ state: people and tracks
//!                                   └─▶ path: ICE restart, weak, given up
//! ```
//!
//! `membership` and everything below it but `socket` and `seat` is without I/O. This file drives it.

mod closed;
mod membership;
mod messages;
mod negotiation;
mod outbox;
mod path;
pub mod probe;
mod refusal;
mod seat;
mod socket;
mod state;
#[cfg(test)]
mod tests;
mod transport;

use super::{Reins, RoomHandle, Statistics};
use crate::call::RoomEvent;
use crate::checkpoint::{Point, reached};
use crate::media::peer::{IceServer, LocalTracks, PeerConfig};
use crate::media::session::Session;
use membership::{Command, Membership, Wish};
use outbox::Outbox;
use rand::RngExt;
use seat::{Making, Seat};
use socket::{Socket, SocketEvent};
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// The parts of a ticket to a Twilio room.
#[derive(Clone)]
pub struct Invitation {
    /// Signalling address, e.g. `wss://global.vss.twilio.com/signaling`.
    pub url: String,
    /// The access token, a secret.
    pub token: Zeroizing<String>,
    /// Name of the room.
    pub room: String,
    /// The caller's identity there, when known: whose arrival and leaving counts. `None`: anybody's.
    pub caller: Option<String>,
}

/// How to join.
#[derive(Clone)]
pub struct Settings {
    /// How peer connections are made, and the trust for `wss:`. The room adds its own servers to those given here.
    pub peer: PeerConfig,
    /// How long what may take.
    pub timings: Timings,
}

impl Settings {
    /// With the usual timings.
    pub fn new(peer: PeerConfig) -> Self {
        Self { peer, timings: Timings::default() }
    }
}

/// How long what may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// From the start until we must be in the room; until then every attempt is repeated.
    pub join: Duration,
    /// From the loss of the media path until we ask for another one (ICE restart).
    pub restart_after: Duration,
    /// From the loss of the media path until the call is given up.
    pub give_up_after: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self { join: Duration::from_secs(30), restart_after: Duration::from_secs(3), give_up_after: Duration::from_secs(30) }
    }
}

/// Joins a room; see [`super::join`].
pub fn join(invitation: Invitation, settings: Settings, session: Session, camera: bool, events: mpsc::Sender<RoomEvent>) -> RoomHandle {
    RoomHandle::spawn(move |reins| run(invitation, settings, session, camera, events, reins))
}

/// After the last word: how long peers may take to close.
const CLOSING: Duration = Duration::from_millis(500);
/// How long a question waits for the figures of a connection that is being closed.
const LAST_FIGURES: Duration = Duration::from_millis(100);

struct Driver {
    url: String,
    membership: Membership,
    socket: Option<Socket>,
    making: Making,
    given_servers: Vec<IceServer>,
    seats: HashMap<String, Seat>,
    /// The peer connection that connected last: the one whose figures tell about the call.
    connected: Option<String>,
    tasks: JoinSet<()>,
    outbox: Outbox,
}

async fn run(
    invitation: Invitation,
    settings: Settings,
    session: Session,
    camera: bool,
    events: mpsc::Sender<RoomEvent>,
    mut reins: Reins,
) {
    let id = || uuid::Uuid::new_v4().to_string();
    let tracks = LocalTracks { audio: id(), video: camera.then(id) };
    let wish = Wish {
        token: invitation.token,
        room: invitation.room,
        caller: invitation.caller,
        audio: tracks.audio.clone(),
        video: tracks.video.clone(),
        timings: settings.timings,
    };
    let (words, mut spoken) = mpsc::channel(256);
    let mut driver = Driver {
        url: invitation.url,
        membership: Membership::new(now(), wish, rand::rng().random()),
        socket: None,
        given_servers: settings.peer.ice_servers.clone(),
        making: Making { config: settings.peer, session, tracks, words, last: watch::Sender::new(None) },
        seats: HashMap::new(),
        connected: None,
        tasks: JoinSet::new(),
        outbox: Outbox::new(events),
    };
    while !driver.carry_out().await {
        let deadline = driver.membership.next_deadline().map(Instant::from_std);
        tokio::select! {
            event = next(&mut driver.socket) => driver.socket_event(event),
            Some((pc, word)) = spoken.recv() => {
                match word {
                    membership::PeerWord::Offered(_) => reached(Point::Offered),
                    membership::PeerWord::Answered(_) | membership::PeerWord::Accepted => reached(Point::Answered),
                    membership::PeerWord::Connected => reached(Point::PeerConnected),
                    _ => {}
                }
                if matches!(word, membership::PeerWord::Connected) {
                    driver.connected = Some(pc.clone());
                }
                driver.membership.peer(now(), &pc, word);
            }
            () = sleep_until(deadline) => driver.membership.timeout(now()),
            () = driver.outbox.deliver() => {}
            () = reins.leave.cancelled() , if !driver.membership.is_leaving() => driver.membership.leave(now()),
            Ok(()) = reins.mute.changed() => {
                let muted = *reins.mute.borrow_and_update();
                driver.making.session.mute(muted);
                driver.membership.mute(now(), muted);
            }
            () = reins.network.notified() => driver.membership.network_changed(now()),
            Some(answer) = reins.questions.recv() => driver.answer(answer),
            Some(ended) = driver.tasks.join_next() => if let Err(panic) = ended {
                // A dead peer connection says nothing any more: the call would freeze without a word.
                driver.membership.broken(now(), format!("a peer connection broke down: {panic}; report this with the log"));
            },
        }
    }
}

impl Driver {
    /// Does what is to be done; whether that was all for ever.
    async fn carry_out(&mut self) -> bool {
        while let Some(command) = self.membership.poll() {
            match command {
                Command::Open => self.socket = Some(Socket::open(self.url.clone(), self.making.config.tls.clone())),
                Command::Send(text) => {
                    if let Some(Err(why)) = self.socket.as_ref().map(|s| s.send(text)) {
                        self.socket = None;
                        self.membership.lost(now(), &why);
                    }
                }
                Command::Close(code, reason) => {
                    if let Some(socket) = self.socket.take() {
                        let closed = socket.close(code, reason);
                        self.tasks.spawn(async { closed.await.unwrap_or_default() });
                    }
                }
                Command::Servers(servers) => {
                    reached(Point::ServersGiven);
                    let room =
                        servers.into_iter().map(|s| IceServer { urls: s.urls, username: s.username, credential: s.credential.into() });
                    self.making.config.ice_servers = self.given_servers.iter().cloned().chain(room).collect();
                }
                Command::Peer { pc, task } => {
                    let (making, tasks) = (&self.making, &mut self.tasks);
                    self.seats.entry(pc.clone()).or_insert_with(|| Seat::take(pc, making.clone(), tasks)).task(task);
                }
                Command::Present { pc, track } => {
                    if let Some(seat) = self.seats.get(&pc) {
                        seat.present(track);
                    }
                }
                Command::ClosePeer { pc } => drop(self.seats.remove(&pc)),
                Command::Report(event) => {
                    if event == RoomEvent::Joined {
                        reached(Point::RoomJoined);
                    }
                    self.outbox.put(event);
                }
                Command::Done => {
                    self.end().await;
                    return true;
                }
            }
        }
        false
    }

    async fn end(&mut self) {
        self.socket = None;
        self.seats.clear();
        let closed = async { while self.tasks.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(CLOSING, futures_util::future::join(closed, self.outbox.deliver_all())).await;
    }

    fn socket_event(&mut self, event: SocketEvent) {
        match event {
            SocketEvent::Opened => {
                reached(Point::SocketOpened);
                self.membership.opened(now());
            }
            SocketEvent::Text(text) => self.membership.frame(now(), &text),
            SocketEvent::Lost(why) => {
                self.socket = None;
                self.membership.lost(now(), &why);
            }
        }
    }

    fn answer(&mut self, answer: tokio::sync::oneshot::Sender<Statistics>) {
        let mut statistics = Statistics { participants: self.membership.others(), signalling: self.membership.is_synced(), peer: None };
        let seat = self.connected.as_ref().and_then(|pc| self.seats.get(pc)).or_else(|| self.seats.values().next());
        match seat {
            Some(seat) => seat.statistics(statistics, answer),
            None => {
                // The caller is gone; the last connection may be telling its figures this moment.
                let mut last = self.making.last.subscribe();
                self.tasks.spawn(async move {
                    let told = tokio::time::timeout(LAST_FIGURES, last.wait_for(Option::is_some)).await;
                    statistics.peer = told.ok().and_then(|told| told.ok()?.clone());
                    let _ = answer.send(statistics);
                });
            }
        }
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

async fn next(socket: &mut Option<Socket>) -> SocketEvent {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
