//! Replies: said once, late, lost, or never.

use super::*;

fn replies() -> (Instant, Replies) {
    (Instant::now(), Replies::new(seconds(60), seconds(10)))
}

fn drain(replies: &mut Replies, now: Instant) -> Vec<Reply> {
    std::iter::from_fn(|| replies.poll(now)).map(|(_, _, reply)| reply).collect()
}

#[test]
fn after_a_start_there_is_nothing_to_say() {
    let (now, mut replies) = replies();
    replies.online(now);
    assert_eq!(drain(&mut replies, now), []);
    assert_eq!(replies.next_deadline(), None);
}

#[test]
fn accepted_is_said_once_however_often_it_is_asked_for() {
    let (now, mut replies) = replies();
    let offer = offered(&request());
    replies.asked(now, &offer.caller.id);
    replies.online(now);
    for repeat in [false, false, true] {
        replies.say(now, offer.clone(), Reply::Accepted, repeat);
    }
    assert_eq!(drain(&mut replies, now), [Reply::Accepted]);
    replies.say(now, offer, Reply::Ended, false);
    assert_eq!(drain(&mut replies, now), [Reply::Ended]);
}

#[test]
fn a_new_request_of_the_caller_may_be_accepted_again() {
    let (now, mut replies) = replies();
    let offer = offered(&request());
    replies.online(now);
    for _ in 0..2 {
        replies.asked(now, &offer.caller.id);
        replies.say(now, offer.clone(), Reply::Accepted, false);
        assert_eq!(drain(&mut replies, now), [Reply::Accepted]);
    }
}

#[test]
fn an_accepted_that_was_not_sent_is_tried_again() {
    let (now, mut replies) = replies();
    replies.online(now);
    replies.say(now, offered(&request()), Reply::Accepted, false);
    let (id, ..) = replies.poll(now).unwrap();
    replies.outcome(now, id, Outcome::Unsent("not subscribed".into()));
    assert_eq!(drain(&mut replies, now), [], "not in a tight loop");
    let later = replies.next_deadline().unwrap();
    assert_eq!(drain(&mut replies, later), [Reply::Accepted]);
}

#[test]
fn a_possibly_lost_accepted_is_reported_once_the_line_is_back_and_said_once_more_at_most() {
    let (now, mut replies) = replies();
    let offer = offered(&request());
    replies.online(now);
    replies.say(now, offer.clone(), Reply::Accepted, false);
    let (id, ..) = replies.poll(now).unwrap();
    replies.offline();
    replies.outcome(now, id, Outcome::Uncertain);
    assert_eq!(replies.poll_uncertain(), None, "not before the line is back");
    replies.online(now + seconds(1));
    assert_eq!(drain(&mut replies, now + seconds(1)), [], "not by itself");
    assert_eq!(replies.poll_uncertain(), Some(offer.clone()));
    assert_eq!(replies.poll_uncertain(), None);

    replies.say(now + seconds(11), offer.clone(), Reply::Accepted, true);
    let (id, _, reply) = replies.poll(now + seconds(11)).unwrap();
    assert_eq!(reply, Reply::Accepted);
    replies.outcome(now + seconds(11), id, Outcome::Uncertain);
    assert_eq!(replies.poll_uncertain(), None, "once is enough");
    replies.say(now + seconds(12), offer, Reply::Accepted, true);
    assert_eq!(drain(&mut replies, now + seconds(12)), []);
}

#[test]
fn an_accepted_the_server_has_read_is_not_uncertain() {
    let (now, mut replies) = replies();
    replies.online(now);
    replies.say(now, offered(&request()), Reply::Accepted, false);
    let (id, ..) = replies.poll(now).unwrap();
    replies.outcome(now, id, Outcome::Confirmed);
    assert!(!replies.is_busy());
    replies.lost(now);
    replies.online(now);
    assert_eq!(replies.poll_uncertain(), None);
}

#[test]
fn a_reply_waits_for_the_line_and_only_the_latest_of_a_caller() {
    let (now, mut replies) = replies();
    let (five, mut six) = (offered(&request()), offered(&request()));
    six.caller.id = CallerId("6".into());
    replies.say(now, five.clone(), Reply::Accepted, false);
    replies.say(now, six, Reply::Declined(Decline::Busy), false);
    replies.say(now + seconds(5), five, Reply::Ended, false);
    assert_eq!(drain(&mut replies, now + seconds(6)), []);
    replies.online(now + seconds(9));
    assert_eq!(drain(&mut replies, now + seconds(9)), [Reply::Declined(Decline::Busy), Reply::Ended]);
    assert_eq!(drain(&mut replies, now + seconds(9)), []);
}

