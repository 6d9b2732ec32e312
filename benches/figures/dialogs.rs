//! What the television's picture costs at 1080p30: a still dialog, a countdown, and a call's view with its cards. Ours is the real
//! stage, from its scenes to a sink that takes everything; the peer is GStreamer's compositor on the same pictures, with a card that
//! has an alpha channel, and with an opaque one. Each in a process of its own; the caller's pictures are ready before it begins.

use crate::figure::{Figure, Samples, Target, report};
use crate::process::{again_and_tell, usage};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use residentd::call::{CallId, Caller, CallerId, LineId, Medium, Scene};
use residentd::media::PictureSink;
use residentd::tv::dialog::Choice;
use residentd::tv::output::Sink;
use residentd::tv::stage::{DriverEvent, EVENTS, Stage, View};
use residentd::tv::theatre::{Setting, Theatre};
use serde_json::json;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const ROUNDS: usize = 3;
/// Fonts, first pictures and pools.
const SETTLE: Duration = Duration::from_secs(2);
const SPAN: Duration = Duration::from_secs(8);
const RATE: u32 = 30;
/// Of a core, as milliseconds of CPU a second: an opaque frame costs less than 2 %.
const OPAQUE: f64 = 20.0;
/// Different pictures of the caller.
const PICTURES: usize = 8;
const FULL: (u32, u32) = (1920, 1080);

pub fn run() {
    let measure = |part: &str, what: &str| again_and_tell(part, &[what])["cpu"].as_f64().unwrap();
    let rounds = |part: &str, what: &str| Samples::new((0..ROUNDS).map(|_| measure(part, what)));
    let ours = |what: &str| rounds("dialogs_ours", what);
    let (blended, opaque) = (rounds("dialogs_compositor", "alpha"), rounds("dialogs_compositor", "opaque"));
    let full = rounds("dialogs_compositor", "full");
    let of = |what: &str| format!("CPU per second, {what}");
    let (view, with_own, small) = (ours("view"), ours("own"), ours("small"));
    let (alpha, copy) = ("compositor, alpha", "compositor, opaque");
    let figures = [
        Figure::new(of("a still dialog"), "ms", ours("ringing")).beside(alpha, full.clone()).target(Target::AtMost(OPAQUE)),
        Figure::new(of("a countdown"), "ms", ours("countdown")).beside(alpha, full).target(Target::AtMost(OPAQUE)),
        Figure::new(of("a caller of 1080p30 with the name over it"), "ms", view.clone())
            .beside(alpha, blended)
            .target(Target::AtMost(OPAQUE)),
        Figure::new(of("a caller of 1080p30 with the name over it"), "ms", view).beside(copy, opaque).target(Target::RatioAtMost(1.0)),
        Figure::new(of("the same with the resident's 720p30 in the corner"), "ms", with_own),
        Figure::new(of("a caller of 720p30, scaled, with the name over it"), "ms", small),
    ];
    report(&format!("The television's picture, 1080p, {} s, {ROUNDS} rounds", SPAN.as_secs()), &figures);
}

/// Pictures of the caller, as a decoder gives them.
fn pictures((width, height): (u32, u32)) -> Vec<gst::Sample> {
    let caps = format!("video/x-raw,format=I420,width={width},height={height},framerate={RATE}/1,colorimetry=bt709,pixel-aspect-ratio=1/1");
    let text = format!("videotestsrc num-buffers={PICTURES} pattern=smpte horizontal-speed=8 ! {caps} ! appsink name=out sync=false");
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let pictures = std::iter::from_fn(|| sink.pull_sample().ok()).collect();
    pipeline.set_state(gst::State::Null).unwrap();
    pictures
}

/// Gives a picture every thirtieth of a second for so long.
fn play(time: Duration, mut give: impl FnMut(usize)) {
    let (from, every) = (Instant::now(), Duration::from_secs(1) / RATE);
    let mut count = 0u32;
    while every * count < time {
        std::thread::sleep((from + every * count).saturating_duration_since(Instant::now()));
        give(count as usize % PICTURES);
        count += 1;
    }
}

