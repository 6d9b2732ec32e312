//! A WebSocket of the room's signalling as a task of its own, so that a network that swallows what is sent stops nobody.

use futures_util::{SinkExt, StreamExt};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{Connector, connect_async_tls_with_config};
use tokio_util::sync::{CancellationToken, DropGuard};

/// Longest message read; descriptions of a large group room have some ten thousand characters.
const MESSAGE: usize = 1 << 20;
/// How long the last frames and the closing handshake may take.
const CLOSING: Duration = Duration::from_millis(500);

/// What a socket tells.
#[derive(Debug)]
pub enum SocketEvent {
    /// Open.
    Opened,
    /// A text frame.
    Text(Utf8Bytes),
    /// Gone, or never opened, and why.
    Lost(String),
}

enum Outgoing {
    Text(String),
    Close(u16, &'static str),
}

/// A socket that is opening or open. Dropping it ends it.
pub struct Socket {
    outgoing: mpsc::Sender<Outgoing>,
    events: mpsc::Receiver<SocketEvent>,
    task: JoinHandle<()>,
    alive: DropGuard,
}

impl Socket {
    /// Starts opening one.
    pub fn open(url: String, tls: Arc<rustls::ClientConfig>) -> Self {
        // Both bounded: a server that floods is slowed down by TCP, and one that does not read is given up.
        let (outgoing, to_send) = mpsc::channel(64);
        let (tell, events) = mpsc::channel(64);
        let dropped = CancellationToken::new();
        let alive = dropped.clone().drop_guard();
        let task = tokio::spawn(async move {
            tokio::select! {
                why = pump(url, tls, to_send, &tell) => { let _ = tell.try_send(SocketEvent::Lost(why)); }
                () = async { dropped.cancelled().await; tokio::time::sleep(CLOSING).await } => {}
            }
        });
        Self { outgoing, events, task, alive }
    }

    /// What it tells next. Cancel safe.
    pub async fn next(&mut self) -> SocketEvent {
        match self.events.recv().await {
            Some(event) => event,
            None => SocketEvent::Lost("the connection ended".into()),
        }
    }

    /// Sends a text frame.
    ///
    /// # Errors
    /// When nothing can be sent any more, because the network takes nothing.
    pub fn send(&self, text: String) -> Result<(), String> {
        self.outgoing.try_send(Outgoing::Text(text)).map_err(|_| "the network takes nothing any more".into())
    }

    /// Closes it in the background, within half a second. The task may be awaited.
    pub fn close(self, code: u16, reason: &'static str) -> JoinHandle<()> {
        let _ = self.outgoing.try_send(Outgoing::Close(code, reason));
        drop(self.alive);
        self.task
    }
}

async fn pump(
    url: String,
    tls: Arc<rustls::ClientConfig>,
    mut to_send: mpsc::Receiver<Outgoing>,
    events: &mpsc::Sender<SocketEvent>,
) -> String {
    let config = WebSocketConfig::default().max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
    let opening = connect_async_tls_with_config(url, Some(config), true, Some(Connector::Rustls(tls)));
    let mut socket = tokio::select! {
        opened = opening => match opened {
            Ok((socket, _)) => socket,
            Err(error) => return format!("the connection could not be opened: {error}"),
        },
        _ = to_send.recv() => return String::new(),
    };
    if events.send(SocketEvent::Opened).await.is_err() {
        return String::new();
    }
    loop {
        tokio::select! {
            out = to_send.recv() => match out {
                Some(Outgoing::Text(text)) => if let Err(error) = socket.send(Message::text(text)).await {
                    return format!("the connection broke: {error}");
                },
                Some(Outgoing::Close(code, reason)) => {
                    let frame = CloseFrame { code: CloseCode::from(code), reason: reason.into() };
                    let _ = socket.close(Some(frame)).await;
                    // Until the other side has closed too, so that the last frames are not cut off by a reset.
                    while let Some(Ok(_)) = socket.next().await {}
                    return String::new();
                }
                None => return String::new(),
            },
            came = socket.next() => match came {
                Some(Ok(Message::Text(text))) => if events.send(SocketEvent::Text(text)).await.is_err() {
                    return String::new();
                },
                Some(Ok(Message::Close(frame))) => {
                    let code = frame.map_or(1005, |f| u16::from(f.code));
                    return format!("the service closed the connection with {code}");
                }
                Some(Ok(_)) => {}
                Some(Err(error)) => return format!("the connection broke: {error}"),
                None => return "the connection ended".into(),
            },
        }
    }
}
