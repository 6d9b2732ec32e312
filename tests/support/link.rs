//! A bad network between two sockets on this machine: delay, loss, bursts, a thin pipe with a buffer, a cut. The same seed
//! loses the same packets of the same sequence.

#![allow(dead_code, clippy::unwrap_used)] // each test uses its part; a test may fail

use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::UdpSocket;

/// How bad it is, each way.
#[derive(Debug, Clone, Copy)]
pub struct Weather {
    pub delay: Duration,
    /// Probability that a packet is lost.
    pub loss: f64,
    /// Packets that are lost together.
    pub burst: u32,
    /// bit/s and how much of a second may wait.
    pub pipe: Option<(f64, f64)>,
    pub seed: u64,
}

impl Weather {
    pub fn fair(delay: Duration) -> Weather {
        Weather { delay, loss: 0.0, burst: 1, pipe: None, seed: 1 }
    }

    /// In front of a table's row.
    pub fn name(&self) -> String {
        let bursts = if self.burst > 1 { format!(" in bursts of {}", self.burst) } else { String::new() };
        format!("{:.0} %{bursts}, {} ms", self.loss * 100.0, self.delay.as_millis())
    }
}

/// What happened to one direction.
pub struct Passed {
    pub carried: AtomicU64,
    /// Lost RTP packets, by payload type.
    pub lost: Mutex<[u64; 128]>,
}

impl Passed {
    pub fn lost(&self, payload_types: &[u8]) -> u64 {
        let lost = self.lost.lock().unwrap();
        payload_types.iter().map(|payload_type| lost[usize::from(*payload_type)]).sum()
    }
}

struct Way {
    weather: Mutex<Weather>,
    passed: Passed,
    cut: AtomicBool,
    no_handshake: AtomicBool,
}

/// Ends when dropped.
pub struct Link {
    /// Where the other side reaches the first one, and the first one the other.
    pub faces: [SocketAddr; 2],
    /// From the first to the second, and back.
    ways: [Arc<Way>; 2],
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}

impl Link {
    pub async fn between(ends: [SocketAddr; 2], weather: Weather) -> Link {
        let bind = |end: SocketAddr| async move { Arc::new(UdpSocket::bind((end.ip(), 0)).await.unwrap()) };
        let sockets = [bind(ends[1]).await, bind(ends[0]).await];
        let faces = [sockets[0].local_addr().unwrap(), sockets[1].local_addr().unwrap()];
        let way = || {
            Arc::new(Way {
                weather: Mutex::new(weather),
                passed: Passed { carried: AtomicU64::new(0), lost: Mutex::new([0; 128]) },
                cut: AtomicBool::new(false),
                no_handshake: AtomicBool::new(false),
            })
        };
        let ways = [way(), way()];
        // What the second sends to the first's face goes out of the second's face to the first.
        let tasks = vec![
            tokio::spawn(carry(Arc::clone(&sockets[0]), Arc::clone(&sockets[1]), ends[0], Arc::clone(&ways[1]), 1)),
            tokio::spawn(carry(Arc::clone(&sockets[1]), Arc::clone(&sockets[0]), ends[1], Arc::clone(&ways[0]), 0)),
        ];
        Link { faces, ways, tasks }
    }

    pub fn weather(&self, weather: Weather) {
        self.ways.iter().for_each(|way| *way.weather.lock().unwrap() = weather);
    }

    pub fn cut(&self, cut: bool) {
        self.ways.iter().for_each(|way| way.cut.store(cut, Ordering::Relaxed));
    }

    /// Lets pass everything but DTLS (RFC 7983: first byte 20 to 63).
    pub fn without_handshake(&self) {
        self.ways.iter().for_each(|way| way.no_handshake.store(true, Ordering::Relaxed));
    }

    /// From the first to the second (`0`) or back (`1`).
    pub fn passed(&self, way: usize) -> &Passed {
        &self.ways[way].passed
    }
}

async fn carry(from: Arc<UdpSocket>, out: Arc<UdpSocket>, to: SocketAddr, way: Arc<Way>, salt: u64) {
    let mut waiting: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut rng = StdRng::seed_from_u64((way.weather.lock().unwrap().seed << 1) + salt);
    let (mut buffer, mut burst, mut free) = (vec![0; 2048], 0, Instant::now());
    loop {
        let next = waiting.front().map(|(due, _)| *due);
        tokio::select! {
            biased;
            () = async { match next { Some(due) => tokio::time::sleep_until(due.into()).await, None => std::future::pending().await } } => {
                while waiting.front().is_some_and(|(due, _)| *due <= Instant::now()) {
                    let (_, packet) = waiting.pop_front().unwrap();
                    let _ = out.send_to(&packet, to).await;
                }
            }
            received = from.recv(&mut buffer) => {
                let Ok(length) = received else { continue };
                assert!(length < buffer.len(), "a datagram larger than any network carries: it would arrive cut off");
                let (weather, now) = (*way.weather.lock().unwrap(), Instant::now());
                if burst == 0 && rng.random::<f64>() < weather.loss / f64::from(weather.burst) {
                    burst = weather.burst;
                }
                let mut lost = way.cut.load(Ordering::Relaxed) || burst > 0;
                lost |= way.no_handshake.load(Ordering::Relaxed) && (20..=63).contains(&buffer[0]);
                burst = burst.saturating_sub(1);
                let mut due = now + weather.delay;
                if let Some((rate, wait)) = weather.pipe {
                    free = free.max(now);
                    lost |= free.duration_since(now).as_secs_f64() > wait;
                    if !lost {
                        free += Duration::from_secs_f64(length as f64 * 8.0 / rate);
                    }
                    due = free + weather.delay;
                }
                if !lost {
                    way.passed.carried.fetch_add(1, Ordering::Relaxed);
                    waiting.push_back((due, buffer[..length].to_vec()));
                } else if buffer[0] & 0xc0 == 0x80 && !(192..=223).contains(&buffer[1]) {
                    way.passed.lost.lock().unwrap()[usize::from(buffer[1] & 0x7f)] += 1;
                }
            }
        }
    }
}

/// Address of a candidate line.
pub fn address(candidate: &str) -> SocketAddr {
    let words: Vec<&str> = candidate.split_whitespace().collect();
    SocketAddr::new(words[4].parse().unwrap(), words[5].parse().unwrap())
}

/// The candidate line with another address.
pub fn moved(candidate: &str, to: SocketAddr) -> String {
    let mut words: Vec<String> = candidate.split_whitespace().map(str::to_owned).collect();
    (words[4], words[5]) = (to.ip().to_string(), to.port().to_string());
    words.join(" ")
}
