//! The daemon's state in one line, for `systemctl status`. No names and no addresses: anybody on the box may read it.

use crate::api::Status;
use crate::call::Phase;
use crate::line::LineState;

/// What goes on, and whether calls can arrive.
pub fn words(status: &Status) -> String {
    let now = match status.now.phase {
        Phase::Idle | Phase::Message => "no call",
        Phase::Ringing => "a call rings",
        Phase::Countdown => "a call is about to be answered",
        Phase::Preparing => "a call is being answered",
        Phase::Waiting => "accepted, waiting for the caller",
        Phase::Talking => "in a call",
        Phase::Stopped => "stopping",
    };
    let mut words = now.to_owned();
    if status.lines.is_empty() {
        words += "; no line yet";
    }
    for (name, line) in &status.lines {
        words += "; ";
        words += name;
        words += match line.state {
            LineState::Connecting => " connecting",
            LineState::Online => " online",
            LineState::Offline { .. } => " offline (why: journalctl -u residentd)",
        };
    }
    if !status.camera {
        words += "; no camera";
    }
    if !status.microphone {
        words += "; no microphone";
    }
    words
}
