//! Faults of devices, each at several moments of a call: what the resident sees, what the caller gets, what the journal says, and
//! how long it takes until it is well again. Every row is a call of the installed daemon in which the fault is really there; after
//! it the daemon is idle, is the same process, and holds no device.

use crate::daemon::{DEVICES, Tone, in_room, sees_and_hears};
use crate::guest::{self, CAMERA, PATIENCE, until};
use crate::participant::Participant;
use crate::service::{RESIDENT, Service};
use residentd::call::RoomEvent;
use residentd_lab::{CallOptions, Caller, Lab, Options, Reply, ReplyKind, Requested};
use std::fmt::Write as _;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    CameraUnplugged,
    CameraStalls,
    CameraHangs,
    CameraCrowdedOut,
    CameraHeld,
    CameraFails,
    CameraDropsMost,
    CameraAndMicrophoneUnplugged,
    MicrophoneUnplugged,
    MicrophoneHeld,
    MicrophoneOverruns,
    SpeakerUnplugged,
    SpeakerHeld,
    SpeakerUnderruns,
    TelevisionSwitchedAway,
    TelevisionPutToStandby,
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    BeforeTheCall,
    Ringing,
    Accepted,
    Talking,
    HangingUp,
}

/// What it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The caller sees a placeholder instead of the resident, and the camera when it is mended.
    Placeholder,
    /// The caller goes on seeing and hearing the resident.
    GoesOn,
    /// The caller is told so instead of an answer.
    Declined(&'static str),
    /// The call ends, and the caller is told.
    Ends,
    /// The end is as quick and as complete as without the fault.
    Closes,
}

use Kind::*;
use Moment::*;
use Outcome::*;

const KINDS: [Kind; 16] = [
    CameraUnplugged,
    CameraStalls,
    CameraHangs,
    CameraCrowdedOut,
    CameraHeld,
    CameraFails,
    CameraDropsMost,
    CameraAndMicrophoneUnplugged,
    MicrophoneUnplugged,
    MicrophoneHeld,
    MicrophoneOverruns,
    SpeakerUnplugged,
    SpeakerHeld,
    SpeakerUnderruns,
    TelevisionSwitchedAway,
    TelevisionPutToStandby,
];
const MOMENTS: [Moment; 5] = [BeforeTheCall, Ringing, Accepted, Talking, HangingUp];

/// What must come of it; `None` where the fault cannot be there in that moment (nobody else gets a device that we hold, and a
/// stream that does not run cannot be disturbed).
fn expected(kind: Kind, moment: Moment) -> Option<Outcome> {
    Some(match (kind, moment) {
        (CameraHeld | MicrophoneHeld | SpeakerHeld, Accepted | Talking | HangingUp) => return None,
        (MicrophoneOverruns | SpeakerUnderruns, BeforeTheCall | Ringing | Accepted) => return None,
        (CameraFails, Accepted) => return None,
        (TelevisionSwitchedAway | TelevisionPutToStandby, BeforeTheCall) => return None,
        (_, HangingUp) => Closes,
        (CameraUnplugged, BeforeTheCall) => Declined("no-camera"),
        (CameraAndMicrophoneUnplugged, BeforeTheCall) => Declined("no-camera"),
        (MicrophoneUnplugged, BeforeTheCall) => Declined("no-microphone"),
        (CameraUnplugged | CameraStalls | CameraHangs | CameraCrowdedOut | CameraHeld | CameraFails, _) => Placeholder,
        (MicrophoneUnplugged | MicrophoneHeld | CameraAndMicrophoneUnplugged | SpeakerUnplugged | SpeakerHeld, _) => Ends,
        (CameraDropsMost | MicrophoneOverruns | SpeakerUnderruns | TelevisionSwitchedAway | TelevisionPutToStandby, _) => GoesOn,
    })
}

/// One row of the table.
struct Row {
    kind: Kind,
    moment: Moment,
    resident: String,
    caller: String,
    journal: String,
    well_after: Duration,
}

/// A fault that is there until it is mended.
struct Fault {
    kind: Kind,
    holder: Option<Child>,
    leaving: Vec<Child>,
}

