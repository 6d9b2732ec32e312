//! What comes in, read leniently, entry by entry: one malformed participant costs that participant, never the message.
//! Everything is bounded when it is read, so that no peer and no server can make us grow.

use super::DescriptionKind;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::time::Duration;

/// Entries read of any list; a care call has two participants, four tracks and one peer connection.
const LIST: usize = 64;
/// Candidates read of one list.
const CANDIDATES: usize = 128;
/// Characters read of an id, a name or an identity.
const NAME: usize = 256;

/// A frame from the server.
#[derive(Debug)]
pub enum Frame {
    /// Our hello is accepted.
    Welcome {
        /// The heartbeat interval both sides keep.
        timeout: Duration,
    },
    /// Come again later.
    Busy {
        /// To be echoed in the next hello.
        cookie: Option<String>,
        /// On this socket, or on a new one.
        keep_alive: bool,
        /// How much later; `None` (negative on the wire): never.
        retry_after: Option<Duration>,
    },
    /// The server did not understand us.
    Bad(String),
    /// Still there.
    Heartbeat,
    /// An RSP message.
    Message(Box<Body>),
    /// A goodbye, or something of a later protocol: nothing to do.
    Other,
}

/// An RSP message from the server.
#[derive(Debug)]
pub enum Body {
    /// The servers to ask for public and relayed addresses.
    Iced(Vec<IceServer>),
    /// We are in.
    Connected(Box<State>),
    /// We are in again after the loss of a socket: complete lists.
    Synced(Box<State>),
    /// Something changed.
    Update(Box<State>),
    /// The end, with a code of section 11.
    Error {
        /// Code.
        code: i64,
        /// The service's words.
        message: String,
    },
    /// The end.
    Disconnected {
        /// `completed` when the room was ended.
        status: String,
    },
    /// Of no meaning to us.
    Other,
}

/// Any subset of a room's state.
#[derive(Debug, Default, Deserialize)]
pub struct State {
    /// Names us in every further message, a secret.
    #[serde(default, deserialize_with = "lenient")]
    pub session: Option<String>,
    /// The room's id.
    #[serde(default, deserialize_with = "lenient")]
    pub sid: Option<String>,
    /// Ourselves.
    #[serde(default, deserialize_with = "lenient")]
    pub participant: Option<Participant>,
    /// Others.
    #[serde(default, deserialize_with = "lenient_list")]
    pub participants: Vec<Participant>,
    /// What became of our tracks.
    #[serde(default, deserialize_with = "lenient")]
    pub published: Option<Published>,
    /// Under which ids the others' tracks arrive.
    #[serde(default, deserialize_with = "lenient")]
    pub subscribed: Option<Subscribed>,
    /// Descriptions and candidates.
    #[serde(default, deserialize_with = "lenient_list")]
    pub peer_connections: Vec<PeerConnection>,
    /// Of the session.
    #[serde(default, deserialize_with = "lenient")]
    pub options: Option<Options>,
}

/// Somebody in the room.
#[derive(Debug, Clone, Deserialize)]
pub struct Participant {
    /// Id, `PA…`.
    pub sid: String,
    /// Name from their token.
    #[serde(default, deserialize_with = "lenient")]
    pub identity: Option<String>,
    /// `connected`, `reconnecting`, `disconnected`.
    #[serde(default, deserialize_with = "lenient")]
    pub state: Option<String>,
    /// Grows with each change.
    #[serde(default, deserialize_with = "revision")]
    pub revision: Option<u64>,
    /// All their tracks.
    #[serde(default, deserialize_with = "lenient_list")]
    pub tracks: Vec<Track>,
}

/// A published track.
#[derive(Debug, Clone, Deserialize)]
pub struct Track {
    /// Id, `MT…`; absent while it is not ready.
    #[serde(default, deserialize_with = "lenient")]
    pub sid: Option<String>,
    /// The publisher's id; what stands in `a=msid` between two peers.
    #[serde(default, deserialize_with = "lenient")]
    pub id: Option<String>,
    /// `ready`, `failed`, …
    #[serde(default, deserialize_with = "lenient")]
    pub state: Option<String>,
    /// Why it failed.
    #[serde(default, deserialize_with = "lenient")]
    pub error: Option<Refusal>,
}

