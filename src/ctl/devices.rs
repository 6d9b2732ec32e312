//! `devices`: what the box has to see, hear, speak and show with, by the names that belong into the configuration.

use super::exit::{Exit, Failure};
use super::screen::Screen;
use crate::config::Config;
use crate::media::devices;
use crate::tv::keymap::Map;
use serde::Serialize;

/// Everything, with the names in the places where programs have found them so far.
#[derive(Serialize)]
struct All {
    #[serde(flatten)]
    media: devices::Devices,
    #[serde(flatten)]
    tv: crate::tv::devices::Devices,
}

/// Lists them. Cameras are opened for a moment, without their light going on.
///
/// # Errors
/// When the listing itself breaks.
pub async fn run(screen: &mut Screen, config: Option<&Config>) -> Result<Exit, Failure> {
    let media = config.and_then(|config| crate::daemon::media(config).ok()).unwrap_or_default();
    let want = media.want();
    let keymap = config.and_then(|config| config.path("tv.keys.map"));
    let listing = move || All { media: devices::list(want), tv: crate::tv::devices::list(&Map::with(keymap.as_deref())) };
    let listed = screen.during("asking the devices", tokio::task::spawn_blocking(listing)).await;
    let listed = listed.map_err(|e| Failure::new(Exit::Failed, format!("the devices cannot be listed: {e}; report this")))?;
    if screen.json {
        screen.value(&listed, true);
        return Ok(Exit::Done);
    }
    for line in format!("{}{}", listed.media, listed.tv).lines() {
        let words = line.trim_start();
        screen.indented(line.len() - words.len(), words);
    }
    Ok(Exit::Done)
}
