//! Waking the television and putting it back: power, input, volume. The rule of both is that nothing is changed before
//! what was found is on the disk, and that only what we changed, and nobody changed since, is put back.

use super::{Power, TvState, Wake};
use crate::checkpoint::{Point, reached};
use crate::journal::messages;
use async_trait::async_trait;
use futures_util::TryFutureExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// Why the television did not do what it was asked, in words for a technician.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub String);

/// Which input to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// The box.
    Ours,
    /// Another, as [`TvState::input`] names it.
    Other(String),
    /// We don't know what was shown before: let go, and the television chooses.
    Release,
}

/// The television set: what an infrared sender, HDMI-CEC or the lab can do to it. Every call is given a few seconds and
/// then dropped, so a hung device never holds up a dialog.
#[async_trait]
pub trait Set: Send + Sync + 'static {
    /// How it is now. A television that does not answer is `Ok` with [`Power::Unknown`], or a fault when the way to it
    /// is broken.
    async fn state(&self) -> Result<TvState, Fault>;
    /// On, or standby.
    async fn power(&self, on: bool) -> Result<(), Fault>;
    /// On by the last means, when [`Set::power`] has not helped. `false`: there is none.
    async fn insist(&self) -> Result<bool, Fault> {
        Ok(false)
    }
    /// Shows an input.
    async fn input(&self, to: &Input) -> Result<(), Fault>;
    /// Sets the volume, 0..=100.
    async fn volume(&self, to: u8) -> Result<(), Fault>;
    /// One step louder or softer, where the volume is not known. `false`: that is not possible.
    async fn step(&self, _louder: bool) -> Result<bool, Fault> {
        Ok(false)
    }
    /// The box's own input as [`TvState::input`] names it, if known.
    fn own_input(&self) -> Option<String>;
}

/// What is to be put back, as it lies on the disk.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Remembered {
    /// As it was before we came.
    pub found: TvState,
    /// We switched it on.
    pub power: bool,
    /// We switched to the box's input.
    pub input: bool,
    /// The volume we set.
    pub volume: Option<u8>,
    /// Steps we made it louder (or softer), where the volume is not known.
    #[serde(default)]
    pub steps: i16,
    /// Somebody used the television since: it is not switched off any more.
    pub used: bool,
    /// When its input was about to be given back: what it shows soon after is our doing, also where we were killed in between.
    #[serde(default)]
    pub released: Option<jiff::Timestamp>,
}

impl Remembered {
    fn former(&self) -> Input {
        self.found.input.clone().map_or(Input::Release, Input::Other)
    }

    /// What it shows is what we asked for, though it is not us.
    fn is_released(&self) -> bool {
        self.released.is_some_and(|at| jiff::Timestamp::now().duration_since(at).unsigned_abs() < RELEASED)
    }

    /// It is to be sent to standby again. Who was not seen to be in standby is not sent there.
    pub(crate) fn goes_to_sleep(&self) -> bool {
        self.power && self.found.power == Power::Standby && !self.used
    }
}

/// Where [`Remembered`] outlives a crash or a power cut. Called on blocking threads.
pub trait Memory: Send + Sync + 'static {
    /// Returns once it is on the disk.
    fn remember(&self, what: &Remembered) -> Result<(), String>;
    /// What lies there.
    fn recall(&self) -> Result<Option<Remembered>, String>;
    /// Nothing is to be put back any more.
    fn forget(&self) -> Result<(), String>;
}

/// What is to be put back, in memory and on the disk.
#[derive(Clone)]
pub(crate) struct Ledger {
    memory: Arc<dyn Memory>,
    current: Arc<Mutex<Current>>,
    /// Number of the newest write that reached the disk: writes run on blocking threads and may overtake each other.
    written: Arc<Mutex<u64>>,
}

