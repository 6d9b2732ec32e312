//! `provision`: makes a box somebody's.

use super::{PATIENCE, RESIDENT, command, json, platform, text};
use residentd::config::{Config, Sources};
use residentd::line::chatta::probe::Probe;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use tokio::process::Command;

fn lab_arguments(lab: &residentd_lab::Lab) -> Vec<String> {
    let pusher = lab.pusher();
    let address = format!("ws://{}:{}", pusher.host, pusher.port);
    let pairs = [("--api", lab.api_url()), ("--pusher", address), ("--key", pusher.key), ("--rooms", lab.rooms_url())];
    pairs.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
}

async fn provision(arguments: &[String]) -> Output {
    let arguments: Vec<&str> = ["provision", "--json"].into_iter().chain(arguments.iter().map(String::as_str)).collect();
    let run = command(Path::new("/nonexistent/residentd.sock"), &arguments).output();
    tokio::time::timeout(PATIENCE, run).await.expect("provision does not end").unwrap()
}

/// The daemon with exactly the files below this folder, and the credential as systemd would hand it over.
async fn comes_online(lab: &residentd_lab::Lab, root: &Path) {
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_residentd"));
    daemon.arg("--config").arg(root.join("etc/residentd/config.d/50-provisioned.toml"));
    daemon.env("CREDENTIALS_DIRECTORY", root.join("etc/residentd/credentials")).kill_on_drop(true);
    let at = |(key, name)| format!("--set={key}={}", dir.path().join(name).display());
    daemon.args([("api.socket", "s.sock"), ("state.directory", "state")].map(at));
    let mut daemon = daemon.args(["--set=tv.sink=none", "--set=media.speaker=none"]).stdin(Stdio::null()).spawn().unwrap();
    let mut caller = lab.caller("roger_chatta_admin");
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online");
    daemon.kill().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provisioning_checks_the_account_writes_for_root_only_and_the_daemon_comes_online_with_it() {
    let lab = residentd_lab::Lab::start(residentd_lab::Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut arguments = lab_arguments(&lab);
    let root = dir.path().join("root");
    let file = dir.path().join("box.toml");
    arguments.extend(["--root".into(), root.display().to_string(), "--file".into(), file.display().to_string()]);

    std::fs::write(&file, "username = \"chattademo\"\npassword = \"wrong\"\n").unwrap();
    let output = provision(&arguments).await;
    assert_eq!(output.status.code(), Some(6), "{}", text(&output));
    assert!(!root.exists(), "something was written for an account that the platform refuses");

    std::fs::write(&file, "username = \"chattademo\"\npassword = \"password\"\n[media]\ncamera = \"none\"\nmicrophone = \"test\"\n")
        .unwrap();
    let output = provision(&arguments).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    assert_eq!(json(&output)["account"]["resident"], RESIDENT);
    let credential = root.join("etc/residentd/credentials/chatta-password");
    assert_eq!(std::fs::read_to_string(&credential).unwrap(), "password");
    assert_eq!(std::fs::metadata(&credential).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::metadata(credential.parent().unwrap()).unwrap().permissions().mode() & 0o777, 0o700);
    let drop_in = root.join("etc/residentd/config.d/50-provisioned.toml");
    let written = std::fs::read_to_string(&drop_in).unwrap();
    assert!(written.contains("media.camera = \"none\"") && !written.contains("password\"\n"), "{written}");

    comes_online(&lab, &root).await;

    let token = file.with_file_name("token");
    std::fs::write(&token, "not.a.token\n").unwrap();
    let mut with_token = lab_arguments(&lab);
    with_token.extend(["--root".into(), root.display().to_string(), "--token-file".into(), token.display().to_string()]);
    assert_eq!(provision(&with_token).await.status.code(), Some(6));
    assert!(credential.exists(), "a refused token took the password away");
}

/// What the platform gives for name and password.
async fn token(lab_settings: Vec<String>) -> String {
    let config = Config::load(&Sources { flags: lab_settings, ..Default::default() }).unwrap();
    let tls = residentd::net::tls::client(None).unwrap();
    let probe = Probe::new(residentd::daemon::chatta(&config).unwrap(), tls).unwrap();
    probe.login().await.unwrap().token().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_takes_the_place_of_a_password_and_of_what_was_sealed() {
    let dir = tempfile::tempdir().unwrap();
    let (lab, settings) = platform(serde_json::json!([]), "password", &dir).await;
    let (root, file, password) = (dir.path().join("root"), dir.path().join("token"), dir.path().join("password"));
    std::fs::write(&file, token(settings).await).unwrap();
    let with = |more: &[&str]| {
        let root = ["--root".to_owned(), root.display().to_string()];
        lab_arguments(&lab).into_iter().chain(root).chain(more.iter().map(ToString::to_string)).collect::<Vec<_>>()
    };
    let first = provision(&with(&["--user", "chattademo", "--password-file", password.to_str().unwrap()])).await;
    assert_eq!((first.status.code(), &json(&first)["set_aside"]), (Some(0), &serde_json::json!([])), "{}", text(&first));

    let sealed = root.join("etc/credstore.encrypted/chatta-password");
    std::fs::create_dir(sealed.parent().unwrap()).unwrap();
    std::fs::write(&sealed, "sealed").unwrap();
    let output = provision(&with(&["--token-file", file.to_str().unwrap()])).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    let told = json(&output);
    let aside = sealed.with_extension("old");
    assert_eq!((&told["account"]["resident"], &told["set_aside"]), (&RESIDENT.into(), &serde_json::json!([aside])), "{told}");
    assert!(aside.exists() && !sealed.exists());
    let credentials = root.join("etc/residentd/credentials");
    assert!(!credentials.join("chatta-password").exists(), "the password stayed");
    let written = credentials.join("chatta-token");
    assert_eq!(std::fs::read(&written).unwrap(), std::fs::read(&file).unwrap());
    assert_eq!(std::fs::metadata(&written).unwrap().permissions().mode() & 0o777, 0o600);
    comes_online(&lab, &root).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn provisioning_tells_a_platform_that_is_not_there_from_a_wrong_setting_and_from_missing_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let (root, password) = (dir.path().join("root"), dir.path().join("password"));
    std::fs::write(&password, "password").unwrap();
    let base = ["--root", root.to_str().unwrap(), "--user", "ada", "--password-file", password.to_str().unwrap()].map(str::to_owned);
    let with = |more: &[&str]| base.iter().cloned().chain(more.iter().map(ToString::to_string)).collect::<Vec<_>>();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(provision(&with(&["--api", &format!("http://{nobody}")])).await.status.code(), Some(7));
    let wrong = provision(&with(&["--api", "ftp://example"])).await;
    assert_eq!(wrong.status.code(), Some(78), "{}", text(&wrong));
    assert!(text(&wrong).contains("line.chatta.api"), "{}", text(&wrong));
    assert_eq!(provision(&["--root".to_owned(), root.display().to_string()]).await.status.code(), Some(2), "nobody to ask");
    assert!(!root.exists());
    assert_eq!(provision(&with(&["--no-check"])).await.status.code(), Some(0));
    assert!(root.join("etc/residentd/credentials/chatta-password").exists());
}

/// A terminal that types what was asked for once the question is there.
async fn answered(arguments: &[String], answers: &[(&str, &str)]) -> (String, Option<i32>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let quoted: Vec<String> = arguments.iter().map(|a| format!("'{a}'")).collect();
    let line = format!("{} --config /dev/null provision {}", env!("CARGO_BIN_EXE_residentctl"), quoted.join(" "));
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]).env("TERM", "dumb").kill_on_drop(true);
    let mut script = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut terminal) = (script.stdin.take().unwrap(), script.stdout.take().unwrap());
    let typing = async {
        let mut shown = String::new();
        let mut buffer = [0; 4096];
        let mut answers = answers.iter();
        let mut next = answers.next();
        loop {
            let read = terminal.read(&mut buffer).await.unwrap_or(0);
            if read == 0 {
                return shown;
            }
            shown += &String::from_utf8_lossy(&buffer[..read]);
            while let Some((question, answer)) = next.filter(|(question, _)| shown.contains(question)) {
                let _ = question;
                keyboard.write_all(format!("{answer}\n").as_bytes()).await.unwrap();
                next = answers.next();
            }
        }
    };
    let shown = tokio::time::timeout(PATIENCE, typing).await.expect("provision does not end");
    (shown, script.wait().await.unwrap().code())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_terminal_it_asks_and_does_not_show_the_password() {
    let lab = residentd_lab::Lab::start(residentd_lab::Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let mut arguments = lab_arguments(&lab);
    arguments.extend(["--root".into(), root.display().to_string()]);
    let (shown, exit) = answered(&arguments, &[("User name of the resident: ", "chattademo"), ("Password: ", "not the word")]).await;
    assert_eq!(exit, Some(6), "{shown}");
    assert!(!root.exists(), "something was written for an account that the platform refuses");
    let (shown, exit) = answered(&arguments, &[("User name of the resident: ", "chattademo"), ("Password: ", "password")]).await;
    assert_eq!(exit, Some(0), "{shown}");
    assert!(shown.contains(&format!("resident {RESIDENT} of organisation 7")), "{shown}");
    let after = shown.split("Password: ").nth(1).unwrap();
    assert!(!after.lines().next().unwrap().contains("password"), "what was typed is shown: {shown}");
    assert_eq!(std::fs::read_to_string(root.join("etc/residentd/credentials/chatta-password")).unwrap(), "password");
}
