//! A caller's voice out of a television, back into the microphone through a room, and the resident's own. For the tests of the
//! canceller by itself and on sound cards. The voices are synthetic (espeak-ng), in samples/echo.
#![allow(dead_code, reason = "each test uses a part of it")]

use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;

/// Samples a second.
pub const RATE: usize = 48_000;
/// Loudness of a television at the microphone that is turned up high; 0.5 is as loud as the resident's own voice.
pub const LOUD: f32 = 0.5;
/// The same, at the volume of a conversation in the room.
pub const ORDINARY: f32 = 0.12;
/// The resident's own voice at the microphone.
pub const OWN: f32 = 0.5;

/// Where a recording lies.
pub fn sample(name: &str) -> String {
    format!("{}/tests/samples/echo/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Reads a recording as 48 kHz mono.
pub fn read(name: &str) -> Vec<f32> {
    decode(&format!("filesrc location={} ! oggdemux ! opusdec", sample(name)), |_| {})
}

/// 48 kHz mono of what this description gives until its end; `feed` is given the pipeline once it runs.
pub fn decode(source: &str, feed: impl FnOnce(&gst::Bin)) -> Vec<f32> {
    residentd::media::gstreamer().unwrap();
    let caps = "audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1";
    let text = format!("{source} ! audioconvert ! audioresample ! {caps} ! appsink name=out sync=false");
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let sink = pipeline.by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    feed(pipeline.upcast_ref());
    let mut samples = Vec::new();
    while let Ok(sample) = sink.pull_sample() {
        let map = sample.buffer().unwrap().map_readable().unwrap();
        samples.extend(map.chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]]))));
    }
    pipeline.set_state(gst::State::Null).unwrap();
    samples
}

/// Deterministic noise, -1..1.
pub struct Noise(pub u64);

impl Noise {
    /// The next of it.
    pub fn next(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

/// A living room with a television in it: the direct sound, then 150 reflections that die away within a quarter of a second.
pub struct Room {
    /// Delay in samples, and loudness.
    ways: Vec<(usize, f32)>,
    /// What is on its way to the microphone, from `now` on.
    coming: Vec<f32>,
    now: usize,
    /// The microphone's own noise.
    noise: Noise,
}

impl Room {
    /// The television takes so long, and is this loud at the microphone.
    pub fn new(delay_ms: usize, loudness: f32) -> Room {
        let mut noise = Noise(7);
        let delay = delay_ms * RATE / 1000;
        let mut ways = vec![(delay, loudness)];
        for _ in 0..150 {
            let at = (noise.next().abs() * 0.25 * RATE as f32) as usize;
            ways.push((delay + at, 0.24 * loudness * noise.next() * (-(at as f32) / (0.06 * RATE as f32)).exp()));
        }
        Room { coming: vec![0.0; delay + RATE / 4 + 1], ways, now: 0, noise }
    }

    /// What the microphone hears while this is played.
    pub fn hear(&mut self, played: f32) -> f32 {
        // A television's small loudspeaker clips softly.
        let played = (played / 20_000.0).tanh() * 20_000.0;
        let length = self.coming.len();
        for (at, gain) in &self.ways {
            let index = self.now + at;
            self.coming[if index < length { index } else { index - length }] += played * gain;
        }
        let heard = std::mem::take(&mut self.coming[self.now]) + self.noise.next() * 20.0;
        self.now = (self.now + 1) % length;
        heard
    }
}

/// As a card takes it.
pub fn pcm(sample: f32) -> i16 {
    sample.clamp(-32_768.0, 32_767.0) as i16
}

/// Mean power of samples.
pub fn power<T: Copy + Into<f64>>(samples: &[T]) -> f64 {
    samples.iter().map(|s| (*s).into().powi(2)).sum::<f64>() / samples.len() as f64 + 1e-9
}

/// A ratio of powers, in dB.
pub fn db(a: f64, b: f64) -> f64 {
    10.0 * (a / b).log10()
}

/// Finds a voice in what was heard, by correlation, up to so many samples later, looked for in
/// such steps: how much later, and what is left of it in dB.
pub fn find<T: Copy + Into<f64>>(voice: &[f32], heard: &[T], within: usize, step: usize) -> (usize, f64) {
    let lags = (0..within).step_by(step).map(|lag| {
        let (mut cross, mut own) = (0.0f64, 1e-9f64);
        for (n, voice) in voice.iter().enumerate().step_by(3) {
            let voice = f64::from(*voice);
            cross += voice * heard.get(n + lag).map_or(0.0, |h| (*h).into());
            own += voice * voice;
        }
        (lag, cross / own)
    });
    let (lag, gain) = lags.max_by(|a, b| a.1.total_cmp(&b.1)).expect("there are lags");
    (lag, 20.0 * gain.max(1e-3).log10())
}
