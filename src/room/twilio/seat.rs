//! One peer connection of the room as a task of its own: it does one thing after the other, so that descriptions and
//! candidates stay in order, and a slow one stops nobody.

use super::membership::PeerWord;
use super::negotiation::Task;
use crate::media::peer::{LocalTracks, Peer, PeerConfig, PeerError, PeerEvent, PeerStatistics};
use crate::media::session::Session;
use crate::room::Statistics;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;

/// Orders that may wait: all candidates of several generations at once, and descriptions.
const ORDERS: usize = 1024;
/// Events that may wait while an order is carried out: the peer must not stop for us.
const EVENTS: usize = 256;

enum Order {
    Task(Task),
    Present(String),
    Statistics(Statistics, oneshot::Sender<Statistics>),
}

/// What all peer connections of a room are made with.
#[derive(Clone)]
pub struct Making {
    /// Servers, codecs, addresses.
    pub config: PeerConfig,
    /// Encodes and decodes.
    pub session: Session,
    /// Our tracks.
    pub tracks: LocalTracks,
    /// Where the words go.
    pub words: mpsc::Sender<(String, PeerWord)>,
    /// Where the figures of the last one that carried something stay when it is closed: a call is asked about at its end.
    pub last: watch::Sender<Option<PeerStatistics>>,
}

/// A running peer connection. Dropping it closes it.
pub struct Seat {
    orders: mpsc::Sender<Order>,
}

impl Seat {
    /// Starts one, as a task of `tasks`.
    pub fn take(pc: String, making: Making, tasks: &mut JoinSet<()>) -> Self {
        let (orders, given) = mpsc::channel(ORDERS);
        tasks.spawn(run(pc, making, given));
        Self { orders }
    }

    /// Has it do something.
    pub fn task(&self, task: Task) {
        self.give(Order::Task(task));
    }

    /// Has it hand a remote track to the session.
    pub fn present(&self, track: String) {
        self.give(Order::Present(track));
    }

    /// Has it complete and give an answer.
    pub fn statistics(&self, statistics: Statistics, answer: oneshot::Sender<Statistics>) {
        self.give(Order::Statistics(statistics, answer));
    }

    fn give(&self, order: Order) {
        // Full only when the peer does nothing any more; then its silence ends the call.
        if self.orders.try_send(order).is_err() {
            log::warn!(MESSAGE_ID = crate::journal::messages::STREAM_FAILED.id; "a peer connection takes no orders any more; report this with the log");
        }
    }
}

async fn run(pc: String, making: Making, mut orders: mpsc::Receiver<Order>) {
    let Making { config, session, tracks, words, last } = making;
    let (tell, mut events) = mpsc::channel(EVENTS);
    let peer = match Peer::new(config, session, tracks, tell).await {
        Ok(peer) => peer,
        Err(error) => {
            let _ = words.send((pc, PeerWord::Refused(error.to_string()))).await;
            return;
        }
    };
    let mut talks = true;
    loop {
        let order = tokio::select! {
            order = orders.recv() => order,
            event = events.recv(), if talks => {
                talks = event.is_some();
                if let Some(word) = event.and_then(word)
                    && words.send((pc.clone(), word)).await.is_err()
                {
                    break;
                }
                continue;
            }
        };
        let Some(order) = order else { break };
        // What the peer said before belongs to its former description.
        while let Ok(event) = events.try_recv() {
            if let Some(word) = word(event) {
                let _ = words.send((pc.clone(), word)).await;
            }
        }
        let word = match order {
            Order::Task(task) => {
                let (what, begun) = (name(&task), std::time::Instant::now());
                log::debug!("peer connection {pc}: {what}");
                let word = carry_out(&peer, task).await;
                log::debug!("peer connection {pc}: {what} took {} ms", begun.elapsed().as_millis());
                word
            }
            Order::Present(track) => {
                if let Err(error) = peer.present(&track).await {
                    log::warn!(MESSAGE_ID = crate::journal::messages::STREAM_FAILED.id; "a track of the caller cannot be presented: {error}");
                }
                None
            }
            Order::Statistics(mut statistics, answer) => {
                statistics.peer = Some(peer.statistics().await);
                let _ = answer.send(statistics);
                None
            }
        };
        if let Some(word) = word
            && words.send((pc.clone(), word)).await.is_err()
        {
            break;
        }
    }
    let figures = peer.statistics().await;
    if figures.received.iter().any(|stream| stream.packets > 0) {
        last.send_replace(Some(figures));
    }
    peer.close().await;
}

async fn carry_out(peer: &Peer, task: Task) -> Option<PeerWord> {
    let refused = |error: PeerError| PeerWord::Refused(error.to_string());
    match task {
        Task::Offer { restart } => Some(peer.offer(restart).await.map_or_else(refused, PeerWord::Offered)),
        Task::AcceptOffer { sdp } => Some(peer.accept_offer(&sdp).await.map_or_else(refused, PeerWord::Answered)),
        Task::AcceptAnswer { sdp } => Some(peer.accept_answer(&sdp).await.map_or_else(refused, |()| PeerWord::Accepted)),
        Task::AddCandidate { line, mid } => {
            // One that cannot be used (a name that does not resolve, a family we lack) is no failure of the call.
            if let Err(error) = peer.add_candidate(&line, mid.as_deref()).await {
                log::debug!("a candidate of the far side is not used: {error}");
            }
            None
        }
    }
}

fn name(task: &Task) -> &'static str {
    match task {
        Task::Offer { restart: false } => "an offer",
        Task::Offer { restart: true } => "an offer of another path",
        Task::AcceptOffer { .. } => "an answer",
        Task::AcceptAnswer { .. } => "the far side's answer",
        Task::AddCandidate { .. } => "a candidate of the far side",
    }
}

fn word(event: PeerEvent) -> Option<PeerWord> {
    Some(match event {
        PeerEvent::Candidate(line) => PeerWord::Candidate(line),
        PeerEvent::GatheringComplete => PeerWord::Gathered,
        PeerEvent::Connected => PeerWord::Connected,
        PeerEvent::Disconnected => PeerWord::Disconnected,
        PeerEvent::Failed(why) => PeerWord::Failed(why),
        PeerEvent::Broken(why) => PeerWord::Broken(why),
        PeerEvent::Track { id, kind } => PeerWord::Track { id, kind },
        PeerEvent::Closed => return None,
    })
}
