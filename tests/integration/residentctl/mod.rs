//! The technician's command, as it is typed, against the real daemon and the lab.
mod call;
mod doctor;
mod provision;
mod trial;

use crate::support::house::{House, PATIENCE, RESIDENT};
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

fn narrow(told: &str) {
    assert!(told.lines().all(|l| l.chars().count() <= 80), "wider than 80 columns: {told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn status_tells_the_television_as_the_daemon_has_seen_it() {
    let mut house = House::start("").await;
    let status = ["status", "--set", "tv.driver=headless"];
    let seen = async |wanted: &str| {
        let becomes = async {
            while !text(&ctl(&house, &status).await).contains(wanted) {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        };
        let told = tokio::time::timeout(PATIENCE, becomes).await;
        assert!(told.is_ok(), "{wanted:?} is not told: {}", text(&ctl(&house, &status).await));
    };
    seen("not known: it has not told yet").await;
    let caller = house.lab.caller("roger_chatta_admin");
    caller.request(RESIDENT, &CallOptions::default());
    seen("on, shows this box, volume 30, seen").await;
    assert_eq!(ctl(&house, &["decline"]).await.status.code(), Some(0));
    seen("standby, shows tuner, volume 18, seen").await;
    narrow(&text(&ctl(&house, &status).await));
    let status = json(&ctl(&house, &["status", "--json"]).await);
    assert_eq!(status["status"]["television"]["power"], "standby", "{status}");
    house.stop().await;
}

#[tokio::test]
async fn devices_are_listed_by_what_they_are_for() {
    let run = async |more: &[&str]| command(Path::new("/nonexistent"), more).output().await.unwrap();
    let told = text(&run(&["devices"]).await);
    let kinds = ["Cameras (media.camera)", "Microphones (media.microphone)", "Loudspeakers (media.speaker)"];
    let more = ["HDMI-CEC adapters (tv.cec.device)", "Displays (tv.display.connector)", "Remote controls and keyboards (tv.keys.devices)"];
    for kind in kinds.iter().chain(&more) {
        assert!(told.lines().any(|l| l == *kind), "{kind} is missing: {told}");
    }
    narrow(&told);
    let listed = json(&run(&["devices", "--json"]).await);
    for key in ["cameras", "microphones", "speakers", "adapters", "displays", "remotes"] {
        assert!(listed[key].is_array(), "{key} is missing: {listed}");
    }
}

/// Its output on a terminal.
async fn on_a_terminal(before: &str, arguments: &str) -> String {
    let line = format!("{before} {} --config /dev/null {arguments}", env!("CARGO_BIN_EXE_residentctl"));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR");
    let output = script.stdin(Stdio::null()).kill_on_drop(true).output();
    text(&tokio::time::timeout(PATIENCE, output).await.expect("residentctl does not end").unwrap())
}

#[tokio::test]
async fn colours_are_for_terminals_and_for_those_who_want_them() {
    let doctor = "doctor --only configuration";
    assert!(on_a_terminal("", doctor).await.contains("\u{1b}[31mFAILURE"));
    for (before, more) in [("NO_COLOR=1", ""), ("TERM=dumb", ""), ("", "--json")] {
        let told = on_a_terminal(before, &format!("{doctor} {more}")).await;
        assert!(told.contains("configuration") && !told.contains("\u{1b}[3"), "{before} {more}: {told:?}");
    }
    assert!(on_a_terminal("NO_COLOR=", doctor).await.contains("\u{1b}[31mFAILURE"), "nothing is no wish");
}

#[tokio::test]
async fn the_configuration_fits_into_80_columns_on_a_terminal_and_has_a_setting_a_line_elsewhere() {
    let long = format!("tv.command.on=[\"{}\"]", ["/usr/bin/television", "--power=on"].repeat(5).join("\", \""));
    let arguments = ["config", "show", "--set", &long];
    let on_terminal = on_a_terminal("NO_COLOR=1", &format!("config show --set '{long}'")).await;
    narrow(&on_terminal.replace('\r', ""));
    let told = text(&command(Path::new("/nonexistent"), &arguments).output().await.unwrap());
    assert!(told.lines().all(|line| line.contains(" = ") && line.contains("  # ")), "{told}");
    assert!(on_terminal.lines().count() > told.lines().count(), "nothing is wrapped: {on_terminal}");
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words(&on_terminal), words(&told), "something is lost");
}

#[tokio::test]
async fn doctor_fits_into_80_columns() {
    let dir = tempfile::tempdir().unwrap();
    let state = format!("state.directory={}", dir.path().display());
    let mut arguments = vec!["doctor", "--set", &state, "--set", "line.chatta.enabled=true", "--set", "line.chatta.api=http://127.0.0.1:9"];
    for check in ["configuration", "daemon", "unit", "versions", "clock", "disk", "memory", "dns", "rest", "pusher", "rooms", "cec"] {
        arguments.extend(["--only", check]);
    }
    let output = command(Path::new("/nonexistent/residentd.sock"), &arguments).output();
    let told = text(&tokio::time::timeout(2 * PATIENCE, output).await.expect("doctor does not end").unwrap());
    assert!(told.contains("FAILURE") && told.contains("->"), "{told}");
    narrow(&told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ringing_call_can_be_declined_from_a_shell_and_is_in_the_log_and_among_the_events() {
    let mut house = House::start("").await;
    let mut follower = command(&house.dir.path().join("s.sock"), &["events"]).spawn().unwrap();
    let mut program = command(&house.dir.path().join("s.sock"), &["events", "--json"]).spawn().unwrap();
    let mut values = BufReader::new(program.stdout.take().unwrap()).lines();
    let first = tokio::time::timeout(PATIENCE, values.next_line()).await.expect("no event").unwrap().unwrap();
    let status: Value = serde_json::from_str(&first).unwrap();
    assert_eq!(status["phase"], "idle", "{first}");
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
    drop(program.kill().await);
    while let Some(line) = values.next_line().await.unwrap() {
        let value = serde_json::from_str::<Value>(&line);
        assert!(value.as_ref().is_ok_and(Value::is_object), "not an object on each line: {line}");
    }
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
    assert_eq!(json(&ctl(&house, &["log-level", "--json"]).await)["level"], "debug");
    let changed = json(&ctl(&house, &["log-level", "info", "--json"]).await);
    assert_eq!(changed["level"], "info");
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
    let versions = json(&command(&socket, &["version", "--json"]).output().await.unwrap());
    assert_eq!(versions["residentctl"], env!("CARGO_PKG_VERSION"), "{versions}");
    assert!(versions.get("residentd").is_none() && versions["GStreamer"].is_string(), "{versions}");
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

/// The lab as the platform, and its settings; `password` is what the box uses.
async fn platform(ice: Value, password: &str, dir: &tempfile::TempDir) -> (residentd_lab::Lab, Vec<String>) {
    let options = residentd_lab::Options { ice_servers: ice, ..Default::default() };
    let lab = residentd_lab::Lab::start(options).await.unwrap();
    let pusher = lab.pusher();
    let file = dir.path().join("password");
    std::fs::write(&file, password).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let settings = vec![
        "line.chatta.enabled=true".to_owned(),
        format!("line.chatta.api={}", lab.api_url()),
        format!("line.chatta.pusher=ws://{}:{}", pusher.host, pusher.port),
        format!("line.chatta.key={}", pusher.key),
        format!("line.chatta.rooms={}", lab.rooms_url()),
        "line.chatta.username=chattademo".to_owned(),
        format!("line.chatta.password_file={}", file.display()),
        format!("state.directory={}", dir.path().display()),
    ];
    (lab, settings)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bug_report_holds_what_helps_and_neither_secrets_nor_names() {
    let mut house = House::start("").await;
    let mut caller = house.lab.caller("roger_chatta_admin");
    caller.request(RESIDENT, &CallOptions::default());
    house.scene("the ringing", ringing).await;
    assert_eq!(ctl(&house, &["decline"]).await.status.code(), Some(0));
    assert!(caller.reply(PATIENCE).await.is_some());
    house.over().await;
    let calls = json(&ctl(&house, &["calls", "--json"]).await);
    let name = calls[0]["caller"]["name"].as_str().unwrap().to_owned();

    let secret = house.dir.path().join("secret");
    std::fs::write(&secret, "correct horse battery").unwrap();
    let archive = house.dir.path().join("report.tar.gz");
    let set = format!("--set=line.chatta.password_file={}", secret.display());
    let arguments = ["bugreport", "--json", "--output", archive.to_str().unwrap(), &set, "--set=log.level=info"];
    let output = command(&house.dir.path().join("s.sock"), &arguments).output();
    let output = tokio::time::timeout(4 * PATIENCE, output).await.expect("bugreport does not end").unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let told = json(&output);
    assert!(told["secrets_known"].as_u64().unwrap() >= 1 && told["secrets_found"] == 0, "{told}");
    assert!(told["removed"]["name"].as_u64().unwrap() >= 1, "{told}");

    let mut all = String::new();
    let mut names = Vec::new();
    let mut opened = tar::Archive::new(flate2::read::GzDecoder::new(std::fs::File::open(&archive).unwrap()));
    for entry in opened.entries().unwrap() {
        use std::io::Read;
        let mut entry = entry.unwrap();
        names.push(entry.path().unwrap().file_name().unwrap().to_string_lossy().into_owned());
        entry.read_to_string(&mut all).unwrap();
    }
    for part in ["README.txt", "status.json", "calls.json", "doctor.json", "configuration.txt", "versions.json"] {
        assert!(names.iter().any(|n| n == part), "{part} is not among {names:?}");
    }
    assert!(all.contains("[person 1]") && all.contains("by-resident"), "the call log is not in it");
    for gone in ["correct horse", &name, "roger_chatta_admin"] {
        assert!(!all.contains(gone), "{gone} is in the report");
    }
}
