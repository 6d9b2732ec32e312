use super::*;
use serde_json::json;

const S: Duration = Duration::from_secs(1);

fn out(t: &mut Transport) -> Vec<Out> {
    std::iter::from_fn(|| t.poll()).collect()
}

/// Lets time run to the next deadline.
fn wait(t: &mut Transport, now: &mut Instant) -> (Duration, Heard, Vec<Out>) {
    let at = t.next_deadline().expect("something is awaited");
    let passed = at.saturating_duration_since(*now);
    *now = at.max(*now);
    let heard = t.timeout(*now);
    (passed, heard, out(t))
}

fn up(now: Instant) -> Transport {
    let mut t = Transport::new(now, 1);
    t.opened(now, json!({ "type": "ice" }));
    assert!(matches!(t.frame(now, r#"{"type":"welcome","negotiatedTimeout":5000}"#), Heard::Welcome));
    out(&mut t);
    t
}

fn hello(out: &[Out]) -> Value {
    match out {
        [Out::Text(text)] => serde_json::from_str(text).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_socket_is_opened_at_once_and_hello_carries_the_first_message() {
    let now = Instant::now();
    let mut t = Transport::new(now, 1);
    assert_eq!(out(&mut t), [Out::Open]);
    t.opened(now, json!({ "type": "ice", "token": "x" }));
    let said = hello(&out(&mut t));
    assert_eq!((said["type"].as_str(), said["version"].as_u64(), said["timeout"].as_u64()), (Some("hello"), Some(2), Some(5000)));
    assert_eq!(said["body"], json!({ "type": "ice", "token": "x" }));
    assert!(said.get("cookie").is_none());
    assert!(uuid::Uuid::parse_str(said["id"].as_str().unwrap()).is_ok());
}

#[test]
fn three_hellos_without_welcome_close_the_socket_with_3000_and_a_new_one_is_tried() {
    let mut now = Instant::now();
    let mut t = Transport::new(now, 1);
    t.opened(now, json!({}));
    out(&mut t);
    for _ in 0..2 {
        let (passed, _, said) = wait(&mut t, &mut now);
        assert_eq!(passed, 5 * S);
        assert_eq!(hello(&said)["type"], "hello");
    }
    let (passed, heard, said) = wait(&mut t, &mut now);
    assert_eq!((passed, said), (5 * S, vec![Out::Close(3000, "no welcome")]));
    assert!(matches!(heard, Heard::Lost));
    assert_eq!(wait(&mut t, &mut now).2, [Out::Open]);
}

#[test]
fn a_socket_that_does_not_open_is_given_up_after_15_s_with_3007() {
    let mut now = Instant::now();
    let mut t = Transport::new(now, 1);
    out(&mut t);
    let (passed, heard, said) = wait(&mut t, &mut now);
    assert_eq!((passed, said), (15 * S, vec![Out::Close(3007, "open timeout")]));
    assert!(matches!(heard, Heard::Lost));
}

#[test]
fn a_heartbeat_is_sent_200_ms_before_the_interval_without_another_frame() {
    let mut now = Instant::now();
    let mut t = up(now);
    now += 3 * S;
    t.send(now, &json!({}));
    out(&mut t);
    let (passed, _, said) = wait(&mut t, &mut now);
    assert_eq!(passed, Duration::from_millis(4800));
    assert_eq!(said, [Out::Text(r#"{"type":"heartbeat"}"#.into())]);
}

#[test]
fn a_silent_server_is_left_after_three_intervals_with_3001() {
    let mut now = Instant::now();
    let start = now;
    let mut t = up(now);
    let mut beats = 0;
    let said = loop {
        let (_, heard, said) = wait(&mut t, &mut now);
        if matches!(heard, Heard::Lost) {
            break said;
        }
        beats += 1;
    };
    assert_eq!((now - start, beats, said), (15 * S, 3, vec![Out::Close(3001, "heartbeats missed")]));
}

#[test]
fn any_frame_of_the_server_counts_against_silence() {
    let mut now = Instant::now();
    let mut t = up(now);
    for _ in 0..20 {
        now += 4 * S;
        t.frame(now, r#"{"type":"heartbeat"}"#);
        assert!(matches!(t.timeout(now), Heard::Nothing));
    }
    assert!(t.is_up());
}

#[test]
fn with_the_media_lost_too_half_the_silence_is_enough() {
    let mut now = Instant::now();
    let start = now;
    let mut t = up(now);
    t.impatient(true);
    while !matches!(wait(&mut t, &mut now).1, Heard::Lost) {}
    assert_eq!(now - start, Duration::from_millis(7500));
}

#[test]
fn busy_on_a_kept_socket_says_hello_again_with_the_cookie() {
    let mut now = Instant::now();
    let mut t = Transport::new(now, 1);
    t.opened(now, json!({}));
    out(&mut t);
    assert!(matches!(t.frame(now, r#"{"type":"busy","cookie":"ck1","keepAlive":true,"retryAfter":1500}"#), Heard::Nothing));
    let (passed, _, said) = wait(&mut t, &mut now);
    assert_eq!((passed, hello(&said)["cookie"].as_str()), (Duration::from_millis(1500), Some("ck1")));
}

#[test]
fn busy_otherwise_closes_with_3005_and_a_new_socket_brings_the_cookie() {
    let mut now = Instant::now();
    let mut t = Transport::new(now, 1);
    t.opened(now, json!({}));
    out(&mut t);
    assert!(matches!(t.frame(now, r#"{"type":"busy","cookie":"ck1","keepAlive":false,"retryAfter":1500}"#), Heard::Lost));
    assert_eq!(out(&mut t), [Out::Close(3005, "busy wait")]);
    let (passed, _, said) = wait(&mut t, &mut now);
    assert_eq!((passed, said), (Duration::from_millis(1500), vec![Out::Open]));
    t.opened(now, json!({}));
    assert_eq!(hello(&out(&mut t))["cookie"], "ck1");
}

#[test]
fn busy_for_ever_closes_with_3006_and_is_final() {
    let now = Instant::now();
    let mut t = Transport::new(now, 1);
    t.opened(now, json!({}));
    out(&mut t);
    assert!(matches!(t.frame(now, r#"{"type":"busy","retryAfter":-1}"#), Heard::Unwanted));
    assert_eq!((out(&mut t), t.next_deadline()), (vec![Out::Close(3006, "busy")], None));
}

#[test]
fn bad_during_hello_closes_with_3002_and_later_changes_nothing() {
    let now = Instant::now();
    let mut t = Transport::new(now, 1);
    t.opened(now, json!({}));
    out(&mut t);
    assert!(matches!(t.frame(now, r#"{"type":"bad","reason":"?"}"#), Heard::Lost));
    assert_eq!(out(&mut t), [Out::Close(3002, "hello failed")]);

    let mut t = up(now);
    assert!(matches!(t.frame(now, r#"{"type":"bad","reason":"?"}"#), Heard::Nothing));
    assert!(t.is_up() && out(&mut t).is_empty());
}

#[test]
fn delays_grow_by_half_with_full_jitter_up_to_ten_seconds_and_start_over_once_settled() {
    let mut now = Instant::now();
    let mut t = Transport::new(now, 7);
    let mut bound = 0.08_f64;
    let mut beyond_half = 0;
    for _ in 0..40 {
        t.lost(now, "gone");
        let (passed, _, said) = wait(&mut t, &mut now);
        assert_eq!(said.last(), Some(&Out::Open));
        let passed = passed.as_secs_f64();
        assert!((0.009..=bound.max(0.01) + 1e-6).contains(&passed), "{passed} {bound}");
        beyond_half += u32::from(passed > bound / 2.0);
        bound = (bound * 1.5).min(10.0);
    }
    assert!((10..30).contains(&beyond_half), "jitter over the whole range: {beyond_half}");
    t.settled();
    t.lost(now, "gone");
    assert!(wait(&mut t, &mut now).0 <= Duration::from_millis(80));
}

#[test]
fn messages_before_the_welcome_are_ignored() {
    let now = Instant::now();
    let mut t = Transport::new(now, 1);
    t.opened(now, json!({}));
    assert!(matches!(t.frame(now, r#"{"type":"msg","body":{"type":"iced"}}"#), Heard::Nothing));
}

#[test]
fn an_interval_beyond_reason_does_not_make_us_spin_or_sleep() {
    for (given, used) in [("0", S), ("1e12", 60 * S)] {
        let now = Instant::now();
        let mut t = Transport::new(now, 1);
        t.opened(now, json!({}));
        t.frame(now, &format!(r#"{{"type":"welcome","negotiatedTimeout":{given}}}"#));
        assert_eq!(t.next_deadline(), Some(now + used - EARLY));
    }
}

#[test]
fn goodbye_is_said_and_the_socket_closed_with_1000() {
    let now = Instant::now();
    let mut t = up(now);
    t.send(now, &json!({ "type": "disconnect" }));
    t.close();
    let said = out(&mut t);
    assert!(
        matches!(&said[..], [Out::Text(d), Out::Text(b), Out::Close(1000, _)] if d.contains("disconnect") && b.contains("bye")),
        "{said:?}"
    );
    assert_eq!(t.next_deadline(), None);
}
