//! How fast, how large and how often: the encoder's targets from what the receiver reports. No I/O, no clock.
//!
//! The bitrate is the smallest of what the receiver estimates (REMB), what the loss allows, and the configured maximum.
//! Picture size and frame rate follow the bitrate down a ladder before the picture freezes, and up again after a while
//! of plenty: going down is quick, going up is slow, so that a link at the edge of a step does not make it flicker.

use super::{Codec, Feedback};
use std::time::{Duration, Instant};

/// What the encoder should do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Target {
    /// bit/s.
    pub bitrate: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
}

/// The bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// bit/s; never more.
    pub max_bitrate: u32,
    /// bit/s; never less, whatever the feedback says.
    pub min_bitrate: u32,
    /// The camera's width in pixels.
    pub width: u32,
    /// The camera's height in pixels.
    pub height: u32,
    /// The camera's frames a second.
    pub fps: u32,
    /// Sets what a pixel costs.
    pub codec: Codec,
}

/// The share of the estimate that the picture may take; the rest is sound, headers and repairs.
const SHARE: f32 = 0.9;
/// The first target, until the receiver has said anything.
const START: u32 = 1_000_000;
/// Loss above this fraction is congestion: slower. (The bounds are those of WebRTC's loss-based control.)
const LOSS_HIGH: f32 = 0.10;
/// Loss below this fraction leaves room: faster.
const LOSS_LOW: f32 = 0.02;
/// At most one step of the loss-based bound in this time; receiver reports may come more often.
const REACT: Duration = Duration::from_millis(900);
/// Growth of the loss-based bound a step.
const GROWTH: f32 = 1.08;
/// A round trip so much longer than the shortest one says that a queue fills up on the way.
const QUEUE: Duration = Duration::from_millis(300);
/// A target below a step's floor for so long: a smaller picture.
const DOWN_AFTER: Duration = Duration::from_secs(1);
/// Far below the floor (this share of it) there is no waiting.
const AT_ONCE: f32 = 0.6;
/// A target so much above the next step's floor for [`UP_AFTER`]: a larger picture.
const UP_MARGIN: f32 = 1.25;
/// See [`UP_MARGIN`].
const UP_AFTER: Duration = Duration::from_secs(6);
/// After the machine could not keep up, this long on the smaller picture before the larger one is tried; doubles.
const REST: Duration = Duration::from_secs(20);
/// The longest such time.
const REST_LAST: Duration = Duration::from_secs(320);

/// One rung: picture and the bitrate it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rung {
    width: u32,
    height: u32,
    fps: u32,
    floor: u32,
}

/// The rungs of a ladder, best first: 720p24, 540p24, 360p24, 360p15, 180p15 for the usual camera.
fn ladder(limits: &Limits) -> Vec<Rung> {
    // Bits a pixel below which a smaller picture looks better; x264 `ultrafast` needs a third more than vp8enc. 720p24 begins
    // at 885 and 663 kbit/s: below `START`, so that a call does not open with a step down.
    let bits_per_pixel = if limits.codec == Codec::H264 { 0.04 } else { 0.03 };
    let slow = limits.fps.min(15);
    let mut rungs: Vec<Rung> = Vec::new();
    for (num, den, fps) in [(1, 1, limits.fps), (3, 4, limits.fps), (1, 2, limits.fps), (1, 2, slow), (1, 4, slow)] {
        // Encoders want even sizes.
        let (width, height) = ((limits.width * num / den / 2 * 2).max(2), (limits.height * num / den / 2 * 2).max(2));
        let floor = (width as f32 * height as f32 * fps as f32 * bits_per_pixel) as u32;
        if rungs.last().is_none_or(|r| (r.width, r.height, r.fps) != (width, height, fps)) {
            rungs.push(Rung { width, height, fps, floor });
        }
    }
    if let Some(last) = rungs.last_mut() {
        last.floor = 0;
    }
    rungs
}

/// The adaptation for one receiver.
#[derive(Debug)]
pub struct Adapt {
    limits: Limits,
    rungs: Vec<Rung>,
    rung: usize,
    estimate: Option<u64>,
    by_loss: f32,
    reacted: Option<Instant>,
    shortest_rtt: Option<Duration>,
    poor_since: Option<Instant>,
    rich_since: Option<Instant>,
    /// The machine is too slow for rungs above this one, until then.
    overload: Option<(usize, Instant)>,
    rest: Duration,
}

impl Adapt {
    /// Begins at the full picture.
    pub fn new(limits: Limits) -> Adapt {
        Adapt {
            rungs: ladder(&limits),
            rung: 0,
            estimate: None,
            by_loss: (START.min(limits.max_bitrate)).max(limits.min_bitrate) as f32,
            reacted: None,
            shortest_rtt: None,
            poor_since: None,
            rich_since: None,
            overload: None,
            rest: REST,
            limits,
        }
    }

