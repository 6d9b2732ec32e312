//! Repairs with a real browser, both ways over a bad network: the page is a bare `RTCPeerConnection`, the resident's end our
//! peer connection and session with test picture and tone.

use crate::support::browser::{Browser, Opening, Options, Page};
use crate::support::link::{Link, Weather, address, moved};
use residentd::media::peer::{LocalTracks, Peer, PeerConfig, PeerEvent, StreamStatistics};
use residentd::media::session::{Config, Session};
use residentd::media::{Codec, Kind, Outputs, PictureSink, SoundOut};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

const PATIENCE: Duration = Duration::from_secs(40);
const STORM: Duration = Duration::from_secs(12);

struct Nowhere;
impl PictureSink for Nowhere {
    fn push(&self, _: &gstreamer::Sample) {}
}

/// The page's side: its camera is Chromium's test picture; everything is asked for by expressions.
const PAGE: &str = r#"(() => {
  window.candidates = [];
  window.pc = new RTCPeerConnection();
  pc.onicecandidate = (event) => { if (event.candidate && event.candidate.candidate) candidates.push(event.candidate.candidate); };
  pc.ontrack = (event) => {
    const element = document.body.appendChild(document.createElement(event.track.kind));
    element.autoplay = true; element.srcObject = new MediaStream([event.track]);
  };
  return navigator.mediaDevices.getUserMedia({ audio: true, video: { width: 640, height: 360, frameRate: 20 } })
    .then((stream) => { stream.getTracks().forEach((track) => pc.addTrack(track, stream)); return true; });
})()"#;

const FIGURES: &str = r#"(async () => {
  const figures = {};
  (await pc.getStats()).forEach((one) => {
    if (one.type === "inbound-rtp" && one.kind === "video") figures.inbound = one;
    if (one.type === "outbound-rtp" && one.kind === "video") figures.outbound = one;
  });
  return figures;
})()"#;

/// A call between a fresh page and a fresh peer connection; the resident's end offers or answers.
struct Call {
    page: Page,
    peer: Peer,
    session: Session,
    link: Link,
}

async fn next(events: &mut mpsc::Receiver<PeerEvent>, wanted: impl Fn(&PeerEvent) -> bool, peer: &Peer) -> PeerEvent {
    let wait = async {
        loop {
            let event = events.recv().await.expect("the peer connection lives");
            if let PeerEvent::Track { id, .. } = &event {
                peer.present(id).await.unwrap();
            }
            if wanted(&event) {
                return event;
            }
        }
    };
    timeout(PATIENCE, wait).await.expect("the event comes")
}

impl Call {
    async fn start(browser: &Browser, name: &str, codec: Codec, we_offer: bool, weather: Weather) -> Call {
        let page = browser.open_with(name, Opening::default()).await;
        page.eval(PAGE).await;
        let outputs = Outputs { remote: Arc::new(Nowhere), own: Arc::new(Nowhere), sound: SoundOut::Null };
        // Small: the browser and both encoders share the machine.
        let config = Config { width: 640, height: 360, fps: 20, max_bitrate: 900_000, ..Config::default() };
        let (media, _) = mpsc::channel(16);
        let session = tokio::task::spawn_blocking(move || Session::open(config, true, outputs, media)).await.unwrap().unwrap();
        let (to, mut events) = mpsc::channel(64);
        let mut config = PeerConfig::new(residentd::net::tls::client(None).unwrap());
        config.bind = vec![([127, 0, 0, 1], 0).into()];
        config.video = vec![codec];
        let tracks = LocalTracks { audio: "sound".into(), video: Some("picture".into()) };
        let peer = Peer::new(config, session.clone(), tracks, to).await.unwrap();
        if we_offer {
            let offer = json!({"type": "offer", "sdp": peer.offer(false).await.unwrap()});
            let answer = page
                .eval(&format!("pc.setRemoteDescription({offer}).then(() => pc.setLocalDescription()).then(() => pc.localDescription.sdp)"))
                .await;
            peer.accept_answer(answer.as_str().unwrap()).await.unwrap();
        } else {
            let offer = page.eval("pc.setLocalDescription().then(() => pc.localDescription.sdp)").await;
            let answer = json!({"type": "answer", "sdp": peer.accept_offer(offer.as_str().unwrap()).await.unwrap()});
            page.eval(&format!("pc.setRemoteDescription({answer}).then(() => true)")).await;
        }
        let PeerEvent::Candidate(ours) = next(&mut events, |event| matches!(event, PeerEvent::Candidate(_)), &peer).await else {
            unreachable!()
        };
        let found = "candidates.find((line) => / udp .* 127\\.0\\.0\\.1 /i.test(line))";
        let theirs = page.wait(found, PATIENCE).await.as_str().unwrap().to_owned();
        let link = Link::between([address(&ours), address(&theirs)], weather).await;
        let candidate = json!({"candidate": moved(&ours, link.faces[0]), "sdpMid": "0"});
        page.eval(&format!("pc.addIceCandidate({candidate}).then(() => true)")).await;
        peer.add_candidate(&moved(&theirs, link.faces[1]), Some("0")).await.unwrap();
        next(&mut events, |event| *event == PeerEvent::Connected, &peer).await;
        let call = Call { page, peer, session, link };
        let flowing = async {
            while call.page_figures().await["inbound"]["framesDecoded"].as_u64() < Some(20) || call.decoded() < 20 {
                sleep(Duration::from_millis(100)).await;
            }
        };
        let waited = timeout(PATIENCE, flowing).await;
        assert!(waited.is_ok(), "pictures come both ways: {} {:?}", call.page_figures().await, call.session.statistics());
        call
    }

