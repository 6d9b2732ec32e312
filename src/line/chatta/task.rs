//! The line's task: commands, news and answers in, one at a time; nothing in it waits for anything else.

mod requests;

use self::requests::{Done, Signature, Wanted};
use super::Settings;
use super::account::Account;
use super::events::{self, POWER_NORMAL, RESIDENT_UPDATED, Record};
use super::intake::{Intake, Word};
use super::replies::Replies;
use super::rest::Rest;
use super::shown::{Shown, Verdict};
use crate::call::{LineId, Reply};
use crate::checkpoint::{Point, reached};
use crate::health::{Beat, supervise};
use crate::journal::messages;
use crate::line::{LineCommand, LineEvent, LineState, Wishes};
use crate::net::backoff::Backoff;
use crate::pusher::{Client, News, Outcome, Plan, Trigger};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinSet};
use tokio::time::timeout;

/// Events that may wait for the agent; beyond that nothing more is read from the connection.
const OUTBOX: usize = 32;
/// Between two attempts of anything; a refusal is never answered in a tight loop.
const FLOOR: Duration = Duration::from_millis(200);
/// For the client to leave.
const LEAVING: Duration = Duration::from_secs(1);

/// What woke the task.
enum Step {
    Command(Option<LineCommand>),
    News(Option<News>),
    Done(Result<Done, JoinError>),
    Time,
}

pub struct Line {
    settings: Arc<Settings>,
    tls: Arc<rustls::ClientConfig>,
    rest: Rest,
    events: mpsc::Sender<(LineId, LineEvent)>,
    /// The presence channel's signature, wanted while calls cannot arrive yet. One of a closed connection is refused and asked for anew.
    held: Option<Signature>,
    outbox: VecDeque<LineEvent>,
    account: Option<Account>,
    /// Counts the logins.
    logins: u64,
    login_running: bool,
    /// The token was refused, so that it is not enough to refresh it.
    token_refused: bool,
    login_at: Option<Instant>,
    login_backoff: Backoff,
    /// Refusals lead to a new login, but not endlessly: a forbidden channel stays forbidden.
    relogin_from: Option<Instant>,
    relogin_backoff: Backoff,
    client: Option<Client>,
    client_at: Option<Instant>,
    online: bool,
    signatures: Vec<Signature>,
    tickets: Vec<Wanted>,
    jobs: JoinSet<Done>,
    replies: Replies,
    intake: Intake,
    shown: Shown,
    /// As they were told last: each login and each look brings them again.
    wishes: Option<Wishes>,
    beat: Beat,
}

fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

impl Line {
    pub fn new(settings: Arc<Settings>, tls: Arc<rustls::ClientConfig>, events: mpsc::Sender<(LineId, LineEvent)>) -> Self {
        let times = &settings.times;
        let backoff = || Backoff::new(FLOOR, times.login_retry.0, times.login_retry.1);
        Self {
            rest: Rest::new(&settings.api, tls.clone(), times.rest).expect("the daemon's TLS configuration is one of rustls"),
            held: None,
            outbox: VecDeque::new(),
            account: None,
            logins: 0,
            login_running: false,
            token_refused: false,
            login_at: None,
            login_backoff: backoff(),
            relogin_from: None,
            relogin_backoff: backoff(),
            client: None,
            client_at: None,
            online: false,
            signatures: Vec::new(),
            tickets: Vec::new(),
            jobs: JoinSet::new(),
            replies: Replies::new(times.keep_reply, times.keep_reply_online),
            intake: Intake::default(),
            shown: Shown::default(),
            wishes: None,
            beat: supervise(&format!("line {}", settings.id.0)),
            settings,
            tls,
            events,
        }
    }

    fn name(&self) -> &str {
        &self.settings.id.0
    }

    /// Runs until it is stopped, or nobody holds the other ends any more.
    pub async fn run(mut self, commands: &mut mpsc::Receiver<LineCommand>) {
        self.state(LineState::Connecting);
        self.login();
        let stop = loop {
            self.say();
            match self.step(commands, true).await {
                Some(Step::Command(Some(LineCommand::Stop(answer)))) => break Some(answer),
                Some(Step::Command(None)) | None => break None,
                Some(step) => self.take(step),
            }
        };
        self.leave(commands).await;
        if let Some(answer) = stop {
            let _ = answer.send(());
        }
    }

    /// Sends what is still to be said, as far as it can be said, and closes the connection.
    async fn leave(mut self, commands: &mut mpsc::Receiver<LineCommand>) {
        let time = self.settings.times.farewell;
        let farewell = async {
            self.say();
            while self.online && self.replies.is_busy() {
                match self.step(commands, false).await {
                    Some(step) => self.take(step),
                    None => return,
                }
                self.say();
            }
        };
        let _ = timeout(time, farewell).await;
        if let Some(mut client) = self.client.take() {
            client.close();
            let _ = timeout(LEAVING, async { while client.next().await.is_some() {} }).await;
        }
    }

