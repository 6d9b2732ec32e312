//! Pictures out: frames of the camera, scaled and encoded, as RTP packets. Which encoder element does it is found out at
//! run time: hardware where the box has it, software when it has not or when the hardware does not start. A camera's own
//! H.264 stream goes out as it is where it can.

mod line;
mod pass_through;
mod passing;

use super::super::adapt::{Limits, Target};
use super::super::camera::coded::Coded;
use super::super::camera::{Camera, Frames, frame_caps};
use super::super::pipeline::{Closing, OnError, Time};
use super::super::source::lock;
use super::super::stats::Sent;
use super::super::{Codec, MediaError};
use super::Config;
use super::elements::{Way, encoders, payloader};
use super::frame_rate::FrameRate;
use super::outlets::Outlets;
use crate::journal::messages;
use gstreamer as gst;
use gstreamer::prelude::*;
use line::Line;
use pass_through::PassThrough;
use passing::Passing;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Key frames are not made more often, however many ask: each costs as much as ten others.
const KEY_FRAME_EVERY: Duration = Duration::from_millis(300);
/// Frames waiting for the encoder; one more is dropped, late pictures are of no use.
const WAITING: u64 = 2;
/// An encoder that was given frames and gave nothing for so long does not work.
const BARREN: Duration = Duration::from_secs(3);
/// More failures than this are no bad luck.
const FAILURES: u32 = 6;
/// A share of dropped frames that says that the machine is too slow.
const TOO_SLOW: f32 = 0.2;

/// A running encoder pipeline.
struct Running {
    line: Line,
    size: gst::Element,
    encoder: gst::Element,
    way: Way,
    applied: Target,
    rate: FrameRate,
    started: Instant,
    packets_before: u64,
    frames: u64,
}

#[derive(Default)]
struct Core {
    running: Option<Running>,
    /// The camera's own stream goes out; then no encoder runs.
    passing: Option<Passing>,
    own: PassThrough,
    /// The camera's next key frame begins [`Core::passing`].
    begin: bool,
    /// Time stamp of the last picture that went out: what goes out next is newer, however it is coded.
    newest: Option<gst::ClockTime>,
    way: usize,
    failures: u32,
    key_frame_at: Option<Instant>,
    /// Frames given and dropped since the last look at the load.
    given: u32,
    dropped: u32,
    looked: Option<Instant>,
    closed: bool,
}

struct Inner {
    codec: Codec,
    config: Config,
    time: Time,
    limits: Limits,
    ways: Vec<Way>,
    outlets: Arc<Outlets>,
    /// The camera's own stream, where the codec is its.
    coded: Option<Arc<Coded>>,
    core: Mutex<Core>,
    key_frame_wanted: AtomicBool,
    failed: Arc<Mutex<Option<String>>>,
    frames: AtomicU64,
    frames_dropped: AtomicU64,
    key_frames: AtomicU64,
    ssrc: u32,
    timestamp: u32,
}

/// An encoder with everybody who takes its packets.
pub struct VideoEncoder {
    inner: Arc<Inner>,
    camera: Arc<Frames>,
    taker: u64,
    taker_coded: Option<u64>,
}

impl VideoEncoder {
    /// Starts encoding what the camera delivers.
    ///
    /// # Errors
    /// This box has no encoder for the codec, or none starts.
    pub fn start(codec: Codec, config: &Config, time: &Time, camera: &Camera) -> Result<VideoEncoder, MediaError> {
        let coded = (codec == Codec::H264).then(|| camera.coded.clone());
        VideoEncoder::with(encoders(codec, config.hardware), codec, config, time, camera.frames.clone(), coded)
    }

    fn with(
        ways: Vec<Way>,
        codec: Codec,
        config: &Config,
        time: &Time,
        camera: Arc<Frames>,
        coded: Option<Arc<Coded>>,
    ) -> Result<VideoEncoder, MediaError> {
        if ways.is_empty() {
            return Err(MediaError(format!(
                "video encoder for {codec:?}: none on this box; install gstreamer1.0-plugins-ugly (H.264) or -good (VP8)"
            )));
        }
        let limits = Limits {
            max_bitrate: config.max_bitrate,
            min_bitrate: config.min_bitrate,
            width: config.width,
            height: config.height,
            fps: config.fps,
            codec,
        };
        let inner = Arc::new(Inner {
            codec,
            config: config.clone(),
            time: time.clone(),
            limits,
            ways,
            outlets: Arc::default(),
            coded,
            core: Mutex::default(),
            key_frame_wanted: AtomicBool::new(true),
            failed: Arc::default(),
            frames: AtomicU64::new(0),
            frames_dropped: AtomicU64::new(0),
            key_frames: AtomicU64::new(0),
            ssrc: rand::random(),
            timestamp: rand::random(),
        });
        inner.restart(&mut lock(&inner.core)).map_err(|reason| MediaError(inner.complaint(&reason)))?;
        let taker = {
            let inner = inner.clone();
            camera.add(Arc::new(move |sample| inner.take(sample)))
        };
        let taker_coded = inner.coded.as_ref().map(|coded| {
            let inner = inner.clone();
            coded.units.add(Arc::new(move |unit| inner.take_coded(unit)))
        });
        Ok(VideoEncoder { inner, camera, taker, taker_coded })
    }

