//! The lab's Pusher server as the real pusher-js sees it, and as a bare WebSocket does (contract chatta §6).

use crate::support::{Heard, PATIENCE, Socket};
use residentd_lab::{At, CallOptions, Fault, Lab, Options, ReplyKind};
use serde_json::{Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// Runs a scenario of `js/pusher.mjs` against this lab and gives what pusher-js observed.
async fn pusher_js(lab: &Lab, scenario: &str, more: Value) -> Value {
    let npm = std::env::var_os("RESIDENTD_NPM").map_or_else(|| Options::default().npm_dir, Into::into);
    assert!(npm.join("pusher-js").exists(), "pusher-js is not in {}: run `make tools`", npm.display());
    let address = lab.pusher();
    let mut settings =
        json!({"api": lab.api_url(), "page": lab.page_url(), "host": address.host, "port": address.port, "key": address.key});
    settings.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap_or_default());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/integration/js/pusher.mjs");
    let mut node = tokio::process::Command::new("node");
    node.arg(script).arg(scenario).arg(settings.to_string()).env("RESIDENTD_NPM", npm);
    node.stdin(Stdio::null()).stderr(Stdio::inherit()).kill_on_drop(true);
    let output = tokio::time::timeout(Duration::from_secs(60), node.output()).await.expect("node ends in time");
    let output = output.expect("node starts: run `make tools`");
    assert!(output.status.success(), "scenario {scenario} failed, see above");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn events<'a>(said: &'a Value, name: &str) -> Vec<&'a Value> {
    said["events"].as_array().unwrap().iter().filter(|e| e[0] == name).map(|e| &e[1]).collect()
}

#[tokio::test]
async fn two_pusher_js_talk_hear_presence_and_the_wake_up() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let seen = pusher_js(&lab, "talk", Value::Null).await;
    let asked = events(&seen["resident"], "client-conferencing-call-requested-1124");
    assert_eq!(asked, [&json!({"roomName": "r", "initiator": {"id": 5}, "umlaut": "Grüße \"x\""})]);
    assert_eq!(events(&seen["caller"], "client-conferencing-call-requested-1124").len(), 0, "not echoed to its sender");
    assert_eq!(events(&seen["resident"], "power_normal"), [&json!({"set_top_box": 322, "force": true})]);
    let presence: Vec<_> = events(&seen["caller"], "resident_updated").iter().map(|r| (r["id"].clone(), r["online"].clone())).collect();
    assert_eq!(presence, [(json!(1124), json!(true)), (json!(1124), json!(false))]);
    assert_eq!(events(&seen["caller"], "presence_update_1124").len(), 2);
    assert!(events(&seen["caller"], "resident_updated")[0]["set_top_box"]["id"] == 322, "the full resident");
    assert_eq!((seen["list"]["count"].clone(), seen["list"]["results"][0]["username"].clone()), (json!(1), json!("chattademo")));
}

#[tokio::test]
async fn client_events_have_the_hosted_limits() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let seen = pusher_js(&lab, "limits", Value::Null).await;
    assert_eq!((seen["delivered"].clone(), seen["echoed"].clone(), seen["large"].clone()), (json!(10), json!(0), json!(1)));
    assert!(seen["errors"].as_array().unwrap().iter().all(|e| e["code"] == 4301), "{seen}");
    assert_eq!(seen["state"], "connected");
}

#[tokio::test]
async fn wrong_keys_foreign_channels_and_forged_signatures_are_refused() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let seen = pusher_js(&lab, "refused", Value::Null).await;
    assert_eq!(seen["wrong"]["errors"][0]["code"], 4001, "{seen}");
    assert_eq!(seen["foreign"][0]["status"], 403);
    assert_eq!((seen["forged"][0]["type"].clone(), seen["forged"][0]["status"].clone()), (json!("AuthError"), json!(401)));
    assert_eq!(seen["forgedState"], "connected");
}

#[tokio::test]
async fn pusher_js_reacts_to_close_codes_as_recorded_elsewhere() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let seen = pusher_js(&lab, "closes", json!({"codes": [0, 1001, 4001, 4009, 4100, 4200, 4201, 4300]})).await;
    for code in ["4001", "4009", "4300"] {
        assert_eq!(seen[code]["back"], false, "{code}: gives up");
    }
    for (code, at_once) in [("0", false), ("1001", false), ("4100", false), ("4200", true), ("4201", true)] {
        assert!(seen[code]["back"] == true && seen[code]["newSocket"] == true, "{code}: comes back");
        let ms = seen[code]["ms"].as_u64().unwrap();
        // Recorded: about 1000 ms, or some 40 ms; a slow machine makes it longer, never shorter.
        assert!(if at_once { ms < 900 } else { ms >= 950 }, "{code} after {ms} ms");
    }
}

#[tokio::test]
async fn a_half_open_connection_is_left_and_replaced() {
    let lab = Lab::start(Options { activity_timeout: Duration::from_secs(1), ..Options::default() }).await.unwrap();
    let states = pusher_js(&lab, "silence", Value::Null).await;
    assert_eq!(states.as_array().unwrap().last().unwrap(), "connected");
    assert!(states.as_array().unwrap().iter().filter(|s| *s == "connected").count() == 2, "{states}");
}

