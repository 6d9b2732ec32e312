//! From `accepted` to the first picture of the other, decoded on both sides: the daemon and the platform's own client in
//! Chromium, beside two such clients in the same lab.

use crate::browser::{self, Browser, Opening, Page};
use crate::daemon::{CALLER, Daemon, PATIENCE, RESIDENT};
use crate::figure::{Figure, Samples, Target, report};
use residentd::api::Happening;
use residentd_lab::{CallOptions, Lab, Options, ReplyKind};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Calls of each, in turn. The first of each is not counted: caches fill.
const CALLS: usize = 6;

/// Joins as the platform's page does, and takes the time of the first picture of the other.
const PAGE: &str = r#"(() => {
  const show = (track) => {
    if (track.kind !== "video") return;
    const element = track.attach();
    document.body.append(element);
    element.requestVideoFrameCallback(() => { window.first ??= Date.now(); });
  };
  const meet = (participant) => {
    participant.tracks.forEach((publication) => publication.track && show(publication.track));
    participant.on("trackSubscribed", show);
  };
  window.join = (token, name) => {
    const video = { height: 720, width: 1280, frameRate: 24 };
    Twilio.Video.connect(token, { name, audio: true, maxAudioBitrate: 16000, video }).then((room) => {
      window.room = room;
      room.participants.forEach(meet);
      room.on("participantConnected", meet);
    });
    return true;
  };
  return true;
})()"#;

pub fn run() {
    // Apart, so that neither waits for the other's work.
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (platform, box_) = (runtime(), runtime());
    let lab = platform.block_on(Lab::start(Options::default())).unwrap();
    box_.block_on(measure(&lab));
}

async fn measure(lab: &Lab) {
    let host_rules = Some(format!("MAP global.vss.twilio.com 127.0.0.1:{}", lab.ports().rooms));
    let browser = Browser::start(browser::Options { host_rules, ignore_certificates: true, ..Default::default() }).await;
    let mut daemon = Daemon::start(lab, &["network.bind=[\"127.0.0.1\"]"]).await;
    let (mut both, mut here, mut there, mut peer) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for call in 0..CALLS {
        let (resident, caller) = with_daemon(lab, &mut daemon, &browser).await;
        let pages = between_pages(lab, &browser, call).await;
        if call > 0 {
            both.push(resident.max(caller));
            here.push(resident);
            there.push(caller);
            peer.push(pages);
        }
    }
    daemon.stop().await;
    browser.close().await;
    let (name, peer) = ("Chromium", Samples::new(peer));
    let figures = [
        Figure::new("accepted to first picture, both sides", "ms", Samples::new(both)).beside(name, peer).target(Target::RatioAtMost(1.0)),
        Figure::new("of this, at the resident", "ms", Samples::new(here)),
        Figure::new("of this, at the caller", "ms", Samples::new(there)),
    ];
    report(&format!("First picture, {} calls each", CALLS - 1), &figures);
}

async fn page(browser: &Browser, name: &str) -> Page {
    let page = browser.open_with(name, Opening { npm: vec!["twilio-video".to_owned()], ..Opening::default() }).await;
    page.eval(PAGE).await;
    page
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64() * 1000.0
}

async fn first(page: &Page) -> f64 {
    page.wait("window.first", PATIENCE).await.as_f64().unwrap()
}

/// Milliseconds until the resident and the caller see.
async fn with_daemon(lab: &Lab, daemon: &mut Daemon, browser: &Browser) -> (f64, f64) {
    let page = page(browser, "caller").await;
    let mut caller = lab.caller(CALLER);
    let before = daemon.tv.pictures().0;
    let requested = caller.request(RESIDENT, &CallOptions { auto_accept: true, ..CallOptions::default() });
    let reply = caller.reply(PATIENCE).await.expect("the daemon answers");
    assert_eq!(reply.kind, ReplyKind::Accepted);
    let accepted = now();
    let tv = daemon.tv.clone();
    let seen = tokio::spawn(async move {
        let seen = async {
            while tv.pictures().0 == before {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("the resident sees the caller");
        now()
    });
    let token = lab.video_token(CALLER, &requested.room_name);
    page.eval(&format!("join({token:?}, {:?})", requested.room_name)).await;
    let there = first(&page).await - accepted;
    let here = seen.await.unwrap() - accepted;
    page.close().await;
    caller.end(RESIDENT, &requested);
    daemon.until("closing the devices", |h| matches!(h, Happening::Closed { .. })).await;
    (here, there)
}

/// Milliseconds until both pages see.
async fn between_pages(lab: &Lab, browser: &Browser, call: usize) -> f64 {
    let (a, b) = tokio::join!(page(browser, "a"), page(browser, "b"));
    let room = format!("pages-{call}");
    let join = |identity: &str| format!("join({:?}, {room:?})", lab.video_token(identity, &room));
    let (of_a, of_b) = (join("a"), join("b"));
    let accepted = now();
    tokio::join!(a.eval(&of_a), b.eval(&of_b));
    let (of_a, of_b) = tokio::join!(first(&a), first(&b));
    tokio::join!(a.close(), b.close());
    of_a.max(of_b) - accepted
}
