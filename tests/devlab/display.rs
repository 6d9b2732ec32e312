//! The box's own display (vkms; virtio-gpu under qemu), read back as it is scanned out, or looked at from outside.

use crate::guest::{PATIENCE, display_cable, holders, is_guest, keep, until};
use crate::outside;
use drm::Device as _;
use drm::control::{Device as _, framebuffer};
use residentd::call::{CallId, Caller, CallerId, LineId, Medium, Scene};
use residentd::tv::displays::{self, Wanted};
use residentd::tv::headless::Headless;
use residentd::tv::output::Sink;
use residentd::tv::stage::{DriverEvent, Stage, View};
use residentd::tv::theatre::{Setting, Theatre};
use residentd::tv::{self, Command as Tv, Control, Display, Speaker, TvEvent, Wake};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, BorrowedFd};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;
use tokio::time::timeout;

const CARD: &str = "/dev/dri/card0";

fn ringing() -> View {
    let caller = Caller {
        line: LineId("chatta".into()),
        id: CallerId("5".into()),
        username: None,
        name: "Ada Admin".into(),
        role: None,
        photo: None,
    };
    View { scene: Scene::Ringing { call: CallId(1), caller, medium: Medium::Video }, focus: Default::default() }
}

fn theatre() -> (Theatre, mpsc::Receiver<DriverEvent>) {
    let (tell, events) = mpsc::channel(64);
    let setting = Setting {
        sink: Sink::Kms(Wanted::default(), None),
        sound: None,
        ring_volume: 70,
        font: String::new(),
        locale: "en".into(),
        time_zone: "UTC".into(),
    };
    (Theatre::start(setting, tell).unwrap(), events)
}

/// Waits until the dialog is seen, or not, and why.
async fn seen(events: &mut mpsc::Receiver<DriverEvent>) -> Result<(), String> {
    loop {
        match timeout(PATIENCE, events.recv()).await.expect("news of the display").unwrap() {
            DriverEvent::Shown(_) => return Ok(()),
            DriverEvent::Unseen(_, why) => return Err(why),
            _ => {}
        }
    }
}

/// As [`seen`]. The theatre of an earlier test may still be on its way out, and holds the display until then.
async fn seen_after_others(events: &mut mpsc::Receiver<DriverEvent>) {
    while let Err(why) = seen(events).await {
        assert!(why.contains("still being closed"), "{why}");
    }
}

/// Colours of what is scanned out, if anything is, at places given in thousandths of the dialog's width and height: 16:9, in the middle of
/// whatever the display is.
fn seen_on_the_display(name: &str, places: &[(usize, usize)]) -> Option<Vec<[u8; 3]>> {
    let file = keep(&format!("{name}.ppm"));
    if outside::is_there() {
        outside::look(name);
    } else {
        let reading = Command::new("python3").args(["tests/devlab/scanout.py", CARD]).arg(&file).stderr(Stdio::null()).status().unwrap();
        if !reading.success() {
            return None;
        }
    }
    let data = std::fs::read(&file).unwrap();
    let head = String::from_utf8_lossy(&data[..20]).into_owned();
    let mut words = head.split_ascii_whitespace().skip(1).map(|n| n.parse::<usize>().unwrap_or(0));
    let (width, height) = (words.next().unwrap(), words.next().unwrap());
    let pixels = &data[data.len() - 3 * width * height..];
    let tall = height.min(width * 9 / 16);
    let at = |(x, y): &(usize, usize)| 3 * (((height - tall) / 2 + y * tall / 1000) * width + x * width / 1000);
    Some(places.iter().map(|place| pixels[at(place)..at(place) + 3].try_into().unwrap()).collect())
}

/// Waits until the display shows who calls: the ground (#0d1b2e) beside the face, and the choice in focus, which is white.
pub fn the_dialog_is_seen(name: &str) {
    until("the dialog on the display", || {
        seen_on_the_display(name, &[(30, 500), (90, 680)])
            .is_some_and(|seen| seen[0][0] < 40 && seen[0][2] > 30 && seen[1].iter().all(|c| *c > 220))
    });
}