#[derive(Default)]
struct Current {
    remembered: Option<Remembered>,
    writes: u64,
    /// The television was seen to have done what was asked of it.
    arrived: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ledger {
    pub(crate) fn new(memory: Arc<dyn Memory>) -> Ledger {
        Ledger { memory, current: Arc::default(), written: Arc::default() }
    }

    pub(crate) fn current(&self) -> Option<Remembered> {
        lock(&self.current).remembered.clone()
    }

    fn arrived(&self, arrived: bool) {
        lock(&self.current).arrived = arrived;
    }

    fn has_arrived(&self) -> bool {
        lock(&self.current).arrived
    }

    /// Somebody uses the television.
    pub(crate) fn used(&self) {
        if let Some(remembered) = &mut lock(&self.current).remembered {
            remembered.used = true;
        }
    }

    /// What was found on was on its way to standby.
    pub(crate) fn found_asleep(&self) {
        if let Some(remembered) = &mut lock(&self.current).remembered {
            remembered.found.power = Power::Standby;
        }
    }

    /// Writes down `what`; afterwards it is on the disk, or the log says why not. The call goes on without: a full disk
    /// must not keep the telephone from ringing.
    pub(crate) async fn write(&self, what: Option<Remembered>) {
        let number = {
            let mut current = lock(&self.current);
            current.remembered.clone_from(&what);
            current.writes += 1;
            current.writes
        };
        let (memory, written) = (self.memory.clone(), self.written.clone());
        let write = move || {
            let mut newest = lock(&written);
            if *newest > number {
                return Ok(());
            }
            *newest = number;
            match &what {
                Some(what) => memory.remember(what),
                None => memory.forget(),
            }
        };
        let why = match tokio::task::spawn_blocking(write).await {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(e) => e.to_string(),
        };
        log::error!(
            MESSAGE_ID = messages::TV_UNREMEMBERED.id;
            "the television's state cannot be written down: {why}; after a power cut it may stay as it is now. Check the state directory"
        );
    }

    /// Reads what an earlier run left.
    pub(crate) async fn recall(&self) {
        let memory = self.memory.clone();
        match tokio::task::spawn_blocking(move || memory.recall()).await {
            Ok(Ok(left)) => {
                let mut current = lock(&self.current);
                if current.remembered.is_none() && current.writes == 0 {
                    current.remembered = left;
                }
            }
            Ok(Err(why)) => {
                log::error!(MESSAGE_ID = messages::TV_UNREMEMBERED.id; "what is to be put back on the television cannot be read: {why}; check the state directory")
            }
            Err(e) => {
                log::error!(MESSAGE_ID = messages::TV_UNREMEMBERED.id; "what is to be put back on the television cannot be read: {e}; check the state directory")
            }
        }
    }
}

/// A device that answers later than this does not answer.
const ANSWER: Duration = Duration::from_secs(3);
/// How often waking is tried, and how far apart (field practice: 3 times, 3 s apart, wakes every set that can be woken).
const TRIES: u32 = 3;
/// A set whose steps are wider than one percent does not come to stand where it was sent; nobody else has turned it then.
const NEAR: u8 = 2;
/// Steps that are taken back at most: more were somebody who leant on the key.
const STEPS: u16 = 40;
/// So long after its input was given back, a television shows what we asked for, and not what somebody has chosen since. A daemon that was
/// killed is back by then.
const RELEASED: Duration = Duration::from_secs(60);
/// When the state is looked at after a try: they add up to the 3 s between two tries. Most sets are on at once, slow ones
/// boot for seconds.
const LOOKS: [Duration; 5] =
    [Duration::from_millis(100), Duration::from_millis(300), Duration::from_millis(600), Duration::from_secs(1), Duration::from_secs(1)];

/// The set's state, whatever happens.
pub(crate) async fn ask(set: &dyn Set) -> TvState {
    match timeout(ANSWER, set.state()).await {
        Ok(Ok(state)) => state,
        Ok(Err(fault)) => {
            log::debug!("the television's state is unknown: {fault}");
            TvState::UNKNOWN
        }
        Err(_) => TvState::UNKNOWN,
    }
}

async fn tell(what: &str, doing: impl Future<Output = Result<(), Fault>>) {
    match timeout(ANSWER, doing).await {
        Ok(Ok(())) => {}
        Ok(Err(fault)) => log::warn!(MESSAGE_ID = messages::TV_REFUSES.id; "the television does not take {what}: {fault}"),
        Err(_) => {
            log::warn!(MESSAGE_ID = messages::TV_REFUSES.id; "the television does not take {what}: no answer in {} s", ANSWER.as_secs())
        }
    }
}

async fn insist(set: &dyn Set) -> bool {
    matches!(timeout(ANSWER, set.insist()).await, Ok(Ok(true)))
}

fn shows_us(set: &dyn Set, state: &TvState) -> bool {
    match (&state.input, set.own_input()) {
        (Some(shown), Some(ours)) => *shown == ours,
        _ => false,
    }
}

/// How waking went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Woken {
    /// In a word.
    pub wake: Wake,
    /// It said that it was in standby.
    pub slept: bool,
    /// How the set was seen last.
    pub seen: TvState,
}

