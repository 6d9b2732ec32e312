//! Pictures and sound in: RTP packets through jitter buffer and decoder to the outputs, in time.

use super::super::pipeline::{Closing, OnError, Pipeline, Time};
use super::super::sound::speaker::{Speaker, Voice};
use super::super::source::lock;
use super::super::stats::Received;
use super::super::{Codec, KeyFrameRequest, Kind, MediaError, MediaEvent, PictureSink};
use super::Config;
use super::delay::Delay;
use super::elements::decoders;
use super::lipsync::{Stream, Track};
use crate::journal::messages;
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Key frames are asked for at most once in this time.
const ASK_EVERY: Duration = Duration::from_millis(300);
/// Packets come but no picture for so long: stuck.
const STUCK: Duration = Duration::from_secs(1);
/// What decoding and handing over may take on top of the jitter buffer before a picture is late.
const DECODE: Duration = Duration::from_millis(30);
/// More starts than this are no bad luck.
const STARTS: u32 = 6;

/// What a stream is presented on.
pub enum Screen {
    /// Pictures go here.
    Picture(Arc<dyn PictureSink>),
    /// Sound goes here.
    Sound(Arc<Speaker>),
}

struct Running {
    pipeline: Pipeline,
    src: gst_app::AppSrc,
    sink: gst::Element,
    jitter_buffer: gst::Element,
    element: &'static str,
}

struct Shared {
    codec: Codec,
    payload_type: u8,
    config: Config,
    time: Time,
    screen: Screen,
    voice: Option<Arc<Voice>>,
    key_frame: KeyFrameRequest,
    events: mpsc::Sender<MediaEvent>,
    failed: Arc<Mutex<Option<String>>>,
    asked: Mutex<Option<Instant>>,
    flowing: AtomicBool,
    packets: AtomicU64,
    bytes: AtomicU64,
    frames: AtomicU64,
    requests: AtomicU64,
    width: AtomicU32,
    height: AtomicU32,
    track: Mutex<Track>,
    /// What the stream is held back for lip sync, in ns.
    hold: AtomicI64,
    /// The jitter buffer's wait in ms.
    wait: AtomicU64,
}

#[derive(Default)]
struct Core {
    running: Option<Running>,
    way: usize,
    starts: u32,
    closed: bool,
    delay: Option<Delay>,
    /// Frames and packets seen at the last look, and when the frames last moved.
    frames: u64,
    packets: u64,
    moved: Option<Instant>,
}

/// A stream that is being received.
pub struct Decoder {
    shared: Arc<Shared>,
    core: Mutex<Core>,
}

impl Decoder {
    /// Starts presenting a stream.
    ///
    /// # Errors
    /// This box has no decoder for it.
    #[allow(clippy::too_many_arguments)]
    pub fn start(
        codec: Codec,
        payload_type: u8,
        config: &Config,
        time: &Time,
        screen: Screen,
        key_frame: KeyFrameRequest,
        events: mpsc::Sender<MediaEvent>,
    ) -> Result<Decoder, MediaError> {
        let voice = match &screen {
            Screen::Sound(speaker) => Some(speaker.voice()),
            Screen::Picture(_) => None,
        };
        let decoder = Decoder {
            shared: Arc::new(Shared {
                codec,
                payload_type,
                config: config.clone(),
                time: time.clone(),
                screen,
                voice,
                key_frame,
                events,
                failed: Arc::default(),
                asked: Mutex::default(),
                flowing: AtomicBool::new(false),
                packets: AtomicU64::new(0),
                bytes: AtomicU64::new(0),
                frames: AtomicU64::new(0),
                requests: AtomicU64::new(0),
                width: AtomicU32::new(0),
                height: AtomicU32::new(0),
                track: Mutex::new(Track::new(if codec == Codec::Opus { 48_000 } else { 90_000 })),
                hold: AtomicI64::new(0),
                wait: AtomicU64::new(config.jitter_buffer.as_millis() as u64),
            }),
            core: Mutex::default(),
        };
        decoder.restart(&mut lock(&decoder.core)).map_err(|reason| decoder.shared.complaint(&reason))?;
        Ok(decoder)
    }

