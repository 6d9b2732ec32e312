//! A call of 720p24 both ways: CPU, memory, and the age of the picture where it is shown. Both ends of it run in one
//! process, once with our sessions and peer connections, once with GStreamer's `webrtcbin`; both take the same pictures
//! from the same camera, and have the same jitter buffer. Chromium calls itself in one page, with its own test camera.

use crate::browser::{self, Browser, Opening};
use crate::camera::{self, FPS, HEIGHT, Viewer, WIDTH};
use crate::figure::{Figure, Samples, Target, report};
use crate::process::{again_and_tell, cpu_of_all, pss_of_all, usage};
use residentd::media::peer::{LocalTracks, Peer, PeerConfig, PeerEvent};
use residentd::media::session::{CameraSource, Config, MicrophoneSource, Session};
use residentd::media::{Codec, Outputs, SoundOut};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Calls of each, in turn; of Chromium one, which is far away from both.
const ROUNDS: usize = 3;
/// Bitrates and jitter buffers settle first.
pub const SETTLE: Duration = Duration::from_secs(3);
/// The part of a call that is measured.
pub const SPAN: Duration = Duration::from_secs(8);
pub const BITRATE: u32 = 1_500_000;
const PATIENCE: Duration = Duration::from_secs(40);

pub fn run() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("camera");
    let _camera = camera::start(&socket);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut figures = Vec::new();
    for codec in ["VP8", "H264"] {
        let (mut us, mut them, mut chromium) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            us.push(again_and_tell("call_ours", &[socket.to_str().unwrap(), codec]));
            them.push(again_and_tell("call_webrtcbin", &[socket.to_str().unwrap(), codec]));
        }
        chromium.push(runtime.block_on(in_chromium(codec)));
        let of = |key: &str, rounds: &[Value]| Samples::new(rounds.iter().filter_map(|round| round[key].as_f64()));
        let cpu = |rounds: &[Value]| of("cpu", rounds);
        let (bin, browser) = ("webrtcbin", "Chromium");
        let name = |what: &str| format!("{codec}, {what}");
        figures.extend([
            Figure::new(name("CPU per second and end"), "ms", cpu(&us)).beside(bin, cpu(&them)).target(Target::RatioAtMost(1.0)),
            Figure::new(name("CPU per second and end"), "ms", cpu(&us)).beside(browser, cpu(&chromium)),
            Figure::new(name("memory, both ends, PSS"), "MiB", of("pss", &us))
                .beside(bin, of("pss", &them))
                .target(Target::RatioAtMost(1.0)),
            Figure::new(name("memory, both ends, PSS"), "MiB", of("pss", &us)).beside(browser, of("pss", &chromium)),
            Figure::new(name("age of the picture"), "ms", of("age", &us)).beside(bin, of("age", &them)).target(Target::RatioAtMost(0.5)),
            Figure::new(name("age of the picture, p95"), "ms", of("age95", &us)).beside(bin, of("age95", &them)),
            Figure::new(name("pictures shown"), "1/s", of("fps", &us)).beside(bin, of("fps", &them)),
        ]);
    }
    report(&format!("A call of {WIDTH}x{HEIGHT} at {FPS} both ways, {} s, {ROUNDS} rounds", SPAN.as_secs()), &figures);
}

/// Waits until both see, lets things settle, and measures this process.
pub fn watch(viewers: [&Viewer; 2]) {
    let end = Instant::now() + PATIENCE;
    while viewers.iter().any(|viewer| viewer.pictures() < 10) {
        assert!(Instant::now() < end, "no pictures: {:?}", viewers.map(Viewer::pictures));
        std::thread::sleep(Duration::from_millis(20));
    }
    std::thread::sleep(SETTLE);
    viewers.iter().for_each(|viewer| drop(viewer.take()));
    let (from, before) = (Instant::now(), usage(std::process::id()));
    std::thread::sleep(SPAN);
    let (after, span) = (usage(std::process::id()), from.elapsed().as_secs_f64());
    let seen: Vec<_> = viewers.iter().flat_map(|viewer| viewer.take()).collect();
    let ages = Samples::new(seen.iter().flatten().map(|age| f64::from(*age)));
    let told = json!({
        "cpu": (after.cpu - before.cpu) / span / 2.0 * 1000.0, "pss": after.pss, "rss": after.rss, "threads": after.threads,
        "fps": seen.len() as f64 / span / 2.0, "age": ages.median(), "age95": ages.quantile(0.95),
    });
    println!("{told}");
}

