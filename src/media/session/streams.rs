//! The two ends of a stream that a peer connection holds: dropping them ends it.

use super::super::Feedback;
use super::audio_encoder::AudioEncoder;
use super::decoder::Decoder;
use super::outlets::Outlets;
use super::video_encoder::VideoEncoder;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Instant;

/// What encodes a stream.
pub(super) enum Encoder {
    /// Sound.
    Audio(Arc<AudioEncoder>),
    /// Pictures.
    Video(Arc<VideoEncoder>),
}

impl Encoder {
    fn outlets(&self) -> &Outlets {
        match self {
            Encoder::Audio(e) => e.outlets(),
            Encoder::Video(e) => e.outlets(),
        }
    }
}

/// A running encoder.
pub struct Sending {
    pub(super) encoder: Encoder,
    pub(super) id: u64,
}

impl Sending {
    /// The far side needs a key frame (PLI, FIR, just connected).
    pub fn key_frame(&self) {
        if let Encoder::Video(encoder) = &self.encoder {
            encoder.key_frame();
        }
    }

    /// The far side's view of what it gets; bitrate, picture size and rate follow it.
    pub fn feedback(&self, feedback: Feedback) {
        self.encoder.outlets().feedback(self.id, Instant::now(), feedback);
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.encoder.outlets().remove(self.id);
    }
}

/// A running decoder.
pub struct Receiving {
    pub(super) decoder: Arc<Decoder>,
}

impl Receiving {
    /// One RTP packet as it came (repairs already unwrapped).
    pub fn push(&self, packet: Bytes) {
        self.decoder.push(packet);
    }

    /// A sender report of this stream (RFC 3550 6.4.1): NTP time and the RTP time of the same instant, for lip sync.
    pub fn sender_report(&self, ntp: u64, rtp: u32) {
        self.decoder.sender_report(ntp, rtp);
    }
}
