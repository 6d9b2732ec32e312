//! How the platform shows the resident to callers. Nothing in the protocol tells a box that it is seen as online; after each
//! subscription it is looked up, so that a box that believes itself reachable and is not does not stay so unnoticed. A value;
//! the time is an argument.

use std::time::{Duration, Instant};

/// The platform derives presence from subscriptions by way of web hooks: for so long an old word may still be the last.
const GRACE: Duration = Duration::from_secs(10);

/// What to tell the technician.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Callers see the resident as online.
    Online,
    /// They do not, although calls can arrive.
    Offline,
}

/// What is known of it.
#[derive(Debug, Default)]
pub struct Shown {
    look_at: Option<Instant>,
    doubted: bool,
    told: Option<Verdict>,
}

impl Shown {
    /// The channel of presence is subscribed to: the record is looked up.
    pub fn subscribed(&mut self, now: Instant) {
        *self = Shown { look_at: Some(now), doubted: false, told: self.told };
    }

    /// The box is offline: what the platform shows is right, whatever it is.
    pub fn offline(&mut self) {
        *self = Shown { told: self.told, ..Shown::default() };
    }

    /// When the record is to be looked up.
    pub fn look_at(&self) -> Option<Instant> {
        self.look_at
    }

    /// It is being looked up.
    pub fn looking(&mut self) {
        self.look_at = None;
    }

    /// The platform's word, asked for or told by itself, while the box is online; what has become certain by it and was not
    /// told before.
    pub fn heard(&mut self, now: Instant, online: Option<bool>) -> Option<Verdict> {
        let verdict = match online {
            None => return None,
            Some(true) => {
                self.offline();
                Verdict::Online
            }
            Some(false) if self.doubted && self.look_at.is_none() => Verdict::Offline,
            Some(false) => {
                self.doubted = true;
                self.look_at.get_or_insert(now + GRACE);
                return None;
            }
        };
        (self.told.replace(verdict) != Some(verdict)).then_some(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_word_that_lasts_is_believed() {
        let start = Instant::now();
        let mut shown = Shown::default();
        shown.subscribed(start);
        assert_eq!(shown.look_at(), Some(start));
        shown.looking();
        assert_eq!(shown.heard(start, Some(false)), None);
        assert_eq!(shown.look_at(), Some(start + GRACE));
        // A second late word does not make it certain, and does not put off the look.
        assert_eq!(shown.heard(start + GRACE / 2, Some(false)), None);
        assert_eq!(shown.look_at(), Some(start + GRACE));
        shown.looking();
        assert_eq!(shown.heard(start + GRACE, Some(false)), Some(Verdict::Offline));
        assert_eq!(shown.heard(start + GRACE, Some(false)), None, "told once");
        assert_eq!(shown.heard(start + GRACE, Some(true)), Some(Verdict::Online));
        assert_eq!(shown.heard(start + GRACE, Some(true)), None);
        assert_eq!(shown.look_at(), None);
    }

    #[test]
    fn an_answer_without_the_word_changes_nothing() {
        let start = Instant::now();
        let mut shown = Shown::default();
        shown.subscribed(start);
        shown.looking();
        assert_eq!(shown.heard(start, None), None);
        assert_eq!(shown.look_at(), None);
        shown.subscribed(start);
        shown.offline();
        assert_eq!(shown.look_at(), None);
    }
}
