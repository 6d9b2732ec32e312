//! Every event in every state: `table.txt` lists what is done and where it leads. A pair that is missing there fails, and
//! so does a kind of event or a state that isn't tried at all.

use super::*;
use crate::call::state::{About, AnsweredBy, Dialog, Message, Presence, State};
use std::collections::{BTreeMap, BTreeSet};

/// Each state as the events lead there. Calls are numbered from 1, their caller is 5.
fn states() -> Vec<(&'static str, Fixture)> {
    let idle = Fixture::new();
    let after = |before: &Fixture, steps: &dyn Fn(&mut Fixture)| {
        let mut next = before.clone();
        steps(&mut next);
        next
    };
    let ringing = after(&idle, &|b| drop(b.on(Event::Offered(offer_by("5")))));
    let notice = after(&idle, &|b| drop(b.on(Event::Offered(wishing("5", seconds(10))))));
    let counting = after(&notice, &|b| drop(b.on(Event::Noticed(CallId(1)))));
    let preparing = after(&ringing, &|b| drop(b.press(Press::Accept)));
    let preparing_itself = after(&counting, &|b| drop(b.pass(seconds(10))));
    let waiting = after(&preparing, &|b| drop(b.prepared()));
    let waiting_later = after(&waiting, &|b| drop(b.pass(seconds(20))));
    let doubtful = after(&waiting, &|b| drop(b.on(Event::ReplyUncertain(CallId(1)))));
    let talking = after(&waiting, &|b| drop(b.room(RoomEvent::CallerArrived)));
    let talking_later = after(&talking, &|b| drop(b.pass(seconds(20))));
    let gone = after(&talking_later, &|b| drop(b.room(RoomEvent::CallerLeft)));
    let ended = after(&talking, &|b| drop((b.press(Press::HangUp), b.pass(seconds(1)))));
    let no_camera = after(&idle, &|b| {
        b.on(Event::Devices { camera: false, microphone: true });
        b.on(Event::Offered(offer_by("5")));
        b.pass(seconds(1));
    });
    let missed = after(&ringing, &|b| drop((b.on(Event::Withdrawn(withdrawal_by("5"))), b.pass(seconds(1)))));
    let missed_restored = after(&missed, &|b| drop(b.pass(seconds(60))));
    let stopped = after(&idle, &|b| drop(b.on(Event::Shutdown)));
    vec![
        ("idle", idle),
        ("ringing", ringing),
        ("ringing: notice", notice),
        ("ringing: counting", counting),
        ("preparing", preparing),
        ("preparing by itself", preparing_itself),
        ("waiting", waiting),
        ("waiting after 20 s", waiting_later),
        ("waiting: accepted doubtful", doubtful),
        ("talking", talking),
        ("talking after 20 s", talking_later),
        ("talking: caller gone", gone),
        ("message: ended", ended),
        ("message: no camera", no_camera),
        ("message: missed", missed),
        ("message: missed, restored", missed_restored),
        ("stopped", stopped),
    ]
}

/// Each event, with the call in progress (number 1) and a foreign one (number 77).
fn events() -> Vec<(String, Event)> {
    let elsewhere = Reference { room: Some("elsewhere".into()), sid: Some("RM9".into()) };
    let press = |press| Event::Press(press);
    let mut events: Vec<(String, Event)> = [
        ("offer", Event::Offered(offer_by("5"))),
        ("offer, to be answered", Event::Offered(wishing("5", seconds(10)))),
        ("offer by another", Event::Offered(offer_by("6"))),
        ("withdrawn", Event::Withdrawn(withdrawal_by("5"))),
        ("withdrawn by another", Event::Withdrawn(withdrawal_by("6"))),
        ("withdrawn elsewhere", Event::Withdrawn(Withdrawal { reference: elsewhere, ..withdrawal_by("5") })),
        ("press accept", press(Press::Accept)),
        ("press decline", press(Press::Decline)),
        ("press hang-up", press(Press::HangUp)),
        ("press mute", press(Press::Mute)),
        ("press other", press(Press::Other)),
        ("camera lost", Event::Devices { camera: false, microphone: true }),
        ("shutdown", Event::Shutdown),
    ]
    .map(|(name, event)| (name.to_owned(), event))
    .into();
    for (of, id) in [("", CallId(1)), (" of call 77", CallId(77))] {
        let room = |event| Event::Room(id, event);
        let named = [
            ("noticed", Event::Noticed(id)),
            ("unnoticed", Event::Unnoticed(id)),
            ("prepared", Event::Prepared(id, Ok(()))),
            ("not prepared", Event::Prepared(id, Err("no token".into()))),
            ("joined", room(RoomEvent::Joined)),
            ("caller arrived", room(RoomEvent::CallerArrived)),
            ("caller left", room(RoomEvent::CallerLeft)),
            ("media flowing", room(RoomEvent::MediaFlowing)),
            ("weak", room(RoomEvent::Weak)),
            ("good", room(RoomEvent::Good)),
            ("room failed", room(RoomEvent::Failed("kicked".into()))),
            ("media failed", Event::MediaFailed(id, "no device".into())),
            ("reply uncertain", Event::ReplyUncertain(id)),
        ];
        events.extend(named.map(|(name, event)| (format!("{name}{of}"), event)));
    }
    events
}

