//! Coming online and staying it: addresses, delays, close codes.

use super::*;

#[test]
fn the_address_is_that_of_the_contract() {
    let version = env!("CARGO_PKG_VERSION");
    let hosted = Endpoint::cluster("eu", "k");
    assert_eq!(hosted.address(true), format!("wss://ws-eu.pusher.com:443/app/k?protocol=7&client=residentd&version={version}"));
    let own = Endpoint { host: "::1".into(), port: 6001, tls: false, path: "/pusher/".into(), key: "k".into() };
    assert_eq!(own.address(own.tls), format!("ws://[::1]:6001/pusher/app/k?protocol=7&client=residentd&version={version}"));
}

#[test]
fn a_connection_leads_to_a_signed_subscription_and_then_to_events() {
    let mut rig = Rig::new();
    assert_eq!(rig.pass(Duration::ZERO), [Output::Connect { tls: false }]);
    let greeted = rig.greet(json!(120));
    let authorise = News::Authorise { socket: "1.1".into(), channel: CALLS.into() };
    assert_eq!(greeted, [Output::Tell(News::Connected), Output::Tell(authorise)]);
    let [Output::Send(subscribe)] = &rig.sign()[..] else { panic!("nothing sent") };
    let expected = json!({ "event": "pusher:subscribe", "data": { "channel": CALLS, "auth": "key:sig" } });
    assert_eq!(serde_json::from_str::<Value>(subscribe).unwrap(), expected);
    assert_eq!(rig.succeed(), [Output::Tell(News::Subscribed { channel: CALLS.into() })]);
    assert_eq!(rig.succeed(), [], "said twice, told once");
    let event = rig.frame(json!({ "event": WANTED, "channel": CALLS, "data": { "a": 1 } }));
    let data = r#"{"a":1}"#.into();
    assert_eq!(event, [Output::Tell(News::Event { channel: CALLS.into(), event: WANTED.into(), data })]);
}