/// A code of section 11 with the service's words.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Refusal {
    /// Code.
    #[serde(default, deserialize_with = "number")]
    pub code: i64,
    /// Words.
    #[serde(default, deserialize_with = "text")]
    pub message: String,
}

/// What became of our tracks.
#[derive(Debug, Deserialize)]
pub struct Published {
    /// Grows with each change.
    #[serde(default, deserialize_with = "revision")]
    pub revision: Option<u64>,
    /// All of them.
    #[serde(default, deserialize_with = "lenient_list")]
    pub tracks: Vec<Track>,
}

/// Under which ids the others' tracks arrive.
#[derive(Debug, Deserialize)]
pub struct Subscribed {
    /// Grows with each change.
    #[serde(default, deserialize_with = "revision")]
    pub revision: Option<u64>,
    /// All of them.
    #[serde(default, deserialize_with = "lenient_list")]
    pub tracks: Vec<Subscription>,
}

/// The track `sid` arrives as `id`.
#[derive(Debug, Clone, Deserialize)]
pub struct Subscription {
    /// Id of the published track, `MT…`.
    pub sid: String,
    /// Second token of `a=msid` to expect; in a group room not the publisher's.
    #[serde(default, deserialize_with = "lenient")]
    pub id: Option<String>,
}

/// News of a peer connection.
#[derive(Debug, Deserialize)]
pub struct PeerConnection {
    /// Id, chosen by whoever offered first.
    pub id: String,
    /// A description.
    #[serde(default, deserialize_with = "lenient")]
    pub description: Option<Description>,
    /// Candidates.
    #[serde(default, deserialize_with = "lenient")]
    pub ice: Option<Ice>,
}

/// A session description, or what is asked for instead of one.
#[derive(Debug, Clone, Deserialize)]
pub struct Description {
    /// What it is.
    #[serde(rename = "type")]
    pub kind: DescriptionKind,
    /// Numbers the exchange within its peer connection.
    #[serde(default, deserialize_with = "revision")]
    pub revision: Option<u64>,
    /// The SDP of an offer or answer.
    #[serde(default, deserialize_with = "lenient")]
    pub sdp: Option<String>,
}

/// Candidates of one ICE generation.
#[derive(Debug, Deserialize)]
pub struct Ice {
    /// Names the generation.
    #[serde(default, deserialize_with = "text")]
    pub ufrag: String,
    /// A list that grows, starts over, or both (section 5, "candidate lists restart").
    #[serde(default, deserialize_with = "lenient_candidates")]
    pub candidates: Vec<Candidate>,
}

/// A candidate.
#[derive(Debug, Clone, Deserialize)]
pub struct Candidate {
    /// `candidate:…`; empty at the end of a list.
    pub candidate: String,
    /// The section it belongs to.
    #[serde(default, rename = "sdpMid", deserialize_with = "lenient")]
    pub mid: Option<String>,
}

/// Of the session.
#[derive(Debug, Default, Deserialize)]
pub struct Options {
    /// Seconds for which a lost socket may be replaced.
    #[serde(default, deserialize_with = "seconds")]
    pub session_timeout: Option<Duration>,
}

/// A STUN or TURN server.
#[derive(Debug, Default, Clone, PartialEq, Eq, Deserialize)]
pub struct IceServer {
    /// One or several.
    #[serde(default, deserialize_with = "urls")]
    pub urls: Vec<String>,
    /// User name.
    #[serde(default, deserialize_with = "text")]
    pub username: String,
    /// Password.
    #[serde(default, deserialize_with = "text")]
    pub credential: String,
}