/// What a step did, in words: the actions, or that only the machine's mind changed, or nothing at all.
fn outcome(before: &Fixture, after: &Fixture, actions: &[Action]) -> String {
    let phase = short(after.phase());
    match words(actions) {
        said if !said.is_empty() => format!("{phase}: {said}"),
        _ if before.machine == after.machine => "nothing".into(),
        _ => format!("{phase}: noted"),
    }
}

fn measured() -> BTreeMap<(String, String), String> {
    let mut table = BTreeMap::new();
    for (state, before) in states() {
        for (name, event) in events() {
            let mut after = before.clone();
            let actions = after.on(event);
            table.insert((state.to_owned(), name), outcome(&before, &after, &actions));
        }
        let mut after = before.clone();
        let time = match before.machine.next_deadline() {
            None => "no deadline".into(),
            Some(deadline) => {
                let actions = after.next();
                format!("{} s: {}", (deadline - before.now.mono).as_secs_f64(), outcome(&before, &after, &actions))
            }
        };
        table.insert((state.to_owned(), "time".into()), time);
    }
    table
}

fn listed_in_file() -> BTreeMap<(String, String), String> {
    let mut table = BTreeMap::new();
    let mut state = String::new();
    for line in include_str!("table.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        match line.split_once(" = ") {
            None => state = line.trim_matches(['[', ']']).to_owned(),
            Some((event, outcome)) => {
                let twice = table.insert((state.clone(), event.trim().to_owned()), outcome.to_owned());
                assert_eq!(twice, None, "listed twice: {state}, {event}");
            }
        }
    }
    table
}

#[test]
fn every_event_in_every_state_does_what_the_table_says() {
    let (listed, mut measured) = (listed_in_file(), measured());
    // A foreign call's events do nothing anywhere; one rule says it better than two hundred lines.
    measured.retain(|(state, event), outcome| {
        let foreign = event.ends_with("of call 77");
        assert!(!foreign || outcome == "nothing", "{state}, {event}: {outcome}");
        !foreign
    });
    let mut wrong = Vec::new();
    for (pair, outcome) in &measured {
        match listed.get(pair) {
            None => wrong.push(format!("not listed: [{}] {} = {outcome}", pair.0, pair.1)),
            Some(expected) if expected != outcome => {
                wrong.push(format!("[{}] {}\n  listed   {expected}\n  measured {outcome}", pair.0, pair.1));
            }
            Some(_) => {}
        }
    }
    wrong.extend(listed.keys().filter(|pair| !measured.contains_key(*pair)).map(|pair| format!("listed but not tried: {pair:?}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_state_and_no_event_is_left_out_of_the_table() {
    // No `_` below: a new variant does not compile until it has a number here, and fails until it is tried above.
    let event_kind = |event: &Event| match event {
        Event::Offered(Offer { wish: Wish::Ask, .. }) => 0,
        Event::Offered(Offer { wish: Wish::Answer { .. }, .. }) => 1,
        Event::Withdrawn(_) => 2,
        Event::Press(Press::Accept) => 3,
        Event::Press(Press::Decline) => 4,
        Event::Press(Press::HangUp) => 5,
        Event::Press(Press::Mute) => 6,
        Event::Press(Press::Other) => 7,
        Event::Noticed(_) => 8,
        Event::Unnoticed(_) => 9,
        Event::Prepared(_, Ok(())) => 10,
        Event::Prepared(_, Err(_)) => 11,
        Event::Room(_, RoomEvent::Joined) => 12,
        Event::Room(_, RoomEvent::CallerArrived) => 13,
        Event::Room(_, RoomEvent::CallerLeft) => 14,
        Event::Room(_, RoomEvent::MediaFlowing) => 15,
        Event::Room(_, RoomEvent::Weak) => 16,
        Event::Room(_, RoomEvent::Good) => 17,
        Event::Room(_, RoomEvent::Failed(_)) => 18,
        Event::MediaFailed(..) => 19,
        Event::ReplyUncertain(_) => 20,
        Event::Devices { .. } => 21,
        Event::Shutdown => 22,
    };
    let tried: BTreeSet<i32> = events().iter().map(|(_, event)| event_kind(event)).collect();
    assert_eq!(tried, (0..=22).collect());

    let state_kind = |state: &State| match state {
        State::Idle => 0,
        State::Ringing(ringing) => match ringing.dialog {
            Dialog::Ask => 1,
            Dialog::Notice { .. } => 2,
            Dialog::Counting { .. } => 3,
        },
        State::Preparing(preparing) => match preparing.by {
            AnsweredBy::Key => 4,
            AnsweredBy::Itself => 5,
        },
        State::Waiting(..) => 6,
        State::Talking(_, Presence::Here) => 7,
        State::Talking(_, Presence::Gone { .. }) => 8,
        State::Message(Message { about: About::Passing { .. }, .. }) => 9,
        State::Message(Message { about: About::Missed { restore: Some(_) }, .. }) => 10,
        State::Message(Message { about: About::Missed { restore: None }, .. }) => 11,
        State::Stopped => 12,
    };
    let tried: BTreeSet<i32> = states().iter().map(|(_, machine)| state_kind(machine.machine.state())).collect();
    assert_eq!(tried, (0..=12).collect());
}
