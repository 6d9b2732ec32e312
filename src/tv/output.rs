//! Where pictures leave the box: a GStreamer pipeline from `appsrc` to the sink. It exists only while something is shown.
//!
//! `autovideosink` is never used: without a display it ends in DirectFB, which takes the process with it.

use super::displays::{self, Display, Wanted};
use super::held;
use super::screen::{HEIGHT, WIDTH};
use super::signal::Signal;
use crate::media::pipeline::{CLOSE_WITHIN, OnError, Pipeline, Time, gstreamer};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Takes a JPEG of the picture; says why nobody sees it. Called on a streaming thread: must not block.
pub type JpegSink = Arc<dyn Fn(&[u8]) -> Result<(), String> + Send + Sync>;

/// Which sink.
#[derive(Clone)]
pub enum Sink {
    /// The box's own display, lit first where its signal is switched off between calls.
    Kms(Wanted, Option<Arc<Signal>>),
    /// A window: Wayland where there is one, else X11.
    Window,
    /// JPEGs, for a television in a browser.
    Jpeg(JpegSink),
    /// Into nothing, for tests: as a sink that takes everything.
    Count,
    /// There is no display: nothing can be seen.
    None,
}

impl Sink {
    /// The end of a pipeline for it.
    pub(crate) fn description(&self) -> &'static str {
        match self {
            // Made for the display, see `held.rs`.
            Sink::Kms(..) => "",
            Sink::Window if std::env::var_os("WAYLAND_DISPLAY").is_some() => "videoconvert ! waylandsink name=sink sync=false",
            Sink::Window => "videoconvert ! videoscale ! ximagesink name=sink sync=false",
            // JPEG is full range (JFIF); without the conversion black would be grey.
            Sink::Jpeg(_) => {
                "videoconvert ! video/x-raw,format=I420,colorimetry=1:4:0:0 ! jpegenc quality=85 ! appsink name=sink sync=false max-buffers=1"
            }
            Sink::Count | Sink::None => "fakesink name=sink sync=false",
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Sink::Kms(..) => "check the cable, and that no other program holds the display; or choose another tv.sink",
            Sink::Window => "check DISPLAY or WAYLAND_DISPLAY; or choose another tv.sink",
            Sink::Jpeg(_) => "check that the lab runs",
            Sink::Count | Sink::None => "set tv.sink",
        }
    }
}

/// How long a sink may take for one picture before it counts as one that takes none: a display has to be set up first.
const PATIENCE: Duration = Duration::from_secs(2);

/// JPEGs are for a browser: twelve a second, and nothing is mixed or encoded in between.
const JPEG_PACE: Duration = Duration::from_millis(80);

#[derive(Default)]
struct Taken {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    pictures: u64,
    failed: Option<String>,
    /// The last picture reached the sink, but nobody sees it.
    unseen: Option<String>,
}

fn lock(taken: &Taken) -> MutexGuard<'_, State> {
    taken.state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An open sink.
pub struct Output {
    pipeline: Option<Pipeline>,
    source: gst_app::AppSrc,
    caps: gst::Caps,
    taken: Arc<Taken>,
    advice: &'static str,
    /// The shortest time between two pictures of a stream, where the sink wants fewer.
    pace: Duration,
    /// The box's own display that is shown on.
    display: Option<Display>,
    streamed: Option<Instant>,
}

/// The format of every picture: 1080p I420 with these colours.
pub fn format(colorimetry: &gst_video::VideoColorimetry) -> Result<gst_video::VideoInfo, String> {
    let info = gst_video::VideoInfo::builder(gst_video::VideoFormat::I420, WIDTH, HEIGHT).colorimetry(colorimetry).fps((0, 1)).build();
    info.map_err(|e| e.to_string())
}

