//! The edge cases of contracts/chatta.md §5, as far as the line decides them. Where each row is tested:
//!
//! | §5.1 autoAccept × acceptAfter | test |
//! |---|---|
//! | false × 0, "0", missing | [`neither_auto_accept_nor_a_delay_asks`] |
//! | true × 0 | [`auto_accept_without_a_delay_answers_at_once`]; the notice: `call::tests::cases::a_notice_is_never_shorter_than_the_floor` |
//! | true × >0 | [`auto_accept_with_a_delay_counts_down`]; the dialog: `call::tests::cases::a_countdown_answers_by_itself` |
//! | false × >0 | [`a_delay_without_auto_accept_asks_unless_the_site_reads_it_otherwise`] |
//! | types of acceptAfter | [`accept_after_is_a_number_or_a_numeric_string_between_0_and_300`] |
//! | types of autoAccept | [`only_the_three_exact_spellings_of_true_are_auto_accept`] |
//! | grant per resident | `call::consent` |
//!
//! | §5.2 case | test |
//! |---|---|
//! | same initiator again: while ringing, < 15 s after accepted, later in the call | `call::tests::cases::same_initiator_asks_again_…`; here [`a_new_request_of_the_caller_may_be_accepted_again`] |
//! | second caller | `call::tests::cases::a_second_caller_hears_busy_…`; the word: [`every_reason_has_the_platforms_word`] |
//! | caller hangs up while ringing | `call::tests::cases::the_caller_hangs_up_while_ringing`; here [`the_callers_ended_is_a_withdrawal_with_what_names_the_call`] |
//! | ended from somebody else, with another roomSid, after we ended | `call::tests::cases::ended_…` |
//! | caller vanished; races of accept, ended, timeout; failure after accepted | `call::tests::cases` |
//! | accepted twice | [`accepted_is_said_once_however_often_it_is_asked_for`], [`a_possibly_lost_accepted_is_reported_once_the_line_is_back_and_said_once_more_at_most`], [`an_accepted_that_was_not_sent_is_tried_again`] |
//! | reply could not be sent | [`a_reply_waits_for_the_line_and_only_the_latest_of_a_caller`], [`a_waiting_reply_is_dropped_when_the_caller_asks_anew`], [`a_reply_that_waited_too_long_is_dropped`], [`a_reply_that_cannot_be_sent_is_given_up_ten_seconds_after_the_line_is_back`], [`a_possibly_lost_ending_is_said_once_more`] |
//! | request without roomName | [`a_request_without_a_room_name_gets_the_derived_one`], [`a_request_whose_room_cannot_be_derived_is_declined_with_error`] |
//! | request without roomSid | [`a_request_without_a_room_sid_is_fine`] |
//! | roomName differs from our name | [`another_integrators_room_name_is_taken_as_it_is`] |
//! | target.id != suffix | [`the_events_name_counts_when_the_target_says_otherwise`] |
//! | initiator missing or id not an integer | [`a_request_without_an_integer_initiator_id_is_dropped`] |
//! | data is a JSON string / double encoded | [`a_payload_encoded_as_a_string_is_decoded`] |
//! | payload > 10 KB | `pusher::tests::a_frame_over_64_kib_is_dropped_and_the_connection_stays` |
//! | floods | [`at_most_five_requests_in_ten_seconds_are_worked_on_per_caller`], [`a_flood_of_many_callers_is_bounded_in_total_and_in_memory`], [`a_flood_of_requests_does_not_hide_the_end`] |
//! | events for other residents | [`the_whole_event_name_counts`], `pusher::tests::events_nobody_waits_for_are_dropped_unread` |
//! | our own event comes back | [`our_own_replies_are_not_events_of_ours`] |
//! | id collision | [`a_caller_with_the_residents_own_id_is_dropped`] |
//! | spoofing | [`callers_who_are_not_on_the_list_are_declined_without_asking`]; automatic answers: `call::consent` |
//! | audioOnly true | [`anything_but_a_clear_no_is_audio_only`]; the camera: `call::tests::cases::an_audio_call_does_not_open_the_camera` |
//! | 401/403 from /pusher/auth/ | tests/integration/pusher_sockudo.rs `a_refused_token_leads_to_a_new_login_on_the_same_connection` |
//! | power off, reboot during call | the line: [`after_a_start_there_is_nothing_to_say`]; the agent tells a recent caller `ended` all the same (`agent::recovery`): tests/integration/killed.rs |
//! | clock | every time here is an `Instant`; there is no other to pass |

