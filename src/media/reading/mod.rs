//! Camera, microphone and speaker looked at by themselves, without a call: for `residentctl doctor` and `test`. Nothing is
//! kept of what is seen or heard but the figures. Everything here blocks, and closes what it opened.

mod bars;
mod delay;

pub use bars::bars;

use super::camera::Camera;
use super::pipeline::{CLOSE_WITHIN, OnError, Pipeline, Time, gstreamer};
use super::session::{CameraSource, Config, MicrophoneSource};
use super::sound::speaker::Speaker;
use super::sound::voicing::{Hearing, Wishes};
use super::sound::{FRAME, FRAME_TIME, echo::Reference, microphone};
use super::source::{lock, running_time};
use super::{MediaEvent, PictureSink, SoundOut};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// For the first picture.
const FIRST: Duration = Duration::from_secs(8);
/// The first pictures of a webcam are dark.
const WARM_UP: Duration = Duration::from_millis(700);
/// The voice as it comes.
const PLAIN: Wishes = Wishes { volume: 100, hearing: Hearing::Off };
/// For the first sound.
const SOUND: Duration = Duration::from_secs(4);

/// What a camera gave.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Pictures {
    /// From the wish to the first picture, in milliseconds.
    pub first_ms: u64,
    /// Pictures a second, really delivered.
    pub rate: f64,
    /// How light they are, 0 (black) to 100 (white).
    pub light: u8,
}

#[derive(Default)]
struct Eye {
    /// Sum and number of the samples of luma looked at.
    luma: AtomicU64,
    samples: AtomicU64,
}

impl PictureSink for Eye {
    fn push(&self, sample: &gst::Sample) {
        let Some(map) = sample.buffer().and_then(|b| b.map_readable().ok()) else { return };
        // I420: luma comes first and is two thirds of it. A few hundred samples say how light it is.
        let luma = &map.as_slice()[..map.len() * 2 / 3];
        let step = (luma.len() / 400).max(1);
        let (mut sum, mut n) = (0u64, 0u64);
        for value in luma.iter().step_by(step) {
            sum += u64::from(*value);
            n += 1;
        }
        self.luma.fetch_add(sum, Ordering::Relaxed);
        self.samples.fetch_add(n, Ordering::Relaxed);
    }
}

/// Opens the camera and counts what it delivers for so long.
///
/// # Errors
/// One line: what is wrong and what to try; or that a call came.
pub fn camera(config: &Config, span: Duration, call: &CancellationToken) -> Result<Pictures, String> {
    if config.camera == CameraSource::None {
        return Err("there is none: media.camera is \"none\"".into());
    }
    gstreamer().map_err(|e| e.0)?;
    let (eye, time) = (Arc::new(Eye::default()), Time::start());
    let (tell, mut events) = tokio::sync::mpsc::channel(8);
    let camera = Camera::open(config, &time, eye.clone(), tell).map_err(|e| format!("the system has no thread left: {e}"))?;
    let counted = (|| {
        let began = Instant::now();
        let mut wait = |until: &dyn Fn() -> bool, patience: Duration| {
            let from = Instant::now();
            while !until() {
                if let Ok(MediaEvent::CameraLost(why)) = events.try_recv() {
                    return Err(why);
                }
                if call.is_cancelled() {
                    return Err("a call came: the camera is left to it".to_owned());
                }
                if from.elapsed() > patience {
                    return Err(format!(
                        "camera {}: no picture within {} s; pull its plug and put it in again",
                        config.camera,
                        patience.as_secs()
                    ));
                }
                std::thread::sleep(Duration::from_millis(10));
            }
            Ok(())
        };
        let seen = || camera.delivered.load(Ordering::Relaxed);
        wait(&|| seen() > 0, FIRST)?;
        let first_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        let warm = Instant::now();
        wait(&|| warm.elapsed() >= WARM_UP, FIRST)?;
        eye.luma.store(0, Ordering::Relaxed);
        eye.samples.store(0, Ordering::Relaxed);
        let (from, before) = (Instant::now(), seen());
        wait(&|| from.elapsed() >= span, span * 2)?;
        let rate = (seen() - before) as f64 / from.elapsed().as_secs_f64();
        let mean = eye.luma.load(Ordering::Relaxed) / eye.samples.load(Ordering::Relaxed).max(1);
        // Luma goes from 16 to 235.
        let light = u8::try_from(mean.saturating_sub(16).min(219) * 100 / 219).unwrap_or(100);
        Ok(Pictures { first_ms, rate, light })
    })();
    if let Some(mut closing) = camera.close() {
        closing.done_by(Instant::now() + 4 * CLOSE_WITHIN);
    }
    counted
}

/// What a microphone gave.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Level {
    /// Mean level in dB below the loudest that can be represented.
    pub mean_db: f64,
    /// The loudest sample, likewise.
    pub peak_db: f64,
    /// Whether every sample was the same: a dead line.
    pub dead: bool,
}

