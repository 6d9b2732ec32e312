//! The television: the display it hangs on, HDMI-CEC, and the keys of remote controls.

use super::Outcome;
use crate::config::Config;
use crate::tv::cec::quirks::Quirks;
use crate::tv::devices::remotes;
use crate::tv::displays;
use crate::tv::keymap::Map;
use cec_linux::{CecDevice, CecLogicalAddress, CecModeFollower, CecModeInitiator, CecOpcode, CecPhysicalAddress};
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
pub(super) fn cec(config: &Config) -> Outcome {
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
    let Some(path) = config.path("tv.cec.device").or_else(adapter) else {
        return Outcome::failure("there is no /dev/cec*", "this box's HDMI has no CEC, or its driver is missing: dmesg | grep -i cec");
    };
    let shown = path.display();
    let device = match CecDevice::open(&path) {
        Ok(device) => device,
        Err(e) => {
            return Outcome::failure(format!("{shown}: {e}"), "sudo residentctl doctor; the daemon's user must be in the group video");
        }
    };
    if device.get_phys().is_ok_and(|address| address == CecPhysicalAddress::INVALID) {
        return Outcome::failure(
            format!("{shown}: no television at the other end"),
            "check the HDMI cable, and that CEC is on in the television's menu",
        );
    }
    let own = device.get_log().ok().and_then(|log| log.addresses().first().copied());
    let Some(own) = own.filter(|own| *own != CecLogicalAddress::UnregisteredBroadcast) else {
        return Outcome::warning(
            format!("{shown}: there is a television, but we have no address on its bus"),
            "start residentd, which takes one",
        );
    };
    // The daemon may listen at the same time: we only ask, and hear nothing but our own answers.
    if let Err(e) = device.set_mode(CecModeInitiator::Send, CecModeFollower::RepliesOnly) {
        return Outcome::failure(format!("{shown}: another program keeps it to itself: {e}"), "end it (Kodi, cec-client)");
    }
    let asked = |what, answer| device.request_data(own, CecLogicalAddress::Tv, what, b"", answer).ok();
    let power = asked(CecOpcode::GiveDevicePowerStatus, CecOpcode::ReportPowerStatus).and_then(|data| data.first().copied());
    let vendor = asked(CecOpcode::GiveDeviceVendorId, CecOpcode::DeviceVendorId);
    let vendor = vendor.and_then(|data| Some(u32::from_be_bytes([0, *data.first()?, *data.get(1)?, *data.get(2)?])));
    judge_set(power, vendor, &Quirks::with(config.path("tv.cec.quirks").as_deref()))
}

/// The first adapter that is plugged into a television, else the first.
fn adapter() -> Option<PathBuf> {
    let names = std::fs::read_dir("/dev").ok()?.flatten().map(|e| e.path());
    let mut all: Vec<PathBuf> = names.filter(|p| p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("cec"))).collect();
    all.sort();
    // A television's own adapter (address 0.0.0.0) is none of ours.
    let plugged = |path: &&PathBuf| {
        let address = CecDevice::open(path).and_then(|device| device.get_phys());
        address.is_ok_and(|address| address != CecPhysicalAddress::INVALID && address.to_num() != 0)
    };
    all.iter().find(plugged).or(all.first()).cloned()
}

fn judge_set(power: Option<u8>, vendor: Option<u32>, quirks: &Quirks) -> Outcome {
    let maker = vendor.map_or_else(
        || "a television that does not say who made it".to_owned(),
        |vendor| {
            let name = quirks.profile(Some(vendor)).name;
            format!("{name} (vendor {vendor:06X})")
        },
    );
    let state = match power {
        Some(0) => "on",
        Some(1) => "standby",
        Some(2) => "waking up",
        Some(3) => "going to sleep",
        _ => "no answer about its power",
    };
    let says = format!("{maker}, {state}");
    // Sets that sleep deeply say nothing: a state of its own, not a fault.
    let outcome = match (power, vendor) {
        (None, None) => {
            Outcome::warning(says, "switch it on and try again; then look for CEC in its menu (Anynet+, Simplink, Bravia Sync, …)")
        }
        _ => Outcome::ok(says),
    };
    outcome.figure("power", power).figure("vendor", vendor)
}

/// Keys.
pub(super) fn keys(config: &Config) -> Outcome {
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
    let remotes = remotes(&Map::with(config.path("tv.keys.map").as_deref()));
    let wanted = config.list("tv.keys.devices");
    // Paths are not in this list: they are taken at their word.
    let named = |name: &str| wanted.is_empty() || wanted.iter().any(|w| name.contains(w.as_str()));
    let names: Vec<&str> = remotes.iter().map(|remote| remote.name.as_str()).filter(|name| named(name)).collect();
    let paths: Vec<&str> = wanted.iter().map(String::as_str).filter(|w| w.starts_with('/') && Path::new(w).exists()).collect();
    let all: Vec<&str> = names.into_iter().chain(paths).collect();
    match (all.is_empty(), driver) {
        (true, "cec") => {
            Outcome::warning("no remote control at the box; keys come over HDMI-CEC only", "connect its receiver, if there is one")
        }
        (true, _) => Outcome::failure(
            "there is no device with an OK key: nobody can answer",
            "connect the remote control's receiver; evtest shows what arrives",
        ),
        (false, _) => Outcome::ok(format!("keys come from {}", all.join(", "))),
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
        let quirks = Quirks::default();
        assert_eq!(judge_set(None, None, &quirks).verdict, Verdict::Warning);
        assert_eq!(judge_set(Some(1), None, &quirks).verdict, Verdict::Ok);
        let samsung = judge_set(Some(0), Some(0x0000_00F0), &quirks);
        assert!(samsung.verdict == Verdict::Ok && samsung.says.contains("0000F0") && samsung.says.contains("on"), "{samsung:?}");
    }

    #[test]
    fn a_technicians_television_is_called_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("quirks.toml");
        std::fs::write(&file, "[[tv]]\nvendor = \"00abcd\"\nname = \"the hall's projector\"\n").unwrap();
        let says = judge_set(Some(0), Some(0xabcd), &Quirks::with(Some(&file))).says;
        assert!(says.contains("the hall's projector (vendor 00ABCD), on"), "{says}");
    }

    #[test]
    fn what_is_switched_off_or_not_there_is_a_finding_with_a_next_step() {
        for (check, flag) in [(display as fn(&Config) -> Outcome, "tv.sink=none"), (cec, "tv.driver=none"), (keys, "tv.driver=none")] {
            let outcome = check(&config(&[flag]));
            assert!(outcome.verdict != Verdict::Ok && outcome.next.is_some(), "{outcome:?}");
        }
        let gone = cec(&config(&["tv.driver=cec", "tv.cec.device=/dev/cec-not-there"]));
        assert!(gone.verdict == Verdict::Failure && gone.says.contains("/dev/cec-not-there"), "{gone:?}");
        assert_eq!(cec(&config(&["tv.driver=lab"])).verdict, Verdict::Ok);
    }
}
