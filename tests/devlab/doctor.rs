//! `residentctl doctor` on real devices: it finds them well, and each of them broken.

use crate::guest::{CAMERA, camera_fault, display_cable, is_guest, packaged, usb_cable};
use serde_json::Value;
use std::process::Command;

const DEVICES: [&str; 4] = ["camera", "microphone", "speaker", "display"];

fn examine() -> Value {
    is_guest();
    let mut command = Command::new(if packaged() { "/usr/bin/residentctl" } else { env!("CARGO_BIN_EXE_residentctl") });
    command.args(["--config", "/dev/null", "--socket", "/nonexistent", "doctor", "--json"]);
    for device in DEVICES {
        command.args(["--only", device]);
    }
    for setting in [
        &format!("media.camera={CAMERA}"),
        "media.microphone=plughw:CARD=Loopback,DEV=1",
        "media.speaker=plughw:CARD=Loopback,DEV=0",
        "media.size=640x360",
    ] {
        command.args(["--set", setting]);
    }
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// Whether each of them works. How well, a busy machine under the guest decides too: a warning is as good here as none.
fn works(report: &Value) -> [bool; 4] {
    DEVICES.map(|device| {
        let found = report["findings"].as_array().unwrap().iter().find(|f| f["check"] == device);
        let verdict = &found.unwrap_or_else(|| panic!("nothing about {device}: {report:#}"))["verdict"];
        assert_ne!(verdict, "skipped", "{report:#}");
        verdict != "failure"
    })
}

fn says(report: &Value, device: &str) -> String {
    let found = report["findings"].as_array().unwrap().iter().find(|f| f["check"] == device).unwrap();
    found["says"].as_str().unwrap().to_owned()
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn doctor_finds_each_device_well_and_each_one_broken_without_losing_the_others() {
    // Nothing is played into the loop while the microphone is listened to: to the microphone a dead line, as if it were switched off.
    let report = examine();
    assert_eq!(works(&report), [true, false, true, true], "{report:#}");
    assert!(says(&report, "microphone").contains("dead line"), "{report:#}");
    assert!(says(&report, "camera").contains("pictures a second"), "{report:#}");

    usb_cable(false);
    let report = examine();
    usb_cable(true);
    assert_eq!(works(&report), [false, false, true, true], "{report:#}");
    assert!(says(&report, "camera").contains("is not there"), "{report:#}");

    display_cable(false);
    let report = examine();
    display_cable(true);
    assert_eq!(works(&report), [true, false, true, false], "{report:#}");
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn doctor_finds_a_camera_that_stalls() {
    is_guest();
    camera_fault("stall", 1);
    let report = examine();
    camera_fault("stall", 0);
    assert_eq!(works(&report), [false, false, true, true], "{report:#}");
}
