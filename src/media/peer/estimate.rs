//! How much the far side may send us: our own receive-side estimate, told by REMB. Sans-I/O.
//!
//! Chromium sends only 0.5 to 0.9 Mbit/s on the crate's transport-wide feedback and the full rate on a fixed REMB. So
//! the estimate starts at its upper bound and only trouble lowers it: a queue that grows on the way (packets come later
//! and later), or so much loss that it is a thin link and not bad radio. Random loss that repairs can mend lowers
//! nothing. What was lowered comes back slowly, as fast as what really arrives proves it.

use std::collections::HashMap;
use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

/// How often the situation is judged.
const INTERVAL: Duration = Duration::from_millis(250);
/// A queue of this length that still grows is too much of one.
const QUEUE: Duration = Duration::from_millis(60);
/// A queue this long is too much even when it no longer grows: the buffer on the way is full.
const FULL_QUEUE: Duration = Duration::from_millis(250);
/// Growth of the queue within one interval that is more than jitter.
const GROWTH: Duration = Duration::from_millis(8);
/// Loss that is no bad radio any more.
const HIGH_LOSS: f64 = 0.15;
/// Loss below which more may be tried.
const LOW_LOSS: f64 = 0.05;
/// The lowest delay of so many intervals counts as the empty way (10 s): clocks drift, and ways change.
const BASE_INTERVALS: usize = 40;
/// After a decrease the way needs time to drain before it is judged again.
const SETTLE: Duration = Duration::from_millis(500);
/// No increase so soon after a decrease.
const HOLD: Duration = Duration::from_secs(2);
/// Factor of an increase an interval: about 8 % a second.
const INCREASE: f64 = 1.02;

/// One stream's arrivals within the current interval and its delay base.
struct Stream {
    clock_rate: f64,
    first: Option<(Instant, u32)>,
    /// RTP time since the first packet, extended over its wrap.
    rtp: i64,
    last_rtp: u32,
    highest: u16,
    received: u32,
    expected: u32,
    /// Lowest relative delay in this interval, seconds.
    lowest: Option<f64>,
    /// Lowest of each of the last intervals.
    base: std::collections::VecDeque<f64>,
    queue: f64,
}

impl Stream {
    fn received(&mut self, now: Instant, sequence: u16, timestamp: u32) {
        let Some((start, _)) = self.first else {
            self.first = Some((now, timestamp));
            (self.last_rtp, self.highest, self.received, self.expected) = (timestamp, sequence, 1, 1);
            return;
        };
        self.received += 1;
        let step = sequence.wrapping_sub(self.highest) as i16;
        if step > 0 {
            // A jump is a new start of the sender, not loss.
            self.expected += if step < 1000 { step as u32 } else { 1 };
            self.highest = sequence;
        }
        let rtp_step = timestamp.wrapping_sub(self.last_rtp) as i32;
        self.rtp += i64::from(rtp_step);
        self.last_rtp = timestamp;
        let delay = now.duration_since(start).as_secs_f64() - self.rtp as f64 / self.clock_rate;
        self.lowest = Some(self.lowest.map_or(delay, |lowest| lowest.min(delay)));
    }

    /// Closes the interval: the queue's length and growth in seconds, where anything came.
    fn close(&mut self) -> Option<(f64, f64)> {
        let lowest = self.lowest.take()?;
        self.base.push_back(lowest);
        if self.base.len() > BASE_INTERVALS {
            self.base.pop_front();
        }
        let base = self.base.iter().copied().fold(f64::INFINITY, f64::min);
        let queue = lowest - base;
        let growth = queue - self.queue;
        self.queue = queue;
        Some((queue, growth))
    }
}

/// The estimate of one peer connection.
pub(super) struct Estimate {
    bounds: RangeInclusive<u64>,
    current: f64,
    streams: HashMap<u32, Stream>,
    /// Bytes of everything since the interval began, and the rate of the last ones, bit/s.
    bytes: u64,
    rate: f64,
    opened: Option<Instant>,
    decreased: Option<Instant>,
    high_loss_before: bool,
    loss: f64,
}

impl Estimate {
    pub(super) fn new(bounds: RangeInclusive<u64>) -> Estimate {
        let current = *bounds.end() as f64;
        Estimate {
            bounds,
            current,
            streams: HashMap::new(),
            bytes: 0,
            rate: 0.0,
            opened: None,
            decreased: None,
            high_loss_before: false,
            loss: 0.0,
        }
    }

    /// A stream whose arrivals count from now on; `clock_rate` in Hz.
    pub(super) fn add(&mut self, ssrc: u32, clock_rate: u32) {
        self.streams.entry(ssrc).or_insert_with(|| Stream {
            clock_rate: f64::from(clock_rate.max(1)),
            first: None,
            rtp: 0,
            last_rtp: 0,
            highest: 0,
            received: 0,
            expected: 0,
            lowest: None,
            base: Default::default(),
            queue: 0.0,
        });
    }