/// Listens for so long.
///
/// # Errors
/// One line: what is wrong and what to try; or that a call came.
pub fn microphone(config: &Config, span: Duration, call: &CancellationToken) -> Result<Level, String> {
    gstreamer().map_err(|e| e.0)?;
    let time = Time::start();
    let ear = Ear::open(config, &time)?;
    ear.listen(span, call, || {})?;
    Ok(level(&ear.close().samples))
}

fn level(samples: &[i16]) -> Level {
    let decibels = |value: f64| if value <= 0.0 { -96.0 } else { (20.0 * (value / 32_768.0).log10()).max(-96.0) };
    let n = samples.len().max(1) as f64;
    // Without the constant offset that cheap microphones have.
    let offset = samples.iter().map(|s| f64::from(*s)).sum::<f64>() / n;
    let power = samples.iter().map(|s| (f64::from(*s) - offset).powi(2)).sum::<f64>() / n;
    let peak = samples.iter().map(|s| (f64::from(*s) - offset).abs()).fold(0.0, f64::max);
    Level { mean_db: decibels(power.sqrt()), peak_db: decibels(peak), dead: samples.windows(2).all(|w| w[0] == w[1]) }
}

/// What was heard of the speaker.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Heard {
    /// From the sound card's output until the microphone hears it, in milliseconds; `None`: it was not heard.
    pub delay_ms: Option<f64>,
    /// How much clearer than anything else, 1 being not at all.
    pub clearness: f64,
    /// What the microphone gave meanwhile.
    pub level: Level,
}

/// Plays half a second of soft noise and listens for it.
///
/// # Errors
/// One line: what is wrong and what to try; or that a call came.
pub fn speaker(config: &Config, out: SoundOut, call: &CancellationToken) -> Result<Heard, String> {
    gstreamer().map_err(|e| e.0)?;
    let time = Time::start();
    let lost = Arc::new(Mutex::new(None));
    let tell = {
        let lost = lost.clone();
        Box::new(move |why| *lock(&lost) = why)
    };
    let ear = Ear::open(config, &time)?;
    // One after the other: on some cards each of the two decides what the other may choose.
    ear.listen(Duration::ZERO, call, || {})?;
    let speaker =
        Speaker::open(out, PLAIN, Arc::new(Reference::default()), tell).map_err(|e| format!("the system has no thread left: {e}"))?;
    let voice = speaker.voice();
    // HDMI outputs take their time after a silence; the ring buffers fill.
    ear.listen(Duration::from_millis(600), call, || {})?;
    let noise = delay::noise();
    let (mut frames, mut played, mut due) = (noise.chunks(FRAME), None, Instant::now());
    ear.listen(Duration::from_millis(1800), call, || {
        while Instant::now() >= due {
            due += FRAME_TIME;
            let Some(frame) = frames.next() else { return };
            played.get_or_insert_with(|| time.now());
            let stereo: Vec<u8> = frame.iter().flat_map(|s| [*s, *s]).flat_map(i16::to_le_bytes).collect();
            voice.push(&stereo);
        }
    })?;
    let recording = ear.close();
    // What waits in the box itself is known at every moment; what is measured is the way behind it.
    let waits = speaker.latency().as_secs_f64() * 1000.0;
    speaker.close();
    if let Some(why) = lock(&lost).take() {
        return Err(format!("speaker: {why}; check its plug, its name (residentctl devices), and that nothing else plays on it"));
    }
    let found = delay::find(&recording.samples, &noise);
    let level = level(&recording.samples);
    let start = recording.start.unwrap_or(gst::ClockTime::ZERO).mseconds() as f64;
    let at = played.map_or(0.0, |at| at.mseconds() as f64);
    let delay_ms = found.lag.map(|samples| start + samples as f64 / 48.0 - at - waits);
    // What waits in the box is known to some ten milliseconds only: a sound that was heard was not heard before it was made.
    Ok(Heard { delay_ms: delay_ms.map(|d| d.max(0.0)), clearness: found.clearness, level })
}

#[derive(Default)]
struct Recording {
    start: Option<gst::ClockTime>,
    samples: Vec<i16>,
}

/// A microphone as it is: without echo cancelling, noise suppression or gain control.
struct Ear {
    pipeline: Pipeline,
    recording: Arc<Mutex<Recording>>,
    failed: Arc<Mutex<Option<String>>>,
    device: String,
}

/// No test listens longer: 30 s.
const MOST: usize = 30 * 48_000;

