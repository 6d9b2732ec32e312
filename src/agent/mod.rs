//! The one loop: everything that happens comes in as an event, the call machine decides, its actions go out to the
//! television, the line, the room and the media. It never waits: what takes time runs as a task of its own and comes back
//! as an `Outcome`. `events.rs` says what each event means, `actions.rs` how each action is
//! carried out.

mod actions;
mod events;
mod recovery;
mod renewal;

pub use renewal::Renewal;

use crate::api::{Happening, LineStatus, Request, Status};
use crate::call::{Action, CallId, Caller, Decline, Event, LineId, Machine, Now, Offer, Press, Record, Reference, Reply, RoomEvent};
use crate::checkpoint::{Point, reached};
use crate::journal::{self, messages};
use crate::line::{LineCommand, LineEvent, LineHandle, LineState, Wishes};
use crate::media::session::{self, Session};
use crate::media::{MediaEvent, Outputs};
use crate::net::moves::Change;
use crate::net::photo::Photos;
use crate::room::{self, RoomHandle, Ticket, twilio};
use crate::store::{Interrupted, Store};
use crate::tv::{self, TvEvent};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How long the line may take to get a room ticket (chatta.md 4.1 gives each request 10 s).
const TICKET: Duration = Duration::from_secs(15);
/// How long an orderly stop waits for replies, rooms and the television.
const FAREWELL: Duration = Duration::from_secs(4);

/// Events of all lines that may wait for the agent.
pub const LINE_EVENTS: usize = 256;

/// Everything the agent works with.
pub struct Agent {
    /// Decides.
    pub machine: Machine,
    /// The running lines.
    pub lines: Vec<LineHandle>,
    /// What they tell.
    pub line_events: mpsc::Receiver<(LineId, LineEvent)>,
    /// The television.
    pub tv: mpsc::Sender<tv::Command>,
    /// What it tells.
    pub tv_events: mpsc::Receiver<TvEvent>,
    /// How it was seen last.
    pub television: watch::Receiver<Option<tv::Seen>>,
    /// Where a call's picture and sound go.
    pub outputs: Outputs,
    /// A call's devices and rates.
    pub media: session::Config,
    /// How rooms are joined.
    pub rooms: twilio::Settings,
    /// What outlives a restart.
    pub store: Store,
    /// Requests of the local API.
    pub requests: mpsc::Receiver<Request>,
    /// What the local API shows.
    pub status: watch::Sender<Status>,
    /// What it tells followers.
    pub happenings: broadcast::Sender<Happening>,
    /// Fetches callers' photographs.
    pub photos: Photos,
    /// Changes of the box's network.
    pub network: mpsc::Receiver<Change>,
    /// The local API, served as long as the agent runs.
    pub api: Option<AbortOnDropHandle<()>>,
    /// What of the resident the platform decides, because the configuration is silent.
    pub follow_platform: FollowPlatform,
    /// The configuration of each running line, for telling whether a new one differs.
    pub likeness: Vec<(LineId, u64)>,
    /// Where a configuration that was read anew is sent to …
    pub renew: mpsc::Sender<Renewal>,
    /// … and comes from.
    pub renewals: mpsc::Receiver<Renewal>,
}

/// What of the resident the platform decides.
#[derive(Debug, Clone, Copy)]
pub struct FollowPlatform {
    /// The language of the screens.
    pub locale: bool,
    /// The time zone of the screens and of quiet hours.
    pub time_zone: bool,
}

/// What a task of the agent brought back.
enum Outcome {
    Ticket(CallId, Reference, Result<Ticket, String>),
    Session(CallId, Result<Session, session::MediaError>),
    Settled(CallId),
}

/// The accepted call's open ends.
struct Running {
    call: CallId,
    camera: bool,
    ticket: Option<Ticket>,
    session: Option<Session>,
    room: Option<RoomHandle>,
    room_events: mpsc::Receiver<RoomEvent>,
    media_events: mpsc::Receiver<MediaEvent>,
    to_room_events: mpsc::Sender<RoomEvent>,
    _media_open: mpsc::Sender<MediaEvent>,
}

/// The way into the room of the call at hand. It is asked for as soon as it rings, so that nobody waits for the platform
/// once a key was pressed; no device has anything to do with it.
struct Entry {
    call: CallId,
    /// Of the offer it was asked for.
    reference: Reference,
    /// Nothing while it is asked for.
    ticket: Option<Ticket>,
    /// It was asked for before the machine wanted it: a failure of that is not the end.
    ahead: bool,
    /// The machine waits for it.
    wanted: bool,
}

/// The loop's own state beside what it was given.
struct Loop {
    agent: Agent,
    running: Option<Running>,
    entry: Option<Entry>,
    /// What takes time.
    tasks: JoinSet<Option<Outcome>>,
    /// What systemd shows of us.
    said: String,
    /// The call in which an earlier run broke off, until its caller can be told.
    orphan: Option<Interrupted>,
    /// A configuration that waits for the end of a call.
    renewal: Option<Renewal>,
    /// Going into that call's room as ourselves and out again.
    eviction: Option<AbortHandle>,
}

