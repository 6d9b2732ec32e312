//! The microphone: 48 kHz mono in frames of 10 ms, cleaned of echo, to whoever takes them. Silence takes its place while
//! the device is away.

use super::super::camera::quoted;
use super::super::pipeline::{Closing, Time};
use super::super::session::{Config, MicrophoneSource};
use super::super::source::{Fate, Plan, Source, lock};
use super::echo::{Canceller, Cleaning, EchoStats, Reference};
use super::{FRAME, FRAME_TIME};
use gstreamer as gst;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// Takes one frame and its running time. Called on a streaming thread.
pub type VoiceTaker = Arc<dyn Fn(&[i16; FRAME], gst::ClockTime) + Send + Sync>;

/// What the streaming thread works with.
struct Desk {
    takers: Mutex<Arc<Vec<(u64, VoiceTaker)>>>,
    next: AtomicU64,
    muted: AtomicBool,
    gaps: AtomicU64,
    work: Mutex<Work>,
    reference: Arc<Reference>,
    /// The device is none: the test tone is made here, on the beat of the test picture.
    tone: bool,
}

/// Whether the test tone sounds at this running time: the first half of each second.
pub fn sounding(running: gst::ClockTime) -> bool {
    running.nseconds() % 1_000_000_000 < 500_000_000
}

struct Work {
    /// Samples short of a frame.
    rest: Vec<i16>,
    canceller: Option<Canceller>,
}

/// The open microphone of a session.
pub struct Microphone {
    source: Source,
    desk: Arc<Desk>,
}

impl Microphone {
    /// Starts opening it. `tell` hears what becomes of the device. `echo` is what the speaker plays.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn open(config: &Config, time: &Time, echo: Arc<Reference>, tell: Box<dyn Fn(Fate) + Send>) -> std::io::Result<Microphone> {
        // A test tone goes out as it is: noise suppression would take it for noise.
        let real = matches!(config.microphone, MicrophoneSource::Alsa(_) | MicrophoneSource::Launch(_));
        let cleaning = Cleaning { echo: config.echo_cancellation, noise: true, gain: true };
        let canceller = real.then(|| Canceller::new(cleaning, config.playback_delay));
        let desk = Arc::new(Desk {
            takers: Mutex::default(),
            next: AtomicU64::new(0),
            muted: AtomicBool::new(false),
            gaps: AtomicU64::new(0),
            work: Mutex::new(Work { rest: Vec::with_capacity(4 * FRAME), canceller }),
            reference: echo,
            tone: config.microphone == MicrophoneSource::Test,
        });
        let deliver = {
            let (desk, begun) = (desk.clone(), Mutex::new(false));
            Arc::new(move |sample: &gst::Sample, running: gst::ClockTime| {
                let Some(buffer) = sample.buffer() else { return };
                // The first buffer has nothing before it.
                let gap = buffer.flags().contains(gst::BufferFlags::DISCONT) && std::mem::replace(&mut *lock(&begun), true);
                desk.gaps.fetch_add(u64::from(gap), Ordering::Relaxed);
                if let Ok(map) = buffer.map_readable() {
                    desk.take(map.as_slice(), running);
                }
            })
        };
        let stand_in = {
            let desk = desk.clone();
            // Two frames of silence each 20 ms.
            Box::new(move |running: gst::ClockTime| {
                for i in 0..2 {
                    desk.hand_on(&[0; FRAME], running + gst::ClockTime::from_mseconds(10 * i));
                }
            })
        };
        let (ways, diagnose) = Plan::one_way(description(config));
        let source = Source::start(
            Plan {
                name: "microphone",
                ways,
                diagnose,
                deliver,
                deliver_coded: None,
                stand_in,
                stand_in_every: 2 * FRAME_TIME,
                patience: Duration::from_secs(3),
                stall: Duration::from_secs(2),
                tell,
            },
            time.clone(),
        )?;
        Ok(Microphone { source, desk })
    }

    /// Adds a taker; the answer removes it again.
    pub fn add(&self, taker: VoiceTaker) -> u64 {
        let id = self.desk.next.fetch_add(1, Ordering::Relaxed);
        Arc::make_mut(&mut *lock(&self.desk.takers)).push((id, taker));
        id
    }

    /// Removes a taker.
    pub fn remove(&self, id: u64) {
        Arc::make_mut(&mut *lock(&self.desk.takers)).retain(|(i, _)| *i != id);
    }

    /// Silence instead of sound, while `true`.
    pub fn mute(&self, muted: bool) {
        self.desk.muted.store(muted, Ordering::Relaxed);
    }

    /// Times sound of the device was lost because nobody fetched it in time.
    pub fn gaps(&self) -> u64 {
        self.desk.gaps.load(Ordering::Relaxed)
    }

    /// Figures of the echo canceller, if there is one.
    pub fn echo(&self) -> Option<EchoStats> {
        lock(&self.desk.work).canceller.as_ref().map(Canceller::stats)
    }

    /// Starts closing the device. Idempotent.
    pub fn close(&self) -> Option<Closing> {
        self.source.close()
    }
}

