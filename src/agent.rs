//! The one loop: everything that happens comes in as an event, the call machine decides, its actions go out to the
//! television, the line, the room and the media. It never waits: what takes time runs as a task of its own and comes back
//! as an [`Outcome`].

use crate::api::{Happening, LineStatus, Request, Status};
use crate::call::{Action, CallId, Caller, Event, LineId, Machine, Now, Offer, Record, Reply, RoomEvent};
use crate::line::{LineCommand, LineEvent, LineHandle, LineState};
use crate::media::session::{self, Session};
use crate::media::{MediaEvent, Outputs};
use crate::net::photo::Photos;
use crate::room::{self, RoomHandle, Ticket, twilio};
use crate::store::Store;
use crate::tv::{self, TvEvent};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// How long the line may take to get a room ticket (chatta.md 4.1 gives each request 10 s).
const TICKET: Duration = Duration::from_secs(15);
/// How long an orderly stop waits for replies, rooms and the television.
const FAREWELL: Duration = Duration::from_secs(4);

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
    /// The local API, served as long as the agent runs.
    pub api: Option<AbortOnDropHandle<()>>,
    /// What of the resident the platform decides, because the configuration is silent.
    pub follow_platform: FollowPlatform,
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
    Ticket(CallId, Result<Ticket, String>),
    Session(CallId, Result<Session, session::MediaError>),
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

/// The loop's own state beside what it was given.
struct Loop {
    agent: Agent,
    running: Option<Running>,
    /// The ticket of the call that is being answered.
    ticket: Option<(CallId, Ticket)>,
    /// What takes time.
    tasks: JoinSet<Option<Outcome>>,
}

