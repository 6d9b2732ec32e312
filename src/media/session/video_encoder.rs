//! Pictures out: frames of the camera, scaled and encoded, as RTP packets. Which encoder element does it is found out at
//! run time: hardware where the box has it, software when it has not or when the hardware does not start.

use super::super::adapt::{Limits, Target};
use super::super::camera::{Frames, frame_caps};
use super::super::pipeline::{Closing, OnError, Pipeline, Time};
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
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Key frames are not made more often, however many ask: each costs as much as ten others.
const KEY_FRAME_EVERY: Duration = Duration::from_millis(300);
/// Frames waiting for the encoder; one more is dropped, late pictures are of no use.
const WAITING: u64 = 2;
/// An encoder that was given frames and gave nothing for so long does not work.
const BARREN: Duration = Duration::from_secs(3);
/// More starts than this are no bad luck.
const STARTS: u32 = 6;
/// A share of dropped frames that says that the machine is too slow.
const TOO_SLOW: f32 = 0.2;

/// A running encoder pipeline.
struct Running {
    pipeline: Pipeline,
    src: gst_app::AppSrc,
    sink: gst_app::AppSink,
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
    way: usize,
    starts: u32,
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
}

impl VideoEncoder {
    /// Starts encoding what the camera delivers.
    ///
    /// # Errors
    /// This box has no encoder for the codec, or none starts.
    pub fn start(codec: Codec, config: &Config, time: &Time, camera: Arc<Frames>) -> Result<VideoEncoder, MediaError> {
        VideoEncoder::with(encoders(codec, config.hardware), codec, config, time, camera)
    }

