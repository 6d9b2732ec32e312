//! What a call is and what may happen next. No I/O, no clock, no async: `Machine::handle` takes the time as an
//! argument, `Machine::poll_action` gives what to do, `Machine::next_deadline` says when to come back.
//!
//! This file holds the words; `machine.rs` what each event does in which state; `steps.rs` how; `state.rs` the states;
//! `consent.rs` who may be answered automatically, and when.

pub mod consent;
mod limits;
pub mod machine;
mod state;
mod steps;
#[cfg(test)]
mod tests;

pub use consent::Consent;
pub use machine::{Devices, Limits, Machine};
pub use state::{Phase, Snapshot, View};

use std::time::{Duration, Instant};

/// A point in time in both clocks: the monotonic one drives every timer, the wall clock only quiet hours and the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Now {
    /// Monotonic.
    pub mono: Instant,
    /// Wall clock.
    pub wall: jiff::Timestamp,
}

/// Our own number of a call: unique in the life of the box's state directory, never the platform's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct CallId(pub u64);

/// Which platform account a call came through, e.g. `chatta`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct LineId(pub String);

/// A caller as the platform numbers or names them, e.g. `5`. Unique only within a line.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct CallerId(pub String);

/// Who calls, as far as the platform tells.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Caller {
    /// The line they called through.
    pub line: LineId,
    /// Their id there.
    pub id: CallerId,
    /// The platform's login name, needed in replies; never shown.
    pub username: Option<String>,
    /// The name to show.
    pub name: String,
    /// Who they are to the platform (`customeradmin`, `supporter`, …).
    pub role: Option<String>,
    /// Where a photograph may be fetched.
    pub photo: Option<String>,
}

/// What the caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// Sound and picture, both ways.
    Video,
    /// Sound; the resident's camera stays closed. The caller's picture is shown if they send one.
    Audio,
}

/// How the caller would like the call to be answered. A wish: consent decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Wish {
    /// Ring until somebody answers.
    Ask,
    /// Answer by itself after this long.
    Answer {
        /// Counted from the moment the notice is seen and heard; never shorter than the configured floor.
        after: Duration,
    },
}

/// What names the call towards the platform. Neither part identifies a call over time (chatta.md 2.8, 4).
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Reference {
    /// Name of the room to meet in.
    pub room: Option<String>,
    /// The platform's id of that room.
    pub sid: Option<String>,
}

impl Reference {
    /// Whether a word about `other` can be about this call: parts that both sides give must agree, sid before name.
    pub fn agrees_with(&self, other: &Reference) -> bool {
        match (&self.sid, &other.sid) {
            (Some(a), Some(b)) => a == b,
            _ => match (&self.room, &other.room) {
                (Some(a), Some(b)) => a == b,
                _ => true,
            },
        }
    }
}

/// A call requested by a caller.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Offer {
    /// Who.
    pub caller: Caller,
    /// What.
    pub medium: Medium,
    /// How they would like it answered.
    pub wish: Wish,
    /// What names it.
    pub reference: Reference,
}

/// What the caller is told. Exactly one terminal reply (declined or ended) an offer, unless the caller ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub enum Reply {
    /// The resident's end joins the room now.
    Accepted,
    /// The call does not come about.
    Declined(Decline),
    /// The accepted call is over.
    Ended,
}

/// Why a call does not come about. Lines translate to their platform's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decline {
    /// In a call with somebody else.
    Busy,
    /// A video call and no camera.
    NoCamera,
    /// No microphone.
    NoMicrophone,
    /// Nobody answered in time.
    NoAnswer,
    /// The resident said no.
    ByResident,
    /// The box could not prepare the call.
    Error,
}

/// How a call came to its end; for the log, the screen and the statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// Never accepted, with the reason given.
    Declined(Decline),
    /// The caller gave up while it rang.
    Withdrawn,
    /// The resident hung up.
    HungUp,
    /// The caller hung up.
    CallerEnded,
    /// The caller left the room and did not come back in time.
    CallerLeft,
    /// The caller did not come into the room in time.
    CallerNeverCame,
    /// The room could not be joined or was lost for good.
    RoomFailed,
    /// Camera, microphone, picture or sound failed for good.
    MediaFailed,
    /// The configured maximum length was reached.
    MaximumLength,
    /// The daemon was stopped.
    Shutdown,
}

/// "This call is over", said by the caller's side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withdrawal {
    /// The line it came through.
    pub line: LineId,
    /// Who says it.
    pub caller: CallerId,
    /// About which call, as far as it says.
    pub reference: Reference,
}

/// What somebody in front of the TV, or a permitted client of the local API, wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Press {
    /// Answer now.
    Accept,
    /// Do not answer; while in a call, hang up.
    Decline,
    /// End the call.
    HangUp,
    /// Switch the microphone off or on.
    Mute,
    /// Any other key: closes a message that waits for a key. During the notice it cancels the automatic answer, and the call rings on.
    Other,
}

