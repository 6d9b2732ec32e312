//! Each rule of twilio-video.md sections 3 to 7 and each trap of section 12 by name.

use super::*;

fn failed(room: &Fixture) -> Option<&str> {
    room.events.iter().find_map(|e| if let RoomEvent::Failed(why) = e { Some(why.as_str()) } else { None })
}

// --- Joining

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

// --- People

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

// --- Mute

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

// --- Descriptions

#[test]
fn the_answerers_instant_re_offer_is_answered() {
    let (mut room, pc) = call();
    room.describe(&pc, "offer", 2, &sdp("their1", &["their-audio", "their-video", "their-audio", "their-video"]));
    assert_eq!(room.descriptions().last(), Some(&(pc, "answer".into(), 2)));
}

#[test]
fn an_offer_on_an_unknown_id_makes_a_new_peer_connection() {
    let mut room = Fixture::joined(None, json!({}));
    room.describe("theirs", "offer", 1, &sdp("t", &["a", "v"]));
    assert_eq!(room.descriptions().last(), Some(&("theirs".into(), "answer".into(), 1)));
    assert_eq!(room.peers.len(), 2);
}

#[test]
fn create_offer_is_answered_with_an_offer_of_the_next_revision() {
    let mut room = Fixture::joined(None, json!({}));
    room.describe("theirs", "create-offer", 1, "");
    assert_eq!(room.descriptions().last(), Some(&("theirs".into(), "offer".into(), 2)));
    room.describe("theirs", "answer", 2, &sdp("t", &["a"]));
    assert!(!room.peers["theirs"].offering);
}

#[test]
fn answers_of_another_revision_or_without_an_offer_are_dropped() {
    let mut room = Fixture::joined(None, json!({}));
    let pc = room.first();
    room.describe(&pc, "answer", 2, &sdp("t", &["a"]));
    assert!(room.peers[&pc].offering);
    room.describe(&pc, "answer", 1, &sdp("t", &["a"]));
    assert!(!room.peers[&pc].offering);
    room.describe(&pc, "answer", 1, &sdp("t", &["a"]));
}

#[test]
fn offers_not_newer_than_the_last_exchange_are_dropped() {
    let (mut room, pc) = call();
    let before = room.descriptions().len();
    room.describe(&pc, "offer", 1, &sdp("t", &["a"]));
    room.describe(&pc, "offer", 0, &sdp("t", &["a"]));
    room.describe(&pc, "create-offer", 1, "");
    assert_eq!(room.descriptions().len(), before);
}

#[test]
fn an_offer_while_our_first_waits_for_its_answer_waits_too() {
    let mut room = Fixture::joined(None, json!({}));
    let pc = room.first();
    room.describe(&pc, "offer", 2, &sdp("t", &["a"]));
    assert_eq!(room.descriptions().len(), 1);
    room.describe(&pc, "answer", 1, &sdp("t", &["a"]));
    assert_eq!(room.descriptions().last(), Some(&(pc.clone(), "answer".into(), 2)));
    assert_eq!(room.peers[&pc].rolled_back, 0);
}

#[test]
fn when_both_offer_ours_is_rolled_back_theirs_answered_and_ours_made_again() {
    let (mut room, pc) = call();
    room.peer(&pc, PeerWord::Disconnected);
    room.pass_alive(4 * S);
    assert_eq!(room.descriptions().last(), Some(&(pc.clone(), "offer".into(), 2)));
    // Theirs is no restart: ours is still wanted.
    room.describe(&pc, "offer", 2, &sdp("their1", &["their-audio", "their-video"]));
    assert_eq!(room.peers[&pc].rolled_back, 1);
    assert_eq!(room.descriptions()[2..], [(pc.clone(), "answer".into(), 2), (pc.clone(), "offer".into(), 3)]);
}

