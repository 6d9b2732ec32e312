//! The states of the call machine, so made that a state which must not be cannot be written down; and what of them can
//! be seen from outside.

use super::{CallId, Caller, Medium, Offer, Scene, Withdrawal};
use jiff::Timestamp;
use std::time::{Duration, Instant};

/// Where the machine stands. Only [`State::Waiting`] and [`State::Talking`] hold an [`Accepted`], and only with one of
/// those may a camera or a microphone be open.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum State {
    /// Nothing of ours is on the screen.
    Idle,
    /// It rings, or counts down.
    Ringing(Ringing),
    /// Answered; the line gets what is needed to join the room. The caller knows nothing yet.
    Preparing(Preparing),
    /// The caller was told `accepted`; they are not in the room yet.
    Waiting(Accepted, Waiting),
    /// They are, or were a moment ago.
    Talking(Accepted, Presence),
    /// The call is over; its message is on the screen, and maybe the television still to be put back.
    Message(Message),
    /// The daemon stops.
    Stopped,
}

/// What is known of the call from its offer on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Session {
    pub id: CallId,
    /// The caller's latest request: replies are about this one.
    pub offer: Offer,
    /// What the resident was asked for. A request repeated during the call doesn't change it.
    pub medium: Medium,
    pub offered: Timestamp,
}

impl Session {
    /// Whether this is the call's own caller asking again.
    pub fn is_from(&self, offer: &Offer) -> bool {
        self.offer.caller.line == offer.caller.line && self.offer.caller.id == offer.caller.id
    }

    /// Whether a withdrawal is about this call: by its caller, and about no other room.
    pub fn is_meant_by(&self, word: &Withdrawal) -> bool {
        self.offer.caller.line == word.line && self.offer.caller.id == word.caller && self.offer.reference.agrees_with(&word.reference)
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ringing {
    pub session: Session,
    /// When nobody has answered.
    pub expires: Instant,
    pub dialog: Dialog,
}

/// Whether the ringing call may be answered by itself.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Dialog {
    /// No: only by a key.
    Ask,
    /// Yes, but the notice isn't seen and heard (yet, or any more).
    Notice { length: Duration },
    /// Seen and heard, up to now without a break.
    Counting { length: Duration, until: Instant },
}

impl Dialog {
    /// How much longer than an ordinary call it may ring.
    pub fn length(self) -> Duration {
        match self {
            Dialog::Ask => Duration::ZERO,
            Dialog::Notice { length } | Dialog::Counting { length, .. } => length,
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Preparing {
    pub session: Session,
    pub by: AnsweredBy,
    pub until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum AnsweredBy {
    Key,
    Itself,
}

/// A call whose caller was told `accepted`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Accepted {
    pub session: Session,
    pub by: AnsweredBy,
    pub since: Timestamp,
    /// When the configured maximum length is reached.
    pub over: Option<Instant>,
    /// When the latest `accepted` was sent, and what became of it as far as we know.
    pub sent: Instant,
    pub fate: Fate,
    pub weak: bool,
    pub muted: bool,
}

/// What became of the latest `accepted`: nobody confirms it but the caller's arrival.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fate {
    /// Sent, nothing seen of the caller since.
    Sent,
    /// The line says it may be lost; to be repeated then.
    Doubtful { repeat: Instant },
    /// Sent a second time; never a third.
    Repeated,
    /// The caller came, so it arrived.
    Arrived,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Waiting {
    pub joined: bool,
    pub until: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Presence {
    Here,
    /// Left, perhaps to reload the page.
    Gone {
        until: Instant,
    },
}

/// What is on the screen after a call.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Message {
    pub about: About,
    pub since: Instant,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum About {
    /// Goes away by itself, and then the television is put back.
    Passing { until: Instant },
    /// The missed calls. Stays until a key, while the television is put back earlier.
    Missed { restore: Option<Instant> },
}

/// What the call is doing, in a word for people and programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// No call.
    Idle,
    /// It rings.
    Ringing,
    /// It will be answered by itself.
    Countdown,
    /// Answered, getting what is needed to join the room.
    Preparing,
    /// Accepted, the caller is not in the room yet.
    Waiting,
    /// In the call.
    Talking,
    /// No call; a message about the last one is on the screen.
    Message,
    /// The daemon stops.
    Stopped,
}

/// The call as seen from outside, for the status.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct View {
    /// Our number.
    pub id: CallId,
    /// Who.
    pub caller: Caller,
    /// What.
    pub medium: Medium,
    /// When it was offered.
    pub offered: Timestamp,
    /// When it was accepted, if it was.
    pub accepted: Option<Timestamp>,
    /// Whether it was answered by itself.
    pub automatic: bool,
    /// Our microphone is off.
    pub muted: bool,
    /// The connection is weak, or the caller gone for a moment.
    pub weak: bool,
}

/// The machine as seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Snapshot {
    /// What is going on.
    pub phase: Phase,
    /// The call, if there is one.
    pub call: Option<View>,
    /// How many missed calls wait for somebody to read of them.
    pub missed: usize,
}

impl State {
    /// The call in progress.
    pub fn session(&self) -> Option<&Session> {
        match self {
            State::Idle | State::Message(_) | State::Stopped => None,
            State::Ringing(ringing) => Some(&ringing.session),
            State::Preparing(preparing) => Some(&preparing.session),
            State::Waiting(call, _) | State::Talking(call, _) => Some(&call.session),
        }
    }

