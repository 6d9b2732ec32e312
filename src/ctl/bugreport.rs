//! `bugreport`: one archive with everything that helps somebody who is far away, and without what is none of their
//! business. What was taken out is told, in the archive and on the screen; then the archive is read back and looked
//! through for every secret that is known on this box.

use super::client::Daemon;
use super::doctor::{self, Choice};
use super::exit::{Exit, Failure};
use super::screen::Screen;
use super::scrub::Scrub;
use super::version;
use crate::config::{Config, Mistakes, credential_places};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Of each part: the end counts, where the newest stands.
const LARGEST: usize = 4 * 1024 * 1024;
/// For each program that is asked.
const PATIENCE: Duration = Duration::from_secs(15);

/// Makes the archive.
///
/// # Errors
/// When it cannot be written, or a secret was found in it: then it is deleted again.
pub async fn run(
    screen: &mut Screen,
    daemon: &Daemon,
    loaded: Result<Config, Mistakes>,
    output: Option<PathBuf>,
    devices: bool,
) -> Result<Exit, Failure> {
    let mut scrub = Scrub::default();
    let config = loaded.as_ref().ok().cloned();
    know_secrets(&mut scrub, config.as_ref());
    let status = daemon.get("status").await;
    let calls = daemon.get("calls?limit=200").await;
    for answer in [&status, &calls].into_iter().flatten() {
        know_people(&mut scrub, answer);
    }
    if let Some(name) = config.as_ref().map(|c| c.text("line.chatta.username")) {
        scrub.person(name);
    }

    let pretty = |value: &Value| serde_json::to_string_pretty(value).unwrap_or_default();
    let mut parts: Vec<(String, String)> = vec![
        ("versions.json".into(), pretty(&Value::Object(version::versions(status.as_ref().ok())))),
        ("configuration.txt".into(), loaded.as_ref().map_or_else(ToString::to_string, Config::show)),
    ];
    for (name, answer) in [("status.json", status), ("calls.json", calls), ("statistics.json", daemon.get("statistics").await)] {
        parts.push((name.into(), answer.map_or_else(|failure| failure.says, |value| pretty(&value))));
    }
    let skip = if devices { Vec::new() } else { ["camera", "microphone", "speaker"].map(str::to_owned).to_vec() };
    let choice = Choice { only: Vec::new(), skip };
    let findings = screen.during("examining the box", doctor::examine(daemon, loaded, &choice, |_| {})).await;
    parts.push(("doctor.json".into(), pretty(&doctor::report(&findings))));
    for (name, command) in PROGRAMS {
        let text = screen.during(&format!("collecting {name}"), ask(command)).await;
        parts.push(((*name).into(), text));
    }
    for (name, path) in FILES {
        if let Ok(text) = std::fs::read_to_string(path) {
            parts.push(((*name).into(), text));
        }
    }

    let parts: Vec<(String, String)> = parts.into_iter().map(|(name, text)| (name, scrub.clean(last(&text)))).collect();
    let removed: Vec<String> = scrub.counts.iter().map(|(kind, n)| format!("{n} x {kind}")).collect();
    let removed = if removed.is_empty() { "nothing had to be".to_owned() } else { removed.join(", ") };
    let readme = format!(
        "Report of residentd, {}.\n\nRemoved from all files: {removed}.\nThe same person or address has the same stand-in everywhere. \
         Private network addresses are kept.\n",
        jiff::Timestamp::now()
    );
    let path = output.unwrap_or_else(|| {
        let name = format!("residentd-report-{}.tar.gz", jiff::Zoned::now().strftime("%Y%m%d-%H%M%S"));
        std::env::temp_dir().join(name)
    });
    let failed = |e: std::io::Error| Failure::new(Exit::Failed, format!("{} cannot be written: {e}", path.display()));
    write(&path, [("README.txt".to_owned(), readme)].iter().chain(&parts)).map_err(failed)?;
    let found = look_through(&path, &scrub).map_err(failed)?;
    if found > 0 {
        let _ = std::fs::remove_file(&path);
        return Err(Failure::new(Exit::Failed, "a secret was found in the archive, which was deleted again; please report this"));
    }
    let root = crate::health::doctor::is_root();
    if screen.json {
        let files: Vec<&String> = parts.iter().map(|(name, _)| name).collect();
        screen.value(
            &json!({ "archive": path, "files": files, "removed": scrub.counts, "secrets_known": scrub.known(), "secrets_found": found }),
            true,
        );
        return Ok(Exit::Done);
    }
    screen.field("archive", &path.display().to_string());
    screen.field("removed", &removed);
    screen.field("checked", &format!("read back: none of {} spellings of the secrets known here is in it", scrub.known()));
    if !root {
        screen.field("note", "as root (sudo) it would also hold the journal, and the credentials would be looked for");
    }
    Ok(Exit::Done)
}

