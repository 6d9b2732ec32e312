//! The protocol's promises (chatta.md 6), in virtual time.

use super::*;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::time::Instant;

const CALLS: &str = "private-call-7";
const WANTED: &str = "client-wanted-1124";

fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// A client and its clock.
struct Rig {
    core: Protocol,
    now: Instant,
    sockets: u32,
}

impl Rig {
    fn new() -> Self {
        Self::with(Times::default(), 1)
    }

    fn with(times: Times, seed: u64) -> Self {
        let now = Instant::now();
        let mut core = Protocol::new(times, false, vec![(CALLS.into(), WANTED.into())], seed, now);
        core.subscribe(now, CALLS);
        Self { core, now, sockets: 0 }
    }

    /// Time passes, deadline by deadline.
    fn pass(&mut self, time: Duration) -> Vec<Output> {
        let end = self.now + time;
        let mut seen = self.outputs();
        while let Some(deadline) = self.core.next_deadline().filter(|deadline| *deadline <= end) {
            self.now = self.now.max(deadline);
            self.core.timeout(self.now);
            seen.extend(self.outputs());
            let next = self.core.next_deadline();
            assert!(next.is_none_or(|next| next > self.now), "a deadline that does not move is a busy loop");
        }
        self.now = end;
        seen
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.core.poll()).collect()
    }

    fn frame(&mut self, frame: Value) -> Vec<Output> {
        self.core.frame(self.now, &frame.to_string());
        self.outputs()
    }

    /// Until the next attempt is made; how long that took.
    fn until_connect(&mut self) -> Duration {
        let start = self.now;
        loop {
            self.now = self.core.next_deadline().expect("it never gives up");
            self.core.timeout(self.now);
            if self.outputs().iter().any(|output| matches!(output, Output::Connect { .. })) {
                return self.now - start;
            }
        }
    }

    fn greet(&mut self, activity: Value) -> Vec<Output> {
        self.sockets += 1;
        self.core.opened(self.now);
        let data = json!({ "socket_id": format!("1.{}", self.sockets), "activity_timeout": activity });
        self.frame(json!({ "event": "pusher:connection_established", "data": data.to_string() }))
    }

    fn connect(&mut self) -> Vec<Output> {
        self.until_connect();
        self.greet(json!(120))
    }

    fn sign(&mut self) -> Vec<Output> {
        let socket = format!("1.{}", self.sockets);
        self.core.authorised(self.now, &socket, CALLS, Ok(Authorisation { auth: "key:sig".into(), channel_data: None }));
        self.outputs()
    }

    fn succeed(&mut self) -> Vec<Output> {
        self.frame(json!({ "event": "pusher_internal:subscription_succeeded", "channel": CALLS, "data": "{}" }))
    }

    /// Connected and subscribed.
    fn up(mut self) -> Self {
        self.connect();
        self.sign();
        assert_eq!(self.succeed(), [Output::Tell(News::Subscribed { channel: CALLS.into() })]);
        self
    }

    fn lose(&mut self, code: Option<u16>) -> (Duration, bool) {
        self.core.lost(self.now, code, "");
        match self.outputs().into_iter().find_map(|output| match output {
            Output::Tell(News::Disconnected { retry, unauthorised, .. }) => Some((retry, unauthorised)),
            _ => None,
        }) {
            Some(told) => told,
            None => panic!("not told"),
        }
    }

    fn trigger(&mut self, id: u64) -> Vec<Output> {
        let trigger = Trigger { id, channel: CALLS.into(), event: "client-e".into(), data: "{}".into() };
        self.core.trigger(self.now, trigger).unwrap();
        self.outputs()
    }

    fn pong(&mut self) -> Vec<Output> {
        self.frame(json!({ "event": "pusher:pong" }))
    }
}

fn told(id: u64, outcome: Outcome) -> Output {
    Output::Tell(News::Triggered { id, outcome })
}

fn is_ping(output: &Output) -> bool {
    matches!(output, Output::Send(text) if text.contains("pusher:ping"))
}

