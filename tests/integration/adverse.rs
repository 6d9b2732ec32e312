//! The real program on a box where something is missing: space, a writable disk, names, a network, the right time. Calls
//! go on. Needs root for namespaces.
use crate::support::cable::{Cable, HERE, with_a_cable};
use crate::support::program::{self, CALLER, Daemon, PATIENCE, RESIDENT, configure};
use residentd_lab::{CallOptions, Lab, Options, ReplyKind};
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

const QUIET: &str = "tv.sink = \"none\"\nmedia.speaker = \"none\"";

/// The program after `script` in a mount namespace of its own; `$0` is the test's directory. What it says is in `said`.
fn prepared(script: &str, dir: &Path, file: &Path) -> Daemon {
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &format!("{script} && exec \"$@\"")]).arg(dir);
    command.arg(env!("CARGO_BIN_EXE_residentd")).arg("--config").arg(file);
    command.stdin(Stdio::null()).stderr(std::fs::File::create(dir.join("said")).unwrap());
    Daemon::start(&mut command, dir)
}

fn said(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("said")).unwrap()
}

/// A file as the program sees it.
fn inside(daemon: &Daemon, path: PathBuf) -> PathBuf {
    Path::new("/proc").join(daemon.id().to_string()).join("root").join(path.strip_prefix("/").unwrap())
}

/// A call that rings and is declined.
async fn a_call_is_declined(lab: &Lab, daemon: &mut Daemon) {
    let mut caller = lab.caller(CALLER);
    caller.request(RESIDENT, &CallOptions::default());
    daemon.phase("ringing").await.unwrap();
    daemon.ask("POST", "/v1/decline");
    assert!(matches!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Declined(_)));
    daemon.phase("idle").await.unwrap();
}

