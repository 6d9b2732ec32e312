//! Candidates both ways, and the bounds of what is kept.

use super::*;

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