#[test]
fn when_both_restart_theirs_is_enough() {
    let (mut room, pc) = call();
    room.peer(&pc, PeerWord::Disconnected);
    room.pass_alive(4 * S);
    room.describe(&pc, "offer", 2, &sdp("restarted", &["their-audio", "their-video"]));
    assert_eq!(room.descriptions()[2..], [(pc.clone(), "answer".into(), 2)]);
}

#[test]
fn an_offer_that_comes_while_ours_is_being_made_goes_first() {
    let (mut room, pc) = call();
    room.held = Some(Vec::new());
    room.peer(&pc, PeerWord::Disconnected);
    room.pass_alive(4 * S);
    assert_eq!(room.held, Some(vec![(pc.clone(), Task::Offer { restart: true })]));
    room.describe(&pc, "offer", 2, &sdp("restarted", &["their-audio", "their-video"]));
    assert_eq!(room.held.as_ref().unwrap().len(), 1, "one thing at a time");
    for (pc, task) in room.held.take().unwrap() {
        room.carry_out(&pc, task);
    }
    room.run();
    assert_eq!(room.descriptions()[1..], [(pc.clone(), "answer".into(), 2)], "our own was never told");
    assert_eq!(room.peers[&pc].rolled_back, 1);
}

#[test]
fn closed_peer_connections_stay_closed() {
    let (mut room, pc) = call();
    room.describe(&pc, "close", 3, "");
    assert_eq!(room.closed, std::slice::from_ref(&pc));
    room.describe(&pc, "offer", 9, &sdp("t", &["a"]));
    room.describe("never-seen", "close", 1, "");
    room.describe("never-seen", "offer", 2, &sdp("t", &["a"]));
    assert!(room.peers.is_empty());
    assert!(failed(&room).is_none());
}

#[test]
fn the_unneeded_first_peer_connection_hides_nothing_and_fails_nobody() {
    let mut room = Fixture::joined(None, json!({}));
    let pc = room.first();
    room.peer(&pc, PeerWord::Failed("nobody there".into()));
    room.pass_alive(120 * S);
    assert_eq!(room.events, [RoomEvent::Joined]);
    room.describe(&pc, "close", 2, "");
    assert_eq!(room.events, [RoomEvent::Joined]);
}

#[test]
fn a_description_the_peer_refuses_ends_the_call_only_if_nothing_better_comes() {
    let mut room = Fixture::joined(None, json!({}));
    room.held = Some(Vec::new());
    room.describe("theirs", "offer", 1, "nonsense");
    room.peer("theirs", PeerWord::Refused("the far side's offer was refused: nonsense".into()));
    assert!(failed(&room).is_none());
    room.pass_alive(31 * S);
    assert!(failed(&room).unwrap().contains("nonsense"), "{:?}", room.events);
}

#[test]
fn a_peer_that_cannot_be_made_at_all_fails_the_room_at_once() {
    let mut room = Fixture::new(None);
    room.held = Some(Vec::new());
    room.opened();
    room.welcome();
    room.message(json!({ "type": "iced" }));
    let pc = room.held.as_ref().unwrap()[0].0.clone();
    room.peer(&pc, PeerWord::Refused("no network interface".into()));
    assert_eq!(failed(&room), Some("no network interface"));
}

// --- Candidates

fn ice(pc: &str, ufrag: &str, revision: u64, lines: &[&str]) -> Value {
    let candidates: Vec<_> = lines.iter().map(|l| json!({ "candidate": l, "sdpMid": "0", "usernameFragment": ufrag })).collect();
    json!({ "peer_connections": [{ "id": pc, "ice": { "ufrag": ufrag, "revision": revision, "candidates": candidates } }] })
}

