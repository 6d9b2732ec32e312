//! The daemon as it is installed: its own unit, user, directories and rules, under the guest's systemd, with the platform's lab in
//! this process.

#![allow(dead_code, reason = "each room uses a part of it")]

use crate::guest::{self, PATIENCE};
use residentd::journal::messages::Message;
use residentd_lab::Lab;
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc;
use std::time::Instant;

/// The resident of the contract.
pub const RESIDENT: u64 = 1124;
/// Where the daemon listens.
pub const SOCKET: &str = "/run/residentd/residentd.sock";

/// A running daemon; stopped when dropped.
pub struct Service {
    /// The process that was started.
    main: String,
    happenings: mpsc::Receiver<Value>,
    seen: Mutex<Vec<Value>>,
    cursor: String,
}

/// Threads and files of a process, by their names.
#[derive(Debug)]
pub struct Held {
    pub threads: Vec<String>,
    pub files: Vec<String>,
}

/// The daemon at its place, with the password of the account. Once is enough for a guest.
fn install() {
    static DONE: Mutex<bool> = Mutex::new(false);
    let mut done = DONE.lock().unwrap();
    if std::mem::replace(&mut done, true) {
        return;
    }
    if !guest::packaged() {
        place();
    }
    let password = "/etc/residentd/credentials/chatta-password";
    std::fs::write(password, "password").unwrap();
    std::fs::set_permissions(password, PermissionsExt::from_mode(0o600)).unwrap();
}

/// What a package does, but for the copies: the files of the checkout at their places.
fn place() {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = |name: &str| checkout.join("systemd").join(name).display().to_string();
    // bound instead of copied: the unit hides /home and /root, and the guest's disk is its memory
    std::fs::write("/usr/bin/residentd", "").unwrap();
    guest::run("mount", &["--bind", env!("CARGO_BIN_EXE_residentd"), "/usr/bin/residentd"]);
    std::fs::create_dir_all("/run/udev/rules.d").unwrap();
    std::fs::copy(file("residentd.rules"), "/run/udev/rules.d/80-residentd.rules").unwrap();
    std::fs::copy(file("residentd.service"), "/run/systemd/system/residentd.service").unwrap();
    guest::run("systemd-sysusers", &[&file("residentd.sysusers")]);
    guest::run("systemd-tmpfiles", &["--create", &file("residentd.tmpfiles")]);
    guest::run("udevadm", &["control", "--reload"]);
    guest::run("udevadm", &["trigger"]);
    guest::run("udevadm", &["settle"]);
    guest::run("systemctl", &["daemon-reload"]);
}

/// The settings that point the daemon to this lab.
fn platform(lab: &Lab) -> String {
    let pusher = lab.pusher();
    format!(
        "line.chatta.enabled = true\nline.chatta.api = {:?}\nline.chatta.pusher = \"ws://{}:{}\"\nline.chatta.key = {:?}\n\
         line.chatta.rooms = {:?}\nline.chatta.username = \"chattademo\"\nresident.time_zone = \"UTC\"\napi.keys = true\n",
        lab.api_url(),
        pusher.host,
        pusher.port,
        pusher.key,
        lab.rooms_url(),
    )
}

impl Service {
    /// Starts the service against this lab, with these lines of configuration, and waits until systemd calls it ready.
    pub fn start(lab: &Lab, settings: &str) -> Service {
        guest::is_guest();
        install();
        std::fs::write("/etc/residentd/config.toml", platform(lab) + settings).unwrap();
        let cursor = cursor();
        let started = Command::new("systemctl").args(["start", "residentd"]).output().unwrap();
        assert!(started.status.success(), "the unit does not start:\n{}", journal(&cursor).join("\n"));
        let (tell, happenings) = mpsc::channel();
        let events = events();
        std::thread::spawn(move || {
            for line in BufReader::new(events).lines().map_while(Result::ok) {
                let Some(event) = line.strip_prefix("data:").and_then(|text| serde_json::from_str(text.trim()).ok()) else { continue };
                if tell.send(event).is_err() {
                    return;
                }
            }
        });
        let mut service = Service { main: String::new(), happenings, seen: Mutex::new(Vec::new()), cursor };
        service.main = service.pid();
        service
    }

