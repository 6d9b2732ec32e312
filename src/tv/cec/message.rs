//! CEC messages as values: what goes over the bus, and what it says. HDMI 1.4b, supplement 1 (CEC).

use std::fmt;
use std::str::FromStr;

/// The television's logical address.
pub const TV: u8 = 0;
/// An amplifier's.
pub const AUDIO: u8 = 5;
/// To everybody; as a sender: somebody without an address.
pub const BROADCAST: u8 = 15;
/// The longest operands of a message, bytes.
pub const LONGEST: usize = 14;

/// Opcodes that are sent or understood.
pub mod op {
    #![allow(missing_docs)] // the names are the standard's
    pub const FEATURE_ABORT: u8 = 0x00;
    pub const IMAGE_VIEW_ON: u8 = 0x04;
    pub const TEXT_VIEW_ON: u8 = 0x0d;
    pub const GIVE_DECK_STATUS: u8 = 0x1a;
    pub const DECK_STATUS: u8 = 0x1b;
    pub const STANDBY: u8 = 0x36;
    pub const USER_CONTROL_PRESSED: u8 = 0x44;
    pub const USER_CONTROL_RELEASED: u8 = 0x45;
    pub const GIVE_OSD_NAME: u8 = 0x46;
    pub const SET_OSD_NAME: u8 = 0x47;
    pub const SYSTEM_AUDIO_MODE_REQUEST: u8 = 0x70;
    pub const GIVE_AUDIO_STATUS: u8 = 0x71;
    pub const SET_SYSTEM_AUDIO_MODE: u8 = 0x72;
    pub const REPORT_AUDIO_STATUS: u8 = 0x7a;
    pub const GIVE_SYSTEM_AUDIO_MODE_STATUS: u8 = 0x7d;
    pub const SYSTEM_AUDIO_MODE_STATUS: u8 = 0x7e;
    pub const ROUTING_CHANGE: u8 = 0x80;
    pub const ROUTING_INFORMATION: u8 = 0x81;
    pub const ACTIVE_SOURCE: u8 = 0x82;
    pub const GIVE_PHYSICAL_ADDRESS: u8 = 0x83;
    pub const REPORT_PHYSICAL_ADDRESS: u8 = 0x84;
    pub const REQUEST_ACTIVE_SOURCE: u8 = 0x85;
    pub const SET_STREAM_PATH: u8 = 0x86;
    pub const DEVICE_VENDOR_ID: u8 = 0x87;
    pub const GIVE_DEVICE_VENDOR_ID: u8 = 0x8c;
    pub const MENU_REQUEST: u8 = 0x8d;
    pub const MENU_STATUS: u8 = 0x8e;
    pub const GIVE_DEVICE_POWER_STATUS: u8 = 0x8f;
    pub const REPORT_POWER_STATUS: u8 = 0x90;
    pub const INACTIVE_SOURCE: u8 = 0x9d;
    pub const CEC_VERSION: u8 = 0x9e;
    pub const GET_CEC_VERSION: u8 = 0x9f;
    pub const ABORT: u8 = 0xff;
}

/// Operands of User Control Pressed that are sent.
pub mod key {
    #![allow(missing_docs)] // the names are the standard's
    pub const VOLUME_UP: u8 = 0x41;
    pub const VOLUME_DOWN: u8 = 0x42;
    pub const POWER_OFF_FUNCTION: u8 = 0x6c;
    pub const POWER_ON_FUNCTION: u8 = 0x6d;
}

/// Where a device is plugged in: `0.0.0.0` is the television, `1.0.0.0` its first input, `1.2.0.0` the second input of an
/// amplifier at the first.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Physical(pub u16);

impl Physical {
    /// No cable, or a television that is not there: `f.f.f.f`.
    pub const INVALID: Physical = Physical(0xffff);

    /// Whether there is a cable with a television at its end.
    pub fn is_valid(self) -> bool {
        self != Physical::INVALID
    }

    /// Whether something lies between the television and this, such as an amplifier.
    pub fn is_behind_another(self) -> bool {
        self.is_valid() && self.0 & 0x0fff != 0
    }

