//! How long the jitter buffer waits. The configured time is for a good link; a lost packet that is asked for again needs a
//! round trip, and one that comes too late was repaired for nothing. So the wait grows when packets come late, to
//! what the round trip asks for, and shrinks again when the link has been good for a while. No I/O, no clock.

use std::time::{Duration, Instant};

/// Never longer: beyond this people talk into each other. Room for a repair of a repair on a long way.
const MOST: Duration = Duration::from_millis(600);
/// On top of the round trip: until the gap is noticed, asked for (20 ms), and the answer is queued.
const ASKING: Duration = Duration::from_millis(60);
/// Growth when packets come late and the round trip is not known or does not explain it.
const STEP: Duration = Duration::from_millis(40);
/// At most one growth in this time: what is late now was late already before the last one.
const SETTLE: Duration = Duration::from_millis(250);
/// Good for so long: shorter by one step.
const GOOD: Duration = Duration::from_secs(20);

/// The wait of one stream.
#[derive(Debug)]
pub struct Delay {
    least: Duration,
    now: Duration,
    lost: u64,
    late: u64,
    grown: Option<Instant>,
    good_since: Option<Instant>,
}

impl Delay {
    /// `least` is the configured wait.
    pub fn new(least: Duration) -> Delay {
        Delay { least, now: least, lost: 0, late: 0, grown: None, good_since: None }
    }

    /// `lost` packets were missing when their time came, `late` came after it (both counted from the start); `rtt` is the
    /// round trip if it is known. The new wait, if it changes.
    pub fn tick(&mut self, now: Instant, lost: u64, late: u64, rtt: Option<Duration>) -> Option<Duration> {
        // A decoder that was replaced counts from zero.
        let came_late = late > self.late;
        let missing = lost > self.lost;
        (self.lost, self.late) = (lost, late);
        let before = self.now;
        if (came_late || missing) && self.grown.is_none_or(|t| now.saturating_duration_since(t) >= SETTLE) {
            // What is lost for good is no reason to wait longer than one repair takes; what came too late is one to wait for
            // one repair more than there was time for: a repair is lost like everything else.
            let repair = rtt.map_or(Duration::ZERO, |rtt| rtt + ASKING);
            let one_more = if repair.is_zero() { 0 } else { u32::try_from(self.now.as_millis() / repair.as_millis()).unwrap_or(0) + 1 };
            let asked = if came_late { repair * one_more } else { repair };
            let step = if came_late { self.now + STEP } else { Duration::ZERO };
            self.now = self.now.max(asked).max(step).min(MOST.max(self.least));
            self.grown = Some(now);
        }
        if came_late || missing {
            self.good_since = Some(now);
        } else if now.saturating_duration_since(*self.good_since.get_or_insert(now)) >= GOOD {
            self.now = self.now.saturating_sub(STEP).max(self.least);
            self.good_since = Some(now);
        }
        (self.now != before).then_some(self.now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEAST: Duration = Duration::from_millis(100);

    #[test]
    fn a_good_link_keeps_the_configured_wait() {
        let (mut delay, start) = (Delay::new(LEAST), Instant::now());
        assert!((0..1000).all(|i| delay.tick(start + i * SETTLE, 0, 0, Some(Duration::from_millis(300))).is_none()));
    }

    #[test]
    fn a_loss_makes_room_for_its_repair_at_once() {
        let mut delay = Delay::new(LEAST);
        assert_eq!(delay.tick(Instant::now(), 1, 0, Some(Duration::from_millis(160))), Some(Duration::from_millis(220)));
    }

    #[test]
    fn a_repair_that_was_lost_itself_gets_room_for_a_second() {
        let (mut delay, start, rtt) = (Delay::new(LEAST), Instant::now(), Some(Duration::from_millis(160)));
        delay.tick(start, 1, 0, rtt);
        assert_eq!(delay.tick(start + SETTLE, 2, 1, rtt), Some(Duration::from_millis(440)));
        assert_eq!(delay.tick(start + SETTLE * 2, 3, 2, rtt), Some(MOST));
    }

    #[test]
    fn a_loss_on_a_short_way_changes_nothing() {
        let mut delay = Delay::new(LEAST);
        assert_eq!(delay.tick(Instant::now(), 5, 0, Some(Duration::from_millis(5))), None);
        assert_eq!(delay.tick(Instant::now(), 9, 0, None), None);
    }

    #[test]
    fn packets_that_come_late_lengthen_the_wait_step_by_step_up_to_a_bound() {
        let (mut delay, start) = (Delay::new(LEAST), Instant::now());
        for i in 1..50u32 {
            delay.tick(start + i * SETTLE, 0, u64::from(i), None);
        }
        assert_eq!(delay.now, MOST);
    }

    #[test]
    fn after_a_good_while_it_goes_back_step_by_step() {
        let (mut delay, start) = (Delay::new(LEAST), Instant::now());
        delay.tick(start, 1, 0, Some(Duration::from_millis(160)));
        let waits: Vec<u128> = (1..400u32).filter_map(|i| delay.tick(start + i * SETTLE, 1, 0, None)).map(|d| d.as_millis()).collect();
        assert_eq!(waits, [180, 140, 100]);
    }

    #[test]
    fn a_longer_configured_wait_is_kept() {
        let long = Duration::from_millis(600);
        let mut delay = Delay::new(long);
        delay.tick(Instant::now(), 1, 1, Some(Duration::from_secs(2)));
        assert_eq!(delay.now, long);
    }
}
