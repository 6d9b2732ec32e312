//! A whole membership against scripted servers and peers, in virtual time.

mod random;
mod replay;
mod rules;

use super::Timings;
use super::membership::{Command, Membership, PeerWord, Wish};
use super::negotiation::Task;
use crate::call::RoomEvent;
use crate::media::Kind;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const S: Duration = Duration::from_secs(1);

/// A peer connection that does at once what it is asked.
#[derive(Default)]
struct FakePeer {
    generation: u32,
    tracks: Vec<String>,
    candidates: Vec<String>,
    rolled_back: u32,
    offering: bool,
}

struct Fixture {
    core: Membership,
    now: Instant,
    start: Instant,
    /// Frames sent, those of the present socket since it was opened.
    sent: Vec<Value>,
    /// All frames sent.
    log: Vec<Value>,
    closes: Vec<u16>,
    opens: usize,
    events: Vec<RoomEvent>,
    presented: Vec<(String, String)>,
    peers: BTreeMap<String, FakePeer>,
    closed: Vec<String>,
    servers: Vec<super::messages::IceServer>,
    done: bool,
    /// Peers do nothing by themselves: tasks are collected.
    held: Option<Vec<(String, Task)>>,
    /// Peers connect when an exchange is complete.
    connects: bool,
}

impl Fixture {
    fn new(caller: Option<&str>) -> Self {
        Self::with(caller, true, Timings::default())
    }

    fn with(caller: Option<&str>, camera: bool, timings: Timings) -> Self {
        let now = Instant::now();
        let wish = Wish {
            token: String::from("<jwt>").into(),
            room: "carer-to-resident".into(),
            caller: caller.map(str::to_owned),
            audio: "our-audio".into(),
            video: camera.then(|| "our-video".into()),
            timings,
        };
        let mut fixture = Self {
            core: Membership::new(now, wish, 1),
            now,
            start: now,
            sent: Vec::new(),
            log: Vec::new(),
            closes: Vec::new(),
            opens: 0,
            events: Vec::new(),
            presented: Vec::new(),
            peers: BTreeMap::new(),
            closed: Vec::new(),
            servers: Vec::new(),
            done: false,
            held: None,
            connects: false,
        };
        fixture.run();
        fixture
    }

    /// A membership that is in the room with this state besides the necessary.
    fn joined(caller: Option<&str>, state: Value) -> Self {
        let mut fixture = Self::new(caller);
        fixture.join(state);
        fixture
    }

    fn join(&mut self, state: Value) {
        self.opened();
        self.welcome();
        self.message(json!({ "type": "iced", "version": 1, "ice_servers": [] }));
        let mut connected = json!({
            "type": "connected", "version": 2, "session": "s", "sid": "RM1", "options": { "session_timeout": 30 },
            "participant": { "sid": "PA0", "identity": "resident", "state": "connected", "revision": 1, "tracks": [] },
            "participants": [], "published": { "revision": 1, "tracks": [] }, "subscribed": { "revision": 1, "tracks": [] },
            "peer_connections": [],
        });
        for (key, value) in state.as_object().into_iter().flatten() {
            connected[key] = value.clone();
        }
        self.message(connected);
        assert!(self.events.contains(&RoomEvent::Joined));
    }

    fn opened(&mut self) {
        self.sent.clear();
        self.core.opened(self.now);
        self.run();
    }

    fn welcome(&mut self) {
        self.frame(&json!({ "type": "welcome", "negotiatedTimeout": 5000 }));
    }

    fn message(&mut self, body: Value) {
        self.frame(&json!({ "type": "msg", "body": body }));
    }

    fn update(&mut self, mut state: Value) {
        state["type"] = json!("update");
        self.message(state);
    }

    fn describe(&mut self, pc: &str, kind: &str, revision: u64, sdp: &str) {
        self.update(json!({ "peer_connections": [{ "id": pc, "description": { "type": kind, "revision": revision, "sdp": sdp } }] }));
    }