/// What the display scans out. It holds the display from nobody.
pub struct Lit(File);

impl AsFd for Lit {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl drm::Device for Lit {}

impl drm::control::Device for Lit {}

impl Lit {
    pub fn watch() -> Lit {
        let display = Lit(OpenOptions::new().read(true).write(true).open("/dev/dri/card0").unwrap());
        // whoever comes first is its master, and that is not us
        let _ = display.release_master_lock();
        display.set_client_capability(drm::ClientCapability::UniversalPlanes, true).unwrap();
        display
    }

    /// What is scanned out, if anything is.
    pub fn picture(&self) -> Option<framebuffer::Handle> {
        self.plane_handles().unwrap().into_iter().find_map(|plane| self.get_plane(plane).unwrap().framebuffer())
    }

    /// How long until another picture is scanned out.
    pub fn next(&self, before: Option<framebuffer::Handle>, from: Instant) -> Duration {
        while self.picture().is_none_or(|now| Some(now) == before) {
            assert!(from.elapsed() < PATIENCE, "no picture");
            std::thread::sleep(Duration::from_millis(2));
        }
        from.elapsed()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the device lab: make devlab-test"]
async fn the_dialog_is_scanned_out_and_comes_back_with_the_cable() {
    is_guest();
    display_cable(true);
    let (mut theatre, mut events) = theatre();
    theatre.show(1, &ringing());
    seen_after_others(&mut events).await;
    the_dialog_is_seen("ringing");

    display_cable(false);
    let why = seen(&mut events).await.unwrap_err();
    assert!(why.contains("unplugged") || why.contains("plugged in"), "{why}");
    display_cable(true);
    assert_eq!(seen(&mut events).await, Ok(()));
}

/// A mode as an EDID says it ("detailed timing").
type Timing = [u8; 18];

const HD_60: Timing = [1, 0x1d, 0, 0x72, 0x51, 0xd0, 0x1e, 0x20, 0x6e, 0x28, 0x55, 0, 0xe0, 0x0e, 0x11, 0, 0, 0x1e];
const FULL_HD_60: Timing = [2, 0x3a, 0x80, 0x18, 0x71, 0x38, 0x2d, 0x40, 0x58, 0x2c, 0x45, 0, 0xe0, 0x0e, 0x11, 0, 0, 0x1e];
/// Twice as many pixels a second.
const FULL_HD_120: Timing = [4, 0x74, 0x80, 0x18, 0x71, 0x38, 0x2d, 0x40, 0x58, 0x2c, 0x45, 0, 0xe0, 0x0e, 0x11, 0, 0, 0x1e];

/// What a television of this name says of itself, that shows these modes, the first one best, and nothing else (VESA E-EDID 1.3).
fn edid(name: &str, modes: &[Timing]) -> [u8; 128] {
    let mut edid = [0; 128];
    edid[1..7].fill(0xff);
    // maker "RES", version 1.3, digital, its size, gamma 2.2, the first timing is the best
    edid[8..25].copy_from_slice(&[0x48, 0xb3, 1, 0, 0, 0, 0, 0, 1, 30, 1, 3, 0x80, 48, 27, 120, 0x0a]);
    // no timings of VESA's
    edid[38..54].fill(1);
    // two places that may hold nothing
    (edid[93], edid[111]) = (0x10, 0x10);
    for (place, mode) in [54, 90, 108].into_iter().zip(modes) {
        edid[place..place + 18].copy_from_slice(mode);
    }
    edid[75] = 0xfc;
    edid[77..90].fill(b' ');
    edid[77..77 + name.len()].copy_from_slice(name.as_bytes());
    edid[77 + name.len()] = b'\n';
    edid[127] = edid.iter().fold(0u8, |sum, byte| sum.wrapping_sub(*byte));
    edid
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the device lab: make devlab-test"]
async fn the_television_is_called_and_driven_as_its_edid_says() {
    is_guest();
    display_cable(true);
    let says = |edid: &[u8]| std::fs::write("/sys/kernel/debug/dri/0/Virtual-1/edid_override", edid).unwrap();
    let driven = || displays::list().unwrap().into_iter().find_map(|d| d.current).map(|m| (m.width, m.height, m.rate));
    // The kernel sets it to a mode of its own whenever the last program has closed it, but not before the first one has.
    until("the display without programs", || holders(CARD).is_empty());
    driven();
    let before = driven();
    says(&edid("BRAVIA", &[HD_60]));
    let all = displays::list().unwrap();
    let (display, mode) = displays::choose(&all, &Wanted::default()).unwrap();
    assert_eq!((display.monitor.as_deref(), mode.width, mode.height, mode.rate), (Some("BRAVIA"), 1280, 720, 60), "{display:?}");
    let (mut small, mut events) = theatre();
    small.show(1, &ringing());
    seen_after_others(&mut events).await;
    the_dialog_is_seen("720p");
    assert_eq!(driven(), Some((1280, 720, 60)));
    drop(small);

    says(&edid("BRAVIA", &[HD_60, FULL_HD_120, FULL_HD_60]));
    let (mut large, mut events) = theatre();
    large.show(1, &ringing());
    seen_after_others(&mut events).await;
    the_dialog_is_seen("1080p");
    assert_eq!(driven(), Some((1920, 1080, 60)));
    drop(large);
    until("the display as it was before", || driven() == before);
    says(b"reset");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the device lab: make devlab-test"]
async fn another_program_that_holds_the_display_is_named_and_waited_for() {
    is_guest();
    display_cable(true);
    let hold = format!("import os,time; os.open('{CARD}', os.O_RDWR); print(1, flush=True); time.sleep(600)");
    let mut holder = Command::new("python3").args(["-c", &hold]).stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let (mut theatre, mut events) = theatre();
    theatre.show(1, &ringing());
    let why = seen(&mut events).await.unwrap_err();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert!(why.contains("python3 holds /dev/dri/card0"), "{why}");
    assert_eq!(seen(&mut events).await, Ok(()));
}

/// Waits until the kernel says so of the display's signal.
fn signal(wanted: &str) {
    let connector = displays::list().unwrap().into_iter().find(|d| !d.connector.starts_with("Writeback")).unwrap();
    let file = format!("/sys/class/drm/card0-{}/dpms", connector.connector);
    until(&format!("the signal is {wanted}"), || std::fs::read_to_string(&file).unwrap().trim() == wanted);
}

/// Waits for this event; another account of waking would be wrong.
async fn told(events: &mut mpsc::Receiver<TvEvent>, wanted: TvEvent) {
    loop {
        let event = timeout(PATIENCE, events.recv()).await.expect("news of the television").unwrap();
        if event == wanted {
            return;
        }
        assert!(!matches!(event, TvEvent::Woken(_)), "{event:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the device lab: make devlab-test"]
async fn the_signal_is_off_between_calls_and_the_dialog_lights_it() {
    is_guest();
    display_cable(true);
    let settings = tv::Settings {
        control: Control::Dpms,
        display: Display::Kms,
        wanted: Wanted::default(),
        speaker: Speaker::None,
        ring_volume: 70,
        remotes: None,
        keymap: None,
        font: String::new(),
        locale: "en".into(),
        time_zone: "UTC".into(),
    };
    let driver = tv::open(&settings).unwrap().driver;
    let (commands, mut events) = tv::spawn(tv::Config::default(), driver, Headless::new().0.memory());
    signal("Off");
    for call in 1..=2 {
        commands.send(Tv::Wake(CallId(call))).await.unwrap();
        commands.send(Tv::Show(ringing().scene)).await.unwrap();
        told(&mut events, TvEvent::Woken(Wake::Woken)).await;
        signal("On");
        // Its end, and a missed call that stays until a key.
        commands.send(Tv::Restore(CallId(call))).await.unwrap();
        told(&mut events, TvEvent::Restored(CallId(call))).await;
        signal("On");
        commands.send(Tv::Show(Scene::Idle)).await.unwrap();
        signal("Off");
    }
}
