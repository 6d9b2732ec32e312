//! TURN over TCP and TLS, for care homes that block UDP. The crate `webrtc` speaks only UDP to a relay, so it is given a
//! local UDP address behind which a task carries the same messages over a stream to the real server.
//!
//! A stream a local socket of the peer connection, since a relay's allocation belongs to the stream it was made on. A
//! stream that breaks takes its allocation with it: the peer connection finds out by its consent checks, and an ICE
//! restart allocates anew on a new stream.

mod framing;
pub mod probe;

use crate::journal::messages;
use bytes::Bytes;
use framing::{Allocation, Frames};
use rustls_pki_types::ServerName;
use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// Name resolution, TCP and TLS handshake each.
const CONNECT: Duration = Duration::from_secs(5);
/// A server that takes nothing for so long is gone.
const WRITE: Duration = Duration::from_secs(10);
/// Datagrams waiting for the stream; more are dropped, as a network would.
const QUEUE: usize = 256;
/// Local sockets served at a time; the longest silent one gives way.
const STREAMS: usize = 16;
/// Failures after which the peer connection need not wait for this relay any longer. Each new request tries again.
const ATTEMPTS: u32 = 3;
/// First wait after a failed connection; doubles up to the last.
const RETRY: [Duration; 2] = [Duration::from_millis(250), Duration::from_secs(4)];

/// A relay reached over a stream.
#[derive(Clone)]
pub(super) struct Server {
    /// Name or address, as in the URL; the certificate must be for it.
    pub(super) host: String,
    /// Port.
    pub(super) port: u16,
    /// `turns:`; `None` is plain TCP.
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
}

impl std::fmt::Display for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} over {}", self.host, if self.tls.is_some() { "TLS" } else { "TCP" })
    }
}

/// Told what is wrong with a server, in words, or `None` once it gave an address.
pub(super) type Report = Arc<dyn Fn(Option<String>) + Send + Sync>;

/// The local face of a server. Dropping it ends everything of it.
pub(super) struct Relay {
    address: SocketAddr,
    end: CancellationToken,
    tasks: TaskTracker,
}

impl Relay {
    /// Binds the local address. Nothing is sent to the server before the first datagram.
    pub(super) async fn start(server: Server, report: Report) -> io::Result<Relay> {
        let socket = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await?);
        let address = socket.local_addr()?;
        let end = CancellationToken::new();
        let tasks = TaskTracker::new();
        let serve = serve(socket, Arc::new(server), report, end.clone(), tasks.clone());
        let ended = end.clone();
        tasks.spawn(async move { ended.run_until_cancelled(serve).await.unwrap_or_default() });
        Ok(Relay { address, end, tasks })
    }

    /// Where it is reached, by UDP, from this machine only.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Ends it and waits until its sockets are closed.
    pub(super) async fn close(&self) {
        self.end.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// A stream on behalf of one local socket.
struct Client {
    datagrams: mpsc::Sender<Bytes>,
    heard: Instant,
    /// Aborts the stream when the client is forgotten, and when the relay ends.
    _stream: AbortOnDropHandle<()>,
}

async fn serve(socket: Arc<UdpSocket>, server: Arc<Server>, report: Report, end: CancellationToken, tasks: TaskTracker) {
    let mut clients: HashMap<SocketAddr, Client> = HashMap::new();
    let mut buffer = vec![0; 65_536];
    loop {
        let (length, from) = match socket.recv_from(&mut buffer).await {
            Ok(received) => received,
            // An earlier datagram met a closed port: its stream notices nothing, and need not.
            Err(error) => {
                log::debug!("a datagram to the peer connection was refused: {error}");
                tokio::time::sleep(Duration::from_millis(10)).await;
                continue;
            }
        };
        if !clients.contains_key(&from) {
            if clients.len() >= STREAMS {
                let silent = clients.iter().min_by_key(|(_, client)| client.heard).map(|(address, _)| *address);
                silent.and_then(|address| clients.remove(&address));
            }
            let (datagrams, queue) = mpsc::channel(QUEUE);
            let stream = carry(Arc::clone(&socket), from, Arc::clone(&server), Arc::clone(&report), queue);
            let end = end.clone();
            let stream = tasks.spawn(async move { end.run_until_cancelled(stream).await.unwrap_or_default() });
            let client = Client { datagrams, heard: Instant::now(), _stream: AbortOnDropHandle::new(stream) };
            clients.insert(from, client);
        }
        if let Some(client) = clients.get_mut(&from) {
            client.heard = Instant::now();
            // Full: the stream is slower than the sender. Lost, as on a network.
            let _ = client.datagrams.try_send(Bytes::copy_from_slice(&buffer[..length]));
        }
    }
}

/// Connects whenever there is something to carry, and carries until the stream ends.
async fn carry(socket: Arc<UdpSocket>, client: SocketAddr, server: Arc<Server>, report: Report, mut queue: mpsc::Receiver<Bytes>) {
    let (mut wait, mut failures) = (RETRY[0], 0);
    while let Some(first) = queue.recv().await {
        let outcome = match connect(&server).await {
            Ok(stream) => {
                log::debug!("connected to the relay {server}");
                let mut carried = Carried { socket: &socket, client, report: &report, server: &server, challenged: false };
                carried.run(stream, first.clone(), &mut queue).await
            }
            Err(error) => Err(error),
        };
        let Err(trouble) = outcome else {
            (wait, failures) = (RETRY[0], 0);
            continue;
        };
        failures += 1;
        log::warn!(MESSAGE_ID = messages::RELAY_UNUSABLE.id; "the relay {server} cannot be used: {trouble}");
        report(Some(format!("{server}: {trouble}")));
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(RETRY[1]);
        // What waited meanwhile was for a stream that never was. Requests are repeated by the peer connection, which is
        // told when there is no more hope.
        let mut waited = vec![first];
        while let Ok(datagram) = queue.try_recv() {
            waited.push(datagram);
        }
        if failures >= ATTEMPTS {
            refuse(&socket, client, waited, &mut queue).await;
        }
    }
}

/// Answers in place of the server, until nobody asks any more.
async fn refuse(socket: &UdpSocket, client: SocketAddr, waited: Vec<Bytes>, queue: &mut mpsc::Receiver<Bytes>) {
    for answer in waited.iter().filter_map(|request| framing::refusal(request)) {
        let _ = socket.send_to(&answer, client).await;
    }
    while let Ok(Some(request)) = timeout(RETRY[0], queue.recv()).await {
        if let Some(answer) = framing::refusal(&request) {
            let _ = socket.send_to(&answer, client).await;
        }
    }
}

/// A connected stream, plain or TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

async fn connect(server: &Server) -> Result<Box<dyn Stream>, String> {
    let tcp = timeout(CONNECT, TcpStream::connect((server.host.as_str(), server.port))).await;
    let tcp = tcp.map_err(|_| "no answer".to_owned())?.map_err(|error| format!("no connection ({error})"))?;
    tcp.set_nodelay(true).map_err(|error| error.to_string())?;
    let Some(config) = &server.tls else { return Ok(Box::new(tcp)) };
    let name = ServerName::try_from(server.host.clone()).map_err(|_| format!("{} is no name a certificate can be for", server.host))?;
    let tls = timeout(CONNECT, TlsConnector::from(Arc::clone(config)).connect(name, tcp)).await;
    let tls = tls.map_err(|_| "no answer to the TLS handshake".to_owned())?;
    Ok(Box::new(tls.map_err(|error| format!("its certificate or TLS was refused ({error}); the certificate must be for {}", server.host))?))
}

struct Carried<'a> {
    socket: &'a UdpSocket,
    client: SocketAddr,
    report: &'a Report,
    server: &'a Server,
    /// The first 401 only carries realm and nonce.
    challenged: bool,
}

