//! What is done to the callers' voices before they are played: the level is evened, consonants are lifted for ears that
//! have grown old, the volume set, and nothing ever clips. 48 kHz stereo in frames of 10 ms, without delay.

use super::FRAME;
use std::f32::consts::TAU;
use std::str::FromStr;

/// Interleaved stereo samples of a frame.
const STEREO: usize = 2 * FRAME;
const RATE: f32 = 48_000.0;
const FULL: f32 = 32_768.0;

/// How loud speech is made (RMS of a frame, of full scale): -20 dB, as calls are mixed.
const TARGET: f32 = 0.1;
/// Softer frames are pauses and noise, and say nothing about the voice: -50 dB.
const SPEECH: f32 = 0.003;
/// A soft voice is lifted so much at most (12 dB), a loud one lowered so much (6 dB).
const GAINS: (f32, f32) = (0.5, 4.0);
/// How fast the gain follows: a factor a frame. Up 6 dB a second, down 20 dB a second.
const UP: f32 = 1.006_93;
const DOWN: f32 = 0.977_24;
/// Nothing is louder: -1 dB of full scale.
const CEILING: f32 = 0.89 * FULL;
/// The limiter lets go within about 80 ms: a factor a sample.
const RELEASE: f32 = 0.999_74;

/// How much the voices are shaped for old ears.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Hearing {
    /// Not at all.
    #[default]
    Off,
    /// For the usual loss of age: high tones by about 8 dB.
    Mild,
    /// For more: by about 15 dB, and less rumble.
    Strong,
}

impl FromStr for Hearing {
    type Err = String;
    fn from_str(text: &str) -> Result<Hearing, String> {
        match text {
            "off" => Ok(Hearing::Off),
            "mild" => Ok(Hearing::Mild),
            "strong" => Ok(Hearing::Strong),
            other => Err(format!("`{other}` is no hearing profile; allowed: off, mild, strong")),
        }
    }
}

/// What the resident has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// Volume of the voices, percent; the ring has its own.
    pub volume: u8,
    /// The tone profile.
    pub hearing: Hearing,
}

/// The processing of one call's mix.
pub struct Voicing {
    volume: f32,
    filters: [Vec<Biquad>; 2],
    /// The gain that evens the level, as it was at the end of the last frame.
    gain: f32,
    /// The limiter's idea of the peaks.
    envelope: f32,
    /// Frames of silence in a row: after a few the filters have rung out.
    silent: u32,
}

impl Voicing {
    /// With these wishes.
    pub fn new(wishes: Wishes) -> Voicing {
        let filters: Vec<Biquad> = match wishes.hearing {
            Hearing::Off => vec![],
            Hearing::Mild => vec![Biquad::high_pass(100.0), Biquad::peak(2800.0, 0.8, 4.0), Biquad::high_shelf(4000.0, 6.0)],
            Hearing::Strong => vec![Biquad::high_pass(150.0), Biquad::peak(2500.0, 0.7, 7.0), Biquad::high_shelf(3500.0, 12.0)],
        };
        Voicing {
            volume: f32::from(wishes.volume.min(100)) / 100.0,
            filters: [filters.clone(), filters],
            gain: 1.0,
            envelope: 0.0,
            silent: 0,
        }
    }

    /// One frame of the mix, however loud, as it is played.
    pub fn process(&mut self, sum: &[i32; STEREO]) -> [i16; STEREO] {
        let mut out = [0i16; STEREO];
        self.silent = if sum.iter().all(|s| *s == 0) { self.silent.saturating_add(1) } else { 0 };
        if self.silent > 3 {
            self.envelope = 0.0;
            return out;
        }
        let before = self.gain;
        self.follow(sum);
        let step = (self.gain - before) / FRAME as f32;
        for (i, (pair, out)) in sum.chunks_exact(2).zip(out.chunks_exact_mut(2)).enumerate() {
            let gain = (before + step * i as f32) * self.volume;
            let mut shaped = [pair[0] as f32 * gain, pair[1] as f32 * gain];
            for (sample, filters) in shaped.iter_mut().zip(&mut self.filters) {
                *sample = filters.iter_mut().fold(*sample, |s, f| f.run(s));
            }
            // Both channels are held down alike: the voice stays in its place.
            let peak = shaped[0].abs().max(shaped[1].abs());
            self.envelope = peak.max(self.envelope * RELEASE);
            let hold = if self.envelope > CEILING { CEILING / self.envelope } else { 1.0 };
            for (o, s) in out.iter_mut().zip(shaped) {
                *o = (s * hold) as i16;
            }
        }
        out
    }

