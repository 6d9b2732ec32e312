//! The lab's television: a set in a browser, over a WebSocket. It is as unreliable as a real one, so the link is made
//! again for ever, and while it is down the television is one that does not answer.
//!
//! Out: `{"type":"power"|"input"|"volume","to":…}`, binary 1 + JPEG of the picture, binary 2 + s16le 48 kHz stereo.
//! In: `{"type":"state","power","input","volume"}` and `{"type":"key","key","pressed"}`.

use super::keys::{Key, Stroke};
use super::output::JpegSink;
use super::power::{Fault, Input, Set};
use super::stage::{DriverEvent, EVENTS};
use super::{Power, TvState};
use crate::media::SampleSink;
use crate::net::backoff::Backoff;
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use rand::RngExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_tungstenite::tungstenite::Message;

/// At most twelve pictures a second: a browser's television, not a film.
const BETWEEN_PICTURES: Duration = Duration::from_millis(83);
/// Pieces of 20 ms that wait for a slow link; more are dropped.
const SOUND: usize = 25;
/// Samples in a piece: 20 ms of stereo.
const PIECE: usize = 1920;
/// Commands that wait.
const WORDS: usize = 32;
/// How long the handshake, or one message, may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Words longer than this are none of the lab's.
const LONGEST: usize = 4096;

/// The set's side of the link.
pub struct Lab {
    words: mpsc::Sender<String>,
    /// Nothing while a link is being made, until the set has said how it is.
    state: watch::Receiver<Option<TvState>>,
}

/// What the stage needs of the link.
pub struct Link {
    /// The set.
    pub lab: Lab,
    /// Takes pictures; refuses them while the link is down.
    pub pictures: JpegSink,
    /// Takes sound.
    pub sound: SampleSink,
    /// For the stage's own events.
    pub tell: mpsc::Sender<DriverEvent>,
    /// What set and stage tell.
    pub events: mpsc::Receiver<DriverEvent>,
}

struct Ends {
    words: mpsc::Receiver<String>,
    state: watch::Sender<Option<TvState>>,
    picture: watch::Receiver<Option<Bytes>>,
    sound: mpsc::Receiver<Bytes>,
    tell: mpsc::Sender<DriverEvent>,
}

/// Starts the link; it ends when the [`Link`]'s `events` are dropped. Call it inside a tokio runtime.
pub fn link(url: String) -> Link {
    let (words, of_words) = mpsc::channel(WORDS);
    let (to_state, state) = watch::channel(None);
    let (to_picture, picture) = watch::channel(None);
    let (to_sound, sound) = mpsc::channel(SOUND);
    let (tell, events) = mpsc::channel(EVENTS);
    tokio::spawn(run(url, Ends { words: of_words, state: to_state, picture, sound, tell: tell.clone() }));
    let known = state.clone();
    let pictures: JpegSink = Arc::new(move |jpeg: &[u8]| {
        to_picture.send_replace(Some(tagged(1, jpeg)));
        if linked(&known) { Ok(()) } else { Err("the lab's television is not connected; check that the lab runs".into()) }
    });
    let waiting = Mutex::new(Vec::with_capacity(2 * PIECE));
    let sound: SampleSink = Arc::new(move |samples: &[i16]| {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.extend(samples.iter().flat_map(|s| s.to_le_bytes()));
        if waiting.len() >= 2 * PIECE {
            // A slow link hears gaps; nothing piles up.
            let _ = to_sound.try_send(tagged(2, &waiting));
            waiting.clear();
        }
    });
    Link { lab: Lab { words, state }, pictures, sound, tell, events }
}

fn linked(state: &watch::Receiver<Option<TvState>>) -> bool {
    state.borrow().as_ref().is_some_and(|s| s.power != Power::Unknown)
}

fn tagged(kind: u8, bytes: &[u8]) -> Bytes {
    let mut all = Vec::with_capacity(bytes.len() + 1);
    all.push(kind);
    all.extend_from_slice(bytes);
    all.into()
}

