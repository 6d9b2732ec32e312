//! Remote controls as the kernel has them, with uinput as the remote.

use crate::cec::Television;
use crate::daemon::answered;
use crate::guest::{self, CAMERA, PATIENCE, is_guest};
use crate::service::{RESIDENT, Service};
use crate::whole;
use evdev::uinput::VirtualDevice;
use evdev::{AttributeSet, Device, EventType, InputEvent, KeyCode};
use residentd::journal::messages;
use residentd::tv::keymap::Map;
use residentd::tv::keys::{Key, Stroke};
use residentd::tv::remotes::{self, Settings};
use residentd::tv::stage::DriverEvent;
use residentd_lab::{CallOptions, Lab, Options, ReplyKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

pub struct Remote(VirtualDevice);

impl Remote {
    pub fn new(name: &str) -> Remote {
        is_guest();
        let keys: AttributeSet<KeyCode> = [KeyCode::KEY_OK, KeyCode::KEY_BACK, KeyCode::KEY_RED].into_iter().collect();
        Remote(VirtualDevice::builder().unwrap().name(name).with_keys(&keys).unwrap().build().unwrap())
    }

    pub fn key(&mut self, key: KeyCode, value: i32) {
        self.0.emit(&[InputEvent::new(EventType::KEY.0, key.code(), value)]).unwrap();
    }

    /// Where it is.
    pub fn node(&mut self) -> PathBuf {
        self.0.enumerate_dev_nodes_blocking().unwrap().next().unwrap().unwrap()
    }

    /// As another program sees it.
    pub fn other(&mut self) -> Device {
        let device = Device::open(self.node()).unwrap();
        device.set_nonblocking(true).unwrap();
        device
    }
}

fn pressed(device: &mut Device) -> usize {
    match device.fetch_events() {
        Ok(events) => events.filter(|e| e.event_type() == EventType::KEY && e.value() == 1).count(),
        Err(_) => 0,
    }
}

async fn stroke(events: &mut mpsc::Receiver<DriverEvent>) -> Stroke {
    match timeout(PATIENCE, events.recv()).await.expect("a key").unwrap() {
        DriverEvent::Stroke(stroke) => stroke,
        other => panic!("{other:?}"),
    }
}

/// Presses OK until it arrives: finding and taking the device is announced by nothing.
async fn press_until_heard(remote: &mut Remote, events: &mut mpsc::Receiver<DriverEvent>) {
    let trying = async {
        loop {
            remote.key(KeyCode::KEY_OK, 1);
            remote.key(KeyCode::KEY_OK, 0);
            if timeout(std::time::Duration::from_millis(500), stroke(events)).await.is_ok() {
                stroke(events).await;
                return;
            }
        }
    };
    timeout(PATIENCE, trying).await.expect("the remote is heard");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the device lab: make devlab-test"]
async fn a_key_reaches_us_or_another_program_and_never_both() {
    let shown = watch::Sender::new(true);
    let (tell, mut events) = mpsc::channel(64);
    remotes::start(Settings::default(), Arc::new(Map::default()), shown.subscribe(), tell);
    // Plugged in later.
    let mut remote = Remote::new("Device lab remote");
    press_until_heard(&mut remote, &mut events).await;
    let mut other = remote.other();
    pressed(&mut other);
    remote.key(KeyCode::KEY_RED, 1);
    remote.key(KeyCode::KEY_RED, 0);
    assert_eq!(stroke(&mut events).await, Stroke { key: Key::Red, pressed: true });
    assert_eq!(stroke(&mut events).await, Stroke { key: Key::Red, pressed: false });
    assert_eq!(pressed(&mut other), 0, "another program saw our key");

    shown.send_replace(false);
    let trying = async {
        loop {
            remote.key(KeyCode::KEY_BACK, 1);
            remote.key(KeyCode::KEY_BACK, 0);
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            if pressed(&mut other) > 0 {
                return;
            }
        }
    };
    timeout(PATIENCE, trying).await.expect("given back to the others");

    drop((other, remote));
    while events.try_recv().is_ok() {}
    shown.send_replace(true);
    let mut again = Remote::new("Device lab remote");
    press_until_heard(&mut again, &mut events).await;
}

/// An input device whose driver does not return: by its name one, by its number a sound card that can hang.
pub struct Hangs(pub &'static Path);

impl Hangs {
    pub fn plug_in() -> Hangs {
        let (device, node) = (std::fs::metadata("/dev/snd/pcmC0D0p").unwrap().rdev(), Path::new("/dev/input/event99"));
        guest::hangs("snd_aloop", 1);
        let (major, minor) = (rustix::fs::major(device).to_string(), rustix::fs::minor(device).to_string());
        guest::run("mknod", &["-m", "666", node.to_str().unwrap(), "c", &major, &minor]);
        Hangs(node)
    }
}

impl Drop for Hangs {
    fn drop(&mut self) {
        guest::hangs("snd_aloop", 0);
        let _ = std::fs::remove_file(self.0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-test"]
async fn a_driver_that_does_not_return_holds_up_no_other_remote_control_is_told_and_tried_again_when_it_returns() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut caller = lab.caller("roger_chatta_admin");
    let _television = Television::new();
    let service = Service::start(&lab, &whole::settings().replace(CAMERA, "test"));
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online:\n{}", service.journal().join("\n"));
    let mark = service.mark();
    let _hung = Hangs::plug_in();
    let told = || service.said(&mark, &messages::REMOTE_UNUSABLE).filter(|line| line.contains("event99"));
    guest::until("the journal's line", || told().is_some());
    let line = told().unwrap();
    assert!(line.contains("its driver does not return"), "{line}");

    // plugged in after it
    let mut remote = Remote::new("Device lab remote");
    caller.request(RESIDENT, &CallOptions::default());
    service.happening("the ringing", |e| e["kind"] == "offered");
    let press = || [1, 0].iter().for_each(|value| remote.key(KeyCode::KEY_RED, *value));
    assert_eq!(answered(&mut caller, press).await.kind, ReplyKind::Declined(None));

    // it is tried again when its driver returns, and only then is it seen to be no remote control
    let mark = service.mark();
    guest::hangs("snd_aloop", 0);
    let tried = || service.said(&mark, &messages::REMOTE_UNUSABLE).is_some_and(|line| line.contains("event99") && !line.contains("return"));
    guest::until("another try", tried);
}
