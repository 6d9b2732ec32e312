//! The figures: what the daemon costs and how fast it is, each beside a peer on the same work in the same run.
//!
//! `cargo bench --bench figures` measures all groups, `cargo bench --bench figures -- idle answer` these ones. Each group
//! runs in a process of its own, so that none is charged for another's threads and memory. One program for all of them,
//! because linking each with link-time optimisation takes minutes.
//!
//! Each group prints a table with the machine's noise and appends its figures to `target/bench.jsonl`.

#![allow(clippy::unwrap_used)] // a bench that cannot run says where

mod answer;
#[path = "../../tests/support/browser.rs"]
mod browser;
mod call;
mod camera;
mod daemon;
mod dialogs;
mod figure;
mod firmware;
mod first_picture;
mod foreign_events;
mod idle;
#[path = "../../tests/support/link.rs"]
mod link;
#[path = "../../tests/support/peers.rs"]
mod peers;
mod process;
mod reconnect;
mod repair;
#[path = "../../tests/support/sockudo.rs"]
#[allow(dead_code)] // the tests use more of it
mod sockudo;
mod webrtcbin;

use std::process::ExitCode;

/// A group of figures, by the name that selects it.
const GROUPS: &[(&str, fn())] = &[
    ("idle", idle::run),
    ("answer", answer::run),
    ("first_picture", first_picture::run),
    ("call", call::run),
    ("dialogs", dialogs::run),
    ("repair", repair::run),
    ("foreign_events", foreign_events::run),
    ("reconnect", reconnect::run),
    ("firmware", firmware::run),
];

/// What a group starts as processes of their own.
const ROLES: &[(&str, fn())] = &[
    ("camera", camera::run),
    ("call_ours", call::ours),
    ("call_webrtcbin", webrtcbin::run),
    ("dialogs_ours", dialogs::ours),
    ("dialogs_compositor", dialogs::compositor),
];

fn main() -> ExitCode {
    if let Some(name) = std::env::var_os(process::PART) {
        let (_, run) = GROUPS.iter().chain(ROLES).find(|(part, _)| name == *part).expect("set by this program only");
        run();
        return ExitCode::SUCCESS;
    }
    // Cargo adds flags of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if let Some(unknown) = wanted.iter().find(|name| GROUPS.iter().all(|(group, _)| group != name)) {
        let names: Vec<_> = GROUPS.iter().map(|(group, _)| *group).collect();
        eprintln!("there are no figures {unknown:?}; there are: {}", names.join(", "));
        return ExitCode::FAILURE;
    }
    if wanted.is_empty() {
        let _ = std::fs::remove_file(figure::jsonl());
    }
    let chosen = GROUPS.iter().map(|(group, _)| *group).filter(|group| wanted.is_empty() || wanted.iter().any(|w| w == group));
    let failed: Vec<_> = chosen.filter(|group| !apart(group)).collect();
    if failed.is_empty() {
        println!("\nall of them: {}", figure::jsonl().display());
        return ExitCode::SUCCESS;
    }
    eprintln!("\ncould not be measured: {}; the reason stands above", failed.join(", "));
    ExitCode::FAILURE
}

/// Runs one group in a process of its own; whether that could be done.
fn apart(group: &str) -> bool {
    process::this_as(group).status().is_ok_and(|status| status.success())
}
