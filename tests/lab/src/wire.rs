//! One WebSocket of a server: a bounded queue out, text in, and the faults that a bad network would bring.

use crate::faults::{At, Faults};
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Frames that may wait for a slow client; with more it is cut, as a real platform would.
const QUEUE: usize = 1024;
/// How long a frame may wait for a client that does not read.
const STALLED: Duration = Duration::from_secs(30);
/// How long the farewell frame may take on a connection that nobody reads any more.
const FAREWELL: Duration = Duration::from_millis(500);

#[derive(Debug, Clone)]
pub(crate) enum Out {
    Text(Utf8Bytes),
    Close(u16, String),
}

/// The sending half, kept by the server.
#[derive(Debug, Clone)]
pub(crate) struct Sender {
    queue: mpsc::Sender<Out>,
    end: Arc<watch::Sender<Option<End>>>,
    who: Arc<Mutex<Option<String>>>,
}

/// The receiving half of a [`Sender`]: drained by a [`Wire`], or read by a member inside the process.
#[derive(Debug)]
pub(crate) struct Receiver {
    pub(crate) queue: mpsc::Receiver<Out>,
    end: watch::Receiver<Option<End>>,
    who: Arc<Mutex<Option<String>>>,
}

pub(crate) fn pair() -> (Sender, Receiver) {
    let (queue, out) = mpsc::channel(QUEUE);
    let (end, ended) = watch::channel(None);
    let who = Arc::new(Mutex::new(None));
    (Sender { queue, end: Arc::new(end), who: who.clone() }, Receiver { queue: out, end: ended, who })
}

impl Sender {
    /// Queues a frame; a client that does not keep up is cut.
    pub(crate) fn text(&self, text: Utf8Bytes) {
        if let Err(mpsc::error::TrySendError::Full(_)) = self.queue.try_send(Out::Text(text)) {
            self.cut();
        }
    }

    /// Closes after what is queued.
    pub(crate) fn close(&self, code: u16, reason: &str) {
        if self.queue.try_send(Out::Close(code, reason.to_owned())).is_err() {
            self.cut();
        }
    }

    /// Cuts the connection now, without a close frame.
    pub(crate) fn cut(&self) {
        self.end.send_replace(Some(None));
    }

    /// Closes now, past what is queued.
    pub(crate) fn close_now(&self, code: u16, reason: &str) {
        self.end.send_replace(Some(Some((code, reason.to_owned()))));
    }

    pub(crate) fn set_who(&self, who: &str) {
        *crate::lock(&self.who) = Some(who.to_owned());
    }

    pub(crate) fn who(&self) -> Option<String> {
        crate::lock(&self.who).clone()
    }
}

/// What comes out of [`Wire::next`].
#[derive(Debug)]
pub(crate) enum Got {
    Text(Utf8Bytes),
    /// The given deadline has passed.
    Deadline,
    /// The connection is over.
    Gone,
}

/// A WebSocket with its queue.
pub(crate) struct Wire<'a> {
    socket: WebSocket,
    receiver: Receiver,
    at: At,
    faults: &'a Faults,
    changes: watch::Receiver<u64>,
    stop: watch::Receiver<bool>,
    held: VecDeque<(Instant, Out)>,
    /// When the last frame went out and came in.
    pub(crate) last_out: Instant,
    pub(crate) last_in: Instant,
}

impl<'a> Wire<'a> {
    pub(crate) fn new(socket: WebSocket, receiver: Receiver, at: At, faults: &'a Faults, stop: watch::Receiver<bool>) -> Self {
        let now = Instant::now();
        Self { socket, receiver, at, faults, changes: faults.changes(), stop, held: VecDeque::new(), last_out: now, last_in: now }
    }

