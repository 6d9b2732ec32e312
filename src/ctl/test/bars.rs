//! `test screen`: colour bars for somebody who stands in front of the television, then what is known of it.

use super::super::client::Daemon;
use super::super::doctor::leave_devices_to_calls;
use super::super::exit::{Exit, Failure};
use super::super::screen::Screen;
use crate::config::Config;
use crate::media::reading::bars;
use crate::tv::held;
use crate::tv::output::Sink;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Shows them for so many seconds; says how many pictures were shown.
///
/// # Errors
/// When they cannot be shown.
pub async fn show(screen: &mut Screen, api: &Daemon, config: &Config, seconds: u64) -> Result<Option<u64>, Failure> {
    let wanted = match config.text("tv.sink") {
        "kms" => Some(crate::daemon::television(config).wanted),
        "window" => None,
        _ => return Ok(None),
    };
    let status = api.get("status").await.ok();
    let phase = status.as_ref().and_then(|s| s["phase"].as_str());
    if phase.is_some_and(|phase| !matches!(phase, "idle" | "stopped")) {
        return Err(Failure::new(Exit::Failed, "the daemon shows something now: the display is left to it; try again when it is idle"));
    }
    let call = CancellationToken::new();
    let _watch = status.is_some().then(|| leave_devices_to_calls(api.clone(), call.clone()));
    let shown = tokio::task::spawn_blocking(move || {
        let lit = wanted.map(|wanted| held::light(&wanted)).transpose()?;
        let sink = lit.as_ref().map_or_else(|| Sink::Window.description().to_owned(), |(_, lit)| lit.sink());
        bars(&sink, Duration::from_secs(seconds), &call)
    });
    let shown = screen.during("colour bars are on the screen now", shown).await;
    let shown = shown.map_err(|e| Failure::new(Exit::Failed, format!("showing them broke: {e}; report this")))?;
    shown.map(Some).map_err(|why| Failure::new(Exit::Failed, why))
}
