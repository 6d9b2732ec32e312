//! What the box has to see, hear and speak with: for `residentctl devices` and for the technician's reports.

use super::camera::choice::Want;
use super::camera::device::{Camera, Silent};
use super::sound::devices::SoundDevice;
use serde::Serialize;
use std::fmt;

/// Everything that could be used for a call.
#[derive(Debug, Clone, Serialize)]
pub struct Devices {
    /// Cameras, with what they offer and what is taken of it.
    pub cameras: Vec<Camera>,
    /// Video devices that could not be asked, and why.
    pub silent: Vec<Silent>,
    /// Microphones.
    pub microphones: Vec<SoundDevice>,
    /// Loudspeakers.
    pub speakers: Vec<SoundDevice>,
}

/// Lists the box's devices for calls with this picture. Each camera is opened for a moment, without its light going on.
/// Blocks while drivers answer, three seconds for each that hangs: call it from a blocking task.
pub fn list(want: Want) -> Devices {
    let (cameras, silent) = super::camera::device::list(want);
    let sound = super::sound::devices::list();
    Devices { cameras, silent, microphones: sound.microphones, speakers: sound.speakers }
}

impl fmt::Display for Devices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Cameras (media.camera)")?;
        for camera in &self.cameras {
            let setting = camera.stable.as_ref().unwrap_or(&camera.path);
            writeln!(f, "  {}", setting.display())?;
            writeln!(f, "      {} at {}, {}", camera.name, camera.path.display(), camera.bus)?;
            if let Some(best) = camera.choices.first() {
                writeln!(f, "      takes {best}: {}", best.why)?;
            }
            if let Some((pid, name)) = &camera.held_by {
                writeln!(f, "      in use by process {pid} ({name})")?;
            }
        }
        for silent in &self.silent {
            writeln!(f, "  {}: {}", silent.path.display(), silent.why)?;
        }
        none(f, self.cameras.is_empty() && self.silent.is_empty())?;
        for (title, devices) in [("Microphones (media.microphone)", &self.microphones), ("Loudspeakers (media.speaker)", &self.speakers)] {
            writeln!(f, "{title}")?;
            for device in devices {
                let state = match device.connected {
                    Some(true) => ", connected",
                    Some(false) => ", nothing connected",
                    None => "",
                };
                writeln!(f, "  {}\n      {}{state}", device.device, device.name)?;
            }
            none(f, devices.is_empty())?;
        }
        Ok(())
    }
}

fn none(f: &mut fmt::Formatter<'_>, empty: bool) -> fmt::Result {
    if empty { writeln!(f, "  none") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::super::camera::choice::choose;
    use super::super::camera::offer::{Bus, Coding, Mode, Pixels, Rate};
    use super::*;

    #[test]
    fn the_list_names_what_belongs_into_the_configuration_and_explains_the_choice() {
        let want = Want { width: 1280, height: 720, fps: 24, h264: true };
        let bus = Bus::Usb(480);
        let mode =
            |coding, fps| Mode { coding, width: 1280, height: 720, rates: vec![Rate::whole(fps)], any_between: false, steered: false };
        let modes = vec![mode(Coding::Raw(Pixels::Yuy2), 10), mode(Coding::Jpeg, 30)];
        let camera = Camera {
            path: "/dev/video2".into(),
            stable: Some("/dev/v4l/by-id/usb-046d_C920-video-index0".into()),
            name: "HD Pro Webcam C920".into(),
            driver: "uvcvideo".into(),
            bus,
            choices: choose(&modes, want, bus),
            modes,
            held_by: Some((71, "cheese".into())),
        };
        let speaker =
            SoundDevice { device: "hdmi:CARD=PCH,DEV=0".into(), name: "SAMSUNG, by HDMI".into(), hdmi: true, connected: Some(true) };
        let text = Devices { cameras: vec![camera], silent: vec![], microphones: vec![], speakers: vec![speaker] }.to_string();
        assert_eq!(
            text,
            "Cameras (media.camera)\n  /dev/v4l/by-id/usb-046d_C920-video-index0\n      HD Pro Webcam C920 at /dev/video2, USB at 480 Mbit/s\n      \
             takes MJPEG 1280x720 at 30/s: raw pictures of this size come at 10/s only\n      in use by process 71 (cheese)\n\
             Microphones (media.microphone)\n  none\n\
             Loudspeakers (media.speaker)\n  hdmi:CARD=PCH,DEV=0\n      SAMSUNG, by HDMI, connected\n"
        );
    }

    #[test]
    fn a_box_without_devices_has_an_empty_list() {
        let want = Want { width: 1280, height: 720, fps: 24, h264: true };
        assert!(list(want).to_string().starts_with("Cameras (media.camera)\n"));
    }
}
