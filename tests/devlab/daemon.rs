//! Whole calls of the installed daemon, on the guest's camera, sound cards and display.

use crate::guest::{self, CAMERA, PATIENCE};
use crate::participant::{Guest, Participant};
use crate::service::{RESIDENT, Service};
use residentd::call::RoomEvent;
use residentd_lab::{CallOptions, Caller, Lab, Options, Power, Reply, ReplyKind, Requested};
use std::process::{Child, Command};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The caller's end in the room that was requested: sees and hears what the box sends.
pub async fn in_room(lab: &Lab, requested: &Requested) -> Participant {
    // without a camera: one encoder and one decoder are enough for this machine
    let guest = Guest::in_room(lab, &requested.room_name, "roger_chatta_admin", "chattademo");
    Participant::join(Guest { camera: false, ..guest }).await
}

/// Waits until the resident's picture moves and their sound is heard, from now on. A few pictures are enough: how many come a
/// second, the machine under this one decides.
pub fn sees_and_hears(end: &Participant) {
    let (moving, loud) = (end.picture.moving.load(Ordering::Relaxed), end.loud.load(Ordering::Relaxed));
    guest::until("the caller sees and hears the resident", || {
        end.picture.moving.load(Ordering::Relaxed) >= moving + 3 && end.loud.load(Ordering::Relaxed) >= loud + 1000
    });
}

/// A tone in the resident's room, which the microphone hears.
pub struct Tone(Child);

impl Tone {
    /// Plays until dropped. Before the microphone is opened: who comes second has to take the format of the first.
    pub fn start() -> Tone {
        let tone = "exec speaker-test -D hw:Loopback,0,0 -r 48000 -c 2 -F S16_LE -t sine -f 440 > /dev/null 2>&1";
        let tone = Tone(Command::new("sh").args(["-c", tone]).spawn().unwrap());
        // it is draining most of the time, but its format is there from its first sample on
        let format = "/proc/asound/Loopback/pcm0p/sub0/hw_params";
        guest::until("the tone", || std::fs::read_to_string(format).is_ok_and(|format| format.contains("rate:")));
        tone
    }
}

impl Drop for Tone {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Small pictures, because every system call is dear here; camera and sound are the kernel's. What is played on device 0 of a sound
/// card is recorded on its device 1.
pub const DEVICES: &str = "media.camera = \"/dev/video0\"\nmedia.microphone = \"hw:Loopback,1,0\"\nmedia.speaker = \"hw:Speaker,0,1\"\n\
    media.echo_cancellation = false\nmedia.size = \"640x360\"\nmedia.rate = 10\nmedia.codec = \"vp8\"\n";

/// Presses until the caller hears of it: a key right after the dialog came up was meant for something else and is passed over.
pub async fn answered(caller: &mut Caller, mut press: impl FnMut()) -> Reply {
    let end = Instant::now() + PATIENCE;
    loop {
        assert!(Instant::now() < end, "no key is heard");
        press();
        if let Some(reply) = caller.reply(Duration::from_millis(500)).await {
            return reply;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-test"]
async fn a_call_is_answered_by_a_key_seen_by_the_camera_and_the_camera_is_closed_after_it() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut caller = lab.caller("roger_chatta_admin");
    let television = format!("tv.driver = \"lab\"\ntv.lab = {:?}\ntv.sink = \"none\"\n", lab.tv_url());
    let service = Service::start(&lab, &(DEVICES.to_owned() + &television));
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online:\n{}", service.journal().join("\n"));

    let _tone = Tone::start();
    let requested = caller.request(RESIDENT, &CallOptions::default());
    service.happening("the ringing", |event| event["kind"] == "offered");
    let mut tv = lab.tv();
    tokio::time::timeout(PATIENCE, tv.wait_for(|tv| tv.power == Power::On && tv.input == "box")).await.unwrap().unwrap();
    assert_eq!(guest::holders(CAMERA), Vec::<String>::new(), "the camera is open while it rings");
    assert_eq!(answered(&mut caller, || lab.press("ok")).await.kind, ReplyKind::Accepted);
    let mut end = in_room(&lab, &requested).await;
    end.expect(RoomEvent::Joined).await;
    sees_and_hears(&end);
    assert!(service.open().contains(&CAMERA.to_owned()), "{:?}", service.open());

    caller.end(RESIDENT, &requested);
    service.kind("closed");
    guest::until("the camera is closed", || guest::holders(CAMERA).is_empty());
    service.kind("restored");
    tokio::time::timeout(PATIENCE, tv.wait_for(|tv| tv.power == Power::Standby)).await.unwrap().unwrap();
    guest::until("every device is closed", || service.open().is_empty());
    end.leave().await;
}