fn sound_card(number: u32, bind: &str) -> Child {
    let order = format!("echo snd_aloop.{number} > /sys/bus/platform/drivers/snd_aloop/{bind}");
    Command::new("sh").args(["-c", &order]).stderr(Stdio::null()).spawn().unwrap()
}

fn control(name: &str, value: u32) {
    guest::run("v4l2-ctl", &["-d", CAMERA, "-c", &format!("{name}={value}")]);
}

/// A fault of a running stream of a sound card: it is an overrun for recorders, an underrun for players.
fn xrun(card: &str, stream: &str) {
    let file = format!("/proc/asound/{card}/{stream}/sub0/xrun_injection");
    std::fs::write(&file, "1").unwrap_or_else(|e| panic!("{file}: {e}"));
}

impl Fault {
    fn inject(kind: Kind, moment: Moment, lab: &Lab) -> Fault {
        let running = matches!(moment, Accepted | Talking | HangingUp);
        let mut fault = Fault { kind, holder: None, leaving: Vec::new() };
        let hold = |line: &str| Some(Command::new("sh").args(["-c", &format!("exec {line} > /dev/null 2>&1")]).spawn().unwrap());
        match kind {
            CameraUnplugged => guest::usb_cable(false),
            CameraStalls => guest::camera_fault("stall", 1),
            CameraHangs => {
                guest::camera_fault("hang", 1);
                // a stream that runs is started again when no picture comes
                guest::camera_fault("stall", u32::from(running));
            }
            CameraCrowdedOut => {
                guest::camera_fault("bandwidth", 1);
                if running {
                    guest::usb_cable(false);
                    guest::usb_cable(true);
                }
            }
            CameraHeld => {
                fault.holder = hold(&format!("v4l2-ctl -d {CAMERA} --stream-mmap --stream-count=0"));
                until("the other program has the camera", || !guest::holders(CAMERA).is_empty());
            }
            CameraFails if running => control("inject_fatal_streaming_error", 1),
            CameraFails => control("inject_vidioc_streamon_error", 1),
            CameraDropsMost => control("percentage_of_dropped_buffers", 60),
            CameraAndMicrophoneUnplugged => {
                guest::usb_cable(false);
                fault.leaving.push(sound_card(0, "unbind"));
            }
            MicrophoneUnplugged => fault.leaving.push(sound_card(0, "unbind")),
            SpeakerUnplugged => fault.leaving.push(sound_card(1, "unbind")),
            MicrophoneHeld => {
                fault.holder = hold("arecord -q -D hw:Loopback,1,0 -f S16_LE -r 48000 -c 2 /dev/null");
                until("the other program has the microphone", || !guest::holders("/dev/snd/pcmC0D1c").is_empty());
            }
            SpeakerHeld => {
                fault.holder = hold("aplay -q -D hw:Speaker,0,1 -f S16_LE -r 48000 -c 2 /dev/zero");
                until("the other program has the loudspeaker", || !guest::holders("/dev/snd/pcmC1D0p").is_empty());
            }
            MicrophoneOverruns => xrun("Loopback", "pcm1c"),
            SpeakerUnderruns => xrun("Speaker", "pcm0p"),
            TelevisionSwitchedAway => lab.set_tv(|tv| tv.input = "hdmi2".into()),
            TelevisionPutToStandby => lab.set_tv(|tv| tv.power = residentd_lab::Power::Standby),
        }
        for card in ["Loopback", "Speaker"] {
            // unplugged at once for who uses it, even if it is only freed when the last of them has let go
            let gone = (card == "Loopback" && matches!(kind, MicrophoneUnplugged | CameraAndMicrophoneUnplugged))
                || (card == "Speaker" && kind == SpeakerUnplugged);
            until("the sound card is gone", || !gone || !std::path::Path::new("/proc/asound").join(card).exists());
        }
        fault
    }

