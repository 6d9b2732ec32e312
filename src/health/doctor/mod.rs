//! What `residentctl doctor` checks: everything a call needs, each part by itself, with the next step where one is not
//! well. Checks run beside each other, each with a deadline of its own, in a task of its own: what is broken, slow or
//! panics hides nothing else. Devices are opened one after the other, and not while there is a call.
//!
//! This file holds the words and runs the checks; `network.rs`, `local.rs`, `devices.rs` and `television.rs` are the checks.

mod devices;
mod local;
mod network;
mod television;

use crate::config::Config;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, but look at it.
    Warning,
    /// It does not work.
    Failure,
    /// Not looked at, and why.
    Skipped,
}

/// What a check found out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Outcome {
    /// How the part is.
    pub verdict: Verdict,
    /// What was found.
    pub says: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// Figures, by name with unit.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub figures: Map<String, Value>,
}

impl Outcome {
    fn new(verdict: Verdict, says: impl Into<String>, next: Option<String>) -> Outcome {
        Outcome { verdict, says: says.into(), next, figures: Map::new() }
    }

    fn ok(says: impl Into<String>) -> Outcome {
        Outcome::new(Verdict::Ok, says, None)
    }

    fn warning(says: impl Into<String>, next: impl Into<String>) -> Outcome {
        Outcome::new(Verdict::Warning, says, Some(next.into()))
    }

    fn failure(says: impl Into<String>, next: impl Into<String>) -> Outcome {
        Outcome::new(Verdict::Failure, says, Some(next.into()))
    }

    fn skipped(says: impl Into<String>) -> Outcome {
        Outcome::new(Verdict::Skipped, says, None)
    }

    fn figure(mut self, name: &str, value: impl Into<Value>) -> Outcome {
        self.figures.insert(name.to_owned(), value.into());
        self
    }
}

/// A check that is done.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Finding {
    /// Its name, for `--only` and `--skip`.
    pub check: &'static str,
    /// What it found out.
    #[serde(flatten)]
    pub outcome: Outcome,
    /// How long it took.
    pub took_ms: u64,
}

/// Every check in the order of the report, with what it looks at.
pub const CHECKS: &[(&str, &str)] = &[
    ("configuration", "the configuration, and whether credentials are there and private"),
    ("daemon", "the daemon, and whether its lines are online"),
    ("unit", "the systemd unit: state, restarts, exposure"),
    ("versions", "versions that fit each other"),
    ("clock", "time synchronisation, and the clock against the platform's"),
    ("disk", "space for the state directory"),
    ("memory", "free memory"),
    ("dns", "names of the platform"),
    ("rest", "login at the platform"),
    ("pusher", "the connection that calls arrive on"),
    ("rooms", "the room signalling"),
    ("stun", "STUN over UDP"),
    ("turn-udp", "the relay over UDP"),
    ("turn-tcp", "the relay over TCP"),
    ("turn-tls", "the relay over TLS"),
    ("bandwidth", "bandwidth to the relay and back"),
    ("gstreamer", "codecs and other elements"),
    ("camera", "the camera: rate really delivered, light"),
    ("microphone", "the microphone: its level"),
    ("speaker", "the speaker, heard by the microphone, and its delay"),
    ("display", "the display"),
    ("cec", "the television over HDMI-CEC"),
    ("keys", "the keys of the remote control"),
];

/// Whether this process may look everywhere.
pub fn is_root() -> bool {
    local::root()
}

/// What the examination knows beforehand.
#[derive(Clone)]
pub struct Patient {
    /// The configuration, or its mistakes.
    pub config: Result<Config, String>,
    /// What the daemon says of itself, or why it says nothing.
    pub status: Result<Value, String>,
    /// Cancelled when a call needs the devices.
    pub call: CancellationToken,
}

/// No check takes longer, and so nor do all of them.
const LONGEST: Duration = Duration::from_secs(50);

/// Examines what `wanted` says; findings come as they are made, in any order. Ends when all are told.
pub async fn examine(patient: Patient, wanted: impl Fn(&str) -> bool, found: mpsc::Sender<Finding>) {
    carry_out(plan(&Arc::new(patient)).into_iter().filter(|planned| wanted(planned.name)), found).await;
}

