//! Ring and notice tone, made here: soft bell strokes whose energy lies between 500 and 2000 Hz, where old ears hear best
//! and the small loudspeakers of televisions work.

use std::f32::consts::TAU;
use std::sync::Arc;

/// Samples a second; one channel.
pub const RATE: usize = 48_000;

/// The softest a ring may be set, percent.
pub const FLOOR: u8 = 30;

/// Peak of the tones, of full scale: room for the speaker's mixer.
const PEAK: f32 = 0.7;

/// A stroke: when it begins (s), its pitch (Hz), how long it rings out (s).
struct Stroke(f32, f32, f32);

// E major, from E5 to B5: the second partial stays below 2 kHz.
const E5: f32 = 659.26;
const G5S: f32 = 830.61;
const B5: f32 = 987.77;

/// Rings: a rising figure, played twice, then a pause to hear whether somebody comes. Made to be repeated.
pub fn ring() -> Arc<[i16]> {
    let figure = |at: f32| [Stroke(at, E5, 0.35), Stroke(at + 0.22, G5S, 0.35), Stroke(at + 0.44, B5, 0.55)];
    let strokes: Vec<Stroke> = figure(0.0).into_iter().chain(figure(1.0)).collect();
    strike(&strokes, 3.2)
}

/// The notice before an automatic answer: two falling strokes, as of a door bell, each two seconds.
pub fn notice() -> Arc<[i16]> {
    strike(&[Stroke(0.0, B5, 0.5), Stroke(0.38, E5, 0.7)], 2.0)
}

/// The player's linear gain for a ring volume in percent, never below the floor.
pub fn gain(percent: u8) -> f32 {
    f32::from(percent.clamp(FLOOR, 100)) / 100.0
}

fn strike(strokes: &[Stroke], seconds: f32) -> Arc<[i16]> {
    let mut sum = vec![0f32; (seconds * RATE as f32) as usize];
    for Stroke(at, pitch, ring_out) in strokes {
        let start = (at * RATE as f32) as usize;
        for (i, out) in sum.iter_mut().skip(start).enumerate() {
            let t = i as f32 / RATE as f32;
            // 8 ms to full strength: no click, still a stroke.
            let attack = (t / 0.008).min(1.0);
            let level = attack * (-t * 3.0 / ring_out).exp();
            let wave = (TAU * pitch * t).sin() + 0.35 * (TAU * 2.0 * pitch * t).sin() * (-t * 6.0).exp();
            *out += level * wave;
        }
    }
    // The seam of the repetition: what still rings fades out, so that there is no click either.
    let fade = RATE / 50;
    let len = sum.len();
    for (i, s) in sum.iter_mut().skip(len - fade).enumerate() {
        *s *= 1.0 - i as f32 / fade as f32;
    }
    let highest = sum.iter().fold(f32::EPSILON, |m, s| m.max(s.abs()));
    sum.iter().map(|s| (s / highest * PEAK * f32::from(i16::MAX)) as i16).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Part of the energy between 500 and 2000 Hz, by the discrete Fourier transform of the whole tone.
    fn heard_by_old_ears(tone: &[i16]) -> f64 {
        let n = tone.len().next_power_of_two();
        let mut re: Vec<f64> = tone.iter().map(|s| f64::from(*s)).collect();
        re.resize(n, 0.0);
        let mut im = vec![0.0; n];
        fft(&mut re, &mut im);
        let energy = |from: f64, to: f64| -> f64 {
            let bin = |hz: f64| (hz * n as f64 / RATE as f64) as usize;
            (bin(from)..bin(to)).map(|i| re[i] * re[i] + im[i] * im[i]).sum()
        };
        energy(500.0, 2000.0) / energy(0.0, RATE as f64 / 2.0)
    }

    fn fft(re: &mut [f64], im: &mut [f64]) {
        let n = re.len();
        let bits = n.trailing_zeros();
        for i in 0..n {
            let j = i.reverse_bits() >> (usize::BITS - bits);
            if j > i {
                re.swap(i, j);
                im.swap(i, j);
            }
        }
        let mut len = 2;
        while len <= n {
            let angle = -std::f64::consts::TAU / len as f64;
            for block in (0..n).step_by(len) {
                for k in 0..len / 2 {
                    let (s, c) = (angle * k as f64).sin_cos();
                    let (a, b) = (block + k, block + k + len / 2);
                    let (x, y) = (re[b] * c - im[b] * s, re[b] * s + im[b] * c);
                    (re[b], im[b]) = (re[a] - x, im[a] - y);
                    (re[a], im[a]) = (re[a] + x, im[a] + y);
                }
            }
            len *= 2;
        }
    }

    #[test]
    fn energy_lies_where_old_ears_hear() {
        for tone in [ring(), notice()] {
            let part = heard_by_old_ears(&tone);
            assert!(part >= 0.9, "{part}");
        }
        // The measure itself: a tone of 3 kHz is none of it.
        let high: Vec<i16> = (0..RATE).map(|i| ((i as f32 * TAU * 3000.0 / RATE as f32).sin() * 1e4) as i16).collect();
        assert!(heard_by_old_ears(&high) < 0.01);
    }

    #[test]
    fn tones_are_loud_do_not_clip_and_begin_and_end_softly() {
        for tone in [ring(), notice()] {
            let peak = tone.iter().map(|s| s.unsigned_abs()).max().unwrap();
            assert!((20_000..30_000).contains(&peak), "{peak}");
            assert!(tone[0].abs() < 100 && tone[tone.len() - 1].abs() < 100);
            let step = tone.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap();
            assert!(step < 6000, "a click of {step}");
        }
    }

    #[test]
    fn no_setting_makes_the_ring_softer_than_the_floor() {
        assert_eq!(gain(0), gain(FLOOR));
        assert_eq!(gain(100), 1.0);
        assert_eq!(gain(255), 1.0);
        assert!(gain(FLOOR) >= 0.3);
    }
}
