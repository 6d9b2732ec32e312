//! The television's task: commands in, events out. It waits for nothing that takes time: waking, restoring and the
//! volume run beside it, drawing and playing belong to the [`Stage`].

use super::dialog::Dialog;
use super::keys::{Key, Stroke};
use super::power::{self, Ledger, Memory};
use super::stage::{Driver, DriverEvent, Stage, View};
use super::{Command, Config, Power, Seen, TvEvent, TvState, Wake, Wishes};
use crate::call::{CallId, Press, Scene};
use crate::checkpoint::{Point, reached};
use crate::journal::messages;
use std::future::pending;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// How long the screen stays awake for a call that was announced (power_normal, chatta.md 2.5) and does not come.
const ANNOUNCED: Duration = Duration::from_secs(60);
/// How long a television may take to do, and to tell, what putting it back asked of it.
const SETTLE: Duration = Duration::from_secs(3);
/// Whether a scene is seen and heard, or why not, is told within this; else a driver hangs. Fonts and a display that has to be set up
/// take some seconds.
const NEWS: Duration = Duration::from_secs(10);
/// One press of a volume key.
const VOLUME_STEP: u8 = 5;

/// Starts the task. It ends with the last sender of commands.
pub fn spawn(config: Config, driver: Driver, memory: Arc<dyn Memory>) -> (mpsc::Sender<Command>, mpsc::Receiver<TvEvent>) {
    let (commands, inbox) = mpsc::channel(64);
    let (outbox, events) = mpsc::channel(64);
    let Driver { set, stage, events: told, shown, seen } = driver;
    let television = Television {
        config,
        set,
        stage,
        ledger: Ledger::new(memory),
        outbox,
        dialog: Dialog::default(),
        wishes: Wishes::default(),
        shown,
        scene: Scene::Idle,
        number: 0,
        notice: None,
        awaited: None,
        job: None,
        volume: None,
        seen: TvState::UNKNOWN,
        seen_by: seen,
        told: TvState::UNKNOWN,
        restore_by: None,
        settles: Instant::now(),
        sent_off: false,
        owed: false,
        answered: false,
    };
    tokio::spawn(television.run(inbox, told));
    (commands, events)
}

type Job<T> = Pin<Box<dyn Future<Output = T> + Send>>;

enum Doing {
    Waking,
    Restoring(Option<CallId>),
    Recovering(Option<oneshot::Sender<()>>),
}

enum Done {
    Woken(power::Woken),
    Restored(power::Restored),
}

/// What is known of the dialog that must be seen and heard before anything is answered by itself.
struct Notice {
    call: CallId,
    /// Shows before this number belong to another dialog.
    since: u64,
    seen: bool,
    heard: bool,
    /// The television was known to be in standby.
    dark: bool,
    told: Option<bool>,
}

/// News of what is shown that have not come yet.
struct Awaited {
    by: Instant,
    picture: bool,
    tone: bool,
}

struct Television {
    config: Config,
    set: Arc<dyn power::Set>,
    stage: Box<dyn Stage>,
    ledger: Ledger,
    outbox: mpsc::Sender<TvEvent>,
    dialog: Dialog,
    wishes: Wishes,
    shown: watch::Sender<bool>,
    scene: Scene,
    number: u64,
    notice: Option<Notice>,
    awaited: Option<Awaited>,
    job: Option<(Doing, Job<Done>)>,
    /// A volume being set, and the next one wanted after it.
    volume: Option<(Job<()>, Option<u8>)>,
    /// How it is as far as we know, asked or told.
    seen: TvState,
    /// Who wants to know that.
    seen_by: watch::Sender<Option<Seen>>,
    /// As it was last told. What changed is judged by this alone: news may be older than an answer.
    told: TvState,
    /// When a television woken for an announced call is put back if no call comes.
    restore_by: Option<Instant>,
    /// Until then, what it does may be what putting it back asked of it.
    settles: Instant,
    /// That was standby, too.
    sent_off: bool,
    /// It did not answer when it was to be put back: try again when it does.
    owed: bool,
    /// It began to answer while it was being put back, perhaps too late for that.
    answered: bool,
}

