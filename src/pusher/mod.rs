//! Pusher protocol 7, client side (chatta.md 6).
//!
//! [`Protocol`] is the protocol as a value: frames, requests and the time go in, [`Output`]s are polled out,
//! [`Protocol::next_deadline`] says when to come back. It owns no socket and no clock. [`Client`] drives it over a
//! WebSocket as a task. Signing subscriptions is left outside: the client asks for it with [`News::Authorise`].

mod client;
mod closing;
mod frame;
mod limits;
mod protocol;
mod sending;
mod subscription;
#[cfg(test)]
mod tests;

pub use client::{Client, Plan};
pub use closing::{Rule, meaning, rule};
pub use frame::{decode, peek_event};
pub use limits::TriggerError;
pub use protocol::{Output, Protocol};

use std::time::Duration;

/// Where a Pusher application is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address, e.g. `ws-eu.pusher.com`.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `wss` instead of `ws`.
    pub tls: bool,
    /// What stands before `/app/…`, e.g. `/pusher`; empty for nothing.
    pub path: String,
    /// The application's public key.
    pub key: String,
}

impl Endpoint {
    /// The hosted service: `wss://ws-<cluster>.pusher.com:443`.
    pub fn cluster(cluster: &str, key: &str) -> Self {
        Self { host: format!("ws-{cluster}.pusher.com"), port: 443, tls: true, path: String::new(), key: key.into() }
    }

    /// The address of a connection, over TLS or not.
    pub fn address(&self, tls: bool) -> String {
        let Self { port, path, key, .. } = self;
        let (scheme, version) = (if tls { "wss" } else { "ws" }, env!("CARGO_PKG_VERSION"));
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let path = path.trim_matches('/');
        let slash = if path.is_empty() { "" } else { "/" };
        format!("{scheme}://{host}:{port}{slash}{path}/app/{key}?protocol=7&client=residentd&version={version}")
    }
}

/// Times of the protocol. The defaults are those of chatta.md 6.
#[derive(Debug, Clone)]
pub struct Times {
    /// Silence after which the server is asked whether it is still there; the server may want a shorter one.
    pub activity: Duration,
    /// For any frame after that question.
    pub pong: Duration,
    /// For any frame after the question that follows a client event of ours, so that a half-open connection is found
    /// while the caller still waits.
    pub confirm: Duration,
    /// From the attempt to the server's greeting.
    pub handshake: Duration,
    /// For the answer to a subscription.
    pub subscription: Duration,
    /// For the signature of a subscription.
    pub authorisation: Duration,
    /// A connection that lasted this long starts the delays over.
    pub stable: Duration,
    /// An immediate reconnect (4200-4299, missed pong) is not repeated within this.
    pub at_once_again: Duration,
    /// Between attempts that the server refuses for reasons somebody has to repair.
    pub refused: Duration,
    /// First and longest bound of the delay between connections.
    pub reconnect: (Duration, Duration),
    /// First and longest bound of the delay between two attempts to subscribe.
    pub resubscribe: (Duration, Duration),
}

impl Default for Times {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            activity: s(120),
            pong: s(30),
            confirm: s(10),
            handshake: s(15),
            subscription: s(10),
            authorisation: s(30),
            stable: s(60),
            at_once_again: s(10),
            refused: s(300),
            reconnect: (s(1), s(60)),
            resubscribe: (s(1), s(60)),
        }
    }
}

/// The signature of a subscription, as the authorisation endpoint gave it.
#[derive(Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Authorisation {
    /// `<key>:<signature>`.
    pub auth: String,
    /// Who we are, on presence channels.
    #[serde(default)]
    pub channel_data: Option<String>,
}

impl std::fmt::Debug for Authorisation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Authorisation").finish_non_exhaustive()
    }
}

/// An event for everybody else on a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// The sender's own number; the outcome carries it.
    pub id: u64,
    /// The channel.
    pub channel: String,
    /// The event's name, beginning with `client-`.
    pub event: String,
    /// The payload as JSON text.
    pub data: String,
}

/// What became of a [`Trigger`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The server has read it. Nobody knows whether anybody heard it: the protocol has no receipts.
    Confirmed,
    /// It was written, and the connection was lost before the server showed that it had read it.
    Uncertain,
    /// It was not sent, or the server said that it did not pass it on.
    Unsent(String),
}

/// What the client tells its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum News {
    /// The server greeted; subscriptions follow.
    Connected,
    /// Sign this subscription; answer with [`Protocol::authorised`].
    Authorise {
        /// The connection the signature is bound to.
        socket: String,
        /// The channel.
        channel: String,
    },
    /// The channel's events arrive from now on.
    Subscribed {
        /// The channel.
        channel: String,
    },
    /// The channel could not be subscribed to.
    Unsubscribed {
        /// The channel.
        channel: String,
        /// Why.
        why: String,
        /// Until the next attempt.
        retry: Duration,
    },
    /// An event that was asked for.
    Event {
        /// The channel.
        channel: String,
        /// The event's name.
        event: String,
        /// The payload as it stood in the frame; [`decode`] reads it.
        data: String,
    },
    /// What became of a trigger.
    Triggered {
        /// Its number.
        id: u64,
        /// What.
        outcome: Outcome,
    },
    /// The connection is gone, or did not come about.
    Disconnected {
        /// Why, in words for a technician.
        why: String,
        /// Until the next attempt.
        retry: Duration,
        /// The token may be the reason: log in anew.
        unauthorised: bool,
    },
}
