//! Readiness, status line and watchdog towards systemd. Without systemd (no `NOTIFY_SOCKET`) everything here does nothing.

pub mod beat;
pub mod doctor;
mod starts;
mod words;

pub use beat::{Beat, supervise};
pub use starts::{LONG_ENOUGH, Starts};
pub use words::words;

use crate::journal::messages;
use sd_notify::NotifyState;
use std::time::Duration;

/// Local services are up: the box may be slow to reach its cloud, the daemon is ready all the same.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// One line for `systemctl status`.
pub fn status(words: &str) {
    notify(&[NotifyState::Status(words)]);
}

/// The configuration is being read anew; [`ready`] ends it.
pub fn reloading() {
    match NotifyState::monotonic_usec_now() {
        Ok(now) => notify(&[NotifyState::Reloading, now]),
        Err(e) => log::debug!("the system has no clock for systemd: {e}"),
    }
}

/// An orderly stop has begun.
pub fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("stopping: saying goodbye and putting the television back")]);
}

/// For how long systemd waits for a ping, if it watches.
pub fn patience() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

/// Pings systemd as long as every supervised loop makes progress. Never ends; comes back at once where nobody watches.
pub async fn watchdog() {
    let Some(patience) = patience() else { return };
    let silent = |who: &[String]| match who {
        [] => log::info!("every part of the daemon makes progress again"),
        who => log::error!(
            MESSAGE_ID = messages::STUCK.id;
            "stuck: {}; systemd starts the daemon anew if that lasts {} s; please report this with the log",
            who.join(", "),
            patience.as_secs()
        ),
    };
    beat::watch(patience, || notify(&[NotifyState::Watchdog]), silent).await;
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        log::warn!(MESSAGE_ID = crate::journal::messages::DEFECT.id; "systemd was not told {states:?}: {e}");
    }
}
