//! Fewer frames than the camera gives.

use gstreamer as gst;

/// Lets through so many frames a second, evenly.
#[derive(Debug)]
pub struct FrameRate {
    interval: gst::ClockTime,
    next: Option<gst::ClockTime>,
}

impl FrameRate {
    /// So many frames a second.
    pub fn new(fps: u32) -> FrameRate {
        FrameRate { interval: gst::ClockTime::from_nseconds(1_000_000_000 / u64::from(fps.max(1))), next: None }
    }

    /// So many from now on.
    pub fn set(&mut self, fps: u32) {
        self.interval = FrameRate::new(fps).interval;
    }

    /// Whether the frame of this time is let through.
    pub fn due(&mut self, at: gst::ClockTime) -> bool {
        // A camera's frames jitter: one that comes a little early is on time.
        let slack = self.interval / 4;
        match self.next {
            Some(next) if at + slack < next => false,
            // Steady while frames come; anew after a pause or a jump.
            Some(next) if at < next + self.interval => {
                self.next = Some(next + self.interval);
                true
            }
            _ => {
                self.next = Some(at + self.interval);
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_rate_is_halved_evenly() {
        let mut rate = FrameRate::new(12);
        let frame = |i: u64| gst::ClockTime::from_nseconds(i * 1_000_000_000 / 24);
        let passed: Vec<u64> = (0..24).filter(|i| rate.due(frame(*i))).collect();
        assert_eq!(passed, (0..24).step_by(2).collect::<Vec<_>>());
    }
}