    /// Moves the gain towards what makes this frame as loud as it should be, if it is speech.
    fn follow(&mut self, sum: &[i32; STEREO]) {
        let power = sum.iter().map(|s| (*s as f32 / FULL).powi(2)).sum::<f32>() / STEREO as f32;
        let level = power.sqrt();
        if level < SPEECH {
            return;
        }
        let wanted = (TARGET / level).clamp(GAINS.0, GAINS.1);
        // Syllables differ by 10 dB and more: the level of a voice is that of its loud ones, so down is quick and up slow.
        self.gain = if wanted < self.gain { (self.gain * DOWN).max(wanted) } else { (self.gain * UP).min(wanted) };
    }
}

/// A filter of second order (R. Bristow-Johnson's formulas).
#[derive(Debug, Clone, Copy)]
struct Biquad {
    b: [f32; 3],
    a: [f32; 2],
    z: [f32; 2],
}

impl Biquad {
    fn new(b: [f32; 3], a: [f32; 3]) -> Biquad {
        Biquad { b: b.map(|b| b / a[0]), a: [a[1] / a[0], a[2] / a[0]], z: [0.0; 2] }
    }

    fn high_pass(hertz: f32) -> Biquad {
        let (sin, cos) = (TAU * hertz / RATE).sin_cos();
        let alpha = sin / (2.0 * std::f32::consts::FRAC_1_SQRT_2);
        Biquad::new([(1.0 + cos) / 2.0, -(1.0 + cos), (1.0 + cos) / 2.0], [1.0 + alpha, -2.0 * cos, 1.0 - alpha])
    }

    fn peak(hertz: f32, q: f32, decibel: f32) -> Biquad {
        let (sin, cos) = (TAU * hertz / RATE).sin_cos();
        let (alpha, a) = (sin / (2.0 * q), 10f32.powf(decibel / 40.0));
        Biquad::new([1.0 + alpha * a, -2.0 * cos, 1.0 - alpha * a], [1.0 + alpha / a, -2.0 * cos, 1.0 - alpha / a])
    }

    fn high_shelf(hertz: f32, decibel: f32) -> Biquad {
        let (sin, cos) = (TAU * hertz / RATE).sin_cos();
        let a = 10f32.powf(decibel / 40.0);
        let beta = 2.0 * a.sqrt() * sin / 2.0 * std::f32::consts::SQRT_2;
        let b =
            [a * ((a + 1.0) + (a - 1.0) * cos + beta), -2.0 * a * ((a - 1.0) + (a + 1.0) * cos), a * ((a + 1.0) + (a - 1.0) * cos - beta)];
        let a = [(a + 1.0) - (a - 1.0) * cos + beta, 2.0 * ((a - 1.0) - (a + 1.0) * cos), (a + 1.0) - (a - 1.0) * cos - beta];
        Biquad::new(b, a)
    }