async fn carry_out(checks: impl Iterator<Item = Planned>, found: mpsc::Sender<Finding>) {
    let mut running = tokio::task::JoinSet::new();
    let began = Instant::now();
    for planned in checks {
        let found = found.clone();
        running.spawn(async move {
            let deadline = planned.deadline.min(LONGEST);
            // A task of its own: its panic is a finding about us, not the end of the examination. One that is late is abandoned,
            // and gives back what others wait for.
            let check = tokio::time::timeout(deadline, AbortOnDropHandle::new(tokio::spawn(planned.check)));
            let outcome = match check.await {
                Ok(Ok(outcome)) => outcome,
                Ok(Err(broken)) => Outcome::failure(format!("the check itself broke: {broken}"), "report this, with residentctl bugreport"),
                Err(_) => Outcome::failure(format!("no result within {} s", deadline.as_secs()), planned.late),
            };
            let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
            // Nobody listening any more is no error of the examination.
            let _ = found.send(Finding { check: planned.name, outcome, took_ms }).await;
        });
    }
    while running.join_next().await.is_some() {}
}

/// A check that is to be done.
struct Planned {
    name: &'static str,
    deadline: Duration,
    /// What to do when it does not come to an end.
    late: &'static str,
    check: futures_util::future::BoxFuture<'static, Outcome>,
}

fn planned(name: &'static str, seconds: u64, late: &'static str, check: impl Future<Output = Outcome> + Send + 'static) -> Planned {
    Planned { name, deadline: Duration::from_secs(seconds), late, check: Box::pin(check) }
}

fn plan(patient: &Arc<Patient>) -> Vec<Planned> {
    let mut all = local::plan(patient);
    all.extend(network::plan(patient));
    all.extend(devices::plan(patient));
    all
}

/// For what takes the time of a thread: devices, files that may hang.
async fn blocking(work: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    match tokio::task::spawn_blocking(work).await {
        Ok(outcome) => outcome,
        Err(broken) => Outcome::failure(format!("the check itself broke: {broken}"), "report this, with residentctl bugreport"),
    }
}

/// Runs a program that tells something about the system; its output, or why there is none.
async fn ask(program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).env("LC_ALL", "C").env("SYSTEMD_COLORS", "0").kill_on_drop(true).stdin(std::process::Stdio::null());
    let output = tokio::time::timeout(Duration::from_secs(8), command.output()).await;
    let output = output.map_err(|_| format!("{program} does not end"))?.map_err(|e| format!("{program}: {e}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{program}: {}", why.lines().last().unwrap_or("it failed").chars().take(200).collect::<String>()));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patient() -> Patient {
        Patient { config: Err("broken".into()), status: Err("nobody".into()), call: CancellationToken::new() }
    }

    async fn all(patient: Patient, wanted: impl Fn(&str) -> bool) -> Vec<Finding> {
        let (found, mut findings) = mpsc::channel(64);
        let mut all = Vec::new();
        let examination = examine(patient, wanted, found);
        tokio::join!(examination, async {
            while let Some(finding) = findings.recv().await {
                all.push(finding);
            }
        });
        all
    }

    #[tokio::test]
    async fn every_check_reports_once_even_with_a_broken_configuration_and_every_failure_has_a_next_step() {
        // Not the devices of the machine this runs on.
        let devices = ["camera", "microphone", "speaker", "gstreamer"];
        let findings = all(patient(), |name| !devices.contains(&name)).await;
        let mut names: Vec<_> = findings.iter().map(|f| f.check).collect();
        let mut expected: Vec<_> = CHECKS.iter().map(|(name, _)| *name).filter(|n| !devices.contains(n)).collect();
        names.sort_unstable();
        expected.sort_unstable();
        assert_eq!(names, expected);
        for finding in &findings {
            let told = finding.outcome.next.is_some() || !matches!(finding.outcome.verdict, Verdict::Failure | Verdict::Warning);
            assert!(told, "{finding:?}");
        }
        let of = |name: &str| findings.iter().find(|f| f.check == name).map(|f| f.outcome.verdict);
        assert_eq!(of("configuration"), Some(Verdict::Failure));
        assert_eq!(of("daemon"), Some(Verdict::Failure));
        assert_eq!(of("rest"), Some(Verdict::Skipped));
    }

    #[tokio::test]
    async fn the_names_of_the_plan_are_those_of_the_table() {
        let plan = plan(&Arc::new(patient()));
        let mut names: Vec<_> = plan.iter().map(|p| p.name).collect();
        let mut table: Vec<_> = CHECKS.iter().map(|(name, _)| *name).collect();
        names.sort_unstable();
        table.sort_unstable();
        assert_eq!(names, table);
    }
}
