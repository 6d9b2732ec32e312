//! The television: the display it hangs on, HDMI-CEC, and the keys of remote controls.

use super::local::root;
use super::{Outcome, Patient};
use crate::config::Config;
use crate::media::camera::device::{ANSWER_WITHIN, within};
use crate::tv::cec::device;
use crate::tv::cec::quirks::Quirks;
use crate::tv::devices::{self, Remote};
use crate::tv::keymap::Map;
use crate::tv::{displays, remotes};
use cec_linux::{CecDevice, CecLogicalAddress, CecModeFollower, CecModeInitiator, CecOpcode};
use std::io;
use std::path::{Path, PathBuf};

/// The display.
pub(super) fn display(config: &Config) -> Outcome {
    match config.text("tv.sink") {
        "kms" => {}
        "driver" => return Outcome::ok("pictures go through the television's driver (lab)"),
        "none" => return Outcome::failure("tv.sink is \"none\": nothing is shown", "set tv.sink = \"kms\""),
        other => return Outcome::warning(format!("pictures go to a {other}"), "on a box, set tv.sink = \"kms\""),
    }
    let wanted = crate::daemon::television(config).wanted;
    let all = match displays::list() {
        Ok(all) => all,
        Err(why) => return Outcome::failure(why, "the daemon's user must be in the groups video and render; see ls -l /dev/dri"),
    };
    match displays::choose(&all, &wanted) {
        Ok((display, mode)) => {
            let name = display.monitor.as_ref().map_or_else(String::new, |name| format!(" ({name})"));
            Outcome::ok(format!("{}{name}: {}x{} at {} Hz", display.connector, mode.width, mode.height, mode.rate))
        }
        Err(why) => {
            Outcome::failure(why, "check the HDMI cable; some televisions answer only when they are on: switch it on and try again")
        }
    }
}

/// HDMI-CEC: is there a television, of whom, and is it on.
pub(super) fn cec(patient: &Patient, config: &Config) -> Outcome {
    match config.text("tv.driver") {
        "cec" => {}
        "none" => {
            return Outcome::warning(
                "the television is not controlled: it is taken as on",
                "set tv.driver = \"cec\", so that it wakes and is put back",
            );
        }
        other => return Outcome::ok(format!("tv.driver is {other:?}: not a real television")),
    }
    let (path, own) = match on_the_bus(config) {
        Ok(reached) => reached,
        Err(outcome) => return outcome,
    };
    let shown = path.display().to_string();
    // The daemon keeps keys to itself, and rightly so; whether it runs, not everybody may ask.
    let no_daemon = patient.status.is_err() && root();
    match ask_set(&path, own, no_daemon) {
        Ok(set) => judge_set(&set, &shown, &Quirks::with(config.path("tv.cec.quirks").as_deref())),
        Err(e) if is_busy(&e) => Outcome::failure(format!("{shown}: another program keeps it to itself"), end_it(&shown)),
        Err(e) => Outcome::failure(format!("{shown}: {e}"), "check the adapter: dmesg | grep -i cec"),
    }
}

/// The adapter, and its address on a bus that has a television.
fn on_the_bus(config: &Config) -> Result<(PathBuf, CecLogicalAddress), Outcome> {
    let Some(adapter) = device::adapter_for(config.path("tv.cec.device")) else {
        let next = "plug in its USB adapter; without one this box's HDMI has no CEC, or its driver is missing: dmesg | grep -i cec";
        return Err(Outcome::failure("there is no HDMI-CEC adapter (/dev/cec*)", next));
    };
    let shown = adapter.path.display();
    if let Some(trouble) = &adapter.trouble {
        let next = match trouble.as_str() {
            device::HANGS => "plug it in again, or restart the box; dmesg | grep -i cec",
            _ => "is it plugged in, and is tv.cec.device right (residentctl devices)? without root: sudo residentctl doctor",
        };
        return Err(Outcome::failure(format!("{shown}: {trouble}"), next));
    }
    // An adapter that cannot know where it is plugged in gets told by the daemon.
    if adapter.physical.is_none() && config.text("tv.cec.address").is_empty() {
        return Err(Outcome::failure(
            format!("{shown}: no television at the other end"),
            "check the HDMI cable, and that CEC is on in the television's menu",
        ));
    }
    let Some(own) = adapter.logical.and_then(|n| CecLogicalAddress::try_from(n).ok()) else {
        return Err(Outcome::warning(
            format!("{shown}: there is a television, but we have no address on its bus"),
            "start residentd, which takes one",
        ));
    };
    Ok((adapter.path, own))
}