    fn run(&mut self, x: f32) -> f32 {
        let y = self.b[0] * x + self.z[0];
        self.z[0] = self.b[1] * x - self.a[0] * y + self.z[1];
        self.z[1] = self.b[2] * x - self.a[1] * y;
        y
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Wishes = Wishes { volume: 100, hearing: Hearing::Off };

    /// So many seconds of a tone (peak of full scale), as it comes out: left channel.
    fn tone(voicing: &mut Voicing, hertz: f32, peak: f32, seconds: f32) -> Vec<i16> {
        let mut out = Vec::new();
        for frame in 0..(seconds * 100.0) as usize {
            let mut sum = [0i32; STEREO];
            for (i, pair) in sum.chunks_exact_mut(2).enumerate() {
                pair.fill(((TAU * hertz * (frame * FRAME + i) as f32 / RATE).sin() * peak * FULL) as i32);
            }
            out.extend(voicing.process(&sum).iter().step_by(2));
        }
        out
    }

    /// Level of the last second in dB of full scale.
    fn level(samples: &[i16]) -> f32 {
        let last = &samples[samples.len() - 48_000..];
        10.0 * (last.iter().map(|s| (f32::from(*s) / FULL).powi(2)).sum::<f32>() / last.len() as f32).log10()
    }

    #[test]
    fn soft_and_loud_voices_come_out_alike_and_pauses_are_not_lifted() {
        let played = |peak: f32| level(&tone(&mut Voicing::new(PLAIN), 1000.0, peak, 4.0));
        // -33 dB and -9 dB come to -21 and -15: nearer by twelve.
        let (soft, right, loud) = (played(0.031), played(0.141), played(0.5));
        assert!((soft - -21.1).abs() < 1.0 && (right - -20.0).abs() < 1.0 && (loud - -15.0).abs() < 1.0, "{soft} {right} {loud}");
        let noise = played(0.003);
        assert!((noise - -53.5).abs() < 1.0, "{noise}");
    }

    #[test]
    fn two_who_shout_at_once_do_not_clip() {
        let out = tone(&mut Voicing::new(PLAIN), 300.0, 2.0, 2.0);
        let most = out.iter().map(|s| s.unsigned_abs()).max().unwrap();
        assert!(most <= (CEILING as u16) + 1, "{most}");
        // It is turned down, not cut off: the wave keeps its shape, and is seldom at its very top.
        let last = &out[48_000..];
        let top = last.iter().filter(|s| s.unsigned_abs() + 400 >= most).count();
        assert!(top < last.len() / 5, "{top} of {}", last.len());
    }

    #[test]
    fn the_volume_of_the_voices_is_its_own() {
        let (full, half) = (PLAIN, Wishes { volume: 50, ..PLAIN });
        let [full, half] = [full, half].map(|w| level(&tone(&mut Voicing::new(w), 1000.0, 0.1, 3.0)));
        assert!((full - half - 6.0).abs() < 0.5, "{full} {half}");
    }

    #[test]
    fn consonants_are_lifted_and_vowels_are_not() {
        let lift = |hearing, hertz| {
            let wishes = Wishes { hearing, ..PLAIN };
            level(&tone(&mut Voicing::new(wishes), hertz, 0.1, 3.0)) - level(&tone(&mut Voicing::new(PLAIN), hertz, 0.1, 3.0))
        };
        let mild = [300.0, 3000.0, 6000.0].map(|hertz| lift(Hearing::Mild, hertz));
        assert!(mild[0].abs() < 1.5 && (4.0..9.0).contains(&mild[1]) && (5.0..10.0).contains(&mild[2]), "{mild:?}");
        let strong = [300.0, 3000.0, 6000.0].map(|hertz| lift(Hearing::Strong, hertz));
        assert!(strong[0].abs() < 2.5 && strong[1] > 8.0 && strong[2] > 11.0, "{strong:?}");
        assert!(lift(Hearing::Strong, 50.0) < -10.0);
    }

    #[test]
    fn silence_stays_silence_and_costs_nothing_after_a_moment() {
        let mut voicing = Voicing::new(Wishes { hearing: Hearing::Strong, ..PLAIN });
        tone(&mut voicing, 1000.0, 0.3, 0.5);
        for _ in 0..10 {
            voicing.process(&[0; STEREO]);
        }
        assert_eq!(voicing.process(&[0; STEREO]), [0; STEREO]);
        assert_eq!(
            voicing.process(&[i32::MIN; STEREO]).iter().map(|s| s.unsigned_abs()).max().map(|m| m <= CEILING as u16 + 1),
            Some(true)
        );
    }

    #[test]
    fn the_words_of_the_configuration_are_known() {
        for (word, hearing) in [("off", Hearing::Off), ("mild", Hearing::Mild), ("strong", Hearing::Strong)] {
            assert_eq!(word.parse(), Ok(hearing));
        }
        assert!("loud".parse::<Hearing>().is_err());
    }
}
