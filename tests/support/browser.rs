//! A real browser for integration tests: headless Chromium, driven by `tests/browser/driver.mjs` over JSON lines.
//!
//! ```ignore
//! #[path = "support/browser.rs"]
//! mod browser;
//!
//! let browser = Browser::start(Options::default()).await;
//! let page = browser.open("carer", &lab_url).await;
//! page.click("text=Video call").await;
//! page.wait("window.room && room.participants.size === 1", Duration::from_secs(20)).await;
//! browser.close().await;
//! ```
//!
//! Every method fails the test with what the browser said, and the last lines of the page's console. Two browsers run
//! at a time on a machine (locks in the cache folder): more software-encoded calls on two cores only hold up each other.
#![allow(dead_code, reason = "each test file uses a part of it")]

use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{broadcast, oneshot};

/// How the browser is started.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Chromium's `--host-resolver-rules`, e.g. `MAP global.vss.twilio.com 127.0.0.1:17443`.
    pub host_rules: Option<String>,
    /// More Chromium flags.
    pub args: Vec<String>,
    /// Accept every certificate.
    pub ignore_certificates: bool,
}

/// Where the npm packages are: `$RESIDENTD_NPM`, else in the cache.
pub fn npm_folder() -> PathBuf {
    std::env::var_os("RESIDENTD_NPM").map_or_else(|| cache_folder().join("npm/node_modules"), PathBuf::from)
}

/// The cache of tools outside the checkout.
pub fn cache_folder() -> PathBuf {
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/residentd");
    std::env::var_os("RESIDENTD_CACHE").map_or_else(home, PathBuf::from)
}

/// What a page said that nobody asked for.
#[derive(Debug, Clone)]
pub struct Event {
    /// `console`, `pageerror`, `crash`, `frame`, `socket-closed`.
    pub kind: String,
    /// The page's name.
    pub page: String,
    /// The whole event.
    pub body: Value,
}

type Answer = Result<Value, String>;

struct Inner {
    stdin: tokio::sync::Mutex<Option<ChildStdin>>,
    waiting: Mutex<HashMap<u64, oneshot::Sender<Answer>>>,
    next: AtomicU64,
    /// Kept for the message of a failing test.
    console: Mutex<VecDeque<String>>,
    events: broadcast::Sender<Event>,
}

/// One running Chromium. Dropping it ends it; [`close`](Self::close) also waits for that.
pub struct Browser {
    inner: Arc<Inner>,
    child: Child,
    _lock: std::fs::File,
}

/// One page (in a context of its own: cookies and storage are not shared).
#[derive(Clone)]
pub struct Page {
    inner: Arc<Inner>,
    name: String,
}

/// What a page is opened with.
#[derive(Debug, Clone, Default)]
pub struct Opening {
    /// Its address; without one, an empty page on an origin of its own with `npm` loaded.
    pub url: Option<String>,
    /// npm packages whose browser files an empty page loads: `pusher-js`, `twilio-video`, `twilio-video-2.36.0`.
    pub npm: Vec<String>,
    /// Report WebSocket frames as events.
    pub frames: bool,
}

impl Browser {
    /// Starts Chromium, once there is room for one more.
    pub async fn start(options: Options) -> Browser {
        let lock = tokio::task::spawn_blocking(lock).await.expect("taking the browser lock does not panic");
        Browser::under(lock, options).await
    }

    async fn under(lock: std::fs::File, options: Options) -> Browser {
        // The lab's own tests use this file too, from their crate's directory.
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let places = [here.join("tests/browser/driver.mjs"), here.join("../browser/driver.mjs")];
        let script = places.iter().find(|p| p.exists()).expect("the driver lies in tests/browser");
        let mut child = Command::new("node")
            .arg(script)
            .env("RESIDENTD_NPM", npm_folder())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(false) // the end of its stdin ends it, and the browser with it
            .spawn()
            .unwrap_or_else(|e| panic!("node does not start ({e}): run `make tools`"));
        let stdin = child.stdin.take().expect("stdin is piped");
        let stdout = child.stdout.take().expect("stdout is piped");
        let inner = Arc::new(Inner {
            stdin: tokio::sync::Mutex::new(Some(stdin)),
            waiting: Mutex::default(),
            next: AtomicU64::new(1),
            console: Mutex::default(),
            events: broadcast::channel(1024).0,
        });
        tokio::spawn(read(stdout, Arc::clone(&inner)));
        let browser = Browser { inner, child, _lock: lock };
        let launch = json!({
            "do": "launch", "host_rules": options.host_rules, "args": options.args, "ignore_certificates": options.ignore_certificates,
        });
        if let Err(e) = browser.inner.ask(launch, Duration::from_secs(60)).await {
            panic!("Chromium does not start: {e}");
        }
        browser
    }

