//! The camera of a call, on the kernel's own interface: what it offers, a bus without room, plugs pulled, others who hold it,
//! drivers that stall and hang, and that it is closed when nobody calls.

use crate::guest::{CAMERA, HDMI_OUT, PATIENCE, camera_fault, holders, is_guest, keep, until, usb_cable};
use residentd::media::session::{CameraSource, Config, MicrophoneSource, Session};
use residentd::media::{Codec, MediaEvent, Outputs, PictureSink, SoundOut, devices};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Counts pictures.
#[derive(Default)]
struct Watcher(AtomicU64);

impl PictureSink for Watcher {
    fn push(&self, _: &gstreamer::Sample) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// What the journal would have.
static JOURNAL: Mutex<Vec<String>> = Mutex::new(Vec::new());

struct Journal;

impl log::Log for Journal {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }

    fn log(&self, record: &log::Record) {
        let line = record.args().to_string();
        println!("{}: {line}", record.level());
        JOURNAL.lock().unwrap().push(line);
    }

    fn flush(&self) {}
}

/// A call's session with the camera, as the daemon opens it.
struct Call {
    session: Session,
    pictures: Arc<Watcher>,
    events: mpsc::Receiver<MediaEvent>,
}

fn call(width: u32, height: u32) -> Call {
    is_guest();
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_boxed_logger(Box::new(Journal)).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    let pictures = Arc::new(Watcher::default());
    let outputs = Outputs { remote: Arc::new(Watcher::default()), own: pictures.clone(), sound: SoundOut::Null };
    let config = Config {
        camera: CameraSource::V4l2(CAMERA.into()),
        microphone: MicrophoneSource::None,
        width,
        height,
        fps: 15,
        ..Config::default()
    };
    let (tell, events) = mpsc::channel(32);
    Call { session: Session::open(config, true, outputs, tell).unwrap(), pictures, events }
}

impl Call {
    fn event(&mut self) -> MediaEvent {
        let mut got = None;
        until("the next event of the camera", || {
            got = self.events.try_recv().ok();
            got.is_some()
        });
        got.unwrap()
    }

    fn lost(&mut self) -> String {
        match self.event() {
            MediaEvent::CameraLost(line) => line,
            other => panic!("another event came first: {other:?}"),
        }
    }

    fn seen(&self, more: u64) {
        let before = self.pictures.0.load(Ordering::Relaxed);
        until("pictures", || self.pictures.0.load(Ordering::Relaxed) >= before + more);
    }

    /// Hangs up; how long it took until nobody had the camera open any more.
    fn end(self) -> Duration {
        let from = Instant::now();
        self.session.close();
        until("the camera's end", || holders(CAMERA).is_empty());
        from.elapsed()
    }
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn cameras_are_listed_with_what_they_offer_and_why_it_is_taken() {
    is_guest();
    let found = devices::list(Config::default().want());
    std::fs::write(keep("devices.txt"), found.to_string()).unwrap();
    let camera = found.cameras.iter().find(|c| c.path.to_str() == Some(CAMERA)).unwrap();
    assert_eq!(camera.driver, "vivid");
    assert!(camera.modes.len() > 10, "{camera:#?}");
    let best = &camera.choices[0];
    assert!(best.rate.is_some_and(|r| r.per_second() >= 15.0) && !best.why.is_empty(), "{camera:#?}");
    assert!((best.width, best.height) >= (640, 360), "{camera:#?}");
    assert!(found.cameras.iter().all(|c| c.path.to_str() != Some(HDMI_OUT)), "an output is no camera");
    assert_eq!(holders(CAMERA), Vec::<String>::new(), "nothing is left open");
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn the_camera_is_open_in_a_call_only() {
    assert_eq!(holders(CAMERA), Vec::<String>::new());
    let mut ends = Vec::new();
    for _ in 0..5 {
        let call = call(320, 180);
        call.seen(5);
        assert_eq!(holders(CAMERA).len(), 1);
        ends.push(call.end());
        assert_eq!(holders(CAMERA), Vec::<String>::new());
    }
    println!("end of call to camera closed: {ends:?}");
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn a_bus_without_room_gets_a_smaller_picture_and_is_called_by_its_name() {
    camera_fault("bandwidth", 4_000_000);
    let mut call = call(1280, 720);
    call.seen(10);
    assert!(call.events.try_recv().is_err(), "stepping down is no loss");
    assert!(JOURNAL.lock().unwrap().iter().any(|line| line.contains("USB bandwidth") && line.contains("a way that needs less is tried")));
    call.end();
    // Nothing fits: the caller sees the placeholder, and the line says why.
    camera_fault("bandwidth", 1);
    let mut call = self::call(1280, 720);
    let line = call.lost();
    assert!(line.contains("USB bandwidth") && line.contains("another port"), "{line}");
    call.seen(3);
    camera_fault("bandwidth", 0);
    assert_eq!(call.event(), MediaEvent::CameraBack);
    call.end();
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn a_camera_that_is_pulled_in_a_call_is_used_again_when_it_is_put_in() {
    let mut call = call(320, 180);
    let packets: Arc<AtomicU64> = Arc::default();
    let count = packets.clone();
    let outlet = Arc::new(move |_| {
        count.fetch_add(1, Ordering::Relaxed);
    });
    let _sending = call.session.send(Codec::Vp8, 96, outlet).unwrap();
    call.seen(5);
    for _ in 0..2 {
        usb_cable(false);
        let line = call.lost();
        assert!(line.contains(CAMERA) && line.contains("plug"), "{line}");
        let sent = packets.load(Ordering::Relaxed);
        until("packets of the placeholder", || packets.load(Ordering::Relaxed) > sent);
        usb_cable(true);
        assert_eq!(call.event(), MediaEvent::CameraBack);
        call.seen(5);
    }
    call.end();
}

/// Another program; it ends with the test, however that ends.
struct Other(Child);

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn a_camera_that_another_program_holds_names_that_program() {
    is_guest();
    let program = ["-d", CAMERA, "--stream-mmap"];
    let mut other = Other(Command::new("v4l2-ctl").args(program).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    // It writes a sign for each picture; the pipe stays open as long as it does.
    let mut signs = other.0.stderr.take().unwrap();
    signs.read_exact(&mut [0]).expect("a picture for the other program");
    let mut call = call(320, 180);
    let line = call.lost();
    assert!(line.contains(&format!("process {} (v4l2-ctl)", other.0.id())) && line.contains("end that program"), "{line}");
    call.seen(3);
    drop(other);
    assert_eq!(call.event(), MediaEvent::CameraBack);
    call.end();
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn a_camera_that_stalls_is_lost_and_comes_back() {
    let mut call = call(320, 180);
    call.seen(5);
    camera_fault("stall", 1);
    let line = call.lost();
    assert!(line.contains("nothing came from it for"), "{line}");
    call.seen(3);
    camera_fault("stall", 0);
    assert_eq!(call.event(), MediaEvent::CameraBack);
    call.end();
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn a_driver_that_never_returns_holds_up_neither_the_call_nor_its_end() {
    camera_fault("hang", 1);
    let mut call = call(320, 180);
    let line = call.lost();
    assert!(line.contains("nothing came"), "{line}");
    call.seen(3);
    let from = Instant::now();
    call.session.close();
    assert!(from.elapsed() < PATIENCE, "{:?}", from.elapsed());
    println!("end of a call with a hanging driver: {:?}", from.elapsed());
    camera_fault("hang", 0);
    until("the camera's end", || holders(CAMERA).is_empty());
    // And the next call has it.
    let call = self::call(320, 180);
    call.seen(5);
    call.end();
}
