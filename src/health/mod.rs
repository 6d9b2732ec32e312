//! Readiness, status line and watchdog towards systemd. Without systemd (no `NOTIFY_SOCKET`) everything here does nothing.

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

/// An orderly stop has begun.
pub fn stopping() {
    notify(&[NotifyState::Stopping]);
}

/// How often [`alive`] is to be called, if systemd watches: a third of its patience.
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled().map(|patience| patience / 3)
}

/// The loop made progress.
pub fn alive() {
    notify(&[NotifyState::Watchdog]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(e) = sd_notify::notify(states) {
        log::warn!("systemd was not told {states:?}: {e}");
    }
}
