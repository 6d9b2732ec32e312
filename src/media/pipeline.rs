//! One GStreamer pipeline that always ends: it runs on the session's clock, its errors go to one place, and taking it
//! down never holds up the caller.

use super::MediaError;
use super::source::lock;
use gstreamer as gst;
use gstreamer::prelude::*;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, mpsc};
use std::time::{Duration, Instant};

/// How long a caller waits at most for devices and pipelines to close (design, promise 1).
pub const CLOSE_WITHIN: Duration = Duration::from_millis(250);

/// Initialises GStreamer, once, on first use: never before the first ring.
///
/// # Errors
/// GStreamer or its registry is broken on this box.
pub fn gstreamer() -> Result<(), MediaError> {
    static ONCE: OnceLock<Result<(), String>> = OnceLock::new();
    ONCE.get_or_init(|| gst::init().map_err(|e| e.to_string()))
        .clone()
        .map_err(|e| MediaError(format!("GStreamer does not start ({e}); reinstall its plugins and delete its registry cache")))
}

/// One clock and one zero for all pipelines of a session, so that their running times can be compared (lip sync).
#[derive(Clone)]
pub struct Time {
    clock: gst::Clock,
    zero: gst::ClockTime,
}

impl Time {
    /// Starts now.
    pub fn start() -> Time {
        let clock = gst::SystemClock::obtain();
        // Clock::time() is an Option only in old versions of the API; a system clock always has one.
        let zero = now(&clock);
        Time { clock, zero }
    }

    /// Running time: since the start of the session.
    pub fn now(&self) -> gst::ClockTime {
        now(&self.clock).saturating_sub(self.zero)
    }
}

fn now(clock: &gst::Clock) -> gst::ClockTime {
    clock.time()
}

/// Called with what went wrong, on a streaming thread.
pub type OnError = Arc<dyn Fn(String) + Send + Sync>;

/// A running pipeline. Dropping it takes it down in the background.
pub struct Pipeline {
    inner: Option<gst::Pipeline>,
    name: &'static str,
    /// Held while the state changes; `true` once it is down for good. Starting never overtakes closing.
    down: Arc<Mutex<bool>>,
    feed: Option<Feed>,
    ground: Ground,
}

/// What a pipeline uses as long as it is up.
type Ground = Arc<Mutex<Option<Box<dyn Send>>>>;

/// A thread that brings the pipeline what a device gives: the pipeline is down when that has let go of it.
#[derive(Clone)]
pub struct Feed {
    /// Tells it to end.
    pub stop: Arc<AtomicBool>,
    /// Its other end is gone when it has ended.
    pub done: Arc<Mutex<mpsc::Receiver<()>>>,
}

impl Pipeline {
    /// Builds a pipeline from its description; it is not running yet.
    ///
    /// # Errors
    /// An element is missing or refuses its settings: the text of GStreamer.
    pub fn build(
        name: &'static str,
        description: &str,
        time: &Time,
        latency: Option<Duration>,
        on_error: OnError,
    ) -> Result<Pipeline, String> {
        let element = gst::parse::launch(description).map_err(|e| e.message().to_owned())?;
        let pipeline = element.downcast::<gst::Pipeline>().map_err(|_| "the description is not a pipeline".to_owned())?;
        pipeline.use_clock(Some(&time.clock));
        pipeline.set_start_time(gst::ClockTime::NONE);
        pipeline.set_base_time(time.zero);
        if let Some(latency) = latency {
            pipeline.set_latency(gst::ClockTime::from_nseconds(latency.as_nanos() as u64));
        }
        if let Some(bus) = pipeline.bus() {
            // Messages are answered where they are posted: no queue to grow, no thread to wake.
            bus.set_sync_handler(move |_, message| {
                match message.view() {
                    gst::MessageView::Error(e) => on_error(describe(e)),
                    gst::MessageView::Eos(_) => on_error("the stream ended".to_owned()),
                    _ => {}
                }
                gst::BusSyncReply::Drop
            });
        }
        Ok(Pipeline { inner: Some(pipeline), name, down: Arc::default(), feed: None, ground: Ground::default() })
    }