impl Desk {
    /// Cuts what the device gives (s16le) into frames.
    fn take(&self, bytes: &[u8], running: gst::ClockTime) {
        let (muted, takers) = (self.muted.load(Ordering::Relaxed), lock(&self.takers).clone());
        let mut work = lock(&self.work);
        if let Some(canceller) = &mut work.canceller {
            canceller.used(!muted && !takers.is_empty());
        }
        let before = work.rest.len() as u64;
        work.rest.extend(bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])));
        // The frame begins with what was left over from the buffer before.
        let mut start = running.saturating_sub(gst::ClockTime::from_nseconds(before * 1_000_000_000 / 48_000));
        let frames = work.rest.len() / FRAME;
        for i in 0..frames {
            let mut frame = [0i16; FRAME];
            frame.copy_from_slice(&work.rest[i * FRAME..(i + 1) * FRAME]);
            if let Some(canceller) = &mut work.canceller {
                canceller.process(&self.reference, &mut frame);
            }
            if self.tone {
                tone(&mut frame, start);
            }
            // Muted here, behind the canceller: it keeps listening and is right when the sound is let through again.
            if muted {
                frame.fill(0);
            }
            takers.iter().for_each(|(_, taker)| taker(&frame, start));
            start += gst::ClockTime::from_mseconds(10);
        }
        work.rest.drain(..frames * FRAME);
    }

    fn hand_on(&self, frame: &[i16; FRAME], running: gst::ClockTime) {
        let takers = lock(&self.takers).clone();
        takers.iter().for_each(|(_, taker)| taker(frame, running));
    }
}

/// Samples of eleven waves of 440 Hz: after so many the tone repeats, 40 times a second.
const WAVES: usize = 1200;
/// Samples of the tone's soft edges: 5 ms.
const EDGE: usize = 240;
/// Samples that it sounds in each second.
const SOUNDING: usize = 24_000;

/// A tone of 440 Hz on the beat, with soft edges.
fn tone(frame: &mut [i16; FRAME], start: gst::ClockTime) {
    static WAVE: OnceLock<Vec<i16>> = OnceLock::new();
    let wave =
        WAVE.get_or_init(|| (0..WAVES).map(|i| ((i as f64 / 48_000.0 * 440.0 * std::f64::consts::TAU).sin() * 8000.0) as i16).collect());
    let first = (start.nseconds() % 1_000_000_000 * 48 / 1_000_000) as usize;
    for (i, sample) in frame.iter_mut().enumerate() {
        let at = (first + i) % 48_000;
        let edge = at.min(SOUNDING.saturating_sub(at)).min(EDGE);
        *sample = (i32::from(wave[at % WAVES]) * edge as i32 / EDGE as i32) as i16;
    }
}

/// The pipeline of the device: 48 kHz mono into `appsink name=out`.
pub(in crate::media) fn description(config: &Config) -> String {
    let tail = "audioconvert ! audioresample ! audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1 ! \
                appsink name=out sync=false async=false max-buffers=20 drop=true";
    match &config.microphone {
        MicrophoneSource::None | MicrophoneSource::Test => format!("audiotestsrc is-live=true wave=silence samplesperbuffer=480 ! {tail}"),
        MicrophoneSource::Launch(text) => format!("{text} ! {tail}"),
        // The ring buffer is deep and the period short: late wake-ups lose nothing, early ones cost no delay.
        MicrophoneSource::Alsa(device) => {
            format!("alsasrc device={} buffer-time=100000 latency-time=10000 provide-clock=false ! {tail}", quoted(device))
        }
    }
}
