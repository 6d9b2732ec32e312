//! Where a call's media meets. A room is joined with a [`Ticket`] that the line got; it speaks its signalling, owns the
//! call's peer connections, and reports in the few words of [`crate::call::RoomEvent`].

pub mod twilio;

use crate::call::RoomEvent;
use crate::media::session::Session;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
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

/// Joins the room that the ticket is for. Returns at once; what happens is told through `events`, and `Failed` or the end
/// of the handle is the end. `session` holds the devices that were opened for this call; with `camera` a picture is sent.
/// Must be called within a tokio runtime.
pub fn join(ticket: Ticket, settings: twilio::Settings, session: Session, camera: bool, events: mpsc::Sender<RoomEvent>) -> RoomHandle {
    match ticket {
        Ticket::Twilio { url, token, room, caller } => {
            twilio::join(twilio::Invitation { url, token, room, caller }, settings, session, camera, events)
        }
    }
}

/// The longest a polite leaving may take.
const LEAVE: Duration = Duration::from_secs(2);

/// A joined (or joining) room. Dropping it leaves politely in the background.
#[derive(Debug)]
pub struct RoomHandle {
    leave: CancellationToken,
    mute: watch::Sender<bool>,
    network: Arc<Notify>,
    questions: mpsc::Sender<oneshot::Sender<Statistics>>,
    task: Option<tokio::task::JoinHandle<()>>,
}

/// What the room's task holds of its handle.
struct Reins {
    leave: CancellationToken,
    mute: watch::Receiver<bool>,
    network: Arc<Notify>,
    questions: mpsc::Receiver<oneshot::Sender<Statistics>>,
}

impl RoomHandle {
    fn spawn<F>(task: impl FnOnce(Reins) -> F) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let leave = CancellationToken::new();
        let (mute, muted) = watch::channel(false);
        let (questions, asked) = mpsc::channel(4);
        let network = Arc::new(Notify::new());
        let reins = Reins { leave: leave.clone(), mute: muted, network: network.clone(), questions: asked };
        let task = tokio::spawn(task(reins));
        Self { leave, mute, network, questions, task: Some(task) }
    }

    /// Silences the microphone and tells the others, or the reverse.
    pub fn mute(&self, muted: bool) {
        self.mute.send_replace(muted);
    }

    /// The box has another address or another way out: finds a new path for signalling and media at once, instead of
    /// waiting until the old ones are known to be dead.
    pub fn network_changed(&self) {
        self.network.notify_one();
    }

    /// Says goodbye, closes the peer connections and the signalling; at most two seconds, whatever the network does.
    pub async fn leave(mut self) {
        self.leave.cancel();
        if let Some(task) = self.task.take() {
            let abort = task.abort_handle();
            if tokio::time::timeout(LEAVE, task).await.is_err() {
                abort.abort();
            }
        }
    }

    /// How the call is doing; `None` when it is over. The future does not borrow the handle: whoever holds it need not wait.
    pub fn statistics(&self) -> impl Future<Output = Option<Statistics>> + Send + 'static {
        let questions = self.questions.clone();
        async move {
            let (answer, answered) = oneshot::channel();
            questions.send(answer).await.ok()?;
            answered.await.ok()
        }
    }
}

impl Drop for RoomHandle {
    fn drop(&mut self) {
        self.leave.cancel();
    }
}

/// How the call in a room is doing.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Statistics {
    /// Others in the room.
    pub participants: usize,
    /// Whether the signalling connection is up; media goes on without it for a while.
    pub signalling: bool,
    /// The peer connection's figures, once there is one.
    pub peer: Option<crate::media::peer::PeerStatistics>,
}
