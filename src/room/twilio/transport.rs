//! The transport of a room's signalling, "TCMP" version 2 (twilio-video.md section 3), without I/O: hello, welcome, busy,
//! heartbeats, silence, and when to open the next socket. It never gives up; how long it may try is its owner's decision.

use super::messages::{self, Body, Frame};
use crate::net::backoff::Backoff;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Hellos said on one socket before it is given up.
const HELLOS: u8 = 3;
/// Wait for the welcome after each of them.
const WELCOME: Duration = Duration::from_secs(5);
/// A heartbeat is sent this much before the server would miss it.
const EARLY: Duration = Duration::from_millis(200);
/// Bounds of the heartbeat interval: a server's mistake must not make us spin, nor keep us from noticing its death.
const INTERVAL: std::ops::RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(60);
/// Longest wait that a busy server may impose.
const BUSY: Duration = Duration::from_secs(60);

/// What the driver is to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Out {
    /// Open a new socket; forget an older one.
    Open,
    /// Send a text frame.
    Text(String),
    /// Close the socket with this code.
    Close(u16, &'static str),
}

/// What the owner needs to know.
#[derive(Debug)]
pub enum Heard {
    /// Nothing.
    Nothing,
    /// The hello is accepted: messages may be sent.
    Welcome,
    /// A message.
    Message(Box<Body>),
    /// The socket is lost; the next one will be opened.
    Lost,
    /// The service wants no further attempt.
    Unwanted,
}

#[derive(Debug)]
enum Phase {
    Waiting { until: Instant },
    Opening { until: Instant },
    Greeting { hello: Value, said: u8, until: Instant },
    Busy { hello: Value, until: Instant },
    Up { interval: Duration, heard: Instant, said: Instant },
    Over,
}

/// The transport.
pub struct Transport {
    phase: Phase,
    cookie: Option<String>,
    backoff: Backoff,
    random: StdRng,
    open_within: Duration,
    impatient: bool,
    trouble: String,
    out: VecDeque<Out>,
}

impl Transport {
    /// Opens its first socket at once. `seed` makes its delays repeatable.
    pub fn new(now: Instant, seed: u64) -> Self {
        let mut transport = Self {
            phase: Phase::Waiting { until: now },
            cookie: None,
            // The page's own client waits 80 ms, then 1.5 times as long each time (section 3); the floor is ours.
            backoff: Backoff::new(Duration::from_millis(10), Duration::from_millis(80), Duration::from_secs(10)).with_factor(1.5),
            random: StdRng::seed_from_u64(seed),
            open_within: Duration::from_secs(15),
            impatient: false,
            trouble: "no answer yet".into(),
            out: VecDeque::new(),
        };
        transport.open(now);
        transport
    }

    /// What to do next.
    pub fn poll(&mut self) -> Option<Out> {
        self.out.pop_front()
    }

