//! A thousand lines lose one server and come back: how many connect in the busiest moment, and when all are subscribed
//! again. Our client and pusher-js, one after the other, against sockudo, which is killed and started anew.
//!
//! What a server fears is the moment in which all come at once: the fewer in the busiest tenth of a second, the better.

use crate::figure::{Figure, Target, report};
use crate::sockudo::{self, KEY, SECRET, Sockudo};
use residentd::pusher::{Client, News, Plan, Times};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;

const LINES: usize = 1000;
const CALLS: &str = "private-call-7";
/// How long the server is away: longer than the first delay, so that the second counts, too.
const AWAY: Duration = Duration::from_secs(3);
const PATIENCE: Duration = Duration::from_secs(120);

enum Seen {
    Connected,
    Subscribed,
}

/// What is seen after the server is back, from that moment on.
struct Return {
    connected: Vec<f64>,
    all_back: f64,
}

impl Return {
    /// Connections within the busiest tenth of a second.
    fn peak(&self) -> usize {
        (0..self.connected.len())
            .map(|n| self.connected[n..].iter().take_while(|at| **at <= self.connected[n] + 0.1).count())
            .max()
            .unwrap_or(0)
    }
}

async fn measure(server: &mut Sockudo, seen: &mut mpsc::UnboundedReceiver<(Instant, Seen)>) -> Return {
    let all = async |seen: &mut mpsc::UnboundedReceiver<(Instant, Seen)>| {
        let (mut connected, mut subscribed, mut last) = (Vec::new(), 0, Instant::now());
        while subscribed < LINES {
            let event = tokio::time::timeout(PATIENCE, seen.recv()).await;
            match event.unwrap_or_else(|_| panic!("only {subscribed} of {LINES} lines are up")).unwrap() {
                (at, Seen::Connected) => connected.push(at),
                (at, Seen::Subscribed) => (subscribed, last) = (subscribed + 1, at),
            }
        }
        (connected, last)
    };
    all(seen).await;
    server.kill();
    tokio::time::sleep(AWAY).await;
    assert!(server.run().await, "sockudo's port was taken");
    let back = Instant::now();
    let (connected, last) = all(seen).await;
    let since = |at: Instant| at.saturating_duration_since(back).as_secs_f64();
    Return { connected: connected.into_iter().map(since).collect(), all_back: since(last) }
}

async fn ours(server: &mut Sockudo, tls: std::sync::Arc<rustls::ClientConfig>) -> Return {
    let (sender, mut seen) = mpsc::unbounded_channel();
    let lines: Vec<_> = (0..LINES)
        .map(|_| {
            let (endpoint, sender, tls) = (server.endpoint(), sender.clone(), tls.clone());
            tokio::spawn(async move {
                let plan = Plan { endpoint, times: Times::default(), channels: vec![CALLS.into()], bindings: vec![], tls };
                let mut client = Client::spawn(plan);
                while let Some(news) = client.next().await {
                    let event = match news {
                        News::Authorise { socket, channel } => {
                            let signature = sockudo::sign(&socket, &channel);
                            client.authorised(socket, channel, Ok(signature));
                            continue;
                        }
                        News::Connected => Seen::Connected,
                        News::Subscribed { .. } => Seen::Subscribed,
                        _ => continue,
                    };
                    let _ = sender.send((Instant::now(), event));
                }
            })
        })
        .collect();
    let result = measure(server, &mut seen).await;
    lines.iter().for_each(|line| line.abort());
    result
}

async fn theirs(server: &mut Sockudo) -> Return {
    let mut child = tokio::process::Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/figures/pusher_js_many.cjs"))
        .arg(crate::process::npm())
        .args([&server.port.to_string(), KEY, SECRET, &LINES.to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node; run `make tools`");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let (sender, mut seen) = mpsc::unbounded_channel();
    let reader = tokio::spawn(async move {
        while let Ok(Some(line)) = lines.next_line().await {
            let event = if line == "connected" { Seen::Connected } else { Seen::Subscribed };
            let _ = sender.send((Instant::now(), event));
        }
    });
    let result = measure(server, &mut seen).await;
    child.kill().await.unwrap();
    reader.abort();
    result
}

pub fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tls = residentd::net::tls::client(None).unwrap();
    let (us, them) = runtime.block_on(async {
        let mut server = Sockudo::start(120).await;
        let us = ours(&mut server, tls).await;
        let mut server = Sockudo::start(120).await;
        (us, theirs(&mut server).await)
    });
    let figures = [
        Figure::new("reconnect, most connections in 0.1 s", "connections", us.peak() as f64)
            .beside("pusher-js", them.peak() as f64)
            .target(Target::RatioAtMost(0.5)),
        // Spreading out costs time: half as much again is what a peak of less than half may cost.
        Figure::new("reconnect, all subscribed after", "s", us.all_back)
            .beside("pusher-js", them.all_back)
            .target(Target::RatioAtMost(1.5)),
    ];
    report(&format!("{LINES} lines after {} s without their server (sockudo 5.2.0)", AWAY.as_secs()), &figures);
}
