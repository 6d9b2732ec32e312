//! `test`: one part at a time, looked at more closely than by `doctor`.

mod call;

pub use call::Wish as CallWish;

use super::client::Daemon;
use super::doctor::{self, Choice};
use super::exit::{Exit, Failure};
use super::screen::Screen;
use crate::config::{Config, Mistakes};
use clap::Subcommand;

/// The parts.
#[derive(Debug, Clone, Subcommand)]
pub enum Part {
    /// Open the camera: pictures a second, light. Its light goes on for some seconds.
    Camera,
    /// Listen to the microphone: its level.
    Microphone,
    /// Play half a second of soft noise, and listen for it with the microphone: is it heard, and how late.
    Speaker,
    /// Look at the display and the television: what is connected, and whether it is controlled.
    Screen,
    /// Call the box with itself through the platform's relay, and report how the call was.
    Call(Box<CallWish>),
}

/// Tests a part.
///
/// # Errors
/// See [`Exit`].
pub async fn run(screen: &mut Screen, daemon: &Daemon, loaded: Result<Config, Mistakes>, part: Part) -> Result<Exit, Failure> {
    let checks: &[&str] = match part {
        Part::Camera => &["camera"],
        Part::Microphone => &["microphone"],
        Part::Speaker => &["speaker"],
        Part::Screen => &["display", "cec"],
        Part::Call(wish) => return call::run(screen, daemon, loaded, *wish).await,
    };
    let choice = Choice { only: checks.iter().map(ToString::to_string).collect(), skip: Vec::new() };
    doctor::run(screen, daemon, loaded, &choice).await
}
