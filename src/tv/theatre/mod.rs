//! The real [`Stage`]: one thread that draws, mixes and plays. It sleeps on a condition while nothing changes; what takes
//! memory (fonts, pictures, the sink) is there only while something is shown.

mod sound;

use self::sound::{Sounding, wanted_tone};
use super::mixer::Mixer;
use super::output::Sink;
use super::screen::{Painter, Pen, Photo, Picture, Words};
use super::stage::{DriverEvent, Stage, View, Whose};
use crate::call::Scene;
use crate::media::sound::player::Player;
use crate::media::{PictureSink, SoundOut};
use gstreamer::Sample;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// A display that failed is tried again after this long, as long as there is something to show.
const AGAIN: Duration = Duration::from_secs(2);
/// Whether the cable of an open display is still in is looked at so often: only while something is shown.
const LOOK: Duration = Duration::from_secs(1);
/// A caller whose pictures have stopped for this long is shown by photograph and name instead of standing still.
const STOPPED: Duration = Duration::from_secs(5);
/// Without a picture of the caller for this long, the resident's own is drawn by itself.
const ALONE: Duration = Duration::from_millis(100);
/// Photographs kept; the next one pushes out the oldest.
const PHOTOS: usize = 16;

/// What the screens and tones are made with.
#[derive(Clone)]
pub struct Setting {
    /// Where pictures go.
    pub sink: Sink,
    /// Where tones are played; `None` where there is no speaker.
    pub sound: Option<SoundOut>,
    /// Ring volume, percent.
    pub ring_volume: u8,
    /// Preferred font family.
    pub font: String,
    /// Language.
    pub locale: String,
    /// IANA time zone; empty: the system's.
    pub time_zone: String,
}

#[derive(Default)]
struct Inbox {
    show: Option<(u64, View)>,
    photos: Vec<(Whose, Vec<u8>)>,
    locale: Option<String>,
    time_zone: Option<String>,
    remote: Option<Sample>,
    own: Option<Sample>,
    /// Whether streams are wanted: else their pictures are dropped where they come from.
    wants_remote: bool,
    wants_own: bool,
    /// The tone that sounds. It ends where the news comes in: the thread may be waiting for a display, and the call needs the
    /// sound card.
    tone: Option<Arc<Player>>,
    stop: bool,
}

#[derive(Default)]
struct Shared {
    inbox: Mutex<Inbox>,
    changed: Condvar,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Inbox> {
        self.inbox.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, change: impl FnOnce(&mut Inbox)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }
}

/// Draws and plays on a thread of its own, which ends with this.
pub struct Theatre {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Where a call's pictures come in. Only the latest is kept: a slow display sees fewer of them.
struct Tap {
    shared: Arc<Shared>,
    own: bool,
}

impl PictureSink for Tap {
    fn push(&self, sample: &Sample) {
        let mut inbox = self.shared.lock();
        let (slot, wanted) = if self.own {
            let wanted = inbox.wants_own;
            (&mut inbox.own, wanted)
        } else {
            let wanted = inbox.wants_remote;
            (&mut inbox.remote, wanted)
        };
        if wanted {
            *slot = Some(sample.clone());
            drop(inbox);
            self.shared.changed.notify_one();
        }
    }
}

impl Theatre {
    /// Starts the thread. Nothing is opened before the first scene.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(setting: Setting, tell: mpsc::Sender<DriverEvent>) -> std::io::Result<Theatre> {
        let shared = Arc::new(Shared::default());
        let of_thread = shared.clone();
        let thread = std::thread::Builder::new().name("tv-screen".into()).spawn(move || {
            let stage = OnStage {
                setting,
                shared: of_thread,
                tell,
                number: 0,
                view: None,
                painter: None,
                picture: None,
                mixer: None,
                photos: Vec::new(),
                tone: None,
                next_count: None,
                again: None,
                look: None,
                remote_at: None,
                told: None,
            };
            stage.run();
        })?;
        Ok(Theatre { shared, thread: Some(thread) })
    }

    /// Where the caller's and the resident's own pictures go.
    pub fn taps(&self) -> (Arc<dyn PictureSink>, Arc<dyn PictureSink>) {
        let tap = |own| Arc::new(Tap { shared: self.shared.clone(), own });
        (tap(false), tap(true))
    }
}

impl Stage for Theatre {
    fn show(&mut self, number: u64, view: &View) {
        let show = Some((number, view.clone()));
        self.shared.put(|inbox| {
            if wanted_tone(&view.scene).is_none()
                && let Some(tone) = inbox.tone.take()
            {
                tone.hush();
            }
            inbox.show = show;
        });
    }