    fn frame(&mut self, frame: &Value) {
        self.core.frame(self.now, &frame.to_string());
        self.run();
    }

    fn lost(&mut self) {
        self.core.lost(self.now, "the connection broke");
        self.run();
    }

    fn leave(&mut self) {
        self.core.leave(self.now);
        self.run();
    }

    fn mute(&mut self, muted: bool) {
        self.core.mute(self.now, muted);
        self.run();
    }

    fn peer(&mut self, pc: &str, word: PeerWord) {
        self.core.peer(self.now, pc, word);
        self.run();
    }

    /// Lets time pass, meeting each deadline on the way.
    fn pass(&mut self, time: Duration) {
        let until = self.now + time;
        let mut steps = 0;
        while let Some(at) = self.core.next_deadline().filter(|at| *at <= until) {
            self.now = self.now.max(at);
            self.core.timeout(self.now);
            self.run();
            steps += 1;
            assert!(steps < 100_000, "a deadline that is met but stays due makes us spin");
        }
        self.now = until;
    }

    /// Lets time pass while the server is heard all the time.
    fn pass_alive(&mut self, time: Duration) {
        let until = self.now + time;
        while self.now < until {
            self.pass(S.min(until - self.now));
            self.frame(&json!({ "type": "heartbeat" }));
        }
    }

    fn run(&mut self) {
        while let Some(command) = self.core.poll() {
            assert!(!self.done, "nothing may follow the end: {command:?}");
            match command {
                Command::Open => self.opens += 1,
                Command::Send(text) => {
                    let frame: Value = serde_json::from_str(&text).unwrap();
                    self.log.push(frame.clone());
                    self.sent.push(frame);
                }
                Command::Close(code, _) => self.closes.push(code),
                Command::Servers(servers) => self.servers = servers,
                Command::Peer { pc, task } => match &mut self.held {
                    Some(held) => held.push((pc, task)),
                    None => self.carry_out(&pc, task),
                },
                Command::Present { pc, track } => self.presented.push((pc, track)),
                Command::ClosePeer { pc } => {
                    self.peers.remove(&pc);
                    self.closed.push(pc);
                }
                Command::Report(event) => self.events.push(event),
                Command::Done => self.done = true,
            }
        }
    }

    fn carry_out(&mut self, pc: &str, task: Task) {
        let peer = self.peers.entry(pc.to_owned()).or_default();
        let (now, core) = (self.now, &mut self.core);
        let connects = self.connects && matches!(task, Task::AcceptOffer { .. } | Task::AcceptAnswer { .. });
        let described = |peer: &mut FakePeer, core: &mut Membership, restart: bool, make: fn(String) -> PeerWord| {
            let fresh = peer.generation == 0 || restart;
            peer.generation += u32::from(fresh);
            core.peer(now, pc, make(sdp(&format!("own{}", peer.generation), &["our-audio", "our-video"])));
            if fresh {
                core.peer(now, pc, PeerWord::Candidate(format!("candidate:1 1 udp 1 192.0.2.1 {} typ host", 5000 + peer.generation)));
                core.peer(now, pc, PeerWord::Gathered);
            }
        };
        match task {
            Task::Offer { restart } => {
                peer.offering = true;
                described(peer, core, restart, PeerWord::Offered);
            }
            Task::AcceptOffer { sdp } => {
                peer.rolled_back += u32::from(std::mem::take(&mut peer.offering));
                arrive(peer, core, now, pc, &sdp);
                described(peer, core, sdp.contains("restarted"), PeerWord::Answered);
            }
            Task::AcceptAnswer { sdp } => {
                assert!(std::mem::take(&mut peer.offering), "an answer without an offer");
                arrive(peer, core, now, pc, &sdp);
                core.peer(now, pc, PeerWord::Accepted);
            }
            Task::AddCandidate { line, .. } => peer.candidates.push(line),
        }
        if connects {
            core.peer(now, pc, PeerWord::Connected);
        }
    }