    fn mend(mut self) {
        if let Some(mut holder) = self.holder.take() {
            let _ = holder.kill();
            let _ = holder.wait();
        }
        for mut leaving in self.leaving.drain(..) {
            // it waits until the last user has closed the card
            until("everybody lets go of the unplugged sound card", || leaving.try_wait().unwrap().is_some());
        }
        match self.kind {
            CameraUnplugged => guest::usb_cable(true),
            CameraStalls => guest::camera_fault("stall", 0),
            CameraHangs => {
                guest::camera_fault("stall", 0);
                guest::camera_fault("hang", 0);
            }
            CameraCrowdedOut => guest::camera_fault("bandwidth", 0),
            CameraDropsMost => control("percentage_of_dropped_buffers", 0),
            CameraAndMicrophoneUnplugged => {
                guest::usb_cable(true);
                assert!(sound_card(0, "bind").wait().unwrap().success());
            }
            MicrophoneUnplugged => assert!(sound_card(0, "bind").wait().unwrap().success()),
            SpeakerUnplugged => assert!(sound_card(1, "bind").wait().unwrap().success()),
            _ => {}
        }
        guest::run("udevadm", &["settle"]);
    }
}

struct House {
    lab: Lab,
    caller: Caller,
    service: Service,
    tone: Option<Tone>,
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
}

impl House {
    async fn start() -> House {
        let lab = Lab::start(Options::default()).await.unwrap();
        let mut caller = lab.caller("roger_chatta_admin");
        let settings = format!("{DEVICES}tv.driver = \"lab\"\ntv.lab = {:?}\ntv.sink = \"none\"\n", lab.tv_url());
        let service = Service::start(&lab, &settings);
        assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online:\n{}", service.journal().join("\n"));
        House { lab, caller, service, tone: None }
    }

    async fn reply(&mut self, what: &str) -> Reply {
        match self.caller.reply(PATIENCE).await {
            Some(reply) => reply,
            None => panic!("{what}: the caller hears nothing\n{}", self.service.journal().join("\n")),
        }
    }

    /// Requests a call and lets it ring, or gives what the caller was told instead.
    async fn ring(&mut self) -> (Requested, Option<Reply>) {
        let requested = self.caller.request(RESIDENT, &CallOptions::default());
        self.service.happening("the ringing", |e| matches!(e["kind"].as_str(), Some("offered" | "replied")));
        let told = self.caller.reply(Duration::from_millis(500)).await;
        (requested, told)
    }

