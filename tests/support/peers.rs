//! Two peer connections in one process, with counted packets instead of pictures, and a bad network between them.

#![allow(dead_code, clippy::unwrap_used)] // each test uses its part; a test may fail

use bytes::{Bytes, BytesMut};
use residentd::media::peer::{Decoding, Encoding, IceServer, LocalTracks, Peer, PeerConfig, PeerEvent, Streams};
use residentd::media::session::MediaError;
use residentd::media::{Codec, Feedback, KeyFrameRequest, Kind, Outlet};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// No event of a healthy connection takes so long, on any machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

fn micros() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed().as_micros() as u64
}

/// What one side's stand-in for a session saw.
#[derive(Default)]
pub struct Seen {
    /// Streams started, by what they were started with.
    pub sending: Mutex<Vec<(Codec, u8)>>,
    pub receiving: Mutex<Vec<(Codec, u8)>>,
    /// Running now.
    pub running: AtomicU64,
    /// Pictures encoded, key frames among them.
    pub encoded: AtomicU64,
    pub keys_encoded: AtomicU64,
    /// By picture number: packets there, packets in all, and the delay of the last.
    pub pictures: Mutex<BTreeMap<u32, Picture>>,
    pub sound: AtomicU64,
    pub feedback: Mutex<Vec<Feedback>>,
    pub reports: AtomicU64,
    /// The decoder's way to ask for a key frame.
    pub wish: Mutex<Option<KeyFrameRequest>>,
}

#[derive(Default, Clone)]
pub struct Picture {
    pub packets: Vec<u8>,
    pub all: u8,
    pub key: bool,
    pub delay: Duration,
}

impl Picture {
    pub fn whole(&self) -> bool {
        self.all > 0 && self.packets.len() == usize::from(self.all)
    }
}

impl Seen {
    /// Whole pictures.
    pub fn whole(&self) -> usize {
        self.pictures.lock().unwrap().values().filter(|picture| picture.whole()).count()
    }

    /// Delays of whole pictures, sorted.
    pub fn delays(&self) -> Vec<Duration> {
        let pictures = self.pictures.lock().unwrap();
        let mut delays: Vec<_> = pictures.values().filter(|picture| picture.whole()).map(|picture| picture.delay).collect();
        delays.sort();
        delays
    }

    pub fn forget(&self) {
        self.pictures.lock().unwrap().clear();
    }
}

/// The stand-in for a session: 25 pictures a second of numbered packets, and sound.
#[derive(Clone)]
pub struct Numbered {
    pub seen: Arc<Seen>,
    /// bit/s at most; follows the far side's estimate as an encoder would.
    pub bitrate: u64,
}

impl Numbered {
    pub fn new(bitrate: u64) -> Numbered {
        Numbered { seen: Arc::default(), bitrate }
    }
}