    fn photo(&mut self, whose: Whose, bytes: Vec<u8>) {
        self.shared.put(|inbox| {
            if inbox.photos.len() < PHOTOS {
                inbox.photos.push((whose, bytes));
            }
        });
    }

    fn resident(&mut self, locale: Option<String>, time_zone: Option<String>) {
        self.shared.put(|inbox| {
            inbox.locale = locale.or(inbox.locale.take());
            inbox.time_zone = time_zone.or(inbox.time_zone.take());
        });
    }
}

impl Drop for Theatre {
    fn drop(&mut self) {
        self.shared.put(|inbox| inbox.stop = true);
        // The thread closes the sink within its own patience; nobody waits for it here, this may be an async task.
        drop(self.thread.take());
    }
}

struct OnStage {
    setting: Setting,
    shared: Arc<Shared>,
    tell: mpsc::Sender<DriverEvent>,
    number: u64,
    view: Option<View>,
    painter: Option<Painter>,
    picture: Option<Arc<Picture>>,
    mixer: Option<Mixer>,
    photos: Vec<(Whose, Photo)>,
    tone: Option<Sounding>,
    next_count: Option<Instant>,
    again: Option<Instant>,
    /// When to see whether the cable is still in.
    look: Option<Instant>,
    remote_at: Option<Instant>,
    /// Whether the last that was told of this picture is that it is seen.
    told: Option<bool>,
}

impl OnStage {
    fn run(mut self) {
        while let Some(news) = self.wait() {
            self.hear(news);
            let now = Instant::now();
            if self.next_count.is_some_and(|at| at <= now) {
                self.count(now);
            }
            if self.again.is_some_and(|at| at <= now) {
                self.present();
            }
            if self.look.is_some_and(|at| at <= now) {
                self.look = Some(now + LOOK);
                let result = self.mixer.as_ref().map_or(Ok(()), |mixer| mixer.output().plugged());
                self.check(result);
            }
            if self.remote_at.is_some_and(|at| at + STOPPED <= now) {
                self.remote_at = None;
                let result = self.mixer.as_mut().map_or(Ok(()), Mixer::remote_stopped);
                self.check(result);
            }
        }
        self.close();
    }

