//! residentd-lab: the care platform in a box, for demonstration and tests of residentd.
//!
//! It stands in for the platform's REST API, the hosted Pusher service, the room signalling of Twilio Video and the
//! television itself, so that the public caller app, any integrator's page and the daemon run against it unmodified. It
//! shares no code with residentd: both ends of each protocol have been written by themselves.
//!
//! | port | what | module |
//! |---|---|---|
//! | api | the REST API: `/api-token-auth/`, `/v2/…`, `/pusher/auth/`, `/conferencing/…` | `rest` |
//! | pusher | Pusher protocol 7: `/app/<key>` | `pusher` |
//! | rooms | Twilio-compatible signalling: `/signaling`, telemetry swallowed at `/v1/VideoEvents` | `rooms` |
//! | page | the carer's console and the television: `/`, `/lab/…`, `/tv/…`, `/npm/…` | `page`, `tv` |
//!
//! Every port speaks TLS and plain at once: the first byte of a connection tells which.
//!
//! ```no_run
//! # async fn example() -> Result<(), residentd_lab::LabError> {
//! use residentd_lab::{CallOptions, Lab, Options};
//! let lab = Lab::start(Options::default()).await?;
//! let mut caller = lab.caller("roger_chatta_admin");
//! caller.presence(1124, true, std::time::Duration::from_secs(10)).await;
//! let call = caller.request(1124, &CallOptions::default());
//! let reply = caller.reply(std::time::Duration::from_secs(50)).await;
//! # Ok(()) }
//! ```

mod caller;
mod directory;
mod faults;
mod jwt;
mod log;
mod page;
mod portrait;
mod pusher;
mod rest;
mod rooms;
mod serve;
mod tls;
mod tv;
mod wire;

pub use caller::{CallOptions, Caller, Reply, ReplyKind, Requested};
pub use directory::{CustomerEntry, DirectoryError, Entries, PersonEntry};
pub use faults::{At, Fault};
pub use log::{Entry, Part};
pub use rooms::Pairing;
pub use tls::TlsError;
pub use tv::{Power, TvState};

use directory::Directory;
use faults::Faults;
use pusher::Pusher;
use rooms::Rooms;
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tv::Tv;

/// How a lab is set up. The default is a lab for tests: loopback, free ports, the contract's people, an own authority.
#[derive(Debug, Clone)]
pub struct Options {
    /// The address to listen on.
    pub bind: IpAddr,
    /// Ports; 0 takes a free one.
    pub ports: Ports,
    /// PEM files of certificate chain and key; without them an own authority is made.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// More people than the contract's.
    pub people: Entries,
    /// How long logins live.
    pub token_life: Duration,
    /// Pusher: silence after which the server pings, and what it tells clients.
    pub activity_timeout: Duration,
    /// Pusher: how long it waits for an answer to its ping.
    pub pong_timeout: Duration,
    /// Secret of the Pusher apps and of all tokens.
    pub secret: String,
    /// The app key the page and in-process callers use.
    pub app_key: String,
    /// The account the page offers.
    pub login: String,
    /// Rooms: who makes the first offer.
    pub pairing: Pairing,
    /// Rooms: what `iced` hands out, `[{"urls":…,"username":…,"credential":…}]`.
    pub ice_servers: Value,
    /// Rooms: the longest silence between heartbeats.
    pub heartbeat: Duration,
    /// Rooms: how long clients are told to keep trying to resume.
    pub session_timeout: Duration,
    /// Rooms: how long after a socket's loss its participant is announced as gone.
    pub peer_loss: Duration,
    /// The television at the start: power.
    pub tv_power: Power,
    /// The television at the start: input.
    pub tv_input: String,
    /// The television at the start: volume, 0..=100.
    pub tv_volume: u8,
    /// Where the npm packages lie.
    pub npm_dir: PathBuf,
    /// Where the page's files lie.
    pub page_dir: PathBuf,
}

impl Default for Options {
    fn default() -> Self {
        let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("."), |home| PathBuf::from(home).join(".cache/residentd"));
        let cache = std::env::var_os("RESIDENTD_CACHE").map_or_else(home, PathBuf::from);
        Self {
            bind: IpAddr::V4(Ipv4Addr::LOCALHOST),
            ports: Ports::default(),
            certificate: None,
            people: Entries::default(),
            token_life: Duration::from_secs(180 * 24 * 3600),
            activity_timeout: Duration::from_secs(120),
            pong_timeout: Duration::from_secs(30),
            secret: "lab-secret".to_owned(),
            app_key: pusher::APPS[0].1.to_owned(),
            login: "roger_chatta_admin".to_owned(),
            pairing: Pairing::default(),
            ice_servers: json!([]),
            heartbeat: Duration::from_secs(5),
            session_timeout: Duration::from_secs(30),
            peer_loss: Duration::from_secs(5),
            tv_power: Power::Standby,
            tv_input: "tuner".to_owned(),
            tv_volume: 30,
            npm_dir: cache.join("npm/node_modules"),
            page_dir: PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/page")),
        }
    }
}

