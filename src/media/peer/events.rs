//! From the crate's callbacks to [`PeerEvent`]s. The callbacks run on the task that also drives ICE: nothing here waits.

use super::PeerEvent;
use super::description;
use super::figures::Figures;
use super::incoming::{Incoming, PayloadTypes, Presented};
use super::servers::Troubles;
use super::streams::Streams;
use crate::media::Kind;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{PeerConnectionEventHandler, RTCIceGatheringState, RTCPeerConnectionIceEvent, RTCPeerConnectionState};

/// Where the connection stands, as events and statistics tell it.
pub(super) struct Progress {
    pub(super) state: &'static str,
    /// Candidates of this generation already told: every negotiation gathers them anew.
    candidates: HashSet<String>,
    complete: bool,
    relayed: bool,
    /// Ids of remote tracks already told.
    pub(super) announced: HashMap<String, Kind>,
}

/// Everything that happens goes through here.
pub(super) struct Events {
    /// Bounded by what the owner itself sets off: a gathering's candidates and a few states for each of its descriptions.
    out: mpsc::UnboundedSender<PeerEvent>,
    progress: Mutex<Progress>,
    pub(super) connected: watch::Sender<bool>,
    troubles: Arc<Troubles>,
    relay_only: bool,
    any_relay: bool,
}

impl Events {
    pub(super) fn new(out: mpsc::UnboundedSender<PeerEvent>, troubles: Arc<Troubles>, relay_only: bool, any_relay: bool) -> Events {
        let progress = Progress { state: "new", candidates: HashSet::new(), complete: false, relayed: false, announced: HashMap::new() };
        Events { out, progress: Mutex::new(progress), connected: watch::Sender::new(false), troubles, relay_only, any_relay }
    }

    pub(super) fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn tell(&self, event: PeerEvent) {
        // Refused only after the owner dropped its end.
        let _ = self.out.send(event);
    }

    /// New ICE credentials: candidates are told again.
    pub(super) fn restarted(&self) {
        let mut progress = self.progress();
        progress.candidates.clear();
        (progress.complete, progress.relayed) = (false, false);
    }

    fn candidate(&self, line: String) {
        if !description::is_usable(&line) {
            return;
        }
        let mut progress = self.progress();
        progress.relayed |= description::candidate_type(&line) == Some("relay");
        if progress.candidates.insert(line.clone()) {
            self.tell(PeerEvent::Candidate(line));
        }
    }

    fn gathered(&self) {
        let mut progress = self.progress();
        if std::mem::replace(&mut progress.complete, true) {
            return;
        }
        self.tell(PeerEvent::GatheringComplete);
        let unreachable = self.relay_only && !progress.relayed;
        drop(progress);
        if unreachable {
            // No candidate will ever come: half a minute of waiting would change nothing.
            self.failed();
        }
    }

    /// Lost, or never made.
    pub(super) fn failed(&self) {
        self.connected.send_replace(false);
        let mut progress = self.progress();
        let reason = self.reason(&progress);
        progress.state = "failed";
        drop(progress);
        log::warn!(MESSAGE_ID = crate::journal::messages::ROOM_FAILED.id; "the peer connection failed: {reason}");
        self.tell(PeerEvent::Failed(reason));
    }

    /// The crate's driver has stopped by itself.
    pub(super) fn broken(&self) {
        self.connected.send_replace(false);
        self.progress().state = "failed";
        let why = "the network part of the peer connection stopped by itself; report this with the log";
        log::error!(MESSAGE_ID = crate::journal::messages::DEFECT.id; "{why}");
        self.tell(PeerEvent::Broken(why.to_owned()));
    }

    fn reason(&self, progress: &Progress) -> String {
        let troubles = self.troubles.text();
        match (troubles, self.relay_only && !progress.relayed) {
            (Some(troubles), true) => format!("no relay could be used: {troubles}"),
            (None, true) if self.any_relay => {
                "no relay gave an address: it refused the user name or password (they may have expired), or the network blocks it"
                    .to_owned()
            }
            (None, true) => "only relayed connections are allowed and no relay was named".to_owned(),
            (Some(troubles), false) => format!("the far side cannot be reached; besides, {troubles}"),
            (None, false) if self.any_relay && !progress.relayed => {
                "the far side cannot be reached, and no relay gave an address; check the network and the relay's user name and password"
                    .to_owned()
            }
            (None, false) => "the far side cannot be reached; check the network".to_owned(),
        }
    }

    fn state(&self, state: RTCPeerConnectionState) {
        let (name, event) = match state {
            RTCPeerConnectionState::Connecting => ("checking", None),
            RTCPeerConnectionState::Connected => ("connected", Some(PeerEvent::Connected)),
            RTCPeerConnectionState::Disconnected => ("disconnected", Some(PeerEvent::Disconnected)),
            RTCPeerConnectionState::Failed => return self.failed(),
            // Closing is our own doing and told by it.
            _ => return,
        };
        self.progress().state = name;
        if state == RTCPeerConnectionState::Connected {
            // Also when it was open before: after an interruption the far side needs a key frame.
            self.connected.send_replace(true);
        }
        event.into_iter().for_each(|event| self.tell(event));
    }

    /// Announces the remote tracks of a description that are new in it; forgets those that are gone.
    pub(super) fn tracks(&self, tracks: impl Iterator<Item = (String, Kind)>) {
        let mut progress = self.progress();
        let mut now = HashMap::new();
        for (id, kind) in tracks {
            let first = now.insert(id.clone(), kind).is_none();
            if first && !progress.announced.contains_key(&id) {
                self.tell(PeerEvent::Track { id, kind });
            }
        }
        progress.announced = now;
    }
}

/// The crate's callbacks.
pub(super) struct Callbacks {
    pub(super) events: Arc<Events>,
    pub(super) streams: Arc<dyn Streams>,
    pub(super) figures: Arc<Figures>,
    pub(super) payload_types: PayloadTypes,
    pub(super) presented: watch::Receiver<Presented>,
    pub(super) tasks: TaskTracker,
    pub(super) end: CancellationToken,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Callbacks {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(candidate) = event.candidate.to_json() {
            self.events.candidate(candidate.candidate);
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.events.gathered();
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.events.state(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let kind = match track.kind().await {
            RtpCodecKind::Audio => Kind::Audio,
            RtpCodecKind::Video => Kind::Video,
            _ => return,
        };
        let id = track.track_id().await;
        let incoming = Incoming {
            track,
            id,
            kind,
            streams: Arc::clone(&self.streams),
            figures: Arc::clone(&self.figures),
            payload_types: Arc::clone(&self.payload_types),
        };
        self.tasks.spawn(incoming.run(self.presented.clone(), self.end.clone()));
    }
}
