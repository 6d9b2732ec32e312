//! `residentctl doctor` and `residentctl test` on real devices: they find them well, and each of them broken.

use crate::guest::{self, CAMERA, camera_fault, display_cable, is_guest, packaged, usb_cable};
use crate::service::Service;
use residentd_lab::{Lab, Options};
use serde_json::Value;
use std::process::Command;

const DEVICES: [&str; 4] = ["camera", "microphone", "speaker", "display"];

fn examine() -> Value {
    let camera = format!("media.camera={CAMERA}");
    let sound = ["media.microphone=plughw:CARD=Loopback,DEV=1", "media.speaker=plughw:CARD=Loopback,DEV=0"];
    doctor(&DEVICES, &[&camera, sound[0], sound[1], "media.size=640x360"])
}

fn doctor(only: &[&str], settings: &[&str]) -> Value {
    let checks = only.iter().flat_map(|check| ["--only", check]);
    residentctl(&["doctor"].into_iter().chain(checks).collect::<Vec<_>>(), settings).1
}

/// Its exit code and its report, of a box with these settings and no daemon.
fn residentctl(arguments: &[&str], settings: &[&str]) -> (Option<i32>, Value) {
    is_guest();
    let mut command = Command::new(if packaged() { "/usr/bin/residentctl" } else { env!("CARGO_BIN_EXE_residentctl") });
    command.args(["--config", "/dev/null", "--socket", "/nonexistent", "--json"]).args(arguments);
    command.args(settings.iter().flat_map(|setting| ["--set", setting]));
    let output = command.output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
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

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn the_speaker_is_heard_by_the_microphone_of_its_room_and_by_no_other() {
    let test = |speaker: &str, microphone: &str| {
        let settings = [format!("media.speaker={speaker}"), format!("media.microphone={microphone}")];
        let (exit, report) = residentctl(&["test", "speaker"], &[&settings[0], &settings[1]]);
        (exit, report["findings"][0].clone())
    };
    let (exit, heard) = test("plughw:CARD=Loopback,DEV=0", "plughw:CARD=Loopback,DEV=1");
    assert!(exit == Some(0) && heard["says"].as_str().unwrap().contains("is heard after"), "{exit:?}: {heard:#}");
    assert!(heard["figures"]["delay_ms"].is_number(), "{heard:#}");

    // as a television that is mute, or on another input
    let (exit, deaf) = test("plughw:CARD=Loopback,DEV=0", "plughw:CARD=Speaker,DEV=1");
    assert!(exit == Some(0) && deaf["verdict"] == "warning" && deaf["next"].as_str().unwrap().contains("television"), "{deaf:#}");

    let (exit, missing) = test("plughw:CARD=Elsewhere,DEV=0", "plughw:CARD=Loopback,DEV=1");
    assert!(exit != Some(0) && missing["verdict"] == "failure", "{exit:?}: {missing:#}");
    assert!(missing["next"].as_str().unwrap().contains("residentctl devices"), "{missing:#}");
}

/// Verdict, words and next step about the unit.
fn unit() -> [String; 3] {
    let report = doctor(&["unit"], &[]);
    ["verdict", "says", "next"].map(|field| report["findings"][0][field].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-test"]
async fn doctor_finds_a_unit_that_is_weakened_was_restarted_or_is_stopped() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let service = Service::start(&lab, "media.camera = \"none\"\nmedia.microphone = \"none\"\ntv.driver = \"none\"\ntv.sink = \"none\"\n");
    let [verdict, says, _] = unit();
    assert!(verdict != "failure" && says.starts_with("active, 0 restarts, exposure 1."), "{verdict}: {says}");

    let weaker = std::path::Path::new("/run/systemd/system/residentd.service.d");
    std::fs::create_dir_all(weaker).unwrap();
    std::fs::write(weaker.join("weaker.conf"), "[Service]\nUser=root\nProtectSystem=no\nCapabilityBoundingSet=~\nSystemCallFilter=\n")
        .unwrap();
    guest::run("systemctl", &["daemon-reload"]);
    let weakened = unit();
    std::fs::remove_dir_all(weaker).unwrap();
    guest::run("systemctl", &["daemon-reload"]);
    assert!(weakened[0] == "warning" && weakened[2].contains("a drop-in weakens it"), "{weakened:?}");

    guest::run("systemctl", &["kill", "--signal=KILL", "residentd"]);
    guest::until("another daemon", || service.was_restarted() && service.property("ActiveState") == "active");
    let [verdict, says, next] = unit();
    assert!(verdict == "warning" && says.contains("1 restarts") && next.contains("journalctl"), "{verdict}: {says}: {next}");

    guest::run("systemctl", &["stop", "residentd"]);
    let [verdict, says, next] = unit();
    assert!(verdict == "failure" && says.contains("inactive") && next.contains("systemctl start"), "{verdict}: {says}: {next}");
}
