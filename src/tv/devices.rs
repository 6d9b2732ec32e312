//! What the box has around its television: HDMI-CEC adapters, displays, remote controls. For `residentctl devices` and
//! for the technician's reports; the daemon itself finds them as they come and go.

use super::cec::device::{AdapterInfo, adapters_here};
use super::displays::{self, Display};
use super::keymap::Map;
use crate::media::camera::device::{ANSWER_WITHIN, within};
use evdev::KeyCode;
use serde::Serialize;
use std::fmt;
use std::path::PathBuf;

/// Everything that could be used for showing a call and answering it.
#[derive(Debug, Clone, Serialize)]
pub struct Devices {
    /// HDMI-CEC adapters.
    pub adapters: Vec<AdapterInfo>,
    /// Sockets for displays, with what is plugged in.
    pub displays: Vec<Display>,
    /// Why the displays could not be listed.
    pub trouble: Option<String>,
    /// Remote controls and keyboards that can say yes or no.
    pub remotes: Vec<Remote>,
}

/// A remote control or keyboard, by the kernel's list of input devices.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Remote {
    /// What it calls itself.
    pub name: String,
    /// Its node, such as `/dev/input/event3`.
    pub path: Option<PathBuf>,
    /// How it is connected, in words.
    pub bus: &'static str,
}

/// Lists them. Blocks while drivers answer, three seconds for what hangs: call it from a blocking task.
pub fn list(map: &Map) -> Devices {
    let hangs = || Err("a driver does not answer; see journalctl -k, and restart the box".into());
    let (displays, trouble) = match within(ANSWER_WITHIN, displays::list).unwrap_or_else(hangs) {
        Ok(displays) => (displays, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    Devices { adapters: adapters_here(), displays, trouble, remotes: remotes(map) }
}

/// Remote controls and keyboards that can say yes or no. Everybody may read the kernel's list, unlike the devices.
pub fn remotes(map: &Map) -> Vec<Remote> {
    read_list(&std::fs::read_to_string("/proc/bus/input/devices").unwrap_or_default(), map)
}

fn read_list(list: &str, map: &Map) -> Vec<Remote> {
    let device = |text: &str| {
        let after = |start: &str| text.lines().find_map(|line| line.strip_prefix(start)).unwrap_or_default();
        if !map.is_remote(keys(after("B: KEY="))) {
            return None;
        }
        let node = after("H: Handlers=").split_whitespace().find(|handler| handler.starts_with("event"));
        let bus = after("I: Bus=").get(..4).and_then(|n| u16::from_str_radix(n, 16).ok());
        Some(Remote {
            name: after("N: Name=").trim_matches('"').to_owned(),
            path: node.map(|node| PathBuf::from("/dev/input").join(node)),
            bus: bus_in_words(bus),
        })
    };
    list.split("\n\n").filter_map(device).collect()
}

/// The keys of a bit map as the kernel writes it: words of its own size, the highest first.
fn keys(bits: &str) -> Vec<KeyCode> {
    let size = usize::try_from(usize::BITS).unwrap_or(64);
    let words = bits.split_whitespace().rev().map(|word| u64::from_str_radix(word, 16).unwrap_or(0));
    let set = |(at, word): (usize, u64)| (0..size).filter(move |bit| word & (1 << bit) != 0).map(move |bit| at * size + bit);
    words.enumerate().flat_map(set).filter_map(|key| u16::try_from(key).ok()).map(KeyCode::new).collect()
}

/// Linux, `uapi/linux/input.h`: `BUS_*`.
fn bus_in_words(bus: Option<u16>) -> &'static str {
    match bus {
        Some(0x03) => "USB",
        Some(0x05) => "Bluetooth",
        Some(0x06) => "virtual",
        Some(0x11) => "PS/2",
        Some(0x18) => "I2C",
        Some(0x19) => "built in",
        Some(0x1e) => "HDMI-CEC",
        _ => "another way",
    }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "HDMI-CEC adapters (tv.cec.device)")?;
        for adapter in &self.adapters {
            writeln!(f, "  {}\n      {}", adapter.path.display(), adapter.words())?;
        }
        none(f, self.adapters.is_empty())?;
        writeln!(f, "Displays (tv.display.connector)")?;
        for display in &self.displays {
            writeln!(f, "  {}\n      {}", display.connector, in_words(display))?;
        }
        if let Some(why) = &self.trouble {
            writeln!(f, "  cannot be listed: {why}")?;
        }
        none(f, self.displays.is_empty() && self.trouble.is_none())?;
        writeln!(f, "Remote controls and keyboards (tv.keys.devices)")?;
        for remote in &self.remotes {
            let path = remote.path.as_ref().map_or_else(String::new, |path| format!("{}, ", path.display()));
            writeln!(f, "  {}\n      {path}{}", remote.name, remote.bus)?;
        }
        none(f, self.remotes.is_empty())
    }
}

