//! The whole box at once: television by HDMI-CEC, its own display, a remote control, camera and sound cards, all the kernel's.

use crate::cec::Television;
use crate::daemon::{DEVICES, Tone, in_room, sees_and_hears};
use crate::display::the_dialog_is_seen;
use crate::guest::{self, CAMERA, CEC_BOX, PATIENCE, until};
use crate::keys::Remote;
use crate::service::{RESIDENT, Service};
use evdev::KeyCode;
use residentd::call::RoomEvent;
use residentd_lab::{CallOptions, Caller, Lab, Options, Reply, ReplyKind};
use std::time::{Duration, Instant};

/// The settings of a box with all of them.
pub fn settings() -> String {
    format!("{DEVICES}tv.driver = \"cec\"\ntv.cec.device = {CEC_BOX:?}\ntv.sink = \"kms\"\ntv.keys.enabled = true\n")
}

/// Presses this key until the caller hears of it: that the remote control is taken is announced by nothing, and a key right after a
/// dialog came up was meant for something else.
async fn press(remote: &mut Remote, key: KeyCode, caller: &mut Caller) -> Reply {
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "no key is heard");
        remote.key(key, 1);
        remote.key(key, 0);
        if let Some(reply) = caller.reply(Duration::from_millis(500)).await {
            return reply;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-test"]
async fn a_sleeping_television_is_woken_shows_who_calls_is_answered_by_the_remote_control_and_put_back() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut caller = lab.caller("roger_chatta_admin");
    let _television = Television::asleep();
    let mut remote = Remote::new("Device lab remote");
    let service = Service::start(&lab, &settings());
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online:\n{}", service.journal().join("\n"));
    let said = |words: &str| service.journal().iter().any(|line| line.contains(words));

    // how the television was before is only known by then
    until("the television's first answers", || said("the television's maker"));
    let before = Television::heard().len();
    let _tone = Tone::start();
    let requested = caller.request(RESIDENT, &CallOptions::default());
    service.happening("the ringing", |e| e["kind"] == "offered");
    until("the waking", || said("television: Woken"));
    until("a picture", || said("showing on Virtual-1"));
    the_dialog_is_seen("answered");
    assert_eq!(guest::holders(CAMERA), Vec::<String>::new(), "the camera is open while it rings");

    assert_eq!(press(&mut remote, KeyCode::KEY_OK, &mut caller).await.kind, ReplyKind::Accepted);
    let mut end = in_room(&lab, &requested).await;
    end.expect(RoomEvent::Joined).await;
    sees_and_hears(&end);

    assert_eq!(press(&mut remote, KeyCode::KEY_RED, &mut caller).await.kind, ReplyKind::Ended);
    service.kind("closed");
    until("the camera is closed", || guest::holders(CAMERA).is_empty());
    // a key closes the message, and then the television is put back
    until("idle", || service.is_idle());
    service.kind("restored");
    let heard = &Television::heard()[before..];
    let asked = |words: &str| heard.find(words).unwrap_or_else(|| panic!("{words}: {heard}"));
    assert!(asked(" ACTIVE_SOURCE") < asked("INACTIVE_SOURCE") && asked("INACTIVE_SOURCE") < asked("STANDBY (0x36)"), "{heard}");
    until("the display and all devices are let go", || service.open().iter().all(|f| f == CEC_BOX || f.starts_with("/dev/input/")));
    end.leave().await;
}
