//! Echo cancellation on one recording: a caller's voice out of a loud television, back into the microphone after the
//! television's delay, through a room; then the resident speaks at the same time. Ours (AEC3) is tested with bounds; the
//! comparison with GStreamer's `webrtcdsp`, which works in real time, prints its table when asked for:
//! `cargo test --test echo -- --ignored --nocapture`.
//!
//! The voices are synthetic (espeak-ng), in samples/echo.

#![allow(clippy::unwrap_used)] // a test may panic

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use residentd::media::sound::FRAME;
use residentd::media::sound::echo::{Canceller, Cleaning, Reference};
use std::time::Duration;

const RATE: usize = 48_000;
/// The canceller has had so long to converge, the resident is silent until `TALK`.
const CONVERGED: usize = 6 * RATE;
const TALK: usize = 14 * RATE;
const END: usize = 22 * RATE;
/// Television delays in ms.
const DELAYS: [usize; 4] = [30, 80, 200, 300];

/// Reads a recording as 48 kHz mono.
fn read(name: &str) -> Vec<f32> {
    residentd::media::gstreamer().unwrap();
    let path = format!("{}/tests/samples/echo/{name}", env!("CARGO_MANIFEST_DIR"));
    let text = format!(
        "filesrc location={path} ! oggdemux ! opusdec ! audioconvert ! audioresample ! audio/x-raw,format=S16LE,rate=48000,channels=1 ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&text).unwrap();
    let sink = pipeline.downcast_ref::<gst::Bin>().unwrap().by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut samples = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let map = sample.buffer().unwrap().map_readable().unwrap();
        samples.extend(map.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]]))));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    samples
}

/// Deterministic noise, -1..1.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// What is played, what the microphone hears, and the parts of that.
struct Scene {
    far: Vec<i16>,
    near: Vec<f32>,
    microphone: Vec<i16>,
}

/// `loudness` of the television at the microphone; 0.5 is as loud as the resident's own voice.
fn scene(delay_ms: usize, loudness: f32) -> Scene {
    let mut far = read("far.ogg");
    far.resize(END, 0.0);
    let mut near = vec![0.0; TALK];
    near.extend(read("near.ogg"));
    near.resize(END, 0.0);
    // A living room: the direct sound, then 150 reflections that die away within a quarter of a second.
    let mut noise = Noise(7);
    let mut room = vec![(0usize, loudness)];
    for _ in 0..150 {
        let at = (noise.next().abs() * 0.25 * RATE as f32) as usize;
        room.push((at, 0.24 * loudness * noise.next() * (-(at as f32) / (0.06 * RATE as f32)).exp()));
    }
    let delay = delay_ms * RATE / 1000;
    let mut microphone = vec![0.0f32; END];
    for (n, s) in far.iter().enumerate() {
        // A television's small loudspeaker clips softly.
        let s = (s / 20_000.0).tanh() * 20_000.0;
        for (at, gain) in &room {
            if let Some(m) = microphone.get_mut(n + delay + at) {
                *m += s * gain;
            }
        }
    }
    for (m, n) in microphone.iter_mut().zip(&near) {
        *m += n * 0.5 + noise.next() * 20.0;
    }
    let pcm = |v: &[f32]| v.iter().map(|s| s.clamp(-32_768.0, 32_767.0) as i16).collect();
    Scene { far: pcm(&far), near, microphone: pcm(&microphone) }
}

fn power(samples: &[i16]) -> f64 {
    samples.iter().map(|s| f64::from(*s).powi(2)).sum::<f64>() / samples.len() as f64 + 1e-9
}

/// How it went, in dB.
#[derive(Debug)]
struct Result {
    /// How much weaker the echo is once the canceller has converged.
    erle: f64,
    /// The same in its first two seconds of sound.
    start: f64,
    /// What is left of the resident's voice while both speak; 0 is all of it.
    voice: f64,
}

