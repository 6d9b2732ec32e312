//! The camera of the media figures: a process of its own, so that nobody is charged for it. It draws a moving picture
//! with the time in it, and hands the frames over in shared memory. Whoever sees the picture can tell how old it is.

use crate::process::{Running, again};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_video::{VideoFrameExt, VideoFrameRef, VideoInfo};
use residentd::media::PictureSink;
use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

pub const WIDTH: u32 = 1280;
pub const HEIGHT: u32 = 720;
pub const FPS: u32 = 24;

/// Edge of a block of the marker, in pixels: large enough to outlive any encoder.
const BLOCK: usize = 32;
/// 16 bits of milliseconds, 4 bits of check.
const BITS: usize = 20;

/// What is drawn for this time.
fn code(millis: u16) -> u32 {
    let check = (0..4).fold(0xA, |check, nibble| check ^ (millis >> (4 * nibble)) & 15);
    u32::from(millis) << 4 | u32::from(check)
}

fn now() -> u16 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    (since.as_millis() & 0xffff) as u16
}

fn paint(luma: &mut [u8], stride: usize) {
    let code = code(now());
    for bit in 0..BITS {
        let value = if code >> (BITS - 1 - bit) & 1 == 1 { 235 } else { 16 };
        for row in BLOCK..2 * BLOCK {
            let from = row * stride + (1 + bit) * BLOCK;
            luma[from..from + BLOCK].fill(value);
        }
    }
}

/// The age of a picture in milliseconds, where the marker can be read.
fn age(luma: &[u8], stride: usize) -> Option<u16> {
    let (row, middle) = (BLOCK + BLOCK / 2, BLOCK / 2);
    let read = (0..BITS).fold(0, |read, bit| read << 1 | u32::from(luma[row * stride + (1 + bit) * BLOCK + middle] > 125));
    let millis = (read >> 4) as u16;
    (code(millis) == read).then(|| now().wrapping_sub(millis)).filter(|age| *age < 10_000)
}

/// Starts the camera; its frames are in this socket's shared memory.
pub fn start(socket: &Path) -> Running {
    let camera = again("camera", &[socket.to_str().unwrap()]);
    let end = Instant::now() + Duration::from_secs(20);
    while !socket.exists() {
        assert!(Instant::now() < end, "the camera does not start; run `make tools`");
        std::thread::sleep(Duration::from_millis(10));
    }
    camera
}

/// A source description for its frames.
pub fn source(socket: &str) -> String {
    format!("shmsrc socket-path={socket} is-live=true do-timestamp=true ! {}", caps())
}

fn caps() -> String {
    format!("video/x-raw,format=I420,width={WIDTH},height={HEIGHT},framerate={FPS}/1,pixel-aspect-ratio=1/1")
}

/// The process.
pub fn run() {
    let socket = std::env::args().nth(1).unwrap();
    gst::init().unwrap();
    let text = format!(
        "videotestsrc is-live=true pattern=smpte horizontal-speed=4 ! {} ! identity name=marker ! \
         shmsink socket-path={socket} shm-size=67108864 wait-for-connection=false sync=false",
        caps()
    );
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let pad = pipeline.by_name("marker").unwrap().static_pad("src").unwrap();
    pad.add_probe(gst::PadProbeType::BUFFER, |pad, info| {
        let video = pad.current_caps().and_then(|caps| VideoInfo::from_caps(&caps).ok());
        if let (Some(video), Some(buffer)) = (video, info.buffer_mut()) {
            let mut frame = VideoFrameRef::from_buffer_ref_writable(buffer.make_mut(), &video).unwrap();
            let stride = frame.plane_stride()[0] as usize;
            paint(frame.plane_data_mut(0).unwrap(), stride);
        }
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    // Until whoever started it ends it; gone with it, too.
    let _ = std::io::stdin().read_line(&mut String::new());
    pipeline.set_state(gst::State::Null).unwrap();
}

/// Looks at pictures: how many, and how old each is.
#[derive(Default)]
pub struct Viewer(Mutex<Vec<Option<u16>>>);

impl Viewer {
    pub fn look(&self, caps: &gst::CapsRef, buffer: &gst::BufferRef) {
        let video = caps.copy();
        let Ok(video) = VideoInfo::from_caps(&video) else { return };
        let Ok(frame) = VideoFrameRef::from_buffer_ref_readable(buffer, &video) else { return };
        let full = (video.width(), video.height()) == (WIDTH, HEIGHT);
        let age = full.then(|| age(frame.plane_data(0).unwrap(), frame.plane_stride()[0] as usize)).flatten();
        self.0.lock().unwrap().push(age);
    }

    /// Pictures so far.
    pub fn pictures(&self) -> usize {
        self.0.lock().unwrap().len()
    }

    /// What was seen since this was last asked.
    pub fn take(&self) -> Vec<Option<u16>> {
        std::mem::take(&mut *self.0.lock().unwrap())
    }
}

impl PictureSink for Viewer {
    fn push(&self, sample: &gst::Sample) {
        if let (Some(caps), Some(buffer)) = (sample.caps(), sample.buffer()) {
            self.look(caps, buffer);
        }
    }
}
