//! A thousand lines lose one server and come back: how many connect in the busiest moment, and when all are subscribed
//! again. Our client and pusher-js, one after the other, against sockudo, which is killed and started anew.
//!
//! What a server fears is the moment in which all come at once: the fewer in the busiest tenth of a second, the better.
//!
//! Prints a table and appends two lines to `target/bench.jsonl`.

#![allow(clippy::unwrap_used)] // a bench that cannot run says where

#[path = "../tests/support/sockudo.rs"]
#[allow(dead_code)] // the tests use more of it
mod sockudo;

use residentd::pusher::{Client, News, Plan, Times};
use serde_json::json;
use sockudo::{KEY, SECRET, Sockudo};
use std::io::Write;
use std::path::PathBuf;
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
    let cache = std::env::var_os("RESIDENTD_CACHE").map(PathBuf::from);
    let npm = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache/residentd")).join("npm");
    assert!(npm.join("node_modules/pusher-js").is_dir(), "pusher-js is missing in {}; run `make tools`", npm.display());
    let mut child = tokio::process::Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/pusher_js_many.cjs"))
        .arg(npm)
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

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let tls = residentd::net::tls::client(None).unwrap();
    let (us, them) = runtime.block_on(async {
        let mut server = Sockudo::start(120).await;
        let us = ours(&mut server, tls).await;
        let mut server = Sockudo::start(120).await;
        (us, theirs(&mut server).await)
    });
    println!("{LINES} lines after {} s without their server (sockudo 5.2.0)", AWAY.as_secs());
    println!("                      most connections in 0.1 s    all subscribed after");
    println!("  residentd's client  {:>25}    {:>18.1} s", us.peak(), us.all_back);
    println!("  pusher-js in node   {:>25}    {:>18.1} s", them.peak(), them.all_back);
    figure("reconnect peak", "connections in 0.1 s", us.peak() as f64, them.peak() as f64, 0.5);
    // Spreading out costs time: half as much again is what a peak of less than half may cost.
    figure("reconnect all back", "s", us.all_back, them.all_back, 1.5);
}

/// The smaller the better; `target` is the largest ratio to the peer.
fn figure(name: &str, unit: &str, ours: f64, peer: f64, target: f64) {
    let ratio = (ours / peer * 100.0).round() / 100.0;
    let met = ratio <= target;
    println!("  {name}: {ratio} of pusher-js, target {target}: {}", if met { "met" } else { "MISSED" });
    let line = json!({
        "name": name, "unit": unit, "ours": ours, "peer": peer, "peer_name": "pusher-js", "ratio": ratio, "target": target, "met": met,
    });
    let folder =
        std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target")), PathBuf::from);
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("bench.jsonl")).unwrap();
    writeln!(file, "{line}").unwrap();
}