impl Television {
    async fn run(mut self, mut inbox: mpsc::Receiver<Command>, mut told: mpsc::Receiver<DriverEvent>) {
        let mut driver_alive = true;
        let beat = crate::health::supervise("television");
        loop {
            tokio::select! {
                biased;
                () = beat.asked() => {}
                event = told.recv(), if driver_alive => match event {
                    Some(event) => self.driver(event).await,
                    None => driver_alive = false,
                },
                command = inbox.recv() => match command {
                    Some(command) => self.command(command).await,
                    None => return self.put_back().await,
                },
                done = next(&mut self.job) => {
                    // What was told before it ended belongs to it.
                    for _ in 0..told.len() {
                        let Ok(event) = told.try_recv() else { break };
                        self.driver(event).await;
                    }
                    self.done(done).await;
                }
                () = finish(&mut self.volume) => self.volume_set(),
                () = wait(self.restore_by) => {
                    self.restore_by = None;
                    self.restore(None);
                }
                () = wait(self.awaited.as_ref().map(|awaited| awaited.by)) => self.overdue().await,
            }
        }
    }

    /// Nobody is there any more to say so: what is being put back, or would be in a minute, is put back now.
    async fn put_back(&mut self) {
        if self.restore_by.take().is_some() {
            self.restore(None);
        }
        if matches!(self.job, Some((Doing::Restoring(_) | Doing::Recovering(_), _))) {
            let done = next(&mut self.job).await;
            self.done(done).await;
        }
    }

    async fn command(&mut self, command: Command) {
        match command {
            Command::Wake(_) => {
                self.restore_by = None;
                self.wake();
            }
            Command::Announced => {
                self.restore_by = (self.scene == Scene::Idle).then(|| Instant::now() + ANNOUNCED);
                self.wake();
            }
            Command::Show(scene) => self.show(scene).await,
            Command::Restore(call) => {
                self.restore_by = None;
                self.restore(Some(call));
            }
            Command::Recover(answer) => {
                self.leave_job();
                let (set, ledger) = (self.set.clone(), self.ledger.clone());
                let job = async move {
                    ledger.recall().await;
                    Done::Restored(power::restore(&*set, &ledger).await)
                };
                self.job = Some((Doing::Recovering(Some(answer)), Box::pin(job)));
            }
            Command::Photo(whose, bytes) => self.stage.photo(whose, bytes),
            Command::Resident { locale, time_zone } => {
                self.stage.resident(locale, time_zone);
                self.draw();
            }
            Command::Wishes(wishes) => self.wishes = wishes,
            Command::Key(stroke) => self.stroke(stroke),
        }
    }

    /// A job that is overtaken is dropped; who waits for a recovery waits no longer.
    fn leave_job(&mut self) {
        if let Some((Doing::Recovering(answer), _)) = &mut self.job
            && let Some(answer) = answer.take()
        {
            let _ = answer.send(());
        }
        if matches!(self.job.take(), Some((Doing::Restoring(_) | Doing::Recovering(_), _))) {
            self.settles = Instant::now() + SETTLE;
            self.sent_off = self.ledger.current().is_some_and(|plan| plan.goes_to_sleep());
        }
    }

    fn wake(&mut self) {
        if matches!(self.job, Some((Doing::Waking, _))) {
            return;
        }
        self.leave_job();
        self.owed = false;
        let (set, ledger, floor) = (self.set.clone(), self.ledger.clone(), self.config.volume_floor);
        let default = self.wishes.default_input.clone();
        let job = async move { Done::Woken(power::wake(&*set, &ledger, floor, default).await) };
        self.job = Some((Doing::Waking, Box::pin(job)));
    }

    fn restore(&mut self, call: Option<CallId>) {
        self.leave_job();
        // A volume on its way is overtaken too: its change is written down already.
        self.volume = None;
        let (set, ledger) = (self.set.clone(), self.ledger.clone());
        self.answered = false;
        self.job = Some((Doing::Restoring(call), Box::pin(async move { Done::Restored(power::restore(&*set, &ledger).await) })));
    }