    async fn page_figures(&self) -> Value {
        self.page.eval(FIGURES).await
    }

    fn decoded(&self) -> u64 {
        self.session.statistics().received.iter().filter(|received| received.kind == Kind::Video).map(|received| received.frames).sum()
    }

    async fn picture(&self, sent: bool) -> StreamStatistics {
        let statistics = self.peer.statistics().await;
        let streams = if sent { statistics.sent } else { statistics.received };
        streams.into_iter().find(|stream| stream.kind == Kind::Video).unwrap()
    }

    async fn end(self) {
        self.peer.close().await;
        let session = self.session.clone();
        tokio::task::spawn_blocking(move || session.close()).await.unwrap();
        self.page.close().await;
    }
}

fn number(figures: &Value, stream: &str, name: &str) -> f64 {
    figures[stream][name].as_f64().unwrap_or(0.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn repairs_repair_both_ways_with_chromium() {
    let options = Options { args: vec!["--allow-loopback-in-peer-connection".into()], ..Options::default() };
    let browser = Browser::start(options).await;
    let weather = |loss: f64, burst: u32, seed: u64| Weather { delay: Duration::from_millis(80), loss, burst, pipe: None, seed };
    let cases = [
        (Codec::Vp8, false, weather(0.03, 1, 3)),
        (Codec::H264, true, weather(0.05, 1, 5)),
        (Codec::H264, false, weather(0.10, 1, 10)),
        (Codec::Vp8, true, weather(0.05, 8, 8)),
    ];
    println!(
        "| way | codec | loss, delay | pictures sent | decoded | packets lost | sent again | a loss | asked for | key frames asked | buffer ms |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|");
    let mut failures = Vec::new();
    for (index, (codec, we_offer, weather)) in cases.into_iter().enumerate() {
        let fair = Weather::fair(weather.delay);
        let call = Call::start(&browser, &format!("page{index}"), codec, we_offer, fair).await;
        let (page_before, decoded_before) = (call.page_figures().await, call.decoded());
        let (sent_before, received_before) = (call.picture(true).await, call.picture(false).await);
        let encoded =
            || call.session.statistics().sent.iter().filter(|sent| sent.codec.kind() == Kind::Video).map(|sent| sent.frames).sum::<u64>();
        let encoded_before = encoded();
        call.link.weather(weather);
        sleep(STORM).await;
        call.link.weather(fair);
        sleep(Duration::from_secs(2)).await;
        let (page, decoded, sent, received) =
            (call.page_figures().await, call.decoded(), call.picture(true).await, call.picture(false).await);
        let since = |stream: &str, name: &str| number(&page, stream, name) - number(&page_before, stream, name);
        let buffer =
            |figures: &Value| (number(figures, "inbound", "jitterBufferDelay"), number(figures, "inbound", "jitterBufferEmittedCount"));
        let ((delay, count), (delay_before, count_before)) = (buffer(&page), buffer(&page_before));
        let wait = call
            .session
            .statistics()
            .received
            .iter()
            .filter(|received| received.kind == Kind::Video)
            .map(|received| received.wait_ms)
            .max();
        let rows = [
            (
                "box to page",
                (encoded() - encoded_before) as f64,
                since("inbound", "framesDecoded"),
                call.link.passed(0).lost(&[sent.payload_type]),
                sent.retransmissions - sent_before.retransmissions,
                sent.nacked - sent_before.nacked,
                sent.key_frame_requests - sent_before.key_frame_requests,
                (delay - delay_before) / (count - count_before).max(1.0) * 1000.0,
            ),
            (
                "page to box",
                since("outbound", "framesSent"),
                (decoded - decoded_before) as f64,
                call.link.passed(1).lost(&[received.payload_type]),
                since("outbound", "retransmittedPacketsSent") as u64,
                received.nacked - received_before.nacked,
                received.key_frame_requests - received_before.key_frame_requests,
                wait.unwrap_or(0) as f64,
            ),
        ];
        // Our decoder has yet to grow its buffer when the storm begins, and does not wait longer than people can bear.
        for ((way, pictures, decoded, lost, repairs, asked, keys, buffer), least) in rows.into_iter().zip([0.9, 0.6]) {
            let a_loss = repairs as f64 / lost.max(1) as f64;
            let name = weather.name();
            println!(
                "| {way} | {codec:?} | {name} | {pictures} | {decoded} | {lost} | {repairs} | {a_loss:.2} | {asked} | {keys} | {buffer:.0} |"
            );
            if lost < 5 || pictures < 100.0 {
                failures.push(format!("{way}, {name}: nothing was tried"));
            }
            if decoded < least * pictures {
                failures.push(format!("{way}, {name}: {decoded} of {pictures} pictures"));
            }
            if repairs > 2 * lost + 10 {
                failures.push(format!("{way}, {name}: {repairs} repairs for {lost} lost packets"));
            }
        }
        call.end().await;
    }
    browser.close().await;
    assert!(failures.is_empty(), "{failures:#?}");
}
