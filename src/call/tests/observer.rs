//! Somebody who sees only what goes into the machine and what comes out, and knows the promises:
//!
//! 1. No connect (and so no camera or microphone) without an accept by key, or a notice that consent allows and that was
//!    seen and heard for the floor without a break, and that no key has cancelled. Devices are closed in the step that ends
//!    the call, first of all.
//! 2. One terminal reply a call, unless the caller ended it; `accepted` once a request, repeated at most once and only in
//!    doubt; never declined after it.
//! 3. What was woken is put back, once the last message was there to be read.
//! 4. One call at a time; a second caller hears busy and changes nothing.
//! 6. Words about other calls, and the same word twice, change nothing.
//!
//! It shares no code with the machine: what it needs to know of consent it is told in plain figures.

use super::*;
use std::collections::BTreeMap;

/// What the resident has configured, in plain figures.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub never: bool,
    pub everybody: bool,
    /// Callers 5 and 6 are listed (7 and 8 are not), 6 as one who is never answered.
    pub listed: bool,
    pub quiet: bool,
    pub floor: Duration,
    pub limits: [u64; 6],
}

#[derive(Debug, Default)]
struct Call {
    caller: String,
    medium: Option<Medium>,
    requests: u32,
    accepted: u32,
    repeated_since_accepted: bool,
    doubted: Option<Instant>,
    last_accepted: Option<Instant>,
    caller_there: bool,
    terminal: u32,
    connected: u32,
    disconnected: u32,
    recorded: u32,
    key: bool,
    withdrawn: bool,
    may_be_automatic: bool,
    wish: Duration,
    seen_since: Option<Instant>,
    automatic: bool,
    prepared: u32,
}

pub(super) struct Observer {
    rules: Rules,
    calls: BTreeMap<CallId, Call>,
    current: Option<CallId>,
    stopped: bool,
    /// The latest wake that is still to be put back.
    woken: Option<CallId>,
    scene: Scene,
    offers: u32,
    replies_without_call: u32,
}

type Verdict = Result<(), String>;

fn ensure(condition: bool, promise: impl FnOnce() -> String) -> Verdict {
    if condition { Ok(()) } else { Err(promise()) }
}

impl Observer {
    pub fn new(rules: Rules) -> Observer {
        Observer {
            rules,
            calls: BTreeMap::new(),
            current: None,
            stopped: false,
            woken: None,
            scene: Scene::Idle,
            offers: 0,
            replies_without_call: 0,
        }
    }

    /// One step: what was told (`None`: time passed), what came out, and the machine before and after.
    pub fn step(&mut self, now: Now, told: Option<&Event>, actions: &[Action], before: &Machine, after: &Machine) -> Verdict {
        let due = before.next_deadline().is_some_and(|deadline| deadline <= now.mono);
        let had = self.current;
        let mut must_end = false;
        if let Some(event) = told {
            must_end = self.hear(now, event)?;
            if self.is_harmless(event, had) && !due {
                ensure(before == after && actions.is_empty(), || format!("{event:?} is about no call here and must change nothing"))?;
            }
            if let Event::Offered(offer) = event
                && had.is_some_and(|id| self.calls[&id].caller != key(&offer.caller))
            {
                ensure(
                    matches!(actions.first(), Some(Action::Reply { call: None, offer: about, reply: Reply::Declined(Decline::Busy), repeat: false }) if about == offer),
                    || "a second caller hears busy at once".into(),
                )?;
                ensure(due || (actions.len() == 1 && before == after), || "a second caller changes nothing".into())?;
            }
        }
        for (at, action) in actions.iter().enumerate() {
            self.see(now, told, at, action, actions)?;
        }
        // The call the machine says it has is the one that was seen to begin and not to end.
        ensure(after.current().map(|(id, _)| id) == self.current, || format!("current is {:?}, seen {:?}", after.current(), self.current))?;
        if let Some(id) = had.filter(|_| must_end) {
            let call = &self.calls[&id];
            ensure(call.connected == call.disconnected, || "devices are closed in the step that ends the call".into())?;
            ensure(self.current != Some(id), || format!("{told:?} ends the call"))?;
        }
        if let Some(id) = had.filter(|id| self.current != Some(*id)) {
            let call = &self.calls[&id];
            ensure(call.connected == call.disconnected, || "devices are closed in the step in which the call ends".into())?;
            ensure(call.recorded == 1, || "a call that is over is recorded once".into())?;
        }
        ensure(after.snapshot().missed <= 9, || "at most nine missed calls".into())?;
        self.scene_fits(after)
    }

