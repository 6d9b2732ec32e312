//! The box's own displays, as the kernel's mode setting (KMS) has them: which there are, and which one and which mode to use.

use drm::Device as _;
use drm::control::{Device as _, ModeTypeFlags, connector};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

/// A resolution and how often a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Mode {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Hertz, rounded.
    pub rate: u32,
    /// The display likes it best.
    pub preferred: bool,
}

impl From<&drm::control::Mode> for Mode {
    fn from(mode: &drm::control::Mode) -> Mode {
        Mode {
            width: mode.size().0.into(),
            height: mode.size().1.into(),
            rate: mode.vrefresh(),
            preferred: mode.mode_type().contains(ModeTypeFlags::PREFERRED),
        }
    }
}

/// A socket of the box, with what is plugged into it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Display {
    /// Such as `/dev/dri/card0`.
    pub card: PathBuf,
    /// The kernel's driver.
    pub driver: String,
    /// Such as `HDMI-A-1`.
    pub connector: String,
    /// The kernel's number for it.
    pub id: u32,
    /// Whether something is plugged in.
    pub connected: bool,
    /// What it says of itself (EDID).
    pub monitor: Option<String>,
    /// What it can show.
    pub modes: Vec<Mode>,
    /// What it shows now, if it is lit.
    pub current: Option<Mode>,
}

/// What the configuration wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// A connector by name; `None`: the best.
    pub connector: Option<String>,
    /// Width and height; `None`: 1920x1080 where it is offered, else what the display likes best.
    pub size: Option<(u32, u32)>,
}

/// A graphics card.
pub(super) struct Card(File);

