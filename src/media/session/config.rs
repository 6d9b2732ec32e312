//! What a session is opened with: devices, sizes and rates, and the words of the configuration for them.

use super::super::Codec;
use super::super::camera::choice::Want;
use super::super::camera::controls::Mains;
use super::super::sound::voicing::Hearing;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Where pictures come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CameraSource {
    /// There is no camera.
    None,
    /// A moving test picture.
    Test,
    /// A V4L2 device, e.g. `/dev/video0` or a name below `/dev/v4l/by-id`.
    V4l2(String),
    /// The first V4L2 camera that there is.
    Auto,
    /// A GStreamer source description, e.g. `libcamerasrc`: for cameras that V4L2 does not serve.
    Launch(String),
}

/// Where sound comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MicrophoneSource {
    /// Silence is sent.
    None,
    /// A test tone, half of each second.
    Test,
    /// An ALSA device, e.g. `default` or `plughw:CARD=C920`.
    Alsa(String),
    /// A GStreamer source description.
    Launch(String),
}

/// Devices, sizes and rates.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The camera.
    pub camera: CameraSource,
    /// The microphone.
    pub microphone: MicrophoneSource,
    /// Width of the picture that is sent at best, in pixels; even.
    pub width: u32,
    /// Height of it; even.
    pub height: u32,
    /// Frames a second, at best.
    pub fps: u32,
    /// The frequency at which the lamps flicker.
    pub mains: Mains,
    /// Video bitrate, never more, in bit/s.
    pub max_bitrate: u32,
    /// Video bitrate, never less, in bit/s.
    pub min_bitrate: u32,
    /// Prefer the codec that costs this box less, at the price of some quality; see [`Config::codecs`].
    pub power_saving: bool,
    /// Use hardware encoders and decoders where the box has them.
    pub hardware: bool,
    /// How long packets wait for their predecessors: more bears more jitter and loss, and delays picture and sound.
    pub jitter_buffer: Duration,
    /// Take the played sound out of the microphone's.
    pub echo_cancellation: bool,
    /// The known delay behind the sound card: what the television takes to play it. The card's own is measured.
    pub playback_delay: Duration,
    /// Volume of the callers' voices, percent.
    pub volume: u8,
    /// How they are shaped for the resident's ears.
    pub hearing: Hearing,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            camera: CameraSource::Test,
            microphone: MicrophoneSource::Test,
            width: 1280,
            height: 720,
            fps: 24,
            mains: Mains::Hertz50,
            max_bitrate: 2_000_000,
            min_bitrate: 100_000,
            power_saving: true,
            hardware: true,
            jitter_buffer: Duration::from_millis(60),
            echo_cancellation: true,
            playback_delay: Duration::from_millis(80),
            volume: 100,
            hearing: Hearing::Off,
        }
    }
}

impl Config {
    /// The video codecs in the order in which they should be negotiated. x264 `ultrafast` takes less than half of the
    /// CPU of VP8, and hardware encodes H.264 where it encodes anything; VP8 looks better at the same rate.
    pub fn codecs(&self) -> [Codec; 2] {
        if self.power_saving { [Codec::H264, Codec::Vp8] } else { [Codec::Vp8, Codec::H264] }
    }

    /// What is wanted of the camera.
    pub fn want(&self) -> Want {
        Want { width: self.width, height: self.height, fps: self.fps, h264: self.codecs()[0] == Codec::H264 }
    }
}

impl CameraSource {
    /// Whether it could be opened now, as far as can be told without opening it.
    pub fn is_present(&self) -> bool {
        match self {
            CameraSource::None => false,
            CameraSource::Test | CameraSource::Launch(_) => true,
            CameraSource::V4l2(path) => std::path::Path::new(path).exists(),
            CameraSource::Auto => super::super::camera::device::any(),
        }
    }

    /// Whether it is a camera of the kernel's.
    pub fn is_v4l2(&self) -> bool {
        matches!(self, CameraSource::V4l2(_) | CameraSource::Auto)
    }
}

impl MicrophoneSource {
    /// Whether it could be opened now, as far as can be told without opening it.
    pub fn is_present(&self) -> bool {
        match self {
            MicrophoneSource::None => false,
            MicrophoneSource::Test | MicrophoneSource::Launch(_) => true,
            MicrophoneSource::Alsa(device) => super::super::sound::presence::records(device),
        }
    }
}

const LAUNCH: &str = "gst:";

impl FromStr for CameraSource {
    type Err = String;
    /// `none`, `test`, `auto`, the path of a V4L2 device, or `gst:` and a source description.
    fn from_str(text: &str) -> Result<CameraSource, String> {
        match text.trim() {
            "none" => Ok(CameraSource::None),
            "test" => Ok(CameraSource::Test),
            "auto" => Ok(CameraSource::Auto),
            path if path.starts_with('/') => Ok(CameraSource::V4l2(path.to_owned())),
            t => t
                .strip_prefix(LAUNCH)
                .map(|d| CameraSource::Launch(d.trim().to_owned()))
                .ok_or_else(|| format!("`{t}` is no camera; allowed: none, test, auto, a device such as /dev/video0, gst:DESCRIPTION")),
        }
    }
}

impl FromStr for MicrophoneSource {
    type Err = String;
    /// `none`, `test`, `gst:` and a source description, or the name of an ALSA device.
    fn from_str(text: &str) -> Result<MicrophoneSource, String> {
        match text.trim() {
            "" => Err("empty; allowed: none, test, an ALSA device such as default, gst:DESCRIPTION".to_owned()),
            "none" => Ok(MicrophoneSource::None),
            "test" => Ok(MicrophoneSource::Test),
            t => Ok(match t.strip_prefix(LAUNCH) {
                Some(d) => MicrophoneSource::Launch(d.trim().to_owned()),
                None => MicrophoneSource::Alsa(t.to_owned()),
            }),
        }
    }
}

impl fmt::Display for CameraSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CameraSource::None => f.write_str("none"),
            CameraSource::Test => f.write_str("test"),
            CameraSource::V4l2(path) => f.write_str(path),
            CameraSource::Auto => f.write_str("auto"),
            CameraSource::Launch(text) => write!(f, "{LAUNCH}{text}"),
        }
    }
}

impl fmt::Display for MicrophoneSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            MicrophoneSource::None => f.write_str("none"),
            MicrophoneSource::Test => f.write_str("test"),
            MicrophoneSource::Alsa(device) => f.write_str(device),
            MicrophoneSource::Launch(text) => write!(f, "{LAUNCH}{text}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_from_the_words_of_the_configuration() {
        for text in ["none", "test", "auto", "/dev/video0", "gst:libcamerasrc"] {
            assert_eq!(text.parse::<CameraSource>().unwrap().to_string(), text);
        }
        for text in ["none", "test", "default", "plughw:CARD=C920", "gst:pulsesrc"] {
            assert_eq!(text.parse::<MicrophoneSource>().unwrap().to_string(), text);
        }
        assert!("video0".parse::<CameraSource>().unwrap_err().contains("/dev/video0"));
    }
}