    /// Takes note of what the machine is told. Gives whether this must end the call in progress.
    fn hear(&mut self, now: Now, event: &Event) -> Result<bool, String> {
        if let Event::Offered(_) = event {
            self.offers += 1;
        }
        let Some(id) = self.current else { return Ok(false) };
        let rules = self.rules;
        let call = self.calls.get_mut(&id).ok_or("current without a call")?;
        let talking = call.connected > 0;
        Ok(match event {
            Event::Offered(offer) if key(&offer.caller) == call.caller => {
                call.requests += 1;
                if call.prepared == 0 {
                    let kept = call.medium == Some(offer.medium) && allows(rules, offer);
                    call.may_be_automatic &= kept;
                    call.medium = Some(offer.medium);
                }
                false
            }
            Event::Withdrawn(word) if is_about(call, before_reference(word), word) => {
                call.withdrawn = true;
                true
            }
            Event::Press(Press::Accept) => {
                call.key |= call.prepared == 0;
                false
            }
            Event::Press(Press::Decline | Press::HangUp) => true,
            Event::Press(Press::Mute | Press::Other) => {
                if call.prepared == 0 {
                    call.may_be_automatic = false;
                }
                false
            }
            Event::Noticed(of) if *of == id => {
                call.seen_since.get_or_insert(now.mono);
                false
            }
            Event::Unnoticed(of) if *of == id => {
                call.seen_since = None;
                false
            }
            Event::Room(of, room) if *of == id && talking => {
                match room {
                    RoomEvent::CallerArrived => call.caller_there = true,
                    RoomEvent::CallerLeft => call.caller_there = false,
                    _ => {}
                }
                matches!(room, RoomEvent::Failed(_))
            }
            Event::MediaFailed(of, _) => *of == id && talking,
            Event::ReplyUncertain(of) if *of == id => {
                if call.accepted > 0 {
                    call.doubted.get_or_insert(now.mono);
                }
                false
            }
            Event::Shutdown => true,
            _ => false,
        })
    }

    /// Whether the event names a call that is not in progress, or a caller who is in none.
    fn is_harmless(&self, event: &Event, had: Option<CallId>) -> bool {
        match event {
            Event::Noticed(id) | Event::Unnoticed(id) | Event::Prepared(id, _) => had != Some(*id),
            Event::Room(id, _) | Event::MediaFailed(id, _) | Event::ReplyUncertain(id) => had != Some(*id),
            Event::Withdrawn(word) => had.is_none_or(|id| !is_about(&self.calls[&id], before_reference(word), word)),
            Event::Offered(_) | Event::Press(_) | Event::Devices { .. } | Event::Shutdown => false,
        }
    }

