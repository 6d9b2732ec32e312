//! The cases of chatta.md 5.2 that the machine decides, and the life of a call.

use super::countdown::counting;
use super::*;

fn ringing() -> Fixture {
    let mut b = Fixture::new();
    b.on(Event::Offered(offer_by("5")));
    b
}

/// Accepted by a key, nobody in the room.
fn waiting() -> Fixture {
    let mut b = ringing();
    b.press(Press::Accept);
    b.prepared();
    b
}

fn talking() -> Fixture {
    let mut b = Fixture::new();
    b.talk(offer_by("5"));
    b
}

#[test]
fn a_call_from_ring_to_hang_up() {
    let mut b = Fixture::new();
    let offer = offer_by("5");
    assert_eq!(words(&b.on(Event::Offered(offer.clone()))), "wake 1, show ringing 1");
    b.pass(seconds(20));
    assert_eq!(words(&b.press(Press::Accept)), "show connecting 1, prepare 1");
    assert_eq!(words(&b.prepared()), "tell 5 accepted, connect 1");
    assert_eq!(words(&b.room(RoomEvent::Joined)), "");
    assert_eq!(words(&b.room(RoomEvent::CallerArrived)), "show in-call 1");
    b.pass(seconds(3600));
    let actions = b.press(Press::HangUp);
    assert_eq!(words(&actions), "disconnect 1, show ended, tell 5 ended, record 1 hung-up");
    assert_eq!(words(&b.pass(seconds(4))), "show idle, restore 1");
    assert_eq!(b.machine.next_deadline(), None);
    let Action::Record(record) = &actions[3] else { panic!() };
    assert_eq!(record.caller, offer.caller);
    let (accepted, ended) = (record.accepted.unwrap(), record.ended);
    assert_eq!(accepted.duration_since(record.offered).as_secs(), 20);
    assert_eq!(ended.duration_since(accepted).as_secs(), 3600);
}

#[test]
fn the_television_wakes_and_rings_before_anything_else() {
    for devices in [(true, true), (false, true), (true, false), (false, false)] {
        for medium in [Medium::Video, Medium::Audio] {
            let mut b = Fixture::new();
            b.on(Event::Devices { camera: devices.0, microphone: devices.1 });
            let actions = b.on(Event::Offered(Offer { medium, ..offer_by("5") }));
            assert!(matches!(actions[..2], [Action::Wake(CallId(1)), Action::Show(_)]), "{actions:?}");
        }
    }
}

#[test]
fn nobody_answers_within_the_ring_timeout() {
    let mut b = ringing();
    assert_eq!(words(&b.pass(seconds(45) - Duration::from_millis(1))), "");
    assert_eq!(words(&b.pass(Duration::from_millis(1))), "show missed 1, tell 5 no-answer, record 1 no-answer");
    assert_eq!(words(&b.press(Press::Accept)), "", "accept after the decline is forbidden");
}

#[test]
fn the_ring_timeout_is_configured() {
    let mut b = Fixture::with(Limits { ring: seconds(120), ..Limits::default() }, Consent::default());
    b.on(Event::Offered(offer_by("5")));
    assert_eq!(words(&b.pass(seconds(119))), "");
    assert_eq!(words(&b.pass(seconds(1))), "show missed 1, tell 5 no-answer, record 1 no-answer");
}

#[test]
fn video_without_a_camera_is_declined_and_says_so() {
    let mut b = Fixture::new();
    b.on(Event::Devices { camera: false, microphone: true });
    assert_eq!(words(&b.on(Event::Offered(offer_by("5")))), "wake 1, show no-camera, tell 5 no-camera, record 1 no-camera");
    assert_eq!(words(&b.pass(seconds(10))), "show idle, restore 1");
    let audio = Offer { medium: Medium::Audio, ..offer_by("5") };
    assert_eq!(words(&b.on(Event::Offered(audio))), "wake 2, show ringing 2");
}

#[test]
fn audio_without_a_microphone_is_declined_and_remembered_as_missed() {
    let mut b = Fixture::new();
    b.on(Event::Devices { camera: true, microphone: false });
    let audio = Offer { medium: Medium::Audio, ..offer_by("5") };
    assert_eq!(words(&b.on(Event::Offered(audio))), "wake 1, show missed 1, tell 5 no-microphone, record 1 no-microphone");
}

