//! The line to Chatta: REST, Pusher channels and call events (contracts: chatta.md).
//!
//! `task.rs` is the line's task and owns everything else: `account.rs` and `token.rs` keep it logged in over `rest.rs`,
//! `intake.rs` turns events (read by `events.rs`) into offers, `replies.rs` remembers what is still to be said, `shown.rs`
//! whether the platform shows the resident as online.

mod account;
mod events;
mod intake;
pub mod probe;
mod replies;
mod rest;
mod settings;
mod shown;
mod task;
#[cfg(test)]
mod tests;
mod token;

pub use settings::{Admission, Credentials, Flood, Settings, Times};

use super::{LineEvent, LineHandle};
use crate::call::LineId;
use crate::journal::messages;
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// Commands that may wait for the line. The agent sends a few a call.
const COMMANDS: usize = 32;
/// Before a line that failed internally is started anew.
const RESTART: Duration = Duration::from_secs(5);

/// Starts the line. It tells `events` what happens until it is stopped with [`super::LineCommand::Stop`], or every
/// handle to it is gone. It never gives up: what fails is reported as [`super::LineState::Offline`] and tried again.
pub fn spawn(settings: Settings, tls: Arc<rustls::ClientConfig>, events: mpsc::Sender<(LineId, LineEvent)>) -> LineHandle {
    let (commands, mut received) = mpsc::channel(COMMANDS);
    let id = settings.id.clone();
    let settings = Arc::new(settings);
    tokio::spawn(async move {
        // A fault of ours must not make the resident unreachable for good. What the task held is made anew.
        while AssertUnwindSafe(task::Line::new(settings.clone(), tls.clone(), events.clone()).run(&mut received))
            .catch_unwind()
            .await
            .is_err()
        {
            log::error!(MESSAGE_ID = messages::DEFECT.id, LINE = settings.id.0.as_str(); "the line failed internally and is started anew; please report this");
            tokio::time::sleep(RESTART).await;
        }
    });
    LineHandle { id, commands }
}
