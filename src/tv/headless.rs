//! A television without a television: everything is recorded, everything happens at once, and every answer and fault can
//! be scripted. For tests, and for a box that has none.

use super::keys::{Key, Stroke};
use super::power::{Fault, Input, Memory, Remembered, Set};
use super::stage::{Driver, DriverEvent, EVENTS, Stage, View, Whose};
use super::{Power, TvState};
use crate::call::Scene;
use crate::media::{Outputs, PictureSink, SoundOut};
use async_trait::async_trait;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// What was done to the television, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Did {
    /// Switched on (`true`) or to standby.
    Power(bool),
    /// Switched the input.
    Input(Input),
    /// Set the volume.
    Volume(u8),
    /// Showed something.
    Show(Scene),
    /// Got a caller's photograph.
    Photo(Whose),
    /// Wrote down what is to be put back.
    Remembered,
    /// Struck it out again.
    Forgot,
}

/// How it behaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script {
    /// Does not answer anything: its state is unknown, commands are lost.
    pub silent: bool,
    /// So many commands to switch on are lost before one works.
    pub deaf: u32,
    /// So many commands to show an input are lost before one works.
    pub blind: u32,
    /// The picture cannot be shown, and why.
    pub no_picture: Option<String>,
    /// The tone cannot be played, and why.
    pub no_sound: Option<String>,
    /// Nothing is said about pictures and sounds until [`Headless::say_noticed`].
    pub withhold: bool,
    /// News that are told just before its next answer that it is on.
    pub belated: Option<TvState>,
    /// Writing down what is to be put back fails.
    pub disk_full: bool,
}

struct Inner {
    state: TvState,
    script: Script,
    did: Vec<Did>,
    shown: u64,
    remembered: Option<Remembered>,
}

/// The handle of a headless television; clones are the same one.
#[derive(Clone)]
pub struct Headless {
    inner: Arc<Mutex<Inner>>,
    tell: mpsc::Sender<DriverEvent>,
    view: Arc<watch::Sender<View>>,
    remote: Arc<Counter>,
    own: Arc<Counter>,
}