    /// The next thing that happens; `None`: the agent is gone. While leaving, commands are not taken and events not told.
    async fn step(&mut self, commands: &mut mpsc::Receiver<LineCommand>, staying: bool) -> Option<Step> {
        loop {
            let deadline = self.next_deadline();
            let step = tokio::select! {
                permit = self.events.reserve(), if staying && !self.outbox.is_empty() => {
                    let Ok(permit) = permit else { return None };
                    if let Some(event) = self.outbox.pop_front() {
                        permit.send((self.settings.id.clone(), event));
                    }
                    continue;
                }
                command = commands.recv(), if staying => Step::Command(command),
                () = self.beat.asked() => continue,
                news = next(&mut self.client), if self.outbox.len() < OUTBOX || !staying => Step::News(news),
                Some(done) = self.jobs.join_next() => Step::Done(done),
                () = until(deadline) => Step::Time,
            };
            return Some(step);
        }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::Command(Some(LineCommand::Reply { offer, reply, repeat })) => self.replies.say(now(), offer, reply, repeat),
            Step::Command(Some(LineCommand::Ticket { offer, answer })) => {
                let until = now() + self.settings.times.rest;
                self.ticket(Wanted { offer, answer, until }, false);
            }
            Step::Command(Some(LineCommand::NetworkChanged)) => {
                // A renewal that is not due yet stays where it is: only what failed is tried again.
                if !self.online && self.login_at.is_some() {
                    self.login();
                }
                if let Some(client) = &self.client {
                    client.network_changed();
                }
            }
            Step::Command(_) => {}
            Step::News(Some(news)) => self.news(news),
            Step::News(None) => {
                // The task of the connection never ends by itself; if it does, it is a fault, and must not be the end.
                log::error!(MESSAGE_ID = messages::DEFECT.id, LINE = self.name(); "the connection's task ended; starting it anew");
                self.client = None;
                self.client_at = Some(now() + Duration::from_secs(1));
                self.down("the connection failed internally".into(), Duration::from_secs(1));
                self.replies.lost(now());
            }
            Step::Done(Ok(done)) => self.done(done),
            Step::Done(Err(error)) => {
                log::error!(MESSAGE_ID = messages::DEFECT.id, LINE = self.name(); "a request to the platform failed internally: {error}");
                self.login_running = false;
                self.login_at.get_or_insert(now() + Duration::from_secs(1));
            }
            Step::Time => self.time(),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let tickets = self.tickets.iter().map(|wanted| wanted.until).min();
        [self.login_at, self.client_at, self.shown.look_at(), tickets, self.replies.next_deadline()].into_iter().flatten().min()
    }

    fn time(&mut self) {
        let now = now();
        if self.login_at.is_some_and(|at| at <= now) {
            self.login();
        }
        if self.client_at.is_some_and(|at| at <= now) {
            self.connect();
        }
        if self.shown.look_at().is_some_and(|at| at <= now) {
            self.look_up();
        }
        for wanted in self.tickets.extract_if(.., |wanted| wanted.until <= now) {
            let _ = wanted.answer.send(Err("the platform did not renew our login in time".into()));
        }
    }

    fn connect(&mut self) {
        self.client_at = None;
        let Some(Account { identity, .. }) = &self.account else { return };
        let (call, presence) = (identity.call_channel(), identity.presence_channel());
        let of_presence = [POWER_NORMAL.into(), RESIDENT_UPDATED.into(), identity.presence_update()];
        let mut bindings = vec![(call.clone(), identity.requested()), (call.clone(), identity.ended())];
        bindings.extend(of_presence.map(|event| (presence.clone(), event)));
        let mut channels = vec![call];
        channels.extend(self.settings.extra_channels.iter().cloned());
        channels.push(presence);
        if self.client.take().is_some() {
            self.down("the platform gave the box another identity".into(), Duration::ZERO);
            self.replies.lost(now());
        }
        let (endpoint, times, tls) = (self.settings.pusher.clone(), self.settings.times.pusher.clone(), self.tls.clone());
        self.client = Some(Client::spawn(Plan { endpoint, times, channels, bindings, tls }));
    }