use super::events::{self, Identity};
use super::intake::{Intake, Word};
use super::replies::Replies;
use super::{Admission, Credentials, Settings};
use crate::call::{CallerId, Decline, LineId, Medium, Offer, Reply, Wish};
use crate::pusher::{Endpoint, Outcome};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const CALLS: &str = "private-call-7";
const REQUESTED: &str = "client-conferencing-call-requested-1124";
const ENDED: &str = "client-conferencing-call-ended-1124";

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

fn settings() -> Settings {
    let api = "https://api.example/v2".parse().unwrap();
    Settings::new(LineId("chatta".into()), api, Endpoint::cluster("eu", "key"), Credentials::default())
}

fn identity() -> Identity {
    Identity { resident: 1124, customer: 7, username: "chattademo".into(), set_top_box: Some(322) }
}

fn request() -> Value {
    json!({
        "audioOnly": false,
        "initiator": { "id": 5, "username": "care_admin", "first_name": "Ada", "last_name": "Admin", "user_type": "customeradmin" },
        "target": { "id": 1124, "username": "chattademo" },
        "roomName": "care_admin-to-chattademo", "autoAccept": false, "acceptAfter": 0, "roomSid": "RM1",
    })
}

fn with(field: &str, value: Value) -> Value {
    let mut request = request();
    request[field] = value;
    request
}

fn without(field: &str) -> Value {
    let mut request = request();
    request.as_object_mut().unwrap().remove(field);
    request
}

fn hear(settings: &Settings, event: &str, data: &str) -> Option<Word> {
    Intake::default().event(Instant::now(), settings, &identity(), (CALLS, event), data)
}

fn offered(request: &Value) -> Offer {
    match hear(&settings(), REQUESTED, &request.to_string()) {
        Some(Word::Offer(offer)) => offer,
        other => panic!("no offer: {other:?}"),
    }
}

// ── 5.1 ──

#[test]
fn neither_auto_accept_nor_a_delay_asks() {
    for request in [request(), with("acceptAfter", json!("0")), without("acceptAfter"), without("autoAccept")] {
        assert_eq!(offered(&request).wish, Wish::Ask);
    }
}

#[test]
fn auto_accept_without_a_delay_answers_at_once() {
    assert_eq!(offered(&with("autoAccept", json!(true))).wish, Wish::Answer { after: Duration::ZERO });
}

#[test]
fn auto_accept_with_a_delay_counts_down() {
    for after in [json!(10), json!("10")] {
        let mut request = with("autoAccept", json!(true));
        request["acceptAfter"] = after;
        assert_eq!(offered(&request).wish, Wish::Answer { after: seconds(10) });
    }
}

#[test]
fn a_delay_without_auto_accept_asks_unless_the_site_reads_it_otherwise() {
    let request = with("acceptAfter", json!("5"));
    assert_eq!(offered(&request).wish, Wish::Ask, "the private reading is the default");
    let mut settings = settings();
    settings.accept_after_implies_auto = true;
    let Some(Word::Offer(offer)) = hear(&settings, REQUESTED, &request.to_string()) else { panic!("no offer") };
    assert_eq!(offer.wish, Wish::Answer { after: seconds(5) });
    let Some(Word::Offer(offer)) = hear(&settings, REQUESTED, &self::request().to_string()) else { panic!("no offer") };
    assert_eq!(offer.wish, Wish::Ask, "no delay, nothing implied");
}

#[test]
fn accept_after_is_a_number_or_a_numeric_string_between_0_and_300() {
    let cases = [
        (json!(15), 15.0),
        (json!("15"), 15.0),
        (json!(" 15 "), 15.0),
        (json!(2.5), 2.5),
        (json!(300), 300.0),
        (json!(301), 300.0),
        (json!(1e300), 300.0),
        (json!("inf"), 300.0),
        (json!(-5), 0.0),
        (json!("-5"), 0.0),
        (json!("NaN"), 0.0),
        (json!("soon"), 0.0),
        (json!(""), 0.0),
        (json!(null), 0.0),
        (json!(true), 0.0),
        (json!([5]), 0.0),
    ];
    for (after, expected) in cases {
        let mut request = with("autoAccept", json!(true));
        request["acceptAfter"] = after.clone();
        assert_eq!(offered(&request).wish, Wish::Answer { after: Duration::from_secs_f64(expected) }, "{after}");
    }
}

