//! The loss of the socket, and the end.

use super::*;

#[test]
fn a_lost_socket_is_replaced_and_synced_while_media_runs_on() {
    let (mut room, pc) = call();
    room.lost();
    room.pass(S);
    assert_eq!(room.opens, 2);
    room.opened();
    let hello = room.sent[0].clone();
    assert_eq!(
        (hello["type"].as_str(), hello["body"]["type"].as_str(), hello["body"]["session"].as_str()),
        (Some("hello"), Some("sync"), Some("s"))
    );
    assert_eq!((&hello["body"]["token"], &hello["body"]["name"]), (&json!("<jwt>"), &json!("carer-to-resident")));
    assert_eq!(room.descriptions(), [(pc.clone(), "offer".into(), 1)]);
    room.welcome();
    room.message(synced(json!({ "peer_connections": [{ "id": pc }] })));
    assert!(room.core.is_synced() && room.closed.is_empty());
    assert_eq!(room.events, [RoomEvent::Joined, RoomEvent::CallerArrived], "nobody is told");
}

#[test]
fn what_happened_meanwhile_is_folded_into_one_update_after_synced() {
    let (mut room, pc) = call();
    room.lost();
    room.mute(true);
    room.mute(false);
    room.mute(true);
    room.peer(&pc, PeerWord::Candidate("candidate:new".into()));
    room.pass(S);
    room.opened();
    room.welcome();
    room.mute(false);
    room.mute(true);
    assert!(room.bodies("update").is_empty(), "not before synced");
    room.message(synced(json!({ "peer_connections": [{ "id": pc }] })));
    let updates = room.bodies("update");
    assert_eq!(updates.len(), 1);
    assert_eq!(updates[0]["participant"]["tracks"][0]["enabled"], false);
    let entries = updates[0]["peer_connections"].as_array().unwrap();
    assert_eq!((entries.len(), entries[0]["ice"]["candidates"].as_array().unwrap().len()), (1, 2));
}

#[test]
fn peer_connections_missing_in_synced_are_closed() {
    let (mut room, pc) = call();
    room.lost();
    room.pass(S);
    room.opened();
    room.welcome();
    room.message(synced(json!({ "participants": [] })));
    assert_eq!(room.closed, [pc]);
    assert_eq!(room.events.last(), Some(&RoomEvent::CallerLeft));
}

#[test]
fn a_session_that_cannot_be_resumed_in_time_fails_with_53001() {
    let mut room = Fixture::joined(None, json!({ "options": { "session_timeout": 5 } }));
    room.lost();
    for _ in 0..49 {
        room.pass(S / 10);
        room.lost();
        assert!(failed(&room).is_none());
    }
    room.pass(S / 10);
    assert!(failed(&room).unwrap().contains("53001"));
    assert!((4..60).contains(&room.opens), "{}", room.opens);
}

#[test]
fn a_service_that_forgot_us_ends_the_call() {
    let (mut room, pc) = call();
    room.lost();
    room.pass(S);
    room.opened();
    room.welcome();
    room.message(json!({ "type": "error", "code": 53204, "message": "Participant not found" }));
    assert!(failed(&room).unwrap().contains("forgotten"));
    assert_eq!(room.closed, [pc]);
}

#[test]
fn another_box_under_our_name_ends_the_call_with_words() {
    let (mut room, _) = call();
    room.message(json!({ "type": "error", "code": 53205, "message": "Participant disconnected because of duplicate identity" }));
    assert!(failed(&room).unwrap().contains("another device"));
    assert!(room.done);
}

#[test]
fn a_service_that_accepts_and_drops_us_again_and_again_is_not_hammered() {
    let mut room = Fixture::joined(None, json!({}));
    room.lost();
    let mut times = 0;
    while !room.done {
        room.pass(S / 100);
        if room.opens > times + 1 {
            times = room.opens - 1;
            room.opened();
            room.welcome();
            room.lost();
        }
    }
    assert!(times < 40, "{times} attempts in 30 s");
}

#[test]
fn leaving_says_disconnect_and_bye_and_closes_with_1000() {
    let (mut room, pc) = call();
    room.sent.clear();
    room.leave();
    assert_eq!(room.sent[0]["body"], json!({ "type": "disconnect", "version": 2, "session": "s" }));
    assert_eq!(room.sent[1], json!({ "type": "bye" }));
    assert_eq!((room.closes.as_slice(), room.closed.as_slice(), room.done), ([1000].as_slice(), [pc].as_slice(), true));
    assert!(failed(&room).is_none());
}

#[test]
fn leaving_while_the_socket_is_lost_says_goodbye_on_the_next_one() {
    let (mut room, _) = call();
    room.lost();
    room.leave();
    assert!(!room.done && room.peers.is_empty());
    room.pass(S / 10);
    room.opened();
    assert_eq!(room.sent[0]["body"]["type"], "sync");
    room.welcome();
    assert_eq!((room.bodies("disconnect").len(), room.done), (1, true));
}

#[test]
fn leaving_without_a_network_takes_no_longer_than_it_may() {
    let (mut room, _) = call();
    room.lost();
    room.leave();
    room.pass(Duration::from_millis(1300));
    assert!(room.done);
}

#[test]
fn leaving_between_connect_and_connected_does_not_leave_a_ghost() {
    let mut room = Fixture::new(None);
    room.opened();
    room.welcome();
    room.message(json!({ "type": "iced" }));
    room.leave();
    assert!(!room.done);
    room.message(json!({ "type": "connected", "session": "s2" }));
    assert_eq!(room.bodies("disconnect")[0]["session"], "s2");
    assert!(room.done && room.events.is_empty());
}

#[test]
fn leaving_before_anything_was_promised_ends_at_once() {
    for steps in 0..3 {
        let mut room = Fixture::new(None);
        if steps > 0 {
            room.opened();
        }
        if steps > 1 {
            room.welcome();
        }
        room.leave();
        assert!(room.done && room.events.is_empty(), "{steps}");
        assert_eq!(room.closes, [1000]);
    }
}

#[test]
fn a_room_ended_by_the_platform_says_so() {
    let (mut room, _) = call();
    room.message(json!({ "type": "disconnected", "status": "completed" }));
    assert!(failed(&room).unwrap().contains("53118"));
    assert_eq!(room.closes, [1000]);
}
