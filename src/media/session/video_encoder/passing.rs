//! The camera's own stream into packets, and the changes between that and an encoder.

use super::line::Line;
use super::pass_through::End;
use super::{BARREN, Core, Inner, KEY_FRAME_EVERY};
use crate::media::adapt::Target;
use crate::media::camera::coded::{Coded, Unit};
use crate::media::source::lock;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// A running pipeline that only cuts into packets.
pub struct Passing {
    pub(super) line: Line,
    /// What the stream is, at the bitrate that the camera is asked for.
    pub(super) applied: Target,
    started: Instant,
    packets_before: u64,
    pictures: u64,
}

impl Passing {
    /// It was given pictures and gave no packets.
    fn is_barren(&self, now: Instant, packets: u64) -> bool {
        self.pictures > 10 && now.saturating_duration_since(self.started) > BARREN && packets == self.packets_before
    }
}

impl Inner {
    /// One picture as the camera coded it.
    pub(super) fn take_coded(&self, unit: &Unit) {
        let now = Instant::now();
        let mut core = lock(&self.core);
        let core = &mut *core;
        if core.closed {
            return;
        }
        core.own.unit(now, unit);
        if core.begin && unit.key {
            self.begin(core, now);
        }
        let (Some(passing), Some(coded)) = (&mut core.passing, &self.coded) else { return };
        let at = unit.buffer.pts().unwrap_or_default();
        if core.newest.is_some_and(|newest| at <= newest) {
            return;
        }
        if unit.key {
            self.key_frame_wanted.store(false, Ordering::Relaxed);
            self.key_frames.fetch_add(1, Ordering::Relaxed);
        } else if unit.gap {
            self.key_frame_wanted.store(true, Ordering::Relaxed);
        }
        let due = core.key_frame_at.is_none_or(|t| now.saturating_duration_since(t) >= KEY_FRAME_EVERY);
        if self.key_frame_wanted.load(Ordering::Relaxed) && due {
            core.key_frame_at = Some(now);
            coded.steer.key_frame();
            core.own.key_frame_asked(now);
        }
        core.newest = Some(at);
        passing.pictures += 1;
        self.frames.fetch_add(1, Ordering::Relaxed);
        let _ = passing.line.src.push_buffer(unit.buffer.clone());
    }

    /// Goes over to the camera's stream, whose next picture is a key frame.
    fn begin(&self, core: &mut Core, now: Instant) {
        core.begin = false;
        let Some(target) = self.outlets.target(now).filter(|target| core.own.may_begin(now, target)) else { return };
        let Some(form) = core.own.form(now).cloned() else { return };
        if let Some(encoding) = core.running.take() {
            let _ = encoding.line.close();
        }
        // Long enough for a payloader that is held up: a picture left out would spoil those behind it.
        let pictures = "max-buffers=60 caps=\"video/x-h264,stream-format=byte-stream,alignment=au\"";
        match self.line(pictures, "") {
            Ok(line) => {
                log::info!("sending the camera's own H.264 stream, {}x{} at {}/s", form.width, form.height, form.fps);
                let applied = Target { width: form.width, height: form.height, fps: form.fps, bitrate: target.bitrate };
                let packets_before = self.outlets.packets.load(Ordering::Relaxed);
                core.passing = Some(Passing { line, applied, started: now, packets_before, pictures: 0 });
                core.own.begun();
            }
            Err(reason) => {
                let end = core.own.failed(now, reason);
                // The encoder that was there a moment ago starts once more; the next look says so if it does not.
                if let Err(reason) = self.encode(core, &end) {
                    lock(&self.failed).get_or_insert(reason);
                }
            }
        }
    }

    /// Decides between the camera's stream and an encoder, and asks the camera for what the link bears.
    ///
    /// # Errors
    /// No encoder starts.
    pub(super) fn pass_or_encode(&self, core: &mut Core, coded: &Coded, now: Instant, target: &Target) -> Result<(), String> {
        let as_it_is = core.own.has_size(now, target);
        // What is decoded here anyway may be as good as the camera can.
        coded.steer.bitrate(if as_it_is { target.bitrate } else { self.limits.max_bitrate });
        let Some(passing) = &mut core.passing else {
            core.begin = core.own.may_begin(now, target);
            if core.begin {
                coded.steer.key_frame();
            }
            return Ok(());
        };
        passing.applied.bitrate = target.bitrate;
        let barren = passing.is_barren(now, self.outlets.packets.load(Ordering::Relaxed)).then(|| "it gave nothing".to_owned());
        let failed = lock(&self.failed).take().or(barren);
        let end = match failed {
            Some(reason) => core.own.failed(now, reason),
            None => match core.own.must_end(now, target) {
                Some(end) => {
                    core.own.ended(now, &end);
                    end
                }
                None => return Ok(()),
            },
        };
        self.encode(core, &end)
    }

    /// Leaves the camera's stream.
    fn encode(&self, core: &mut Core, end: &End) -> Result<(), String> {
        log::info!("the camera's own H.264 stream is decoded and encoded anew: {}", end.why);
        if let Some(passing) = core.passing.take() {
            let _ = passing.line.close();
        }
        self.restart(core)
    }
}