    fn see(&mut self, now: Now, told: Option<&Event>, at: usize, action: &Action, all: &[Action]) -> Verdict {
        match action {
            Action::Wake(id) => {
                ensure(self.current.is_none() && !self.stopped, || "one call at a time".into())?;
                ensure(at == 0 && matches!(all.get(1), Some(Action::Show(_))), || "wake and show come before everything else".into())?;
                let Some(Event::Offered(offer)) = told else { return Err("a call without an offer".into()) };
                let call = Call {
                    caller: key(&offer.caller),
                    medium: Some(offer.medium),
                    requests: 1,
                    may_be_automatic: allows(self.rules, offer),
                    wish: if let Wish::Answer { after } = offer.wish { after } else { Duration::MAX },
                    ..Call::default()
                };
                ensure(self.calls.insert(*id, call).is_none(), || "a call's number is used once".into())?;
                self.current = Some(*id);
                self.woken = Some(*id);
            }
            Action::Show(scene) => self.scene = scene.clone(),
            Action::Prepare(id, _) => {
                let rules = self.rules;
                let call = self.running(*id)?;
                call.prepared += 1;
                ensure(call.prepared == 1, || "prepared once".into())?;
                if !call.key {
                    call.automatic = true;
                    ensure(call.may_be_automatic, || "answered by itself without consent, or after a key".into())?;
                    let seen = call.seen_since.map(|since| now.mono - since);
                    ensure(seen.is_some_and(|seen| seen >= rules.floor), || {
                        format!("seen and heard for {seen:?}, the floor is {:?}", rules.floor)
                    })?;
                    ensure(seen.is_some_and(|seen| seen >= call.wish), || format!("seen and heard for {seen:?}, wished {:?}", call.wish))?;
                }
            }
            Action::Connect { call: id, camera, .. } => {
                let after_accepted = at > 0 && matches!(all[at - 1], Action::Reply { reply: Reply::Accepted, .. });
                let call = self.running(*id)?;
                call.connected += 1;
                ensure(call.connected == 1, || "connected once".into())?;
                ensure(call.prepared == 1 && call.accepted == 1 && after_accepted, || {
                    "prepared, accepted, connected, in this order".into()
                })?;
                ensure(call.key || call.automatic, || "connected without an answer".into())?;
                ensure(*camera == (call.medium == Some(Medium::Video)), || "the camera is for video calls only".into())?;
            }
            Action::Reply { call: None, reply, repeat, .. } => {
                self.replies_without_call += 1;
                let fits =
                    matches!(reply, Reply::Declined(Decline::Busy)) || self.stopped && matches!(reply, Reply::Declined(Decline::Error));
                ensure(fits && !repeat && matches!(told, Some(Event::Offered(_))), || format!("{action:?}"))?;
            }
            Action::Reply { call: Some(id), reply, repeat, offer } => self.see_reply(now, told, *id, *reply, *repeat, offer)?,
            Action::Mute(id, _) => {
                let call = self.running(*id)?;
                ensure(call.connected > 0, || "muted before it was connected".into())?;
            }
            Action::Disconnect(id) => {
                let is_ending = |action: &Action| match action {
                    Action::Reply { call, reply, .. } => *call == Some(*id) && *reply != Reply::Accepted,
                    Action::Show(scene) => {
                        matches!(scene, Scene::Idle | Scene::Ended { .. } | Scene::Missed { .. } | Scene::NoCamera { .. })
                    }
                    _ => false,
                };
                let first = !all[..at].iter().any(is_ending);
                let call = self.running(*id)?;
                call.disconnected += 1;
                ensure(call.connected == 1 && call.disconnected == 1, || "disconnected once, what was connected".into())?;
                ensure(first, || "devices are closed before anything is said or shown of the end".into())?;
            }
            Action::Restore(id) => {
                ensure(self.woken.take() == Some(*id), || format!("restore of {id:?}, which is not what was woken last"))?;
                ensure(self.current.is_none(), || "the television is not put back during a call".into())?;
            }
            Action::Record(record) => {
                let rules = self.rules;
                let call = self.running(record.call)?;
                call.recorded += 1;
                ensure(call.connected == call.disconnected, || "recorded with open devices".into())?;
                let by_caller = matches!(record.ending, Ending::Withdrawn | Ending::CallerEnded);
                ensure(call.withdrawn == by_caller, || format!("{:?}, but withdrawn is {}", record.ending, call.withdrawn))?;
                let replies = if call.withdrawn { 0..=u32::from(call.accepted > 0) } else { 1..=1 };
                ensure(replies.contains(&call.terminal), || format!("{} terminal replies at {:?}", call.terminal, record.ending))?;
                ensure(record.accepted.is_some() == (call.accepted > 0), || "recorded as accepted only if it was".into())?;
                ensure(record.automatic == (call.automatic && call.accepted > 0), || "recorded as automatic only if it was".into())?;
                ensure(!(rules.never && record.automatic), || "never is never".into())?;
                self.current = None;
            }
        }
        if matches!(told, Some(Event::Shutdown)) && at + 1 == all.len() {
            self.stopped = true;
        }
        Ok(())
    }

