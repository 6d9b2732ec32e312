//! The camera of a call, on the kernel's own interface: what it offers, cameras that code, a bus without room, dim rooms, plugs pulled,
//! others who hold it, drivers that stall and hang, and that it is closed when nobody calls.

use crate::guest::{self, CAMERA, HDMI_OUT, PATIENCE, camera_fault, holders, is_guest, keep, until, usb_cable};
use gstreamer::prelude::*;
use residentd::media::camera::controls::Mains;
use residentd::media::session::{CameraSource, Config, MicrophoneSource, Session};
use residentd::media::{Codec, MediaEvent, Outputs, PictureSink, SoundOut, devices};
use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, Once};
use std::thread::JoinHandle;
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
    call_by(Config { camera: CameraSource::V4l2(CAMERA.into()), width, height, ..Config::default() })
}

fn call_by(config: Config) -> Call {
    is_guest();
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        log::set_boxed_logger(Box::new(Journal)).unwrap();
        log::set_max_level(log::LevelFilter::Info);
    });
    let pictures = Arc::new(Watcher::default());
    let outputs = Outputs { remote: Arc::new(Watcher::default()), own: pictures.clone(), sound: SoundOut::Null };
    let config = Config { microphone: MicrophoneSource::None, fps: 15, ..config };
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

/// What a control of the camera is set to.
fn control(id: u32) -> i64 {
    match v4l::Device::with_path(CAMERA).unwrap().control(id).unwrap().value {
        v4l::control::Value::Integer(number) => number,
        v4l::control::Value::Boolean(on) => on.into(),
        other => panic!("{other:?}"),
    }
}

const POWER_LINE_FREQUENCY: u32 = 0x0098_0918;
const EXPOSURE_AUTO_PRIORITY: u32 = 0x009a_0903;

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn the_camera_knows_the_mains_and_keeps_its_rate_in_a_dim_room() {
    let camera = || CameraSource::V4l2(CAMERA.into());
    for (mains, hertz) in [(Mains::Hertz60, 2), (Mains::Hertz50, 1)] {
        let call = call_by(Config { camera: camera(), mains, width: 320, height: 180, ..Config::default() });
        call.seen(1);
        assert_eq!((control(POWER_LINE_FREQUENCY), control(EXPOSURE_AUTO_PRIORITY)), (hertz, 1));
        call.end();
    }
    // as much light as the rate allows, and no more
    camera_fault("dim", 1);
    let call = call(320, 180);
    until("the rate is kept", || control(EXPOSURE_AUTO_PRIORITY) == 0);
    let (from, before) = (Instant::now(), call.pictures.0.load(Ordering::Relaxed));
    call.seen(30);
    println!("{} pictures in {:?}", call.pictures.0.load(Ordering::Relaxed) - before, from.elapsed());
    camera_fault("dim", 0);
    call.end();
}

/// A camera that codes by itself: the kernel's loop, and a thread that writes the same coded pictures into it again and again.
struct Coding {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

const CODING: &str = "/dev/video9";

impl Coding {
    fn start(encoder: &str, fourcc: &[u8; 4], coding: &str) -> Coding {
        is_guest();
        residentd::media::gstreamer().unwrap();
        let source = "videotestsrc num-buffers=30 horizontal-speed=2 ! video/x-raw,format=I420,width=320,height=180,framerate=15/1";
        let pipeline = gstreamer::parse::launch(&format!("{source} ! {encoder} ! appsink name=out sync=false")).unwrap();
        let out = pipeline.downcast_ref::<gstreamer::Bin>().unwrap().by_name("out").unwrap();
        let out = out.downcast::<gstreamer_app::AppSink>().unwrap();
        pipeline.set_state(gstreamer::State::Playing).unwrap();
        let pictures: Vec<Vec<u8>> = std::iter::from_fn(|| Some(out.pull_sample().ok()?.buffer()?.map_readable().ok()?.to_vec())).collect();
        pipeline.set_state(gstreamer::State::Null).unwrap();
        assert_eq!(pictures.len(), 30);

        guest::run("modprobe", &["v4l2loopback", "video_nr=9", "exclusive_caps=1", "card_label=Coding camera"]);
        let mut kernel = v4l::Device::with_path(CODING).unwrap();
        let size = v4l::Format::new(320, 180, v4l::FourCC::new(fourcc));
        assert_eq!(v4l::video::Output::set_format(&kernel, &size).unwrap().fourcc, size.fourcc);
        let rate = v4l::video::output::Parameters::new(v4l::Fraction::new(1, 15));
        v4l::video::Output::set_params(&kernel, &rate).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let write = move || {
            for picture in pictures.iter().cycle().take_while(|_| !stopped.load(Ordering::Relaxed)) {
                kernel.write_all(picture).unwrap();
                std::thread::sleep(Duration::from_secs(1) / 15);
            }
        };
        let camera = Coding { stop, thread: Some(std::thread::spawn(write)) };
        until("its offer", || {
            let found = devices::list(Config::default().want());
            found.cameras.iter().any(|c| c.path.to_str() == Some(CODING) && c.choices.iter().any(|c| c.coding.to_string() == coding))
        });
        camera
    }

    fn config() -> Config {
        Config { camera: CameraSource::V4l2(CODING.into()), width: 320, height: 180, ..Config::default() }
    }
}

impl Drop for Coding {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let ended = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            ended.unwrap();
            let unplug = || Command::new("modprobe").args(["-r", "v4l2loopback"]).stderr(Stdio::null()).status();
            until("the camera's end", || unplug().unwrap().success());
        }
    }
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn a_camera_that_codes_jpeg_is_seen() {
    let _camera = Coding::start("jpegenc", b"MJPG", "MJPEG");
    let call = call_by(Coding::config());
    call.seen(20);
    call.end();
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn the_stream_of_a_camera_that_codes_h264_is_sent_as_it_is() {
    let encoder = "x264enc tune=zerolatency speed-preset=ultrafast bitrate=300 key-int-max=15 bframes=0 threads=1 byte-stream=true";
    let _camera = Coding::start(
        &format!("{encoder} ! video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au"),
        b"H264",
        "H.264",
    );
    let call = call_by(Coding::config());
    let sent = Arc::new(AtomicU64::new(0));
    let counted = sent.clone();
    let count = move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    };
    let _sending = call.session.send(Codec::H264, 100, Arc::new(count)).unwrap();
    until("the camera's own stream", || call.session.statistics().sent.first().is_some_and(|s| s.encoder == "camera"));
    let before = sent.load(Ordering::Relaxed);
    until("more of it", || sent.load(Ordering::Relaxed) > before + 30);
    call.seen(20);
    call.end();
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
