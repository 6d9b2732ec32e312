//! Pictures from a camera of the kernel's into a pipeline. Not by GStreamer's `v4l2src`: that of version 1.22 keeps the device
//! open after its pipeline has ended (it loses count of its buffer pool), and does not hand on what the kernel says when
//! it refuses a stream. A camera that stays open when nobody calls is not to be had.

use super::choice::Choice;
use super::coded::Steer;
use super::controls;
use super::offer::Coding;
use gstreamer as gst;
use gstreamer_app as gst_app;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use v4l::buffer::{Flags, Type};
use v4l::io::mmap::Stream as Buffers;
use v4l::io::traits::{CaptureStream, Stream as _};
use v4l::video::Capture;
use v4l::video::capture::Parameters;
use v4l::{Format, Fraction};

/// Buffers of the driver: three are filled while one is read.
const BUFFERS: u32 = 4;
/// How often it is looked whether the call is over, while no picture comes, ms.
const LOOK: i32 = 40;
/// A driver that says that there is a picture and does not give it is broken.
const STUCK: Duration = Duration::from_secs(1);
/// "There is something to read", for poll(2).
const READABLE: i16 = 1;

/// Captures until `stop`, and asks a coding camera for what `steer` wants of it. The device is closed when it returns.
///
/// # Errors
/// What the kernel says: 28 when the bus has no room, 16 when somebody else has it, 19 when it was pulled.
pub fn run(path: &Path, choice: &Choice, into: &gst_app::AppSrc, stop: &AtomicBool, steer: &Steer) -> io::Result<()> {
    // The library gives up where the driver contradicts itself.
    let work = || capture(path, choice, into, stop, steer);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
    steer.closed();
    result.unwrap_or_else(|_| Err(io::Error::other("its driver contradicts itself")))
}

fn capture(path: &Path, choice: &Choice, into: &gst_app::AppSrc, stop: &AtomicBool, steer: &Steer) -> io::Result<()> {
    let codes = choice.coding == Coding::H264;
    let device = v4l::Device::with_path(path)?;
    let least = set_up(&device, choice)?;
    let mut buffers = Buffers::with_buffers(&device, Type::VideoCapture, BUFFERS)?;
    // Reading gives the buffer that was read last back to the driver, and begins with the first: it is left to that.
    // Fewer than asked for will do.
    for index in 1..BUFFERS as usize {
        let queued = CaptureStream::queue(&mut buffers, index);
        if index == 1 {
            queued?;
        }
    }
    buffers.set_timeout(STUCK);
    buffers.start()?;
    if codes {
        steer.opened(controls::abilities(&device));
    }
    let handle = device.handle();
    let mut gap = false;
    while !stop.load(Ordering::SeqCst) {
        steer.pass_on(|wish| controls::ask(&device, wish));
        match handle.poll(READABLE, LOOK) {
            Ok(0) => continue,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
            Ok(_) => {}
        }
        let (bytes, about) = buffers.next()?;
        let picture = bytes.get(..about.bytesused as usize).unwrap_or(bytes);
        // Torn pictures: a packet was lost on the bus.
        if about.flags.contains(Flags::ERROR) || picture.len() < least {
            // Coded pictures build on each other.
            gap = true;
            continue;
        }
        let mut buffer = gst::Buffer::from_slice(picture.to_vec());
        if std::mem::take(&mut gap)
            && codes
            && let Some(buffer) = buffer.get_mut()
        {
            buffer.set_flags(gst::BufferFlags::DISCONT);
        }
        // The pipeline is going down when it takes nothing more.
        if into.push_buffer(buffer).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Sets format and rate; the least bytes of a whole picture.
fn set_up(device: &v4l::Device, choice: &Choice) -> io::Result<usize> {
    let codes = device.enum_formats()?.into_iter().map(|f| f.fourcc);
    let code = codes.into_iter().find(|f| Coding::of_fourcc(&f.repr) == Some(choice.coding));
    let code = code.ok_or_else(|| io::Error::other("it offers that format no more"))?;
    let got = device.set_format(&Format::new(choice.width, choice.height, code))?;
    if (got.width, got.height, got.fourcc) != (choice.width, choice.height, code) {
        return Err(io::Error::other("it offers a format that it does not give"));
    }
    if choice.coding == Coding::H264 {
        controls::prepare_coding(device);
    }
    if let Some(rate) = choice.rate {
        // A camera that cannot set its rate has one of its own.
        let _ = device.set_params(&Parameters::new(Fraction::new(rate.seconds, rate.pictures)));
    }
    match choice.coding.line(choice.width) {
        Some(line) if line != got.stride => Err(io::Error::other("its lines are longer than its picture")),
        Some(_) => Ok(choice.coding.size(choice.width, choice.height)),
        None => Ok(1),
    }
}

/// The source of the pipeline that [`run`] feeds.
pub fn source(choice: &Choice) -> String {
    let rate = choice.rate.map_or_else(String::new, |r| format!(",framerate={}/{}", r.pictures, r.seconds));
    // A late picture is of no use; but coded ones build on each other, and a decoder that was held up catches up.
    let waiting = if choice.coding == Coding::H264 { 15 } else { 2 };
    format!(
        "appsrc name=in is-live=true format=time do-timestamp=true max-buffers={waiting} max-bytes=0 max-time=0 leaky-type=downstream \
         caps=\"{},width={},height={}{rate}\" ! {}",
        choice.coding.caps(),
        choice.width,
        choice.height,
        choice.coding.decoder()
    )
}