    fn with(ways: Vec<Way>, codec: Codec, config: &Config, time: &Time, camera: Arc<Frames>) -> Result<VideoEncoder, MediaError> {
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
        Ok(VideoEncoder { inner, camera, taker })
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
        let (encoder, t) = core.running.as_ref().map_or(("", None), |r| (r.way.element, Some(r.applied)));
        Sent {
            codec: self.inner.codec,
            encoder: encoder.into(),
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
        let mut core = lock(&self.inner.core);
        core.closed = true;
        core.running.take().map(|r| r.pipeline.close())
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
            let _ = old.pipeline.close();
        }
        let mut reason = "no encoder is left".to_owned();
        while let Some(way) = self.ways.get(core.way).copied() {
            core.starts += 1;
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
        let description = format!(
            "appsrc name=in is-live=true format=time max-buffers={WAITING} max-bytes=0 max-time=0 caps=\"{}\" ! videoscale ! capsfilter name=size caps=\"{}\" ! \
             {} ! {} ssrc={} timestamp-offset={} seqnum-offset={} ! appsink name=out sync=false async=false buffer-list=false max-buffers=500 drop=true",
            frame_caps(&self.config),
            size_caps(&target),
            (way.text)(target.bitrate),
            payloader(self.codec),
            self.ssrc,
            self.timestamp,
            self.outlets.next_sequence(),
        );
        let failed = self.failed.clone();
        let on_error: OnError = Arc::new(move |text| {
            lock(&failed).get_or_insert(text);
        });
        let pipeline = Pipeline::build("video encoder", &description, &self.time, None, on_error)?;
        let element = |name: &str| pipeline.element(name).ok_or_else(|| format!("no element `{name}`"));
        let src = element("in")?.downcast::<gst_app::AppSrc>().map_err(|_| "no appsrc")?;
        let sink = element("out")?.downcast::<gst_app::AppSink>().map_err(|_| "no appsink")?;
        let (size, encoder) = (element("size")?, element("encoder")?);
        let outlets = self.outlets.clone();
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    if let Some(map) = sample.buffer().and_then(|b| b.map_readable().ok()) {
                        outlets.hand_out(&map);
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline.play()?;
        let rate = FrameRate::new(target.fps);
        Ok(Running {
            pipeline,
            src,
            sink,
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

    /// One frame of the camera.
    fn take(&self, sample: &gst::Sample) {
        let mut core = lock(&self.core);
        let core = &mut *core;
        let Some(running) = &mut core.running else { return };
        let Some(buffer) = sample.buffer_owned() else { return };
        if !running.rate.due(buffer.pts().unwrap_or_default()) {
            return;
        }
        core.given += 1;
        if running.src.property::<u64>("current-level-buffers") >= WAITING {
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
            if let Some(pad) = running.sink.static_pad("sink") {
                pad.push_event(gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
            }
        }
        running.frames += 1;
        self.frames.fetch_add(1, Ordering::Relaxed);
        let _ = running.src.push_buffer(buffer);
    }

    fn tick(&self, now: Instant) -> Result<(), String> {
        let mut core = lock(&self.core);
        if core.closed {
            return Ok(());
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
            if core.starts >= STARTS {
                return Err(format!("{element} failed {STARTS} times ({reason})"));
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
        let Some(target) = self.outlets.target(now) else { return Ok(()) };
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
mod tests {
    use super::super::super::camera::placeholder;
    use super::super::super::pipeline::gstreamer;
    use super::super::tests::{Watched, small};
    use super::*;

    /// A camera whose frames the test takes.
    fn frame(config: &Config, time: &Time) -> gst::Sample {
        let mut buffer = placeholder(config.width, config.height);
        buffer.get_mut().unwrap().set_pts(time.now());
        gst::Sample::builder().buffer(&buffer).caps(&frame_caps(config)).build()
    }

    #[test]
    fn an_encoder_that_fails_is_replaced_by_the_next_one_and_the_stream_goes_on() {
        gstreamer().unwrap();
        let config = small();
        let (time, camera) = (Time::start(), Arc::new(Frames::default()));
        let vp8 = encoders(Codec::Vp8, false)[0];
        let never = Way { element: "never starts", text: |_| "nosuchelement name=encoder".into(), ..vp8 };
        // Stands for a driver that breaks: a few frames, then an error.
        let breaks = Way {
            element: "breaks",
            text: |_| "identity name=encoder error-after=8 ! vp8enc deadline=1 cpu-used=8".into(),
            set_bitrate: |_, _| {},
            ..vp8
        };
        let encoder = VideoEncoder::with(vec![never, breaks, vp8], Codec::Vp8, &config, &time, camera.clone()).unwrap();
        assert_eq!(encoder.stats().encoder, "breaks");
        let packets: Arc<Watched<Vec<(u16, u32)>>> = Arc::default();
        let seen = packets.clone();
        let limits = encoder.limits();
        encoder.outlets().add(
            96,
            Arc::new(move |p| seen.change(|s| s.push((u16::from_be_bytes([p[2], p[3]]), u32::from_be_bytes([p[4], p[5], p[6], p[7]]))))),
            Some(limits),
        );
        while encoder.stats().encoder == "breaks" {
            camera.push(&frame(&config, &time));
            encoder.tick(Instant::now()).unwrap();
            std::thread::sleep(Duration::from_millis(66));
        }
        assert_eq!(encoder.stats().encoder, "vp8enc");
        let before = packets.get(Vec::len);
        while packets.get(Vec::len) < before + 5 {
            camera.push(&frame(&config, &time));
            std::thread::sleep(Duration::from_millis(66));
        }
        let all = packets.get(Vec::clone);
        assert!(all.windows(2).all(|w| w[1].0 == w[0].0.wrapping_add(1)), "sequence numbers: {all:?}");
        assert!(all.windows(2).all(|w| w[1].1.wrapping_sub(w[0].1) < 90_000 * 10), "RTP time: {all:?}");
    }

    #[test]
    fn without_any_encoder_the_codec_is_refused_with_a_reason() {
        gstreamer().unwrap();
        let error = VideoEncoder::with(Vec::new(), Codec::H264, &small(), &Time::start(), Arc::default()).err().unwrap();
        assert!(error.0.contains("H264") && error.0.contains("install"), "{error}");
    }
}