fn judge(scene: &Scene, out: &[i16]) -> Result {
    let db = |a: f64, b: f64| 10.0 * (a / b).log10();
    let over = |range: std::ops::Range<usize>| db(power(&scene.microphone[range.clone()]), power(&out[range]));
    // The voice is found again by correlation, at the canceller's own delay.
    let talk = TALK..(END - RATE).min(out.len());
    let (_, gain) = (0..RATE / 20)
        .step_by(4)
        .map(|lag| {
            let (mut cross, mut own) = (0.0f64, 1e-9f64);
            for n in talk.clone().step_by(3) {
                let near = f64::from(scene.near[n]) * 0.5;
                cross += near * f64::from(*out.get(n + lag).unwrap_or(&0));
                own += near * near;
            }
            (lag, cross / own)
        })
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap();
    Result { erle: over(CONVERGED..TALK), start: over(RATE..3 * RATE), voice: 20.0 * gain.max(1e-3).log10() }
}

/// Ours. The speaker's frames come first, as they do in a call.
fn ours(scene: &Scene) -> Vec<i16> {
    ours_told(scene, Duration::ZERO, Duration::ZERO)
}

/// The same, told what the sound card still holds, and what the television takes for itself.
fn ours_told(scene: &Scene, queued: Duration, behind: Duration) -> Vec<i16> {
    let reference = Reference::default();
    let mut canceller = Canceller::new(Cleaning { echo: true, noise: false, gain: false }, behind);
    let mut out = Vec::with_capacity(END);
    for (played, heard) in scene.far.chunks_exact(FRAME).zip(scene.microphone.chunks_exact(FRAME)) {
        let stereo: Vec<i16> = played.iter().flat_map(|s| [*s, *s]).collect();
        reference.played(&stereo, queued);
        let mut frame = [0; FRAME];
        frame.copy_from_slice(heard);
        canceller.process(&reference, &mut frame);
        out.extend(frame);
    }
    out
}

/// A television turned up high, and one at the volume of a conversation in the room.
const LOUD: f32 = 0.5;
const ORDINARY: f32 = 0.12;

#[test]
fn a_loud_television_s_echo_is_taken_out_at_every_delay() {
    for delay in DELAYS {
        let scene = scene(delay, LOUD);
        let result = judge(&scene, &ours(&scene));
        println!("{delay} ms: {result:.1?}");
        assert!(result.erle > 30.0, "{delay} ms: {result:?}");
    }
}

#[test]
fn a_television_of_half_a_second_is_cancelled_with_what_is_known_of_its_delay() {
    let scene = scene(500, LOUD);
    // Measured in the sound card, or set in the configuration; too little and a little too much.
    for (queued, behind) in [(200, 300), (40, 580)] {
        let result = judge(&scene, &ours_told(&scene, Duration::from_millis(queued), Duration::from_millis(behind)));
        println!("{queued} + {behind} ms: {result:.1?}");
        assert!(result.erle > 20.0, "{queued} + {behind} ms: {result:?}");
    }
}

#[test]
fn a_resident_who_speaks_at_the_same_time_is_heard() {
    for delay in [80, 300] {
        let scene = scene(delay, ORDINARY);
        let result = judge(&scene, &ours(&scene));
        println!("{delay} ms: {result:.1?}");
        assert!(result.voice > -9.0 && result.erle > 15.0, "{delay} ms: {result:?}");
    }
}