    /// It ended.
    pub(super) fn remove(&mut self, ssrc: u32) {
        self.streams.remove(&ssrc);
    }

    /// The way is another one (ICE restart): its delays say nothing about the old one's.
    pub(super) fn way_changed(&mut self) {
        for stream in self.streams.values_mut() {
            stream.base.clear();
            stream.lowest = None;
            stream.queue = 0.0;
        }
    }

    /// A packet as it came out of the network, `bytes` long. Repairs and unknown streams count only with their bytes.
    pub(super) fn received(&mut self, now: Instant, ssrc: u32, sequence: u16, timestamp: u32, bytes: usize) {
        self.opened.get_or_insert(now);
        self.bytes += bytes as u64;
        if let Some(stream) = self.streams.get_mut(&ssrc) {
            stream.received(now, sequence, timestamp);
        }
    }

    /// When [`Estimate::judge`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.opened.map(|opened| opened + INTERVAL)
    }

    /// Closes the interval. `true` when the estimate was lowered and should be told at once.
    pub(super) fn judge(&mut self, now: Instant) -> bool {
        let Some(opened) = self.opened.filter(|opened| now.duration_since(*opened) >= INTERVAL) else { return false };
        let seconds = now.duration_since(opened).as_secs_f64();
        let rate = self.bytes as f64 * 8.0 / seconds;
        // Smoothed over about a second: key frames come in bursts.
        self.rate = if self.rate == 0.0 { rate } else { 0.75 * self.rate + 0.25 * rate };
        // The clock runs on only while something comes; silence closes the interval for good.
        self.opened = (self.bytes > 0).then_some(now);
        self.bytes = 0;

        let (mut expected, mut received, mut queue, mut growth) = (0u32, 0u32, 0.0f64, 0.0f64);
        for stream in self.streams.values_mut() {
            expected += std::mem::take(&mut stream.expected);
            received += std::mem::take(&mut stream.received);
            if let Some((length, step)) = stream.close()
                && length > queue
            {
                (queue, growth) = (length, step);
            }
        }
        let loss = if expected >= 10 { (1.0 - f64::from(received) / f64::from(expected)).max(0.0) } else { 0.0 };
        self.loss = 0.5 * self.loss + 0.5 * loss;

        let late = queue > QUEUE.as_secs_f64() && growth > GROWTH.as_secs_f64()
            || queue > FULL_QUEUE.as_secs_f64() && (growth > -GROWTH.as_secs_f64());
        let lossy = self.loss > HIGH_LOSS && self.high_loss_before;
        self.high_loss_before = self.loss > HIGH_LOSS;
        let settled = self.decreased.is_none_or(|decreased| now.duration_since(decreased) >= SETTLE);
        if (late || lossy) && settled {
            let factor = if lossy { (1.0 - 0.5 * self.loss).min(0.85) } else { 0.85 };
            let lowered = (self.rate * factor).min(self.current).max(*self.bounds.start() as f64);
            let changed = lowered < self.current;
            self.current = lowered;
            self.decreased = Some(now);
            return changed;
        }
        let held = self.decreased.is_some_and(|decreased| now.duration_since(decreased) < HOLD);
        // Only what arrives proves that more would: a far side with nothing to send proves nothing.
        if !late && !held && self.loss < LOW_LOSS && self.rate > 0.6 * self.current {
            self.current = (self.current * INCREASE).min(*self.bounds.end() as f64);
        }
        false
    }

    /// In bit/s.
    pub(super) fn bitrate(&self) -> u64 {
        self.current as u64
    }

    /// What arrives, in bit/s.
    #[cfg(test)]
    fn arriving(&self) -> u64 {
        self.rate as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    const BOUNDS: RangeInclusive<u64> = 100_000..=2_500_000;

    /// A sender that follows the estimate after 100 ms, over a link with a capacity, a buffer and random loss.
    struct Link {
        capacity: f64,
        buffer: f64,
        loss: f64,
        source: f64,
    }

    fn play(estimate: &mut Estimate, link: &Link, seconds: u64, seed: u64) -> Vec<u64> {
        let start = Instant::now();
        let mut rng = StdRng::seed_from_u64(seed);
        estimate.add(1, 90_000);
        let (mut sequence, mut queue_free, mut history) = (0u16, 0.0f64, Vec::new());
        let mut told = std::collections::VecDeque::from(vec![estimate.bitrate(); 5]);
        let mut arrivals: Vec<(f64, u16, u32, usize)> = Vec::new();
        for frame in 0..seconds * 25 {
            let sent = frame as f64 / 25.0;
            told.push_back(estimate.bitrate());
            let rate = (told.pop_front().unwrap() as f64).min(link.source);
            let mut left = (rate / 25.0 / 8.0) as usize;
            while left > 0 {
                let size = left.min(1200);
                left -= size;
                sequence = sequence.wrapping_add(1);
                queue_free = queue_free.max(sent);
                let waits = queue_free - sent;
                if rng.random::<f64>() < link.loss || waits > link.buffer {
                    continue;
                }
                queue_free += size as f64 * 8.0 / link.capacity;
                arrivals.push((queue_free + 0.04, sequence, (sent * 90_000.0) as u32, size));
            }
            while let Some(&(at, sequence, timestamp, size)) = arrivals.first().filter(|arrival| arrival.0 <= sent) {
                arrivals.remove(0);
                let at = start + Duration::from_secs_f64(at);
                if estimate.deadline().is_some_and(|deadline| deadline <= at) {
                    estimate.judge(at);
                }
                estimate.received(at, 1, sequence, timestamp, size);
            }
            history.push(estimate.bitrate());
        }
        history
    }

    #[test]
    fn a_wide_link_is_never_throttled() {
        let mut estimate = Estimate::new(BOUNDS);
        let link = Link { capacity: 20e6, buffer: 0.3, loss: 0.0, source: 2.5e6 };
        assert!(play(&mut estimate, &link, 30, 1).iter().all(|&rate| rate == 2_500_000));
        assert!(estimate.arriving() > 2_000_000);
    }

    #[test]
    fn random_loss_of_ten_percent_is_no_thin_link() {
        for seed in 0..20 {
            let mut estimate = Estimate::new(BOUNDS);
            let link = Link { capacity: 20e6, buffer: 0.3, loss: 0.1, source: 2.5e6 };
            let lowest = play(&mut estimate, &link, 30, seed).into_iter().min().unwrap();
            assert!(lowest > 1_500_000, "seed {seed}: {lowest}");
        }
    }

    #[test]
    fn a_thin_link_is_respected_whatever_its_buffer() {
        for (capacity, buffer) in [(500e3, 0.05), (500e3, 0.3), (500e3, 2.0), (1e6, 0.2), (250e3, 1.0)] {
            let mut estimate = Estimate::new(BOUNDS);
            let link = Link { capacity, buffer, loss: 0.0, source: 2.5e6 };
            let history = play(&mut estimate, &link, 60, 7);
            let last = &history[history.len() - 20 * 25..];
            let mean = last.iter().sum::<u64>() as f64 / last.len() as f64;
            assert!(mean < 1.2 * capacity, "{capacity} bit/s, buffer {buffer} s: asks for {mean}");
            assert!(mean > 0.4 * capacity, "{capacity} bit/s, buffer {buffer} s: asks for only {mean}");
            // Within five seconds of the start it is no longer flooded.
            assert!(history[5 * 25] as f64 <= 1.3 * capacity, "{capacity} bit/s, buffer {buffer} s: {} after 5 s", history[5 * 25]);
        }
    }

    #[test]
    fn what_was_lowered_comes_back() {
        let mut estimate = Estimate::new(BOUNDS);
        play(&mut estimate, &Link { capacity: 500e3, buffer: 0.3, loss: 0.0, source: 2.5e6 }, 20, 3);
        assert!(estimate.bitrate() < 700_000);
        estimate.remove(1);
        let history = play(&mut estimate, &Link { capacity: 20e6, buffer: 0.3, loss: 0.0, source: 2.5e6 }, 60, 3);
        assert_eq!(history.last(), Some(&2_500_000));
    }

    #[test]
    fn an_idle_sender_changes_nothing_and_costs_no_timer() {
        let mut estimate = Estimate::new(BOUNDS);
        assert_eq!(estimate.deadline(), None);
        let start = Instant::now();
        estimate.add(1, 90_000);
        estimate.received(start, 1, 1, 0, 1000);
        estimate.judge(start + INTERVAL);
        estimate.judge(start + 2 * INTERVAL);
        assert_eq!((estimate.deadline(), estimate.bitrate()), (None, 2_500_000));
    }

    #[test]
    fn another_way_with_a_longer_delay_is_not_taken_for_a_queue() {
        let mut estimate = Estimate::new(BOUNDS);
        estimate.add(1, 90_000);
        let start = Instant::now();
        for packet in 0..3000u32 {
            // 100 packets a second; after 15 s the way takes 200 ms longer.
            let sent = Duration::from_millis(u64::from(packet) * 10);
            let delay = Duration::from_millis(if packet < 1500 { 40 } else { 240 });
            if packet == 1500 {
                estimate.way_changed();
            }
            let at = start + sent + delay;
            if estimate.deadline().is_some_and(|deadline| deadline <= at) {
                estimate.judge(at);
            }
            estimate.received(at, 1, packet as u16, packet * 900, 1000);
        }
        assert_eq!(estimate.bitrate(), 2_500_000);
    }

    #[test]
    fn it_never_leaves_its_bounds() {
        let mut estimate = Estimate::new(BOUNDS);
        let history = play(&mut estimate, &Link { capacity: 20e3, buffer: 5.0, loss: 0.3, source: 2.5e6 }, 60, 5);
        assert!(history.iter().all(|rate| BOUNDS.contains(rate)));
        assert_eq!(history.last(), Some(&100_000));
    }
}
