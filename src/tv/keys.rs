//! The keys of a remote control, as drivers report them.

use std::time::{Duration, Instant};

/// A key, whatever device it sits on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Key {
    /// The middle key.
    Ok,
    /// Back, exit, return.
    Back,
    /// Arrow.
    Up,
    /// Arrow.
    Down,
    /// Arrow.
    Left,
    /// Arrow.
    Right,
    /// Colour key.
    Red,
    /// Colour key.
    Green,
    /// Colour key.
    Yellow,
    /// Colour key.
    Blue,
    /// Mute.
    Mute,
    /// Louder.
    VolumeUp,
    /// Softer.
    VolumeDown,
    /// On and off.
    Power,
    /// Menu, settings.
    Menu,
    /// Choice of the input.
    Av,
    /// A digit, 0..=9.
    Digit(u8),
    /// Any other key of a remote.
    Other,
}

impl Key {
    /// By the name the lab and the local API use: `ok`, `volume_up`, `7`, …
    pub fn by_name(name: &str) -> Option<Key> {
        Some(match name {
            "ok" => Key::Ok,
            "back" => Key::Back,
            "up" => Key::Up,
            "down" => Key::Down,
            "left" => Key::Left,
            "right" => Key::Right,
            "red" => Key::Red,
            "green" => Key::Green,
            "yellow" => Key::Yellow,
            "blue" => Key::Blue,
            "mute" => Key::Mute,
            "volume_up" => Key::VolumeUp,
            "volume_down" => Key::VolumeDown,
            "power" => Key::Power,
            "menu" => Key::Menu,
            "av" => Key::Av,
            digit => match digit.as_bytes() {
                [d @ b'0'..=b'9'] => Key::Digit(d - b'0'),
                _ => return None,
            },
        })
    }
}

/// A key goes down or up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stroke {
    /// Which.
    pub key: Key,
    /// Down (also when it repeats) or up.
    pub pressed: bool,
}

/// A remote that says nothing for this long has let go, even if the release was lost: CEC repeats every 200 to 450 ms,
/// a keyboard starts to repeat after 500 ms.
const RELEASED_AFTER: Duration = Duration::from_millis(800);

/// How a stroke is to be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Touch {
    /// A new press.
    Fresh,
    /// The key is being held.
    Held,
    /// Let go.
    Released,
}

/// Tells a new press from a held key. A choice is made by new presses only: holding OK while a dialog appears must not
/// answer a call.
#[derive(Debug, Default)]
pub struct Fingers {
    down: Option<(Key, Instant)>,
}

impl Fingers {
    /// Judges one stroke.
    pub fn touch(&mut self, now: Instant, stroke: Stroke) -> Touch {
        if !stroke.pressed {
            if self.down.is_some_and(|(key, _)| key == stroke.key) {
                self.down = None;
            }
            return Touch::Released;
        }
        let held = matches!(self.down, Some((key, at)) if key == stroke.key && now.saturating_duration_since(at) < RELEASED_AFTER);
        self.down = Some((stroke.key, now));
        if held { Touch::Held } else { Touch::Fresh }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn down(key: Key) -> Stroke {
        Stroke { key, pressed: true }
    }

    #[test]
    fn a_held_key_is_one_press_however_long() {
        let mut fingers = Fingers::default();
        let start = Instant::now();
        assert_eq!(fingers.touch(start, down(Key::Ok)), Touch::Fresh);
        for i in 1..100 {
            assert_eq!(fingers.touch(start + i * Duration::from_millis(450), down(Key::Ok)), Touch::Held);
        }
    }

    #[test]
    fn pressing_twice_is_two_presses() {
        let mut fingers = Fingers::default();
        let now = Instant::now();
        assert_eq!(fingers.touch(now, down(Key::Ok)), Touch::Fresh);
        assert_eq!(fingers.touch(now, Stroke { key: Key::Ok, pressed: false }), Touch::Released);
        assert_eq!(fingers.touch(now, down(Key::Ok)), Touch::Fresh);
    }

    #[test]
    fn a_lost_release_does_not_block_the_key() {
        let mut fingers = Fingers::default();
        let now = Instant::now();
        assert_eq!(fingers.touch(now, down(Key::Ok)), Touch::Fresh);
        assert_eq!(fingers.touch(now + RELEASED_AFTER, down(Key::Ok)), Touch::Fresh);
        assert_eq!(fingers.touch(now + RELEASED_AFTER, down(Key::Back)), Touch::Fresh);
    }

    #[test]
    fn names_are_those_of_the_remote() {
        assert_eq!(Key::by_name("volume_up"), Some(Key::VolumeUp));
        assert_eq!(Key::by_name("7"), Some(Key::Digit(7)));
        for wrong in ["", "OK", "77", "ok ", "é"] {
            assert_eq!(Key::by_name(wrong), None, "{wrong}");
        }
    }
}