/// The four ports.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ports {
    /// REST API.
    pub api: u16,
    /// Pusher server.
    pub pusher: u16,
    /// Room signalling.
    pub rooms: u16,
    /// The page, the television link, faults and state.
    pub page: u16,
}

/// Where a Pusher client connects to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PusherAddress {
    /// Host.
    pub host: String,
    /// Port, for `ws` and `wss`.
    pub port: u16,
    /// App key.
    pub key: String,
}

/// Why a lab did not start.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// A port cannot be taken.
    #[error("cannot listen on port {1} of {0}: {2}; choose another with --api, --pusher, --rooms or --page")]
    Listen(IpAddr, u16, std::io::Error),
    /// No certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The directory of people is no good.
    #[error(transparent)]
    Directory(#[from] DirectoryError),
}

/// What all parts of a lab share.
pub(crate) struct Shared {
    options: Options,
    directory: Arc<Directory>,
    log: Arc<log::Log>,
    faults: Arc<Faults>,
    pusher: Pusher,
    rooms: Rooms,
    tv: Tv,
    ca_pem: Option<String>,
    ports: OnceLock<Ports>,
    /// Logins of an earlier epoch are refused; grows when a test expires them.
    token_epoch: AtomicU64,
    stop: watch::Sender<bool>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("ports", &self.ports).finish_non_exhaustive()
    }
}

impl Shared {
    fn ports(&self) -> Ports {
        self.ports.get().copied().unwrap_or_default()
    }

    fn power_normal(&self, customer: u64, set_top_box: u64, force: bool) {
        let data = json!({"set_top_box": set_top_box, "force": force});
        self.pusher.trigger(&format!("private-presence-{customer}"), "power_normal", &data);
    }

    /// An access token for a room in the service's format (contract twilio-video §2).
    fn video_token(&self, identity: &str, room: &str) -> String {
        let now = jwt::unix_now();
        let (key, account) = (format!("SK{}", "0".repeat(32)), format!("AC{}", "0".repeat(32)));
        let claims = json!({
            "jti": format!("{key}-{now}"), "iss": key, "sub": account, "iat": now, "exp": now + self.faults.token_life().unwrap_or(3600),
            "grants": {"identity": identity, "video": {"room": room}},
        });
        jwt::sign(&json!({"cty": "twilio-fpa;v=1", "typ": "JWT", "alg": "HS256"}), &claims, &self.options.secret)
    }

    fn fault(&self, fault: &Fault) -> usize {
        self.log.add(log::Part::Fault, Some("in"), None, "fault", serde_json::to_value(fault).unwrap_or_default());
        self.faults.set(fault);
        if *fault == Fault::ExpireTokens {
            self.token_epoch.fetch_add(1, Ordering::Relaxed);
        }
        self.pusher.fault(fault) + self.rooms.fault(fault)
    }

    fn state(&self) -> Value {
        json!({"pusher": self.pusher.state(), "rooms": self.rooms.state(), "tv": self.tv.report(), "faults": self.faults.shown()})
    }
}

/// A running lab. Ends when dropped; [`Lab::stop`] waits for it.
#[derive(Debug)]
pub struct Lab {
    shared: Arc<Shared>,
    tasks: JoinSet<()>,
}

impl Lab {
    /// Starts a lab.
    ///
    /// # Errors
    /// When a port is taken, the certificate is no good, or the people's entries contradict each other.
    pub async fn start(options: Options) -> Result<Self, LabError> {
        let directory = Arc::new(Directory::new(&options.people)?);
        let identity = match &options.certificate {
            Some((cert, key)) => tls::given(cert, key)?,
            None => tls::own(&[options.bind.to_string()])?,
        };
        let (log, faults) = (Arc::new(log::Log::new()), Arc::new(Faults::new()));
        let shared = Arc::new(Shared {
            pusher: Pusher::new(directory.clone(), log.clone(), faults.clone(), &options),
            rooms: Rooms::new(log.clone(), faults.clone(), &options),
            tv: Tv::new(options.tv_power, &options.tv_input, options.tv_volume),
            ca_pem: identity.ca_pem,
            ports: OnceLock::new(),
            token_epoch: AtomicU64::new(0),
            stop: watch::channel(false).0,
            directory,
            log,
            faults,
            options,
        });
        let bind = async |port| {
            let ip = shared.options.bind;
            serve::bind(ip, port).await.map_err(|e| LabError::Listen(ip, port, e))
        };
        let wanted = shared.options.ports;
        let (api, pusher, rooms, page) =
            (bind(wanted.api).await?, bind(wanted.pusher).await?, bind(wanted.rooms).await?, bind(wanted.page).await?);
        let ports = Ports { api: api.1.port(), pusher: pusher.1.port(), rooms: rooms.1.port(), page: page.1.port() };
        shared.ports.set(ports).expect("ports are set here only");

        let acceptor = TlsAcceptor::from(identity.config);
        let mut tasks = JoinSet::new();
        let routers = [
            (api.0, rest::router(shared.clone())),
            (pusher.0, pusher::router(shared.clone())),
            (rooms.0, rooms::router(shared.clone())),
            (page.0, page::router(shared.clone())),
        ];
        for (listener, router) in routers {
            tasks.spawn(serve::serve(listener, router, acceptor.clone(), shared.stop.subscribe()));
        }
        let clock = shared.clone();
        tasks.spawn(async move { clock.rooms.clock(clock.stop.subscribe()).await });
        Ok(Self { shared, tasks })
    }