#[test]
fn presence_channels_pass_on_who_we_are_and_public_ones_need_no_signature() {
    let mut rig = Rig::new().up();
    rig.core.subscribe(rig.now, "presence-x");
    rig.outputs();
    let answer = Authorisation { auth: "key:sig".into(), channel_data: Some(r#"{"user_id":1}"#.into()) };
    rig.core.authorised(rig.now, "1.1", "presence-x", Ok(answer));
    assert!(matches!(&rig.outputs()[..], [Output::Send(text)] if text.contains(r#""channel_data":"{\"user_id\":1}""#)));
    rig.core.subscribe(rig.now, "news");
    assert!(matches!(&rig.outputs()[..], [Output::Send(text)] if text.contains("news")));
    rig.core.subscribe(rig.now, "not a channel");
    assert_eq!(rig.outputs(), []);
}

#[test]
fn a_server_that_does_not_greet_is_left_after_the_handshake_time() {
    let mut rig = Rig::new();
    rig.until_connect();
    assert_eq!(rig.pass(seconds(10)), []);
    rig.core.opened(rig.now);
    assert_eq!(rig.pass(seconds(14)), []);
    let given_up = rig.pass(seconds(1));
    assert!(matches!(&given_up[..2], [Output::Close, Output::Tell(News::Disconnected { .. })]), "{given_up:?}");
}

#[test]
fn it_tries_for_ever_with_delays_up_to_a_minute() {
    let mut rig = Rig::new();
    let mut longest = Duration::ZERO;
    for _ in 0..1000 {
        longest = longest.max(rig.until_connect());
        rig.lose(None);
    }
    assert!(longest > seconds(50) && longest <= seconds(60), "{longest:?}");
}

#[test]
fn the_delays_are_spread_so_that_a_thousand_boxes_do_not_meet() {
    let mut delays: Vec<_> = (0..1000)
        .map(|seed| {
            let mut rig = Rig::with(Times::default(), seed).up();
            rig.lose(None).0.as_millis()
        })
        .collect();
    delays.sort_unstable();
    assert!(delays[999] <= 1000);
    for tenth in 0..10 {
        let within = delays.iter().filter(|d| (tenth * 100..(tenth + 1) * 100).contains(*d)).count();
        assert!((40..200).contains(&within), "{within} in tenth {tenth}");
    }
}

#[test]
fn every_close_code_leads_to_its_delay() {
    let between = |delay: Duration, low: f64, high: f64| (low..=high).contains(&delay.as_secs_f64());
    for seed in 0..50 {
        let lose = |code| Rig::with(Times::default(), seed).up().lose(code);
        for code in [None, Some(1000), Some(1001), Some(1002), Some(1003), Some(1004), Some(1005), Some(1006), Some(1011)] {
            assert!(between(lose(code).0, 0.05, 1.0), "{code:?}");
        }
        for code in [4001, 4003, 4004, 4005, 4006, 4007, 4008, 4010, 4099, 4300, 4301, 4399] {
            assert!(between(lose(Some(code)).0, 240.0, 360.0), "{code}");
        }
        for code in [4100, 4199] {
            assert!(between(lose(Some(code)).0, 1.0, 2.0), "{code}");
        }
        for code in [4200, 4201, 4202, 4299] {
            assert!(between(lose(Some(code)).0, 0.0, 0.2), "{code}");
        }
        let (delay, unauthorised) = lose(Some(4009));
        assert!(between(delay, 1.0, 2.0) && unauthorised, "soon, and with a new login");
        assert!(!lose(Some(4001)).1);
    }
}

#[test]
fn pusher_js_gives_up_where_we_wait_and_comes_back_where_we_come_back() {
    for line in include_str!("../../../tests/samples/chatta/pusher-js-reactions.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let Some(code) = row["code"].as_u64() else { continue };
        let ours = rule(Some(code as u16));
        match row["reconnectedAfterMs"].as_u64() {
            None => assert!(matches!(ours, Rule::Refused | Rule::Unauthorised), "{code}"),
            Some(..200) => assert_eq!(ours, Rule::AtOnce, "{code}"),
            Some(_) => assert!(matches!(ours, Rule::Backoff | Rule::Overloaded), "{code}"),
        }
    }
}

#[test]
fn tls_only_means_tls_from_now_on() {
    let mut rig = Rig::new().up();
    assert!(rig.lose(Some(4000)).0 <= Duration::from_millis(200));
    assert!(rig.pass(seconds(1)).contains(&Output::Connect { tls: true }));
    rig.greet(json!(120));
    assert!(rig.lose(Some(4000)).0 >= seconds(240), "it cannot mean us any more");
}

#[test]
fn at_once_is_not_at_once_again_and_again() {
    let mut rig = Rig::new().up();
    let mut attempts = 0;
    let start = rig.now;
    rig.lose(Some(4200));
    while rig.now < start + seconds(60) {
        rig.until_connect();
        rig.greet(json!(120));
        rig.lose(Some(4200));
        attempts += 1;
    }
    assert!(attempts < 30, "{attempts} attempts in a minute");
    let mut rig = Rig::new().up();
    rig.lose(Some(4200));
    rig.connect();
    rig.pass(seconds(11));
    assert!(rig.lose(Some(4200)).0 <= Duration::from_millis(200), "eleven seconds later it is the first time again");
}

#[test]
fn an_unauthorised_connection_that_stays_so_waits_minutes() {
    let mut rig = Rig::new();
    rig.connect();
    assert!(rig.lose(Some(4009)).0 <= seconds(2));
    rig.connect();
    assert!(rig.lose(Some(4009)).0 >= seconds(240));
    rig.connect();
    rig.sign();
    rig.succeed();
    assert!(rig.lose(Some(4009)).0 <= seconds(5), "it had helped in between");
}

#[test]
fn a_minute_of_stability_starts_the_delays_over() {
    let mut rig = Rig::new();
    for _ in 0..20 {
        rig.until_connect();
        rig.lose(None);
    }
    let mut rig = rig.up();
    for _ in 0..6 {
        rig.pass(seconds(10));
        rig.pong();
    }
    assert!(rig.lose(None).0 <= seconds(1));
}
