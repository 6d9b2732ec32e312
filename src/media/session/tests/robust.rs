//! What goes wrong with devices, and what the call makes of it.

use super::*;
use std::io::Write;

/// A session with this camera, and a way to send its picture nowhere.
fn with_camera(launch: &str) -> Fixture {
    open(Config { camera: CameraSource::Launch(launch.into()), microphone: MicrophoneSource::None, ..small() })
}

fn next(events: &mut mpsc::Receiver<MediaEvent>) -> MediaEvent {
    events.blocking_recv().unwrap()
}

#[test]
fn a_camera_that_vanishes_is_replaced_by_a_placeholder_and_used_again_when_it_returns() {
    let mut a = with_camera("videotestsrc is-live=true num-buffers=20 ! video/x-raw,width=320,height=180,framerate=15/1");
    let packets: Arc<Watched<u64>> = Arc::default();
    let count = packets.clone();
    let _sending = a.session.send(Codec::Vp8, 96, Arc::new(move |_| count.change(|n| *n += 1))).unwrap();
    let MediaEvent::CameraLost(line) = next(&mut a.events) else { panic!("another event came first") };
    assert!(line.contains("videotestsrc") && line.contains("plug"), "{line}");
    let (pictures, sent) = (a.own.0.get(|s| s.frames), packets.get(|n| *n));
    a.own.0.until("placeholders", |s| s.frames > pictures + 1);
    packets.until("packets of placeholders", |n| *n > sent + 1);
    assert_eq!(a.own.0.get(|s| s.size), (320, 180));
    assert_eq!(next(&mut a.events), MediaEvent::CameraBack);
    let changes = a.own.0.get(|s| s.changes);
    a.own.0.until("moving pictures again", |s| s.changes > changes + 5);
}

#[test]
fn a_camera_that_is_not_there_leaves_a_call_with_a_placeholder() {
    let mut a = with_camera("filesrc location=/nonexistent/camera ! decodebin");
    let MediaEvent::CameraLost(line) = next(&mut a.events) else { panic!("another event came first") };
    assert!(line.contains("/nonexistent/camera"), "{line}");
    a.own.0.until("placeholders", |s| s.frames >= 3);
    assert_eq!(a.session.statistics().camera, Some(false));
}

/// A pipe that stands for a camera whose driver blocks: reading from it cannot be interrupted.
struct Pipe {
    _dir: tempfile::TempDir,
    path: std::path::PathBuf,
}

impl Pipe {
    fn new() -> Pipe {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("camera");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        Pipe { _dir: dir, path }
    }

    fn launch(&self) -> String {
        format!(
            "filesrc location={} blocksize=86400 ! rawvideoparse use-sink-caps=false width=320 height=180 format=i420 framerate=15/1",
            self.path.display()
        )
    }

    fn plug_in(&self) -> std::fs::File {
        // Read as well: GStreamer opens it twice, and it must not break in between.
        std::fs::File::options().read(true).write(true).open(&self.path).unwrap()
    }
}

fn frames(camera: &mut std::fs::File, n: u8) {
    for i in 0..n {
        camera.write_all(&vec![i.wrapping_mul(16); 320 * 180 * 3 / 2]).unwrap();
    }
}

#[test]
fn a_camera_that_stalls_counts_as_lost_and_its_hanging_driver_is_waited_for() {
    let pipe = Pipe::new();
    let mut a = with_camera(&pipe.launch());
    let mut camera = pipe.plug_in();
    frames(&mut camera, 12);
    let MediaEvent::CameraLost(line) = next(&mut a.events) else { panic!("another event came first") };
    assert!(line.contains("nothing came"), "{line}");
    let pictures = a.own.0.get(|s| s.frames);
    a.own.0.until("placeholders while the driver hangs", |s| s.frames > pictures + 10);
    // Pulled and put in again: the driver lets go, and the device is opened anew.
    drop(camera);
    let mut camera = pipe.plug_in();
    frames(&mut camera, 12);
    assert_eq!(next(&mut a.events), MediaEvent::CameraBack);
}

#[test]
fn a_device_that_hangs_holds_up_the_end_of_the_call_by_a_quarter_of_a_second_at_most() {
    let pipe = Pipe::new();
    let a = with_camera(&pipe.launch());
    let mut camera = pipe.plug_in();
    frames(&mut camera, 3);
    a.own.0.until("a picture", |s| s.frames >= 2);
    let before = Instant::now();
    a.session.close();
    // Without the limit this would last for as long as the pipe is open: for ever.
    assert!(before.elapsed() < CLOSE_WITHIN * 8, "{:?}", before.elapsed());
    drop(camera);
}

#[test]
fn a_stream_without_its_key_frame_asks_for_one_until_it_comes() {
    let (a, b) = (open(small()), open(small()));
    let asked: Arc<Watched<u64>> = Arc::default();
    let (count, armed) = (asked.clone(), Arc::new(AtomicBool::new(false)));
    let receiving = Arc::new(b.session.receive(Codec::Vp8, 96, Arc::new(move || count.change(|n| *n += 1))).unwrap());
    let (into, gate) = (receiving.clone(), armed.clone());
    let sent: Arc<Watched<u64>> = Arc::default();
    let counted = sent.clone();
    let sending = a
        .session
        .send(
            Codec::Vp8,
            96,
            Arc::new(move |p| {
                counted.change(|n| *n += 1);
                if gate.load(Ordering::SeqCst) {
                    into.push(p);
                }
            }),
        )
        .unwrap();
    // The key frame at the start is lost.
    sent.until("packets", |n| *n > 60);
    armed.store(true, Ordering::SeqCst);
    asked.until("repeated requests", |n| *n >= 2);
    assert_eq!(b.remote.0.get(|s| s.frames), 0);
    sending.key_frame();
    b.remote.0.until("pictures", |s| s.frames >= 3);
}

