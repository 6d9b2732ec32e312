//! STUN and TURN servers tried out by themselves, without a call: does one answer, does it give an address, and how much
//! goes through it. The TURN client is that of the crate `rtc`; streams go through the relay's shim, as in a call.

use super::{Relay, Server};
use crate::media::peer::IceServer;
use crate::media::peer::servers::{Url, parse};
use bytes::BytesMut;
use rtc::sansio::Protocol;
use rtc::shared::{TransportContext, TransportMessage, TransportProtocol};
use rtc::turn::client::{Client, ClientConfig, Event};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// How a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// STUN over UDP: no relay.
    Stun,
    /// TURN over UDP.
    Udp,
    /// TURN over TCP.
    Tcp,
    /// TURN over TLS.
    Tls,
}

impl Way {
    /// Of a URL; `None`: of a kind nobody here speaks.
    pub fn of(url: &str) -> Option<Way> {
        match parse(url)? {
            Url::Stream { tls, .. } => Some(if tls { Way::Tls } else { Way::Tcp }),
            Url::Plain if url.to_ascii_lowercase().starts_with("stun:") => Some(Way::Stun),
            Url::Plain => Some(Way::Udp),
        }
    }
}

/// Tries one URL of a server: a STUN server is asked for our address, a TURN server for one of its own. How long it took.
/// No deadline of its own: put a timeout around it.
///
/// # Errors
/// One line, without secrets: what is wrong with it.
pub async fn try_out(server: &IceServer, url: &str, tls: &Arc<rustls::ClientConfig>) -> Result<Duration, String> {
    let began = Instant::now();
    let mut end = End::reach(server, url, tls).await?;
    if Way::of(url) == Some(Way::Stun) {
        end.client.send_binding_request(Instant::now()).map_err(|e| e.to_string())?;
        loop {
            match end.event().await? {
                Event::BindingResponse(..) => return Ok(began.elapsed()),
                Event::BindingError(_, e) => return Err(format!("it refused: {e}")),
                _ => {}
            }
        }
    }
    end.allocate().await?;
    let took = began.elapsed();
    end.close().await;
    Ok(took)
}

/// What went through a relay and back.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct Flow {
    /// Datagrams sent.
    pub sent: u64,
    /// Of them, received.
    pub received: u64,
    /// What arrived, in bit/s.
    pub bitrate: u64,
    /// The median way to the relay and back, in milliseconds.
    pub rtt_ms: f64,
}

impl Flow {
    /// Fraction that did not arrive, 0..=1.
    pub fn loss(&self) -> f64 {
        if self.sent == 0 { 1.0 } else { 1.0 - self.received as f64 / self.sent as f64 }
    }
}

/// A datagram as large as those of a call.
const DATAGRAM: usize = 1100;
/// Datagrams still under way may take this long.
const STRAGGLERS: Duration = Duration::from_millis(400);

/// Sends so many bits a second to the relay, which sends them back, for so long: what a call does in both directions.
///
/// # Errors
/// One line, without secrets: why nothing could be sent.
pub async fn measure(server: &IceServer, url: &str, tls: &Arc<rustls::ClientConfig>, bitrate: u64, span: Duration) -> Result<Flow, String> {
    let (mut a, mut b) = tokio::try_join!(End::reach(server, url, tls), End::reach(server, url, tls))?;
    let (at_a, at_b) = tokio::try_join!(a.allocate(), b.allocate())?;
    // The relays' addresses: each end must allow the other's.
    a.permit(at_b).await?;
    b.permit(at_a).await?;
    let began = Instant::now();
    let (mut sent, mut received, mut ways) = (0u64, 0u64, Vec::new());
    let mut tick = tokio::time::interval(Duration::from_millis(10));
    while began.elapsed() < span + STRAGGLERS {
        tokio::select! {
            event = b.event() => if let Event::DataIndicationOrChannelData(_, _, data) = event?
                && let Some(micros) = data.get(..8).and_then(|at| at.try_into().ok()).map(u64::from_be_bytes)
            {
                received += 1;
                ways.push(began.elapsed().as_secs_f64() * 1000.0 - micros as f64 / 1000.0);
            },
            event = a.event() => drop(event?),
            _ = tick.tick() => {
                let elapsed = began.elapsed();
                if elapsed >= span {
                    continue;
                }
                let due = (elapsed.as_secs_f64() * bitrate as f64 / 8.0 / DATAGRAM as f64) as u64;
                while sent < due {
                    let mut data = vec![0; DATAGRAM];
                    data[..8].copy_from_slice(&u64::try_from(began.elapsed().as_micros()).unwrap_or(0).to_be_bytes());
                    let relay = a.client.relay(at_a).and_then(|mut relay| relay.send_to(Instant::now(), &data, at_b));
                    relay.map_err(|e| format!("nothing can be sent through it: {e}"))?;
                    sent += 1;
                }
                a.flush().await?;
            }
        }
    }
    ways.sort_by(f64::total_cmp);
    let rtt_ms = ways.get(ways.len() / 2).copied().unwrap_or(0.0);
    let bitrate = (received as f64 * DATAGRAM as f64 * 8.0 / span.as_secs_f64()) as u64;
    a.close().await;
    b.close().await;
    if received == 0 { Err("nothing that was sent through it came back".into()) } else { Ok(Flow { sent, received, bitrate, rtt_ms }) }
}

