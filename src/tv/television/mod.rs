//! The television's task: commands in, events out. It waits for nothing that takes time: waking, restoring and the
//! volume run beside it, drawing and playing belong to the [`Stage`].

mod notice;
mod volume;

use self::notice::{Awaited, Notice};
use super::dialog::Dialog;
use super::keys::{Key, Stroke};
use super::power::{self, Ledger, Memory};
use super::stage::{Driver, DriverEvent, Stage, View};
use super::{Command, Config, Power, Seen, TvEvent, TvState, Wake, Wishes};
use crate::call::{CallId, Press, Scene};
use crate::checkpoint::{Point, reached};
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
            let overdue = self.overdue_at();
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
                () = wait(overdue) => self.overdue().await,
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
        self.expect_notice(dialog, kind);
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
        self.expect_news(rings);
        self.stage.show(self.number, &View { scene: self.scene.clone(), focus: self.dialog.focus() });
    }

    async fn driver(&mut self, event: DriverEvent) {
        match event {
            DriverEvent::Stroke(stroke) => self.stroke(stroke),
            DriverEvent::Changed(state) => self.changed(state).await,
            DriverEvent::Shown(number) => self.seen(number, Ok(())).await,
            DriverEvent::Unseen(number, why) => self.seen(number, Err(why)).await,
            DriverEvent::Heard(number) => self.heard(number, Ok(())).await,
            DriverEvent::Unheard(number, why) => self.heard(number, Err(why)).await,
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