/// Plays, and tells what this process took of a core while it did.
fn measure(mut give: impl FnMut(usize)) {
    play(SETTLE, &mut give);
    let (from, before) = (Instant::now(), usage(std::process::id()).cpu);
    play(SPAN, &mut give);
    println!("{}", json!({ "cpu": (usage(std::process::id()).cpu - before) / from.elapsed().as_secs_f64() * 1000.0 }));
}

fn scene(what: &str) -> Scene {
    let (call, medium) = (CallId(1), Medium::Video);
    let caller = Caller {
        line: LineId("example".into()),
        id: CallerId("1".into()),
        username: None,
        name: "Margaret Jørgensen".into(),
        role: None,
        photo: None,
    };
    match what {
        "ringing" => Scene::Ringing { call, caller, medium },
        "countdown" => {
            let length = Duration::from_secs(30);
            Scene::Countdown { call, caller, medium, until: Some(Instant::now() + length), length }
        }
        _ => Scene::InCall { call, caller, medium, weak: false, muted: false, no_camera: false },
    }
}

/// The process with our stage.
pub fn ours() {
    let what = std::env::args().nth(1).unwrap();
    residentd::media::gstreamer().unwrap();
    let (remote, own) = (pictures(if what == "small" { (1280, 720) } else { FULL }), pictures((1280, 720)));
    let setting =
        Setting { sink: Sink::Count, sound: None, ring_volume: 70, font: String::new(), locale: "en".into(), time_zone: "UTC".into() };
    let (tell, mut events) = mpsc::channel(EVENTS);
    let mut theatre = Theatre::start(setting, tell).unwrap();
    let taps: (Arc<dyn PictureSink>, Arc<dyn PictureSink>) = theatre.taps();
    theatre.show(1, &View { scene: scene(&what), focus: Choice::Answer });
    while !matches!(events.blocking_recv(), Some(DriverEvent::Shown(1))) {}
    let give = |n: usize| match what.as_str() {
        "ringing" | "countdown" => {}
        "own" => {
            taps.1.push(&own[n]);
            taps.0.push(&remote[n]);
        }
        _ => taps.0.push(&remote[n]),
    };
    measure(give);
}

/// The process with GStreamer's compositor.
pub fn compositor() {
    let what = std::env::args().nth(1).unwrap();
    residentd::media::gstreamer().unwrap();
    let remote = pictures(FULL);
    let (width, height) = FULL;
    let (card, format) = match what.as_str() {
        "full" => (FULL, "AYUV"),
        "alpha" => ((700, 160), "AYUV"),
        _ => ((700, 160), "I420"),
    };
    let text = format!(
        "appsrc name=in is-live=true format=time do-timestamp=true max-buffers=2 leaky-type=downstream ! compositor name=c background=black \
         sink_1::xpos=64 sink_1::ypos=64 ! video/x-raw,format={format},width={width},height={height},framerate={RATE}/1 ! \
         fakesink name=sink sync=false \
         videotestsrc num-buffers=1 pattern=solid-color foreground-color=0xc0204060 ! \
         video/x-raw,format={format},width={},height={},framerate={RATE}/1 ! imagefreeze ! c.sink_1",
        card.0, card.1
    );
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let src = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
    src.set_caps(remote[0].caps().map(|caps| caps.to_owned()).as_ref());
    let shown = Arc::new(AtomicU64::new(0));
    let count = shown.clone();
    pipeline.by_name("sink").unwrap().static_pad("sink").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, _| {
        count.fetch_add(1, Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    pipeline.set_state(gst::State::Playing).unwrap();
    let give = |n: usize| {
        let mut buffer = remote[n].buffer().unwrap().to_owned();
        let about = buffer.make_mut();
        about.set_pts(gst::ClockTime::NONE);
        about.set_duration(gst::ClockTime::NONE);
        let _ = src.push_buffer(buffer);
    };
    measure(give);
    let (shown, wanted) = (shown.load(Ordering::Relaxed), u64::from(RATE) * (SETTLE + SPAN).as_secs());
    assert!(shown > wanted / 2, "the compositor made {shown} pictures of {wanted}");
    pipeline.set_state(gst::State::Null).unwrap();
}
