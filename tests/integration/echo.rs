//! Echo cancellation on one recording: a caller's voice out of a loud television, back into the microphone after the
//! television's delay, through a room; then the resident speaks at the same time. Ours (AEC3) is tested with bounds; the
//! comparison with GStreamer's `webrtcdsp`, which works in real time, prints its table when asked for:
//! `cargo test --test integration echo:: -- --ignored --nocapture`.

use crate::support::echo::{LOUD, Noise, ORDINARY, OWN, RATE, Room, db, find, pcm, power, read};
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use residentd::media::sound::FRAME;
use residentd::media::sound::echo::{Canceller, Cleaning, Reference};
use std::time::Duration;

/// The canceller has had so long to converge, the resident is silent until `TALK`.
const CONVERGED: usize = 6 * RATE;
const TALK: usize = 14 * RATE;
const END: usize = 22 * RATE;
/// Television delays in ms.
const DELAYS: [usize; 4] = [30, 80, 200, 300];

/// What is played, what the microphone hears, and the parts of that.
struct Scene {
    far: Vec<i16>,
    near: Vec<f32>,
    microphone: Vec<i16>,
}

/// `loudness` of the television at the microphone.
fn scene(delay_ms: usize, loudness: f32) -> Scene {
    let mut far = read("far.ogg");
    far.resize(END, 0.0);
    let mut near = vec![0.0; TALK];
    near.extend(read("near.ogg"));
    near.resize(END, 0.0);
    let mut room = Room::new(delay_ms, loudness);
    let microphone = far.iter().zip(&near).map(|(far, near)| pcm(room.hear(*far) + near * OWN)).collect();
    Scene { far: far.into_iter().map(pcm).collect(), near, microphone }
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
    let over = |range: std::ops::Range<usize>| db(power(&scene.microphone[range.clone()]), power(&out[range]));
    // The voice is found again at the canceller's own delay.
    let talk: Vec<f32> = scene.near[TALK..(END - RATE).min(out.len())].iter().map(|s| s * OWN).collect();
    let (_, voice) = find(&talk, &out[TALK..], RATE / 20, 4);
    Result { erle: over(CONVERGED..TALK), start: over(RATE..3 * RATE), voice }
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

/// What is sent of this microphone while nothing is played.
fn cleaned(cleaning: Cleaning, microphone: &[f32]) -> Vec<i16> {
    let (reference, mut canceller) = (Reference::default(), Canceller::new(cleaning, Duration::ZERO));
    let frames = microphone.chunks_exact(FRAME).map(|heard| {
        let mut frame = [0; FRAME];
        frame.iter_mut().zip(heard).for_each(|(sample, heard)| *sample = pcm(*heard));
        canceller.process(&reference, &mut frame);
        frame
    });
    frames.flatten().collect()
}

#[test]
fn a_resident_far_from_the_microphone_is_made_louder() {
    // 30 dB softer than close by, over and over until the gain has found it
    let voice: Vec<f32> = read("near.ogg").repeat(3).iter().map(|s| s * 0.03).collect();
    let gain = |gain| {
        let sent = cleaned(Cleaning { echo: false, noise: false, gain }, &voice);
        let last = 2 * sent.len() / 3..sent.len();
        db(power(&sent[last.clone()]), power(&voice[last]))
    };
    let (without, with) = (gain(false), gain(true));
    println!("without {without:.1} dB, with {with:.1} dB");
    assert!(without.abs() < 1.0 && with > 10.0, "without {without:.1} dB, with {with:.1} dB");
}

#[test]
fn a_fan_in_the_room_is_made_softer_and_the_resident_is_not() {
    let (mut noise, voice) = (Noise(7), read("near.ogg"));
    let fan: Vec<f32> = (0..2 * voice.len()).map(|_| noise.next() * 300.0).collect();
    let both: Vec<f32> =
        fan.iter().enumerate().map(|(at, fan)| fan + at.checked_sub(voice.len()).map_or(0.0, |at| voice[at] * OWN)).collect();
    let sent = cleaned(Cleaning { echo: false, noise: true, gain: false }, &both);
    let quiet = voice.len() / 2..voice.len();
    let softer = db(power(&fan[quiet.clone()]), power(&sent[quiet]));
    let own: Vec<f32> = voice[..voice.len() - RATE].iter().map(|s| s * OWN).collect();
    let (_, left) = find(&own, &sent[voice.len()..], RATE / 20, 4);
    println!("the fan {softer:.1} dB softer, the voice at {left:.1} dB");
    assert!(softer > 6.0 && left > -6.0, "the fan {softer:.1} dB softer, the voice at {left:.1} dB");
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
