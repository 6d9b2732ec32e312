//! The server's side of Pusher protocol 7 (contract chatta §6), behaving as the hosted service does, and the presence of
//! people, which the platform derives from their channel subscriptions.
//!
//! Events of the lab's own: `power_normal` `{"set_top_box":322,"force":true}` on `private-presence-<customer>` carries the
//! REST call of that name to the box (contract chatta §8 item 3).

mod hub;
mod socket;

use crate::directory::Directory;
use crate::faults::{At, Fault, Faults};
use crate::jwt;
use crate::log::{Log, Part};
use crate::wire;
use axum::extract::ws::Utf8Bytes;
use hub::{Hub, Moved};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

pub(crate) use socket::router;

/// The app keys that are compiled into the public caller app, by REST host (contract chatta §1).
pub(crate) const APPS: [(&str, &str); 3] = [
    ("api-staging.caremessenger.co.uk", "2dd7fcb4e455b0869e43"),
    ("api.caremessenger.co.uk", "e9850d813b1f56114b53"),
    ("api-dev.caremessenger.co.uk", "8bb7f3b4741983ff4ee0"),
];

/// Client events a second and connection.
const EVENTS_PER_SECOND: usize = 10;
/// Bytes of a client event's data.
const DATA_LIMIT: usize = 10 * 1024;
/// Characters of an event's and of a channel's name.
const EVENT_NAME_LIMIT: usize = 200;
const CHANNEL_NAME_LIMIT: usize = 164;
/// Channels of one connection; the hosted service has no such limit, the lab's memory has.
const CHANNELS: usize = 256;

/// One connection's number; virtual members have one too.
pub(crate) type ConnId = u64;

pub(crate) struct Pusher {
    hub: Mutex<Hub>,
    directory: Arc<Directory>,
    log: Arc<Log>,
    faults: Arc<Faults>,
    secret: String,
    pub(crate) activity_timeout: Duration,
    pub(crate) pong_timeout: Duration,
}

impl Pusher {
    pub(crate) fn new(directory: Arc<Directory>, log: Arc<Log>, faults: Arc<Faults>, options: &crate::Options) -> Self {
        Self {
            hub: Mutex::new(Hub::default()),
            directory,
            log,
            faults,
            secret: options.secret.clone(),
            activity_timeout: options.activity_timeout,
            pong_timeout: options.pong_timeout,
        }
    }

    pub(crate) fn knows(key: &str) -> bool {
        APPS.iter().any(|(_, k)| *k == key)
    }

    /// A new connection under an app key; greets it.
    pub(crate) fn open(&self, key: &str, sender: wire::Sender) -> (ConnId, String) {
        let (id, socket_id) = crate::lock(&self.hub).open(key, sender.clone());
        let data = json!({"socket_id": socket_id, "activity_timeout": self.activity_timeout.as_secs().max(1)});
        sender.text(server_event("pusher:connection_established", None, &data));
        (id, socket_id)
    }

    pub(crate) fn closed(&self, id: ConnId) {
        let (who, gone) = {
            let mut hub = crate::lock(&self.hub);
            let who = hub.who(id);
            (who, hub.close(id))
        };
        self.log.add(Part::Pusher, Some("in"), who.as_deref(), "disconnected", Value::Null);
        self.announce(gone);
    }

    /// The answer of `/pusher/auth/` for somebody who may subscribe (contract chatta §2.9); remembers whose socket it is.
    pub(crate) fn authorise(&self, socket_id: &str, channel: &str, user: u64, host: &str) -> Option<Value> {
        let person = self.directory.person(user)?;
        let key = crate::lock(&self.hub).identify(socket_id, user, &person.username).unwrap_or_else(|| {
            // A socket the lab has not seen (another server's): the key of the environment that was asked.
            let host = host.split(':').next().unwrap_or_default();
            APPS.iter().find(|(h, _)| *h == host).unwrap_or(&APPS[0]).1.to_owned()
        });
        if channel.starts_with("presence-") {
            let member = json!({"user_id": user.to_string(), "user_info": {"username": person.username}}).to_string();
            let auth = jwt::hmac_hex(&self.secret, &format!("{socket_id}:{channel}:{member}"));
            return Some(json!({"auth": format!("{key}:{auth}"), "channel_data": member}));
        }
        Some(json!({"auth": format!("{key}:{}", jwt::hmac_hex(&self.secret, &format!("{socket_id}:{channel}")))}))
    }

