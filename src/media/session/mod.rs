//! The pipelines of one call. [`Session::open`] opens the devices; [`Session::send`] and [`Session::receive`] hang
//! streams on them; [`Session::close`] closes the devices first and everything else with them.
//!
//! Each device, encoder and decoder is a pipeline of its own on one clock: what fails is replaced without the others
//! noticing. Frames and samples pass between them in plain callbacks.

mod audio_encoder;
mod config;
mod decoder;
mod delay;
mod elements;
mod frame_rate;
mod lipsync;
mod outlets;
mod streams;
mod video_encoder;

pub use config::{CameraSource, Config, MicrophoneSource};
pub use streams::{Receiving, Sending};

use super::camera::Camera;
use super::pipeline::{CLOSE_WITHIN, Closing, Time, gstreamer};
use super::sound::echo::Reference;
use super::sound::microphone::Microphone;
use super::sound::speaker::Speaker;
use super::sound::voicing::Wishes;
use super::source::{Fate, lock};
use super::stats::Statistics;
use super::{Codec, KeyFrameRequest, Kind, MediaEvent, Outlet, Outputs};
use crate::journal::messages;
use audio_encoder::AudioEncoder;
use decoder::{Decoder, Screen};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, Weak, mpsc as blocking};
use std::time::{Duration, Instant};
use streams::Encoder;
use tokio::sync::mpsc;
use video_encoder::VideoEncoder;

/// How often the session looks after its parts.
const TICK: Duration = Duration::from_millis(250);
/// Without microphone or speaker for so long, a call is over: nobody can talk.
const SOUND_GONE: Duration = Duration::from_secs(15);
/// Opening a microphone takes this long at most.
const MICROPHONE_WITHIN: Duration = Duration::from_secs(4);

/// Why a session or a stream of it could not be opened: which device and what to try.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MediaError(pub String);

/// The open devices and pipelines of one call. Cheap to clone; [`Session::close`] closes the devices for all clones.
#[derive(Clone)]
pub struct Session {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    time: Time,
    outputs: Outputs,
    events: mpsc::Sender<MediaEvent>,
    camera: Option<Camera>,
    microphone: Arc<Microphone>,
    speaker: Arc<Speaker>,
    video: Mutex<Vec<(Codec, Weak<VideoEncoder>)>>,
    audio: Mutex<Weak<AudioEncoder>>,
    decoders: Mutex<Vec<Weak<Decoder>>>,
    sound: Arc<Mutex<SoundState>>,
    camera_delivered: Mutex<(u64, bool)>,
    /// The figures while there was a connection.
    last: Mutex<Option<Statistics>>,
    closed: AtomicBool,
    failed: AtomicBool,
    _watch: blocking::Sender<()>,
}

/// What runs now.
type Parts = (Vec<Arc<VideoEncoder>>, Option<Arc<AudioEncoder>>, Vec<Arc<Decoder>>);

/// Since when microphone or speaker are gone, and why.
#[derive(Default)]
struct SoundState {
    microphone: Option<(Instant, String)>,
    speaker: Option<(Instant, String)>,
    /// The speaker's driver does not return.
    hangs: Option<(Instant, String)>,
}

