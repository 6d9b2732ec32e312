//! A call of this box with itself, for `residentctl test call`: two sessions and two peer connections in one process, the
//! media going out to a relay and back, or through a room. The far end sends the test picture, whose beat both ends see:
//! so its age where it arrives is known.

use super::peer::{LocalTracks, Peer, PeerConfig, PeerEvent, PeerStatistics};
use super::session::{CameraSource, Config, MicrophoneSource, Session};
use super::source::lock;
use super::{MediaEvent, Outputs, PictureSink, SoundOut};
use crate::room::twilio;
use crate::room::{self, RoomHandle, Ticket};
use gstreamer as gst;
use gstreamer_video::VideoInfo;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

/// For the first picture.
const CONNECT: Duration = Duration::from_secs(30);
/// Beats remembered: two a second.
const BEATS: usize = 256;

/// How the call was.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Report {
    /// From the start until the far end's first picture, in milliseconds.
    pub picture_ms: Option<u64>,
    /// Until its first sound.
    pub sound_ms: Option<u64>,
    /// Pictures a second, of the far end.
    pub rate: f64,
    /// Median age of the picture where it arrives, in milliseconds, from the camera's frame on.
    pub latency_ms: Option<f64>,
    /// Round trip, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// Fraction of the packets that were lost for good, 0..=1.
    pub loss: f64,
    /// Received, in bit/s.
    pub bitrate: u64,
    /// Interarrival jitter of the picture, in milliseconds.
    pub jitter_ms: f64,
    /// How the media went: `host`, `srflx`, `prflx` or `relay`.
    pub path: Option<String>,
    /// How the relay was reached, if there was one: `udp`, `tcp`, `tls`.
    pub relay: Option<String>,
}

/// Where the two ends meet.
pub enum Meeting {
    /// Nowhere: they are put together in this process.
    Direct,
    /// In a room, with these tickets (near, far).
    Room(Box<[Ticket; 2]>),
}

/// Calls for so long after the first picture. `near` is this box's own end, with its devices or without.
///
/// # Errors
/// One line: what did not work.
pub async fn call(near: Config, peer: PeerConfig, meeting: Meeting, span: Duration) -> Result<Report, String> {
    let far = Config { camera: CameraSource::Test, microphone: MicrophoneSource::Test, ..near.clone() };
    let (seen, shown, ears) = (Arc::new(Beats::default()), Arc::new(Beats::default()), Arc::new(Ears::default()));
    let nobody = Arc::new(Beats::default());
    let hear = ears.clone();
    let sound = SoundOut::Samples(Arc::new(move |samples: &[i16]| hear.take(samples)));
    let near_outputs = Outputs { remote: seen.clone(), own: nobody.clone(), sound };
    let far_outputs = Outputs { remote: nobody, own: shown.clone(), sound: SoundOut::Null };
    let (near, near_trouble) = open(near, near_outputs).await?;
    let (far, _far_trouble) = open(far, far_outputs).await?;
    let began = Instant::now();
    let ends = match meeting {
        Meeting::Direct => Ends::Direct(direct(&peer, &near, &far).await?),
        Meeting::Room(tickets) => {
            let [a, b] = *tickets;
            Ends::Room(in_room(&peer, a, &near), in_room(&peer, b, &far))
        }
    };
    let measured = measure(&ends, near_trouble, began, span, &seen, &shown, &ears).await;
    near.close();
    far.close();
    ends.close().await;
    measured
}

async fn open(config: Config, outputs: Outputs) -> Result<(Session, mpsc::Receiver<MediaEvent>), String> {
    let (tell, events) = mpsc::channel(16);
    let opened = tokio::task::spawn_blocking(move || Session::open(config, true, outputs, tell)).await;
    let session = opened.map_err(|e| format!("opening the devices broke: {e}; report this"))?.map_err(|e| e.to_string())?;
    Ok((session, events))
}

