//! Starts that follow bad ends wait, longer from time to time: a daemon that cannot live must wear out neither the flash with its
//! log nor the platform with its logins. systemd starts it again after 2 s for ever; longer waits it knows from release 254 on
//! only, which Debian 12 has not. So the daemon counts in its runtime directory, and waits itself.
//!
//! The first ones do not wait, for somebody may have been in a call.

use crate::journal::messages;
use sd_notify::NotifyState;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// Who has run for so long is not the one that cannot live.
pub const LONG_ENOUGH: Duration = Duration::from_secs(120);
/// With systemd's own 2 s, two minutes.
const LONGEST: Duration = Duration::from_secs(118);
/// Bad ends in a row after which no start waits.
const FORGIVEN: u32 = 2;
/// What a start may take after the wait: TimeoutStartSec of the unit.
const START: Duration = Duration::from_secs(30);

/// The wait before a start that has had this many bad ends before it.
fn wait(bad_ends: u32) -> Duration {
    match bad_ends.checked_sub(FORGIVEN + 1) {
        None => Duration::ZERO,
        Some(more) => Duration::from_secs(2 << more.min(6)).min(LONGEST),
    }
}

/// Counts the starts that no good end has followed.
#[derive(Debug, Clone)]
pub struct Starts {
    file: PathBuf,
}

impl Starts {
    /// In the unit's runtime directory; without one nobody starts the daemon again, and nothing is counted.
    pub fn of_the_unit() -> Option<Starts> {
        let directories = std::env::var_os("RUNTIME_DIRECTORY")?;
        std::env::split_paths(&directories).next().map(|first| Starts::in_directory(&first))
    }

    fn in_directory(directory: &Path) -> Starts {
        Starts { file: directory.join("starts") }
    }

    /// Counts this start; how many bad ends in a row are behind it. What cannot be read or written counts as none: better a start
    /// too early than none.
    fn begin(&self) -> u32 {
        let before = std::fs::read_to_string(&self.file).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0_u32);
        let _ = std::fs::write(&self.file, format!("{}\n", before.saturating_add(1)));
        before
    }

    /// It ended in order, or has run for [`LONG_ENOUGH`].
    pub fn forget(&self) {
        let _ = std::fs::remove_file(&self.file);
    }

    /// Waits as long as the bad ends before this start demand. Whether to start: not when it is told to stop meanwhile, after
    /// which nothing waits: that is a technician who has put something right.
    ///
    /// # Errors
    /// When the system has no timers or signals for it.
    pub fn hold_back(&self) -> std::io::Result<bool> {
        let bad_ends = self.begin();
        let wait = wait(bad_ends);
        if wait.is_zero() {
            return Ok(true);
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let start = runtime.block_on(async {
            let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
            let seconds = wait.as_secs();
            log::error!(
                MESSAGE_ID = messages::STARTED_IN_VAIN.id;
                "the last {bad_ends} starts ended badly: this one waits {seconds} s; `systemctl restart residentd` does not wait"
            );
            let extended = u32::try_from((wait + START).as_micros()).unwrap_or(u32::MAX);
            super::notify(&[
                NotifyState::Status(&format!("the last {bad_ends} starts ended badly: waiting {seconds} s (why: journalctl -u residentd)")),
                NotifyState::ExtendTimeoutUsec(extended),
            ]);
            Ok::<_, std::io::Error>(tokio::select! {
                () = tokio::time::sleep(wait) => true,
                _ = term.recv() => false,
                _ = int.recv() => false,
            })
        })?;
        if !start {
            self.forget();
        }
        Ok(start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_starts_do_not_wait_the_next_ones_longer_and_longer_and_none_more_than_two_minutes() {
        let waits: Vec<u64> = (0..12).map(|bad_ends| wait(bad_ends).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 2, 4, 8, 16, 32, 64, 118, 118, 118]);
        assert_eq!(wait(u32::MAX), LONGEST);
    }

    #[test]
    fn starts_are_counted_until_one_is_good() {
        let dir = tempfile::tempdir().unwrap();
        let starts = Starts::in_directory(dir.path());
        assert_eq!([starts.begin(), starts.begin(), starts.begin()], [0, 1, 2]);
        starts.forget();
        assert_eq!([starts.begin(), starts.begin()], [0, 1]);
        // Half a number, as after a power cut on a directory that is none of memory.
        std::fs::write(&starts.file, "").unwrap();
        assert_eq!(starts.begin(), 0);
    }

    #[test]
    fn a_directory_that_is_not_there_keeps_nobody_from_starting() {
        let starts = Starts::in_directory(Path::new("/nonexistent"));
        assert_eq!([starts.begin(), starts.begin()], [0, 0]);
        starts.forget();
    }
}
