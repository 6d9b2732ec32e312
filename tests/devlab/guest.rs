//! The guest that these tests run in (see ./run and ../machine/run), and the devices at its hands.
#![allow(dead_code, reason = "each room uses a part of it")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// Longer than anything that is awaited takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// The camera; its input 0 is a webcam, input 1 an HDMI input.
pub const CAMERA: &str = "/dev/video0";
/// The box's HDMI output, as a video device.
pub const HDMI_OUT: &str = "/dev/video1";
/// The television's CEC adapter, at the other end of the cable.
pub const CEC_TELEVISION: &str = "/dev/cec0";
/// The box's CEC adapter.
pub const CEC_BOX: &str = "/dev/cec1";

/// Panics outside of the guest: these tests change devices.
pub fn is_guest() {
    assert!(Path::new("/mnt/devlab/started").exists(), "this test needs the device lab: run `make devlab-test`");
}

/// Where files go that shall be seen after the test.
pub fn keep(name: &str) -> PathBuf {
    is_guest();
    PathBuf::from(std::env::var_os("DEVLAB_OUT").unwrap()).join(name)
}

/// Whether the daemon has been installed from its package (./full). Else it is the one that was built with these tests.
pub fn packaged() -> bool {
    std::env::var_os("DEVLAB_PACKAGE").is_some()
}

/// Runs a program that has to succeed, and gives what it printed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    is_guest();
    let out = Command::new(program).args(arguments).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let told = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{program} {arguments:?}: {}\n{told}{}", out.status, String::from_utf8_lossy(&out.stderr));
    told
}

/// Waits for what nothing announces.
pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < end, "{what} does not come about");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Pulls the HDMI cable between box and television, or plugs it in: hot plug detect, EDID and CEC go with it.
pub fn hdmi_cable(plugged: bool) {
    let to = if plugged { 2 } else { 1 };
    run("v4l2-ctl", &["-d", CAMERA, "-c", &format!("hdmi_000_0_is_connected_to={to}")]);
}

/// Pulls the USB cable of camera and CEC adapter (one device here), or plugs it in again.
pub fn usb_cable(plugged: bool) {
    is_guest();
    let driver = Path::new("/sys/bus/platform/drivers/vivid");
    if driver.join("vivid.0").exists() != plugged {
        if plugged {
            // Who still has the old one open keeps its number: a cable takes longer to be put in again than that.
            until("the camera that was pulled is let go", || holders(&format!("{CAMERA} (deleted)")).is_empty());
        }
        std::fs::write(driver.join(if plugged { "bind" } else { "unbind" }), "vivid.0").unwrap();
    }
    if plugged {
        until("the camera's node", || Path::new(CAMERA).exists());
        run("udevadm", &["settle"]);
        hdmi_cable(true);
    }
}

/// Pulls the cable of the box's own display, or plugs it in.
pub fn display_cable(plugged: bool) {
    is_guest();
    std::fs::write("/sys/class/drm/card0-Virtual-1/status", if plugged { "on" } else { "off" }).unwrap();
}

/// A fault of the camera that this kernel's driver can have (./kernel.changes): bandwidth, stall, hang. 0 ends it.
pub fn camera_fault(name: &str, value: u32) {
    is_guest();
    std::fs::write(format!("/sys/module/vivid/parameters/{name}"), value.to_string()).unwrap();
}

/// A display (1) or a sound card (its number, counted from 1) whose driver does not return, until 0.
pub fn hangs(module: &str, which: u32) {
    is_guest();
    std::fs::write(format!("/sys/module/{module}/parameters/hang"), which.to_string()).unwrap();
}

/// The processes that have a device open, by their command lines: asked of /proc, as a resident's relative could.
pub fn holders(device: &str) -> Vec<String> {
    is_guest();
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        // not self and thread-self
        if process.file_name().to_str().is_none_or(|name| name.parse::<u32>().is_err()) {
            continue;
        }
        let Ok(files) = std::fs::read_dir(process.path().join("fd")) else { continue };
        if files.flatten().any(|f| std::fs::read_link(f.path()).is_ok_and(|to| to == Path::new(device))) {
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            found.push(String::from_utf8_lossy(&line).replace('\0', " "));
        }
    }
    found
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn the_guest_has_its_devices() {
    is_guest();
    for device in [CAMERA, HDMI_OUT, CEC_TELEVISION, CEC_BOX, "/dev/dri/card0", "/dev/uinput", "/dev/snd/pcmC0D0p", "/dev/snd/pcmC0D1c"] {
        assert!(Path::new(device).exists(), "{device} is missing");
    }
    assert_eq!(run("systemctl", &["--failed", "--no-legend"]), "");
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn the_guest_cannot_write_to_the_machine() {
    is_guest();
    // the machine's own file tree is under the guest's: even a guest that tries cannot change it
    let _ = Command::new("mount").args(["-o", "remount,rw", "/mnt/.host"]).status();
    let there = "/mnt/.host/etc/devlab-was-here";
    assert!(std::fs::write(there, "").is_err(), "{there} was written");
    assert!(std::fs::write("/mnt/.host/tmp/devlab-was-here", "").is_err(), "the machine's /tmp was written");
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn an_open_camera_is_seen_in_proc_until_it_is_closed() {
    assert_eq!(holders(CAMERA), Vec::<String>::new());
    let camera = std::fs::File::open(CAMERA).unwrap();
    assert_eq!(holders(CAMERA).len(), 1);
    drop(camera);
    assert_eq!(holders(CAMERA), Vec::<String>::new());
}