    /// Carries out one frame of a client.
    pub(crate) fn receive(&self, id: ConnId, text: &str) {
        #[derive(serde::Deserialize)]
        struct Frame<'a> {
            event: String,
            channel: Option<String>,
            #[serde(borrow)]
            data: Option<&'a RawValue>,
        }
        let Ok(frame) = serde_json::from_str::<Frame>(text) else {
            return self.error(id, None, "Invalid JSON");
        };
        let data = || -> Value {
            let value: Value = frame.data.and_then(|d| serde_json::from_str(d.get()).ok()).unwrap_or_default();
            match &value {
                Value::String(s) => serde_json::from_str(s).unwrap_or(value),
                _ => value,
            }
        };
        match frame.event.as_str() {
            "pusher:ping" if self.faults.mutes(At::Pusher) => {}
            "pusher:ping" => self.send(id, server_event("pusher:pong", None, &json!({}))),
            "pusher:pong" => {}
            "pusher:subscribe" => self.subscribe(id, &data()),
            "pusher:unsubscribe" => {
                let gone = data()["channel"].as_str().map(|c| crate::lock(&self.hub).unsubscribe(id, c));
                self.announce(gone.unwrap_or_default());
            }
            event if event.starts_with("client-") => {
                self.client_event(id, event, frame.channel.as_deref().unwrap_or_default(), frame.data.map_or("null", RawValue::get));
            }
            event => {
                self.error(id, Some(4301), &format!("Client event rejected - event name \"{}\" must begin with client-", short(event)))
            }
        }
    }

    fn subscribe(&self, id: ConnId, data: &Value) {
        let channel = data["channel"].as_str().unwrap_or_default();
        if !channel_name_is_good(channel) {
            return self.error(id, Some(4009), &format!("Invalid channel name {}", short(channel)));
        }
        let private = channel.starts_with("private-");
        let presence = channel.starts_with("presence-");
        let member = data["channel_data"].as_str().unwrap_or_default();
        let hub = crate::lock(&self.hub);
        let Some((key, socket_id)) = hub.identity(id) else { return };
        if hub.has(id, channel) {
            drop(hub);
            return self.error(id, None, &format!("Existing subscription to channel {channel}"));
        }
        if hub.channel_count(id) >= CHANNELS {
            drop(hub);
            return self.error(id, Some(4100), "Too many channels");
        }
        let signed = if presence { format!("{socket_id}:{channel}:{member}") } else { format!("{socket_id}:{channel}") };
        let expected = format!("{key}:{}", jwt::hmac_hex(&self.secret, &signed));
        drop(hub);
        if (private || presence) && data["auth"].as_str() != Some(&expected) {
            let refused = json!({"type": "AuthError", "error": "The connection is unauthorized. Signature mismatch", "status": 401});
            self.log.add(Part::Pusher, Some("out"), self.who(id).as_deref(), "subscription refused", json!({"channel": channel}));
            return self.send(id, server_event("pusher:subscription_error", Some(channel), &refused));
        }
        let member = presence.then(|| serde_json::from_str::<Value>(member).unwrap_or_default());
        let moved = crate::lock(&self.hub).subscribe(id, channel, member);
        self.log.add(Part::Pusher, Some("in"), self.who(id).as_deref(), "subscribed", json!({"channel": channel}));
        self.announce(moved);
    }

    fn client_event(&self, id: ConnId, event: &str, channel: &str, data: &str) {
        let who = self.who(id);
        let verdict = crate::lock(&self.hub).may_send(id, event, channel, data.len(), Instant::now());
        if let Err(reason) = verdict {
            self.log.add(Part::Pusher, Some("in"), who.as_deref(), "event rejected", json!({"event": short(event), "reason": reason}));
            return self.error(id, Some(4301), &format!("Client event rejected - {reason}"));
        }
        // Logged before it is relayed, so that a reply never stands before its request.
        self.log.add(Part::Pusher, Some("in"), who.as_deref(), event, summary(data));
        crate::lock(&self.hub).relay(id, event, channel, data);
    }

    /// Sends a server event to all subscribers of a channel, of all apps. Returns how many.
    pub(crate) fn trigger(&self, channel: &str, event: &str, data: &Value) -> usize {
        self.log.add(Part::Pusher, Some("out"), None, event, summary(&data.to_string()));
        crate::lock(&self.hub).broadcast(channel, &server_event(event, Some(channel), data))
    }

    /// Who came and went, told to their customer (contract chatta §3).
    fn announce(&self, moved: Vec<Moved>) {
        for Moved { user, online } in moved {
            let Some(person) = self.directory.person(user) else { continue };
            let channel = format!("private-presence-{}", person.customer);
            let whole = self.directory.person_json(person, online, true);
            if person.is_resident() {
                self.trigger(&channel, "resident_updated", &whole);
            }
            self.trigger(&channel, &format!("presence_update_{user}"), &whole);
        }
    }

    pub(crate) fn online(&self, user: u64) -> bool {
        crate::lock(&self.hub).online(user)
    }

    pub(crate) fn who(&self, id: ConnId) -> Option<String> {
        crate::lock(&self.hub).who(id)
    }

    pub(crate) fn send(&self, id: ConnId, text: Utf8Bytes) {
        crate::lock(&self.hub).send(id, text);
    }

    fn error(&self, id: ConnId, code: Option<u16>, message: &str) {
        self.send(id, json!({"event": "pusher:error", "data": {"code": code, "message": message}}).to_string().into());
    }

    /// Carries out a one-shot fault; returns how many connections it hit.
    pub(crate) fn fault(&self, fault: &Fault) -> usize {
        crate::lock(&self.hub).each(|sender| match fault {
            Fault::Drop { at: At::Pusher, who } if who.is_none() || *who == sender.who() => {
                sender.cut();
                true
            }
            Fault::Close { at: At::Pusher, who, code, reason } if who.is_none() || *who == sender.who() => {
                sender.close_now(*code, reason);
                true
            }
            _ => false,
        })
    }

    /// For `/lab/state`.
    pub(crate) fn state(&self) -> Value {
        crate::lock(&self.hub).state()
    }
}