#[test]
fn only_the_three_exact_spellings_of_true_are_auto_accept() {
    for yes in [json!(true), json!("true"), json!(1)] {
        assert_ne!(offered(&with("autoAccept", yes.clone())).wish, Wish::Ask, "{yes}");
    }
    for no in [
        json!(false),
        json!("false"),
        json!("True"),
        json!(" true"),
        json!("1"),
        json!("yes"),
        json!(2),
        json!(-1),
        json!([true]),
        json!({}),
        json!(null),
    ] {
        assert_eq!(offered(&with("autoAccept", no.clone())).wish, Wish::Ask, "{no}");
    }
}

// ── 5.2: what arrives ──

#[test]
fn the_callers_ended_is_a_withdrawal_with_what_names_the_call() {
    let Some(Word::Withdrawal(withdrawal)) = hear(&settings(), ENDED, &request().to_string()) else { panic!("no withdrawal") };
    assert_eq!(withdrawal.caller, CallerId("5".into()));
    assert_eq!(withdrawal.reference.sid.as_deref(), Some("RM1"));
    assert_eq!(withdrawal.reference.room.as_deref(), Some("care_admin-to-chattademo"));
    let Some(Word::Withdrawal(slim)) = hear(&settings(), ENDED, r#"{"initiator":{"id":5}}"#) else { panic!("no withdrawal") };
    assert_eq!((slim.reference.sid, slim.reference.room), (None, None));
}

#[test]
fn a_request_without_a_room_name_gets_the_derived_one() {
    for missing in [without("roomName"), with("roomName", json!("")), with("roomName", json!(null)), with("roomName", json!(7))] {
        assert_eq!(offered(&missing).reference.room.as_deref(), Some("care_admin-to-chattademo"));
    }
    let mut request = without("roomName");
    request["target"] = json!(null);
    assert_eq!(offered(&request).reference.room.as_deref(), Some("care_admin-to-chattademo"), "we know our own name");
}

#[test]
fn a_request_whose_room_cannot_be_derived_is_declined_with_error() {
    let mut request = without("roomName");
    request["initiator"] = json!({ "id": 5 });
    let word = hear(&settings(), REQUESTED, &request.to_string());
    assert!(matches!(word, Some(Word::Refuse(offer, Decline::Error)) if offer.caller.id.0 == "5"));
}

#[test]
fn a_request_without_a_room_sid_is_fine() {
    assert_eq!(offered(&without("roomSid")).reference.sid, None);
}

#[test]
fn another_integrators_room_name_is_taken_as_it_is() {
    assert_eq!(offered(&with("roomName", json!("Room 7/ä"))).reference.room.as_deref(), Some("Room 7/ä"));
}

#[test]
fn the_events_name_counts_when_the_target_says_otherwise() {
    assert_eq!(offered(&with("target", json!({ "id": 9, "username": "chattademo" }))).caller.id.0, "5");
}

#[test]
fn a_request_without_an_integer_initiator_id_is_dropped() {
    for initiator in
        [json!(null), json!(5), json!({}), json!({ "id": null }), json!({ "id": "5" }), json!({ "id": 5.5 }), json!({ "id": -5 })]
    {
        for event in [REQUESTED, ENDED] {
            assert_eq!(hear(&settings(), event, &with("initiator", initiator.clone()).to_string()), None, "{initiator}");
        }
    }
    for nonsense in ["", "null", "[]", "5", "\"x\"", "{", "{}", "\"{}\""] {
        assert_eq!(hear(&settings(), REQUESTED, nonsense), None, "{nonsense}");
    }
}

#[test]
fn a_payload_encoded_as_a_string_is_decoded() {
    let once = json!(request().to_string()).to_string();
    let twice = json!(once).to_string();
    for data in [once, twice] {
        assert_eq!(hear(&settings(), REQUESTED, &data), Some(Word::Offer(offered(&request()))));
    }
}

#[test]
fn the_whole_event_name_counts() {
    let data = request().to_string();
    for event in [
        "client-conferencing-call-requested-112",
        "client-conferencing-call-requested-11240",
        "client-conferencing-call-requested-",
        "requested-1124",
    ] {
        assert_eq!(hear(&settings(), event, &data), None, "{event}");
    }
    let elsewhere = Intake::default().event(Instant::now(), &settings(), &identity(), ("private-presence-7", REQUESTED), &data);
    assert_eq!(elsewhere, None, "calls come on the call channel");
}

#[test]
fn our_own_replies_are_not_events_of_ours() {
    let offer = offered(&request());
    for reply in [Reply::Accepted, Reply::Declined(Decline::Busy), Reply::Ended] {
        let (event, data) = events::reply(&offer, reply, &identity());
        assert_eq!(hear(&settings(), &event, &data), None, "{event}");
    }
}

#[test]
fn a_caller_with_the_residents_own_id_is_dropped() {
    let mut request = request();
    request["initiator"]["id"] = json!(1124);
    assert_eq!(hear(&settings(), REQUESTED, &request.to_string()), None);
    assert_eq!(hear(&settings(), ENDED, &request.to_string()), None);
}

#[test]
fn callers_who_are_not_on_the_list_are_declined_without_asking() {
    let refused = |admission: Admission| {
        let settings = Settings { admission, ..settings() };
        match hear(&settings, REQUESTED, &request().to_string()) {
            Some(Word::Offer(_)) => false,
            Some(Word::Refuse(_, Decline::ByResident)) => true,
            other => panic!("{other:?}"),
        }
    };
    assert!(!refused(Admission::default()));
    assert!(!refused(Admission { callers: Some(vec![4, 5]), roles: None }));
    assert!(refused(Admission { callers: Some(vec![4]), roles: None }));
    assert!(refused(Admission { callers: Some(vec![]), roles: None }));
    assert!(!refused(Admission { callers: None, roles: Some(vec!["customeradmin".into()]) }));
    assert!(refused(Admission { callers: Some(vec![5]), roles: Some(vec!["supporter".into()]) }));
}

#[test]
fn anything_but_a_clear_no_is_audio_only() {
    for no in [json!(false), json!(null), json!("false"), json!("0"), json!(""), json!(0)] {
        assert_eq!(offered(&with("audioOnly", no.clone())).medium, Medium::Video, "{no}");
    }
    assert_eq!(offered(&without("audioOnly")).medium, Medium::Video);
    for yes in [json!(true), json!("true"), json!(1), json!("True"), json!("yes"), json!({})] {
        assert_eq!(offered(&with("audioOnly", yes.clone())).medium, Medium::Audio, "{yes}");
    }
}

#[test]
fn at_most_five_requests_in_ten_seconds_are_worked_on_per_caller() {
    let (start, mut intake, data) = (Instant::now(), Intake::default(), request().to_string());
    let mut at = |ms: u64| intake.event(start + Duration::from_millis(ms), &settings(), &identity(), (CALLS, REQUESTED), &data).is_some();
    assert_eq!((0..100).filter(|n| at(n * 50)).count(), 5, "those of 5 s");
    assert!(!at(9_999));
    assert!(at(10_000), "the first is ten seconds old");
    assert!(!at(10_001));
}

#[test]
fn a_flood_of_many_callers_is_bounded_in_total_and_in_memory() {
    let (now, mut intake, settings) = (Instant::now(), Intake::default(), settings());
    let mut taken = 0;
    for id in 0..100_000u64 {
        let data = json!({ "initiator": { "id": id, "username": "u" }, "roomName": "r" }).to_string();
        taken += usize::from(intake.event(now, &settings, &identity(), (CALLS, REQUESTED), &data).is_some());
    }
    assert_eq!(taken, settings.flood.in_total);
    assert!(intake.callers() <= settings.flood.callers);
}

#[test]
fn a_flood_of_requests_does_not_hide_the_end() {
    let (now, mut intake, data) = (Instant::now(), Intake::default(), request().to_string());
    for _ in 0..1000 {
        intake.event(now, &settings(), &identity(), (CALLS, REQUESTED), &data);
    }
    let end = intake.event(now, &settings(), &identity(), (CALLS, ENDED), &data);
    assert!(matches!(end, Some(Word::Withdrawal(_))));
}

// ── 5.2: what is said ──

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

#[test]
fn the_callers_name_is_shown_in_one_line_without_tricks() {
    let name = |first: &str, last: &str, user: &str| {
        let mut request = request();
        request["initiator"] = json!({ "id": 5, "first_name": first, "last_name": last, "username": user });
        offered(&request).caller.name
    };
    assert_eq!(name(" Ada ", "Admin", "u"), "Ada Admin");
    assert_eq!(name("Ada", "", "u"), "Ada");
    assert_eq!(name("", "  ", "care_admin"), "care_admin");
    assert_eq!(name("\u{202e}Ada\n\u{7}", "A\u{200b}dmin", "u"), "Ada Admin");
    assert_eq!(name(&"x".repeat(500), "", "u").chars().count(), 80);
    let mut request = without("roomName");
    request["initiator"] = json!({ "id": 5 });
    assert!(matches!(hear(&settings(), REQUESTED, &request.to_string()), Some(Word::Refuse(offer, _)) if offer.caller.name == "5"));
}

#[test]
fn photographs_come_over_https_or_from_the_api_itself() {
    let photo = |avatar: Value| {
        let mut request = request();
        request["initiator"]["avatar"] = avatar;
        offered(&request).caller.photo
    };
    assert_eq!(photo(json!("https://cdn.example/a.png")).as_deref(), Some("https://cdn.example/a.png"));
    assert_eq!(photo(json!("/media/a.png")).as_deref(), Some("https://api.example/media/a.png"));
    assert_eq!(photo(json!("http://api.example/a.png")).as_deref(), Some("http://api.example/a.png"));
    for bad in [
        json!("http://192.168.0.1/admin"),
        json!("file:///etc/passwd"),
        json!("data:image/png;base64,AA"),
        json!(""),
        json!(null),
        json!(5),
    ] {
        assert_eq!(photo(bad.clone()), None, "{bad}");
    }
}

#[test]
fn the_wake_event_counts_for_our_own_box_only() {
    let wake = |identity: &Identity, data: Value| {
        Intake::default().event(Instant::now(), &settings(), identity, ("private-presence-7", "power_normal"), &data.to_string())
    };
    assert_eq!(wake(&identity(), json!({ "set_top_box": 322, "force": true })), Some(Word::Wake));
    assert_eq!(wake(&identity(), json!({ "set_top_box": 321, "force": true })), None);
    assert_eq!(wake(&identity(), json!({})), None);
    assert_eq!(wake(&Identity { set_top_box: None, ..identity() }, json!({})), None);
}

// ── recorded, and anything at all ──

#[test]
fn the_recorded_requests_of_the_platforms_own_page_are_understood() {
    let (mut offers, mut wishes) = (0, Vec::new());
    for line in include_str!("../../../tests/samples/chatta/pusher-calls.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let (event, data) = (row["frame"]["event"].as_str().unwrap(), &row["frame"]["data"]);
        let word = hear(&settings(), event, &data.to_string());
        match (event, word) {
            (REQUESTED, Some(Word::Offer(offer))) => {
                offers += 1;
                assert_eq!((offer.caller.name.as_str(), offer.caller.role.as_deref()), ("Ada Admin", Some("customeradmin")));
                assert_eq!(offer.reference.room.as_deref(), Some("care_admin-to-chattademo"));
                assert!(offer.reference.sid.is_some_and(|sid| sid.starts_with("RM")));
                wishes.push((row["scenario"].as_str().unwrap().to_string(), offer.wish));
            }
            (REQUESTED, None) => assert!(!data.is_object(), "{line}"),
            (ENDED, Some(Word::Withdrawal(_))) => {}
            (REQUESTED | ENDED, other) => panic!("{event}: {other:?}"),
            (_, None) => {}
            (_, Some(word)) => panic!("{event}: {word:?}"),
        }
    }
    assert!(offers >= 15);
    let wish = |scenario: &str| wishes.iter().find(|(s, _)| s == scenario).map(|(_, wish)| *wish);
    assert_eq!(wish("options-autoaccept"), Some(Wish::Answer { after: Duration::ZERO }));
    assert_eq!(wish("options-both"), Some(Wish::Answer { after: seconds(10) }));
    assert_eq!(wish("options-after-only"), Some(Wish::Ask));
    assert_eq!(wish("options-after-reset-to-zero"), Some(Wish::Ask));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_payload_panics_and_what_is_offered_can_be_answered(
        (field, value) in (prop::sample::select(vec!["audioOnly", "initiator", "target", "roomName", "roomSid", "autoAccept", "acceptAfter"]), any_json()),
        (inner, other) in (prop::sample::select(vec!["id", "username", "first_name", "last_name", "user_type", "avatar", "avatar_large"]), any_json()),
    ) {
        let mut request = with(field, value);
        if let Some(initiator) = request["initiator"].as_object_mut() {
            initiator.insert(inner.into(), other);
        }
        if let Some(Word::Offer(offer) | Word::Refuse(offer, _)) = hear(&settings(), REQUESTED, &request.to_string()) {
            let (event, data) = events::reply(&offer, Reply::Ended, &identity());
            prop_assert!(data.len() <= 10 * 1024 && event.len() <= 200);
            prop_assert!(!offer.caller.name.is_empty());
        }
        hear(&settings(), ENDED, &request.to_string());
    }

    #[test]
    fn no_text_panics(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        hear(&settings(), REQUESTED, &text);
        hear(&settings(), ENDED, &String::from_utf8_lossy(&bytes));
    }
}
