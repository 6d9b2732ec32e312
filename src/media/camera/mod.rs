//! The camera: frames of one size, from a device or a test picture, to whoever takes them. When the device goes away
//! a placeholder picture takes its place until it is back.

mod capture;
pub mod choice;
pub mod coded;
pub mod controls;
pub mod device;
mod h264;
mod hub;
mod light;
pub mod offer;
mod opening;
mod trouble;

use super::pipeline::{Closing, Time};
use super::session::{CameraSource, Config};
use super::source::{Fate, Plan, Source, lock};
use super::{MediaEvent, PictureSink};
use coded::Coded;
use gstreamer as gst;
use hub::Hub;
use light::{Dimness, WarmUp};
use opening::Opening;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::mpsc;

/// Placeholder pictures a second: enough for the far side not to think that the stream is stuck.
const PLACEHOLDER_EVERY: Duration = Duration::from_millis(200);
/// A USB camera may take seconds for its first picture.
const PATIENCE: Duration = Duration::from_secs(4);
/// No picture for so long: lost.
const STALL: Duration = Duration::from_secs(2);

/// I420 frames in the call's size, their time stamps being running time.
pub type Frames = Hub<gst::Sample>;

/// The open camera of a session.
pub struct Camera {
    source: Source,
    /// Where its frames come out, and placeholders while it is away.
    pub frames: Arc<Frames>,
    /// Frames of the camera so far, placeholders not counted.
    pub delivered: Arc<AtomicU64>,
    /// Its own stream, while it codes by itself; the same pictures are decoded into [`Camera::frames`] all the time. The
    /// self-view shows them, and whoever cannot send the stream as it is has no time to wait for the next key frame.
    pub coded: Arc<Coded>,
}

impl Camera {
    /// Starts opening the camera; it never fails for good, see [`MediaEvent::CameraLost`].
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn open(config: &Config, time: &Time, own: Arc<dyn PictureSink>, events: mpsc::Sender<MediaEvent>) -> std::io::Result<Camera> {
        let (frames, delivered, coded) = (Arc::new(Frames::default()), Arc::new(AtomicU64::new(0)), Arc::new(Coded::default()));
        let caps = frame_caps(config);
        let push = {
            let (frames, caps) = (frames.clone(), caps.clone());
            move |buffer: &gst::BufferRef, running: gst::ClockTime| {
                let mut frame = buffer.to_owned();
                {
                    let frame = frame.make_mut();
                    frame.set_pts(running);
                    frame.set_dts(gst::ClockTime::NONE);
                }
                let sample = gst::Sample::builder().buffer(&frame).caps(&caps).build();
                frames.push(&sample);
                own.push(&sample);
            }
        };
        let opening = Arc::new(Opening::new(config, coded.clone()));
        // Its first pictures may be dark: those are not sent, however they are coded.
        let warm = Arc::new(AtomicBool::new(false));
        let light = Arc::new(Mutex::new((WarmUp::default(), Dimness::default())));
        let deliver = {
            let (push, delivered, size) = (push.clone(), delivered.clone(), (config.width as usize, config.height as usize));
            let (test, real) = (config.camera == CameraSource::Test, config.camera.is_v4l2());
            let (opening, light, warm) = (opening.clone(), light.clone(), warm.clone());
            Arc::new(move |sample: &gst::Sample, running: gst::ClockTime| {
                let Some(buffer) = sample.buffer() else { return };
                if real {
                    let (warm, dim) = &mut *lock(&light);
                    if dim.too_slow(running) {
                        opening.keep_rate();
                    }
                    let bright =
                        |map: gst::BufferMap<gst::buffer::Readable>| warm.passes(map.get(..size.0 * size.1).unwrap_or(&map), running);
                    if !buffer.map_readable().is_ok_and(bright) {
                        return;
                    }
                }
                warm.store(true, Ordering::Relaxed);
                delivered.fetch_add(1, Ordering::Relaxed);
                if test {
                    let mut buffer = buffer.to_owned();
                    beat(buffer.make_mut(), size, running);
                    push(&buffer, running);
                } else {
                    push(buffer, running);
                }
            })
        };
        let deliver_coded = {
            let (coded, warm) = (coded.clone(), warm.clone());
            Arc::new(move |sample: &gst::Sample, running: gst::ClockTime| {
                if let (Some(buffer), Some(caps), true) = (sample.buffer(), sample.caps(), warm.load(Ordering::Relaxed)) {
                    coded.push(buffer, caps, running);
                }
            })
        };
        let placeholder = placeholder(config.width, config.height);
        let device = config.camera.to_string();
        let (ways, diagnose) = (opening.clone(), opening);
        let source = Source::start(
            Plan {
                name: "camera",
                ways: Arc::new(move || {
                    *lock(&light) = Default::default();
                    warm.store(false, Ordering::Relaxed);
                    ways.ways()
                }),
                diagnose: Arc::new(move |_| diagnose.diagnose()),
                deliver,
                deliver_coded: Some(deliver_coded),
                stand_in: Box::new(move |running| push(&placeholder, running)),
                stand_in_every: PLACEHOLDER_EVERY,
                patience: PATIENCE,
                stall: STALL,
                tell: Box::new(move |fate| {
                    let event = match fate {
                        Fate::Running => return,
                        Fate::Lost(reason) => MediaEvent::CameraLost(lost(&device, &reason)),
                        Fate::Back => MediaEvent::CameraBack,
                    };
                    let _ = events.try_send(event);
                }),
            },
            time.clone(),
        )?;
        Ok(Camera { source, frames, delivered, coded })
    }

