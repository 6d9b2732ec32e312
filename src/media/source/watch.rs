//! The thread that watches a device: opens it one way after the other, notices that it is gone, delivers stand-ins, and tries
//! again.

use super::{Deliver, Diagnose, Diagnosis, Fate, Note, Plan, Shared, Way, Ways, lock, running_time};
use crate::journal::messages;
use crate::media::pipeline::{CLOSE_WITHIN, Closing, Feed, OnError, Pipeline, Time};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

/// Time stamps further from now than this are not the device's.
const STALE: gst::ClockTime = gst::ClockTime::from_seconds(1);
/// A driver that has not answered by then hangs.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// Pause before a lost device is tried again; doubled each time.
pub(super) const RETRY_FIRST: Duration = Duration::from_millis(500);
/// The longest pause: somebody plugs the camera in again and looks at the screen.
const RETRY_LAST: Duration = Duration::from_secs(2);

struct Timing {
    name: &'static str,
    every: Duration,
    patience: Duration,
    stall: Duration,
}

pub(super) struct Watch {
    plan: Timing,
    ways: Ways,
    diagnose: Diagnose,
    deliver: Deliver,
    deliver_coded: Option<Deliver>,
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
    pub(super) fn new(plan: Plan, time: Time, shared: Arc<Shared>, notes: mpsc::SyncSender<Note>, inbox: mpsc::Receiver<Note>) -> Watch {
        Watch {
            deliver: plan.deliver,
            deliver_coded: plan.deliver_coded,
            stand_in: plan.stand_in,
            plan: Timing { name: plan.name, every: plan.stand_in_every, patience: plan.patience, stall: plan.stall },
            ways: plan.ways,
            diagnose: plan.diagnose,
            tell: plan.tell,
            time,
            shared,
            notes,
            inbox,
            generation: 0,
            lost: false,
            told: false,
            hanging: None,
        }
    }

    pub(super) fn run(mut self) {
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
                    log::log!(level, MESSAGE_ID = messages::BUS_FULL.id; "{}, {}: {reason}; a way that needs less is tried", self.plan.name, way.about);
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
                    shared.newest.store(time.now().mseconds(), Ordering::Relaxed);
                    deliver(&sample, delivered_at(&sample, &time));
                    if std::mem::take(&mut first) {
                        let _ = notes.try_send(Note::First(generation));
                    }
                    Ok(gst::FlowSuccess::Ok)
                })
                .build(),
        );
        self.tap(&pipeline);
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

    /// Delivers what leaves the element `coded`, if there is one.
    fn tap(&self, pipeline: &Pipeline) {
        let Some(deliver) = self.deliver_coded.clone() else { return };
        let Some(pad) = pipeline.element("coded").and_then(|e| e.static_pad("src")) else { return };
        let (shared, time) = (self.shared.clone(), self.time.clone());
        pad.add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            if let (Some(buffer), Some(caps), false) = (info.buffer(), pad.current_caps(), shared.closed.load(Ordering::SeqCst)) {
                let segment = pad.sticky_event::<gst::event::Segment>(0);
                let sample = gst::Sample::builder().buffer(buffer).caps(&caps);
                let sample = segment.iter().fold(sample, |sample, event| sample.segment(event.segment())).build();
                deliver(&sample, delivered_at(&sample, &time));
            }
            gst::PadProbeReturn::Ok
        });
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
            && !closing.done_by(Instant::now() + CLOSE_WITHIN)
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

/// The running time of what a device gave.
fn delivered_at(sample: &gst::Sample, time: &Time) -> gst::ClockTime {
    let now = time.now();
    // Files and pipes count from their own beginning; only a live device's time stamps are taken.
    running_time(sample).filter(|r| r.nseconds().abs_diff(now.nseconds()) < STALE.nseconds()).unwrap_or(now)
}
