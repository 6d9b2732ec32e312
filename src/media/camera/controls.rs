//! The few settings of a camera that a call needs. What a camera does not have is left alone: most lack some of them.

use std::io;
use std::path::Path;
use v4l::control::{Control, Value};

/// V4L2_CID_POWER_LINE_FREQUENCY: against flicker under lamps; 1 is 50 Hz, 2 is 60 Hz.
const POWER_LINE: u32 = 0x0098_0918;
/// V4L2_CID_EXPOSURE_AUTO_PRIORITY: whether the camera may give fewer pictures for more light.
const EXPOSURE_PRIORITY: u32 = 0x009a_0903;

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
