//! How each fault is brought about and mended.

use super::call::House;
use super::table::{Kind, Moment};
use crate::guest::{self, CAMERA, until};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use Kind::*;

/// A fault that is there until it is mended.
pub struct Fault {
    kind: Kind,
    holder: Option<Child>,
    leaving: Vec<Child>,
}

fn sound_card(number: u32, bind: &str) -> Child {
    let order = format!("echo snd_aloop.{number} > /sys/bus/platform/drivers/snd_aloop/{bind}");
    Command::new("sh").args(["-c", &order]).stderr(Stdio::null()).spawn().unwrap()
}

fn has_card(name: &str) -> bool {
    Path::new("/proc/asound").join(name).exists()
}

fn control(name: &str, value: u32) {
    guest::run("v4l2-ctl", &["-d", CAMERA, "-c", &format!("{name}={value}")]);
}

/// A fault of a running stream of a sound card: it is an overrun for recorders, an underrun for players.
fn xrun(card: &str, stream: &str) {
    let file = format!("/proc/asound/{card}/{stream}/sub0/xrun_injection");
    std::fs::write(&file, "1").unwrap_or_else(|e| panic!("{file}: {e}"));
}

fn hold(line: &str) -> Option<Child> {
    Some(Command::new("sh").args(["-c", &format!("exec {line} > /dev/null 2>&1")]).spawn().unwrap())
}

impl Fault {
    pub fn inject(kind: Kind, moment: Moment, house: &mut House) -> Fault {
        let running = !matches!(moment, Moment::BeforeTheCall | Moment::Ringing);
        let mut fault = Fault { kind, holder: None, leaving: Vec::new() };
        match kind {
            CameraUnplugged | AdapterUnplugged => guest::usb_cable(false),
            CameraStalls => guest::camera_fault("stall", 1),
            CameraHangs => {
                guest::camera_fault("hang", 1);
                // a stream that runs is started again when no picture comes
                guest::camera_fault("stall", u32::from(running));
            }
            CameraCrowdedOut => {
                guest::camera_fault("bandwidth", 1);
                if running {
                    guest::usb_cable(false);
                    guest::usb_cable(true);
                }
            }
            CameraHeld => {
                fault.holder = hold(&format!("v4l2-ctl -d {CAMERA} --stream-mmap --stream-count=0"));
                until("the other program has the camera", || !guest::holders(CAMERA).is_empty());
            }
            CameraFails if running => control("inject_fatal_streaming_error", 1),
            CameraFails => control("inject_vidioc_streamon_error", 1),
            CameraDropsMost => control("percentage_of_dropped_buffers", 60),
            CameraAndMicrophoneUnplugged => {
                guest::usb_cable(false);
                fault.leaving.push(sound_card(0, "unbind"));
            }
            MicrophoneUnplugged => fault.leaving.push(sound_card(0, "unbind")),
            SpeakerUnplugged => fault.leaving.push(sound_card(1, "unbind")),
            MicrophoneHeld => {
                fault.holder = hold("arecord -q -D hw:Loopback,1,0 -f S16_LE -r 48000 -c 2 /dev/null");
                until("the other program has the microphone", || !guest::holders("/dev/snd/pcmC0D1c").is_empty());
            }
            SpeakerHeld => {
                fault.holder = hold("aplay -q -D hw:Speaker,0,1 -f S16_LE -r 48000 -c 2 /dev/zero");
                until("the other program has the loudspeaker", || !guest::holders("/dev/snd/pcmC1D0p").is_empty());
            }
            SpeakerHangs => guest::hangs("snd_aloop", 2),
            MicrophoneOverruns => xrun("Loopback", "pcm1c"),
            SpeakerUnderruns => xrun("Speaker", "pcm0p"),
            TelevisionSwitchedAway => house.lab.set_tv(|tv| tv.input = "hdmi2".into()),
            TelevisionPutToStandby => house.lab.set_tv(|tv| tv.power = residentd_lab::Power::Standby),
            CablePulled => guest::hdmi_cable(false),
            AdapterHangs => guest::camera_fault("hang", 2),
            TelevisionSilent | TelevisionWakesLate => house.set().pause(true),
            TelevisionUnpowered => house.set().unpower(),
            DisplayUnplugged => guest::display_cable(false),
            DisplayHeld => {
                let hold = "import os, time; os.open('/dev/dri/card0', os.O_RDWR); time.sleep(600)";
                fault.holder = Some(Command::new("python3").args(["-c", hold]).spawn().unwrap());
                until("the other program has the display", || !guest::holders("/dev/dri/card0").is_empty());
            }
            DisplayHangs => guest::hangs("vkms", 1),
            RemoteUnplugged => house.remote = None,
            RemoteHeld => house.remote().grab(true),
        }
        for (card, kinds) in [("Loopback", [MicrophoneUnplugged, CameraAndMicrophoneUnplugged]), ("Speaker", [SpeakerUnplugged; 2])] {
            // unplugged at once for who uses it, even if it is only freed when the last of them has let go
            until("the sound card is gone", || !kinds.contains(&kind) || !has_card(card));
        }
        fault
    }

