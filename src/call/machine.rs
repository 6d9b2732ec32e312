//! The states of a call and what each event does in them.
//!
//! | | Idle, Message | Ringing | Preparing | Waiting | Talking | Stopped |
//! |---|---|---|---|---|---|---|
//! | Offered, by somebody | **Ringing**: wake, show; or no camera, no microphone: declined, **Message** | busy | busy | busy | busy | declined |
//! | Offered again, by the call's caller | – | payload taken over, ring timer restarted | – | rejoin: accepted, stay; within 15 s of the last accepted – | as in Waiting | – |
//! | Withdrawn, by the call's caller | – | **Message** (missed), no reply | **Message**, no reply | **Message**; ended, if our accepted may have crossed it | as in Waiting | – |
//! | Press Accept | message closed | **Preparing** | – | – | – | – |
//! | Press Decline, HangUp | message closed | declined, **Message** | declined, **Message** | ended, **Message** | ended, **Message** | – |
//! | Press Mute | message closed | automatic answer off | – | microphone off, on | microphone off, on | – |
//! | Press Other | message closed | automatic answer off | – | – | – | – |
//! | Noticed | – | countdown starts | – | – | – | – |
//! | Unnoticed | – | countdown stops | – | – | – | – |
//! | Prepared, well | – | – | accepted, connect, **Waiting** | – | – | – |
//! | Prepared, badly | – | – | declined, **Message** | – | – | – |
//! | Room Joined | – | – | – | noted | – | – |
//! | Room CallerArrived | – | – | – | **Talking** | grace ends | – |
//! | Room MediaFlowing | – | – | – | **Talking** | noted | – |
//! | Room CallerLeft | – | – | – | – | grace begins | – |
//! | Room Weak, Good | – | – | – | noted | shown | – |
//! | Room Failed, MediaFailed | – | – | – | ended, **Message** | ended, **Message** | – |
//! | ReplyUncertain | – | – | – | accepted repeated once, 10 s later, if the caller is not there then | as in Waiting | – |
//! | Devices | noted | noted | noted | noted | noted, shown | noted |
//! | Shutdown | **Stopped** | declined, **Stopped** | declined, **Stopped** | ended, **Stopped** | ended, **Stopped** | – |
//! | time | Message: next message, or television put back, **Idle** | countdown over: **Preparing**; ring timeout: declined, **Message** | declined, **Message** | accepted repeated; caller not there, or maximum length: ended, **Message** | grace over, or maximum length: ended, **Message** | – |
//!
//! An event that names another call than the one in progress changes nothing in any state; nor does a withdrawal by
//! somebody else, or about another room.
//!
//! # How things end
//!
//! Camera and microphone are closed first ([`Action::Disconnect`]), in the very step that ends the call; then the message
//! is shown and the caller told. The television is put back when the message was readable: after
//! [`Limits::message`], or [`Limits::no_camera`]. A message of missed calls stays until a key; the television is put back
//! all the same after [`Limits::missed`], and whoever switches it on next finds the message. A call that comes while a
//! message stands takes over what is still to be put back: every [`Action::Wake`] is followed by one
//! [`Action::Restore`], of the same call or of a later one.

use super::consent::{Consent, Decision};
use super::state::{About, Accepted, AnsweredBy, Dialog, Fate, Message, Preparing, Presence, Ringing, Session, Waiting};
use super::state::{Snapshot, State};
use super::{Action, CallId, Caller, Decline, Ending, Event, Medium, Now, Offer, Press, Record, Reply, RoomEvent, Scene};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many missed calls are remembered for the screen.
const MISSED: usize = 9;

/// A key pressed this soon after a message came up was meant for what was there before, and must not close it unread.
const SETTLE: Duration = Duration::from_millis(300);

