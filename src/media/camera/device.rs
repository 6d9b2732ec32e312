//! Cameras as the kernel knows them: which there are, under which names, what they offer, and what keeps one from working.
//! Everything here asks drivers, which may hang: `media::source` and [`list`] ask in threads of their own.

use super::choice::{Choice, Want, choose};
use super::controls;
use super::offer::{Bus, Coding, Mode, Rate};
use serde::Serialize;
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;
use v4l::FourCC;
use v4l::capability::Flags;
use v4l::frameinterval::FrameIntervalEnum;
use v4l::framesize::FrameSizeEnum;
use v4l::video::Capture;

/// A driver that has not said what it offers by then hangs.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// Sizes tried with cameras that make any size.
const USUAL: [(u32, u32); 9] =
    [(320, 240), (640, 360), (640, 480), (800, 600), (960, 540), (1024, 576), (1280, 720), (1280, 960), (1920, 1080)];
/// Larger ones are nonsense, or no camera.
const LARGEST: u32 = 16_384;
/// So many offers are read at most.
const OFFERS: usize = 512;

/// One camera.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Camera {
    /// Its device node now, e.g. `/dev/video0`: another one after it was pulled and put in again.
    pub path: PathBuf,
    /// A name that stays: by its serial number, else by its port. What belongs into the configuration.
    pub stable: Option<PathBuf>,
    /// What it calls itself.
    pub name: String,
    /// The kernel's driver, e.g. `uvcvideo`.
    pub driver: String,
    /// What it hangs on.
    pub bus: Bus,
    /// What it offers, as far as it can be read here.
    pub modes: Vec<Mode>,
    /// The ways to use it, best first, with the reasons.
    pub choices: Vec<Choice>,
    /// Who has it open now: process id and name.
    pub held_by: Option<(u32, String)>,
}

/// What is known of a device that could not be asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Silent {
    /// Its device node.
    pub path: PathBuf,
    /// Why, and what to do.
    pub why: String,
}

/// All cameras of the box, and the video devices that did not answer. Blocks while drivers answer, at most for
/// [`ANSWER_WITHIN`] a device.
pub fn list(want: Want) -> (Vec<Camera>, Vec<Silent>) {
    let (mut cameras, mut silent) = (Vec::new(), Vec::new());
    for path in nodes() {
        let asked = path.clone();
        match within(ANSWER_WITHIN, move || ask(&asked, want)) {
            Some(Ok(Some(camera))) => cameras.push(camera),
            Some(Ok(None)) => {}
            Some(Err(e)) => silent.push(Silent { why: super::trouble::words(&path.to_string_lossy(), &e), path }),
            None => silent
                .push(Silent { why: "its driver does not answer; pull its plug and put it in again, or restart the box".into(), path }),
        }
    }
    (cameras, silent)
}

/// The cameras' device nodes, in the order of their numbers.
fn nodes() -> Vec<PathBuf> {
    let number = |path: &Path| path.file_name()?.to_str()?.strip_prefix("video")?.parse::<u32>().ok();
    let mut found: BTreeMap<u32, PathBuf> = BTreeMap::new();
    for entry in std::fs::read_dir("/dev").into_iter().flatten().flatten() {
        if let Some(n) = number(&entry.path()) {
            found.insert(n, entry.path());
        }
    }
    found.into_values().collect()
}

/// Whether there is a video device at all; nothing is opened.
pub fn any() -> bool {
    !nodes().is_empty()
}

/// Runs what may hang in a thread of its own; `None` when it has not come back in time, or broke.
pub fn within<T: Send + 'static>(time: Duration, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (tell, told) = mpsc::sync_channel(1);
    let work = move || {
        let _ = tell.send(work());
    };
    std::thread::Builder::new().name("media-ask".into()).spawn(work).ok()?;
    told.recv_timeout(time).ok()
}

/// Asks one device; `None`: it is no camera (an encoder, a tuner, the metadata of a camera).
///
/// # Errors
/// What the kernel says.
pub fn ask(path: &Path, want: Want) -> io::Result<Option<Camera>> {
    let node = std::fs::canonicalize(path)?;
    let device = v4l::Device::with_path(&node)?;
    let about = device.query_caps()?;
    if !about.capabilities.contains(Flags::VIDEO_CAPTURE | Flags::STREAMING) {
        return Ok(None);
    }
    let mut modes = modes(&device)?;
    if modes.iter().any(|m| m.coding == Coding::H264) {
        let can = controls::abilities(&device);
        let steered = can.key_frame && can.bitrate.is_some();
        modes.iter_mut().for_each(|m| m.steered = steered && m.coding == Coding::H264);
    }
    if modes.is_empty() {
        return Ok(None);
    }
    let bus = bus(&node);
    Ok(Some(Camera {
        stable: stable(&node, Path::new("/dev/v4l")),
        name: about.card,
        driver: about.driver,
        bus,
        choices: choose(&modes, want, bus),
        modes,
        held_by: holder(&node).filter(|(pid, _)| *pid != std::process::id()),
        path: node,
    }))
}

fn modes(device: &v4l::Device) -> io::Result<Vec<Mode>> {
    let mut found: Vec<Mode> = Vec::new();
    for format in device.enum_formats()? {
        let Some(coding) = Coding::of_fourcc(&format.fourcc.repr) else { continue };
        let sizes = device.enum_framesizes(format.fourcc).unwrap_or_default();
        for (width, height) in sizes.into_iter().flat_map(|s| discrete(s.size)) {
            if found.len() >= OFFERS {
                return Ok(found);
            }
            let sane = (1..=LARGEST).contains(&width) && (1..=LARGEST).contains(&height);
            if sane && !found.iter().any(|m| (m.coding, m.width, m.height) == (coding, width, height)) {
                let (rates, any_between) = rates(device, format.fourcc, width, height);
                found.push(Mode { coding, width, height, rates, any_between, steered: false });
            }
        }
    }
    Ok(found)
}