fn none(f: &mut fmt::Formatter<'_>, empty: bool) -> fmt::Result {
    if empty { writeln!(f, "  none") } else { Ok(()) }
}

fn in_words(display: &Display) -> String {
    let at = format!("at {} ({})", display.card.display(), display.driver);
    if !display.connected {
        return format!("nothing plugged in, {at}");
    }
    let monitor = display.monitor.as_deref().unwrap_or("a display without a name");
    let best = display.modes.iter().find(|mode| mode.preferred).or(display.modes.first());
    let likes = best.map_or_else(String::new, |m| format!(", likes {}x{} at {} Hz best", m.width, m.height, m.rate));
    let now = display.current.map_or(", dark".to_owned(), |m| format!(", shows {}x{} at {} Hz", m.width, m.height, m.rate));
    format!("{monitor}{likes}{now}, {at}")
}

#[cfg(test)]
mod tests {
    use super::super::displays::Mode;
    use super::*;

    /// As the kernel writes it: a USB remote with KEY_ENTER (28), a lid with KEY_POWER2 only, a receiver of infrared with
    /// KEY_OK (0x160).
    const LIST: &str = "I: Bus=0003 Vendor=046d Product=c52b Version=0111\nN: Name=\"Logitech K400\"\nH: Handlers=sysrq kbd event3\n\
        B: KEY=10000000\n\nI: Bus=0019 Vendor=0000 Product=0005 Version=0000\nN: Name=\"Lid Switch\"\nH: Handlers=event0\n\
        B: KEY=8000\n\nI: Bus=0018 Vendor=0000 Product=0000 Version=0000\nN: Name=\"gpio_ir_recv\"\nH: Handlers=kbd event1\n\
        B: KEY=100000000 0 0 0 0 0\n\n";

    #[test]
    #[cfg(target_pointer_width = "64")]
    fn input_devices_that_can_say_yes_or_no_are_told_from_those_that_cannot() {
        let found = read_list(LIST, &Map::default());
        let named: Vec<(&str, Option<&str>, &str)> =
            found.iter().map(|r| (r.name.as_str(), r.path.as_ref().and_then(|p| p.to_str()), r.bus)).collect();
        assert_eq!(named, [("Logitech K400", Some("/dev/input/event3"), "USB"), ("gpio_ir_recv", Some("/dev/input/event1"), "I2C")]);
        assert!(read_list("", &Map::default()).is_empty() && read_list("B: KEY=nonsense\n\n\n", &Map::default()).is_empty());
    }

    #[test]
    fn the_list_names_what_belongs_into_the_configuration() {
        let display = |connector: &str, connected: bool| Display {
            card: "/dev/dri/card0".into(),
            driver: "vc4".into(),
            connector: connector.into(),
            id: 33,
            connected,
            monitor: connected.then(|| "BRAVIA".into()),
            modes: vec![Mode { width: 1920, height: 1080, rate: 60, preferred: true }],
            current: None,
        };
        let adapter = AdapterInfo {
            path: "/dev/cec0".into(),
            driver: Some("vc4".into()),
            physical: Some("1.0.0.0".into()),
            logical: Some(4),
            trouble: None,
        };
        let remote = Remote { name: "Logitech K400".into(), path: Some("/dev/input/event3".into()), bus: "USB" };
        let devices = Devices {
            adapters: vec![adapter],
            displays: vec![display("HDMI-A-1", true), display("HDMI-A-2", false)],
            trouble: None,
            remotes: vec![remote],
        };
        assert_eq!(
            devices.to_string(),
            "HDMI-CEC adapters (tv.cec.device)\n  /dev/cec0\n      vc4, plugged in at 1.0.0.0, logical address 4\n\
             Displays (tv.display.connector)\n  HDMI-A-1\n      BRAVIA, likes 1920x1080 at 60 Hz best, dark, at /dev/dri/card0 (vc4)\n  \
             HDMI-A-2\n      nothing plugged in, at /dev/dri/card0 (vc4)\n\
             Remote controls and keyboards (tv.keys.devices)\n  Logitech K400\n      /dev/input/event3, USB\n"
        );
    }
}
