//! Sound of the box: [`microphone`] and its [`echo`] canceller, the [`speaker`] that mixes what the callers say, and the
//! [`player`] of ring and notice tones.

pub mod card;
pub mod devices;
pub mod echo;
pub mod microphone;
pub mod player;
pub mod presence;
pub mod speaker;
pub mod voicing;

use std::time::Duration;

/// Samples of a channel in one frame: 10 ms at 48 kHz.
pub const FRAME: usize = 480;
/// The length of a frame.
pub const FRAME_TIME: Duration = Duration::from_millis(10);
