//! A device that may go away and come back: the camera and the microphone each run as a pipeline of their own, watched
//! by a thread. What comes out goes to one callback; while there is nothing, a stand-in is delivered instead, and
//! whoever takes the stream sees no interruption.

mod watch;

use super::pipeline::{Closing, Pipeline, Time};
use gstreamer as gst;
use gstreamer_app as gst_app;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::Duration;
use watch::Watch;

/// Takes one buffer with its running time. Called on a streaming thread.
pub type Deliver = Arc<dyn Fn(&gst::Sample, gst::ClockTime) + Send + Sync>;

/// What becomes of the device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// The first buffer has come.
    Running,
    /// It is gone, or never came: why.
    Lost(String),
    /// It was lost, and is back.
    Back,
}

/// Brings a pipeline's `appsrc name=in` what a device gives, until it is told to stop; why it ended before. Blocks.
pub type Bring = Arc<dyn Fn(&gst_app::AppSrc, &AtomicBool) -> Result<(), String> + Send + Sync>;

/// One way to open a device.
#[derive(Clone)]
pub struct Way {
    /// The pipeline; it ends in `appsink name=out`, and may have an element `coded` on the way.
    pub description: String,
    /// What it is, for the journal; empty: nothing worth a line.
    pub about: String,
    /// Bytes a second that it needs of the device's bus; 0: not known.
    pub needs: u64,
    /// Feeds the pipeline, where none of its elements does.
    pub bring: Option<Bring>,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} ({})", self.description, self.needs)
    }
}

/// The ways to open a device now, best first; or why there is none. May block: it has a thread of its own.
pub type Ways = Arc<dyn Fn() -> Result<Vec<Way>, String> + Send + Sync>;

/// Why a way did not deliver. May block: it has a thread of its own.
pub type Diagnose = Arc<dyn Fn(&Way) -> Diagnosis + Send + Sync>;

/// What keeps a way from delivering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diagnosis {
    /// Nothing more is known than what GStreamer said.
    Unclear,
    /// The bus has no room: what needs less may work.
    NoRoom(String),
    /// No other way will work now.
    Hopeless(String),
}

/// How a source is opened and watched.
pub struct Plan {
    /// `camera` or `microphone`: threads and pipelines are named after it.
    pub name: &'static str,
    /// Asked each time the device is opened: it may be another one by then.
    pub ways: Ways,
    /// Asked when a way did not deliver.
    pub diagnose: Diagnose,
    /// Takes what the device delivers.
    pub deliver: Deliver,
    /// Takes what leaves the element `coded`, where a way has one: the device's own stream, before it is decoded.
    pub deliver_coded: Option<Deliver>,
    /// Delivers one stand-in, given the running time.
    pub stand_in: Box<dyn FnMut(gst::ClockTime) + Send>,
    /// Distance of two stand-ins.
    pub stand_in_every: Duration,
    /// Patience for the first buffer.
    pub patience: Duration,
    /// No buffer for so long: the device counts as lost.
    pub stall: Duration,
    /// Is told what becomes of the device.
    pub tell: Box<dyn Fn(Fate) + Send>,
}

enum Note {
    Error(u64, String),
    Refused(u64),
    First(u64),
    Close,
}

struct Shared {
    pipeline: Mutex<Option<Pipeline>>,
    closed: AtomicBool,
    /// Running time of the newest buffer in milliseconds.
    newest: AtomicU64,
}

/// A watched source.
pub struct Source {
    shared: Arc<Shared>,
    notes: mpsc::SyncSender<Note>,
}

impl Plan {
    /// For a device that has one way of opening only.
    pub fn one_way(description: String) -> (Ways, Diagnose) {
        let way = Way { description, about: String::new(), needs: 0, bring: None };
        (Arc::new(move || Ok(vec![way.clone()])), Arc::new(|_| Diagnosis::Unclear))
    }
}

impl Source {
    /// Starts opening the device, in a thread of its own.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(plan: Plan, time: Time) -> std::io::Result<Source> {
        let (notes, inbox) = mpsc::sync_channel(32);
        let shared = Arc::new(Shared { pipeline: Mutex::new(None), closed: AtomicBool::new(false), newest: AtomicU64::new(0) });
        let (name, watch) = (plan.name, Watch::new(plan, time, shared.clone(), notes.clone(), inbox));
        std::thread::Builder::new().name(format!("media-{name}")).spawn(move || watch.run())?;
        Ok(Source { shared, notes })
    }

    /// Starts closing the device. Idempotent.
    pub fn close(&self) -> Option<Closing> {
        self.shared.closed.store(true, Ordering::SeqCst);
        let _ = self.notes.try_send(Note::Close);
        lock(&self.shared.pipeline).take().map(Pipeline::close)
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

/// The running time of a sample's buffer.
pub fn running_time(sample: &gst::Sample) -> Option<gst::ClockTime> {
    let pts = sample.buffer()?.pts()?;
    match sample.segment().and_then(|s| s.downcast_ref::<gst::ClockTime>()) {
        Some(segment) => segment.to_running_time(pts),
        None => Some(pts),
    }
}

/// A lock whose poisoning does not matter: what is behind it is whole after every statement.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
