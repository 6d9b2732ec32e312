//! Offers and answers of a peer connection.

use super::*;

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