struct Running {
    seen: Arc<Seen>,
    stop: Arc<AtomicBool>,
    key: Arc<AtomicBool>,
    rate: Arc<AtomicU64>,
    bitrate: u64,
    thread: Option<std::thread::JoinHandle<()>>,
    codec: Codec,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.seen.running.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Encoding for Running {
    fn key_frame(&self) {
        self.key.store(true, Ordering::Relaxed);
    }
    fn feedback(&self, feedback: Feedback) {
        if self.codec.kind() == Kind::Video {
            self.seen.feedback.lock().unwrap().push(feedback);
            if let Some(estimate) = feedback.estimate {
                self.rate.store(self.bitrate.min(estimate * 9 / 10), Ordering::Relaxed);
            }
        }
    }
}

impl Decoding for Running {
    fn push(&self, packet: Bytes) {
        if self.codec == Codec::Opus {
            self.seen.sound.fetch_add(1, Ordering::Relaxed);
            return;
        }
        assert_eq!(packet[0], 0x80, "no extensions and no padding reach a decoder");
        let body = &packet[12..];
        let number = u32::from_be_bytes(body[2..6].try_into().unwrap());
        let sent = u64::from_be_bytes(body[8..16].try_into().unwrap());
        let mut pictures = self.seen.pictures.lock().unwrap();
        let picture = pictures.entry(number).or_default();
        if !picture.packets.contains(&body[6]) {
            picture.packets.push(body[6]);
            picture.all = body[7];
            picture.key |= body[1] == 0 || body[1] == 0x65;
            picture.delay = picture.delay.max(Duration::from_micros(micros().saturating_sub(sent)));
        }
    }
    fn sender_report(&self, _: u64, _: u32) {
        self.seen.reports.fetch_add(1, Ordering::Relaxed);
    }
}

fn packet(codec: Codec, payload_type: u8, sequence: u16, timestamp: u32, marker: bool, payload: &[u8]) -> Bytes {
    let mut bytes = BytesMut::with_capacity(12 + payload.len());
    bytes.extend_from_slice(&[0x80, payload_type | if marker { 0x80 } else { 0 }]);
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&timestamp.to_be_bytes());
    bytes.extend_from_slice(&(codec as u32 + 1).to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes.freeze()
}

/// First bytes of a payload as the codec has them, so that key frames are recognised.
fn head(codec: Codec, first: bool, key: bool) -> [u8; 2] {
    match (codec, first, key) {
        (Codec::Vp8, true, true) => [0x10, 0x00],
        (Codec::Vp8, true, false) => [0x10, 0x01],
        (Codec::Vp8, false, _) => [0x00, 0x01],
        (_, true, true) => [0x65, 0x65],
        _ => [0x41, 0x41],
    }
}

impl Streams for Numbered {
    fn send(&self, codec: Codec, payload_type: u8, outlet: Outlet) -> Result<Box<dyn Encoding>, MediaError> {
        let (seen, stop, key) = (Arc::clone(&self.seen), Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        seen.sending.lock().unwrap().push((codec, payload_type));
        seen.running.fetch_add(1, Ordering::Relaxed);
        let rate = Arc::new(AtomicU64::new(self.bitrate));
        let (stopped, wanted, encoded, follow) = (Arc::clone(&stop), Arc::clone(&key), Arc::clone(&seen), Arc::clone(&rate));
        let thread = std::thread::spawn(move || {
            let (mut sequence, mut number, start) = (1000u16, 0u32, Instant::now());
            let interval = Duration::from_millis(if codec == Codec::Opus { 20 } else { 40 });
            while !stopped.load(Ordering::Relaxed) {
                std::thread::sleep((start + interval * number).saturating_duration_since(Instant::now()));
                if codec == Codec::Opus {
                    sequence = sequence.wrapping_add(1);
                    outlet(packet(codec, payload_type, sequence, number * 960, false, &[0xfc; 60]));
                } else {
                    let key = wanted.swap(false, Ordering::Relaxed);
                    encoded.encoded.fetch_add(1, Ordering::Relaxed);
                    encoded.keys_encoded.fetch_add(u64::from(key), Ordering::Relaxed);
                    let bytes = follow.load(Ordering::Relaxed) / 25 / 8 * if key { 3 } else { 1 };
                    let all = bytes.div_ceil(1100).clamp(1, 200) as u8;
                    for index in 0..all {
                        let mut payload = head(codec, index == 0, key).to_vec();
                        payload.extend(number.to_be_bytes());
                        payload.extend([index, all]);
                        payload.extend(micros().to_be_bytes());
                        payload.resize((bytes / u64::from(all)).max(16) as usize, 0);
                        sequence = sequence.wrapping_add(1);
                        outlet(packet(codec, payload_type, sequence, number * 3600, index + 1 == all, &payload));
                    }
                }
                number += 1;
            }
        });
        Ok(Box::new(Running { seen, stop, key, rate, bitrate: self.bitrate, thread: Some(thread), codec }))
    }

    fn receive(&self, codec: Codec, payload_type: u8, wish: KeyFrameRequest) -> Result<Box<dyn Decoding>, MediaError> {
        let seen = Arc::clone(&self.seen);
        seen.receiving.lock().unwrap().push((codec, payload_type));
        seen.running.fetch_add(1, Ordering::Relaxed);
        if codec.kind() == Kind::Video {
            *seen.wish.lock().unwrap() = Some(wish);
        }
        let stop = Arc::new(AtomicBool::new(false));
        Ok(Box::new(Running { seen, stop, key: Arc::default(), rate: Arc::default(), bitrate: 0, thread: None, codec }))
    }
}

/// One side.
pub struct Side {
    pub peer: Peer,
    pub seen: Arc<Seen>,
    pub events: mpsc::Receiver<PeerEvent>,
    /// What was taken off `events` while waiting for something else.
    pub past: Vec<PeerEvent>,
}

pub fn tls() -> Arc<rustls::ClientConfig> {
    residentd::net::tls::client(None).unwrap()
}

/// Loopback only.
pub fn config(video: &[Codec]) -> PeerConfig {
    let mut config = PeerConfig::new(tls());
    config.bind = vec![([127, 0, 0, 1], 0).into()];
    config.video = video.to_vec();
    config
}

pub fn server(url: String, username: &str, credential: &str) -> IceServer {
    IceServer { urls: vec![url], username: username.to_owned(), credential: credential.to_owned().into() }
}

impl Side {
    /// Presents every remote track as soon as it is announced.
    pub async fn new(name: &str, config: PeerConfig, bitrate: u64, video: bool) -> Side {
        let mut side = Side::quiet(name, config, bitrate, video).await;
        let (to, events) = mpsc::channel(64);
        let (mut from, peer) = (std::mem::replace(&mut side.events, events), side.peer.clone());
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = from.recv() => event,
                    // The side is dropped: so is its peer connection, then.
                    () = to.closed() => None,
                };
                let Some(event) = event else { return };
                if let PeerEvent::Track { id, .. } = &event {
                    // Announced and gone again is no error.
                    let _ = peer.present(id).await;
                }
                if to.send(event).await.is_err() {
                    return;
                }
            }
        });
        side
    }

    /// Presents nothing by itself.
    pub async fn quiet(name: &str, config: PeerConfig, bitrate: u64, video: bool) -> Side {
        let (to, events) = mpsc::channel(64);
        let streams = Numbered::new(bitrate);
        let seen = Arc::clone(&streams.seen);
        let tracks = LocalTracks { audio: format!("{name}-sound"), video: video.then(|| format!("{name}-picture")) };
        let peer = Peer::new(config, streams, tracks, to).await.expect("a peer connection");
        Side { peer, seen, events, past: Vec::new() }
    }

    /// Takes an event that came, or waits for it; the others stay.
    pub async fn event(&mut self, wanted: impl Fn(&PeerEvent) -> bool) -> PeerEvent {
        if let Some(index) = self.past.iter().position(&wanted) {
            return self.past.remove(index);
        }
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let event = self.events.recv().await.expect("the peer connection lives");
                if wanted(&event) {
                    return event;
                }
                self.past.push(event);
            }
        });
        match waited.await {
            Ok(event) => event,
            Err(_) => panic!("waited in vain; what happened: {:?}; {:?}", self.past, self.peer.statistics().await),
        }
    }

    /// All candidates, once gathering is complete.
    pub async fn candidates(&mut self) -> Vec<String> {
        self.event(|event| *event == PeerEvent::GatheringComplete).await;
        let mut lines = Vec::new();
        self.past.retain(|event| match event {
            PeerEvent::Candidate(line) => {
                lines.push(line.clone());
                false
            }
            _ => true,
        });
        lines
    }

    pub async fn connected(&mut self) {
        self.event(|event| *event == PeerEvent::Connected).await;
    }
}