impl Output {
    /// Opens the sink. Blocks for the device.
    ///
    /// # Errors
    /// In one line: what is wrong and what to try.
    pub fn open(sink: &Sink) -> Result<Output, String> {
        if matches!(sink, Sink::None) {
            return Err("there is no display configured; set tv.sink".into());
        }
        gstreamer().map_err(|e| e.0)?;
        let taken = Arc::new(Taken::default());
        let broken = taken.clone();
        let on_error: OnError = Arc::new(move |why| {
            lock(&broken).failed.get_or_insert(why);
            broken.changed.notify_all();
        });
        let advice = sink.advice();
        let tell = |why: String| format!("the display cannot be used ({why}); {advice}");
        let (lit, display, end) = match sink {
            Sink::Kms(wanted, signal) => {
                if let Some(signal) = signal {
                    signal.light();
                }
                let (display, lit) = held::light(wanted).map_err(|why| format!("the display cannot be used: {why}"))?;
                let end = lit.sink();
                (Some(lit), Some(display), end)
            }
            other => (None, None, other.description().to_owned()),
        };
        let description = format!("appsrc name=in is-live=true format=time do-timestamp=true max-buffers=2 leaky-type=downstream ! {end}");
        let mut pipeline = Pipeline::build("display", &description, &Time::start(), None, on_error).map_err(tell)?;
        if let Some(lit) = lit {
            pipeline.stand_on(lit);
        }
        let source = pipeline.element("in").and_then(|e| e.downcast::<gst_app::AppSrc>().ok()).ok_or("no appsrc")?;
        let end = pipeline.element("sink").ok_or("no sink")?;
        let counted = taken.clone();
        let took = move |unseen: Option<String>| {
            let mut state = lock(&counted);
            state.pictures += 1;
            state.unseen = unseen;
            counted.changed.notify_all();
        };
        match (sink, end.clone().downcast::<gst_app::AppSink>()) {
            (Sink::Jpeg(to), Ok(appsink)) => {
                let to = to.clone();
                let sample = move |appsink: &gst_app::AppSink| {
                    let sample = appsink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    if let Some(map) = sample.buffer().and_then(|b| b.map_readable().ok()) {
                        took(to(&map).err());
                    }
                    Ok(gst::FlowSuccess::Ok)
                };
                appsink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(sample).build());
            }
            _ => {
                let pad = end.static_pad("sink").ok_or("no pad")?;
                let probe = pad.add_probe(gst::PadProbeType::BUFFER, move |_, _| {
                    took(None);
                    gst::PadProbeReturn::Ok
                });
                probe.ok_or("no probe")?;
            }
        }
        let pace = if matches!(sink, Sink::Jpeg(_)) { JPEG_PACE } else { Duration::ZERO };
        let (pipeline, caps) = (Some(pipeline), gst::Caps::new_empty());
        let output = Output { pipeline, source, caps, taken, advice, pace, display, streamed: None };
        if let Some(pipeline) = &output.pipeline {
            pipeline.play().map_err(|e| output.failed().unwrap_or_else(|| tell(e)))?;
        }
        Ok(output)
    }

    /// Whether the cable can come out of it while it is open.
    pub fn has_cable(&self) -> bool {
        self.display.is_some()
    }

    /// Whether it still is plugged in; the sink itself does not notice.
    ///
    /// # Errors
    /// It is not: open it again when it is.
    pub fn plugged(&self) -> Result<(), String> {
        match &self.display {
            Some(display) if !displays::plugged(display) => {
                Err(format!("the display at {} is unplugged or switched off; used again when it is back", display.connector))
            }
            _ => Ok(()),
        }
    }

    /// The trouble so far.
    fn failed(&self) -> Option<String> {
        let why = lock(&self.taken).failed.clone()?;
        Some(format!("the display cannot be used ({why}); {}", self.advice))
    }

    /// Hands a picture of this format over, and does not wait.
    ///
    /// # Errors
    /// The sink has failed: open it again.
    pub fn push(&mut self, picture: gst::Buffer, format: &gst_video::VideoInfo) -> Result<(), String> {
        if let Some(why) = self.failed() {
            return Err(why);
        }
        let caps = format.to_caps().map_err(|e| e.to_string())?;
        if caps != self.caps {
            self.source.set_caps(Some(&caps));
            self.caps = caps;
        }
        self.source.push_buffer(picture).map_err(|e| self.failed().unwrap_or_else(|| format!("the display takes no pictures ({e})")))?;
        Ok(())
    }

    /// Whether it is time for another picture of a stream.
    pub fn due(&mut self) -> bool {
        let now = Instant::now();
        if self.streamed.is_some_and(|at| now.saturating_duration_since(at) < self.pace) {
            return false;
        }
        self.streamed = Some(now);
        true
    }

    /// Hands a picture over and waits until the sink has it.
    ///
    /// # Errors
    /// It did not take it, or nobody sees it.
    pub fn present(&mut self, picture: gst::Buffer, format: &gst_video::VideoInfo) -> Result<(), String> {
        let before = lock(&self.taken).pictures;
        self.push(picture, format)?;
        let until = Instant::now() + PATIENCE;
        let mut state = lock(&self.taken);
        while state.pictures == before && state.failed.is_none() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(format!("the display takes no pictures; {}", self.advice));
            }
            state = self.taken.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        let unseen = state.unseen.clone();
        drop(state);
        self.failed().or(unseen).map_or(Ok(()), Err)
    }

    /// Closes the sink and waits for it, but not for a hung device.
    pub fn close(mut self) {
        if let Some(pipeline) = self.pipeline.take() {
            let _ = pipeline.close().done_by(Instant::now() + CLOSE_WITHIN);
        }
    }
}