/// What is asked for more.
const PROGRAMS: &[(&str, &[&str])] = &[
    ("journal.txt", &["journalctl", "-u", "residentd", "--since", "-2days", "--no-pager", "-o", "short-iso-precise"]),
    ("kernel.txt", &["journalctl", "-k", "-b", "--no-pager", "-o", "short-iso"]),
    ("unit.txt", &["systemctl", "cat", "residentd.service", "--no-pager"]),
    ("unit-state.txt", &["systemctl", "show", "residentd.service", "--no-pager"]),
    ("network.txt", &["ip", "address"]),
    ("routes.txt", &["ip", "route"]),
    ("disk.txt", &["df", "-h"]),
    ("usb.txt", &["lsusb"]),
    ("sound.txt", &["aplay", "-l"]),
];

/// Files that are taken as they are.
const FILES: &[(&str, &str)] = &[
    ("memory.txt", "/proc/meminfo"),
    ("processor.txt", "/proc/cpuinfo"),
    ("load.txt", "/proc/loadavg"),
    ("input.txt", "/proc/bus/input/devices"),
    ("cards.txt", "/proc/asound/cards"),
    ("resolver.txt", "/etc/resolv.conf"),
    ("system.txt", "/etc/os-release"),
];

async fn ask(command: &[&str]) -> String {
    let Some((program, arguments)) = command.split_first() else { return String::new() };
    let mut asked = tokio::process::Command::new(program);
    asked.args(arguments).env("LC_ALL", "C").stdin(std::process::Stdio::null()).kill_on_drop(true);
    match tokio::time::timeout(PATIENCE, asked.output()).await {
        Ok(Ok(output)) => String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr),
        Ok(Err(e)) => format!("{program}: {e}"),
        Err(_) => format!("{program}: no answer within {} s", PATIENCE.as_secs()),
    }
}

/// The end of a text that is too long.
fn last(text: &str) -> &str {
    let mut from = text.len().saturating_sub(LARGEST);
    while !text.is_char_boundary(from) {
        from += 1;
    }
    &text[from..]
}

fn know_secrets(scrub: &mut Scrub, config: Option<&Config>) {
    let named = ["line.chatta.password_file", "line.chatta.token_file"].into_iter().filter_map(|key| config.and_then(|c| c.path(key)));
    let names = ["chatta-password", "chatta-token", "chatta-password.plain", "chatta-token.plain"];
    let placed = credential_places().flat_map(|place| names.map(|name| place.join(name)));
    for file in named.chain(placed) {
        if let Ok(text) = std::fs::read_to_string(&file).map(zeroize::Zeroizing::new) {
            let kind = if file.to_string_lossy().contains("token") { "token" } else { "password" };
            scrub.secret(kind, text.trim());
        }
    }
}

/// Callers, wherever they stand in an answer.
fn know_people(scrub: &mut Scrub, value: &Value) {
    match value {
        Value::Object(members) => {
            if let Some(caller) = members.get("caller") {
                ["name", "username", "photo"].iter().filter_map(|key| caller[*key].as_str()).for_each(|name| scrub.person(name));
            }
            members.values().for_each(|member| know_people(scrub, member));
        }
        Value::Array(items) => items.iter().for_each(|item| know_people(scrub, item)),
        _ => {}
    }
}

fn write<'a>(path: &Path, parts: impl Iterator<Item = &'a (String, String)>) -> std::io::Result<()> {
    let file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let mut archive = tar::Builder::new(GzEncoder::new(file, Compression::default()));
    let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or(0);
    for (name, text) in parts {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o600);
        header.set_mtime(now);
        archive.append_data(&mut header, format!("residentd-report/{name}"), text.as_bytes())?;
    }
    archive.into_inner()?.finish()?.flush()
}

/// How many known secrets are in the archive as it lies there.
fn look_through(path: &Path, scrub: &Scrub) -> std::io::Result<usize> {
    let mut content = Vec::new();
    GzDecoder::new(std::fs::File::open(path)?).read_to_end(&mut content)?;
    Ok(scrub.found_in(&content))
}
