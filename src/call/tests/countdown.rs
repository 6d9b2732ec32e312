//! Calls that answer themselves: only noticed ones, of who may, when they may.

use super::*;
use crate::call::consent::Quiet;

/// Answered by itself, 10 s after the notice.
pub(super) fn counting() -> Fixture {
    let mut b = Fixture::new();
    b.on(Event::Offered(wishing("5", seconds(10))));
    b.on(Event::Noticed(CallId(1)));
    b
}

#[test]
fn a_countdown_answers_by_itself() {
    let mut b = Fixture::new();
    assert_eq!(words(&b.on(Event::Offered(wishing("5", seconds(10))))), "wake 1, show notice 1");
    assert_eq!(words(&b.pass(seconds(5))), "", "nobody has seen or heard it: no time counts");
    let shown = b.on(Event::Noticed(CallId(1)));
    let until = b.now.mono + seconds(10);
    assert!(
        matches!(&shown[..], [Action::Show(Scene::Countdown { until: Some(at), length, .. })] if *at == until && *length == seconds(10))
    );
    assert_eq!(words(&b.pass(Duration::from_millis(9999))), "");
    assert_eq!(words(&b.pass(Duration::from_millis(1))), "show connecting 1, prepare 1");
    assert_eq!(words(&b.prepared()), "tell 5 accepted, connect 1");
    assert!(b.machine.snapshot().call.unwrap().automatic);
    assert!(words(&b.press(Press::HangUp)).ends_with("record 1 hung-up automatic"));
}

#[test]
fn a_notice_is_never_shorter_than_the_floor() {
    let mut b = Fixture::new();
    b.on(Event::Offered(wishing("5", Duration::ZERO)));
    b.on(Event::Noticed(CallId(1)));
    assert_eq!(words(&b.pass(Duration::from_millis(2999))), "");
    assert_eq!(words(&b.pass(Duration::from_millis(1))), "show connecting 1, prepare 1");
}

#[test]
fn a_floor_of_nothing_answers_in_the_step_of_the_notice() {
    let mut b = Fixture::with(Limits::default(), Consent { floor: Duration::ZERO, ..listed(&["5"]) });
    b.on(Event::Offered(wishing("5", Duration::ZERO)));
    assert_eq!(words(&b.on(Event::Noticed(CallId(1)))), "show countdown 1, show connecting 1, prepare 1");
}

#[test]
fn a_notice_that_stops_being_seen_and_heard_counts_from_the_start_again() {
    let mut b = counting();
    b.pass(seconds(9));
    assert_eq!(words(&b.on(Event::Unnoticed(CallId(1)))), "show notice 1");
    assert_eq!(words(&b.pass(seconds(30))), "");
    assert_eq!(words(&b.on(Event::Noticed(CallId(1)))), "show countdown 1");
    assert_eq!(words(&b.pass(seconds(9))), "");
    assert_eq!(words(&b.pass(seconds(1))), "show connecting 1, prepare 1");
}

#[test]
fn a_notice_that_nobody_sees_or_hears_answers_nothing() {
    let mut b = Fixture::new();
    b.on(Event::Offered(wishing("5", seconds(10))));
    assert_eq!(words(&b.pass(seconds(55))), "show missed 1, tell 5 no-answer, record 1 no-answer");
}

#[test]
fn one_key_cancels_the_automatic_answer_and_the_call_rings_on() {
    for press in [Press::Other, Press::Mute] {
        let mut b = counting();
        b.pass(seconds(9));
        assert_eq!(words(&b.press(press)), "show ringing 1");
        b.on(Event::Noticed(CallId(1)));
        assert_eq!(words(&b.pass(seconds(45))), "", "rings as long as it would have");
        assert_eq!(words(&b.pass(seconds(1))), "show missed 1, tell 5 no-answer, record 1 no-answer");
    }
}

#[test]
fn a_key_pressed_in_time_beats_a_timer_that_was_served_late() {
    let mut b = counting();
    b.move_to(b.now.mono + seconds(11));
    assert_eq!(words(&b.press(Press::Other)), "show ringing 1");
}

#[test]
fn answer_now_and_decline_work_during_the_countdown() {
    let mut b = counting();
    assert_eq!(words(&b.press(Press::Accept)), "show connecting 1, prepare 1");
    b.prepared();
    assert!(!b.machine.snapshot().call.unwrap().automatic, "somebody pressed a key");
    assert_eq!(words(&counting().press(Press::Decline)), "show ended, tell 5 by-resident, record 1 by-resident");
}

#[test]
fn the_caller_hangs_up_during_the_countdown() {
    let mut b = counting();
    b.pass(seconds(9));
    assert_eq!(words(&b.on(Event::Withdrawn(withdrawal_by("5")))), "show missed 1, record 1 withdrawn");
    assert_eq!(words(&b.pass(seconds(3600))), "restore 1", "nothing is answered any more");
}

#[test]
fn quiet_hours_ring_and_answer_nothing_by_themselves() {
    let quiet: Quiet = "12:00-13:00".parse().unwrap();
    let mut b = Fixture::with(Limits::default(), Consent { quiet: vec![quiet], ..listed(&["5"]) });
    assert_eq!(words(&b.on(Event::Offered(wishing("5", seconds(10))))), "wake 1, show ringing 1");
    b.on(Event::Noticed(CallId(1)));
    assert_eq!(words(&b.pass(seconds(44))), "");
}

#[test]
fn quiet_hours_that_begin_during_the_countdown_stop_it() {
    let quiet: Quiet = "12:01-13:00".parse().unwrap();
    let mut b = Fixture::with(Limits::default(), Consent { quiet: vec![quiet], ..listed(&["5"]) });
    b.pass(seconds(55));
    b.on(Event::Offered(wishing("5", seconds(10))));
    b.on(Event::Noticed(CallId(1)));
    assert_eq!(words(&b.pass(seconds(10))), "show ringing 1");
}

#[test]
fn somebody_who_is_not_listed_rings() {
    let mut b = Fixture::new();
    assert_eq!(words(&b.on(Event::Offered(wishing("6", Duration::ZERO)))), "wake 1, show ringing 1");
}
