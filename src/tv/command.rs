//! A television that is controlled by a program or an HTTP request from the configuration: hotel systems, infrared
//! senders, serial lines. Each is a list: a program and its arguments (no shell), or `GET`, `POST`, `PUT`, an address and
//! a body. `{input}` and `{volume}` in it are what is wanted.

use super::power::{Fault, Input, Set};
use super::{Power, TvState};
use crate::journal::messages;
use async_trait::async_trait;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// A program or server that takes longer is given up (and ended).
const PATIENCE: Duration = Duration::from_millis(2800);
/// What is read of an answer, bytes.
const LONGEST: usize = 4096;

/// What to run; empty: there is no such thing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    /// Switches it on.
    pub on: Vec<String>,
    /// To standby.
    pub off: Vec<String>,
    /// Shows the box.
    pub input: Vec<String>,
    /// Shows what was shown before (`{input}`, if it is known).
    pub back: Vec<String>,
    /// Sets the volume (`{volume}`, 0 to 100).
    pub volume: Vec<String>,
    /// Says `on` or `standby` as its first word.
    pub state: Vec<String>,
    /// PEM file of a further certificate authority.
    pub authority: Option<PathBuf>,
}

/// Such a television.
pub struct ByCommand {
    commands: Commands,
    /// As it was last told to be, where it cannot be asked.
    told: Mutex<Power>,
    http: Option<reqwest::Client>,
}

impl ByCommand {
    /// Nothing is run yet.
    pub fn new(commands: Commands) -> ByCommand {
        let all = [&commands.on, &commands.off, &commands.input, &commands.back, &commands.volume, &commands.state];
        let wanted = all.iter().any(|c| c.first().is_some_and(|word| is_http(word)));
        let http = wanted.then(|| client(commands.authority.as_deref())).and_then(|made| {
            made.inspect_err(|e| {
                let id = messages::TV_REQUESTS_IMPOSSIBLE.id;
                log::warn!(MESSAGE_ID = id; "requests to the television cannot be made: {e}; check network.authority");
            })
            .ok()
        });
        ByCommand { commands, told: Mutex::new(Power::Unknown), http }
    }

    fn told(&self, power: Power) {
        *self.told.lock().unwrap_or_else(PoisonError::into_inner) = power;
    }

    async fn run(&self, command: &[String], values: &[(&str, &str)]) -> Result<String, Fault> {
        let filled: Vec<String> =
            command.iter().map(|part| values.iter().fold(part.clone(), |p, (name, value)| p.replace(name, value))).collect();
        let Some((first, rest)) = filled.split_first() else { return Ok(String::new()) };
        let done = timeout(PATIENCE, async { if is_http(first) { self.request(first, rest).await } else { program(first, rest).await } });
        done.await.unwrap_or_else(|_| Err(Fault(format!("{first} takes longer than {} s", PATIENCE.as_secs_f32()))))
    }

    async fn request(&self, method: &str, rest: &[String]) -> Result<String, Fault> {
        let (Some(http), Some(address)) = (&self.http, rest.first()) else {
            return Err(Fault(format!("{method} needs an address; check tv.command")));
        };
        let method = reqwest::Method::from_bytes(method.as_bytes()).map_err(|e| Fault(e.to_string()))?;
        // The address may hold a password: what is told of an error is its kind only.
        let tell = |e: reqwest::Error| Fault(format!("the request to the television failed: {}", e.without_url()));
        let mut request = http.request(method, address);
        if let Some(body) = rest.get(1) {
            let kind = if body.starts_with(['{', '[']) { "application/json" } else { "text/plain" };
            request = request.header("content-type", kind).body(body.clone());
        }
        let mut answer = request.send().await.map_err(tell)?.error_for_status().map_err(tell)?;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(tell)? {
            body.extend_from_slice(&piece);
            if body.len() > LONGEST {
                break;
            }
        }
        Ok(String::from_utf8_lossy(&body).into_owned())
    }
}

fn is_http(word: &str) -> bool {
    matches!(word, "GET" | "POST" | "PUT")
}

fn client(authority: Option<&std::path::Path>) -> Result<reqwest::Client, String> {
    let tls = crate::net::tls::client(authority).map_err(|e| e.to_string())?;
    let client =
        reqwest::Client::builder().tls_backend_preconfigured((*tls).clone()).timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
    client.build().map_err(|e| e.to_string())
}

