//! What happened and what happens: `calls`, `events`, `statistics`.

use super::client::Daemon;
use super::exit::{Exit, Failure};
use super::screen::{Ink, Screen, clock, span};
use super::words;
use serde_json::Value;

/// `calls`: the call log, newest first.
///
/// # Errors
/// When there is no daemon to ask.
pub async fn calls(screen: &mut Screen, daemon: &Daemon, limit: u16) -> Result<Exit, Failure> {
    let log = daemon.get(&format!("calls?limit={limit}")).await?;
    if screen.json {
        screen.value(&log, true);
        return Ok(Exit::Done);
    }
    let records = log.as_array().map(Vec::as_slice).unwrap_or_default();
    if records.is_empty() {
        screen.line("no calls yet");
    }
    for record in records {
        let when = words::moment(&record["offered"]).map_or_else(|| "?".into(), clock);
        let long = words::talked(record).map_or_else(|| "-".into(), span);
        let who: String = words::caller(&record["caller"]).chars().take(20).collect();
        let call = record["call"].to_string();
        let how = if record["automatic"] == true { ", by itself" } else { "" };
        let (medium, ending) = (words::medium(&record["medium"]), words::ending(&record["ending"]));
        screen.line(&format!("{call:>4}  {when:<16}  {medium:<5}  {who:<20}  {long:>11}{how}"));
        let ending = screen.ink(Ink::Faint, &ending);
        screen.indented(6, &ending);
    }
    Ok(Exit::Done)
}

/// Further lines of an event stand beside its time of day.
const BESIDE_CLOCK: usize = 9;

/// `events`: what happens, until somebody ends it.
///
/// # Errors
/// When there is no daemon to follow, or it ends.
pub async fn events(screen: &mut Screen, daemon: &Daemon) -> Result<Exit, Failure> {
    let mut lines: Option<Value> = None;
    daemon
        .follow(|name, data| {
            if screen.json {
                screen.line(data);
                return true;
            }
            let Ok(event) = serde_json::from_str::<Value>(data) else {
                screen.entry(BESIDE_CLOCK, &format!("{} {name}: {data}", now()));
                return true;
            };
            match name {
                // Of the status only what changed on the lines is news: everything else comes as a happening too.
                "status" => {
                    if lines.as_ref() != Some(&event["lines"]) {
                        for (line, state) in event["lines"].as_object().into_iter().flatten() {
                            screen.entry(BESIDE_CLOCK, &format!("{} line {line}: {}", now(), words::line(state).0));
                        }
                        lines = Some(event["lines"].clone());
                    }
                }
                "happening" => screen.entry(BESIDE_CLOCK, &format!("{} {}", now(), words::happening(&event))),
                "missed" => screen.entry(BESIDE_CLOCK, &format!("{} {data} events were missed: this terminal is too slow", now())),
                other => screen.entry(BESIDE_CLOCK, &format!("{} {other}: {data}", now())),
            }
            true
        })
        .await?;
    Ok(Exit::Done)
}

fn now() -> String {
    clock(jiff::Timestamp::now())
}

/// `statistics`: the running call's figures.
///
/// # Errors
/// When there is no daemon or no call.
pub async fn statistics(screen: &mut Screen, daemon: &Daemon) -> Result<Exit, Failure> {
    let figures = daemon.get("statistics").await?;
    // Figures are for programs first: their names and units are those of the API, in text as in JSON.
    screen.value(&figures, true);
    Ok(Exit::Done)
}
