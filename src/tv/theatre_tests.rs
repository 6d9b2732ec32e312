//! The real stage with sinks that can be read: what is drawn, mixed and played really arrives.

use super::output::Sink;
use super::stage::{DriverEvent, EVENTS, Stage, View};
use super::theatre::{Setting, Theatre};
use super::{dialog::Choice, scenes};
use crate::call::{Medium, Scene};
use crate::media::{PictureSink, SoundOut};
use gstreamer as gst;
use gstreamer::prelude::*;
use image::RgbImage;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc as std_mpsc};
use std::time::Duration;
use tokio::sync::mpsc;

const PATIENCE: Duration = Duration::from_secs(20);

struct Fixture {
    theatre: Theatre,
    events: mpsc::Receiver<DriverEvent>,
    pictures: std_mpsc::Receiver<Vec<u8>>,
    samples: Arc<AtomicUsize>,
    remote: Arc<dyn PictureSink>,
    own: Arc<dyn PictureSink>,
    number: u64,
}

fn fixture(change: impl FnOnce(&mut Setting)) -> Fixture {
    let (tell, events) = mpsc::channel(EVENTS);
    let (to_pictures, pictures) = std_mpsc::channel();
    let to_pictures = Mutex::new(to_pictures);
    let samples = Arc::new(AtomicUsize::new(0));
    let count = samples.clone();
    let mut setting = Setting {
        sink: Sink::Jpeg(Arc::new(move |jpeg: &[u8]| {
            let _ = to_pictures.lock().unwrap().send(jpeg.to_vec());
            Ok(())
        })),
        sound: Some(SoundOut::Samples(Arc::new(move |s: &[i16]| {
            count.fetch_add(s.iter().filter(|s| **s != 0).count(), Ordering::Relaxed);
        }))),
        ring_volume: 70,
        font: String::new(),
        locale: "en".into(),
        time_zone: "UTC".into(),
    };
    change(&mut setting);
    let theatre = Theatre::start(setting, tell).unwrap();
    let (remote, own) = theatre.taps();
    Fixture { theatre, events, pictures, samples, remote, own, number: 0 }
}

impl Fixture {
    fn show(&mut self, scene: Scene) -> u64 {
        self.number += 1;
        self.theatre.show(self.number, &View { scene, focus: Choice::Answer });
        self.number
    }

    async fn event(&mut self) -> DriverEvent {
        tokio::time::timeout(PATIENCE, self.events.recv()).await.expect("an event").expect("the stage lives")
    }

    /// Events come in any order.
    async fn two(&mut self) -> Vec<DriverEvent> {
        let mut both = vec![self.event().await, self.event().await];
        both.sort_by_key(|e| format!("{e:?}"));
        both
    }

    /// The next pictures, until one is as wanted.
    fn picture(&self, what: &str, wanted: impl Fn(&RgbImage) -> bool) -> RgbImage {
        loop {
            let jpeg = self.pictures.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no picture with {what}"));
            let picture = image::load_from_memory(&jpeg).unwrap().to_rgb8();
            if wanted(&picture) {
                return picture;
            }
        }
    }
    /// As above, with streams running meanwhile.
    fn streaming(&self, what: &str, push: impl Fn(), wanted: impl Fn(&RgbImage) -> bool) -> RgbImage {
        let until = std::time::Instant::now() + PATIENCE;
        while std::time::Instant::now() < until {
            push();
            let Ok(jpeg) = self.pictures.recv_timeout(Duration::from_millis(100)) else { continue };
            let picture = image::load_from_memory(&jpeg).unwrap().to_rgb8();
            if wanted(&picture) {
                return picture;
            }
        }
        panic!("no picture with {what}; the last is {}", self.keep_last(push).display());
    }

    /// For who has to find out why a picture is not as wanted.
    fn keep_last(&self, push: impl Fn()) -> std::path::PathBuf {
        push();
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("target/unwanted.jpg");
        let last = self.pictures.recv_timeout(PATIENCE).unwrap_or_default();
        std::fs::write(&path, last).unwrap();
        path
    }
}

fn is(picture: &RgbImage, x: u32, y: u32, colour: [u8; 3]) -> bool {
    picture.get_pixel(x, y).0.iter().zip(colour).all(|(a, b)| a.abs_diff(b) < 24)
}

