//! Recorded conversations of real clients with a room server are replayed against the lab's: every frame the recorded
//! server sent must come again, in order, ids aside (contract twilio-video §3 to §5).

use crate::support::{Heard, Socket};
use residentd_lab::{At, Fault, Lab, Options, Pairing};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// What counts of a body: everything but ids and texts.
fn digest(frame: &Value) -> Value {
    let body = &frame["body"];
    let list =
        |value: &Value, of: &dyn Fn(&Value) -> Value| -> Value { value.as_array().map_or(Value::Null, |a| a.iter().map(of).collect()) };
    // The revision of a candidate list is each server's own.
    let ice = |ice: &Value| json!([ice["candidates"].as_array().map(Vec::len), ice["complete"], ice["ufrag"]]);
    let track = |track: &Value| json!([track["kind"], track["enabled"], track["state"], track["error"]["code"], track["id"]]);
    json!({
        "type": frame["type"], "body": body["type"], "code": body["code"], "status": body["status"], "timeout": frame["negotiatedTimeout"],
        "busy": [frame["keepAlive"], frame["retryAfter"], frame["cookie"]],
        "pcs": list(&body["peer_connections"], &|pc| json!([pc["id"], pc["description"]["type"], pc["description"]["revision"], ice(&pc["ice"])])),
        "participants": list(&body["participants"], &|p| json!([p["identity"], p["state"], p["revision"], list(&p["tracks"], &track)])),
        "published": [body["published"]["revision"], list(&body["published"]["tracks"], &track)],
        "subscribed": [body["subscribed"]["revision"], list(&body["subscribed"]["tracks"], &|t| t["id"].clone())],
        "options": body["options"].is_object(),
    })
}

/// One heartbeat is as good as the next and comes when it likes.
async fn next_frame(socket: &mut Socket) -> Value {
    loop {
        match socket.next().await {
            Heard::Json(frame) if frame["type"] == "heartbeat" => {}
            Heard::Json(frame) => return frame,
            other => panic!("not a frame: {other:?}"),
        }
    }
}

struct Replay<'a> {
    lab: &'a Lab,
    /// The access token of each connection's first frame, where it is not the good one.
    tokens: BTreeMap<u64, String>,
    /// What happens before a line of this number.
    faults: Vec<(usize, Fault)>,
}

impl Replay<'_> {
    fn new(lab: &Lab) -> Replay<'_> {
        Replay { lab, tokens: BTreeMap::new(), faults: Vec::new() }
    }

    async fn run(&self, recording: &str) -> usize {
        let room =
            recording.lines().find_map(|l| serde_json::from_str::<Value>(l).unwrap()["frame"]["body"]["name"].as_str().map(str::to_owned));
        let mut sockets: BTreeMap<u64, Socket> = BTreeMap::new();
        // The recorded session ids and ours.
        let mut sessions: Vec<(String, String)> = Vec::new();
        let mut compared = 0;
        for (number, line) in recording.lines().enumerate() {
            for (_, fault) in self.faults.iter().filter(|(at, _)| *at == number) {
                self.lab.fault(fault);
            }
            let entry: Value = serde_json::from_str(line).unwrap();
            let conn = entry["conn"].as_u64().unwrap();
            match entry["dir"].as_str().unwrap() {
                "open" => drop(sockets.insert(conn, Socket::open(&self.lab.rooms_url()).await)),
                "c2s" => {
                    let good = || self.lab.video_token(entry["who"].as_str().unwrap(), room.as_deref().unwrap_or("r"));
                    let token = self.tokens.get(&conn).cloned().unwrap_or_else(good);
                    let mut frame = entry["frame"].to_string().replace("<jwt>", &token);
                    for (theirs, ours) in &sessions {
                        frame = frame.replace(theirs, ours);
                    }
                    sockets.get_mut(&conn).unwrap().send(&serde_json::from_str(&frame).unwrap()).await;
                    sockets.get_mut(&conn).unwrap().settled().await;
                }
                "s2c" => {
                    let got = next_frame(sockets.get_mut(&conn).unwrap()).await;
                    assert_eq!(digest(&got), digest(&entry["frame"]), "line {} of the recording, connection {conn}", number + 1);
                    if let (Some(theirs), Some(ours)) = (entry["frame"]["body"]["session"].as_str(), got["body"]["session"].as_str()) {
                        sessions.push((theirs.to_owned(), ours.to_owned()));
                    }
                    compared += 1;
                }
                "close" => drop(sockets.remove(&conn)),
                other => panic!("{other}"),
            }
        }
        compared
    }
}

async fn lab(pairing: Pairing) -> Lab {
    Lab::start(Options { pairing, ..Options::default() }).await.unwrap()
}