impl Session {
    /// Opens microphone and, where permitted, camera. Blocks (devices): call from a blocking task.
    ///
    /// A camera that cannot be opened is [`MediaEvent::CameraLost`], not an error: the call goes on without it.
    ///
    /// # Errors
    /// The microphone cannot be opened, or GStreamer itself does not work.
    pub fn open(config: Config, camera: bool, outputs: Outputs, events: mpsc::Sender<MediaEvent>) -> Result<Session, MediaError> {
        gstreamer()?;
        let no_thread = |e: std::io::Error| MediaError(format!("the system has no thread left ({e}); raise TasksMax in the unit"));
        let time = Time::start();
        let camera = match config.camera {
            CameraSource::None => None,
            _ if !camera => None,
            _ => Some(Camera::open(&config, &time, outputs.own.clone(), events.clone()).map_err(no_thread)?),
        };
        let sound: Arc<Mutex<SoundState>> = Arc::default();
        let reference = Arc::new(Reference::default());
        let (told, opened) = blocking::sync_channel(1);
        let tell = {
            let (sound, device) = (sound.clone(), config.microphone.to_string());
            Box::new(move |fate: Fate| {
                let state = match fate {
                    Fate::Running | Fate::Back => None,
                    Fate::Lost(reason) => Some(format!("microphone {device}: {reason}; {}", sound_advice(&reason))),
                };
                if let Some(line) = &state {
                    log::warn!(MESSAGE_ID = messages::SOUND_LOST.id; "{line}");
                }
                lock(&sound).microphone = state.clone().map(|line| (Instant::now(), line));
                let _ = told.try_send(state);
            })
        };
        let microphone = Arc::new(Microphone::open(&config, &time, reference.clone(), tell).map_err(no_thread)?);
        let tell = {
            let (sound, device) = (sound.clone(), if let super::SoundOut::Alsa(d) = &outputs.sound { d.clone() } else { String::new() });
            Box::new(move |gone: Option<String>| {
                let line = gone.map(|reason| format!("sound output {device}: {reason}; {}", sound_advice(&reason)));
                if let Some(line) = &line {
                    log::warn!(MESSAGE_ID = messages::SOUND_LOST.id; "{line}");
                }
                lock(&sound).speaker = line.map(|line| (Instant::now(), line));
            })
        };
        let wishes = Wishes { volume: config.volume, hearing: config.hearing };
        let speaker = Arc::new(Speaker::open(outputs.sound.clone(), wishes, reference, tell).map_err(no_thread)?);
        let (watch, ended) = blocking::channel();
        let inner = Arc::new(Inner {
            config,
            time,
            outputs,
            events,
            camera,
            microphone,
            speaker,
            video: Mutex::default(),
            audio: Mutex::default(),
            decoders: Mutex::default(),
            sound,
            camera_delivered: Mutex::new((0, false)),
            last: Mutex::new(None),
            closed: AtomicBool::new(false),
            failed: AtomicBool::new(false),
            _watch: watch,
        });
        let session = Session { inner };
        match opened.recv_timeout(MICROPHONE_WITHIN) {
            Ok(None) => {}
            Ok(Some(line)) => return Err(MediaError(line)),
            Err(_) => {
                return Err(MediaError(format!(
                    "microphone {}: it does not open; pull its plug and put it in again",
                    session.inner.config.microphone
                )));
            }
        }
        let weak = Arc::downgrade(&session.inner);
        std::thread::Builder::new().name("media-session".into()).spawn(move || look_after(&weak, &ended)).map_err(no_thread)?;
        Ok(session)
    }

    /// Starts encoding with `codec` and hands RTP packets (this payload type, any SSRC) to `outlet` until dropped.
    ///
    /// # Errors
    /// There is no camera, the session is closed, or this box has no encoder for the codec.
    pub fn send(&self, codec: Codec, payload_type: u8, outlet: Outlet) -> Result<Sending, MediaError> {
        let inner = &self.inner;
        inner.still_open()?;
        let (encoder, id) = match codec.kind() {
            Kind::Audio => {
                let mut slot = lock(&inner.audio);
                let encoder = match slot.upgrade() {
                    Some(encoder) => encoder,
                    None => {
                        let encoder = Arc::new(AudioEncoder::start(&inner.time, inner.microphone.clone())?);
                        *slot = Arc::downgrade(&encoder);
                        encoder
                    }
                };
                let id = encoder.outlets().add(payload_type, outlet, None);
                (Encoder::Audio(encoder), id)
            }
            Kind::Video => {
                let camera = inner
                    .camera
                    .as_ref()
                    .ok_or_else(|| MediaError("camera none: there is no picture to send; choose a camera in the configuration".into()))?;
                let mut slots = lock(&inner.video);
                slots.retain(|(_, e)| e.strong_count() > 0);
                let running = slots.iter().find(|(c, _)| *c == codec).and_then(|(_, e)| e.upgrade());
                let encoder = match running {
                    Some(encoder) => encoder,
                    None => {
                        let encoder = Arc::new(VideoEncoder::start(codec, &inner.config, &inner.time, camera)?);
                        slots.retain(|(c, _)| *c != codec);
                        slots.push((codec, Arc::downgrade(&encoder)));
                        encoder
                    }
                };
                let id = encoder.outlets().add(payload_type, outlet, Some(encoder.limits()));
                encoder.key_frame();
                (Encoder::Video(encoder), id)
            }
        };
        Ok(Sending { encoder, id })
    }