    async fn done(&mut self, done: Done) {
        let Some((doing, _)) = self.job.take() else { return };
        match (done, doing) {
            (Done::Woken(power::Woken { wake, slept, seen }), _) => {
                // It had gone where it was sent: who switches it off from now on wants that.
                self.sent_off &= !(slept && wake == Wake::Woken);
                self.see(seen);
                reached(Point::TelevisionWoken);
                log::info!(wake:? = wake; "television asked to wake up");
                self.tell(TvEvent::Woken(wake)).await;
                self.judge().await;
            }
            (Done::Restored(restored), doing) => {
                self.owed = !restored.done;
                if let Some(state) = restored.seen {
                    self.see(state);
                }
                self.settles = Instant::now() + SETTLE;
                self.sent_off = restored.sent_off;
                match doing {
                    Doing::Restoring(Some(call)) => self.tell(TvEvent::Restored(call)).await,
                    Doing::Recovering(Some(answer)) => {
                        let _ = answer.send(());
                    }
                    _ => {}
                }
                if self.owed && self.answered {
                    self.restore(None);
                }
            }
        }
    }

    /// It is like this, as far as we know.
    fn see(&mut self, state: TvState) {
        let shows_us = state.input.as_ref().and_then(|input| Some(*input == self.set.own_input()?));
        self.seen_by.send_replace(Some(Seen { state: state.clone(), shows_us, at: jiff::Timestamp::now() }));
        self.seen = state;
    }

    async fn show(&mut self, scene: Scene) {
        self.dialog.show(&scene);
        let dialog = match &scene {
            Scene::Ringing { call, .. } => Some((*call, false)),
            Scene::Countdown { call, until, .. } => Some((*call, until.is_some())),
            _ => None,
        };
        let kind = std::mem::discriminant(&scene) == std::mem::discriminant(&self.scene);
        self.scene = scene;
        self.number += 1;
        self.shown.send_replace(self.scene != Scene::Idle);
        // Who answers wants to see and be seen, also where somebody switched the television off while it rang.
        if matches!(self.scene, Scene::Connecting { .. }) && self.seen.power == Power::Standby {
            self.wake();
        }
        match dialog {
            // The same notice goes on, its number has begun to count.
            Some((call, true)) if kind && self.notice.as_ref().is_some_and(|n| n.call == call) => {}
            Some((call, _)) => self.notice = Some(Notice { call, since: self.number, seen: false, heard: false, dark: false, told: None }),
            None => self.notice = None,
        }
        self.stage();
    }

    fn draw(&mut self) {
        if self.scene != Scene::Idle {
            self.number += 1;
            self.stage();
        }
    }

    /// Hands the scene over, with a new number.
    fn stage(&mut self) {
        let rings = matches!(self.scene, Scene::Ringing { .. } | Scene::Countdown { .. });
        // A driver that owes news already gets no more time for being asked again.
        let by = self.awaited.as_ref().map_or_else(|| Instant::now() + NEWS, |awaited| awaited.by);
        self.awaited = (self.scene != Scene::Idle).then_some(Awaited { by, picture: true, tone: rings });
        self.stage.show(self.number, &View { scene: self.scene.clone(), focus: self.dialog.focus() });
    }

    /// Something came of this show: its driver lives. What was shown since has its own time.
    fn news(&mut self, number: u64, of: impl Fn(&mut Awaited) -> &mut bool) {
        let Some(awaited) = &mut self.awaited else { return };
        if number < self.number {
            awaited.by = Instant::now() + NEWS;
            return;
        }
        *of(awaited) = false;
        if !awaited.picture && !awaited.tone {
            self.awaited = None;
        }
    }

