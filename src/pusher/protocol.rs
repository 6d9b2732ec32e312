//! The sans-I/O core: connection, liveness, subscriptions, client events.

use super::closing::{self, Delays, Rule};
use super::frame::{self, Frame, peek_event};
use super::limits::{self, TriggerError};
use super::sending::Sending;
use super::subscription::{Phase, Step, Subscription};
use super::{Authorisation, News, Outcome, Times, Trigger};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use serde_json::Value;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A flood of bad frames must not become a flood of log lines.
const LOG_AGAIN: Duration = Duration::from_secs(60);

/// After a change of the network a living server is heard within this, or the connection is taken for dead.
const PROBE: Duration = Duration::from_secs(4);
/// All boxes of a house whose network comes back spread their attempts over this.
const TOGETHER: Duration = Duration::from_secs(1);

/// What the driver is to do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Open a connection; answer with [`Protocol::opened`] or [`Protocol::lost`].
    Connect {
        /// Over TLS.
        tls: bool,
    },
    /// Send this text frame.
    Send(String),
    /// Give up the connection, or the attempt; nothing is to be reported about it.
    Close,
    /// Tell the owner.
    Tell(News),
}

/// The connection's state.
#[derive(Debug)]
enum Link {
    /// Between two attempts.
    Waiting { until: Instant },
    /// The attempt: until the socket is open, then until the server has greeted.
    Opening { until: Instant },
    /// The server has greeted.
    Up { socket: String, since: Instant, activity: Duration, heard: Instant, asked: Option<Instant> },
    /// Not wanted any more.
    Stopped,
}

/// Pusher protocol 7, client side.
#[derive(Debug)]
pub struct Protocol {
    times: Times,
    tls: bool,
    link: Link,
    delays: Delays,
    said: String,
    logged: Option<Instant>,
    subscriptions: Vec<Subscription>,
    bindings: Vec<(String, String)>,
    sending: Sending,
    outputs: VecDeque<Output>,
    foreign: u64,
    random: SmallRng,
}

impl Protocol {
    /// Connects at once. Only events in `bindings` (channel, event) are reported; of all others the payload is never
    /// looked at. `seed` is for the jitter.
    pub fn new(times: Times, tls: bool, bindings: Vec<(String, String)>, seed: u64, now: Instant) -> Self {
        Self {
            delays: Delays::new(&times),
            times,
            tls,
            link: Link::Waiting { until: now },
            said: String::new(),
            logged: None,
            subscriptions: Vec::new(),
            bindings,
            sending: Sending::default(),
            outputs: VecDeque::new(),
            foreign: 0,
            random: SmallRng::seed_from_u64(seed),
        }
    }

    /// What to do next.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Whether [`poll`](Self::poll) has something.
    pub fn has_output(&self) -> bool {
        !self.outputs.is_empty()
    }

    /// Events that were for somebody else.
    pub fn foreign(&self) -> u64 {
        self.foreign
    }

    /// Whether [`stop`](Self::stop) was called.
    pub fn stopped(&self) -> bool {
        matches!(self.link, Link::Stopped)
    }

    /// When [`timeout`](Self::timeout) is to be called.
    pub fn next_deadline(&self) -> Option<Instant> {
        let link = match &self.link {
            Link::Stopped => return None,
            Link::Waiting { until } | Link::Opening { until } => Some(*until),
            Link::Up { asked: Some(asked), .. } => Some(*asked + self.times.pong),
            Link::Up { heard, activity, .. } => Some(*heard + *activity),
        };
        let subscriptions = self.subscriptions.iter().filter_map(Subscription::deadline).min();
        [link, subscriptions, self.sending.deadline(self.times.confirm)].into_iter().flatten().min()
    }