/// Longer than any call; keeps arithmetic with configured durations from overflowing.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Times and limits (chatta.md 4.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// How long it rings; a countdown's length comes on top, so that a late notice is still a whole one.
    pub ring: Duration,
    /// How long getting what is needed to join the room may take. Lines give up earlier; this only bounds a silent one.
    pub prepare: Duration,
    /// How long we wait in the room for the caller.
    pub wait: Duration,
    /// How long a caller may be gone from the room, e.g. to reload the page.
    pub grace: Duration,
    /// After an `accepted`, how long a further request of the caller is taken for a repetition of the answered one
    /// (chatta.md 5.2), and their withdrawal for one that crossed our answer.
    pub again: Duration,
    /// When an `accepted` that may be lost is repeated (chatta.md 6.2).
    pub uncertain: Duration,
    /// The longest a call may last, from its acceptance.
    pub maximum: Option<Duration>,
    /// How long the message of an ended call is shown.
    pub message: Duration,
    /// How long the message that there is no camera is shown.
    pub no_camera: Duration,
    /// After how long the television is put back although the message of missed calls stays.
    pub missed: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let seconds = Duration::from_secs;
        Limits {
            ring: seconds(45),
            prepare: seconds(15),
            wait: seconds(30),
            grace: seconds(10),
            again: seconds(15),
            uncertain: seconds(10),
            maximum: None,
            message: seconds(4),
            no_camera: seconds(10),
            missed: seconds(10),
        }
    }
}

/// Which devices the box has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize)]
pub struct Devices {
    /// A camera that can be opened.
    pub camera: bool,
    /// A microphone that can be opened.
    pub microphone: bool,
}

/// The call machine: decides, does nothing. See the table at the head of this file.
///
/// ```
/// # use residentd::call::{*, consent::Consent, machine::Devices};
/// # use std::time::{Duration, Instant};
/// # let caller = Caller { line: LineId("chatta".into()), id: CallerId("5".into()), username: None, name: "Ada".into(), role: None, photo: None };
/// # let offer = Offer { caller, medium: Medium::Video, wish: Wish::Ask, reference: Reference::default() };
/// let now = Now { mono: Instant::now(), wall: jiff::Timestamp::now() };
/// let mut machine = Machine::new(Limits::default(), Consent::default(), CallId(1), Devices { camera: true, microphone: true });
/// machine.handle(now, Event::Offered(offer));
/// assert_eq!(machine.poll_action(), Some(Action::Wake(CallId(1))));
/// assert!(matches!(machine.poll_action(), Some(Action::Show(Scene::Ringing { .. }))));
/// assert_eq!(machine.poll_action(), None);
/// assert_eq!(machine.next_deadline(), Some(now.mono + Duration::from_secs(45)));
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Machine {
    limits: Limits,
    consent: Consent,
    devices: Devices,
    next: CallId,
    state: State,
    /// The call that last woke the television, until it is put back.
    woken: Option<CallId>,
    /// Newest first, until somebody has read of them.
    missed: Vec<(Caller, Timestamp)>,
    actions: VecDeque<Action>,
}

impl Machine {
    /// A machine that numbers its calls from `first`.
    pub fn new(limits: Limits, consent: Consent, first: CallId, devices: Devices) -> Machine {
        Machine { limits, consent, devices, next: first, state: State::Idle, woken: None, missed: Vec::new(), actions: VecDeque::new() }
    }

    /// What is to be done next. To be polled until `None` after each `handle` and `handle_timeout`.
    pub fn poll_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When to call [`Machine::handle_timeout`] if nothing happens before.
    pub fn next_deadline(&self) -> Option<Instant> {
        self.state.deadline()
    }

    /// The resident's time zone, when it becomes known later than the rest of the consent.
    pub fn set_zone(&mut self, zone: jiff::tz::TimeZone) {
        self.consent.zone = zone;
    }

