//! One message on the wire at a time; what was lost to others on the bus is repeated.

use super::super::message::{BROADCAST, Frame, Physical, TV, key, op};
use super::super::quirks::Step;
use super::{Core, Id, Output, Sent};
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Messages that wait: answers to a bus that asks faster than it listens are left out.
const WAITING: usize = 32;
/// A message that lost the bus is sent again this often.
const REPEATS: u8 = 4;
/// And so much later (times the number of the try): a frame takes up to 0.4 s.
const PAUSE: Duration = Duration::from_millis(120);

/// Why a message is sent, and so what its fate means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    AskPower,
    AskElse,
    Wake(Step),
    Take(Option<Id>),
    Leave(Option<Id>),
    Standby(Option<Id>),
    Volume,
    Once(Id),
    Courtesy,
}

impl Purpose {
    fn asked_by(self) -> Option<Id> {
        match self {
            Purpose::Take(id) | Purpose::Leave(id) | Purpose::Standby(id) => id,
            Purpose::Once(id) => Some(id),
            Purpose::AskPower | Purpose::AskElse | Purpose::Wake(_) | Purpose::Volume | Purpose::Courtesy => None,
        }
    }
}

#[derive(Debug)]
struct Item {
    frame: Frame,
    why: Purpose,
    tries: u8,
}

/// What waits and what is on the wire.
#[derive(Debug, Default)]
pub(super) struct Sending {
    waiting: VecDeque<Item>,
    flying: Option<Item>,
    not_before: Option<Instant>,
}

impl Sending {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.not_before.filter(|_| self.flying.is_none() && !self.waiting.is_empty())
    }

    /// Gives who waits for an answer. What is on the wire will still be reported, to nobody, or never if `gone`.
    fn drop_all(&mut self, gone: bool) -> Vec<Id> {
        self.not_before = None;
        let ids = self.waiting.iter().chain(&self.flying).filter_map(|item| item.why.asked_by()).collect();
        self.waiting.clear();
        if gone {
            self.flying = None;
        } else if let Some(item) = &mut self.flying {
            item.why = Purpose::Courtesy;
        }
        ids
    }

    pub(super) fn forget(&mut self, purpose: impl Fn(Purpose) -> bool) {
        self.waiting.retain(|item| !purpose(item.why));
    }

    pub(super) fn has(&self, purpose: impl Fn(Purpose) -> bool) -> bool {
        self.waiting.iter().chain(&self.flying).any(|item| purpose(item.why))
    }
}

impl Core {
    /// Nothing of what waits can be sent any more.
    pub(super) fn drop_messages(&mut self, why: &str) {
        let waking = self.waking.as_mut().and_then(|w| w.asked.take());
        for id in self.sending.drop_all(self.address.is_none()).into_iter().chain(waking) {
            self.answer(id, Err(why.into()));
        }
    }

    pub(super) fn send(&mut self, to: u8, opcode: u8, data: &[u8], why: Purpose) {
        let from = self.address.and_then(|a| a.logical).unwrap_or(BROADCAST);
        let courtesy = self.sending.waiting.len() >= WAITING && why == Purpose::Courtesy;
        // Three times the room: what the daemon wants is bounded by what it can ask at a time.
        if self.address.is_none() || courtesy || self.sending.waiting.len() >= 3 * WAITING {
            if let Some(id) = why.asked_by() {
                self.answer(id, Err("the HDMI-CEC bus is busy or disturbed".into()));
            }
            return;
        }
        self.sending.waiting.push_back(Item { frame: Frame::new(from, to, opcode, data), why, tries: 0 });
    }

    pub(super) fn send_address(&mut self, to: u8, opcode: u8, address: Physical, why: Purpose) {
        self.send(to, opcode, &address.0.to_be_bytes(), why);
    }

    /// A key is pressed and let go.
    pub(super) fn send_key(&mut self, to: u8, operand: u8, why: Purpose) {
        self.send(to, op::USER_CONTROL_PRESSED, &[operand], why);
        self.send(to, op::USER_CONTROL_RELEASED, &[], Purpose::Courtesy);
    }

    pub(super) fn send_step(&mut self, step: Step) {
        let why = Purpose::Wake(step);
        match step {
            Step::ImageViewOn => self.send(TV, op::IMAGE_VIEW_ON, &[], why),
            Step::TextViewOn => self.send(TV, op::TEXT_VIEW_ON, &[], why),
            Step::PowerOnKey => self.send_key(TV, key::POWER_ON_FUNCTION, why),
        }
    }

    pub(super) fn send_next(&mut self, now: Instant) {
        if self.sending.flying.is_some() || self.sending.not_before.is_some_and(|at| now < at) {
            return;
        }
        self.sending.not_before = None;
        let Some(item) = self.sending.waiting.pop_front() else { return };
        self.outputs.push_back(Output::Transmit(item.frame.clone()));
        self.sending.flying = Some(item);
    }

    pub(super) fn sent(&mut self, now: Instant, sent: Sent) {
        let Some(mut item) = self.sending.flying.take() else { return };
        if sent == Sent::Lost && item.tries < REPEATS {
            item.tries += 1;
            self.sending.not_before = Some(now + PAUSE * u32::from(item.tries));
            self.sending.waiting.push_front(item);
            return;
        }
        let taken = sent == Sent::Acked;
        match item.why {
            Purpose::AskPower => self.power_asked(now, taken),
            Purpose::Wake(step) => self.wake_sent(now, step, taken),
            Purpose::Take(id) => self.taken(now, id, sent),
            why => {
                if let Some(id) = why.asked_by() {
                    self.answer(id, acknowledged(sent));
                }
            }
        }
    }
}

pub(super) fn acknowledged(sent: Sent) -> super::Answer {
    match sent {
        Sent::Acked => Ok(None),
        Sent::NotAcked => Err("it does not answer on HDMI-CEC".into()),
        Sent::Lost => Err("the HDMI-CEC bus is busy or disturbed".into()),
        Sent::Refused => Err("the HDMI-CEC adapter does not send; check the cable".into()),
    }
}
