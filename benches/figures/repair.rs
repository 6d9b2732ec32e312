//! What repairs make of a bad network: numbered pictures both ways between two of our peer connections, through a link
//! with 80 ms of delay that loses packets, alone and in bursts. What the same does beside Chromium, with real pictures,
//! is printed by `cargo test --test integration repair_browser:: -- --nocapture`.

use crate::figure::{Figure, Samples, Target, report};
use crate::link::{Link, Weather, address, moved};
use crate::peers::{Side, config, flowing, negotiate};
use residentd::media::peer::Peer;
use residentd::media::{Codec, Kind};
use std::time::Duration;

/// As [`config`] negotiates it.
const VP8: u8 = 96;
const BITRATE: u64 = 1_000_000;
const DELAY: Duration = Duration::from_millis(80);
const SPAN: Duration = Duration::from_secs(12);
/// What was lost last is repaired within this or never.
const CLEARS_UP: Duration = Duration::from_millis(1500);

/// Share of packets lost, and how many in a row.
const WEATHERS: [(f64, u32); 4] = [(0.03, 1), (0.05, 1), (0.1, 1), (0.05, 8)];

/// One direction.
struct Way {
    lost: f64,
    again: f64,
    delays: Samples,
}

pub fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let mut figures = Vec::new();
    for (seed, (loss, burst)) in (1..).zip(WEATHERS) {
        let weather = Weather { delay: DELAY, loss, burst, pipe: None, seed };
        let ways = runtime.block_on(storm(weather));
        let of = |value: fn(&Way) -> f64| Samples::new(ways.iter().map(value));
        let name = |what: &str| format!("{}, {what}", weather.name());
        figures.extend([
            Figure::new(name("pictures lost"), "%", of(|way| way.lost)).target(Target::AtMost(1.0)),
            Figure::new(name("sent again a loss"), "1", of(|way| way.again)).target(Target::AtMost(2.0)),
            Figure::new(name("delay, p50"), "ms", of(|way| way.delays.median())),
            Figure::new(name("delay, p95"), "ms", of(|way| way.delays.quantile(0.95))),
        ]);
    }
    report(&format!("Repairs, {} s each, both ways", SPAN.as_secs()), &figures);
}

async fn sent_again(peer: &Peer) -> u64 {
    peer.statistics().await.sent.iter().filter(|stream| stream.kind == Kind::Video).map(|stream| stream.retransmissions).sum()
}

async fn storm(weather: Weather) -> [Way; 2] {
    let mut a = Side::new("a", config(&[Codec::Vp8]), BITRATE, true).await;
    let mut b = Side::new("b", config(&[Codec::Vp8]), BITRATE, true).await;
    negotiate(&mut a, &mut b, false).await;
    let (of_a, of_b) = (a.candidates().await.remove(0), b.candidates().await.remove(0));
    let link = Link::between([address(&of_a), address(&of_b)], Weather::fair(DELAY)).await;
    b.peer.add_candidate(&moved(&of_a, link.faces[0]), Some("0")).await.unwrap();
    a.peer.add_candidate(&moved(&of_b, link.faces[1]), Some("0")).await.unwrap();
    a.connected().await;
    b.connected().await;
    flowing(&a, &b).await;

    let before = [sent_again(&a.peer).await, sent_again(&b.peer).await];
    link.weather(weather);
    a.seen.forget();
    b.seen.forget();
    tokio::time::sleep(SPAN).await;
    link.weather(Weather::fair(DELAY));
    tokio::time::sleep(CLEARS_UP).await;

    let mut ways = Vec::new();
    for (way, (from, to)) in [(&a, &b), (&b, &a)].into_iter().enumerate() {
        let again = (sent_again(&from.peer).await - before[way]) as f64 / link.passed(way).lost(&[VP8]).max(1) as f64;
        let delays = Samples::new(to.seen.delays().iter().map(|delay| delay.as_secs_f64() * 1000.0));
        let pictures = to.seen.pictures.lock().unwrap();
        // The first may have begun before, and the last are on their way.
        let counted: Vec<_> = pictures.values().skip(1).take(pictures.len().saturating_sub(12)).collect();
        let lost = counted.iter().filter(|picture| !picture.whole()).count() as f64 / counted.len().max(1) as f64 * 100.0;
        ways.push(Way { lost, again, delays });
    }
    tokio::join!(a.peer.close(), b.peer.close());
    ways.try_into().ok().expect("there are two ways")
}
