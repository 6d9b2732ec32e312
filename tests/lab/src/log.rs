//! What passes through the lab, one entry a REST call, Pusher event or room frame: the log strip of the page, and what
//! tests wait for. Entries never carry passwords, tokens or session descriptions.

use serde::Serialize;
use serde_json::Value;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Instant;
use tokio::sync::broadcast;

/// How many entries a new reader of the log strip is shown.
const KEPT: usize = 300;

/// Characters of a text and items of a list that an entry keeps.
const LONGEST: usize = 200;

/// Which part of the lab an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// A REST call.
    Rest,
    /// A Pusher connection, subscription or event.
    Pusher,
    /// A frame of the room signalling.
    Room,
    /// The television.
    Tv,
    /// A fault that was asked for.
    Fault,
}

/// One line of the log.
#[derive(Debug, Clone, Serialize)]
pub struct Entry {
    /// Grows by one an entry, from 1.
    pub seq: u64,
    /// Milliseconds since the lab started.
    pub ms: u64,
    /// Which part it is about.
    pub part: Part,
    /// Who sent or received it: a user name, `box`, `viewer`, or nobody.
    pub who: Option<String>,
    /// `in` to the lab, `out` of it, or nothing.
    pub dir: Option<&'static str>,
    /// What happened in one line: an event's name, `PATCH /v2/…`, a frame's type.
    pub what: String,
    /// More of it: a payload in short, a status, a time.
    pub detail: Value,
}

fn clip(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(LONGEST) {
        text.truncate(end);
        text.push('…');
    }
    text
}

/// Clients say what goes in here, and they may say a lot.
fn clipped(value: Value) -> Value {
    match value {
        Value::String(text) => Value::String(clip(text)),
        Value::Array(items) => items.into_iter().take(LONGEST).map(clipped).collect(),
        Value::Object(fields) => fields.into_iter().map(|(name, value)| (name, clipped(value))).collect(),
        other => other,
    }
}

/// The lab's log: the latest entries and everybody who reads on.
#[derive(Debug)]
pub(crate) struct Log {
    started: Instant,
    kept: Mutex<(u64, VecDeque<Entry>)>,
    live: broadcast::Sender<Entry>,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { started: Instant::now(), kept: Mutex::new((0, VecDeque::new())), live: broadcast::channel(4096).0 }
    }

    pub(crate) fn add(&self, part: Part, dir: Option<&'static str>, who: Option<&str>, what: impl Into<String>, detail: Value) {
        let mut kept = crate::lock(&self.kept);
        kept.0 += 1;
        let entry = Entry {
            seq: kept.0,
            ms: self.started.elapsed().as_millis() as u64,
            part,
            who: who.map(str::to_owned),
            dir,
            what: clip(what.into()),
            detail: clipped(detail),
        };
        log::debug!(part:? = entry.part, dir = dir.unwrap_or(""), who = who.unwrap_or(""); "{} {}", entry.what, entry.detail);
        if kept.1.len() == KEPT {
            kept.1.pop_front();
        }
        kept.1.push_back(entry.clone());
        // Sent under the lock, so that nobody sees entries out of order or misses one between `kept` and `live`.
        let _ = self.live.send(entry);
    }

    /// The latest entries and a receiver for all that follow.
    pub(crate) fn read(&self) -> (Vec<Entry>, broadcast::Receiver<Entry>) {
        let kept = crate::lock(&self.kept);
        (kept.1.iter().cloned().collect(), self.live.subscribe())
    }
}
