//! A real Pusher server for tests: sockudo, on a free port, ended with its owner.

use hmac::{Hmac, KeyInit, Mac};
use residentd::pusher::{Authorisation, Endpoint};
use sha2::Sha256;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub const KEY: &str = "testkey";
pub const SECRET: &str = "testsecret";
const APP: &str = "test";

pub struct Sockudo {
    child: Option<Child>,
    pub port: u16,
    folder: tempfile::TempDir,
}

impl Sockudo {
    /// `activity`: silence in seconds after which the server wants to hear from its clients.
    pub async fn start(activity: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Self { child: None, port: 0, folder };
        for attempt in 0..8u64 {
            // A machine that is short of something for a moment has it again a moment later.
            tokio::time::sleep(Duration::from_millis(100 * attempt * attempt)).await;
            server.port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            server.configure(activity);
            if server.run().await {
                return server;
            }
        }
        panic!("sockudo does not start: {}", server.words());
    }

    fn configure(&self, activity: u64) {
        let memory = serde_json::json!({ "driver": "memory" });
        let config = serde_json::json!({
            "host": "127.0.0.1", "port": self.port, "mode": "production", "shutdown_grace_period": 0,
            "activity_timeout": activity,
            "adapter": { "driver": "local" }, "cache": memory, "queue": memory,
            // Else it opens a second port.
            "metrics": { "enabled": false },
            // Else many connections from one address are refused.
            "rate_limiter": { "enabled": false },
            "app_manager": { "driver": "memory", "array": { "apps": [{
                "id": APP, "key": KEY, "secret": SECRET, "enabled": true,
                "policy": {
                    "limits": { "max_connections": 5000, "max_client_events_per_second": 10, "max_event_payload_in_kb": 10 },
                    "features": { "enable_client_messages": true },
                    "channels": { "allowed_origins": ["*"] },
                },
            }] } },
        });
        std::fs::write(self.folder.path().join("config.json"), config.to_string()).unwrap();
    }

    /// Starts it on its port; `false` when it ended at once (a taken port ends it with status 0).
    pub async fn run(&mut self) -> bool {
        let program = std::env::var_os("RESIDENTD_SOCKUDO").map(PathBuf::from).unwrap_or_else(|| {
            let cache = std::env::var_os("RESIDENTD_CACHE").map(PathBuf::from);
            let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/residentd"));
            cache.join("sockudo-5.2.0/bin/sockudo")
        });
        let child = Command::new(&program)
            .arg("--config")
            .arg(self.folder.path().join("config.json"))
            .current_dir(self.folder.path())
            // It takes PORT and the like from there over its configuration.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(self.log())
            .stderr(self.log())
            .spawn();
        self.child = Some(child.unwrap_or_else(|error| panic!("{}: {error}; run `make tools`", program.display())));
        let patience = Instant::now() + Duration::from_secs(20);
        while Instant::now() < patience {
            if self.child.as_mut().is_none_or(|child| child.try_wait().unwrap().is_some()) {
                self.child = None;
                return false;
            }
            if self.request("GET", &format!("/up/{APP}"), "").await == Some(200) {
                return true;
            }
            // Nothing tells when it is ready.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("sockudo did not answer within 20 s: {}", self.words());
    }

    fn log(&self) -> std::fs::File {
        std::fs::File::options().create(true).append(true).open(self.folder.path().join("log")).unwrap()
    }

    /// The last of what it said.
    fn words(&self) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        text.lines().rev().take(12).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n")
    }

    /// Ends it as a crash would.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn endpoint(&self) -> Endpoint {
        Endpoint { host: "127.0.0.1".into(), port: self.port, tls: false, path: String::new(), key: KEY.into() }
    }

    /// An event by the server itself, as the platform sends them.
    pub async fn publish(&self, channel: &str, event: &str, data: &serde_json::Value) {
        let body = serde_json::json!({ "name": event, "channel": channel, "data": data.to_string() }).to_string();
        let seconds = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
        let query = format!("auth_key={KEY}&auth_timestamp={seconds}&auth_version=1.0&body_md5={:x}", md5::compute(&body));
        let path = format!("/apps/{APP}/events");
        let signature = hex(&format!("POST\n{path}\n{query}"));
        assert_eq!(self.request("POST", &format!("{path}?{query}&auth_signature={signature}"), &body).await, Some(200));
    }

    async fn request(&self, method: &str, path: &str, body: &str) -> Option<u16> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        let length = body.len();
        let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\n");
        stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        answer.split(' ').nth(1)?.parse().ok()
    }
}

impl Drop for Sockudo {
    fn drop(&mut self) {
        self.kill();
    }
}

fn hex(text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The signature of a subscription, as the platform's `/pusher/auth/` makes it.
pub fn sign(socket: &str, channel: &str) -> Authorisation {
    Authorisation { auth: format!("{KEY}:{}", hex(&format!("{socket}:{channel}"))), channel_data: None }
}