#[test]
fn an_audio_call_does_not_open_the_camera() {
    let mut b = Fixture::new();
    b.on(Event::Offered(Offer { medium: Medium::Audio, ..offer_by("5") }));
    b.press(Press::Accept);
    assert_eq!(words(&b.prepared()), "tell 5 accepted, connect 1 without camera");
}

#[test]
fn same_initiator_asks_again_while_ringing() {
    let mut b = ringing();
    b.pass(seconds(40));
    let again = Offer { reference: Reference { room: Some("new".into()), sid: None }, ..offer_by("5") };
    assert_eq!(words(&b.on(Event::Offered(again.clone()))), "", "the dialog stays, nothing is sent");
    assert_eq!(words(&b.pass(seconds(44))), "", "the ring timer was restarted");
    let actions = b.press(Press::Accept);
    assert_eq!(actions[1], Action::Prepare(CallId(1), again), "the payload was taken over");
}

#[test]
fn asking_again_never_makes_the_answer_more_automatic_than_the_dialog() {
    let mut b = ringing();
    assert_eq!(words(&b.on(Event::Offered(wishing("5", seconds(0))))), "");
    b.on(Event::Noticed(CallId(1)));
    assert_eq!(words(&b.pass(seconds(44))), "");

    let mut b = counting();
    b.press(Press::Other);
    assert_eq!(words(&b.on(Event::Offered(wishing("5", seconds(0))))), "", "what a key has cancelled stays cancelled");
    b.on(Event::Noticed(CallId(1)));
    assert_eq!(words(&b.pass(seconds(44))), "");

    let mut b = counting();
    b.pass(seconds(5));
    b.on(Event::Offered(wishing("5", seconds(0))));
    assert_eq!(words(&b.pass(seconds(4))), "", "the countdown runs on as it was shown");
    assert_eq!(words(&b.pass(seconds(1))), "show connecting 1, prepare 1");

    let mut b = counting();
    assert_eq!(words(&b.on(Event::Offered(offer_by("5")))), "show ringing 1", "the wish was taken back");

    let mut b = Fixture::new();
    b.on(Event::Offered(Offer { medium: Medium::Audio, ..wishing("5", seconds(10)) }));
    b.on(Event::Noticed(CallId(1)));
    let video = b.on(Event::Offered(wishing("5", seconds(10))));
    assert!(matches!(&video[..], [Action::Show(Scene::Ringing { medium: Medium::Video, .. })]), "the notice was about sound only");
}

#[test]
fn same_initiator_asks_again_within_15_s_of_the_accept() {
    let mut b = waiting();
    assert_eq!(words(&b.on(Event::Offered(offer_by("5")))), "");
    b.room(RoomEvent::CallerArrived);
    b.pass(seconds(14));
    assert_eq!(words(&b.on(Event::Offered(offer_by("5")))), "");
}

#[test]
fn same_initiator_asks_again_while_the_answer_is_prepared() {
    let mut b = ringing();
    b.press(Press::Accept);
    assert_eq!(words(&b.on(Event::Offered(offer_by("5")))), "");
    assert_eq!(words(&b.prepared()), "tell 5 accepted, connect 1");
}

#[test]
fn same_initiator_asks_again_later_in_the_same_call() {
    let mut b = talking();
    b.pass(seconds(60));
    let again = Offer { reference: Reference { room: Some("user5-to-resident".into()), sid: None }, ..offer_by("5") };
    let actions = b.on(Event::Offered(again.clone()));
    assert_eq!(words(&actions), "tell 5 accepted");
    assert!(matches!(&actions[0], Action::Reply { offer, repeat: false, .. } if *offer == again));
    assert_eq!(words(&b.on(Event::Offered(again))), "", "a double click of the reloaded page");
    assert_eq!(b.phase(), Phase::Talking);
}

#[test]
fn a_caller_who_reloads_and_calls_again_is_waited_for() {
    let mut b = talking();
    b.pass(seconds(60));
    b.room(RoomEvent::CallerLeft);
    b.pass(seconds(9));
    b.on(Event::Offered(offer_by("5")));
    assert_eq!(words(&b.pass(seconds(29))), "", "as long as for the first arrival");
    assert_eq!(words(&b.room(RoomEvent::CallerArrived)), "show in-call 1");
}

