//! The few settings of a camera that a call needs. What a camera does not have is left alone: most lack some of them.

use super::coded::Abilities;
use std::io;
use std::path::Path;
use v4l::control::{Control, Description, Flags, Value};

/// V4L2_CID_POWER_LINE_FREQUENCY: against flicker under lamps; 1 is 50 Hz, 2 is 60 Hz.
const POWER_LINE: u32 = 0x0098_0918;
/// V4L2_CID_EXPOSURE_AUTO_PRIORITY: whether the camera may give fewer pictures for more light.
const EXPOSURE_PRIORITY: u32 = 0x009a_0903;

/// V4L2_CID_MPEG_VIDEO_B_FRAMES: pictures that wait for later ones.
const B_FRAMES: u32 = 0x0099_09ca;
/// V4L2_CID_MPEG_VIDEO_BITRATE, in bit/s.
const BITRATE: u32 = 0x0099_09cf;
/// V4L2_CID_MPEG_VIDEO_REPEAT_SEQ_HEADER: parameter sets with each key frame.
const REPEAT_HEADERS: u32 = 0x0099_09e2;
/// V4L2_CID_MPEG_VIDEO_FORCE_KEY_FRAME, a button.
const KEY_FRAME: u32 = 0x0099_09e5;
/// V4L2_CID_MPEG_VIDEO_H264_PROFILE; 1 is the constrained baseline.
const PROFILE: u32 = 0x0099_0a6b;

/// What a camera that codes by itself is asked for while it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// bit/s.
    Bitrate(u32),
    /// With the next picture.
    KeyFrame,
}

/// What a coding camera can be asked for. The queries cost a system call a control, so only those are asked that code.
pub fn abilities(device: &v4l::Device) -> Abilities {
    let unusable = Flags::DISABLED | Flags::READ_ONLY | Flags::INACTIVE;
    // The library breaks on kinds of controls that it does not know.
    let all = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| device.query_controls().unwrap_or_default()));
    let controls: Vec<Description> = all.unwrap_or_default().into_iter().filter(|c| !c.flags.intersects(unusable)).collect();
    let of = |id: u32| controls.iter().find(|c| c.id == id);
    let bits = |n: i64| u32::try_from(n.max(0)).unwrap_or(u32::MAX);
    Abilities {
        key_frame: of(KEY_FRAME).is_some(),
        bitrate: of(BITRATE).map(|c| bits(c.minimum)..=bits(c.maximum)).filter(|range| !range.is_empty()),
    }
}

/// Before a camera's own stream starts: what a call negotiates, and what can be joined at each key frame.
pub fn prepare_coding(device: &v4l::Device) {
    note("H.264 profile", set(device, PROFILE, Value::Integer(1)));
    note("order of pictures", set(device, B_FRAMES, Value::Integer(0)));
    note("parameter sets", set(device, REPEAT_HEADERS, Value::Boolean(true)));
}

/// Asks for it, on a running device.
pub fn ask(device: &v4l::Device, wish: Wish) {
    match wish {
        Wish::Bitrate(bitrate) => note("bitrate", set(device, BITRATE, Value::Integer(bitrate.into()))),
        // A button has no value to compare with.
        Wish::KeyFrame => note("key frame", device.set_control(Control { id: KEY_FRAME, value: Value::None })),
    }
}

/// The frequency of the mains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mains {
    /// Most of the world.
    Hertz50,
    /// The Americas for the most part, and some of Asia.
    Hertz60,
}

/// Before the stream starts: no flicker, and as much light as the rate allows.
pub fn prepare(path: &Path, mains: Mains) {
    let wanted = match mains {
        Mains::Hertz50 => 1,
        Mains::Hertz60 => 2,
    };
    if let Ok(device) = v4l::Device::with_path(path) {
        note("power line frequency", set(&device, POWER_LINE, Value::Integer(wanted)));
        note("exposure priority", set(&device, EXPOSURE_PRIORITY, Value::Boolean(true)));
    }
}

/// The pictures come too slowly for a call: the camera shall keep its rate from now on, and be darker. Whether it will.
pub fn keep_rate(path: &Path) -> bool {
    v4l::Device::with_path(path).and_then(|d| set(&d, EXPOSURE_PRIORITY, Value::Boolean(false))).is_ok()
}

fn set(device: &v4l::Device, id: u32, value: Value) -> io::Result<()> {
    let same = match (&device.control(id)?.value, &value) {
        (Value::Integer(now), Value::Integer(wanted)) => now == wanted,
        (Value::Boolean(now), Value::Boolean(wanted)) => now == wanted,
        _ => false,
    };
    if same { Ok(()) } else { device.set_control(Control { id, value }) }
}

fn note(what: &str, result: io::Result<()>) {
    if let Err(e) = result {
        log::debug!("the camera's {what} stays as it is: {e}");
    }
}
