//! The states of one subscription (chatta.md 6.1): pending until the server says it succeeded; a refusal or silence is a
//! failure, and a failure leads to a new signature after a delay that doubles.

use super::Times;
use super::limits::needs_signature;
use crate::net::backoff::Backoff;
use std::time::{Duration, Instant};

/// Keeps a refusing server from being asked in a tight loop when the jitter draws nothing.
const FLOOR: Duration = Duration::from_millis(200);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// No connection.
    Down,
    /// The signature is being fetched.
    Authorising { until: Instant },
    /// Asked the server.
    Pending { until: Instant },
    /// Events arrive.
    Subscribed,
    /// Failed; to be tried again.
    Waiting { until: Instant },
}

#[derive(Debug)]
pub struct Subscription {
    pub channel: String,
    pub phase: Phase,
    backoff: Backoff,
}

/// What to do for a subscription now.
#[derive(Debug, PartialEq, Eq)]
pub enum Step {
    /// Fetch a signature.
    Authorise,
    /// Ask the server; the channel needs no signature.
    Ask,
}

impl Subscription {
    pub fn new(channel: String, times: &Times) -> Self {
        Self { channel, phase: Phase::Down, backoff: Backoff::new(FLOOR, times.resubscribe.0, times.resubscribe.1) }
    }

    /// There is a connection, or the delay is over.
    pub fn start(&mut self, now: Instant, times: &Times) -> Step {
        if needs_signature(&self.channel) {
            self.phase = Phase::Authorising { until: now + times.authorisation };
            Step::Authorise
        } else {
            self.asked(now, times);
            Step::Ask
        }
    }

    /// The server was asked.
    pub fn asked(&mut self, now: Instant, times: &Times) {
        self.phase = Phase::Pending { until: now + times.subscription };
    }

    /// It succeeded; `false` when it had before.
    pub fn succeeded(&mut self) -> bool {
        self.backoff.reset();
        std::mem::replace(&mut self.phase, Phase::Subscribed) != Phase::Subscribed
    }

    /// It failed: how long to wait.
    pub fn failed(&mut self, now: Instant, random: f64) -> Duration {
        let delay = self.backoff.next(random);
        self.phase = Phase::Waiting { until: now + delay };
        delay
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Authorising { until } | Phase::Pending { until } | Phase::Waiting { until } => Some(until),
            Phase::Down | Phase::Subscribed => None,
        }
    }
}
