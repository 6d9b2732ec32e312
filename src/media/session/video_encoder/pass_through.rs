//! When a camera's own H.264 stream is sent as it is, and when it is decoded and encoded anew. No I/O, no clock.
//!
//! A call begins encoding, so that its first picture waits for nothing, and goes over to the stream at one of its key frames.
//! It goes back at once when the stream cannot be what the far side needs: a smaller picture, a lower bitrate than the camera
//! keeps to, or a key frame now.

use super::super::super::adapt::Target;
use super::super::super::camera::coded::Unit;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The bitrate is that of so long: long enough that a key frame, as large as ten others, is one among many.
const SPAN: Duration = Duration::from_secs(2);
/// After so long of it the bitrate is known.
const KNOWN: Duration = Duration::from_secs(1);
/// A stream may take so much of the target, in percent, for a call to go over to it: encoders miss theirs by as much.
const BEGIN: u64 = 110;
/// And so much, for [`EXCESS`], before the call leaves it.
const END: u64 = 130;
/// See [`END`].
const EXCESS: Duration = Duration::from_secs(2);
/// A key frame that was asked for comes by then, or is made here: so long the far side sees a frozen picture.
const KEY_WITHIN: Duration = Duration::from_millis(500);
/// No picture for so long: the camera is gone, or its stream is another one now.
const SILENCE: Duration = Duration::from_secs(1);
/// After a stream that was not to be used, this long until it is tried again; doubles.
const REST: Duration = Duration::from_secs(10);
/// The longest such time.
const REST_LAST: Duration = Duration::from_secs(160);

/// The decision, and what it stands on.
#[derive(Debug, Default)]
pub struct PassThrough {
    newest: Option<(Instant, Form)>,
    /// Sizes in bytes, newest last.
    sizes: VecDeque<(Instant, u64)>,
    excess_since: Option<Instant>,
    key_asked: Option<Instant>,
    not_before: Option<Instant>,
    rest: Option<Duration>,
}

/// What the stream is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
    /// Why it is not what was negotiated, if so.
    pub misfit: Option<String>,
}

/// Why the stream is left.
#[derive(Debug, PartialEq, Eq)]
pub struct End {
    /// In words.
    pub why: String,
    /// It would be no better in a moment.
    rests: bool,
}