impl Frame {
    /// Reads one text frame.
    ///
    /// # Errors
    /// What is wrong with it, when it is not a JSON object with a `type`.
    pub fn read(frame: &str) -> Result<Frame, serde_json::Error> {
        #[derive(Deserialize)]
        struct Raw<'a> {
            #[serde(rename = "type")]
            kind: String,
            #[serde(default, rename = "negotiatedTimeout", deserialize_with = "lenient")]
            negotiated_timeout: Option<f64>,
            #[serde(default, deserialize_with = "lenient")]
            cookie: Option<String>,
            #[serde(default, rename = "keepAlive", deserialize_with = "lenient")]
            keep_alive: Option<bool>,
            #[serde(default, rename = "retryAfter", deserialize_with = "lenient")]
            retry_after: Option<f64>,
            #[serde(default, deserialize_with = "text")]
            reason: String,
            #[serde(default, borrow)]
            body: Option<&'a serde_json::value::RawValue>,
        }
        let raw: Raw = serde_json::from_str(frame)?;
        Ok(match raw.kind.as_str() {
            "welcome" => Frame::Welcome { timeout: milliseconds(raw.negotiated_timeout.unwrap_or(5000.0)) },
            "busy" => Frame::Busy {
                cookie: raw.cookie,
                keep_alive: raw.keep_alive.unwrap_or(false),
                retry_after: raw.retry_after.filter(|ms| *ms >= 0.0).map(milliseconds),
            },
            "bad" => Frame::Bad(raw.reason),
            "heartbeat" => Frame::Heartbeat,
            "msg" => match raw.body {
                Some(body) => Frame::Message(Box::new(Body::read(body.get())?)),
                None => Frame::Other,
            },
            _ => Frame::Other,
        })
    }
}

impl Body {
    fn read(body: &str) -> Result<Body, serde_json::Error> {
        #[derive(Deserialize)]
        struct Kind {
            #[serde(default, rename = "type", deserialize_with = "text")]
            kind: String,
        }
        #[derive(Deserialize)]
        struct Iced {
            #[serde(default, deserialize_with = "lenient_list")]
            ice_servers: Vec<IceServer>,
        }
        #[derive(Deserialize)]
        struct Disconnected {
            #[serde(default, deserialize_with = "text")]
            status: String,
        }
        Ok(match serde_json::from_str::<Kind>(body)?.kind.as_str() {
            "iced" => Body::Iced(serde_json::from_str::<Iced>(body)?.ice_servers),
            "connected" => Body::Connected(serde_json::from_str(body)?),
            "synced" => Body::Synced(serde_json::from_str(body)?),
            "update" => Body::Update(serde_json::from_str(body)?),
            "error" => {
                let Refusal { code, message } = serde_json::from_str(body)?;
                Body::Error { code, message }
            }
            "disconnected" => Body::Disconnected { status: serde_json::from_str::<Disconnected>(body)?.status },
            _ => Body::Other,
        })
    }
}

/// Milliseconds as the server gives them; nonsense becomes zero, and nothing is longer than an hour.
fn milliseconds(ms: f64) -> Duration {
    Duration::from_secs_f64((ms / 1000.0).clamp(0.0, 3600.0).max(0.0))
}

/// What has another shape than it should counts as absent.
fn lenient<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(d: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(d)?).ok())
}

fn bounded<T: serde::de::DeserializeOwned>(value: Value, most: usize) -> Vec<T> {
    match value {
        Value::Array(entries) => entries.into_iter().filter_map(|e| serde_json::from_value(e).ok()).take(most).collect(),
        _ => Vec::new(),
    }
}

fn lenient_list<'de, D: Deserializer<'de>, T: serde::de::DeserializeOwned>(d: D) -> Result<Vec<T>, D::Error> {
    Ok(bounded(Value::deserialize(d)?, LIST))
}

fn lenient_candidates<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Candidate>, D::Error> {
    Ok(bounded(Value::deserialize(d)?, CANDIDATES))
}

fn revision<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    Ok(Value::deserialize(d)?.as_u64())
}

fn number<'de, D: Deserializer<'de>>(d: D) -> Result<i64, D::Error> {
    Ok(Value::deserialize(d)?.as_i64().unwrap_or_default())
}

fn seconds<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
    Ok(Value::deserialize(d)?.as_f64().map(|s| milliseconds(s * 1000.0)))
}

fn text<'de, D: Deserializer<'de>>(d: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::String(s) => s.chars().take(NAME).collect(),
        _ => String::new(),
    })
}

fn urls<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<String>, D::Error> {
    Ok(match Value::deserialize(d)? {
        Value::String(one) => vec![one],
        several => bounded(several, LIST),
    })
}

#[cfg(test)]
mod tests;
