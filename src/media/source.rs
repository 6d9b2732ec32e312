//! A device that may go away and come back: the camera and the microphone each run as a pipeline of their own, watched
//! by a thread. What comes out goes to one callback; while there is nothing, a stand-in is delivered instead, and
//! whoever takes the stream sees no interruption.

use super::pipeline::{Closing, OnError, Pipeline, Time};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::time::{Duration, Instant};

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

/// How a source is opened and watched.
pub struct Plan {
    /// `camera` or `microphone`: threads and pipelines are named after it.
    pub name: &'static str,
    /// Descriptions that end in `appsink name=out`, tried in turn until one delivers.
    pub descriptions: Vec<String>,
    /// Takes what the device delivers.
    pub deliver: Deliver,
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

/// Time stamps further from now than this are not the device's.
const STALE: gst::ClockTime = gst::ClockTime::from_seconds(1);
/// Pause before a lost device is tried again; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// The longest pause: somebody plugs the camera in again and looks at the screen.
const RETRY_LAST: Duration = Duration::from_secs(2);

impl Source {
    /// Starts opening the device, in a thread of its own.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(plan: Plan, time: Time) -> std::io::Result<Source> {
        let (notes, inbox) = mpsc::sync_channel(32);
        let shared = Arc::new(Shared { pipeline: Mutex::new(None), closed: AtomicBool::new(false), newest: AtomicU64::new(0) });
        let watch = Watch {
            deliver: plan.deliver,
            stand_in: plan.stand_in,
            plan: Timing { name: plan.name, every: plan.stand_in_every, patience: plan.patience, stall: plan.stall },
            descriptions: plan.descriptions,
            tell: plan.tell,
            time,
            shared: shared.clone(),
            notes: notes.clone(),
            inbox,
            generation: 0,
            candidate: 0,
            lost: false,
            told: false,
            hanging: None,
        };
        std::thread::Builder::new().name(format!("media-{}", plan.name)).spawn(move || watch.run())?;
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

struct Timing {
    name: &'static str,
    every: Duration,
    patience: Duration,
    stall: Duration,
}

struct Watch {
    plan: Timing,
    descriptions: Vec<String>,
    deliver: Deliver,
    stand_in: Box<dyn FnMut(gst::ClockTime) + Send>,
    tell: Box<dyn Fn(Fate) + Send>,
    time: Time,
    shared: Arc<Shared>,
    notes: mpsc::SyncSender<Note>,
    inbox: mpsc::Receiver<Note>,
    generation: u64,
    candidate: usize,
    lost: bool,
    told: bool,
    /// The last pipeline, when its driver does not let it go.
    hanging: Option<Closing>,
}

/// Why a running pipeline is left.
enum End {
    Closed,
    /// Never delivered.
    Barren(String),
    /// Delivered, then stopped.
    Lost(String),
}

impl Watch {
    fn run(mut self) {
        let mut retry = RETRY_FIRST;
        let mut tried = 0;
        loop {
            let end = match self.open() {
                Ok(()) => self.watch(),
                Err(reason) => End::Barren(reason),
            };
            let reason = match end {
                End::Closed => return,
                End::Lost(reason) => {
                    (retry, tried) = (RETRY_FIRST, 0);
                    reason
                }
                End::Barren(reason) => {
                    // The next way of opening it is tried at once; only after the last one the device counts as lost.
                    self.candidate = (self.candidate + 1) % self.descriptions.len().max(1);
                    tried += 1;
                    self.shut();
                    if tried < self.descriptions.len() && self.hanging.is_none() {
                        continue;
                    }
                    tried = 0;
                    reason
                }
            };
            self.shut();
            if !self.lost {
                self.lost = true;
                (self.tell)(Fate::Lost(reason));
            }
            if self.pause(retry) {
                return;
            }
            retry = (retry * 2).min(RETRY_LAST);
        }
    }

    fn closed(&self) -> bool {
        self.shared.closed.load(Ordering::SeqCst)
    }