impl Agent {
    /// Runs until `stop` is cancelled: then a running call is ended with a reply, the television put back, the lines left.
    ///
    /// # Errors
    /// When a part of the daemon ended by itself, which is a defect: the service manager starts it anew.
    pub async fn run(self, stop: CancellationToken) -> Result<(), String> {
        let watchdog = crate::health::watchdog();
        let mut l = Loop { agent: self, running: None, ticket: None, tasks: JoinSet::new() };
        let mut pulse = watchdog.map(tokio::time::interval);
        l.recover();
        loop {
            l.publish();
            let deadline = l.agent.machine.next_deadline();
            // In this order when several are ready: what people and platforms say counts before a timer that was served late.
            tokio::select! {
                biased;
                () = stop.cancelled() => return l.farewell().await,
                () = tick(&mut pulse) => crate::health::alive(),
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
                request = l.agent.requests.recv() => match request {
                    Some(request) => l.on_request(request),
                    None => l.agent.requests = never(),
                },
                Some(done) = l.tasks.join_next() => match done {
                    Ok(Some(outcome)) => l.on_outcome(outcome),
                    Ok(None) => {}
                    Err(e) => log::error!("a task of the agent ended badly: {e}; please report this"),
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

async fn tick(pulse: &mut Option<tokio::time::Interval>) {
    match pulse {
        Some(pulse) => {
            pulse.tick().await;
        }
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
    /// What an earlier run that broke off left: the television as it found it, and a call without an end in the log. Its
    /// caller is not told: a late word could end a new call (chatta.md 5.2, power off).
    fn recover(&mut self) {
        let (answer, _) = oneshot::channel();
        self.to_tv(tv::Command::Recover(answer));
        if let Some(interrupted) = self.agent.store.interrupted() {
            log::warn!(CALL_ID = interrupted.call.0; "the daemon was interrupted in this call; it is logged as ended now");
            self.agent.store.ended(&interrupted.record(jiff::Timestamp::now()));
        }
    }

    /// Tells the machine and carries out what it decides; how many actions that were.
    fn tell(&mut self, event: Event) -> usize {
        self.agent.machine.handle(now(), event);
        self.perform()
    }

    fn on_line(&mut self, line: LineId, event: LineEvent) {
        match event {
            LineEvent::State(state) => {
                match &state {
                    LineState::Online => log::info!(LINE = line.0.as_str(); "online: calls can arrive"),
                    LineState::Connecting => log::info!(LINE = line.0.as_str(); "connecting"),
                    LineState::Offline { why, retry } => {
                        log::warn!(LINE = line.0.as_str(); "offline: {why}; trying again in {} s", retry.as_secs());
                    }
                }
                self.agent.status.send_modify(|s| {
                    s.lines.insert(line.0, LineStatus { state, since: jiff::Timestamp::now() });
                });
            }
            LineEvent::Offered(offer) => {
                self.look_at_devices();
                self.happened(Happening::Offered { caller: offer.caller.clone(), medium: offer.medium });
                let caller = offer.caller.clone();
                self.tell(Event::Offered(offer));
                self.fetch_photo(caller);
            }
            LineEvent::Withdrawn(withdrawal) => {
                self.tell(Event::Withdrawn(withdrawal));
            }
            LineEvent::Wake => self.to_tv(tv::Command::Announced),
            LineEvent::Resident { locale, time_zone } => {
                if let Some(zone) = time_zone.as_deref().filter(|_| self.agent.follow_platform.time_zone) {
                    match jiff::tz::TimeZone::get(zone) {
                        Ok(zone) => self.agent.machine.set_zone(zone),
                        Err(e) => log::warn!("the platform names an unknown time zone: {e}; set resident.time_zone"),
                    }
                }
                let time_zone = time_zone.filter(|_| self.agent.follow_platform.time_zone);
                let locale = locale.filter(|_| self.agent.follow_platform.locale);
                self.to_tv(tv::Command::Resident { locale, time_zone });
            }
            LineEvent::ReplyUncertain(offer) => {
                if let Some(call) = self.agent.machine.call_of(&offer) {
                    self.tell(Event::ReplyUncertain(call));
                }
            }
        }
    }

    /// The picture of the caller whose call is being dealt with; who is told `busy` is not looked up.
    fn fetch_photo(&mut self, caller: Caller) {
        let ours = self.agent.machine.current().is_some_and(|(_, offer)| offer.caller == caller);
        let Some(address) = caller.photo.clone().filter(|_| ours) else { return };
        let (photos, tv) = (self.agent.photos.clone(), self.agent.tv.clone());
        self.tasks.spawn(async move {
            match photos.fetch(&address).await {
                Ok(bytes) => drop(tv.send(tv::Command::Photo(tv::Whose::from(&caller), bytes)).await),
                Err(why) => log::info!(CALLER_ID = caller.id.0.as_str(); "no photograph of the caller: {why}"),
            }
            None
        });
    }

    /// Devices come and go without telling; what counts is what is there when somebody calls.
    fn look_at_devices(&mut self) {
        let (camera, microphone) = (self.agent.media.camera.is_present(), self.agent.media.microphone.is_present());
        self.tell(Event::Devices { camera, microphone });
        self.agent.status.send_if_modified(|s| {
            let changed = (s.camera, s.microphone) != (camera, microphone);
            (s.camera, s.microphone) = (camera, microphone);
            changed
        });
    }

    fn on_tv(&mut self, event: TvEvent) {
        match event {
            TvEvent::Press(press) => {
                self.tell(Event::Press(press));
            }
            TvEvent::Noticed(call) => {
                self.tell(Event::Noticed(call));
            }
            TvEvent::Unnoticed(call, why) => {
                log::warn!(CALL_ID = call.0; "the resident cannot see or hear the call: {why}");
                self.tell(Event::Unnoticed(call));
            }
            TvEvent::Woken(wake) => {
                log::info!("television: {wake:?}");
                self.agent.status.send_modify(|s| s.woken = Some(wake));
            }
            TvEvent::Restored(call) => self.happened(Happening::Restored { call }),
        }
    }

    fn on_room(&mut self, call: CallId, event: RoomEvent) {
        if let RoomEvent::Failed(why) = &event {
            log::warn!(CALL_ID = call.0; "{why}");
            self.happened(Happening::Notice { call, text: why.clone() });
        } else {
            log::info!(CALL_ID = call.0; "room: {event:?}");
        }
        self.tell(Event::Room(call, event));
    }

    fn on_media(&mut self, call: CallId, event: MediaEvent) {
        match event {
            MediaEvent::Flowing(media) => {
                self.happened(Happening::Flowing { call, media });
                self.tell(Event::Room(call, RoomEvent::MediaFlowing));
            }
            MediaEvent::CameraLost(why) => {
                log::warn!(CALL_ID = call.0; "{why}");
                self.happened(Happening::Notice { call, text: why });
                let microphone = self.agent.media.microphone.is_present();
                self.tell(Event::Devices { camera: false, microphone });
            }
            MediaEvent::CameraBack => {
                self.happened(Happening::Notice { call, text: "the camera is back".into() });
                let microphone = self.agent.media.microphone.is_present();
                self.tell(Event::Devices { camera: true, microphone });
            }
            MediaEvent::Failed(why) => {
                log::error!(CALL_ID = call.0; "{why}");
                self.happened(Happening::Notice { call, text: why.clone() });
                self.tell(Event::MediaFailed(call, why));
            }
        }
    }

    fn on_request(&mut self, request: Request) {
        match request {
            Request::Press(press, answer) => {
                // A press that changes nothing leads to no action.
                let _ = answer.send(self.tell(Event::Press(press)) > 0);
            }
            Request::Key(name, answer) => {
                let key = tv::keys::Key::by_name(&name);
                let _ = answer.send(key.is_some());
                for pressed in [true, false] {
                    if let Some(key) = key {
                        self.to_tv(tv::Command::Key(tv::keys::Stroke { key, pressed }));
                    }
                }
            }
            Request::Calls(limit, answer) => {
                let store = self.agent.store.clone();
                self.tasks.spawn_blocking(move || {
                    let _ = answer.send(store.log(limit));
                    None
                });
            }
            Request::Statistics(answer) => {
                let figures = self.figures();
                self.tasks.spawn(async move {
                    let _ = answer.send(figures.await);
                    None
                });
            }
        }
    }

    /// The running call's figures, asked without waiting here.
    fn figures(&self) -> impl Future<Output = Option<serde_json::Value>> + Send + 'static {
        let parts = self.running.as_ref().map(|r| (r.call, r.session.clone(), r.room.as_ref().map(RoomHandle::statistics)));
        async move {
            let (call, session, room) = parts?;
            let room = match room {
                Some(room) => room.await,
                None => None,
            };
            Some(serde_json::json!({ "call": call, "room": room, "media": session.map(|s| s.statistics()) }))
        }
    }

    fn on_outcome(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Ticket(call, Ok(ticket)) => {
                self.ticket = Some((call, ticket));
                self.tell(Event::Prepared(call, Ok(())));
            }
            Outcome::Ticket(call, Err(why)) => {
                log::warn!(CALL_ID = call.0; "the call cannot be prepared: {why}");
                self.tell(Event::Prepared(call, Err(why)));
            }
            Outcome::Session(call, Ok(session)) => match self.running.as_mut().filter(|r| r.call == call) {
                Some(running) => {
                    running.session = Some(session);
                    self.happened(Happening::Opened { call, camera: self.running.as_ref().is_some_and(|r| r.camera) });
                    self.join();
                }
                // The call ended while its devices were being opened.
                None => self.close(call, session),
            },
            Outcome::Session(call, Err(why)) => {
                log::error!(CALL_ID = call.0; "{why}");
                self.tell(Event::MediaFailed(call, why.to_string()));
            }
        }
    }

    fn perform(&mut self) -> usize {
        let mut count = 0;
        while let Some(action) = self.agent.machine.poll_action() {
            count += 1;
            log::debug!("{action:?}");
            match action {
                Action::Wake(call) => {
                    self.to_tv(tv::Command::Wake(call));
                    if let Some((_, offer)) = self.agent.machine.current().filter(|(current, _)| *current == call) {
                        self.agent.store.began(call, offer, jiff::Timestamp::now());
                    }
                }
                Action::Show(scene) => self.to_tv(tv::Command::Show(scene)),
                Action::Prepare(call, offer) => self.prepare(call, offer),
                Action::Reply { call, offer, reply, repeat } => self.reply(call, offer, reply, repeat),
                Action::Connect { call, camera, .. } => self.connect(call, camera),
                Action::Mute(call, muted) => {
                    if let Some(running) = self.running.as_ref().filter(|r| r.call == call) {
                        running.session.iter().for_each(|s| s.mute(muted));
                        running.room.iter().for_each(|r| r.mute(muted));
                    }
                }
                Action::Disconnect(call) => self.disconnect(call),
                Action::Restore(call) => self.to_tv(tv::Command::Restore(call)),
                Action::Record(record) => self.record(record),
            }
        }
        count
    }

    fn prepare(&mut self, call: CallId, offer: Offer) {
        let Some(line) = self.line(&offer) else {
            let why = "the line is gone; restart residentd".to_owned();
            self.tasks.spawn(async move { Some(Outcome::Ticket(call, Err(why))) });
            return;
        };
        self.tasks.spawn(async move {
            let (answer, answered) = oneshot::channel();
            let asked = async {
                line.commands.send(LineCommand::Ticket { offer, answer }).await.ok()?;
                answered.await.ok()
            };
            let ticket = match tokio::time::timeout(TICKET, asked).await {
                Ok(Some(ticket)) => ticket,
                Ok(None) => Err("the line ended; restart residentd".into()),
                Err(_) => Err(format!("the line did not answer within {} s; check its state", TICKET.as_secs())),
            };
            Some(Outcome::Ticket(call, ticket))
        });
    }

    fn line(&self, offer: &Offer) -> Option<LineHandle> {
        self.agent.lines.iter().find(|l| l.id == offer.caller.line).cloned()
    }

    fn reply(&mut self, call: Option<CallId>, offer: Offer, reply: Reply, repeat: bool) {
        let number = call.map_or(0, |c| c.0);
        log::info!(CALL_ID = number, LINE = offer.caller.line.0.as_str(), CALLER_ID = offer.caller.id.0.as_str(); "reply: {reply:?}");
        if let (Some(call), Reply::Accepted) = (call, reply) {
            self.agent.store.accepted(call, jiff::Timestamp::now());
        }
        self.happened(Happening::Replied { call, reply });
        match self.line(&offer) {
            Some(line) => {
                if line.commands.try_send(LineCommand::Reply { offer, reply, repeat }).is_err() {
                    log::error!(CALL_ID = number; "the line does not take replies any more: it hangs; please report this");
                }
            }
            None => log::error!(CALL_ID = number; "no line for this reply; restart residentd"),
        }
    }

    fn connect(&mut self, call: CallId, camera: bool) {
        let (to_room_events, room_events) = mpsc::channel(64);
        let (to_media_events, media_events) = mpsc::channel(64);
        let ticket = self.ticket.take().filter(|(c, _)| *c == call).map(|(_, t)| t);
        let (config, outputs, events) = (self.agent.media.clone(), self.agent.outputs.clone(), to_media_events.clone());
        self.running = Some(Running {
            call,
            camera,
            ticket,
            session: None,
            room: None,
            room_events,
            media_events,
            to_room_events,
            _media_open: to_media_events,
        });
        self.tasks.spawn_blocking(move || Some(Outcome::Session(call, Session::open(config, camera, outputs, events))));
    }

    /// Devices are open and the ticket is there: into the room.
    fn join(&mut self) {
        let Some(running) = &mut self.running else { return };
        let Some(session) = running.session.clone() else { return };
        match running.ticket.take() {
            Some(ticket) => {
                let (settings, events) = (self.agent.rooms.clone(), running.to_room_events.clone());
                running.room = Some(room::join(ticket, settings, session, running.camera, events));
            }
            None => {
                let call = running.call;
                self.tell(Event::Room(call, RoomEvent::Failed("no ticket to the room; please report this".into())));
            }
        }
    }

    fn disconnect(&mut self, call: CallId) {
        let figures = self.figures();
        let Some(running) = self.running.take_if(|r| r.call == call) else { return };
        // The devices first: nothing below may delay them.
        if let Some(session) = running.session {
            self.close(call, session);
        }
        if let Some(room) = running.room {
            self.tasks.spawn(async move {
                let figures = tokio::time::timeout(Duration::from_millis(200), figures).await.ok().flatten();
                log::info!(CALL_ID = call.0; "figures of the call: {}", figures.unwrap_or_default());
                room.leave().await;
                None
            });
        }
    }

    fn close(&mut self, call: CallId, session: Session) {
        let happenings = self.agent.happenings.clone();
        self.tasks.spawn_blocking(move || {
            session.close();
            let _ = happenings.send(Happening::Closed { call });
            None
        });
    }

    fn record(&mut self, record: Record) {
        log::info!(
            CALL_ID = record.call.0, LINE = record.caller.line.0.as_str(), CALLER_ID = record.caller.id.0.as_str();
            "call over: {:?}", record.ending
        );
        self.agent.store.ended(&record);
        self.happened(Happening::Over(record));
    }

    fn happened(&self, happening: Happening) {
        // Nobody following is not an error.
        let _ = self.agent.happenings.send(happening);
    }

    fn to_tv(&self, command: tv::Command) {
        if let Err(e) = self.agent.tv.try_send(command) {
            log::error!("the television's task takes no commands: {e}; please report this");
        }
    }

    fn publish(&self) {
        let now = self.agent.machine.snapshot();
        self.agent.status.send_if_modified(|s| {
            let changed = s.now != now;
            s.now = now;
            changed
        });
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
            let end_tasks = async {
                while let Some(done) = tasks.join_next().await {
                    if let Ok(Some(Outcome::Session(_, Ok(session)))) = done {
                        session.close();
                    }
                }
            };
            tokio::join!(leave_lines, end_tasks);
            // The television's task ends with its last command, once everything is put back.
            self.agent.tv = mpsc::channel(1).0;
            while let Some(event) = self.agent.tv_events.recv().await {
                if let TvEvent::Restored(call) = event {
                    let _ = self.agent.happenings.send(Happening::Restored { call });
                }
            }
        };
        if tokio::time::timeout(FAREWELL, goodbye).await.is_err() {
            log::warn!("not everything could be said goodbye to within {} s", FAREWELL.as_secs());
        }
        if let Some(api) = self.agent.api.take() {
            api.abort();
            let _ = api.await;
        }
        self.agent.store.flush(Duration::from_millis(500));
        Ok(())
    }
}