/// Counts pictures.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl PictureSink for Counter {
    fn push(&self, _sample: &gstreamer::Sample) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Headless {
    /// A television that is on, shows its tuner, at volume 40; and its driver.
    pub fn new() -> (Headless, Driver) {
        Headless::in_state(TvState { power: Power::On, input: Some("tuner".into()), volume: Some(40) })
    }

    /// One that is found in this state.
    pub fn in_state(state: TvState) -> (Headless, Driver) {
        let (tell, events) = mpsc::channel(EVENTS);
        let inner = Inner { state, script: Script::default(), did: Vec::new(), shown: 0, remembered: None };
        let (view, _) = watch::channel(View { scene: Scene::Idle, focus: Default::default() });
        let headless =
            Headless { inner: Arc::new(Mutex::new(inner)), tell, view: Arc::new(view), remote: Arc::default(), own: Arc::default() };
        let driver = Driver {
            set: Arc::new(headless.clone()),
            stage: Box::new(headless.clone()),
            events,
            shown: watch::Sender::new(false),
            seen: watch::Sender::new(None),
        };
        (headless, driver)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything done so far.
    pub fn did(&self) -> Vec<Did> {
        self.lock().did.clone()
    }

    /// The state it is in.
    pub fn now(&self) -> TvState {
        self.lock().state.clone()
    }

    /// What is shown; can be waited on: `headless.view().wait_for(|view| …)`.
    pub fn view(&self) -> watch::Receiver<View> {
        self.view.subscribe()
    }

    /// Changes how it behaves from now on.
    pub fn script(&self, change: impl FnOnce(&mut Script)) {
        change(&mut self.lock().script);
    }

    /// The viewer, or another device, does this to the set.
    pub async fn viewer(&self, change: impl FnOnce(&mut TvState)) {
        let state = {
            let mut inner = self.lock();
            change(&mut inner.state);
            inner.state.clone()
        };
        self.say(DriverEvent::Changed(state)).await;
    }

    /// The resident presses and releases a key.
    pub async fn press(&self, key: Key) {
        self.say(DriverEvent::Stroke(Stroke { key, pressed: true })).await;
        self.say(DriverEvent::Stroke(Stroke { key, pressed: false })).await;
    }

    /// Says now that the last show is seen and heard, where the script withholds it.
    pub async fn say_noticed(&self) {
        let number = self.lock().shown;
        self.say(DriverEvent::Shown(number)).await;
        self.say(DriverEvent::Heard(number)).await;
    }

    /// The display is lost while something is shown.
    pub async fn lose(&self, why: &str) {
        let number = self.lock().shown;
        self.say(DriverEvent::Unseen(number, why.into())).await;
    }

    async fn say(&self, event: DriverEvent) {
        // A television's task that has ended needs no more events.
        let _ = self.tell.send(event).await;
    }

    /// Where a call's media goes; see [`Headless::pictures`].
    pub fn outputs(&self) -> Outputs {
        Outputs { remote: self.remote.clone(), own: self.own.clone(), sound: SoundOut::Null }
    }

    /// How many pictures of the caller and of the resident came so far.
    pub fn pictures(&self) -> (u64, u64) {
        (self.remote.0.load(Ordering::Relaxed), self.own.0.load(Ordering::Relaxed))
    }

    /// A memory that lasts as long as the handle: what is to be put back survives a "crash" of the task.
    pub fn memory(&self) -> Arc<dyn Memory> {
        Arc::new(self.clone())
    }

    /// Does a command unless the script says otherwise.
    fn act(&self, did: Did, change: impl FnOnce(&mut TvState)) -> Result<(), Fault> {
        let state = {
            let mut inner = self.lock();
            inner.did.push(did.clone());
            if inner.script.silent {
                return Err(Fault("no answer".into()));
            }
            if did == Did::Power(true) && inner.script.deaf > 0 {
                inner.script.deaf -= 1;
                return Ok(());
            }
            if matches!(did, Did::Input(_)) && inner.script.blind > 0 {
                inner.script.blind -= 1;
                return Ok(());
            }
            change(&mut inner.state);
            inner.state.clone()
        };
        // Never waited for: the task that reads these is the one that asks.
        let _ = self.tell.try_send(DriverEvent::Changed(state));
        Ok(())
    }
}

#[async_trait]
impl Set for Headless {
    async fn state(&self) -> Result<TvState, Fault> {
        let mut inner = self.lock();
        if inner.script.silent {
            return Ok(TvState::UNKNOWN);
        }
        if inner.state.power == Power::On
            && let Some(news) = inner.script.belated.take()
        {
            let _ = self.tell.try_send(DriverEvent::Changed(news));
        }
        Ok(inner.state.clone())
    }

    async fn power(&self, on: bool) -> Result<(), Fault> {
        self.act(Did::Power(on), |state| state.power = if on { Power::On } else { Power::Standby })
    }

    async fn input(&self, to: &Input) -> Result<(), Fault> {
        self.act(Did::Input(to.clone()), |state| match to {
            Input::Ours => state.input = Some("box".into()),
            Input::Other(name) => state.input = Some(name.clone()),
            Input::Release => state.input = Some("tuner".into()),
        })
    }

    async fn volume(&self, to: u8) -> Result<(), Fault> {
        self.act(Did::Volume(to), |state| state.volume = Some(to))
    }

    fn own_input(&self) -> Option<String> {
        Some("box".into())
    }
}

impl Stage for Headless {
    fn show(&mut self, number: u64, view: &View) {
        let (seen, heard) = {
            let mut inner = self.lock();
            inner.did.push(Did::Show(view.scene.clone()));
            inner.shown = number;
            if inner.script.withhold { (None, None) } else { (Some(inner.script.no_picture.clone()), Some(inner.script.no_sound.clone())) }
        };
        self.view.send_replace(view.clone());
        let seen = seen.map(|trouble| trouble.map_or(DriverEvent::Shown(number), |why| DriverEvent::Unseen(number, why)));
        let heard = heard.map(|trouble| trouble.map_or(DriverEvent::Heard(number), |why| DriverEvent::Unheard(number, why)));
        for event in seen.into_iter().chain(heard) {
            // Never waited for: the task that reads these is the one that shows.
            let _ = self.tell.try_send(event);
        }
    }

    fn photo(&mut self, whose: Whose, _bytes: Vec<u8>) {
        self.lock().did.push(Did::Photo(whose));
    }

    fn resident(&mut self, _locale: Option<String>, _time_zone: Option<String>) {}
}

impl Memory for Headless {
    fn remember(&self, what: &Remembered) -> Result<(), String> {
        let mut inner = self.lock();
        if inner.script.disk_full {
            return Err("no space left on device".into());
        }
        inner.did.push(Did::Remembered);
        inner.remembered = Some(what.clone());
        Ok(())
    }

    fn recall(&self) -> Result<Option<Remembered>, String> {
        Ok(self.lock().remembered.clone())
    }

    fn forget(&self) -> Result<(), String> {
        let mut inner = self.lock();
        if inner.remembered.take().is_some() {
            inner.did.push(Did::Forgot);
        }
        Ok(())
    }
}
