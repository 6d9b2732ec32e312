//! The promises of the call machine. `table` says what each event does in each state, `cases` and `countdown` what happens in the
//! cases of chatta.md 5, `properties` what holds whatever happens.

mod cases;
mod countdown;
mod observer;
mod properties;
mod table;

use super::consent::{Automatic, Consent, Listed, Who};
use super::*;

/// A time of day; the monotonic clock moves with it.
pub(super) fn at(time: &str) -> Now {
    let wall: jiff::Timestamp = time.parse().unwrap();
    let first: jiff::Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    Now { mono: epoch() + Duration::try_from(wall.duration_since(first)).unwrap(), wall }
}

/// One instant for all tests, so that times can be compared.
fn epoch() -> Instant {
    static EPOCH: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    *EPOCH.get_or_init(Instant::now)
}

/// A video call by the caller with this id on `chatta`, who asks.
pub(super) fn offer_by(id: &str) -> Offer {
    let caller = Caller {
        line: LineId("chatta".into()),
        id: CallerId(id.into()),
        username: Some(format!("user{id}")),
        name: format!("Caller {id}"),
        role: None,
        photo: None,
    };
    let reference = Reference { room: Some(format!("user{id}-to-resident")), sid: Some(format!("RM{id}")) };
    Offer { caller, medium: Medium::Video, wish: Wish::Ask, reference }
}

/// The same, wishing to be answered after this long.
fn wishing(id: &str, after: Duration) -> Offer {
    Offer { wish: Wish::Answer { after }, ..offer_by(id) }
}

fn withdrawal_by(id: &str) -> Withdrawal {
    let offer = offer_by(id);
    Withdrawal { line: offer.caller.line, caller: offer.caller.id, reference: offer.reference }
}

fn listed(ids: &[&str]) -> Consent {
    let callers = ids.iter().map(|id| Listed::allowed(Who::Id((*id).into()))).collect();
    Consent { automatic: Automatic::ListedCallers, callers, ..Consent::default() }
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// A machine with a virtual clock.
#[derive(Clone)]
struct Fixture {
    machine: Machine,
    now: Now,
}

impl Fixture {
    /// Camera, microphone, and consent to caller 5.
    fn new() -> Fixture {
        Fixture::with(Limits::default(), listed(&["5"]))
    }

    fn with(limits: Limits, consent: Consent) -> Fixture {
        let devices = Devices { camera: true, microphone: true };
        Fixture { machine: Machine::new(limits, consent, CallId(1), devices), now: at("2026-11-20T12:00:00Z") }
    }

    /// What the machine does on this event.
    fn on(&mut self, event: Event) -> Vec<Action> {
        self.machine.handle(self.now, event);
        self.drain()
    }

    fn press(&mut self, press: Press) -> Vec<Action> {
        self.on(Event::Press(press))
    }

    fn room(&mut self, event: RoomEvent) -> Vec<Action> {
        self.on(Event::Room(self.id(), event))
    }

    fn prepared(&mut self) -> Vec<Action> {
        self.on(Event::Prepared(self.id(), Ok(())))
    }

    fn id(&self) -> CallId {
        self.machine.current().unwrap().0
    }

    fn phase(&self) -> Phase {
        self.machine.snapshot().phase
    }

    /// What the machine does while this long passes, each deadline served in time.
    fn pass(&mut self, duration: Duration) -> Vec<Action> {
        let end = self.now.mono + duration;
        let mut actions = Vec::new();
        while let Some(deadline) = self.machine.next_deadline().filter(|deadline| *deadline <= end) {
            actions.extend(self.jump(deadline));
        }
        self.move_to(end);
        actions
    }

    /// What the machine does at its next deadline.
    fn next(&mut self) -> Vec<Action> {
        let deadline = self.machine.next_deadline().unwrap();
        self.jump(deadline)
    }

    fn jump(&mut self, deadline: Instant) -> Vec<Action> {
        self.move_to(deadline.max(self.now.mono));
        self.machine.handle_timeout(self.now);
        assert!(self.machine.next_deadline().is_none_or(|next| next > deadline), "a deadline that is not served");
        self.drain()
    }

    fn move_to(&mut self, mono: Instant) {
        self.now.wall += mono - self.now.mono;
        self.now.mono = mono;
    }

    fn drain(&mut self) -> Vec<Action> {
        std::iter::from_fn(|| self.machine.poll_action()).collect()
    }

    /// Into the room with the caller, answered by a key.
    fn talk(&mut self, offer: Offer) {
        self.on(Event::Offered(offer));
        self.press(Press::Accept);
        self.prepared();
        self.room(RoomEvent::Joined);
        self.room(RoomEvent::CallerArrived);
        assert_eq!(self.phase(), Phase::Talking);
    }
}

/// Actions in short words.
fn words(actions: &[Action]) -> String {
    actions.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn word(action: &Action) -> String {
    match action {
        Action::Wake(id) => format!("wake {}", id.0),
        Action::Show(scene) => format!("show {}", scene_word(scene)),
        Action::Prepare(id, _) => format!("prepare {}", id.0),
        Action::Reply { call, offer, reply, repeat } => {
            let what = match reply {
                Reply::Accepted if *repeat => "accepted again".to_owned(),
                Reply::Accepted => "accepted".to_owned(),
                Reply::Declined(why) => short(why),
                Reply::Ended => "ended".to_owned(),
            };
            let about = if call.is_none() { " no call" } else { "" };
            format!("tell {} {what}{about}", offer.caller.id.0)
        }
        Action::Connect { call, camera, .. } => format!("connect {}{}", call.0, if *camera { "" } else { " without camera" }),
        Action::Mute(id, on) => format!("mute {} {on}", id.0),
        Action::Disconnect(id) => format!("disconnect {}", id.0),
        Action::Restore(id) => format!("restore {}", id.0),
        Action::Record(record) => {
            let how = match record.ending {
                Ending::Declined(why) => short(why),
                other => short(other),
            };
            format!("record {} {how}{}", record.call.0, if record.automatic { " automatic" } else { "" })
        }
    }
}

fn scene_word(scene: &Scene) -> String {
    match scene {
        Scene::Idle => "idle".into(),
        Scene::Ringing { call, .. } => format!("ringing {}", call.0),
        Scene::Countdown { call, until, .. } => format!("{} {}", if until.is_some() { "countdown" } else { "notice" }, call.0),
        Scene::Connecting { call, .. } => format!("connecting {}", call.0),
        Scene::InCall { call, weak, muted, no_camera, .. } => {
            let flags = [(*weak, " weak"), (*muted, " muted"), (*no_camera, " no-camera")];
            let flags: String = flags.iter().filter(|(set, _)| *set).map(|(_, word)| *word).collect();
            format!("in-call {}{flags}", call.0)
        }
        Scene::Ended { .. } => "ended".into(),
        Scene::Missed { calls } => format!("missed {}", calls.len()),
        Scene::NoCamera { .. } => "no-camera".into(),
    }
}

/// Serde's name of a plain enum.
fn short(value: impl serde::Serialize) -> String {
    serde_json::to_string(&value).unwrap().trim_matches('"').to_owned()
}
