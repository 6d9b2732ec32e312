//! Subscriptions, events in and out, and the end.

use super::*;

#[test]
fn all_channels_are_signed_anew_for_a_new_connection() {
    let mut rig = Rig::new().up();
    rig.lose(None);
    let greeted = rig.connect();
    assert!(greeted.contains(&Output::Tell(News::Authorise { socket: "1.2".into(), channel: CALLS.into() })));
    // The answer for the connection that is gone comes late.
    rig.core.authorised(rig.now, "1.1", CALLS, Ok(Authorisation { auth: "old".into(), channel_data: None }));
    assert_eq!(rig.outputs(), []);
    assert_eq!(rig.sign().len(), 1);
    assert_eq!(rig.succeed().len(), 1);
}

#[test]
fn each_kind_of_failure_leads_to_a_new_signature() {
    let refused =
        json!({ "event": "pusher:subscription_error", "channel": CALLS, "data": { "type": "AuthError", "error": "no", "status": 401 } });
    let sockudo = json!({ "event": "pusher:error", "data": { "message": "Authentication error", "code": 4009 } });
    let rusher = json!({ "event": "pusher:error", "message": "Invalid signature", "code": 409 });
    for refusal in [Some(refused), Some(sockudo), Some(rusher), None] {
        let mut rig = Rig::new();
        rig.connect();
        rig.sign();
        let outputs = match &refusal {
            Some(frame) => rig.frame(frame.clone()),
            None => {
                assert_eq!(rig.pass(Duration::from_millis(9_999)), [], "10 s of silence");
                rig.pass(Duration::from_millis(1))
            }
        };
        let retry = failed(&outputs).unwrap_or_else(|| panic!("{refusal:?}: {outputs:?}"));
        assert!(retry <= seconds(1));
        let again = rig.pass(retry);
        assert!(again.contains(&Output::Tell(News::Authorise { socket: "1.1".into(), channel: CALLS.into() })));
        rig.sign();
        assert_eq!(rig.succeed().len(), 1, "on the same connection");
    }
}

#[test]
fn refused_signatures_are_asked_for_less_and_less_often() {
    let mut rig = Rig::new();
    rig.connect();
    let mut bounds = [0.0f64; 12];
    for bound in &mut bounds {
        let socket = format!("1.{}", rig.sockets);
        rig.core.authorised(rig.now, &socket, CALLS, Err("status 403".into()));
        let retry = failed(&rig.outputs()).unwrap();
        *bound = retry.as_secs_f64();
        rig.core.heard(rig.now);
        rig.now += retry;
        rig.core.timeout(rig.now);
    }
    for (n, delay) in bounds.iter().enumerate() {
        assert!(*delay <= f64::from(1 << n.min(6)).min(60.0), "{bounds:?}");
    }
    assert!(bounds[8..].iter().any(|delay| *delay > 4.0), "{bounds:?}");
}

#[test]
fn a_success_that_comes_after_we_gave_up_counts() {
    let mut rig = Rig::new();
    rig.connect();
    rig.sign();
    rig.pass(seconds(10));
    assert_eq!(rig.succeed(), [Output::Tell(News::Subscribed { channel: CALLS.into() })]);
    assert_eq!(rig.pass(seconds(50)), [], "and nothing is tried again");
}

#[test]
fn an_error_about_nothing_pending_changes_nothing() {
    let mut rig = Rig::new().up();
    assert_eq!(rig.frame(json!({ "event": "pusher:error", "data": { "code": 4009, "message": "?" } })), []);
    assert_eq!(rig.frame(json!({ "event": "pusher:subscription_error", "channel": CALLS, "data": {} })), []);
    assert_eq!(rig.frame(json!({ "event": "pusher:subscription_error", "channel": "other", "data": {} })), []);
    assert_eq!(rig.trigger(1).len(), 2, "still subscribed");
}

// ── events in ──

#[test]
fn events_nobody_waits_for_are_dropped_unread() {
    let mut rig = Rig::new().up();
    // The payload is not even JSON: nobody looked at it.
    for frame in [
        r#"{"event":"client-wanted-112","channel":"private-call-7","data":{{{"#,
        r#"{"channel":"private-call-7","event":"client-other","data":#"#,
    ] {
        rig.core.frame(rig.now, frame);
        assert_eq!(rig.outputs(), []);
    }
    assert_eq!(rig.frame(json!({ "event": WANTED, "channel": "private-call-8", "data": {} })), [], "the right name on another channel");
    assert_eq!(rig.frame(json!({ "data": { "event": WANTED }, "channel": CALLS, "event": "client-wanted-11240" })), []);
    assert_eq!(rig.core.foreign(), 4);
}

#[test]
fn unknown_events_of_the_server_are_ignored() {
    let mut rig = Rig::new().up();
    for event in ["pusher_internal:member_added", "pusher_internal:whatever", "pusher:cache_miss", "pusher:signin_success"] {
        assert_eq!(rig.frame(json!({ "event": event, "channel": CALLS, "data": "{}" })), [], "{event}");
    }
}

#[test]
fn a_frame_over_64_kib_is_dropped_and_the_connection_stays() {
    let mut rig = Rig::new().up();
    let event = |length: usize| json!({ "event": WANTED, "channel": CALLS, "data": "x".repeat(length) });
    assert_eq!(rig.frame(event(64 * 1024)), []);
    assert_eq!(rig.frame(event(10 * 1024)).len(), 1);
}

