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
                    Frame::Bad(reason) => {
                        log::warn!(MESSAGE_ID = crate::journal::messages::PLATFORM_ODD.id; "the room's server did not understand a message of ours: {reason}")
                    }
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
mod tests;