    /// Opens this address as the page `name` (or leads the page of that name there).
    pub async fn open(&self, name: &str, url: &str) -> Page {
        self.open_with(name, Opening { url: Some(url.into()), ..Opening::default() }).await
    }

    /// Opens a page.
    pub async fn open_with(&self, name: &str, opening: Opening) -> Page {
        let page = Page { inner: Arc::clone(&self.inner), name: name.into() };
        let command = json!({"do": "open", "url": opening.url, "npm": opening.npm, "frames": opening.frames});
        page.must("opening", command, Duration::from_secs(60)).await;
        page
    }

    /// What the pages say from now on.
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// The processes of Chromium: everything that the driver has started, by their parents in `/proc`.
    pub fn processes(&self) -> Vec<u32> {
        let parent = |pid: u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
            // The name in brackets may hold anything, spaces included.
            stat.rsplit(')').next()?.split_whitespace().nth(1)?.parse::<u32>().ok()
        };
        let all = std::fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
        let parents: HashMap<u32, u32> = all.filter_map(|pid| Some((pid, parent(pid)?))).collect();
        let driver = self.child.id();
        let descends = |mut pid: u32| loop {
            match parents.get(&pid) {
                Some(parent) if Some(*parent) == driver => return true,
                Some(parent) => pid = *parent,
                None => return false,
            }
        };
        parents.keys().copied().filter(|pid| descends(*pid)).collect()
    }

    /// Ends the browser and waits until it is gone.
    pub async fn close(mut self) {
        self.inner.stdin.lock().await.take();
        let ended = tokio::time::timeout(Duration::from_secs(15), self.child.wait()).await;
        assert!(ended.is_ok(), "the browser does not end");
    }
}

impl Page {
    /// The value of this JavaScript expression; a promise is awaited. What it throws fails the test.
    pub async fn eval(&self, js: &str) -> Value {
        self.must("evaluating", json!({"do": "eval", "js": js}), Duration::from_secs(60)).await
    }

    /// As [`eval`](Self::eval); what it throws is the error.
    pub async fn try_eval(&self, js: &str) -> Result<Value, String> {
        self.ask(json!({"do": "eval", "js": js}), Duration::from_secs(60)).await
    }

    /// Waits until this expression is true (looked at every 50 ms in the page) and answers with its value.
    pub async fn wait(&self, js: &str, at_most: Duration) -> Value {
        let command = json!({"do": "wait", "js": js, "timeout": u64::try_from(at_most.as_millis()).unwrap_or(u64::MAX)});
        self.must("waiting", command, at_most + Duration::from_secs(10)).await
    }

    /// Clicks what this selector names, once it can be clicked.
    pub async fn click(&self, selector: &str) {
        self.must("clicking", json!({"do": "click", "selector": selector}), Duration::from_secs(30)).await;
    }

    /// Fills a field.
    pub async fn fill(&self, selector: &str, value: &str) {
        self.must("filling", json!({"do": "fill", "selector": selector, "value": value}), Duration::from_secs(30)).await;
    }

    /// Chooses from a select.
    pub async fn select(&self, selector: &str, value: &str) {
        self.must("choosing", json!({"do": "select", "selector": selector, "value": value}), Duration::from_secs(30)).await;
    }

    /// Presses a key (`Enter`, `ArrowLeft`, `F1`).
    pub async fn press(&self, key: &str) {
        self.must("pressing", json!({"do": "press", "key": key}), Duration::from_secs(30)).await;
    }

