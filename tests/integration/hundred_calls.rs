//! The real program, called again and again: after all calls the television is as it was, and the daemon holds no more
//! threads, files and memory than after the first ones.
use crate::support::participant::{Guest, Participant};
use crate::support::program::{Daemon, PATIENCE, RESIDENT, RESIDENT_NAME, command, configure, television, until};
use residentd_lab::{CallOptions, Caller, Entries, Lab, Options, PersonEntry, Power, ReplyKind};
use std::sync::atomic::Ordering;

fn count(daemon: &Daemon, what: &str) -> usize {
    std::fs::read_dir(format!("/proc/{}/{what}", daemon.id())).expect("the daemon runs").count()
}

fn held(daemon: &Daemon) -> Held {
    Held { threads: count(daemon, "task"), files: count(daemon, "fd") }
}

/// Resident memory in KiB.
fn rss(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.id())).unwrap();
    status.lines().find_map(|l| l.strip_prefix("VmRSS:")).and_then(|l| l.split_whitespace().next()).unwrap().parse().unwrap()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    threads: usize,
    files: usize,
}

/// Rings, is answered, seen and heard, and ended by the carer. That it is over still stands on the
/// screen when the next one comes.
async fn call(lab: &Lab, name: &str, caller: &mut Caller, daemon: &mut Daemon) {
    let offer = caller.request(RESIDENT, &CallOptions::default());
    // By the local API: a key that comes before the dialog would count as somebody using the television.
    daemon.phase("ringing").await.expect("the program ended");
    assert_eq!(daemon.ask("POST", "/v1/accept").map(|answer| answer.0 / 100), Some(2));
    let reply = caller.reply(PATIENCE).await.expect("no reply");
    assert_eq!(reply.kind, ReplyKind::Accepted);
    let mut carer = Participant::join(Guest::in_room(lab, &format!("{name}-to-{RESIDENT_NAME}"), name, RESIDENT_NAME)).await;
    until("pictures and sound of the box", || carer.picture.moving.load(Ordering::Relaxed) >= 3 && carer.loud.load(Ordering::Relaxed) > 0)
        .await;
    caller.end(RESIDENT, &offer);
    carer.leave().await;
    daemon.until("the end of the call", |status| status["call"].is_null()).await.expect("the program ended");
}

/// They call in turn: one caller's requests above five in ten seconds are taken for a flood.
const CALLERS: u64 = 20;

/// Some threads of GLib's pool come and go; a leak is one a call.
const SPARE: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_calls_leave_nothing_behind() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let more = (0..CALLERS).map(|i| PersonEntry { id: 9000 + i, username: Some(format!("night_shift_{i}")), ..PersonEntry::default() });
    let people = Entries { administrator: more.collect(), ..Entries::default() };
    let lab = Lab::start(Options { people, ..Options::default() }).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    // What is kept is not a matter of how many pictures there are and of their size, and what they cost is: this is the longest of all tests.
    let config = configure(&lab, dir.path(), "media.rate = 10\nmedia.size = \"640x360\"");
    let mut daemon = Daemon::start(command(&config).env("RUST_LOG", "warn"), dir.path());
    let mut callers: Vec<_> = (0..CALLERS).map(|i| format!("night_shift_{i}")).map(|name| (lab.caller(&name), name)).collect();
    assert!(callers[0].0.presence(RESIDENT, true, PATIENCE).await, "not online");
    let mut some = async |n: u32| {
        for _ in 0..n {
            callers.rotate_left(1);
            let (caller, name) = &mut callers[0];
            call(&lab, name, caller, &mut daemon).await;
        }
        television(&lab, Power::Standby, "tuner").await;
        (held(&daemon), rss(&daemon))
    };
    let (first, before) = some(10).await;
    let mut memory = Vec::new();
    for _ in 0..10 {
        memory.push(some(10).await.1);
    }
    // Pipelines go down behind the end of a call.
    let mut end = first;
    until("no more threads and files than after the first calls", || {
        end = held(&daemon);
        end.threads <= first.threads + SPARE && end.files <= first.files + SPARE
    })
    .await;
    println!("a hundred calls after ten: {first:?} -> {end:?}, {before} -> {memory:?} KiB after each ten");
    // What decoders and encoders keep goes up and down by ten MiB; what is never given back shows in the lowest of the last.
    let low = memory.iter().rev().take(3).min().copied().unwrap_or(before);
    assert!(low < before + 12 * 1024, "{before} -> {memory:?} KiB");
}