    /// The receiver has reported.
    pub fn feedback(&mut self, now: Instant, feedback: Feedback) {
        if let Some(estimate) = feedback.estimate {
            self.estimate = Some(estimate);
        }
        let mut queue = false;
        if let Some(rtt) = feedback.rtt {
            let shortest = self.shortest_rtt.map_or(rtt, |s| s.min(rtt));
            self.shortest_rtt = Some(shortest);
            queue = rtt > shortest + QUEUE;
        }
        if (feedback.loss.is_none() && !queue) || self.reacted.is_some_and(|t| now.saturating_duration_since(t) < REACT) {
            return;
        }
        let loss = feedback.loss.filter(|l| l.is_finite()).unwrap_or(0.0).clamp(0.0, 1.0);
        // Measured from what is really sent: a bound far above the estimate would answer loss with nothing.
        let from = self.by_loss.min(self.bitrate() as f32 * 1.5);
        if loss > LOSS_HIGH {
            self.by_loss = from * (1.0 - 0.5 * loss);
        } else if queue {
            self.by_loss = from * 0.85;
        } else if loss < LOSS_LOW {
            self.by_loss *= GROWTH;
        }
        self.by_loss = self.by_loss.clamp(self.limits.min_bitrate as f32, self.limits.max_bitrate.max(self.limits.min_bitrate) as f32);
        self.reacted = Some(now);
    }

    /// The encoder did not keep up with the camera: a smaller picture, for a while.
    pub fn overloaded(&mut self, now: Instant) {
        if self.overload.is_some_and(|(_, until)| now < until) && self.overload.is_some_and(|(r, _)| self.rung < r) {
            return;
        }
        let rung = (self.rung + 1).min(self.rungs.len() - 1);
        self.overload = Some((rung, now + self.rest));
        self.rest = (self.rest * 2).min(REST_LAST);
        self.rung = self.rung.max(rung);
        self.rich_since = None;
    }

    /// What the encoder should do from `now` on.
    pub fn target(&mut self, now: Instant) -> Target {
        let bitrate = self.bitrate();
        let fits = |r: &Rung| bitrate >= r.floor;
        let current = self.rungs[self.rung];
        if !fits(&current) {
            self.rich_since = None;
            let since = *self.poor_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= DOWN_AFTER || (bitrate as f32) < current.floor as f32 * AT_ONCE {
                self.rung = self.rungs.iter().position(fits).unwrap_or(self.rungs.len() - 1).max(self.rung);
                self.poor_since = None;
            }
        } else {
            self.poor_since = None;
            if self.overload.is_some_and(|(_, until)| now >= until) {
                self.overload = None;
            }
            let best = self.overload.map_or(0, |(rung, _)| rung);
            let larger = self.rung > best && bitrate as f32 >= self.rungs[self.rung - 1].floor as f32 * UP_MARGIN;
            if larger {
                let since = *self.rich_since.get_or_insert(now);
                if now.saturating_duration_since(since) >= UP_AFTER {
                    self.rung -= 1;
                    self.rich_since = None;
                }
            } else {
                self.rich_since = None;
            }
        }
        let rung = self.rungs[self.rung];
        Target { bitrate, width: rung.width, height: rung.height, fps: rung.fps }
    }