    /// Time has passed.
    pub fn timeout(&mut self, now: Instant) {
        match &mut self.link {
            Link::Stopped => return,
            Link::Waiting { until } if *until <= now => {
                self.link = Link::Opening { until: now + self.times.handshake };
                self.said.clear();
                self.outputs.push_back(Output::Connect { tls: self.tls });
            }
            Link::Opening { until } if *until <= now => {
                return self.drop_link(now, Rule::Backoff, "the server does not answer; check host, port and network".into());
            }
            Link::Up { asked: Some(asked), .. } if *asked + self.times.pong <= now => {
                return self.drop_link(now, Rule::AtOnce, "the server fell silent; the network may be interrupted".into());
            }
            Link::Up { asked: asked @ None, heard, activity, .. } if *heard + *activity <= now => {
                *asked = Some(now);
                self.ping();
            }
            _ => {}
        }
        if self.sending.asked().is_some_and(|asked| asked + self.times.confirm <= now) && !self.confirm_late(now) {
            return;
        }
        for at in 0..self.subscriptions.len() {
            match self.subscriptions[at].phase {
                Phase::Waiting { until } if until <= now => self.start(at, now),
                Phase::Pending { until } if until <= now => self.failed(at, now, "the server does not answer".into()),
                Phase::Authorising { until } if until <= now => self.failed(at, now, "no signature came".into()),
                _ => {}
            }
        }
        self.flush(now);
    }

    /// The socket is open; the server's greeting is awaited.
    pub fn opened(&mut self, now: Instant) {
        if let Link::Opening { until } = &mut self.link {
            *until = now + self.times.handshake;
        }
    }

    /// The connection is gone, or the attempt failed. `code`: of the close frame, if there was one.
    pub fn lost(&mut self, now: Instant, code: Option<u16>, why: &str) {
        let why = match code {
            Some(code) => format!("{} (code {code}{}{})", closing::meaning(code), if why.is_empty() { "" } else { ": " }, why),
            None if self.said.is_empty() => why.to_string(),
            None => format!("{why}; before that the server said: {}", self.said),
        };
        self.end_link(now, closing::rule(code), why);
    }

    /// Something other than a text frame arrived: the server is alive.
    pub fn heard(&mut self, now: Instant) {
        if let Link::Up { heard, asked, .. } = &mut self.link {
            *heard = now;
            *asked = None;
        }
    }

    /// A text frame arrived.
    pub fn frame(&mut self, now: Instant, text: &str) {
        self.heard(now);
        let peeked = peek_event(text);
        if peeked.is_some_and(|name| self.is_foreign(name)) {
            self.foreign += 1;
            return;
        }
        if text.len() > limits::FRAME_BYTES {
            return self.log_once(now, "a frame of more than 64 KiB was dropped; somebody on the channel misbehaves");
        }
        let Some(frame) = Frame::parse(text) else {
            return self.log_once(now, "a frame that is not of the Pusher protocol was dropped; check host and path");
        };
        if self.is_foreign(&frame.event) {
            self.foreign += 1;
            return;
        }
        let channel = frame.channel.as_deref().unwrap_or_default();
        match &*frame.event {
            "pusher:connection_established" => self.established(now, &frame.value()),
            "pusher:ping" => self.send(frame::PONG.into()),
            "pusher:pong" => self.pong(),
            "pusher:error" => self.error(now, frame.error()),
            "pusher:subscription_error" => {
                let (code, message) = frame.error();
                if let Some(at) = self.pending(channel) {
                    let code = code.map(|code| format!(" ({code})")).unwrap_or_default();
                    self.failed(at, now, format!("refused{code}: {message}"));
                }
            }
            "pusher_internal:subscription_succeeded" => self.succeeded(channel),
            // Presence members and whatever else the server tells about itself.
            other if other.starts_with("pusher:") || other.starts_with("pusher_internal:") => {}
            event => {
                if self.bindings.iter().any(|(c, e)| c == channel && e == event) {
                    let data = frame.data.map_or("null", |raw| raw.get()).to_string();
                    self.tell(News::Event { channel: channel.into(), event: event.into(), data });
                } else {
                    self.foreign += 1;
                }
            }
        }
    }

    /// Keep this channel subscribed to.
    pub fn subscribe(&mut self, now: Instant, channel: &str) {
        if !limits::is_channel_name(channel) {
            return log::error!(MESSAGE_ID = crate::journal::messages::CHANNEL_REFUSED.id; "Pusher: `{channel}` cannot be a channel's name and is left out; check the configuration");
        }
        if self.subscriptions.iter().any(|s| s.channel == channel) {
            return;
        }
        self.subscriptions.push(Subscription::new(channel.into(), &self.times));
        if matches!(self.link, Link::Up { .. }) {
            self.start(self.subscriptions.len() - 1, now);
        }
    }

