//! `residentctl doctor` and `residentctl test` on real devices: they find them well, and each of them broken.

use crate::cec::Television;
use crate::guest::{self, CAMERA, CEC_BOX, camera_fault, display_cable, hdmi_cable, is_guest, packaged, usb_cable};
use crate::keys::{Hangs, Remote};
use crate::service::{self, RESIDENT, Service};
use crate::whole;
use cec_linux::{CecDevice, CecModeFollower, CecModeInitiator};
use evdev::KeyCode;
use residentd_lab::{CallOptions, Lab, Options};
use serde_json::Value;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

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
    let output = command(arguments, settings).output().unwrap();
    let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code(), report)
}

fn command(arguments: &[&str], settings: &[&str]) -> Command {
    let mut command = plain(arguments, settings);
    command.arg("--json");
    command
}

/// In words, for a person.
fn plain(arguments: &[&str], settings: &[&str]) -> Command {
    is_guest();
    let mut command = Command::new(if packaged() { "/usr/bin/residentctl" } else { env!("CARGO_BIN_EXE_residentctl") });
    let socket = if arguments.contains(&"--socket") { vec![] } else { vec!["--socket", "/nonexistent"] };
    command.args(["--config", "/dev/null"]).args(socket).args(arguments);
    command.args(settings.iter().flat_map(|setting| ["--set", setting]));
    command
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

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn colour_bars_are_shown_on_the_display_and_it_is_free_again_after_them() {
    for _ in 0..2 {
        let output = plain(&["test", "screen", "--seconds", "2"], &["tv.sink=kms", "tv.driver=none"]).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        let pictures = told.split_once("colour bars were shown: ").and_then(|(_, rest)| rest.split(' ').next()?.parse::<u32>().ok());
        assert!(output.status.success() && pictures.is_some_and(|n| n > 1), "{told}{}", String::from_utf8_lossy(&output.stderr));
    }
    display_cable(false);
    let output = plain(&["test", "screen", "--seconds", "2"], &["tv.sink=kms", "tv.driver=none"]).output().unwrap();
    display_cable(true);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("no display is plugged in"), "{told}");
}

/// Verdict, words and next step of one check.
fn found(check: &str, settings: &[&str]) -> [String; 3] {
    words(&doctor(&[check], settings), check)
}

fn words(report: &Value, check: &str) -> [String; 3] {
    let found = report["findings"].as_array().unwrap().iter().find(|f| f["check"] == check);
    let found = found.unwrap_or_else(|| panic!("nothing about {check}: {report:#}"));
    ["verdict", "says", "next"].map(|field| found[field].as_str().unwrap_or_default().to_owned())
}

/// Each of them has these words in it.
fn assert_found(found: &[String; 3], expected: [&str; 3]) {
    assert!(found.iter().zip(expected).all(|(found, expected)| found.contains(expected)), "{found:?} instead of {expected:?}");
}

