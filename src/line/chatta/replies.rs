//! What is still to be said to callers, and what may have been lost (chatta.md 5.2, 6.2). A value; the time is an argument.
//!
//! There are no receipts and no history on the channel, and a late `ended` of an earlier call ends the caller's new one.
//! So a reply is kept only for a short while, only the latest of a caller, and not at all once that caller asks anew.

use crate::call::{CallerId, Offer, Reply};
use crate::journal::messages;
use crate::pusher::Outcome;
use std::time::{Duration, Instant};

/// Callers kept in mind; the one not heard of for longest is forgotten first.
const CALLERS: usize = 64;
/// Before a reply is tried again that the connection did not take.
const AGAIN: Duration = Duration::from_secs(1);

/// How far `accepted` is with a caller's latest request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Accepted {
    No,
    Said,
    /// Written, and the connection was lost around that moment: may be said once more.
    Uncertain,
    /// Said once more: never again.
    SaidAgain,
}

#[derive(Debug)]
struct Waiting {
    offer: Offer,
    reply: Reply,
    since: Instant,
    not_before: Instant,
    repeated: bool,
}

#[derive(Debug)]
struct Conversation {
    caller: CallerId,
    accepted: Accepted,
    waiting: Option<Waiting>,
    /// Changes with everything that makes an earlier reply obsolete.
    turn: u64,
    last: Instant,
}

#[derive(Debug)]
struct Written {
    id: u64,
    offer: Offer,
    reply: Reply,
    since: Instant,
    turn: u64,
    repeated: bool,
}

/// The replies of a line.
#[derive(Debug)]
pub struct Replies {
    conversations: Vec<Conversation>,
    written: Vec<Written>,
    uncertain: Vec<Offer>,
    online: Option<Instant>,
    keep: Duration,
    keep_online: Duration,
    next: u64,
}

impl Replies {
    /// Nothing to say. `keep`: how long a reply waits for the line, `keep_online`: and once the line is back.
    pub fn new(keep: Duration, keep_online: Duration) -> Self {
        Self { conversations: Vec::new(), written: Vec::new(), uncertain: Vec::new(), online: None, keep, keep_online, next: 1 }
    }

    /// The agent wants this said. `repeat`: it knows that it was said before, and that it may have been lost.
    pub fn say(&mut self, now: Instant, offer: Offer, reply: Reply, repeat: bool) {
        let conversation = self.conversation(now, &offer.caller.id);
        if reply == Reply::Accepted {
            conversation.accepted = match (conversation.accepted, repeat) {
                (Accepted::No, false) => Accepted::Said,
                (Accepted::Uncertain, _) => Accepted::SaidAgain,
                _ => {
                    return log::error!(MESSAGE_ID = messages::DEFECT.id, LINE = offer.caller.line.0.as_str(); "a second `accepted` for one request is not sent: the caller would join twice");
                }
            };
        }
        conversation.turn += 1;
        let not_before = now;
        conversation.waiting = Some(Waiting { offer, reply, since: now, not_before, repeated: false });
    }

    /// A caller asks (again): whatever was still to be said about an earlier request would hurt the new one.
    pub fn asked(&mut self, now: Instant, caller: &CallerId) {
        let conversation = self.conversation(now, caller);
        conversation.accepted = Accepted::No;
        conversation.turn += 1;
        if let Some(Waiting { offer, .. }) = conversation.waiting.take() {
            log::info!(LINE = offer.caller.line.0.as_str(); "a reply that waited for the line was dropped: the caller asks anew");
        }
        self.uncertain.retain(|offer| offer.caller.id != *caller);
    }

    /// The call channel is subscribed to.
    pub fn online(&mut self, now: Instant) {
        self.online.get_or_insert(now);
        let keep = self.keep;
        for conversation in &mut self.conversations {
            conversation.waiting.take_if(|waiting| waiting.since + keep <= now);
        }
    }

    /// It is not any more.
    pub fn offline(&mut self) {
        self.online = None;
    }

