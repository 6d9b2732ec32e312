//! `devices`: what the box has to see, hear, speak and show with, by the names that belong into the configuration.

use super::exit::{Exit, Failure};
use super::screen::Screen;
use crate::config::Config;
use crate::media::camera::choice::Want;
use crate::media::devices;

/// Lists them. Cameras are opened for a moment, without their light going on.
///
/// # Errors
/// When the listing itself breaks.
pub async fn run(screen: &mut Screen, config: Option<&Config>) -> Result<Exit, Failure> {
    let media = config.and_then(|config| crate::daemon::media(config).ok()).unwrap_or_default();
    let want = Want { width: media.width, height: media.height, fps: media.fps };
    let listed = screen.during("asking the devices", tokio::task::spawn_blocking(move || devices::list(want))).await;
    let listed = listed.map_err(|e| Failure::new(Exit::Failed, format!("the devices cannot be listed: {e}; report this")))?;
    if screen.json {
        screen.value(&listed, true);
    } else {
        listed.to_string().lines().for_each(|line| screen.line(line));
    }
    Ok(Exit::Done)
}
