//! What is made of an event of ours: parsed, admitted, counted against floods. A value; the time is an argument.

use super::events::{self, Identity, POWER_NORMAL, RESIDENT_UPDATED, Reading, Record};
use super::{Admission, Flood, Settings};
use crate::call::{CallerId, Decline, Offer, Withdrawal};
use std::collections::VecDeque;
use std::time::Instant;

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Somebody calls.
    Offer(Offer),
    /// Somebody calls and is refused without asking anybody.
    Refuse(Offer, Decline),
    /// The caller's side says it is over.
    Withdrawal(Withdrawal),
    /// Wake the screen.
    Wake,
    /// The resident's record as the platform has it now.
    Record(Record),
}

/// Counts within the window, for one caller.
#[derive(Debug)]
struct Counted {
    caller: u64,
    requests: VecDeque<Instant>,
    endings: VecDeque<Instant>,
    last: Instant,
    logged: bool,
}

/// Reads events and keeps count.
#[derive(Debug, Default)]
pub struct Intake {
    callers: Vec<Counted>,
    requests: VecDeque<Instant>,
}

impl Intake {
    /// An event by its channel and exact name; `None`: nothing is to be done.
    pub fn event(
        &mut self,
        now: Instant,
        settings: &Settings,
        identity: &Identity,
        (channel, event): (&str, &str),
        data: &str,
    ) -> Option<Word> {
        let line = settings.id.0.as_str();
        // The name does not say whose record it is; what does not even hold our number is not looked at further.
        if event == RESIDENT_UPDATED && !data.contains(&identity.resident.to_string()) {
            return None;
        }
        let Some(payload) = events::payload(data) else {
            log::warn!(MESSAGE_ID = crate::journal::messages::PLATFORM_ODD.id, LINE = line; "an event of ours could not be read and was dropped");
            return None;
        };
        if channel == identity.presence_channel() && event == POWER_NORMAL {
            let ours = identity.set_top_box.is_some() && payload["set_top_box"].as_u64() == identity.set_top_box;
            return ours.then_some(Word::Wake);
        }
        if channel == identity.presence_channel() {
            let record = event == RESIDENT_UPDATED || event == identity.presence_update();
            return (record && payload["id"].as_u64() == Some(identity.resident)).then(|| Word::Record(Record::read(&payload)));
        }
        if channel != identity.call_channel() {
            return None;
        }
        let requested = event == identity.requested();
        if !requested && event != identity.ended() {
            return None;
        }
        // Our own id as the caller's would make us hear our own `ended`, and call ourselves.
        let Some(caller) = events::initiator(&payload).filter(|id| *id != identity.resident) else {
            log::warn!(MESSAGE_ID = crate::journal::messages::PLATFORM_ODD.id, LINE = line; "an event without a caller's id was dropped; there is nobody to answer");
            return None;
        };
        if !self.count(now, &settings.flood, caller, requested, line) {
            return None;
        }
        if !requested {
            return events::withdrawal(&payload, &settings.id).map(Word::Withdrawal);
        }
        let accept_after_implies_auto = settings.accept_after_implies_auto;
        let offer = events::offer(&payload, &Reading { line: &settings.id, identity, api: &settings.api, accept_after_implies_auto })?;
        if !settings.admission.admits(&offer) {
            log::info!(LINE = line, CALLER_ID = caller; "a caller who is not on the list was refused");
            return Some(Word::Refuse(offer, Decline::ByResident));
        }
        if offer.reference.room.is_none() {
            log::warn!(MESSAGE_ID = crate::journal::messages::PLATFORM_ODD.id, LINE = line, CALLER_ID = caller; "a request names no room and none can be derived; refused");
            return Some(Word::Refuse(offer, Decline::Error));
        }
        Some(Word::Offer(offer))
    }

    /// How many callers are kept in mind.
    #[cfg(test)]
    pub fn callers(&self) -> usize {
        self.callers.len()
    }

    /// Whether this one is within the limits. Endings are counted apart: a flood of requests must not hide the end of one.
    fn count(&mut self, now: Instant, flood: &Flood, caller: u64, request: bool, line: &str) -> bool {
        let recent = |times: &mut VecDeque<Instant>| {
            while times.front().is_some_and(|at| *at + flood.window <= now) {
                times.pop_front();
            }
            times.len()
        };
        let in_total = recent(&mut self.requests);
        let counted = match self.callers.iter().position(|c| c.caller == caller) {
            Some(at) => &mut self.callers[at],
            None => {
                if self.callers.len() >= flood.callers.max(1) {
                    let oldest = (0..self.callers.len()).min_by_key(|at| self.callers[*at].last);
                    self.callers.swap_remove(oldest.unwrap_or(0));
                }
                let (requests, endings) = (VecDeque::new(), VecDeque::new());
                self.callers.push(Counted { caller, requests, endings, last: now, logged: false });
                self.callers.last_mut().expect("just pushed")
            }
        };
        counted.last = now;
        let times = if request { &mut counted.requests } else { &mut counted.endings };
        let full = recent(times) >= flood.per_caller || (request && in_total >= flood.in_total);
        if full {
            if !std::mem::replace(&mut counted.logged, true) {
                log::warn!(MESSAGE_ID = crate::journal::messages::PLATFORM_ODD.id, LINE = line, CALLER_ID = caller; "a caller's requests come too fast; those above {} in {:?} are dropped", flood.per_caller, flood.window);
            }
            return false;
        }
        if times.is_empty() {
            counted.logged = false;
        }
        times.push_back(now);
        if request {
            self.requests.push_back(now);
        }
        true
    }
}

impl Admission {
    /// Whether this caller may call.
    pub fn admits(&self, offer: &Offer) -> bool {
        let id = |CallerId(id): &CallerId| id.parse().ok();
        let listed = |list: &Vec<u64>| id(&offer.caller.id).is_some_and(|id| list.contains(&id));
        let role = |list: &Vec<String>| offer.caller.role.as_ref().is_some_and(|role| list.contains(role));
        self.callers.as_ref().is_none_or(listed) && self.roles.as_ref().is_none_or(role)
    }
}
