//! The connection behind a [`Peer`](super::Peer): negotiation, one description at a time, and the tasks that belong to it.

use super::events::{Callbacks, Events};
use super::figures::Figures;
use super::incoming::{PayloadTypes, Presented};
use super::outgoing::Outgoing;
use super::servers::Servers;
use super::statistics::PeerStatistics;
use super::streams::Streams;
use super::{LocalTracks, PeerConfig, PeerError, PeerEvent, description, engine};
use crate::media::{Codec, Kind};
use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::peer_connection::transport::RTCIceCandidateInit;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use rtc::shared::error::Error;
use std::collections::HashMap;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::{Mutex, OnceCell, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, RTCConfigurationBuilder, RTCIceTransportPolicy, RTCSessionDescription, StatsSelector,
};

/// Candidates that may wait for the description they belong to.
const WAITING: usize = 64;
/// How long tasks may take to end before they are left to end by themselves.
const ENDING: Duration = Duration::from_secs(2);

/// Where the exchange of descriptions stands.
#[derive(Default)]
struct Negotiation {
    own_offer: bool,
    /// The far side's last description that was applied, as it came.
    remote: Option<String>,
    /// SSRCs of sections that declare none, by mid: invented, or learned from packets.
    ssrcs: HashMap<String, u32>,
    learned: HashMap<String, u32>,
    waiting: Vec<RTCIceCandidateInit>,
}

pub(super) struct Connection {
    pc: Arc<dyn PeerConnection>,
    video: Vec<Codec>,
    mdns: bool,
    outgoing: Vec<Outgoing>,
    figures: Arc<Figures>,
    events: Arc<Events>,
    servers: Arc<Servers>,
    payload_types: PayloadTypes,
    presented: watch::Sender<Presented>,
    negotiation: Mutex<Negotiation>,
    tasks: TaskTracker,
    end: CancellationToken,
    closed: OnceCell<()>,
}

fn refused(what: &'static str) -> impl Fn(Error) -> PeerError {
    move |error| PeerError::Refused { what, reason: error.to_string() }
}

fn not_made(what: &'static str) -> impl Fn(Error) -> PeerError {
    move |error| PeerError::Description { what, reason: error.to_string() }
}

fn setup(error: Error) -> PeerError {
    PeerError::Setup(error.to_string())
}

impl Connection {
    pub(super) async fn new(
        config: PeerConfig,
        streams: Arc<dyn Streams>,
        tracks: LocalTracks,
        events: mpsc::Sender<PeerEvent>,
    ) -> Result<Arc<Connection>, PeerError> {
        if config.video.is_empty() {
            return Err(PeerError::Setup("no video codec is configured".to_owned()));
        }
        let servers = Servers::prepare(&config.ice_servers, &config.tls).await;
        let figures = Arc::new(Figures::new(config.receive.clone()));
        let (out, forwarded) = mpsc::unbounded_channel();
        let told = Arc::new(Events::new(out, Arc::clone(&servers.troubles), config.relay_only, servers.any_relay));
        let (presented, tasks, end) = (watch::Sender::new(Presented::default()), TaskTracker::new(), CancellationToken::new());
        let payload_types = PayloadTypes::default();
        let callbacks = Callbacks {
            events: Arc::clone(&told),
            streams: Arc::clone(&streams),
            figures: Arc::clone(&figures),
            payload_types: Arc::clone(&payload_types),
            presented: presented.subscribe(),
            tasks: tasks.clone(),
            end: end.clone(),
        };
        let mdns = engine::mdns_possible();
        let policy = if config.relay_only { RTCIceTransportPolicy::Relay } else { RTCIceTransportPolicy::All };
        let configuration =
            RTCConfigurationBuilder::default().with_ice_servers(servers.list.clone()).with_ice_transport_policy(policy).build();
        let bind = bindable(&config.bind);
        let pc: Arc<dyn PeerConnection> = Arc::new(
            PeerConnectionBuilder::new()
                .with_configuration(configuration)
                .with_media_engine(engine::media_engine(&config.video).map_err(setup)?)
                .with_setting_engine(engine::settings(mdns))
                .with_interceptor_registry(engine::interceptors(&figures))
                .with_handler(Arc::new(callbacks))
                .with_udp_addrs(bind)
                .build()
                .await
                .map_err(setup)?,
        );
        let outgoing = match add_tracks(pc.as_ref(), tracks, &config.video).await {
            Ok(outgoing) => outgoing,
            Err(error) => {
                let _ = pc.close().await;
                return Err(setup(error));
            }
        };
        for track in &outgoing {
            tasks.spawn(track.run(Arc::clone(&streams), Arc::clone(&figures), told.connected.subscribe(), end.clone()));
        }
        tasks.spawn(forward(forwarded, events, end.clone()));
        tasks.spawn(watch_transport(outgoing.iter().map(Outgoing::track).collect(), Arc::clone(&told), end.clone()));
        let connection = Arc::new(Connection {
            pc,
            video: config.video,
            mdns,
            outgoing,
            figures,
            events: told,
            servers: Arc::new(servers),
            payload_types,
            presented,
            negotiation: Mutex::default(),
            tasks,
            end,
            closed: OnceCell::new(),
        });
        connection.tasks.spawn(meet_strangers(Arc::downgrade(&connection), Arc::clone(&connection.figures), connection.end.clone()));
        Ok(connection)
    }