    /// When [`Transport::timeout`] is due.
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting { until } | Phase::Opening { until } | Phase::Greeting { until, .. } | Phase::Busy { until, .. } => Some(*until),
            Phase::Up { interval, heard, said } => Some((*said + *interval - EARLY).min(*heard + self.silence(*interval))),
            Phase::Over => None,
        }
    }

    /// Whether messages can be sent.
    pub fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up { .. })
    }

    /// What the last attempt died of, in words.
    pub fn trouble(&self) -> &str {
        &self.trouble
    }

    /// The conversation is established: the next loss starts with short delays. From now on an attempt to open is also
    /// given up sooner, because after a network's return a fresh attempt is faster than TCP's doubled retransmissions.
    pub fn settled(&mut self) {
        self.backoff.reset();
        self.cookie = None;
        self.open_within = Duration::from_secs(6);
    }

    /// With the media path lost as well, half the silence is proof enough.
    pub fn impatient(&mut self, impatient: bool) {
        self.impatient = impatient;
    }

    /// The socket is open. `hello` is the message that the hello carries.
    pub fn opened(&mut self, now: Instant, hello: Value) {
        if matches!(self.phase, Phase::Opening { .. }) {
            self.greet(now, hello, 1);
        }
    }

    /// The socket is gone, or could not be opened.
    pub fn lost(&mut self, now: Instant, why: &str) -> Heard {
        match self.phase {
            Phase::Over | Phase::Waiting { .. } => Heard::Nothing,
            _ => {
                self.retry(now, why.chars().take(300).collect());
                Heard::Lost
            }
        }
    }

    /// The network is another one: what is open or opening runs over the old.
    pub fn network_changed(&mut self, now: Instant) -> Heard {
        if matches!(self.phase, Phase::Over | Phase::Waiting { .. }) {
            return Heard::Nothing;
        }
        self.out.push_back(Out::Close(3004, "network changed"));
        self.retry(now, "the network has changed".into());
        Heard::Lost
    }

    /// A text frame came.
    pub fn frame(&mut self, now: Instant, text: &str) -> Heard {
        let frame = match Frame::read(text) {
            Ok(frame) => frame,
            Err(error) => {
                log::debug!("the room's server sent something unreadable: {error}");
                return Heard::Nothing;
            }
        };
        match (&mut self.phase, frame) {
            (Phase::Up { heard, .. }, frame) => {
                *heard = now;
                match frame {
                    Frame::Message(body) => return Heard::Message(body),
                    Frame::Bad(reason) => log::warn!("the room's server did not understand a message of ours: {reason}"),
                    _ => {}
                }
                Heard::Nothing
            }
            (Phase::Greeting { .. }, Frame::Welcome { timeout }) => {
                let interval = timeout.clamp(*INTERVAL.start(), *INTERVAL.end());
                self.phase = Phase::Up { interval, heard: now, said: now };
                Heard::Welcome
            }
            (Phase::Greeting { .. }, Frame::Busy { cookie, keep_alive, retry_after }) => {
                self.cookie = cookie.filter(|c| c.len() <= 1024);
                self.busy(now, keep_alive, retry_after)
            }
            (Phase::Greeting { .. }, Frame::Bad(reason)) => {
                self.out.push_back(Out::Close(3002, "hello failed"));
                self.retry(now, format!("the service did not understand our hello: {reason}"));
                Heard::Lost
            }
            _ => Heard::Nothing,
        }
    }

    /// The deadline has come.
    pub fn timeout(&mut self, now: Instant) -> Heard {
        if self.next_deadline().is_none_or(|at| now < at) {
            return Heard::Nothing;
        }
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Waiting { .. } => self.open(now),
            Phase::Opening { .. } => {
                self.out.push_back(Out::Close(3007, "open timeout"));
                self.retry(now, "the connection could not be opened in time".into());
                return Heard::Lost;
            }
            Phase::Greeting { said, .. } if said >= HELLOS => {
                self.out.push_back(Out::Close(3000, "no welcome"));
                self.retry(now, "the service does not answer our hello".into());
                return Heard::Lost;
            }
            Phase::Greeting { hello, said, .. } => self.greet(now, hello, said + 1),
            Phase::Busy { hello, .. } => self.greet(now, hello, 1),
            Phase::Up { interval, heard, .. } if now >= heard + self.silence(interval) => {
                self.out.push_back(Out::Close(3001, "heartbeats missed"));
                self.retry(now, "the service fell silent".into());
                return Heard::Lost;
            }
            Phase::Up { interval, heard, .. } => {
                self.out.push_back(Out::Text(messages::heartbeat()));
                self.phase = Phase::Up { interval, heard, said: now };
            }
            Phase::Over => {}
        }
        Heard::Nothing
    }

    /// Sends a message; only while [`Transport::is_up`].
    pub fn send(&mut self, now: Instant, body: &Value) {
        if let Phase::Up { said, .. } = &mut self.phase {
            *said = now;
            self.out.push_back(Out::Text(messages::message(body)));
        }
    }

    /// Says goodbye where somebody listens, and is over.
    pub fn close(&mut self) {
        match self.phase {
            Phase::Up { .. } => {
                self.out.push_back(Out::Text(messages::bye()));
                self.out.push_back(Out::Close(1000, "Normal"));
            }
            Phase::Opening { .. } | Phase::Greeting { .. } | Phase::Busy { .. } => self.out.push_back(Out::Close(1000, "Normal")),
            Phase::Waiting { .. } | Phase::Over => {}
        }
        self.phase = Phase::Over;
    }

    fn silence(&self, interval: Duration) -> Duration {
        if self.impatient { interval * 3 / 2 } else { interval * 3 }
    }

    fn open(&mut self, now: Instant) {
        self.phase = Phase::Opening { until: now + self.open_within };
        self.out.push_back(Out::Open);
    }

    fn retry(&mut self, now: Instant, why: String) {
        self.trouble = why;
        let random = self.random.random::<f64>();
        self.phase = Phase::Waiting { until: now + self.backoff.next(random) };
    }

    fn greet(&mut self, now: Instant, hello: Value, said: u8) {
        let id = uuid::Builder::from_random_bytes(self.random.random()).into_uuid().to_string();
        self.out.push_back(Out::Text(messages::hello(&id, self.cookie.as_deref(), &hello)));
        self.phase = Phase::Greeting { hello, said, until: now + WELCOME };
    }

    fn busy(&mut self, now: Instant, keep_alive: bool, retry_after: Option<Duration>) -> Heard {
        let Some(after) = retry_after else {
            self.out.push_back(Out::Close(3006, "busy"));
            self.phase = Phase::Over;
            return Heard::Unwanted;
        };
        let until = now + after.min(BUSY);
        self.trouble = "the service is busy".into();
        match std::mem::replace(&mut self.phase, Phase::Over) {
            Phase::Greeting { hello, .. } if keep_alive => {
                self.phase = Phase::Busy { hello, until };
                Heard::Nothing
            }
            _ => {
                self.out.push_back(Out::Close(3005, "busy wait"));
                self.phase = Phase::Waiting { until };
                Heard::Lost
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const S: Duration = Duration::from_secs(1);

    fn out(t: &mut Transport) -> Vec<Out> {
        std::iter::from_fn(|| t.poll()).collect()
    }

    /// Lets time run to the next deadline.
    fn wait(t: &mut Transport, now: &mut Instant) -> (Duration, Heard, Vec<Out>) {
        let at = t.next_deadline().expect("something is awaited");
        let passed = at.saturating_duration_since(*now);
        *now = at.max(*now);
        let heard = t.timeout(*now);
        (passed, heard, out(t))
    }

    fn up(now: Instant) -> Transport {
        let mut t = Transport::new(now, 1);
        t.opened(now, json!({ "type": "ice" }));
        assert!(matches!(t.frame(now, r#"{"type":"welcome","negotiatedTimeout":5000}"#), Heard::Welcome));
        out(&mut t);
        t
    }

    fn hello(out: &[Out]) -> Value {
        match out {
            [Out::Text(text)] => serde_json::from_str(text).unwrap(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_first_socket_is_opened_at_once_and_hello_carries_the_first_message() {
        let now = Instant::now();
        let mut t = Transport::new(now, 1);
        assert_eq!(out(&mut t), [Out::Open]);
        t.opened(now, json!({ "type": "ice", "token": "x" }));
        let said = hello(&out(&mut t));
        assert_eq!((said["type"].as_str(), said["version"].as_u64(), said["timeout"].as_u64()), (Some("hello"), Some(2), Some(5000)));
        assert_eq!(said["body"], json!({ "type": "ice", "token": "x" }));
        assert!(said.get("cookie").is_none());
        assert!(uuid::Uuid::parse_str(said["id"].as_str().unwrap()).is_ok());
    }

    #[test]
    fn three_hellos_without_welcome_close_the_socket_with_3000_and_a_new_one_is_tried() {
        let mut now = Instant::now();
        let mut t = Transport::new(now, 1);
        t.opened(now, json!({}));
        out(&mut t);
        for _ in 0..2 {
            let (passed, _, said) = wait(&mut t, &mut now);
            assert_eq!(passed, 5 * S);
            assert_eq!(hello(&said)["type"], "hello");
        }
        let (passed, heard, said) = wait(&mut t, &mut now);
        assert_eq!((passed, said), (5 * S, vec![Out::Close(3000, "no welcome")]));
        assert!(matches!(heard, Heard::Lost));
        assert_eq!(wait(&mut t, &mut now).2, [Out::Open]);
    }

    #[test]
    fn a_socket_that_does_not_open_is_given_up_after_15_s_with_3007() {
        let mut now = Instant::now();
        let mut t = Transport::new(now, 1);
        out(&mut t);
        let (passed, heard, said) = wait(&mut t, &mut now);
        assert_eq!((passed, said), (15 * S, vec![Out::Close(3007, "open timeout")]));
        assert!(matches!(heard, Heard::Lost));
    }

    #[test]
    fn a_heartbeat_is_sent_200_ms_before_the_interval_without_another_frame() {
        let mut now = Instant::now();
        let mut t = up(now);
        now += 3 * S;
        t.send(now, &json!({}));
        out(&mut t);
        let (passed, _, said) = wait(&mut t, &mut now);
        assert_eq!(passed, Duration::from_millis(4800));
        assert_eq!(said, [Out::Text(r#"{"type":"heartbeat"}"#.into())]);
    }

    #[test]
    fn a_silent_server_is_left_after_three_intervals_with_3001() {
        let mut now = Instant::now();
        let start = now;
        let mut t = up(now);
        let mut beats = 0;
        let said = loop {
            let (_, heard, said) = wait(&mut t, &mut now);
            if matches!(heard, Heard::Lost) {
                break said;
            }
            beats += 1;
        };
        assert_eq!((now - start, beats, said), (15 * S, 3, vec![Out::Close(3001, "heartbeats missed")]));
    }

    #[test]
    fn any_frame_of_the_server_counts_against_silence() {
        let mut now = Instant::now();
        let mut t = up(now);
        for _ in 0..20 {
            now += 4 * S;
            t.frame(now, r#"{"type":"heartbeat"}"#);
            assert!(matches!(t.timeout(now), Heard::Nothing));
        }
        assert!(t.is_up());
    }

    #[test]
    fn with_the_media_lost_too_half_the_silence_is_enough() {
        let mut now = Instant::now();
        let start = now;
        let mut t = up(now);
        t.impatient(true);
        while !matches!(wait(&mut t, &mut now).1, Heard::Lost) {}
        assert_eq!(now - start, Duration::from_millis(7500));
    }

    #[test]
    fn busy_on_a_kept_socket_says_hello_again_with_the_cookie() {
        let mut now = Instant::now();
        let mut t = Transport::new(now, 1);
        t.opened(now, json!({}));
        out(&mut t);
        assert!(matches!(t.frame(now, r#"{"type":"busy","cookie":"ck1","keepAlive":true,"retryAfter":1500}"#), Heard::Nothing));
        let (passed, _, said) = wait(&mut t, &mut now);
        assert_eq!((passed, hello(&said)["cookie"].as_str()), (Duration::from_millis(1500), Some("ck1")));
    }

    #[test]
    fn busy_otherwise_closes_with_3005_and_a_new_socket_brings_the_cookie() {
        let mut now = Instant::now();
        let mut t = Transport::new(now, 1);
        t.opened(now, json!({}));
        out(&mut t);
        assert!(matches!(t.frame(now, r#"{"type":"busy","cookie":"ck1","keepAlive":false,"retryAfter":1500}"#), Heard::Lost));
        assert_eq!(out(&mut t), [Out::Close(3005, "busy wait")]);
        let (passed, _, said) = wait(&mut t, &mut now);
        assert_eq!((passed, said), (Duration::from_millis(1500), vec![Out::Open]));
        t.opened(now, json!({}));
        assert_eq!(hello(&out(&mut t))["cookie"], "ck1");
    }

    #[test]
    fn busy_for_ever_closes_with_3006_and_is_final() {
        let now = Instant::now();
        let mut t = Transport::new(now, 1);
        t.opened(now, json!({}));
        out(&mut t);
        assert!(matches!(t.frame(now, r#"{"type":"busy","retryAfter":-1}"#), Heard::Unwanted));
        assert_eq!((out(&mut t), t.next_deadline()), (vec![Out::Close(3006, "busy")], None));
    }

    #[test]
    fn bad_during_hello_closes_with_3002_and_later_changes_nothing() {
        let now = Instant::now();
        let mut t = Transport::new(now, 1);
        t.opened(now, json!({}));
        out(&mut t);
        assert!(matches!(t.frame(now, r#"{"type":"bad","reason":"?"}"#), Heard::Lost));
        assert_eq!(out(&mut t), [Out::Close(3002, "hello failed")]);

        let mut t = up(now);
        assert!(matches!(t.frame(now, r#"{"type":"bad","reason":"?"}"#), Heard::Nothing));
        assert!(t.is_up() && out(&mut t).is_empty());
    }

    #[test]
    fn delays_grow_by_half_with_full_jitter_up_to_ten_seconds_and_start_over_once_settled() {
        let mut now = Instant::now();
        let mut t = Transport::new(now, 7);
        let mut bound = 0.08_f64;
        let mut beyond_half = 0;
        for _ in 0..40 {
            t.lost(now, "gone");
            let (passed, _, said) = wait(&mut t, &mut now);
            assert_eq!(said.last(), Some(&Out::Open));
            let passed = passed.as_secs_f64();
            assert!((0.009..=bound.max(0.01) + 1e-6).contains(&passed), "{passed} {bound}");
            beyond_half += u32::from(passed > bound / 2.0);
            bound = (bound * 1.5).min(10.0);
        }
        assert!((10..30).contains(&beyond_half), "jitter over the whole range: {beyond_half}");
        t.settled();
        t.lost(now, "gone");
        assert!(wait(&mut t, &mut now).0 <= Duration::from_millis(80));
    }

    #[test]
    fn messages_before_the_welcome_are_ignored() {
        let now = Instant::now();
        let mut t = Transport::new(now, 1);
        t.opened(now, json!({}));
        assert!(matches!(t.frame(now, r#"{"type":"msg","body":{"type":"iced"}}"#), Heard::Nothing));
    }

    #[test]
    fn an_interval_beyond_reason_does_not_make_us_spin_or_sleep() {
        for (given, used) in [("0", S), ("1e12", 60 * S)] {
            let now = Instant::now();
            let mut t = Transport::new(now, 1);
            t.opened(now, json!({}));
            t.frame(now, &format!(r#"{{"type":"welcome","negotiatedTimeout":{given}}}"#));
            assert_eq!(t.next_deadline(), Some(now + used - EARLY));
        }
    }

    #[test]
    fn goodbye_is_said_and_the_socket_closed_with_1000() {
        let now = Instant::now();
        let mut t = up(now);
        t.send(now, &json!({ "type": "disconnect" }));
        t.close();
        let said = out(&mut t);
        assert!(
            matches!(&said[..], [Out::Text(d), Out::Text(b), Out::Close(1000, _)] if d.contains("disconnect") && b.contains("bye")),
            "{said:?}"
        );
        assert_eq!(t.next_deadline(), None);
    }
}
