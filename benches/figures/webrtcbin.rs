//! The peer of call.rs: two of GStreamer's `webrtcbin` in this process, with the encoders and decoders that a careful
//! application gives it. Driven by properties and signals only: its own Rust bindings need headers that pull in half of
//! a Debian. Descriptions are handed from one to the other as they are, never as text.

use crate::call::{BITRATE, arguments, watch};
use crate::camera::{Viewer, source};
use gstreamer as gst;
use gstreamer::glib;
use gstreamer::prelude::*;
use std::sync::{Arc, mpsc};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(20);
/// As ours is by default.
const JITTER_BUFFER_MS: u32 = 100;

/// The process.
pub fn run() {
    let (socket, codec) = arguments();
    gst::init().unwrap();
    let viewers = [Arc::new(Viewer::default()), Arc::new(Viewer::default())];
    let ends = [end(&socket, &codec, viewers[0].clone()), end(&socket, &codec, viewers[1].clone())];
    let [a, b] = [bin(&ends[0]), bin(&ends[1])];
    for (from, to) in [(&a, b.clone()), (&b, a.clone())] {
        from.connect("on-ice-candidate", false, move |values| {
            to.emit_by_name_with_values("add-ice-candidate", &[values[1].clone(), values[2].clone()]);
            None
        });
    }
    let (tell, needed) = mpsc::channel();
    a.connect("on-negotiation-needed", false, move |_| {
        let _ = tell.send(());
        None
    });
    for end in &ends {
        end.set_state(gst::State::Playing).unwrap();
    }
    needed.recv_timeout(PATIENCE).expect("webrtcbin wants to negotiate; run `tests/tools/prepare bench`");
    let offer = create(&a, "offer");
    set(&a, "set-local-description", &offer);
    set(&b, "set-remote-description", &offer);
    let answer = create(&b, "answer");
    set(&b, "set-local-description", &answer);
    set(&a, "set-remote-description", &answer);
    watch([&viewers[0], &viewers[1]]);
    for end in &ends {
        end.set_state(gst::State::Null).unwrap();
    }
}

fn bin(end: &gst::Pipeline) -> gst::Element {
    end.by_name("webrtc").unwrap()
}

fn end(socket: &str, codec: &str, viewer: Arc<Viewer>) -> gst::Pipeline {
    let kbits = BITRATE / 1000;
    let (payload, encoder) = match codec {
        "VP8" => (
            96,
            format!(
                "vp8enc deadline=1 cpu-used=8 target-bitrate={BITRATE} end-usage=cbr lag-in-frames=0 keyframe-max-dist=300 threads=1 \
                 error-resilient=partitions buffer-size=400 buffer-initial-size=200 buffer-optimal-size=300 ! \
                 rtpvp8pay mtu=1200 picture-id-mode=15-bit pt=96"
            ),
        ),
        _ => (
            125,
            format!(
                "x264enc tune=zerolatency speed-preset=ultrafast bitrate={kbits} key-int-max=300 threads=1 aud=false ! \
                 video/x-h264,profile=constrained-baseline ! rtph264pay mtu=1200 config-interval=-1 aggregate-mode=zero-latency pt=125"
            ),
        ),
    };
    let text = format!(
        "{} ! queue max-size-buffers=2 leaky=downstream ! {encoder} ! \
         application/x-rtp,media=video,encoding-name={codec},payload={payload},clock-rate=90000 ! queue ! webrtc. \
         audiotestsrc is-live=true samplesperbuffer=960 volume=0.2 ! audio/x-raw,rate=48000,channels=1 ! queue ! \
         opusenc bitrate=32000 inband-fec=true packet-loss-percentage=5 audio-type=voice ! rtpopuspay pt=111 ! \
         application/x-rtp,media=audio,encoding-name=OPUS,payload=111 ! queue ! webrtc. \
         webrtcbin name=webrtc bundle-policy=max-bundle latency={JITTER_BUFFER_MS}",
        source(socket)
    );
    let pipeline = gst::parse::launch(&text).unwrap().downcast::<gst::Pipeline>().unwrap();
    let (weak, webrtc) = (pipeline.downgrade(), bin(&pipeline));
    // Repairs, as ours has; for sound browsers refuse them.
    if let Some(video) = webrtc.emit_by_name::<Option<glib::Object>>("get-transceiver", &[&0i32]) {
        video.set_property("do-nack", true);
    }
    webrtc.connect_pad_added(move |_, pad| {
        if let (gst::PadDirection::Src, Some(pipeline)) = (pad.direction(), weak.upgrade()) {
            present(&pipeline, pad, viewer.clone());
        }
    });
    pipeline
}

fn present(pipeline: &gst::Pipeline, pad: &gst::Pad, viewer: Arc<Viewer>) {
    let caps = pad.current_caps().unwrap();
    let encoding = caps.structure(0).and_then(|s| s.get::<String>("encoding-name").ok()).unwrap_or_default();
    let decode = match encoding.as_str() {
        "VP8" => "rtpvp8depay request-keyframe=true wait-for-keyframe=true ! vp8dec",
        "H264" => "rtph264depay request-keyframe=true wait-for-keyframe=true ! h264parse ! avdec_h264 max-threads=1",
        "OPUS" => "rtpopusdepay ! opusdec plc=true use-inband-fec=true",
        _ => "identity",
    };
    let text = format!("{decode} ! fakesink name=out sync=true async=false signal-handoffs=true");
    let decoder = gst::parse::bin_from_description(&text, true).unwrap();
    pipeline.add(&decoder).unwrap();
    if encoding != "OPUS" {
        decoder.by_name("out").unwrap().connect("handoff", false, move |values| {
            let (buffer, pad) = (values[1].get::<gst::Buffer>().unwrap(), values[2].get::<gst::Pad>().unwrap());
            if let Some(caps) = pad.current_caps() {
                viewer.look(&caps, &buffer);
            }
            None
        });
    }
    decoder.sync_state_with_parent().unwrap();
    pad.link(&decoder.static_pad("sink").unwrap()).unwrap();
    let pipeline = pipeline.clone();
    // It has to be asked for: a new sink does not ask by itself.
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        let _ = pipeline.recalculate_latency();
    });
}

fn create(webrtc: &gst::Element, what: &'static str) -> glib::SendValue {
    let (tell, told) = mpsc::channel();
    let promise = gst::Promise::with_change_func(move |reply| {
        let _ = tell.send(reply.ok().flatten().and_then(|reply| reply.value(what).ok().cloned()));
    });
    webrtc.emit_by_name::<()>(&format!("create-{what}"), &[&None::<gst::Structure>, &promise]);
    told.recv_timeout(PATIENCE).unwrap().unwrap_or_else(|| panic!("webrtcbin makes no {what}"))
}

fn set(webrtc: &gst::Element, signal: &str, description: &glib::SendValue) {
    let (tell, told) = mpsc::channel();
    let promise = gst::Promise::with_change_func(move |_| {
        let _ = tell.send(());
    });
    webrtc.emit_by_name_with_values(signal, &[(**description).clone(), promise.to_value()]);
    let _ = told.recv_timeout(PATIENCE);
}
