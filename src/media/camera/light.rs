//! What light does to a camera: its first pictures are dark while it looks for its exposure, and in a dim room it takes
//! its time for each picture. Pure; times are running times in nanoseconds.

use super::choice::LEAST_RATE;
use gstreamer as gst;

/// The mean luma of a picture in which nothing can be seen (16 is black).
const DARK: u64 = 30;
/// A room that is still dark after so long is dark.
const WARM_UP: gst::ClockTime = gst::ClockTime::from_mseconds(600);
/// One luma in so many is looked at: a prime, so that no pattern of the picture is met again and again.
const STRIDE: usize = 97;

/// Holds back the first pictures of a camera while they are dark: the first one sent becomes the key frame, and would be
/// what the caller sees of the resident.
#[derive(Debug, Default)]
pub struct WarmUp {
    first: Option<gst::ClockTime>,
    warm: bool,
}

impl WarmUp {
    /// Whether this picture (its luma, however it is ordered) may be sent.
    pub fn passes(&mut self, luma: &[u8], at: gst::ClockTime) -> bool {
        if !self.warm {
            let first = *self.first.get_or_insert(at);
            self.warm = at.saturating_sub(first) >= WARM_UP || mean(luma) > DARK;
        }
        self.warm
    }
}

fn mean(luma: &[u8]) -> u64 {
    let (sum, n) = luma.iter().step_by(STRIDE).fold((0u64, 0u64), |(s, n), l| (s + u64::from(*l), n + 1));
    sum / n.max(1)
}

/// So long is looked at a time.
const WINDOW: gst::ClockTime = gst::ClockTime::from_seconds(1);
/// The first second after opening says nothing: the camera is still busy with itself.
const SETTLE: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// Notices that a camera takes longer for its pictures than [`LEAST_RATE`] allows. Says so once: the camera is then told
/// to keep its rate, and the pictures get darker instead.
#[derive(Debug, Default)]
pub struct Dimness {
    opened: Option<gst::ClockTime>,
    window: Option<(gst::ClockTime, u32)>,
    told: bool,
}

impl Dimness {
    /// A picture came. `true`, once, when they come too slowly.
    pub fn too_slow(&mut self, at: gst::ClockTime) -> bool {
        let opened = *self.opened.get_or_insert(at);
        if self.told || at.saturating_sub(opened) < SETTLE {
            return false;
        }
        let (from, pictures) = self.window.get_or_insert((at, 0));
        let length = at.saturating_sub(*from);
        if length < WINDOW {
            *pictures += 1;
            return false;
        }
        // One picture may be late without the camera being slow.
        let slow = f64::from(*pictures + 1) * 1e9 < LEAST_RATE.per_second() * length.nseconds() as f64;
        self.window = Some((at, 1));
        self.told = slow;
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> gst::ClockTime {
        gst::ClockTime::from_mseconds(n)
    }

    #[test]
    fn dark_pictures_are_held_back_until_the_first_bright_one() {
        let (dark, bright) = (vec![17u8; 5000], vec![90u8; 5000]);
        let mut warm = WarmUp::default();
        assert!(!warm.passes(&dark, ms(1000)));
        assert!(!warm.passes(&dark, ms(1100)));
        assert!(warm.passes(&bright, ms(1200)));
        // Somebody who switches the light off in a call is not held back.
        assert!(warm.passes(&dark, ms(1300)));
    }

    #[test]
    fn a_dark_room_is_shown_after_a_moment() {
        let mut warm = WarmUp::default();
        let passed: Vec<u64> = (0..30).map(|i| i * 40).filter(|t| warm.passes(&[16; 97], ms(1000 + t))).collect();
        assert_eq!(passed.first(), Some(&600));
        assert!(WarmUp::default().passes(&[200], ms(0)));
        assert!(!WarmUp::default().passes(&[], ms(0)));
    }

    /// Feeds pictures at this rate for ten seconds; how often it said "too slow".
    fn complaints(fps: f64) -> usize {
        let mut dim = Dimness::default();
        (0..(10.0 * fps) as u64).filter(|i| dim.too_slow(gst::ClockTime::from_nseconds((*i as f64 * 1e9 / fps) as u64))).count()
    }

    #[test]
    fn fewer_than_fifteen_pictures_a_second_are_noticed_once() {
        assert_eq!([30.0, 24.0, 15.0, 14.9].map(complaints), [0, 0, 0, 0]);
        assert_eq!([12.5, 7.5, 5.0, 1.0].map(complaints), [1, 1, 1, 1]);
    }
}
