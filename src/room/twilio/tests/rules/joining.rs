//! Joining a room.

use super::*;

#[test]
fn joining_asks_for_servers_then_connects_with_an_offer_of_both_tracks() {
    let mut room = Fixture::new(None);
    assert_eq!(room.opens, 1);
    room.opened();
    assert_eq!(room.sent[0]["body"], json!({ "type": "ice", "version": 1, "edge": "roaming", "token": "<jwt>" }));
    room.welcome();
    room.message(json!({ "type": "iced", "ice_servers": [{ "urls": "turn:a", "username": "u", "credential": "c" }] }));
    assert_eq!((room.servers[0].urls.as_slice(), room.servers[0].credential.as_str()), (["turn:a".to_owned()].as_slice(), "c"));
    let connect = room.bodies("connect")[0].clone();
    assert_eq!(
        (connect["name"].as_str(), connect["token"].as_str(), connect["format"].as_str()),
        (Some("carer-to-resident"), Some("<jwt>"), Some("unified"))
    );
    let ids: Vec<_> = connect["participant"]["tracks"].as_array().unwrap().iter().map(|t| t["id"].clone()).collect();
    assert_eq!(ids, [json!("our-audio"), json!("our-video")], "the ids that stand in a=msid");
    let offer = &connect["peer_connections"][0]["description"];
    assert_eq!((offer["type"].as_str(), offer["revision"].as_u64()), (Some("offer"), Some(1)));
    assert!(offer["sdp"].as_str().unwrap().contains("our-video"));
}

#[test]
fn without_a_camera_only_sound_is_published() {
    let mut room = Fixture::with(None, false, Timings::default());
    room.join(json!({}));
    let connect = room.bodies("connect")[0].clone();
    assert_eq!(connect["participant"]["tracks"].as_array().unwrap().len(), 1);
}

#[test]
fn a_second_iced_makes_no_second_offer() {
    let mut room = Fixture::new(None);
    room.opened();
    room.welcome();
    for _ in 0..3 {
        room.message(json!({ "type": "iced", "ice_servers": [] }));
    }
    assert_eq!((room.bodies("connect").len(), room.peers.len()), (1, 1));
}

#[test]
fn connected_without_options_is_enough() {
    let mut room = Fixture::new(None);
    room.opened();
    room.welcome();
    room.message(json!({ "type": "iced" }));
    room.message(json!({ "type": "connected", "session": "s", "participants": [] }));
    assert_eq!(room.events, [RoomEvent::Joined]);
}

#[test]
fn candidates_found_before_connected_wait_for_the_session() {
    let mut room = Fixture::new(None);
    room.opened();
    room.welcome();
    room.message(json!({ "type": "iced" }));
    assert!(room.bodies("update").is_empty());
    room.message(json!({ "type": "connected", "session": "s" }));
    let update = room.bodies("update")[0];
    assert_eq!(update["session"], "s");
    let ice = &update["peer_connections"][0]["ice"];
    assert_eq!((ice["candidates"].as_array().unwrap().len(), &ice["complete"]), (1, &json!(true)));
}

#[test]
fn the_first_join_is_tried_again_until_the_deadline_with_a_fresh_offer() {
    let mut room = Fixture::new(None);
    room.opened();
    room.welcome();
    room.message(json!({ "type": "iced" }));
    let first = room.first();
    room.lost();
    assert_eq!(room.closed, std::slice::from_ref(&first));
    room.pass(S);
    assert_eq!(room.opens, 2);
    room.join(json!({}));
    assert_ne!(room.first(), first);
    assert_eq!(room.events, [RoomEvent::Joined]);
}

#[test]
fn a_room_that_cannot_be_joined_in_time_has_failed_with_the_reason() {
    let mut room = Fixture::new(None);
    room.core.lost(room.now, "the connection could not be opened: certificate has expired");
    room.run();
    room.pass(29 * S);
    assert!(failed(&room).is_none() && room.opens >= 2);
    room.pass(S);
    assert!(failed(&room).unwrap().contains("opened in time") || failed(&room).unwrap().contains("certificate"), "{:?}", room.events);
    assert!(room.done && room.core.next_deadline().is_none());
}

#[test]
fn refused_tokens_say_whose_clock_or_key_to_check() {
    for (code, word) in [(20101, "API key"), (20104, "clock"), (20106, "room"), (53105, "full"), (53106, "exist")] {
        let mut room = Fixture::new(None);
        room.opened();
        room.welcome();
        room.message(json!({ "type": "error", "code": code, "message": "no" }));
        assert!(failed(&room).unwrap().contains(word), "{code}: {:?}", room.events);
        assert_eq!((room.bodies("disconnect").len(), room.closes.as_slice(), room.done), (1, [1000].as_slice(), true));
    }
}