    /// Its receivers.
    pub fn outlets(&self) -> &Outlets {
        &self.inner.outlets
    }

    /// The bounds for a receiver's adaptation.
    pub fn limits(&self) -> Limits {
        self.inner.limits
    }

    /// A key frame, with the next frame or as soon as the last one is old enough.
    pub fn key_frame(&self) {
        self.inner.key_frame_wanted.store(true, Ordering::Relaxed);
    }

    /// Four times a second: follows the feedback, and replaces an encoder that failed.
    ///
    /// # Errors
    /// It cannot go on: which encoder and what to try.
    pub fn tick(&self, now: Instant) -> Result<(), MediaError> {
        self.inner.tick(now).map_err(|reason| MediaError(self.inner.complaint(&reason)))
    }

    /// Its figures.
    pub fn stats(&self) -> Sent {
        let core = lock(&self.inner.core);
        let running = core.running.as_ref().map(|r| (r.way.element, r.applied));
        let (encoder, t) = core.passing.as_ref().map(|p| ("camera", p.applied)).or(running).unzip();
        Sent {
            codec: self.inner.codec,
            encoder: encoder.unwrap_or_default().into(),
            width: t.map_or(0, |t| t.width),
            height: t.map_or(0, |t| t.height),
            fps: t.map_or(0, |t| t.fps),
            target_bitrate: t.map_or(0, |t| t.bitrate),
            packets: self.inner.outlets.packets.load(Ordering::Relaxed),
            bytes: self.inner.outlets.bytes.load(Ordering::Relaxed),
            frames: self.inner.frames.load(Ordering::Relaxed),
            frames_dropped: self.inner.frames_dropped.load(Ordering::Relaxed),
            key_frames: self.inner.key_frames.load(Ordering::Relaxed),
        }
    }

    /// Starts taking it down. Idempotent.
    pub fn close(&self) -> Option<Closing> {
        self.camera.remove(self.taker);
        if let (Some(coded), Some(taker)) = (&self.inner.coded, self.taker_coded) {
            coded.units.remove(taker);
        }
        let mut core = lock(&self.inner.core);
        core.closed = true;
        let line = core.running.take().map(|r| r.line).or(core.passing.take().map(|p| p.line));
        line.map(Line::close)
    }
}

impl Drop for VideoEncoder {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

impl Inner {
    fn complaint(&self, reason: &str) -> String {
        format!("video encoder for {:?}: {reason}; set media.hardware = false, or choose the other media.codec", self.codec)
    }

    /// (Re)starts with the first way that starts, from the current one on.
    fn restart(&self, core: &mut Core) -> Result<(), String> {
        if let Some(old) = core.running.take() {
            let _ = old.line.close();
        }
        let mut reason = "no encoder is left".to_owned();
        while let Some(way) = self.ways.get(core.way).copied() {
            lock(&self.failed).take();
            match self.run(way) {
                Ok(running) => {
                    core.running = Some(running);
                    self.key_frame_wanted.store(true, Ordering::Relaxed);
                    return Ok(());
                }
                Err(e) => {
                    reason = format!("{} does not start ({})", way.element, lock(&self.failed).take().unwrap_or(e));
                    if core.way + 1 < self.ways.len() {
                        log::warn!(MESSAGE_ID = messages::CODEC_RESTARTED.id; "{reason}; trying {} instead", self.ways[core.way + 1].element);
                    }
                    core.way += 1;
                }
            }
        }
        core.way = self.ways.len() - 1;
        Err(reason)
    }

    fn run(&self, way: Way) -> Result<Running, String> {
        let target = self.outlets.target(Instant::now()).unwrap_or(Target {
            bitrate: self.limits.max_bitrate.min(1_000_000),
            width: self.limits.width,
            height: self.limits.height,
            fps: self.limits.fps,
        });
        let work = format!("videoscale ! capsfilter name=size caps=\"{}\" ! {} ! ", size_caps(&target), (way.text)(target.bitrate));
        let line = self.line(&format!("max-buffers={WAITING} caps=\"{}\"", frame_caps(&self.config)), &work)?;
        let (size, encoder) = (line.element("size")?, line.element("encoder")?);
        let rate = FrameRate::new(target.fps);
        Ok(Running {
            line,
            size,
            encoder,
            way,
            applied: target,
            rate,
            started: Instant::now(),
            packets_before: self.outlets.packets.load(Ordering::Relaxed),
            frames: 0,
        })
    }