#[test]
fn a_waiting_reply_is_dropped_when_the_caller_asks_anew() {
    let (now, mut replies) = replies();
    let offer = offered(&request());
    replies.say(now, offer.clone(), Reply::Ended, false);
    replies.online(now);
    replies.asked(now, &offer.caller.id);
    assert_eq!(drain(&mut replies, now), [], "a late `ended` would end the new call");

    // The same for one that was on its way when the connection broke.
    replies.say(now, offer.clone(), Reply::Ended, false);
    let (id, ..) = replies.poll(now).unwrap();
    replies.asked(now, &offer.caller.id);
    replies.outcome(now, id, Outcome::Uncertain);
    assert_eq!(drain(&mut replies, now), []);

    // And for an uncertain `accepted` nobody has asked about yet.
    replies.say(now, offer.clone(), Reply::Accepted, false);
    let (id, ..) = replies.poll(now).unwrap();
    replies.outcome(now, id, Outcome::Uncertain);
    replies.asked(now, &offer.caller.id);
    assert_eq!(replies.poll_uncertain(), None);
}

#[test]
fn a_reply_that_waited_too_long_is_dropped() {
    let (now, mut replies) = replies();
    replies.say(now, offered(&request()), Reply::Declined(Decline::NoAnswer), false);
    replies.online(now + seconds(60));
    assert_eq!(drain(&mut replies, now + seconds(60)), []);
}

#[test]
fn a_reply_that_cannot_be_sent_is_given_up_ten_seconds_after_the_line_is_back() {
    let (start, mut replies) = replies();
    replies.say(start, offered(&request()), Reply::Declined(Decline::NoAnswer), false);
    let mut now = start + seconds(5);
    replies.online(now);
    let mut tries = 0;
    while let Some((id, ..)) = replies.poll(now) {
        tries += 1;
        replies.outcome(now, id, Outcome::Unsent("the server is busy".into()));
        now = replies.next_deadline().unwrap();
    }
    assert_eq!(now, start + seconds(15));
    assert_eq!(tries, 10);
    assert!(!replies.is_busy());
}

#[test]
fn a_possibly_lost_ending_is_said_once_more() {
    for reply in [Reply::Ended, Reply::Declined(Decline::Busy)] {
        let (mut now, mut replies) = replies();
        replies.online(now);
        replies.say(now, offered(&request()), reply, false);
        let mut said = 0;
        while let Some((id, ..)) = replies.poll(now) {
            said += 1;
            replies.offline();
            replies.outcome(now, id, Outcome::Uncertain);
            now += seconds(1);
            replies.online(now);
        }
        assert_eq!(said, 2, "{reply:?}");
    }
}

#[test]
fn conversations_are_bounded_and_those_with_something_to_say_are_kept() {
    let (now, mut replies) = replies();
    let offer = offered(&request());
    replies.say(now, offer, Reply::Ended, false);
    for id in 0..10_000u64 {
        replies.asked(now + Duration::from_millis(id), &CallerId((100 + id).to_string()));
    }
    assert!(replies.conversations() <= 64);
    replies.online(now + seconds(11));
    assert_eq!(drain(&mut replies, now + seconds(11)), [Reply::Ended]);
}

#[test]
fn every_reason_has_the_platforms_word() {
    let reason = |reply| {
        let (_, data) = events::reply(&offered(&request()), reply, &identity());
        serde_json::from_str::<Value>(&data).unwrap().get("declineReason").cloned()
    };
    assert_eq!(reason(Reply::Declined(Decline::Busy)), Some(json!("busy")));
    assert_eq!(reason(Reply::Declined(Decline::NoCamera)), Some(json!("no-camera")));
    assert_eq!(reason(Reply::Declined(Decline::NoMicrophone)), Some(json!("no-microphone")));
    assert_eq!(reason(Reply::Declined(Decline::NoAnswer)), Some(json!("no-answer")));
    assert_eq!(reason(Reply::Declined(Decline::Error)), Some(json!("error")));
    assert_eq!(reason(Reply::Declined(Decline::ByResident)), None);
    assert_eq!(reason(Reply::Accepted), None);
    assert_eq!(reason(Reply::Ended), None);
}

#[test]
fn replies_are_slim_and_addressed_to_the_caller() {
    let (event, data) = events::reply(&offered(&with("autoAccept", json!(true))), Reply::Accepted, &identity());
    assert_eq!(event, "client-conferencing-call-accepted-5");
    let expected = json!({
        "initiator": { "id": 5, "username": "care_admin" }, "target": { "id": 1124, "username": "chattademo" }, "audioOnly": false,
        "roomName": "care_admin-to-chattademo", "roomSid": "RM1", "autoAccept": true, "acceptAfter": 0,
    });
    assert_eq!(serde_json::from_str::<Value>(&data).unwrap(), expected);

    let mut longest = request();
    for name in ["roomName", "roomSid"] {
        longest[name] = json!("\u{1}".repeat(512));
    }
    longest["initiator"]["username"] = json!("\u{1}".repeat(512));
    assert!(events::reply(&offered(&longest), Reply::Ended, &identity()).1.len() < 10 * 1024);
    longest["roomName"] = json!("x".repeat(9000));
    assert_ne!(offered(&longest).reference.room.unwrap().len(), 9000, "too long for a reply is no name");
}

// ── what is shown ──
