//! Who sits in front of the machine: looks at its screen, presses keys of its keyboard, hears what its HDMI output plays. There is
//! somebody under qemu only (../machine/run).

use crate::daemon::{DEVICES, Tone, answered, in_room, sees_and_hears};
use crate::display::the_dialog_is_seen;
use crate::guest::{PATIENCE, is_guest, keep, until};
use crate::service::{RESIDENT, Service};
use residentd::call::RoomEvent;
use residentd_lab::{CallOptions, Lab, Options, ReplyKind};
use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;

const PORT: &str = "/dev/virtio-ports/devlab";

/// Whether there is somebody.
pub fn is_there() -> bool {
    Path::new(PORT).exists()
}

/// What is on the screen now, into the file `NAME.ppm` of those that are kept.
pub fn look(name: &str) {
    ask(&format!("look {name}"));
}

/// Presses a key of the keyboard, by qemu's name for it.
fn press(key: &str) {
    ask(&format!("press {key}"));
}

fn ask(wish: &str) {
    is_guest();
    let mut port = OpenOptions::new().read(true).write(true).open(PORT).unwrap();
    writeln!(port, "{wish}").unwrap();
    let mut answer = String::new();
    BufReader::new(port).read_line(&mut answer).unwrap();
    assert_eq!(answer.trim_end(), "done", "{wish}");
}

/// How many loud samples have left the HDMI output so far. Its file grows while something is played.
fn heard() -> usize {
    let wav = std::fs::read(keep("hdmi.wav")).unwrap();
    wav.chunks_exact(2).skip(22).filter(|b| i16::from_le_bytes([b[0], b[1]]).unsigned_abs() > 1000).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs somebody in front of the screen: make devlab-full"]
async fn a_call_is_seen_on_the_screen_answered_at_the_keyboard_and_heard_from_the_television() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut caller = lab.caller("roger_chatta_admin");
    let television = format!("tv.driver = \"lab\"\ntv.lab = {:?}\ntv.sink = \"kms\"\ntv.keys.enabled = true\n", lab.tv_url());
    let devices = DEVICES.replace("hw:Speaker,0,1", "plughw:CARD=HDMI,DEV=0");
    let service = Service::start(&lab, &(devices + &television));
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online:\n{}", service.journal().join("\n"));

    let _tone = Tone::start();
    let requested = caller.request(RESIDENT, &CallOptions::default());
    service.happening("the ringing", |e| e["kind"] == "offered");
    the_dialog_is_seen("outside-ringing");
    assert_eq!(answered(&mut caller, || press("ret")).await.kind, ReplyKind::Accepted);
    let mut end = in_room(&lab, &requested).await;
    end.expect(RoomEvent::Joined).await;
    sees_and_hears(&end);
    // half a second of the caller's tone: more than any sound of the box itself lasts from now on
    let before = heard();
    until("the caller is heard from the television", || heard() > before + 24_000);
    look("outside-in-the-call");

    caller.end(RESIDENT, &requested);
    service.kind("closed");
    until("idle", || service.is_idle());
    service.kind("restored");
    until("every device is closed", || service.open().iter().all(|f| f.starts_with("/dev/input/")));
    end.leave().await;
}
