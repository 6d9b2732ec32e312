//! Talking to the daemon: HTTP over its socket. Answers are read as loose JSON, so that a `residentctl` of another version
//! than the daemon still shows what it understands.

use super::exit::{Exit, Failure};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The daemon answers within two seconds or not at all.
const ANSWER: Duration = Duration::from_secs(5);

/// The daemon behind a socket.
#[derive(Clone)]
pub struct Daemon {
    http: reqwest::Client,
    socket: PathBuf,
}

impl Daemon {
    /// The one at this socket. Nothing is sent yet.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn at(socket: &Path) -> Result<Daemon, Failure> {
        // The socket needs no TLS, but the HTTP client is built with it: trusting nobody it also works where no certificate
        // authorities are installed.
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.expect("ring offers TLS 1.2 and 1.3").with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth();
        let http = reqwest::Client::builder().unix_socket(socket).tls_backend_preconfigured(tls).connect_timeout(ANSWER).build();
        let http = http.map_err(|e| Failure::new(Exit::Failed, format!("no HTTP client: {e}")))?;
        Ok(Daemon { http, socket: socket.into() })
    }

    /// Reads.
    ///
    /// # Errors
    /// See [`Exit`].
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        let answer = self.send(self.http.get(at(path)).timeout(ANSWER)).await?;
        answer.json().await.map_err(|e| Failure::new(Exit::Failed, format!("the daemon's answer cannot be read: {e}")))
    }

    /// Has something done.
    ///
    /// # Errors
    /// See [`Exit`].
    pub async fn post(&self, path: &str) -> Result<(), Failure> {
        self.send(self.http.post(at(path)).timeout(ANSWER)).await.map(drop)
    }

    /// Sets something.
    ///
    /// # Errors
    /// See [`Exit`].
    pub async fn put(&self, path: &str, value: &Value) -> Result<(), Failure> {
        self.send(self.http.put(at(path)).json(value).timeout(ANSWER)).await.map(drop)
    }

    /// Follows the daemon's events: name and data of each, until `took` says that it is enough, or the daemon ends.
    ///
    /// # Errors
    /// See [`Exit`]; that the daemon ends is one.
    pub async fn follow(&self, mut took: impl FnMut(&str, &str) -> bool) -> Result<(), Failure> {
        let mut answer = self.send(self.http.get(at("events"))).await?;
        let mut events = Events::default();
        loop {
            let part = answer.chunk().await.ok().flatten();
            let Some(part) = part else { return Err(Failure::new(Exit::Unreachable, "the daemon has ended")) };
            for (name, data) in events.read(&part) {
                if !took(&name, &data) {
                    return Ok(());
                }
            }
        }
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<reqwest::Response, Failure> {
        let answer = request.send().await.map_err(|e| self.unreachable(&e))?;
        let failed = |exit, says: &str| Err(Failure::new(exit, says));
        match answer.status().as_u16() {
            200..=299 => Ok(answer),
            403 => failed(Exit::Forbidden, "not permitted: use sudo; keys need api.keys = true in the configuration"),
            404 => failed(Exit::Nothing, "there is nothing of that kind now"),
            409 => failed(Exit::Nothing, "there is no call that this applies to"),
            503 => failed(Exit::Unreachable, "the daemon is stopping or hangs: see journalctl -u residentd"),
            other => failed(Exit::Failed, &format!("the daemon answered {other}; residentctl and residentd may be of different versions")),
        }
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        let mut cause: &dyn std::error::Error = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let socket = self.socket.display();
        match cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind) {
            Some(std::io::ErrorKind::PermissionDenied) => {
                Failure::new(Exit::Forbidden, format!("{socket} may not be opened: use sudo, or join the group residentd"))
            }
            _ => {
                let says = format!("residentd cannot be reached at {socket}: {cause}; is it running? (systemctl status residentd)");
                Failure::new(Exit::Unreachable, says)
            }
        }
    }
}

fn at(path: &str) -> String {
    format!("http://residentd/v1/{path}")
}

/// Takes server-sent events apart (HTML standard 9.2): only the fields that the daemon sends.
#[derive(Default)]
struct Events {
    rest: Vec<u8>,
    name: String,
    data: String,
}

/// The longest line kept: the daemon's are a few kilobytes.
const LINE: usize = 1 << 20;

impl Events {
    fn read(&mut self, part: &[u8]) -> Vec<(String, String)> {
        self.rest.extend_from_slice(part);
        let mut whole = Vec::new();
        while let Some(end) = self.rest.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            let line = line.trim_end_matches(['\r', '\n']);
            if line.is_empty() {
                let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
                if !data.is_empty() {
                    whole.push((name, data));
                }
            } else if let Some(name) = line.strip_prefix("event:") {
                self.name = name.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data:") {
                self.data += data.trim_start();
            }
        }
        if self.rest.len() > LINE {
            self.rest.clear();
        }
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_survive_any_cut() {
        let text = b"event: status\ndata: {\"a\":1}\n\n: ping\n\nevent: happening\r\ndata: {}\r\n\r\n";
        for cut in 0..text.len() {
            let mut events = Events::default();
            let mut got = events.read(&text[..cut]);
            got.extend(events.read(&text[cut..]));
            assert_eq!(got, [("status".into(), "{\"a\":1}".into()), ("happening".into(), "{}".into())], "{cut}");
        }
    }
}