    fn open(&self) -> Result<(), PeerError> {
        if self.end.is_cancelled() { Err(PeerError::Closed) } else { Ok(()) }
    }

    pub(super) async fn offer(&self, restart_ice: bool) -> Result<String, PeerError> {
        self.open()?;
        let mut negotiation = self.negotiation.lock().await;
        self.roll_back(&mut negotiation).await?;
        if restart_ice {
            self.network()?;
        }
        let offer = self.pc.create_offer(Some(RTCOfferOptions { ice_restart: restart_ice })).await.map_err(not_made("offer"))?;
        if restart_ice {
            self.way_changes();
        }
        let sdp = offer.sdp.clone();
        self.pc.set_local_description(offer).await.map_err(not_made("offer"))?;
        negotiation.own_offer = true;
        Ok(sdp)
    }

    /// A restart binds new sockets, and the crate's driver does not survive doing so where there is no network.
    fn network(&self) -> Result<(), PeerError> {
        if self.mdns && !engine::mdns_possible() { Err(PeerError::NoNetwork) } else { Ok(()) }
    }

    fn way_changes(&self) {
        self.events.restarted();
        self.figures.lock().estimate.way_changed();
    }

    async fn roll_back(&self, negotiation: &mut Negotiation) -> Result<(), PeerError> {
        if std::mem::take(&mut negotiation.own_offer) {
            let nothing = RTCSessionDescription::rollback(None).map_err(not_made("rollback"))?;
            self.pc.set_local_description(nothing).await.map_err(not_made("rollback"))?;
        }
        Ok(())
    }

    pub(super) async fn accept_offer(&self, sdp: &str) -> Result<String, PeerError> {
        self.open()?;
        let mut negotiation = self.negotiation.lock().await;
        self.roll_back(&mut negotiation).await?;
        let restarts = negotiation.remote.as_deref().is_some_and(|before| description::ufrag(before) != description::ufrag(sdp));
        if restarts {
            self.network()?;
            self.way_changes();
        }
        let answer = self.answer(&mut negotiation, sdp).await?;
        self.settled(&mut negotiation, sdp).await;
        Ok(answer)
    }

    /// Applies an offer and answers it; nothing is left half done.
    async fn answer(&self, negotiation: &mut Negotiation, sdp: &str) -> Result<String, PeerError> {
        description::check(sdp).map_err(|reason| PeerError::Refused { what: "offer", reason: reason.to_owned() })?;
        let mended = mend(negotiation, &description::prefer(sdp, &self.video));
        let offer = RTCSessionDescription::offer(mended).map_err(refused("offer"))?;
        self.decide(&description::video_codecs(sdp)).await?;
        let answer = async {
            self.pc.set_remote_description(offer).await.map_err(refused("offer"))?;
            let answer = self.pc.create_answer(None).await.map_err(not_made("answer"))?;
            let sdp = answer.sdp.clone();
            self.pc.set_local_description(answer).await.map_err(not_made("answer"))?;
            Ok(sdp)
        };
        let answer = answer.await;
        // The crate moves on to "have remote offer" before it looks closely.
        if answer.is_err()
            && let Ok(nothing) = RTCSessionDescription::rollback(None)
        {
            let _ = self.pc.set_remote_description(nothing).await;
        }
        answer
    }

