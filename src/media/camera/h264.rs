//! What has to be known of an H.264 stream to send it on as it is: its NAL units (Annex B), whether a picture stands alone,
//! and what its sequence parameter set promises. Pure; the clauses are those of ITU-T H.264.

/// NAL unit types (table 7-1).
const IDR: u8 = 5;
const SEQUENCE: u8 = 7;
const DELIMITER: u8 = 9;
const FILLER: u8 = 12;

/// Level 3.1 as it is written in a stream: the one of 42e01f, which a call negotiates.
const LEVEL: u8 = 31;
/// Macroblocks of a picture at that level (table A-1).
const PICTURE: u64 = 3600;
/// Macroblocks a second.
const SECOND: u64 = 108_000;
/// Macroblocks of all pictures that are kept for reference.
const KEPT: u64 = 18_000;

/// One access unit, made fit for packets.
#[derive(Debug, PartialEq, Eq)]
pub struct Unit {
    /// Annex B.
    pub bytes: Vec<u8>,
    /// It stands alone (IDR), and has its parameter sets with it.
    pub key: bool,
    /// Why receivers of 42e01f may not be able to read what begins here, if so; of units with parameter sets only.
    pub promise: Option<Result<(), String>>,
}

/// Takes a camera's access unit apart and puts together what is sent of it. Access unit delimiters are left out: they would
/// be packets of their own, and browsers count each as a picture. So is filling, which only takes bandwidth. A level that
/// promises more than a picture of this size and rate needs is lowered to the negotiated one: C.4.5.3 and A.3 allow each level
/// whose limits the stream keeps, and cameras write that of their largest picture.
pub fn unit(stream: &[u8], width: u32, height: u32, rate: f64) -> Unit {
    let (mut bytes, mut idr, mut promise) = (Vec::with_capacity(stream.len() + 16), false, None);
    for nal in nals(stream) {
        let kind = nal.first().map_or(0, |header| header & 0x1f);
        if matches!(kind, DELIMITER | FILLER) || nal.is_empty() {
            continue;
        }
        bytes.extend([0, 0, 0, 1]);
        let at = bytes.len();
        bytes.extend(nal);
        idr |= kind == IDR;
        if kind == SEQUENCE {
            let fits = fits(nal, width, height, rate);
            if fits.is_ok() {
                bytes[at + 3] = bytes[at + 3].min(LEVEL);
            }
            promise = Some(fits);
        }
    }
    Unit { bytes, key: idr && promise.is_some(), promise }
}

/// The NAL units of a byte stream, without start codes and the zeros around them.
fn nals(stream: &[u8]) -> impl Iterator<Item = &[u8]> {
    let starts: Vec<usize> = stream.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at + 3).collect();
    let ends: Vec<usize> = starts.iter().skip(1).map(|next| next - 3).chain([stream.len()]).collect();
    starts.into_iter().zip(ends).map(|(from, to)| {
        let nal = &stream[from..to];
        // The zero of a start code of four bytes; no NAL unit ends in one (7.4.1).
        &nal[..nal.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)]
    })
}

/// Whether this sequence parameter set, at this size and rate, is what 42e01f promises.
fn fits(nal: &[u8], width: u32, height: u32, rate: f64) -> Result<(), String> {
    let [_, profile, constraints, level, rest @ ..] = nal else { return Err("its parameters cannot be read".into()) };
    // Baseline without what only Baseline has: A.2.1, constraint_set1_flag.
    if *profile != 66 || constraints & 0x40 == 0 {
        return Err(format!("its profile ({profile:02x}{constraints:02x}) is not the constrained baseline"));
    }
    let picture = u64::from(width.div_ceil(16)) * u64::from(height.div_ceil(16));
    if picture > PICTURE || picture as f64 * rate > SECOND as f64 {
        return Err(format!("{width}x{height} at {rate:.0}/s is more than the call's level allows"));
    }
    if *level > LEVEL && references(rest).is_none_or(|kept| kept * picture > KEPT) {
        return Err("it keeps more pictures than the call's level allows".into());
    }
    Ok(())
}

/// `max_num_ref_frames` of a sequence parameter set of the baseline, from behind its level (7.3.2.1.1).
fn references(rest: &[u8]) -> Option<u64> {
    let mut bits = Bits::new(rest);
    bits.number()?; // seq_parameter_set_id
    bits.number()?; // log2_max_frame_num_minus4
    match bits.number()? {
        // pic_order_cnt_type, log2_max_pic_order_cnt_lsb_minus4
        0 => {
            bits.number()?;
        }
        2 => {}
        // No camera counts like this.
        _ => return None,
    }
    bits.number()
}

/// Reads bits, behind the bytes that keep start codes out of the middle (7.4.1.1).
struct Bits {
    bytes: Vec<u8>,
    at: usize,
}

impl Bits {
    fn new(escaped: &[u8]) -> Bits {
        let mut bytes = Vec::with_capacity(escaped.len());
        for byte in escaped {
            if !(*byte == 3 && bytes.ends_with(&[0, 0])) {
                bytes.push(*byte);
            }
        }
        Bits { bytes, at: 0 }
    }

