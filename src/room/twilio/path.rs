//! Whether sound and picture have a path, without I/O: when to ask for another one (ICE restart), when to say that the
//! connection is weak, and when to give up (twilio-video.md section 7).

use super::Timings;
use std::time::{Duration, Instant};

/// Between two attempts to find another path.
const AGAIN: Duration = Duration::from_secs(8);
/// For the first path: gathering relays takes seconds, and a restart would only begin it anew.
const FIRST: Duration = Duration::from_secs(10);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Condition {
    /// Nothing was agreed yet: the first peer connection may never be needed (section 5, "Topologies").
    #[default]
    Idle,
    /// The far side takes part; not connected yet.
    Begun {
        since: Instant,
        hopeless: bool,
    },
    Connected,
    Lost {
        since: Instant,
        hopeless: bool,
    },
}

/// The media path of one peer connection.
#[derive(Debug, Default)]
pub struct Path {
    condition: Condition,
    restarted: Option<Instant>,
    /// Another path is wanted, whatever the condition of this one.
    wanted: Option<Instant>,
    trouble: Option<String>,
}

impl Path {
    /// The far side takes part.
    pub fn begun(&mut self, now: Instant) {
        if self.condition == Condition::Idle {
            self.condition = Condition::Begun { since: now, hopeless: false };
        }
    }

    /// Whether nothing is expected of it.
    pub fn is_idle(&self) -> bool {
        self.condition == Condition::Idle
    }

    /// Media can flow.
    pub fn connected(&mut self) {
        *self = Path { condition: Condition::Connected, ..Path::default() };
    }

    /// Nothing is heard any more.
    pub fn disconnected(&mut self, now: Instant) {
        if self.condition == Condition::Connected {
            self.condition = Condition::Lost { since: now, hopeless: false };
        }
    }

    /// It will not come back without a restart.
    pub fn failed(&mut self, now: Instant, why: String) {
        self.trouble = Some(why);
        match &mut self.condition {
            Condition::Idle => {}
            Condition::Connected => self.condition = Condition::Lost { since: now, hopeless: true },
            Condition::Begun { hopeless, .. } | Condition::Lost { hopeless, .. } => *hopeless = true,
        }
    }

    /// Another path is wanted as soon as it can be asked for.
    pub fn wanted(&mut self, now: Instant) {
        if self.condition != Condition::Idle {
            self.wanted = Some(now);
        }
    }

    /// What may be the reason if it comes to nothing.
    pub fn trouble(&mut self, why: String) {
        self.trouble = Some(why);
    }

    fn missing_since(&self) -> Option<Instant> {
        match self.condition {
            Condition::Begun { since, .. } | Condition::Lost { since, .. } => Some(since),
            Condition::Idle | Condition::Connected => None,
        }
    }

    fn restart_at(&self, timings: &Timings) -> Option<Instant> {
        if self.wanted.is_some() {
            return self.wanted;
        }
        let due = match self.condition {
            Condition::Idle | Condition::Connected => return None,
            Condition::Begun { since, hopeless: true } | Condition::Lost { since, hopeless: true } => since,
            Condition::Begun { since, hopeless: false } => since + FIRST,
            Condition::Lost { since, hopeless: false } => since + timings.restart_after,
        };
        Some(self.restarted.map_or(due, |at| due.max(at + AGAIN)))
    }
}

/// The media paths of a call: it has one as long as one peer connection has.
#[derive(Debug)]
pub struct Paths {
    timings: Timings,
    weak: bool,
}

impl Paths {
    /// None yet.
    pub fn new(timings: Timings) -> Self {
        Self { timings, weak: false }
    }

    /// Since when the call has no path, of those that should have one.
    fn missing_since<'a>(paths: impl Iterator<Item = &'a Path>) -> Option<(Instant, Option<&'a str>)> {
        let mut missing: Option<(Instant, Option<&str>)> = None;
        for path in paths {
            if path.condition == Condition::Connected {
                return None;
            }
            if let Some(since) = path.missing_since()
                && missing.is_none_or(|(earliest, _)| since < earliest)
            {
                missing = Some((since, path.trouble.as_deref()));
            }
        }
        missing
    }

    /// When [`Paths::given_up`] or, with signalling, [`Paths::restart`] is due.
    pub fn next_deadline<'a>(&self, paths: impl Iterator<Item = &'a Path> + Clone, signalling: bool) -> Option<Instant> {
        let give_up = Self::missing_since(paths.clone()).map(|(since, _)| since + self.timings.give_up_after);
        let restart = paths.filter(|_| signalling).filter_map(|p| p.restart_at(&self.timings)).min();
        give_up.into_iter().chain(restart).min()
    }

    /// Whether this one is to be restarted now; then it is not asked for again for a while.
    pub fn restart(&self, now: Instant, path: &mut Path) -> bool {
        let due = path.restart_at(&self.timings).is_some_and(|at| now >= at);
        if due {
            path.restarted = Some(now);
            path.wanted = None;
        }
        due
    }

    /// Why there is no hope any more.
    pub fn given_up<'a>(&self, now: Instant, paths: impl Iterator<Item = &'a Path>) -> Option<String> {
        let (since, trouble) = Self::missing_since(paths)?;
        let limit = self.timings.give_up_after;
        (now >= since + limit).then(|| {
            let trouble = trouble.map(|t| format!(": {t}")).unwrap_or_default();
            format!(
                "no path for sound and picture for {} s{trouble}; check that UDP or the TURN relay is not blocked (code 53405)",
                limit.as_secs()
            )
        })
    }

    /// Whether the connection has become weak (`true`) or good again since it was last asked: it is weak when a path that
    /// was there is lost and there is no other.
    pub fn changed<'a>(&mut self, paths: impl Iterator<Item = &'a Path> + Clone) -> Option<bool> {
        let lost = paths.clone().any(|p| matches!(p.condition, Condition::Lost { .. }));
        let weak = lost && Self::missing_since(paths).is_some();
        (std::mem::replace(&mut self.weak, weak) != weak).then_some(weak)
    }

    /// Whether the connection is weak.
    pub fn is_weak(&self) -> bool {
        self.weak
    }
}