    fn news(&mut self, news: News) {
        let call = self.account.as_ref().map(|account| account.identity.call_channel()).unwrap_or_default();
        match news {
            News::Connected => log::debug!(LINE = self.name(); "connected"),
            // Who sees the resident online may call: the presence channel waits until calls can arrive.
            News::Authorise { socket, channel } if !self.online && self.is_presence(&channel) => {
                self.held = Some(Signature { socket, channel });
            }
            News::Authorise { socket, channel } => self.sign(Signature { socket, channel }, false),
            News::Subscribed { channel } if channel == call => {
                self.online = true;
                self.relogin_backoff.reset();
                self.replies.online(now());
                log::info!(LINE = self.name(); "online: calls arrive");
                self.state(LineState::Online);
                if let Some(presence) = self.held.take() {
                    self.sign(presence, false);
                }
            }
            News::Subscribed { channel } => {
                log::info!(LINE = self.name(), channel = channel.as_str(); "subscribed");
                if self.is_presence(&channel) {
                    self.shown.subscribed(now());
                }
            }
            News::Unsubscribed { channel, why, retry } => {
                log::warn!(MESSAGE_ID = messages::CHANNEL_REFUSED.id, LINE = self.name(), channel = channel.as_str(); "not subscribed: {why} (again in {retry:?})");
                if channel == call {
                    self.down(why, retry);
                }
            }
            News::Event { channel, event, data } => {
                let Some(account) = &self.account else { return };
                let word = self.intake.event(now(), &self.settings, &account.identity, (&channel, &event), &data);
                self.heard(word);
            }
            News::Triggered { id, outcome } => self.replies.outcome(now(), id, outcome),
            News::Disconnected { why, retry, unauthorised } => {
                log::warn!(MESSAGE_ID = crate::journal::messages::LINE_OFFLINE.id, LINE = self.name(); "disconnected: {why} (again in {retry:?})");
                self.down(why, retry);
                if unauthorised {
                    self.login_anew();
                }
            }
        }
    }

    fn heard(&mut self, word: Option<Word>) {
        match word {
            None => {}
            Some(Word::Offer(offer)) => {
                self.replies.asked(now(), &offer.caller.id);
                self.outbox.push_back(LineEvent::Offered(offer));
            }
            Some(Word::Refuse(offer, reason)) => {
                self.replies.asked(now(), &offer.caller.id);
                self.replies.say(now(), offer, Reply::Declined(reason), false);
            }
            Some(Word::Withdrawal(withdrawal)) => self.outbox.push_back(LineEvent::Withdrawn(withdrawal)),
            Some(Word::Wake) => self.outbox.push_back(LineEvent::Wake),
            Some(Word::Record(record)) => self.record(record),
        }
    }

    /// What the platform has on the resident: wishes are passed on, and whether callers see the box is looked at.
    fn record(&mut self, Record { online, locale, time_zone, logging, wishes }: Record) {
        self.outbox.extend(logging.map(LineEvent::Logging));
        if wishes.is_some() && wishes != self.wishes {
            self.wishes.clone_from(&wishes);
            self.outbox.extend(wishes.map(LineEvent::Wishes));
        }
        if locale.is_some() || time_zone.is_some() {
            self.outbox.push_back(LineEvent::Resident { locale, time_zone });
        }
        match self.shown.heard(now(), online.filter(|_| self.online)) {
            Some(Verdict::Online) => log::info!(LINE = self.name(); "callers see the resident as online"),
            Some(Verdict::Offline) => log::warn!(
                MESSAGE_ID = messages::INVISIBLE.id, LINE = self.name();
                "calls can arrive, but the platform shows the resident as offline, so that nobody will call; \
                 ask it which channel makes a box visible and add that to line.chatta.channels"
            ),
            None => {}
        }
    }

    fn is_presence(&self, channel: &str) -> bool {
        self.account.as_ref().is_some_and(|account| account.identity.presence_channel() == channel)
    }

    fn down(&mut self, why: String, retry: Duration) {
        self.online = false;
        self.held = None;
        self.shown.offline();
        self.replies.offline();
        self.state(LineState::Offline { why, retry });
    }

    fn state(&mut self, state: LineState) {
        // Only the latest counts: an agent that is slow to listen need not hear of each attempt.
        if matches!(self.outbox.back(), Some(LineEvent::State(_))) {
            self.outbox.pop_back();
        }
        self.outbox.push_back(LineEvent::State(state));
    }

    /// Writes the replies that are due, and tells of those that may be lost.
    fn say(&mut self) {
        let (Some(client), Some(account)) = (&self.client, &self.account) else { return };
        while let Some((id, offer, reply)) = self.replies.poll(now()) {
            let (event, data) = events::reply(&offer, reply, &account.identity);
            let trigger = Trigger { id, channel: account.identity.call_channel(), event, data };
            let (sending, sent) = match reply {
                Reply::Accepted => (Point::AcceptedSending, Point::AcceptedSent),
                _ => (Point::EndedSending, Point::EndedSent),
            };
            reached(sending);
            if let Err(why) = client.trigger(trigger) {
                self.replies.outcome(now(), id, Outcome::Unsent(why));
            }
            reached(sent);
        }
        while let Some(offer) = self.replies.poll_uncertain() {
            self.outbox.push_back(LineEvent::ReplyUncertain(offer));
        }
    }
}

async fn next(client: &mut Option<Client>) -> Option<News> {
    match client {
        Some(client) => client.next().await,
        None => std::future::pending().await,
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
