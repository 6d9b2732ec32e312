//! The television: a set with power, inputs and volume, linked to the box (`/tv/box`) and watched in the page
//! (`/tv/view`). The lab's words for the link:
//!
//! * box → lab, text: `{"type":"power","to":"on"|"standby"}`, `{"type":"input","to":"box"|"tuner"|"hdmi2"}`,
//!   `{"type":"volume","to":0..100}`; binary: first byte 1 = JPEG of the picture that would go out on HDMI, first byte 2 =
//!   PCM s16le 48 kHz stereo as played.
//! * lab → box and viewers, text: `{"type":"state","power":…,"input":…,"volume":n,"box":linked}` at connect and on each
//!   change; lab → box also `{"type":"key","key":…,"pressed":…}`; lab → viewers also the binary frames.
//! * viewer → lab, text: `key`, and `power`, `input`, `volume` as the viewer's own remote of the set.
//!
//! In standby or on another input the frames still flow (tests need them); the state says what the set would show.

use crate::Shared;
use crate::log::Part;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, watch};

/// Largest frame taken from the box: a 1080p JPEG of noise.
const FRAME_LIMIT: usize = 8 << 20;
/// Pieces of sound kept for a slow viewer (some 20 ms each); older ones are dropped.
const SOUND_KEPT: usize = 25;
/// Over which time the loudest level and the picture rate are taken.
const RECENT: Duration = Duration::from_secs(3);

/// The set's power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Power {
    /// On.
    On,
    /// Standby.
    Standby,
}

/// What the television set is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TvState {
    /// Power.
    pub power: Power,
    /// The input shown: `tuner`, `box`, `hdmi2`, ….
    pub input: String,
    /// Volume, 0..=100.
    pub volume: u8,
    /// Whether a box is linked.
    #[serde(rename = "box")]
    pub linked: bool,
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Word {
    Power {
        to: Power,
    },
    Input {
        to: String,
    },
    Volume {
        to: u8,
    },
    Key {
        key: String,
        #[serde(default)]
        pressed: Option<bool>,
    },
}

#[derive(Debug, Default)]
struct Seen {
    boxes: usize,
    viewers: usize,
    pictures: u64,
    changed: u64,
    last_hash: u64,
    last_picture: Option<Instant>,
    picture_bytes: usize,
    size: Option<(u16, u16)>,
    recent: VecDeque<(Instant, bool)>,
    sound_pieces: u64,
    sound_seconds: f64,
    levels: VecDeque<(Instant, f64)>,
}

/// The television of this lab.
#[derive(Debug)]
pub(crate) struct Tv {
    state: watch::Sender<TvState>,
    keys: broadcast::Sender<(String, bool)>,
    picture: watch::Sender<Option<Bytes>>,
    sound: broadcast::Sender<Bytes>,
    seen: Mutex<Seen>,
}

impl Tv {
    pub(crate) fn new(power: Power, input: &str, volume: u8) -> Self {
        let state = TvState { power, input: input.to_owned(), volume: volume.min(100), linked: false };
        Self {
            state: watch::channel(state).0,
            keys: broadcast::channel(64).0,
            picture: watch::channel(None).0,
            sound: broadcast::channel(SOUND_KEPT).0,
            seen: Mutex::default(),
        }
    }

