//! The protocol's promises (chatta.md 6), in virtual time.

mod channels;
mod connecting;
mod random;
mod silence;

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Instant;

const CALLS: &str = "private-call-7";
const WANTED: &str = "client-wanted-1124";

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// A client and its clock.
struct Rig {
    core: Protocol,
    now: Instant,
    sockets: u32,
}

impl Rig {
    fn new() -> Self {
        Self::with(Times::default(), 1)
    }

    fn with(times: Times, seed: u64) -> Self {
        let now = Instant::now();
        let mut core = Protocol::new(times, false, vec![(CALLS.into(), WANTED.into())], seed, now);
        core.subscribe(now, CALLS);
        Self { core, now, sockets: 0 }
    }

    /// Time passes, deadline by deadline.
    fn pass(&mut self, time: Duration) -> Vec<Output> {
        let end = self.now + time;
        let mut seen = self.outputs();
        while let Some(deadline) = self.core.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.core.timeout(self.now);
            seen.extend(self.outputs());
            let next = self.core.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a deadline that does not move is a busy loop");
        }
        self.now = end;
        seen
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.core.poll()).collect()
    }

    fn frame(&mut self, frame: Value) -> Vec<Output> {
        self.core.frame(self.now, &frame.to_string());
        self.outputs()
    }

    /// Until the next attempt is made; how long that took.
    fn until_connect(&mut self) -> Duration {
        let start = self.now;
        loop {
            self.now = self.core.next_deadline().expect("it never gives up");
            self.core.timeout(self.now);
            if self.outputs().iter().any(|output| matches!(output, Output::Connect { .. })) {
                return self.now - start;
            }
        }
    }

    fn greet(&mut self, activity: Value) -> Vec<Output> {
        self.sockets += 1;
        self.core.opened(self.now);
        let data = json!({ "socket_id": format!("1.{}", self.sockets), "activity_timeout": activity });
        self.frame(json!({ "event": "pusher:connection_established", "data": data.to_string() }))
    }

    fn connect(&mut self) -> Vec<Output> {
        self.until_connect();
        self.greet(json!(120))
    }

    fn sign(&mut self) -> Vec<Output> {
        let socket = format!("1.{}", self.sockets);
        self.core.authorised(self.now, &socket, CALLS, Ok(Authorisation { auth: "key:sig".into(), channel_data: None }));
        self.outputs()
    }

    fn succeed(&mut self) -> Vec<Output> {
        self.frame(json!({ "event": "pusher_internal:subscription_succeeded", "channel": CALLS, "data": "{}" }))
    }

    /// Connected and subscribed.
    fn up(mut self) -> Self {
        self.connect();
        self.sign();
        assert_eq!(self.succeed(), [Output::Tell(News::Subscribed { channel: CALLS.into() })]);
        self
    }

    fn lose(&mut self, code: Option<u16>) -> (Duration, bool) {
        self.core.lost(self.now, code, "");
        match self.outputs().into_iter().find_map(|output| match output {
            Output::Tell(News::Disconnected { retry, unauthorised, .. }) => Some((retry, unauthorised)),
            _ => None,
        }) {
            Some(told) => told,
            None => panic!("not told"),
        }
    }

    fn trigger(&mut self, id: u64) -> Vec<Output> {
        let trigger = Trigger { id, channel: CALLS.into(), event: "client-e".into(), data: "{}".into() };
        self.core.trigger(self.now, trigger).unwrap();
        self.outputs()
    }

    fn pong(&mut self) -> Vec<Output> {
        self.frame(json!({ "event": "pusher:pong" }))
    }
}

fn told(id: u64, outcome: Outcome) -> Output {
    Output::Tell(News::Triggered { id, outcome })
}

fn is_ping(output: &Output) -> bool {
    matches!(output, Output::Send(text) if text.contains("pusher:ping"))
}

fn failed(outputs: &[Output]) -> Option<Duration> {
    outputs.iter().find_map(|output| match output {
        Output::Tell(News::Unsubscribed { retry, .. }) => Some(*retry),
        _ => None,
    })
}

// ── connection ──
