//! What a lost or closed connection means for the next one (chatta.md 6, the table of close codes).

use super::Times;
use crate::net::backoff::Backoff;
use std::time::{Duration, Instant};

/// No reconnect follows a loss faster than this, whatever the jitter draws.
const FLOOR: Duration = Duration::from_millis(50);
/// "At once" is within this, so that a thousand boxes told to come back do not meet in the same instant.
const AT_ONCE: Duration = Duration::from_millis(200);

/// When the next connection is tried. Every rule leads to one: a box that gives up is a box that nobody can call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rule {
    /// After a delay that doubles.
    Backoff,
    /// At once over TLS, when it was tried without; else as refused.
    SwitchToTls,
    /// Somebody has to repair something: every few minutes.
    Refused,
    /// The token may be the reason: with a new one soon, and as refused when that does not help.
    Unauthorised,
    /// Too many connections: after a delay that doubles, never under its base.
    Overloaded,
    /// At once the first time, with a delay when it repeats.
    AtOnce,
}

/// The rule for a close code; `None`: the connection was lost without one, or never came about.
pub fn rule(code: Option<u16>) -> Rule {
    match code {
        Some(4000) => Rule::SwitchToTls,
        Some(4009) => Rule::Unauthorised,
        Some(4001..=4099 | 4300..) => Rule::Refused,
        Some(4100..=4199) => Rule::Overloaded,
        Some(4200..=4299) => Rule::AtOnce,
        Some(..=3999) | None => Rule::Backoff,
    }
}

/// What a technician should know about a code.
pub fn meaning(code: u16) -> &'static str {
    match code {
        4000 => "the application takes TLS connections only; configure wss",
        4001 => "the Pusher application does not exist; check key and cluster or host",
        4003 => "the Pusher application is disabled; ask the platform",
        4004 => "the Pusher application is over its quota of connections; ask the platform",
        4005 => "the server does not know this path; check the path prefix",
        4006..=4008 => "the server does not take protocol version 7; ask the platform",
        4009 => "the connection is not authorised; logging in anew",
        4001..=4099 | 4300.. => "the server refuses the connection; ask the platform",
        4100..=4199 => "the server has too many connections",
        4201 => "the server missed our answer to its ping",
        4202 => "the server closed the connection as idle",
        4200..=4299 => "the server asks to connect again",
        1002..=1004 => "the server complains about the WebSocket protocol",
        _ => "the server closed the connection",
    }
}

/// How long to wait before the next connection.
#[derive(Debug)]
pub struct Delays {
    reconnect: Backoff,
    /// Since the last subscription that succeeded.
    unauthorised: u32,
    at_once: Option<Instant>,
}

impl Delays {
    pub fn new(times: &Times) -> Self {
        Self { reconnect: Backoff::new(FLOOR, times.reconnect.0, times.reconnect.1), unauthorised: 0, at_once: None }
    }

    /// A subscription succeeded.
    pub fn subscribed(&mut self) {
        self.unauthorised = 0;
    }

    /// The connection that was lost had lasted.
    pub fn stable(&mut self) {
        self.reconnect.reset();
        self.unauthorised = 0;
    }

    /// The delay by `rule`; `random` is drawn evenly from 0..1.
    pub fn next(&mut self, now: Instant, rule: Rule, tls: &mut bool, times: &Times, random: f64) -> Duration {
        let refused = times.refused.mul_f64(0.8 + 0.4 * random);
        match rule {
            Rule::Backoff => self.reconnect.next(random),
            Rule::Overloaded => times.reconnect.0 + self.reconnect.next(random),
            Rule::Refused => refused,
            Rule::SwitchToTls if !std::mem::replace(tls, true) => AT_ONCE.mul_f64(random),
            Rule::SwitchToTls => refused,
            Rule::Unauthorised => {
                self.unauthorised = self.unauthorised.saturating_add(1);
                if self.unauthorised > 1 { refused } else { times.reconnect.0 + self.reconnect.next(random) }
            }
            Rule::AtOnce => {
                let again = self.at_once.is_some_and(|at| now < at + times.at_once_again);
                self.at_once = Some(now);
                if again { self.reconnect.next(random) } else { AT_ONCE.mul_f64(random) }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_of_the_contract_has_its_rule() {
        let table: &[(&[u16], Rule)] = &[
            (&[1000, 1001, 1005, 1006, 1011, 1012, 3999], Rule::Backoff),
            (&[1002, 1003, 1004], Rule::Backoff),
            (&[4000], Rule::SwitchToTls),
            (&[4001, 4003, 4004, 4005, 4006, 4007, 4008, 4010, 4099], Rule::Refused),
            (&[4009], Rule::Unauthorised),
            (&[4100, 4101, 4199], Rule::Overloaded),
            (&[4200, 4201, 4202, 4299], Rule::AtOnce),
            (&[4300, 4301, 4399, 4400, 4999, u16::MAX], Rule::Refused),
        ];
        for (codes, expected) in table {
            for code in *codes {
                assert_eq!(rule(Some(*code)), *expected, "{code}");
                assert!(!meaning(*code).is_empty());
            }
        }
        assert_eq!(rule(None), Rule::Backoff);
        assert_eq!(rule(Some(0)), Rule::Backoff);
    }
}
