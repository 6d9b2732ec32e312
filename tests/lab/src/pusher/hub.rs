//! The Pusher server's memory: connections, their channels, and who is behind them.

use super::{CHANNEL_NAME_LIMIT, ConnId, DATA_LIMIT, EVENT_NAME_LIMIT, EVENTS_PER_SECOND, server_event};
use crate::wire;
use axum::extract::ws::Utf8Bytes;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Somebody's presence has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Moved {
    pub(super) user: u64,
    pub(super) online: bool,
}

struct Conn {
    key: String,
    socket_id: String,
    sender: wire::Sender,
    /// Channels, with the member's data on presence channels.
    channels: BTreeMap<String, Option<Value>>,
    user: Option<u64>,
    sent: VecDeque<Instant>,
}

#[derive(Default)]
pub(super) struct Hub {
    next: ConnId,
    conns: BTreeMap<ConnId, Conn>,
    online: BTreeSet<u64>,
    relayed: u64,
}

impl Hub {
    pub(super) fn open(&mut self, key: &str, sender: wire::Sender) -> (ConnId, String) {
        self.next += 1;
        let number = || rand::random::<u32>() as u64 + 1;
        let socket_id = format!("{}.{}", number(), number());
        let conn = Conn {
            key: key.to_owned(),
            socket_id: socket_id.clone(),
            sender,
            channels: BTreeMap::new(),
            user: None,
            sent: VecDeque::new(),
        };
        self.conns.insert(self.next, conn);
        (self.next, socket_id)
    }

    pub(super) fn close(&mut self, id: ConnId) -> Vec<Moved> {
        let Some(conn) = self.conns.remove(&id) else { return Vec::new() };
        for (channel, member) in &conn.channels {
            self.member_left(&conn.key, channel, member.as_ref());
        }
        self.recount(conn.user)
    }

    /// Remembers who asked to authorise a socket; the socket's app key, if the socket is ours.
    pub(super) fn identify(&mut self, socket_id: &str, user: u64, username: &str) -> Option<String> {
        let conn = self.conns.values_mut().find(|c| c.socket_id == socket_id)?;
        conn.user = Some(user);
        conn.sender.set_who(username);
        Some(conn.key.clone())
    }

    pub(super) fn identity(&self, id: ConnId) -> Option<(String, String)> {
        self.conns.get(&id).map(|c| (c.key.clone(), c.socket_id.clone()))
    }

    pub(super) fn who(&self, id: ConnId) -> Option<String> {
        self.conns.get(&id)?.sender.who()
    }

    pub(super) fn has(&self, id: ConnId, channel: &str) -> bool {
        self.conns.get(&id).is_some_and(|c| c.channels.contains_key(channel))
    }

    pub(super) fn channel_count(&self, id: ConnId) -> usize {
        self.conns.get(&id).map_or(0, |c| c.channels.len())
    }

