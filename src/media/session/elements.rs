//! Which elements of GStreamer do the work, found out at run time: hardware where the box has it, and the settings that
//! measurements asked for.

use super::super::Codec;
use gstreamer as gst;
use gstreamer::prelude::*;

/// One way to encode.
#[derive(Debug, Clone, Copy)]
pub struct Way {
    /// The element's name, for logs and figures.
    pub element: &'static str,
    /// Whether the box's video hardware does it.
    pub hardware: bool,
    /// Everything between the frames and the payloader.
    pub text: fn(u32) -> String,
    /// Changes the bitrate (bit/s) while it runs.
    pub set_bitrate: fn(&gst::Element, u32),
}

/// The ways to encode that this box has, best first.
pub fn encoders(codec: Codec, hardware: bool) -> Vec<Way> {
    const H264_CAPS: &str = "video/x-h264,profile=constrained-baseline,stream-format=byte-stream,alignment=au";
    let all: &[Way] = match codec {
        Codec::Vp8 => &[Way {
            element: "vp8enc",
            hardware: false,
            // threads=1: two spin against each other on a busy box (3.6 s instead of 1.2 s of CPU for the same frames).
            text: |bitrate| {
                format!(
                    "vp8enc name=encoder deadline=1 cpu-used=8 target-bitrate={bitrate} end-usage=cbr lag-in-frames=0 keyframe-max-dist=300 \
                     threads=1 error-resilient=partitions buffer-size=400 buffer-initial-size=200 buffer-optimal-size=300"
                )
            },
            set_bitrate: |e, bitrate| e.set_property("target-bitrate", bitrate as i32),
        }],
        Codec::H264 => &[
            Way {
                element: "v4l2h264enc",
                hardware: true,
                text: |bitrate| {
                    format!(
                        "v4l2h264enc name=encoder extra-controls=\"controls,repeat_sequence_header=1,video_bitrate={bitrate}\" ! \
                         video/x-h264,stream-format=byte-stream,alignment=au,level=(string)3.1"
                    )
                },
                set_bitrate: |e, bitrate| {
                    e.set_property(
                        "extra-controls",
                        gst::Structure::builder("controls")
                            .field("repeat_sequence_header", 1i32)
                            .field("video_bitrate", bitrate as i32)
                            .build(),
                    )
                },
            },
            Way {
                element: "x264enc",
                hardware: false,
                // aud=false: the payloader sends an access unit delimiter as a packet of its own, and browsers then count
                // each picture twice and ask for a key frame each time.
                text: |bitrate| {
                    format!(
                        "x264enc name=encoder tune=zerolatency speed-preset=ultrafast bitrate={} vbv-buf-capacity=400 key-int-max=300 bframes=0 \
                         threads=1 sliced-threads=false aud=false byte-stream=true ! {H264_CAPS}",
                        bitrate / 1000
                    )
                },
                set_bitrate: |e, bitrate| e.set_property("bitrate", bitrate / 1000),
            },
            Way {
                element: "openh264enc",
                hardware: false,
                text: |bitrate| format!("openh264enc name=encoder complexity=low bitrate={bitrate} ! h264parse ! {H264_CAPS}"),
                set_bitrate: |e, bitrate| e.set_property("bitrate", bitrate),
            },
        ],
        Codec::Opus => &[],
    };
    all.iter().filter(|w| (hardware || !w.hardware) && gst::ElementFactory::find(w.element).is_some()).copied().collect()
}

/// What cuts the codec's stream into RTP packets.
pub fn payloader(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "rtph264pay name=pay mtu=1200 config-interval=-1 aggregate-mode=zero-latency",
        _ => "rtpvp8pay name=pay mtu=1200 picture-id-mode=15-bit",
    }
}

/// Decoder elements of this box, best first.
pub fn decoders(codec: Codec, hardware: bool) -> Vec<(&'static str, &'static str)> {
    let all: &[(&str, bool, &str)] = match codec {
        Codec::Opus => &[("opusdec", false, "opusdec plc=true use-inband-fec=true")],
        Codec::Vp8 => &[("vp8dec", false, "vp8dec threads=1")],
        Codec::H264 => &[
            ("v4l2h264dec", true, "h264parse ! v4l2h264dec ! videoconvert"),
            ("avdec_h264", false, "h264parse ! avdec_h264 max-threads=1 output-corrupt=false"),
            ("openh264dec", false, "h264parse ! openh264dec"),
        ],
    };
    all.iter()
        .filter(|(element, hw, _)| (hardware || !hw) && gst::ElementFactory::find(element).is_some())
        .map(|(element, _, text)| (*element, *text))
        .collect()
}
