//! From a request on the wire to `accepted` on the wire, answered automatically, and to the dialog in between. The clock
//! runs at the lab, so that both ways through the sockets are in it, and so is the room's token, which the daemon gets
//! before it accepts. The peer is the least that could answer: pusher-js in node, which says `accepted` and does nothing.

use crate::daemon::{CALLER, Daemon, PATIENCE, RESIDENT};
use crate::figure::{Figure, Samples, Target, report};
use crate::process::{Running, npm};
use residentd::api::Happening;
use residentd::call::Scene;
use residentd_lab::{CallOptions, Caller, Lab, Options, ReplyKind};
use serde_json::json;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Calls of each, in turns of a quarter.
const CALLS: usize = 200;
const TURNS: usize = 4;
/// What happens at the first calls only: fonts, GStreamer's registry, the just-in-time compiler.
const WARM_UP: usize = 5;

/// Two events a call, and the server takes ten a second of a connection.
const EVERY: Duration = Duration::from_millis(250);

pub fn run() {
    // Apart, so that neither waits for the other's work.
    let runtime = |threads| tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    let (platform, box_) = (runtime(1), runtime(2));
    let lab = platform.block_on(Lab::start(Options::default())).unwrap();
    box_.block_on(measure(&lab));
}

async fn measure(lab: &Lab) {
    let (mut dialogs, mut us, mut them) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..TURNS {
        let mut daemon = Daemon::start(lab, &[]).await;
        let mut caller = lab.caller(CALLER);
        let mut pace = tokio::time::interval(EVERY);
        pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        for call in 0..WARM_UP + CALLS / TURNS {
            pace.tick().await;
            let (dialog, accepted) = answered(&mut daemon, &mut caller).await;
            if call >= WARM_UP {
                dialogs.push(millis(dialog));
                us.push(millis(accepted));
            }
        }
        daemon.stop().await;
        drop(caller);

        let peer = pusher_js(lab);
        let mut caller = lab.caller(CALLER);
        assert!(caller.presence(RESIDENT, true, PATIENCE).await, "pusher-js does not come online");
        for call in 0..WARM_UP + CALLS / TURNS {
            pace.tick().await;
            let start = Instant::now();
            let requested = caller.request(RESIDENT, &options());
            let reply = caller.reply(PATIENCE).await.expect("pusher-js answers");
            if call >= WARM_UP {
                them.push(millis(start.elapsed()));
            }
            assert_eq!(reply.kind, ReplyKind::Accepted);
            caller.end(RESIDENT, &requested);
        }
        drop(peer);
        assert!(caller.presence(RESIDENT, false, PATIENCE).await, "pusher-js does not go");
    }
    let (dialogs, us, them, peer) = (Samples::new(dialogs), Samples::new(us), Samples::new(them), "pusher-js");
    let figures = [
        Figure::new("offer to dialog, p50", "ms", dialogs.clone()),
        Figure::new("offer to dialog, p99", "ms", dialogs).at(0.99),
        Figure::new("offer to accepted, p50", "ms", us.clone()).beside(peer, them.clone()),
        Figure::new("offer to accepted, p99", "ms", us).beside(peer, them).at(0.99).target(Target::AtMost(5.0)),
    ];
    report(&format!("Automatic answer, {CALLS} calls each"), &figures);
}

/// Without a photograph: the lab draws it while the clock runs.
fn options() -> CallOptions {
    let initiator = json!({ "id": 5, "username": CALLER, "first_name": "Roger", "last_name": "Admin", "user_type": "customeradmin" });
    CallOptions { audio_only: true, auto_accept: true, with: json!({ "initiator": initiator }), ..CallOptions::default() }
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

/// One call of ours: how long until the dialog was decided, and until the caller had heard `accepted`.
async fn answered(daemon: &mut Daemon, caller: &mut Caller) -> (Duration, Duration) {
    let mut view = daemon.tv.view();
    view.mark_unchanged();
    let start = Instant::now();
    let dialog = tokio::spawn(async move {
        view.wait_for(|view| matches!(view.scene, Scene::Countdown { .. } | Scene::Connecting { .. })).await.map(drop).unwrap();
        start.elapsed()
    });
    let requested = caller.request(RESIDENT, &options());
    // A call that ends right after `accepted` is told so, in case the two crossed: that word belongs to the call before.
    let mut reply = ReplyKind::Ended;
    while reply == ReplyKind::Ended {
        reply = caller.reply(PATIENCE).await.expect("the daemon answers").kind;
    }
    let accepted = start.elapsed();
    assert_eq!(reply, ReplyKind::Accepted);
    let dialog = dialog.await.unwrap();
    caller.end(RESIDENT, &requested);
    // The next call must not meet the devices of this one.
    let (mut over, mut closed) = (false, false);
    while !(over && closed) {
        match tokio::time::timeout(PATIENCE, daemon.happenings.recv()).await.expect("the call ends").unwrap() {
            Happening::Over(_) => over = true,
            Happening::Closed { .. } => closed = true,
            _ => {}
        }
    }
    (dialog, accepted)
}

fn pusher_js(lab: &Lab) -> Running {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/figures/pusher_js_resident.cjs");
    let pusher = lab.pusher();
    let mut command = Command::new("node");
    command.arg(script).arg(npm()).args([pusher.port.to_string(), pusher.key, lab.api_url(), RESIDENT.to_string()]);
    Running(command.stdin(Stdio::null()).spawn().expect("node; run `make tools`"))
}
