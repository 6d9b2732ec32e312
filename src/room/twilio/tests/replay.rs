//! Recorded frames of the page's own client and of a native one are replayed against ours: what a server sent then comes
//! again, in the time it came, and we must say what they said. `tests/samples/twilio`, one file a scenario.

use super::*;
use std::path::Path;

/// What a frame of a client is, without ids: `hello:sync`, `connect`, `answer 2`, `tracks`, `disconnect`, `bye`. Nothing for
/// heartbeats and candidates, whose number differs.
fn signature(frame: &Value) -> Vec<String> {
    let body = &frame["body"];
    match (frame["type"].as_str().unwrap_or_default(), body["type"].as_str().unwrap_or_default()) {
        ("hello", kind) => vec![format!("hello:{kind}{}", if frame.get("cookie").is_some() { " with cookie" } else { "" })],
        ("msg", "update") => match body["peer_connections"].as_array() {
            None => vec!["tracks".into()],
            Some(entries) => entries
                .iter()
                .filter_map(|e| e.get("description"))
                .map(|d| format!("{} {}", d["type"].as_str().unwrap_or_default(), d["revision"]))
                .collect(),
        },
        ("msg", kind) => vec![kind.to_owned()],
        ("heartbeat", _) => vec![],
        (kind, _) => vec![kind.to_owned()],
    }
}

fn replace(value: &mut Value, ids: &BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(ours) = ids.get(text) {
                *text = ours.clone();
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|v| replace(v, ids)),
        Value::Object(map) => map.values_mut().for_each(|v| replace(v, ids)),
        _ => {}
    }
}

struct Replayed {
    room: Fixture,
    /// What they said.
    theirs: Vec<String>,
    /// What we said.
    ours: Vec<String>,
}

/// Replays the sockets of one client, in order.
fn replay(file: &str, conns: &[u64], caller: Option<&str>) -> Replayed {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/twilio").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let records = text.lines().map(|l| serde_json::from_str::<Value>(l).unwrap());
    let records: Vec<Value> = records.filter(|r| conns.contains(&r["conn"].as_u64().unwrap())).collect();
    assert!(records.len() > 2, "{file} {conns:?}");
    let mut room = Fixture::new(caller);
    room.connects = true;
    let mut theirs = Vec::new();
    let mut ids = BTreeMap::new();
    let mut sockets = 0;
    let mut last = records[0]["t"].as_u64().unwrap();
    for record in &records {
        let t = record["t"].as_u64().unwrap();
        room.pass(Duration::from_millis(t - last));
        last = t;
        let frame = &record["frame"];
        let body = &frame["body"];
        match record["dir"].as_str().unwrap() {
            "open" => {
                sockets += 1;
                // Our delay before the next socket is drawn anew; theirs is recorded.
                while room.opens < sockets && !room.done {
                    room.pass(S / 100);
                }
                let refused = !records.iter().any(|r| r["conn"] == record["conn"] && r["dir"] != "open");
                if refused {
                    room.lost();
                } else if !room.done {
                    room.opened();
                }
            }
            "c2s" => {
                theirs.extend(signature(frame));
                match body["type"].as_str() {
                    Some("connect") => {
                        let ours = room.log.iter().map(|f| &f["body"]).rfind(|b| b["type"] == "connect").unwrap().clone();
                        for at in ["/peer_connections/0/id", "/participant/tracks/0/id", "/participant/tracks/1/id"] {
                            let id = |b: &Value| b.pointer(at).and_then(Value::as_str).unwrap().to_owned();
                            ids.insert(id(body), id(&ours));
                        }
                    }
                    Some("update") if body.get("peer_connections").is_none() => {
                        // The page switched its camera off and on; our only switch is the microphone's.
                        let tracks = body["participant"]["tracks"].as_array().unwrap();
                        room.mute(tracks.iter().any(|t| t["enabled"] == false));
                    }
                    Some("disconnect") => room.leave(),
                    _ => {}
                }
            }
            "s2c" => {
                let mut frame = frame.clone();
                replace(&mut frame, &ids);
                if !room.done {
                    room.frame(&frame);
                }
            }
            // Closed by the network; the codes of a client's own closing are compared by the tests.
            _ if record["code"] == 1006 => room.lost(),
            _ => {}
        }
    }
    let ours = room.log.iter().flat_map(signature).collect();
    Replayed { room, theirs, ours }
}

impl Replayed {
    /// Asserts that we said what they said, but for what only a page says: a page answers with its tracks on other
    /// sections and offers again at once (section 5), ours uses the offered ones.
    fn agrees(&self, but: &[&str]) -> &Fixture {
        let theirs: Vec<_> = self.theirs.iter().filter(|s| !but.contains(&s.as_str())).collect();
        let ours: Vec<_> = self.ours.iter().filter(|s| !but.contains(&s.as_str())).collect();
        assert_eq!(ours, theirs);
        &self.room
    }
}

fn failed(room: &Fixture) -> &str {
    match room.events.last() {
        Some(RoomEvent::Failed(why)) => why,
        other => panic!("{other:?}"),
    }
}

use RoomEvent::{CallerArrived, CallerLeft, Joined};

#[test]
fn the_callers_half_of_the_reference_call_with_its_lost_socket() {
    let replayed = replay("reference-call.jsonl", &[1, 5], None);
    let room = replayed.agrees(&["offer 2"]);
    assert_eq!(room.events, [Joined, CallerArrived, CallerLeft]);
    assert_eq!(room.presented.len(), 2);
    assert_eq!(room.closes, [1000]);
}