async fn program(first: &str, rest: &[String]) -> Result<String, Fault> {
    let mut command = Command::new(first);
    command.args(rest).stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let done = command.output().await.map_err(|e| Fault(format!("{first} cannot be run: {e}")))?;
    if !done.status.success() {
        return Err(Fault(format!("{first} ended with {}", done.status)));
    }
    Ok(String::from_utf8_lossy(&done.stdout[..done.stdout.len().min(LONGEST)]).into_owned())
}

#[async_trait]
impl Set for ByCommand {
    async fn state(&self) -> Result<TvState, Fault> {
        let power = if self.commands.state.is_empty() {
            *self.told.lock().unwrap_or_else(PoisonError::into_inner)
        } else {
            match self.run(&self.commands.state, &[]).await?.split_ascii_whitespace().next() {
                Some("on") => Power::On,
                Some("standby" | "off") => Power::Standby,
                _ => Power::Unknown,
            }
        };
        Ok(TvState { power, input: None, volume: None })
    }

    async fn power(&self, on: bool) -> Result<(), Fault> {
        let (command, power) = if on { (&self.commands.on, Power::On) } else { (&self.commands.off, Power::Standby) };
        self.run(command, &[]).await?;
        self.told(power);
        Ok(())
    }

    async fn input(&self, to: &Input) -> Result<(), Fault> {
        match to {
            Input::Ours => self.run(&self.commands.input, &[]).await,
            Input::Other(name) => self.run(&self.commands.back, &[("{input}", name)]).await,
            Input::Release => self.run(&self.commands.back, &[("{input}", "")]).await,
        }
        .map(drop)
    }

    async fn volume(&self, to: u8) -> Result<(), Fault> {
        self.run(&self.commands.volume, &[("{volume}", &to.to_string())]).await.map(drop)
    }

    fn own_input(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::routing::{get, post};
    use std::sync::Arc;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(Into::into).collect()
    }

    #[tokio::test]
    async fn programs_are_run_with_what_is_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name).display().to_string();
        let commands = Commands {
            on: words(&format!("touch {}", at("on"))),
            back: words(&format!("touch {}", at("back-{input}"))),
            volume: words(&format!("touch {}", at("volume-{volume}"))),
            state: words("echo standby now"),
            ..Commands::default()
        };
        let set = ByCommand::new(commands);
        assert_eq!(set.state().await.unwrap().power, Power::Standby);
        set.power(true).await.unwrap();
        set.input(&Input::Other("HDMI2".into())).await.unwrap();
        set.volume(30).await.unwrap();
        set.power(false).await.expect("what is not configured is no fault");
        for name in ["on", "back-HDMI2", "volume-30"] {
            assert!(dir.path().join(name).exists(), "{name}");
        }
    }

    #[tokio::test]
    async fn without_a_question_it_is_as_it_was_last_told() {
        let set = ByCommand::new(Commands { on: words("true"), off: words("true"), ..Commands::default() });
        assert_eq!(set.state().await.unwrap().power, Power::Unknown);
        set.power(true).await.unwrap();
        assert_eq!(set.state().await.unwrap().power, Power::On);
        set.power(false).await.unwrap();
        assert_eq!(set.state().await.unwrap().power, Power::Standby);
    }

    #[tokio::test]
    async fn what_goes_wrong_is_said_and_changes_nothing() {
        let set = ByCommand::new(Commands { on: words("/nonexistent/irsend"), off: words("false"), ..Commands::default() });
        assert!(set.power(true).await.unwrap_err().0.contains("cannot be run"));
        assert!(set.power(false).await.unwrap_err().0.contains("ended with"));
        assert_eq!(set.state().await.unwrap().power, Power::Unknown);
    }

    #[tokio::test]
    async fn requests_are_made_and_answers_read() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let got = Arc::new(Mutex::new(Vec::new()));
        let of_server = got.clone();
        let set_volume = move |body: String| {
            of_server.lock().unwrap().push(body);
            async {}
        };
        let app = Router::new().route("/state", get(|| async { "on" })).route("/volume", post(set_volume));
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        let commands = Commands {
            state: words(&format!("GET {base}/state")),
            volume: vec!["POST".into(), format!("{base}/volume"), "{\"to\":{volume}}".into()],
            on: words(&format!("PUT {base}/nothing")),
            ..Commands::default()
        };
        let set = ByCommand::new(commands);
        assert_eq!(set.state().await.unwrap().power, Power::On);
        set.volume(42).await.unwrap();
        assert_eq!(*got.lock().unwrap(), ["{\"to\":42}"]);
        assert!(set.power(true).await.unwrap_err().0.contains("404"));
        server.abort();
    }
}
