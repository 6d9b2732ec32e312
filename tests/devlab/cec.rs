//! HDMI-CEC through the kernel, with v4l-utils' follower as the television at the other end of the cable.

use crate::guest::{CAMERA, CEC_BOX, CEC_TELEVISION, PATIENCE, camera_fault, hdmi_cable, keep, run, usb_cable};
use cec_linux::{CecDevice, CecModeFollower, CecModeInitiator, CecOpcode};
use residentd::call::CallId;
use residentd::tv::cec::{Cec, device, quirks::Quirks};
use residentd::tv::headless::Headless;
use residentd::tv::keys::Key;
use residentd::tv::power::{Input, Set};
use residentd::tv::stage::DriverEvent;
use residentd::tv::{self, Command, Power, TvEvent, Wake};
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// The television; it is switched off at the wall with this.
pub struct Television(Child);

impl Television {
    pub fn new() -> Television {
        let _ = std::fs::remove_file(keep("follower.txt"));
        Television::start()
    }

    /// In standby.
    pub fn asleep() -> Television {
        let television = Television::new();
        run("cec-ctl", &["-d", CEC_BOX, "--playback", "-o", "Telephone"]);
        run("cec-ctl", &["-d", CEC_BOX, "--to", "0", "--standby"]);
        crate::guest::until("standby", || Television::says("standby ("));
        television
    }

    /// Whether it answers a technician with this state of its power.
    pub fn says(state: &str) -> bool {
        run("cec-ctl", &["-d", CEC_BOX, "--to", "0", "--give-device-power-status"]).contains(&format!("pwr-state: {state}"))
    }

    fn start() -> Television {
        hdmi_cable(true);
        // Where the box speaks at that moment, it loses the arbitration for its own address, and takes another (14).
        let claim = || run("cec-ctl", &["-d", CEC_TELEVISION, "--tv", "-o", "Television"]);
        crate::guest::until("the television has address 0", || claim().contains("Logical Address Mask       : 0x0001"));
        let log = std::fs::OpenOptions::new().create(true).append(true).open(keep("follower.txt")).unwrap();
        let mut follower = std::process::Command::new("cec-follower");
        follower.args(["-d", CEC_TELEVISION, "-v"]).stdin(Stdio::null()).stderr(Stdio::null()).stdout(log);
        Television(follower.spawn().unwrap())
    }

    /// It hears, and answers nothing while paused.
    pub fn pause(&self, paused: bool) {
        run("kill", &[if paused { "-STOP" } else { "-CONT" }, &self.0.id().to_string()]);
    }

    /// Pulls its mains plug: nobody is at the other end of the cable.
    pub fn unpower(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        run("cec-ctl", &["-d", CEC_TELEVISION, "--clear"]);
    }

    /// At the mains again, and on.
    pub fn power_up(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
        *self = Television::start();
    }

    /// What it heard and did since it was new.
    pub fn heard() -> String {
        std::fs::read_to_string(keep("follower.txt")).unwrap_or_default()
    }
}