    /// The answer to [`News::Authorise`]. One for a connection that is gone changes nothing.
    pub fn authorised(&mut self, now: Instant, socket: &str, channel: &str, answer: Result<Authorisation, String>) {
        if !matches!(&self.link, Link::Up { socket: current, .. } if current == socket) {
            return;
        }
        let authorising = |s: &Subscription| s.channel == channel && matches!(s.phase, Phase::Authorising { .. });
        let Some(at) = self.subscriptions.iter().position(authorising) else { return };
        match answer {
            Ok(authorisation) => {
                self.subscriptions[at].asked(now, &self.times);
                self.send(frame::subscribe(channel, Some(&authorisation)));
            }
            Err(why) => self.failed(at, now, why),
        }
    }

    /// Tell everybody else on a channel. What became of it is told with [`News::Triggered`], unless this fails.
    pub fn trigger(&mut self, now: Instant, trigger: Trigger) -> Result<(), TriggerError> {
        limits::check(&trigger.channel, &trigger.event, &trigger.data)?;
        if !self.subscriptions.iter().any(|s| s.channel == trigger.channel && s.phase == Phase::Subscribed) {
            return Err(TriggerError::NotSubscribed);
        }
        self.sending.push(trigger)?;
        self.flush(now);
        Ok(())
    }

    /// The box is in another network, or in one again: whatever waits is tried now, and a connection that seems open must
    /// show that it is.
    pub fn network_changed(&mut self, now: Instant) {
        let soon = now + TOGETHER.mul_f64(self.random.random());
        match &mut self.link {
            Link::Stopped => {}
            Link::Waiting { until } => *until = soon.min(*until),
            Link::Opening { .. } => self.drop_link(now, Rule::AtOnce, "the network has changed".into()),
            Link::Up { asked, .. } => {
                *asked = now.checked_sub(self.times.pong.saturating_sub(PROBE));
                self.ping();
                for subscription in &mut self.subscriptions {
                    if let Phase::Waiting { until } = &mut subscription.phase {
                        *until = soon.min(*until);
                    }
                }
            }
        }
    }

    /// Leave for good.
    pub fn stop(&mut self) {
        if !self.stopped() {
            self.forget_triggers();
            self.link = Link::Stopped;
            self.outputs.push_back(Output::Close);
        }
    }

    fn is_foreign(&self, event: &str) -> bool {
        !event.starts_with("pusher") && !self.bindings.iter().any(|(_, bound)| bound == event)
    }

    fn established(&mut self, now: Instant, data: &Value) {
        let Some(socket) = data["socket_id"].as_str().filter(|id| !id.is_empty() && id.len() <= 100) else {
            return self.log_once(now, "the server's greeting has no socket_id; waiting for a proper one");
        };
        match &self.link {
            Link::Up { socket: current, .. } if current == socket => return,
            Link::Up { .. } | Link::Opening { .. } => {}
            Link::Waiting { .. } | Link::Stopped => return,
        }
        let theirs = data["activity_timeout"].as_f64().filter(|s| s.is_finite()).map(|s| Duration::from_secs_f64(s.clamp(1.0, 86_400.0)));
        let activity = self.times.activity.min(theirs.unwrap_or(self.times.activity));
        self.link = Link::Up { socket: socket.into(), since: now, activity, heard: now, asked: None };
        self.forget_triggers();
        self.tell(News::Connected);
        for at in 0..self.subscriptions.len() {
            self.start(at, now);
        }
    }

    fn start(&mut self, at: usize, now: Instant) {
        let Link::Up { socket, .. } = &self.link else { return };
        let (socket, channel) = (socket.clone(), self.subscriptions[at].channel.clone());
        match self.subscriptions[at].start(now, &self.times) {
            Step::Authorise => self.tell(News::Authorise { socket, channel }),
            Step::Ask => self.send(frame::subscribe(&channel, None)),
        }
    }

    fn failed(&mut self, at: usize, now: Instant, why: String) {
        let retry = self.subscriptions[at].failed(now, self.random.random());
        self.tell(News::Unsubscribed { channel: self.subscriptions[at].channel.clone(), why, retry });
    }

    fn pending(&self, channel: &str) -> Option<usize> {
        self.subscriptions.iter().position(|s| s.channel == channel && matches!(s.phase, Phase::Pending { .. }))
    }

