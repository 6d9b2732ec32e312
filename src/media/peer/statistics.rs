//! The figures of a peer connection, for the local API and the log.

use crate::media::{Codec, Kind};
use webrtc::peer_connection::{RTCStatsReport, RTCStatsReportEntry};

/// A peer connection's figures since it was made.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct PeerStatistics {
    /// `new`, `checking`, `connected`, `disconnected`, `failed` or `closed`.
    pub state: String,
    /// Type of our candidate in the selected pair: `host`, `srflx`, `prflx` or `relay`.
    pub local_candidate: Option<String>,
    /// How our relay is reached, where our candidate is a relayed one: `udp`, `tcp` or `tls`.
    pub relay_protocol: Option<String>,
    /// Type of the far side's candidate in the selected pair.
    pub remote_candidate: Option<String>,
    /// Round-trip time of the selected pair, in milliseconds.
    pub rtt_ms: Option<f64>,
    /// What the far side says it can receive, in bit/s (REMB).
    pub send_estimate: Option<u64>,
    /// What we tell the far side to send at most, in bit/s (REMB).
    pub receive_estimate: Option<u64>,
    /// What we send.
    pub sent: Vec<StreamStatistics>,
    /// What we receive.
    pub received: Vec<StreamStatistics>,
}

/// One stream, in one direction.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct StreamStatistics {
    /// Sound or picture.
    pub kind: Kind,
    /// As negotiated.
    pub codec: Codec,
    /// RTP payload type.
    pub payload_type: u8,
    /// Over about the last second, in bit/s of RTP packets.
    pub bitrate: u64,
    /// RTP packets, repairs not counted.
    pub packets: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// Packets lost for good: sent, as the far side reports; received, after repair.
    pub lost: u64,
    /// Fraction lost in the last report, 0..=1, before repair.
    pub loss: f64,
    /// Interarrival jitter in milliseconds (RFC 3550 6.4.1).
    pub jitter_ms: f64,
    /// Repaired: packets sent again, or received as a repair.
    pub retransmissions: u64,
    /// Packets asked for again (NACK), ours or the far side's.
    pub nacked: u64,
    /// Requests for a key frame (PLI, FIR), ours or the far side's.
    pub key_frame_requests: u64,
}

impl PeerStatistics {
    /// Fills in the selected pair from the crate's report; `relay` tells how the relay behind a URL is reached.
    pub(super) fn pair(&mut self, report: &RTCStatsReport, relay: impl Fn(&str) -> String) {
        let Some(transport) = report.transport() else { return };
        let Some(RTCStatsReportEntry::IceCandidatePair(pair)) = report.get(&transport.selected_candidate_pair_id) else { return };
        // A peer-reflexive candidate, found by the checks themselves, is in no list.
        let candidate = |side: &str, id: &str| match report.get(&format!("RTC{side}IceCandidate_{id}")) {
            Some(RTCStatsReportEntry::LocalCandidate(candidate) | RTCStatsReportEntry::RemoteCandidate(candidate)) => {
                (candidate.candidate_type.to_string(), candidate.url.clone())
            }
            _ => ("prflx".to_owned(), String::new()),
        };
        let (local, url) = candidate("Local", &pair.local_candidate_id);
        self.relay_protocol = (local == "relay").then(|| relay(&url));
        self.local_candidate = Some(local);
        self.remote_candidate = Some(candidate("Remote", &pair.remote_candidate_id).0);
        self.rtt_ms = Some(pair.current_round_trip_time * 1000.0).filter(|round_trip| *round_trip > 0.0);
    }
}