    /// What to write now, with a number for its outcome.
    pub fn poll(&mut self, now: Instant) -> Option<(u64, Offer, Reply)> {
        let online = self.online?;
        let keep = self.keep_online;
        for conversation in &mut self.conversations {
            let late = |waiting: &mut Waiting| waiting.since.max(online) + keep <= now;
            if let Some(Waiting { offer, .. }) = conversation.waiting.take_if(late) {
                log::warn!(MESSAGE_ID = messages::REPLY_LOST.id, LINE = offer.caller.line.0.as_str(); "a reply could not be sent in time and was dropped");
            }
        }
        let due = |c: &&mut Conversation| c.waiting.as_ref().is_some_and(|w| w.not_before <= now);
        let conversation = self.conversations.iter_mut().filter(due).min_by_key(|c| c.waiting.as_ref().map(|w| w.since))?;
        let Waiting { offer, reply, since, repeated, .. } = conversation.waiting.take()?;
        let (id, turn) = (self.next, conversation.turn);
        self.next += 1;
        self.written.push(Written { id, offer: offer.clone(), reply, since, turn, repeated });
        Some((id, offer, reply))
    }

    /// Nobody will tell any more what became of what was written.
    pub fn lost(&mut self, now: Instant) {
        self.offline();
        while let Some(id) = self.written.first().map(|written| written.id) {
            self.outcome(now, id, Outcome::Uncertain);
        }
    }

    /// What became of it.
    pub fn outcome(&mut self, now: Instant, id: u64, outcome: Outcome) {
        let Some(at) = self.written.iter().position(|w| w.id == id) else { return };
        let Written { offer, reply, since, turn, repeated, .. } = self.written.swap_remove(at);
        let line = offer.caller.line.0.clone();
        let Some(conversation) = self.conversations.iter_mut().find(|c| c.caller == offer.caller.id && c.turn == turn) else { return };
        match outcome {
            Outcome::Confirmed => {}
            Outcome::Unsent(why) => {
                log::warn!(MESSAGE_ID = crate::journal::messages::REPLY_LOST.id, LINE = line.as_str(); "a reply was not sent: {why}; trying again");
                conversation.waiting = Some(Waiting { offer, reply, since, not_before: now + AGAIN, repeated });
            }
            Outcome::Uncertain if reply == Reply::Accepted => {
                if conversation.accepted == Accepted::Said {
                    conversation.accepted = Accepted::Uncertain;
                    self.uncertain.push(offer);
                }
            }
            Outcome::Uncertain if repeated => {}
            Outcome::Uncertain => {
                log::info!(LINE = line.as_str(); "a reply may have been lost with the connection; it is said once more");
                conversation.waiting = Some(Waiting { offer, reply, since, not_before: now, repeated: true });
            }
        }
    }

    /// An offer whose `accepted` may have been lost, once the line is back.
    pub fn poll_uncertain(&mut self) -> Option<Offer> {
        self.online?;
        self.uncertain.pop()
    }

    /// Whether something is still to be written or confirmed.
    pub fn is_busy(&self) -> bool {
        !self.written.is_empty() || self.conversations.iter().any(|c| c.waiting.is_some())
    }

    /// When [`poll`](Self::poll) may have something new.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.online?;
        self.conversations.iter().filter_map(|c| c.waiting.as_ref()).map(|w| w.not_before).min()
    }

    /// How many callers are kept in mind.
    #[cfg(test)]
    pub fn conversations(&self) -> usize {
        self.conversations.len()
    }

    fn conversation(&mut self, now: Instant, caller: &CallerId) -> &mut Conversation {
        let at = self.conversations.iter().position(|c| c.caller == *caller).unwrap_or_else(|| {
            if self.conversations.len() >= CALLERS {
                let idle = |at: &usize| (self.conversations[*at].waiting.is_some(), self.conversations[*at].last);
                let oldest = (0..self.conversations.len()).min_by_key(idle);
                self.conversations.swap_remove(oldest.unwrap_or(0));
            }
            self.conversations.push(Conversation {
                caller: caller.clone(),
                accepted: Accepted::No,
                waiting: None,
                // Numbers are never used twice, so that a forgotten conversation's replies match none.
                turn: self.next << 32,
                last: now,
            });
            self.next += 1;
            self.conversations.len() - 1
        });
        self.conversations[at].last = now;
        &mut self.conversations[at]
    }
}
