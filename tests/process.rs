//! The real program, as a service manager starts and ends it.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use residentd_lab::{CallOptions, Lab, Options, Power, ReplyKind};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(30);
const RESIDENT: u64 = 1124;

struct Daemon(Child);

impl Daemon {
    fn start(lab: &Lab, dir: &Path) -> Daemon {
        let pusher = lab.pusher();
        std::fs::write(dir.join("password"), "password").unwrap();
        std::fs::set_permissions(dir.join("password"), PermissionsExt::from_mode(0o600)).unwrap();
        let text = format!(
            "line.chatta.enabled = true\nline.chatta.api = {:?}\nline.chatta.pusher = \"ws://{}:{}\"\nline.chatta.key = {:?}\n\
             line.chatta.rooms = {:?}\nline.chatta.username = \"chattademo\"\nline.chatta.password_file = {:?}\nstate.directory = {:?}\n\
             api.socket = {:?}\nmedia.camera = \"test\"\nmedia.microphone = \"test\"\nmedia.speaker = \"tv\"\ntv.driver = \"lab\"\n\
             tv.lab = {:?}\ntv.sink = \"driver\"\n",
            lab.api_url(),
            pusher.host,
            pusher.port,
            pusher.key,
            lab.rooms_url(),
            dir.join("password"),
            dir.join("state"),
            dir.join("s.sock"),
            lab.tv_url(),
        );
        std::fs::write(dir.join("config.toml"), text).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_residentd"));
        command.arg("--config").arg(dir.join("config.toml")).stdin(Stdio::null());
        Daemon(command.spawn().unwrap())
    }

    fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.0.id().to_string()]).status().unwrap().success());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

async fn tv_becomes(lab: &Lab, power: Power, input: &str) {
    let mut tv = lab.tv();
    let becomes = tv.wait_for(|tv| tv.power == power && tv.input == input);
    if tokio::time::timeout(PATIENCE, becomes).await.is_err() {
        panic!("the television does not become {power:?} on {input}, but is {:?}", lab.tv().borrow());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_while_it_rings_the_next_start_puts_the_television_back_and_calls_go_on() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut caller = lab.caller("roger_chatta_admin");
    let daemon = Daemon::start(&lab, dir.path());
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online");
    let (power, input) = (Power::Standby, lab.tv().borrow().input.clone());
    caller.request(RESIDENT, &CallOptions::default());
    tv_becomes(&lab, Power::On, "box").await;
    daemon.signal("-KILL");
    drop(daemon);
    assert!(caller.presence(RESIDENT, false, PATIENCE).await, "still online");
    let _daemon = Daemon::start(&lab, dir.path());
    tv_becomes(&lab, power, &input).await;
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online again");
    caller.request(RESIDENT, &CallOptions::default());
    tv_becomes(&lab, Power::On, "box").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asked_to_end_while_it_rings_the_caller_is_told_and_the_program_ends_well() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut caller = lab.caller("roger_chatta_admin");
    let mut daemon = Daemon::start(&lab, dir.path());
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online");
    caller.request(RESIDENT, &CallOptions::default());
    tv_becomes(&lab, Power::On, "box").await;
    daemon.signal("-TERM");
    let status = tokio::task::spawn_blocking(move || daemon.0.wait().unwrap()).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(matches!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Declined(_)));
    tv_becomes(&lab, Power::Standby, "tuner").await;
}

#[test]
fn a_wrong_configuration_is_told_line_by_line_with_the_status_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "[call]\nring = 1\nrong = 2\n").unwrap();
    let out = Command::new(env!("CARGO_BIN_EXE_residentd")).arg("--config").arg(&file).output().unwrap();
    assert_eq!(out.status.code(), Some(78));
    let told = String::from_utf8(out.stderr).unwrap();
    assert!(told.contains("config.toml:2: call.ring is 1") && told.contains("config.toml:3: there is no setting call.rong"), "{told}");
}
