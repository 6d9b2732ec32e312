//! `test screen --picture`: what residents see, for somebody who has no television at hand.

use super::super::exit::{Exit, Failure};
use super::super::screen::Screen;
use crate::config::Config;
use crate::tv::screen::gallery::{SCREENS, png};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Writes a PNG of 1920 by 1080 for each screen into the folder, in the resident's language and time.
///
/// # Errors
/// There is no font to draw with, or the folder cannot be written to.
pub async fn write(screen: &mut Screen, config: &Config, folder: &Path) -> Result<Exit, Failure> {
    let tv = crate::daemon::television(config);
    let failed = |path: &Path, e: std::io::Error| Failure::new(Exit::Failed, format!("{} cannot be written: {e}", path.display()));
    std::fs::create_dir_all(folder).map_err(|e| failed(folder, e))?;
    let mut written: Vec<PathBuf> = Vec::new();
    for name in SCREENS {
        let (locale, time_zone, font) = (tv.locale.clone(), tv.time_zone.clone(), tv.font.clone());
        let drawing = tokio::task::spawn_blocking(move || png(name, &locale, &time_zone, &font));
        let drawn = screen.during(&format!("drawing {name}"), drawing).await;
        let drawn = drawn.map_err(|e| e.to_string()).flatten().map_err(|why| Failure::new(Exit::Failed, why))?;
        let path = folder.join(name).with_extension("png");
        std::fs::write(&path, drawn).map_err(|e| failed(&path, e))?;
        if !screen.json {
            screen.line(&format!("written: {}", path.display()));
        }
        written.push(path);
    }
    if screen.json {
        screen.value(&json!({ "written": written }), true);
    }
    Ok(Exit::Done)
}