#[tokio::test]
async fn presence_channels_know_their_members() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let seen = pusher_js(&lab, "presence", Value::Null).await;
    assert_eq!(seen, json!({"members": ["1124", "5"], "me": "1124", "info": {"username": "roger_chatta_admin"}}));
}

/// A connection by hand; the greeting is read.
async fn connect(lab: &Lab, query: &str) -> Socket {
    Socket::open(&format!("{}?{query}", lab.pusher_url())).await
}

#[tokio::test]
async fn each_wrong_handshake_has_its_close_code() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let base = lab.pusher_url();
    let unknown = base.replace(&lab.pusher().key, "nokey");
    let nowhere = base.replace("/app/", "/nowhere/");
    for (url, code) in [
        (format!("{unknown}?protocol=7"), 4001),
        (format!("{nowhere}?protocol=7"), 4005),
        (format!("{base}?protocol=seven"), 4006),
        (format!("{base}?protocol=8"), 4007),
        (base, 4008),
    ] {
        let mut socket = Socket::open(&url).await;
        assert_eq!(socket.json().await["data"]["code"], code);
        assert_eq!(socket.next().await, Heard::Closed(code));
    }
}

#[tokio::test]
async fn a_silent_client_is_pinged_then_closed_4201() {
    let times = (Duration::from_secs(1), Duration::from_millis(200));
    let lab = Lab::start(Options { activity_timeout: times.0, pong_timeout: times.1, ..Options::default() }).await.unwrap();
    let mut socket = connect(&lab, "protocol=7").await;
    let hello = socket.json().await;
    let data: Value = serde_json::from_str(hello["data"].as_str().unwrap()).unwrap();
    assert_eq!((hello["event"].clone(), data["activity_timeout"].clone()), (json!("pusher:connection_established"), json!(1)));
    assert_eq!(socket.json().await["event"], "pusher:ping");
    socket.send(&json!({"event": "pusher:pong", "data": {}})).await;
    assert_eq!(socket.json().await["event"], "pusher:ping");
    assert_eq!(socket.next().await, Heard::Closed(4201));
}

#[tokio::test]
async fn a_broken_frame_a_delay_and_a_mute_reach_the_client_as_asked() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut socket = connect(&lab, "protocol=7").await;
    socket.json().await;
    let ping = json!({"event": "pusher:ping", "data": {}});
    lab.fault(&Fault::BreakJson { at: At::Pusher, times: 1 });
    socket.send(&ping).await;
    assert!(matches!(socket.next().await, Heard::Noise(_)));
    lab.fault(&Fault::Delay { at: At::Pusher, ms: 200 });
    let began = std::time::Instant::now();
    socket.send(&ping).await;
    assert_eq!(socket.json().await["event"], "pusher:pong");
    assert!(began.elapsed() >= Duration::from_millis(200));
    lab.fault(&Fault::Reset);
    lab.fault(&Fault::MuteHeartbeats { at: At::Pusher, on: true });
    socket.send(&ping).await;
    socket.send(&json!({"event": "not-a-client-event"})).await;
    assert_eq!(socket.json().await["data"]["code"], 4301, "the error comes, the pong before it does not");
}

#[tokio::test]
async fn nonsense_closes_nothing() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut socket = connect(&lab, "protocol=7").await;
    socket.json().await;
    for odd in [
        json!(5),
        json!({"event": 7}),
        json!({"event": "pusher:subscribe"}),
        json!({"event": "pusher:subscribe", "data": {"channel": "a b"}}),
    ] {
        socket.send(&odd).await;
        assert_eq!(socket.json().await["event"], "pusher:error", "{odd}");
    }
    socket.send(&json!({"event": "pusher:subscribe", "data": {"channel": "open"}})).await;
    assert_eq!(socket.json().await["event"], "pusher_internal:subscription_succeeded");
}

#[tokio::test]
async fn a_scripted_caller_requests_and_hears_the_answer() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut caller = lab.caller("roger_chatta_admin");
    let resident = lab.caller("chattademo");
    assert!(caller.presence(1124, true, PATIENCE).await);
    let mut log = lab.events();
    let call = caller.request(1124, &CallOptions { accept_after: json!("5"), ..CallOptions::default() });
    assert_eq!((call.room_name.as_str(), call.payload["acceptAfter"].clone()), ("roger_chatta_admin-to-chattademo", json!("5")));
    let mut passed = Vec::new();
    while passed.last().is_none_or(|w| w != "client-conferencing-call-requested-1124") {
        passed.push(log.recv().await.unwrap().what);
    }
    assert_eq!(passed[0], "power_normal");
    resident.event("client-conferencing-call-declined-6", &json!({"declineReason": "for another caller"}));
    resident.event("client-conferencing-call-declined-5", &json!({"declineReason": "busy"}));
    assert_eq!(caller.reply(PATIENCE).await.unwrap().kind, ReplyKind::Declined(Some("busy".to_owned())));
    caller.end(1124, &call);
    drop(resident);
    assert!(caller.presence(1124, false, PATIENCE).await);
}