/// The next step where another program has a device.
fn end_it(device: &str) -> String {
    format!("end it (Kodi, cec-client, …): sudo fuser -v {device} names it")
}

fn is_busy(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::ResourceBusy
}

/// What a television says of itself.
#[derive(Debug, Clone, Copy, Default)]
struct Set {
    /// Anything at all, if only that it does not know the question.
    answers: bool,
    power: Option<u8>,
    vendor: Option<u32>,
    /// Another program gets all that it says by itself, such as keys.
    taken: bool,
}

/// Asks it. The daemon may listen at the same time: we only ask, and hear nothing but our own answers. Without a daemon it is tried
/// whether the keys can be had.
fn ask_set(path: &Path, own: CecLogicalAddress, no_daemon: bool) -> io::Result<Set> {
    let device = CecDevice::open(path)?;
    let taken = no_daemon && device.set_mode(CecModeInitiator::Send, CecModeFollower::Exclusive).is_err_and(|e| is_busy(&e));
    device.set_mode(CecModeInitiator::Send, CecModeFollower::RepliesOnly)?;
    let ask = |question, answer| match device.request_data(own, CecLogicalAddress::Tv, question, b"", answer) {
        Err(e) if e.raw_os_error().is_some() => Err(e),
        // It was not there, or said nothing in time: some kernels call that an answer without content.
        answer => Ok(answer.ok().filter(|data| !data.is_empty())),
    };
    let power = ask(CecOpcode::GiveDevicePowerStatus, CecOpcode::ReportPowerStatus)?;
    let vendor = ask(CecOpcode::GiveDeviceVendorId, CecOpcode::DeviceVendorId)?;
    Ok(Set {
        answers: power.is_some() || vendor.is_some(),
        // Not knowing the question is told in two bytes.
        power: power.and_then(|data| <[u8; 1]>::try_from(data).ok()).map(|[power]| power).filter(|power| *power <= 3),
        vendor: vendor.and_then(|data| <[u8; 3]>::try_from(data).ok()).map(|[a, b, c]| u32::from_be_bytes([0, a, b, c])),
        taken,
    })
}

fn judge_set(set: &Set, device: &str, quirks: &Quirks) -> Outcome {
    if !set.answers {
        // Those that sleep deeply do so, too: no failure.
        return Outcome::warning(
            format!("{device}: there is a television, but it answers nothing"),
            "switch it on and try again; then look for CEC in its menu (Anynet+, Simplink, Bravia Sync, …)",
        );
    }
    let maker = set.vendor.map_or_else(
        || "a television that does not say who made it".to_owned(),
        |vendor| {
            let name = quirks.profile(Some(vendor)).name;
            format!("{name} (vendor {vendor:06X})")
        },
    );
    let state = match set.power {
        Some(0) => "on",
        Some(1) => "standby",
        Some(2) => "waking up",
        Some(3) => "going to sleep",
        _ => "does not say whether it is on",
    };
    let says = format!("{maker}, {state}");
    let outcome = if set.taken {
        Outcome::warning(format!("{says}; another program keeps the keys of its remote control to itself"), end_it(device))
    } else if set.power.is_none() {
        Outcome::warning(says, "switch it on and try again; if it never says, see tv.cec.quirks in docs/television.md")
    } else {
        Outcome::ok(says)
    };
    outcome.figure("power", set.power).figure("vendor", set.vendor)
}

/// Keys.
pub(super) fn keys(patient: &Patient, config: &Config) -> Outcome {
    let driver = config.text("tv.driver");
    if driver == "lab" {
        return Outcome::ok("keys come from the lab's remote control");
    }
    if !config.flag("tv.keys.enabled") {
        return match driver {
            "cec" => Outcome::ok("the keys of the television's own remote control come over HDMI-CEC"),
            _ => Outcome::failure(
                "no remote control is listened to: nobody can answer",
                "set tv.keys.enabled = true, or tv.driver = \"cec\"",
            ),
        };
    }
    let (mut free, mut troubles) = (Vec::new(), Vec::new());
    for remote in wanted_remotes(config) {
        match trouble(&remote, is_shown(patient)) {
            Some(trouble) => troubles.push(trouble),
            None => free.push(remote.name),
        }
    }
    judge_keys(&free, &troubles, driver == "cec")
}

/// The remote controls that the daemon listens to: those of the kernel's list, and those that the configuration names by their paths,
/// which are taken at their word.
fn wanted_remotes(config: &Config) -> Vec<Remote> {
    let wanted = config.list("tv.keys.devices");
    let (paths, names): (Vec<&String>, Vec<&String>) = wanted.iter().partition(|wanted| wanted.starts_with('/'));
    let mut all = devices::remotes(&Map::with(config.path("tv.keys.map").as_deref()));
    all.retain(|remote| wanted.is_empty() || names.iter().any(|name| remote.name.contains(name.as_str())));
    let there = paths.into_iter().filter(|path| Path::new(path).exists());
    all.extend(there.map(|path| Remote { name: path.clone(), path: Some(path.into()), bus: "by its path" }));
    all
}