impl Drop for Television {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn adapter() -> device::Settings {
    device::Settings { device: None, name: "Telephone".into(), physical: None }
}

fn cec() -> (Cec, mpsc::Receiver<DriverEvent>) {
    let (tell, events) = mpsc::channel(256);
    (Cec::start(device::open(adapter()), Quirks::default(), Arc::default(), tell), events)
}

/// A television of the box by HDMI-CEC alone, and a memory for it.
pub fn opened() -> (tv::Television, Arc<dyn tv::Memory>) {
    let settings = tv::Settings {
        control: tv::Control::Cec { adapter: adapter(), quirks: None },
        display: tv::Display::None,
        wanted: Default::default(),
        speaker: tv::Speaker::None,
        ring_volume: 70,
        remotes: None,
        keymap: None,
        font: String::new(),
        locale: "en".into(),
        time_zone: "UTC".into(),
    };
    (tv::open(&settings).unwrap(), Headless::new().0.memory())
}

async fn until(what: &str, mut reached: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !reached().await {
            sleep(Duration::from_millis(200)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("{what} does not come about"));
}

pub async fn power_is(set: &dyn Set, wanted: Power) {
    until(&format!("{wanted:?}"), async || set.state().await.is_ok_and(|s| s.power == wanted)).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the device lab: make devlab-test"]
async fn a_television_in_standby_is_woken_and_put_back() {
    let _television = Television::new();
    let (opened, memory) = opened();
    let set = opened.driver.set.clone();
    power_is(&*set, Power::On).await;
    assert_eq!(set.own_input().as_deref(), Some("1.0.0.0"));
    set.power(false).await.unwrap();
    power_is(&*set, Power::Standby).await;

    let (commands, mut events) = tv::spawn(tv::Config::default(), opened.driver, memory);
    commands.send(Command::Wake(CallId(1))).await.unwrap();
    let woken = timeout(PATIENCE, events.recv()).await.expect("an answer").unwrap();
    assert_eq!(woken, TvEvent::Woken(Wake::Woken));
    assert_eq!(set.state().await.unwrap().input.as_deref(), Some("1.0.0.0"));
    commands.send(Command::Restore(CallId(1))).await.unwrap();
    let restored = timeout(PATIENCE, events.recv()).await.expect("an answer").unwrap();
    assert_eq!(restored, TvEvent::Restored(CallId(1)));
    power_is(&*set, Power::Standby).await;
    let heard = std::fs::read_to_string(keep("follower.txt")).unwrap();
    assert!(heard.contains("ACTIVE_SOURCE"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the device lab: make devlab-test"]
async fn keys_of_its_remote_control_arrive() {
    let _television = Television::new();
    let (set, mut events) = cec();
    power_is(&set, Power::On).await;
    let mut got = Vec::new();
    for key in ["select", "up", "f2-red"] {
        run("cec-ctl", &["-d", CEC_TELEVISION, "--to", "4", "--user-control-pressed", &format!("ui-cmd={key}")]);
        run("cec-ctl", &["-d", CEC_TELEVISION, "--to", "4", "--user-control-released"]);
    }
    while got.len() < 6 {
        match timeout(PATIENCE, events.recv()).await.expect("a key").unwrap() {
            DriverEvent::Stroke(stroke) => got.push((stroke.key, stroke.pressed)),
            _ => continue,
        }
    }
    assert_eq!(got, [Key::Ok, Key::Up, Key::Red].map(|key| [(key, true), (key, false)]).concat());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the device lab: make devlab-test"]
async fn a_key_reaches_one_program_only() {
    let _television = Television::new();
    run("cec-ctl", &["-d", CEC_BOX, "--playback", "-o", "Telephone"]);
    let other = |mode| {
        let device = CecDevice::open(CEC_BOX).unwrap();
        device.set_mode(CecModeInitiator::Send, mode).unwrap();
        device
    };
    let press = || {
        run("cec-ctl", &["-d", CEC_TELEVISION, "--to", "4", "--user-control-pressed", "ui-cmd=select"]);
        run("cec-ctl", &["-d", CEC_TELEVISION, "--to", "4", "--user-control-released"]);
    };
    let reached = |device: &CecDevice| {
        let mut keys = 0;
        while let Ok(message) = device.rec_for(100) {
            keys += usize::from(matches!(message.opcode(), Some(Ok(CecOpcode::UserControlPressed))));
        }
        keys
    };
    // one that keeps the keys to itself
    let first = other(CecModeFollower::Exclusive);
    let (set, mut events) = cec();
    until("our input", async || set.own_input().is_some()).await;
    press();
    until("the other's key", async || reached(&first) == 1).await;
    while let Ok(event) = events.try_recv() {
        assert!(!matches!(event, DriverEvent::Stroke(_)), "{event:?}");
    }
    // and one that would share them
    drop(first);
    let second = other(CecModeFollower::All);
    let ours = |events: &mut mpsc::Receiver<DriverEvent>| {
        let mut keys = 0;
        while let Ok(event) = events.try_recv() {
            keys += usize::from(matches!(event, DriverEvent::Stroke(stroke) if stroke.pressed));
        }
        keys
    };
    let (mut both, mut alone) = (0, 0);
    until("keys for us alone", async || {
        press();
        sleep(Duration::from_millis(500)).await;
        let (others, ours) = (reached(&second), ours(&mut events));
        both += others * ours;
        alone += usize::from(others == 0 && ours > 0);
        alone > 1
    })
    .await;
    println!("keys that reached both before that: {both}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the device lab: make devlab-test"]
async fn the_cable_and_the_adapter_come_and_go() {
    let television = Television::new();
    let (set, _events) = cec();
    power_is(&set, Power::On).await;
    hdmi_cable(false);
    until("no input without a cable", async || set.own_input().is_none()).await;
    hdmi_cable(true);
    until("the input again", async || set.own_input().is_some()).await;
    power_is(&set, Power::On).await;

    drop(television);
    usb_cable(false);
    until("no adapter", async || set.power(true).await.is_err()).await;
    usb_cable(true);
    let _television = Television::new();
    until("the input again", async || set.own_input().is_some()).await;
    power_is(&set, Power::On).await;
}

/// The television's EDID tells where the cable is plugged in; this is what the kernel makes of it at our end.
fn television_at(physical: &str) {
    run("v4l2-ctl", &["-d", CAMERA, &format!("--set-edid=pad=1,type=hdmi,pa={physical}")]);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the device lab: make devlab-test"]
async fn another_physical_address_is_ours_from_then_on() {
    let _television = Television::new();
    let (set, _events) = cec();
    power_is(&set, Power::On).await;
    assert_eq!(set.own_input().as_deref(), Some("1.0.0.0"));
    // the television is at the second socket of a receiver now, and we are at its first
    television_at("2.0.0.0");
    until("the other address", async || set.own_input().as_deref() == Some("2.1.0.0")).await;
    set.input(&Input::Ours).await.unwrap();
    until("our picture by that", async || Television::heard().contains("2.1.0.0")).await;
    television_at("0.0.0.0");
    until("the address as before", async || set.own_input().as_deref() == Some("1.0.0.0")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the device lab: make devlab-test"]
async fn a_driver_that_does_not_return_holds_nobody_up() {
    let _television = Television::new();
    let (set, _events) = cec();
    power_is(&set, Power::On).await;
    camera_fault("hang", 2);
    // Answered all the same: as unknown after a second or two, and as broken once the driver has been given up.
    timeout(PATIENCE, until("it is given up", async || set.power(true).await.is_err())).await.expect("an answer");
    camera_fault("hang", 0);
    power_is(&set, Power::On).await;
}
