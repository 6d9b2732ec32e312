//! Who may be answered automatically, and when. The caller's wish is only a wish: the answer comes from the box's own
//! configuration, and everything not said there means "ring and wait for a key".
//!
//! Pure: [`Consent::decide`] takes the time as an argument and says why, so that the log can.

use super::{Caller, LineId, Now, Offer, Wish};
use jiff::civil::Time;
use jiff::tz::TimeZone;
use std::time::Duration;

/// Nobody counts down for longer (chatta.md 5.1), whatever a platform says.
pub const LONGEST_COUNTDOWN: Duration = Duration::from_secs(300);

/// How long a notice is seen and heard at least, unless configured otherwise.
pub const DEFAULT_FLOOR: Duration = Duration::from_secs(3);

/// Who may be answered automatically.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Automatic {
    /// Nobody, the list of callers included.
    #[default]
    Never,
    /// The listed callers, unless their entry says otherwise.
    ListedCallers,
    /// Everybody, unless their entry in the list says otherwise.
    Always,
}

/// How a caller is named in the list.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// By the platform's id.
    Id(String),
    /// By the platform's login name.
    Username(String),
    /// By one of the two: whichever it is.
    Either(String),
}

/// One entry of the list of callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// On which line, as ids and names of one platform mean nothing on another. `None`: on each, for a box with one line.
    pub line: Option<LineId>,
    /// Who.
    pub who: Who,
    /// Whether they may be answered automatically.
    pub automatic: bool,
    /// Whether that holds in quiet hours too (a night nurse).
    pub in_quiet_hours: bool,
    /// A longer notice for this caller. Shorter than the common floor has no effect.
    pub floor: Option<Duration>,
}

impl Listed {
    /// A caller who may be answered automatically outside quiet hours, with the common floor.
    pub fn allowed(who: Who) -> Listed {
        Listed { line: None, who, automatic: true, in_quiet_hours: false, floor: None }
    }

    /// A caller who is never answered automatically.
    pub fn refused(who: Who) -> Listed {
        Listed { automatic: false, ..Listed::allowed(who) }
    }

    fn names(&self, caller: &Caller) -> bool {
        let is_id = |id: &String| *id == caller.id.0;
        let is_username = |name: &String| caller.username.as_ref() == Some(name);
        self.line.as_ref().is_none_or(|line| *line == caller.line)
            && match &self.who {
                Who::Id(id) => is_id(id),
                Who::Username(name) => is_username(name),
                Who::Either(text) => is_id(text) || is_username(text),
            }
    }
}

/// A span of the resident's day in which nobody is answered automatically; it may cross midnight.
///
/// Only the hands of the clock in the room count, so a night with a change to or from summer time needs no special rule:
/// an hour that comes twice is quiet twice, an hour that is skipped is not missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quiet {
    from: Time,
    until: Time,
}

impl Quiet {
    /// From the first (inclusive) to the second (exclusive). `None` if they are the same: whether that means the whole day
    /// or nothing cannot be told.
    pub fn new(from: Time, until: Time) -> Option<Quiet> {
        (from != until).then_some(Quiet { from, until })
    }

    fn covers(self, time: Time) -> bool {
        if self.from < self.until { self.from <= time && time < self.until } else { self.from <= time || time < self.until }
    }
}

impl std::str::FromStr for Quiet {
    type Err = String;

    /// `22:00-07:00`.
    fn from_str(text: &str) -> Result<Quiet, String> {
        let (from, until) = text.split_once('-').ok_or_else(|| format!("`{text}` is no span of time: write it like 22:00-07:00"))?;
        let time = |part: &str| -> Result<Time, String> {
            let part = part.trim();
            let wrong = || format!("`{part}` is no time of day: write it like 22:00, from 00:00 to 23:59");
            let (hour, minute) = part.split_once(':').ok_or_else(wrong)?;
            if hour.len() != 2 || minute.len() != 2 {
                return Err(wrong());
            }
            Time::new(hour.parse().map_err(|_| wrong())?, minute.parse().map_err(|_| wrong())?, 0, 0).map_err(|_| wrong())
        };
        Quiet::new(time(from)?, time(until)?).ok_or_else(|| format!("`{text}` begins and ends at the same time"))
    }
}

/// The resident's consent, as the box is configured.
#[derive(Debug, Clone, PartialEq)]
pub struct Consent {
    /// The common rule.
    pub automatic: Automatic,
    /// Callers of whom something of their own is said. The first entry that names a caller counts.
    pub callers: Vec<Listed>,
    /// When nobody is answered automatically, but for those whose entry says so.
    pub quiet: Vec<Quiet>,
    /// The resident's time zone, which quiet hours are in.
    pub zone: TimeZone,
    /// How long a notice must have been seen and heard before any automatic answer.
    pub floor: Duration,
}