#[tokio::test]
async fn two_pages_call_mute_lose_a_socket_resume_and_leave() {
    let lab = lab(Pairing::NewcomerOffers).await;
    assert_eq!(Replay::new(&lab).run(include_str!("samples/rooms/reference-call.jsonl")).await, 31);
    assert_eq!(lab.state()["rooms"]["list"][0]["participants"], json!([]));
}

#[tokio::test]
async fn a_native_client_joins_a_page_and_offers() {
    let lab = lab(Pairing::NewcomerOffers).await;
    assert!(Replay::new(&lab).run(include_str!("samples/rooms/native-client-newcomer-offers.jsonl")).await > 15);
}

#[tokio::test]
async fn a_native_client_joins_a_page_and_is_offered() {
    let lab = lab(Pairing::ExistingOffers).await;
    assert!(Replay::new(&lab).run(include_str!("samples/rooms/native-client-existing-offers.jsonl")).await > 15);
}

#[tokio::test]
async fn an_audio_only_room_refuses_video_and_drops_the_competing_offer() {
    let lab = lab(Pairing::NewcomerOffers).await;
    let recording = include_str!("samples/rooms/audio-only-room.jsonl");
    let token = crate::support::login(&lab.api_url(), "roger_chatta_admin").await;
    let name =
        recording.lines().find_map(|l| Some(serde_json::from_str::<Value>(l).unwrap()["frame"]["body"]["name"].as_str()?.to_owned()));
    let room = json!({"unique_name": name, "audio_only": true});
    crate::support::json_call(&lab.api_url(), "POST", "/v2/conferencing-room", Some(&token), &room).await;
    assert!(Replay::new(&lab).run(recording).await > 15);
}

#[tokio::test]
async fn the_older_of_two_with_one_identity_is_told_53205() {
    let lab = lab(Pairing::NewcomerOffers).await;
    Replay::new(&lab).run(include_str!("samples/rooms/duplicate-identity.jsonl")).await;
}

#[tokio::test]
async fn bad_tokens_are_refused_each_with_its_code() {
    let lab = lab(Pairing::NewcomerOffers).await;
    let other = Lab::start(Options { secret: "another".to_owned(), ..Options::default() }).await.unwrap();
    lab.fault(&Fault::TokenLife { seconds: -5 });
    let expired = lab.video_token("a", "r");
    lab.fault(&Fault::Reset);
    let mut replay = Replay::new(&lab);
    replay.tokens =
        BTreeMap::from([(1, other.video_token("a", "r")), (2, expired), (3, lab.video_token("a", "elsewhere")), (4, "x".to_owned())]);
    replay.run(include_str!("samples/rooms/bad-token.jsonl")).await;
}

#[tokio::test]
async fn a_busy_server_says_when_to_come_again() {
    let lab = lab(Pairing::NewcomerOffers).await;
    let recording = include_str!("samples/rooms/busy.jsonl");
    let opens: Vec<usize> = recording.lines().enumerate().filter(|(_, l)| l.contains("\"open\"")).map(|(n, _)| n).collect();
    let busy = |retry_after_ms| Fault::Busy { times: 1, retry_after_ms, keep_alive: false };
    let mut replay = Replay::new(&lab);
    replay.faults = vec![(opens[0], busy(1500)), (opens[2], busy(-1))];
    replay.run(recording).await;
}

#[tokio::test]
async fn a_completed_room_ends_for_everybody() {
    let lab = lab(Pairing::NewcomerOffers).await;
    let recording = include_str!("samples/rooms/room-completed.jsonl");
    let line = recording.lines().position(|l| l.contains("\"completed\"")).unwrap();
    let name: Value = serde_json::from_str(recording.lines().find(|l| l.contains("\"connect\"")).unwrap()).unwrap();
    let mut replay = Replay::new(&lab);
    replay.faults = vec![(line, Fault::CompleteRoom { room: name["frame"]["body"]["name"].as_str().unwrap().to_owned() })];
    replay.run(recording).await;
}

#[tokio::test]
async fn a_restarted_server_knows_no_sessions() {
    let lab = lab(Pairing::NewcomerOffers).await;
    let recording = include_str!("samples/rooms/server-restart.jsonl");
    let line = recording.lines().position(|l| l.contains("\"close\"")).unwrap();
    let mut replay = Replay::new(&lab);
    replay.faults = vec![(line, Fault::ForgetSessions)];
    replay.run(recording).await;
}