    /// One RTP packet.
    pub fn push(&self, packet: Bytes) {
        self.shared.packets.fetch_add(1, Ordering::Relaxed);
        self.shared.bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
        let src = lock(&self.core).running.as_ref().map(|r| r.src.clone());
        if let Some(src) = src {
            let _ = src.push_buffer(gst::Buffer::from_slice(packet));
        }
    }

    /// A sender report.
    pub fn sender_report(&self, ntp: u64, rtp: u32) {
        lock(&self.shared.track).report(ntp, rtp);
    }

    /// Sound or picture.
    pub fn kind(&self) -> Kind {
        self.shared.codec.kind()
    }

    /// What lip sync needs to know.
    pub fn stream(&self) -> Stream {
        let behind = match &self.shared.screen {
            Screen::Sound(speaker) => speaker.latency(),
            Screen::Picture(_) => Duration::ZERO,
        };
        let path = self.shared.wait() + DECODE + behind;
        Stream { track: *lock(&self.shared.track), path, hold: self.shared.hold.load(Ordering::Relaxed) }
    }

    /// Presents the stream so much (ns) later than it could be.
    pub fn hold(&self, hold: i64) {
        self.shared.hold.store(hold, Ordering::Relaxed);
        if let Some(running) = &lock(&self.core).running {
            running.sink.set_property("ts-offset", hold);
        }
    }

    /// Four times a second: asks for a key frame when stuck, waits as long as repairs take, and replaces a decoder that
    /// failed.
    ///
    /// # Errors
    /// It cannot go on: which decoder and what to try.
    pub fn tick(&self, now: Instant, rtt: Option<Duration>) -> Result<(), MediaError> {
        let mut core = lock(&self.core);
        if core.closed {
            return Ok(());
        }
        if let Some(reason) = lock(&self.shared.failed).take() {
            let element = core.running.as_ref().map_or("", |r| r.element);
            log::warn!(MESSAGE_ID = messages::CODEC_RESTARTED.id; "decoder {element}: {reason}; starting again");
            if core.starts >= STARTS {
                return Err(self.shared.complaint(&format!("{element} failed {STARTS} times ({reason})")));
            }
            core.way += 1;
            self.restart(&mut core).map_err(|reason| self.shared.complaint(&reason))?;
            self.shared.ask(now);
            return Ok(());
        }
        let (frames, packets) = (self.shared.frames.load(Ordering::Relaxed), self.shared.packets.load(Ordering::Relaxed));
        let moved = *core.moved.get_or_insert(now);
        if frames != core.frames || packets == core.packets {
            core.moved = Some(now);
        } else if self.shared.codec.kind() == Kind::Video && now.saturating_duration_since(moved) >= STUCK {
            core.moved = Some(now);
            self.shared.ask(now);
        }
        (core.frames, core.packets) = (frames, packets);
        self.wait_for_repairs(&mut core, now, rtt);
        Ok(())
    }

    fn wait_for_repairs(&self, core: &mut Core, now: Instant, rtt: Option<Duration>) {
        // Sound is not repaired but concealed; it waits for its picture, not for packets.
        if self.shared.codec.kind() == Kind::Audio {
            return;
        }
        let delay = core.delay.get_or_insert_with(|| Delay::new(self.shared.config.jitter_buffer));
        let Some(running) = &core.running else { return };
        let stats = running.jitter_buffer.property::<gst::Structure>("stats");
        let figure = |name: &str| stats.get::<u64>(name).unwrap_or(0);
        if let Some(wait) = delay.tick(now, figure("num-lost"), figure("num-late"), rtt) {
            log::debug!("the jitter buffer waits {} ms now", wait.as_millis());
            self.shared.wait.store(wait.as_millis() as u64, Ordering::Relaxed);
            running.jitter_buffer.set_property("latency", wait.as_millis() as u32);
            running.pipeline.set_latency(wait + DECODE);
        }
    }