    /// A call into a driver does not return.
    async fn overdue(&mut self) {
        let Some(awaited) = self.awaited.take() else { return };
        let (whose, mark): (_, fn(&mut Notice)) =
            if awaited.picture { ("display", |notice| notice.seen = false) } else { ("sound card", |notice| notice.heard = false) };
        let why = format!("the {whose}'s driver does not return; restart the box, and see journalctl -k");
        if self.notice.is_none() {
            log::warn!(MESSAGE_ID = messages::CALL_UNNOTICED.id; "{why}");
        }
        self.failed(self.number, mark, why).await;
    }

    async fn driver(&mut self, event: DriverEvent) {
        match &event {
            DriverEvent::Shown(number) | DriverEvent::Unseen(number, _) => self.news(*number, |awaited| &mut awaited.picture),
            DriverEvent::Heard(number) | DriverEvent::Unheard(number, _) => self.news(*number, |awaited| &mut awaited.tone),
            DriverEvent::Stroke(_) | DriverEvent::Changed(_) => {}
        }
        match event {
            DriverEvent::Stroke(stroke) => self.stroke(stroke),
            DriverEvent::Changed(state) => self.changed(state).await,
            DriverEvent::Shown(number) => self.perceived(number, |n| n.seen = true).await,
            DriverEvent::Heard(number) => self.perceived(number, |n| n.heard = true).await,
            DriverEvent::Unseen(number, why) => self.failed(number, |n| n.seen = false, why).await,
            DriverEvent::Unheard(number, why) => self.failed(number, |n| n.heard = false, why).await,
        }
    }

    async fn perceived(&mut self, number: u64, mark: impl FnOnce(&mut Notice)) {
        if let Some(notice) = self.notice.as_mut().filter(|n| number >= n.since) {
            mark(notice);
            self.judge().await;
        }
    }

    /// Says `Noticed` once everything is true that it says: the picture handed out, the tone sounding, and the television
    /// not known to be in standby. One that does not answer is taken at its word: many never do.
    async fn judge(&mut self) {
        let waking = matches!(self.job, Some((Doing::Waking, _)));
        let dark = self.seen.power == Power::Standby;
        let Some(notice) = &mut self.notice else { return };
        if waking || !notice.seen || !notice.heard {
            return;
        }
        // One that falls silent while it is dark has not lit up.
        if self.seen.power == Power::Unknown && notice.dark {
            return;
        }
        notice.dark = dark;
        let call = notice.call;
        if notice.told.replace(!dark) == Some(!dark) {
            return;
        }
        let event = if dark { TvEvent::Unnoticed(call, "the television stays in standby".into()) } else { TvEvent::Noticed(call) };
        self.tell(event).await;
    }

    async fn failed(&mut self, number: u64, mark: impl FnOnce(&mut Notice), why: String) {
        let Some(notice) = self.notice.as_mut().filter(|n| number >= n.since) else { return };
        mark(notice);
        let call = notice.call;
        if notice.told.replace(false) != Some(false) {
            log::warn!(MESSAGE_ID = messages::CALL_UNNOTICED.id, CALL_ID = call.0; "the dialog cannot be seen or heard: {why}");
            self.tell(TvEvent::Unnoticed(call, why)).await;
        }
    }

    /// Somebody, we or a viewer, changed the set, or it answers again.
    async fn changed(&mut self, state: TvState) {
        self.see(state.clone());
        let before = std::mem::replace(&mut self.told, state);
        let now = &self.told;
        let ours = self.set.own_input();
        let left = ours.is_some() && before.input == ours && now.input.is_some() && now.input != ours;
        let off = before.power == Power::On && now.power == Power::Standby;
        let answers = before.power == Power::Unknown && now.power != Power::Unknown;
        match self.job {
            // What changes now is our own doing.
            Some((Doing::Restoring(_) | Doing::Recovering(_), _)) => {
                self.answered |= answers;
                return;
            }
            None if self.owed && answers => self.restore(None),
            _ => {}
        }
        // A call that comes while the television is being put back must not take that for a viewer's doing.
        let ours_late = Instant::now() < self.settles && if off { self.sent_off } else { left };
        if ours_late {
            // It was found on its way to where it had been sent, and goes there now, before the resident's eyes.
            if off {
                self.ledger.found_asleep();
            }
            // Only for a call that has come since: else this is what putting it back asked, told late.
            if self.scene != Scene::Idle && self.job.is_none() && self.ledger.current().is_some() {
                self.wake();
            }
        } else if left || off {
            self.ledger.used();
        }
        if answers {
            self.draw();
        }
        // Nobody sits unseen before an open camera: who switches the television off has hung up.
        if off && !ours_late && self.job.is_none() && matches!(self.scene, Scene::Connecting { .. } | Scene::InCall { .. }) {
            log::info!("the television was switched off during the call; hanging up");
            self.press(Press::HangUp);
        }
        self.judge().await;
    }

