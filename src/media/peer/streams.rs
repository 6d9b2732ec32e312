//! The seam to the call's pipelines, as narrow as the peer connection needs it: tests of repairs count packets instead of
//! encoding pictures.

use crate::media::session::{MediaError, Receiving, Sending, Session};
use crate::media::{Codec, Feedback, KeyFrameRequest, Outlet};
use bytes::Bytes;

/// Encodes and decodes for a peer connection. In a call, the [`Session`].
pub trait Streams: Send + Sync + 'static {
    /// Starts encoding with `codec` and hands RTP packets (any SSRC) to `outlet` until the result is dropped. May block.
    fn send(&self, codec: Codec, payload_type: u8, outlet: Outlet) -> Result<Box<dyn Encoding>, MediaError>;
    /// Starts presenting a stream with this codec and payload type until the result is dropped. May block.
    fn receive(&self, codec: Codec, payload_type: u8, key_frame: KeyFrameRequest) -> Result<Box<dyn Decoding>, MediaError>;
}

/// A running encoder.
pub trait Encoding: Send + Sync {
    /// The far side needs a key frame.
    fn key_frame(&self);
    /// The far side's view of what it gets.
    fn feedback(&self, feedback: Feedback);
}

/// A running decoder.
pub trait Decoding: Send + Sync {
    /// One RTP packet, repairs unwrapped, in the order of arrival.
    fn push(&self, packet: Bytes);
    /// A sender report of this stream.
    fn sender_report(&self, ntp: u64, rtp: u32);
}

impl Streams for Session {
    fn send(&self, codec: Codec, payload_type: u8, outlet: Outlet) -> Result<Box<dyn Encoding>, MediaError> {
        Ok(Box::new(Session::send(self, codec, payload_type, outlet)?))
    }
    fn receive(&self, codec: Codec, payload_type: u8, key_frame: KeyFrameRequest) -> Result<Box<dyn Decoding>, MediaError> {
        Ok(Box::new(Session::receive(self, codec, payload_type, key_frame)?))
    }
}

impl Encoding for Sending {
    fn key_frame(&self) {
        Sending::key_frame(self);
    }
    fn feedback(&self, feedback: Feedback) {
        Sending::feedback(self, feedback);
    }
}

impl Decoding for Receiving {
    fn push(&self, packet: Bytes) {
        Receiving::push(self, packet);
    }
    fn sender_report(&self, ntp: u64, rtp: u32) {
        Receiving::sender_report(self, ntp, rtp);
    }
}