impl Default for Consent {
    /// Nobody is ever answered automatically.
    fn default() -> Consent {
        Consent { automatic: Automatic::Never, callers: Vec::new(), quiet: Vec::new(), zone: TimeZone::UTC, floor: DEFAULT_FLOOR }
    }
}

/// What consent says to an offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It rings until a key is pressed, and why.
    Ring(Why),
    /// It may be answered by itself.
    Countdown {
        /// After it has been seen and heard for this long.
        length: Duration,
        /// By which rule.
        by: Permission,
    },
}

/// Why an offer rings, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// The caller did not ask for an automatic answer.
    NotWished,
    /// Nobody is answered automatically here.
    Never,
    /// The caller is not on the list.
    NotListed,
    /// The caller's entry refuses it.
    Refused,
    /// It is quiet time.
    QuietHours,
}

/// By which rule an offer may be answered by itself, for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Permission {
    /// The caller is on the list.
    Listed,
    /// Everybody may be.
    Everybody,
}

impl Consent {
    /// What consent says to this offer at this time. The caller can make the notice longer, never shorter than the floor.
    pub fn decide(&self, offer: &Offer, now: Now) -> Decision {
        let Wish::Answer { after } = offer.wish else { return Decision::Ring(Why::NotWished) };
        let listed = self.callers.iter().find(|listed| listed.names(&offer.caller));
        let by = match (self.automatic, listed) {
            (Automatic::Never, _) => return Decision::Ring(Why::Never),
            (_, Some(listed)) if !listed.automatic => return Decision::Ring(Why::Refused),
            (_, Some(_)) => Permission::Listed,
            (Automatic::ListedCallers, None) => return Decision::Ring(Why::NotListed),
            (Automatic::Always, None) => Permission::Everybody,
        };
        if self.is_quiet(now) && !listed.is_some_and(|listed| listed.in_quiet_hours) {
            return Decision::Ring(Why::QuietHours);
        }
        let floor = listed.and_then(|listed| listed.floor).unwrap_or_default().max(self.floor);
        Decision::Countdown { length: after.min(LONGEST_COUNTDOWN).max(floor), by }
    }

