//! What a Chatta line has to be told, with the defaults where contracts/chatta.md gives one.

use crate::call::LineId;
use crate::pusher::{self, Endpoint};
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

/// One account at one Chatta installation.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the line is called in the log, the API and [`crate::call::Caller::line`].
    pub id: LineId,
    /// Address of the REST API, e.g. `https://api.caremessenger.co.uk`, with or without the trailing `/v2` (chatta.md 1).
    pub api: Url,
    /// Where the Pusher channels are, and the application key that belongs to the API.
    pub pusher: Endpoint,
    /// Who the box is.
    pub credentials: Credentials,
    /// The organisation's id; `None`: from the login.
    pub customer: Option<u64>,
    /// The resident's id; `None`: from the login.
    pub resident: Option<u64>,
    /// The set-top box's own id, for `power_normal`; `None`: from the login.
    pub set_top_box: Option<u64>,
    /// Channels to be subscribed to besides the two known ones, in case the platform watches another for presence.
    pub extra_channels: Vec<String>,
    /// Read `acceptAfter` above 0 without `autoAccept` as "answer after that time" instead of "ask" (chatta.md 5.1).
    pub accept_after_implies_auto: bool,
    /// Who may call.
    pub admission: Admission,
    /// How many requests are worked on.
    pub flood: Flood,
    /// Signalling address of the rooms.
    pub room_url: String,
    /// Times that tests shorten.
    pub times: Times,
}

/// How the box logs in: with a password, a ready token, or a token first and the password when it is refused.
#[derive(Clone, Default)]
pub struct Credentials {
    /// Login name; needed with a password, else read from the token or the login's answer.
    pub username: Option<String>,
    /// The password.
    pub password: Option<Zeroizing<String>>,
    /// A ready token.
    pub token: Option<Zeroizing<String>>,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .field("password", &self.password.is_some())
            .field("token", &self.token.is_some())
            .finish()
    }
}

/// Who may call at all. Client events are not authenticated: anybody on the organisation's channel can claim any id, so
/// this keeps out mistakes, not malice (chatta.md 5.2, spoofing).
#[derive(Debug, Clone, Default)]
pub struct Admission {
    /// Only these user ids; `None`: everybody.
    pub callers: Option<Vec<u64>>,
    /// Only these user types, e.g. `customeradmin`, `supporter`; `None`: all.
    pub roles: Option<Vec<String>>,
}

/// Limits against floods (chatta.md 5.2).
#[derive(Debug, Clone)]
pub struct Flood {
    /// Requests of one caller within `window` that are worked on.
    pub per_caller: usize,
    /// Requests of all callers within `window`: ids are not authenticated, a flood may count through them.
    pub in_total: usize,
    /// The time both are counted over.
    pub window: Duration,
    /// How many callers are kept in mind; the one not heard of for longest is forgotten first.
    pub callers: usize,
}

impl Default for Flood {
    fn default() -> Self {
        Self { per_caller: 5, in_total: 30, window: Duration::from_secs(10), callers: 64 }
    }
}

/// Times of the line. The defaults are those of chatta.md.
#[derive(Debug, Clone)]
pub struct Times {
    /// For one REST request (4.1).
    pub rest: Duration,
    /// A reply that could not be sent is kept this long at most while the line is down …
    pub keep_reply: Duration,
    /// … and this long after the line is back (5.2).
    pub keep_reply_online: Duration,
    /// For what is still to be said when the daemon stops.
    pub farewell: Duration,
    /// First and longest bound of the wait between two logins.
    pub login_retry: (Duration, Duration),
    /// Of the connection for events.
    pub pusher: pusher::Times,
}

impl Default for Times {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            rest: s(10),
            keep_reply: s(60),
            keep_reply_online: s(10),
            farewell: s(2),
            login_retry: (s(1), s(300)),
            pusher: pusher::Times::default(),
        }
    }
}

impl Settings {
    /// With everything that has a default at its default.
    pub fn new(id: LineId, api: Url, pusher: Endpoint, credentials: Credentials) -> Self {
        Self {
            id,
            api,
            pusher,
            credentials,
            customer: None,
            resident: None,
            set_top_box: None,
            extra_channels: Vec::new(),
            accept_after_implies_auto: false,
            admission: Admission::default(),
            flood: Flood::default(),
            room_url: "wss://global.vss.twilio.com/signaling".into(),
            times: Times::default(),
        }
    }
}
