//! `status`: everything a glance should tell.

use super::client::Daemon;
use super::exit::{Exit, Failure};
use super::screen::{Ink, Screen, since};
use super::{version, words};
use crate::config::Config;
use serde_json::{Value, json};

/// Prints it. The exit code does not judge: `doctor` does.
///
/// # Errors
/// When there is no daemon to ask.
pub async fn run(screen: &mut Screen, daemon: &Daemon, config: Option<&Config>) -> Result<Exit, Failure> {
    let status = daemon.get("status").await?;
    // Known only to who may read it; a status without it is better than none.
    let last = daemon.get("calls?limit=1").await.ok().and_then(|log| log.get(0).cloned());
    if screen.json {
        screen.value(&json!({ "status": status, "last_call": last, "versions": version::versions(Some(&status)) }), true);
        return Ok(Exit::Done);
    }
    let version = status["version"].as_str().unwrap_or("?");
    screen.line(&format!("residentd {version}, running since {}", since(&status["since"])));
    screen.line("");
    match status["lines"].as_object().filter(|lines| !lines.is_empty()) {
        Some(lines) => {
            for (name, line) in lines {
                let (words, good) = words::line(line);
                let words = screen.ink(if good { Ink::Good } else { Ink::Bad }, &words);
                screen.field(&format!("line {name}"), &words);
            }
        }
        None => {
            let words = screen.ink(Ink::Bad, "none: nobody can call; enable one in the configuration (residentctl provision)");
            screen.field("lines", &words);
        }
    }
    screen.field("call", &call(&status));
    screen.field("television", &television(&status, config));
    for name in ["camera", "microphone"] {
        let device = config.map(|c| c.text(&format!("media.{name}")).to_owned()).unwrap_or_default();
        let words = match (&*device, status[name] == true) {
            ("none", _) => screen.ink(Ink::Doubtful, "switched off in the configuration"),
            (_, true) => screen.ink(Ink::Good, &format!("ready {}", bracketed(&device))),
            (_, false) => screen.ink(Ink::Bad, &format!("not there {}: plug it in, then residentctl devices", bracketed(&device))),
        };
        screen.field(name, &words);
    }
    let last = last.as_ref().map_or_else(|| "none yet".into(), words::record);
    screen.field("last call", &last);
    let versions = version::versions(Some(&status));
    screen.field("versions", &version::in_one_line(&versions));
    Ok(Exit::Done)
}

fn bracketed(device: &str) -> String {
    if device.is_empty() { String::new() } else { format!("({device})") }
}

fn call(status: &Value) -> String {
    let missed = match status["missed"].as_u64() {
        None | Some(0) => String::new(),
        Some(1) => "; 1 missed call waits to be read".into(),
        Some(n) => format!("; {n} missed calls wait to be read"),
    };
    let phase = words::phase(&status["phase"]);
    let Some(call) = status.get("call").filter(|c| c.is_object()) else { return format!("{phase}{missed}") };
    let flag = |name: &str, words: &'static str| if call[name] == true { words } else { "" };
    format!(
        "#{} {}, {}: {phase} since {}{}{}{}{missed}",
        call["id"],
        words::caller(&call["caller"]),
        words::medium(&call["medium"]),
        since(if call["accepted"].is_null() { &call["offered"] } else { &call["accepted"] }),
        flag("automatic", ", answered by itself"),
        flag("muted", ", microphone off"),
        flag("weak", ", the connection is weak"),
    )
}

fn television(status: &Value, config: Option<&Config>) -> String {
    let driver = config.map_or("", |c| c.text("tv.driver"));
    let driver = match driver {
        "none" => "not controlled (tv.driver = \"none\")",
        "" => "as configured",
        other => other,
    };
    match &status["woken"] {
        Value::Null => driver.to_owned(),
        Value::String(word) => format!("{driver}; last wake: {word}"),
        other => format!("{driver}; last wake: {}", super::screen::tame(&other.to_string())),
    }
}