    fn bit(&mut self) -> Option<u64> {
        let byte = self.bytes.get(self.at / 8)?;
        let bit = byte >> (7 - self.at % 8) & 1;
        self.at += 1;
        Some(u64::from(bit))
    }

    /// ue(v), 9.1.
    fn number(&mut self) -> Option<u64> {
        let mut zeros = 0;
        while self.bit()? == 0 {
            zeros += 1;
            if zeros > 31 {
                return None;
            }
        }
        let mut value = 1;
        for _ in 0..zeros {
            value = value << 1 | self.bit()?;
        }
        Some(value - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Constrained baseline, level 4.0, as a webcam writes it: set 0, frame numbers of 4 bits, order as decoded, this many kept.
    fn sequence(profile: u8, constraints: u8, level: u8, kept: &str) -> Vec<u8> {
        // ue(0) ue(0) ue(2), then the number, then the rest of a byte
        let bits = format!("11011{kept}1000000000000000");
        let tail = bits.as_bytes().chunks_exact(8).map(|byte| u8::from_str_radix(std::str::from_utf8(byte).unwrap(), 2).unwrap());
        [0x67, profile, constraints, level].into_iter().chain(tail.take_while(|byte| *byte != 0)).collect()
    }

    const ONE: &str = "010";
    const NINE: &str = "0001010";

    fn stream(nals: &[&[u8]]) -> Vec<u8> {
        nals.iter().flat_map(|nal| [&[0, 0, 0, 1], *nal].concat()).collect()
    }

    #[test]
    fn a_picture_is_sent_without_delimiter_and_filling() {
        let slice = [0x65, 0x88, 0x84, 0x21];
        let sequence = sequence(66, 0xc0, 31, ONE);
        let camera = stream(&[&[9, 0xf0], &sequence, &[0x68, 0xce, 0x38, 0x80], &slice, &[12, 0xff, 0xff, 0x80]]);
        let unit = unit(&camera, 1280, 720, 30.0);
        assert_eq!(unit, Unit { bytes: stream(&[&sequence, &[0x68, 0xce, 0x38, 0x80], &slice]), key: true, promise: Some(Ok(())) });
    }

    #[test]
    fn start_codes_of_three_and_four_bytes_are_the_same_and_zeros_at_the_end_are_nobodys() {
        let three = [0, 0, 1, 0x41, 0x9a, 0, 0, 1, 0x41, 0x9b, 0x80, 0, 0];
        assert_eq!(unit(&three, 640, 360, 15.0).bytes, stream(&[&[0x41, 0x9a], &[0x41, 0x9b, 0x80]]));
        assert!(!unit(&three, 640, 360, 15.0).key);
    }

    #[test]
    fn the_level_of_the_camera_s_largest_picture_is_lowered_where_this_one_keeps_to_the_call_s() {
        let camera = stream(&[&sequence(66, 0xc0, 40, ONE), &[0x65, 1]]);
        let unit = unit(&camera, 1280, 720, 30.0);
        assert_eq!((unit.bytes[7], unit.promise), (31, Some(Ok(()))));
        // A lower one stays.
        assert_eq!(super::unit(&stream(&[&sequence(66, 0xc0, 30, ONE)]), 640, 480, 30.0).bytes[7], 30);
    }

    #[test]
    fn what_was_not_negotiated_is_said_to_be_so() {
        let promise = |nal: &[u8], width, height, rate| unit(&stream(&[nal, &[0x65, 1]]), width, height, rate).promise.unwrap();
        for (profile, constraints) in [(66, 0), (77, 0x40), (100, 0)] {
            assert!(promise(&sequence(profile, constraints, 31, ONE), 640, 360, 15.0).unwrap_err().contains("constrained baseline"));
        }
        assert!(promise(&sequence(66, 0xe0, 40, ONE), 1920, 1080, 30.0).unwrap_err().contains("1920x1080"));
        assert!(promise(&sequence(66, 0xe0, 40, ONE), 1280, 720, 60.0).unwrap_err().contains("60/s"));
        assert!(promise(&sequence(66, 0xe0, 40, NINE), 1280, 720, 30.0).unwrap_err().contains("keeps more"));
        assert_eq!(promise(&sequence(66, 0xe0, 40, NINE), 640, 360, 30.0), Ok(()));
        assert!(promise(&[0x67, 66], 640, 360, 15.0).is_err());
    }

    #[test]
    fn a_picture_without_its_parameters_is_no_beginning() {
        assert!(!unit(&stream(&[&[0x65, 0x88]]), 640, 360, 15.0).key);
    }

    #[test]
    fn noise_does_no_harm() {
        for seed in 0..2000u64 {
            let noise: Vec<u8> = (0..seed % 97)
                .map(|i| ((seed * 2_654_435_761 + i * 40_503) >> (i % 7) & if i % 3 == 0 { 1 } else { 0xff }) as u8)
                .collect();
            let unit = unit(&noise, 640, 360, 15.0);
            assert!(unit.bytes.len() <= noise.len() * 5);
        }
    }
}