    pub(super) async fn accept_answer(&self, sdp: &str) -> Result<(), PeerError> {
        self.open()?;
        let mut negotiation = self.negotiation.lock().await;
        if !negotiation.own_offer {
            return Err(PeerError::Refused { what: "answer", reason: "there is no offer it could answer".to_owned() });
        }
        description::check(sdp).map_err(|reason| PeerError::Refused { what: "answer", reason: reason.to_owned() })?;
        let answer = RTCSessionDescription::answer(mend(&mut negotiation, sdp)).map_err(refused("answer"))?;
        self.decide(&description::video_codecs(sdp)).await?;
        self.pc.set_remote_description(answer).await.map_err(refused("answer"))?;
        negotiation.own_offer = false;
        self.settled(&mut negotiation, sdp).await;
        Ok(())
    }

    /// Chooses the codec of our picture: the one we like best of those the far side takes.
    async fn decide(&self, theirs: &[Codec]) -> Result<(), PeerError> {
        let Some(&codec) = self.video.iter().find(|codec| theirs.contains(codec)) else { return Ok(()) };
        for track in self.outgoing.iter().filter(|track| track.kind == Kind::Video) {
            track.decide(codec).await.map_err(setup)?;
        }
        Ok(())
    }

    /// Both descriptions are in force.
    async fn settled(&self, negotiation: &mut Negotiation, remote: &str) {
        negotiation.remote = Some(remote.to_owned());
        let local = self.pc.local_description().await.map(|local| local.sdp).unwrap_or_default();
        *self.payload_types.lock().unwrap_or_else(PoisonError::into_inner) = description::payload_types(&local);
        self.figures.lock().mid_extension = description::mid_extension(&local);
        for track in &self.outgoing {
            track.negotiated(description::sends(&local, remote, &track.id), &self.figures).await;
        }
        self.events.tracks(description::tracks(remote).into_iter().map(|track| (track.id, track.kind)));
        for candidate in std::mem::take(&mut negotiation.waiting) {
            if let Err(error) = self.pc.add_ice_candidate(candidate).await {
                log::debug!("a candidate of the far side was refused: {error}");
            }
        }
    }

    pub(super) async fn add_candidate(&self, line: &str, mid: Option<&str>) -> Result<(), PeerError> {
        self.open()?;
        if line.is_empty() || !description::is_usable(line) {
            return Ok(());
        }
        let candidate = RTCIceCandidateInit { candidate: line.to_owned(), sdp_mid: mid.map(str::to_owned), ..Default::default() };
        let mut negotiation = self.negotiation.lock().await;
        if negotiation.remote.is_none() {
            if negotiation.waiting.len() < WAITING {
                negotiation.waiting.push(candidate);
            }
            return Ok(());
        }
        self.pc.add_ice_candidate(candidate).await.map_err(refused("candidate"))
    }

    pub(super) fn present(&self, id: &str) -> Result<(), PeerError> {
        self.open()?;
        let kind = self.events.progress().announced.get(id).copied().ok_or_else(|| PeerError::NoTrack(id.to_owned()))?;
        self.presented.send_modify(|presented| *presented.slot(kind) = Some(id.to_owned()));
        Ok(())
    }

    /// Packets came under SSRCs that no description declares: applies the far side's description once more with them in it.
    async fn declare(&self) {
        let mut negotiation = self.negotiation.lock().await;
        let Some(remote) = negotiation.remote.clone().filter(|_| !negotiation.own_offer) else { return };
        let payload_types = self.payload_types.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let undeclared: Vec<_> = description::tracks(&remote).into_iter().filter(|track| !track.declared).collect();
        let mut found = false;
        for (ssrc, payload_type, mid) in self.figures.lock().undeclared.drain(..) {
            let Some(kind) = payload_types.get(&payload_type).map(|codec| codec.kind()) else { continue };
            let fits = |track: &&description::RemoteTrack| match &mid {
                Some(mid) => track.mid == *mid,
                None => track.kind == kind && !negotiation.learned.contains_key(&track.mid),
            };
            if let Some(track) = undeclared.iter().find(fits) {
                negotiation.learned.insert(track.mid.clone(), ssrc);
                negotiation.ssrcs.insert(track.mid.clone(), ssrc);
                found = true;
            }
        }
        if !found {
            return;
        }
        // Only for the crate: the far side's descriptions stay as they are, and so do its candidates.
        match self.answer(&mut negotiation, &description::as_offer(&remote)).await {
            Ok(_) => log::debug!("streams that no description declares were recognised by their packets"),
            Err(error) => {
                log::warn!(MESSAGE_ID = crate::journal::messages::STREAM_FAILED.id; "streams that no description declares cannot be received: {error}")
            }
        }
    }

