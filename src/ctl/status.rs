//! `status`: everything a glance should tell.

use super::client::Daemon;
use super::exit::{Exit, Failure};
use super::screen::{Ink, Screen, since, tame};
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

/// As the daemon's driver has it: power, what is shown, volume; and when that was seen.
fn television(status: &Value, config: Option<&Config>) -> String {
    let driver = match config.map_or("", |c| c.text("tv.driver")) {
        "none" => return "not controlled (tv.driver = \"none\")".into(),
        "" => String::new(),
        driver => format!("{driver}: "),
    };
    let woken = match &status["woken"] {
        Value::Null => String::new(),
        Value::String(word) => format!("; last wake: {}", tame(word)),
        other => format!("; last wake: {}", tame(&other.to_string())),
    };
    format!("{driver}{}{woken}", seen(&status["television"]))
}

fn seen(tv: &Value) -> String {
    let Some(power) = tv["power"].as_str() else { return "not known: it has not told yet, and nobody had to ask".into() };
    let at = since(&tv["at"]);
    let power = match power {
        "unknown" => return format!("not known: it did not answer, {at}"),
        power => tame(power),
    };
    let shows = match (tv["shows_us"].as_bool(), tv["input"].as_str()) {
        (Some(true), _) => ", shows this box".into(),
        (_, Some(input)) => format!(", shows {}", tame(input)),
        (_, None) => ", input not known".into(),
    };
    let volume = tv["volume"].as_u64().map_or_else(String::new, |volume| format!(", volume {volume}"));
    format!("{power}{shows}{volume}, seen {at}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tv::{Power, Seen, TvState};

    #[test]
    fn the_television_is_told_as_it_was_seen_and_what_is_not_known_is_said() {
        let tell = |power, input: Option<&str>, volume, shows_us| {
            let state = TvState { power, input: input.map(Into::into), volume };
            seen(&json!(Seen { state, shows_us, at: jiff::Timestamp::now() }))
        };
        let on = tell(Power::On, Some("1.0.0.0"), Some(30), Some(true));
        assert!(on.starts_with("on, shows this box, volume 30, seen "), "{on}");
        let other = tell(Power::On, Some("tuner"), None, Some(false));
        assert!(other.starts_with("on, shows tuner, seen "), "{other}");
        let standby = tell(Power::Standby, None, None, None);
        assert!(standby.starts_with("standby, input not known, seen "), "{standby}");
        assert!(tell(Power::Unknown, None, None, None).starts_with("not known: it did not answer"));
        assert!(seen(&Value::Null).starts_with("not known: "));
    }
}
