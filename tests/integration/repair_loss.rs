//! Repairs really repair: two peer connections over a bad network in this process.

use crate::support::link::{Link, Weather, address, moved};
use crate::support::peers::{self, Side, config, flowing, negotiate, until};
use residentd::media::peer::{PeerEvent, StreamStatistics};
use residentd::media::{Codec, Kind};
use std::time::Duration;

const VP8: u8 = 96;
const VP8_REPAIRS: u8 = 97;
const BITRATE: u64 = 1_000_000;

/// Agreed on each other, with a link between them that nothing has passed yet: it needs [`meet`].
async fn over(weather: Weather, bitrate: u64) -> (Side, Side, Link, [String; 2]) {
    let mut a = Side::new("a", config(&[Codec::Vp8]), bitrate, true).await;
    let mut b = Side::new("b", config(&[Codec::Vp8]), bitrate, true).await;
    negotiate(&mut a, &mut b, false).await;
    let (of_a, of_b) = (a.candidates().await.remove(0), b.candidates().await.remove(0));
    let link = Link::between([address(&of_a), address(&of_b)], weather).await;
    let faces = [moved(&of_a, link.faces[0]), moved(&of_b, link.faces[1])];
    (a, b, link, faces)
}

async fn meet(a: &Side, b: &Side, faces: [String; 2]) {
    b.peer.add_candidate(&faces[0], Some("0")).await.unwrap();
    a.peer.add_candidate(&faces[1], Some("0")).await.unwrap();
}

async fn call_over(weather: Weather, bitrate: u64) -> (Side, Side, Link) {
    let (mut a, mut b, link, faces) = over(weather, bitrate).await;
    meet(&a, &b, faces).await;
    a.connected().await;
    b.connected().await;
    flowing(&a, &b).await;
    (a, b, link)
}

fn picture(streams: &[StreamStatistics]) -> &StreamStatistics {
    streams.iter().find(|stream| stream.kind == Kind::Video).unwrap()
}

/// One direction's figures while the weather was bad.
#[derive(Debug)]
struct Row {
    pictures: usize,
    incomplete: usize,
    late: usize,
    lost: u64,
    repairs: u64,
    p50: Duration,
    p95: Duration,
}