#[test]
fn a_narrow_link_makes_the_picture_smaller_while_the_call_goes_on() {
    for codec in [Codec::Vp8, Codec::H264] {
        let config = Config { width: 640, height: 360, ..small() };
        let (a, b) = (open(config.clone()), open(config));
        let (sending, _receiving) = connect(&a.session, &b.session, codec);
        b.remote.0.until("the full picture", |s| s.size == (640, 360) && s.changes > 3);
        sending.feedback(Feedback { estimate: Some(60_000), loss: Some(0.0), rtt: None });
        b.remote.0.until("a smaller picture", |s| s.size.1 < 360);
        let changes = b.remote.0.get(|s| s.changes);
        b.remote.0.until("that moves", |s| s.changes > changes + 5);
        let sent = &a.session.statistics().sent[0];
        assert!(sent.target_bitrate <= 100_000 && sent.height < 360, "{sent:?}");
        assert_eq!(sent.encoder, if codec == Codec::Vp8 { "vp8enc" } else { "x264enc" });
    }
}

#[test]
fn a_sound_card_that_never_comes_is_a_failure_with_its_name() {
    let (tell, mut events) = mpsc::channel(8);
    let watcher = Arc::new(Watcher::default());
    let outputs = Outputs { remote: watcher.clone(), own: watcher, sound: SoundOut::Alsa("hw:CARD=Missing".into()) };
    let _session = Session::open(Config { microphone: MicrophoneSource::None, ..small() }, false, outputs, tell).unwrap();
    let MediaEvent::Failed(line) = next(&mut events) else { panic!("another event came first") };
    assert!(line.contains("hw:CARD=Missing") && line.contains("aplay -L"), "{line}");
}

#[test]
fn a_sound_card_whose_driver_never_returns_is_a_failure_and_holds_up_nothing() {
    let (tell, mut events) = mpsc::channel(8);
    let watcher = Arc::new(Watcher::default());
    let (let_go, hangs) = std::sync::mpsc::channel::<()>();
    let hangs = Mutex::new(hangs);
    let samples: super::super::super::SampleSink = Arc::new(move |_: &[i16]| {
        let _ = lock(&hangs).recv();
    });
    let outputs = Outputs { remote: watcher.clone(), own: watcher, sound: SoundOut::Samples(samples) };
    let session = Session::open(Config { microphone: MicrophoneSource::None, ..small() }, false, outputs, tell).unwrap();
    let MediaEvent::Failed(line) = next(&mut events) else { panic!("another event came first") };
    assert!(line.contains("sound output") && line.contains("does not return"), "{line}");
    session.close();
    drop(let_go);
}

/// How many files of this process are this one.
fn open_files(path: &std::path::Path) -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().flatten().filter(|f| std::fs::read_link(f.path()).is_ok_and(|p| p == path)).count()
}

#[test]
fn when_close_returns_the_camera_is_closed_and_nothing_more_is_sent() {
    use std::os::unix::fs::OpenOptionsExt;
    const NONBLOCK: i32 = 0o4000;
    let pipe = Pipe::new();
    let a = with_camera(&pipe.launch());
    let mut camera = std::fs::File::options().read(true).write(true).custom_flags(NONBLOCK).open(&pipe.path).unwrap();
    let filming = Arc::new(AtomicBool::new(true));
    let film = filming.clone();
    let operator = std::thread::spawn(move || {
        let frame = vec![90u8; 4096];
        while film.load(Ordering::SeqCst) {
            if camera.write(&frame).is_err() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
        camera
    });
    let packets: Arc<Watched<u64>> = Arc::default();
    let count = packets.clone();
    let _sending = a.session.send(Codec::Vp8, 96, Arc::new(move |_| count.change(|n| *n += 1))).unwrap();
    packets.until("packets", |n| *n > 20);
    assert_eq!(open_files(&pipe.path), 2, "the operator's and the session's");
    a.session.close();
    assert_eq!(open_files(&pipe.path), 1, "the operator's alone");
    let sent = packets.get(|n| *n);
    filming.store(false, Ordering::SeqCst);
    drop(operator.join().unwrap());
    assert_eq!(packets.get(|n| *n), sent);
}

#[test]
fn repairs_that_come_late_are_waited_for() {
    const REPAIR: Duration = Duration::from_millis(150);
    let (a, b) = (open(small()), open(small()));
    let receiving = Arc::new(b.session.receive(Codec::Vp8, 96, Arc::new(|| {})).unwrap());
    let (repair, repairs) = blocking::channel::<(Instant, Bytes)>();
    let into = receiving.clone();
    let repairing = std::thread::spawn(move || {
        for (due, packet) in repairs {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            into.push(packet);
        }
    });
    let into = receiving.clone();
    let number = AtomicU64::new(0);
    let sending = a
        .session
        .send(
            Codec::Vp8,
            96,
            Arc::new(move |packet: Bytes| {
                if number.fetch_add(1, Ordering::Relaxed) % 12 == 7 {
                    repair.send((Instant::now() + REPAIR, packet)).unwrap_or(());
                } else {
                    into.push(packet);
                }
            }),
        )
        .unwrap();
    // Key frames are not asked for here, so that only waiting long enough brings the picture back.
    let waits = || b.session.statistics().received[0].wait_ms;
    let deadline = Instant::now() + Duration::from_secs(60);
    while u128::from(waits()) < REPAIR.as_millis() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(u128::from(waits()) >= REPAIR.as_millis());
    sending.key_frame();
    let changes = b.remote.0.get(|s| s.changes);
    b.remote.0.until("pictures in spite of it", |s| s.changes > changes + 20);
    drop((sending, receiving));
    repairing.join().unwrap();
}