    /// One call with one fault.
    async fn row(&mut self, kind: Kind, moment: Moment, outcome: Outcome) -> Row {
        let what = format!("{kind:?} {moment:?}");
        let pid = self.service.pid();
        self.service.forget();
        let mark = self.service.mark();
        self.tone.get_or_insert_with(Tone::start);
        let mut fault = None;
        let mut since = Instant::now();
        let mut inject = |at: Moment, lab: &Lab, fault: &mut Option<Fault>| {
            if at == moment {
                since = Instant::now();
                *fault = Some(Fault::inject(kind, moment, lab));
            }
        };
        inject(BeforeTheCall, &self.lab, &mut fault);
        let (requested, mut told) = self.ring().await;
        let mut end = None;
        if told.is_none() {
            inject(Ringing, &self.lab, &mut fault);
            self.service.order("/v1/accept");
            let reply = self.reply(&what).await;
            if reply.kind == ReplyKind::Accepted {
                inject(Accepted, &self.lab, &mut fault);
                let mut participant = in_room(&self.lab, &requested).await;
                participant.expect(RoomEvent::Joined).await;
                if matches!(moment, Talking | HangingUp) {
                    sees_and_hears(&participant);
                    inject(Talking, &self.lab, &mut fault);
                    inject(HangingUp, &self.lab, &mut fault);
                }
                end = Some(participant);
            } else {
                told = Some(reply);
            }
        }
        let mut fault = Some(fault.expect("every moment comes"));
        let well_after;
        let caller;
        match outcome {
            Declined(reason) => {
                let reply = told.unwrap_or_else(|| panic!("{what}: accepted"));
                assert_eq!(reply.kind, ReplyKind::Declined(Some(reason.into())), "{what}");
                well_after = since.elapsed();
                caller = format!("declined: {reason}");
            }
            Ends => {
                assert_eq!(told, None, "{what}");
                let reply = self.reply(&what).await;
                assert_eq!(reply.kind, ReplyKind::Ended, "{what}");
                well_after = since.elapsed();
                caller = "the call ended".into();
            }
            Placeholder => {
                assert_eq!(told, None, "{what}");
                let end = end.as_ref().unwrap();
                self.service.happening(&format!("{what}: notice of the camera's loss"), |e| {
                    e["kind"] == "notice" && e["text"].as_str().is_some_and(|t| t.starts_with("camera"))
                });
                let now = Watch::of(end);
                until(&format!("{what}: a placeholder and the sound"), || {
                    let then = Watch::of(end);
                    then.pictures > now.pictures && then.loud > now.loud
                });
                fault.take().unwrap().mend();
                let mended = Instant::now();
                self.service
                    .happening(&format!("{what}: the camera's return"), |e| e["kind"] == "notice" && e["text"] == "the camera is back");
                let now = Watch::of(end);
                until(&format!("{what}: the resident's picture again"), || Watch::of(end).moving >= now.moving + 3);
                well_after = mended.elapsed();
                caller = "a placeholder, then the resident again; the sound all the time".into();
            }
            GoesOn => {
                assert_eq!(told, None, "{what}");
                let end = end.as_ref().unwrap();
                let now = Watch::of(end);
                until(&format!("{what}: picture and sound go on"), || {
                    let then = Watch::of(end);
                    then.moving >= now.moving + 3 && then.loud > now.loud
                });
                well_after = since.elapsed();
                caller = "picture and sound as before".into();
            }
            Closes => {
                assert_eq!(told, None, "{what}");
                caller = "the end, as he wished".into();
                self.caller.end(RESIDENT, &requested);
                self.service.kind("closed");
                well_after = since.elapsed();
            }
        }
        let resident = self.service.status()["phase"].as_str().unwrap_or_default().to_owned();
        if matches!(outcome, Placeholder | GoesOn) {
            self.caller.end(RESIDENT, &requested);
            self.service.kind("closed");
        }
        if let Some(fault) = fault {
            fault.mend();
        }
        if matches!(kind, MicrophoneUnplugged | CameraAndMicrophoneUnplugged) {
            self.tone = None;
        }
        if let Some(mut end) = end {
            end.leave().await;
        }
        until(&format!("{what}: the daemon is idle"), || self.service.is_idle());
        until(&format!("{what}: every device is closed"), || self.service.open().is_empty());
        assert_eq!(guest::holders(CAMERA), Vec::<String>::new(), "{what}");
        assert_eq!(self.service.pid(), pid, "{what}: another process");
        Row { kind, moment, resident, caller, journal: self.service.first_warning(&mark), well_after }
    }
}

fn table(rows: &[Row]) -> String {
    let mut text =
        String::from("fault | moment | the resident's side | the caller gets | well after | the journal\n---|---|---|---|---|---\n");
    for row in rows {
        let Row { kind, moment, resident, caller, journal, well_after } = row;
        writeln!(text, "{kind:?} | {moment:?} | {resident} | {caller} | {:.1} s | {journal}", well_after.as_secs_f64()).unwrap();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-test"]
async fn no_fault_of_a_device_at_any_moment_of_a_call_leaves_anything_stuck_open_or_unsaid() {
    let only = std::env::var("DEVLAB_FAULT").unwrap_or_default();
    let mut house = House::start().await;
    let mut rows = Vec::new();
    for kind in KINDS {
        for moment in MOMENTS {
            let Some(outcome) = expected(kind, moment) else { continue };
            if !format!("{kind:?} {moment:?}").contains(&only) {
                continue;
            }
            let row = house.row(kind, moment, outcome).await;
            println!("{}", table(std::slice::from_ref(&row)).lines().last().unwrap());
            rows.push(row);
        }
    }
    let text = table(&rows);
    std::fs::write(guest::keep("faults.md"), &text).unwrap();
    println!("{text}");
    assert_eq!(house.service.property("NRestarts"), "0");
}