/// Wakes it, comes to the front, and sees that it can be heard. `default` is the input to go back to where it is not known
/// what is shown.
pub(crate) async fn wake(set: &dyn Set, ledger: &Ledger, floor: u8, default: Option<String>) -> Woken {
    let found = ask(set).await;
    let slept = found.power == Power::Standby;
    // A second call before the first was put back: what counts is how the television was before the first.
    let earlier = ledger.current();
    let on = found.power == Power::On;
    let plan = Remembered {
        power: !on || earlier.as_ref().is_some_and(|r| r.power),
        input: !shows_us(set, &found) || earlier.as_ref().is_some_and(|r| r.input),
        steps: earlier.as_ref().map_or(0, |r| r.steps),
        volume: found.volume.filter(|v| *v < floor).map(|_| floor).or(earlier.as_ref().and_then(|r| r.volume)),
        used: earlier.as_ref().is_some_and(|r| r.used),
        released: None,
        found: earlier.map_or_else(|| TvState { input: found.input.clone().or(default), ..found.clone() }, |r| r.found),
    };
    ledger.arrived(false);
    ledger.write(Some(plan)).await;
    reached(Point::TelevisionRemembered);
    let mut seen = found.clone();
    for tried in 0..=TRIES {
        if tried == TRIES {
            // What does not come on by asking may come on by its last means; what has come on needs none.
            if seen.power == Power::On || !insist(set).await {
                break;
            }
        } else if seen.power != Power::On {
            tell("\"on\"", set.power(true)).await;
            reached(Point::PowerSet);
        }
        if !shows_us(set, &seen) {
            tell("our input", set.input(&Input::Ours)).await;
            reached(Point::InputSet);
        }
        if let Some(volume) = seen.volume.filter(|v| *v < floor) {
            log::debug!("volume {volume} is too low to hear it ring; set to {floor}");
            tell("a volume", set.volume(floor)).await;
            reached(Point::VolumeSet);
        }
        for pause in [Duration::ZERO].into_iter().chain(LOOKS) {
            sleep(pause).await;
            seen = ask(set).await;
            let audible = seen.volume.is_none_or(|v| v >= floor);
            if seen.power == Power::On && audible && (shows_us(set, &seen) || seen.input.is_none()) {
                ledger.arrived(true);
                return Woken { wake: if on { Wake::AlreadyOn } else { Wake::Woken }, slept, seen };
            }
            // It was in standby and is on now: what it shows and how loud could only be set from here.
            if seen.power == Power::On && pause >= LOOKS[1] {
                break;
            }
        }
    }
    let wake = match seen.power {
        Power::On if on => Wake::AlreadyOn,
        Power::On => Wake::Woken,
        Power::Standby | Power::Unknown => {
            log::warn!(MESSAGE_ID = messages::TV_ASLEEP.id; "the television does not wake up (tried {TRIES} times); check that its HDMI control is switched on");
            Wake::NoAnswer
        }
    };
    Woken { wake, slept, seen }
}

/// How putting back went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Restored {
    /// Nothing is left to be put back.
    pub done: bool,
    /// It was sent to standby.
    pub sent_off: bool,
    /// How the set was seen last, if it was looked at.
    pub seen: Option<TvState>,
}