impl Carried<'_> {
    /// `Ok` when the owner is gone or the stream ended after having been of use.
    async fn run(&mut self, stream: Box<dyn Stream>, first: Bytes, queue: &mut mpsc::Receiver<Bytes>) -> Result<(), String> {
        let (mut read, mut write) = tokio::io::split(stream);
        // Both ways at once: a server that takes nothing may still have much to say.
        tokio::select! {
            ended = up(&mut write, first, queue) => ended,
            ended = self.down(&mut read) => ended,
        }
    }

    async fn down(&mut self, read: &mut (impl AsyncRead + Unpin)) -> Result<(), String> {
        let mut frames = Frames::default();
        let mut of_use = false;
        loop {
            if read.read_buf(frames.buffer()).await.map_err(went_away)? == 0 {
                return if of_use { Ok(()) } else { Err("it closed the connection".to_owned()) };
            }
            while let Some(message) = frames.next().map_err(|error| error.to_string())? {
                of_use |= self.deliver(&message).await;
            }
        }
    }

    /// `true` once the server gave an address.
    async fn deliver(&mut self, message: &[u8]) -> bool {
        let allocation = framing::allocation(message);
        match allocation {
            Some(Allocation::Granted) => (self.report)(None),
            Some(Allocation::Refused(401)) if !self.challenged => self.challenged = true,
            // 438: the nonce is stale, the request is repeated with a new one.
            Some(Allocation::Refused(438)) | None => {}
            Some(Allocation::Refused(code)) => {
                let reason = match code {
                    401 | 441 => "user name or password was refused; they may have expired",
                    486 | 508 => "it is overloaded or the quota is used up",
                    437 => "it still holds an earlier allocation",
                    403 => "it does not permit the use",
                    _ => "it refused",
                };
                log::warn!(MESSAGE_ID = messages::RELAY_UNUSABLE.id; "the relay {} gave no address: {reason} (error {code})", self.server);
                (self.report)(Some(format!("{}: {reason} (error {code})", self.server)));
            }
        }
        let _ = self.socket.send_to(message, self.client).await;
        allocation == Some(Allocation::Granted)
    }
}

fn went_away(error: io::Error) -> String {
    format!("it went away ({error})")
}

async fn up(write: &mut (impl AsyncWrite + Unpin), first: Bytes, queue: &mut mpsc::Receiver<Bytes>) -> Result<(), String> {
    // While connecting the requests were repeated: the same bytes need not be sent twice.
    let mut waiting = vec![first];
    while let Ok(datagram) = queue.try_recv() {
        if !waiting.contains(&datagram) {
            waiting.push(datagram);
        }
    }
    let mut out = Vec::new();
    waiting.iter().for_each(|datagram| framing::append(datagram, &mut out));
    loop {
        let written = timeout(WRITE, async {
            write.write_all(&out).await?;
            write.flush().await
        });
        written.await.map_err(|_| "it takes nothing any more".to_owned())?.map_err(went_away)?;
        out.clear();
        let Some(datagram) = queue.recv().await else { return Ok(()) };
        framing::append(&datagram, &mut out);
        while out.len() < 32_768
            && let Ok(datagram) = queue.try_recv()
        {
            framing::append(&datagram, &mut out);
        }
    }
}
