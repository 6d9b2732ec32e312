//! Client events on their way: those that wait for the server's pace, and those that were written but not yet read by the
//! server as far as we know.
//!
//! The protocol has no receipts. But frames are answered in order, so a ping written after an event shows by its pong that
//! the server has read the event, too. That is how a half-open connection is found while the caller still waits.

use super::Trigger;
use super::limits::{Pace, TriggerError};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Events that may wait for their second. A call needs three.
const WAITING: usize = 32;

#[derive(Debug, Default)]
pub struct Sending {
    pub waiting: VecDeque<Trigger>,
    /// Event, and the number of the ping that follows it.
    pub written: VecDeque<(u64, u64)>,
    pings: u64,
    pongs: u64,
    asked: Option<Instant>,
    pace: Pace,
}

impl Sending {
    /// One more that is to be sent.
    pub fn push(&mut self, trigger: Trigger) -> Result<(), TriggerError> {
        if self.waiting.len() >= WAITING {
            return Err(TriggerError::Full);
        }
        self.waiting.push_back(trigger);
        Ok(())
    }

    /// The next to write now; a ping is to follow.
    pub fn next(&mut self, now: Instant) -> Option<Trigger> {
        if self.waiting.is_empty() || self.pace.wait(now).is_some() {
            return None;
        }
        let trigger = self.waiting.pop_front()?;
        self.pace.sent(now);
        self.written.push_back((trigger.id, self.pings + 1));
        self.asked = Some(now);
        Some(trigger)
    }

    /// A ping was written.
    pub fn ping(&mut self) {
        self.pings += 1;
    }

    /// A pong came: the events it confirms.
    pub fn pong(&mut self) -> Vec<u64> {
        self.pongs = (self.pongs + 1).min(self.pings);
        if self.pongs == self.pings {
            self.asked = None;
        }
        let read = self.written.iter().take_while(|(_, ping)| *ping <= self.pongs).count();
        self.written.drain(..read).map(|(id, _)| id).collect()
    }

    /// The server does not answer pings: let the next pong stand for all.
    pub fn take_as_answered(&mut self) {
        self.pongs = self.pings.saturating_sub(1);
    }

    /// The server rejected an event: the oldest one, for it answers in order.
    pub fn rejected(&mut self) -> Option<u64> {
        self.written.pop_front().map(|(id, _)| id)
    }

    /// Since when a pong is awaited that confirms an event.
    pub fn asked(&self) -> Option<Instant> {
        self.asked
    }

    /// When something is due.
    pub fn deadline(&self, confirm: Duration) -> Option<Instant> {
        let pace = self.waiting.front().and_then(|_| self.pace.opens());
        [self.asked.map(|asked| asked + confirm), pace].into_iter().flatten().min()
    }
}