    /// The ports as taken.
    pub fn ports(&self) -> Ports {
        self.shared.ports()
    }

    fn host(&self) -> String {
        match self.shared.options.bind {
            ip if ip.is_unspecified() => "127.0.0.1".to_owned(),
            IpAddr::V6(ip) => format!("[{ip}]"),
            ip => ip.to_string(),
        }
    }

    /// `http://…` of the REST API, without `/v2`. The same port speaks `https`.
    pub fn api_url(&self) -> String {
        format!("http://{}:{}", self.host(), self.ports().api)
    }

    /// Where Pusher clients connect to.
    pub fn pusher(&self) -> PusherAddress {
        PusherAddress { host: self.host(), port: self.ports().pusher, key: self.shared.options.app_key.clone() }
    }

    /// `ws://…/app/<key>` of the Pusher server, without the query.
    pub fn pusher_url(&self) -> String {
        let PusherAddress { host, port, key } = self.pusher();
        format!("ws://{host}:{port}/app/{key}")
    }

    /// `ws://…/signaling` of the rooms. The same port speaks `wss`.
    pub fn rooms_url(&self) -> String {
        format!("ws://{}:{}/signaling", self.host(), self.ports().rooms)
    }

    /// `http://…` of the page, without a slash at the end.
    pub fn page_url(&self) -> String {
        format!("http://{}:{}", self.host(), self.ports().page)
    }

    /// `ws://…/tv/box` of the television.
    pub fn tv_url(&self) -> String {
        format!("ws://{}:{}/tv/box", self.host(), self.ports().page)
    }

    /// The lab's own authority as PEM; `None` with a given certificate.
    pub fn ca_pem(&self) -> Option<&str> {
        self.shared.ca_pem.as_deref()
    }

    /// A scripted caller. Panics when nobody in the directory is called so: a mistake of the test.
    pub fn caller(&self, username: &str) -> Caller {
        Caller::new(self.shared.clone(), username).expect("a user name of the directory")
    }

    /// The log from now on. A reader that falls 4096 entries behind misses some.
    pub fn events(&self) -> broadcast::Receiver<Entry> {
        self.shared.log.read().1
    }

    /// The latest entries of the log.
    pub fn log(&self) -> Vec<Entry> {
        self.shared.log.read().0
    }

    /// What `/lab/state` shows.
    pub fn state(&self) -> Value {
        self.shared.state()
    }

    /// Whether somebody is online by channel subscriptions.
    pub fn online(&self, user: u64) -> bool {
        self.shared.pusher.online(user)
    }

    /// Puts a fault on or off, or carries it out; returns how many connections it hit.
    pub fn fault(&self, fault: &Fault) -> usize {
        self.shared.fault(fault)
    }

    /// Sends a server event to a channel's subscribers; returns how many there were.
    pub fn trigger(&self, channel: &str, event: &str, data: &Value) -> usize {
        self.shared.pusher.trigger(channel, event, data)
    }

    /// An access token for a room, as the REST API gives.
    pub fn video_token(&self, identity: &str, room: &str) -> String {
        self.shared.video_token(identity, room)
    }

    /// Gets or creates a room as the REST API does; gives its sid.
    pub fn create_room(&self, name: &str, audio_only: bool) -> String {
        self.shared.rooms.create(name, audio_only).0
    }

    /// Follows the television's state.
    pub fn tv(&self) -> watch::Receiver<TvState> {
        self.shared.tv.watch()
    }

    /// The latest picture that the box put out (JPEG).
    pub fn tv_picture(&self) -> Option<Vec<u8>> {
        self.shared.tv.last_picture().map(|jpeg| jpeg.to_vec())
    }

    /// Presses and releases a key of the remote control.
    pub fn press(&self, key: &str) {
        self.shared.tv.key(key, true);
        self.shared.tv.key(key, false);
    }

    /// The viewer's own hand on the set.
    pub fn set_tv(&self, change: impl FnOnce(&mut TvState)) {
        self.shared.tv.set(change);
    }

    /// Ends all connections and listeners.
    pub async fn stop(mut self) {
        self.shared.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.shared.stop.send_replace(true);
    }
}

/// A lock that outlives a panic of another test's thread: the data is counters and tables, good at any point.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
