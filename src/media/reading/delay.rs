//! Finds a known sound in what the microphone heard: where the two agree most, and how much more than anywhere else.

/// Samples a second are taken together by so many: 48 kHz becomes 8 kHz, enough for speech and for a millisecond.
const TOGETHER: usize = 6;
/// How loud the noise is: heard over a television, and nobody is startled.
const LOUD: f32 = 5000.0;
/// Length of the noise in samples at 48 kHz: half a second.
const LENGTH: usize = 24_000;
/// As clear as chance never is: measured over noise alone it stays below 2.
const CLEAR: f64 = 2.5;

/// Where the sound was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Found {
    /// Samples at 48 kHz from the beginning of the recording; `None`: it is not in there.
    pub lag: Option<usize>,
    /// The best agreement over the best elsewhere.
    pub clearness: f64,
}

/// Half a second of soft noise, the same each time, with soft edges.
pub fn noise() -> Vec<i16> {
    let (mut state, mut smooth) = (0x2545_f491_4f6c_dd1du64, 0.0f32);
    (0..LENGTH)
        .map(|i| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let white = (state >> 40) as f32 / 8_388_608.0 - 1.0;
            // Like speech it has more of the low tones; small speakers have none of the lowest.
            smooth += 0.25 * (white - smooth);
            let edge = (i.min(LENGTH - 1 - i) as f32 / 1200.0).min(1.0);
            (smooth * edge * LOUD * 2.5).clamp(-32_000.0, 32_000.0) as i16
        })
        .collect()
}

fn coarse(samples: &[i16]) -> Vec<f32> {
    let sums: Vec<f32> = samples.chunks_exact(TOGETHER).map(|c| c.iter().map(|s| f32::from(*s)).sum()).collect();
    // Differences take out hum and offset.
    sums.windows(2).map(|w| w[1] - w[0]).collect()
}

/// Looks for `sound` in `heard`.
pub fn find(heard: &[i16], sound: &[i16]) -> Found {
    let (heard, sound) = (coarse(heard), coarse(sound));
    let nothing = Found { lag: None, clearness: 0.0 };
    if heard.len() <= sound.len() || sound.is_empty() {
        return nothing;
    }
    let agreement: Vec<f32> =
        (0..heard.len() - sound.len()).map(|lag| heard[lag..].iter().zip(&sound).map(|(a, b)| a * b).sum::<f32>().abs()).collect();
    let Some((best, most)) = agreement.iter().copied().enumerate().max_by(|a, b| a.1.total_cmp(&b.1)) else { return nothing };
    // Around the best it agrees nearly as well, and in a room the walls answer for a few dozen milliseconds.
    let near = 8 * 40;
    let elsewhere = agreement.iter().enumerate().filter(|(lag, _)| lag.abs_diff(best) > near).map(|(_, a)| *a).fold(0.0, f32::max);
    let clearness = if elsewhere > 0.0 {
        f64::from(most / elsewhere)
    } else if most > 0.0 {
        100.0
    } else {
        0.0
    };
    Found { lag: (clearness >= CLEAR).then_some(best * TOGETHER), clearness }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(delay: usize, loud: f32, other: f32) -> Vec<i16> {
        let mut state = 99u64;
        let noise = noise();
        (0..90_000usize)
            .map(|i| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let hiss = ((state >> 40) as f32 / 8_388_608.0 - 1.0) * other;
                let of = |delay: usize| i.checked_sub(delay).and_then(|i| noise.get(i)).map_or(0.0, |s| f32::from(*s));
                (of(delay) * loud + of(delay + 700) * loud * 0.4 + hiss) as i16
            })
            .collect()
    }

    #[test]
    fn the_sound_is_found_where_it_is_even_faint_and_in_an_echoing_room() {
        for (delay, loud, other) in [(0, 0.5, 0.0), (9600, 0.5, 100.0), (20_000, 0.05, 150.0)] {
            let found = find(&room(delay, loud, other), &noise());
            let lag = found.lag.unwrap_or_else(|| panic!("not found: {found:?}"));
            assert!(lag.abs_diff(delay) <= 2 * TOGETHER, "{delay}: {found:?}");
        }
    }

    #[test]
    fn what_is_not_there_is_not_found() {
        for other in [0.0, 10.0, 3000.0] {
            assert_eq!(find(&room(0, 0.0, other), &noise()).lag, None);
        }
        assert_eq!(find(&[], &noise()).lag, None);
        assert_eq!(find(&[3; 100], &noise()).lag, None);
    }
}