/// Puts back what we changed and nobody changed since. A set that does not answer is not done: the rest stays written down.
pub(crate) async fn restore(set: &dyn Set, ledger: &Ledger) -> Restored {
    let Some(plan) = ledger.current() else { return Restored { done: true, sent_off: false, seen: None } };
    let mut now = ask(set).await;
    let mut silent = 0;
    for pause in LOOKS.into_iter().cycle().take(LOOKS.len() * TRIES as usize) {
        match now.power {
            Power::On if ledger.has_arrived() || silent >= LOOKS.len() || as_planned(set, &plan, &now) => break,
            // A wake that was cut short is still on its way: what is not there yet was not taken away by anybody.
            Power::On => silent += 1,
            // Off as it was found; but a wake that was cut short may still take effect, and it would be left on.
            Power::Standby if !plan.power || silent >= LOOKS.len() => break,
            Power::Standby | Power::Unknown => silent += 1,
        }
        sleep(pause).await;
        now = ask(set).await;
    }
    if now.power == Power::Unknown {
        log::warn!(MESSAGE_ID = messages::TV_SILENT.id; "the television does not answer and cannot be put back now; tried again when it does");
        // Many that never answer listen all the same: at least they are not left with a dark input.
        if plan.input {
            tell("its input back", set.input(&plan.former())).await;
        }
        return Restored { done: false, sent_off: false, seen: Some(now) };
    }
    let sent_off = put_back(set, ledger, &now).await;
    // What was asked is on its way; it counts as done when it is seen, or when the set has had its time.
    for pause in LOOKS {
        now = ask(set).await;
        let off = !plan.goes_to_sleep() || now.power != Power::On;
        if off && (now.power != Power::On || !plan.input || !shows_us(set, &now)) {
            break;
        }
        sleep(pause).await;
    }
    ledger.write(None).await;
    Restored { done: true, sent_off, seen: Some(now) }
}

/// Sets a volume somebody asked for.
pub(crate) async fn turn(set: &dyn Set, to: u8) {
    tell("a volume", set.volume(to)).await;
}

/// Makes it a step louder or softer.
pub(crate) async fn step(set: &dyn Set, louder: bool) {
    tell("a step of the volume", set.step(louder).map_ok(drop)).await;
}

/// Everything that was asked for is there.
fn as_planned(set: &dyn Set, plan: &Remembered, now: &TvState) -> bool {
    let shown = !plan.input || plan.is_released() || shows_us(set, now) || now.input.is_none();
    let loud = plan.volume.zip(now.volume).is_none_or(|(ours, now)| now.abs_diff(ours) <= NEAR);
    shown && loud
}

/// `true`: it was sent to standby.
async fn put_back(set: &dyn Set, ledger: &Ledger, now: &TvState) -> bool {
    let Some(mut plan) = ledger.current() else { return false };
    if let (Some(ours), Some(before)) = (plan.volume, plan.found.volume)
        && now.volume.is_some_and(|v| v.abs_diff(ours) <= NEAR)
    {
        tell("its volume back", set.volume(before)).await;
        reached(Point::VolumeRestored);
    }
    let ours = shows_us(set, now) || now.input.is_none();
    // Who is killed from here on takes no step twice, and does not take the input for a viewer's choice.
    let steps = std::mem::take(&mut plan.steps);
    if plan.input && ours {
        plan.released = Some(jiff::Timestamp::now());
    }
    if steps != 0 || (plan.input && ours) {
        ledger.write(Some(plan.clone())).await;
    }
    for _ in 0..steps.unsigned_abs().min(STEPS) {
        tell("its volume back", set.step(steps < 0).map_ok(drop)).await;
    }
    if plan.input && ours {
        tell("its input back", set.input(&plan.former())).await;
        reached(Point::InputRestored);
    }
    let off = plan.goes_to_sleep() && (ours || plan.is_released()) && now.power == Power::On;
    if off {
        tell("\"standby\"", set.power(false)).await;
        reached(Point::PowerRestored);
    }
    off
}