    fn succeeded(&mut self, channel: &str) {
        if !matches!(self.link, Link::Up { .. }) {
            return;
        }
        // Also when we had given up waiting for it: the server's word counts.
        if let Some(subscription) = self.subscriptions.iter_mut().find(|s| s.channel == channel)
            && subscription.succeeded()
        {
            self.delays.subscribed();
            self.tell(News::Subscribed { channel: channel.into() });
        }
    }

    fn error(&mut self, now: Instant, (code, message): (Option<u64>, String)) {
        self.said = format!("{message}{}", code.map(|code| format!(" ({code})")).unwrap_or_default());
        match code {
            // Without a channel, so it is about all that are pending (chatta.md 6.1).
            Some(4009 | 409 | 401 | 403) => {
                for at in 0..self.subscriptions.len() {
                    if matches!(self.subscriptions[at].phase, Phase::Pending { .. }) {
                        self.failed(at, now, format!("refused: {}", self.said));
                    }
                }
            }
            // Frames are answered in order, so it is about the oldest one not yet confirmed.
            Some(4301) => match self.sending.rejected() {
                Some(id) => self.tell(News::Triggered { id, outcome: Outcome::Unsent(self.said.clone()) }),
                None => self.log_once(now, "the server rejected an event of ours"),
            },
            _ => self.log_once(now, "the server reports an error"),
        }
    }

    fn ping(&mut self) {
        self.sending.ping();
        self.send(frame::PING.into());
    }

    fn pong(&mut self) {
        for id in self.sending.pong() {
            self.tell(News::Triggered { id, outcome: Outcome::Confirmed });
        }
    }

    /// No pong in time. A server that spoke meanwhile is alive and only does not answer pings; `false`: it did not.
    fn confirm_late(&mut self, now: Instant) -> bool {
        if let (Link::Up { heard, .. }, Some(asked)) = (&self.link, self.sending.asked())
            && *heard <= asked
        {
            self.drop_link(now, Rule::AtOnce, "the server does not answer; the network may be interrupted".into());
            return false;
        }
        self.sending.take_as_answered();
        self.pong();
        true
    }

    /// Sends what the pace allows, and a ping that shows when the server has read it.
    fn flush(&mut self, now: Instant) {
        let mut sent = false;
        while let Some(Trigger { channel, event, data, .. }) = self.sending.next(now) {
            sent = true;
            self.send(frame::client_event(&event, &channel, &data));
        }
        if sent {
            self.ping();
        }
    }

    fn forget_triggers(&mut self) {
        let Sending { written, waiting, .. } = std::mem::take(&mut self.sending);
        for (id, _) in written {
            self.tell(News::Triggered { id, outcome: Outcome::Uncertain });
        }
        for Trigger { id, .. } in waiting {
            self.tell(News::Triggered { id, outcome: Outcome::Unsent("the connection was lost".into()) });
        }
    }

    fn drop_link(&mut self, now: Instant, rule: Rule, why: String) {
        self.outputs.push_back(Output::Close);
        self.end_link(now, rule, why);
    }

    fn end_link(&mut self, now: Instant, rule: Rule, why: String) {
        match &self.link {
            Link::Waiting { .. } | Link::Stopped => return,
            Link::Up { since, .. } if *since + self.times.stable <= now => self.delays.stable(),
            _ => {}
        }
        let retry = self.delays.next(now, rule, &mut self.tls, &self.times, self.random.random());
        self.link = Link::Waiting { until: now + retry };
        self.subscriptions.iter_mut().for_each(|s| s.phase = Phase::Down);
        self.tell(News::Disconnected { why, retry, unauthorised: rule == Rule::Unauthorised });
        self.forget_triggers();
    }

    fn send(&mut self, text: String) {
        if matches!(self.link, Link::Up { .. } | Link::Opening { .. }) {
            self.outputs.push_back(Output::Send(text));
        }
    }

    fn tell(&mut self, news: News) {
        self.outputs.push_back(Output::Tell(news));
    }

    fn log_once(&mut self, now: Instant, what: &str) {
        if self.logged.is_none_or(|at| at + LOG_AGAIN <= now) {
            self.logged = Some(now);
            let before = if self.said.is_empty() { String::new() } else { format!(" (it last said: {})", self.said) };
            log::warn!(MESSAGE_ID = crate::journal::messages::PLATFORM_ODD.id; "Pusher: {what}{before}");
        }
    }
}