    /// Bodies of the messages sent of this type.
    fn bodies(&self, kind: &str) -> Vec<&Value> {
        self.sent.iter().map(|f| &f["body"]).filter(|b| b["type"] == kind).collect()
    }

    /// The descriptions sent since the socket was opened, as (pc, type, revision).
    fn descriptions(&self) -> Vec<(String, String, u64)> {
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        self.sent
            .iter()
            .flat_map(|f| f["body"]["peer_connections"].as_array().cloned().unwrap_or_default())
            .filter(|e| e.get("description").is_some())
            .map(|e| (text(&e["id"]), text(&e["description"]["type"]), e["description"]["revision"].as_u64().unwrap()))
            .collect()
    }

    /// The candidate lists sent since the socket was opened.
    fn lists(&self) -> Vec<Value> {
        self.sent
            .iter()
            .flat_map(|f| f["body"]["peer_connections"].as_array().cloned().unwrap_or_default())
            .filter_map(|e| e.get("ice").cloned())
            .collect()
    }

    /// Id of the peer connection in our `connect`.
    fn first(&self) -> String {
        let connect = self.bodies("connect");
        connect[0]["peer_connections"][0]["id"].as_str().unwrap().to_owned()
    }
}

fn arrive(peer: &mut FakePeer, core: &mut Membership, now: Instant, pc: &str, sdp: &str) {
    for section in sdp.split("\r\nm=").skip(1).filter(|s| s.contains("a=sendrecv") || s.contains("a=sendonly")) {
        let Some(id) = section.lines().find_map(|l| l.strip_prefix("a=msid:")).and_then(|l| l.split(' ').nth(1)) else { continue };
        if !peer.tracks.iter().any(|t| t == id) {
            peer.tracks.push(id.to_owned());
            let kind = if section.starts_with("audio") { Kind::Audio } else { Kind::Video };
            core.peer(now, pc, PeerWord::Track { id: id.to_owned(), kind });
        }
    }
}

/// A description with this ICE generation and these tracks.
fn sdp(ufrag: &str, tracks: &[&str]) -> String {
    let mut sdp = String::from("v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1");
    for (mid, track) in tracks.iter().enumerate() {
        let kind = if mid % 2 == 0 { "audio" } else { "video" };
        sdp += &format!("\r\nm={kind} 9 UDP/TLS/RTP/SAVPF 96\r\na=ice-ufrag:{ufrag}\r\na=mid:{mid}\r\na=sendrecv\r\na=msid:- {track}");
    }
    sdp + "\r\n"
}

/// The carer as a participant with two tracks.
fn carer(sid: &str, revision: u64, state: &str) -> Value {
    json!({ "sid": sid, "identity": "carer", "state": state, "revision": revision, "tracks": [
        { "id": "their-audio", "sid": format!("MTA{sid}"), "kind": "audio", "enabled": true, "state": "ready" },
        { "id": "their-video", "sid": format!("MTV{sid}"), "kind": "video", "enabled": true, "state": "ready" } ] })
}

/// The subscriptions that belong to it.
fn subscribed(sid: &str, revision: u64) -> Value {
    json!({ "revision": revision, "tracks": [{ "sid": format!("MTA{sid}"), "id": "their-audio" }, { "sid": format!("MTV{sid}"), "id": "their-video" }] })
}

/// A call: we offered, the carer's page answered, media flows.
fn call() -> (Fixture, String) {
    let mut room =
        Fixture::joined(Some("carer"), json!({ "participants": [carer("PA1", 1, "connected")], "subscribed": subscribed("PA1", 1) }));
    let pc = room.first();
    room.describe(&pc, "answer", 1, &sdp("their1", &["their-audio", "their-video"]));
    room.peer(&pc, PeerWord::Connected);
    assert_eq!(room.events, [RoomEvent::Joined, RoomEvent::CallerArrived]);
    assert_eq!(room.presented.len(), 2);
    (room, pc)
}
