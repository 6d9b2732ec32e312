//! One call with one fault.

use super::Row;
use super::fault::{Fault, mend_everything};
use super::resident;
use super::table::{Case, Kind, Moment, Outcome, Place};
use crate::cec::Television;
use crate::daemon::{DEVICES, Tone, answered, in_room, sees_and_hears};
use crate::guest::{self, CAMERA, CEC_BOX, PATIENCE, until};
use crate::keys::Remote;
use crate::participant::Participant;
use crate::service::{Held, RESIDENT, Service};
use crate::whole;
use evdev::{Device, KeyCode};
use residentd::call::RoomEvent;
use residentd::journal::messages::{self, Message};
use residentd_lab::{CallOptions, Caller, Lab, Options, Reply, ReplyKind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use Moment::*;
use Outcome::*;

/// What a call takes place in; for many rows the same.
pub struct House {
    // ends first: it puts the television back
    pub service: Service,
    pub lab: Lab,
    /// Where in the journal the row began.
    pub mark: String,
    /// Of the box, where it has one of its own.
    pub remote: Option<BoxRemote>,
    caller: Caller,
    place: Place,
    set: Option<Television>,
    tone: Option<Tone>,
    /// Of the daemon, after the first row: what it keeps from then on is there.
    held: Option<Held>,
}

/// A remote control, and another program that may keep it to itself.
pub struct BoxRemote {
    keys: Remote,
    other: Device,
}

impl BoxRemote {
    fn new() -> BoxRemote {
        let mut keys = Remote::new("Device lab remote");
        let other = keys.other();
        BoxRemote { keys, other }
    }

    pub fn grab(&mut self, grabbed: bool) {
        if grabbed { self.other.grab() } else { self.other.ungrab() }.unwrap();
    }

    fn press(&mut self, key: KeyCode) {
        self.keys.key(key, 1);
        self.keys.key(key, 0);
    }
}

/// What the caller gets from now on.
struct Watch {
    pictures: u64,
    moving: u64,
    loud: u64,
}

impl Watch {
    fn of(end: &Participant) -> Watch {
        let picture = &end.picture;
        Watch {
            pictures: picture.pictures.load(Ordering::Relaxed),
            moving: picture.moving.load(Ordering::Relaxed),
            loud: end.loud.load(Ordering::Relaxed),
        }
    }

    /// Waits until more has come.
    fn more(what: &str, end: &Participant, wanted: impl Fn(&Watch, &Watch) -> bool) {
        let before = Watch::of(end);
        until(what, || wanted(&before, &Watch::of(end)));
    }
}

impl House {
    pub async fn start(place: Place) -> House {
        let lab = Lab::start(Options::default()).await.unwrap();
        let mut caller = lab.caller("roger_chatta_admin");
        let (set, remote) = match place {
            Place::Devices => (None, None),
            Place::Television => (Some(Television::new()), Some(BoxRemote::new())),
        };
        let settings = match place {
            Place::Devices => format!("{DEVICES}tv.driver = \"lab\"\ntv.lab = {:?}\ntv.sink = \"none\"\n", lab.tv_url()),
            Place::Television => whole::settings().replace(CAMERA, "test"),
        };
        let service = Service::start(&lab, &settings);
        assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online:\n{}", service.journal().join("\n"));
        let mark = service.mark();
        House { service, lab, caller, place, mark, set, remote, tone: None, held: None }
    }

    /// Ends it, and mends what is left broken.
    pub fn clear(self) {
        for name in ["stall", "hang"] {
            guest::camera_fault(name, 0);
        }
        for module in ["vkms", "snd_aloop"] {
            guest::hangs(module, 0);
        }
        let House { service, tone, set, .. } = self;
        drop((service, tone, set));
        mend_everything();
    }

    /// The television at the other end of the cable.
    pub fn set(&mut self) -> &mut Television {
        self.set.as_mut().expect("only faults of this place")
    }

    pub fn remote(&mut self) -> &mut BoxRemote {
        self.remote.as_mut().expect("only faults of this place")
    }

    pub fn plug_remote(&mut self) {
        self.remote = Some(BoxRemote::new());
    }

    async fn reply(&mut self, what: &str) -> Reply {
        self.caller.reply(PATIENCE).await.unwrap_or_else(|| panic!("{what}: the caller hears nothing"))
    }

    /// Presses this key of the remote control until the caller hears of it: being taken is announced by nothing.
    async fn press_until_replied(&mut self, key: KeyCode) -> Reply {
        let House { caller, remote, lab, .. } = self;
        let press = || match remote {
            Some(remote) => remote.press(key),
            None => lab.press(if key == KeyCode::KEY_OK { "ok" } else { "red" }),
        };
        answered(caller, press).await
    }

    /// Waits until the television was woken for this call.
    fn awake(&self, what: &str) {
        let said = |line: &String| line.contains("television: Woken") || line.contains("television: AlreadyOn");
        until(&format!("{what}: the waking"), || self.service.journal_since(&self.mark).iter().any(said));
    }

    /// Waits for the line in the journal.
    fn told(&self, what: &str, message: Option<&Message>) -> String {
        let Some(message) = message else { return String::new() };
        let mut line = None;
        until(&format!("{what}: the journal's line"), || {
            line = self.service.said(&self.mark, message);
            line.is_some()
        });
        line.unwrap_or_default()
    }

    pub async fn row(&mut self, case: &Case) -> Row {
        let Case { kind, moment, outcome, says } = *case;
        let what = format!("{kind:?} {moment:?}");
        self.service.forget();
        self.mark = self.service.mark();
        self.tone.get_or_insert_with(Tone::start);
        let mut since = Instant::now();
        let mut fault = None;
        let inject = |at: Moment, house: &mut House, fault: &mut Option<Fault>, since: &mut Instant| {
            if at == moment {
                *since = Instant::now();
                *fault = Some(Fault::inject(kind, moment, house));
            }
        };
        let before = self.lab.tv().borrow().clone();
        inject(BeforeTheCall, self, &mut fault, &mut since);
        // a call by video is taken without a microphone, too, and ends when that turns out to be missing
        let audio_only = outcome == Declined("no-microphone");
        let requested = self.caller.request(RESIDENT, &CallOptions { audio_only, ..CallOptions::default() });
        self.service.happening("the ringing", |e| e["kind"] == "offered");
        let mut end = None;
        let mut well_after = None;
        if !matches!(outcome, Declined(_)) {
            if kind.is_about_the_set() && moment != BeforeTheCall {
                self.awake(&what);
            }
            inject(Ringing, self, &mut fault, &mut since);
            let reply = if outcome == ByKeyLater && moment != Talking {
                // the daemon has tried, and failed, to take it
                self.told(&what, says);
                fault.take().unwrap().mend(self);
                since = Instant::now();
                let reply = self.press_until_replied(KeyCode::KEY_OK).await;
                well_after = Some(since.elapsed());
                reply
            } else if self.place == Place::Devices && kind.is_about_the_set() {
                // by the way that the news of the television take, and so after them
                self.press_until_replied(KeyCode::KEY_OK).await
            } else {
                self.service.order("/v1/accept");
                self.reply(&what).await
            };
            assert_eq!(reply.kind, ReplyKind::Accepted, "{what}");
            if kind == Kind::TelevisionWakesLate {
                fault.take().unwrap().mend(self);
                since = Instant::now();
                self.awake(&what);
                well_after = Some(since.elapsed());
            }
            if moment == Accepted && kind == Kind::TelevisionPutToStandby {
                // who switches it off while it still rings for the daemon answers all the same, and has it woken again
                self.service.kind("opened");
            }
            inject(Accepted, self, &mut fault, &mut since);
            let mut participant = in_room(&self.lab, &requested).await;
            participant.expect(RoomEvent::Joined).await;
            if matches!(moment, Talking | HangingUp) {
                sees_and_hears(&participant);
                inject(Talking, self, &mut fault, &mut since);
                inject(HangingUp, self, &mut fault, &mut since);
            }
            end = Some(participant);
        }
        let mut over = false;
        let mut resident = None;
        let caller = match outcome {
            Declined(reason) => {
                assert_eq!(self.reply(&what).await.kind, ReplyKind::Declined(Some(reason.into())), "{what}");
                over = true;
                format!("declined: {reason}")
            }
            Ends => {
                assert_eq!(self.reply(&what).await.kind, ReplyKind::Ended, "{what}");
                over = true;
                "the call ended".into()
            }
            Placeholder => {
                let end = end.as_ref().unwrap();
                self.service.happening(&format!("{what}: notice of the camera's loss"), |e| {
                    e["kind"] == "notice" && e["text"].as_str().is_some_and(|t| t.starts_with("camera"))
                });
                resident = Some(resident::sees(&self.service.status(), false));
                Watch::more(&format!("{what}: a placeholder and the sound"), end, |a, b| b.pictures > a.pictures && b.loud > a.loud);
                fault.take().unwrap().mend(self);
                since = Instant::now();
                self.service
                    .happening(&format!("{what}: the camera's return"), |e| e["kind"] == "notice" && e["text"] == "the camera is back");
                Watch::more(&format!("{what}: the resident's picture again"), end, |a, b| b.moving >= a.moving + 3);
                "a placeholder, then the resident again; the sound all the time".into()
            }
            GoesOn => {
                let end = end.as_ref().unwrap();
                let told = format!("{what}: picture and sound go on");
                Watch::more(&told, end, |a, b| b.moving >= a.moving + 3 && b.loud > a.loud);
                "picture and sound as before".into()
            }
            ByKeyLater if moment == Talking => {
                fault.take().unwrap().mend(self);
                since = Instant::now();
                assert_eq!(self.press_until_replied(KeyCode::KEY_RED).await.kind, ReplyKind::Ended, "{what}");
                over = true;
                "the end, once the resident can say so".into()
            }
            ByKeyLater => {
                sees_and_hears(end.as_ref().unwrap());
                "the answer, once the resident can give it".into()
            }
            Closes => {
                self.caller.end(RESIDENT, &requested);
                self.service.kind("closed");
                over = true;
                "the end, as he wished".into()
            }
        };
        let mut well_after = well_after.unwrap_or_else(|| since.elapsed());
        let status = self.service.status();
        let ended = over || outcome == ByKeyLater && moment == Talking;
        assert_eq!(status["phase"], if ended { "message" } else { "talking" }, "{what}");
        let resident = resident.unwrap_or_else(|| resident::sees(&status, true));
        if matches!(kind, Kind::DisplayUnplugged | Kind::DisplayHeld | Kind::DisplayHangs) && outcome == GoesOn {
            self.told(&what, says);
            let shown = |house: &House| house.service.journal_since(&house.mark).iter().filter(|l| l.contains("showing on")).count();
            let before = shown(self);
            fault.take().unwrap().mend(self);
            since = Instant::now();
            until(&format!("{what}: the picture on the display"), || shown(self) > before);
            well_after = since.elapsed();
        }
        let mut journal = String::new();
        let at_the_end = says.is_some_and(|message| message.id == messages::TV_SILENT.id);
        if !at_the_end {
            journal = self.told(&what, says);
        }
        if !over {
            self.caller.end(RESIDENT, &requested);
            self.service.kind("closed");
        }
        if at_the_end {
            journal = self.told(&what, says);
        }
        if let Some(fault) = fault {
            let heard = Television::heard().len();
            fault.mend(self);
            if at_the_end {
                since = Instant::now();
                until(&format!("{what}: the television put back"), || Television::heard()[heard..].contains("INACTIVE_SOURCE"));
                well_after = since.elapsed();
            }
        }
        if matches!(kind, Kind::MicrophoneUnplugged | Kind::CameraAndMicrophoneUnplugged) {
            self.tone = None;
        }
        if let Some(mut end) = end {
            end.leave().await;
        }
        until(&format!("{what}: the daemon is idle"), || self.service.is_idle());
        self.service.kind("restored");
        if self.place == Place::Devices && !kind.is_about_the_set() {
            assert_eq!(*self.lab.tv().borrow(), before, "{what}: the television is not as it was");
        }
        until(&format!("{what}: every device is closed"), || self.service.open().iter().all(|file| self.is_listened_to(file)));
        assert_eq!(guest::holders(CAMERA), Vec::<String>::new(), "{what}");
        assert!(!self.service.was_restarted(), "{what}: another process");
        self.holds_no_more(&what);
        Row { resident, caller, journal, well_after }
    }

    /// A leak is one more of each a call, and is never given back; some threads of the pools come and go.
    fn holds_no_more(&mut self, what: &str) {
        const SPARE: usize = 3;
        let Some(before) = &self.held else {
            self.held = Some(self.service.held());
            return;
        };
        let end = Instant::now() + PATIENCE;
        loop {
            let now = self.service.held();
            if now.threads.len() <= before.threads.len() + SPARE && now.files.len() <= before.files.len() + SPARE {
                return;
            }
            assert!(Instant::now() < end, "{what}: the daemon keeps threads or files: {now:#?}, before {before:#?}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// What a daemon has open all the time: the way to the television and to the remote controls.
    fn is_listened_to(&self, file: &str) -> bool {
        self.place == Place::Television && (file == CEC_BOX || file.starts_with("/dev/input/"))
    }
}
