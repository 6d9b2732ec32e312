//! The box itself: configuration, daemon, unit, clock, disk, memory, versions.

use super::{Outcome, Patient, Planned, ask, planned};
use crate::config::{Config, credential_places};
use serde_json::Value;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

const SLOW: &str = "the box is overloaded or a file system hangs: look at dmesg and at the load";

pub(super) fn plan(patient: &Arc<Patient>) -> Vec<Planned> {
    let p = || patient.clone();
    let (a, b, c, d) = (p(), p(), p(), p());
    vec![
        planned("configuration", 5, SLOW, async move { configuration(&a.config) }),
        planned("daemon", 5, SLOW, async move { daemon(&b.status) }),
        planned("unit", 20, SLOW, unit()),
        planned("versions", 5, SLOW, async move { versions(&c.status) }),
        planned("clock", 20, "the platform does not tell the time: see rest", clock(p())),
        planned("disk", 10, SLOW, super::blocking(move || disk(d.config.as_ref().ok()))),
        planned("memory", 5, SLOW, async { memory(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default()) }),
    ]
}

fn configuration(config: &Result<Config, String>) -> Outcome {
    let config = match config {
        Ok(config) => config,
        Err(mistakes) => return Outcome::failure(mistakes.clone(), "correct the files named here, then residentctl config check"),
    };
    if !config.flag("line.chatta.enabled") {
        return Outcome::failure("no line is enabled: nobody can call", "sudo residentctl provision");
    }
    let named = ["line.chatta.password_file", "line.chatta.token_file"].iter().filter_map(|key| config.path(key));
    let places = credential_places().flat_map(|place| {
        let names = ["chatta-password", "chatta-token", "chatta-password.plain", "chatta-token.plain"];
        names.map(|name| place.join(name))
    });
    for file in named.chain(places) {
        match std::fs::metadata(&file) {
            Ok(meta) if meta.permissions().mode() & 0o077 != 0 && !file.starts_with("/run/credentials") => {
                return Outcome::warning(format!("{} can be read by others", file.display()), format!("sudo chmod 600 {}", file.display()));
            }
            Ok(meta) if meta.len() > 1 => return Outcome::ok("right, and there is a credential that only root and the daemon can read"),
            _ => {}
        }
    }
    if root() {
        Outcome::failure("right, but there is neither password nor token", "sudo residentctl provision")
    } else {
        Outcome::warning("right; whether there is a password or a token cannot be seen without root", "sudo residentctl doctor")
    }
}

/// Whether this process may look everywhere.
pub(super) fn root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn daemon(status: &Result<Value, String>) -> Outcome {
    let status = match status {
        Ok(status) => status,
        Err(why) => return Outcome::failure(why.clone(), "sudo systemctl restart residentd; then journalctl -u residentd -e"),
    };
    let lines: Vec<_> = status["lines"].as_object().into_iter().flatten().collect();
    if lines.is_empty() {
        return Outcome::failure("it runs, but has no line: nobody can call", "sudo residentctl provision");
    }
    let offline: Vec<String> = lines
        .iter()
        .filter(|(_, line)| line["state"] != "online")
        .map(|(name, line)| {
            format!("line {name} is {}: {}", line["state"].as_str().unwrap_or("?"), line["why"].as_str().unwrap_or("no reason yet"))
        })
        .collect();
    if offline.is_empty() {
        Outcome::ok(format!("it runs, and {} online: calls can arrive", if lines.len() == 1 { "its line is" } else { "its lines are" }))
    } else {
        Outcome::failure(offline.join("; "), "the checks of the network below say which part it is")
    }
}

fn versions(status: &Result<Value, String>) -> Outcome {
    let own = env!("CARGO_PKG_VERSION");
    let (major, minor, ..) = gstreamer::version();
    let known = format!("residentctl {own}, GStreamer {major}.{minor}");
    match status.as_ref().ok().and_then(|s| s["version"].as_str()) {
        Some(daemon) if daemon != own => Outcome::warning(
            format!("residentctl is {own}, but the running daemon {daemon}"),
            "sudo systemctl restart residentd, so that the installed one runs",
        ),
        _ if (major, minor) < (1, 22) => Outcome::failure(format!("{known}, but GStreamer 1.22 is needed"), "install a newer GStreamer"),
        Some(daemon) => Outcome::ok(format!("residentd {daemon}, {known}")),
        None => Outcome::ok(format!("{known}; that of the daemon is not known")),
    }
}

/// The exposure that `systemd-analyze security` may give at most.
const EXPOSURE: f64 = 2.0;

