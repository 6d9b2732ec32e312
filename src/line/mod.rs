//! How calls reach the box. A line is one account at one platform; it runs as its own task, translates its platform's
//! words into those of [`crate::call`], and knows nothing of televisions.

pub mod chatta;

use crate::call::{LineId, Offer, Reply, Withdrawal};
use crate::room::Ticket;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

/// What a line tells the agent.
#[derive(Debug)]
pub enum LineEvent {
    /// Reachable or not.
    State(LineState),
    /// Somebody calls.
    Offered(Offer),
    /// The caller's side says it is over.
    Withdrawn(Withdrawal),
    /// The platform asks to wake the screen (chatta.md 2.5).
    Wake,
    /// What the platform says of the resident, at each login: for the screens and quiet hours, where the configuration is silent.
    Resident {
        /// Language tag, e.g. `en-GB`.
        locale: Option<String>,
        /// IANA time zone name.
        time_zone: Option<String>,
    },
    /// The platform's record of the box wants a detailed log, or the usual one.
    Logging(bool),
    /// What that record asks of the television.
    Wishes(Wishes),
    /// This offer's `accepted` may have been lost: the connection was re-established around the moment it was sent.
    ReplyUncertain(Offer),
}

/// What the platform's record of the box asks of the television (chatta.md 2.4, 2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The key that chooses an input does something.
    pub av_key: bool,
    /// The menu key does something.
    pub menu_key: bool,
    /// The input to go back to where it is not known what was shown before, e.g. `HDMI2`.
    pub default_input: Option<String>,
}

/// Whether calls can arrive.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum LineState {
    /// Not yet.
    Connecting,
    /// Subscribed: calls arrive, and the platform shows the resident as online.
    Online,
    /// Not reachable: why, in words for a technician, and when it is tried again.
    Offline {
        /// What is wrong and what to do.
        why: String,
        /// Until the next attempt.
        retry: Duration,
    },
}

/// What the agent tells a line.
#[derive(Debug)]
pub enum LineCommand {
    /// Get what is needed to join the offer's room.
    Ticket {
        /// The offer.
        offer: Offer,
        /// The answer, or one line that says what is wrong and what to do.
        answer: oneshot::Sender<Result<Ticket, String>>,
    },
    /// Tell the caller.
    Reply {
        /// About which offer.
        offer: Offer,
        /// What.
        reply: Reply,
        /// The one repetition of an `accepted` that was possibly lost, which the call machine asks for (chatta.md 6.2).
        repeat: bool,
    },
    /// The box is in another network, or in one again: try now what waits.
    NetworkChanged,
    /// Send what is still to be said, leave, and answer when gone.
    Stop(oneshot::Sender<()>),
}

/// A line as configured, not running yet.
pub struct Wired {
    /// Which.
    pub id: LineId,
    /// Equal for two configurations of it, secrets included, that do not differ.
    pub likeness: u64,
    /// Starts it.
    pub start: Start,
}

/// Starts a line that tells its events there.
pub type Start = Box<dyn FnOnce(mpsc::Sender<(LineId, LineEvent)>) -> LineHandle + Send>;

/// The agent's end of a running line.
#[derive(Debug, Clone)]
pub struct LineHandle {
    /// Which.
    pub id: LineId,
    /// Commands to it.
    pub commands: mpsc::Sender<LineCommand>,
}