fn failed(outputs: &[Output]) -> Option<Duration> {
    outputs.iter().find_map(|output| match output {
        Output::Tell(News::Unsubscribed { retry, .. }) => Some(*retry),
        _ => None,
    })
}

// ── connection ──

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
    for line in include_str!("../../tests/samples/chatta/pusher-js-reactions.jsonl").lines() {
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

#[test]
fn what_the_server_said_before_it_cut_the_connection_is_told() {
    let mut rig = Rig::new();
    rig.until_connect();
    rig.core.opened(rig.now);
    rig.frame(json!({ "event": "pusher:error", "data": { "code": 4001, "message": "no such app" } }));
    rig.core.lost(rig.now, None, "connection reset");
    let outputs = rig.outputs();
    assert!(matches!(&outputs[..], [Output::Tell(News::Disconnected { why, .. })] if why.contains("no such app")), "{outputs:?}");
}

// ── liveness ──

#[test]
fn silence_is_asked_about_and_then_ends_the_connection() {
    let mut rig = Rig::new().up();
    assert_eq!(rig.pass(seconds(119)), []);
    let asked = rig.pass(seconds(1));
    assert!(matches!(&asked[..], [ping] if is_ping(ping)));
    assert_eq!(rig.pass(seconds(29)), []);
    let lost = rig.pass(seconds(1));
    assert!(matches!(&lost[..2], [Output::Close, Output::Tell(News::Disconnected { retry, .. })] if *retry <= Duration::from_millis(200)));
}

#[test]
fn any_frame_is_a_sign_of_life() {
    for alive in [json!({ "event": "pusher:pong" }), json!({ "event": "client-foreign-5", "channel": CALLS }), json!("nonsense")] {
        let mut rig = Rig::new().up();
        rig.pass(seconds(60));
        rig.frame(alive.clone());
        assert_eq!(rig.pass(seconds(119)), [], "{alive}");
        assert!(rig.pass(seconds(1)).iter().all(is_ping));
        rig.frame(alive);
        assert_eq!(rig.pass(seconds(100)), []);
    }
    let mut rig = Rig::new().up();
    rig.pass(seconds(60));
    rig.core.heard(rig.now);
    assert_eq!(rig.pass(seconds(119)), []);
}

#[test]
fn the_shorter_activity_time_counts_and_nonsense_does_not() {
    let first_ping = |activity: Value| {
        let mut rig = Rig::new();
        rig.until_connect();
        rig.greet(activity);
        rig.sign();
        rig.succeed();
        (1..=200).find(|_| rig.pass(seconds(1)).iter().any(is_ping))
    };
    assert_eq!(first_ping(json!(30)), Some(30));
    assert_eq!(first_ping(json!(600)), Some(120));
    for nonsense in [json!(null), json!("x"), json!({})] {
        assert_eq!(first_ping(nonsense), Some(120));
    }
    for tiny in [json!(0), json!(-1), json!(1e-9)] {
        assert_eq!(first_ping(tiny), Some(1), "never a busy loop");
    }
}

#[test]
fn the_servers_ping_is_answered() {
    let mut rig = Rig::new().up();
    for ping in [json!({ "event": "pusher:ping" }), json!({ "event": "pusher:ping", "data": {} })] {
        assert_eq!(rig.frame(ping), [Output::Send(r#"{"event":"pusher:pong","data":{}}"#.into())]);
    }
}

#[test]
fn an_idle_connection_is_woken_for_its_ping_only() {
    let mut rig = Rig::new().up();
    let mut wakes = 0;
    let end = rig.now + seconds(3600);
    while let Some(deadline) = rig.core.next_deadline().filter(|d| *d < end) {
        rig.now = deadline;
        rig.core.timeout(rig.now);
        wakes += 1;
        if rig.outputs().iter().any(is_ping) {
            rig.pong();
        }
    }
    assert!(wakes <= 30, "{wakes} wake-ups in an hour");
}

// ── subscriptions ──

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

#[test]
fn the_recorded_frames_of_two_different_servers_are_survived() {
    let samples: Value = serde_json::from_str(include_str!("../../tests/samples/chatta/server-differences.json")).unwrap();
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
