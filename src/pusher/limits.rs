//! What a server takes from a client, checked before it is sent: a violation costs the event and nobody is told
//! (chatta.md 6, client events).

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Client events a second and connection.
pub const EVENTS_A_SECOND: usize = 10;
/// Bytes of a client event's data.
pub const DATA_BYTES: usize = 10 * 1024;
/// Characters of an event's name.
pub const EVENT_NAME: usize = 200;
/// Characters of a channel's name (hosted service; others allow more).
pub const CHANNEL_NAME: usize = 164;
/// Bytes of a frame that is looked at.
pub const FRAME_BYTES: usize = 64 * 1024;

/// Why an event cannot be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// Client events are marked by their name.
    #[error("the name of a client event begins with client-")]
    NotAClientEvent,
    /// Longer than the protocol's 200 characters, or holding control characters.
    #[error("the event's name is too long or not printable")]
    EventName,
    /// Only members of a channel that needs a signature may speak.
    #[error("client events are for private and presence channels")]
    PublicChannel,
    /// More than the protocol's 10 KiB.
    #[error("the data is longer than 10 KB")]
    TooLong,
    /// Connection or subscription is missing at the moment.
    #[error("the channel is not subscribed to at the moment")]
    NotSubscribed,
    /// Too many wait already.
    #[error("too many events wait to be sent")]
    Full,
}

/// Whether the server will take an event of these names and this payload.
pub fn check(channel: &str, event: &str, data: &str) -> Result<(), TriggerError> {
    if !event.starts_with("client-") {
        return Err(TriggerError::NotAClientEvent);
    }
    if event.chars().count() > EVENT_NAME || event.chars().any(char::is_control) {
        return Err(TriggerError::EventName);
    }
    if !needs_signature(channel) {
        return Err(TriggerError::PublicChannel);
    }
    if data.len() > DATA_BYTES {
        return Err(TriggerError::TooLong);
    }
    Ok(())
}

/// Whether the channel is private or a presence channel.
pub fn needs_signature(channel: &str) -> bool {
    channel.starts_with("private-") || channel.starts_with("presence-")
}

/// Whether this can be a channel's name.
pub fn is_channel_name(name: &str) -> bool {
    !name.is_empty() && name.len() <= CHANNEL_NAME && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-=@,.;".contains(&b))
}

/// A little over the second that is meant: the server counts by the times of arrival.
const WINDOW: Duration = Duration::from_millis(1050);

/// The events sent within the last second.
#[derive(Debug, Default)]
pub struct Pace {
    sent: VecDeque<Instant>,
}

impl Pace {
    /// When the window opens again, if it is closed.
    pub fn opens(&self) -> Option<Instant> {
        (self.sent.len() >= EVENTS_A_SECOND).then(|| self.sent[0] + WINDOW)
    }

    /// When the next event may be sent; at once: `None`.
    pub fn wait(&mut self, now: Instant) -> Option<Instant> {
        while self.sent.front().is_some_and(|at| *at + WINDOW <= now) {
            self.sent.pop_front();
        }
        self.opens()
    }

    /// One was sent.
    pub fn sent(&mut self, now: Instant) {
        self.sent.push_back(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_sizes_at_and_over_the_limit() {
        let ok = |channel: &str, event: &str, data: &str| check(channel, event, data);
        let event = |n: usize| format!("client-{}", "e".repeat(n - 7));
        assert_eq!(ok("private-a", &event(200), &"x".repeat(10_240)), Ok(()));
        assert_eq!(ok("presence-a", "client-a", "{}"), Ok(()));
        assert_eq!(ok("private-a", &event(201), "{}"), Err(TriggerError::EventName));
        assert_eq!(ok("private-a", "client-\n", "{}"), Err(TriggerError::EventName));
        assert_eq!(ok("private-a", "e", "{}"), Err(TriggerError::NotAClientEvent));
        assert_eq!(ok("public", "client-a", "{}"), Err(TriggerError::PublicChannel));
        assert_eq!(ok("private-a", "client-a", &"x".repeat(10_241)), Err(TriggerError::TooLong));
        assert!(is_channel_name("private-aZ09_-=@,.;"));
        assert!(is_channel_name(&"c".repeat(164)));
        for bad in ["", "a b", "a/b", "ä", "a\n", &"c".repeat(165)] {
            assert!(!is_channel_name(bad), "{bad}");
        }
    }

    #[test]
    fn the_eleventh_event_waits_until_the_first_is_a_second_old() {
        let (start, ms) = (Instant::now(), Duration::from_millis);
        let mut pace = Pace::default();
        for n in 0..10 {
            assert_eq!(pace.wait(start + ms(n)), None);
            pace.sent(start + ms(n));
        }
        assert_eq!(pace.wait(start + ms(500)), Some(start + ms(1050)));
        assert_eq!(pace.wait(start + ms(1050)), None);
    }
}
