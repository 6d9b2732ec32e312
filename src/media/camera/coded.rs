//! The stream of a camera that codes H.264 by itself: its access units, to whoever sends them on as they are, and what such
//! a camera can be asked for while it runs.

use super::super::source::lock;
use super::hub::Hub;
use super::{controls, h264};
use gstreamer as gst;
use std::ops::RangeInclusive;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// One picture as the camera coded it.
#[derive(Debug, Clone)]
pub struct Unit {
    /// H.264 as a byte stream (Annex B) without access unit delimiters; its time stamp is running time.
    pub buffer: gst::Buffer,
    /// It stands alone, and has its parameter sets with it.
    pub key: bool,
    /// Something between this and the last one is missing.
    pub gap: bool,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Pictures a second.
    pub fps: u32,
    /// Why it is not what a call negotiates (42e01f), if so.
    pub misfit: Option<String>,
}

/// A camera's own stream, as long as it has one.
#[derive(Default)]
pub struct Coded {
    /// Where it comes out.
    pub units: Hub<Unit>,
    /// What is asked of the camera.
    pub steer: Steer,
    /// What its parameter sets said last.
    misfit: Mutex<Option<String>>,
}

impl Coded {
    /// One buffer of the camera's, with the caps that the parser found.
    pub fn push(&self, buffer: &gst::BufferRef, caps: &gst::CapsRef, running: gst::ClockTime) {
        let Some(caps) = caps.structure(0) else { return };
        let (Ok(width), Ok(height), Ok(map)) = (caps.get::<i32>("width"), caps.get::<i32>("height"), buffer.map_readable()) else { return };
        let rate = caps.get::<gst::Fraction>("framerate").map_or(0.0, |f| f64::from(f.numer()) / f64::from(f.denom().max(1)));
        let (width, height) = (width.unsigned_abs(), height.unsigned_abs());
        let unit = h264::unit(&map, width, height, rate);
        let misfit = {
            let mut misfit = lock(&self.misfit);
            if let Some(promise) = unit.promise {
                *misfit = promise.err();
            }
            misfit.clone()
        };
        let mut coded = gst::Buffer::from_slice(unit.bytes);
        if let Some(coded) = coded.get_mut() {
            coded.set_pts(running);
        }
        let gap = buffer.flags().contains(gst::BufferFlags::DISCONT);
        self.units.push(&Unit { buffer: coded, key: unit.key, gap, width, height, fps: rate.round() as u32, misfit });
    }
}

/// What a coding camera can be asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Abilities {
    /// A key frame, now.
    pub key_frame: bool,
    /// A bitrate, in bit/s.
    pub bitrate: Option<RangeInclusive<u32>>,
}

/// What is asked of the camera; the thread that captures passes it on, so that nobody else ever has the device open.
#[derive(Default)]
pub struct Steer {
    abilities: Mutex<Abilities>,
    key_frame: AtomicBool,
    /// bit/s, to be passed on; 0: nothing.
    bitrate: AtomicU32,
    /// bit/s: what this camera was asked for last.
    told: AtomicU32,
}

impl Steer {
    /// What the camera that is open now can be asked for; nothing, when none is.
    pub fn abilities(&self) -> Abilities {
        lock(&self.abilities).clone()
    }

    /// Asks for a key frame; whether the camera can be asked.
    pub fn key_frame(&self) -> bool {
        let abilities = lock(&self.abilities);
        self.key_frame.store(abilities.key_frame, Ordering::SeqCst);
        abilities.key_frame
    }

    /// Asks for a bitrate in bit/s; the nearest that the camera has is taken, and a change of less than a fiftieth is none.
    pub fn bitrate(&self, bitrate: u32) {
        let abilities = lock(&self.abilities);
        let Some(range) = &abilities.bitrate else { return };
        let (bitrate, told) = (bitrate.clamp(*range.start(), *range.end()), self.told.load(Ordering::SeqCst));
        if bitrate.abs_diff(told) > told / 50 {
            self.told.store(bitrate, Ordering::SeqCst);
            self.bitrate.store(bitrate, Ordering::SeqCst);
        }
    }

    /// A camera was opened that can be asked for this.
    pub fn opened(&self, abilities: Abilities) {
        let mut now = lock(&self.abilities);
        self.key_frame.store(false, Ordering::SeqCst);
        self.bitrate.store(0, Ordering::SeqCst);
        self.told.store(0, Ordering::SeqCst);
        *now = abilities;
    }

    /// It is closed.
    pub fn closed(&self) {
        self.opened(Abilities::default());
    }

    /// Passes on what was asked for since the last time.
    pub fn pass_on(&self, mut set: impl FnMut(controls::Wish)) {
        match self.bitrate.swap(0, Ordering::SeqCst) {
            0 => {}
            bitrate => set(controls::Wish::Bitrate(bitrate)),
        }
        if self.key_frame.swap(false, Ordering::SeqCst) {
            set(controls::Wish::KeyFrame);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::controls::Wish;
    use super::*;

    fn passed(steer: &Steer) -> Vec<Wish> {
        let mut wishes = Vec::new();
        steer.pass_on(|wish| wishes.push(wish));
        wishes
    }

    #[test]
    fn what_is_asked_of_a_camera_is_passed_on_once_and_within_its_bounds() {
        let steer = Steer::default();
        steer.opened(Abilities { key_frame: true, bitrate: Some(200_000..=4_000_000) });
        assert!(steer.key_frame());
        steer.bitrate(50_000);
        assert_eq!(passed(&steer), [Wish::Bitrate(200_000), Wish::KeyFrame]);
        assert_eq!(passed(&steer), []);
        steer.bitrate(201_000);
        assert_eq!(passed(&steer), []);
        steer.bitrate(9_000_000);
        steer.bitrate(1_000_000);
        assert_eq!(passed(&steer), [Wish::Bitrate(1_000_000)]);
    }

    #[test]
    fn a_camera_that_cannot_be_asked_is_not() {
        let steer = Steer::default();
        assert!(!steer.key_frame());
        steer.bitrate(1_000_000);
        assert_eq!(passed(&steer), []);
        // Nor is the next one asked for what was meant for the last.
        steer.opened(Abilities { key_frame: true, bitrate: Some(1..=2) });
        steer.bitrate(1);
        steer.closed();
        assert_eq!(passed(&steer), []);
    }
}
