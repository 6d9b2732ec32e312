//! Two unmodified twilio-video pages in headless Chromium call each other through the lab, which they take for the real
//! service: host names mapped, TLS (contract twilio-video §0 and §1).

use crate::browser::{Browser, Opening, Page};
use residentd_lab::{At, Fault, Lab, Options, Pairing};
use serde_json::json;
use std::time::Duration;

/// Two software encoders and decoders on a small shared machine take their time.
const SLOW: Duration = Duration::from_secs(60);

/// What a caller's page does with the package: connect as the public caller app does, attach what comes, note events.
const SCRIPT: &str = r#"
window.said = [];
window.seen = (...event) => window.said.some((e) => event.every((part, i) => e[i] === part));
function attach(track) { if (track.attach) document.body.appendChild(track.attach()); }
function watch(person) {
  person.tracks.forEach((pub) => { if (pub.isSubscribed) attach(pub.track); });
  person.on("trackSubscribed", (track) => { said.push(["subscribed", person.identity, track.kind]); attach(track); });
  person.on("trackDisabled", (pub) => said.push(["disabled", person.identity, pub.kind]));
  person.on("trackEnabled", (pub) => said.push(["enabled", person.identity, pub.kind]));
}
window.join = async (token, name, more) => {
  const video = { height: 240, width: 320, frameRate: 15 };
  window.room = await Twilio.Video.connect(token, { name, audio: true, maxAudioBitrate: 16000, video, ...more });
  room.participants.forEach(watch);
  room.on("participantConnected", (p) => { said.push(["joined", p.identity]); watch(p); });
  room.on("participantDisconnected", (p) => said.push(["left", p.identity]));
  room.on("reconnected", () => said.push(["reconnected"]));
  room.on("disconnected", (_, error) => said.push(["disconnected", error ? error.code : null]));
  room.localParticipant.on("trackPublicationFailed", (error, track) => said.push(["failed", error.code, track.kind]));
  return room.sid;
};
// Frames shown by the remote picture that shows most.
window.frames_shown = () => Math.max(0, ...[...document.querySelectorAll("video")].map((v) => v.videoWidth ? v.getVideoPlaybackQuality().totalVideoFrames : 0));
window.audio_bytes = async () => {
  const reports = await room.getStats();
  return Math.max(0, ...reports.flatMap((r) => r.remoteAudioTrackStats.map((s) => s.bytesReceived || 0)));
};
// True once so many more frames and some more sound than at the first look have come.
window.moving = async (from) => {
  const now = { frames: frames_shown(), bytes: await audio_bytes() };
  window.marks = window.marks || {};
  const first = (window.marks[from] = window.marks[from] || now);
  return now.frames > first.frames + 10 && now.bytes > first.bytes + 1000;
};
0
"#;

struct House {
    lab: Lab,
    browser: Browser,
    package: String,
}

impl House {
    async fn new(pairing: Pairing, package: &str) -> Self {
        let lab = Lab::start(Options { pairing, ..Options::default() }).await.unwrap();
        let port = lab.ports().rooms;
        let hosts = format!("MAP global.vss.twilio.com 127.0.0.1:{port}, MAP sdkgw.us1.twilio.com 127.0.0.1:{port}");
        let options = crate::browser::Options { host_rules: Some(hosts), ignore_certificates: true, ..crate::browser::Options::default() };
        Self { lab, browser: Browser::start(options).await, package: package.to_owned() }
    }

    async fn page(&self, name: &str) -> Page {
        let page = self.browser.open_with(name, Opening { npm: vec![self.package.clone()], ..Opening::default() }).await;
        page.eval(SCRIPT).await;
        page
    }

    async fn join(&self, page: &Page, identity: &str, room: &str) {
        let token = self.lab.video_token(identity, room);
        page.eval(&format!("join({}, {})", json!(token), json!(room))).await;
    }
}

async fn both_move(pages: [&Page; 2], when: &str) {
    let moving = format!("moving({})", json!(when));
    tokio::join!(pages[0].wait(&moving, SLOW), pages[1].wait(&moving, SLOW));
}

#[tokio::test]
async fn two_pages_see_and_hear_each_other_and_survive_a_lost_socket() {
    let house = House::new(Pairing::NewcomerOffers, "twilio-video").await;
    let (carer, resident) = (house.page("carer").await, house.page("resident").await);
    house.join(&carer, "carer", "carer-to-resident").await;
    house.join(&resident, "resident", "carer-to-resident").await;
    both_move([&carer, &resident], "at first").await;

    carer.eval("room.localParticipant.videoTracks.forEach((p) => p.track.disable())").await;
    resident.wait("seen('disabled', 'carer', 'video')", SLOW).await;
    carer.eval("room.localParticipant.videoTracks.forEach((p) => p.track.enable())").await;
    resident.wait("seen('enabled', 'carer', 'video')", SLOW).await;

    assert_eq!(house.lab.fault(&Fault::Drop { at: At::Rooms, who: Some("carer".to_owned()) }), 1);
    carer.wait("seen('reconnected')", SLOW).await;
    both_move([&carer, &resident], "after the resume").await;

    resident.eval("room.disconnect()").await;
    carer.wait("seen('left', 'resident')", SLOW).await;
    house.lab.fault(&Fault::CompleteRoom { room: "carer-to-resident".to_owned() });
    carer.wait("seen('disconnected', 53118)", SLOW).await;
    house.browser.close().await;
}