#[test]
fn the_residents_half_of_the_reference_call() {
    let replayed = replay("reference-call.jsonl", &[3], Some("carer"));
    let room = replayed.agrees(&[]);
    assert_eq!(room.events, [Joined, CallerArrived], "the caller's lost and resumed socket is not told");
    assert_eq!(room.presented.len(), 2);
    assert_eq!(room.closes, [1000]);
}

#[test]
fn a_native_client_that_came_second() {
    let replayed = replay("native-client-newcomer-offers.jsonl", &[3], Some("carer"));
    let room = replayed.agrees(&[]);
    assert_eq!((room.events.as_slice(), room.presented.len()), ([Joined, CallerArrived].as_slice(), 2));
}

#[test]
fn a_native_client_that_came_first() {
    let replayed = replay("native-client-existing-offers.jsonl", &[1], Some("carer"));
    let room = replayed.agrees(&[]);
    assert_eq!((room.events.as_slice(), room.presented.len()), ([Joined, CallerArrived].as_slice(), 2));
}

#[test]
fn the_pages_that_called_a_native_client() {
    for (file, conn) in [("native-client-newcomer-offers.jsonl", 1), ("native-client-existing-offers.jsonl", 2)] {
        let replayed = replay(file, &[conn], Some("resident"));
        let room = replayed.agrees(&["offer 2"]);
        assert_eq!(room.events, [Joined, CallerArrived, CallerLeft], "{file}");
        assert_eq!(room.presented.len(), 2, "{file}");
    }
}

#[test]
fn a_group_room_where_the_server_offers_under_ids_of_its_own() {
    for (conn, caller, events) in [(1, "resident", vec![Joined, CallerArrived, CallerLeft]), (3, "carer", vec![Joined, CallerArrived])] {
        let replayed = replay("group-room.jsonl", &[conn], Some(caller));
        let room = replayed.agrees(&[]);
        assert_eq!(room.events, events);
        assert_eq!(room.presented.len(), 2, "{caller}");
    }
}

#[test]
fn an_audio_only_room_refuses_our_picture_and_the_call_goes_on() {
    for (conn, caller) in [(1, "b"), (3, "a")] {
        let replayed = replay("audio-only-room.jsonl", &[conn], Some(caller));
        // The pages renegotiate to drop the section, and collide in it.
        let room = replayed.agrees(&["tracks", "offer 2", "offer 3", "answer 2", "answer 3"]);
        let told = room.log.iter().rfind(|f| f["body"]["type"] == "update").unwrap();
        assert_eq!(told["body"]["participant"]["tracks"].as_array().unwrap().len(), 1, "we no longer publish it");
        assert_eq!(room.events[..2], [Joined, CallerArrived], "{caller}");
        assert_eq!(room.presented.len(), 1, "{caller}");
    }
}

#[test]
fn tokens_that_are_refused() {
    for (conn, code) in [(1, "20107"), (2, "20104"), (3, "20106"), (4, "20101")] {
        let replayed = replay("bad-token.jsonl", &[conn], None);
        let room = replayed.agrees(&[]);
        assert!(failed(room).contains(code), "{}", failed(room));
        assert_eq!(room.closes, [1000]);
    }
}

#[test]
fn a_busy_service_that_lets_us_in_later() {
    let replayed = replay("busy.jsonl", &[1, 2], None);
    let room = replayed.agrees(&[]);
    assert_eq!((room.events.as_slice(), room.closes.as_slice()), ([Joined].as_slice(), [3005].as_slice()));
}

#[test]
fn a_busy_service_that_wants_no_further_attempt() {
    let replayed = replay("busy.jsonl", &[4], None);
    let room = replayed.agrees(&[]);
    assert!(failed(room).contains("busy"));
    assert_eq!(room.closes, [3006]);
}

#[test]
fn a_service_that_never_welcomes() {
    let replayed = replay("busy.jsonl", &[5], None);
    let room = replayed.agrees(&[]);
    assert_eq!(room.closes, [3000]);
    assert!(!room.done, "the page gives up here, we try on until the join deadline");
}

#[test]
fn the_older_of_two_under_one_name_goes_and_the_newer_stays() {
    let replayed = replay("duplicate-identity.jsonl", &[1], None);
    assert!(failed(replayed.agrees(&[])).contains("53205"));
    let replayed = replay("duplicate-identity.jsonl", &[3], None);
    assert_eq!(replayed.agrees(&[]).events, [Joined], "our older self is nobody's arrival");
}

#[test]
fn a_room_that_is_completed() {
    let replayed = replay("room-completed.jsonl", &[1], None);
    assert!(failed(replayed.agrees(&[])).contains("53118"));
}

#[test]
fn a_server_that_restarts_and_forgets() {
    let replayed = replay("server-restart.jsonl", &[1, 3], None);
    assert!(failed(replayed.agrees(&[])).contains("53204"));
}

#[test]
fn a_server_that_falls_silent_and_is_found_again() {
    let replayed = replay("server-silent.jsonl", &[1, 3], None);
    let room = replayed.agrees(&[]);
    assert_eq!((room.events.as_slice(), room.closes.as_slice()), ([Joined].as_slice(), [3001].as_slice()));
    assert!(room.core.is_synced());
}

#[test]
fn a_server_that_is_down_for_good() {
    let mut replayed = replay("server-down.jsonl", &[1, 3, 4, 5, 6, 7, 8, 9], None);
    assert_eq!(replayed.ours, ["hello:ice", "connect"]);
    let room = &mut replayed.room;
    while !room.done {
        room.pass(S / 100);
        room.lost();
    }
    assert!(failed(room).contains("53001"));
    let passed = room.now - room.start;
    assert!(passed <= 6 * S, "its session_timeout is 5 s: {passed:?}");
}
