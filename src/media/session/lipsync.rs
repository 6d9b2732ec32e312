//! Lip sync: what is said and what is seen at the same moment is presented at the same moment.
//!
//! A sender report says which RTP time of a stream was which moment on the sender's clock (RFC 3550 6.4.1); the jitter
//! buffer says at which running time of ours that RTP time came. The difference, the transit, means nothing by itself
//! (the clocks differ), but the difference of two transits of one sender is how much later one of its streams comes.
//! The earlier stream is held back by that. No I/O, no clock.
//!
//! Streams of several senders are told apart only by their clocks: a picture is paired with the sound whose transit is
//! nearest.

use std::time::Duration;

/// No stream is held back longer: a call with a second of delay is worse than lips out of step.
const MOST: i64 = 1_000_000_000;
/// Transits further apart than this are not of one clock, or nonsense.
const PLAUSIBLE: i128 = 3_000_000_000;
/// A hold is changed only for this much: each change of the sound's is heard as a small gap, and 45 ms is what people
/// begin to notice (ITU-R BT.1359).
const WORTH_IT: i64 = 25_000_000;
/// How much one new measurement moves the estimate, in 1/256: reports are exact, arrival is not.
const WEIGHT: i128 = 64;

/// What is known about the clock of one stream.
#[derive(Debug, Clone, Copy, Default)]
pub struct Track {
    rate: u32,
    /// Sender's time in ns (its NTP clock), and RTP time of the same moment.
    report: Option<(i128, u32)>,
    /// RTP time of the newest packet and our running time for it in ns.
    newest: Option<(u32, u64)>,
    transit: Option<i128>,
}

impl Track {
    /// A stream with this RTP clock rate in Hz.
    pub fn new(rate: u32) -> Track {
        Track { rate: rate.max(1), ..Track::default() }
    }

    /// A sender report: NTP time (32.32 fixed point) and RTP time.
    pub fn report(&mut self, ntp: u64, rtp: u32) {
        let ns = (i128::from(ntp) * 1_000_000_000) >> 32;
        self.report = Some((ns, rtp));
        self.measure();
    }

    /// A packet left the jitter buffer with this RTP time and running time in ns.
    pub fn packet(&mut self, rtp: u32, running: u64) {
        self.newest = Some((rtp, running));
    }

    fn measure(&mut self) {
        let (Some((ntp, at)), Some((rtp, running))) = (self.report, self.newest) else { return };
        // RTP time wraps; reports and packets of one stream are never hours apart.
        let ahead = i128::from(rtp.wrapping_sub(at) as i32) * 1_000_000_000 / i128::from(self.rate);
        let transit = i128::from(running) - (ntp + ahead);
        self.transit = Some(match self.transit {
            Some(old) if (old - transit).abs() < PLAUSIBLE => old + (transit - old) * WEIGHT / 256,
            _ => transit,
        });
    }
}

/// A stream that is presented: its clock, and what presenting it takes anyway.
#[derive(Debug, Clone, Copy)]
pub struct Stream {
    /// Its clock.
    pub track: Track,
    /// From running time to eye or ear, the hold not counted.
    pub path: Duration,
    /// What it is held back now, in ns.
    pub hold: i64,
}

impl Stream {
    fn presented(&self) -> Option<i128> {
        self.track.transit.map(|t| t + self.path.as_nanos() as i128)
    }
}