    /// Its figures.
    pub fn stats(&self) -> Received {
        let core = lock(&self.core);
        let s = &self.shared;
        let jitter = core.running.as_ref().map(|r| r.jitter_buffer.property::<gst::Structure>("stats"));
        let figure = |name: &str| jitter.as_ref().and_then(|j| j.get::<u64>(name).ok()).unwrap_or(0);
        let dropped =
            core.running.as_ref().and_then(|r| r.sink.property::<gst::Structure>("stats").get::<u64>("dropped").ok()).unwrap_or(0);
        Received {
            kind: s.codec.kind(),
            codec: s.codec,
            decoder: core.running.as_ref().map_or("", |r| r.element).into(),
            width: s.width.load(Ordering::Relaxed),
            height: s.height.load(Ordering::Relaxed),
            packets: s.packets.load(Ordering::Relaxed),
            bytes: s.bytes.load(Ordering::Relaxed),
            lost: figure("num-lost"),
            duplicates: figure("num-duplicates"),
            wait_ms: s.wait.load(Ordering::Relaxed),
            late: figure("num-late"),
            jitter_ms: figure("avg-jitter") as f64 / 1e6,
            frames: s.frames.load(Ordering::Relaxed),
            frames_dropped: dropped,
            key_frame_requests: s.requests.load(Ordering::Relaxed),
            held_back_ms: s.hold.load(Ordering::Relaxed) as f64 / 1e6,
        }
    }

    /// Starts taking it down. Idempotent.
    pub fn close(&self) -> Option<Closing> {
        if let (Some(voice), Screen::Sound(speaker)) = (&self.shared.voice, &self.shared.screen) {
            speaker.remove(voice);
        }
        let mut core = lock(&self.core);
        core.closed = true;
        core.running.take().map(|r| r.pipeline.close())
    }

    fn restart(&self, core: &mut Core) -> Result<(), String> {
        if let Some(old) = core.running.take() {
            let _ = old.pipeline.close();
        }
        let ways = decoders(self.shared.codec, self.shared.config.hardware);
        let mut reason = "no decoder on this box; install gstreamer1.0-libav (H.264) or gstreamer1.0-plugins-good (VP8)".to_owned();
        if core.way >= ways.len() {
            core.way = ways.len().saturating_sub(1);
        }
        while let Some((element, text)) = ways.get(core.way).copied() {
            core.starts += 1;
            lock(&self.shared.failed).take();
            match self.shared.run(element, text) {
                Ok(running) => {
                    core.running = Some(running);
                    return Ok(());
                }
                Err(e) => {
                    reason = format!("{element} does not start ({})", lock(&self.shared.failed).take().unwrap_or(e));
                    log::warn!(MESSAGE_ID = crate::journal::messages::CODEC_RESTARTED.id; "{reason}");
                    core.way += 1;
                }
            }
        }
        Err(reason)
    }
}

impl Drop for Decoder {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

impl Shared {
    fn complaint(&self, reason: &str) -> MediaError {
        MediaError(format!("decoder for {:?}: {reason}; set media.hardware = false, or choose the other media.codec", self.codec))
    }

    fn wait(&self) -> Duration {
        Duration::from_millis(self.wait.load(Ordering::Relaxed))
    }

    fn ask(&self, now: Instant) {
        let mut asked = lock(&self.asked);
        if asked.is_none_or(|t| now.saturating_duration_since(t) >= ASK_EVERY) {
            *asked = Some(now);
            drop(asked);
            self.requests.fetch_add(1, Ordering::Relaxed);
            (self.key_frame)();
        }
    }

