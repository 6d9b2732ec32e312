//! What a request means, and which ones are none.

use super::*;

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
