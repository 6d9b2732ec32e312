//! `test`: one part at a time, looked at more closely than by `doctor`.

mod bars;
mod call;
mod pictures;

pub use call::Wish as CallWish;

use super::client::Daemon;
use super::doctor::{self, Choice};
use super::exit::{Exit, Failure};
use super::screen::Screen;
use crate::config::{Config, Mistakes};
use clap::Subcommand;
use std::path::PathBuf;

/// The parts.
#[derive(Debug, Clone, Subcommand)]
pub enum Part {
    /// Open the camera: pictures a second, light. Its light goes on for some seconds.
    Camera,
    /// Listen to the microphone: its level.
    Microphone,
    /// Play half a second of soft noise, and listen for it with the microphone: is it heard, and how late.
    Speaker,
    /// Show colour bars, then say what is known of display and television.
    Screen {
        /// How long, in seconds.
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=60))]
        seconds: u64,
        /// Instead, write a picture of every screen that a resident may see into this folder, as PNG: no television is needed.
        #[arg(long, value_name = "FOLDER", conflicts_with = "seconds")]
        picture: Option<PathBuf>,
    },
    /// Call the box with itself through the platform's relay, and report how the call was.
    Call(Box<CallWish>),
}

/// Tests a part.
///
/// # Errors
/// See [`Exit`]; a configuration with mistakes is none to test anything with.
pub async fn run(screen: &mut Screen, daemon: &Daemon, loaded: Result<Config, Mistakes>, part: Part) -> Result<Exit, Failure> {
    let config = loaded.map_err(|mistakes| Failure::new(Exit::Configuration, mistakes.to_string()))?;
    let checks: &[&str] = match part {
        Part::Camera => &["camera"],
        Part::Microphone => &["microphone"],
        Part::Speaker => &["speaker"],
        Part::Screen { picture: Some(folder), .. } => return pictures::write(screen, &config, &folder).await,
        Part::Screen { seconds, picture: None } => {
            if let Some(shown) = bars::show(screen, daemon, &config, seconds).await?
                && !screen.json
            {
                screen.line(&format!("colour bars were shown: {shown} pictures in {seconds} s"));
            }
            &["display", "cec"]
        }
        Part::Call(wish) => return call::run(screen, daemon, config, *wish).await,
    };
    let choice = Choice { only: checks.iter().map(ToString::to_string).collect(), skip: Vec::new() };
    doctor::run(screen, daemon, Ok(config), &choice).await
}