fn discrete(size: FrameSizeEnum) -> Vec<(u32, u32)> {
    match size {
        FrameSizeEnum::Discrete(d) => vec![(d.width, d.height)],
        FrameSizeEnum::Stepwise(s) => {
            let fits = |n: u32, min: u32, max: u32, step: u32| (min..=max).contains(&n) && (n - min).is_multiple_of(step.max(1));
            let usual = USUAL
                .into_iter()
                .filter(|(w, h)| fits(*w, s.min_width, s.max_width, s.step_width) && fits(*h, s.min_height, s.max_height, s.step_height));
            usual.chain([(s.max_width, s.max_height)]).collect()
        }
    }
}

fn rates(device: &v4l::Device, coding: FourCC, width: u32, height: u32) -> (Vec<Rate>, bool) {
    let mut between = false;
    let of = |f: v4l::Fraction| Rate::of_interval(f.numerator, f.denominator);
    let mut rates: Vec<Rate> = Vec::new();
    for interval in device.enum_frameintervals(coding, width, height).unwrap_or_default() {
        match interval.interval {
            FrameIntervalEnum::Discrete(f) => rates.extend(of(f)),
            FrameIntervalEnum::Stepwise(s) => {
                between = true;
                rates.extend([of(s.max), of(s.min)].into_iter().flatten());
            }
        }
    }
    rates.sort();
    rates.dedup();
    (rates, between)
}

/// The name of a node that stays the same: `by-id` holds the serial number, `by-path` the port.
fn stable(node: &Path, names: &Path) -> Option<PathBuf> {
    ["by-id", "by-path"].iter().find_map(|kind| {
        let mut found: Vec<PathBuf> = std::fs::read_dir(names.join(kind)).ok()?.flatten().map(|e| e.path()).collect();
        found.sort();
        found.into_iter().find(|link| std::fs::canonicalize(link).is_ok_and(|to| to == node))
    })
}

/// What a node hangs on: sysfs says it of the USB device that its interface belongs to.
fn bus(node: &Path) -> Bus {
    let speed = || {
        let name = node.file_name()?;
        let interface = std::fs::canonicalize(Path::new("/sys/class/video4linux").join(name).join("device")).ok()?;
        let text = std::fs::read_to_string(interface.parent()?.join("speed")).ok()?;
        text.trim().parse::<f64>().ok()
    };
    speed().map_or(Bus::Other, |mbit| Bus::Usb(mbit as u32))
}

/// The process that has this node open, if it can be seen from here.
pub fn holder(node: &Path) -> Option<(u32, String)> {
    let own = std::process::id();
    let mut own_too = None;
    for process in std::fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        if files.flatten().any(|f| std::fs::read_link(f.path()).is_ok_and(|to| to == node)) {
            let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default().trim().to_owned();
            if pid != own {
                return Some((pid, name));
            }
            own_too = Some((pid, name));
        }
    }
    own_too
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_camera_has_a_name_that_stays_by_its_serial_number_or_else_by_its_port() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let (node, names) = (root.join("video3"), root.join("v4l"));
        std::fs::write(&node, "").unwrap();
        assert_eq!(stable(&node, &names), None);
        for kind in ["by-path", "by-id"] {
            std::fs::create_dir_all(names.join(kind)).unwrap();
            symlink("../../video3", names.join(kind).join("usb-C920-video-index0")).unwrap();
            assert_eq!(stable(&node, &names), Some(names.join(kind).join("usb-C920-video-index0")));
        }
        assert_eq!(stable(&root.join("video4"), &names), None);
    }

    #[test]
    fn a_camera_of_any_size_is_asked_for_the_usual_ones_and_its_largest() {
        let step =
            v4l::framesize::Stepwise { min_width: 16, max_width: 2592, step_width: 16, min_height: 16, max_height: 1944, step_height: 8 };
        let sizes = discrete(FrameSizeEnum::Stepwise(step));
        assert!(sizes.contains(&(1280, 720)) && sizes.contains(&(2592, 1944)));
        // 540 is no multiple of 8.
        assert!(!sizes.contains(&(960, 540)));
    }

    #[test]
    fn who_has_a_file_open_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap().join("node");
        std::fs::write(&path, "").unwrap();
        assert_eq!(holder(&path), None);
        let file = std::fs::File::open(&path).unwrap();
        assert!(holder(&path).is_some_and(|(_, name)| !name.is_empty()));
        drop(file);
    }

    #[test]
    fn a_driver_that_hangs_or_breaks_is_left_alone() {
        let (release, held) = mpsc::channel::<()>();
        assert_eq!(within(Duration::from_millis(1), move || held.recv().is_ok()), None);
        drop(release);
        assert_eq!(within(ANSWER_WITHIN, || 5), Some(5));
    }

    #[test]
    fn what_is_no_camera_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("video0");
        let want = Want { width: 1280, height: 720, fps: 24, h264: true };
        assert_eq!(ask(&path, want).unwrap_err().kind(), io::ErrorKind::NotFound);
        std::fs::write(&path, "").unwrap();
        // ENOTTY: a file is no device.
        assert_eq!(ask(&path, want).unwrap_err().raw_os_error(), Some(25));
    }
}
