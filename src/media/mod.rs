//! The call's media. `peer` is the peer connection (crate `webrtc`); `session` the GStreamer pipelines of one call:
//! camera and microphone out, picture and sound in. They meet in the few types below: RTP packets as bytes, and feedback.
//!
//! Nothing here is initialised before the first ring, and a `session::Session` is opened only on
//! [`crate::call::Action::Connect`].

pub mod adapt;
pub mod camera;
pub mod devices;
pub mod peer;
pub(crate) mod pipeline;
pub mod reading;
pub mod relay;
pub mod session;
pub mod sound;
mod source;
pub mod stats;
pub mod trial;

pub use pipeline::gstreamer;
pub use session::MediaError;

use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// Sound or picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Sound.
    Audio,
    /// Picture.
    Video,
}

/// The codecs of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize)]
pub enum Codec {
    /// Opus, 48 kHz, in-band FEC (RFC 7587).
    Opus,
    /// VP8 (RFC 7741).
    Vp8,
    /// H.264 constrained baseline 42e01f, packetization mode 1 (RFC 6184).
    H264,
}

impl Codec {
    /// What it carries.
    pub fn kind(self) -> Kind {
        match self {
            Codec::Opus => Kind::Audio,
            Codec::Vp8 | Codec::H264 => Kind::Video,
        }
    }
}

/// Takes one RTP packet from an encoder's payloader. Called on a streaming thread: must not block.
pub type Outlet = Arc<dyn Fn(Bytes) + Send + Sync>;

/// Asks the sender for a key frame (PLI). Called on a streaming thread: must not block.
pub type KeyFrameRequest = Arc<dyn Fn() + Send + Sync>;

/// What the far receiver says about what we send.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Feedback {
    /// Receiver estimated maximum bitrate in bit/s (REMB).
    pub estimate: Option<u64>,
    /// Fraction lost since the last report, 0..=1 (RFC 3550 6.4.1).
    pub loss: Option<f32>,
    /// Round-trip time.
    pub rtt: Option<Duration>,
}

/// Where a call's decoded picture goes: raw video buffers with their caps. Called on a streaming thread; must not block.
pub trait PictureSink: Send + Sync {
    /// One picture.
    fn push(&self, sample: &gstreamer::Sample);
}

/// Takes interleaved samples as they are played. Called on a streaming thread: must not block.
pub type SampleSink = Arc<dyn Fn(&[i16]) + Send + Sync>;

/// Where sound is played.
#[derive(Clone)]
pub enum SoundOut {
    /// Played in real time to nobody.
    Null,
    /// An ALSA device, e.g. `default` or `hdmi:CARD=vc4hdmi,DEV=0`.
    Alsa(String),
    /// Handed over as 48 kHz stereo samples, in real time (the lab's television).
    Samples(SampleSink),
}

/// What a call's session hands its decoded media to.
#[derive(Clone)]
pub struct Outputs {
    /// The caller's picture.
    pub remote: Arc<dyn PictureSink>,
    /// The resident's own picture (self-view), as the camera gives it.
    pub own: Arc<dyn PictureSink>,
    /// The caller's sound.
    pub sound: SoundOut,
}

/// What happens to a session by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaEvent {
    /// The first picture or sound of the caller was handed to the outputs.
    Flowing(Kind),
    /// The camera is gone; a placeholder is sent instead. The line says which and what to try.
    CameraLost(String),
    /// It is back.
    CameraBack,
    /// Over for good: one line that says which device and what to try.
    Failed(String),
}
