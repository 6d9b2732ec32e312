//! A sound card that plays, by ALSA: opened again and again until it is there (a television that is switched off takes its
//! HDMI sound with it), recovered when it runs dry, and asked how much of what it was given is still to be heard. That
//! number is what the echo canceller needs, and why this is not GStreamer's `alsasink`, which does not tell it.

use super::super::source::lock;
use super::{FRAME, FRAME_TIME};
use alsa::pcm::{Access, Format, Frames, HwParams, State};
use alsa::{Direction, PCM, ValueOr};
use serde::Serialize;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const RATE: u32 = 48_000;
/// Interleaved stereo samples of a frame.
const STEREO: usize = 2 * FRAME;
/// Frames in the card when it begins to play, and after it ran dry: room for a late wake-up.
const CUSHION: usize = 6;
/// What the card holds at most, µs.
const BUFFER: u32 = 160_000;
/// How often the card wakes up, µs.
const PERIOD: u32 = 10_000;
/// The card's clock is not ours. With more or less than this in it, a silent frame is left out or played twice.
const MUCH: Frames = 10 * FRAME as Frames;
const LITTLE: Frames = 5 * FRAME as Frames / 2;
/// Pause before a lost card is opened again.
const REOPEN: Duration = Duration::from_millis(500);
/// A card that takes nothing for so long has stopped.
const STUCK: Duration = Duration::from_secs(2);

/// From handing sound to a card until it leaves it, before it has been measured.
pub const USUAL_QUEUE: Duration = Duration::from_millis(10 * CUSHION as u64);

/// How playing goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct PlayingStats {
    /// Times the card ran dry and was set going again.
    pub underruns: u64,
    /// Frames of 10 ms that the card did not take.
    pub dropped: u64,
    /// Times the card was opened.
    pub opened: u64,
    /// Sound in the card that is still to be heard, in milliseconds, measured.
    pub queued_ms: u32,
}

/// Where the figures of a card are told to others.
pub type Figures = Arc<Mutex<PlayingStats>>;

/// A playing card that may be away.
pub struct Card {
    device: String,
    open: Option<Open>,
    again: Instant,
    reason: String,
    figures: Figures,
}

struct Open {
    pcm: PCM,
    /// When it last took something.
    took: Instant,
    /// Frames that it took.
    taken: u64,
    /// Its cushion is in it.
    primed: bool,
    heard: bool,
}

impl Card {
    /// Nothing is opened yet.
    pub fn new(device: String, figures: Figures) -> Card {
        Card { device, open: None, again: Instant::now(), reason: String::new(), figures }
    }

    /// Plays 10 ms. Never waits for the card.
    ///
    /// # Errors
    /// Why it does not play; it is tried again with later frames.
    pub fn play(&mut self, frame: &[i16]) -> Result<(), String> {
        let Some(open) = &mut self.open else {
            if Instant::now() < self.again {
                return Err(self.reason.clone());
            }
            return match open(&self.device) {
                Ok(pcm) => {
                    lock(&self.figures).opened += 1;
                    let open = self.open.insert(Open { pcm, took: Instant::now(), taken: 0, primed: false, heard: false });
                    let result = open.write(frame, &self.figures);
                    self.settle(result)
                }
                Err(e) => self.settle(Err(e)),
            };
        };
        let result = open.write(frame, &self.figures);
        self.settle(result)
    }

    fn settle(&mut self, result: Result<(), alsa::Error>) -> Result<(), String> {
        result.map_err(|e| {
            self.open = None;
            self.again = Instant::now() + REOPEN;
            self.reason = std::io::Error::from_raw_os_error(e.errno()).to_string();
            self.reason.clone()
        })
    }

    /// Whether it has played anything.
    pub fn heard(&self) -> bool {
        self.open.as_ref().is_some_and(|o| o.heard)
    }

    /// Stops at once and lets go of it.
    pub fn close(&mut self) {
        if let Some(open) = self.open.take() {
            let _ = open.pcm.drop();
        }
    }
}