    /// The machine as seen from outside.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { phase: self.state.phase(), call: self.state.view(), missed: self.missed.len() }
    }

    /// The call in progress and its caller's latest request.
    pub fn current(&self) -> Option<(CallId, &Offer)> {
        self.state.session().map(|session| (session.id, &session.offer))
    }

    /// The number of the call in progress, if `offer` is its request: for what a line says about an offer.
    pub fn call_of(&self, offer: &Offer) -> Option<CallId> {
        let session = self.state.session()?;
        (session.is_from(offer) && session.offer.reference.agrees_with(&offer.reference)).then_some(session.id)
    }

    #[cfg(test)]
    pub(super) fn state(&self) -> &State {
        &self.state
    }

    /// Something happened. The event counts before any deadline that has passed meanwhile: a key pressed in time beats a
    /// timer that was served late.
    pub fn handle(&mut self, now: Now, event: Event) {
        let names_another = event.call().is_some_and(|id| self.state.session().is_none_or(|session| session.id != id));
        if !names_another {
            let state = std::mem::replace(&mut self.state, State::Idle);
            self.state = self.next_state(now, state, event);
        }
        self.handle_timeout(now);
    }

    /// Does what has become due.
    pub fn handle_timeout(&mut self, now: Now) {
        // Ends: each round leaves a state whose next deadline is later, or has none. Only durations configured as zero
        // make it go round more than once.
        while self.next_deadline().is_some_and(|deadline| deadline <= now.mono) {
            let state = std::mem::replace(&mut self.state, State::Idle);
            self.state = self.time_passed(now, state);
        }
    }

    fn next_state(&mut self, now: Now, state: State, event: Event) -> State {
        match (state, event) {
            // Somebody calls.
            (State::Idle | State::Message(_), Event::Offered(offer)) => self.offered(now, offer),
            (State::Ringing(ringing), Event::Offered(offer)) if ringing.session.is_from(&offer) => self.asked_again(now, ringing, offer),
            (State::Preparing(preparing), Event::Offered(offer)) if preparing.session.is_from(&offer) => State::Preparing(preparing),
            (State::Waiting(mut call, mut waiting), Event::Offered(offer)) if call.session.is_from(&offer) => {
                if self.rejoin(now, &mut call, offer) {
                    waiting.until = after(now, self.limits.wait);
                }
                State::Waiting(call, waiting)
            }
            (State::Talking(mut call, mut presence), Event::Offered(offer)) if call.session.is_from(&offer) => {
                if self.rejoin(now, &mut call, offer)
                    && let Presence::Gone { until } = &mut presence
                {
                    *until = after(now, self.limits.wait);
                }
                State::Talking(call, presence)
            }
            (state @ (State::Ringing(_) | State::Preparing(_) | State::Waiting(..) | State::Talking(..)), Event::Offered(offer)) => {
                self.reply(None, offer, Reply::Declined(Decline::Busy));
                state
            }
            (State::Stopped, Event::Offered(offer)) => {
                self.reply(None, offer, Reply::Declined(Decline::Error));
                State::Stopped
            }

            // The caller says it is over.
            (State::Ringing(ringing), Event::Withdrawn(word)) if ringing.session.is_meant_by(&word) => {
                self.end(now, Over::unanswered(ringing.session), Ending::Withdrawn, None)
            }
            (State::Preparing(preparing), Event::Withdrawn(word)) if preparing.session.is_meant_by(&word) => {
                self.end(now, Over::answered(preparing), Ending::Withdrawn, None)
            }
            (State::Waiting(call, _) | State::Talking(call, _), Event::Withdrawn(word)) if call.session.is_meant_by(&word) => {
                // Had they not seen our answer when they gave up, they may see it now and go into an empty room.
                let crossed = call.fate != Fate::Arrived && now.mono < call.sent + self.limits.again;
                self.end(now, Over::accepted(call), Ending::CallerEnded, crossed.then_some(Reply::Ended))
            }
            (state, Event::Withdrawn(word)) => {
                log::debug!(line = word.line.0.as_str(), caller = word.caller.0.as_str(); "ended by a caller who is in no call here: ignored");
                state
            }

            // Keys.
            (State::Message(message), Event::Press(_)) => self.read(now, message),
            (State::Ringing(ringing), Event::Press(Press::Accept)) => self.prepare(now, ringing.session, AnsweredBy::Key),
            (State::Ringing(ringing), Event::Press(Press::Decline | Press::HangUp)) => {
                self.decline(now, Over::unanswered(ringing.session), Decline::ByResident)
            }
            (State::Ringing(mut ringing), Event::Press(Press::Mute | Press::Other)) => {
                if ringing.dialog != Dialog::Ask {
                    log::info!(call = ringing.session.id.0; "automatic answer cancelled by a key; it rings on");
                    ringing.dialog = Dialog::Ask;
                    self.show(ringing.scene());
                }
                State::Ringing(ringing)
            }
            (State::Preparing(preparing), Event::Press(Press::Decline | Press::HangUp)) => {
                self.decline(now, Over::answered(preparing), Decline::ByResident)
            }
            (State::Waiting(call, _) | State::Talking(call, _), Event::Press(Press::Decline | Press::HangUp)) => {
                self.hang_up(now, call, Ending::HungUp)
            }
            (State::Waiting(mut call, waiting), Event::Press(Press::Mute)) => {
                self.mute(&mut call);
                State::Waiting(call, waiting)
            }
            (State::Talking(mut call, presence), Event::Press(Press::Mute)) => {
                self.mute(&mut call);
                self.show_call(&call, presence);
                State::Talking(call, presence)
            }
            (state @ (State::Preparing(_) | State::Waiting(..) | State::Talking(..)), Event::Press(_)) => state,
            (state @ (State::Idle | State::Stopped), Event::Press(_)) => state,

            // Whether the notice is seen and heard. Only from here counts its time, and from the start after each break.
            (State::Ringing(mut ringing), Event::Noticed(_)) => {
                if let Dialog::Notice { length } = ringing.dialog {
                    ringing.dialog = Dialog::Counting { length, until: after(now, length) };
                    self.show(ringing.scene());
                }
                State::Ringing(ringing)
            }
            (State::Ringing(mut ringing), Event::Unnoticed(_)) => {
                if let Dialog::Counting { length, .. } = ringing.dialog {
                    ringing.dialog = Dialog::Notice { length };
                    self.show(ringing.scene());
                }
                State::Ringing(ringing)
            }
            (state, Event::Noticed(_) | Event::Unnoticed(_)) => state,

            // Whether the room can be joined.
            (State::Preparing(preparing), Event::Prepared(_, Ok(()))) => self.accept(now, preparing),
            (State::Preparing(preparing), Event::Prepared(_, Err(_))) => self.decline(now, Over::answered(preparing), Decline::Error),
            (state, Event::Prepared(..)) => state,

            // The room.
            (State::Waiting(call, waiting), Event::Room(_, RoomEvent::Joined)) => State::Waiting(call, Waiting { joined: true, ..waiting }),
            (State::Waiting(call, _), Event::Room(_, RoomEvent::CallerArrived | RoomEvent::MediaFlowing)) => self.arrived(call),
            (State::Waiting(mut call, waiting), Event::Room(_, event @ (RoomEvent::Weak | RoomEvent::Good))) => {
                call.weak = event == RoomEvent::Weak;
                State::Waiting(call, waiting)
            }
            (State::Talking(call, Presence::Gone { .. }), Event::Room(_, RoomEvent::CallerArrived)) => self.arrived(call),
            (State::Talking(mut call, Presence::Here), Event::Room(_, RoomEvent::CallerArrived | RoomEvent::MediaFlowing)) => {
                call.fate = Fate::Arrived;
                State::Talking(call, Presence::Here)
            }
            (State::Talking(call, Presence::Here), Event::Room(_, RoomEvent::CallerLeft)) => {
                let presence = Presence::Gone { until: after(now, self.limits.grace) };
                self.show_call(&call, presence);
                State::Talking(call, presence)
            }
            (State::Talking(mut call, presence), Event::Room(_, event @ (RoomEvent::Weak | RoomEvent::Good))) => {
                let weak = event == RoomEvent::Weak;
                if call.weak != weak {
                    call.weak = weak;
                    self.show_call(&call, presence);
                }
                State::Talking(call, presence)
            }
            (State::Waiting(call, _) | State::Talking(call, _), Event::Room(_, RoomEvent::Failed(_))) => {
                self.hang_up(now, call, Ending::RoomFailed)
            }
            (state @ (State::Waiting(..) | State::Talking(..)), Event::Room(..)) => state,
            (state @ (State::Idle | State::Message(_) | State::Ringing(_) | State::Preparing(_) | State::Stopped), Event::Room(..)) => {
                state
            }

            // Devices.
            (State::Waiting(call, _) | State::Talking(call, _), Event::MediaFailed(..)) => self.hang_up(now, call, Ending::MediaFailed),
            (state, Event::MediaFailed(..)) => state,
            (state, Event::Devices { camera, microphone }) => {
                let before = std::mem::replace(&mut self.devices, Devices { camera, microphone });
                if let State::Talking(call, presence) = &state
                    && call.session.medium == Medium::Video
                    && before.camera != camera
                {
                    self.show_call(call, *presence);
                }
                state
            }

            // The line.
            (State::Waiting(mut call, waiting), Event::ReplyUncertain(_)) => {
                self.doubt(now, &mut call);
                State::Waiting(call, waiting)
            }
            (State::Talking(mut call, presence), Event::ReplyUncertain(_)) => {
                self.doubt(now, &mut call);
                State::Talking(call, presence)
            }
            (state, Event::ReplyUncertain(_)) => state,

            // The end of everything.
            (State::Ringing(Ringing { session, .. }) | State::Preparing(Preparing { session, .. }), Event::Shutdown) => {
                self.stop(now, Some((Over::unanswered(session), Reply::Declined(Decline::Error))))
            }
            (State::Waiting(call, _) | State::Talking(call, _), Event::Shutdown) => {
                self.stop(now, Some((Over::accepted(call), Reply::Ended)))
            }
            (State::Idle | State::Message(_), Event::Shutdown) => self.stop(now, None),
            (State::Stopped, Event::Shutdown) => State::Stopped,
        }
    }

    fn time_passed(&mut self, now: Now, state: State) -> State {
        let due = |deadline: Instant| deadline <= now.mono;
        match state {
            State::Ringing(ringing) => match ringing.dialog {
                Dialog::Counting { until, .. } if until <= ringing.expires => self.count_down(now, ringing),
                _ => self.decline(now, Over::unanswered(ringing.session), Decline::NoAnswer),
            },
            State::Preparing(preparing) => self.decline(now, Over::answered(preparing), Decline::Error),
            State::Waiting(call, _) | State::Talking(call, _) if call.over.is_some_and(due) => {
                self.hang_up(now, call, Ending::MaximumLength)
            }
            State::Waiting(call, waiting) if due(waiting.until) => {
                self.hang_up(now, call, if waiting.joined { Ending::CallerNeverCame } else { Ending::RoomFailed })
            }
            State::Talking(call, Presence::Gone { until }) if due(until) => self.hang_up(now, call, Ending::CallerLeft),
            // What is left of a call's deadlines is the repetition.
            State::Waiting(mut call, waiting) => {
                self.repeat(now, &mut call);
                State::Waiting(call, waiting)
            }
            State::Talking(mut call, presence) => {
                match presence {
                    Presence::Gone { .. } => self.repeat(now, &mut call),
                    Presence::Here => call.fate = Fate::Arrived,
                }
                State::Talking(call, presence)
            }
            State::Message(Message { about: About::Passing { .. }, .. }) => self.clear(now),
            State::Message(Message { about: About::Missed { .. }, since }) => {
                self.restore();
                State::Message(Message { about: About::Missed { restore: None }, since })
            }
            State::Idle | State::Stopped => state,
        }
    }

    /// A new call. The television is woken and the dialog shown before anything else.
    fn offered(&mut self, now: Now, offer: Offer) -> State {
        let id = self.next;
        self.next = CallId(id.0 + 1);
        self.woken = Some(id);
        self.actions.push_back(Action::Wake(id));
        let session = Session { id, medium: offer.medium, offered: now.wall, offer };
        match session.medium {
            Medium::Video if !self.devices.camera => return self.decline(now, Over::unanswered(session), Decline::NoCamera),
            Medium::Audio if !self.devices.microphone => return self.decline(now, Over::unanswered(session), Decline::NoMicrophone),
            Medium::Video | Medium::Audio => {}
        }
        let decision = self.consent.decide(&session.offer, now);
        log::info!(call = id.0, line = session.offer.caller.line.0.as_str(), caller = session.offer.caller.id.0.as_str(); "offered: {decision:?}");
        let dialog = match decision {
            Decision::Ring(_) => Dialog::Ask,
            Decision::Countdown { length, .. } => Dialog::Notice { length },
        };
        let ringing = Ringing { session, expires: self.rings_until(now, dialog), dialog };
        self.show(ringing.scene());
        State::Ringing(ringing)
    }

    fn rings_until(&self, now: Now, dialog: Dialog) -> Instant {
        after(now, self.limits.ring.saturating_add(dialog.length()))
    }

    /// The caller's request once more while it rings: a double click, or a redial after a lost `ended`; they can't be told
    /// apart (chatta.md 5.2). The dialog stays as it is, unless it would say something false; it never becomes more
    /// automatic than what the resident has seen, or has cancelled.
    fn asked_again(&mut self, now: Now, mut ringing: Ringing, offer: Offer) -> State {
        let before = ringing.scene();
        let still_automatic = matches!(self.consent.decide(&offer, now), Decision::Countdown { .. });
        if !still_automatic || offer.medium != ringing.session.medium {
            ringing.dialog = Dialog::Ask;
        }
        ringing.session.medium = offer.medium;
        ringing.session.offer = offer;
        ringing.expires = self.rings_until(now, ringing.dialog);
        let scene = ringing.scene();
        if scene != before {
            self.show(scene);
        }
        State::Ringing(ringing)
    }

    /// The countdown is over. Consent is asked once more: quiet hours may have begun.
    fn count_down(&mut self, now: Now, mut ringing: Ringing) -> State {
        match self.consent.decide(&ringing.session.offer, now) {
            Decision::Countdown { .. } => self.prepare(now, ringing.session, AnsweredBy::Itself),
            Decision::Ring(why) => {
                log::info!(call = ringing.session.id.0; "no automatic answer after all: {why:?}");
                ringing.dialog = Dialog::Ask;
                self.show(ringing.scene());
                State::Ringing(ringing)
            }
        }
    }

    fn prepare(&mut self, now: Now, session: Session, by: AnsweredBy) -> State {
        self.show(Scene::Connecting { call: session.id, caller: session.offer.caller.clone(), medium: session.medium });
        self.actions.push_back(Action::Prepare(session.id, session.offer.clone()));
        State::Preparing(Preparing { session, by, until: after(now, self.limits.prepare) })
    }

    /// The one place where a call is accepted, and the one that permits devices.
    fn accept(&mut self, now: Now, preparing: Preparing) -> State {
        let Preparing { session, by, .. } = preparing;
        self.reply(Some(session.id), session.offer.clone(), Reply::Accepted);
        let camera = session.medium == Medium::Video;
        self.actions.push_back(Action::Connect { call: session.id, offer: session.offer.clone(), camera });
        let call = Accepted {
            session,
            by,
            since: now.wall,
            over: self.limits.maximum.map(|maximum| after(now, maximum)),
            sent: now.mono,
            fate: Fate::Sent,
            weak: false,
            muted: false,
        };
        State::Waiting(call, Waiting { joined: false, until: after(now, self.limits.wait) })
    }

    /// The caller's request once more in a call: they lost it, e.g. by reloading their page. Told `accepted` again, they
    /// come back into the room we are in. `false` if the request is only a repetition of the one just answered.
    fn rejoin(&mut self, now: Now, call: &mut Accepted, offer: Offer) -> bool {
        if now.mono < call.sent + self.limits.again {
            return false;
        }
        self.reply(Some(call.session.id), offer.clone(), Reply::Accepted);
        call.session.offer = offer;
        call.sent = now.mono;
        call.fate = Fate::Sent;
        true
    }

    fn arrived(&mut self, mut call: Accepted) -> State {
        call.fate = Fate::Arrived;
        self.show_call(&call, Presence::Here);
        State::Talking(call, Presence::Here)
    }

    fn doubt(&self, now: Now, call: &mut Accepted) {
        if call.fate == Fate::Sent {
            call.fate = Fate::Doubtful { repeat: after(now, self.limits.uncertain) };
        }
    }

    fn repeat(&mut self, now: Now, call: &mut Accepted) {
        call.sent = now.mono;
        call.fate = Fate::Repeated;
        let (id, offer) = (call.session.id, call.session.offer.clone());
        self.actions.push_back(Action::Reply { call: Some(id), offer, reply: Reply::Accepted, repeat: true });
    }

    fn mute(&mut self, call: &mut Accepted) {
        call.muted = !call.muted;
        self.actions.push_back(Action::Mute(call.session.id, call.muted));
    }

    fn decline(&mut self, now: Now, over: Over, why: Decline) -> State {
        self.end(now, over, Ending::Declined(why), Some(Reply::Declined(why)))
    }

    fn hang_up(&mut self, now: Now, call: Accepted, ending: Ending) -> State {
        self.end(now, Over::accepted(call), ending, Some(Reply::Ended))
    }

    /// The one way every call ends, but for [`Machine::stop`]: devices first, then the screen, then the caller.
    fn end(&mut self, now: Now, over: Over, ending: Ending, reply: Option<Reply>) -> State {
        self.disconnect(&over);
        let caller = over.session.offer.caller.clone();
        let about = if over.is_missed(ending) {
            self.missed.insert(0, (caller, over.session.offered));
            self.missed.truncate(MISSED);
            self.show_missed(now)
        } else if ending == Ending::Declined(Decline::NoCamera) {
            self.show(Scene::NoCamera { caller });
            About::Passing { until: after(now, self.limits.no_camera) }
        } else {
            self.show(Scene::Ended { caller, ending });
            About::Passing { until: after(now, self.limits.message) }
        };
        self.tell_and_record(now, over, ending, reply);
        State::Message(Message { about, since: now.mono })
    }

    fn disconnect(&mut self, over: &Over) {
        if over.accepted.is_some() {
            self.actions.push_back(Action::Disconnect(over.session.id));
        }
    }

    fn tell_and_record(&mut self, now: Now, over: Over, ending: Ending, reply: Option<Reply>) {
        let Over { session, answered, accepted } = over;
        if let Some(reply) = reply {
            self.reply(Some(session.id), session.offer.clone(), reply);
        }
        self.actions.push_back(Action::Record(Record {
            call: session.id,
            caller: session.offer.caller,
            medium: session.medium,
            offered: session.offered,
            accepted,
            automatic: accepted.is_some() && answered == Some(AnsweredBy::Itself),
            ended: now.wall,
            ending,
        }));
    }

    /// The daemon stops: no message, and the television is put back now.
    fn stop(&mut self, now: Now, call: Option<(Over, Reply)>) -> State {
        if let Some((over, _)) = &call {
            self.disconnect(over);
        }
        self.show(Scene::Idle);
        if let Some((over, reply)) = call {
            self.tell_and_record(now, over, Ending::Shutdown, Some(reply));
        }
        self.restore();
        State::Stopped
    }

    /// A key while a message stands.
    fn read(&mut self, now: Now, message: Message) -> State {
        if now.mono < message.since + SETTLE {
            return State::Message(message);
        }
        if matches!(message.about, About::Missed { .. }) {
            self.missed.clear();
        }
        self.clear(now)
    }

    /// After a message: the missed calls nobody has read of, or nothing, and the television as it was.
    fn clear(&mut self, now: Now) -> State {
        if !self.missed.is_empty() {
            let about = self.show_missed(now);
            return State::Message(Message { about, since: now.mono });
        }
        self.show(Scene::Idle);
        self.restore();
        State::Idle
    }

    fn show_missed(&mut self, now: Now) -> About {
        self.show(Scene::Missed { calls: self.missed.clone() });
        About::Missed { restore: self.woken.map(|_| after(now, self.limits.missed)) }
    }

    fn show_call(&mut self, call: &Accepted, presence: Presence) {
        self.show(Scene::InCall {
            call: call.session.id,
            caller: call.session.offer.caller.clone(),
            medium: call.session.medium,
            weak: call.weak || presence != Presence::Here,
            muted: call.muted,
            no_camera: call.session.medium == Medium::Video && !self.devices.camera,
        });
    }

    fn show(&mut self, scene: Scene) {
        self.actions.push_back(Action::Show(scene));
    }

    fn reply(&mut self, call: Option<CallId>, offer: Offer, reply: Reply) {
        self.actions.push_back(Action::Reply { call, offer, reply, repeat: false });
    }

    fn restore(&mut self) {
        self.actions.extend(self.woken.take().map(Action::Restore));
    }
}