impl Agent {
    /// Runs until `stop` is cancelled: then a running call is ended with a reply, the television put back, the lines left.
    ///
    /// # Errors
    /// When a part of the daemon ended by itself, which is a defect: the service manager starts it anew.
    pub async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let beat = crate::health::supervise("agent");
        let mut l = Loop {
            agent: self,
            running: None,
            entry: None,
            tasks: JoinSet::new(),
            said: String::new(),
            orphan: None,
            eviction: None,
            renewal: None,
        };
        l.recover();
        loop {
            l.renew();
            l.publish();
            let deadline = l.agent.machine.next_deadline();
            // In this order when several are ready: what people and platforms say counts before a timer that was served late.
            tokio::select! {
                biased;
                () = stop.cancelled() => return l.farewell().await,
                () = beat.asked() => {}
                event = l.agent.tv_events.recv() => match event {
                    Some(event) => l.on_tv(event),
                    None => return Err("the television's task ended by itself".into()),
                },
                event = l.agent.line_events.recv() => match event {
                    Some((line, event)) => l.on_line(line, event),
                    None if l.agent.lines.is_empty() => l.agent.line_events = never(),
                    None => return Err("every line ended by itself".into()),
                },
                Some((call, event)) = next_of_call(&mut l.running) => match event {
                    OfCall::Room(event) => l.on_room(call, event),
                    OfCall::Media(event) => l.on_media(call, event),
                },
                Ok(()) = l.agent.television.changed() => l.on_television(),
                change = l.agent.network.recv() => match change {
                    Some(change) => l.on_network(change),
                    None => l.agent.network = never(),
                },
                Some(renewal) = l.agent.renewals.recv() => l.on_renewal(renewal),
                request = l.agent.requests.recv() => match request {
                    Some(request) => l.on_request(request),
                    None => l.agent.requests = never(),
                },
                Some(done) = l.tasks.join_next() => match done {
                    Ok(Some(outcome)) => l.on_outcome(outcome),
                    Ok(None) => {}
                    // An eviction that a new call overtook.
                    Err(e) if e.is_cancelled() => {}
                    Err(e) => log::error!(MESSAGE_ID = messages::DEFECT.id; "a task of the agent ended badly: {e}; please report this"),
                },
                () = sleep_until(deadline) => {
                    l.agent.machine.handle_timeout(now());
                    l.perform();
                }
            }
        }
    }
}

/// A receiver that never yields.
fn never<T>() -> mpsc::Receiver<T> {
    let (sender, receiver) = mpsc::channel(1);
    // The sender is kept for ever on purpose: it happens once, when a part that may end has ended.
    std::mem::forget(sender);
    receiver
}

fn now() -> Now {
    Now { mono: Instant::now(), wall: jiff::Timestamp::now() }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(at) => tokio::time::sleep_until(at.into()).await,
        None => std::future::pending().await,
    }
}

/// What the running call tells.
enum OfCall {
    Room(RoomEvent),
    Media(MediaEvent),
}

async fn next_of_call(running: &mut Option<Running>) -> Option<(CallId, OfCall)> {
    let Some(r) = running else { return std::future::pending().await };
    // Both channels stay open as long as `r`: it holds a sender of each.
    tokio::select! {
        Some(event) = r.room_events.recv() => Some((r.call, OfCall::Room(event))),
        Some(event) = r.media_events.recv() => Some((r.call, OfCall::Media(event))),
        else => None,
    }
}

impl Loop {
    /// Tells the machine and carries out what it decides; how many actions that were.
    fn tell(&mut self, event: Event) -> usize {
        self.agent.machine.handle(now(), event);
        self.perform()
    }

    fn happened(&self, happening: Happening) {
        // Nobody following is not an error.
        let _ = self.agent.happenings.send(happening);
    }

    fn to_tv(&self, command: tv::Command) {
        if let Err(e) = self.agent.tv.try_send(command) {
            log::error!(MESSAGE_ID = messages::DEFECT.id; "the television's task takes no commands: {e}; please report this");
        }
    }

    fn publish(&mut self) {
        let now = self.agent.machine.snapshot();
        self.agent.status.send_if_modified(|s| {
            let changed = s.now != now;
            s.now = now;
            changed
        });
        let words = crate::health::words(&self.agent.status.borrow());
        if words != self.said {
            crate::health::status(&words);
            self.said = words;
        }
    }

    async fn farewell(mut self) -> Result<(), String> {
        crate::health::stopping();
        self.tell(Event::Shutdown);
        let goodbye = async {
            let lines = std::mem::take(&mut self.agent.lines);
            let leave_lines = async {
                for line in lines {
                    let (answer, answered) = oneshot::channel();
                    if line.commands.send(LineCommand::Stop(answer)).await.is_ok() {
                        let _ = answered.await;
                    }
                }
            };
            let mut tasks = std::mem::take(&mut self.tasks);
            let store = self.agent.store.clone();
            let end_tasks = async {
                while let Some(done) = tasks.join_next().await {
                    match done {
                        Ok(Some(Outcome::Session(_, Ok(session)))) => session.close(),
                        Ok(Some(Outcome::Settled(call))) => store.settled(call),
                        _ => {}
                    }
                }
            };
            tokio::join!(leave_lines, end_tasks);
            // The television's task ends with its last command, once everything is put back.
            self.agent.tv = mpsc::channel(1).0;
            while let Some(event) = self.agent.tv_events.recv().await {
                if let TvEvent::Restored(call) = event {
                    self.agent.store.settled(call);
                    let _ = self.agent.happenings.send(Happening::Restored { call });
                }
            }
        };
        if tokio::time::timeout(FAREWELL, goodbye).await.is_err() {
            log::warn!(MESSAGE_ID = crate::journal::messages::REPLY_LOST.id; "not everything could be said goodbye to within {} s", FAREWELL.as_secs());
        }
        if let Some(api) = self.agent.api.take() {
            api.abort();
            let _ = api.await;
        }
        self.agent.store.flush(Duration::from_millis(500));
        Ok(())
    }
}