async fn run(url: String, mut ends: Ends) {
    let mut backoff = Backoff::new(Duration::from_millis(200), Duration::from_millis(500), Duration::from_secs(10));
    let mut said = false;
    loop {
        let connected = timeout(PATIENCE, tokio_tungstenite::connect_async(&url)).await;
        match connected {
            Ok(Ok((socket, _))) => {
                log::info!("the lab's television is connected");
                said = false;
                ends.state.send_replace(None);
                let since = Instant::now();
                serve(socket, &mut ends).await;
                if since.elapsed() > Duration::from_secs(10) {
                    backoff.reset();
                }
                ends.state.send_replace(Some(TvState::UNKNOWN));
                if ends.tell.send(DriverEvent::Changed(TvState::UNKNOWN)).await.is_err() {
                    return;
                }
                log::warn!(MESSAGE_ID = crate::journal::messages::TV_SILENT.id; "the lab's television is gone; connecting again");
            }
            Ok(Err(_)) | Err(_) => {
                ends.state.send_replace(Some(TvState::UNKNOWN));
                if !std::mem::replace(&mut said, true) {
                    log::warn!(MESSAGE_ID = crate::journal::messages::TV_SILENT.id; "the lab's television at {url} does not answer; tried again until it does");
                }
            }
        }
        // What was meant for a link that is down is out of date on the next.
        while ends.words.try_recv().is_ok() {}
        while ends.sound.try_recv().is_ok() {}
        tokio::select! {
            () = ends.tell.closed() => return,
            () = sleep(backoff.next(rand::rng().random())) => {}
        }
    }
}

type Socket = tokio_tungstenite::WebSocketStream<tokio_tungstenite::MaybeTlsStream<tokio::net::TcpStream>>;

/// One connection, until it breaks or nobody listens any more.
async fn serve(socket: Socket, ends: &mut Ends) {
    let (mut out, mut inn) = socket.split();
    ends.picture.mark_changed();
    let mut next_picture = Instant::now();
    loop {
        let message = tokio::select! {
            biased;
            () = ends.tell.closed() => {
                let _ = timeout(PATIENCE, out.close()).await;
                return;
            }
            word = ends.words.recv() => match word {
                Some(word) => Message::text(word),
                None => return,
            },
            heard = inn.next() => match heard {
                Some(Ok(Message::Text(text))) => {
                    if let Some(event) = understand(&text) {
                        if let DriverEvent::Changed(state) = &event {
                            ends.state.send_replace(Some(state.clone()));
                        }
                        if ends.tell.send(event).await.is_err() {
                            return;
                        }
                    }
                    continue;
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => continue,
            },
            Some(piece) = ends.sound.recv() => Message::Binary(piece),
            () = picture_due(&mut ends.picture, next_picture) => {
                let Some(picture) = ends.picture.borrow_and_update().clone() else { continue };
                next_picture = Instant::now() + BETWEEN_PICTURES;
                Message::Binary(picture)
            }
        };
        if !matches!(timeout(PATIENCE, out.send(message)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// There is a new picture and it is time for one. The last of a quick series is always sent.
async fn picture_due(picture: &mut watch::Receiver<Option<Bytes>>, at: Instant) {
    tokio::time::sleep_until(at).await;
    if picture.changed().await.is_err() {
        // The stage is gone, and the link ends with the next look at it.
        std::future::pending::<()>().await;
    }
}

#[derive(serde::Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Word {
    State { power: Power, input: Option<String>, volume: Option<u8> },
    Key { key: String, pressed: bool },
}

fn understand(text: &str) -> Option<DriverEvent> {
    if text.len() > LONGEST {
        return None;
    }
    match serde_json::from_str::<Word>(text).ok()? {
        Word::State { power, input, volume } => Some(DriverEvent::Changed(TvState { power, input, volume: volume.map(|v| v.min(100)) })),
        Word::Key { key, pressed } => Some(DriverEvent::Stroke(Stroke { key: Key::by_name(&key)?, pressed })),
    }
}

impl Lab {
    async fn say(&self, kind: &str, to: serde_json::Value) -> Result<(), Fault> {
        if !linked(&self.state) {
            return Err(Fault("the lab's television is not connected".into()));
        }
        let word = serde_json::json!({"type": kind, "to": to}).to_string();
        self.words.try_send(word).map_err(|_| Fault("the link to the lab's television is stuck".into()))
    }
}

#[async_trait]
impl Set for Lab {
    async fn state(&self) -> Result<TvState, Fault> {
        // A call may come while the link is being made: what the set says first is what will be put back.
        match self.state.clone().wait_for(Option::is_some).await {
            Ok(state) => Ok(state.clone().unwrap_or(TvState::UNKNOWN)),
            Err(_) => Err(Fault("the link to the lab's television has ended".into())),
        }
    }

    async fn power(&self, on: bool) -> Result<(), Fault> {
        self.say("power", if on { "on" } else { "standby" }.into()).await
    }

    async fn input(&self, to: &Input) -> Result<(), Fault> {
        let name = match to {
            Input::Ours => "box",
            Input::Other(name) => name,
            Input::Release => "tuner",
        };
        self.say("input", name.into()).await
    }

    async fn volume(&self, to: u8) -> Result<(), Fault> {
        self.say("volume", to.into()).await
    }

    fn own_input(&self) -> Option<String> {
        Some("box".into())
    }
}
