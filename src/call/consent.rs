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
}

/// One entry of the list of callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// On which line. Ids and names of one platform mean nothing on another.
    pub line: LineId,
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
    pub fn new(line: LineId, who: Who) -> Listed {
        Listed { line, who, automatic: true, in_quiet_hours: false, floor: None }
    }

    fn names(&self, caller: &Caller) -> bool {
        self.line == caller.line
            && match &self.who {
                Who::Id(id) => *id == caller.id.0,
                Who::Username(name) => caller.username.as_ref() == Some(name),
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
