//! A participant in a room of the lab on our own stack: test picture and test tone go out, what comes in is counted.
#![allow(dead_code, reason = "each test file uses a part of it")]

use residentd::call::RoomEvent;
use residentd::media::peer::PeerConfig;
use residentd::media::session::{Config, Session};
use residentd::media::{MediaEvent, Outputs, PictureSink, SoundOut};
use residentd::room::twilio::{Settings, Timings};
use residentd::room::{self, RoomHandle, Ticket};
use residentd_lab::Lab;
use serde_json::{Value, json};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

/// The room of these tests.
pub const ROOM: &str = "carer-to-resident";
/// Longest wait for anything. Generous, because a test must not fail on a busy machine's clock.
pub const PATIENCE: Duration = Duration::from_secs(40);

/// Waits for what nothing announces.
pub async fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < end, "{what} does not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Counts pictures, and those that differ from the one before.
#[derive(Default)]
pub struct Watcher {
    /// All.
    pub pictures: AtomicU64,
    /// Those that differ.
    pub moving: AtomicU64,
    last: AtomicU64,
    /// Width of the last one.
    pub width: AtomicU64,
}

impl PictureSink for Watcher {
    fn push(&self, sample: &gstreamer::Sample) {
        self.pictures.fetch_add(1, Ordering::Relaxed);
        let width = sample.caps().and_then(|c| c.structure(0)?.get::<i32>("width").ok()).and_then(|w| u64::try_from(w).ok());
        self.width.store(width.unwrap_or(0), Ordering::Relaxed);
        let Some(map) = sample.buffer().and_then(|b| b.map_readable().ok()) else { return };
        let mut hasher = DefaultHasher::new();
        map.as_slice().hash(&mut hasher);
        let hash = hasher.finish();
        if self.last.swap(hash, Ordering::Relaxed) != hash {
            self.moving.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// One end of a call.
pub struct Participant {
    /// Pictures of the other.
    pub picture: Arc<Watcher>,
    /// Loud samples of the other.
    pub loud: Arc<AtomicU64>,
    session: Session,
    /// The room, until left.
    pub room: Option<RoomHandle>,
    /// What it tells the agent.
    pub events: mpsc::Receiver<RoomEvent>,
    _media: mpsc::Receiver<MediaEvent>,
}

/// Who joins, and how.
pub struct Guest {
    /// Where.
    pub url: String,
    /// Into which room.
    pub room: String,
    /// With which token.
    pub token: String,
    /// Whose coming counts.
    pub caller: String,
    /// With a picture.
    pub camera: bool,
    /// Trust and servers.
    pub peer: PeerConfig,
    /// How long what may take.
    pub timings: Timings,
}

impl Guest {
    /// This identity, which expects that one.
    pub fn of(lab: &Lab, identity: &str, caller: &str) -> Guest {
        Guest::in_room(lab, ROOM, identity, caller)
    }

    /// The same in another room.
    pub fn in_room(lab: &Lab, room: &str, identity: &str, caller: &str) -> Guest {
        Guest {
            url: lab.rooms_url(),
            token: lab.video_token(identity, room),
            room: room.to_owned(),
            caller: caller.to_owned(),
            camera: true,
            peer: PeerConfig::new(residentd::net::tls::client(None).expect("the system's roots can be read")),
            timings: Timings::default(),
        }
    }
}

impl Participant {
    /// Starts joining.
    pub async fn join(guest: Guest) -> Participant {
        let picture = Arc::new(Watcher::default());
        let loud = Arc::new(AtomicU64::new(0));
        let hear = loud.clone();
        let outputs = Outputs {
            remote: picture.clone(),
            own: Arc::new(Watcher::default()),
            sound: SoundOut::Samples(Arc::new(move |samples: &[i16]| {
                hear.fetch_add(samples.iter().filter(|s| s.unsigned_abs() > 500).count() as u64, Ordering::Relaxed);
            })),
        };
        let (tell, media) = mpsc::channel(16);
        // Small, because the browser and both encoders share the machine.
        let config = Config { width: 640, height: 360, fps: 15, max_bitrate: 600_000, ..Config::default() };
        let camera = guest.camera;
        let session = tokio::task::spawn_blocking(move || Session::open(config, camera, outputs, tell))
            .await
            .expect("opening does not panic")
            .expect("test sources open everywhere");
        let ticket = Ticket::Twilio { url: guest.url, token: guest.token.into(), room: guest.room, caller: Some(guest.caller) };
        let (tell, events) = mpsc::channel(16);
        let settings = Settings { peer: guest.peer, timings: guest.timings };
        let room = room::join(ticket, settings, session.clone(), camera, tell);
        Participant { picture, loud, session, room: Some(room), events, _media: media }
    }

    /// Waits for this event as the next one.
    pub async fn expect(&mut self, event: RoomEvent) {
        match timeout(PATIENCE, self.events.recv()).await {
            Ok(Some(came)) => assert_eq!(came, event),
            other => panic!("{event:?} does not come: {other:?}"),
        }
    }

    /// The words of the failure that comes next.
    pub async fn expect_failure(&mut self) -> String {
        match timeout(PATIENCE, self.events.recv()).await {
            Ok(Some(RoomEvent::Failed(why))) => why,
            other => panic!("no failure: {other:?}"),
        }
    }

    /// The room.
    pub fn room(&self) -> &RoomHandle {
        self.room.as_ref().expect("not left yet")
    }

    /// Waits until pictures move and sound is heard, from now on.
    pub async fn sees_and_hears(&self) {
        let (pictures, loud) = (self.picture.moving.load(Ordering::Relaxed), self.loud.load(Ordering::Relaxed));
        let until = Instant::now() + PATIENCE;
        loop {
            let (moved, louder) = (self.picture.moving.load(Ordering::Relaxed) - pictures, self.loud.load(Ordering::Relaxed) - loud);
            if moved >= 15 && louder >= 1000 {
                return;
            }
            assert!(Instant::now() < until, "the box saw {moved} pictures and heard {louder} loud samples: {}", self.figures().await);
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Statistics.
    pub async fn figures(&self) -> Value {
        json!(self.room().statistics().await)
    }

    /// Closes the devices and says goodbye.
    pub async fn leave(&mut self) {
        self.session.close();
        if let Some(room) = self.room.take() {
            room.leave().await;
        }
    }
}