    /// An input as people and platforms call it: `HDMI2`, `hdmi 2`, `tuner`, or an address.
    pub fn named(name: &str) -> Option<Physical> {
        let lower = name.to_ascii_lowercase();
        match lower.strip_prefix("hdmi") {
            Some(number) => number.trim().parse::<u16>().ok().filter(|n| (1..15).contains(n)).map(|n| Physical(n << 12)),
            None if matches!(lower.as_str(), "tv" | "tuner") => Some(Physical(0)),
            None => name.parse().ok(),
        }
    }

    fn of(bytes: &[u8]) -> Option<Physical> {
        Some(Physical(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?])))
    }
}

impl fmt::Display for Physical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b] = self.0.to_be_bytes();
        write!(f, "{:x}.{:x}.{:x}.{:x}", a >> 4, a & 15, b >> 4, b & 15)
    }
}

impl fmt::Debug for Physical {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Physical {
    type Err = ();

    fn from_str(text: &str) -> Result<Physical, ()> {
        let digits: Vec<u16> =
            text.split('.').map(|d| u16::from_str_radix(d, 16).ok().filter(|d| *d < 16).ok_or(())).collect::<Result<_, _>>()?;
        match digits[..] {
            [a, b, c, d] => Ok(Physical(a << 12 | b << 8 | c << 4 | d)),
            _ => Err(()),
        }
    }
}

/// A message on the bus, with an opcode (a poll has none and is not of interest).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Logical address of the sender.
    pub from: u8,
    /// Of the receiver; [`BROADCAST`] for all.
    pub to: u8,
    /// See [`op`].
    pub opcode: u8,
    /// At most [`LONGEST`] bytes.
    pub data: Vec<u8>,
}

impl Frame {
    /// A message.
    pub fn new(from: u8, to: u8, opcode: u8, data: &[u8]) -> Frame {
        Frame { from, to, opcode, data: data[..data.len().min(LONGEST)].to_vec() }
    }

    /// What it says; `None` if its operands are too short for its opcode.
    pub fn word(&self) -> Option<Word> {
        let first = || self.data.first().copied();
        let address = || Physical::of(&self.data);
        Some(match self.opcode {
            op::REPORT_POWER_STATUS => Word::Power(first()?),
            op::STANDBY => Word::Standby,
            op::ACTIVE_SOURCE => Word::ActiveSource(address()?),
            op::INACTIVE_SOURCE => Word::InactiveSource(address()?),
            op::SET_STREAM_PATH => Word::StreamPath(address()?),
            op::ROUTING_CHANGE => Word::Routing(Physical::of(self.data.get(2..)?)?),
            op::ROUTING_INFORMATION => Word::Routing(address()?),
            op::REPORT_AUDIO_STATUS => Word::Audio(Some(first()? & 0x7f).filter(|v| *v <= 100)),
            op::SET_SYSTEM_AUDIO_MODE | op::SYSTEM_AUDIO_MODE_STATUS => Word::SystemAudio(first()? != 0),
            op::DEVICE_VENDOR_ID => match self.data[..] {
                [a, b, c, ..] => Word::Vendor(u32::from_be_bytes([0, a, b, c])),
                _ => return None,
            },
            op::SET_OSD_NAME => Word::Name(self.data.iter().filter(|b| (0x20..0x7f).contains(*b)).map(|b| char::from(*b)).collect()),
            op::FEATURE_ABORT => Word::Abort(first()?),
            op::USER_CONTROL_PRESSED => Word::Pressed(first()?),
            op::USER_CONTROL_RELEASED => Word::Released,
            op::GIVE_DEVICE_POWER_STATUS => Word::GivePower,
            op::REQUEST_ACTIVE_SOURCE => Word::RequestActiveSource,
            op::MENU_REQUEST => Word::MenuRequest,
            op::GIVE_DECK_STATUS => Word::GiveDeckStatus,
            // The kernel answers these by itself.
            op::GIVE_OSD_NAME | op::GIVE_PHYSICAL_ADDRESS | op::GIVE_DEVICE_VENDOR_ID | op::GET_CEC_VERSION | op::ABORT => Word::Kernel,
            // An answer that came late, or that nobody asked for.
            op::CEC_VERSION | op::REPORT_PHYSICAL_ADDRESS | op::DECK_STATUS | op::MENU_STATUS => Word::Report,
            _ => Word::Other,
        })
    }
}

