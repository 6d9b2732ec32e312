//! Our membership in a room, without I/O: what comes from the server and the peers goes in with its time, [`Command`]s
//! are polled out, [`Membership::next_deadline`] says when to come back (twilio-video.md section 9).
//!
//! | stage | waits for | then |
//! |---|---|---|
//! | `Greeting` | welcome and `iced` | make the first offer |
//! | `Offering` | the peer's offer | send `connect` |
//! | `Joining` | `connected` | `Joined` |
//! | `Joined` | – | until the end; a lost socket is replaced by `sync`, media runs on meanwhile |
//! | `Over` | nothing | |
//!
//! Until `Joined` a lost socket starts all over (unlike the page's own client, which gives up), within the join deadline.

mod news;
mod telling;

use super::Timings;
use super::closed::Closed;
use super::messages::{self, DescriptionKind, IceServer, LocalTrack, Me};
use super::negotiation::{Negotiation, Task};
use super::path::{Path, Paths};
use super::refusal;
use super::state::Roster;
use super::transport::{Heard, Out, Transport};
use crate::call::RoomEvent;
use crate::media::Kind;
use rand::SeedableRng;
use rand::rngs::StdRng;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};
use zeroize::Zeroizing;

/// Peer connections that may live at once.
const CONNECTIONS: usize = 8;
/// For how long a lost socket may be replaced when the service does not say.
const SESSION: Duration = Duration::from_secs(30);
/// How long a goodbye may wait for a socket that can carry it. Shorter than the two seconds that leaving may take.
const GOODBYE: Duration = Duration::from_millis(1200);

/// What we want in a room.
#[derive(Clone)]
pub struct Wish {
    /// The access token.
    pub token: Zeroizing<String>,
    /// Name of the room.
    pub room: String,
    /// Whose arrival and leaving counts.
    pub caller: Option<String>,
    /// Id of our sound's track.
    pub audio: String,
    /// Id of our picture's track.
    pub video: Option<String>,
    /// How long what may take.
    pub timings: Timings,
}

/// What the driver is to do, in order.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Open a new socket; forget an older one.
    Open,
    /// Send a text frame.
    Send(String),
    /// Close the socket with this code.
    Close(u16, &'static str),
    /// Make peer connections with these servers from now on.
    Servers(Vec<IceServer>),
    /// Have this peer connection do something; it is made with its first task.
    Peer {
        /// Which.
        pc: String,
        /// What.
        task: Task,
    },
    /// Hand this remote track to the session.
    Present {
        /// Of which peer connection.
        pc: String,
        /// Id in `a=msid`.
        track: String,
    },
    /// Close this peer connection, if it was made.
    ClosePeer {
        /// Which.
        pc: String,
    },
    /// Tell the agent.
    Report(RoomEvent),
    /// Everything is said; nothing will come any more.
    Done,
}

/// What a peer connection says.
#[derive(Debug)]
pub enum PeerWord {
    /// The offer asked for.
    Offered(String),
    /// The answer asked for.
    Answered(String),
    /// The answer is applied.
    Accepted,
    /// It could not do what was asked.
    Refused(String),
    /// A candidate of ours, of the latest local description.
    Candidate(String),
    /// All of them.
    Gathered,
    /// Media can flow.
    Connected,
    /// Nothing is heard any more; it may come back.
    Disconnected,
    /// Lost, or never made.
    Failed(String),
    /// Dead: no other path will bring it back.
    Broken(String),
    /// The far side has a track.
    Track {
        /// Second token of its `a=msid`.
        id: String,
        /// What it carries.
        kind: Kind,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Greeting,
    Offering,
    Joining,
    Joined,
    Over,
}

#[derive(Debug)]
struct Connection {
    negotiation: Negotiation,
    path: Path,
}

/// Our membership.
pub struct Membership {
    wish: Wish,
    transport: Transport,
    random: StdRng,
    stage: Stage,
    join_until: Instant,
    session: Option<Zeroizing<String>>,
    session_timeout: Duration,
    /// Since when there is no signalling that the server has acknowledged.
    unsynced: Option<Instant>,
    /// What the hello of this socket told of our descriptions.
    told: Vec<(String, DescriptionKind, u64)>,
    /// Until when a goodbye waits for a socket.
    leaving: Option<Instant>,
    me: Me,
    me_told: u64,
    /// Revision of the last news of our tracks.
    published: u64,
    roster: Roster,
    connections: BTreeMap<String, Connection>,
    closed: Closed,
    paths: Paths,
    caller_here: bool,
    out: VecDeque<Command>,
}

impl Membership {
    /// Opens the first socket at once. `seed` makes delays and ids repeatable.
    pub fn new(now: Instant, wish: Wish, seed: u64) -> Self {
        let track = |id: &str, kind, name| LocalTrack { enabled: true, id: id.to_owned(), kind, name, priority: "standard" };
        let mut tracks = vec![track(&wish.audio, "audio", "microphone")];
        tracks.extend(wish.video.as_deref().map(|id| track(id, "video", "camera")));
        let mut membership = Self {
            transport: Transport::new(now, seed),
            random: StdRng::seed_from_u64(seed ^ 0x6d65_6d62),
            stage: Stage::Greeting,
            join_until: now + wish.timings.join,
            session: None,
            session_timeout: SESSION,
            unsynced: None,
            told: Vec::new(),
            leaving: None,
            me: Me { revision: 1, tracks },
            me_told: 0,
            published: 0,
            roster: Roster::new(wish.caller.clone()),
            connections: BTreeMap::new(),
            closed: Closed::default(),
            paths: Paths::new(wish.timings.clone()),
            caller_here: false,
            out: VecDeque::new(),
            wish,
        };
        membership.settle(now);
        membership
    }