    /// The next event of the local API that is wanted, the others passed over.
    pub fn happening(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let end = Instant::now() + PATIENCE;
        while let Ok(event) = self.happenings.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.seen.lock().unwrap().push(event.clone());
            if wanted(&event) {
                return event;
            }
        }
        panic!("{what} does not happen, but {:#?}\n{}", self.seen.lock().unwrap(), self.journal().join("\n"));
    }

    /// The next event of this kind.
    pub fn kind(&self, kind: &str) -> Value {
        self.happening(kind, |event| event["kind"] == kind)
    }

    /// What the daemon and systemd wrote about it since it was started.
    pub fn journal(&self) -> Vec<String> {
        journal(&self.cursor)
    }

    /// A place in the journal, for [`Service::said`].
    pub fn mark(&self) -> String {
        cursor()
    }

    /// The daemon's first line of this kind since then.
    pub fn said(&self, mark: &str, message: &Message) -> Option<String> {
        let fields = "--output-fields=MESSAGE,MESSAGE_ID";
        let options = ["--unit=residentd", "--after-cursor", mark, "--quiet", "--no-pager", "--output=json", fields];
        let lines = guest::run("journalctl", &options);
        let mut entries = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let entry = entries.find(|entry| entry["MESSAGE_ID"] == message.id)?;
        Some(entry["MESSAGE"].as_str().unwrap_or_default().to_owned())
    }

    /// Everything since then.
    pub fn journal_since(&self, mark: &str) -> Vec<String> {
        journal(mark)
    }

    /// Passes over the events so far.
    pub fn forget(&self) {
        while self.happenings.try_recv().is_ok() {}
        self.seen.lock().unwrap().clear();
    }

    /// A property of the unit.
    pub fn property(&self, name: &str) -> String {
        guest::run("systemctl", &["show", "--value", "--property", name, "residentd"]).trim().to_owned()
    }

    /// The process, which is another one after a crash.
    pub fn pid(&self) -> String {
        self.property("MainPID")
    }

    /// Whether systemd has started another one since.
    pub fn was_restarted(&self) -> bool {
        self.pid() != self.main
    }

    fn entries(&self, of: &str) -> impl Iterator<Item = PathBuf> {
        let of = format!("/proc/{}/{of}", self.main);
        std::fs::read_dir(&of).unwrap_or_else(|e| panic!("{of}: {e}")).flatten().map(|entry| entry.path())
    }

    /// What it has of the kernel's.
    pub fn held(&self) -> Held {
        let name = |task: PathBuf| Some(std::fs::read_to_string(task.join("comm")).ok()?.trim().to_owned());
        Held { threads: self.entries("task").filter_map(name).collect(), files: self.files() }
    }

    /// Where each of its threads is in the kernel, and what it has open.
    pub fn stands(&self) -> String {
        let of = |task: &PathBuf, file: &str| std::fs::read_to_string(task.join(file)).unwrap_or_default().trim().to_owned();
        let threads = self.entries("task").map(|task| format!("{}: {} {}", of(&task, "comm"), of(&task, "syscall"), of(&task, "wchan")));
        threads.chain(self.files()).collect::<Vec<_>>().join("\n")
    }

    fn files(&self) -> Vec<String> {
        self.entries("fd").filter_map(|file| Some(std::fs::read_link(file).ok()?.to_str()?.to_owned())).collect()
    }

    /// What it has open of /dev.
    pub fn open(&self) -> Vec<String> {
        let mut open = self.files();
        open.retain(|path| path.starts_with("/dev/") && path != "/dev/null");
        open.sort();
        open.dedup();
        open
    }

    /// Orders something of the local API, as root may, and gives the status line.
    pub fn order(&self, path: &str) -> String {
        ask("POST", path).lines().next().unwrap_or_default().to_owned()
    }

    /// `GET /v1/status`.
    pub fn status(&self) -> Value {
        let answer = ask("GET", "/v1/status");
        let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
        serde_json::from_str(body).unwrap_or_else(|e| panic!("{e}: {answer}"))
    }

    /// No call, and no message of one on the screen (a key closes it).
    pub fn is_idle(&self) -> bool {
        match self.status()["phase"].as_str() {
            Some("idle") => true,
            Some("message") => {
                self.order("/v1/keys/ok");
                false
            }
            _ => false,
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = Command::new("systemctl").args(["stop", "residentd"]).status();
        let _ = Command::new("systemctl").args(["reset-failed", "residentd"]).stderr(std::process::Stdio::null()).status();
    }
}

