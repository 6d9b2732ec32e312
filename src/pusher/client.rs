//! Drives [`Protocol`] over a WebSocket, as a task of its own. Woken by frames, commands and deadlines only.

use super::{Authorisation, Endpoint, News, Outcome, Output, Protocol, Times, Trigger};
use futures_util::{FutureExt, SinkExt, StreamExt};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{sleep_until, timeout};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};

/// News that may wait for the owner; beyond that the socket is not read, and the server's own limits apply.
const NEWS: usize = 64;
/// Commands that may wait for the task.
const COMMANDS: usize = 64;
/// Frames read in a row before timers and commands get their turn.
const BATCH: usize = 256;
/// For writing to a socket whose peer may have stopped reading.
const WRITE: Duration = Duration::from_secs(15);
/// For one of the host's addresses: a dead IPv6 route must not use up the whole handshake time.
const ADDRESS: Duration = Duration::from_secs(5);
/// For the closing handshake when leaving.
const GOODBYE: Duration = Duration::from_millis(500);

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Opening = Pin<Box<dyn Future<Output = Result<Socket, String>> + Send>>;

/// What a client keeps up.
#[derive(Clone)]
pub struct Plan {
    /// Where.
    pub endpoint: Endpoint,
    /// Times of the protocol.
    pub times: Times,
    /// Channels to be subscribed to, in this order.
    pub channels: Vec<String>,
    /// The events to be told about: channel, name.
    pub bindings: Vec<(String, String)>,
    /// The daemon's TLS configuration.
    pub tls: Arc<rustls::ClientConfig>,
}

enum Command {
    Authorised { socket: String, channel: String, answer: Result<Authorisation, String> },
    Trigger(Trigger),
    NetworkChanged,
    Close,
}

/// A running client. Ends when dropped.
pub struct Client {
    commands: mpsc::Sender<Command>,
    news: mpsc::Receiver<News>,
    task: tokio::task::JoinHandle<()>,
}

impl Client {
    /// Starts connecting.
    pub fn spawn(plan: Plan) -> Self {
        let (commands, received) = mpsc::channel(COMMANDS);
        let (sender, news) = mpsc::channel(NEWS);
        Self { commands, news, task: tokio::spawn(Driver::new(plan).run(received, sender)) }
    }

    /// What happens. `None`: the task has ended, after [`close`](Self::close) or by a fault of its own.
    pub async fn next(&mut self) -> Option<News> {
        self.news.recv().await
    }

    /// The answer to [`News::Authorise`].
    pub fn authorised(&self, socket: String, channel: String, answer: Result<Authorisation, String>) {
        // A full queue means that the task is stuck in a write to a dead socket: the signature would be for that one.
        let _ = self.commands.try_send(Command::Authorised { socket, channel, answer });
    }

    /// Sends an event; [`News::Triggered`] tells what became of it, unless the task cannot take it.
    pub fn trigger(&self, trigger: Trigger) -> Result<(), String> {
        self.commands.try_send(Command::Trigger(trigger)).map_err(|_| "the connection is stuck".into())
    }

    /// The box is in another network, or in one again.
    pub fn network_changed(&self) {
        // A full queue means that the task is stuck in a write, which has a time limit of its own.
        let _ = self.commands.try_send(Command::NetworkChanged);
    }

    /// Leaves properly; `next` gives `None` when that is done.
    pub fn close(&self) {
        let _ = self.commands.try_send(Command::Close);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.task.abort();
    }
}