/// The new holds of a picture and of the sound that belongs to it, in ns, if they are to be changed: index of the sound,
/// hold of the picture, hold of the sound.
pub fn align(picture: &Stream, sounds: &[Stream]) -> Option<(usize, i64, i64)> {
    let seen = picture.presented()?;
    let (index, later) = sounds
        .iter()
        .enumerate()
        .filter_map(|(i, s)| s.presented().map(|heard| (i, seen - heard)))
        .filter(|(_, d)| d.abs() < PLAUSIBLE)
        .min_by_key(|(_, d)| d.abs())?;
    let later = (later as i64).clamp(-MOST, MOST);
    let (hold_picture, hold_sound) = ((-later).max(0), later.max(0));
    let sound = &sounds[index];
    let now = picture.hold - sound.hold;
    ((hold_picture - hold_sound) - now).abs().ge(&WORTH_IT).then_some((index, hold_picture, hold_sound))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1 << 32;

    /// A stream whose RTP time began at `origin`, whose packets take `delay_ms` more than nothing.
    fn stream(rate: u32, origin: u32, delay_ms: u64, hold: i64) -> Stream {
        let mut track = Track::new(rate);
        for second in 1..20u64 {
            let rtp = origin.wrapping_add((second * u64::from(rate)) as u32);
            track.packet(rtp, second * 1_000_000_000 + delay_ms * 1_000_000);
            // The report is of half a second before, on a clock that began in 1900.
            track.report((3_900_000_000 + second) * SECOND - SECOND / 2, rtp.wrapping_sub(rate / 2));
        }
        Stream { track, path: Duration::from_millis(100), hold }
    }

    #[test]
    fn sound_waits_for_a_picture_that_comes_later() {
        let (_, picture, sound) = align(&stream(90_000, 7, 150, 0), &[stream(48_000, 99, 20, 0)]).unwrap();
        assert_eq!((picture, sound / 1_000_000), (0, 130));
    }

    #[test]
    fn the_picture_waits_for_sound_that_comes_later() {
        let (_, picture, sound) = align(&stream(90_000, 7, 20, 0), &[stream(48_000, 99, 90, 0)]).unwrap();
        assert_eq!((picture / 1_000_000, sound), (70, 0));
    }

    #[test]
    fn rtp_time_may_wrap() {
        let wrapping = stream(90_000, u32::MAX - 5 * 90_000, 150, 0);
        assert_eq!(align(&wrapping, &[stream(48_000, u32::MAX - 48_000, 20, 0)]).unwrap().2 / 1_000_000, 130);
    }

    #[test]
    fn what_is_aligned_stays_as_it_is_and_small_changes_are_left_alone() {
        assert_eq!(align(&stream(90_000, 7, 150, 0), &[stream(48_000, 99, 20, 130_000_000)]), None);
        assert_eq!(align(&stream(90_000, 7, 160, 0), &[stream(48_000, 99, 20, 120_000_000)]), None);
    }

    #[test]
    fn without_reports_nothing_is_held_back() {
        let mut silent = stream(48_000, 0, 0, 0);
        silent.track = Track::new(48_000);
        assert_eq!(align(&stream(90_000, 7, 150, 0), &[silent]), None);
        assert_eq!(align(&stream(90_000, 7, 150, 0), &[]), None);
    }

    #[test]
    fn the_sound_of_another_clock_is_not_taken() {
        let mut foreign = stream(48_000, 0, 0, 0);
        foreign.track.transit = foreign.track.transit.map(|t| t + 60_000_000_000);
        assert_eq!(align(&stream(90_000, 7, 150, 0), &[foreign]), None);
        assert_eq!(align(&stream(90_000, 7, 150, 0), &[foreign, stream(48_000, 9, 20, 0)]).unwrap().0, 1);
    }

    #[test]
    fn no_stream_is_held_back_longer_than_a_second() {
        assert_eq!(align(&stream(90_000, 7, 2500, 0), &[stream(48_000, 99, 0, 0)]).unwrap().2, MOST);
    }

    #[test]
    fn a_report_of_nonsense_does_not_overflow() {
        let mut track = Track::new(90_000);
        for (ntp, rtp) in [(0, 0), (u64::MAX, u32::MAX), (1, u32::MAX / 2)] {
            track.packet(u32::MAX, u64::MAX);
            track.report(ntp, rtp);
        }
        let _ = align(&Stream { track, path: Duration::ZERO, hold: 0 }, &[stream(48_000, 0, 0, 0)]);
    }
}