    fn open(&mut self) -> Result<(), String> {
        self.generation += 1;
        let generation = self.generation;
        let notes = self.notes.clone();
        let on_error: OnError = Arc::new(move |text| {
            let _ = notes.try_send(Note::Error(generation, text));
        });
        let description = self.descriptions.get(self.candidate).ok_or("no way to open it is known")?;
        let pipeline = Pipeline::build(self.plan.name, description, &self.time, None, on_error)?;
        let sink =
            pipeline.element("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).ok_or("its description has no appsink `out`")?;
        let (deliver, shared, notes, time) = (self.deliver.clone(), self.shared.clone(), self.notes.clone(), self.time.clone());
        let mut first = true;
        sink.set_callbacks(
            gst_app::AppSinkCallbacks::builder()
                .new_sample(move |sink| {
                    let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                    if shared.closed.load(Ordering::SeqCst) {
                        return Err(gst::FlowError::Flushing);
                    }
                    let now = time.now();
                    // Files and pipes count from their own beginning; only a live device's time stamps are taken.
                    let running = running_time(&sample).filter(|r| r.nseconds().abs_diff(now.nseconds()) < STALE.nseconds()).unwrap_or(now);
                    shared.newest.store(now.mseconds(), Ordering::Relaxed);
                    deliver(&sample, running);
                    if std::mem::take(&mut first) {
                        let _ = notes.try_send(Note::First(generation));
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        let start = pipeline.starter();
        {
            // Stored before it is started: a close that comes while the device is being opened finds it.
            let mut slot = lock(&self.shared.pipeline);
            if self.closed() {
                return Err("closed".into());
            }
            *slot = Some(pipeline);
        }
        // A driver may hang in its open, too; stand-ins flow meanwhile.
        let notes = self.notes.clone();
        let opener = move || {
            if start().is_err() {
                let _ = notes.try_send(Note::Refused(generation));
            }
        };
        std::thread::Builder::new().name("media-open".into()).spawn(opener).map_err(|e| e.to_string())?;
        Ok(())
    }

    fn watch(&mut self) -> End {
        let opened = Instant::now();
        let mut running = false;
        loop {
            let wait = if running {
                self.plan.stall / 4
            } else if self.lost {
                self.plan.every
            } else {
                self.plan.patience.saturating_sub(opened.elapsed())
            };
            let note = self.inbox.recv_timeout(wait);
            if self.closed() {
                return End::Closed;
            }
            match note {
                Ok(Note::Close) => return End::Closed,
                Ok(Note::Error(g, text)) if g == self.generation => return if running { End::Lost(text) } else { End::Barren(text) },
                // The reason was posted first and is in the note before this one.
                Ok(Note::Refused(g)) if g == self.generation => return End::Barren("it does not start".into()),
                Ok(Note::First(g)) if g == self.generation => {
                    running = true;
                    if self.lost {
                        self.lost = false;
                        (self.tell)(Fate::Back);
                    } else if !self.told {
                        (self.tell)(Fate::Running);
                    }
                    self.told = true;
                }
                Ok(_) => {}
                Err(_) if running => {
                    let age = self.time.now().mseconds().saturating_sub(self.shared.newest.load(Ordering::Relaxed));
                    if Duration::from_millis(age) >= self.plan.stall {
                        return End::Lost(format!("nothing came from it for {:.1} s", self.plan.stall.as_secs_f32()));
                    }
                }
                Err(_) => {
                    if opened.elapsed() >= self.plan.patience {
                        return End::Barren(format!("nothing came from it within {:.1} s", self.plan.patience.as_secs_f32()));
                    }
                    if self.lost {
                        (self.stand_in)(self.time.now());
                    }
                }
            }
        }
    }

    /// Takes the pipeline down. Most devices serve one at a time, so the next one is opened only after that.
    fn shut(&mut self) {
        if let Some(mut closing) = lock(&self.shared.pipeline).take().map(Pipeline::close)
            && !closing.done_by(Instant::now() + super::pipeline::CLOSE_WITHIN)
        {
            self.hanging = Some(closing);
        }
    }

    /// Delivers stand-ins for so long, and for as long as the last pipeline hangs; `true` when closed meanwhile.
    fn pause(&mut self, length: Duration) -> bool {
        let end = Instant::now() + length;
        loop {
            (self.stand_in)(self.time.now());
            match self.inbox.recv_timeout(self.plan.every) {
                Ok(Note::Close) => return true,
                _ if self.closed() => return true,
                _ => {}
            }
            if Instant::now() >= end && self.hanging.as_mut().is_none_or(|h| h.done_by(Instant::now())) {
                self.hanging = None;
                return false;
            }
        }
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
