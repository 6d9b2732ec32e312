//! Which key of which remote means what: `keys.toml`, and a technician's file of the same form on top of it.

use super::keys::Key;
use evdev::KeyCode;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

const BUILT_IN: &str = include_str!("keys.toml");

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    evdev: Vec<String>,
    #[serde(default)]
    cec: Vec<u8>,
}

/// The map. `None` in it: ignored.
#[derive(Debug, Clone)]
pub struct Map {
    evdev: HashMap<u16, Option<Key>>,
    cec: HashMap<u8, Option<Key>>,
}

impl Default for Map {
    fn default() -> Self {
        let mut map = Map { evdev: HashMap::new(), cec: HashMap::new() };
        map.add(BUILT_IN).expect("the map in the sources is right, a test reads it");
        map
    }
}

impl Map {
    /// The built-in map with this file on top of it, if there is one. A file that cannot be read or understood is left
    /// out and said so: some keys are better than none.
    pub fn with(file: Option<&Path>) -> Map {
        let mut map = Map::default();
        let Some(file) = file else { return map };
        let text = match std::fs::read_to_string(file) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return map,
            Err(e) => {
                log::warn!(MESSAGE_ID = crate::journal::messages::TABLE_REFUSED.id; "{} cannot be read: {e}; the built-in map of keys is used", file.display());
                return map;
            }
        };
        let mut extended = map.clone();
        match extended.add(&text) {
            Ok(()) => map = extended,
            Err(why) => {
                log::warn!(MESSAGE_ID = crate::journal::messages::TABLE_REFUSED.id; "{}: {why}; the built-in map of keys is used", file.display())
            }
        }
        map
    }

    /// Puts entries on top.
    ///
    /// # Errors
    /// What is wrong, and where.
    pub fn add(&mut self, toml: &str) -> Result<(), String> {
        let file: BTreeMap<String, Entry> = toml::from_str(toml).map_err(|e| e.to_string())?;
        for (name, entry) in file {
            let key = match name.as_str() {
                "ignored" => None,
                name => Some(Key::by_name(name).ok_or_else(|| format!("there is no key {name:?}"))?),
            };
            for name in entry.evdev {
                let code: KeyCode = name.parse().map_err(|_| format!("the kernel has no key {name:?}"))?;
                self.evdev.insert(code.code(), key);
            }
            self.cec.extend(entry.cec.into_iter().map(|operand| (operand, key)));
        }
        Ok(())
    }

    /// What a kernel's key means; `None`: nothing.
    pub fn of_evdev(&self, code: KeyCode) -> Option<Key> {
        self.evdev.get(&code.code()).copied().unwrap_or(Some(Key::Other))
    }

    /// What a CEC operand means; `None`: nothing.
    pub fn of_cec(&self, operand: u8) -> Option<Key> {
        self.cec.get(&operand).copied().unwrap_or(Some(Key::Other))
    }

    /// Whether a device with these keys can be a remote control: it can at least say yes or no.
    pub fn is_remote(&self, keys: impl IntoIterator<Item = KeyCode>) -> bool {
        keys.into_iter().any(|code| matches!(self.evdev.get(&code.code()), Some(Some(Key::Ok | Key::Back))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_map_knows_every_key_for_both_kinds_of_remote() {
        let map = Map::default();
        for name in [
            "ok",
            "back",
            "up",
            "down",
            "left",
            "right",
            "red",
            "green",
            "yellow",
            "blue",
            "mute",
            "volume_up",
            "volume_down",
            "power",
            "menu",
            "av",
            "0",
            "9",
        ] {
            let key = Key::by_name(name);
            assert!(key.is_some(), "{name}");
            assert!(map.evdev.values().any(|k| *k == key), "{name} has no evdev key");
            assert!(map.cec.values().any(|k| *k == key), "{name} has no CEC operand");
        }
        assert_eq!(map.of_evdev(KeyCode::KEY_OK), Some(Key::Ok));
        assert_eq!(map.of_evdev(KeyCode::KEY_INFO), Some(Key::Other));
        assert_eq!(map.of_cec(0x6d), None, "a set that says \"on\" presses no key");
    }

    #[test]
    fn a_technicians_file_gives_keys_another_meaning() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys.toml");
        std::fs::write(&file, "[ok]\nevdev = [\"KEY_INFO\"]\n[ignored]\nevdev = [\"KEY_POWER\"]\ncec = [0x40]\n").unwrap();
        let map = Map::with(Some(&file));
        assert_eq!(map.of_evdev(KeyCode::KEY_INFO), Some(Key::Ok));
        assert_eq!(map.of_evdev(KeyCode::KEY_ENTER), Some(Key::Ok), "the built-in ones stay");
        assert_eq!((map.of_evdev(KeyCode::KEY_POWER), map.of_cec(0x40)), (None, None));
    }

    #[test]
    fn a_broken_file_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys.toml");
        for broken in ["[okay]\ncec = [1]", "[ok]\nevdev = [\"KEY_NONE_SUCH\"]", "[ok]\ncec = [999]", "[ok]\nircode = 1"] {
            std::fs::write(&file, broken).unwrap();
            assert_eq!(Map::with(Some(&file)).of_cec(0x01), Some(Key::Up), "{broken}");
        }
    }

    #[test]
    fn mice_and_power_buttons_are_no_remotes() {
        let map = Map::default();
        assert!(!map.is_remote([KeyCode::BTN_LEFT, KeyCode::BTN_RIGHT]));
        assert!(!map.is_remote([KeyCode::KEY_POWER]));
        assert!(map.is_remote([KeyCode::KEY_POWER, KeyCode::KEY_OK]));
    }
}
