//! Calls between our room and the unmodified client of the platform's own page (`twilio-video` from npm) in a real
//! browser, over the lab's signalling: pictures and sound both ways in every order of joining, and what goes wrong on
//! bad days.

use crate::support::browser::{self, Browser, Opening, Page};
use crate::support::participant::{Guest, PATIENCE, Participant, ROOM, until};
use residentd::call::RoomEvent;
use residentd::media::Codec;
use residentd::room::twilio::Timings;
use residentd_lab::{At, Fault, Lab, Options, Pairing};
use serde_json::json;
use std::time::Duration;
use tokio::time::Instant;

/// What the page does beyond calling `connect` as the platform's page does: shows tracks, counts, remembers events. Its picture is small,
/// because encoders and decoders of two browsers share the machine (the full size: call_browser.rs).
const PAGE: &str = r#"(() => {
  window.heard = 0; window.said = [];
  const show = (track) => {
    if (track.kind === "data") return;
    const element = track.attach();
    element.style.width = "160px";
    document.body.append(element);
    if (track.kind !== "audio") return;
    const context = new AudioContext(), analyser = context.createAnalyser(), samples = new Float32Array(2048);
    context.createMediaStreamSource(new MediaStream([track.mediaStreamTrack])).connect(analyser);
    setInterval(() => {
      analyser.getFloatTimeDomainData(samples);
      if (samples.some((s) => Math.abs(s) > 0.02)) window.heard++;
    }, 100);
  };
  const meet = (participant) => {
    window.said.push("arrived " + participant.identity);
    participant.tracks.forEach((publication) => publication.track && show(publication.track));
    participant.on("trackSubscribed", show);
    participant.on("trackDisabled", (publication) => window.said.push("disabled " + publication.kind));
    participant.on("trackEnabled", (publication) => window.said.push("enabled " + publication.kind));
  };
  window.join = async (token, name) => {
    const room = await Twilio.Video.connect(token, {
      name, audio: true, maxAudioBitrate: 16000, video: { height: 360, width: 640, frameRate: 15 },
    });
    window.room = room;
    room.participants.forEach(meet);
    room.on("participantConnected", meet);
    room.on("participantDisconnected", (participant) => window.said.push("left " + participant.identity));
    room.on("reconnecting", () => window.said.push("reconnecting"));
    room.on("disconnected", (_, error) => window.said.push("disconnected " + (error && error.code)));
    return room.sid;
  };
  // Frames shown by the videos of those who are still here.
  window.frames = () => [...document.querySelectorAll("video")].map((v) => v.getVideoPlaybackQuality().totalVideoFrames).reduce((a, b) => a + b, 0);
  return true;
})()"#;

/// A lab, and a browser that finds it where the real service is.
async fn stage(pairing: Pairing) -> (Lab, Browser) {
    let lab = Lab::start(Options { pairing, ..Options::default() }).await.expect("loopback has free ports");
    let host_rules = Some(format!("MAP global.vss.twilio.com 127.0.0.1:{}", lab.ports().rooms));
    let browser = Browser::start(browser::Options { host_rules, ignore_certificates: true, ..Default::default() }).await;
    (lab, browser)
}

async fn join_as_resident(lab: &Lab, camera: bool) -> Participant {
    let mut resident = Participant::join(Guest { camera, ..Guest::of(lab, "resident", "carer") }).await;
    resident.expect(RoomEvent::Joined).await;
    resident
}

async fn open(browser: &Browser) -> Page {
    let page = browser.open_with("carer", Opening { npm: vec!["twilio-video".to_owned()], ..Opening::default() }).await;
    page.eval(PAGE).await;
    page
}

async fn join(page: &Page, lab: &Lab) {
    let token = lab.video_token("carer", ROOM);
    page.eval(&format!("join({token:?}, {ROOM:?})")).await;
}

/// Waits until the page shows moving pictures and hears sound, from now on.
async fn page_sees_and_hears(page: &Page) {
    page.eval("window.mark = { frames: frames(), heard }; true").await;
    page.wait("frames() - mark.frames >= 15 && heard - mark.heard >= 3", PATIENCE).await;
}

async fn end(mut resident: Participant, page: Page, browser: Browser, lab: Lab) {
    resident.leave().await;
    page.close().await;
    browser.close().await;
    lab.stop().await;
}