/// Joins a room by hand; gives the socket and what `connected` said.
async fn join(lab: &Lab, identity: &str) -> (Socket, Value) {
    let mut socket = Socket::open(&lab.rooms_url()).await;
    let token = lab.video_token(identity, "r");
    socket
        .send(&json!({"id": "1", "timeout": 5000, "type": "hello", "version": 2, "body": {"type": "ice", "version": 1, "token": token}}))
        .await;
    assert_eq!(socket.json().await["type"], "welcome");
    assert_eq!(socket.json().await["body"]["type"], "iced");
    let offer = json!({"id": format!("pc-{identity}"), "description": {"type": "offer", "revision": 1, "sdp": "v=0"}});
    let tracks = json!({"revision": 1, "tracks": [{"id": format!("mic-{identity}"), "kind": "audio", "name": "m", "enabled": true}]});
    let connect = json!({"type": "connect", "version": 2, "name": "r", "token": token, "participant": tracks, "peer_connections": [offer]});
    socket.send(&json!({"type": "msg", "body": connect})).await;
    let connected = socket.json().await["body"].clone();
    assert_eq!(connected["type"], "connected");
    (socket, connected)
}

fn about(identity: &'static str, state: &'static str) -> impl Fn(&Value) -> bool {
    move |frame| frame["body"]["participants"].as_array().into_iter().flatten().any(|p| p["identity"] == identity && p["state"] == state)
}

#[tokio::test]
async fn a_vanished_peer_is_reconnecting_at_once_and_gone_after_the_peer_loss_time() {
    // The time itself is the clock's business; that it is neither at once nor the session's 30 s is shown by the order.
    let lab = Lab::start(Options { peer_loss: Duration::from_millis(300), ..Options::default() }).await.unwrap();
    let (mut carer, _) = join(&lab, "carer").await;
    let (_resident, _) = join(&lab, "resident").await;
    carer.until(about("resident", "connected")).await;
    let began = std::time::Instant::now();
    assert_eq!(lab.fault(&Fault::Drop { at: At::Rooms, who: Some("resident".to_owned()) }), 1);
    carer.until(about("resident", "reconnecting")).await;
    let gone = carer.until(about("resident", "disconnected")).await;
    assert!(began.elapsed() >= Duration::from_millis(300));
    assert_eq!(gone["body"]["peer_connections"][0]["description"]["type"], "close");
    assert_eq!(gone["body"]["subscribed"]["tracks"], json!([]));
}

#[tokio::test]
async fn the_third_is_asked_for_an_offer_to_each_of_the_others() {
    for (pairing, asked) in [(Pairing::NewcomerOffers, 1), (Pairing::ExistingOffers, 2)] {
        let lab = lab(pairing).await;
        let (mut a, _) = join(&lab, "a").await;
        let (mut b, _) = join(&lab, "b").await;
        let (mut c, connected) = join(&lab, "c").await;
        let pcs = connected["peer_connections"].as_array().unwrap();
        let offers: Vec<_> = pcs.iter().filter(|pc| pc["description"]["type"] == "create-offer").collect();
        assert_eq!(offers.len(), asked, "{pairing:?}");
        let offer = json!({"id": offers[asked - 1]["id"], "description": {"type": "offer", "revision": 2, "sdp": "v=0"}});
        c.send(
            &json!({"type": "msg", "body": {"type": "update", "version": 2, "session": connected["session"], "peer_connections": [offer]}}),
        )
        .await;
        let wanted = |f: &Value| f["body"]["peer_connections"][0]["id"] == offers[asked - 1]["id"];
        b.until(wanted).await;
        a.until(about("c", "connected")).await;
    }
}

#[tokio::test]
async fn heartbeats_come_when_idle_and_a_silent_client_is_cut() {
    let lab = Lab::start(Options { heartbeat: Duration::from_millis(200), ..Options::default() }).await.unwrap();
    let (mut socket, _) = join(&lab, "quiet").await;
    let mut beats = 0;
    let end = loop {
        match socket.next().await {
            Heard::Json(frame) if frame["type"] == "heartbeat" => beats += 1,
            other => break other,
        }
    };
    assert_eq!(end, Heard::Cut);
    assert!((2..=4).contains(&beats), "{beats} heartbeats in three times the timeout");
}

#[tokio::test]
async fn nonsense_is_answered_and_changes_nothing() {
    let lab = lab(Pairing::NewcomerOffers).await;
    let (mut socket, connected) = join(&lab, "a").await;
    socket.send(&json!({"type": "dance"})).await;
    assert_eq!(socket.json().await["type"], "bad");
    socket.send(&json!([1, {"type": null}])).await;
    assert_eq!(socket.json().await["type"], "bad");
    let update = json!({"type": "update", "session": "of somebody else", "version": 2});
    socket.send(&json!({"type": "msg", "body": update})).await;
    assert_eq!(socket.json().await["body"]["code"], 53204);
    for odd in [json!({"participant": 5, "peer_connections": {"id": 1}}), json!({"peer_connections": [{"id": 7}, {"ice": []}, null]})] {
        let mut update = odd;
        update["type"] = json!("update");
        update["session"] = connected["session"].clone();
        socket.send(&json!({"type": "msg", "body": update})).await;
    }
    socket.send(&json!({"type": "msg", "body": {"type": "disconnect", "session": connected["session"]}})).await;
    assert_eq!(socket.json().await["body"]["type"], "disconnected");
}