    /// What to do next.
    pub fn poll(&mut self) -> Option<Command> {
        self.out.pop_front()
    }

    /// When [`Membership::timeout`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.stage == Stage::Over {
            return None;
        }
        let join = (self.stage != Stage::Joined).then_some(self.join_until);
        let resume = self.unsynced.map(|since| since + self.session_timeout);
        let path = self.paths.next_deadline(self.watched(), self.is_synced());
        [self.transport.next_deadline(), join, resume, self.leaving, path].into_iter().flatten().min()
    }

    /// Whether the signalling works at the moment.
    pub fn is_synced(&self) -> bool {
        self.stage == Stage::Joined && self.unsynced.is_none()
    }

    /// Whether we go already.
    pub fn is_leaving(&self) -> bool {
        self.leaving.is_some() || self.stage == Stage::Over
    }

    /// How many others are in the room.
    pub fn others(&self) -> usize {
        self.roster.others()
    }

    /// The socket is open.
    pub fn opened(&mut self, now: Instant) {
        let hello = match &self.session {
            Some(session) => {
                let locals: Vec<_> = self.connections.iter().filter_map(|(id, c)| Some((id, c.negotiation.local()?))).collect();
                let entries: Vec<Value> = locals.iter().map(|(id, local)| messages::entry(id, Some(local), None)).collect();
                self.told = locals.iter().map(|(id, local)| ((*id).clone(), local.kind, local.revision)).collect();
                self.me_told = self.me.revision;
                messages::sync(&self.wish.room, &self.wish.token, session, &self.me, &entries)
            }
            None => messages::ice(&self.wish.token),
        };
        self.transport.opened(now, hello);
        self.settle(now);
    }

    /// The socket is gone, or could not be opened.
    pub fn lost(&mut self, now: Instant, why: &str) {
        let heard = self.transport.lost(now, why);
        self.heard(now, heard);
    }

    /// A text frame came.
    pub fn frame(&mut self, now: Instant, text: &str) {
        if self.stage != Stage::Over {
            let heard = self.transport.frame(now, text);
            self.heard(now, heard);
        }
    }

    /// A deadline has come.
    pub fn timeout(&mut self, now: Instant) {
        if self.stage == Stage::Over {
            return;
        }
        if self.leaving.is_some_and(|until| now >= until) {
            return self.finish(now);
        }
        if self.stage != Stage::Joined && now >= self.join_until {
            let why =
                format!("the room could not be joined in time ({}); check the network and the room service", self.transport.trouble());
            return self.fail(now, why);
        }
        if self.unsynced.is_some_and(|since| now >= since + self.session_timeout) {
            let why =
                format!("the connection to the room was lost for too long ({}, code 53001); check the network", self.transport.trouble());
            return self.fail(now, why);
        }
        if let Some(why) = self.paths.given_up(now, self.watched()) {
            return self.fail(now, why);
        }
        if self.is_synced() {
            for connection in self.connections.values_mut() {
                if self.paths.restart(now, &mut connection.path) && connection.negotiation.is_agreed() {
                    connection.negotiation.offer(true);
                }
            }
        }
        let heard = self.transport.timeout(now);
        self.heard(now, heard);
    }

    /// A peer connection says something.
    pub fn peer(&mut self, now: Instant, pc: &str, word: PeerWord) {
        let Some(connection) = self.connections.get_mut(pc) else { return };
        match word {
            PeerWord::Offered(sdp) => connection.negotiation.offered(sdp),
            PeerWord::Answered(sdp) => connection.negotiation.answered(sdp),
            PeerWord::Accepted => connection.negotiation.accepted(),
            PeerWord::Candidate(line) => connection.negotiation.candidate(line),
            PeerWord::Gathered => connection.negotiation.gathered(),
            PeerWord::Connected => connection.path.connected(),
            PeerWord::Disconnected => connection.path.disconnected(now),
            PeerWord::Failed(why) => connection.path.failed(now, why),
            PeerWord::Broken(why) => {
                connection.path.failed(now, why.clone());
                let others_serve = |(id, other): (&String, &Connection)| id != pc && !other.path.is_idle();
                if !self.connections[pc].path.is_idle() && !self.connections.iter().any(others_serve) {
                    return self.fail(now, why);
                }
            }
            PeerWord::Track { id, kind } => self.roster.track(pc, id, kind),
            PeerWord::Refused(why) if self.stage == Stage::Offering => return self.fail(now, why),
            PeerWord::Refused(why) => {
                log::warn!(MESSAGE_ID = crate::journal::messages::DEFECT.id; "the media of the call could not be agreed on: {why}; report this with the log");
                connection.path.trouble(why);
                connection.negotiation.refused();
            }
        }
        if connection_is_offered(self.stage, self.connections.get(pc)) {
            self.connect(now, pc);
        }
        self.settle(now);
    }

    /// Our microphone is off, or on again.
    pub fn mute(&mut self, now: Instant, muted: bool) {
        let enabled = !muted;
        for track in self.me.tracks.iter_mut().filter(|t| t.kind == "audio" && t.enabled != enabled) {
            track.enabled = enabled;
            self.me.revision += 1;
        }
        self.settle(now);
    }

    /// The old paths are no good any more: a new socket, then new paths for media.
    pub fn network_changed(&mut self, now: Instant) {
        for connection in self.connections.values_mut() {
            connection.path.wanted(now);
        }
        let heard = self.transport.network_changed(now);
        self.heard(now, heard);
    }

    /// Something of ours broke down: the call is over, in good order.
    pub fn broken(&mut self, now: Instant, why: String) {
        self.fail(now, why);
    }

    /// We go. The goodbye is said at once, or as soon as a socket can carry it, or never after [`GOODBYE`].
    pub fn leave(&mut self, now: Instant) {
        if self.stage == Stage::Over || self.leaving.is_some() {
            return;
        }
        let promised = self.session.is_some() || self.stage == Stage::Joining;
        if !promised || (self.session.is_some() && self.transport.is_up()) {
            return self.finish(now);
        }
        self.leaving = Some(now + GOODBYE);
        self.close_all();
        self.settle(now);
    }

    fn heard(&mut self, now: Instant, heard: Heard) {
        match heard {
            Heard::Nothing => {}
            Heard::Welcome if self.leaving.is_some() && self.session.is_some() => return self.finish(now),
            Heard::Welcome => {}
            Heard::Message(body) => self.message(now, *body),
            Heard::Lost => self.socket_lost(now),
            Heard::Unwanted => return self.fail(now, refusal::words(53006, "")),
        }
        self.settle(now);
    }

    fn watched(&self) -> impl Iterator<Item = &Path> + Clone {
        self.connections.values().map(|c| &c.path)
    }

    /// Everything that follows from the new state, whatever brought it about.
    fn settle(&mut self, now: Instant) {
        for (pc, connection) in &mut self.connections {
            for task in connection.negotiation.tasks() {
                self.out.push_back(Command::Peer { pc: pc.clone(), task });
            }
        }
        for (pc, track) in self.roster.present() {
            self.out.push_back(Command::Present { pc, track });
        }
        if self.stage == Stage::Joined && self.leaving.is_none() {
            let here = self.roster.caller_is_here();
            if std::mem::replace(&mut self.caller_here, here) != here {
                self.out.push_back(Command::Report(if here { RoomEvent::CallerArrived } else { RoomEvent::CallerLeft }));
            }
            if let Some(weak) = self.paths.changed(self.connections.values().map(|c| &c.path)) {
                self.out.push_back(Command::Report(if weak { RoomEvent::Weak } else { RoomEvent::Good }));
            }
            self.transport.impatient(self.paths.is_weak());
        }
        self.tell(now);
        while let Some(out) = self.transport.poll() {
            self.out.push_back(match out {
                Out::Open => Command::Open,
                Out::Text(text) => Command::Send(text),
                Out::Close(code, reason) => Command::Close(code, reason),
            });
        }
    }
}

fn connection_is_offered(stage: Stage, connection: Option<&Connection>) -> bool {
    stage == Stage::Offering && connection.is_some_and(|c| c.negotiation.local().is_some())
}