    fn see_reply(&mut self, now: Now, told: Option<&Event>, id: CallId, reply: Reply, repeat: bool, offer: &Offer) -> Verdict {
        let [_, _, _, _, again, uncertain] = self.rules.limits.map(seconds);
        let call = self.running(id)?;
        ensure(key(&offer.caller) == call.caller, || "a reply to somebody else".into())?;
        match reply {
            Reply::Accepted if repeat => {
                ensure(!call.repeated_since_accepted, || "accepted is repeated once at most".into())?;
                ensure(call.doubted.is_some_and(|since| now.mono >= since + uncertain), || "repeated without doubt, or too early".into())?;
                ensure(!call.caller_there, || "repeated although the caller is there".into())?;
                call.repeated_since_accepted = true;
                call.last_accepted = Some(now.mono);
            }
            Reply::Accepted => {
                ensure(call.terminal == 0, || "accepted after a terminal reply".into())?;
                call.accepted += 1;
                ensure(call.accepted <= call.requests, || "accepted once a request".into())?;
                if call.accepted == 1 {
                    ensure(matches!(told, Some(Event::Prepared(_, Ok(())))), || "accepted without what is needed to join the room".into())?;
                } else {
                    ensure(matches!(told, Some(Event::Offered(_))), || "accepted again without a request".into())?;
                    ensure(call.last_accepted.is_some_and(|last| now.mono >= last + again), || "accepted again too early".into())?;
                }
                (call.repeated_since_accepted, call.doubted, call.last_accepted) = (false, None, Some(now.mono));
            }
            Reply::Declined(_) => {
                ensure(call.accepted == 0, || "declined after accepted".into())?;
                ensure(!call.withdrawn, || "a withdrawal is not answered with a decline".into())?;
                call.terminal += 1;
            }
            Reply::Ended => {
                ensure(call.accepted > 0, || "ended without accepted".into())?;
                let crossed = call.last_accepted.is_some_and(|last| now.mono < last + again);
                ensure(!call.withdrawn || crossed, || "an ended is answered only if it crossed our accepted".into())?;
                call.terminal += 1;
            }
        }
        ensure(call.terminal <= 1, || "one terminal reply a call".into())
    }

    fn running(&mut self, id: CallId) -> Result<&mut Call, String> {
        ensure(self.current == Some(id), || format!("something is done for {id:?}, which is not in progress"))?;
        self.calls.get_mut(&id).ok_or_else(|| "unknown call".into())
    }

    /// The screen says what is true.
    fn scene_fits(&self, after: &Machine) -> Verdict {
        let phase = after.snapshot().phase;
        let of = match &self.scene {
            Scene::Ringing { call, .. } | Scene::Countdown { call, .. } | Scene::Connecting { call, .. } | Scene::InCall { call, .. } => {
                Some(*call)
            }
            Scene::Idle | Scene::Ended { .. } | Scene::Missed { .. } | Scene::NoCamera { .. } => None,
        };
        let fits = match &self.scene {
            Scene::Idle => matches!(phase, Phase::Idle | Phase::Stopped),
            Scene::Ringing { .. } => phase == Phase::Ringing,
            Scene::Countdown { .. } => phase == Phase::Countdown,
            Scene::Connecting { .. } => matches!(phase, Phase::Preparing | Phase::Waiting),
            Scene::InCall { .. } => phase == Phase::Talking,
            Scene::Ended { .. } | Scene::Missed { .. } | Scene::NoCamera { .. } => phase == Phase::Message,
        };
        ensure(fits && of == self.current, || format!("the screen shows {:?} while the machine is {phase:?}", self.scene))
    }

    /// Nothing more will happen: what must have happened by now?
    pub fn finish(&self, machine: &Machine) -> Verdict {
        ensure(self.current.is_none() && machine.next_deadline().is_none(), || "every call ends".into())?;
        ensure(self.woken.is_none(), || "the television was not put back".into())?;
        ensure(matches!(self.scene, Scene::Idle | Scene::Missed { .. }), || format!("{:?} stays on the screen", self.scene))?;
        for (id, call) in &self.calls {
            ensure(call.recorded == 1, || format!("{id:?} was recorded {} times", call.recorded))?;
        }
        let answered: u32 = self.calls.values().map(|call| call.requests).sum();
        ensure(answered + self.replies_without_call == self.offers, || "an offer was neither taken up nor declined".into())
    }
}

fn key(caller: &Caller) -> String {
    format!("{}/{}", caller.line.0, caller.id.0)
}

fn allows(rules: Rules, offer: &Offer) -> bool {
    let permitted = match offer.caller.id.0.as_str() {
        "5" if rules.listed => true,
        "6" if rules.listed => false,
        _ => rules.everybody,
    };
    matches!(offer.wish, Wish::Answer { .. }) && !rules.never && !rules.quiet && permitted
}

/// The generator makes withdrawals about the caller's room, about none, or about one of yesterday.
fn before_reference(word: &Withdrawal) -> bool {
    word.reference.sid.as_deref() != Some("RM-of-yesterday")
}

fn is_about(call: &Call, this_room: bool, word: &Withdrawal) -> bool {
    this_room && call.caller == format!("{}/{}", word.line.0, word.caller.0)
}
