//! The speaker: one thread mixes all voices each 10 ms and hands the mix to the output, to the echo canceller, and to
//! nobody else. It runs from open to close without a gap: HDMI sinks need their time after each silence, and the
//! canceller needs to know what is played at every moment.

use super::super::SoundOut;
use super::super::source::lock;
use super::card::{Card, Figures, PlayingStats, USUAL_QUEUE};
use super::echo::Reference;
use super::voicing::{Voicing, Wishes};
use super::{FRAME, FRAME_TIME};
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
/// The output takes a frame at once, or its driver hangs: opening a card is what takes longest.
const HANGS: Duration = Duration::from_secs(3);
/// An output that is not there for so long is told. When a call begins, the ring may still have it for a moment.
const GRACE: Duration = Duration::from_secs(1);

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
    /// When the thread came round last.
    round: Mutex<Instant>,
}

/// The open speaker of a session.
pub struct Speaker {
    shared: Arc<Shared>,
    _stop: mpsc::Sender<()>,
    /// Of the sound card, if there is one.
    figures: Option<Figures>,
}

/// Is told that the output is gone (why) or back (`None`).
pub type Tell = Box<dyn Fn(Option<String>) + Send>;

impl Speaker {
    /// Starts playing silence.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn open(out: SoundOut, wishes: Wishes, reference: Arc<Reference>, tell: Tell) -> std::io::Result<Speaker> {
        let card = matches!(out, SoundOut::Alsa(_));
        let figures = Figures::default();
        let sink = (out, figures.clone());
        let shared = Arc::new(Shared { voices: Mutex::default(), closed: AtomicBool::new(false), round: Mutex::new(Instant::now()) });
        let (stop, stopped) = mpsc::channel();
        let voices = shared.clone();
        std::thread::Builder::new().name("media-speaker".into()).spawn(move || {
            let (out, figures) = sink;
            run(Sink::new(out, figures.clone()), &figures, wishes, &reference, &tell, &voices, &stopped);
        })?;
        Ok(Speaker { shared, _stop: stop, figures: card.then_some(figures) })
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
        let card = self.stats().map_or(Duration::ZERO, |s| match s.queued_ms {
            0 => USUAL_QUEUE,
            ms => Duration::from_millis(ms.into()),
        });
        // The cushion, and half a tick on average.
        2 * FRAME_TIME + FRAME_TIME / 2 + card
    }

    /// How the sound card does, if there is one.
    pub fn stats(&self) -> Option<PlayingStats> {
        self.figures.as_ref().map(|f| *lock(f))
    }

    /// Whether a call into the output's driver does not return.
    pub fn hangs(&self) -> bool {
        lock(&self.shared.round).elapsed() >= HANGS
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

fn run(
    mut sink: Sink,
    figures: &Figures,
    wishes: Wishes,
    reference: &Reference,
    tell: &Tell,
    shared: &Shared,
    stopped: &mpsc::Receiver<()>,
) {
    let mut voicing = Voicing::new(wishes);
    let mut ticks = Ticks::start();
    let (mut bad, mut told) = (None::<Instant>, false);
    while ticks.wait(stopped) && !shared.closed.load(Ordering::SeqCst) {
        *lock(&shared.round) = Instant::now();
        let mut sum = [0i32; STEREO];
        for voice in lock(&shared.voices).iter() {
            voice.mix(&mut sum);
        }
        let frame = voicing.process(&sum);
        reference.played(&frame, Duration::from_millis(lock(figures).queued_ms.into()));
        match sink.play(&frame) {
            Ok(()) => {
                bad = None;
                if std::mem::take(&mut told) {
                    tell(None);
                }
            }
            Err(reason) => {
                let since = *bad.get_or_insert_with(Instant::now);
                if !told && since.elapsed() >= GRACE {
                    told = true;
                    tell(Some(reason));
                }
            }
        }
    }
    sink.close();
}

/// Where the mix goes.
pub(super) enum Sink {
    Null,
    Samples(super::super::SampleSink),
    Alsa(Card),
}

impl Sink {
    pub(super) fn new(out: SoundOut, figures: Figures) -> Sink {
        match out {
            SoundOut::Null => Sink::Null,
            SoundOut::Samples(f) => Sink::Samples(f),
            SoundOut::Alsa(device) => Sink::Alsa(Card::new(device, figures)),
        }
    }

    pub(super) fn play(&mut self, frame: &[i16]) -> Result<(), String> {
        match self {
            Sink::Null => Ok(()),
            Sink::Samples(f) => {
                f(frame);
                Ok(())
            }
            Sink::Alsa(card) => card.play(frame),
        }
    }

    /// Whether anything has reached the output: for a sound card, whether it plays.
    pub(super) fn heard(&self) -> bool {
        match self {
            Sink::Null | Sink::Samples(_) => true,
            Sink::Alsa(card) => card.heard(),
        }
    }

    /// Whether what was handed over has been played already.
    pub(super) fn immediate(&self) -> bool {
        !matches!(self, Sink::Alsa(_))
    }

    /// Closes the output, so that the next one can open it.
    pub(super) fn close(self) {
        if let Sink::Alsa(mut card) = self {
            card.close();
        }
    }
}