#[test]
fn a_second_caller_hears_busy_and_nothing_of_the_first_call_changes() {
    let mut preparing = ringing();
    preparing.press(Press::Accept);
    for mut b in [ringing(), counting(), preparing, waiting(), talking()] {
        let before = b.clone();
        let actions = b.on(Event::Offered(offer_by("6")));
        assert_eq!(words(&actions), "tell 6 busy no call");
        assert!(b.machine == before.machine);
        assert_eq!(words(&b.on(Event::Withdrawn(withdrawal_by("6")))), "");
        assert!(b.machine == before.machine);
    }
}

#[test]
fn the_same_id_on_another_line_is_somebody_else() {
    let mut b = ringing();
    let mut other = offer_by("5");
    other.caller.line = LineId("phonenet".into());
    assert_eq!(words(&b.on(Event::Offered(other))), "tell 5 busy no call");
}

#[test]
fn the_caller_hangs_up_while_ringing() {
    let mut b = ringing();
    assert_eq!(words(&b.on(Event::Withdrawn(withdrawal_by("5")))), "show missed 1, record 1 withdrawn", "nothing is sent");
}

#[test]
fn ended_from_somebody_else_is_ignored() {
    for mut b in [ringing(), waiting(), talking()] {
        assert_eq!(words(&b.on(Event::Withdrawn(withdrawal_by("6")))), "");
        let other_line = Withdrawal { line: LineId("phonenet".into()), ..withdrawal_by("5") };
        assert_eq!(words(&b.on(Event::Withdrawn(other_line))), "");
    }
}

#[test]
fn ended_with_another_room_sid_is_ignored_and_without_one_goes_by_the_name() {
    let about = |room: Option<&str>, sid: Option<&str>| {
        let reference = Reference { room: room.map(Into::into), sid: sid.map(Into::into) };
        !ringing().on(Event::Withdrawn(Withdrawal { reference, ..withdrawal_by("5") })).is_empty()
    };
    assert!(!about(Some("user5-to-resident"), Some("RM-of-yesterday")));
    assert!(about(Some("another name"), Some("RM5")));
    assert!(about(Some("user5-to-resident"), None));
    assert!(!about(Some("another name"), None));
    assert!(about(None, None));
}

#[test]
fn ended_after_we_ended_is_not_answered() {
    let mut b = talking();
    b.press(Press::HangUp);
    assert_eq!(words(&b.on(Event::Withdrawn(withdrawal_by("5")))), "");
}

#[test]
fn the_caller_hangs_up_in_the_call() {
    let mut b = talking();
    assert_eq!(words(&b.on(Event::Withdrawn(withdrawal_by("5")))), "disconnect 1, show ended, record 1 caller-ended", "not answered");
}

#[test]
fn ended_that_crosses_our_accepted_is_answered() {
    let mut b = waiting();
    let actions = b.on(Event::Withdrawn(withdrawal_by("5")));
    assert_eq!(words(&actions), "disconnect 1, show ended, tell 5 ended, record 1 caller-ended");
}

#[test]
fn ended_that_comes_first_beats_the_key() {
    let mut b = ringing();
    b.on(Event::Withdrawn(withdrawal_by("5")));
    assert_eq!(words(&b.press(Press::Accept)), "", "and the message of the missed call isn't closed unread by it");
    assert_eq!(b.phase(), Phase::Message);
}

#[test]
fn the_caller_vanishes_while_ringing_and_is_accepted_all_the_same() {
    let mut b = waiting();
    b.room(RoomEvent::Joined);
    assert_eq!(words(&b.pass(seconds(29))), "");
    assert_eq!(words(&b.pass(seconds(1))), "disconnect 1, show ended, tell 5 ended, record 1 caller-never-came");
}