    /// Whether it is quiet time in the resident's room.
    pub fn is_quiet(&self, now: Now) -> bool {
        let time = now.wall.to_zoned(self.zone.clone()).time();
        self.quiet.iter().any(|quiet| quiet.covers(time))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{at, offer_by};
    use super::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn wishing(after: u64) -> Offer {
        Offer { wish: Wish::Answer { after: seconds(after) }, ..offer_by("5") }
    }

    fn listed(entries: impl Into<Vec<Listed>>) -> Consent {
        Consent { automatic: Automatic::ListedCallers, callers: entries.into(), ..Consent::default() }
    }

    fn decide(consent: &Consent, offer: &Offer) -> Decision {
        consent.decide(offer, at("2026-11-20T12:00:00Z"))
    }

    fn id(id: &str) -> Who {
        Who::Id(id.into())
    }

    #[test]
    fn nobody_is_answered_automatically_unless_configured() {
        assert_eq!(decide(&Consent::default(), &wishing(10)), Decision::Ring(Why::Never));
        let switched_off = Consent { automatic: Automatic::Never, ..listed([Listed::allowed(id("5"))]) };
        assert_eq!(decide(&switched_off, &wishing(10)), Decision::Ring(Why::Never));
    }

    #[test]
    fn a_caller_who_does_not_wish_it_is_not_answered_automatically() {
        let always = Consent { automatic: Automatic::Always, ..Consent::default() };
        assert_eq!(decide(&always, &offer_by("5")), Decision::Ring(Why::NotWished));
    }

    #[test]
    fn callers_are_listed_by_id_or_user_name_of_their_line() {
        let by = Permission::Listed;
        for who in [id("5"), Who::Username("user5".into()), Who::Either("5".into()), Who::Either("user5".into())] {
            assert_eq!(decide(&listed([Listed::allowed(who)]), &wishing(10)), Decision::Countdown { length: seconds(10), by });
        }
        for who in [id("user5"), id("55"), Who::Username("5".into()), Who::Either("6".into())] {
            assert_eq!(decide(&listed([Listed::allowed(who)]), &wishing(10)), Decision::Ring(Why::NotListed));
        }
        let of_line = |line: &str| listed([Listed { line: Some(LineId(line.into())), ..Listed::allowed(id("5")) }]);
        assert_eq!(decide(&of_line("chatta"), &wishing(10)), Decision::Countdown { length: seconds(10), by });
        assert_eq!(decide(&of_line("phonenet"), &wishing(10)), Decision::Ring(Why::NotListed));
        let nameless = Offer { caller: Caller { username: None, ..offer_by("5").caller }, ..wishing(10) };
        assert_eq!(decide(&listed([Listed::allowed(Who::Username(String::new()))]), &nameless), Decision::Ring(Why::NotListed));
    }

    #[test]
    fn a_caller_can_be_excepted_from_always_and_the_first_entry_counts() {
        let always = Consent { automatic: Automatic::Always, callers: vec![Listed::refused(id("6"))], ..Consent::default() };
        assert_eq!(decide(&always, &wishing(10)), Decision::Countdown { length: seconds(10), by: Permission::Everybody });
        assert_eq!(decide(&always, &Offer { wish: wishing(10).wish, ..offer_by("6") }), Decision::Ring(Why::Refused));
        let both = listed([Listed::refused(id("5")), Listed::allowed(id("5"))]);
        assert_eq!(decide(&both, &wishing(10)), Decision::Ring(Why::Refused));
    }

    #[test]
    fn the_caller_makes_the_notice_longer_but_never_shorter_than_the_floor() {
        let length = |consent: &Consent, after| match decide(consent, &wishing(after)) {
            Decision::Countdown { length, .. } => length.as_secs(),
            Decision::Ring(why) => panic!("{why:?}"),
        };
        let plain = listed([Listed::allowed(id("5"))]);
        assert_eq!([0, 1, 3, 4, 300, 301, u64::MAX / 2].map(|after| length(&plain, after)), [3, 3, 3, 4, 300, 300, 300]);
        let slow = listed([Listed { floor: Some(seconds(20)), ..Listed::allowed(id("5")) }]);
        assert_eq!([0, 19, 21].map(|after| length(&slow, after)), [20, 20, 21]);
        let hasty = listed([Listed { floor: Some(Duration::ZERO), ..Listed::allowed(id("5")) }]);
        assert_eq!(length(&hasty, 0), 3);
        let patient = Consent { floor: seconds(400), ..plain };
        assert_eq!(length(&patient, 0), 400);
    }

    #[test]
    fn quiet_hours_cross_midnight_in_the_residents_time_zone() {
        let london = TimeZone::get("Europe/London").unwrap();
        let consent = Consent { quiet: vec!["22:00-07:00".parse().unwrap()], zone: london, ..listed([Listed::allowed(id("5"))]) };
        let quiet = |time: &str| consent.decide(&wishing(10), at(time)) == Decision::Ring(Why::QuietHours);
        // Winter: London is at UTC.
        assert_eq!(["21:59:59", "22:00:00", "23:59:59"].map(|t| quiet(&format!("2026-11-20T{t}Z"))), [false, true, true]);
        assert_eq!(["00:00:00", "06:59:59", "07:00:00"].map(|t| quiet(&format!("2026-11-20T{t}Z"))), [true, true, false]);
        // Summer: one hour ahead.
        assert_eq!(["20:59:59", "21:00:00"].map(|t| quiet(&format!("2026-07-20T{t}Z"))), [false, true]);
        assert_eq!(["05:59:59", "06:00:00"].map(|t| quiet(&format!("2026-07-20T{t}Z"))), [true, false]);
    }

    #[test]
    fn quiet_hours_follow_the_clock_on_the_wall_when_summer_time_begins_and_ends() {
        let zone = TimeZone::get("Europe/London").unwrap();
        let consent = Consent { quiet: vec!["01:30-03:00".parse().unwrap()], zone, ..Consent::default() };
        let quiet = |time: &str| consent.is_quiet(at(time));
        // 29 March 2026: 01:00 GMT is followed by 02:00 BST.
        assert_eq!(
            ["00:59:59", "01:00:00", "01:59:59", "02:00:00"].map(|t| quiet(&format!("2026-03-29T{t}Z"))),
            [false, true, true, false]
        );
        // 25 October 2026: 02:00 BST is followed by 01:00 GMT, so half past one comes twice.
        assert_eq!(["00:29:59", "00:30:00", "00:59:59"].map(|t| quiet(&format!("2026-10-25T{t}Z"))), [false, true, true]);
        assert_eq!(["01:00:00", "01:30:00", "03:00:00"].map(|t| quiet(&format!("2026-10-25T{t}Z"))), [false, true, false]);
    }

    #[test]
    fn a_night_nurse_may_be_answered_in_quiet_hours() {
        let nurse = Listed { in_quiet_hours: true, ..Listed::allowed(id("5")) };
        let consent = Consent { quiet: vec!["22:00-07:00".parse().unwrap()], ..listed([nurse]) };
        assert!(matches!(consent.decide(&wishing(10), at("2026-11-20T23:00:00Z")), Decision::Countdown { .. }));
    }

    #[test]
    fn spans_that_cannot_be_are_told() {
        for text in ["", "22:00", "22-7", "24:00-07:00", "22:60-07:00", "2:00-07:00", "-1:00-07:00", "07:00-07:00", "22:00-07:00-08:00"] {
            assert!(text.parse::<Quiet>().is_err(), "{text}");
        }
        assert_eq!("13:00 - 14:30".parse(), Ok(Quiet { from: Time::constant(13, 0, 0, 0), until: Time::constant(14, 30, 0, 0) }));
    }
}