    pub(super) fn subscribe(&mut self, id: ConnId, channel: &str, member: Option<Value>) -> Vec<Moved> {
        let Some(conn) = self.conns.get(&id) else { return Vec::new() };
        let (key, user) = (conn.key.clone(), conn.user);
        let data = match &member {
            None => json!({}),
            Some(joining) => {
                let mut hash: BTreeMap<String, Value> = self.members(&key, channel);
                let name = member_id(joining);
                if !hash.contains_key(&name) {
                    let added = json!({"user_id": name, "user_info": joining["user_info"]});
                    self.to_channel(Some(&key), channel, None, &server_event("pusher_internal:member_added", Some(channel), &added));
                }
                hash.insert(name, joining["user_info"].clone());
                json!({"presence": {"count": hash.len(), "ids": hash.keys().collect::<Vec<_>>(), "hash": hash}})
            }
        };
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.channels.insert(channel.to_owned(), member);
            conn.sender.text(server_event("pusher_internal:subscription_succeeded", Some(channel), &data));
        }
        self.recount(user)
    }

    pub(super) fn unsubscribe(&mut self, id: ConnId, channel: &str) -> Vec<Moved> {
        let Some(conn) = self.conns.get_mut(&id) else { return Vec::new() };
        let (key, user) = (conn.key.clone(), conn.user);
        if let Some(member) = conn.channels.remove(channel) {
            self.member_left(&key, channel, member.as_ref());
        }
        self.recount(user)
    }

    fn members(&self, key: &str, channel: &str) -> BTreeMap<String, Value> {
        let here = self.conns.values().filter(|c| c.key == key).filter_map(|c| c.channels.get(channel)?.as_ref());
        here.map(|m| (member_id(m), m["user_info"].clone())).collect()
    }

    fn member_left(&mut self, key: &str, channel: &str, member: Option<&Value>) {
        let Some(name) = member.map(member_id) else { return };
        if !self.members(key, channel).contains_key(&name) {
            let event = server_event("pusher_internal:member_removed", Some(channel), &json!({"user_id": name}));
            self.to_channel(Some(key), channel, None, &event);
        }
    }

    /// Whether this client event passes the hosted service's rules, and why not.
    pub(super) fn may_send(&mut self, id: ConnId, event: &str, channel: &str, bytes: usize, now: Instant) -> Result<(), &'static str> {
        let conn = self.conns.get_mut(&id).ok_or("not connected")?;
        if !(channel.starts_with("private-") || channel.starts_with("presence-")) {
            return Err("only supported on private and presence channels");
        }
        if !conn.channels.contains_key(channel) {
            return Err("you are not subscribed to this channel");
        }
        if event.chars().count() > EVENT_NAME_LIMIT || channel.len() > CHANNEL_NAME_LIMIT {
            return Err("name too long");
        }
        if bytes > DATA_LIMIT {
            return Err("data exceeds 10 KB");
        }
        while conn.sent.front().is_some_and(|at| now.duration_since(*at) >= Duration::from_secs(1)) {
            conn.sent.pop_front();
        }
        if conn.sent.len() >= EVENTS_PER_SECOND {
            return Err("rate limit exceeded");
        }
        conn.sent.push_back(now);
        Ok(())
    }

    /// Relays a client event as it was sent, to everybody but its sender.
    pub(super) fn relay(&mut self, id: ConnId, event: &str, channel: &str, data: &str) {
        let Some(conn) = self.conns.get(&id) else { return };
        let (event, name) = (json!(event), json!(channel));
        let user = conn.channels.get(channel).and_then(Option::as_ref).map(|m| format!(",\"user_id\":{}", json!(member_id(m))));
        let text = format!("{{\"event\":{event},\"channel\":{name},\"data\":{data}{}}}", user.unwrap_or_default());
        let key = conn.key.clone();
        self.relayed += self.to_channel(Some(&key), channel, Some(id), &text.into()) as u64;
    }

    pub(super) fn broadcast(&mut self, channel: &str, text: &Utf8Bytes) -> usize {
        self.to_channel(None, channel, None, text)
    }

    fn to_channel(&self, key: Option<&str>, channel: &str, but: Option<ConnId>, text: &Utf8Bytes) -> usize {
        let mut told = 0;
        for (id, conn) in &self.conns {
            if Some(*id) != but && key.is_none_or(|k| k == conn.key) && conn.channels.contains_key(channel) {
                conn.sender.text(text.clone());
                told += 1;
            }
        }
        told
    }

    pub(super) fn send(&self, id: ConnId, text: Utf8Bytes) {
        if let Some(conn) = self.conns.get(&id) {
            conn.sender.text(text);
        }
    }

    pub(super) fn online(&self, user: u64) -> bool {
        self.online.contains(&user)
    }

    /// Somebody is online who has a connection subscribed to a customer's presence or call channel.
    fn recount(&mut self, user: Option<u64>) -> Vec<Moved> {
        let Some(user) = user else { return Vec::new() };
        let watched = |c: &&String| c.starts_with("private-presence-") || c.starts_with("private-call-");
        let online = self.conns.values().any(|c| c.user == Some(user) && c.channels.keys().any(|c| watched(&c)));
        let changed = if online { self.online.insert(user) } else { self.online.remove(&user) };
        if changed { vec![Moved { user, online }] } else { Vec::new() }
    }

    /// Does something to every connection; counts those it was done to.
    pub(super) fn each(&self, act: impl Fn(&wire::Sender) -> bool) -> usize {
        self.conns.values().filter(|c| act(&c.sender)).count()
    }

    pub(super) fn state(&self) -> Value {
        let connections: Vec<_> = self
            .conns
            .values()
            .map(|c| json!({"who": c.sender.who(), "key": c.key, "channels": c.channels.keys().collect::<Vec<_>>()}))
            .collect();
        json!({"connections": connections, "online": self.online, "client_events_delivered": self.relayed})
    }
}

fn member_id(member: &Value) -> String {
    member["user_id"].as_str().map_or_else(|| member["user_id"].to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_goes_offline_with_the_last_connection_only() {
        let mut hub = Hub::default();
        let open = |hub: &mut Hub| {
            let (id, socket_id) = hub.open("k", wire::pair().0);
            hub.identify(&socket_id, 1124, "chattademo");
            id
        };
        let (a, b) = (open(&mut hub), open(&mut hub));
        assert_eq!(hub.subscribe(a, "private-call-7", None), [Moved { user: 1124, online: true }]);
        assert_eq!(hub.subscribe(b, "private-presence-7", None), []);
        assert_eq!(hub.close(a), []);
        assert_eq!(hub.unsubscribe(b, "private-presence-7"), [Moved { user: 1124, online: false }]);
    }

    #[test]
    fn the_eleventh_event_of_a_second_is_rejected_and_the_next_second_is_free() {
        let mut hub = Hub::default();
        let (id, _) = hub.open("k", wire::pair().0);
        hub.subscribe(id, "private-call-7", None);
        let now = Instant::now();
        for _ in 0..10 {
            assert_eq!(hub.may_send(id, "client-x", "private-call-7", 1, now), Ok(()));
        }
        assert!(hub.may_send(id, "client-x", "private-call-7", 1, now).is_err());
        assert_eq!(hub.may_send(id, "client-x", "private-call-7", 10240, now + Duration::from_secs(1)), Ok(()));
        assert!(hub.may_send(id, "client-x", "private-call-7", 10241, now + Duration::from_secs(1)).is_err());
    }
}