    /// The next text from the client, while sending what is queued.
    pub(crate) async fn next(&mut self, deadline: Option<Instant>) -> Got {
        loop {
            let who = crate::lock(&self.receiver.who).clone();
            let swallows = self.faults.swallows(self.at, who.as_deref());
            let due = self.held.front().map(|(at, _)| *at);
            tokio::select! {
                biased;
                () = stopped(&mut self.stop) => return self.farewell(1001, "the lab stops").await,
                end = ended(&mut self.receiver.end) => match end {
                    Some((code, reason)) => return self.farewell(code, &reason).await,
                    None => return Got::Gone,
                },
                () = until(due) => {
                    if let Some((_, out)) = self.held.pop_front() && !self.transmit(out, swallows).await {
                        return Got::Gone;
                    }
                }
                out = self.receiver.queue.recv(), if self.held.len() < QUEUE => {
                    let Some(out) = out else { return Got::Gone };
                    let delay = self.faults.delay(self.at);
                    if delay > Duration::ZERO || due.is_some() {
                        self.held.push_back((Instant::now() + delay, out));
                    } else if !self.transmit(out, swallows).await {
                        return Got::Gone;
                    }
                }
                () = until(deadline) => return Got::Deadline,
                Ok(()) = self.changes.changed() => {}
                // A half-open connection is not even read: its pings stay unanswered as if the cable were pulled.
                message = self.socket.recv(), if !swallows => match message {
                    Some(Ok(Message::Text(text))) => {
                        self.last_in = Instant::now();
                        return Got::Text(text);
                    }
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Got::Gone,
                    Some(Ok(_)) => {}
                },
            }
        }
    }

    async fn transmit(&mut self, out: Out, swallows: bool) -> bool {
        self.last_out = Instant::now();
        if swallows {
            return true;
        }
        let text = match out {
            Out::Text(text) => text,
            Out::Close(code, reason) => {
                self.farewell(code, &reason).await;
                return false;
            }
        };
        let text = if self.faults.breaks(self.at) {
            Utf8Bytes::from(text.chars().take(text.chars().count() / 2).collect::<String>())
        } else {
            text
        };
        // A client that reads nothing must not keep this task from hearing of its end.
        tokio::select! {
            sent = self.socket.send(Message::Text(text)) => sent.is_ok(),
            _ = ended(&mut self.receiver.end) => false,
            () = stopped(&mut self.stop) => false,
            () = tokio::time::sleep(STALLED) => false,
        }
    }

    /// Holds a half-open connection that the server has given up until the fault ends: the other side must not learn of it
    /// by a closed socket.
    pub(crate) async fn limbo(&mut self) {
        while self.faults.swallows(self.at, crate::lock(&self.receiver.who).as_deref()) {
            tokio::select! {
                () = stopped(&mut self.stop) => return,
                changed = self.changes.changed() => if changed.is_err() { return },
            }
        }
    }

    async fn farewell(&mut self, code: u16, reason: &str) -> Got {
        if self.faults.swallows(self.at, crate::lock(&self.receiver.who).as_deref()) {
            return Got::Gone;
        }
        let close = async {
            let frame = CloseFrame { code, reason: Utf8Bytes::from(reason) };
            let _ = self.socket.send(Message::Close(Some(frame))).await;
            // The client's answer ends the closing handshake; without waiting for it the frame may be lost to a reset.
            while let Some(Ok(_)) = self.socket.recv().await {}
        };
        let _ = tokio::time::timeout(FAREWELL, close).await;
        Got::Gone
    }
}

/// Returns when the lab stops.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    let _ = stop.wait_for(|s| *s).await;
}

type End = Option<(u16, String)>;

/// Returns when the connection is to end past its queue: with a close frame, or cut.
async fn ended(end: &mut watch::Receiver<Option<End>>) -> End {
    let found = end.wait_for(Option::is_some).await.map(|end| end.clone().flatten());
    match found {
        Ok(end) => end,
        // Nobody is left who could end it this way.
        Err(_) => std::future::pending().await,
    }
}

pub(crate) async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
