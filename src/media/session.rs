//! The pipelines of one call.

use super::{Codec, Feedback, KeyFrameRequest, MediaEvent, Outlet, Outputs};
use bytes::Bytes;
use tokio::sync::mpsc;

/// Devices, sizes and rates.
#[derive(Debug, Clone, Default)]
pub struct Config {}

/// Why a session or a stream of it could not be opened: which device and what to try.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct MediaError(pub String);

/// The open devices and pipelines of one call. Cheap to clone; [`Session::close`] closes the devices for all clones.
#[derive(Clone)]
pub struct Session {}

impl Session {
    /// Opens microphone and, where permitted, camera. Blocks (devices): call from a blocking task.
    pub fn open(_config: Config, _camera: bool, _outputs: Outputs, _events: mpsc::Sender<MediaEvent>) -> Result<Session, MediaError> {
        unimplemented!("media helper")
    }
    /// Starts encoding with `codec` and hands RTP packets (this payload type, any SSRC) to `outlet` until dropped.
    pub fn send(&self, _codec: Codec, _payload_type: u8, _outlet: Outlet) -> Result<Sending, MediaError> {
        unimplemented!("media helper")
    }
    /// Starts presenting a stream that arrives with this codec and payload type, until dropped.
    pub fn receive(&self, _codec: Codec, _payload_type: u8, _key_frame: KeyFrameRequest) -> Result<Receiving, MediaError> {
        unimplemented!("media helper")
    }
    /// Sends silence while `true`.
    pub fn mute(&self, _muted: bool) {}
    /// Closes camera and microphone within 250 ms, whatever happens, then everything else. Idempotent.
    pub fn close(&self) {}
}

/// A running encoder.
pub struct Sending {}

impl Sending {
    /// The far side needs a key frame (PLI, FIR, just connected).
    pub fn key_frame(&self) {}
    /// The far side's view of what it gets; bitrate, picture size and rate follow it.
    pub fn feedback(&self, _feedback: Feedback) {}
}

/// A running decoder.
pub struct Receiving {}

impl Receiving {
    /// One RTP packet as it came (repairs already unwrapped).
    pub fn push(&self, _packet: Bytes) {}
    /// A sender report of this stream (RFC 3550 6.4.1): NTP time and the RTP time of the same instant, for lip sync.
    pub fn sender_report(&self, _ntp: u64, _rtp: u32) {}
}