    pub(crate) fn state(&self) -> TvState {
        self.state.borrow().clone()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<TvState> {
        self.state.subscribe()
    }

    pub(crate) fn last_picture(&self) -> Option<Bytes> {
        self.picture.borrow().as_ref().map(|frame| frame.slice(1..))
    }

    pub(crate) fn key(&self, key: &str, pressed: bool) {
        let _ = self.keys.send((key.to_owned(), pressed));
    }

    pub(crate) fn set(&self, change: impl FnOnce(&mut TvState)) {
        self.state.send_if_modified(|state| {
            let before = state.clone();
            change(state);
            *state != before
        });
    }

    fn word(&self, shared: &Shared, who: &'static str, text: &str) {
        let word = match serde_json::from_str::<Word>(text) {
            Ok(word) => word,
            Err(e) => {
                log::warn!(who = who; "not understood on the television link: {e}");
                return;
            }
        };
        let what = match &word {
            Word::Power { to } => format!("power {to:?}").to_lowercase(),
            Word::Input { to } => format!("input {}", to.chars().take(20).collect::<String>()),
            Word::Volume { to } => format!("volume {to}"),
            Word::Key { key, pressed } => {
                let down = pressed.map_or("", |p| if p { " down" } else { " up" });
                format!("key {}{down}", key.chars().take(20).collect::<String>())
            }
        };
        shared.log.add(Part::Tv, Some("in"), Some(who), what, Value::Null);
        match word {
            Word::Power { to } => self.set(|s| s.power = to),
            Word::Input { to } => self.set(|s| s.input = to.chars().take(20).collect()),
            Word::Volume { to } => self.set(|s| s.volume = to.min(100)),
            Word::Key { key, pressed: Some(pressed) } => self.key(&key, pressed),
            // A remote that only says that a key was pressed means both edges.
            Word::Key { key, pressed: None } => {
                self.key(&key, true);
                self.key(&key, false);
            }
        }
    }

    fn frame(&self, frame: Bytes) {
        let now = Instant::now();
        match frame.first() {
            Some(1) => {
                let mut hasher = DefaultHasher::new();
                frame.hash(&mut hasher);
                let hash = hasher.finish();
                let mut seen = crate::lock(&self.seen);
                let changed = hash != seen.last_hash;
                seen.pictures += 1;
                seen.changed += u64::from(changed);
                seen.last_hash = hash;
                seen.last_picture = Some(now);
                seen.picture_bytes = frame.len() - 1;
                seen.size = jpeg_size(&frame[1..]).or(seen.size);
                seen.recent.push_back((now, changed));
                while seen.recent.front().is_some_and(|(at, _)| now - *at > RECENT) {
                    seen.recent.pop_front();
                }
                drop(seen);
                self.picture.send_replace(Some(frame));
            }
            Some(2) => {
                let samples = &frame[1..];
                let mut seen = crate::lock(&self.seen);
                seen.sound_pieces += 1;
                seen.sound_seconds += samples.len() as f64 / (4.0 * 48_000.0);
                seen.levels.push_back((now, level_dbfs(samples)));
                while seen.levels.front().is_some_and(|(at, _)| now - *at > RECENT) {
                    seen.levels.pop_front();
                }
                drop(seen);
                let _ = self.sound.send(frame);
            }
            _ => log::warn!("a frame of unknown kind on the television link"),
        }
    }

    /// For `/lab/state`: the set, and what it shows and plays.
    pub(crate) fn report(&self) -> Value {
        let now = Instant::now();
        let state = self.state();
        let seen = crate::lock(&self.seen);
        let recent: Vec<_> = seen.recent.iter().filter(|(at, _)| now - *at <= RECENT).collect();
        let levels: Vec<f64> = seen.levels.iter().filter(|(at, _)| now - *at <= RECENT).map(|(_, l)| *l).collect();
        json!({
            "power": state.power, "input": state.input, "volume": state.volume, "box": state.linked, "viewers": seen.viewers,
            "picture": {
                "count": seen.pictures, "changed": seen.changed, "recent_per_s": recent.len() as f64 / RECENT.as_secs_f64(),
                "recent_changed": recent.iter().filter(|(_, changed)| *changed).count(), "bytes": seen.picture_bytes,
                "size": seen.size, "age_ms": seen.last_picture.map(|at| (now - at).as_millis() as u64),
            },
            "sound": {
                "pieces": seen.sound_pieces, "seconds": seen.sound_seconds, "level_dbfs": levels.last(),
                "loudest_dbfs": levels.iter().copied().reduce(f64::max),
                "age_ms": seen.levels.back().map(|(at, _)| (now - *at).as_millis() as u64),
            },
        })
    }
}

/// RMS level of s16le samples in dB below full scale; -120 for silence.
fn level_dbfs(samples: &[u8]) -> f64 {
    let squares: f64 = samples.chunks_exact(2).map(|s| f64::from(i16::from_le_bytes([s[0], s[1]])).powi(2)).sum();
    let count = (samples.len() / 2).max(1) as f64;
    let rms = (squares / count).sqrt() / 32768.0;
    if rms > 0.0 { (20.0 * rms.log10() * 10.0).round() / 10.0 } else { -120.0 }
}

/// Width and height as the JPEG's start-of-frame segment says.
fn jpeg_size(jpeg: &[u8]) -> Option<(u16, u16)> {
    let mut at = 2;
    loop {
        let marker = *jpeg.get(at + 1)?;
        if *jpeg.get(at)? != 0xff {
            return None;
        }
        let word = |i: usize| Some(u16::from_be_bytes([*jpeg.get(i)?, *jpeg.get(i + 1)?]));
        if (0xc0..=0xcf).contains(&marker) && ![0xc4, 0xc8, 0xcc].contains(&marker) {
            return Some((word(at + 7)?, word(at + 5)?));
        }
        at += 2 + usize::from(word(at + 2)?);
    }
}

pub(crate) async fn box_link(State(shared): State<Arc<Shared>>, ws: WebSocketUpgrade) -> Response {
    ws.max_message_size(FRAME_LIMIT).on_upgrade(move |socket| async move { link(shared, socket).await })
}

async fn link(shared: Arc<Shared>, mut socket: WebSocket) {
    let tv = &shared.tv;
    let mut stop = shared.stop.subscribe();
    let mut keys = tv.keys.subscribe();
    crate::lock(&tv.seen).boxes += 1;
    tv.set(|s| s.linked = true);
    shared.log.add(Part::Tv, Some("in"), Some("box"), "box linked", Value::Null);
    let mut state = tv.watch();
    state.mark_changed();
    loop {
        let said = tokio::select! {
            _ = stop.wait_for(|s| *s) => break,
            Ok(()) = state.changed() => state_text(&state.borrow_and_update()),
            key = keys.recv() => match key {
                Ok((key, pressed)) => json!({"type": "key", "key": key, "pressed": pressed}).to_string(),
                Err(_) => continue,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    tv.word(&shared, "box", &text);
                    continue;
                }
                Some(Ok(Message::Binary(frame))) => {
                    tv.frame(frame);
                    continue;
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            },
        };
        if !matches!(tokio::time::timeout(Duration::from_secs(10), socket.send(Message::Text(said.into()))).await, Ok(Ok(()))) {
            break;
        }
    }
    let last = {
        let mut seen = crate::lock(&tv.seen);
        seen.boxes -= 1;
        seen.boxes == 0
    };
    if last {
        tv.set(|s| s.linked = false);
        tv.picture.send_replace(None);
    }
    shared.log.add(Part::Tv, Some("in"), Some("box"), "box gone", Value::Null);
}

pub(crate) async fn view_link(State(shared): State<Arc<Shared>>, ws: WebSocketUpgrade) -> Response {
    ws.on_upgrade(move |socket| async move {
        crate::lock(&shared.tv.seen).viewers += 1;
        view(&shared, socket).await;
        crate::lock(&shared.tv.seen).viewers -= 1;
    })
}

/// A viewer gets the latest picture when it is ready for one, and recent sound: a slow viewer sees fewer pictures and
/// hears gaps, and nothing piles up.
async fn view(shared: &Shared, mut socket: WebSocket) {
    let tv = &shared.tv;
    let mut stop = shared.stop.subscribe();
    let mut picture = tv.picture.subscribe();
    picture.mark_changed();
    let mut sound = tv.sound.subscribe();
    let mut state = tv.watch();
    state.mark_changed();
    loop {
        let message = tokio::select! {
            _ = stop.wait_for(|s| *s) => break,
            Ok(()) = state.changed() => Message::Text(state_text(&state.borrow_and_update()).into()),
            piece = sound.recv() => match piece {
                Ok(piece) => Message::Binary(piece),
                Err(_) => continue,
            },
            Ok(()) = picture.changed() => match picture.borrow_and_update().clone() {
                Some(frame) => Message::Binary(frame),
                None => continue,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    tv.word(shared, "viewer", &text);
                    continue;
                }
                Some(Ok(Message::Binary(_) | Message::Ping(_) | Message::Pong(_))) => continue,
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            },
        };
        if !matches!(tokio::time::timeout(Duration::from_secs(10), socket.send(message)).await, Ok(Ok(()))) {
            break;
        }
    }
}