// ── events out ──

#[test]
fn an_event_is_followed_by_a_question_whose_answer_confirms_it() {
    let mut rig = Rig::new().up();
    let sent = rig.trigger(1);
    assert_eq!(sent[0], Output::Send(r#"{"event":"client-e","channel":"private-call-7","data":{}}"#.into()));
    assert!(is_ping(&sent[1]) && sent.len() == 2);
    rig.frame(json!({ "event": "client-foreign-5", "channel": CALLS }));
    assert_eq!(rig.outputs(), [], "somebody else's event may have been under way already");
    assert_eq!(rig.pong(), [told(1, Outcome::Confirmed)]);
    assert_eq!(rig.pong(), []);
}

#[test]
fn a_pong_for_an_earlier_ping_confirms_nothing() {
    let mut rig = Rig::new().up();
    assert!(rig.pass(seconds(120)).iter().all(is_ping));
    rig.trigger(1);
    assert_eq!(rig.pong(), [], "that one was asked for before");
    assert_eq!(rig.pong(), [told(1, Outcome::Confirmed)]);
}

#[test]
fn an_event_into_a_dead_connection_is_found_in_ten_seconds() {
    let mut rig = Rig::new().up();
    rig.trigger(1);
    assert_eq!(rig.pass(Duration::from_millis(9_999)), []);
    let lost = rig.pass(Duration::from_millis(1));
    assert!(matches!(&lost[..2], [Output::Close, Output::Tell(News::Disconnected { .. })]), "{lost:?}");
    assert_eq!(lost[2], told(1, Outcome::Uncertain));
}

#[test]
fn a_server_that_answers_no_pings_but_speaks_is_not_left() {
    let mut rig = Rig::new().up();
    rig.trigger(1);
    rig.pass(seconds(5));
    rig.frame(json!({ "event": "client-foreign-5", "channel": CALLS }));
    assert_eq!(rig.pass(seconds(5)), [told(1, Outcome::Confirmed)]);
}

#[test]
fn a_rejected_event_was_not_sent() {
    let mut rig = Rig::new().up();
    rig.trigger(1);
    let rejected = rig.frame(json!({ "event": "pusher:error", "data": { "code": 4301, "message": "rate limit" } }));
    assert_eq!(rejected, [told(1, Outcome::Unsent("rate limit (4301)".into()))]);
    assert_eq!(rig.pong(), []);
    assert_eq!(rig.pass(seconds(30)), [], "the connection stays");
}

#[test]
fn the_eleventh_event_of_a_second_waits_and_is_unsent_when_the_connection_goes() {
    let mut rig = Rig::new().up();
    let sent = |outputs: &[Output]| outputs.iter().filter(|o| matches!(o, Output::Send(text) if text.contains("client-e"))).count();
    let first: usize = (0..15).map(|id| sent(&rig.trigger(id))).sum();
    assert_eq!(first, 10);
    for _ in 0..10 {
        rig.pong();
    }
    assert_eq!(sent(&rig.pass(seconds(1))), 0);
    assert_eq!(sent(&rig.pass(Duration::from_millis(100))), 5);
    let mut rig = Rig::new().up();
    (0..15).for_each(|id| drop(rig.trigger(id)));
    rig.core.lost(rig.now, None, "");
    let outputs = rig.outputs();
    assert_eq!(outputs.iter().filter(|o| matches!(o, Output::Tell(News::Triggered { outcome: Outcome::Uncertain, .. }))).count(), 10);
    assert_eq!(outputs.iter().filter(|o| matches!(o, Output::Tell(News::Triggered { outcome: Outcome::Unsent(_), .. }))).count(), 5);
}

#[test]
fn events_are_not_sent_where_they_would_be_lost() {
    let mut rig = Rig::new();
    let trigger = |data: String| Trigger { id: 1, channel: CALLS.into(), event: "client-e".into(), data };
    assert_eq!(rig.core.trigger(rig.now, trigger("{}".into())), Err(TriggerError::NotSubscribed));
    rig.connect();
    rig.sign();
    assert_eq!(rig.core.trigger(rig.now, trigger("{}".into())), Err(TriggerError::NotSubscribed));
    rig.succeed();
    assert_eq!(rig.core.trigger(rig.now, trigger("x".repeat(10_241))), Err(TriggerError::TooLong));
    let many = (0..1000).filter(|_| rig.core.trigger(rig.now, trigger("{}".into())).is_ok()).count();
    assert_eq!(many, 10 + 32, "what waits is bounded");
}

#[test]
fn stopping_closes_and_stays_closed() {
    let mut rig = Rig::new().up();
    rig.trigger(1);
    rig.core.stop();
    assert_eq!(rig.outputs(), [told(1, Outcome::Uncertain), Output::Close]);
    assert_eq!(rig.core.next_deadline(), None);
    rig.core.lost(rig.now, None, "");
    rig.core.stop();
    rig.greet(json!(1));
    rig.core.timeout(rig.now + seconds(1000));
    assert_eq!(rig.outputs(), []);
}

// ── recorded, and anything at all ──