    /// Starts presenting a stream that arrives with this codec and payload type, until dropped.
    ///
    /// # Errors
    /// The session is closed, or this box has no decoder for the codec.
    pub fn receive(&self, codec: Codec, payload_type: u8, key_frame: KeyFrameRequest) -> Result<Receiving, MediaError> {
        let inner = &self.inner;
        inner.still_open()?;
        let screen = match codec.kind() {
            Kind::Audio => Screen::Sound(inner.speaker.clone()),
            Kind::Video => Screen::Picture(inner.outputs.remote.clone()),
        };
        let decoder = Arc::new(Decoder::start(codec, payload_type, &inner.config, &inner.time, screen, key_frame, inner.events.clone())?);
        let mut decoders = lock(&inner.decoders);
        decoders.retain(|d| d.strong_count() > 0);
        decoders.push(Arc::downgrade(&decoder));
        Ok(Receiving { decoder })
    }

    /// Sends silence while `true`.
    pub fn mute(&self, muted: bool) {
        self.inner.microphone.mute(muted);
    }

    /// The figures of the call so far.
    pub fn statistics(&self) -> Statistics {
        self.inner.statistics()
    }

    /// Closes camera and microphone within 250 ms, whatever happens, then everything else. Idempotent.
    pub fn close(&self) {
        self.inner.close();
    }
}

impl Inner {
    fn still_open(&self) -> Result<(), MediaError> {
        if self.closed.load(Ordering::SeqCst) { Err(MediaError("the call is over".into())) } else { Ok(()) }
    }

    fn parts(&self) -> Parts {
        (
            lock(&self.video).iter().filter_map(|(_, e)| e.upgrade()).collect(),
            lock(&self.audio).upgrade(),
            lock(&self.decoders).iter().filter_map(Weak::upgrade).collect(),
        )
    }

    fn statistics(&self) -> Statistics {
        let (video, audio, decoders) = self.parts();
        // When the connections are gone the call is asked about once more: then the last figures count.
        if decoders.is_empty()
            && let Some(last) = lock(&self.last).clone()
        {
            return last;
        }
        Statistics {
            sent: video.iter().map(|e| e.stats()).chain(audio.iter().map(|e| e.stats())).collect(),
            received: decoders.iter().map(|d| d.stats()).collect(),
            camera: self.camera.as_ref().map(|_| lock(&self.camera_delivered).1),
            echo: self.microphone.echo(),
            playing: self.speaker.stats(),
            microphone_gaps: self.microphone.gaps(),
        }
    }

    fn tick(&self) {
        let now = Instant::now();
        if let Some(camera) = &self.camera {
            let delivered = camera.delivered.load(Ordering::Relaxed);
            let mut seen = lock(&self.camera_delivered);
            *seen = (delivered, delivered != seen.0);
        }
        let (video, audio, decoders) = self.parts();
        if !decoders.is_empty() {
            let now = self.statistics();
            *lock(&self.last) = Some(now);
        }
        let rtt = video.iter().filter_map(|e| e.outlets().rtt()).chain(audio.iter().filter_map(|e| e.outlets().rtt())).max();
        let mut failure = video.iter().find_map(|e| e.tick(now).err());
        failure = failure.or_else(|| audio.and_then(|e| e.tick().err()));
        failure = failure.or_else(|| decoders.iter().find_map(|d| d.tick(now, rtt).err()));
        align(&decoders);
        {
            let mut sound = lock(&self.sound);
            self.listen_to_speaker(&mut sound, now);
            for (since, line) in [&sound.microphone, &sound.speaker, &sound.hangs].into_iter().flatten() {
                if now.saturating_duration_since(*since) >= SOUND_GONE {
                    failure = failure.or_else(|| Some(MediaError(line.clone())));
                }
            }
        }
        if let Some(MediaError(line)) = failure
            && !self.failed.swap(true, Ordering::SeqCst)
        {
            let _ = self.events.try_send(MediaEvent::Failed(line));
        }
    }