    fn run(self: &Arc<Self>, element: &'static str, text: &str) -> Result<Running, String> {
        let jitter_ms = self.wait().as_millis();
        let (caps, depay, tail) = match self.codec {
            Codec::Vp8 => {
                ("media=video,clock-rate=90000,encoding-name=VP8", "rtpvp8depay request-keyframe=true wait-for-keyframe=true", PICTURE_TAIL)
            }
            Codec::H264 => (
                "media=video,clock-rate=90000,encoding-name=H264",
                "rtph264depay request-keyframe=true wait-for-keyframe=true",
                PICTURE_TAIL,
            ),
            Codec::Opus => ("media=audio,clock-rate=48000,encoding-name=OPUS", "rtpopusdepay", SOUND_TAIL),
        };
        let description = format!(
            "appsrc name=in is-live=true format=time do-timestamp=true max-buffers=2000 max-bytes=0 max-time=0 leaky-type=downstream \
             caps=\"application/x-rtp,{caps},payload={}\" ! rtpjitterbuffer name=jitter latency={jitter_ms} do-lost=true ! {depay} ! {text} ! {tail}",
            self.payload_type
        );
        let failed = self.failed.clone();
        let on_error: OnError = Arc::new(move |text| {
            lock(&failed).get_or_insert(text);
        });
        let name = if self.codec.kind() == Kind::Audio { "audio decoder" } else { "video decoder" };
        let pipeline = Pipeline::build(name, &description, &self.time, Some(self.wait() + DECODE), on_error)?;
        let get = |name: &str| pipeline.element(name).ok_or_else(|| format!("no element `{name}`"));
        let (jitter_buffer, sink) = (get("jitter")?, get("out")?);
        let src = get("in")?.downcast::<gst_app::AppSrc>().map_err(|_| "no appsrc")?;
        let out = sink.clone().downcast::<gst_app::AppSink>().map_err(|_| "no appsink")?;
        // Weak: the pipeline belongs to the decoder, not the other way round.
        let weak = Arc::downgrade(self);
        if let Some(pad) = src.static_pad("src") {
            let weak = weak.clone();
            pad.add_probe(gst::PadProbeType::EVENT_UPSTREAM, move |_, info| {
                if info.event().and_then(|e| e.structure()).is_some_and(|s| s.name() == "GstForceKeyUnit")
                    && let Some(shared) = weak.upgrade()
                {
                    shared.ask(Instant::now());
                }
                gst::PadProbeReturn::Ok
            });
        }
        if let Some(pad) = jitter_buffer.static_pad("src") {
            let weak = weak.clone();
            pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
                if let (Some(buffer), Some(shared)) = (info.buffer(), weak.upgrade())
                    && let (Some(pts), Ok(map)) = (buffer.pts(), buffer.map_readable())
                    && let Some(rtp) = map.get(4..8)
                {
                    lock(&shared.track).packet(u32::from_be_bytes([rtp[0], rtp[1], rtp[2], rtp[3]]), pts.nseconds());
                }
                gst::PadProbeReturn::Ok
            });
        }
        sink.set_property("ts-offset", self.hold.load(Ordering::Relaxed));
        out.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let Some(shared) = weak.upgrade() else { return Err(gst::FlowError::Flushing) };
                    shared.present(&sample);
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        pipeline.play()?;
        Ok(Running { pipeline, src, sink, jitter_buffer, element })
    }

    /// A picture or a piece of sound that is due now.
    fn present(&self, sample: &gst::Sample) {
        match (&self.screen, &self.voice) {
            (Screen::Picture(picture), _) => {
                if let Some(s) = sample.caps().and_then(|c| c.structure(0)) {
                    self.width.store(s.get::<i32>("width").unwrap_or(0).max(0) as u32, Ordering::Relaxed);
                    self.height.store(s.get::<i32>("height").unwrap_or(0).max(0) as u32, Ordering::Relaxed);
                }
                picture.push(sample);
            }
            (Screen::Sound(_), Some(voice)) => {
                if let Some(map) = sample.buffer().and_then(|b| b.map_readable().ok()) {
                    voice.push(&map);
                }
            }
            (Screen::Sound(_), None) => {}
        }
        self.frames.fetch_add(1, Ordering::Relaxed);
        if !self.flowing.swap(true, Ordering::Relaxed) {
            let _ = self.events.try_send(MediaEvent::Flowing(self.codec.kind()));
        }
    }
}

// The queue lets the next picture be decoded while the last one waits for its time.
const PICTURE_TAIL: &str = "queue max-size-buffers=3 max-size-bytes=0 max-size-time=0 ! video/x-raw ! appsink name=out sync=true async=false max-buffers=2 drop=true qos=true max-lateness=200000000";
const SOUND_TAIL: &str = "audioconvert ! audioresample ! audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=2 ! appsink name=out sync=true async=false max-buffers=20 drop=true";
