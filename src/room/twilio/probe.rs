//! A look at the room signalling without a room: hello, and which servers it hands out (twilio-video.md sections 3 and 4).

use super::messages::{self, Body};
use super::refusal;
use super::socket::{Socket, SocketEvent};
use super::transport::{Heard, Out, Transport};
use crate::media::peer::IceServer;
use std::sync::Arc;
use std::time::Instant;

/// What came of it.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It welcomed us and handed out these servers.
    Servers(Vec<IceServer>),
    /// It is the service and it answers, but does not take the token: code and words.
    Refused(i64, String),
}

/// Asks for the servers. Does not try again and has no deadline of its own: put a timeout around it. `token` may be empty,
/// to learn only whether the service is there.
///
/// # Errors
/// One line: why there was no answer of this service.
pub async fn servers(url: &str, token: &str, tls: Arc<rustls::ClientConfig>) -> Result<Answer, String> {
    let mut transport = Transport::new(Instant::now(), rand::random());
    let mut socket: Option<Socket> = None;
    loop {
        while let Some(out) = transport.poll() {
            match out {
                Out::Open => socket = Some(Socket::open(url.to_owned(), tls.clone())),
                Out::Text(text) => socket.as_ref().map_or(Ok(()), |s| s.send(text))?,
                Out::Close(..) => socket = None,
            }
        }
        let deadline = transport.next_deadline().unwrap_or_else(Instant::now);
        let event = match &mut socket {
            None => return Err(transport.trouble().to_owned()),
            Some(open) => tokio::time::timeout_at(deadline.into(), open.next()).await,
        };
        let heard = match event {
            Err(_) => transport.timeout(Instant::now()),
            Ok(SocketEvent::Opened) => {
                transport.opened(Instant::now(), messages::ice(token));
                Heard::Nothing
            }
            Ok(SocketEvent::Text(text)) => transport.frame(Instant::now(), &text),
            Ok(SocketEvent::Lost(why)) => return Err(why),
        };
        match heard {
            Heard::Message(body) => match *body {
                Body::Iced(servers) => {
                    let servers =
                        servers.into_iter().map(|s| IceServer { urls: s.urls, username: s.username, credential: s.credential.into() });
                    let answer = Answer::Servers(servers.collect());
                    goodbye(socket.take()).await;
                    return Ok(answer);
                }
                Body::Error { code, message } => return Ok(Answer::Refused(code, refusal::words(code, &message))),
                _ => {}
            },
            Heard::Lost => return Err(transport.trouble().to_owned()),
            Heard::Unwanted => return Err("the service is busy and wants no further attempt; try again later".into()),
            Heard::Nothing | Heard::Welcome => {}
        }
    }
}

async fn goodbye(socket: Option<Socket>) {
    if let Some(socket) = socket {
        let _ = socket.send(r#"{"type":"bye"}"#.to_owned());
        // The task ends by itself within half a second.
        let _ = socket.close(1000, "").await;
    }
}