    /// One whose driver hangs cannot tell it itself.
    fn listen_to_speaker(&self, sound: &mut SoundState, now: Instant) {
        if !self.speaker.hangs() {
            sound.hangs = None;
        } else if sound.hangs.is_none() {
            let device = if let super::SoundOut::Alsa(device) = &self.outputs.sound { device.as_str() } else { "" };
            let line = format!("sound output {device}: its driver does not return; pull its plug and put it in again, or restart the box");
            log::warn!(MESSAGE_ID = messages::SOUND_LOST.id; "{line}");
            sound.hangs = Some((now, line));
        }
    }

    fn close(&self) {
        if self.closed.swap(true, Ordering::SeqCst) {
            return;
        }
        let deadline = Instant::now() + CLOSE_WITHIN;
        // Devices first; all of them are on their way down before any of them is waited for.
        let mut closing: Vec<Closing> = self.camera.as_ref().and_then(Camera::close).into_iter().chain(self.microphone.close()).collect();
        self.speaker.close();
        let figures = self.statistics();
        let (video, audio, decoders) = self.parts();
        closing.extend(video.iter().filter_map(|e| e.close()));
        closing.extend(audio.iter().filter_map(|e| e.close()));
        closing.extend(decoders.iter().filter_map(|d| d.close()));
        for mut part in closing {
            if !part.done_by(deadline) {
                log::warn!(MESSAGE_ID = messages::DEVICE_SLOW.id; "a device or codec of the call takes longer than {} ms to close; its driver hangs", CLOSE_WITHIN.as_millis());
            }
        }
        log::debug!("media of the call: {}", serde_json::to_string(&figures).unwrap_or_default());
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.close();
    }
}

/// The session's own thread: looks after the parts until the session is gone.
fn look_after(session: &Weak<Inner>, ended: &blocking::Receiver<()>) {
    while let Err(blocking::RecvTimeoutError::Timeout) = ended.recv_timeout(TICK) {
        match session.upgrade() {
            Some(inner) if !inner.closed.load(Ordering::SeqCst) => inner.tick(),
            _ => return,
        }
    }
}

/// Brings what is heard and what is seen together.
fn align(decoders: &[Arc<Decoder>]) {
    let (sounds, pictures): (Vec<&Arc<Decoder>>, Vec<_>) = decoders.iter().partition(|d| d.kind() == Kind::Audio);
    for picture in pictures {
        let heard: Vec<_> = sounds.iter().map(|s| s.stream()).collect();
        if let Some((index, hold_picture, hold_sound)) = lipsync::align(&picture.stream(), &heard) {
            log::debug!("lip sync: picture held back {} ms, sound {} ms", hold_picture / 1_000_000, hold_sound / 1_000_000);
            picture.hold(hold_picture);
            sounds[index].hold(hold_sound);
        }
    }
}

/// What to try when a sound device gives this reason.
pub(in crate::media) fn sound_advice(reason: &str) -> &'static str {
    let lower = reason.to_lowercase();
    if lower.contains("busy") {
        "another program has it open: end that program"
    } else if lower.contains("permission") {
        "the daemon's user must be in the group `audio`"
    } else {
        "`arecord -L` and `aplay -L` list the devices; check the plug and the name in the configuration"
    }
}

#[cfg(test)]
mod tests;
