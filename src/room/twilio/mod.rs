//! Twilio Video room signalling (contracts: twilio-video.md).

use super::{Reins, RoomHandle};
use crate::call::RoomEvent;
use crate::media::session::Session;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use zeroize::Zeroizing;

/// The parts of a ticket to a Twilio room.
#[derive(Clone)]
pub struct Invitation {
    /// Signalling address, e.g. `wss://global.vss.twilio.com/signaling`.
    pub url: String,
    /// The access token, a secret.
    pub token: Zeroizing<String>,
    /// Name of the room.
    pub room: String,
    /// The caller's identity there, when known: whose arrival and leaving counts. `None`: anybody's.
    pub caller: Option<String>,
}

/// How to join.
#[derive(Clone)]
pub struct Settings {
    /// Trust for `wss:` and for relays over TLS.
    pub tls: Arc<rustls::ClientConfig>,
    /// Send and receive media through a relay only.
    pub relay_only: bool,
    /// How long what may take.
    pub timings: Timings,
}

/// How long what may take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timings {
    /// From the start until we must be in the room; until then every attempt is repeated.
    pub join: Duration,
    /// From the loss of the media path until we ask for another one (ICE restart).
    pub restart_after: Duration,
    /// From the loss of the media path until the call is given up.
    pub give_up_after: Duration,
}

impl Default for Timings {
    fn default() -> Self {
        Self { join: Duration::from_secs(30), restart_after: Duration::from_secs(3), give_up_after: Duration::from_secs(30) }
    }
}

/// Joins a room; see [`super::join`].
pub fn join(invitation: Invitation, settings: Settings, session: Session, camera: bool, events: mpsc::Sender<RoomEvent>) -> RoomHandle {
    RoomHandle::spawn(move |reins| run(invitation, settings, session, camera, events, reins))
}

async fn run(
    _invitation: Invitation,
    _settings: Settings,
    _session: Session,
    _camera: bool,
    events: mpsc::Sender<RoomEvent>,
    mut reins: Reins,
) {
    let _ = events.send(RoomEvent::Failed("this build has no room signalling yet".into())).await;
    loop {
        tokio::select! {
            () = reins.leave.cancelled() => return,
            Some(answer) = reins.questions.recv() => drop(answer),
            Ok(()) = reins.mute.changed() => {}
        }
    }
}
