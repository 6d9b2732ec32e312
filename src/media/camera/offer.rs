//! What a camera offers, as plain values: how its pictures are coded, their sizes and rates, and what they need of the bus.

use serde::{Serialize, Serializer};
use std::cmp::Ordering;
use std::fmt;

/// Pictures a second, exactly: cameras offer 30000/1001 and 25/2.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    /// So many pictures …
    pub pictures: u32,
    /// … in so many seconds; never 0.
    pub seconds: u32,
}

impl Rate {
    /// So many pictures a second.
    pub const fn whole(pictures: u32) -> Rate {
        Rate { pictures, seconds: 1 }
    }

    /// From the interval between two pictures, in seconds as a fraction; `None` for nonsense.
    pub fn of_interval(numerator: u32, denominator: u32) -> Option<Rate> {
        (numerator > 0 && denominator > 0).then_some(Rate { pictures: denominator, seconds: numerator })
    }

    /// As a number.
    pub fn per_second(self) -> f64 {
        f64::from(self.pictures) / f64::from(self.seconds.max(1))
    }
}

impl PartialEq for Rate {
    fn eq(&self, other: &Rate) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Rate {}

impl PartialOrd for Rate {
    fn partial_cmp(&self, other: &Rate) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Rate {
    fn cmp(&self, other: &Rate) -> Ordering {
        let cross = |a: Rate, b: Rate| u64::from(a.pictures) * u64::from(b.seconds);
        cross(*self, *other).cmp(&cross(*other, *self))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // 29.97, 12.5, 30
        let text = format!("{:.2}", self.per_second());
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_f64(self.per_second())
    }
}

/// How a camera codes its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Coding {
    /// Not at all: YUYV, NV12 and the like.
    Raw(Pixels),
    /// Each picture as a JPEG.
    Jpeg,
    /// H.264.
    H264,
}

/// Layouts of raw pictures that GStreamer and V4L2 both know in one plane.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[allow(missing_docs)] // the field's own names
pub enum Pixels {
    I420,
    Yv12,
    Nv12,
    Nv21,
    Yuy2,
    Uyvy,
    Yvyu,
    Vyuy,
    Rgb,
    Bgr,
    /// Infrared cameras beside the real one are grey.
    Gray8,
}

/// V4L2's code, the layout, GStreamer's name, bits a pixel.
const LAYOUTS: &[(&[u8; 4], Pixels, &str, u64)] = &[
    (b"YU12", Pixels::I420, "I420", 12),
    (b"YV12", Pixels::Yv12, "YV12", 12),
    (b"NV12", Pixels::Nv12, "NV12", 12),
    (b"NV21", Pixels::Nv21, "NV21", 12),
    (b"YUYV", Pixels::Yuy2, "YUY2", 16),
    (b"UYVY", Pixels::Uyvy, "UYVY", 16),
    (b"YVYU", Pixels::Yvyu, "YVYU", 16),
    (b"VYUY", Pixels::Vyuy, "VYUY", 16),
    (b"RGB3", Pixels::Rgb, "RGB", 24),
    (b"BGR3", Pixels::Bgr, "BGR", 24),
    (b"GREY", Pixels::Gray8, "GRAY8", 8),
];

impl Coding {
    /// From V4L2's four characters; `None` for what nothing here can read.
    pub fn of_fourcc(code: &[u8; 4]) -> Option<Coding> {
        match code {
            b"MJPG" | b"JPEG" => Some(Coding::Jpeg),
            b"H264" => Some(Coding::H264),
            _ => LAYOUTS.iter().find(|l| l.0 == code).map(|l| Coding::Raw(l.1)),
        }
    }

    /// GStreamer's caps, without size and rate.
    pub fn caps(self) -> String {
        match self {
            Coding::Jpeg => "image/jpeg".into(),
            Coding::H264 => "video/x-h264,stream-format=byte-stream,alignment=au".into(),
            Coding::Raw(pixels) => format!("video/x-raw,format={}", layout(pixels).2),
        }
    }

