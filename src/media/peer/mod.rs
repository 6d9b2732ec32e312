//! The peer connection of a call: one [`Peer`] an `RTCPeerConnection`, over the crate `webrtc` (=0.21.1, whose flaws are
//! cured here: contracts/twilio-video.md section 9). It speaks SDP to the room and RTP packets to the call's
//! [`Session`](super::session::Session); it knows no signalling and no device.
//!
//! What the room does with it:
//!
//! ```text
//! Peer::new ─▶ offer / accept_answer  or  accept_offer ─▶ candidates both ways ─▶ PeerEvent::Connected
//!                                                          PeerEvent::Track ─▶ present ─▶ close
//! ```

mod statistics;

pub use statistics::{PeerStatistics, StreamStatistics};

use super::{Codec, Kind, session::Session};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// A STUN or TURN server as a platform gives it (turn.md section 1). `turn:` and `turns:` over UDP, TCP and TLS.
#[derive(Clone, Default)]
pub struct IceServer {
    /// RFC 7064 and RFC 7065 URIs, e.g. `turns:relay.example:443?transport=tcp`.
    pub urls: Vec<String>,
    /// Long-term or time-limited user name; empty for STUN.
    pub username: String,
    /// Its password.
    pub credential: Zeroizing<String>,
}

impl std::fmt::Debug for IceServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("IceServer").field("urls", &self.urls).finish_non_exhaustive()
    }
}

/// How a peer connection is made.
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// Where to ask for public and relayed addresses.
    pub ice_servers: Vec<IceServer>,
    /// Only relayed candidates (a platform may demand it).
    pub relay_only: bool,
    /// Trust for TURN over TLS.
    pub tls: Arc<rustls::ClientConfig>,
    /// Addresses to bind UDP sockets to. A wildcard stands for all interfaces but loopback and link-local, looked up anew at
    /// each ICE restart, so that a changed address of the box is followed.
    pub bind: Vec<SocketAddr>,
    /// The video codecs that may be negotiated, preferred one first.
    pub video: Vec<Codec>,
    /// Bounds in bit/s of what we ask the far side to send (REMB). Starts at the upper one.
    pub receive: std::ops::RangeInclusive<u64>,
}

impl PeerConfig {
    /// No servers, all interfaces, H.264 before VP8, 100 kbit/s to 2.5 Mbit/s.
    pub fn new(tls: Arc<rustls::ClientConfig>) -> PeerConfig {
        PeerConfig {
            ice_servers: Vec::new(),
            relay_only: false,
            tls,
            bind: vec![([0, 0, 0, 0], 0).into()],
            video: vec![Codec::H264, Codec::Vp8],
            receive: 100_000..=2_500_000,
        }
    }
}

/// The ids under which our tracks are announced (second token of `a=msid`). No picture is sent without `video`; the far
/// side's is received all the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalTracks {
    /// The microphone.
    pub audio: String,
    /// The camera, where the call permits one.
    pub video: Option<String>,
}

/// What happens to a peer connection. [`PeerEvent::Failed`] and [`PeerEvent::Closed`] are final.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PeerEvent {
    /// A local candidate, as it stands in a candidate line (`candidate:…`), of the latest local description.
    Candidate(String),
    /// There will be no more of them for this local description.
    GatheringComplete,
    /// Media can flow, for the first time or again.
    Connected,
    /// Nothing was heard for about five seconds. It may come back by itself; an ICE restart may help.
    Disconnected,
    /// The connection was lost for longer, or could never be made: one line that says what is known about why. An ICE
    /// restart may still bring it back.
    Failed(String),
    /// The far side has a track. Nothing of it is decoded before [`Peer::present`].
    Track {
        /// Its id: second token of `a=msid`.
        id: String,
        /// What it carries.
        kind: Kind,
    },
    /// Closed by [`Peer::close`].
    Closed,
}

/// Why a peer connection could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// Sockets, servers or codecs: nothing was built.
    #[error("the peer connection could not be set up: {0}; check the network interfaces and the ICE servers of the room")]
    Setup(String),
    /// A description or candidate of the far side was refused.
    #[error("the far side's {what} was refused: {reason}")]
    Refused {
        /// What it was.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A local description could not be made.
    #[error("no {what} could be made: {reason}")]
    Description {
        /// Offer or answer.
        what: &'static str,
        /// Why.
        reason: String,
    },
    /// Closed already.
    #[error("the peer connection is closed")]
    Closed,
    /// No such remote track.
    #[error("there is no remote track {0}")]
    NoTrack(String),
    /// The session could not present the track.
    #[error(transparent)]
    Media(#[from] super::session::MediaError),
}

/// One peer connection. Cheap to clone; [`Peer::close`] closes it for all clones, and so does dropping the last one.
#[derive(Clone)]
pub struct Peer {}

impl Peer {
    /// Binds the sockets and adds our tracks. Gathering starts with the first local description. `session` encodes and
    /// decodes; its [`Session::send`] is called once the codecs are negotiated.
    pub async fn new(
        _config: PeerConfig,
        _session: Session,
        _tracks: LocalTracks,
        _events: mpsc::Sender<PeerEvent>,
    ) -> Result<Peer, PeerError> {
        Err(PeerError::Closed)
    }

    /// Makes an offer and applies it: the SDP to send, without candidates. An outstanding own offer is replaced.
    pub async fn offer(&self, _restart_ice: bool) -> Result<String, PeerError> {
        Err(PeerError::Closed)
    }

    /// Applies the far side's offer and answers it: the SDP to send. An outstanding own offer is rolled back first.
    pub async fn accept_offer(&self, _sdp: &str) -> Result<String, PeerError> {
        Err(PeerError::Closed)
    }

    /// Applies the answer to the outstanding own offer.
    pub async fn accept_answer(&self, _sdp: &str) -> Result<(), PeerError> {
        Err(PeerError::Closed)
    }

    /// A candidate line of the far side, with the mid it came with. Known ones change nothing; an empty line is the end
    /// of candidates.
    pub async fn add_candidate(&self, _line: &str, _mid: Option<&str>) -> Result<(), PeerError> {
        Err(PeerError::Closed)
    }

    /// Hands this remote track to the session. At most one audio and one video track are presented: a later one of the same
    /// kind takes the place of the earlier.
    pub async fn present(&self, _track: &str) -> Result<(), PeerError> {
        Err(PeerError::Closed)
    }

    /// What is known about the connection and its streams now.
    pub async fn statistics(&self) -> PeerStatistics {
        PeerStatistics::default()
    }

    /// Ends it with everything of it: tasks, sockets, relay connections. Idempotent. The far side notices only after about
    /// five seconds: hang-ups are the signalling's job.
    pub async fn close(&self) {}
}