fn unit() -> [String; 3] {
    found("unit", &[])
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

fn cec() -> [String; 3] {
    found("cec", &["tv.driver=cec"])
}

/// Has the box claim an address on the bus, as the daemon does, and waits for the television's first answer.
fn claim_an_address() {
    guest::run("cec-ctl", &["-d", CEC_BOX, "--playback", "-o", "Telephone"]);
    guest::until("a television that is on", || Television::says("on ("));
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn doctor_names_the_television_and_its_power_and_tells_what_is_wrong_between_it_and_the_box() {
    let mut television = Television::new();
    guest::run("cec-ctl", &["-d", CEC_BOX, "--clear"]);
    assert_found(&cec(), ["warning", "we have no address on its bus", "start residentd"]);

    claim_an_address();
    assert_found(&cec(), ["ok", "television (vendor 000C03), on", ""]);
    guest::run("cec-ctl", &["-d", CEC_BOX, "--to", "0", "--standby"]);
    guest::until("standby", || Television::says("standby ("));
    assert_found(&cec(), ["ok", "television (vendor 000C03), standby", ""]);

    television.pause(true);
    assert_found(&cec(), ["warning", "(vendor 000C03), does not say whether it is on", "tv.cec.quirks"]);
    television.pause(false);
    television.unpower();
    assert_found(&cec(), ["warning", "it answers nothing", "switch it on and try again; then look for CEC in its menu"]);
    television.power_up();
    hdmi_cable(false);
    assert_found(&cec(), ["failure", "/dev/cec1: no television at the other end", "check the HDMI cable"]);
    hdmi_cable(true);
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn doctor_finds_an_adapter_that_is_gone() {
    usb_cable(false);
    assert_found(&cec(), ["failure", "there is no HDMI-CEC adapter", "plug in its USB adapter"]);
    let named = found("cec", &["tv.driver=cec", "tv.cec.device=/dev/cec1"]);
    usb_cable(true);
    assert_found(&named, ["failure", "/dev/cec1: No such file", "residentctl devices"]);
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn doctor_finds_an_adapter_that_another_program_keeps_to_itself() {
    let _television = Television::new();
    claim_an_address();
    let other = CecDevice::open(CEC_BOX).unwrap();
    other.set_mode(CecModeInitiator::Exclusive, CecModeFollower::RepliesOnly).unwrap();
    assert_found(&cec(), ["failure", "/dev/cec1: another program keeps it to itself", "fuser -v /dev/cec1"]);
    other.set_mode(CecModeInitiator::Send, CecModeFollower::Exclusive).unwrap();
    assert_found(&cec(), ["warning", "on; another program keeps the keys", "fuser -v /dev/cec1"]);
    drop(other);
    assert_found(&cec(), ["ok", "(vendor 000C03), on", ""]);
}

/// Of what this machine has, only the remotes of these tests.
fn keys(driver: &str) -> [String; 3] {
    found("keys", &[driver, "tv.keys.enabled=true", "tv.keys.devices=[\"Device lab\"]"])
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn doctor_finds_remote_controls_and_those_that_another_program_keeps_to_itself() {
    assert_found(&keys("tv.driver=none"), ["failure", "nobody can answer", "connect the remote control's receiver"]);
    assert_found(&keys("tv.driver=cec"), ["warning", "keys come over HDMI-CEC only", "connect its receiver"]);

    let mut remote = Remote::new("Device lab remote");
    let node = remote.node().display().to_string();
    let mut other = remote.other();
    let kept = format!("fuser -v {node}");
    assert_found(&keys("tv.driver=none"), ["ok", "keys come from Device lab remote", ""]);
    other.grab().unwrap();
    assert_found(&keys("tv.driver=none"), ["failure", "another program keeps Device lab remote to itself: nobody can answer", &kept]);
    assert_found(&keys("tv.driver=cec"), ["warning", "to itself: keys come over HDMI-CEC only", &kept]);
    let second = Remote::new("Device lab keyboard");
    assert_found(&keys("tv.driver=none"), ["warning", "to itself: keys come from Device lab keyboard", &kept]);
    drop(second);

    // Nobody tries to take a remote while a key is held: who waits for its end would not see it.
    remote.key(KeyCode::KEY_OK, 1);
    assert_found(&keys("tv.driver=none"), ["ok", "keys come from Device lab remote", ""]);
    remote.key(KeyCode::KEY_OK, 0);
    other.ungrab().unwrap();
    assert_found(&keys("tv.driver=none"), ["ok", "keys come from Device lab remote", ""]);
    assert!(other.grab().is_ok(), "doctor has kept it");
}

/// Its report, while a driver that does not return keeps its process from ending.
fn report(doctor: &mut Child) -> Value {
    let mut told = String::new();
    for line in BufReader::new(doctor.stdout.take().unwrap()).lines() {
        told += &line.unwrap();
        if let Ok(report) = serde_json::from_str(&told) {
            return report;
        }
    }
    panic!("no report: {told}");
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn drivers_of_the_television_and_of_a_remote_that_do_not_return_are_told_and_hide_nothing() {
    let _television = Television::new();
    claim_an_address();
    let _remote = Remote::new("Device lab remote");
    let hangs = Hangs::plug_in();
    camera_fault("hang", 2);
    let devices = format!("tv.keys.devices=[\"Device lab\", {:?}]", hangs.0);
    let settings = ["tv.driver=cec", "tv.keys.enabled=true", &devices];
    let mut doctor = command(&["doctor", "--only", "cec", "--only", "keys", "--only", "display"], &settings);
    let mut doctor = doctor.stdout(Stdio::piped()).spawn().unwrap();
    let report = report(&mut doctor);
    camera_fault("hang", 0);
    drop(hangs);
    doctor.wait().unwrap();
    let found = |check: &str| words(&report, check);
    assert_found(&found("cec"), ["failure", "/dev/cec1: its driver does not answer", "plug it in again"]);
    assert_found(
        &found("keys"),
        ["warning", "event99 does not return: keys come from Device lab remote", "plug /dev/input/event99 in again"],
    );
    assert_eq!(found("display")[0], "ok", "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-test"]
async fn doctor_takes_the_daemon_for_no_other_program() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let _television = Television::new();
    let mut remote = Remote::new("Device lab remote");
    let service = Service::start(&lab, &whole::settings().replace(CAMERA, "test"));
    let doctor = |check| {
        let settings = ["tv.driver=cec", "tv.keys.enabled=true", "tv.keys.devices=[\"Device lab\"]"];
        words(&residentctl(&["doctor", "--socket", service::SOCKET, "--only", check], &settings).1, check)
    };
    let answers = || {
        let found = doctor("cec");
        println!("{found:?}");
        found[0] == "ok"
    };
    guest::until("our address, and the television's answer", answers);
    assert_found(&doctor("keys"), ["ok", "keys come from Device lab remote", ""]);

    let mut caller = lab.caller("roger_chatta_admin");
    assert!(caller.presence(RESIDENT, true, guest::PATIENCE).await, "not online:\n{}", service.journal().join("\n"));
    caller.request(RESIDENT, &CallOptions::default());
    guest::until("a picture", || service.journal().iter().any(|line| line.contains("showing on Virtual-1")));
    guest::until("the remote is the daemon's", || remote.other().grab().is_err());
    assert_found(&doctor("keys"), ["ok", "keys come from Device lab remote", ""]);
}

/// A time server for `systemd-timesyncd` that has this machine's time (RFC 5905).
fn time_server() {
    let socket = UdpSocket::bind("127.0.0.1:123").unwrap();
    std::thread::spawn(move || {
        let mut asked = [0; 512];
        while let Ok((_, client)) = socket.recv_from(&mut asked) {
            // Version 4, a server's answer, of the first stratum.
            let mut answer = [0; 48];
            answer[..4].copy_from_slice(&[0x24, 1, 4, 0xec]);
            answer[12..16].copy_from_slice(b"LAB\0");
            // What it sent, when we got it, and when this goes out.
            answer[24..32].copy_from_slice(&asked[40..48]);
            answer[32..40].copy_from_slice(&ntp_time());
            answer[40..48].copy_from_slice(&ntp_time());
            let _ = socket.send_to(&answer, client);
        }
    });
}

/// Seconds since 1900, and their fraction.
fn ntp_time() -> [u8; 8] {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let fraction = (u64::from(now.subsec_nanos()) << 32) / 1_000_000_000;
    (((now.as_secs() + 2_208_988_800) << 32) | fraction).to_be_bytes()
}

/// A platform whose clock is so many seconds ahead; the setting that names it.
fn platform_with_clock(ahead: i64) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let setting = format!("line.chatta.api=http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for mut client in listener.incoming().map_while(Result::ok) {
            let request = BufReader::new(client.try_clone().unwrap());
            let _ = request.lines().map_while(Result::ok).find(String::is_empty);
            let at = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
            let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap();
            let _ = write!(client, "HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        }
    });
    setting
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn doctor_finds_a_clock_that_nobody_synchronises_and_one_that_is_not_the_platforms() {
    let (right, late) = (platform_with_clock(0), platform_with_clock(400));
    let clock = |platform: &str| found("clock", &[platform]);
    // Its time daemon runs, but this guest has no network.
    assert_found(&clock(&right), ["warning", "compared with the platform's, but not synchronised", "UDP port 123"]);

    time_server();
    let folder = std::path::Path::new("/run/systemd/timesyncd.conf.d");
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("lab.conf"), "[Time]\nNTP=127.0.0.1\n").unwrap();
    guest::run("systemctl", &["restart", "systemd-timesyncd"]);
    guest::until("a synchronised clock", || clock(&right)[0] == "ok");
    assert_found(&clock("line.chatta.api=http://127.0.0.1:9"), ["ok", "synchronised; the platform's could not be asked", ""]);
    assert_found(&clock(&late), ["failure", "synchronised, and 400 s away from the platform's: tokens", "timedatectl set-ntp"]);

    // A box without systemd's way of asking: its time daemon alone says so, and says nothing when it is stopped.
    guest::run("systemctl", &["mask", "--runtime", "--now", "systemd-timedated"]);
    let running = clock(&right);
    guest::run("systemctl", &["stop", "systemd-timesyncd"]);
    let stopped = clock(&right);
    guest::run("systemctl", &["unmask", "--runtime", "systemd-timedated"]);
    assert_found(&running, ["ok", "synchronised, and that of the platform", ""]);
    assert_found(&stopped, ["warning", "nothing says whether it is synchronised", "timedatectl set-ntp"]);
}

/// Takes memory until so many MiB are free.
fn all_memory_but(mib: usize) -> Vec<Vec<u8>> {
    let free = || {
        let told = std::fs::read_to_string("/proc/meminfo").unwrap();
        let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:")).unwrap();
        line.split_whitespace().next().unwrap().parse::<usize>().unwrap() / 1024
    };
    let mut taken = Vec::new();
    while free() > mib {
        taken.push(vec![1; (free() - mib).clamp(1, 64) << 20]);
    }
    taken
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn doctor_finds_little_memory_left_and_too_little_for_a_call() {
    assert_found(&found("memory", &[]), ["ok", "MiB free of", ""]);
    let taken = all_memory_but(140);
    assert_found(&found("memory", &[]), ["warning", "MiB free of", "see which programs take it: ps aux"]);
    drop(taken);
    let taken = all_memory_but(60);
    assert_found(&found("memory", &[]), ["failure", "too little for a call", "end other programs, or add swap"]);
    drop(taken);
    assert_found(&found("memory", &[]), ["ok", "MiB free of", ""]);
}