impl Ear {
    fn open(config: &Config, time: &Time) -> Result<Ear, String> {
        if config.microphone == MicrophoneSource::None {
            return Err("there is none: media.microphone is \"none\"".into());
        }
        let failed: Arc<Mutex<Option<String>>> = Arc::default();
        let on_error: OnError = {
            let failed = failed.clone();
            Arc::new(move |why| {
                lock(&failed).get_or_insert(why);
            })
        };
        let pipeline = Pipeline::build("microphone", &microphone::description(config), time, None, on_error)?;
        let sink = pipeline.element("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).ok_or("no appsink")?;
        let recording: Arc<Mutex<Recording>> = Arc::default();
        let (take, clock) = (recording.clone(), time.clone());
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    let Some(map) = sample.buffer().and_then(|b| b.map_readable().ok()) else { return Ok(gst::FlowSuccess::Ok) };
                    let mut recording = lock(&take);
                    recording.start.get_or_insert_with(|| running_time(&sample).unwrap_or_else(|| clock.now()));
                    if recording.samples.len() < MOST {
                        recording.samples.extend(map.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])));
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        let ear = Ear { pipeline, recording, failed, device: config.microphone.to_string() };
        ear.pipeline.play().map_err(|e| ear.trouble(&lock(&ear.failed).take().unwrap_or(e)))?;
        Ok(ear)
    }

    fn trouble(&self, why: &str) -> String {
        format!("microphone {}: {why}; {}", self.device, crate::media::session::sound_advice(why))
    }

    /// Listens for so long after the first sound; `meanwhile` runs every few milliseconds.
    fn listen(&self, span: Duration, call: &CancellationToken, mut meanwhile: impl FnMut()) -> Result<(), String> {
        let opened = Instant::now();
        let mut heard = None;
        loop {
            if let Some(why) = lock(&self.failed).take() {
                return Err(self.trouble(&why));
            }
            if call.is_cancelled() {
                return Err("a call came: the microphone is left to it".into());
            }
            if heard.is_none() && !lock(&self.recording).samples.is_empty() {
                heard = Some(Instant::now());
            }
            match heard {
                Some(heard) if heard.elapsed() >= span => return Ok(()),
                Some(_) => meanwhile(),
                None if opened.elapsed() > SOUND => return Err(self.trouble(&format!("no sound within {} s", SOUND.as_secs()))),
                None => {}
            }
            std::thread::sleep(Duration::from_millis(4));
        }
    }

    fn close(self) -> Recording {
        self.pipeline.close().done_by(Instant::now() + 4 * CLOSE_WITHIN);
        std::mem::take(&mut lock(&self.recording))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_test_camera_is_seen_to_deliver_and_to_be_light() {
        let config = Config { width: 320, height: 240, fps: 15, ..Config::default() };
        let pictures = camera(&config, Duration::from_millis(600), &CancellationToken::new()).unwrap();
        assert!(pictures.rate > 1.0 && pictures.light > 10, "{pictures:?}");
    }

    #[test]
    fn a_camera_that_is_not_there_is_told_in_words() {
        let config = Config { camera: CameraSource::V4l2("/dev/video-not-there".into()), ..Config::default() };
        let why = camera(&config, Duration::from_millis(100), &CancellationToken::new()).unwrap_err();
        assert!(why.contains("/dev/video-not-there"), "{why}");
        let none = Config { camera: CameraSource::None, ..Config::default() };
        assert!(camera(&none, Duration::from_millis(100), &CancellationToken::new()).is_err());
    }

    #[test]
    fn a_call_takes_the_camera_away() {
        let call = CancellationToken::new();
        call.cancel();
        let config = Config { width: 320, height: 240, fps: 15, ..Config::default() };
        assert!(camera(&config, Duration::from_secs(60), &call).unwrap_err().contains("a call came"));
    }

    #[test]
    fn levels_are_in_decibels_and_a_dead_line_is_told() {
        let tone: Vec<i16> = (0..48_000).map(|i| ((f64::from(i) * 0.05).sin() * 16_384.0) as i16).collect();
        let of = level(&tone);
        assert!((of.mean_db + 9.0).abs() < 0.2 && (of.peak_db + 6.0).abs() < 0.2 && !of.dead, "{of:?}");
        assert!(level(&[7; 4800]).dead && level(&[7; 4800]).mean_db == -96.0 && level(&[]).dead);
    }

    #[test]
    fn a_microphone_is_listened_to() {
        let config =
            Config { microphone: MicrophoneSource::Launch("audiotestsrc is-live=true volume=0.5 wave=sine".into()), ..Config::default() };
        let level = microphone(&config, Duration::from_millis(300), &CancellationToken::new()).unwrap();
        assert!((level.mean_db + 9.0).abs() < 1.0, "{level:?}");
        let gone = Config { microphone: MicrophoneSource::Alsa("plughw:CARD=NotThere".into()), ..Config::default() };
        assert!(microphone(&gone, Duration::from_millis(300), &CancellationToken::new()).unwrap_err().contains("NotThere"));
    }
}
