//! Codecs, interceptors and settings of the crate: the rules of contracts/twilio-video.md section 9 in one place.

use super::description::MID_EXTENSION;
use super::figures::Figures;
use super::nack::Nack;
use super::rtx::RtxUnwrap;
use super::wire::Wire;
use crate::media::Codec;
use rtc::interceptor::{NackResponderBuilder, ReceiverReportBuilder, Registry, SenderReportBuilder, Slot};
use rtc::peer_connection::configuration::media_engine::{MIME_TYPE_H264, MIME_TYPE_OPUS, MIME_TYPE_RTX, MIME_TYPE_VP8, MediaEngine};
use rtc::peer_connection::configuration::setting_engine::{SettingEngine, SettingEngineBuilder};
use rtc::peer_connection::transport::RTCDtlsRole;
use rtc::rtp_transceiver::rtp_sender::{RTCPFeedback, RTCRtpCodec, RTCRtpCodecParameters, RTCRtpHeaderExtensionCapability, RtpCodecKind};
use rtc::shared::error::Result;
use std::sync::Arc;
use std::time::Duration;

/// Nothing heard for so long: disconnected. Browsers use the same.
const DISCONNECTED: Duration = Duration::from_secs(5);
/// And failed so much later: a call is given up after 30 s of silence.
const FAILED: Duration = Duration::from_secs(25);
/// Consent checks (RFC 7675 asks for at most 5 s).
const CONSENT: Duration = Duration::from_secs(2);
/// How long better candidates are waited for. The crate's 2 s for relays made a relayed call 2.7 s late instead of 1.1 s.
const PATIENCE: Duration = Duration::from_millis(100);
/// Sent packets kept for repairs: three seconds at 2.5 Mbit/s.
const REPEATABLE: u16 = 1024;

/// Our payload type for a codec; as answerer the far side's is taken over.
fn payload_type(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => 111,
        Codec::Vp8 => 96,
        Codec::H264 => 125,
    }
}

/// A codec as it is offered. No repairs for sound: its in-band error correction is cheaper than a round trip.
pub(super) fn codec(codec: Codec) -> RTCRtpCodec {
    let feedback = |typ: &str, parameter: &str| RTCPFeedback { typ: typ.to_owned(), parameter: parameter.to_owned() };
    let picture = || vec![feedback("goog-remb", ""), feedback("ccm", "fir"), feedback("nack", ""), feedback("nack", "pli")];
    let (mime, clock_rate, channels, parameters, rtcp_feedback) = match codec {
        Codec::Opus => (MIME_TYPE_OPUS, 48_000, 2, "minptime=10;useinbandfec=1", vec![]),
        Codec::Vp8 => (MIME_TYPE_VP8, 90_000, 0, "", picture()),
        Codec::H264 => (MIME_TYPE_H264, 90_000, 0, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f", picture()),
    };
    RTCRtpCodec { mime_type: mime.to_owned(), clock_rate, channels, sdp_fmtp_line: parameters.to_owned(), rtcp_feedback }
}

/// The given codecs for pictures, each with its retransmissions, in this order.
pub(super) fn picture_codecs(video: &[Codec]) -> Vec<RTCRtpCodecParameters> {
    let with_repairs = |&picture: &Codec| {
        let payload_type = payload_type(picture);
        let repair = RTCRtpCodec {
            mime_type: MIME_TYPE_RTX.to_owned(),
            clock_rate: 90_000,
            channels: 0,
            sdp_fmtp_line: format!("apt={payload_type}"),
            rtcp_feedback: vec![],
        };
        [
            RTCRtpCodecParameters { rtp_codec: codec(picture), payload_type },
            RTCRtpCodecParameters { rtp_codec: repair, payload_type: payload_type + 1 },
        ]
    };
    video.iter().filter(|codec| **codec != Codec::Opus).flat_map(with_repairs).collect()
}

/// Opus, and the given codecs for pictures.
pub(super) fn media_engine(video: &[Codec]) -> Result<MediaEngine> {
    let mut engine = MediaEngine::default();
    let opus = RTCRtpCodecParameters { rtp_codec: codec(Codec::Opus), payload_type: payload_type(Codec::Opus) };
    engine.register_codec(opus, RtpCodecKind::Audio)?;
    for picture in picture_codecs(video) {
        engine.register_codec(picture, RtpCodecKind::Video)?;
    }
    for kind in [RtpCodecKind::Audio, RtpCodecKind::Video] {
        engine.register_header_extension(RTCRtpHeaderExtensionCapability { uri: MID_EXTENSION.to_owned() }, kind, None)?;
    }
    Ok(engine)
}

/// Never the crate's default chain: with its transport-wide feedback Chromium sends a third of what it could.
pub(super) fn interceptors(figures: &Arc<Figures>) -> Registry {
    let measured = Arc::clone(figures);
    Registry::new()
        .with(Slot::from(500), Wire::new(Arc::clone(figures)))
        .with(Slot::NackResponder, NackResponderBuilder::new().with_size(REPEATABLE).build())
        .with(Slot::from(6_500), RtxUnwrap::default())
        .with(Slot::NackGenerator, Nack::new(Arc::new(move || measured.round_trip())))
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build())
        .with(Slot::SenderReport, SenderReportBuilder::new().build())
}

/// `mdns`: whether candidates that hide their address can be looked up on this network.
pub(super) fn settings(mdns: bool) -> SettingEngine {
    use rtc::ice::mdns::MulticastDnsMode;
    SettingEngineBuilder::new()
        // Answering as the client would swap the roles when the far side offers after having answered; browsers refuse that.
        .with_answering_dtls_role(RTCDtlsRole::Server)
        .with_ice_timeouts(Some(DISCONNECTED), Some(FAILED), Some(CONSENT))
        .with_host_acceptance_min_wait(Some(Duration::ZERO))
        .with_srflx_acceptance_min_wait(Some(PATIENCE))
        .with_prflx_acceptance_min_wait(Some(PATIENCE))
        .with_relay_acceptance_min_wait(Some(PATIENCE))
        // An ICE restart binds new sockets on the interfaces there are then: the box may have moved to another network.
        .with_discard_local_candidates_during_ice_restart(true)
        .with_multicast_dns_mode(if mdns { MulticastDnsMode::QueryOnly } else { MulticastDnsMode::Disabled })
        .build()
}

/// Whether a multicast socket can be had, which the crate insists on when it is to look up names. A machine without any
/// network has no route for it.
pub(super) fn mdns_possible() -> bool {
    rtc::mdns::MulticastSocket::new().into_std().is_ok()
}