    fn stroke(&mut self, mut stroke: Stroke) {
        let means_nothing = match stroke.key {
            Key::Av => !self.wishes.av_key,
            Key::Menu => !self.wishes.menu_key,
            Key::Mute => !self.config.mute_key,
            _ => false,
        };
        if means_nothing {
            // Somebody pressed it all the same: that stops a countdown, and is use of the television.
            stroke.key = Key::Other;
        }
        let outcome = self.dialog.stroke(std::time::Instant::now(), stroke);
        if outcome.foreign {
            self.ledger.used();
        }
        if outcome.moved {
            self.draw();
        }
        if outcome.volume != 0 {
            self.turn(outcome.volume);
        }
        if let Some(press) = outcome.press {
            self.press(press);
        }
    }

    fn turn(&mut self, steps: i8) {
        let wanted = self.volume.as_ref().and_then(|(_, next)| *next).or(self.seen.volume);
        let Some(from) = wanted else { return self.step(steps) };
        let to = from.saturating_add_signed(steps.saturating_mul(VOLUME_STEP as i8)).min(100);
        match &mut self.volume {
            Some((_, next)) => *next = Some(to),
            None => self.set_volume(to),
        }
    }

    /// A set that does not tell its volume is turned by steps; a key that is pressed while one is under way is lost.
    fn step(&mut self, steps: i8) {
        if self.volume.is_some() {
            return;
        }
        let (set, ledger) = (self.set.clone(), self.ledger.clone());
        let job = async move {
            if let Some(mut plan) = ledger.current() {
                plan.steps = plan.steps.saturating_add(i16::from(steps));
                ledger.write(Some(plan)).await;
            }
            power::step(&*set, steps > 0).await;
        };
        self.volume = Some((Box::pin(job), None));
    }

    fn set_volume(&mut self, to: u8) {
        let (set, ledger) = (self.set.clone(), self.ledger.clone());
        let job = async move {
            if let Some(mut plan) = ledger.current() {
                plan.volume = Some(to);
                ledger.write(Some(plan)).await;
            }
            power::turn(&*set, to).await;
        };
        self.see(TvState { volume: Some(to), ..self.seen.clone() });
        self.volume = Some((Box::pin(job), None));
    }

    fn volume_set(&mut self) {
        if let Some((_, Some(next))) = self.volume.take() {
            self.set_volume(next);
        }
    }

    /// A flood of keys must not hold up the rest: what the agent has no room for is lost, as on any busy television.
    fn press(&self, press: Press) {
        if self.outbox.try_send(TvEvent::Press(press)).is_err() {
            log::warn!(MESSAGE_ID = crate::journal::messages::DEFECT.id; "a key was lost: the agent is busy");
        }
    }

    async fn tell(&mut self, event: TvEvent) {
        // The agent's inbox is drained by its loop; when the agent is gone the inbox of commands closes next.
        let _ = self.outbox.send(event).await;
    }
}

async fn next(job: &mut Option<(Doing, Job<Done>)>) -> Done {
    match job {
        Some((_, job)) => job.await,
        None => pending().await,
    }
}

async fn finish(volume: &mut Option<(Job<()>, Option<u8>)>) {
    match volume {
        Some((job, _)) => job.await,
        None => pending().await,
    }
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(at) => sleep_until(at).await,
        None => pending().await,
    }
}