/// A call that stands, the page first.
async fn call() -> (Lab, Browser, Page, Participant) {
    let (lab, browser) = stage(Pairing::NewcomerOffers).await;
    let page = open(&browser).await;
    join(&page, &lab).await;
    let mut resident = join_as_resident(&lab, true).await;
    resident.expect(RoomEvent::CallerArrived).await;
    tokio::join!(resident.sees_and_hears(), page_sees_and_hears(&page));
    (lab, browser, page, resident)
}

async fn order(pairing: Pairing, page_first: bool) {
    let (lab, browser) = stage(pairing).await;
    let page = open(&browser).await;
    let mut resident;
    if page_first {
        join(&page, &lab).await;
        resident = join_as_resident(&lab, true).await;
    } else {
        resident = join_as_resident(&lab, true).await;
        join(&page, &lab).await;
    }
    resident.expect(RoomEvent::CallerArrived).await;
    tokio::join!(resident.sees_and_hears(), page_sees_and_hears(&page));
    let mut events = Vec::new();
    while let Ok(event) = resident.events.try_recv() {
        events.push(event);
    }
    assert_eq!(events, [], "nothing to complain of");
    end(resident, page, browser, lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_first_and_the_box_offers() {
    order(Pairing::NewcomerOffers, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn page_first_and_its_offer_waits_for_the_box() {
    order(Pairing::ExistingOffers, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn box_first_and_the_page_offers() {
    order(Pairing::NewcomerOffers, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn box_first_and_its_offer_waits_for_the_page() {
    order(Pairing::ExistingOffers, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_our_camera_the_page_hears_and_we_see() {
    let (lab, browser) = stage(Pairing::NewcomerOffers).await;
    let page = open(&browser).await;
    join(&page, &lab).await;
    let resident = join_as_resident(&lab, false).await;
    resident.sees_and_hears().await;
    page.wait("heard >= 3", PATIENCE).await;
    assert_eq!(page.eval("[document.querySelectorAll('video').length, document.querySelectorAll('audio').length]").await, json!([0, 1]));
    end(resident, page, browser, lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn mute_is_seen_by_the_page_and_silences_us() {
    let (lab, browser, page, resident) = call().await;
    resident.room().mute(true);
    page.wait("said.includes('disabled audio')", PATIENCE).await;
    // What was on its way is heard still.
    page.eval("new Promise((done) => setTimeout(done, 1500))").await;
    let heard = page.eval("heard").await;
    page.eval("new Promise((done) => setTimeout(done, 2000))").await;
    assert_eq!(page.eval("heard").await, heard);
    resident.room().mute(false);
    page.wait("said.includes('enabled audio')", PATIENCE).await;
    page_sees_and_hears(&page).await;
    end(resident, page, browser, lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn our_lost_socket_is_replaced_and_nobody_notices() {
    let (lab, browser, page, mut resident) = call().await;
    assert_eq!(lab.fault(&Fault::Drop { at: At::Rooms, who: Some("resident".into()) }), 1);
    tokio::join!(resident.sees_and_hears(), page_sees_and_hears(&page));
    // Said while the old socket was dying or on the new one: it must arrive.
    resident.room().mute(true);
    page.wait("said.includes('disabled audio')", PATIENCE).await;
    assert!(resident.figures().await["signalling"] == true);
    assert!(resident.events.try_recv().is_err(), "the agent has nothing to tell");
    assert_eq!(page.eval("said.filter((s) => s.startsWith('left') || s.startsWith('disc'))").await, json!([]));
    end(resident, page, browser, lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_lost_socket_is_replaced_and_nobody_notices() {
    let (lab, browser, page, mut resident) = call().await;
    assert_eq!(lab.fault(&Fault::Drop { at: At::Rooms, who: Some("carer".into()) }), 1);
    page.wait("said.includes('reconnecting') && room.state === 'connected'", PATIENCE).await;
    tokio::join!(resident.sees_and_hears(), page_sees_and_hears(&page));
    assert!(resident.events.try_recv().is_err(), "the agent has nothing to tell");
    end(resident, page, browser, lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_restarts_ice_and_the_call_goes_on() {
    let (lab, browser, page, resident) = call().await;
    let before = credentials(&page).await;
    // As the client does by itself when its path is dead.
    page.eval("room._signaling._peerConnectionManager._peerConnections.forEach((pc) => pc._initiateIceRestart())").await;
    restarted(&page, &before).await;
    tokio::join!(resident.sees_and_hears(), page_sees_and_hears(&page));
    end(resident, page, browser, lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn we_restart_ice_and_the_call_goes_on() {
    let (lab, browser, page, mut resident) = call().await;
    let before = credentials(&page).await;
    resident.room().network_changed();
    restarted(&page, &before).await;
    tokio::join!(resident.sees_and_hears(), page_sees_and_hears(&page));
    assert!(resident.events.try_recv().is_err(), "the agent has nothing to tell");
    end(resident, page, browser, lab).await;
}

/// Signalling state of the page's peer connection, and our ICE generation as it knows it.
const CREDENTIALS: &str = "(() => {
  const all = [...room._signaling._peerConnectionManager._peerConnections.values()].map((p) => p._peerConnection);
  const pc = all.find((p) => p.remoteDescription);
  return [pc.signalingState, /a=ice-ufrag:(.*)/.exec(pc.remoteDescription.sdp)[1].trim()];
})()";

async fn credentials(page: &Page) -> serde_json::Value {
    page.eval(CREDENTIALS).await[1].clone()
}

/// Waits until a restart is agreed on: ours brings a new generation, and so does our answer to the page's.
async fn restarted(page: &Page, before: &serde_json::Value) {
    page.wait(&format!("(([state, ufrag]) => state === 'stable' && ufrag !== {before})({CREDENTIALS})"), PATIENCE).await;
}

/// The processes of the browser, stopped while this lives: to us as if the page's network were gone, signalling included.
struct Frozen(Vec<String>);

impl Frozen {
    fn new(browser: &Browser) -> Frozen {
        let pids: Vec<String> = browser.processes().iter().map(u32::to_string).collect();
        assert!(pids.len() > 2, "a browser is several processes: {pids:?}");
        let frozen = Frozen(pids);
        frozen.signal("-STOP");
        frozen
    }

    fn signal(&self, signal: &str) {
        std::process::Command::new("kill").arg(signal).args(&self.0).status().expect("kill is everywhere");
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        self.signal("-CONT");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_seconds_without_a_network_are_survived() {
    let (lab, browser, page, mut resident) = call().await;
    let frozen = Frozen::new(&browser);
    let began = Instant::now();
    resident.expect(RoomEvent::Weak).await;
    tokio::time::sleep_until(began + Duration::from_secs(10)).await;
    drop(frozen);
    resident.expect(RoomEvent::Good).await;
    println!("good again {:?} after the network was back", began.elapsed() - Duration::from_secs(10));
    tokio::join!(resident.sees_and_hears(), page_sees_and_hears(&page));
    end(resident, page, browser, lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_network_for_longer_the_call_is_given_up() {
    let (lab, browser) = stage(Pairing::NewcomerOffers).await;
    let page = open(&browser).await;
    join(&page, &lab).await;
    // The lab announces the page's loss after twenty seconds; a real service after thirty or more.
    let timings = Timings { give_up_after: Duration::from_secs(6), ..Timings::default() };
    let mut resident = Participant::join(Guest { timings, ..Guest::of(&lab, "resident", "carer") }).await;
    resident.expect(RoomEvent::Joined).await;
    resident.expect(RoomEvent::CallerArrived).await;
    resident.sees_and_hears().await;
    let frozen = Frozen::new(&browser);
    resident.expect(RoomEvent::Weak).await;
    let why = resident.expect_failure().await;
    drop(frozen);
    assert!(why.contains("53405"), "{why}");
    page.wait("said.includes('left resident')", PATIENCE).await;
    end(resident, page, browser, lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_picture_and_a_data_track_come_and_go() {
    let (lab, browser, page, mut resident) = call().await;
    page.eval(
        r#"(async () => {
          const canvas = document.createElement("canvas");
          [canvas.width, canvas.height] = [200, 120];
          const draw = canvas.getContext("2d");
          setInterval(() => { draw.fillStyle = `hsl(${performance.now() / 10}, 90%, 50%)`; draw.fillRect(0, 0, 200, 120); }, 60);
          window.second = new Twilio.Video.LocalVideoTrack(canvas.captureStream(15).getVideoTracks()[0]);
          await room.localParticipant.publishTrack(new Twilio.Video.LocalDataTrack());
          await room.localParticipant.publishTrack(second);
          return true;
        })()"#,
    )
    .await;
    let shown = |width: u64| resident.picture.width.load(std::sync::atomic::Ordering::Relaxed) == width;
    until("the second picture", || shown(200)).await;
    page.eval("room.localParticipant.unpublishTrack(second) && true").await;
    until("the first picture", || !shown(200)).await;
    tokio::join!(resident.sees_and_hears(), page_sees_and_hears(&page));
    assert!(resident.events.try_recv().is_err(), "the agent has nothing to tell");
    end(resident, page, browser, lab).await;
}

/// Three peer connections in all: the box, which comes last, is asked to make an offer of its own for the second page.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_third_participant_the_caller_is_presented() {
    let (lab, browser) = stage(Pairing::NewcomerOffers).await;
    let relative = browser.open_with("relative", Opening { npm: vec!["twilio-video".to_owned()], ..Opening::default() }).await;
    relative.eval(PAGE).await;
    let page = open(&browser).await;
    join(&page, &lab).await;
    relative.eval(&format!("join({:?}, {ROOM:?})", lab.video_token("relative", ROOM))).await;
    let mut resident = join_as_resident(&lab, true).await;
    resident.expect(RoomEvent::CallerArrived).await;
    tokio::join!(resident.sees_and_hears(), page_sees_and_hears(&page), page_sees_and_hears(&relative));
    assert_eq!(resident.figures().await["participants"], 2);
    relative.eval("room.disconnect() && true").await;
    tokio::join!(resident.sees_and_hears(), page_sees_and_hears(&page));
    assert!(resident.events.try_recv().is_err(), "nobody of importance left");
    relative.close().await;
    end(resident, page, browser, lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_versions_of_the_client_and_vp8_alone() {
    for version in ["twilio-video-2.32.0", "twilio-video-2.36.0"] {
        let (lab, browser) = stage(Pairing::NewcomerOffers).await;
        let page = browser.open_with("carer", Opening { npm: vec![version.to_owned()], ..Opening::default() }).await;
        page.eval(PAGE).await;
        join(&page, &lab).await;
        let mut guest = Guest::of(&lab, "resident", "carer");
        guest.peer.video = vec![Codec::Vp8];
        let mut resident = Participant::join(guest).await;
        resident.expect(RoomEvent::Joined).await;
        resident.expect(RoomEvent::CallerArrived).await;
        tokio::join!(resident.sees_and_hears(), page_sees_and_hears(&page));
        end(resident, page, browser, lab).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_leaving_is_seen_by_the_page_at_once() {
    let (lab, browser, page, mut resident) = call().await;
    page.eval("room.on('participantDisconnected', () => { window.gone = Date.now() }), true").await;
    let began = Instant::now();
    let clock = page.eval("Date.now()").await.as_f64().expect("a time");
    resident.leave().await;
    assert!(began.elapsed() < Duration::from_secs(3), "leaving took {:?}", began.elapsed());
    page.wait("window.gone", PATIENCE).await;
    let seen = page.eval("window.gone").await.as_f64().expect("a time") - clock;
    println!("seen by the page after {seen} ms");
    // Without a goodbye it takes five seconds and more (contract section 7).
    assert!(seen < 3000.0, "seen after {seen} ms");
    page.close().await;
    browser.close().await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_handle_leaves_politely() {
    let (lab, browser, page, mut resident) = call().await;
    drop(resident.room.take());
    page.wait("said.includes('left resident')", PATIENCE).await;
    page.close().await;
    browser.close().await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reloaded_page_is_met_again() {
    let (lab, browser, page, mut resident) = call().await;
    let page = {
        drop(page);
        let page = open(&browser).await;
        join(&page, &lab).await;
        page
    };
    tokio::join!(resident.sees_and_hears(), page_sees_and_hears(&page));
    let mut events = Vec::new();
    while let Ok(event) = resident.events.try_recv() {
        events.push(event);
    }
    assert!(!events.iter().any(|e| matches!(e, RoomEvent::Failed(_))), "{events:?}");
    let present = events.iter().rfind(|e| matches!(e, RoomEvent::CallerArrived | RoomEvent::CallerLeft));
    assert_ne!(present, Some(&RoomEvent::CallerLeft), "{events:?}");
    end(resident, page, browser, lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_callers_hanging_up_is_told() {
    let (lab, browser, page, mut resident) = call().await;
    page.eval("room.disconnect() && true").await;
    resident.expect(RoomEvent::CallerLeft).await;
    end(resident, page, browser, lab).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_crash_we_come_back_and_the_older_self_goes() {
    let (lab, browser, page, mut older) = call().await;
    let mut newer = join_as_resident(&lab, true).await;
    let why = older.expect_failure().await;
    assert!(why.contains("another device"), "{why}");
    newer.expect(RoomEvent::CallerArrived).await;
    tokio::join!(newer.sees_and_hears(), page_sees_and_hears(&page));
    end(newer, page, browser, lab).await;
}
