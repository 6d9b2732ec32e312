//! Programs built for another processor, run as `make cross-check` says: the version, the configuration's check, and a call from
//! beginning to end, in a root file system of that processor under an emulator.
//!
//! `RESIDENTD_RUN` is the command that runs such a program (`cross/root.sh aarch64`), `RESIDENTD_PROGRAMS` the folder they are in.
use crate::support::participant::{Guest, Participant};
use crate::support::program::{CALLER, Daemon, RESIDENT, RESIDENT_NAME, configure};
use residentd::call::RoomEvent;
use residentd_lab::{CallOptions, Lab, Options, Power, ReplyKind};
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

/// An emulated processor is some twenty times slower than a real one, on a machine that may be busy besides.
const PATIENCE: Duration = Duration::from_secs(240);

fn program(name: &str) -> Command {
    let wanted = |name: &str| std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make cross-check`"));
    let (run, programs) = (wanted("RESIDENTD_RUN"), wanted("RESIDENTD_PROGRAMS"));
    let mut words = run.split_whitespace().map(str::to_owned).chain([format!("{programs}/{name}")]);
    let mut command = Command::new(words.next().unwrap());
    command.args(words).stdin(Stdio::null());
    command
}

fn said(mut command: Command) -> (String, bool) {
    let out = command.output().unwrap();
    (String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr), out.status.success())
}

/// Pictures that an emulated processor can make, and time for them.
const SLOW: &str = "media.rate = 10\nmedia.codec = \"vp8\"\ncall.ring = 120\ncall.wait_for_caller = 120\ncall.left_grace = 60";

#[test]
#[ignore = "needs programs of another processor: make cross-check"]
fn the_programs_tell_their_version_and_check_a_configuration() {
    for name in ["residentd", "residentctl"] {
        let mut command = program(name);
        command.arg("--version");
        let (words, well) = said(command);
        assert!(well && words.contains(env!("CARGO_PKG_VERSION")), "{name} --version: {words}");
    }
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    for (text, right) in [("[call]\nring = 30\n", true), ("[call]\nring = 1\n", false)] {
        std::fs::write(&file, text).unwrap();
        let mut command = program("residentd");
        command.arg("--config").arg(&file).arg("--check-config");
        let (words, well) = said(command);
        assert_eq!(well, right, "{text}: {words}");
        assert_eq!(words.contains("config.toml:2: call.ring is 1"), !right, "{words}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs programs of another processor: make cross-check"]
async fn a_call_is_answered_seen_and_heard_and_everything_is_put_back() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut caller = lab.caller(CALLER);
    let begin = Instant::now();
    let at = |what: &str| println!("{:6.1} s  {what}", begin.elapsed().as_secs_f64());
    let file = configure(&lab, dir.path(), SLOW);
    let _daemon = Daemon::start(program("residentd").arg("--config").arg(file), dir.path());
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online");
    at("online");
    let requested = caller.request(RESIDENT, &CallOptions::default());
    let mut tv = lab.tv();
    tokio::time::timeout(PATIENCE, tv.wait_for(|tv| tv.power == Power::On && tv.input == "box")).await.expect("it does not ring").unwrap();
    at("it rings");
    // A press before the dialog has been seen for a moment does not count: press until the caller is told.
    let mut reply = None;
    while reply.is_none() {
        assert!(begin.elapsed() < PATIENCE, "nobody can answer");
        lab.press("ok");
        reply = caller.reply(Duration::from_secs(1)).await;
    }
    assert!(matches!(reply, Some(ref reply) if reply.kind == ReplyKind::Accepted), "{reply:?}");
    at("accepted");
    let mut guest = Participant::join(Guest::in_room(&lab, &requested.room_name, CALLER, RESIDENT_NAME)).await;
    let seen = tokio::time::timeout(PATIENCE, async {
        while guest.picture.moving.load(Relaxed) < 15 || guest.loud.load(Relaxed) < 1000 {
            if let Ok(RoomEvent::Failed(why)) = guest.events.try_recv() {
                panic!("the caller's room: {why}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    assert!(seen.await.is_ok(), "the caller does not see and hear the resident: {}", guest.figures().await);
    at("the caller sees and hears the resident");
    let heard = tokio::time::timeout(PATIENCE, async {
        loop {
            let now = lab.state()["tv"].clone();
            if now["picture"]["recent_changed"].as_u64().is_some_and(|n| n > 3)
                && now["sound"]["loudest_dbfs"].as_f64().is_some_and(|l| l > -50.0)
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    });
    assert!(heard.await.is_ok(), "the television shows and plays nothing of the caller: {}", lab.state()["tv"]);
    at("the television shows and plays the caller");
    let mut status = program("residentctl");
    status.arg("--socket").arg(dir.path().join("s.sock")).args(["--json", "status"]);
    let (words, well) = tokio::task::spawn_blocking(move || said(status)).await.unwrap();
    assert!(well && words.contains("talking"), "residentctl status: {words}");
    // What is not well here (no screen, no sound card) is no matter: that it looks, and gives its verdicts, is.
    let mut doctor = program("residentctl");
    doctor.arg("--config").arg(dir.path().join("config.toml")).args(["--json", "doctor"]);
    let (words, _) = tokio::task::spawn_blocking(move || said(doctor)).await.unwrap();
    assert!(words.contains("\"verdict\""), "residentctl doctor: {words}");
    at("the doctor has looked at everything");
    caller.end(RESIDENT, &requested);
    guest.leave().await;
    let back = tv.wait_for(|tv| tv.power == Power::Standby && tv.input == "tuner");
    tokio::time::timeout(PATIENCE, back).await.expect("the television is not put back").unwrap();
    at("the television is put back");
}
