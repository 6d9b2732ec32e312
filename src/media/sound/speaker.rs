//! The speaker: one thread mixes all voices each 10 ms and hands the mix to the output, to the echo canceller, and to
//! nobody else. It runs from open to close without a gap: HDMI sinks need their time after each silence, and the
//! canceller needs to know what is played at every moment.

use super::super::pipeline::{CLOSE_WITHIN, OnError, Pipeline, Time};
use super::super::source::lock;
use super::super::{SoundOut, camera::quoted};
use super::echo::Reference;
use super::{FRAME, FRAME_TIME};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Interleaved stereo samples of a frame.
const STEREO: usize = 2 * FRAME;
/// A voice begins to sound when so much of it is there: two frames, against the jitter of its decoder's thread.
const CUSHION: usize = 2 * STEREO;
/// More than this waits only when clocks drift apart: 80 ms.
const TOO_MUCH: usize = 8 * STEREO;
/// A loss of time longer than this is not caught up: 200 ms.
const CATCH_UP: Duration = Duration::from_millis(200);
/// From handing samples to ALSA until they leave the sound card.
pub const ALSA_LATENCY: Duration = Duration::from_millis(60);
/// Pause before a lost output is opened again: a television that was switched off takes its HDMI sound with it, and a
/// tone that has just ended needs a moment to let go of the device.
const REOPEN: Duration = Duration::from_millis(500);

/// What one caller says, waiting to be mixed.
#[derive(Default)]
pub struct Voice {
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    samples: VecDeque<i16>,
    sounding: bool,
}

impl Voice {
    /// Adds interleaved stereo samples that are due now. Never blocks; never holds more than 80 ms.
    pub fn push(&self, bytes: &[u8]) {
        let mut w = lock(&self.waiting);
        w.samples.extend(bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])));
        if w.samples.len() > TOO_MUCH {
            let surplus = (w.samples.len() - CUSHION) / 2 * 2;
            w.samples.drain(..surplus);
        }
    }

    fn mix(&self, sum: &mut [i32; STEREO]) {
        let mut w = lock(&self.waiting);
        if !w.sounding && w.samples.len() < CUSHION {
            return;
        }
        let n = w.samples.len().min(STEREO);
        for (slot, sample) in sum.iter_mut().zip(w.samples.drain(..n)) {
            *slot += i32::from(sample);
        }
        // Run dry: collect a cushion again instead of stuttering frame by frame.
        w.sounding = n == STEREO;
    }
}

struct Shared {
    voices: Mutex<Vec<Arc<Voice>>>,
    closed: AtomicBool,
}

/// The open speaker of a session.
pub struct Speaker {
    shared: Arc<Shared>,
    _stop: mpsc::Sender<()>,
    latency: Duration,
}

/// Is told that the output is gone (why) or back (`None`).
pub type Tell = Box<dyn Fn(Option<String>) + Send>;

impl Speaker {
    /// Starts playing silence.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn open(out: SoundOut, reference: Arc<Reference>, tell: Tell) -> std::io::Result<Speaker> {
        let latency = if matches!(out, SoundOut::Alsa(_)) { ALSA_LATENCY } else { Duration::ZERO };
        let shared = Arc::new(Shared { voices: Mutex::default(), closed: AtomicBool::new(false) });
        let (stop, stopped) = mpsc::channel();
        let voices = shared.clone();
        std::thread::Builder::new().name("media-speaker".into()).spawn(move || run(out, reference, tell, voices, stopped))?;
        Ok(Speaker { shared, _stop: stop, latency })
    }

    /// A new voice in the mix.
    pub fn voice(&self) -> Arc<Voice> {
        let voice = Arc::new(Voice::default());
        lock(&self.shared.voices).push(voice.clone());
        voice
    }

    /// Takes a voice out of the mix.
    pub fn remove(&self, voice: &Arc<Voice>) {
        lock(&self.shared.voices).retain(|v| !Arc::ptr_eq(v, voice));
    }

    /// From handing a voice's samples over until they sound: what pictures wait for (lip sync).
    pub fn latency(&self) -> Duration {
        // The cushion, and half a tick on average.
        2 * FRAME_TIME + FRAME_TIME / 2 + self.latency
    }

    /// Ends the sound. Idempotent.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::SeqCst);
    }
}

impl Drop for Speaker {
    fn drop(&mut self) {
        self.close();
    }
}

/// Comes round once a frame, in real time.
pub(super) struct Ticks(Instant);

impl Ticks {
    pub(super) fn start() -> Ticks {
        Ticks(Instant::now())
    }

    /// Waits for the next frame's time; `false` when the other end of `stopped` is gone.
    pub(super) fn wait(&mut self, stopped: &mpsc::Receiver<()>) -> bool {
        self.0 += FRAME_TIME;
        let now = Instant::now();
        if now.saturating_duration_since(self.0) > CATCH_UP {
            self.0 = now;
        }
        matches!(stopped.recv_timeout(self.0.saturating_duration_since(now)), Err(mpsc::RecvTimeoutError::Timeout))
    }
}

