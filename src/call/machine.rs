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

pub use super::limits::Limits;

use super::consent::Consent;
use super::limits::after;
use super::state::{About, AnsweredBy, Dialog, Fate, Message, Preparing, Presence, Ringing, Waiting};
use super::state::{Snapshot, State};
use super::steps::Over;
use super::{Action, CallId, Caller, Decline, Ending, Event, Medium, Now, Offer, Press, Reply, RoomEvent};
use jiff::Timestamp;
use std::collections::VecDeque;
use std::time::Instant;

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
    pub(super) limits: Limits,
    pub(super) consent: Consent,
    pub(super) devices: Devices,
    pub(super) next: CallId,
    pub(super) state: State,
    /// The call that last woke the television, until it is put back.
    pub(super) woken: Option<CallId>,
    /// Newest first, until somebody has read of them.
    pub(super) missed: Vec<(Caller, Timestamp)>,
    pub(super) actions: VecDeque<Action>,
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

    /// Other limits and another consent from the next call on. With `keep_zone` the time zone stays, which is the platform's.
    pub fn renew(&mut self, limits: Limits, mut consent: Consent, keep_zone: bool) {
        if keep_zone {
            consent.zone = self.consent.zone.clone();
        }
        (self.limits, self.consent) = (limits, consent);
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
                log::debug!(LINE = word.line.0.as_str(), CALLER_ID = word.caller.0.as_str(); "ended by a caller who is in no call here: ignored");
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
                    log::info!(CALL_ID = ringing.session.id.0; "automatic answer cancelled by a key; it rings on");
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