async fn unit() -> Outcome {
    let properties = "--property=LoadState,ActiveState,SubState,NRestarts,WatchdogUSec,UnitFileState";
    let shown = match ask("systemctl", &["show", "residentd.service", properties]).await {
        Ok(shown) => shown,
        Err(why) => return Outcome::skipped(format!("systemd does not answer ({why})")),
    };
    let of = |name: &str| shown.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix('=')).unwrap_or_default().to_owned();
    if of("LoadState") != "loaded" {
        return Outcome::skipped("there is no residentd.service here: the daemon is run in another way");
    }
    let (active, sub, restarts) = (of("ActiveState"), of("SubState"), of("NRestarts").parse::<u64>().unwrap_or(0));
    if active != "active" {
        return Outcome::failure(
            format!("residentd.service is {active} ({sub})"),
            "sudo systemctl start residentd; then journalctl -u residentd -e",
        );
    }
    let exposure = ask("systemd-analyze", &["security", "--no-pager", "residentd.service"]).await.ok().and_then(|text| overall(&text));
    let says = format!(
        "active, {restarts} restarts, exposure {}",
        exposure.map_or_else(|| "not known".to_owned(), |exposure| format!("{exposure:.1}"))
    );
    let outcome = match exposure {
        Some(exposure) if exposure > EXPOSURE => {
            Outcome::warning(says, format!("a drop-in weakens it beyond {EXPOSURE}: systemctl cat residentd"))
        }
        _ if restarts > 0 => Outcome::warning(says, "journalctl -u residentd -p warning says why it was started again"),
        _ if of("UnitFileState") == "disabled" => Outcome::warning(format!("{says}, but not enabled"), "sudo systemctl enable residentd"),
        _ => Outcome::ok(says),
    };
    outcome.figure("restarts", restarts).figure("exposure", exposure)
}

/// The figure at the end of `systemd-analyze security`.
fn overall(text: &str) -> Option<f64> {
    let line = text.lines().rev().find(|line| line.contains("Overall exposure level"))?;
    line.split(':').nth(1)?.split_whitespace().next()?.parse().ok()
}

async fn clock(patient: Arc<Patient>) -> Outcome {
    let synchronised = match ask("timedatectl", &["show", "--property=NTPSynchronized", "--value"]).await {
        Ok(text) => Some(text.trim() == "yes"),
        Err(_) if Path::new("/run/systemd/timesync/synchronized").exists() => Some(true),
        Err(_) => None,
    };
    let server = match &patient.config {
        Ok(config) => super::network::time_of_platform(config).await,
        Err(_) => None,
    };
    judge_clock(synchronised, server.map(|server| jiff::Timestamp::now().as_second() - server))
}

/// `offset`: seconds that our clock is ahead of the platform's.
fn judge_clock(synchronised: Option<bool>, offset: Option<i64>) -> Outcome {
    let next = "set up time synchronisation: sudo timedatectl set-ntp true; UDP port 123 must not be blocked";
    let words = match synchronised {
        Some(true) => "synchronised",
        Some(false) => "not synchronised",
        None => "nothing says whether it is synchronised",
    };
    let outcome = match offset {
        Some(offset) if offset.abs() > 120 => Outcome::failure(
            format!("{words}, and {} s away from the platform's: tokens and certificates will be refused", offset.abs()),
            next,
        ),
        Some(offset) if offset.abs() > 10 => Outcome::warning(format!("{words}, and {} s away from the platform's", offset.abs()), next),
        Some(_) if synchronised == Some(true) => Outcome::ok("synchronised, and that of the platform"),
        Some(_) => Outcome::warning(format!("right, compared with the platform's, but {words}"), next),
        None if synchronised == Some(true) => Outcome::ok("synchronised; the platform's could not be asked"),
        None => Outcome::warning(format!("{words}, and the platform's could not be asked"), next),
    };
    outcome.figure("offset_s", offset)
}

fn disk(config: Option<&Config>) -> Outcome {
    let directory = config.map_or_else(|| PathBuf::from("/var/lib/residentd"), crate::daemon::state_directory);
    let shown = directory.display();
    match std::fs::metadata(&directory) {
        Ok(meta) if !meta.is_dir() => {
            return Outcome::failure(
                format!("{shown} is no directory: calls go on, but nothing is kept"),
                format!("sudo rm {shown}, then restart residentd"),
            );
        }
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            return Outcome::warning(format!("{shown} cannot be looked into"), "sudo residentctl doctor");
        }
        Err(e) => {
            let next = "start residentd, which makes it; if it cannot, the file system is read-only or missing";
            return Outcome::failure(format!("{shown} is not there ({e}): calls go on, but nothing is kept"), next);
        }
    }
    match rustix::fs::statvfs(&directory) {
        Ok(fs) if fs.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY) => {
            Outcome::failure(format!("{shown} is on a read-only file system: nothing is kept"), "mount it writable, or set state.directory")
        }
        Ok(fs) => judge_disk(&shown.to_string(), fs.f_bavail * fs.f_frsize, fs.f_favail),
        Err(e) => Outcome::failure(format!("{shown} cannot be measured: {e}"), "check the file system: dmesg, mount"),
    }
}