#[test]
fn candidates_wait_for_the_description_of_their_generation() {
    let mut room = Fixture::joined(None, json!({}));
    let pc = room.first();
    room.update(ice(&pc, "their1", 1, &["c1"]));
    room.update(ice(&pc, "their2", 1, &["later"]));
    assert!(room.peers[&pc].candidates.is_empty());
    room.describe(&pc, "answer", 1, &sdp("their1", &["a"]));
    assert_eq!(room.peers[&pc].candidates, ["c1"]);
    room.describe(&pc, "offer", 2, &sdp("their2", &["a"]));
    assert_eq!(room.peers[&pc].candidates, ["c1", "later"]);
}

#[test]
fn a_candidate_list_that_starts_over_loses_and_repeats_nothing() {
    let (mut room, pc) = call();
    room.update(ice(&pc, "their1", 1, &["c1", "c2"]));
    room.update(ice(&pc, "their1", 3, &[]));
    room.update(ice(&pc, "their1", 4, &["c3"]));
    room.update(ice(&pc, "their1", 2, &["c1", "c4", ""]));
    assert_eq!(room.peers[&pc].candidates, ["c1", "c2", "c3", "c4"]);
}

#[test]
fn our_own_list_always_grows_and_carries_mid_and_fragment() {
    let mut room = Fixture::joined(None, json!({}));
    let pc = room.first();
    for n in 2..4 {
        room.peer(&pc, PeerWord::Candidate(format!("candidate:{n}")));
        room.peer(&pc, PeerWord::Candidate(format!("candidate:{n}")));
    }
    room.peer(&pc, PeerWord::Gathered);
    let lists = room.lists();
    let lengths: Vec<_> = lists.iter().map(|l| l["candidates"].as_array().unwrap().len()).collect();
    assert_eq!(lengths, [1, 2, 3, 3]);
    assert!(lists.windows(2).all(|w| w[0]["revision"].as_u64() < w[1]["revision"].as_u64()));
    let last = lists.last().unwrap();
    assert_eq!((&last["complete"], &last["ufrag"]), (&json!(true), &json!("own1")));
    assert!(last["candidates"].as_array().unwrap().iter().all(|c| c["sdpMid"] == "0" && c["usernameFragment"] == "own1"));
}

#[test]
fn a_new_generation_starts_a_new_list_without_late_ones_of_the_old() {
    let (mut room, pc) = call();
    room.peer(&pc, PeerWord::Disconnected);
    room.pass_alive(4 * S);
    room.peer(&pc, PeerWord::Candidate("candidate:9 1 udp 1 192.0.2.9 9 typ host ufrag own1".into()));
    room.peer(&pc, PeerWord::Candidate("candidate:8 1 udp 1 192.0.2.9 8 typ host ufrag own2".into()));
    let last = room.lists().last().unwrap().clone();
    assert_eq!((&last["ufrag"], last["candidates"].as_array().unwrap().len()), (&json!("own2"), 2));
    assert!(!last.to_string().contains("own1"));
}

// --- Loss of the socket

fn synced(extra: Value) -> Value {
    let mut synced = json!({ "type": "synced", "participants": [carer("PA1", 1, "connected")], "subscribed": subscribed("PA1", 1), "peer_connections": [] });
    for (key, value) in extra.as_object().into_iter().flatten() {
        synced[key] = value.clone();
    }
    synced
}

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

// --- The end

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

// --- The media path

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

// --- Bounds

#[test]
fn a_server_cannot_make_us_open_peer_connections_without_end() {
    let mut room = Fixture::joined(None, json!({}));
    for n in 0..1000 {
        room.describe(&format!("pc{n}"), "offer", 1, &sdp("t", &["a"]));
        room.update(ice(&format!("pc{n}"), "u", 1, &["c"]));
    }
    assert!(room.peers.len() <= 8);
}

#[test]
fn candidates_and_generations_are_bounded() {
    let (mut room, pc) = call();
    for n in 0..1000 {
        room.update(ice(&pc, &format!("u{n}"), 1, &["c"]));
        room.update(ice(&pc, "their1", n, &[&format!("c{n}")]));
    }
    assert_eq!(room.peers[&pc].candidates.len(), 128);
}
