//! The technician's command, as it is typed, against the real daemon and the lab.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

#[path = "support/house.rs"]
mod house;

use house::{House, PATIENCE, RESIDENT};
use residentd::call::Scene;
use residentd_lab::{CallOptions, ReplyKind};
use serde_json::Value;
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

fn command(socket: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residentctl"));
    command.arg("--socket").arg(socket).arg("--config").arg("/dev/null").args(arguments);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

async fn ctl(house: &House, arguments: &[&str]) -> Output {
    let socket = house.dir.path().join("s.sock");
    tokio::time::timeout(PATIENCE, command(&socket, arguments).output()).await.expect("residentctl does not end").unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap() + std::str::from_utf8(&output.stderr).unwrap()
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", text(output)))
}

fn ringing(scene: &Scene) -> bool {
    matches!(scene, Scene::Ringing { .. })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_tells_at_a_glance_and_as_json() {
    let house = House::start("").await;
    let output = ctl(&house, &["status"]).await;
    let told = text(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for part in ["line chatta", "online since", "camera", "microphone", "television", "last call", "none yet", "GStreamer"] {
        assert!(told.contains(part), "{part} is missing: {told}");
    }
    assert!(told.lines().all(|l| l.chars().count() <= 80), "wider than 80 columns: {told}");
    assert!(!told.contains('\u{1b}'), "coloured, and not on a terminal: {told}");
    let status = json(&ctl(&house, &["status", "--json"]).await);
    assert_eq!(status["status"]["lines"]["chatta"]["state"], "online");
    assert_eq!(status["versions"]["residentd"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ringing_call_can_be_declined_from_a_shell_and_is_in_the_log_and_among_the_events() {
    let mut house = House::start("").await;
    let mut follower = command(&house.dir.path().join("s.sock"), &["events"]).spawn().unwrap();
    let mut lines = BufReader::new(follower.stdout.take().unwrap()).lines();
    let mut next = async |wanted: &str| {
        let found = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("the events ended");
                if line.contains(wanted) {
                    return;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no event with {wanted:?}"));
    };
    next("line chatta: online").await;
    assert_eq!(ctl(&house, &["decline"]).await.status.code(), Some(4), "there is no call yet");
    let mut caller = house.lab.caller("roger_chatta_admin");
    caller.request(RESIDENT, &CallOptions::default());
    house.scene("the ringing", ringing).await;
    next("calls (video)").await;
    assert!(text(&ctl(&house, &["status"]).await).contains("it rings"));
    let declined = ctl(&house, &["decline", "--json"]).await;
    assert_eq!(json(&declined)["done"], "decline");
    assert!(matches!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Declined(_)));
    house.over().await;
    next("over: #").await;
    let calls = json(&ctl(&house, &["calls", "--json"]).await);
    assert_eq!(calls[0]["ending"]["declined"], "by-resident", "{calls}");
    let calls = text(&ctl(&house, &["calls"]).await);
    assert!(calls.contains("declined by the resident") && calls.lines().all(|l| l.chars().count() <= 80), "{calls}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_log_level_is_changed_while_the_daemon_runs() {
    let house = House::start("").await;
    assert_eq!(ctl(&house, &["log-level", "debug"]).await.status.code(), Some(0));
    assert_eq!(text(&ctl(&house, &["log-level"]).await).trim(), "debug");
    assert_eq!(ctl(&house, &["log-level", "loud"]).await.status.code(), Some(2), "not a level");
    ctl(&house, &["log-level", "error"]).await;
}

#[tokio::test]
async fn without_a_daemon_it_says_so_with_the_code_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("nobody.sock");
    let output = command(&socket, &["status"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(3));
    assert!(text(&output).contains("cannot be reached") && text(&output).contains("systemctl status"), "{}", text(&output));
    let output = command(&socket, &["status", "--json"]).output().await.unwrap();
    assert_eq!(json(&output)["exit"], 3);
    let output = command(&socket, &["version"]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output).contains(env!("CARGO_PKG_VERSION")));
    assert_eq!(command(&socket, &["nonsense"]).output().await.unwrap().status.code(), Some(2));
}

#[tokio::test]
async fn the_configuration_is_shown_with_its_origins_and_checked() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "[call]\nring = 60\n").unwrap();
    let run = async |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_residentctl"));
        command.arg("--config").arg(&file).args(arguments).output().await.unwrap()
    };
    let shown = text(&run(&["config", "show", "--changed"]).await);
    assert_eq!(shown.trim(), format!("call.ring = 60  # {}:2", file.display()));
    let shown = json(&run(&["config", "show", "--json", "--set", "media.rate=15"]).await);
    let rate = shown.as_array().unwrap().iter().find(|s| s["key"] == "media.rate").unwrap();
    assert_eq!((&rate["value"], &rate["origin"]), (&15.into(), &"--set media.rate=15".into()));
    assert_eq!(run(&["config", "check"]).await.status.code(), Some(0));
    std::fs::write(&file, "[call]\nring = 1\nrong = 2\n").unwrap();
    let wrong = run(&["config", "check"]).await;
    assert_eq!(wrong.status.code(), Some(78));
    assert!(text(&wrong).contains("config.toml:2: call.ring is 1") && text(&wrong).contains("config.toml:3:"), "{}", text(&wrong));
    let wrong = run(&["config", "check", "--json"]).await;
    assert_eq!(json(&wrong)["mistakes"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn man_pages_and_completions_are_written() {
    let dir = tempfile::tempdir().unwrap();
    let output = command(Path::new("/nonexistent"), &["generate", dir.path().to_str().unwrap()]).output().await.unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    for file in ["man/residentctl.1", "man/residentd.8", "completions/residentctl.bash"] {
        assert!(dir.path().join(file).is_file(), "{file}");
    }
}