/// The two ends of the call.
enum Ends {
    Direct([(Peer, AbortOnDropHandle<()>); 2]),
    Room((RoomHandle, mpsc::Receiver<crate::call::RoomEvent>), (RoomHandle, mpsc::Receiver<crate::call::RoomEvent>)),
}

impl Ends {
    async fn statistics(&self) -> Option<PeerStatistics> {
        match self {
            Ends::Direct([(near, _), _]) => Some(near.statistics().await),
            Ends::Room((near, _), _) => near.statistics().await?.peer,
        }
    }

    async fn close(self) {
        match self {
            Ends::Direct([(a, _), (b, _)]) => {
                tokio::join!(a.close(), b.close());
            }
            Ends::Room((a, _), (b, _)) => {
                tokio::join!(a.leave(), b.leave());
            }
        }
    }
}

async fn direct(config: &PeerConfig, near: &Session, far: &Session) -> Result<[(Peer, AbortOnDropHandle<()>); 2], String> {
    let make = async |session: &Session, name: &str| {
        let (to, events) = mpsc::channel(64);
        let tracks = LocalTracks { audio: format!("{name}-sound"), video: Some(format!("{name}-picture")) };
        Peer::new(config.clone(), session.clone(), tracks, to).await.map(|peer| (peer, events)).map_err(|e| e.to_string())
    };
    let (a, of_a) = make(near, "near").await?;
    let (b, of_b) = make(far, "far").await?;
    let carry = |mut events: mpsc::Receiver<PeerEvent>, own: Peer, other: Peer| {
        AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                match event {
                    PeerEvent::Candidate(line) => drop(other.add_candidate(&line, Some("0")).await),
                    PeerEvent::Track { id, .. } => drop(own.present(&id).await),
                    PeerEvent::Failed(why) | PeerEvent::Broken(why) => {
                        log::warn!(MESSAGE_ID = crate::journal::messages::STREAM_FAILED.id; "{why}")
                    }
                    _ => {}
                }
            }
        }))
    };
    let (carry_a, carry_b) = (carry(of_a, a.clone(), b.clone()), carry(of_b, b.clone(), a.clone()));
    let words = |e: super::peer::PeerError| e.to_string();
    let offer = a.offer(false).await.map_err(words)?;
    let answer = b.accept_offer(&offer).await.map_err(words)?;
    a.accept_answer(&answer).await.map_err(words)?;
    Ok([(a, carry_a), (b, carry_b)])
}

fn in_room(peer: &PeerConfig, ticket: Ticket, session: &Session) -> (RoomHandle, mpsc::Receiver<crate::call::RoomEvent>) {
    let (tell, events) = mpsc::channel(32);
    (room::join(ticket, twilio::Settings::new(peer.clone()), session.clone(), true, tell), events)
}