/// One client of a server.
struct End {
    client: Client,
    socket: UdpSocket,
    relayed: Option<SocketAddr>,
    buffer: Vec<u8>,
    /// What the stream to the relay is known to suffer from.
    trouble: Arc<Mutex<Option<String>>>,
    what: String,
    _relay: Option<Relay>,
}

impl End {
    async fn reach(server: &IceServer, url: &str, tls: &Arc<rustls::ClientConfig>) -> Result<End, String> {
        let trouble: Arc<Mutex<Option<String>>> = Arc::default();
        let mut relay = None;
        let (target, what) = match parse(url).ok_or("its address is of a kind that nobody here speaks")? {
            Url::Stream { host, port, tls: encrypted } => {
                let server = Server { host: host.to_owned(), port, tls: encrypted.then(|| Arc::clone(tls)) };
                let what = format!("{server} (port {port})");
                let told = trouble.clone();
                let report = Arc::new(move |why| *told.lock().unwrap_or_else(PoisonError::into_inner) = why);
                let started = Relay::start(server, report).await.map_err(|e| format!("no local socket: {e}"))?;
                let target = started.address();
                relay = Some(started);
                (target, what)
            }
            Url::Plain => {
                let (host, port) = host_and_port(url).ok_or("its address has no host")?;
                let addresses = tokio::net::lookup_host((host, port)).await.map_err(|e| format!("{host} has no address: {e}"))?;
                let mut addresses: Vec<SocketAddr> = addresses.collect();
                // IPv4 first: a relay for a call that crosses networks has one, and a dead IPv6 route would be waited for.
                addresses.sort_by_key(SocketAddr::is_ipv6);
                let target = *addresses.first().ok_or_else(|| format!("{host} has no address"))?;
                (target, format!("{host} over UDP (port {port})"))
            }
        };
        let any: SocketAddr = if target.is_ipv4() { (Ipv4Addr::UNSPECIFIED, 0).into() } else { (Ipv6Addr::UNSPECIFIED, 0).into() };
        let socket = UdpSocket::bind(any).await.map_err(|e| format!("no local socket: {e}"))?;
        let config = ClientConfig {
            stun_serv_addr: target.to_string(),
            turn_serv_addr: target.to_string(),
            local_addr: socket.local_addr().map_err(|e| e.to_string())?,
            transport_protocol: TransportProtocol::UDP,
            username: server.username.clone(),
            password: server.credential.to_string(),
            ..ClientConfig::default()
        };
        let provider = rtc::crypto::default_provider().map_err(|e| e.to_string())?;
        let client = Client::new(config, provider).map_err(|e| e.to_string())?;
        Ok(End { client, socket, relayed: None, buffer: vec![0; 2048], trouble, what, _relay: relay })
    }

    async fn flush(&mut self) -> Result<(), String> {
        while let Some(out) = self.client.poll_write() {
            let sent = self.socket.send_to(&out.message, out.transport.peer_addr).await;
            sent.map_err(|e| format!("{}: nothing can be sent: {e}", self.what))?;
        }
        Ok(())
    }

