//! A scripted caller: a member of the Pusher server inside the process, that requests and ends calls as the public caller
//! app does (contract chatta §3) and hears the replies.

use crate::Shared;
use crate::pusher::ConnId;
use crate::wire::{self, Out};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// What a caller asks for.
#[derive(Debug, Clone, Default)]
pub struct CallOptions {
    /// Without video.
    pub audio_only: bool,
    /// `autoAccept` as sent.
    pub auto_accept: bool,
    /// `acceptAfter` as sent: a number, or the text that the app's select gives.
    pub accept_after: Value,
    /// Fields put over those of the request, to send what no good caller would.
    pub with: Value,
}

/// A call that was requested.
#[derive(Debug, Clone)]
pub struct Requested {
    /// `<caller>-to-<resident>`.
    pub room_name: String,
    /// The room's sid.
    pub room_sid: String,
    /// The whole payload as sent.
    pub payload: Value,
}

/// What the resident's side said.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    /// Accepted, declined or ended.
    pub kind: ReplyKind,
    /// Its payload.
    pub data: Value,
}

/// The kinds of a [`Reply`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReplyKind {
    /// `client-conferencing-call-accepted-<me>`
    Accepted,
    /// `client-conferencing-call-declined-<me>`, with its `declineReason`.
    Declined(Option<String>),
    /// `client-conferencing-call-ended-<me>`
    Ended,
}

/// A caller's page without a page. Unsubscribes when dropped.
#[derive(Debug)]
pub struct Caller {
    shared: Arc<Shared>,
    conn: ConnId,
    receiver: wire::Receiver,
    id: u64,
    username: String,
    customer: u64,
}

impl Caller {
    /// `None` when nobody is called so.
    pub(crate) fn new(shared: Arc<Shared>, username: &str) -> Option<Self> {
        let person = shared.directory.by_name(username)?.clone();
        let (sender, receiver) = wire::pair();
        let (conn, socket_id) = shared.pusher.open(&shared.options.app_key, sender);
        let caller = Self { shared, conn, receiver, id: person.id, username: person.username, customer: person.customer };
        for channel in [format!("private-presence-{}", person.customer), caller.channel()] {
            let auth = caller.shared.pusher.authorise(&socket_id, &channel, person.id, "")?;
            caller.raw(&json!({"event": "pusher:subscribe", "data": {"channel": channel, "auth": auth["auth"]}}).to_string());
        }
        Some(caller)
    }

    fn channel(&self) -> String {
        format!("private-call-{}", self.customer)
    }

    /// Sends any frame as this member.
    pub fn raw(&self, frame: &str) {
        self.shared.pusher.receive(self.conn, frame);
    }

    /// Sends a client event on the customer's call channel.
    pub fn event(&self, name: &str, data: &Value) {
        self.raw(&json!({"event": name, "channel": self.channel(), "data": data}).to_string());
    }

    /// The steps of the app in one: wake the box, create the room, request the call. The app's pause of a second between
    /// the first two is left out. Panics when there is no such resident: a mistake of the test.
    pub fn request(&self, resident: u64, options: &CallOptions) -> Requested {
        let shared = &self.shared;
        let target = shared.directory.person(resident).expect("a resident of the directory").clone();
        if let crate::directory::Role::Resident(set_top_box) = target.role {
            shared.power_normal(target.customer, set_top_box, true);
        }
        let room_name = format!("{}-to-{}", self.username, target.username);
        let (room_sid, _) = shared.rooms.create(&room_name, options.audio_only);
        let me = shared.directory.person(self.id).expect("the caller is of the directory");
        let mut payload = json!({
            "audioOnly": options.audio_only,
            "initiator": shared.directory.person_json(me, shared.pusher.online(self.id), false),
            "target": shared.directory.person_json(&target, shared.pusher.online(resident), true),
            "roomName": room_name, "autoAccept": options.auto_accept,
            "acceptAfter": if options.accept_after.is_null() { json!(0) } else { options.accept_after.clone() },
            "roomSid": room_sid,
        });
        if let (Some(payload), Value::Object(with)) = (payload.as_object_mut(), &options.with) {
            payload.extend(with.clone());
        }
        self.event(&format!("client-conferencing-call-requested-{resident}"), &payload);
        Requested { room_name, room_sid, payload }
    }

    /// Ends a call, ringing or not.
    pub fn end(&self, resident: u64, requested: &Requested) {
        self.event(&format!("client-conferencing-call-ended-{resident}"), &requested.payload);
    }

    /// The next reply to this caller; other events are passed over. `None` after `timeout`.
    pub async fn reply(&mut self, timeout: Duration) -> Option<Reply> {
        let suffix = format!("-{}", self.id);
        tokio::time::timeout(timeout, async {
            loop {
                let (event, data) = self.next().await?;
                let name = event.strip_prefix("client-conferencing-call-").and_then(|n| n.strip_suffix(&suffix));
                let kind = match name {
                    Some("accepted") => ReplyKind::Accepted,
                    Some("declined") => ReplyKind::Declined(data["declineReason"].as_str().map(str::to_owned)),
                    Some("ended") => ReplyKind::Ended,
                    _ => continue,
                };
                return Some(Reply { kind, data });
            }
        })
        .await
        .ok()
        .flatten()
    }

    /// Waits until a resident is online (or offline). False after `timeout`.
    pub async fn presence(&mut self, resident: u64, online: bool, timeout: Duration) -> bool {
        let wait = async {
            while self.shared.pusher.online(resident) != online {
                if self.next().await.is_none() {
                    return false;
                }
            }
            true
        };
        tokio::time::timeout(timeout, wait).await.unwrap_or(false)
    }

    /// The next event of any kind with its decoded data.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            let Out::Text(text) = self.receiver.queue.recv().await? else { return None };
            let Ok(mut frame) = serde_json::from_str::<Value>(&text) else { continue };
            let data = match frame["data"].take() {
                Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
                data => data,
            };
            if let Some(event) = frame["event"].as_str() {
                return Some((event.to_owned(), data));
            }
        }
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        self.shared.pusher.closed(self.conn);
    }
}