/// A call at its end, as far as it came.
struct Over {
    session: Session,
    answered: Option<AnsweredBy>,
    accepted: Option<Timestamp>,
}

impl Over {
    fn unanswered(session: Session) -> Over {
        Over { session, answered: None, accepted: None }
    }

    fn answered(preparing: Preparing) -> Over {
        Over { session: preparing.session, answered: Some(preparing.by), accepted: None }
    }

    fn accepted(call: Accepted) -> Over {
        Over { session: call.session, answered: Some(call.by), accepted: Some(call.since) }
    }

    /// Whether somebody comes home to find that there was a call: it did not come about, and nobody who was there knows.
    fn is_missed(&self, ending: Ending) -> bool {
        let somebody_knows = self.answered == Some(AnsweredBy::Key) || self.accepted.is_some();
        match ending {
            Ending::Withdrawn | Ending::Declined(Decline::NoAnswer | Decline::NoMicrophone | Decline::Error) => !somebody_knows,
            // The screen for this one says so itself.
            Ending::Declined(Decline::NoCamera) => false,
            Ending::Declined(Decline::Busy | Decline::ByResident) => false,
            Ending::HungUp | Ending::CallerEnded | Ending::CallerLeft | Ending::CallerNeverCame => false,
            Ending::RoomFailed | Ending::MediaFailed | Ending::MaximumLength | Ending::Shutdown => false,
        }
    }
}

impl Event {
    /// Which call it is about, when it names one.
    fn call(&self) -> Option<CallId> {
        match self {
            Event::Noticed(id) | Event::Unnoticed(id) | Event::Prepared(id, _) => Some(*id),
            Event::Room(id, _) | Event::MediaFailed(id, _) | Event::ReplyUncertain(id) => Some(*id),
            Event::Offered(_) | Event::Withdrawn(_) | Event::Press(_) | Event::Devices { .. } | Event::Shutdown => None,
        }
    }
}

fn after(now: Now, duration: Duration) -> Instant {
    now.mono + duration.min(FOREVER)
}
