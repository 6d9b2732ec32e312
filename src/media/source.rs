//! A device that may go away and come back: the camera and the microphone each run as a pipeline of their own, watched
//! by a thread. What comes out goes to one callback; while there is nothing, a stand-in is delivered instead, and
//! whoever takes the stream sees no interruption.

use super::pipeline::{Closing, Feed, OnError, Pipeline, Time};
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

/// Brings a pipeline's `appsrc name=in` what a device gives, until it is told to stop; why it ended before. Blocks.
pub type Bring = Arc<dyn Fn(&gst_app::AppSrc, &AtomicBool) -> Result<(), String> + Send + Sync>;

/// One way to open a device.
#[derive(Clone)]
pub struct Way {
    /// The pipeline; it ends in `appsink name=out`.
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
/// A driver that has not answered by then hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Pause before a lost device is tried again; doubled each time.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// The longest pause: somebody plugs the camera in again and looks at the screen.
const RETRY_LAST: Duration = Duration::from_secs(2);

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
        let watch = Watch {
            deliver: plan.deliver,
            stand_in: plan.stand_in,
            plan: Timing { name: plan.name, every: plan.stand_in_every, patience: plan.patience, stall: plan.stall },
            ways: plan.ways,
            diagnose: plan.diagnose,
            tell: plan.tell,
            time,
            shared: shared.clone(),
            notes: notes.clone(),
            inbox,
            generation: 0,
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
    ways: Ways,
    diagnose: Diagnose,
    deliver: Deliver,
    stand_in: Box<dyn FnMut(gst::ClockTime) + Send>,
    tell: Box<dyn Fn(Fate) + Send>,
    time: Time,
    shared: Arc<Shared>,
    notes: mpsc::SyncSender<Note>,
    inbox: mpsc::Receiver<Note>,
    generation: u64,
    lost: bool,
    told: bool,
    /// The last pipeline, when its driver does not let it go.
    hanging: Option<Closing>,
}

/// What came of a question to a driver.
enum Answer<T> {
    Some(T),
    /// None in time.
    None,
    /// The call is over.
    Closed,
}

/// Why a running pipeline is left.
enum End {
    Closed,
    /// Never delivered.
    Barren(String),
    /// Delivered, then stopped.
    Lost(String),
}

/// How a round through the ways of opening ended.
enum Round {
    Closed,
    /// It has delivered, and then was lost.
    Delivered(String),
    /// No way works.
    Failed(String),
}

impl Watch {
    fn run(mut self) {
        let mut retry = RETRY_FIRST;
        loop {
            let reason = match self.round() {
                Round::Closed => return,
                Round::Delivered(reason) => {
                    retry = RETRY_FIRST;
                    reason
                }
                Round::Failed(reason) => reason,
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

    /// Tries the ways in turn until one delivers, and watches that one.
    fn round(&mut self) -> Round {
        let ways = self.ways.clone();
        let ways = match self.ask(move || ways()) {
            Answer::Closed => return Round::Closed,
            Answer::None => return Round::Failed("its driver does not answer".into()),
            Answer::Some(Err(reason)) => return Round::Failed(reason),
            Answer::Some(Ok(ways)) => ways,
        };
        let mut room = u64::MAX;
        let mut failure = "no way to open it is known".to_owned();
        for way in ways {
            if way.needs > room {
                continue;
            }
            let end = match self.open(&way) {
                Ok(()) => self.watch(&way),
                Err(reason) => End::Barren(reason),
            };
            match end {
                End::Closed => return Round::Closed,
                End::Lost(reason) => return Round::Delivered(reason),
                End::Barren(reason) => failure = reason,
            }
            self.shut();
            if self.hanging.is_some() {
                break;
            }
            let (diagnose, asked) = (self.diagnose.clone(), way.clone());
            match self.ask(move || diagnose(&asked)) {
                Answer::Closed => return Round::Closed,
                Answer::None | Answer::Some(Diagnosis::Unclear) => {}
                Answer::Some(Diagnosis::Hopeless(reason)) => return Round::Failed(reason),
                Answer::Some(Diagnosis::NoRoom(reason)) => {
                    room = way.needs.saturating_sub(1);
                    // Said once: while nothing works it is tried every other second.
                    let level = if self.lost { log::Level::Debug } else { log::Level::Warn };
                    log::log!(level, "{}, {}: {reason}; a way that needs less is tried", self.plan.name, way.about);
                    failure = reason;
                }
            }
        }
        Round::Failed(failure)
    }

    /// Has a question answered that a driver may never answer, with stand-ins meanwhile.
    fn ask<T: Send + 'static>(&mut self, question: impl FnOnce() -> T + Send + 'static) -> Answer<T> {
        let (tell, told) = mpsc::sync_channel(1);
        let work = move || {
            let _ = tell.send(question());
        };
        if std::thread::Builder::new().name("media-ask".into()).spawn(work).is_err() {
            return Answer::None;
        }
        let end = Instant::now() + ANSWER_WITHIN;
        loop {
            match told.recv_timeout(self.plan.every) {
                Ok(_) if self.closed() => return Answer::Closed,
                Ok(answer) => return Answer::Some(answer),
                // The driver's library has broken.
                Err(mpsc::RecvTimeoutError::Disconnected) => return Answer::None,
                Err(mpsc::RecvTimeoutError::Timeout) if self.closed() => return Answer::Closed,
                Err(mpsc::RecvTimeoutError::Timeout) if Instant::now() >= end => return Answer::None,
                Err(mpsc::RecvTimeoutError::Timeout) if self.lost => (self.stand_in)(self.time.now()),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn closed(&self) -> bool {
        self.shared.closed.load(Ordering::SeqCst)
    }

    fn open(&mut self, way: &Way) -> Result<(), String> {
        self.generation += 1;
        let generation = self.generation;
        let notes = self.notes.clone();
        let on_error: OnError = Arc::new(move |text| {
            let _ = notes.try_send(Note::Error(generation, text));
        });
        let mut pipeline = Pipeline::build(self.plan.name, &way.description, &self.time, None, on_error)?;
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
        let stop = Arc::new(AtomicBool::new(false));
        let (fed, done) = mpsc::channel::<()>();
        let bring = match &way.bring {
            Some(bring) => {
                let src = pipeline.element("in").and_then(|e| e.downcast::<gst_app::AppSrc>().ok()).ok_or("no appsrc `in`")?;
                pipeline.fed_by(Feed { stop: stop.clone(), done: Arc::new(Mutex::new(done)) });
                Some((bring.clone(), src))
            }
            None => None,
        };
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
            } else if let Some((bring, src)) = bring
                && let Err(reason) = bring(&src, &stop)
            {
                let _ = notes.try_send(Note::Error(generation, reason));
            }
            drop(fed);
        };
        std::thread::Builder::new().name("media-open".into()).spawn(opener).map_err(|e| e.to_string())?;
        Ok(())
    }

    fn watch(&mut self, way: &Way) -> End {
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
                    if !way.about.is_empty() {
                        log::info!("{}: {}", self.plan.name, way.about);
                    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn way(description: &str, needs: u64) -> Way {
        Way { description: format!("{description} ! appsink name=out sync=false"), about: "a way".into(), needs, bring: None }
    }

    const GOOD: &str = "audiotestsrc is-live=true";
    const BAD: &str = "filesrc location=/nonexistent/device";

    /// A source with these ways; its fates, and how often stand-ins came.
    fn start(ways: Ways, diagnose: Diagnose) -> (Source, mpsc::Receiver<Fate>, mpsc::Receiver<usize>, Arc<AtomicU64>) {
        super::super::gstreamer().unwrap();
        let (tell, fates) = mpsc::channel();
        let (sized, sizes) = mpsc::channel();
        let stand_ins: Arc<AtomicU64> = Arc::default();
        let count = stand_ins.clone();
        let plan = Plan {
            name: "microphone",
            ways,
            diagnose,
            deliver: Arc::new(move |sample, _| {
                let _ = sized.send(sample.buffer().unwrap().size());
            }),
            stand_in: Box::new(move |_| {
                count.fetch_add(1, Ordering::Relaxed);
            }),
            stand_in_every: Duration::from_millis(5),
            patience: PATIENCE,
            stall: PATIENCE,
            tell: Box::new(move |fate| {
                let _ = tell.send(fate);
            }),
        };
        (Source::start(plan, Time::start()).unwrap(), fates, sizes, stand_ins)
    }

    #[test]
    fn a_bus_without_room_makes_it_step_down_to_what_needs_less() {
        // The second way would work, but needs as much as the first: it is not tried.
        let buffers_of = |n: u32| format!("audiotestsrc is-live=true samplesperbuffer={n} ! audio/x-raw,format=S16LE,channels=1");
        let ways = vec![way(BAD, 100), way(&buffers_of(100), 100), way(&buffers_of(50), 60)];
        let diagnose: Diagnose = Arc::new(|_| Diagnosis::NoRoom("no room".into()));
        let (_source, fates, sizes, _) = start(Arc::new(move || Ok(ways.clone())), diagnose);
        assert_eq!(fates.recv_timeout(PATIENCE).unwrap(), Fate::Running);
        assert_eq!(sizes.recv_timeout(PATIENCE).unwrap(), 2 * 50);
    }

    #[test]
    fn a_way_that_does_not_work_for_another_reason_is_followed_by_the_next() {
        let ways = vec![way(BAD, 100), way(GOOD, 100)];
        let (_source, fates, ..) = start(Arc::new(move || Ok(ways.clone())), Arc::new(|_| Diagnosis::Unclear));
        assert_eq!(fates.recv_timeout(PATIENCE).unwrap(), Fate::Running);
    }

    #[test]
    fn what_is_hopeless_is_told_with_its_reason_and_tried_again() {
        let asked: Arc<AtomicU64> = Arc::default();
        let ways: Ways = {
            let asked = asked.clone();
            // Busy twice, then free: with another way to open it.
            Arc::new(move || Ok(vec![way(if asked.fetch_add(1, Ordering::SeqCst) < 2 { BAD } else { GOOD }, 0), way(BAD, 0)]))
        };
        let (_source, fates, ..) = start(ways, Arc::new(|_| Diagnosis::Hopeless("process 7 (x) has it open".into())));
        assert_eq!(fates.recv_timeout(PATIENCE).unwrap(), Fate::Lost("process 7 (x) has it open".into()));
        assert_eq!(fates.recv_timeout(PATIENCE).unwrap(), Fate::Back);
        assert_eq!(asked.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn a_device_that_is_not_there_says_so_and_stand_ins_flow_while_its_driver_thinks() {
        let (release, held) = mpsc::channel::<()>();
        let held = Mutex::new(held);
        let asked: Arc<AtomicU64> = Arc::default();
        let ways: Ways = Arc::new(move || {
            if asked.fetch_add(1, Ordering::SeqCst) > 0 {
                let _ = lock(&held).recv();
            }
            Err("it is not there".into())
        });
        let (source, fates, _, stand_ins) = start(ways, Arc::new(|_| Diagnosis::Unclear));
        assert_eq!(fates.recv_timeout(PATIENCE).unwrap(), Fate::Lost("it is not there".into()));
        // More of them than fit into the pause before the second try.
        let most = RETRY_FIRST.as_millis() as u64 / 5 + 20;
        let start = Instant::now();
        while stand_ins.load(Ordering::Relaxed) < most {
            assert!(start.elapsed() < PATIENCE);
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(source);
        drop(release);
    }
}
