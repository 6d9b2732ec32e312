//! How long to wait before the next attempt: exponential with full jitter, so that a thousand boxes that lost the same
//! server do not come back in the same second.

use std::time::Duration;

/// Delays that double (or grow by another [factor](Backoff::with_factor)) from `base` to `cap`, each drawn evenly between
/// `floor` and that bound ("full jitter").
#[derive(Debug, Clone)]
pub struct Backoff {
    floor: Duration,
    base: Duration,
    cap: Duration,
    factor: f64,
    attempt: u32,
}

impl Backoff {
    /// A fresh sequence. `floor` keeps an attempt from following at once, against busy loops.
    pub fn new(floor: Duration, base: Duration, cap: Duration) -> Self {
        Self { floor, base, cap, factor: 2.0, attempt: 0 }
    }

    /// The same with another growth than doubling, where a protocol prescribes one.
    pub fn with_factor(self, factor: f64) -> Self {
        Self { factor, ..self }
    }

    /// The bound of the next delay.
    pub fn bound(&self) -> Duration {
        let grown = self.base.as_secs_f64() * self.factor.powi(self.attempt.min(64) as i32);
        Duration::try_from_secs_f64(grown).map_or(self.cap, |grown| grown.min(self.cap))
    }

    /// The next delay; `random` is drawn evenly from 0..1.
    pub fn next(&mut self, random: f64) -> Duration {
        let bound = self.bound();
        self.attempt = self.attempt.saturating_add(1);
        // Drawn above the floor, not cut off at it: else a tenth of a thousand boxes would meet exactly there.
        self.floor + bound.saturating_sub(self.floor).mul_f64(random.clamp(0.0, 1.0))
    }

    /// It worked: start over.
    pub fn reset(&mut self) {
        self.attempt = 0;
    }

    /// How many delays were given since the last reset.
    pub fn attempts(&self) -> u32 {
        self.attempt
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_to_the_cap_and_jitters_over_the_whole_range() {
        let s = Duration::from_secs;
        let mut b = Backoff::new(Duration::from_millis(100), s(1), s(60));
        let bounds: Vec<_> = (0..9)
            .map(|_| {
                let x = b.bound();
                b.next(0.5);
                x.as_secs()
            })
            .collect();
        assert_eq!(bounds, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(b.next(1.0), s(60));
        assert_eq!(b.next(0.0), Duration::from_millis(100));
        for _ in 0..10_000 {
            b.next(0.1);
        }
        b.reset();
        assert_eq!(b.next(1.0), s(1));
    }
}