/// What happened in the room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RoomEvent {
    /// We are in.
    Joined,
    /// The caller is there.
    CallerArrived,
    /// The caller is gone, maybe only for a moment.
    CallerLeft,
    /// The first picture or sound of the caller is presented.
    MediaFlowing,
    /// The connection is interrupted or weak; still trying.
    Weak,
    /// It is good again.
    Good,
    /// Over for good: with one line that says why and what to do.
    Failed(String),
}

/// Everything the machine can be told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Somebody calls.
    Offered(Offer),
    /// The caller's side says it is over.
    Withdrawn(Withdrawal),
    /// A key.
    Press(Press),
    /// The dialog of this call is on the screen and its tone is sounding: only from here counts the time of a notice.
    Noticed(CallId),
    /// The dialog cannot be shown or the tone not be played: no automatic answer while this lasts.
    Unnoticed(CallId),
    /// The line has (or could not get) what is needed to join the room.
    Prepared(CallId, Result<(), String>),
    /// Something in the room.
    Room(CallId, RoomEvent),
    /// The call's pipelines failed for good, with one line that says which device and what to try.
    MediaFailed(CallId, String),
    /// A reply was possibly lost: the line's connection was re-established around the moment it was sent.
    ReplyUncertain(CallId),
    /// Which devices the box has now.
    Devices {
        /// A camera that can be opened.
        camera: bool,
        /// A microphone that can be opened.
        microphone: bool,
    },
    /// The daemon is stopping: end what there is.
    Shutdown,
}

/// What is to be done. The agent carries it out, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Wake the television; remember its state first, unless that of an earlier call is still to be put back: then that
    /// one stays the one to put back, and no [`Action::Restore`] follows for the earlier call.
    Wake(CallId),
    /// Show this from now on, with the sound that belongs to it.
    Show(Scene),
    /// Get what is needed to join the room; answer with [`Event::Prepared`].
    Prepare(CallId, Offer),
    /// Tell the caller. `repeat` marks the one allowed repetition of an uncertain `accepted` (chatta.md 6.2).
    Reply {
        /// About this call, or `None` for a second caller who never got one.
        call: Option<CallId>,
        /// To whom and about what.
        offer: Offer,
        /// What.
        reply: Reply,
        /// A repetition.
        repeat: bool,
    },
    /// The call is accepted: devices may be opened, the room joined. The only action that permits opening them.
    Connect {
        /// The call.
        call: CallId,
        /// The offer it came from.
        offer: Offer,
        /// Whether the camera may be opened.
        camera: bool,
    },
    /// Microphone off (`true`) or on.
    Mute(CallId, bool),
    /// Close camera and microphone at once, then leave the room.
    Disconnect(CallId),
    /// Put the television back as it was before the first [`Action::Wake`] since the last `Restore`, and only what we
    /// changed. A scene of missed calls may still be shown: it stays, for whoever switches the television on next.
    Restore(CallId),
    /// The call is over: write it into the call log.
    Record(Record),
}

/// What the television shows. Focus and the passing of time are the screen's own business.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scene {
    /// Nothing of ours.
    Idle,
    /// Somebody calls: two choices.
    Ringing {
        /// The call.
        call: CallId,
        /// Who.
        caller: Caller,
        /// What.
        medium: Medium,
    },
    /// Will be answered by itself; "answer now" and "decline".
    Countdown {
        /// The call.
        call: CallId,
        /// Who.
        caller: Caller,
        /// What.
        medium: Medium,
        /// When it is answered; `None` until the notice is known to be seen and heard.
        until: Option<Instant>,
        /// The whole length of the countdown.
        length: Duration,
    },
    /// Accepted; the caller is not there yet.
    Connecting {
        /// The call.
        call: CallId,
        /// Who.
        caller: Caller,
        /// What.
        medium: Medium,
    },
    /// The call.
    InCall {
        /// The call.
        call: CallId,
        /// Who.
        caller: Caller,
        /// What.
        medium: Medium,
        /// The connection is weak or interrupted.
        weak: bool,
        /// Our microphone is off.
        muted: bool,
        /// Our camera cannot be used at the moment.
        no_camera: bool,
    },
    /// Over; goes away by itself.
    Ended {
        /// Who.
        caller: Caller,
        /// How.
        ending: Ending,
    },
    /// Calls that nobody answered; stays until a key.
    Missed {
        /// Who and when, newest first, at most nine.
        calls: Vec<(Caller, jiff::Timestamp)>,
    },
    /// Somebody wanted to call by video and there is no camera; goes away by itself.
    NoCamera {
        /// Who.
        caller: Caller,
    },
}

/// One line of the call log.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// Our number.
    pub call: CallId,
    /// Who.
    pub caller: Caller,
    /// What.
    pub medium: Medium,
    /// When it was offered.
    pub offered: jiff::Timestamp,
    /// When it was accepted, if it was.
    pub accepted: Option<jiff::Timestamp>,
    /// Whether it was answered by itself.
    pub automatic: bool,
    /// When it was over.
    pub ended: jiff::Timestamp,
    /// How.
    pub ending: Ending,
}
