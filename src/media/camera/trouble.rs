//! What is wrong with a camera, in one line: what happened, and who must do what.

use std::io;
use std::path::Path;

/// No space left on device: what the kernel says when the USB bus has no room for the stream.
const NO_ROOM: i32 = 28;
/// Device or resource busy.
const BUSY: i32 = 16;

/// Whether a smaller picture may help.
pub fn is_bandwidth(error: &io::Error) -> bool {
    error.raw_os_error() == Some(NO_ROOM)
}

/// Whether no other way of opening it will work either: it is busy, gone, or not ours.
pub fn is_hopeless(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(BUSY | 1 | 2 | 6 | 13 | 19))
}

/// What the kernel's answer means for this device.
pub fn words(device: &str, error: &io::Error) -> String {
    if is_bandwidth(error) {
        return format!("{error}; {}", advice("no space left"));
    }
    if error.raw_os_error() == Some(BUSY) {
        let node = std::fs::canonicalize(device).unwrap_or_else(|_| Path::new(device).to_owned());
        return match super::device::holder(&node) {
            Some((pid, name)) => format!("it is busy: process {pid} ({name}) has it open; end that program"),
            None => format!("it is busy; {}", advice("busy")),
        };
    }
    let text = error.to_string();
    format!("{text}; {}", advice(&text.to_lowercase()))
}

/// What to try when this is the reason, in small letters.
pub fn advice(reason: &str) -> &'static str {
    if reason.contains("no space left") {
        "there is not enough USB bandwidth: use another port without a hub, or a smaller picture"
    } else if reason.contains("busy") {
        "another program has it open: end that program"
    } else if reason.contains("permission") {
        "the daemon's user must be in the group `video`"
    } else if reason.contains("no such") || reason.contains("cannot identify") || reason.contains("not there") {
        "plug it in, or choose another device in the configuration"
    } else {
        "pull its plug and put it in again, or try another cable or port"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_usb_bus_is_said_in_plain_words() {
        let error = io::Error::from_raw_os_error(NO_ROOM);
        assert!(is_bandwidth(&error) && !is_bandwidth(&io::Error::from_raw_os_error(BUSY)));
        let line = words("/dev/video0", &error);
        assert!(line.contains("USB bandwidth") && line.contains("port"), "{line}");
    }

    #[test]
    fn who_holds_a_busy_camera_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("node");
        let _open = std::fs::File::create(&path).unwrap();
        let line = words(&path.to_string_lossy(), &io::Error::from_raw_os_error(BUSY));
        assert!(line.contains("it is busy: process ") && line.contains("end that program"), "{line}");
        let line = words("/nonexistent/node", &io::Error::from_raw_os_error(BUSY));
        assert!(line.contains("another program"), "{line}");
    }

    #[test]
    fn a_missing_permission_names_the_group() {
        assert!(words("/dev/video0", &io::Error::from_raw_os_error(13)).contains("group `video`"));
        assert!(words("/dev/video0", &io::Error::from_raw_os_error(2)).contains("plug it in"));
    }
}
