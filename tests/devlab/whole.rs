//! The whole box at once: television by HDMI-CEC, its own display, a remote control, camera and sound cards, all the kernel's.

use crate::cec::Television;
use crate::daemon::{DEVICES, Tone, in_room, sees_and_hears};
use crate::display::the_dialog_is_seen;
use crate::guest::{self, CAMERA, CEC_BOX, PATIENCE, until};
use crate::keys::Remote;
use crate::participant::Participant;
use crate::service::{RESIDENT, Service};
use evdev::KeyCode;
use residentd::call::RoomEvent;
use residentd_lab::{CallOptions, Caller, Lab, Options, Reply, ReplyKind, Requested};
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

/// A box whose television slept, and was woken by a call that rings.
struct Rings {
    // ends first: it puts the television back
    service: Service,
    lab: Lab,
    caller: Caller,
    requested: Requested,
    /// Where in what the television heard the call begins.
    before: usize,
    _television: Television,
    _tone: Tone,
}

impl Rings {
    async fn start() -> Rings {
        let lab = Lab::start(Options::default()).await.unwrap();
        let mut caller = lab.caller("roger_chatta_admin");
        let television = Television::asleep();
        let service = Service::start(&lab, &settings());
        assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online:\n{}", service.journal().join("\n"));
        let said = |words: &str| service.journal().iter().any(|line| line.contains(words));
        // how the television was before is only known by then
        until("the television's first answers", || said("the television's maker"));
        let before = Television::heard().len();
        let tone = Tone::start();
        let requested = caller.request(RESIDENT, &CallOptions::default());
        service.happening("the ringing", |e| e["kind"] == "offered");
        until("the waking", || said("television: Woken"));
        until("a picture", || said("showing on Virtual-1"));
        the_dialog_is_seen("answered");
        assert_eq!(guest::holders(CAMERA), Vec::<String>::new(), "the camera is open while it rings");
        Rings { service, lab, caller, requested, before, _television: television, _tone: tone }
    }

    /// Both are in the room, and the caller sees and hears.
    async fn talking(&self) -> Participant {
        let mut end = in_room(&self.lab, &self.requested).await;
        end.expect(RoomEvent::Joined).await;
        sees_and_hears(&end);
        end
    }

    fn is_put_back(&self) {
        let heard = || Television::heard()[self.before..].to_owned();
        until("standby", || heard().contains("STANDBY (0x36)"));
        let heard = heard();
        let asked = |words: &str| heard.find(words).unwrap_or_else(|| panic!("{words}: {heard}"));
        assert!(asked(" ACTIVE_SOURCE") < asked("INACTIVE_SOURCE") && asked("INACTIVE_SOURCE") < asked("STANDBY (0x36)"), "{heard}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-test"]
async fn a_sleeping_television_is_woken_shows_who_calls_is_answered_by_the_remote_control_and_put_back() {
    let mut remote = Remote::new("Device lab remote");
    let mut house = Rings::start().await;
    assert_eq!(press(&mut remote, KeyCode::KEY_OK, &mut house.caller).await.kind, ReplyKind::Accepted);
    let mut end = house.talking().await;

    assert_eq!(press(&mut remote, KeyCode::KEY_RED, &mut house.caller).await.kind, ReplyKind::Ended);
    house.service.kind("closed");
    until("the camera is closed", || guest::holders(CAMERA).is_empty());
    // a key closes the message, and then the television is put back
    until("idle", || house.service.is_idle());
    house.service.kind("restored");
    house.is_put_back();
    until("the display and all devices are let go", || house.service.open().iter().all(|f| f == CEC_BOX || f.starts_with("/dev/input/")));
    end.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-test"]
async fn stopped_in_a_call_it_tells_the_caller_puts_the_television_back_and_ends_before_systemd_ends_it() {
    let mut house = Rings::start().await;
    house.service.order("/v1/accept");
    assert_eq!(house.caller.reply(PATIENCE).await.expect("a reply").kind, ReplyKind::Accepted);
    let mut end = house.talking().await;

    let from = Instant::now();
    guest::run("systemctl", &["stop", "residentd"]);
    println!("stopped in {:.1} s", from.elapsed().as_secs_f64());
    // not "timeout": TimeoutStopSec is all the time there is
    assert_eq!(house.service.property("Result"), "success");
    assert_eq!(guest::holders(CAMERA), Vec::<String>::new());
    assert_eq!(house.caller.reply(PATIENCE).await.expect("a reply").kind, ReplyKind::Ended);
    house.is_put_back();
    end.leave().await;
}
