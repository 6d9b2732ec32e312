//! Photographs for people who have none of their own: head and shoulders, a colour a person, as PNG.

/// Width and height in pixels.
const SIZE: usize = 256;
/// Samples along each side of a pixel, for smooth edges.
const SAMPLES: usize = 3;

type Rgb = [f64; 3];

/// What is at a point of the unit square.
fn colour(x: f64, y: f64, person: u64) -> Rgb {
    let within = |cx: f64, cy: f64, rx: f64, ry: f64| ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2) <= 1.0;
    let coats: [Rgb; 5] = [[38.0, 84.0, 124.0], [124.0, 58.0, 82.0], [52.0, 104.0, 72.0], [112.0, 84.0, 40.0], [84.0, 68.0, 128.0]];
    let [r, g, b] = coats[(person % 5) as usize];
    let (skin, hair) = ([232.0, 196.0, 168.0], [86.0, 62.0, 48.0]);
    if within(0.5, 0.44, 0.155, 0.2) && !within(0.5, 0.22, 0.19, 0.1) {
        skin
    } else if within(0.5, 0.40, 0.19, 0.22) {
        hair
    } else if within(0.5, 0.68, 0.07, 0.12) {
        [214.0, 176.0, 150.0]
    } else if within(0.5, 1.05, 0.36, 0.34) {
        [r, g, b]
    } else {
        // A wall in the light of a window.
        let light = 0.80 + 0.20 * (1.0 - y);
        [226.0 * light, 232.0 * light, 238.0 * light]
    }
}

/// The portrait of a person.
pub(crate) fn png(person: u64) -> Vec<u8> {
    let mut rows = Vec::with_capacity(SIZE * (SIZE * 3 + 1));
    for row in 0..SIZE {
        rows.push(0); // no filter
        for column in 0..SIZE {
            let mut sum = [0.0; 3];
            for sample in 0..SAMPLES * SAMPLES {
                let at = |pixel: usize, sub: usize| (pixel as f64 + (sub as f64 + 0.5) / SAMPLES as f64) / SIZE as f64;
                let seen = colour(at(column, sample % SAMPLES), at(row, sample / SAMPLES), person);
                sum.iter_mut().zip(seen).for_each(|(sum, seen)| *sum += seen);
            }
            rows.extend(sum.map(|s| (s / (SAMPLES * SAMPLES) as f64) as u8));
        }
    }
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let side = (SIZE as u32).to_be_bytes();
    // 8 bits a colour, red green blue, the standard's only compression and filter method, not interlaced.
    chunk(&mut png, b"IHDR", &[&side[..], &side[..], &[8, 2, 0, 0, 0]].concat());
    chunk(&mut png, b"IDAT", &stored(&rows));
    chunk(&mut png, b"IEND", &[]);
    png
}

/// Appends a chunk (PNG specification, 5.3).
fn chunk(png: &mut Vec<u8>, kind: &[u8; 4], data: &[u8]) {
    png.extend((data.len() as u32).to_be_bytes());
    let from = png.len();
    png.extend(kind);
    png.extend(data);
    let crc = !png[from..].iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    });
    png.extend(crc.to_be_bytes());
}

/// A zlib stream of stored blocks (RFC 1950, RFC 1951 3.2.4): no compression, so no compressor.
fn stored(data: &[u8]) -> Vec<u8> {
    let mut stream = vec![0x78, 0x01];
    let blocks = data.chunks(0xffff);
    let last = blocks.len() - 1;
    for (number, block) in blocks.enumerate() {
        stream.push(u8::from(number == last));
        let length = block.len() as u16;
        stream.extend(length.to_le_bytes());
        stream.extend((!length).to_le_bytes());
        stream.extend(block);
    }
    let (a, b) = data.iter().fold((1u32, 0u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65521;
        (a, (b + a) % 65521)
    });
    stream.extend((b << 16 | a).to_be_bytes());
    stream
}