/// Lets it storm for `seconds` and clears up before counting.
async fn storm(weather: Weather, seconds: u64) -> [Row; 2] {
    let fair = Weather::fair(weather.delay);
    let (a, b, link) = call_over(fair, BITRATE).await;
    let sent_before = [picture(&a.peer.statistics().await.sent).clone(), picture(&b.peer.statistics().await.sent).clone()];
    link.weather(weather);
    a.seen.forget();
    b.seen.forget();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    link.weather(fair);
    // What was lost last is repaired within a second or never.
    tokio::time::sleep(Duration::from_millis(1500)).await;
    let mut rows = Vec::new();
    for (from, to, way) in [(&a, &b, 0), (&b, &a, 1)] {
        let now = picture(&from.peer.statistics().await.sent).clone();
        let delays = to.seen.delays();
        let pictures = to.seen.pictures.lock().unwrap();
        // The first may have begun before and the last are on their way.
        let counted: Vec<_> = pictures.values().skip(1).take(pictures.len().saturating_sub(12)).collect();
        rows.push(Row {
            pictures: counted.len(),
            incomplete: counted.iter().filter(|picture| !picture.whole()).count(),
            late: counted.iter().filter(|picture| picture.whole() && picture.delay > weather.delay + Duration::from_millis(500)).count(),
            lost: link.passed(way).lost(&[VP8]),
            repairs: now.retransmissions - sent_before[way].retransmissions,
            p50: delays[delays.len() / 2],
            p95: delays[delays.len() * 95 / 100],
        });
        let repairs_lost = link.passed(way).lost(&[VP8_REPAIRS]);
        assert!(rows[way].lost > 10, "the weather was bad: {:?}", rows[way]);
        assert!(repairs_lost <= rows[way].repairs);
    }
    a.peer.close().await;
    b.peer.close().await;
    rows.try_into().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn repairs_repair_and_never_storm() {
    let weather = |loss: f64, burst: u32, seed: u64| Weather { delay: Duration::from_millis(80), loss, burst, pipe: None, seed };
    let weathers = [weather(0.03, 1, 3), weather(0.05, 1, 5), weather(0.1, 1, 10), weather(0.05, 8, 21)];
    let storms = weathers.map(|weather| tokio::spawn(storm(weather, 10)));
    println!("| loss each way, delay | pictures | lost | late | packets lost | sent again | a loss | p50 ms | p95 ms |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut rows = Vec::new();
    for (weather, storm) in weathers.iter().zip(storms) {
        for row in storm.await.unwrap() {
            println!(
                "| {} | {} | {} | {} | {} | {} | {:.2} | {} | {} |",
                weather.name(),
                row.pictures,
                row.incomplete,
                row.late,
                row.lost,
                row.repairs,
                row.repairs as f64 / row.lost as f64,
                row.p50.as_millis(),
                row.p95.as_millis()
            );
            rows.push((weather.name(), row));
        }
    }
    for (name, row) in rows {
        assert!(row.pictures > 200, "{name}: {row:?}");
        assert!(row.incomplete * 100 <= row.pictures, "{name}: more than one picture in a hundred is lost: {row:?}");
        assert!(row.repairs <= 2 * row.lost, "{name}: repairs storm: {row:?}");
        assert!(row.repairs * 10 >= row.lost * 9, "{name}: {row:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thin_link_is_respected() {
    let pipe = Weather { pipe: Some((600_000.0, 0.3)), ..Weather::fair(Duration::from_millis(40)) };
    let (a, b, link) = call_over(Weather::fair(Duration::from_millis(40)), 2_000_000).await;
    link.weather(pipe);
    let asked = async |side: &Side| side.peer.statistics().await.receive_estimate.unwrap();
    let waited = tokio::time::timeout(peers::PATIENCE, async {
        while asked(&a).await > 700_000 || asked(&b).await > 700_000 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.expect("both sides ask for less");
    // The queue drains and pictures come whole again.
    tokio::time::sleep(Duration::from_secs(3)).await;
    b.seen.forget();
    until("pictures come whole and in time", || b.seen.delays().len() > 50).await;
    let delays = b.seen.delays();
    assert!(delays[delays.len() / 2] < Duration::from_millis(400), "{:?}", delays[delays.len() / 2]);
    link.weather(Weather::fair(Duration::from_millis(40)));
    let low = asked(&b).await;
    let waited = tokio::time::timeout(peers::PATIENCE, async {
        while asked(&b).await < low * 3 / 2 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    waited.await.expect("it comes back when the link is wide again");
    a.peer.close().await;
    b.peer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_of_ten_seconds_is_told_and_survived() {
    let (mut a, mut b, link) = call_over(Weather::fair(Duration::from_millis(20)), BITRATE).await;
    link.cut(true);
    let cut = tokio::time::Instant::now();
    for side in [&mut a, &mut b] {
        side.event(|event| *event == PeerEvent::Disconnected).await;
    }
    let told = cut.elapsed();
    assert!((Duration::from_secs(3)..Duration::from_secs(12)).contains(&told), "told after {told:?}");
    tokio::time::sleep_until(cut + Duration::from_secs(10)).await;
    link.cut(false);
    a.connected().await;
    b.connected().await;
    flowing(&a, &b).await;
    assert!(b.seen.pictures.lock().unwrap().values().rev().take(100).any(|picture| picture.key), "it goes on with a key frame");
    a.peer.close().await;
    b.peer.close().await;
}

/// The crate gives up such a handshake after nine seconds, and its driver with it: an ICE restart would change nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_that_is_never_answered_is_told_as_the_end() {
    let (mut a, b, link, faces) = over(Weather::fair(Duration::from_millis(5)), BITRATE).await;
    link.without_handshake();
    meet(&a, &b, faces).await;
    a.event(|event| matches!(event, PeerEvent::Broken(why) if why.contains("stopped by itself"))).await;
    assert!(a.peer.offer(true).await.is_err());
    a.peer.close().await;
    b.peer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_for_good_fails_and_an_ice_restart_brings_it_back() {
    let (mut a, mut b, link) = call_over(Weather::fair(Duration::from_millis(20)), BITRATE).await;
    link.cut(true);
    for side in [&mut a, &mut b] {
        side.event(|event| *event == PeerEvent::Disconnected).await;
        side.past.clear();
    }
    // Another way, past the cut link: the sockets are new ones, and nothing of the old way is needed.
    peers::connect(&mut a, &mut b, true).await;
    flowing(&a, &b).await;
    a.peer.close().await;
    b.peer.close().await;
}