    /// Sleeps until there is news or something is due; `None` is the end.
    fn wait(&mut self) -> Option<Inbox> {
        let due = [self.next_count, self.again, self.look, self.remote_at.map(|at| at + STOPPED)].into_iter().flatten().min();
        let mut inbox = self.shared.lock();
        loop {
            if inbox.stop {
                return None;
            }
            let late = due.is_some_and(|due| due <= Instant::now());
            let settled = inbox.locale.is_some() || inbox.time_zone.is_some();
            if late || settled || inbox.show.is_some() || !inbox.photos.is_empty() || inbox.remote.is_some() || inbox.own.is_some() {
                return Some(Inbox {
                    show: inbox.show.take(),
                    photos: std::mem::take(&mut inbox.photos),
                    locale: inbox.locale.take(),
                    time_zone: inbox.time_zone.take(),
                    remote: inbox.remote.take(),
                    own: inbox.own.take(),
                    ..Inbox::default()
                });
            }
            inbox = match due {
                Some(due) => {
                    let left = due.saturating_duration_since(Instant::now());
                    self.shared.changed.wait_timeout(inbox, left).unwrap_or_else(PoisonError::into_inner).0
                }
                None => self.shared.changed.wait(inbox).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }

    fn hear(&mut self, news: Inbox) {
        let mut draw = false;
        if news.locale.is_some() || news.time_zone.is_some() {
            self.setting.locale = news.locale.unwrap_or(std::mem::take(&mut self.setting.locale));
            self.setting.time_zone = news.time_zone.unwrap_or(std::mem::take(&mut self.setting.time_zone));
            let words = self.words();
            if let Some(painter) = &mut self.painter {
                painter.speak(words);
                draw = true;
            }
        }
        for (whose, bytes) in news.photos {
            match Photo::decode(&bytes) {
                Ok(photo) => {
                    self.photos.retain(|(known, _)| *known != whose);
                    if self.photos.len() >= PHOTOS {
                        self.photos.remove(0);
                    }
                    self.photos.push((whose, photo));
                    draw = true;
                }
                Err(why) => log::info!("a caller's photograph cannot be shown ({why}); their initials are"),
            }
        }
        if let Some((number, view)) = news.show {
            self.number = number;
            self.told = None;
            self.sound(&view.scene);
            self.view = (view.scene != Scene::Idle).then_some(view);
            draw = true;
        }
        if draw {
            self.draw();
        }
        self.streams(news.remote, news.own);
    }

    fn words(&self) -> Words {
        Words::new(&self.setting.locale, &self.setting.time_zone)
    }

    fn draw(&mut self) {
        let Some(view) = self.view.clone() else { return self.close() };
        let words = self.words();
        let painter = self.painter.get_or_insert_with(|| Painter::new(Pen::new(&self.setting.font), words));
        let photo = caller(&view.scene).map(Whose::from).and_then(|whose| self.photos.iter().find(|(known, _)| *known == whose));
        let Some(picture) = painter.paint(&view, photo.map(|(_, photo)| photo), Instant::now(), jiff::Timestamp::now()) else {
            return;
        };
        self.shared.put(|inbox| (inbox.wants_remote, inbox.wants_own) = (picture.live, picture.own));
        if !picture.live {
            self.remote_at = None;
        }
        self.picture = Some(Arc::new(picture));
        self.present();
        // Only from here: drawing took its time.
        self.count(Instant::now());
    }

    /// Shows the picture there is; opens the display where it is closed.
    fn present(&mut self) {
        self.again = None;
        let Some(picture) = self.picture.clone() else { return };
        let result = match &mut self.mixer {
            Some(mixer) => mixer.show(picture),
            None => Mixer::open(&self.setting.sink, picture.clone()).and_then(|mixer| self.mixer.insert(mixer).show(picture)),
        };
        let seen = result.is_ok();
        if seen && self.look.is_none() && self.mixer.as_ref().is_some_and(|mixer| mixer.output().has_cable()) {
            self.look = Some(Instant::now() + LOOK);
        }
        self.check(result);
        if seen && self.told.replace(true) != Some(true) {
            self.say(DriverEvent::Shown(self.number));
        }
    }

    /// A display that failed is closed, told, and tried again.
    fn check(&mut self, result: Result<(), String>) {
        let Err(why) = result else { return };
        if let Some(mixer) = self.mixer.take() {
            mixer.close();
        }
        self.again = Some(Instant::now() + AGAIN);
        self.look = None;
        if self.told.replace(false) != Some(false) {
            log::warn!(MESSAGE_ID = crate::journal::messages::CALL_UNNOTICED.id; "{why}");
            self.say(DriverEvent::Unseen(self.number, why));
        }
    }

    /// The countdown's number, and when it changes next.
    fn count(&mut self, now: Instant) {
        let due = self.next_count.take().is_some_and(|at| at <= now);
        let (Some(painter), Some(view), Some(picture)) = (&mut self.painter, &self.view, &mut self.picture) else { return };
        let Scene::Countdown { until: Some(_), .. } = view.scene else { return };
        self.next_count = painter.count(&view.scene, Arc::make_mut(picture), now);
        if due {
            self.present();
        }
    }

    fn streams(&mut self, remote: Option<Sample>, own: Option<Sample>) {
        let now = Instant::now();
        let Some(mixer) = &mut self.mixer else { return };
        let mut result = Ok(());
        if let Some(own) = own {
            let alone = remote.is_none() && self.remote_at.is_none_or(|at| now.saturating_duration_since(at) > ALONE);
            result = mixer.own(own, alone);
        }
        if let Some(remote) = remote {
            self.remote_at = Some(now);
            result = result.and(mixer.remote(remote));
        }
        self.check(result);
    }

    /// Nothing is shown any more: everything that takes memory or a device is let go.
    fn close(&mut self) {
        self.silence();
        self.shared.put(|inbox| {
            (inbox.wants_remote, inbox.wants_own) = (false, false);
            (inbox.remote, inbox.own) = (None, None);
        });
        if let Some(mixer) = self.mixer.take() {
            mixer.close();
        }
        (self.painter, self.picture, self.view) = (None, None, None);
        (self.next_count, self.again, self.look, self.remote_at) = (None, None, None, None);
    }

    fn say(&self, event: DriverEvent) {
        // The television's task reads until it ends, and ends this thread.
        let _ = self.tell.blocking_send(event);
    }
}

fn caller(scene: &Scene) -> Option<&crate::call::Caller> {
    match scene {
        Scene::Ringing { caller, .. }
        | Scene::Countdown { caller, .. }
        | Scene::Connecting { caller, .. }
        | Scene::InCall { caller, .. }
        | Scene::Ended { caller, .. }
        | Scene::NoCamera { caller } => Some(caller),
        Scene::Idle | Scene::Missed { .. } => None,
    }
}