/// A server-made event: its data travels as a JSON string.
pub(crate) fn server_event(event: &str, channel: Option<&str>, data: &Value) -> Utf8Bytes {
    let mut frame = json!({"event": event, "data": data.to_string()});
    if let Some(channel) = channel {
        frame["channel"] = json!(channel);
    }
    frame.to_string().into()
}

fn channel_name_is_good(name: &str) -> bool {
    !name.is_empty() && name.len() <= CHANNEL_NAME_LIMIT && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-=@,.;".contains(&b))
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

/// A payload for the log: only what tells one call from another.
fn summary(data: &str) -> Value {
    let Ok(value) = serde_json::from_str::<Value>(data) else { return Value::Null };
    let mut out = serde_json::Map::new();
    for field in ["roomName", "roomSid", "audioOnly", "autoAccept", "acceptAfter", "declineReason", "online", "set_top_box", "force", "id"]
    {
        if let Some(v) = value.get(field)
            && !v.is_object()
        {
            out.insert(field.to_owned(), v.clone());
        }
    }
    for field in ["initiator", "target"] {
        if let Some(name) = value.get(field).and_then(|p| p.get("username")) {
            out.insert(field.to_owned(), name.clone());
        }
    }
    out.insert("bytes".to_owned(), json!(data.len()));
    Value::Object(out)
}