#[test]
fn a_failure_before_accepted_is_declined_and_after_it_ended() {
    let mut b = ringing();
    b.press(Press::Accept);
    let failed = Event::Prepared(CallId(1), Err("no token".into()));
    assert_eq!(words(&b.on(failed)), "show ended, tell 5 error, record 1 error");
    let failed = |id| Event::MediaFailed(id, "no camera".into());
    assert_eq!(words(&waiting().on(failed(CallId(1)))), "disconnect 1, show ended, tell 5 ended, record 1 media-failed");
    let failed = RoomEvent::Failed("kicked".into());
    assert_eq!(words(&talking().room(failed)), "disconnect 1, show ended, tell 5 ended, record 1 room-failed");
}

#[test]
fn a_line_that_never_says_whether_it_is_prepared_does_not_hold_the_call() {
    let mut b = ringing();
    b.press(Press::Accept);
    assert_eq!(words(&b.pass(seconds(20))), "show ended, tell 5 error, record 1 error");
    assert_eq!(words(&b.on(Event::Prepared(CallId(1), Ok(())))), "", "too late");
}

#[test]
fn accept_is_pressed_twice_and_prepared_once() {
    let mut b = ringing();
    b.press(Press::Accept);
    assert_eq!(words(&b.press(Press::Accept)), "");
    b.prepared();
    assert_eq!(words(&b.on(Event::Prepared(CallId(1), Ok(())))), "");
    assert_eq!(words(&b.press(Press::Accept)), "");
}

#[test]
fn the_resident_changes_their_mind_while_the_answer_is_prepared() {
    for press in [Press::Decline, Press::HangUp] {
        let mut b = ringing();
        b.press(Press::Accept);
        assert_eq!(words(&b.press(press)), "show ended, tell 5 by-resident, record 1 by-resident");
        assert_eq!(words(&b.on(Event::Prepared(CallId(1), Ok(())))), "", "no device is opened");
    }
}

#[test]
fn a_caller_who_leaves_the_room_has_10_s_to_come_back() {
    let mut b = talking();
    assert_eq!(words(&b.room(RoomEvent::CallerLeft)), "show in-call 1 weak");
    b.pass(seconds(9));
    assert_eq!(words(&b.room(RoomEvent::CallerArrived)), "show in-call 1");
    assert_eq!(b.machine.next_deadline(), None);
    b.room(RoomEvent::CallerLeft);
    assert_eq!(words(&b.pass(seconds(10))), "disconnect 1, show ended, tell 5 ended, record 1 caller-left");
}

#[test]
fn a_call_has_no_maximum_length_unless_configured() {
    let mut b = talking();
    assert_eq!(words(&b.pass(seconds(30 * 24 * 3600))), "");
    let mut b = Fixture::with(Limits { maximum: Some(seconds(600)), ..Limits::default() }, Consent::default());
    b.talk(offer_by("5"));
    assert_eq!(words(&b.pass(seconds(599))), "");
    assert_eq!(words(&b.pass(seconds(1))), "disconnect 1, show ended, tell 5 ended, record 1 maximum-length");
}

#[test]
fn accepted_is_repeated_once_when_it_may_be_lost_and_the_caller_does_not_come() {
    let mut b = waiting();
    b.pass(seconds(1));
    assert_eq!(words(&b.on(Event::ReplyUncertain(CallId(1)))), "");
    assert_eq!(words(&b.pass(seconds(9))), "");
    assert_eq!(words(&b.pass(seconds(1))), "tell 5 accepted again");
    b.on(Event::ReplyUncertain(CallId(1)));
    assert_eq!(words(&b.pass(seconds(18))), "", "never a third time");

    let mut b = waiting();
    b.on(Event::ReplyUncertain(CallId(1)));
    b.room(RoomEvent::CallerArrived);
    assert_eq!(words(&b.pass(seconds(60))), "", "the caller is there: it arrived");
}

#[test]
fn a_doubtful_accepted_to_a_caller_who_never_seemed_to_leave_is_not_repeated() {
    let mut b = talking();
    b.pass(seconds(60));
    b.on(Event::Offered(offer_by("5")));
    b.on(Event::ReplyUncertain(CallId(1)));
    assert_eq!(words(&b.pass(seconds(60))), "");
}

#[test]
fn the_microphone_can_be_switched_off_and_on() {
    let mut b = waiting();
    assert_eq!(words(&b.press(Press::Mute)), "mute 1 true");
    assert_eq!(words(&b.room(RoomEvent::CallerArrived)), "show in-call 1 muted");
    assert_eq!(words(&b.press(Press::Mute)), "mute 1 false, show in-call 1");
}

