//! Figures of a call, for the log, the API and the statistics report of the room.

use super::sound::card::PlayingStats;
use super::sound::echo::EchoStats;
use super::{Codec, Kind};
use serde::Serialize;

/// The figures of a session, all counted from its start.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Statistics {
    /// One entry a codec that is being sent.
    pub sent: Vec<Sent>,
    /// One entry a stream that is being received.
    pub received: Vec<Received>,
    /// Whether the camera delivers; `None` without camera.
    pub camera: Option<bool>,
    /// Figures of the echo canceller, when it runs.
    pub echo: Option<EchoStats>,
    /// How the sound card plays, when there is one.
    pub playing: Option<PlayingStats>,
    /// Times the microphone lost sound because the box was too busy.
    pub microphone_gaps: u64,
}

/// What is sent with one codec.
#[derive(Debug, Clone, Serialize)]
pub struct Sent {
    /// The codec.
    pub codec: Codec,
    /// The encoder's element, e.g. `x264enc`.
    pub encoder: String,
    /// Width of the picture in pixels; 0 for sound.
    pub width: u32,
    /// Height of the picture in pixels; 0 for sound.
    pub height: u32,
    /// Frames a second aimed at; 0 for sound.
    pub fps: u32,
    /// bit/s aimed at.
    pub target_bitrate: u32,
    /// RTP packets.
    pub packets: u64,
    /// Bytes of RTP.
    pub bytes: u64,
    /// Frames given to the encoder.
    pub frames: u64,
    /// Frames that the encoder had no time for.
    pub frames_dropped: u64,
    /// Key frames asked for.
    pub key_frames: u64,
}

/// One stream that is received.
#[derive(Debug, Clone, Serialize)]
pub struct Received {
    /// Sound or picture.
    pub kind: Kind,
    /// The codec.
    pub codec: Codec,
    /// The decoder's element.
    pub decoder: String,
    /// Width of the newest picture in pixels; 0 for sound.
    pub width: u32,
    /// Height of the newest picture in pixels; 0 for sound.
    pub height: u32,
    /// RTP packets that came.
    pub packets: u64,
    /// Bytes of RTP that came.
    pub bytes: u64,
    /// Packets that did not come in time.
    pub lost: u64,
    /// Packets that came after their time, most of them repaired too late.
    pub late: u64,
    /// How long the jitter buffer waits for a packet, in milliseconds.
    pub wait_ms: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Interarrival jitter in milliseconds.
    pub jitter_ms: f64,
    /// Pictures, or frames of sound, decoded and handed on.
    pub frames: u64,
    /// Pictures decoded too late to be shown.
    pub frames_dropped: u64,
    /// Key frames asked for.
    pub key_frame_requests: u64,
    /// What this stream is held back for lip sync, in milliseconds.
    pub held_back_ms: f64,
}