/// GStreamer's canceller, in real time as it must be.
fn theirs(scene: &Scene, settings: &str) -> Vec<i16> {
    residentd::media::gstreamer().unwrap();
    let caps = "audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1";
    let text = format!(
        "appsrc name=far format=time caps=\"{caps}\" ! identity sync=true ! queue ! webrtcechoprobe name=probe ! fakesink sync=true \
         appsrc name=microphone format=time caps=\"{caps}\" ! identity sync=true ! queue ! \
         webrtcdsp probe=probe noise-suppression=false gain-control=false high-pass-filter=false {settings} ! appsink name=out sync=false"
    );
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    for (name, samples) in [("far", &scene.far), ("microphone", &scene.microphone)] {
        let src = pipeline.by_name(name).unwrap().downcast::<gst_app::AppSrc>().unwrap();
        src.set_max_bytes(0);
        for (i, frame) in samples.chunks_exact(FRAME).enumerate() {
            let mut buffer = gst::Buffer::from_slice(frame.iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<u8>>());
            buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_mseconds(10 * i as u64));
            buffer.get_mut().unwrap().set_duration(gst::ClockTime::from_mseconds(10));
            src.push_buffer(buffer).unwrap();
        }
        src.end_of_stream().unwrap();
    }
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut out = Vec::with_capacity(END);
    while let Ok(sample) = sink.pull_sample() {
        let map = sample.buffer().unwrap().map_readable().unwrap();
        out.extend(map.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    out.resize(END, 0);
    out
}

#[test]
#[ignore = "a comparison in real time, two minutes; run with --ignored --nocapture"]
fn ours_is_better_than_the_canceller_of_gstreamer_on_the_same_recording() {
    let others = [
        ("webrtcdsp, delay agnostic, extended", "delay-agnostic=true extended-filter=true"),
        ("webrtcdsp, delay agnostic, high", "delay-agnostic=true extended-filter=true echo-suppression-level=high"),
        ("webrtcdsp, as it comes", ""),
    ];
    println!("| delay | canceller | echo after 6 s | in the first seconds | voice in double talk |\n|---|---|---|---|---|");
    let mut worst = vec![f64::MAX; 1 + others.len()];
    for delay in DELAYS {
        let scene = &scene(delay, LOUD);
        let ours = judge(scene, &ours(scene));
        let theirs: Vec<Result> = std::thread::scope(|s| {
            let running: Vec<_> = others.iter().map(|(_, settings)| s.spawn(move || judge(scene, &theirs(scene, settings)))).collect();
            running.into_iter().map(|r| r.join().unwrap()).collect()
        });
        let all = std::iter::once(("sonora (AEC3)", &ours)).chain(others.iter().map(|(n, _)| *n).zip(&theirs));
        for (worst, (name, r)) in worst.iter_mut().zip(all) {
            println!("| {delay} ms | {name} | {:.1} dB | {:.1} dB | {:.1} dB |", -r.erle, -r.start, r.voice);
            *worst = worst.min(r.erle);
        }
    }
    assert!(worst[1..].iter().all(|theirs| worst[0] > theirs + 10.0), "the weakest of each: {worst:?}");
}

/// CPU time of this thread so far.
fn spent() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(text.split_whitespace().next().unwrap().parse().unwrap())
}

#[test]
#[ignore = "figures, not a test; run with --ignored --nocapture, optimised"]
fn what_cleaning_a_second_of_sound_costs() {
    let scene = scene(80, ORDINARY);
    let cost = |cleaning: Cleaning, used: bool| {
        let reference = Reference::default();
        let mut canceller = Canceller::new(cleaning, Duration::ZERO);
        canceller.used(used);
        let before = spent();
        for (played, heard) in scene.far.chunks_exact(FRAME).zip(scene.microphone.chunks_exact(FRAME)) {
            if cleaning.echo {
                let stereo: Vec<i16> = played.iter().flat_map(|s| [*s, *s]).collect();
                reference.played(&stereo, Duration::ZERO);
            }
            let mut frame = [0; FRAME];
            frame.copy_from_slice(heard);
            canceller.process(&reference, &mut frame);
        }
        (spent() - before).as_secs_f64() * 1000.0 / (END / RATE) as f64
    };
    let what = |echo, noise, gain| Cleaning { echo, noise, gain };
    for (name, cleaning, used) in [
        ("nothing", what(false, false, false), true),
        ("echo", what(true, false, false), true),
        ("noise", what(false, true, false), true),
        ("gain", what(false, false, true), true),
        ("everything", what(true, true, true), true),
        ("everything, muted", what(true, true, true), false),
    ] {
        println!("{name}: {:.2} ms of CPU a second", cost(cleaning, used));
    }
}