fn logged(daemon: &Daemon) -> usize {
    let calls: serde_json::Value = serde_json::from_str(&daemon.ask("GET", "/v1/calls").unwrap().1).unwrap();
    calls.as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_only_root_is_enough_and_without_any_place_to_write_calls_go_on_too() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    for place in ["state", "run"] {
        std::fs::create_dir(dir.path().join(place)).unwrap();
    }
    let file = configure(&lab, dir.path(), &format!("{QUIET}\napi.socket = {:?}", dir.path().join("run/s.sock")));
    let read_only = "mount --make-rprivate / && mount -o remount,bind,ro / && mount -t tmpfs tmpfs \"$0/run\"";
    for (script, kept) in [(format!("{read_only} && mount -t tmpfs tmpfs \"$0/state\""), true), (read_only.to_owned(), false)] {
        let mut daemon = prepared(&script, dir.path(), &file);
        daemon.at(inside(&daemon, dir.path().join("run/s.sock")));
        daemon.online().await;
        a_call_is_declined(&lab, &mut daemon).await;
        assert_eq!(logged(&daemon), 1);
        assert_eq!(said(dir.path()).contains("the call log is not kept"), !kept, "{}", said(dir.path()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_state_directory_holds_up_no_call_and_is_written_again_when_there_is_space() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("state")).unwrap();
    let file = configure(&lab, dir.path(), QUIET);
    let full = "mount -t tmpfs -o size=1m tmpfs \"$0/state\" && { dd if=/dev/zero of=\"$0/state/fill\" bs=4k 2>/dev/null || true; }";
    let mut daemon = prepared(full, dir.path(), &file);
    daemon.online().await;
    a_call_is_declined(&lab, &mut daemon).await;
    assert!(said(dir.path()).contains("no space left"), "{}", said(dir.path()));
    assert_eq!(logged(&daemon), 1);
    std::fs::remove_file(inside(&daemon, dir.path().join("state/fill"))).unwrap();
    a_call_is_declined(&lab, &mut daemon).await;
    program::until("writing again", || said(dir.path()).contains("the call log is kept again")).await;
    assert_eq!(logged(&daemon), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_names_at_the_start_it_comes_online_as_soon_as_there_are_some() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("hosts"), "127.0.0.1 localhost\n").unwrap();
    std::fs::write(dir.path().join("resolv.conf"), "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n").unwrap();
    let more = format!(
        "{QUIET}\nline.chatta.api = \"http://platform.test:{}\"\nline.chatta.pusher = \"ws://platform.test:{}\"",
        lab.ports().api,
        lab.ports().pusher
    );
    let file = configure(&lab, dir.path(), &more);
    let no_names = "mount --bind \"$0/hosts\" /etc/hosts && mount --bind \"$0/resolv.conf\" /etc/resolv.conf";
    let mut daemon = prepared(no_names, dir.path(), &file);
    daemon.until("being offline", |status| status["lines"]["chatta"]["state"] == "offline").await.unwrap();
    std::fs::OpenOptions::new().append(true).open(dir.path().join("hosts")).unwrap().write_all(b"127.0.0.1 platform.test\n").unwrap();
    daemon.online().await;
    a_call_is_declined(&lab, &mut daemon).await;
}

#[test]
fn a_network_that_comes_and_goes_is_used_whenever_it_is_there() {
    with_a_cable(comes_and_goes);
}

async fn comes_and_goes(cable: Cable) {
    let second = Duration::from_secs(1);
    let options =
        Options { bind: Ipv4Addr::UNSPECIFIED.into(), activity_timeout: second * 3, pong_timeout: second * 3, ..Options::default() };
    let lab = Lab::start(options).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let more = format!(
        "{QUIET}\nline.chatta.api = \"http://{HERE}:{}\"\nline.chatta.pusher = \"ws://{HERE}:{}\"\ntv.driver = \"headless\"",
        lab.ports().api,
        lab.ports().pusher
    );
    let file = configure(&lab, dir.path(), &more);
    // Without a network at first.
    cable.plugged(false);
    let mut daemon = Daemon::start(cable.command(env!("CARGO_BIN_EXE_residentd")).arg("--config").arg(file), dir.path());
    for _ in 0..2 {
        daemon.until("being offline", |status| status["lines"]["chatta"]["state"] == "offline").await.unwrap();
        cable.plugged(true);
        daemon.online().await;
        a_call_is_declined(&lab, &mut daemon).await;
        cable.plugged(false);
    }
}

/// A wall clock that the test moves: preloaded, it adds to the time of day what stands in a file. Other clocks are left alone.
const CLOCK: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
static volatile long long *shift;
__attribute__((constructor)) static void begin(void) {
  int file = open(getenv("SHIFT"), O_RDONLY);
  void *at = mmap(0, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
  if (at == MAP_FAILED) abort();
  shift = at;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
  int result = syscall(SYS_clock_gettime, clock, now);
  if (clock == CLOCK_REALTIME && shift) now->tv_sec += *shift;
  return result;
}
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn jumps_of_the_wall_clock_neither_end_nor_delay_a_call() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::write(at("clock.c"), CLOCK).unwrap();
    let built = Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([at("clock.so"), at("clock.c")]).status();
    assert!(built.expect("no C compiler: run `make tools`").success());
    let shift = std::fs::File::create(at("shift")).unwrap();
    let jump = |seconds: i64| shift.write_all_at(&seconds.to_ne_bytes(), 0).unwrap();
    jump(0);
    let file = configure(&lab, dir.path(), &format!("{QUIET}\ncall.ring = 15"));
    let mut command = program::command(&file);
    command.env("LD_PRELOAD", at("clock.so")).env("SHIFT", at("shift"));
    let mut daemon = Daemon::start(&mut command, dir.path());
    daemon.online().await;
    let hour = 3600;
    let started = |daemon: &Daemon| daemon.status().unwrap()["since"].to_string();
    let before = started(&daemon);
    let mut caller = lab.caller(CALLER);
    caller.request(RESIDENT, &CallOptions { audio_only: true, ..CallOptions::default() });
    daemon.phase("ringing").await.unwrap();
    for seconds in [2 * hour, -3 * hour, 24 * hour] {
        jump(seconds);
        // Whoever counts in wall time has waited far too long now, or will for hours.
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(daemon.status().unwrap()["phase"], "ringing", "after a jump by {seconds} s");
    }
    jump(-hour);
    // The ring's 15 s go on as if nothing had been.
    assert!(matches!(caller.reply(PATIENCE).await.expect("rings for ever").kind, ReplyKind::Declined(_)));
    jump(hour);
    caller.request(RESIDENT, &CallOptions { audio_only: true, ..CallOptions::default() });
    daemon.phase("ringing").await.unwrap();
    daemon.ask("POST", "/v1/accept");
    assert_eq!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Accepted);
    for seconds in [-5 * hour, 48 * hour] {
        jump(seconds);
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert_eq!(daemon.status().unwrap()["phase"], "waiting", "after a jump by {seconds} s");
    }
    daemon.ask("POST", "/v1/end");
    assert_eq!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Ended);
    assert_eq!(daemon.status().unwrap()["lines"]["chatta"]["state"], "online");
    assert_eq!(started(&daemon), before, "it was started anew");
    // The clock was really moved: the calls' records say so.
    let calls = daemon.ask("GET", "/v1/calls").unwrap().1;
    let calls: serde_json::Value = serde_json::from_str(&calls).unwrap();
    let wall = |call: &serde_json::Value, what: &str| call[what].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let longest = calls.as_array().unwrap().iter().map(|c| wall(c, "ended").duration_since(wall(c, "offered")).abs()).max().unwrap();
    assert!(longest.as_hours() >= 1, "the clock was not moved: {calls}");
}
