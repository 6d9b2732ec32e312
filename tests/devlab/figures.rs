//! What takes how long on the kernel's own devices, beside what command line tools take for the same. Nothing is judged here: the
//! figures go into target/bench.jsonl (`make devlab-bench`).

#[path = "../../benches/figures/figure.rs"]
#[allow(dead_code)] // the benches use more of it
mod figure;
#[path = "../../benches/figures/process.rs"]
#[allow(dead_code)] // the benches use more of it
mod process;

use crate::cec::Television;
use crate::daemon::{DEVICES, Tone, in_room, sees_and_hears};
use crate::display::Lit;
use crate::guest::{self, CAMERA, CEC_BOX, PATIENCE, until};
use crate::service::{RESIDENT, Service};
use crate::whole;
use figure::{Figure, Samples, Target, report};
use process::cpu_of_all;
use residentd::call::RoomEvent;
use residentd::media::session::{CameraSource, Config, MicrophoneSource, Session};
use residentd::media::{Codec, Outputs, PictureSink, SoundOut};
use residentd_lab::{CallOptions, Lab, Options, ReplyKind};
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Repetitions.
const CALLS: usize = 5;
const CLOSINGS: usize = 100;
const WAKES: usize = 3;
const OPENINGS: usize = 10;
/// The part of a call that is measured.
const SPAN: Duration = Duration::from_secs(15);

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-bench"]
async fn from_the_call_and_from_the_key_to_the_picture_on_the_display() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut caller = lab.caller("roger_chatta_admin");
    let _television = Television::new();
    let display = Lit::watch();
    let service = Service::start(&lab, &whole::settings());
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online:\n{}", service.journal().join("\n"));
    until("the television's first answers", || service.journal().iter().any(|line| line.contains("the television's maker")));
    let (mut offered, mut answered, mut closed) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..CALLS {
        service.forget();
        let (before, from) = (display.picture(), Instant::now());
        let requested = caller.request(RESIDENT, &CallOptions::default());
        offered.push(ms(display.next(before, from)));
        let (before, from) = (display.picture(), Instant::now());
        service.order("/v1/accept");
        answered.push(ms(display.next(before, from)));
        // who ends a call before coming into its room is told so, too
        while caller.reply(PATIENCE).await.expect("a reply").kind != ReplyKind::Accepted {}
        service.kind("opened");
        until("the camera is open", || !guest::holders(CAMERA).is_empty());
        let from = Instant::now();
        caller.end(RESIDENT, &requested);
        service.kind("closed");
        closed.push(ms(from.elapsed()));
        until("idle", || service.is_idle());
        service.kind("restored");
    }
    report(
        "The installed daemon on the display of the device lab (every system call is 40 times as dear as on a box)",
        &[
            Figure::new("device lab: the caller's call to the dialog on the display", "ms", Samples::new(offered)),
            Figure::new("device lab: the answer to the next picture on the display", "ms", Samples::new(answered)),
            Figure::new("device lab: the caller's end to camera and microphone closed", "ms", Samples::new(closed)),
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-bench"]
async fn from_the_wish_to_wake_the_television_to_its_being_awake() {
    use residentd::tv::{Command as Order, TvEvent, Wake};
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..WAKES {
        let television = Television::asleep();
        let (opened, memory) = crate::cec::opened();
        let set = opened.driver.set.clone();
        crate::cec::power_is(&*set, residentd::tv::Power::Standby).await;
        let (commands, mut events) = residentd::tv::spawn(residentd::tv::Config::default(), opened.driver, memory);
        let from = Instant::now();
        commands.send(Order::Wake(residentd::call::CallId(1))).await.unwrap();
        assert_eq!(tokio::time::timeout(PATIENCE, events.recv()).await.unwrap().unwrap(), TvEvent::Woken(Wake::Woken));
        ours.push(ms(from.elapsed()));
        drop((commands, events, set, television));
        until("the adapter is let go", || guest::holders(CEC_BOX).is_empty());

        let television = Television::asleep();
        let from = Instant::now();
        guest::run("cec-ctl", &["-d", CEC_BOX, "--to", "0", "--image-view-on"]);
        guest::run("cec-ctl", &["-d", CEC_BOX, "--active-source", "phys-addr=1.0.0.0"]);
        until("the television's waking", || Television::says("on ("));
        theirs.push(ms(from.elapsed()));
        drop(television);
    }
    let figure = Figure::new("device lab: wake to verified awake, HDMI-CEC", "ms", Samples::new(ours));
    report(
        "Waking a television that takes seconds for it by itself",
        &[figure.beside("cec-ctl", Samples::new(theirs)).target(Target::RatioAtMost(1.5))],
    );
}

struct Nobody;

impl PictureSink for Nobody {
    fn push(&self, _: &gstreamer::Sample) {}
}

fn open() -> (Session, mpsc::Receiver<residentd::media::MediaEvent>) {
    let (tell, events) = mpsc::channel(32);
    let config = Config {
        camera: CameraSource::V4l2(CAMERA.into()),
        microphone: MicrophoneSource::Alsa("hw:Loopback,1,0".into()),
        width: 640,
        height: 360,
        fps: 10,
        echo_cancellation: false,
        ..Config::default()
    };
    let outputs = Outputs { remote: Arc::new(Nobody), own: Arc::new(Nobody), sound: SoundOut::Null };
    (Session::open(config, true, outputs, tell).unwrap(), events)
}

const PEER_CAMERA: &str = "v4l2src device=/dev/video0 ! video/x-raw,width=640,height=360,framerate=10/1 ! videoconvert ! \
    vp8enc deadline=1 cpu-used=8 target-bitrate=1000000 end-usage=cbr lag-in-frames=0 keyframe-max-dist=300 threads=1 ! rtpvp8pay";

/// Master key and salt of the peer's SRTP.
const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d";

fn gst_launch(pipeline: &str) -> Child {
    let line = format!("exec gst-launch-1.0 -q {pipeline} 2> /dev/null");
    Command::new("sh").args(["-c", &line]).stdout(Stdio::piped()).stdin(Stdio::null()).spawn().unwrap()
}

fn interrupt(child: &mut Child) {
    guest::run("kill", &["-INT", &child.id().to_string()]);
}

#[test]
#[ignore = "needs the device lab: make devlab-bench"]
fn from_the_answer_to_the_first_encoded_picture_and_from_the_end_to_the_closed_camera() {
    guest::is_guest();
    let _tone = Tone::start();
    let (mut first, mut closed, mut their_first, mut their_closed) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for round in 0..CLOSINGS {
        let (tell, told) = std::sync::mpsc::channel();
        let from = Instant::now();
        let (session, _events) = open();
        let sending = session.send(Codec::Vp8, 96, Arc::new(move |_| tell.send(()).unwrap_or(()))).unwrap();
        told.recv_timeout(PATIENCE).expect("a picture");
        if round < OPENINGS {
            first.push(ms(from.elapsed()));
        }
        let from = Instant::now();
        session.close();
        until("the camera is closed", || guest::holders(CAMERA).is_empty());
        closed.push(ms(from.elapsed()));
        drop(sending);
    }
    for _ in 0..OPENINGS {
        let from = Instant::now();
        let mut peer = gst_launch(&format!("{PEER_CAMERA} ! fdsink"));
        peer.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        their_first.push(ms(from.elapsed()));
        let from = Instant::now();
        interrupt(&mut peer);
        until("the camera is closed", || guest::holders(CAMERA).is_empty());
        their_closed.push(ms(from.elapsed()));
        let _ = peer.kill();
        let _ = peer.wait();
    }
    let peer = "gst-launch";
    let closing = || Figure::new("device lab: the end to the closed camera", "ms", Samples::new(closed.clone()));
    let worst = Figure::new("device lab: the end to the closed camera, p99", "ms", Samples::new(closed.clone())).at(0.99);
    report(
        "Opening and closing the kernel's camera and microphone, 640x360 at 10",
        &[
            Figure::new("device lab: the answer to the first encoded picture", "ms", Samples::new(first))
                .beside(peer, Samples::new(their_first))
                .target(Target::RatioAtMost(1.0)),
            closing().beside(peer, Samples::new(their_closed)).target(Target::RatioAtMost(1.0)),
            worst.target(Target::AtMost(250.0)),
        ],
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs the device lab: make devlab-bench"]
async fn what_a_whole_call_costs() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut caller = lab.caller("roger_chatta_admin");
    let settings = format!("{DEVICES}tv.driver = \"lab\"\ntv.lab = {:?}\ntv.sink = \"none\"\n", lab.tv_url());
    let service = Service::start(&lab, &settings);
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online:\n{}", service.journal().join("\n"));
    let _tone = Tone::start();
    let requested = caller.request(RESIDENT, &CallOptions::default());
    service.happening("the ringing", |e| e["kind"] == "offered");
    service.order("/v1/accept");
    assert_eq!(caller.reply(PATIENCE).await.expect("a reply").kind, ReplyKind::Accepted);
    let mut end = in_room(&lab, &requested).await;
    end.expect(RoomEvent::Joined).await;
    sees_and_hears(&end);
    let pid: u32 = service.pid().parse().unwrap();
    let (before, pictures, from) = (cpu_of_all(&[pid]), end.picture.pictures.load(Ordering::Relaxed), Instant::now());
    tokio::time::sleep(SPAN).await;
    let ours = (cpu_of_all(&[pid]) - before) / from.elapsed().as_secs_f64() * 1000.0;
    let rate = (end.picture.pictures.load(Ordering::Relaxed) - pictures) as f64 / from.elapsed().as_secs_f64();
    caller.end(RESIDENT, &requested);
    service.kind("closed");
    end.leave().await;
    drop(service);

    // The same devices, codecs and encryption; nothing of gst-launch looks for a way through the network, adapts, repairs or reports.
    // (webrtcbin does: `make bench FIGURES=call`.)
    let (sound, encrypt) = ("audio/x-raw,rate=48000,channels=1", format!("srtpenc key={KEY}"));
    let voice =
        format!("audiotestsrc is-live=true ! {sound} ! opusenc ! rtpopuspay pt=111 ssrc=1 ! {encrypt} ! udpsink host=127.0.0.1 port=5004");
    let received = format!(
        "application/x-srtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000,ssrc=(uint)1,srtp-key=(buffer){KEY},\
         srtp-cipher=aes-128-icm,srtp-auth=hmac-sha1-80,srtcp-cipher=aes-128-icm,srtcp-auth=hmac-sha1-80"
    );
    let mut voice = gst_launch(&voice);
    let mut peer = gst_launch(&format!(
        "{PEER_CAMERA} ! {encrypt} ! udpsink host=127.0.0.1 port=5006 \
         alsasrc device=hw:Loopback,1,0 ! audioconvert ! audioresample ! {sound} ! opusenc ! rtpopuspay ! {encrypt} \
         ! udpsink host=127.0.0.1 port=5008 \
         udpsrc port=5004 caps=\"{received}\" ! srtpdec ! rtpjitterbuffer ! rtpopusdepay ! opusdec ! audioconvert ! audioresample \
         ! alsasink device=hw:Speaker,0,1"
    ));
    until("the peer's camera", || !guest::holders(CAMERA).is_empty());
    until("the peer's loudspeaker", || !guest::holders("/dev/snd/pcmC1D0p").is_empty());
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (before, from) = (cpu_of_all(&[peer.id()]), Instant::now());
    tokio::time::sleep(SPAN).await;
    let theirs = (cpu_of_all(&[peer.id()]) - before) / from.elapsed().as_secs_f64() * 1000.0;
    for child in [&mut peer, &mut voice] {
        let _ = child.kill();
        let _ = child.wait();
    }
    report(
        &format!("A call of the installed daemon: 640x360 at 10 and sound out, sound in, {} s", SPAN.as_secs()),
        &[
            Figure::new("device lab: CPU of the whole call per second", "ms", ours).beside("gst-launch", theirs),
            Figure::new("device lab: pictures that the caller got", "1/s", rate),
        ],
    );
}