/// No sound at all.
const SILENCE: [i16; STEREO] = [0; STEREO];

/// Error numbers of the kernel.
const AGAIN: i32 = 11;
const RAN_DRY: i32 = 32;
const SUSPENDED: i32 = 86;
const NO_ANSWER: i32 = 110;

impl Open {
    fn write(&mut self, frame: &[i16], figures: &Figures) -> Result<(), alsa::Error> {
        let queued = match self.pcm.delay() {
            Ok(queued) => queued,
            Err(e) => {
                self.recover(e, figures)?;
                0
            }
        };
        let running = self.pcm.state() == State::Running;
        // ALSA's device for nobody never runs, and takes everything.
        self.heard |= running || self.taken > 2 * CUSHION as u64;
        if running {
            lock(figures).queued_ms = u32::try_from(queued.max(0)).unwrap_or(0) / (RATE / 1000) + FRAME_TIME.as_millis() as u32;
        }
        let quiet = frame.iter().all(|s| *s == 0);
        if running && quiet && queued > MUCH {
            return Ok(());
        }
        if running && quiet && queued < LITTLE {
            self.push(&SILENCE, figures)?;
        }
        if !std::mem::replace(&mut self.primed, true) {
            // The first frames, and those after it ran dry, go behind a cushion.
            for _ in 0..CUSHION - 1 {
                self.push(&SILENCE, figures)?;
            }
        }
        self.push(frame, figures)
    }

    fn push(&mut self, frame: &[i16], figures: &Figures) -> Result<(), alsa::Error> {
        for retry in [true, false] {
            match self.pcm.io_i16().and_then(|io| io.writei(frame)) {
                Ok(_) => {
                    self.took = Instant::now();
                    self.taken += 1;
                    return Ok(());
                }
                Err(e) if e.errno() == AGAIN => {
                    lock(figures).dropped += 1;
                    let stuck = self.took.elapsed() > STUCK;
                    return if stuck { Err(alsa::Error::new("snd_pcm_writei", NO_ANSWER)) } else { Ok(()) };
                }
                Err(e) if retry => self.recover(e, figures)?,
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    fn recover(&mut self, e: alsa::Error, figures: &Figures) -> Result<(), alsa::Error> {
        self.primed = false;
        match e.errno() {
            RAN_DRY => {
                lock(figures).underruns += 1;
                self.pcm.prepare()
            }
            SUSPENDED => self.pcm.prepare(),
            _ => Err(e),
        }
    }
}

/// Opens a device for 48 kHz stereo; one that cannot do that by itself behind ALSA's converter.
fn open(device: &str) -> Result<PCM, alsa::Error> {
    // ALSA would tell the journal what is told in the call's own line anyway, each half second.
    let _quiet = alsa::Output::local_error_handler();
    match set_up(device) {
        Err(e) if e.errno() == 22 && !device.contains('"') => set_up(&format!("plug:SLAVE=\"{device}\"")).map_err(|_| e),
        other => other,
    }
}

fn set_up(device: &str) -> Result<PCM, alsa::Error> {
    let name = std::ffi::CString::new(device).map_err(|_| alsa::Error::new("snd_pcm_open", 2))?;
    let pcm = PCM::open(&name, Direction::Playback, true)?;
    {
        let hardware = HwParams::any(&pcm)?;
        hardware.set_access(Access::RWInterleaved)?;
        hardware.set_format(Format::S16LE)?;
        hardware.set_channels(2)?;
        hardware.set_rate(RATE, ValueOr::Nearest)?;
        hardware.set_buffer_time_near(BUFFER, ValueOr::Nearest)?;
        hardware.set_period_time_near(PERIOD, ValueOr::Nearest)?;
        pcm.hw_params(&hardware)?;
        let software = pcm.sw_params_current()?;
        software.set_start_threshold(((CUSHION * FRAME) as Frames).min(hardware.get_buffer_size()?))?;
        pcm.sw_params(&software)?;
    }
    Ok(pcm)
}
