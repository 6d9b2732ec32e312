//! What happens to the microphone's sound before it is sent: the echo of the played sound is taken out (WebRTC's AEC3),
//! then noise, then the level is evened.
//!
//! Why not GStreamer's `webrtcdsp`: on the same recording (tests/integration/echo.rs: a voice out of a television as loud as the
//! resident, in a reverberating room; `cargo test --test integration echo:: -- --ignored --nocapture`) the echo left after six seconds was
//!
//! | television's delay | this (AEC3) | `webrtcdsp` delay agnostic, extended filter | the same, high suppression | `webrtcdsp` as it comes |
//! |---|---|---|---|---|
//! | 30 ms | -47 dB | -21 to -46 dB | -33 to -40 dB | -28 to -46 dB |
//! | 80 ms | -40 dB | -13 to -44 dB | -14 dB | -19 dB |
//! | 200 ms | -48 dB | -4 dB | -6 dB | -4 dB |
//! | 300 ms | -48 dB | -4 dB | -4 dB | -3 dB |
//!
//! (two runs; `webrtcdsp` works in real time and depends on when its threads run). A resident who speaks at the same time
//! comes through 11 to 15 dB weaker here with that loud television, 10 to 12 dB there where it cancels at all, and 6 dB
//! weaker at the volume of a conversation. `webrtcdsp` is quicker in the first three seconds at 30 and 80 ms
//! (-32 dB against -12 dB at 30 ms).

use super::super::source::lock;
use super::FRAME;
use sonora::config::{AdaptiveDigital, EchoCanceller, GainController2, MaxProcessingRate, NoiseSuppression, Pipeline};
use sonora::{AudioProcessing, StreamConfig};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Reference frames kept at most: a microphone that hangs must not let them grow. 1 s.
const REFERENCE_FRAMES: usize = 100;

/// The canceller finds delays up to some 500 ms by itself, but none below zero: so much of the known delay is left to it,
/// against settings that say too much.
const LEFT_TO_IT: Duration = Duration::from_millis(150);
/// Changes of the known delay by less than this are its own business, too.
const STEADY: usize = 4;

/// Played sound on its way from the speaker to the canceller: mono frames of 10 ms.
#[derive(Default)]
pub struct Reference {
    frames: Mutex<VecDeque<[i16; FRAME]>>,
    /// What the sound card still holds, measured, in milliseconds.
    queued_ms: AtomicU32,
}

impl Reference {
    /// Tells what is being handed to the output now (interleaved stereo, 10 ms), and how much it has still to play.
    pub fn played(&self, stereo: &[i16], queued: Duration) {
        self.queued_ms.store(u32::try_from(queued.as_millis()).unwrap_or(0), Ordering::Relaxed);
        let mut mono = [0i16; FRAME];
        for (out, pair) in mono.iter_mut().zip(stereo.chunks_exact(2)) {
            *out = ((i32::from(pair[0]) + i32::from(pair[1])) / 2) as i16;
        }
        let mut frames = lock(&self.frames);
        if frames.len() >= REFERENCE_FRAMES {
            frames.pop_front();
        }
        frames.push_back(mono);
    }

    /// The next frame that counts as played, while more than `held` are on their way.
    fn take(&self, held: usize) -> Option<[i16; FRAME]> {
        let mut frames = lock(&self.frames);
        if frames.len() > held { frames.pop_front() } else { None }
    }

    fn queued(&self) -> Duration {
        Duration::from_millis(self.queued_ms.load(Ordering::Relaxed).into())
    }
}

/// Figures of the canceller.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize)]
pub struct EchoStats {
    /// How much weaker the echo leaves than it came, in dB.
    pub erle_db: Option<f64>,
    /// The delay it found between playing and hearing, in milliseconds.
    pub delay_ms: Option<i32>,
}

/// What is done to the microphone's sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleaning {
    /// Take the played sound out.
    pub echo: bool,
    /// Take steady noise out.
    pub noise: bool,
    /// Even the level.
    pub gain: bool,
}

/// The microphone's processing, 48 kHz mono in frames of 10 ms.
pub struct Canceller {
    apm: AudioProcessing,
    /// Behind the sound card: what the television takes for itself, as far as it is known.
    behind: Duration,
    /// Frames that are held back: their sound is still on its way to the room.
    held: usize,
}

impl Canceller {
    /// `behind` is the known part of the way from the sound card to the room: what the television takes for itself. The
    /// card's own part is measured, see [`Reference::played`].
    pub fn new(cleaning: Cleaning, behind: Duration) -> Canceller {
        let mono = StreamConfig::new(48_000, 1);
        let config = sonora::Config {
            // 32 kHz inside costs a third less, and a voice has nothing above 16 kHz.
            pipeline: Pipeline { maximum_internal_processing_rate: MaxProcessingRate::Rate32kHz, ..Pipeline::default() },
            echo_canceller: cleaning.echo.then(EchoCanceller::default),
            noise_suppression: cleaning.noise.then(NoiseSuppression::default),
            // A resident sits metres away from the microphone: gain is needed, but not the hiss of 50 dB of it.
            gain_controller2: cleaning.gain.then(|| GainController2 {
                adaptive_digital: Some(AdaptiveDigital { max_gain_db: 30.0, initial_gain_db: 8.0, ..AdaptiveDigital::default() }),
                ..GainController2::default()
            }),
            ..sonora::Config::default()
        };
        let apm = AudioProcessing::builder().config(config).capture_config(mono).render_config(mono).build();
        Canceller { apm, behind: behind.min(Duration::from_millis(500)), held: 0 }
    }

    /// Processes one frame of the microphone in place, after all that was played before it.
    pub fn process(&mut self, reference: &Reference, frame: &mut [i16; FRAME]) {
        let mut scratch = [0i16; FRAME];
        let known = reference.queued() + self.behind;
        let held = (known.saturating_sub(LEFT_TO_IT).as_millis() / 10) as usize;
        if held.abs_diff(self.held) >= STEADY {
            self.held = held;
        }
        while let Some(played) = reference.take(self.held) {
            // The formats are ours and right, the only error there is.
            let _ = self.apm.process_render_i16(&played, &mut scratch);
        }
        let left = known.saturating_sub(super::FRAME_TIME * self.held as u32);
        let _ = self.apm.set_stream_delay_ms(left.as_millis().min(500) as i32);
        if self.apm.process_capture_i16(&frame[..], &mut scratch).is_ok() {
            *frame = scratch;
        }
    }

    /// Whether anybody gets what comes out: while nobody does, only the canceller goes on learning, and the rest rests.
    pub fn used(&mut self, used: bool) {
        self.apm.set_capture_output_used(used);
    }

    /// Its figures now.
    pub fn stats(&self) -> EchoStats {
        let s = self.apm.statistics();
        EchoStats { erle_db: s.echo_return_loss_enhancement, delay_ms: s.delay_ms.map(|d| d + 10 * self.held as i32) }
    }
}