/// Whether a screen of ours is shown, and so the daemon keeps the remotes to itself. Not everybody may ask it.
fn is_shown(patient: &Patient) -> bool {
    let phase = patient.status.as_ref().ok().and_then(|status| status["phase"].as_str());
    !root() || phase.is_some_and(|phase| !matches!(phase, "idle" | "stopped"))
}

/// Why its keys do not arrive, and the next step.
fn trouble(remote: &Remote, shown: bool) -> Option<(String, String)> {
    let path = remote.path.clone()?;
    let device = path.display().to_string();
    match within(ANSWER_WITHIN, move || remotes::is_taken(&path)) {
        None => Some((format!("the driver of {} does not return", remote.name), format!("plug {device} in again, or restart the box"))),
        Some(true) if !shown => Some((format!("another program keeps {} to itself", remote.name), end_it(&device))),
        Some(_) => None,
    }
}

fn judge_keys(free: &[String], troubles: &[(String, String)], cec: bool) -> Outcome {
    let keys = match (free, cec) {
        ([], true) => "keys come over HDMI-CEC only".to_owned(),
        ([], false) => "nobody can answer".to_owned(),
        (free, _) => format!("keys come from {}", free.join(", ")),
    };
    if let Some((_, next)) = troubles.first() {
        let found: Vec<&str> = troubles.iter().map(|(found, _)| found.as_str()).collect();
        let says = format!("{}: {keys}", found.join("; "));
        return if free.is_empty() && !cec { Outcome::failure(says, next) } else { Outcome::warning(says, next) };
    }
    match (free, cec) {
        ([], true) => Outcome::warning(format!("no remote control at the box; {keys}"), "connect its receiver, if there is one"),
        ([], false) => Outcome::failure(
            format!("there is no device with an OK key: {keys}"),
            "connect the remote control's receiver; evtest shows what arrives",
        ),
        _ => Outcome::ok(keys),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Verdict;
    use super::*;
    use crate::config::Sources;

    fn config(flags: &[&str]) -> Config {
        Config::load(&Sources { flags: flags.iter().map(ToString::to_string).collect(), ..Default::default() }).unwrap()
    }

    #[test]
    fn a_set_that_says_nothing_is_a_warning_and_one_that_sleeps_is_none() {
        let judge = |set: Set| judge_set(&set, "/dev/cec0", &Quirks::default());
        assert_eq!(judge(Set::default()).verdict, Verdict::Warning);
        assert_eq!(judge(Set { answers: true, power: Some(1), ..Set::default() }).verdict, Verdict::Ok);
        let samsung = judge(Set { answers: true, power: Some(0), vendor: Some(0x0000_00F0), taken: false });
        assert!(samsung.verdict == Verdict::Ok && samsung.says.contains("0000F0") && samsung.says.contains("on"), "{samsung:?}");
    }

    #[test]
    fn a_technicians_television_is_called_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("quirks.toml");
        std::fs::write(&file, "[[tv]]\nvendor = \"00abcd\"\nname = \"the hall's projector\"\n").unwrap();
        let set = Set { answers: true, power: Some(0), vendor: Some(0xabcd), taken: false };
        let says = judge_set(&set, "/dev/cec0", &Quirks::with(Some(&file))).says;
        assert!(says.contains("the hall's projector (vendor 00ABCD), on"), "{says}");
    }

    #[test]
    fn what_is_switched_off_or_not_there_is_a_finding_with_a_next_step() {
        let patient = Patient { config: Err("not asked".into()), status: Err("nobody".into()), call: Default::default() };
        let (driver, sink) = (config(&["tv.driver=none"]), config(&["tv.sink=none"]));
        for outcome in [display(&sink), cec(&patient, &driver), keys(&patient, &driver)] {
            assert!(outcome.verdict != Verdict::Ok && outcome.next.is_some(), "{outcome:?}");
        }
        let gone = cec(&patient, &config(&["tv.driver=cec", "tv.cec.device=/dev/cec-not-there"]));
        assert!(gone.verdict == Verdict::Failure && gone.says.contains("/dev/cec-not-there"), "{gone:?}");
        assert_eq!(cec(&patient, &config(&["tv.driver=lab"])).verdict, Verdict::Ok);
    }
}
