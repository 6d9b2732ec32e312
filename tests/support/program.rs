//! The real program against a lab in this process: its configuration, its signals, its local API.
#![allow(dead_code, reason = "each test file uses a part of it")]

use residentd_lab::{Lab, Power};
use serde_json::Value;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Longer than anything that is awaited here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(40);
/// The resident of the contract.
pub const RESIDENT: u64 = 1124;
/// Its user name, which is its identity in rooms.
pub const RESIDENT_NAME: &str = "chattademo";
/// The caller of most tests.
pub const CALLER: &str = "roger_chatta_admin";

/// A configuration for this lab: test devices, no picture, the lab's television. `more` stands last and wins.
pub fn configure(lab: &Lab, dir: &Path, more: &str) -> PathBuf {
    let pusher = lab.pusher();
    std::fs::write(dir.join("password"), "password").unwrap();
    std::fs::set_permissions(dir.join("password"), PermissionsExt::from_mode(0o600)).unwrap();
    let base = format!(
        "line.chatta.enabled = true\nline.chatta.api = {:?}\nline.chatta.pusher = \"ws://{}:{}\"\nline.chatta.key = {:?}\n\
         line.chatta.rooms = {:?}\nline.chatta.username = {RESIDENT_NAME:?}\nline.chatta.password_file = {:?}\n\
         state.directory = {:?}\napi.socket = {:?}\nmedia.camera = \"test\"\nmedia.microphone = \"test\"\nmedia.speaker = \"tv\"\n\
         media.size = \"640x360\"\ntv.driver = \"lab\"\ntv.lab = {:?}\ntv.sink = \"driver\"\n",
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
    let given = |line: &str| more.lines().any(|m| m.split('=').next().map(str::trim) == line.split('=').next().map(str::trim));
    let text: String = base.lines().filter(|line| !given(line)).chain(more.lines()).map(|line| format!("{line}\n")).collect();
    let file = dir.join("config.toml");
    std::fs::write(&file, text).unwrap();
    file
}

/// The command that starts the program with this configuration.
pub fn command(file: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residentd"));
    command.arg("--config").arg(file).stdin(Stdio::null());
    command
}

/// A running program. Killed when dropped.
pub struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    /// Starts it, with a configuration in `dir` as [`configure`] writes it.
    pub fn start(command: &mut Command, dir: &Path) -> Daemon {
        Daemon { child: command.spawn().unwrap(), socket: dir.join("s.sock") }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its local API is at this path for us, because it has other mounts than we.
    pub fn at(&mut self, socket: PathBuf) {
        self.socket = socket;
    }

    pub fn signal(&self, name: &str) {
        assert!(Command::new("kill").args([name, &self.child.id().to_string()]).status().unwrap().success());
    }

    /// Whether it has ended, and how.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for its end.
    pub async fn end(&mut self) -> ExitStatus {
        let from = Instant::now();
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(from.elapsed() < PATIENCE, "the program does not end");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A request to its local API: status and body. `None` when nobody answers.
    pub fn ask(&self, method: &str, path: &str) -> Option<(u16, String)> {
        ask(&self.socket, method, path)
    }

    /// What `GET /v1/status` says, if anybody answers.
    pub fn status(&self) -> Option<Value> {
        serde_json::from_str(&self.ask("GET", "/v1/status")?.1).ok()
    }

    /// Waits until the status is so. `Err`: the program has ended.
    pub async fn until(&mut self, what: &str, is: impl Fn(&Value) -> bool) -> Result<Value, ExitStatus> {
        let from = Instant::now();
        let mut last = None;
        loop {
            if let Some(status) = self.ended() {
                return Err(status);
            }
            if let Some(status) = self.status() {
                if is(&status) {
                    return Ok(status);
                }
                last = Some(status);
            }
            assert!(from.elapsed() < PATIENCE, "{what} does not come about: {last:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Waits for this phase.
    pub async fn phase(&mut self, phase: &str) -> Result<Value, ExitStatus> {
        self.until(phase, |status| status["phase"] == phase).await
    }

    /// Waits until calls can arrive.
    pub async fn online(&mut self) {
        let online = |status: &Value| status["lines"]["chatta"]["state"] == "online";
        self.until("the line's being online", online).await.expect("the program ended");
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(socket: &Path, method: &str, path: &str) -> Option<(u16, String)> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: box\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

/// Waits for what nothing announces.
pub async fn until(what: &str, mut is: impl FnMut() -> bool) {
    let from = Instant::now();
    while !is() {
        assert!(from.elapsed() < PATIENCE, "{what} does not come about");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until the lab's television is so.
pub async fn television(lab: &Lab, power: Power, input: &str) {
    let mut tv = lab.tv();
    let becomes = tv.wait_for(|tv| tv.power == power && tv.input == input);
    if tokio::time::timeout(PATIENCE, becomes).await.is_err() {
        panic!("the television does not become {power:?} on {input}, but is {:?}", lab.tv().borrow());
    }
}
