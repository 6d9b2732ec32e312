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

mod chain;
mod connection;
mod description;
mod engine;
mod estimate;
mod events;
mod figures;
mod incoming;
mod nack;
mod outgoing;
mod rtx;
pub(super) mod servers;
mod statistics;
mod streams;
mod wire;

pub use statistics::{PeerStatistics, StreamStatistics};
pub use streams::{Decoding, Encoding, Streams};

use super::{Codec, Kind};
use connection::Connection;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
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
            bind: vec![(Ipv4Addr::UNSPECIFIED, 0).into(), (Ipv6Addr::UNSPECIFIED, 0).into()],
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

/// What happens to a peer connection. [`PeerEvent::Closed`] is final.
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
    /// It is dead, and no ICE restart brings it back: why.
    Broken(String),
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
    /// An ICE restart makes no sense without any network.
    #[error("there is no network at the moment; try again when an interface has an address")]
    NoNetwork,
    /// Closed already.
    #[error("the peer connection is closed")]
    Closed,
    /// No such remote track.
    #[error("there is no remote track {0}")]
    NoTrack(String),
}

/// One peer connection. Cheap to clone; [`Peer::close`] closes it for all clones, and so does dropping the last one.
#[derive(Clone)]
pub struct Peer(Arc<Connection>);

impl Peer {
    /// Binds the sockets and adds our tracks. Gathering starts with the first local description. `session` encodes and
    /// decodes (a [`Session`](super::session::Session)); its `send` is called once the codecs are negotiated.
    pub async fn new(
        config: PeerConfig,
        session: impl Streams,
        tracks: LocalTracks,
        events: mpsc::Sender<PeerEvent>,
    ) -> Result<Peer, PeerError> {
        Ok(Peer(Connection::new(config, Arc::new(session), tracks, events).await?))
    }

    /// Makes an offer and applies it: the SDP to send, without new candidates. An outstanding own offer is replaced. With
    /// `restart_ice` new sockets are bound on the interfaces that exist then.
    ///
    /// # Errors
    /// [`PeerError::NoNetwork`] on a restart without any network: try again later.
    pub async fn offer(&self, restart_ice: bool) -> Result<String, PeerError> {
        self.0.offer(restart_ice).await
    }

    /// Applies the far side's offer and answers it: the SDP to send. An outstanding own offer is rolled back first.
    pub async fn accept_offer(&self, sdp: &str) -> Result<String, PeerError> {
        self.0.accept_offer(sdp).await
    }

    /// Applies the answer to the outstanding own offer.
    pub async fn accept_answer(&self, sdp: &str) -> Result<(), PeerError> {
        self.0.accept_answer(sdp).await
    }

    /// A candidate line of the far side, with the mid it came with. Known ones change nothing; an empty line is the end
    /// of candidates. Those that come before any description wait for it.
    pub async fn add_candidate(&self, line: &str, mid: Option<&str>) -> Result<(), PeerError> {
        self.0.add_candidate(line, mid).await
    }

    /// Hands this remote track to the session from now on. One audio and one video track are presented: a later one of
    /// the same kind takes the place of the earlier.
    pub async fn present(&self, track: &str) -> Result<(), PeerError> {
        self.0.present(track)
    }

    /// What is known about the connection and its streams now.
    pub async fn statistics(&self) -> PeerStatistics {
        self.0.statistics().await
    }

    /// Ends it with everything of it: tasks, sockets, relay connections. Idempotent. The far side notices only after about
    /// five seconds: hang-ups are the signalling's job.
    pub async fn close(&self) {
        self.0.close().await;
    }
}