impl AsFd for Card {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl drm::Device for Card {}
impl drm::control::Device for Card {}

impl Card {
    pub(super) fn open(path: &Path) -> io::Result<Card> {
        OpenOptions::new().read(true).write(true).open(path).map(Card)
    }
}

/// All connectors of all cards. Blocks for the hardware.
///
/// # Errors
/// A card is there that cannot be opened, and none that can.
pub fn list() -> Result<Vec<Display>, String> {
    let mut found = Vec::new();
    let mut trouble = None;
    let entries = std::fs::read_dir("/dev/dri").into_iter().flatten().flatten();
    let mut cards: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| name(p).starts_with("card")).collect();
    cards.sort();
    for path in cards {
        match look(&path) {
            Ok(displays) => found.extend(displays),
            // A render-only device has no connectors; that is no trouble.
            Err(e) if e.raw_os_error() == Some(libc::EOPNOTSUPP) => {}
            Err(e) => trouble = Some(format!("{}: {e}", path.display())),
        }
    }
    match trouble {
        Some(trouble) if found.is_empty() => Err(trouble),
        _ => Ok(found),
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn look(path: &Path) -> io::Result<Vec<Display>> {
    let card = Card::open(path)?;
    let driver = card.get_driver()?.name().to_string_lossy().into_owned();
    let mut found = Vec::new();
    for handle in card.resource_handles()?.connectors() {
        let info = card.get_connector(*handle, true)?;
        let connector = info.to_string();
        let current = info.current_encoder().and_then(|e| card.get_encoder(e).ok()).and_then(|e| e.crtc());
        let edid = std::fs::read(format!("/sys/class/drm/{}-{connector}/edid", name(path))).unwrap_or_default();
        found.push(Display {
            card: path.to_owned(),
            driver: driver.clone(),
            id: (*handle).into(),
            connected: info.state() == connector::State::Connected,
            monitor: monitor(&edid),
            modes: info.modes().iter().map(Mode::from).collect(),
            current: current.and_then(|c| card.get_crtc(c).ok()).and_then(|c| c.mode()).as_ref().map(Mode::from),
            connector,
        });
    }
    Ok(found)
}

/// The name in an EDID (display descriptor 0xFC).
fn monitor(edid: &[u8]) -> Option<String> {
    let blocks = edid.get(54..126)?.chunks_exact(18);
    let text = blocks.filter(|b| b[..4] == [0, 0, 0, 0xfc]).map(|b| b[5..].iter().take_while(|c| **c != b'\n')).next()?;
    let name: String = text.filter(|c| (0x20..0x7f).contains(*c)).map(|c| char::from(*c)).collect();
    Some(name.trim().to_owned()).filter(|n| !n.is_empty())
}

/// The display to use, and its mode.
///
/// # Errors
/// In one line: what is missing and what to do.
pub fn choose<'a>(displays: &'a [Display], wanted: &Wanted) -> Result<(&'a Display, Mode), String> {
    // What a graphics card writes back into memory is no display.
    let real = || displays.iter().filter(|d| !d.connector.starts_with("Writeback"));
    let names = || real().map(|d| d.connector.as_str()).collect::<Vec<_>>().join(", ");
    let mut usable: Vec<&Display> = real().filter(|d| d.connected && !d.modes.is_empty()).collect();
    if let Some(connector) = &wanted.connector {
        if !real().any(|d| d.connector == *connector) {
            return Err(format!("there is no connector {connector}, only {}; correct tv.display.connector", names()));
        }
        usable.retain(|d| d.connector == *connector);
        if usable.is_empty() {
            return Err(format!("nothing is plugged into {connector}; check the cable"));
        }
    }
    // A television hangs on HDMI; a built-in panel is the last choice.
    let rank = |d: &&Display| match d.connector.split('-').next() {
        Some("HDMI") => 0,
        Some("DP" | "DVI") => 1,
        Some("eDP" | "LVDS" | "DSI") => 3,
        _ => 2,
    };
    usable.sort_by_key(rank);
    let Some(display) = usable.first().copied() else {
        let sockets = names();
        return Err(if sockets.is_empty() {
            "the kernel knows no display (/dev/dri); check its driver".into()
        } else {
            format!("no display is plugged in ({sockets}); check the cable")
        });
    };
    let of = |size: (u32, u32)| {
        display.modes.iter().filter(move |m| (m.width, m.height) == size).max_by_key(|m| (m.preferred, m.rate <= 60, m.rate))
    };
    let best = || display.modes.iter().find(|m| m.preferred).or(display.modes.first());
    let mode = match wanted.size {
        Some(size) => {
            of(size).ok_or_else(|| format!("{} cannot show {}x{}; correct tv.display.mode", display.connector, size.0, size.1))?
        }
        None => of((1920, 1080)).or_else(best).ok_or("the display offers no mode")?,
    };
    Ok((display, *mode))
}

/// Whether something is plugged in, by what the kernel knows without asking the hardware.
pub fn plugged(display: &Display) -> bool {
    let status = std::fs::read_to_string(format!("/sys/class/drm/{}-{}/status", name(&display.card), display.connector));
    status.is_ok_and(|s| s.trim() != "disconnected")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(width: u32, height: u32, rate: u32, preferred: bool) -> Mode {
        Mode { width, height, rate, preferred }
    }

    fn display(connector: &str, modes: &[Mode]) -> Display {
        Display {
            card: "/dev/dri/card0".into(),
            driver: "vc4".into(),
            connector: connector.into(),
            id: 33,
            connected: !modes.is_empty(),
            monitor: None,
            modes: modes.to_vec(),
            current: None,
        }
    }

    #[test]
    fn a_television_is_driven_at_1080p_even_if_it_would_rather_have_more() {
        let modes = [mode(3840, 2160, 60, true), mode(1920, 1080, 120, false), mode(1920, 1080, 60, false), mode(1920, 1080, 24, false)];
        let displays = [display("eDP-1", &[mode(1366, 768, 60, true)]), display("HDMI-A-1", &[]), display("HDMI-A-2", &modes)];
        let (chosen, with) = choose(&displays, &Wanted::default()).unwrap();
        assert_eq!((chosen.connector.as_str(), with), ("HDMI-A-2", mode(1920, 1080, 60, false)));
    }

    #[test]
    fn one_without_1080p_gets_what_it_likes_best() {
        let displays = [
            display("Writeback-1", &[mode(1920, 1080, 60, true)]),
            display("Virtual-1", &[mode(800, 600, 60, false), mode(1024, 768, 60, true)]),
        ];
        let (chosen, with) = choose(&displays, &Wanted::default()).unwrap();
        assert_eq!((chosen.connector.as_str(), with.width), ("Virtual-1", 1024));
    }

    #[test]
    fn what_is_configured_is_used_or_said_to_be_impossible() {
        let displays = [display("HDMI-A-1", &[mode(1920, 1080, 60, true), mode(1280, 720, 50, false)]), display("DP-1", &[])];
        let wanted = |connector: &str, size| Wanted { connector: Some(connector.into()), size };
        assert_eq!(choose(&displays, &wanted("HDMI-A-1", Some((1280, 720)))).unwrap().1.rate, 50);
        let wrong = |w| choose(&displays, &w).unwrap_err();
        assert_eq!(wrong(wanted("HDMI-A-1", Some((640, 480)))), "HDMI-A-1 cannot show 640x480; correct tv.display.mode");
        assert_eq!(wrong(wanted("DP-1", None)), "nothing is plugged into DP-1; check the cable");
        assert_eq!(wrong(wanted("VGA-1", None)), "there is no connector VGA-1, only HDMI-A-1, DP-1; correct tv.display.connector");
        assert_eq!(choose(&[], &Wanted::default()).unwrap_err(), "the kernel knows no display (/dev/dri); check its driver");
        assert_eq!(choose(&displays[1..], &Wanted::default()).unwrap_err(), "no display is plugged in (DP-1); check the cable");
    }

    #[test]
    fn the_name_is_read_from_the_edid_and_nothing_from_a_broken_one() {
        let mut edid = vec![0u8; 128];
        edid[72..77].copy_from_slice(&[0, 0, 0, 0xfc, 0]);
        edid[77..90].copy_from_slice(b"BRAVIA\n      ");
        assert_eq!(monitor(&edid), Some("BRAVIA".into()));
        for broken in [&[][..], &edid[..80], &[0xff; 128]] {
            assert_eq!(monitor(broken), None);
        }
    }
}