struct Driver {
    plan: Plan,
    core: Protocol,
    socket: Option<Socket>,
    opening: Option<Opening>,
    news: VecDeque<News>,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Driver {
    fn new(plan: Plan) -> Self {
        let now = now();
        let mut core = Protocol::new(plan.times.clone(), plan.endpoint.tls, plan.bindings.clone(), rand::random(), now);
        for channel in &plan.channels {
            core.subscribe(now, channel);
        }
        Self { plan, core, socket: None, opening: None, news: VecDeque::new() }
    }

    async fn run(mut self, mut commands: mpsc::Receiver<Command>, news: mpsc::Sender<News>) {
        let mut armed = now();
        let mut sleep = std::pin::pin!(sleep_until(armed.into()));
        loop {
            self.core.timeout(now());
            self.carry_out().await;
            if self.core.stopped() && self.news.is_empty() {
                return;
            }
            // Frames move the deadline away all the time; the timer is only ever moved closer, or after it fired.
            if let Some(deadline) = self.core.next_deadline()
                && (deadline < armed || sleep.is_elapsed())
            {
                armed = deadline;
                sleep.as_mut().reset(deadline.into());
            }
            tokio::select! {
                permit = news.reserve(), if !self.news.is_empty() => match (permit, self.news.pop_front()) {
                    (Ok(permit), Some(news)) => permit.send(news),
                    _ => return,
                },
                message = read(&mut self.socket), if self.news.len() < NEWS => self.received(message),
                opened = open(&mut self.opening) => {
                    self.opening = None;
                    match opened {
                        Ok(socket) => {
                            self.socket = Some(socket);
                            self.core.opened(now());
                        }
                        Err(why) => self.core.lost(now(), None, &why),
                    }
                }
                command = commands.recv() => self.obey(command.unwrap_or(Command::Close)),
                () = &mut sleep, if !sleep.is_elapsed() => {}
            }
        }
    }

    async fn carry_out(&mut self) {
        // A failed write makes new outputs.
        while self.core.has_output() {
            while let Some(output) = self.core.poll() {
                match output {
                    Output::Connect { tls } => self.opening = Some(Box::pin(connect(self.plan.clone(), tls))),
                    Output::Send(text) => {
                        if let Some(socket) = &mut self.socket {
                            let fed = timeout(WRITE, socket.feed(Message::text(text))).await;
                            self.check(fed);
                        }
                    }
                    Output::Close => {
                        self.opening = None;
                        let socket = self.socket.take();
                        if self.core.stopped() {
                            leave(socket).await;
                        }
                    }
                    Output::Tell(news) => self.news.push_back(news),
                }
            }
            if let Some(socket) = &mut self.socket {
                let flushed = timeout(WRITE, socket.flush()).await;
                self.check(flushed);
            }
        }
    }

    fn check(&mut self, result: Result<Result<(), tungstenite::Error>, tokio::time::error::Elapsed>) {
        let why = match result {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(_) => "the server does not take what is sent".into(),
        };
        self.socket = None;
        self.core.lost(now(), None, &why);
    }

    /// One message, and what else has arrived already.
    fn received(&mut self, mut message: Option<Result<Message, tungstenite::Error>>) {
        let now = now();
        for _ in 0..BATCH {
            match message {
                Some(Ok(Message::Text(text))) => self.core.frame(now, &text),
                Some(Ok(Message::Close(frame))) => {
                    self.socket = None;
                    let (code, why) = frame.map_or((None, String::new()), |f| (Some(f.code.into()), f.reason.to_string()));
                    return self.core.lost(now, code, if code.is_none() { "the server closed the connection" } else { &why });
                }
                Some(Ok(_)) => self.core.heard(now),
                Some(Err(error)) => {
                    self.socket = None;
                    return self.core.lost(now, None, &error.to_string());
                }
                None => {
                    self.socket = None;
                    return self.core.lost(now, None, "the connection was closed");
                }
            }
            if self.core.has_output() {
                return;
            }
            match self.socket.as_mut().and_then(|socket| socket.next().now_or_never()) {
                Some(next) => message = next,
                None => return,
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Authorised { socket, channel, answer } => self.core.authorised(now(), &socket, &channel, answer),
            Command::Trigger(trigger) => {
                let id = trigger.id;
                if let Err(error) = self.core.trigger(now(), trigger) {
                    self.news.push_back(News::Triggered { id, outcome: Outcome::Unsent(error.to_string()) });
                }
            }
            Command::NetworkChanged => self.core.network_changed(now()),
            Command::Close => self.core.stop(),
        }
    }
}

/// The closing handshake, as far as the server takes part.
async fn leave(socket: Option<Socket>) {
    let Some(mut socket) = socket else { return };
    let farewell = async {
        socket.close(None).await?;
        while socket.next().await.transpose()?.is_some() {}
        Ok::<_, tungstenite::Error>(())
    };
    let _ = timeout(GOODBYE, farewell).await;
}

async fn read(socket: &mut Option<Socket>) -> Option<Result<Message, tungstenite::Error>> {
    match socket {
        Some(socket) => socket.next().await,
        None => std::future::pending().await,
    }
}

async fn open(opening: &mut Option<Opening>) -> Result<Socket, String> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

async fn connect(plan: Plan, tls: bool) -> Result<Socket, String> {
    let Plan { endpoint, tls: config, .. } = plan;
    let place = format!("{}:{}", endpoint.host, endpoint.port);
    let stream = dial(&endpoint.host, endpoint.port).await.map_err(|error| format!("cannot reach {place}: {error}; check the network"))?;
    let _ = stream.set_nodelay(true);
    let connector = if tls { Connector::Rustls(config) } else { Connector::Plain };
    // Small buffers: the line is idle nearly always. Messages between our limit and this one are dropped, larger ones
    // cost the sender's victim the connection but never the memory.
    let limits = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(4 * 1024)
        .max_write_buffer_size(1024 * 1024)
        .max_message_size(Some(1024 * 1024))
        .max_frame_size(Some(1024 * 1024));
    match client_async_tls_with_config(endpoint.address(tls), stream, Some(limits), Some(connector)).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => {
            Err(format!("{place} answers {} instead of a WebSocket; check host, path and key", response.status()))
        }
        Err(error) => Err(format!("no WebSocket with {place}: {error}")),
    }
}

/// The first address that answers, in the resolver's order.
async fn dial(host: &str, port: u16) -> std::io::Result<TcpStream> {
    let mut last = std::io::Error::new(std::io::ErrorKind::NotFound, "the name has no address");
    for address in tokio::net::lookup_host((host, port)).await? {
        match timeout(ADDRESS, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = error,
            Err(_) => last = std::io::ErrorKind::TimedOut.into(),
        }
    }
    Err(last)
}