/// A request to the local API: the whole answer.
fn ask(method: &str, path: &str) -> String {
    let mut socket = UnixStream::connect(SOCKET).unwrap();
    write!(socket, "{method} {path} HTTP/1.1\r\nHost: box\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

/// The stream of events of the local API.
fn events() -> UnixStream {
    let mut socket = UnixStream::connect(SOCKET).unwrap();
    socket.set_read_timeout(None).unwrap();
    socket.write_all(b"GET /v1/events HTTP/1.1\r\nHost: box\r\n\r\n").unwrap();
    socket
}

/// Where the journal is now.
fn cursor() -> String {
    let told = guest::run("journalctl", &["--lines=1", "--show-cursor", "--quiet", "--no-pager", "--output=cat"]);
    told.lines().find_map(|l| l.strip_prefix("-- cursor: ")).unwrap_or_else(|| panic!("no cursor: {told}")).to_owned()
}

/// The service's lines since then.
fn journal(cursor: &str) -> Vec<String> {
    let lines =
        guest::run("journalctl", &["--unit=residentd", "--after-cursor", cursor, "--quiet", "--no-pager", "--output=short-precise"]);
    lines.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-test"]
async fn the_service_starts_under_its_own_unit_comes_online_and_holds_no_device() {
    let lab = Lab::start(residentd_lab::Options::default()).await.unwrap();
    let mut caller = lab.caller("roger_chatta_admin");
    let service = Service::start(&lab, "");
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online:\n{}", service.journal().join("\n"));
    assert_eq!(service.property("ActiveState"), "active");
    assert_eq!(service.property("NRestarts"), "0");
    assert_eq!(service.open(), Vec::<String>::new(), "an idle daemon holds devices");
    drop(service);
    assert!(caller.presence(RESIDENT, false, PATIENCE).await, "still online after its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-test"]
async fn devices_have_names_that_stay_and_belong_to_the_groups_of_the_daemon() {
    let lab = Lab::start(residentd_lab::Options::default()).await.unwrap();
    let _service = Service::start(&lab, "");
    let named = |name: &str| std::fs::canonicalize(Path::new("/dev/residentd").join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
    // the node that gives pictures, of all those of the camera
    assert_eq!(
        guest::run("udevadm", &["info", "--query=property", "--property=SUBSYSTEM", "--value", "/dev/residentd/camera"]).trim(),
        "video4linux"
    );
    let offers = guest::run("udevadm", &["info", "--query=property", "--property=ID_V4L_CAPABILITIES", "--value", "/dev/residentd/camera"]);
    assert!(offers.contains(":capture:"), "{offers}");
    assert!(named("television").to_string_lossy().starts_with("/dev/cec"));
    let group = |path: &str| guest::run("stat", &["--format=%G %a", path]).trim().to_owned();
    for (path, wanted) in [(guest::CAMERA, "video 660"), (guest::CEC_BOX, "video 660"), ("/dev/dri/card0", "video 660")] {
        assert_eq!(group(path), wanted, "{path}");
    }
    let mut remote = crate::keys::Remote::new("Device lab remote");
    let node = remote.node();
    guest::run("udevadm", &["settle"]);
    assert_eq!(group(&node.to_string_lossy()), "input 660");
}