    /// It is fed by a thread.
    pub fn fed_by(&mut self, feed: Feed) {
        self.feed = Some(feed);
    }

    /// It uses this: dropped when it is down, on a thread of its own.
    pub fn stand_on(&mut self, ground: impl Send + 'static) {
        self.ground = Arc::new(Mutex::new(Some(Box::new(ground))));
    }

    /// Sets it running. Devices are opened here and may block.
    ///
    /// # Errors
    /// A device or encoder refused; the reason was given to `on_error` as well.
    pub fn play(&self) -> Result<(), String> {
        (self.starter())()
    }

    /// What sets it running, for another thread to do. Does nothing once the pipeline is closed.
    pub fn starter(&self) -> impl FnOnce() -> Result<(), String> + Send + 'static {
        let (pipeline, name, down) = (self.inner.clone(), self.name, self.down.clone());
        move || {
            let down = lock(&down);
            match pipeline {
                Some(p) if !*down => {
                    p.set_state(gst::State::Playing).map(|_| ()).map_err(|_| format!("the {name} pipeline does not start"))
                }
                _ => Err(format!("the {name} pipeline is closed")),
            }
        }
    }

    /// The element of this name in the description.
    pub fn element(&self, name: &str) -> Option<gst::Element> {
        self.inner.as_ref().and_then(|p| p.by_name(name))
    }

    /// Changes the fixed latency of the sinks, live.
    pub fn set_latency(&self, latency: Duration) {
        if let Some(p) = &self.inner {
            p.set_latency(gst::ClockTime::from_nseconds(latency.as_nanos() as u64));
            let _ = p.recalculate_latency();
        }
    }

    /// Starts taking it down in a thread of its own: a driver that hangs keeps only that thread.
    pub fn close(mut self) -> Closing {
        self.take_down()
    }

    fn take_down(&mut self) -> Closing {
        let (done, closing) = mpsc::sync_channel(1);
        let feed = self.feed.take();
        if let Some(feed) = &feed {
            feed.stop.store(true, Ordering::SeqCst);
        }
        if let Some(pipeline) = self.inner.take() {
            if let Some(bus) = pipeline.bus() {
                bus.unset_sync_handler();
                bus.set_flushing(true);
            }
            let (down, ground) = (self.down.clone(), self.ground.clone());
            let close = {
                let pipeline = pipeline.clone();
                move || {
                    let mut down = lock(&down);
                    *down = true;
                    let _ = pipeline.set_state(gst::State::Null);
                    drop(pipeline);
                    drop(lock(&ground).take());
                    if let Some(feed) = feed {
                        let _ = lock(&feed.done).recv();
                    }
                    let _ = done.send(());
                }
            };
            if std::thread::Builder::new().name("media-close".into()).spawn(close.clone()).is_err() {
                close();
            }
        }
        Closing(closing)
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        let _ = self.take_down();
    }
}

/// A pipeline that is being taken down.
#[must_use]
pub struct Closing(mpsc::Receiver<()>);

impl Closing {
    /// Waits until it is down, at most until `deadline`; `false` if it still hangs then.
    pub fn done_by(&mut self, deadline: Instant) -> bool {
        !matches!(self.0.recv_timeout(deadline.saturating_duration_since(Instant::now())), Err(mpsc::RecvTimeoutError::Timeout))
    }
}

/// What GStreamer says went wrong, with the element it came from, in one line.
fn describe(e: &gst::message::Error) -> String {
    let from = e.src().map(|s| s.name().to_string()).unwrap_or_default();
    let mut text = e.error().message().to_owned();
    // The system's own words (errno) are only in the last line of the debug text; its first one is a place in GStreamer's sources.
    if let Some(debug) = e.debug()
        && let Some(last) = debug.lines().skip(1).last()
    {
        text.push_str(" (");
        text.push_str(last.trim());
        text.push(')');
    }
    format!("{from}: {}", text.replace('\n', " "))
}