/// Waits until `condition` holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    waited.await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
}

/// Offer, answer, candidates; `a` offers. `through` may change the candidates on their way: to the other side's.
pub async fn connect(a: &mut Side, b: &mut Side, restart: bool) {
    negotiate(a, b, restart).await;
    let (of_a, of_b) = (a.candidates().await, b.candidates().await);
    for line in of_a {
        b.peer.add_candidate(&line, Some("0")).await.unwrap();
    }
    for line in of_b {
        a.peer.add_candidate(&line, Some("0")).await.unwrap();
    }
    a.connected().await;
    b.connected().await;
}

/// Offer and answer only.
pub async fn negotiate(a: &mut Side, b: &mut Side, restart: bool) {
    let offer = a.peer.offer(restart).await.expect("an offer");
    let answer = b.peer.accept_offer(&offer).await.expect("an answer");
    a.peer.accept_answer(&answer).await.expect("the answer fits");
}

/// Connected, with pictures and sound running both ways.
pub async fn call(a: &mut Side, b: &mut Side) {
    connect(a, b, false).await;
    flowing(a, b).await;
}

/// Pictures and sound come both ways, from now on.
pub async fn flowing(a: &Side, b: &Side) {
    for side in [a, b] {
        let (pictures, sound) = (side.seen.whole(), side.seen.sound.load(Ordering::Relaxed));
        let come = async {
            while side.seen.whole() <= pictures + 10 || side.seen.sound.load(Ordering::Relaxed) <= sound + 10 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        if tokio::time::timeout(PATIENCE, come).await.is_err() {
            let (of_a, of_b) = (a.peer.statistics().await, b.peer.statistics().await);
            panic!("waited in vain for pictures and sound: {of_a:?}\n{of_b:?}\n{:?}\n{:?}", a.past, b.past);
        }
    }
}
