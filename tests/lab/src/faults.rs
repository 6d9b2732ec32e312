//! Faults on demand, for tests: what a network, a proxy or a platform does on its bad days.
//!
//! `POST /lab/faults` takes one [`Fault`] as JSON, e.g. `{"fault":"close","at":"pusher","code":4201}`; `GET` shows what is
//! on; [`Fault::Reset`] ends them all. In-process: [`crate::Lab::fault`].

use serde::{Deserialize, Serialize};
use std::sync::Mutex;
use std::time::Duration;
use tokio::sync::watch;

/// Which server's connections a fault is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum At {
    /// The Pusher server.
    Pusher,
    /// The room signalling.
    Rooms,
}

/// A fault. `who` narrows it to the connections of one user name; without it all are meant.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub enum Fault {
    /// Cut the TCP connection without a close frame, once.
    Drop {
        /// Where.
        at: At,
        /// Whose.
        #[serde(default)]
        who: Option<String>,
    },
    /// Close with this code, once.
    Close {
        /// Where.
        at: At,
        /// Whose.
        #[serde(default)]
        who: Option<String>,
        /// The close code.
        code: u16,
        /// The close reason.
        #[serde(default)]
        reason: String,
    },
    /// Swallow everything in both directions while on; the connection stays open.
    HalfOpen {
        /// Where.
        at: At,
        /// Whose.
        #[serde(default)]
        who: Option<String>,
        /// On or off.
        on: bool,
    },
    /// Hold each frame from the lab back for this long; 0 ends it.
    Delay {
        /// Where.
        at: At,
        /// Milliseconds.
        ms: u64,
    },
    /// Cut the next `times` frames from the lab in the middle, so that they are no JSON.
    BreakJson {
        /// Where.
        at: At,
        /// How many frames.
        times: u32,
    },
    /// Send no heartbeats (rooms) or answer no pings (Pusher) while on.
    MuteHeartbeats {
        /// Where.
        at: At,
        /// On or off.
        on: bool,
    },
    /// Cut every new connection at once while on, as if the server were down.
    RefuseConnections {
        /// Where.
        at: At,
        /// On or off.
        on: bool,
    },
    /// Refuse `/pusher/auth/` with this status; 0 ends it.
    RefuseAuth {
        /// HTTP status.
        status: u16,
        /// How many times; without it until reset.
        #[serde(default)]
        times: Option<u32>,
    },
    /// Spoil REST routes whose path contains `route`.
    Rest {
        /// Part of a path, e.g. `video-token`; the empty text means every route.
        route: String,
        /// Answer with this HTTP status instead of serving it.
        #[serde(default)]
        status: Option<u16>,
        /// Wait this many milliseconds before the answer.
        #[serde(default)]
        delay_ms: u64,
        /// Answer with something that is no JSON.
        #[serde(default)]
        break_json: bool,
        /// How many times; without it until reset.
        #[serde(default)]
        times: Option<u32>,
    },
    /// Logins and video tokens from now on live this many seconds.
    TokenLife {
        /// Seconds; may be negative for tokens that have already expired.
        seconds: i64,
    },
    /// Refuse every login token issued so far (REST answers 401).
    ExpireTokens,
    /// Forget all rooms' sessions, as a restarted server: connections are cut, `sync` is answered with 53204.
    ForgetSessions,
    /// Complete a room: everybody in it is told `disconnected` `completed` (error 53118).
    CompleteRoom {
        /// The room's name.
        room: String,
    },
    /// Answer the next `times` hellos of rooms with `busy`.
    Busy {
        /// How many.
        times: u32,
        /// Milliseconds until the client may try again; negative is terminal.
        retry_after_ms: i64,
        /// Whether the client may stay on the socket.
        #[serde(default)]
        keep_alive: bool,
    },
    /// Answer the next `times` room connects with this error.
    RoomError {
        /// How many.
        times: u32,
        /// Error code, e.g. 53105.
        code: u32,
    },
    /// End all faults.
    Reset,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RestFault {
    route: String,
    pub(crate) status: Option<u16>,
    pub(crate) delay_ms: u64,
    pub(crate) break_json: bool,
    times: Option<u32>,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Wires {
    half_open: Vec<Option<String>>,
    delay_ms: u64,
    break_json: u32,
    mute: bool,
    refuse: bool,
}

#[derive(Debug, Clone, Default, Serialize)]
struct Active {
    pusher: Wires,
    rooms: Wires,
    rest: Vec<RestFault>,
    refuse_auth: Option<(u16, Option<u32>)>,
    token_life: Option<i64>,
    busy: Option<(u32, i64, bool)>,
    room_error: Option<(u32, u32)>,
}

impl Active {
    fn at(&mut self, at: At) -> &mut Wires {
        match at {
            At::Pusher => &mut self.pusher,
            At::Rooms => &mut self.rooms,
        }
    }
}

/// The faults that are on. One-shot faults on connections and rooms are carried out by the servers themselves.
#[derive(Debug)]
pub(crate) struct Faults {
    active: Mutex<Active>,
    changed: watch::Sender<u64>,
}

impl Faults {
    pub(crate) fn new() -> Self {
        Self { active: Mutex::default(), changed: watch::channel(0).0 }
    }

    /// Puts a lasting fault on or off.
    pub(crate) fn set(&self, fault: &Fault) {
        let mut active = crate::lock(&self.active);
        match fault {
            Fault::HalfOpen { at, who, on: true } => active.at(*at).half_open.push(who.clone()),
            Fault::HalfOpen { at, who, on: false } => active.at(*at).half_open.retain(|w| who.is_some() && w != who),
            Fault::Delay { at, ms } => active.at(*at).delay_ms = *ms,
            Fault::BreakJson { at, times } => active.at(*at).break_json = *times,
            Fault::MuteHeartbeats { at, on } => active.at(*at).mute = *on,
            Fault::RefuseConnections { at, on } => active.at(*at).refuse = *on,
            Fault::RefuseAuth { status: 0, .. } => active.refuse_auth = None,
            Fault::RefuseAuth { status, times } => active.refuse_auth = Some((*status, *times)),
            Fault::Rest { route, status, delay_ms, break_json, times } => active.rest.push(RestFault {
                route: route.clone(),
                status: *status,
                delay_ms: *delay_ms,
                break_json: *break_json,
                times: *times,
            }),
            Fault::TokenLife { seconds } => active.token_life = Some(*seconds),
            Fault::Busy { times, retry_after_ms, keep_alive } => active.busy = Some((*times, *retry_after_ms, *keep_alive)),
            Fault::RoomError { times, code } => active.room_error = Some((*times, *code)),
            Fault::Reset => *active = Active::default(),
            Fault::Drop { .. } | Fault::Close { .. } | Fault::ExpireTokens | Fault::ForgetSessions | Fault::CompleteRoom { .. } => {}
        }
        drop(active);
        self.changed.send_modify(|n| *n += 1);
    }

    /// Tells connections when to look again.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn swallows(&self, at: At, who: Option<&str>) -> bool {
        crate::lock(&self.active).at(at).half_open.iter().any(|w| w.is_none() || w.as_deref() == who)
    }

    pub(crate) fn delay(&self, at: At) -> Duration {
        Duration::from_millis(crate::lock(&self.active).at(at).delay_ms)
    }

    pub(crate) fn mutes(&self, at: At) -> bool {
        crate::lock(&self.active).at(at).mute
    }

    pub(crate) fn refuses(&self, at: At) -> bool {
        crate::lock(&self.active).at(at).refuse
    }

    /// Whether this frame is to be broken; counts it.
    pub(crate) fn breaks(&self, at: At) -> bool {
        let mut active = crate::lock(&self.active);
        let left = &mut active.at(at).break_json;
        let breaks = *left > 0;
        *left = left.saturating_sub(1);
        breaks
    }

    pub(crate) fn auth_status(&self) -> Option<u16> {
        let mut active = crate::lock(&self.active);
        let (status, times) = active.refuse_auth?;
        match times {
            Some(0 | 1) => active.refuse_auth = None,
            Some(n) => active.refuse_auth = Some((status, Some(n - 1))),
            None => {}
        }
        Some(status)
    }

    /// What happens to this REST call; counts it.
    pub(crate) fn rest(&self, path: &str) -> Option<RestFault> {
        let mut active = crate::lock(&self.active);
        let index = active.rest.iter().position(|f| path.contains(&f.route))?;
        let fault = active.rest[index].clone();
        match &mut active.rest[index].times {
            Some(0 | 1) => drop(active.rest.remove(index)),
            Some(n) => *n -= 1,
            None => {}
        }
        Some(fault)
    }

    pub(crate) fn token_life(&self) -> Option<i64> {
        crate::lock(&self.active).token_life
    }

    pub(crate) fn busy(&self) -> Option<(i64, bool)> {
        let mut active = crate::lock(&self.active);
        let (times, retry, keep) = active.busy?;
        active.busy = (times > 1).then_some((times - 1, retry, keep));
        (times > 0).then_some((retry, keep))
    }

    pub(crate) fn room_error(&self) -> Option<u32> {
        let mut active = crate::lock(&self.active);
        let (times, code) = active.room_error?;
        active.room_error = (times > 1).then_some((times - 1, code));
        (times > 0).then_some(code)
    }

    pub(crate) fn shown(&self) -> serde_json::Value {
        serde_json::to_value(crate::lock(&self.active).clone()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counted_fault_ends_by_itself() {
        let faults = Faults::new();
        let fault: Fault = serde_json::from_str(r#"{"fault":"rest","route":"video-token","status":500,"times":2}"#).unwrap();
        faults.set(&fault);
        assert_eq!(faults.rest("/v2/customer/7"), None);
        assert_eq!(faults.rest("/conferencing/video-token/").unwrap().status, Some(500));
        assert!(faults.rest("/conferencing/video-token/").is_some());
        assert_eq!(faults.rest("/conferencing/video-token/"), None);
    }

    #[test]
    fn half_open_is_for_whom_it_names_and_ends_when_told() {
        let faults = Faults::new();
        let half_open = |who: Option<&str>, on| Fault::HalfOpen { at: At::Pusher, who: who.map(str::to_owned), on };
        faults.set(&half_open(Some("chattademo"), true));
        assert!(faults.swallows(At::Pusher, Some("chattademo")) && !faults.swallows(At::Pusher, Some("x")));
        assert!(!faults.swallows(At::Rooms, Some("chattademo")));
        faults.set(&half_open(Some("chattademo"), false));
        assert!(!faults.swallows(At::Pusher, Some("chattademo")));
        faults.set(&half_open(None, true));
        faults.set(&Fault::Reset);
        assert!(!faults.swallows(At::Pusher, None));
    }
}
