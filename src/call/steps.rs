//! What the call machine does where its table says so: each function is one entry of the table, or a part of several.

use super::consent::Decision;
use super::limits::after;
use super::machine::Machine;
use super::state::{About, Accepted, AnsweredBy, Dialog, Fate, Message, Preparing, Presence, Ringing, Session, State, Waiting};
use super::{Action, CallId, Decline, Ending, Medium, Now, Offer, Record, Reply, Scene};
use jiff::Timestamp;
use std::time::{Duration, Instant};

/// How many missed calls are remembered for the screen.
const MISSED: usize = 9;

/// A key pressed this soon after a message came up was meant for what was there before, and must not close it unread.
const SETTLE: Duration = Duration::from_millis(300);

impl Machine {
    /// A new call. The television is woken and the dialog shown before anything else.
    pub(super) fn offered(&mut self, now: Now, offer: Offer) -> State {
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
        log::info!(CALL_ID = id.0, LINE = session.offer.caller.line.0.as_str(), CALLER_ID = session.offer.caller.id.0.as_str(); "offered: {decision:?}");
        let dialog = match decision {
            Decision::Ring(_) => Dialog::Ask,
            Decision::Countdown { length, .. } => Dialog::Notice { length },
        };
        let ringing = Ringing { session, expires: self.rings_until(now, dialog), dialog };
        self.show(ringing.scene());
        State::Ringing(ringing)
    }

    pub(super) fn rings_until(&self, now: Now, dialog: Dialog) -> Instant {
        after(now, self.limits.ring.saturating_add(dialog.length()))
    }

    /// The caller's request once more while it rings: a double click, or a redial after a lost `ended`; they can't be told
    /// apart (chatta.md 5.2). The dialog stays as it is, unless it would say something false; it never becomes more
    /// automatic than what the resident has seen, or has cancelled.
    pub(super) fn asked_again(&mut self, now: Now, mut ringing: Ringing, offer: Offer) -> State {
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
    pub(super) fn count_down(&mut self, now: Now, mut ringing: Ringing) -> State {
        match self.consent.decide(&ringing.session.offer, now) {
            Decision::Countdown { .. } => self.prepare(now, ringing.session, AnsweredBy::Itself),
            Decision::Ring(why) => {
                log::info!(CALL_ID = ringing.session.id.0; "no automatic answer after all: {why:?}");
                ringing.dialog = Dialog::Ask;
                self.show(ringing.scene());
                State::Ringing(ringing)
            }
        }
    }

    pub(super) fn prepare(&mut self, now: Now, session: Session, by: AnsweredBy) -> State {
        self.show(Scene::Connecting { call: session.id, caller: session.offer.caller.clone(), medium: session.medium });
        self.actions.push_back(Action::Prepare(session.id, session.offer.clone()));
        State::Preparing(Preparing { session, by, until: after(now, self.limits.prepare) })
    }

    /// The one place where a call is accepted, and the one that permits devices.
    pub(super) fn accept(&mut self, now: Now, preparing: Preparing) -> State {
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
    pub(super) fn rejoin(&mut self, now: Now, call: &mut Accepted, offer: Offer) -> bool {
        if now.mono < call.sent + self.limits.again {
            return false;
        }
        self.reply(Some(call.session.id), offer.clone(), Reply::Accepted);
        call.session.offer = offer;
        call.sent = now.mono;
        call.fate = Fate::Sent;
        true
    }

    pub(super) fn arrived(&mut self, mut call: Accepted) -> State {
        call.fate = Fate::Arrived;
        self.show_call(&call, Presence::Here);
        State::Talking(call, Presence::Here)
    }

    pub(super) fn doubt(&self, now: Now, call: &mut Accepted) {
        if call.fate == Fate::Sent {
            call.fate = Fate::Doubtful { repeat: after(now, self.limits.uncertain) };
        }
    }

    pub(super) fn repeat(&mut self, now: Now, call: &mut Accepted) {
        call.sent = now.mono;
        call.fate = Fate::Repeated;
        let (id, offer) = (call.session.id, call.session.offer.clone());
        self.actions.push_back(Action::Reply { call: Some(id), offer, reply: Reply::Accepted, repeat: true });
    }

    pub(super) fn mute(&mut self, call: &mut Accepted) {
        call.muted = !call.muted;
        self.actions.push_back(Action::Mute(call.session.id, call.muted));
    }

    pub(super) fn decline(&mut self, now: Now, over: Over, why: Decline) -> State {
        self.end(now, over, Ending::Declined(why), Some(Reply::Declined(why)))
    }

    pub(super) fn hang_up(&mut self, now: Now, call: Accepted, ending: Ending) -> State {
        self.end(now, Over::accepted(call), ending, Some(Reply::Ended))
    }

    /// The one way every call ends, but for [`Machine::stop`]: devices first, then the screen, then the caller.
    pub(super) fn end(&mut self, now: Now, over: Over, ending: Ending, reply: Option<Reply>) -> State {
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

    pub(super) fn disconnect(&mut self, over: &Over) {
        if over.accepted.is_some() {
            self.actions.push_back(Action::Disconnect(over.session.id));
        }
    }

    pub(super) fn tell_and_record(&mut self, now: Now, over: Over, ending: Ending, reply: Option<Reply>) {
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
    pub(super) fn stop(&mut self, now: Now, call: Option<(Over, Reply)>) -> State {
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
    pub(super) fn read(&mut self, now: Now, message: Message) -> State {
        if now.mono < message.since + SETTLE {
            return State::Message(message);
        }
        if matches!(message.about, About::Missed { .. }) {
            self.missed.clear();
        }
        self.clear(now)
    }

    /// After a message: the missed calls nobody has read of, or nothing, and the television as it was.
    pub(super) fn clear(&mut self, now: Now) -> State {
        if !self.missed.is_empty() {
            let about = self.show_missed(now);
            return State::Message(Message { about, since: now.mono });
        }
        self.show(Scene::Idle);
        self.restore();
        State::Idle
    }

    pub(super) fn show_missed(&mut self, now: Now) -> About {
        self.show(Scene::Missed { calls: self.missed.clone() });
        About::Missed { restore: self.woken.map(|_| after(now, self.limits.missed)) }
    }

    pub(super) fn show_call(&mut self, call: &Accepted, presence: Presence) {
        self.show(Scene::InCall {
            call: call.session.id,
            caller: call.session.offer.caller.clone(),
            medium: call.session.medium,
            weak: call.weak || presence != Presence::Here,
            muted: call.muted,
            no_camera: call.session.medium == Medium::Video && !self.devices.camera,
        });
    }

    pub(super) fn show(&mut self, scene: Scene) {
        self.actions.push_back(Action::Show(scene));
    }

    pub(super) fn reply(&mut self, call: Option<CallId>, offer: Offer, reply: Reply) {
        self.actions.push_back(Action::Reply { call, offer, reply, repeat: false });
    }

    pub(super) fn restore(&mut self) {
        self.actions.extend(self.woken.take().map(Action::Restore));
    }
}

/// A call at its end, as far as it came.
pub(super) struct Over {
    session: Session,
    answered: Option<AnsweredBy>,
    accepted: Option<Timestamp>,
}

impl Over {
    pub fn unanswered(session: Session) -> Over {
        Over { session, answered: None, accepted: None }
    }

    pub fn answered(preparing: Preparing) -> Over {
        Over { session: preparing.session, answered: Some(preparing.by), accepted: None }
    }

    pub fn accepted(call: Accepted) -> Over {
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