    pub fn mend(mut self, house: &mut House) {
        if let Some(mut holder) = self.holder.take() {
            let _ = holder.kill();
            let _ = holder.wait();
        }
        for mut leaving in self.leaving.drain(..) {
            // it waits until the last user has closed the card
            until("everybody lets go of the unplugged sound card", || leaving.try_wait().unwrap().is_some());
        }
        match self.kind {
            CameraUnplugged => guest::usb_cable(true),
            AdapterUnplugged => {
                guest::usb_cable(true);
                house.set().power_up();
            }
            CameraStalls => guest::camera_fault("stall", 0),
            CameraHangs => {
                guest::camera_fault("stall", 0);
                guest::camera_fault("hang", 0);
            }
            CameraCrowdedOut => guest::camera_fault("bandwidth", 0),
            CameraDropsMost => control("percentage_of_dropped_buffers", 0),
            CameraAndMicrophoneUnplugged => {
                guest::usb_cable(true);
                assert!(sound_card(0, "bind").wait().unwrap().success());
            }
            MicrophoneUnplugged => assert!(sound_card(0, "bind").wait().unwrap().success()),
            SpeakerUnplugged => assert!(sound_card(1, "bind").wait().unwrap().success()),
            CablePulled => guest::hdmi_cable(true),
            AdapterHangs => guest::camera_fault("hang", 0),
            SpeakerHangs => guest::hangs("snd_aloop", 0),
            DisplayHangs => guest::hangs("vkms", 0),
            TelevisionSilent | TelevisionWakesLate => house.set().pause(false),
            TelevisionUnpowered => house.set().power_up(),
            DisplayUnplugged => guest::display_cable(true),
            RemoteUnplugged => house.plug_remote(),
            RemoteHeld => house.remote().grab(false),
            CameraHeld
            | CameraFails
            | MicrophoneHeld
            | MicrophoneOverruns
            | SpeakerHeld
            | SpeakerUnderruns
            | TelevisionSwitchedAway
            | TelevisionPutToStandby
            | DisplayHeld => {}
        }
        guest::run("udevadm", &["settle"]);
    }
}

impl Drop for Fault {
    fn drop(&mut self) {
        if let Some(mut holder) = self.holder.take() {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

/// Mends whatever a row that failed has left: nobody uses the devices any more.
pub fn mend_everything() {
    for name in ["stall", "hang", "bandwidth"] {
        guest::camera_fault(name, 0);
    }
    if !Path::new(CAMERA).exists() {
        guest::usb_cable(true);
    }
    guest::hdmi_cable(true);
    control("percentage_of_dropped_buffers", 0);
    guest::display_cable(true);
    for (number, card) in [(0, "Loopback"), (1, "Speaker")] {
        until("the sound cards", || {
            has_card(card) || {
                std::thread::sleep(Duration::from_millis(200));
                let _ = sound_card(number, "bind").wait();
                has_card(card)
            }
        });
    }
    guest::run("udevadm", &["settle"]);
}