/// The process with our ends.
pub fn ours() {
    let (socket, codec) = arguments();
    let codec = if codec == "VP8" { Codec::Vp8 } else { Codec::H264 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let viewers = [Arc::new(Viewer::default()), Arc::new(Viewer::default())];
    let sessions = [open(&socket, viewers[0].clone()), open(&socket, viewers[1].clone())];
    let peers = runtime.block_on(connect(codec, &sessions));
    watch([&viewers[0], &viewers[1]]);
    sessions.iter().for_each(Session::close);
    runtime.block_on(async { tokio::join!(peers[0].close(), peers[1].close()) });
}

/// Socket of the camera, and codec.
pub fn arguments() -> (String, String) {
    let mut arguments = std::env::args().skip(1);
    (arguments.next().unwrap(), arguments.next().unwrap())
}

fn open(socket: &str, viewer: Arc<Viewer>) -> Session {
    let config = Config {
        camera: CameraSource::Launch(camera::source(socket)),
        microphone: MicrophoneSource::Test,
        width: WIDTH,
        height: HEIGHT,
        fps: FPS,
        max_bitrate: BITRATE,
        // The peer has none.
        echo_cancellation: false,
        ..Config::default()
    };
    let (events, _) = mpsc::channel(16);
    let outputs = Outputs { remote: viewer, own: Arc::new(Nobody), sound: SoundOut::Null };
    Session::open(config, true, outputs, events).unwrap()
}

/// The self-view is not looked at.
struct Nobody;

impl residentd::media::PictureSink for Nobody {
    fn push(&self, _: &gstreamer::Sample) {}
}

async fn connect(codec: Codec, sessions: &[Session; 2]) -> [Peer; 2] {
    let mut config = PeerConfig::new(residentd::net::tls::client(None).unwrap());
    config.bind = vec![([127, 0, 0, 1], 0).into()];
    config.video = vec![codec];
    let mut ends = Vec::new();
    for (session, name) in sessions.iter().zip(["a", "b"]) {
        let (to, events) = mpsc::channel(64);
        let tracks = LocalTracks { audio: format!("{name}-sound"), video: Some(format!("{name}-picture")) };
        ends.push((Peer::new(config.clone(), session.clone(), tracks, to).await.unwrap(), events));
    }
    let (b, of_b) = ends.pop().unwrap();
    let (a, of_a) = ends.pop().unwrap();
    for (mut events, own, other) in [(of_a, a.clone(), b.clone()), (of_b, b.clone(), a.clone())] {
        tokio::spawn(async move {
            while let Some(event) = events.recv().await {
                match event {
                    PeerEvent::Candidate(line) => other.add_candidate(&line, Some("0")).await.unwrap(),
                    PeerEvent::Track { id, .. } => own.present(&id).await.unwrap(),
                    _ => {}
                }
            }
        });
    }
    let offer = a.offer(false).await.unwrap();
    let answer = b.accept_offer(&offer).await.unwrap();
    a.accept_answer(&answer).await.unwrap();
    [a, b]
}

/// One page that calls itself.
const PAGE: &str = r#"(async (codec) => {
  const ends = [new RTCPeerConnection(), new RTCPeerConnection()];
  ends.forEach((end, i) => { end.onicecandidate = ({ candidate }) => candidate && ends[1 - i].addIceCandidate(candidate); });
  window.videos = [];
  for (const end of ends) {
    end.ontrack = ({ track, streams }) => {
      if (track.kind !== "video") return;
      const video = document.createElement("video");
      video.autoplay = video.muted = true;
      video.srcObject = streams[0];
      document.body.append(video);
      videos.push(video);
    };
    const video = { width: 1280, height: 720, frameRate: 24 };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video });
    for (const track of stream.getTracks()) end.addTrack(track, stream);
  }
  const wanted = RTCRtpReceiver.getCapabilities("video").codecs.filter((c) => c.mimeType === "video/" + codec);
  const others = RTCRtpReceiver.getCapabilities("video").codecs.filter((c) => c.mimeType === "video/rtx");
  const [a, b] = ends;
  for (const t of a.getTransceivers()) if (t.sender.track.kind === "video") t.setCodecPreferences([...wanted, ...others]);
  await a.setLocalDescription();
  await b.setRemoteDescription(a.localDescription);
  await b.setLocalDescription();
  await a.setRemoteDescription(b.localDescription);
  for (const end of ends) {
    const sender = end.getSenders().find((s) => s.track.kind === "video");
    const parameters = sender.getParameters();
    parameters.encodings[0].maxBitrate = 1500000;
    parameters.degradationPreference = "maintain-resolution";
    await sender.setParameters(parameters);
  }
  return true;
})"#;

async fn in_chromium(codec: &str) -> Value {
    let browser = Browser::start(browser::Options::default()).await;
    let page = browser.open_with("call", Opening::default()).await;
    page.eval(&format!("{PAGE}({codec:?})")).await;
    page.wait("videos.length === 2 && videos.every((v) => v.getVideoPlaybackQuality().totalVideoFrames > 10)", PATIENCE).await;
    tokio::time::sleep(SETTLE).await;
    let pids = browser.processes();
    let (from, before) = (Instant::now(), cpu_of_all(&pids));
    tokio::time::sleep(SPAN).await;
    let cpu = (cpu_of_all(&pids) - before) / from.elapsed().as_secs_f64() / 2.0 * 1000.0;
    let pss = pss_of_all(&pids);
    page.close().await;
    browser.close().await;
    json!({ "cpu": cpu, "pss": pss })
}