fn run(out: SoundOut, reference: Arc<Reference>, tell: Tell, shared: Arc<Shared>, stopped: mpsc::Receiver<()>) {
    let mut sink = Sink::new(out);
    let mut ticks = Ticks::start();
    let mut good = true;
    while ticks.wait(&stopped) && !shared.closed.load(Ordering::SeqCst) {
        let mut sum = [0i32; STEREO];
        let voices: Vec<_> = lock(&shared.voices).clone();
        for voice in voices {
            voice.mix(&mut sum);
        }
        let mut frame = [0i16; STEREO];
        for (out, s) in frame.iter_mut().zip(sum) {
            *out = s.clamp(i32::from(i16::MIN), i32::from(i16::MAX)) as i16;
        }
        reference.played(&frame);
        match sink.play(&frame) {
            Ok(()) if !good => {
                good = true;
                tell(None);
            }
            Err(reason) if good => {
                good = false;
                tell(Some(reason));
            }
            _ => {}
        }
    }
    sink.close();
}

/// Where the mix goes.
pub(super) enum Sink {
    Null,
    Samples(super::super::SampleSink),
    Alsa(Box<AlsaSink>),
}

impl Sink {
    pub(super) fn new(out: SoundOut) -> Sink {
        match out {
            SoundOut::Null => Sink::Null,
            SoundOut::Samples(f) => Sink::Samples(f),
            SoundOut::Alsa(device) => {
                Sink::Alsa(Box::new(AlsaSink { device, open: None, failed: Arc::default(), again: Instant::now(), reason: String::new() }))
            }
        }
    }

    pub(super) fn play(&mut self, frame: &[i16]) -> Result<(), String> {
        match self {
            Sink::Null => Ok(()),
            Sink::Samples(f) => {
                f(frame);
                Ok(())
            }
            Sink::Alsa(alsa) => alsa.play(frame),
        }
    }

    /// Whether anything has reached the output: for a sound card, whether it has taken samples.
    pub(super) fn heard(&self) -> bool {
        match self {
            Sink::Null | Sink::Samples(_) => true,
            Sink::Alsa(alsa) => alsa.heard(),
        }
    }

    /// Whether what was handed over has been played already.
    pub(super) fn immediate(&self) -> bool {
        !matches!(self, Sink::Alsa(_))
    }

    /// Closes the output and waits for it, so that the next one can open it.
    pub(super) fn close(self) {
        if let Sink::Alsa(mut alsa) = self
            && let Some((pipeline, ..)) = alsa.open.take()
        {
            let _ = pipeline.close().done_by(Instant::now() + CLOSE_WITHIN);
        }
    }
}

/// An ALSA device that is opened again and again until it is there.
pub(super) struct AlsaSink {
    device: String,
    open: Option<(Pipeline, gst_app::AppSrc, Time)>,
    failed: Arc<Mutex<Option<String>>>,
    again: Instant,
    reason: String,
}

impl AlsaSink {
    fn play(&mut self, frame: &[i16]) -> Result<(), String> {
        if let Some(reason) = lock(&self.failed).take() {
            self.open = None;
            self.again = Instant::now() + REOPEN;
            self.reason = reason;
        }
        if self.open.is_none() {
            if Instant::now() < self.again {
                return Err(self.reason.clone());
            }
            match self.start() {
                Ok(open) => self.open = Some(open),
                Err(reason) => {
                    self.again = Instant::now() + REOPEN;
                    self.reason = lock(&self.failed).take().unwrap_or(reason);
                    return Err(self.reason.clone());
                }
            }
        }
        let Some((_, src, time)) = &self.open else { return Ok(()) };
        // A sound card that does not take what it gets must not pile it up: appsrc drops the oldest (leaky).
        let mut buffer = gst::Buffer::from_slice(frame.iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<u8>>());
        if let Some(b) = buffer.get_mut() {
            b.set_pts(time.now());
            b.set_duration(gst::ClockTime::from_mseconds(10));
        }
        let _ = src.push_buffer(buffer);
        Ok(())
    }

    fn heard(&self) -> bool {
        let sink = self.open.as_ref().and_then(|(pipeline, ..)| pipeline.element("sink"));
        sink.and_then(|s| s.property::<gst::Structure>("stats").get::<u64>("rendered").ok()).is_some_and(|n| n > 0)
    }

    fn start(&self) -> Result<(Pipeline, gst_app::AppSrc, Time), String> {
        let failed = self.failed.clone();
        let on_error: OnError = Arc::new(move |text| {
            lock(&failed).get_or_insert(text);
        });
        let description = format!(
            "appsrc name=in is-live=true format=time max-buffers=20 max-bytes=0 max-time=0 leaky-type=downstream \
             caps=\"audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=2\" ! audioconvert ! audioresample ! \
             alsasink name=sink device={} buffer-time=80000 latency-time=10000 provide-clock=false",
            quoted(&self.device)
        );
        super::super::pipeline::gstreamer().map_err(|e| e.0)?;
        // Nothing is compared with this output's time: its clock may begin with it.
        let time = Time::start();
        let pipeline = Pipeline::build("speaker", &description, &time, Some(ALSA_LATENCY), on_error)?;
        let src = pipeline.element("in").and_then(|e| e.downcast::<gst_app::AppSrc>().ok()).ok_or("no appsrc")?;
        pipeline.play()?;
        Ok((pipeline, src, time))
    }
}