    /// Pictures of this kind, through this work (elements with a link behind them), into the packets of the one stream.
    fn line(&self, pictures: &str, work: &str) -> Result<Line, String> {
        let description = format!(
            "appsrc name=in is-live=true format=time max-bytes=0 max-time=0 {pictures} ! {work}{} ssrc={} timestamp-offset={} \
             seqnum-offset={} ! appsink name=out sync=false async=false buffer-list=false max-buffers=500 drop=true",
            payloader(self.codec),
            self.ssrc,
            self.timestamp,
            self.outlets.next_sequence(),
        );
        let failed = self.failed.clone();
        let on_error: OnError = Arc::new(move |text| {
            lock(&failed).get_or_insert(text);
        });
        Line::start(&description, &self.time, self.outlets.clone(), on_error)
    }

    /// One frame of the camera.
    fn take(&self, sample: &gst::Sample) {
        let mut core = lock(&self.core);
        let core = &mut *core;
        let Some(running) = &mut core.running else { return };
        let Some(buffer) = sample.buffer_owned() else { return };
        let at = buffer.pts().unwrap_or_default();
        if core.newest.is_some_and(|newest| at <= newest) || !running.rate.due(at) {
            return;
        }
        core.given += 1;
        if running.line.src.property::<u64>("current-level-buffers") >= WAITING {
            core.dropped += 1;
            self.frames_dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let now = Instant::now();
        if self.key_frame_wanted.load(Ordering::Relaxed)
            && core.key_frame_at.is_none_or(|t| now.saturating_duration_since(t) >= KEY_FRAME_EVERY)
        {
            self.key_frame_wanted.store(false, Ordering::Relaxed);
            core.key_frame_at = Some(now);
            self.key_frames.fetch_add(1, Ordering::Relaxed);
            running.line.key_frame();
        }
        running.frames += 1;
        self.frames.fetch_add(1, Ordering::Relaxed);
        core.newest = Some(at);
        let _ = running.line.src.push_buffer(buffer);
    }

    fn tick(&self, now: Instant) -> Result<(), String> {
        let mut core = lock(&self.core);
        if core.closed {
            return Ok(());
        }
        let target = self.outlets.target(now);
        if let (Some(coded), Some(target)) = (&self.coded, &target) {
            self.pass_or_encode(&mut core, coded, now, target)?;
        }
        let failed = lock(&self.failed).take();
        let barren = core.running.as_ref().is_some_and(|r| {
            r.frames > 10
                && now.saturating_duration_since(r.started) > BARREN
                && self.outlets.packets.load(Ordering::Relaxed) == r.packets_before
        });
        if let Some(reason) = failed.or_else(|| barren.then(|| "it gave nothing".to_owned())) {
            let element = core.running.as_ref().map_or("", |r| r.way.element);
            log::warn!(MESSAGE_ID = messages::CODEC_RESTARTED.id; "video encoder {element}: {reason}; starting again");
            core.failures += 1;
            if core.failures >= FAILURES {
                return Err(format!("{element} failed {FAILURES} times ({reason})"));
            }
            core.way = (core.way + 1).min(self.ways.len() - 1);
            return self.restart(&mut core);
        }
        if core.looked.is_none_or(|t| now.saturating_duration_since(t) >= Duration::from_secs(3)) {
            if core.given >= 20 && core.dropped as f32 > core.given as f32 * TOO_SLOW {
                self.outlets.overloaded(now);
            }
            (core.given, core.dropped, core.looked) = (0, 0, Some(now));
        }
        let Some(target) = target else { return Ok(()) };
        let Some(running) = &mut core.running else { return Ok(()) };
        let old = running.applied;
        if (target.width, target.height) != (old.width, old.height) {
            log::info!("sending {}x{} at {}/s with {} kbit/s now", target.width, target.height, target.fps, target.bitrate / 1000);
            if running.way.hardware {
                // Few drivers change their size while running; a new pipeline takes over with the next sequence number.
                return self.restart(&mut core);
            }
            running.size.set_property("caps", size_caps(&target));
        }
        if target.bitrate.abs_diff(old.bitrate) > old.bitrate / 50 {
            (running.way.set_bitrate)(&running.encoder, target.bitrate);
        }
        running.rate.set(target.fps);
        running.applied = target;
        Ok(())
    }
}

fn size_caps(target: &Target) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("width", target.width as i32)
        .field("height", target.height as i32)
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build()
}

#[cfg(test)]
mod tests;