impl PassThrough {
    /// One more picture of the camera's, sent or not.
    pub fn unit(&mut self, now: Instant, unit: &Unit) {
        if self.newest.as_ref().is_some_and(|(at, _)| now.saturating_duration_since(*at) >= SILENCE) {
            self.sizes.clear();
        }
        self.newest = Some((now, Form { width: unit.width, height: unit.height, fps: unit.fps, misfit: unit.misfit.clone() }));
        self.sizes.push_back((now, unit.buffer.size() as u64));
        while self.sizes.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > SPAN) {
            self.sizes.pop_front();
        }
        if unit.key {
            self.key_asked = None;
        }
    }

    /// What the stream is, while there is one.
    pub fn form(&self, now: Instant) -> Option<&Form> {
        self.newest.as_ref().filter(|(at, _)| now.saturating_duration_since(*at) < SILENCE).map(|(_, form)| form)
    }

    /// Whether pictures of this size are wanted.
    pub fn has_size(&self, now: Instant, target: &Target) -> bool {
        self.form(now).is_some_and(|form| form.misfit.is_none() && form.width <= target.width && form.height <= target.height)
    }

    /// bit/s, once it is known.
    fn bitrate(&self) -> Option<u64> {
        let ((first, _), (last, newest)) = (self.sizes.front()?, self.sizes.back()?);
        let span = last.saturating_duration_since(*first);
        // The newest one's time is not over.
        let bytes = self.sizes.iter().map(|(_, bytes)| bytes).sum::<u64>() - newest;
        (span >= KNOWN).then(|| (bytes * 8) as f64 / span.as_secs_f64()).map(|bits| bits as u64)
    }

    /// Whether the call may go over to the stream with its next key frame.
    pub fn may_begin(&self, now: Instant, target: &Target) -> bool {
        self.not_before.is_none_or(|t| now >= t)
            && self.has_size(now, target)
            && self.bitrate().is_some_and(|bitrate| bitrate * 100 <= u64::from(target.bitrate) * BEGIN)
    }

    /// It is sent from now on.
    pub fn begun(&mut self) {
        (self.excess_since, self.key_asked) = (None, None);
    }

    /// The far side needs a key frame; the camera was asked, if it can be.
    pub fn key_frame_asked(&mut self, now: Instant) {
        self.key_asked.get_or_insert(now);
    }

    /// While it is sent: why it cannot be any longer.
    pub fn must_end(&mut self, now: Instant, target: &Target) -> Option<End> {
        let end = |why: String, rests| Some(End { why, rests });
        let Some(form) = self.form(now) else { return end("the camera gives no stream any more".into(), false) };
        if let Some(misfit) = &form.misfit {
            return end(misfit.clone(), true);
        }
        if !self.has_size(now, target) {
            return end(format!("the link bears {}x{} only", target.width, target.height), false);
        }
        if self.key_asked.is_some_and(|asked| now.saturating_duration_since(asked) >= KEY_WITHIN) {
            return end("no key frame came from the camera".into(), true);
        }
        let bitrate = self.bitrate().unwrap_or(0);
        if bitrate * 100 <= u64::from(target.bitrate) * END {
            self.excess_since = None;
            return None;
        }
        let since = *self.excess_since.get_or_insert(now);
        let why = || format!("its {} kbit/s are more than the link's {}", bitrate / 1000, target.bitrate / 1000);
        (now.saturating_duration_since(since) >= EXCESS).then(|| End { why: why(), rests: true })
    }

    /// It was left.
    pub fn ended(&mut self, now: Instant, end: &End) {
        if end.rests {
            let rest = self.rest.map_or(REST, |rest| (rest * 2).min(REST_LAST));
            (self.rest, self.not_before) = (Some(rest), Some(now + rest));
        }
    }

    /// It could not be sent at all.
    pub fn failed(&mut self, now: Instant, why: String) -> End {
        let end = End { why, rests: true };
        self.ended(now, &end);
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gstreamer as gst;

    const TARGET: Target = Target { bitrate: 1_000_000, width: 1280, height: 720, fps: 24 };

    /// A camera in virtual time, 25 pictures a second.
    struct Camera {
        own: PassThrough,
        now: Instant,
        unit: Unit,
    }

    impl Camera {
        fn new(bitrate: u32) -> Camera {
            crate::media::gstreamer().unwrap();
            let unit = Unit {
                buffer: gst::Buffer::with_size(bitrate as usize / 8 / 25).unwrap(),
                key: false,
                gap: false,
                width: 1280,
                height: 720,
                fps: 25,
                misfit: None,
            };
            Camera { own: PassThrough::default(), now: Instant::now(), unit }
        }

        fn rate(&mut self, bitrate: u32) {
            self.unit.buffer = gst::Buffer::with_size(bitrate as usize / 8 / 25).unwrap();
        }

        /// So long of its stream; the first reason to leave it.
        fn run(&mut self, time: Duration, target: &Target) -> Option<End> {
            let until = self.now + time;
            while self.now < until {
                self.own.unit(self.now, &self.unit);
                self.now += Duration::from_millis(40);
                let end = self.own.must_end(self.now, target);
                if end.is_some() {
                    return end;
                }
            }
            None
        }

        fn may(&self, target: &Target) -> bool {
            self.own.may_begin(self.now, target)
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_stream_is_sent_once_it_is_known_to_fit_the_link() {
        let mut camera = Camera::new(900_000);
        assert_eq!(camera.run(SECOND / 2, &TARGET), None);
        assert!(!camera.may(&TARGET), "its bitrate is not known yet");
        camera.run(2 * SECOND, &TARGET);
        assert!(camera.may(&TARGET));
        assert!(!camera.may(&Target { bitrate: 800_000, ..TARGET }));
        assert!(!camera.may(&Target { width: 960, height: 540, ..TARGET }));
        // A camera with a smaller picture than the call's best is as good.
        (camera.unit.width, camera.unit.height) = (640, 360);
        camera.run(SECOND, &TARGET);
        assert!(camera.may(&TARGET) && camera.may(&Target { width: 960, height: 540, ..TARGET }));
    }

    #[test]
    fn a_stream_that_was_not_negotiated_is_not_sent() {
        let mut camera = Camera::new(900_000);
        camera.unit.misfit = Some("its profile is another one".into());
        assert!(camera.run(3 * SECOND, &TARGET).is_some_and(|end| end.why.contains("profile")));
        assert!(!camera.may(&TARGET));
    }

    #[test]
    fn it_is_left_for_a_narrower_link_but_not_for_a_moment_of_excess() {
        let mut camera = Camera::new(900_000);
        assert_eq!(camera.run(3 * SECOND, &TARGET), None);
        camera.rate(3_000_000);
        assert_eq!(camera.run(SECOND / 2, &TARGET), None);
        camera.rate(900_000);
        assert_eq!(camera.run(5 * SECOND, &TARGET), None);
        // A steered camera follows within that time; one that does not is left.
        let narrow = Target { bitrate: 500_000, ..TARGET };
        let from = camera.now;
        let end = camera.run(10 * SECOND, &narrow).unwrap();
        assert!(end.why.contains("900 kbit/s") && end.why.contains("500"), "{end:?}");
        assert!((EXCESS..EXCESS + SECOND / 10).contains(&(camera.now - from)));
        let small = Target { width: 640, height: 360, ..TARGET };
        assert!(camera.run(SECOND, &small).is_some_and(|end| end.why.contains("640x360")));
    }

    #[test]
    fn a_key_frame_comes_in_time_or_is_made_here() {
        let mut camera = Camera::new(900_000);
        camera.run(3 * SECOND, &TARGET);
        camera.own.key_frame_asked(camera.now);
        assert_eq!(camera.run(SECOND / 4, &TARGET), None);
        camera.unit.key = true;
        assert_eq!(camera.run(SECOND / 25, &TARGET), None);
        camera.unit.key = false;
        assert_eq!(camera.run(SECOND, &TARGET), None);
        camera.own.key_frame_asked(camera.now);
        // Asked again, it is still late.
        camera.run(SECOND / 4, &TARGET);
        camera.own.key_frame_asked(camera.now);
        assert!(camera.run(SECOND / 2, &TARGET).is_some_and(|end| end.why.contains("key frame")));
    }

    #[test]
    fn a_stream_that_could_not_be_used_is_tried_again_more_and_more_rarely() {
        let mut camera = Camera::new(900_000);
        camera.run(3 * SECOND, &TARGET);
        for rest in [10, 20, 40, 80, 160, 160] {
            camera.own.failed(camera.now, "no".into());
            camera.run(Duration::from_secs(rest) - SECOND, &TARGET);
            assert!(!camera.may(&TARGET), "{rest}");
            camera.run(2 * SECOND, &TARGET);
            assert!(camera.may(&TARGET), "{rest}");
        }
    }

    #[test]
    fn a_camera_that_is_gone_has_no_stream_and_is_used_again_when_it_is_back() {
        let mut camera = Camera::new(900_000);
        camera.run(3 * SECOND, &TARGET);
        camera.now += SILENCE;
        assert!(!camera.may(&TARGET));
        let end = camera.own.must_end(camera.now, &TARGET).unwrap();
        camera.own.ended(camera.now, &end);
        camera.run(SECOND / 2, &TARGET);
        assert!(!camera.may(&TARGET), "the bitrate of before says nothing");
        camera.run(SECOND, &TARGET);
        assert!(camera.may(&TARGET));
    }
}
