//! How fast other residents' events are dropped: an organisation's whole traffic runs over one channel, and nearly all of
//! it is for somebody else. Our client and pusher-js take the same frames from the same server in turn; the clock runs
//! from the first frame until each has noticed the one event at the end that is meant for it.

use crate::figure::{Figure, Samples, Target, report};
use residentd::pusher::{Authorisation, Client, Endpoint, News, Plan, Protocol, Times, Trigger};
use serde_json::{Value, json};
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

const KEY: &str = "benchkey";
const CALLS: &str = "private-call-7";
const WANTED: &str = "client-conferencing-call-requested-1124";
/// Rounds of each; the median counts, the spread shows the machine's noise.
const ROUNDS: usize = 5;
/// Enough of each that a round takes a good part of a second.
const OURS: usize = 400_000;
const THEIRS: usize = 20_000;
/// What the figure is to reach.
const TARGET: f64 = 20.0;

/// The platform's own page's request, as recorded, for residents who are not ours.
fn frames() -> Vec<String> {
    let recorded = include_str!("../../tests/samples/chatta/pusher-calls.jsonl");
    let rows = recorded.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let requests = rows.filter(|row| row["frame"]["event"] == WANTED && row["frame"]["data"].is_object());
    let data = requests.map(|row| row["frame"]["data"].to_string()).next().unwrap();
    (2000..2064).map(|id| frame(&format!("client-conferencing-call-requested-{id}"), &data)).collect()
}

/// With the keys in the order in which sockudo and the hosted service relay them.
fn frame(event: &str, data: &str) -> String {
    format!(r#"{{"event":"{event}","channel":"{CALLS}","data":{data}}}"#)
}

/// As bytes of a WebSocket server, which does not mask.
fn on_the_wire(texts: &[String]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for text in texts {
        bytes.push(0x81);
        match u16::try_from(text.len()).unwrap() {
            short @ ..126 => bytes.push(short as u8),
            long => {
                bytes.push(126);
                bytes.extend(long.to_be_bytes());
            }
        }
        bytes.extend(text.as_bytes());
    }
    bytes
}

/// Serves one client: `count` frames for others, then the one for it. Gives the frames a second.
fn serve(listener: &TcpListener, texts: &[String], count: usize) -> f64 {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut socket = tungstenite::accept(stream).unwrap();
    let data = json!({ "socket_id": "1.1", "activity_timeout": 120 }).to_string();
    say(&mut socket, json!({ "event": "pusher:connection_established", "data": data }));
    hear(&mut socket, "pusher:subscribe");
    say(&mut socket, json!({ "event": "pusher_internal:subscription_succeeded", "channel": CALLS, "data": "{}" }));
    // One whole exchange first, so that both are warm and certainly bound.
    let wanted = on_the_wire(&[frame(WANTED, "{}")]);
    socket.get_mut().write_all(&wanted).unwrap();
    hear(&mut socket, "client-done");
    let batch = on_the_wire(texts);
    let start = Instant::now();
    for _ in 0..count / texts.len() {
        socket.get_mut().write_all(&batch).unwrap();
    }
    socket.get_mut().write_all(&wanted).unwrap();
    hear(&mut socket, "client-done");
    (count / texts.len() * texts.len()) as f64 / start.elapsed().as_secs_f64()
}

fn say(socket: &mut WebSocket<TcpStream>, frame: Value) {
    socket.send(Message::text(frame.to_string())).unwrap();
}

fn hear(socket: &mut WebSocket<TcpStream>, event: &str) {
    loop {
        let message = socket.read().unwrap();
        let Message::Text(text) = message else { continue };
        let frame: Value = serde_json::from_str(&text).unwrap();
        if frame["event"] == event {
            return;
        }
        if frame["event"] == "pusher:ping" {
            say(socket, json!({ "event": "pusher:pong", "data": {} }));
        }
    }
}

async fn ours(port: u16, tls: std::sync::Arc<rustls::ClientConfig>) {
    let endpoint = Endpoint { host: "127.0.0.1".into(), port, tls: false, path: String::new(), key: KEY.into() };
    let bindings = vec![(CALLS.into(), WANTED.into())];
    let mut client = Client::spawn(Plan { endpoint, times: Times::default(), channels: vec![CALLS.into()], bindings, tls });
    while let Some(news) = client.next().await {
        match news {
            News::Authorise { socket, channel } => {
                client.authorised(socket, channel, Ok(Authorisation { auth: format!("{KEY}:signature"), channel_data: None }));
            }
            News::Event { .. } => {
                let trigger = Trigger { id: 1, channel: CALLS.into(), event: "client-done".into(), data: "{}".into() };
                client.trigger(trigger).unwrap();
            }
            News::Disconnected { .. } => return,
            _ => {}
        }
    }
}

/// The core alone, without socket: what the reading of names costs.
fn core(texts: &[String]) -> f64 {
    let now = Instant::now();
    let mut core = Protocol::new(Times::default(), false, vec![(CALLS.into(), WANTED.into())], 1, now);
    let start = Instant::now();
    let mut count = 0u64;
    while start.elapsed() < Duration::from_millis(300) {
        for text in texts {
            core.frame(now, std::hint::black_box(text));
            count += 1;
        }
    }
    assert_eq!(core.foreign(), count);
    count as f64 / start.elapsed().as_secs_f64()
}

fn theirs(port: u16) -> std::process::Child {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/figures/pusher_js.cjs");
    Command::new("node")
        .arg(script)
        .arg(crate::process::npm())
        .arg(port.to_string())
        .arg(KEY)
        .stdin(Stdio::null())
        .spawn()
        .expect("node; run `make tools`")
}

pub fn run() {
    let texts = frames();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let tls = residentd::net::tls::client(None).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (mut us, mut them) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let client = runtime.spawn(ours(port, tls.clone()));
        us.push(serve(&listener, &texts, OURS));
        runtime.block_on(client).unwrap();
        let mut client = theirs(port);
        them.push(serve(&listener, &texts, THEIRS));
        let _ = client.kill();
        client.wait().unwrap();
    }
    let figures = [
        Figure::new("foreign events", "events/s", Samples::new(us))
            .beside("pusher-js", Samples::new(them))
            .target(Target::RatioAtLeast(TARGET)),
        Figure::new("foreign events, the protocol alone, without socket", "events/s", core(&texts)),
    ];
    report(&format!("Other residents' events, {} bytes each", texts[0].len()), &figures);
}