/// A picture of GStreamer's test source.
fn test_picture(pattern: &str, caps: &str) -> gst::Sample {
    gst::init().unwrap();
    let line = format!("videotestsrc num-buffers=1 pattern={pattern} ! video/x-raw,{caps} ! appsink name=out sync=false");
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gstreamer_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let sample = sink.pull_sample().unwrap();
    pipeline.set_state(gst::State::Null).unwrap();
    sample
}

const RED: [u8; 3] = [255, 0, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const BLACK: [u8; 3] = [0, 0, 0];
const GROUND: [u8; 3] = [13, 27, 46];

#[tokio::test]
async fn a_dialog_is_told_seen_and_heard_when_it_really_is() {
    let mut f = fixture(|_| {});
    let number = f.show(scenes::ringing());
    assert_eq!(f.two().await, [DriverEvent::Heard(number), DriverEvent::Shown(number)]);
    let picture = f.picture("a dialog", |_| true);
    assert_eq!(picture.dimensions(), (1920, 1080));
    assert!(is(&picture, 4, 4, GROUND), "{:?}", picture.get_pixel(4, 4));
    // Another focus: told for the new number too, the tone goes on.
    let number = f.show(scenes::ringing());
    assert_eq!(f.two().await, [DriverEvent::Heard(number), DriverEvent::Shown(number)]);
}

#[tokio::test]
async fn idle_leaves_a_black_screen_and_silence() {
    let mut f = fixture(|_| {});
    f.show(scenes::countdown());
    f.two().await;
    while f.samples.load(Ordering::Relaxed) == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    f.show(Scene::Idle);
    f.picture("nothing on it", |p| is(p, 4, 4, BLACK) && is(p, 960, 540, BLACK));
    // The tone was stopped before the screen was cleared, and its player waited for.
    let sounding = f.samples.load(Ordering::Relaxed);
    assert!(f.pictures.recv_timeout(Duration::from_millis(200)).is_err());
    assert_eq!(f.samples.load(Ordering::Relaxed), sounding);
}

#[tokio::test]
async fn without_display_or_speaker_the_dialog_is_not_noticed() {
    let mut f = fixture(|s| (s.sink, s.sound) = (Sink::None, None));
    f.show(scenes::countdown());
    let both = f.two().await;
    assert!(
        matches!(&both[..], [DriverEvent::Unheard(1, a), DriverEvent::Unseen(1, b)] if a.contains("media.speaker") && b.contains("tv.sink")),
        "{both:?}"
    );
}

#[tokio::test]
async fn a_display_that_comes_back_is_used_again() {
    let there = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let asked = there.clone();
    let mut f = fixture(|s| {
        s.sound = None;
        s.sink = Sink::Jpeg(Arc::new(move |_| if asked.load(Ordering::Relaxed) { Ok(()) } else { Err("pulled out".into()) }));
    });
    let number = f.show(scenes::missed());
    assert_eq!(f.event().await, DriverEvent::Unseen(number, "pulled out".into()));
    there.store(true, Ordering::Relaxed);
    assert_eq!(f.event().await, DriverEvent::Shown(number));
}

#[tokio::test]
async fn a_call_shows_the_caller_the_resident_and_the_banner() {
    let mut f = fixture(|_| {});
    f.show(scenes::in_call());
    assert_eq!(f.event().await, DriverEvent::Shown(1));
    // Before the first picture of the caller: who it is.
    f.picture("the caller's name", |p| is(p, 4, 4, GROUND));
    let red = test_picture("red", "format=I420,width=1280,height=720,framerate=30/1");
    let blue = test_picture("blue", "format=YUY2,width=640,height=480,framerate=24/1");
    let streams = || {
        f.own.push(&blue);
        f.remote.push(&red);
    };
    let picture = f.streaming("both", streams, |p| is(p, 300, 300, RED) && is(p, 1604, 178, BLUE));
    assert!(is(&picture, 4, 4, RED) && is(&picture, 1915, 1075, RED), "full size");
    assert!(is(&picture, 1381, 178, [200, 215, 234]), "a frame around the own picture: {:?}", picture.get_pixel(1381, 178));
    assert!(is(&picture, 110, 1000, GROUND) && is(&picture, 1384, 314, GROUND), "banner and camera sign");
    // A change of the banner does not wait for the next picture.
    let Scene::InCall { call, caller, medium, .. } = scenes::in_call() else { panic!() };
    f.show(Scene::InCall { call, caller, medium, weak: true, muted: false, no_camera: true });
    f.picture("a taller banner and no own picture", |p| is(p, 110, 790, GROUND) && is(p, 1604, 178, RED));
}

#[tokio::test]
async fn a_picture_of_another_shape_is_not_distorted_and_other_colours_are_followed() {
    let mut f = fixture(|_| {});
    f.show(Scene::InCall {
        call: crate::call::CallId(1),
        caller: scenes::caller(),
        medium: Medium::Audio,
        weak: false,
        muted: false,
        no_camera: false,
    });
    f.event().await;
    let red = test_picture("red", "format=I420,width=640,height=480,framerate=30/1,colorimetry=bt601");
    f.streaming(
        "black bars",
        || f.remote.push(&red),
        |p| is(p, 100, 300, BLACK) && is(p, 1800, 300, BLACK) && is(p, 300, 300, RED) && is(p, 1600, 300, RED),
    );
    let blue = test_picture("blue", "format=NV12,width=360,height=640,framerate=30/1,colorimetry=bt709");
    f.streaming("an upright picture", || f.remote.push(&blue), |p| is(p, 600, 300, BLACK) && is(p, 960, 300, BLUE));
    let corners = |colour| move |p: &RgbImage| [(4, 4), (1915, 4), (4, 1075), (1915, 1075)].iter().all(|(x, y)| is(p, *x, *y, colour));
    for (pattern, format, colour) in [("red", "I420", RED), ("blue", "NV12", BLUE), ("red", "I420", RED)] {
        let whole = test_picture(pattern, &format!("format={format},width=1920,height=1080,framerate=30/1,colorimetry=bt709"));
        f.streaming("one as large as the screen", || f.remote.push(&whole), corners(colour));
    }
}

#[tokio::test]
async fn pictures_outside_a_call_are_dropped() {
    let mut f = fixture(|_| {});
    f.remote.push(&test_picture("red", "format=I420,width=320,height=240,framerate=30/1"));
    f.show(scenes::ringing());
    f.two().await;
    f.remote.push(&test_picture("red", "format=I420,width=320,height=240,framerate=30/1"));
    f.own.push(&test_picture("blue", "format=I420,width=320,height=240,framerate=30/1"));
    f.show(scenes::missed());
    f.event().await;
    while let Ok(jpeg) = f.pictures.try_recv() {
        assert!(is(&image::load_from_memory(&jpeg).unwrap().to_rgb8(), 4, 4, GROUND));
    }
}

#[tokio::test]
async fn the_countdown_counts_by_itself() {
    let mut f = fixture(|_| {});
    f.show(scenes::counting(std::time::Instant::now() + Duration::from_secs(9)));
    f.two().await;
    let mut different = std::collections::BTreeSet::new();
    while different.len() < 3 {
        different.insert(f.pictures.recv_timeout(PATIENCE).expect("one number after the other"));
    }
}

#[tokio::test]
async fn the_ring_is_as_loud_as_is_set() {
    let mut peaks = Vec::new();
    for volume in [50, 100] {
        let peak = Arc::new(AtomicUsize::new(0));
        let (of_sink, samples) = (peak.clone(), Arc::new(AtomicUsize::new(0)));
        let count = samples.clone();
        let mut f = fixture(|setting| {
            setting.ring_volume = volume;
            setting.sound = Some(SoundOut::Samples(Arc::new(move |s: &[i16]| {
                let loudest = s.iter().map(|s| usize::from(s.unsigned_abs())).max().unwrap_or(0);
                of_sink.fetch_max(loudest, Ordering::Relaxed);
                count.fetch_add(s.len(), Ordering::Relaxed);
            })));
        });
        f.show(scenes::ringing());
        // half a second of both channels: the first strokes, which are the same each time
        let end = std::time::Instant::now() + PATIENCE;
        while samples.load(Ordering::Relaxed) < 48_000 {
            assert!(std::time::Instant::now() < end, "no ring");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        f.show(Scene::Idle);
        peaks.push(peak.load(Ordering::Relaxed));
    }
    let ratio = peaks[0] as f64 / peaks[1] as f64;
    assert!((0.45..0.55).contains(&ratio), "{peaks:?}");
}
