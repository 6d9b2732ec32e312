//! Recorded frames, random ones, and networks that change.

use super::*;

#[test]
fn the_recorded_frames_of_two_different_servers_are_survived() {
    let samples: Value = serde_json::from_str(include_str!("../../../tests/samples/chatta/server-differences.json")).unwrap();
    for (server, sample) in samples.as_object().unwrap() {
        let mut rig = Rig::new();
        rig.until_connect();
        rig.core.opened(rig.now);
        let feed = |rig: &mut Rig, name: &str| -> Vec<Output> {
            let frames = match &sample[name] {
                Value::Array(frames) => frames.clone(),
                one => vec![one.clone()],
            };
            frames.iter().for_each(|frame| rig.core.frame(rig.now, frame.as_str().unwrap()));
            rig.outputs()
        };
        let greeted = feed(&mut rig, "established");
        let Some(Output::Tell(News::Authorise { socket, .. })) = greeted.last().cloned() else { panic!("{server}: {greeted:?}") };
        let sign = |rig: &mut Rig| rig.core.authorised(rig.now, &socket, CALLS, Ok(Authorisation { auth: "a".into(), channel_data: None }));
        sign(&mut rig);
        rig.outputs();
        let retry = failed(&feed(&mut rig, "bad_subscribe_signature")).unwrap_or_else(|| panic!("{server}: not refused"));
        rig.pass(retry);
        sign(&mut rig);
        rig.outputs();
        assert_eq!(feed(&mut rig, "subscribed"), [Output::Tell(News::Subscribed { channel: CALLS.into() })], "{server}");
        for name in ["subscribed_twice", "ping", "ping_without_data", "client_event_object", "client_event_null", "not_json"] {
            assert_eq!(feed(&mut rig, name), [], "{server}: {name}");
        }
        rig.trigger(1);
        let rejected = feed(&mut rig, "client_event_without_subscription");
        let outcome = if rejected.is_empty() { rig.pong() } else { rejected };
        assert!(matches!(&outcome[..], [Output::Tell(News::Triggered { id: 1, .. })]), "{server}");
    }
}

/// Anything that may happen to a client.
#[derive(Debug, Clone)]
enum Happening {
    Frame(String),
    Opened,
    Lost(Option<u16>),
    Pass(u64),
    Heard,
    Authorised(bool),
    Trigger,
    Subscribe(String),
}

fn happening() -> impl Strategy<Value = Happening> {
    let event = prop::sample::select(vec![
        "pusher:connection_established",
        "pusher:ping",
        "pusher:pong",
        "pusher:error",
        "pusher:subscription_error",
        "pusher_internal:subscription_succeeded",
        "pusher_internal:member_added",
        WANTED,
        "client-foreign",
    ]);
    let data = prop::sample::select(vec![
        json!(null),
        json!({}),
        json!("{}"),
        json!({ "socket_id": "1.1", "activity_timeout": 1 }),
        json!("{\"socket_id\":\"1.2\",\"activity_timeout\":-5}"),
        json!({ "socket_id": 5 }),
        json!({ "code": 4009 }),
        json!({ "code": 4301, "message": "m" }),
        json!({ "code": -1, "message": [] }),
        json!([1]),
    ]);
    let channel = prop::sample::select(vec![json!(CALLS), json!("other"), json!(null)]);
    prop_oneof![
        4 => (event, channel, data).prop_map(|(event, channel, data)| Happening::Frame(json!({ "event": event, "channel": channel, "data": data }).to_string())),
        1 => any::<String>().prop_map(Happening::Frame),
        1 => r#"[ {}\[\]",:\\event0-9]{0,40}"#.prop_map(Happening::Frame),
        1 => Just(Happening::Opened),
        1 => prop::option::of(any::<u16>()).prop_map(Happening::Lost),
        3 => (0u64..400_000).prop_map(Happening::Pass),
        1 => Just(Happening::Heard),
        2 => any::<bool>().prop_map(Happening::Authorised),
        2 => Just(Happening::Trigger),
        1 => "[a-z-]{0,8}".prop_map(Happening::Subscribe),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// No panic, no busy loop, no growth, and always another attempt.
    #[test]
    fn whatever_happens_it_goes_on(happenings in prop::collection::vec(happening(), 0..60), seed in any::<u64>()) {
        let mut rig = Rig::with(Times::default(), seed);
        let mut unanswered = std::collections::HashSet::new();
        let mut outputs = Vec::new();
        for (id, happening) in happenings.into_iter().enumerate() {
            let now = rig.now;
            match happening {
                Happening::Frame(text) => rig.core.frame(now, &text),
                Happening::Opened => rig.core.opened(now),
                Happening::Lost(code) => rig.core.lost(now, code, "why"),
                Happening::Pass(ms) => outputs.extend(rig.pass(Duration::from_millis(ms))),
                Happening::Heard => rig.core.heard(now),
                Happening::Authorised(yes) => {
                    let answer = if yes { Ok(Authorisation { auth: "a".into(), channel_data: None }) } else { Err("no".into()) };
                    rig.core.authorised(now, "1.1", CALLS, answer);
                }
                Happening::Trigger => {
                    let trigger = Trigger { id: id as u64, channel: CALLS.into(), event: "client-e".into(), data: "{}".into() };
                    if rig.core.trigger(now, trigger).is_ok() {
                        unanswered.insert(id as u64);
                    }
                }
                Happening::Subscribe(channel) => rig.core.subscribe(now, &channel),
            }
            outputs.extend(rig.outputs());
        }
        rig.core.lost(rig.now, None, "the end");
        outputs.extend(rig.outputs());
        for output in outputs {
            if let Output::Tell(News::Triggered { id, .. }) = output {
                prop_assert!(unanswered.remove(&id), "told twice");
            }
        }
        prop_assert!(unanswered.is_empty(), "never told: {unanswered:?}");
        prop_assert!(rig.core.next_deadline().is_some());
        rig.until_connect();
    }
}

#[test]
fn after_a_change_of_the_network_a_dead_connection_is_found_in_seconds_and_a_living_one_kept() {
    for alive in [true, false] {
        let mut rig = Rig::new().up();
        rig.core.network_changed(rig.now);
        let asked = rig.outputs();
        assert!(asked.iter().any(is_ping), "{asked:?}");
        if alive {
            rig.frame(json!({ "event": "pusher:pong", "data": {} }));
        }
        let seen = rig.pass(seconds(10));
        let connects = seen.iter().filter(|o| matches!(o, Output::Connect { .. })).count();
        assert_eq!(connects, usize::from(!alive), "{seen:?}");
    }
}

#[test]
fn a_network_that_is_back_is_tried_at_once_however_long_the_wait_was() {
    let mut rig = Rig::new();
    rig.until_connect();
    // Refused: the next attempt is minutes away.
    rig.core.lost(rig.now, Some(4004), "");
    rig.outputs();
    assert!(rig.core.next_deadline().unwrap() > rig.now + seconds(60));
    rig.core.network_changed(rig.now);
    assert!(rig.until_connect() <= seconds(1));
}