/// What a message says to us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// Report Power Status: 0 on, 1 standby, 2 on its way to on, 3 to standby.
    Power(u8),
    /// Whoever sends it goes, or wants everybody to go, to standby.
    Standby,
    /// This is shown now.
    ActiveSource(Physical),
    /// This has nothing to show any more.
    InactiveSource(Physical),
    /// The television wants to show this.
    StreamPath(Physical),
    /// Somebody has chosen another input.
    Routing(Physical),
    /// The volume, if it is known.
    Audio(Option<u8>),
    /// Whether the amplifier plays instead of the television.
    SystemAudio(bool),
    /// Who made the device.
    Vendor(u32),
    /// What the device is called.
    Name(String),
    /// It does not do this (an opcode).
    Abort(u8),
    /// A key of the remote control.
    Pressed(u8),
    /// It is let go.
    Released,
    /// Are you on?
    GivePower,
    /// Who is shown?
    RequestActiveSource,
    /// Do you show a menu?
    MenuRequest,
    /// Do you play?
    GiveDeckStatus,
    /// The kernel answers it.
    Kernel,
    /// An answer of no interest.
    Report,
    /// Anything else.
    Other,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn addresses_are_written_as_they_are_read() {
        for text in ["0.0.0.0", "1.0.0.0", "2.3.0.0", "f.f.f.f"] {
            assert_eq!(text.parse::<Physical>().unwrap().to_string(), text);
        }
        for wrong in ["", "1", "1.0.0", "1.0.0.0.0", "g.0.0.0", "10.0.0.0", "tuner"] {
            assert_eq!(wrong.parse::<Physical>(), Err(()), "{wrong}");
        }
        assert!("1.2.0.0".parse::<Physical>().unwrap().is_behind_another());
        assert!(!"1.0.0.0".parse::<Physical>().unwrap().is_behind_another());
        assert!(!Physical::INVALID.is_behind_another());
        for (name, address) in [("HDMI2", 0x2000), ("hdmi 1", 0x1000), ("tuner", 0), ("3.1.0.0", 0x3100)] {
            assert_eq!(Physical::named(name), Some(Physical(address)), "{name}");
        }
        for wrong in ["", "HDMI", "HDMI0", "HDMI99", "scart"] {
            assert_eq!(Physical::named(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn messages_say_what_the_standard_says() {
        let word = |opcode, data: &[u8]| Frame::new(0, 4, opcode, data).word();
        assert_eq!(word(op::REPORT_POWER_STATUS, &[1]), Some(Word::Power(1)));
        assert_eq!(word(op::REPORT_POWER_STATUS, &[]), None);
        assert_eq!(word(op::ROUTING_CHANGE, &[0x10, 0, 0x20, 0]), Some(Word::Routing(Physical(0x2000))));
        assert_eq!(word(op::ROUTING_CHANGE, &[0x10, 0]), None);
        assert_eq!(word(op::REPORT_AUDIO_STATUS, &[0x80 | 40]), Some(Word::Audio(Some(40))));
        assert_eq!(word(op::REPORT_AUDIO_STATUS, &[0x7f]), Some(Word::Audio(None)));
        assert_eq!(word(op::DEVICE_VENDOR_ID, &[0, 0xe0, 0x91]), Some(Word::Vendor(0x00e091)));
        assert_eq!(word(op::SET_OSD_NAME, b"TV\0\xff"), Some(Word::Name("TV".into())));
    }

    proptest! {
        #[test]
        fn no_message_is_too_strange(from in 0u8..16, to in 0u8..16, opcode: u8, data in prop::collection::vec(any::<u8>(), 0..40)) {
            let frame = Frame::new(from, to, opcode, &data);
            prop_assert!(frame.data.len() <= LONGEST);
            let _ = frame.word();
        }
    }
}
