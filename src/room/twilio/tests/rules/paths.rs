//! The media path.

use super::*;

#[test]
fn three_seconds_without_media_ask_for_another_path() {
    let (mut room, pc) = call();
    room.peer(&pc, PeerWord::Disconnected);
    assert_eq!(room.events.last(), Some(&RoomEvent::Weak));
    room.pass_alive(Duration::from_millis(2900));
    assert_eq!(room.descriptions().len(), 1);
    room.pass_alive(Duration::from_millis(200));
    assert_eq!(room.descriptions().last(), Some(&(pc.clone(), "offer".into(), 2)));
    assert_eq!(room.peers[&pc].generation, 2, "with new credentials");
    room.describe(&pc, "answer", 2, &sdp("their2", &["their-audio", "their-video"]));
    room.peer(&pc, PeerWord::Connected);
    assert_eq!(room.events.last(), Some(&RoomEvent::Good));
    room.pass_alive(120 * S);
    assert_eq!(room.descriptions().len(), 2);
}

#[test]
fn media_that_comes_back_by_itself_is_left_alone() {
    let (mut room, pc) = call();
    room.peer(&pc, PeerWord::Disconnected);
    room.pass_alive(2 * S);
    room.peer(&pc, PeerWord::Connected);
    room.pass_alive(60 * S);
    assert_eq!(room.descriptions().len(), 1);
    assert_eq!(room.events[2..], [RoomEvent::Weak, RoomEvent::Good]);
}

#[test]
fn media_that_does_not_come_back_is_given_up_after_30_seconds() {
    let (mut room, pc) = call();
    room.peer(&pc, PeerWord::Disconnected);
    room.pass_alive(29 * S);
    assert!(failed(&room).is_none());
    assert!(
        (3..=4).contains(&room.descriptions().iter().filter(|d| d.1 == "offer" && d.2 > 1).count()),
        "tried more than once: {:?}",
        room.descriptions()
    );
    room.pass_alive(S);
    assert!(failed(&room).unwrap().contains("53405"));
    assert!(room.bodies("disconnect").len() == 1 && room.done);
}

#[test]
fn a_call_whose_only_connection_is_dead_ends_at_once_and_an_unused_one_may_die() {
    let (mut room, pc) = call();
    room.peer(&pc, PeerWord::Broken("it stopped".into()));
    assert!(failed(&room).unwrap().contains("it stopped"));
    assert!(room.bodies("disconnect").len() == 1 && room.done);

    let mut room = Fixture::joined(Some("carer"), json!({}));
    let unused = room.first();
    room.peer(&unused, PeerWord::Broken("it stopped".into()));
    assert!(failed(&room).is_none() && !room.done);
}

#[test]
fn a_restart_waits_for_signalling_and_then_comes_at_once() {
    let (mut room, pc) = call();
    room.peer(&pc, PeerWord::Disconnected);
    room.lost();
    room.pass(Duration::from_millis(3500));
    assert_eq!(room.peers[&pc].generation, 1);
    room.opened();
    room.welcome();
    room.message(synced(json!({ "peer_connections": [{ "id": pc }] })));
    room.pass(Duration::ZERO);
    assert_eq!(room.descriptions().last(), Some(&(pc.clone(), "offer".into(), 2)));
}

#[test]
fn another_network_brings_a_new_socket_and_a_new_path_at_once() {
    let (mut room, pc) = call();
    room.core.network_changed(room.now);
    room.run();
    assert_eq!(room.closes, [3004]);
    room.pass(S / 10);
    room.opened();
    room.welcome();
    room.message(synced(json!({ "peer_connections": [{ "id": pc }] })));
    room.pass(Duration::ZERO);
    assert_eq!(room.descriptions().last(), Some(&(pc.clone(), "offer".into(), 2)));
    room.describe(&pc, "answer", 2, &sdp("their2", &["their-audio", "their-video"]));
    room.pass_alive(60 * S);
    assert_eq!(room.descriptions().iter().filter(|d| d.1 == "offer" && d.2 > 1).count(), 1, "once");
    assert_eq!(room.events, [RoomEvent::Joined, RoomEvent::CallerArrived]);
}

#[test]
fn ice_restarted_by_the_page_is_followed() {
    let (mut room, pc) = call();
    room.peer(&pc, PeerWord::Disconnected);
    room.describe(&pc, "offer", 2, &sdp("restarted", &["their-audio", "their-video"]));
    assert_eq!(room.descriptions().last(), Some(&(pc.clone(), "answer".into(), 2)));
    room.update(ice(&pc, "restarted", 1, &["fresh"]));
    assert_eq!(room.peers[&pc].candidates, ["fresh"]);
    assert_eq!(room.lists().last().unwrap()["ufrag"], "own2");
}

#[test]
fn the_callers_leaving_ends_the_weakness() {
    let (mut room, pc) = call();
    room.peer(&pc, PeerWord::Disconnected);
    room.update(json!({ "participants": [carer("PA1", 2, "disconnected")], "peer_connections": [{ "id": pc, "description": { "type": "close", "revision": 2 } }] }));
    room.pass_alive(60 * S);
    assert_eq!(room.events[2..], [RoomEvent::Weak, RoomEvent::CallerLeft, RoomEvent::Good]);
}

#[test]
fn with_one_path_alive_the_loss_of_another_is_no_weakness() {
    let (mut room, pc) = call();
    room.describe("third", "offer", 1, &sdp("t3", &["a3"]));
    room.peer("third", PeerWord::Connected);
    room.peer("third", PeerWord::Disconnected);
    room.pass_alive(60 * S);
    assert!(failed(&room).is_none() && !room.events.contains(&RoomEvent::Weak));
    room.peer(&pc, PeerWord::Disconnected);
    assert_eq!(room.events.last(), Some(&RoomEvent::Weak));
}