fn state_text(state: &TvState) -> String {
    let mut value = serde_json::to_value(state).unwrap_or_default();
    value["type"] = json!("state");
    value.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_rms_below_full_scale() {
        let square: Vec<u8> = (0..960).flat_map(|i| if i % 2 == 0 { 16384i16 } else { -16384 }.to_le_bytes()).collect();
        assert_eq!(level_dbfs(&square), -6.0);
        assert_eq!(level_dbfs(&[0; 1920]), -120.0);
        assert_eq!(level_dbfs(&[]), -120.0);
    }

    #[test]
    fn a_picture_is_new_only_when_its_bytes_are() {
        let tv = Tv::new(Power::Standby, "tuner", 30);
        let jpeg = [1, 0xff, 0xd8, 0xff, 0xe0, 0, 3, 0, 0xff, 0xc0, 0, 11, 8, 0x02, 0xd0, 0x05, 0x00, 3];
        tv.frame(Bytes::copy_from_slice(&jpeg));
        tv.frame(Bytes::copy_from_slice(&jpeg));
        tv.frame(Bytes::from_static(&[1, 0xff]));
        tv.frame(Bytes::new());
        let report = tv.report();
        assert_eq!((report["picture"]["count"].clone(), report["picture"]["changed"].clone()), (json!(3), json!(2)));
        assert_eq!(report["picture"]["size"], json!([1280, 720]));
    }
}
