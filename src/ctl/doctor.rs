//! `doctor`: prints what [`crate::health::doctor`] finds, in the order of its table, each as soon as it is known.

use super::client::Daemon;
use super::exit::{Exit, Failure};
use super::screen::{Ink, Screen, wrap};
use crate::config::{Config, Mistakes};
use crate::health::doctor::{self, CHECKS, Finding, Patient, Verdict};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Which checks.
#[derive(Debug, Clone, Default)]
pub struct Choice {
    /// Only these; empty: all.
    pub only: Vec<String>,
    /// Not these.
    pub skip: Vec<String>,
}

impl Choice {
    fn wants(&self, name: &str) -> bool {
        (self.only.is_empty() || self.only.iter().any(|n| n == name)) && !self.skip.iter().any(|n| n == name)
    }
}

/// The words of `--only` and `--skip`.
pub fn names() -> Vec<&'static str> {
    CHECKS.iter().map(|(name, _)| *name).collect()
}

/// Examines the box and prints the findings.
///
/// # Errors
/// None of its own: what does not work is a finding.
pub async fn run(screen: &mut Screen, daemon: &Daemon, loaded: Result<Config, Mistakes>, choice: &Choice) -> Result<Exit, Failure> {
    let mut shown = 0;
    let wanted: Vec<&str> = names().into_iter().filter(|name| choice.wants(name)).collect();
    let mut waiting = BTreeMap::new();
    let findings = examine(daemon, loaded, choice, |found| match found {
        None => {
            let left: Vec<&str> = wanted[shown..].iter().filter(|n| !waiting.contains_key(**n)).copied().collect();
            if !left.is_empty() {
                screen.progress(&left.join(", "));
            }
        }
        Some(finding) => {
            waiting.insert(finding.check, finding.clone());
            while let Some(finding) = wanted.get(shown).and_then(|name| waiting.get(name)) {
                if !screen.json {
                    print(screen, finding);
                }
                shown += 1;
            }
        }
    })
    .await;
    let count = |verdict| findings.iter().filter(|f| f.outcome.verdict == verdict).count();
    let (failures, warnings) = (count(Verdict::Failure), count(Verdict::Warning));
    if screen.json {
        screen.value(&report(&findings), true);
    } else {
        screen.line("");
        let words = match (failures, warnings) {
            (0, 0) => "everything that was looked at is well".to_owned(),
            (0, w) => format!("nothing failed; {w} warning{}", if w == 1 { "" } else { "s" }),
            (f, w) => format!("{f} failed, {w} warning{}: begin with the first failure", if w == 1 { "" } else { "s" }),
        };
        let ink = if failures > 0 {
            Ink::Bad
        } else if warnings > 0 {
            Ink::Doubtful
        } else {
            Ink::Good
        };
        let words = screen.ink(ink, &words);
        screen.line(&words);
    }
    Ok(if failures > 0 { Exit::Failed } else { Exit::Done })
}

/// The findings for programs.
pub fn report(findings: &[Finding]) -> Value {
    let count = |verdict| findings.iter().filter(|f| f.outcome.verdict == verdict).count();
    json!({ "failures": count(Verdict::Failure), "warnings": count(Verdict::Warning), "findings": findings })
}

/// The findings in the order of the table; `each` is told of every one as it comes, and of every second that passes.
pub async fn examine(
    daemon: &Daemon,
    loaded: Result<Config, Mistakes>,
    choice: &Choice,
    mut each: impl FnMut(Option<&Finding>),
) -> Vec<Finding> {
    let status = daemon.get("status").await.map_err(|failure| failure.says);
    let call = CancellationToken::new();
    let _watch = status.is_ok().then(|| leave_devices_to_calls(daemon.clone(), call.clone()));
    let patient = Patient { config: loaded.map_err(|mistakes| mistakes.to_string()), status, call };
    let (found, mut findings) = mpsc::channel(CHECKS.len());
    let wanted = choice.clone();
    let examination = tokio::spawn(async move { doctor::examine(patient, |name| wanted.wants(name), found).await });
    let _examination = AbortOnDropHandle::new(examination);
    let mut all: Vec<Finding> = Vec::new();
    let mut tick = tokio::time::interval(std::time::Duration::from_secs(1));
    loop {
        tokio::select! {
            finding = findings.recv() => match finding {
                Some(finding) => {
                    each(Some(&finding));
                    all.push(finding);
                }
                None => break,
            },
            _ = tick.tick() => each(None),
        }
    }
    all.sort_by_key(|finding| CHECKS.iter().position(|(name, _)| *name == finding.check));
    all
}

/// Cancels `call` as soon as the daemon has one.
pub fn leave_devices_to_calls(daemon: Daemon, call: CancellationToken) -> AbortOnDropHandle<()> {
    AbortOnDropHandle::new(tokio::spawn(async move {
        let _ = daemon
            .follow(|_, data| {
                let phase = serde_json::from_str::<Value>(data).ok().and_then(|event| event["phase"].as_str().map(str::to_owned));
                let taken = phase.is_some_and(|phase| !matches!(&*phase, "idle" | "message" | "stopped"));
                if taken {
                    call.cancel();
                }
                !taken
            })
            .await;
    }))
}

/// A finding: verdict, name, words, and the next step beneath.
pub fn print(screen: &mut Screen, finding: &Finding) {
    let (word, ink) = match finding.outcome.verdict {
        Verdict::Ok => ("ok", Ink::Good),
        Verdict::Warning => ("warning", Ink::Doubtful),
        Verdict::Failure => ("FAILURE", Ink::Bad),
        Verdict::Skipped => ("skipped", Ink::Faint),
    };
    // 9 for the verdict, 15 for the name; the colour is put around the padded word, so that columns stay columns.
    let verdict = screen.ink(ink, &format!("{word:<9}"));
    for (i, line) in wrap(&finding.outcome.says, 80 - 24).iter().enumerate() {
        if i == 0 {
            screen.line(&format!("{verdict}{:<15}{line}", finding.check));
        } else {
            screen.line(&format!("{:24}{line}", ""));
        }
    }
    if let Some(next) = &finding.outcome.next {
        for (i, line) in wrap(next, 80 - 27).iter().enumerate() {
            screen.line(&format!("{:24}{} {line}", "", if i == 0 { "->" } else { "  " }));
        }
    }
}