    pub fn phase(&self) -> Phase {
        match self {
            State::Idle => Phase::Idle,
            State::Ringing(Ringing { dialog: Dialog::Ask, .. }) => Phase::Ringing,
            State::Ringing(_) => Phase::Countdown,
            State::Preparing(_) => Phase::Preparing,
            State::Waiting(..) => Phase::Waiting,
            State::Talking(..) => Phase::Talking,
            State::Message(_) => Phase::Message,
            State::Stopped => Phase::Stopped,
        }
    }

    pub fn view(&self) -> Option<View> {
        let session = self.session()?;
        let (accepted, by, muted, weak) = match self {
            State::Preparing(preparing) => (None, Some(preparing.by), false, false),
            State::Waiting(call, _) => (Some(call.since), Some(call.by), call.muted, call.weak),
            State::Talking(call, presence) => (Some(call.since), Some(call.by), call.muted, call.weak || *presence != Presence::Here),
            State::Idle | State::Ringing(_) | State::Message(_) | State::Stopped => (None, None, false, false),
        };
        Some(View {
            id: session.id,
            caller: session.offer.caller.clone(),
            medium: session.medium,
            offered: session.offered,
            accepted,
            automatic: by == Some(AnsweredBy::Itself),
            muted,
            weak,
        })
    }

    /// The earliest time at which something is to be done without an event.
    pub fn deadline(&self) -> Option<Instant> {
        let of_call = |call: &Accepted| {
            let repeat = match call.fate {
                Fate::Doubtful { repeat } => Some(repeat),
                Fate::Sent | Fate::Repeated | Fate::Arrived => None,
            };
            [call.over, repeat].into_iter().flatten().min()
        };
        match self {
            State::Idle | State::Stopped => None,
            State::Ringing(Ringing { expires, dialog: Dialog::Counting { until, .. }, .. }) => Some((*until).min(*expires)),
            State::Ringing(ringing) => Some(ringing.expires),
            State::Preparing(preparing) => Some(preparing.until),
            State::Waiting(call, waiting) => of_call(call).into_iter().chain([waiting.until]).min(),
            State::Talking(call, Presence::Here) => of_call(call),
            State::Talking(call, Presence::Gone { until }) => of_call(call).into_iter().chain([*until]).min(),
            State::Message(Message { about: About::Passing { until }, .. }) => Some(*until),
            State::Message(Message { about: About::Missed { restore }, .. }) => *restore,
        }
    }
}

impl Ringing {
    /// The dialog as a scene.
    pub fn scene(&self) -> Scene {
        let (call, caller, medium) = (self.session.id, self.session.offer.caller.clone(), self.session.medium);
        match self.dialog {
            Dialog::Ask => Scene::Ringing { call, caller, medium },
            Dialog::Notice { length } => Scene::Countdown { call, caller, medium, until: None, length },
            Dialog::Counting { length, until } => Scene::Countdown { call, caller, medium, until: Some(until), length },
        }
    }
}
