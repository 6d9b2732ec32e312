//! Where a call's media meets. A room is joined with a [`Ticket`] that the line got; it speaks its signalling, owns the
//! call's peer connections, and reports in the few words of [`crate::call::RoomEvent`].

pub mod twilio;

use zeroize::Zeroizing;

/// What is needed to join a room.
#[derive(Clone)]
pub enum Ticket {
    /// A Twilio Video room (twilio-video.md).
    Twilio {
        /// Signalling address, e.g. `wss://global.vss.twilio.com/signaling`.
        url: String,
        /// The access token, a secret.
        token: Zeroizing<String>,
        /// Name of the room.
        room: String,
        /// The caller's identity there, when known: whose arrival and leaving counts. `None`: anybody's.
        caller: Option<String>,
    },
}

impl std::fmt::Debug for Ticket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Ticket::Twilio { url, room, .. } => f.debug_struct("Twilio").field("url", url).field("room", room).finish_non_exhaustive(),
        }
    }
}