const MIB: u64 = 1024 * 1024;

fn judge_disk(directory: &str, free: u64, nodes: u64) -> Outcome {
    let says = format!("{} MiB free for {directory}", free / MIB);
    let next = "make room: journalctl --vacuum-size=50M; du -xsh /var/*";
    let outcome = match free {
        0..=MIB => Outcome::failure(format!("{directory} is full: calls go on, but the call log is not kept"), next),
        _ if nodes < 16 => Outcome::failure(format!("{directory} has no room for further files"), next),
        free if free < 32 * MIB => Outcome::warning(says, next),
        _ => Outcome::ok(says),
    };
    outcome.figure("free_bytes", free)
}

fn memory(meminfo: &str) -> Outcome {
    let of = |name: &str| {
        let line = meminfo.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    };
    let Some(free) = of("MemAvailable") else {
        return Outcome::skipped("the system does not tell how much memory is free");
    };
    let says = format!("{} MiB free of {}", free / 1024, of("MemTotal").unwrap_or(0) / 1024);
    // A call of 720p takes about 70 MiB with software codecs.
    let outcome = match free / 1024 {
        0..=79 => Outcome::failure(format!("{says}: too little for a call"), "end other programs, or add swap (zram): ps aux --sort=-rss"),
        80..=159 => Outcome::warning(says, "little for a call: see which programs take it: ps aux --sort=-rss"),
        _ => Outcome::ok(says),
    };
    outcome.figure("free_bytes", free * 1024)
}

/// How long the platform may take to tell the time.
pub(super) const TIME: Duration = Duration::from_secs(8);

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use serde_json::json;

    #[test]
    fn a_clock_that_is_wrong_fails_and_one_that_only_drifts_warns() {
        for (synchronised, offset, verdict) in [
            (Some(true), Some(1), Verdict::Ok),
            (Some(true), None, Verdict::Ok),
            (Some(true), Some(-400), Verdict::Failure),
            (Some(false), Some(0), Verdict::Warning),
            (None, Some(60), Verdict::Warning),
            (None, None, Verdict::Warning),
        ] {
            assert_eq!(judge_clock(synchronised, offset).verdict, verdict, "{synchronised:?} {offset:?}");
        }
    }

    #[test]
    fn a_full_disk_fails_and_a_nearly_full_one_warns() {
        let verdicts = [(0, 9999), (900 * MIB, 3), (20 * MIB, 9999), (900 * MIB, 9999)].map(|(free, n)| judge_disk("/x", free, n).verdict);
        assert_eq!(verdicts, [Verdict::Failure, Verdict::Failure, Verdict::Warning, Verdict::Ok]);
    }

    #[test]
    fn memory_is_read_as_the_kernel_writes_it() {
        let text = |free: u64| format!("MemTotal:        2031616 kB\nMemFree: 1 kB\nMemAvailable:    {} kB\n", free * 1024);
        assert_eq!([20, 100, 900].map(|free| memory(&text(free)).verdict), [Verdict::Failure, Verdict::Warning, Verdict::Ok]);
        assert_eq!(memory("").verdict, Verdict::Skipped);
    }

    #[test]
    fn the_exposure_is_read_from_the_last_line() {
        assert_eq!(overall("x\n\u{2192} Overall exposure level for residentd.service: 1.5 OK :-)\n"), Some(1.5));
        assert_eq!(overall(""), None);
    }

    #[test]
    fn a_line_that_is_offline_is_a_failure_in_its_own_words() {
        let status = json!({"lines": {"chatta": {"state": "offline", "why": "the login was refused"}}});
        let outcome = daemon(&Ok(status));
        assert!(outcome.verdict == Verdict::Failure && outcome.says.contains("the login was refused"));
        assert_eq!(daemon(&Ok(json!({"lines": {"chatta": {"state": "online"}}}))).verdict, Verdict::Ok);
        assert_eq!(daemon(&Ok(json!({"lines": {}}))).verdict, Verdict::Failure);
        assert_eq!(daemon(&Err("nobody".into())).verdict, Verdict::Failure);
    }

    #[test]
    fn another_version_than_the_installed_one_is_a_warning() {
        assert_eq!(versions(&Ok(json!({"version": "0.0.1"}))).verdict, Verdict::Warning);
        assert_eq!(versions(&Ok(json!({"version": env!("CARGO_PKG_VERSION")}))).verdict, Verdict::Ok);
    }
}