async fn measure(
    ends: &Ends,
    mut trouble: mpsc::Receiver<MediaEvent>,
    began: Instant,
    span: Duration,
    seen: &Beats,
    shown: &Beats,
    ears: &Ears,
) -> Result<Report, String> {
    let since = |at: Option<Instant>| at.map(|at| u64::try_from(at.saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX));
    loop {
        if seen.first().is_some() {
            break;
        }
        if let Ok(MediaEvent::CameraLost(why) | MediaEvent::Failed(why)) = trouble.try_recv() {
            return Err(why);
        }
        if began.elapsed() > CONNECT {
            let state =
                ends.statistics().await.map_or_else(|| "no connection was made".to_owned(), |s| format!("the connection is {}", s.state));
            return Err(format!("no picture within {} s; {state}; residentctl doctor says which way is blocked", CONNECT.as_secs()));
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (from, before) = (Instant::now(), seen.pictures.load(Ordering::Relaxed));
    tokio::time::sleep(span).await;
    let rate = (seen.pictures.load(Ordering::Relaxed) - before) as f64 / from.elapsed().as_secs_f64();
    let statistics = ends.statistics().await.ok_or("the call ended by itself")?;
    let (mut packets, mut lost, mut bitrate, mut jitter) = (0u64, 0u64, 0u64, 0.0f64);
    for stream in &statistics.received {
        packets += stream.packets;
        lost += stream.lost;
        bitrate += stream.bitrate;
        if stream.kind == super::Kind::Video {
            jitter = stream.jitter_ms;
        }
    }
    let all = (packets + lost).max(1);
    Ok(Report {
        picture_ms: since(seen.first()),
        sound_ms: since(*lock(&ears.first)),
        rate,
        latency_ms: latency(&lock(&shown.beats), &lock(&seen.beats)),
        rtt_ms: statistics.rtt_ms,
        loss: lost as f64 / all as f64,
        bitrate,
        jitter_ms: jitter,
        path: statistics.local_candidate,
        relay: statistics.relay_protocol,
    })
}

/// The median of the times from each beat's appearance to its arrival.
fn latency(shown: &[(Instant, bool)], seen: &[(Instant, bool)]) -> Option<f64> {
    // The beat changes every half second: the last of its kind before is the one that arrived, unless it took longer.
    let mut ages: Vec<f64> = seen
        .iter()
        .filter_map(|(at, light)| {
            let beat = shown.iter().rev().find(|(then, of)| of == light && then <= at)?;
            Some(at.duration_since(beat.0).as_secs_f64() * 1000.0)
        })
        .collect();
    ages.sort_by(f64::total_cmp);
    ages.get(ages.len() / 2).copied()
}

/// Sees the beat of the test picture: a square in the lower right corner, light or dark.
#[derive(Default)]
struct Beats {
    beats: Mutex<Vec<(Instant, bool)>>,
    last: Mutex<Option<bool>>,
    first: Mutex<Option<Instant>>,
    pictures: AtomicU64,
}

impl Beats {
    fn first(&self) -> Option<Instant> {
        *lock(&self.first)
    }
}

impl PictureSink for Beats {
    fn push(&self, sample: &gst::Sample) {
        let now = Instant::now();
        self.pictures.fetch_add(1, Ordering::Relaxed);
        lock(&self.first).get_or_insert(now);
        let Some(info) = sample.caps().and_then(|caps| VideoInfo::from_caps(caps).ok()) else { return };
        let Some(map) = sample.buffer().and_then(|b| b.map_readable().ok()) else { return };
        // The middle of the square, in the plane of luma; of packed formats this is some colour, which changes as well.
        let edge = info.height() / 6;
        let (x, y) = (info.width().saturating_sub(edge / 2) as usize, info.height().saturating_sub(edge / 2) as usize);
        let stride = usize::try_from(info.stride().first().copied().unwrap_or(0)).unwrap_or(0);
        let Some(value) = map.as_slice().get(y * stride + x) else { return };
        let light = *value > 125;
        let before = lock(&self.last).replace(light);
        let mut beats = lock(&self.beats);
        // The first picture is no beat: when it became so is not known.
        if before.is_some_and(|before| before != light) && beats.len() < BEATS {
            beats.push((now, light));
        }
    }
}

/// Hears the first sound.
#[derive(Default)]
struct Ears {
    first: Mutex<Option<Instant>>,
}

impl Ears {
    fn take(&self, samples: &[i16]) {
        if samples.iter().any(|s| s.unsigned_abs() > 500) {
            lock(&self.first).get_or_insert_with(Instant::now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_age_of_a_picture_is_counted_from_its_own_beat() {
        let zero = Instant::now();
        let at = |ms: u64, light| (zero + Duration::from_millis(ms), light);
        let shown = [at(0, true), at(500, false), at(1000, true)];
        let seen = [at(120, true), at(630, false), at(1110, true)];
        assert_eq!(latency(&shown, &seen), Some(120.0));
        assert_eq!(latency(&shown, &[]), None);
        assert_eq!(latency(&[], &seen), None);
    }
}