#[test]
fn a_weak_connection_and_a_lost_camera_are_shown() {
    let mut b = talking();
    assert_eq!(words(&b.room(RoomEvent::Weak)), "show in-call 1 weak");
    assert_eq!(words(&b.room(RoomEvent::Weak)), "");
    assert_eq!(words(&b.room(RoomEvent::Good)), "show in-call 1");
    assert_eq!(words(&b.on(Event::Devices { camera: false, microphone: true })), "show in-call 1 no-camera");
    assert_eq!(words(&b.on(Event::Devices { camera: true, microphone: true })), "show in-call 1");
}

#[test]
fn missed_calls_gather_until_a_key_and_the_television_is_put_back_before() {
    let mut b = Fixture::new();
    for n in 1..=12 {
        b.on(Event::Offered(offer_by(if n % 2 == 0 { "6" } else { "5" })));
        let missed = b.pass(seconds(45));
        let Action::Show(Scene::Missed { calls }) = &missed[0] else { panic!("{missed:?}") };
        assert_eq!(calls.len(), n.min(9));
        assert!(calls.is_sorted_by(|a, b| a.1 > b.1), "newest first");
        assert_eq!(words(&b.pass(seconds(3600))), format!("restore {n}"));
    }
    assert_eq!(words(&b.press(Press::Other)), "show idle");
    assert_eq!(b.machine.snapshot().missed, 0);
}

#[test]
fn missed_calls_come_back_after_an_answered_one() {
    let mut b = ringing();
    b.pass(seconds(3600));
    b.talk(offer_by("6"));
    b.press(Press::HangUp);
    assert_eq!(words(&b.pass(seconds(4))), "show missed 1");
    assert_eq!(words(&b.pass(seconds(10))), "restore 2");
}

#[test]
fn a_call_during_a_message_takes_over_what_is_to_be_put_back() {
    let mut b = talking();
    b.press(Press::HangUp);
    assert_eq!(words(&b.on(Event::Offered(offer_by("5")))), "wake 2, show ringing 2", "no restore between");
    b.pass(Duration::from_millis(500));
    b.press(Press::Decline);
    assert_eq!(words(&b.pass(seconds(60))), "show idle, restore 2");
}

#[test]
fn a_key_closes_a_message_that_has_been_up_for_a_moment() {
    let mut b = talking();
    b.press(Press::HangUp);
    assert_eq!(words(&b.press(Press::HangUp)), "", "pressed twice by mistake");
    b.pass(Duration::from_millis(300));
    assert_eq!(words(&b.press(Press::Other)), "show idle, restore 1");
}

#[test]
fn shutdown_ends_what_there_is_and_puts_the_television_back_at_once() {
    assert_eq!(words(&ringing().on(Event::Shutdown)), "show idle, tell 5 error, record 1 shutdown, restore 1");
    let mut b = talking();
    assert_eq!(words(&b.on(Event::Shutdown)), "disconnect 1, show idle, tell 5 ended, record 1 shutdown, restore 1");
    assert_eq!(words(&b.on(Event::Shutdown)), "");
    assert_eq!(words(&b.on(Event::Offered(offer_by("6")))), "tell 6 error no call");
    assert_eq!(b.machine.next_deadline(), None);
}

#[test]
fn durations_without_end_do_not_overflow() {
    let limits = Limits { ring: Duration::MAX, maximum: Some(Duration::MAX), missed: Duration::MAX, ..Limits::default() };
    let mut b = Fixture::with(limits, Consent { floor: Duration::MAX, ..listed(&["5"]) });
    b.on(Event::Offered(wishing("5", Duration::MAX)));
    b.on(Event::Noticed(CallId(1)));
    b.press(Press::Accept);
    b.prepared();
    assert_eq!(b.phase(), Phase::Waiting);
}

#[test]
fn a_word_of_the_line_about_an_offer_finds_its_call() {
    let b = talking();
    assert_eq!(b.machine.call_of(&offer_by("5")), Some(CallId(1)));
    assert_eq!(b.machine.call_of(&offer_by("6")), None);
    assert_eq!(Fixture::new().machine.call_of(&offer_by("5")), None);
}