    /// The text as one sees it.
    pub async fn text(&self, selector: &str) -> String {
        let text = self.must("reading", json!({"do": "text", "selector": selector}), Duration::from_secs(30)).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Saves a picture (PNG).
    pub async fn screenshot(&self, path: &Path) {
        self.must("taking a picture", json!({"do": "screenshot", "path": path}), Duration::from_secs(30)).await;
    }

    /// Takes the page off the network (requests and new WebSockets), or back on.
    pub async fn offline(&self, on: bool) {
        self.must("cutting the network", json!({"do": "offline", "on": on}), Duration::from_secs(30)).await;
    }

    /// Closes the page, as a user closes a tab.
    pub async fn close(self) {
        self.must("closing", json!({"do": "close"}), Duration::from_secs(30)).await;
    }

    async fn ask(&self, mut command: Value, at_most: Duration) -> Answer {
        command["page"] = json!(self.name);
        self.inner.ask(command, at_most).await
    }

    async fn must(&self, doing: &str, command: Value, at_most: Duration) -> Value {
        let asked = command.to_string();
        match self.ask(command, at_most).await {
            Ok(value) => value,
            Err(e) => {
                let console: Vec<String> = self.inner.console.lock().expect("no panic under this lock").iter().cloned().collect();
                panic!("{doing} in page {:?} failed: {e}\n  command: {asked}\n  console:\n    {}", self.name, console.join("\n    "));
            }
        }
    }
}

impl Inner {
    async fn ask(&self, mut command: Value, at_most: Duration) -> Answer {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        command["id"] = json!(id);
        let (tell, told) = oneshot::channel();
        self.waiting.lock().expect("no panic under this lock").insert(id, tell);
        let line = format!("{command}\n");
        let written = match self.stdin.lock().await.as_mut() {
            Some(stdin) => stdin.write_all(line.as_bytes()).await.map_err(|e| format!("the driver is gone: {e}")),
            None => Err("the browser is closed".into()),
        };
        let answer = match written {
            Err(e) => Err(e),
            Ok(()) => match tokio::time::timeout(at_most, told).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err("the driver ended".into()),
                Err(_) => Err(format!("no answer after {at_most:?}")),
            },
        };
        self.waiting.lock().expect("no panic under this lock").remove(&id);
        answer
    }
}

/// Reads the driver's answers until it ends, then lets nobody wait any more.
async fn read(stdout: tokio::process::ChildStdout, inner: Arc<Inner>) {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(mut said) = serde_json::from_str::<Value>(&line) else { continue };
        if let Some(kind) = said["event"].as_str() {
            let event = Event { kind: kind.into(), page: said["page"].as_str().unwrap_or_default().into(), body: said.clone() };
            if kind != "frame" {
                let mut console = inner.console.lock().expect("no panic under this lock");
                if console.len() == 40 {
                    console.pop_front();
                }
                console.push_back(format!("{} {kind}: {}", event.page, said["text"].as_str().unwrap_or_default()));
            }
            inner.events.send(event).ok();
            continue;
        }
        let Some(id) = said["id"].as_u64() else { continue };
        let Some(tell) = inner.waiting.lock().expect("no panic under this lock").remove(&id) else { continue };
        let answer = match said.get("error").and_then(Value::as_str) {
            Some(error) => Err(error.to_owned()),
            None => Ok(said["ok"].take()),
        };
        tell.send(answer).ok();
    }
    inner.waiting.lock().expect("no panic under this lock").clear();
}

/// Held as long as a browser runs. It lies beside the npm packages, which every browser test needs anyway.
fn lock() -> std::fs::File {
    static STARTED: AtomicU64 = AtomicU64::new(0);
    let open = |which: u64| {
        let path = npm_folder().join(format!("../.browser.{}.lock", which % 2));
        std::fs::File::create(&path).unwrap_or_else(|e| panic!("{} cannot be written ({e}): run `make tools`", path.display()))
    };
    let first = u64::from(std::process::id()) + STARTED.fetch_add(1, Ordering::Relaxed);
    let places = [open(first), open(first + 1)];
    let free = places.iter().position(|place| place.try_lock().is_ok());
    let [own, other] = places;
    match free {
        Some(1) => other,
        Some(_) => own,
        None => {
            own.lock().expect("a local file can be locked");
            own
        }
    }
}
