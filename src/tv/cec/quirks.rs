//! What is known of makers, as data: `quirks.toml`, and a technician's file of the same form on top of it.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

const BUILT_IN: &str = include_str!("quirks.toml");

/// What switches a television on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// Image View On.
    ImageViewOn,
    /// Text View On.
    TextViewOn,
    /// User Control Pressed 0x6D.
    PowerOnKey,
}

/// What its power status is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// True.
    Honest,
    /// It says "on" in standby too.
    AlwaysOn,
    /// It does not answer in standby.
    SilentInStandby,
}

/// What leaves our input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leave {
    /// Inactive Source.
    InactiveSource,
    /// Set Stream Path to the former input: not ours to send, but it works on some.
    SetStreamPath,
    /// Routing Change to it: likewise.
    RoutingChange,
}

/// How the volume is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Volume {
    /// It is told, and set by keys until it fits.
    Status,
    /// It is not told.
    Keys,
    /// It cannot be set.
    None,
}

/// How a maker's televisions behave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    /// For the journal.
    pub name: String,
    /// In this order.
    pub wake: Vec<Step>,
    /// Power status.
    pub status: Status,
    /// In this order.
    pub restore: Vec<Leave>,
    /// Volume.
    pub volume: Volume,
    /// For so long after switching on our input is claimed again.
    pub settle: Duration,
    /// For so long it is asked again to switch on.
    pub insist: Duration,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    vendor: String,
    name: Option<String>,
    wake: Option<Vec<Step>>,
    status: Option<Status>,
    restore: Option<Vec<Leave>>,
    volume: Option<Volume>,
    settle: Option<u16>,
    insist: Option<u16>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    tv: Vec<Entry>,
}

/// The table.
#[derive(Debug, Clone)]
pub struct Quirks {
    all: Entry,
    by_vendor: BTreeMap<u32, Entry>,
}

impl Default for Quirks {
    fn default() -> Self {
        let mut quirks = Quirks { all: Entry::default(), by_vendor: BTreeMap::new() };
        quirks.add(BUILT_IN).expect("the table in the sources is right, a test reads it");
        quirks
    }
}

impl Entry {
    fn over(&self, below: &Entry) -> Entry {
        Entry {
            vendor: self.vendor.clone(),
            name: self.name.clone().or(below.name.clone()),
            wake: self.wake.clone().or(below.wake.clone()),
            status: self.status.or(below.status),
            restore: self.restore.clone().or(below.restore.clone()),
            volume: self.volume.or(below.volume),
            settle: self.settle.or(below.settle),
            insist: self.insist.or(below.insist),
        }
    }
}

impl Quirks {
    /// The built-in table with this file on top of it, if there is one. A file that cannot be read or understood is left
    /// out and said so: the television is woken all the same.
    pub fn with(file: Option<&Path>) -> Quirks {
        let mut quirks = Quirks::default();
        let Some(file) = file else { return quirks };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return quirks,
            Err(e) => {
                log::warn!(MESSAGE_ID = crate::journal::messages::TABLE_REFUSED.id; "{} cannot be read: {e}; the built-in table of televisions is used", file.display());
                return quirks;
            }
        };
        let mut extended = quirks.clone();
        match extended.add(&text) {
            Ok(()) => quirks = extended,
            Err(why) => {
                log::warn!(MESSAGE_ID = crate::journal::messages::TABLE_REFUSED.id; "{}: {why}; the built-in table of televisions is used", file.display())
            }
        }
        quirks
    }

    /// Puts entries on top.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn add(&mut self, toml: &str) -> Result<(), String> {
        let file: File = toml::from_str(toml).map_err(|e| e.to_string())?;
        for entry in file.tv {
            if entry.vendor == "*" {
                self.all = entry.over(&self.all);
                continue;
            }
            let vendor = u32::from_str_radix(&entry.vendor, 16).ok().filter(|v| entry.vendor.len() == 6 && *v <= 0xff_ffff);
            let vendor = vendor.ok_or_else(|| format!("vendor {:?} is not six hexadecimal digits or \"*\"", entry.vendor))?;
            let below = self.by_vendor.remove(&vendor).unwrap_or_default();
            self.by_vendor.insert(vendor, entry.over(&below));
        }
        Ok(())
    }

    /// How televisions of this maker behave; of an unknown one, as most.
    pub fn profile(&self, vendor: Option<u32>) -> Profile {
        let own = vendor.and_then(|v| self.by_vendor.get(&v)).cloned().unwrap_or_default().over(&self.all);
        let seconds = |n: Option<u16>, default| Duration::from_secs(u64::from(n.unwrap_or(default)));
        Profile {
            name: own.name.unwrap_or_else(|| "television".into()),
            wake: own.wake.filter(|w| !w.is_empty()).unwrap_or_else(|| vec![Step::ImageViewOn]),
            status: own.status.unwrap_or(Status::Honest),
            restore: own.restore.unwrap_or_else(|| vec![Leave::InactiveSource]),
            volume: own.volume.unwrap_or(Volume::Status),
            settle: seconds(own.settle, 8),
            insist: seconds(own.insist, 60),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_table_is_right() {
        let quirks = Quirks::default();
        assert!(quirks.by_vendor.len() >= 12);
        assert_eq!(quirks.profile(None).name, "television");
        assert_eq!(quirks.profile(Some(0xabcdef)), quirks.profile(None));
        assert_eq!(quirks.profile(Some(0x0000f0)).status, Status::SilentInStandby);
        assert_eq!(quirks.profile(Some(0x0000f0)).wake, quirks.profile(None).wake, "what an entry leaves open is as for all");
        for vendor in quirks.by_vendor.keys() {
            let profile = quirks.profile(Some(*vendor));
            assert_eq!(profile.restore.first(), Some(&Leave::InactiveSource), "{}", profile.name);
        }
    }

    #[test]
    fn a_technicians_file_goes_on_top_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cec-quirks.toml");
        std::fs::write(
            &file,
            "[[tv]]\nvendor = \"0000F0\"\ninsist = 200\n[[tv]]\nvendor = \"123456\"\nname = \"Hotel\"\nstatus = \"always-on\"\n",
        )
        .unwrap();
        let quirks = Quirks::with(Some(&file));
        let samsung = quirks.profile(Some(0x0000f0));
        assert_eq!((samsung.insist, samsung.status), (Duration::from_secs(200), Status::SilentInStandby));
        assert_eq!(quirks.profile(Some(0x123456)).name, "Hotel");
    }

    #[test]
    fn a_broken_file_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("cec-quirks.toml");
        for broken in ["[[tv]]\nvendor = \"xyz\"", "[[tv]]\nvendor = \"0000f0\"\nwake = [\"hope\"]", "[[tv]]\nvendr = \"*\"", "= ="] {
            std::fs::write(&file, broken).unwrap();
            assert_eq!(Quirks::with(Some(&file)).profile(Some(0x0000f0)), Quirks::default().profile(Some(0x0000f0)), "{broken}");
        }
        assert_eq!(Quirks::with(Some(&dir.path().join("none.toml"))).profile(None), Quirks::default().profile(None));
    }
}
