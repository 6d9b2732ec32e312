//! Who is there and whose tracks are presented; our own tracks.

use super::*;

#[test]
fn the_callers_coming_leaving_and_coming_back_are_told_once_each() {
    let mut room = Fixture::joined(Some("carer"), json!({}));
    room.update(json!({ "participants": [carer("PA1", 1, "connected")] }));
    room.update(json!({ "participants": [carer("PA1", 1, "connected")] }));
    room.update(json!({ "participants": [carer("PA1", 2, "disconnected")] }));
    room.update(json!({ "participants": [carer("PA1", 1, "connected")] }));
    room.update(json!({ "participants": [carer("PA2", 1, "connected")] }));
    assert_eq!(room.events, [RoomEvent::Joined, RoomEvent::CallerArrived, RoomEvent::CallerLeft, RoomEvent::CallerArrived]);
}

#[test]
fn a_page_reloaded_faster_than_its_ghost_is_removed_never_left() {
    let (mut room, pc) = call();
    room.update(json!({ "participants": [carer("PA1", 2, "reconnecting")] }));
    room.update(json!({ "participants": [carer("PA2", 1, "connected")], "subscribed": subscribed("PA2", 2),
        "peer_connections": [{ "id": "new", "description": { "type": "offer", "revision": 1, "sdp": sdp("t2", &["their-audio", "their-video"]) } }] }));
    room.update(json!({ "participants": [carer("PA1", 3, "disconnected")], "peer_connections": [{ "id": pc, "description": { "type": "close", "revision": 3 } }] }));
    assert_eq!(room.events, [RoomEvent::Joined, RoomEvent::CallerArrived]);
    assert_eq!(room.presented[2..], [("new".into(), "their-audio".into()), ("new".into(), "their-video".into())]);
    assert_eq!(room.closed, [pc]);
}

#[test]
fn we_are_not_a_participant_to_ourselves() {
    let mut room = Fixture::joined(None, json!({ "participants": [{ "sid": "PA0", "identity": "resident", "revision": 1 }] }));
    room.update(json!({ "participants": [{ "sid": "PA0", "identity": "resident", "revision": 2 }] }));
    assert_eq!(room.events, [RoomEvent::Joined]);
}

#[test]
fn in_a_group_room_tracks_are_found_by_their_sid() {
    let mut room = Fixture::joined(Some("carer"), json!({ "participants": [carer("PA1", 1, "connected")] }));
    let pc = room.first();
    let lite = |s: String| s.replace("t=0 0", "t=0 0\r\na=ice-lite");
    room.describe(&pc, "answer", 1, &lite(sdp("sfu", &[]).replace("a=group", "a=x")));
    let offer = lite(sdp("sfu", &["chosen-by-server-1", "chosen-by-server-2"]))
        + "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:application0\r\n";
    room.describe(&pc, "offer", 2, &offer);
    assert!(room.presented.is_empty());
    room.update(json!({ "subscribed": { "revision": 2, "tracks": [{ "sid": "MTAPA1", "id": "chosen-by-server-1" }, { "sid": "MTVPA1", "id": "chosen-by-server-2" }] } }));
    assert_eq!(room.presented, [(pc.clone(), "chosen-by-server-1".into()), (pc.clone(), "chosen-by-server-2".into())]);
    assert_eq!(room.descriptions().last(), Some(&(pc, "answer".into(), 2)));
}

#[test]
fn a_server_that_checks_nothing_gets_no_candidates_but_the_end() {
    let mut room = Fixture::joined(None, json!({}));
    let pc = room.first();
    room.describe(&pc, "answer", 1, &sdp("sfu", &["x"]).replace("t=0 0", "t=0 0\r\na=ice-lite"));
    let before = room.lists().len();
    room.peer(&pc, PeerWord::Candidate("candidate:2 1 udp 1 192.0.2.1 5555 typ host".into()));
    assert_eq!(room.lists().len(), before);
    room.peer(&pc, PeerWord::Gathered);
    assert_eq!(room.lists().last().unwrap()["candidates"], json!([]));
    assert_eq!(room.lists().last().unwrap()["complete"], true);
}

#[test]
fn a_track_the_room_does_not_take_is_no_longer_published() {
    let mut room = Fixture::joined(None, json!({}));
    let refused = json!({ "published": { "revision": 2, "tracks": [{ "id": "our-audio", "state": "ready", "sid": "MT1" },
        { "id": "our-video", "state": "failed", "error": { "code": 53125, "message": "x" } }] } });
    room.update(refused.clone());
    room.update(refused);
    let updates: Vec<_> = room.bodies("update").into_iter().filter(|u| u.get("peer_connections").is_none()).cloned().collect();
    assert_eq!(updates.len(), 1);
    assert_eq!(
        (updates[0]["participant"]["revision"].as_u64(), updates[0]["participant"]["tracks"].as_array().unwrap().len()),
        (Some(2), 1)
    );
    assert!(failed(&room).is_none());
}

#[test]
fn mute_bumps_the_revision_and_sends_the_whole_participant() {
    let mut room = Fixture::joined(None, json!({}));
    room.mute(true);
    room.mute(true);
    room.mute(false);
    let told: Vec<_> = room.bodies("update").into_iter().filter(|u| u.get("peer_connections").is_none()).cloned().collect();
    assert_eq!(told.len(), 2, "the same twice is told once");
    assert_eq!((told[0]["participant"]["revision"].as_u64(), &told[0]["participant"]["tracks"][0]["enabled"]), (Some(2), &json!(false)));
    assert_eq!((told[1]["participant"]["revision"].as_u64(), &told[1]["participant"]["tracks"][0]["enabled"]), (Some(3), &json!(true)));
    assert_eq!(told[1]["participant"]["tracks"].as_array().unwrap().len(), 2);
}

#[test]
fn muted_before_joining_joins_muted() {
    let mut room = Fixture::new(None);
    room.mute(true);
    room.join(json!({}));
    assert_eq!(room.bodies("connect")[0]["participant"]["tracks"][0]["enabled"], false);
}
