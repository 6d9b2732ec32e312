//! Connections that die without a word, and those that only look dead.

use super::*;

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