    /// What happens next. Cancel safe: what was read is with the client at once.
    async fn event(&mut self) -> Result<Event, String> {
        loop {
            self.flush().await?;
            if let Some(event) = self.client.poll_event() {
                if matches!(event, Event::TransactionTimeout(_)) {
                    return Err(self.silent());
                }
                return Ok(event);
            }
            let trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
            if let Some(why) = trouble {
                return Err(why);
            }
            let due = self.client.poll_timeout().unwrap_or_else(|| Instant::now() + Duration::from_secs(1));
            // The stream's trouble is told without a datagram.
            let due = due.min(Instant::now() + Duration::from_millis(100));
            tokio::select! {
                came = self.socket.recv_from(&mut self.buffer) => {
                    // A closed port says so only to some: the deadline decides.
                    let Ok((length, peer_addr)) = came else { continue };
                    let local_addr = self.socket.local_addr().map_err(|e| e.to_string())?;
                    let transport = TransportContext { local_addr, peer_addr, transport_protocol: TransportProtocol::UDP, ecn: None };
                    let message = BytesMut::from(&self.buffer[..length]);
                    let _ = self.client.handle_read(TransportMessage { now: Instant::now(), transport, message });
                }
                () = tokio::time::sleep_until(due.into()) => {
                    let _ = self.client.handle_timeout(Instant::now());
                }
            }
        }
    }

    fn silent(&self) -> String {
        format!("{}: no answer; the port is blocked, or the server is down", self.what)
    }

    async fn allocate(&mut self) -> Result<SocketAddr, String> {
        self.client.allocate(Instant::now()).map_err(|e| e.to_string())?;
        loop {
            match self.event().await? {
                Event::AllocateResponse(_, address) => {
                    self.relayed = Some(address);
                    return Ok(address);
                }
                Event::AllocateError(_, e) => return Err(format!("{}: {}", self.what, refused(&e.to_string()))),
                _ => {}
            }
        }
    }

    async fn permit(&mut self, peer: SocketAddr) -> Result<(), String> {
        let Some(own) = self.relayed else { return Err("there is no address yet".into()) };
        let asked = self.client.relay(own).and_then(|mut relay| relay.create_permission(Instant::now(), peer));
        if asked.map_err(|e| e.to_string())?.is_none() {
            return Ok(());
        }
        loop {
            match self.event().await? {
                Event::CreatePermissionResponse(..) => return Ok(()),
                Event::CreatePermissionError(_, e) => return Err(format!("{}: it permits nothing: {e}", self.what)),
                _ => {}
            }
        }
    }

    /// Gives the address back.
    async fn close(mut self) {
        if let Some(own) = self.relayed {
            let _ = self.client.relay(own).and_then(|mut relay| relay.close(Instant::now()));
            let _ = self.flush().await;
        }
    }
}

/// A refusal in words.
fn refused(error: &str) -> String {
    let says = if error.contains("401") || error.contains("441") {
        "user name or password was refused; they may have expired: check the clocks"
    } else if error.contains("486") || error.contains("508") {
        "it is overloaded or the quota is used up"
    } else if error.contains("403") {
        "it does not permit the use"
    } else if error.to_lowercase().contains("timeout") {
        "no answer; the port is blocked, or the server is down"
    } else {
        return format!("it refused: {}", error.chars().filter(|c| !c.is_control()).take(120).collect::<String>());
    };
    says.to_owned()
}

/// Of `stun:` and `turn:` URLs over UDP (RFC 7064, RFC 7065).
fn host_and_port(url: &str) -> Option<(&str, u16)> {
    let (_, rest) = url.split_once(':')?;
    let address = rest.split('?').next()?;
    let (host, port) = match address.strip_prefix('[') {
        Some(address) => {
            let (host, port) = address.split_once(']')?;
            (host, port.strip_prefix(':'))
        }
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Some(3478), |port| port.parse().ok())?;
    (!host.is_empty()).then_some((host, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_ways_are_read() {
        assert_eq!(host_and_port("stun:s.example"), Some(("s.example", 3478)));
        assert_eq!(host_and_port("turn:[2001:db8::1]:99?transport=udp"), Some(("2001:db8::1", 99)));
        assert_eq!(host_and_port("turn:"), None);
        let ways = ["stun:a", "turn:a", "turn:a?transport=tcp", "turns:a:443", "http://a"].map(Way::of);
        assert_eq!(ways, [Some(Way::Stun), Some(Way::Udp), Some(Way::Tcp), Some(Way::Tls), None]);
    }

    #[test]
    fn loss_of_nothing_sent_is_total() {
        assert_eq!(Flow { sent: 0, received: 0, bitrate: 0, rtt_ms: 0.0 }.loss(), 1.0);
        assert_eq!(Flow { sent: 4, received: 3, bitrate: 0, rtt_ms: 0.0 }.loss(), 0.25);
    }
}