    pub(super) async fn statistics(&self) -> PeerStatistics {
        let now = Instant::now();
        let (sent, received) = self.figures.statistics(now);
        let report = self.pc.get_stats(now, StatsSelector::None).await;
        let mut statistics = PeerStatistics { state: self.events.progress().state.to_owned(), sent, received, ..Default::default() };
        statistics.pair(&report, |url| self.servers.protocol(url).to_owned());
        let state = self.figures.lock();
        statistics.rtt_ms = state.round_trip.map(|round_trip| round_trip.as_secs_f64() * 1000.0).or(statistics.rtt_ms);
        statistics.send_estimate = state.send_estimate;
        statistics.receive_estimate = Some(state.estimate.bitrate());
        statistics
    }

    pub(super) async fn close(&self) {
        self.closed
            .get_or_init(|| async {
                self.end.cancel();
                self.events.progress().state = "closed";
                end(&self.pc, &self.servers, &self.tasks).await;
            })
            .await;
    }
}

/// Everything of a connection.
async fn end(pc: &Arc<dyn PeerConnection>, servers: &Servers, tasks: &TaskTracker) {
    // Releases relay allocations, through the relays' streams: those end after it.
    if let Err(error) = pc.close().await {
        log::debug!("while closing the peer connection: {error}");
    }
    servers.close().await;
    tasks.close();
    if tokio::time::timeout(ENDING, tasks.wait()).await.is_err() {
        log::warn!(MESSAGE_ID = crate::journal::messages::STREAM_FAILED.id; "a pipeline of the peer connection takes long to stop");
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.end.cancel();
        // The crate's driver ends only when it is told to.
        if self.closed.get().is_none()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let (pc, servers, tasks) = (Arc::clone(&self.pc), Arc::clone(&self.servers), self.tasks.clone());
            runtime.spawn(async move { end(&pc, &servers, &tasks).await });
        }
    }
}

/// The addresses as the crate takes them, without families this machine does not have.
fn bindable(addresses: &[std::net::SocketAddr]) -> Vec<std::net::SocketAddr> {
    let exists = |address: &&std::net::SocketAddr| address.is_ipv4() || std::net::UdpSocket::bind((address.ip(), 0)).is_ok();
    addresses.iter().filter(exists).copied().collect()
}

async fn add_tracks(pc: &dyn PeerConnection, tracks: LocalTracks, video: &[Codec]) -> Result<Vec<Outgoing>, Error> {
    let mut outgoing = vec![Outgoing::add(pc, Kind::Audio, tracks.audio, &[Codec::Opus]).await?];
    match tracks.video {
        Some(id) => outgoing.push(Outgoing::add(pc, Kind::Video, id, video).await?),
        // The caller's picture is welcome without one of ours.
        None => {
            let receive = RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Recvonly, ..Default::default() };
            pc.add_transceiver_from_kind(RtpCodecKind::Video, Some(receive)).await?;
        }
    }
    Ok(outgoing)
}

/// Declares what is missing, with the same made-up SSRCs each time.
fn mend(negotiation: &mut Negotiation, sdp: &str) -> String {
    for track in description::tracks(sdp).into_iter().filter(|track| !track.declared) {
        negotiation.ssrcs.entry(track.mid).or_insert_with(|| rand::random_range(1..u32::MAX));
    }
    description::declare(sdp, &negotiation.ssrcs)
}

async fn meet_strangers(connection: Weak<Connection>, figures: Arc<Figures>, end: CancellationToken) {
    while end.run_until_cancelled(figures.stranger.notified()).await.is_some() {
        let Some(connection) = connection.upgrade() else { return };
        connection.declare().await;
    }
}

/// Hands events to the owner, however slow it is; the last one is told without waiting.
async fn forward(mut from: mpsc::UnboundedReceiver<PeerEvent>, to: mpsc::Sender<PeerEvent>, end: CancellationToken) {
    while let Some(Some(event)) = end.run_until_cancelled(from.recv()).await {
        if !matches!(end.run_until_cancelled(to.send(event)).await, Some(Ok(()))) {
            break;
        }
    }
    end.cancelled().await;
    let _ = to.try_send(PeerEvent::Closed);
}

/// Notices when the crate's driver stops by itself: no callback would ever tell.
async fn watch_transport(
    tracks: Vec<Arc<webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP>>,
    events: Arc<Events>,
    end: CancellationToken,
) {
    let Some(track) = tracks.first() else { return };
    while let Some(Some(_)) = end.run_until_cancelled(track.poll()).await {}
    if !end.is_cancelled() {
        events.broken();
    }
}
