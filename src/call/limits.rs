//! Times and limits of a call.

use super::Now;
use std::time::{Duration, Instant};

/// Longer than any call; keeps arithmetic with configured durations from overflowing.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Times and limits (chatta.md 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long it rings; a countdown's length comes on top, so that a late notice is still a whole one.
    pub ring: Duration,
    /// How long getting what is needed to join the room may take. Lines give up earlier; this only bounds a silent one.
    pub prepare: Duration,
    /// How long we wait in the room for the caller.
    pub wait: Duration,
    /// How long a caller may be gone from the room, e.g. to reload the page.
    pub grace: Duration,
    /// After an `accepted`, how long a further request of the caller is taken for a repetition of the answered one
    /// (chatta.md 5.2), and their withdrawal for one that crossed our answer.
    pub again: Duration,
    /// When an `accepted` that may be lost is repeated (chatta.md 6.2).
    pub uncertain: Duration,
    /// The longest a call may last, from its acceptance.
    pub maximum: Option<Duration>,
    /// How long the message of an ended call is shown.
    pub message: Duration,
    /// How long the message that there is no camera is shown.
    pub no_camera: Duration,
    /// After how long the television is put back although the message of missed calls stays.
    pub missed: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            ring: seconds(45),
            prepare: seconds(20),
            wait: seconds(30),
            grace: seconds(10),
            again: seconds(15),
            uncertain: seconds(10),
            maximum: None,
            message: seconds(4),
            no_camera: seconds(10),
            missed: seconds(10),
        }
    }
}

/// This long from now.
pub(super) fn after(now: Now, duration: Duration) -> Instant {
    now.mono + duration.min(FOREVER)
}