#[tokio::test]
async fn a_page_is_offered_loses_its_peer_and_meets_it_again() {
    let house = House::new(Pairing::ExistingOffers, "twilio-video-2.36.0").await;
    let (carer, resident) = (house.page("carer").await, house.page("resident").await);
    house.join(&resident, "resident", "r").await;
    house.join(&carer, "carer", "r").await;
    both_move([&carer, &resident], "at first").await;

    // The tab is gone without a word; the survivor hears of it early enough to stay in the room itself.
    resident.close().await;
    carer.wait("seen('left', 'resident')", SLOW).await;
    let again = house.page("resident").await;
    house.join(&again, "resident", "r").await;
    carer.wait("seen('joined', 'resident')", SLOW).await;
    both_move([&carer, &again], "again").await;
    assert_eq!(carer.eval("[room.state, seen('disconnected')]").await, json!(["connected", false]));

    // A second device under the same name takes the place of the first.
    let twin = house.page("twin").await;
    house.join(&twin, "resident", "r").await;
    again.wait("seen('disconnected', 53205)", SLOW).await;
    both_move([&carer, &twin], "with the twin").await;
    house.lab.fault(&Fault::ForgetSessions);
    carer.wait("seen('disconnected', 53204)", SLOW).await;
    house.browser.close().await;
}

#[tokio::test]
async fn in_an_audio_only_room_the_picture_is_refused_and_the_sound_flows() {
    let house = House::new(Pairing::NewcomerOffers, "twilio-video").await;
    house.lab.create_room("quiet", true);
    let (carer, resident) = (house.page("carer").await, house.page("resident").await);
    house.join(&carer, "carer", "quiet").await;
    house.join(&resident, "resident", "quiet").await;
    for page in [&carer, &resident] {
        page.wait("seen('failed', 53125, 'video')", SLOW).await;
        page.wait("audio_bytes().then((bytes) => bytes > 2000)", SLOW).await;
    }
    assert_eq!(carer.eval("frames_shown()").await, json!(0));
    house.browser.close().await;
}

/// The steps of the public caller app with the hosts, key and paths that are compiled into its staging build (contract
/// chatta §1 and §3): nothing in it knows of a lab.
const CALLER_APP: &str = r#"
window.said = [];
window.call = async () => {
  const api = "https://api-staging.caremessenger.co.uk";
  const post = async (path, body, token, method = "POST") => {
    const headers = { "Content-Type": "application/json", ...(token && { Authorization: "Bearer " + token }) };
    const response = await fetch(api + path, { method, headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(path + " " + response.status);
    return response.json();
  };
  const { token, user } = await post("/api-token-auth/", { username: "roger_chatta_admin", password: "password" });
  const headers = { Authorization: "Bearer " + token };
  const list = await (await fetch(api + "/v2/resident?online=true&customer=" + user.customer, { headers })).json();
  const target = list.results[0];
  const pusher = new Pusher("2dd7fcb4e455b0869e43", {
    cluster: "eu", encrypted: true, authEndpoint: api + "/pusher/auth/", auth: { headers: { AUTHORIZATION: "Bearer " + token } }
  });
  const channel = pusher.subscribe("private-call-" + user.customer);
  await new Promise((resolve, reject) => {
    channel.bind("pusher:subscription_succeeded", resolve);
    channel.bind("pusher:subscription_error", (e) => reject(new Error(JSON.stringify(e))));
  });
  for (const word of ["accepted", "declined", "ended"]) channel.bind(`client-conferencing-call-${word}-${user.id}`, (data) => said.push([word, data]));
  await post(`/v2/set-top-box/${target.set_top_box.id}/power_normal?force=true`, {}, token, "PATCH");
  const roomName = user.username + "-to-" + target.username;
  const room = await post("/v2/conferencing-room", { unique_name: roomName, enable_recording: false, audio_only: false }, token);
  const request = { audioOnly: false, initiator: user, target, roomName, autoAccept: false, acceptAfter: "5", roomSid: room.sid };
  channel.trigger("client-conferencing-call-requested-" + target.id, request);
  while (!said.length) await new Promise((resolve) => setTimeout(resolve, 20));
  const access = await post("/conferencing/video-token/", { username: user.username, room_name: roomName }, token);
  const joined = await Twilio.Video.connect(access.token, { name: roomName, audio: true, video: { height: 240, width: 320 } });
  return [said[0][0], joined.sid === room.sid, [...joined.participants.values()].map((p) => p.identity)];
};
0
"#;

#[tokio::test]
async fn a_page_built_for_the_public_services_calls_through_the_lab() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let ports = lab.ports();
    let hosts = format!(
        "MAP api-staging.caremessenger.co.uk 127.0.0.1:{}, MAP ws-eu.pusher.com 127.0.0.1:{}, MAP global.vss.twilio.com 127.0.0.1:{rooms}, \
         MAP sdkgw.us1.twilio.com 127.0.0.1:{rooms}",
        ports.api,
        ports.pusher,
        rooms = ports.rooms
    );
    let options = crate::browser::Options { host_rules: Some(hosts), ignore_certificates: true, ..crate::browser::Options::default() };
    let chromium = Browser::start(options).await;
    let page =
        chromium.open_with("carer", Opening { npm: vec!["pusher-js".to_owned(), "twilio-video".to_owned()], ..Opening::default() }).await;
    page.eval(CALLER_APP).await;

    let resident = lab.caller("chattademo");
    let mut log = lab.events();
    let answer = async {
        while log.recv().await.unwrap().what != "client-conferencing-call-requested-1124" {}
        resident.event("client-conferencing-call-accepted-5", &json!({"roomName": "roger_chatta_admin-to-chattademo"}));
    };
    let (called, ()) = tokio::join!(page.eval("call()"), answer);
    assert_eq!(called, json!(["accepted", true, []]));

    chromium.close().await;
}