    fn bitrate(&self) -> u32 {
        let by_estimate = self.estimate.map_or(f32::MAX, |e| e as f32 * SHARE);
        let wanted = by_estimate.min(self.by_loss).min(self.limits.max_bitrate as f32);
        (wanted as u32).max(self.limits.min_bitrate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_bitrate: 2_000_000, min_bitrate: 100_000, width: 1280, height: 720, fps: 24, codec: Codec::Vp8 };

    /// A receiver that reports once a second in virtual time.
    struct Link {
        adapt: Adapt,
        start: Instant,
        now: Instant,
        steps: Vec<(u64, Target)>,
    }

    impl Link {
        fn new() -> Link {
            let now = Instant::now();
            Link { adapt: Adapt::new(LIMITS), start: now, now, steps: Vec::new() }
        }

        /// `seconds` with these reports; looks at the target four times a second.
        fn run(&mut self, seconds: u64, estimate: Option<u64>, loss: f32) -> Target {
            for quarter in 0..seconds * 4 {
                if quarter % 4 == 0 {
                    self.adapt.feedback(self.now, Feedback { estimate, loss: Some(loss), rtt: None });
                }
                let target = self.adapt.target(self.now);
                if self.steps.last().is_none_or(|(_, t)| (t.height, t.fps) != (target.height, target.fps)) {
                    self.steps.push(((self.now - self.start).as_secs(), target));
                }
                self.now += Duration::from_millis(250);
            }
            self.adapt.target(self.now)
        }

        fn pictures(&self) -> Vec<(u32, u32)> {
            self.steps.iter().map(|(_, t)| (t.height, t.fps)).collect()
        }
    }

    #[test]
    fn the_ladder_of_the_usual_camera() {
        let rungs: Vec<_> = ladder(&LIMITS).iter().map(|r| (r.width, r.height, r.fps)).collect();
        assert_eq!(rungs, [(1280, 720, 24), (960, 540, 24), (640, 360, 24), (640, 360, 15), (320, 180, 15)]);
        assert!(ladder(&LIMITS).windows(2).all(|w| w[0].floor > w[1].floor));
    }

    #[test]
    fn a_good_link_ends_at_the_maximum_and_the_full_picture() {
        let mut link = Link::new();
        let target = link.run(30, Some(5_000_000), 0.0);
        assert_eq!(target, Target { bitrate: 2_000_000, width: 1280, height: 720, fps: 24 });
        assert_eq!(link.pictures(), [(720, 24)]);
    }

    #[test]
    fn a_call_opens_with_the_full_picture_before_anything_is_reported() {
        for codec in [Codec::Vp8, Codec::H264] {
            let now = Instant::now();
            let mut adapt = Adapt::new(Limits { codec, ..LIMITS });
            assert!((0..40).all(|i| adapt.target(now + i * Duration::from_millis(250)).height == 720), "{codec:?}");
        }
    }

    #[test]
    fn the_estimate_of_the_receiver_is_never_exceeded() {
        let mut link = Link::new();
        for estimate in [1_500_000u64, 700_000, 300_000, 900_000] {
            assert!(u64::from(link.run(10, Some(estimate), 0.0).bitrate) <= estimate);
        }
    }

    #[test]
    fn a_link_that_gets_narrow_makes_the_picture_smaller_and_one_that_recovers_makes_it_large_again() {
        let mut link = Link::new();
        link.run(10, Some(3_000_000), 0.0);
        let poor = link.run(5, Some(160_000), 0.0);
        assert_eq!((poor.height, poor.fps), (360, 15));
        let back = link.run(60, Some(3_000_000), 0.0);
        assert_eq!((back.height, back.fps), (720, 24));
        assert_eq!(link.pictures(), [(720, 24), (360, 15), (360, 24), (540, 24), (720, 24)]);
    }

    #[test]
    fn a_link_at_the_edge_of_a_step_does_not_make_the_picture_flicker() {
        let mut link = Link::new();
        let edge = (ladder(&LIMITS)[0].floor as f32 / SHARE) as u64;
        for i in 0..60 {
            link.run(1, Some(if i % 2 == 0 { edge * 96 / 100 } else { edge * 104 / 100 }), 0.0);
        }
        assert!(link.pictures().len() <= 2, "{:?}", link.pictures());
    }

    #[test]
    fn loss_that_repairs_can_bear_changes_nothing_and_heavy_loss_slows_down() {
        let mut link = Link::new();
        let before = link.run(20, None, 0.0).bitrate;
        assert_eq!(link.run(20, None, 0.05).bitrate, before);
        let slow = link.run(20, None, 0.3).bitrate;
        assert!(slow < before / 4 && slow >= LIMITS.min_bitrate, "{before} {slow}");
    }

    #[test]
    fn a_queue_on_the_way_slows_down_without_any_loss() {
        let mut link = Link::new();
        let before = link.run(20, None, 0.0).bitrate;
        link.adapt.feedback(link.now, Feedback { rtt: Some(Duration::from_millis(40)), ..Feedback::default() });
        for _ in 0..20 {
            link.now += Duration::from_secs(1);
            link.adapt.feedback(link.now, Feedback { rtt: Some(Duration::from_millis(900)), ..Feedback::default() });
        }
        assert!(link.adapt.target(link.now).bitrate < before / 2);
    }

    #[test]
    fn a_machine_that_does_not_keep_up_sends_a_smaller_picture_and_tries_again_later() {
        let mut link = Link::new();
        link.run(20, Some(5_000_000), 0.0);
        link.adapt.overloaded(link.now);
        assert_eq!(link.run(15, Some(5_000_000), 0.0).height, 540);
        assert_eq!(link.run(30, Some(5_000_000), 0.0).height, 720);
        // The second time it waits twice as long.
        link.adapt.overloaded(link.now);
        assert_eq!(link.run(30, Some(5_000_000), 0.0).height, 540);
    }

    #[test]
    fn the_smallest_picture_is_sent_at_any_rate_and_numbers_without_sense_do_no_harm() {
        let mut link = Link::new();
        let target = link.run(30, Some(0), 1.0);
        assert_eq!((target.height, target.fps, target.bitrate), (180, 15, LIMITS.min_bitrate));
        for loss in [f32::NAN, f32::INFINITY, -1.0, 7.0] {
            let t = link.run(3, Some(u64::MAX), loss);
            assert!((LIMITS.min_bitrate..=LIMITS.max_bitrate).contains(&t.bitrate));
        }
    }

    #[test]
    fn a_tiny_camera_has_no_picture_without_pixels() {
        for (width, height) in [(2, 2), (16, 16), (160, 120)] {
            assert!(ladder(&Limits { width, height, ..LIMITS }).iter().all(|r| r.width >= 2 && r.height >= 2 && r.width % 2 == 0));
        }
    }
}