    /// What makes raw pictures of it, as elements with a link behind them.
    pub fn decoder(self) -> &'static str {
        match self {
            Coding::Raw(_) => "",
            Coding::Jpeg => "jpegdec ! ",
            // What leaves the parser is the camera's own stream, see `coded`.
            Coding::H264 => {
                "h264parse name=coded config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au ! \
                 avdec_h264 max-threads=1 output-corrupt=false ! "
            }
        }
    }

    /// Bytes from one line of a raw picture to the next as GStreamer takes it without being told more; 0: it has to be told.
    pub fn line(self, width: u32) -> Option<u32> {
        let Coding::Raw(pixels) = self else { return None };
        Some(match pixels {
            Pixels::I420 | Pixels::Yv12 if !width.is_multiple_of(8) => 0,
            Pixels::I420 | Pixels::Yv12 | Pixels::Nv12 | Pixels::Nv21 | Pixels::Gray8 => width.next_multiple_of(4),
            _ => (width * layout(pixels).3 as u32 / 8).next_multiple_of(4),
        })
    }

    /// Bytes of a whole raw picture.
    pub fn size(self, width: u32, height: u32) -> usize {
        (u64::from(width) * u64::from(height) * self.bits() / 8) as usize
    }

    /// Bits a pixel on the bus: exact for raw, on the high side for the others.
    fn bits(self) -> u64 {
        match self {
            Coding::Raw(pixels) => layout(pixels).3,
            Coding::Jpeg => 2,
            Coding::H264 => 1,
        }
    }
}

fn layout(pixels: Pixels) -> &'static (&'static [u8; 4], Pixels, &'static str, u64) {
    LAYOUTS.iter().find(|l| l.1 == pixels).expect("every layout is in the table")
}

impl fmt::Display for Coding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Coding::Raw(pixels) => write!(f, "raw ({})", layout(*pixels).2),
            Coding::Jpeg => f.write_str("MJPEG"),
            Coding::H264 => f.write_str("H.264"),
        }
    }
}

/// One size in one coding, with the rates it comes at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mode {
    /// How it is coded.
    pub coding: Coding,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Rates offered; a camera that offers any rate in a range has its ends here. Empty: it does not say.
    pub rates: Vec<Rate>,
    /// Any rate between the lowest and the highest will do.
    pub any_between: bool,
    /// While it runs the camera can be asked for another bitrate and for a key frame: H.264 only.
    pub steered: bool,
}

/// What a camera hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Bus {
    /// USB at so many Mbit/s: 12, 480, 5000.
    Usb(u32),
    /// Soldered in, or imagined: no bottleneck known.
    Other,
}

impl Bus {
    /// What one camera may take of it, in bytes a second. Of high-speed USB three packets of 1024 bytes fit into each of
    /// 8000 microframes; a tenth of that goes to headers, and a microphone in the camera wants its part, too.
    pub fn room(self) -> Option<u64> {
        match self {
            Bus::Usb(speed @ 0..480) => Some(u64::from(speed) * 1_000_000 / 8 / 2),
            Bus::Usb(480) => Some(22_000_000),
            Bus::Usb(speed) => Some(u64::from(speed) * 1_000_000 / 8 / 2),
            Bus::Other => None,
        }
    }
}

impl fmt::Display for Bus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bus::Usb(speed) => write!(f, "USB at {speed} Mbit/s"),
            Bus::Other => f.write_str("no USB"),
        }
    }
}

/// What a stream of this kind needs of the bus, in bytes a second.
pub fn needs(coding: Coding, width: u32, height: u32, rate: Rate) -> u64 {
    let pixels = u64::from(width) * u64::from(height);
    pixels.saturating_mul(coding.bits() * u64::from(rate.pictures)) / 8 / u64::from(rate.seconds.max(1))
}