    /// Starts closing the device. Idempotent.
    pub fn close(&self) -> Option<Closing> {
        self.source.close()
    }
}

/// The caps of all frames, whatever the device gives.
pub fn frame_caps(config: &Config) -> gst::Caps {
    gst::Caps::builder("video/x-raw")
        .field("format", "I420")
        .field("width", config.width as i32)
        .field("height", config.height as i32)
        .field("framerate", gst::Fraction::new(config.fps as i32, 1))
        .field("pixel-aspect-ratio", gst::Fraction::new(1, 1))
        .build()
}

/// What to try when this is the reason; what the kernel said has it with it already.
fn lost(device: &str, reason: &str) -> String {
    if reason.contains("; ") {
        return format!("camera {device}: {reason}");
    }
    format!("camera {device}: {reason}; {}", trouble::advice(&reason.to_lowercase()))
}

/// A value inside a pipeline description.
pub fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// Paints the beat of the test sources: a square in the lower right corner, white while the test tone sounds.
fn beat(frame: &mut gst::BufferRef, (width, height): (usize, usize), running: gst::ClockTime) {
    let luma = if super::sound::microphone::sounding(running) { 235 } else { 16 };
    let (edge, stride) = (height / 6, width.next_multiple_of(4));
    if let Ok(mut map) = frame.map_writable() {
        for row in map.chunks_exact_mut(stride).take(height).skip(height - edge) {
            row[width - edge..width].fill(luma);
        }
    }
}

/// The picture that is sent while there is no camera: a dark field with a crossed-out camera.
pub fn placeholder(width: u32, height: u32) -> gst::Buffer {
    let (w, h) = (width as usize, height as usize);
    let ch = h.div_ceil(2);
    // GStreamer's default layout of I420: rows of luma rounded up to 4 bytes, of chroma likewise.
    let (ls, cs) = (w.next_multiple_of(4), w.div_ceil(2).next_multiple_of(4));
    let lh = h.next_multiple_of(2);
    let mut data = vec![128u8; ls * lh + 2 * cs * ch];
    let unit = (h as f32 / 12.0).max(1.0);
    let (mx, my) = (w as f32 / 2.0, h as f32 / 2.0);
    for y in 0..lh {
        for x in 0..ls {
            let (dx, dy) = ((x as f32 - mx) / unit, (y as f32 - my) / unit);
            let body = (-2.2..=1.2).contains(&dx) && dy.abs() <= 1.3;
            let lens = (1.2..=2.4).contains(&dx) && dy.abs() <= (dx - 1.0) * 0.8 + 0.1;
            let stroke = (dx - dy).abs() <= 0.25 && dx.abs() <= 2.6;
            let gap = (dx - dy).abs() <= 0.6 && dx.abs() <= 2.8;
            data[y * ls + x] = if stroke {
                200
            } else if gap {
                40
            } else if body || lens {
                150
            } else {
                40
            };
        }
    }
    gst::Buffer::from_slice(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_path_cannot_add_elements() {
        assert_eq!(quoted(r#"/dev/v" ! filesink location="x"#), r#""/dev/v\" ! filesink location=\"x""#);
    }

    #[test]
    fn a_full_usb_bus_is_said_in_plain_words() {
        let line = lost("/dev/video0", "camera0: error (VIDIOC_STREAMON error 28, No space left on device)");
        assert!(line.contains("/dev/video0") && line.contains("bandwidth") && line.contains("port"));
    }
}
