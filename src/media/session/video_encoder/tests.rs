use super::super::super::camera::coded::Abilities;
use super::super::super::camera::controls::Wish;
use super::super::super::camera::placeholder;
use super::super::super::pipeline::Pipeline;
use super::super::super::pipeline::gstreamer;
use super::super::super::source::running_time;
use super::super::tests::{Watched, small};
use super::*;
use bytes::Bytes;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;

/// A camera whose frames the test takes.
fn frame(config: &Config, time: &Time) -> gst::Sample {
    let mut buffer = placeholder(config.width, config.height);
    buffer.get_mut().unwrap().set_pts(time.now());
    gst::Sample::builder().buffer(&buffer).caps(&frame_caps(config)).build()
}

#[test]
fn an_encoder_that_fails_is_replaced_by_the_next_one_and_the_stream_goes_on() {
    gstreamer().unwrap();
    let config = small();
    let (time, camera) = (Time::start(), Arc::new(Frames::default()));
    let vp8 = encoders(Codec::Vp8, false)[0];
    let never = Way { element: "never starts", text: |_| "nosuchelement name=encoder".into(), ..vp8 };
    // Stands for a driver that breaks: a few frames, then an error.
    let breaks = Way {
        element: "breaks",
        text: |_| "identity name=encoder error-after=8 ! vp8enc deadline=1 cpu-used=8".into(),
        set_bitrate: |_, _| {},
        ..vp8
    };
    let encoder = VideoEncoder::with(vec![never, breaks, vp8], Codec::Vp8, &config, &time, camera.clone(), None).unwrap();
    assert_eq!(encoder.stats().encoder, "breaks");
    let packets: Arc<Watched<Vec<(u16, u32)>>> = Arc::default();
    let seen = packets.clone();
    let limits = encoder.limits();
    encoder.outlets().add(
        96,
        Arc::new(move |p| seen.change(|s| s.push((u16::from_be_bytes([p[2], p[3]]), u32::from_be_bytes([p[4], p[5], p[6], p[7]]))))),
        Some(limits),
    );
    while encoder.stats().encoder == "breaks" {
        camera.push(&frame(&config, &time));
        encoder.tick(Instant::now()).unwrap();
        std::thread::sleep(Duration::from_millis(66));
    }
    assert_eq!(encoder.stats().encoder, "vp8enc");
    let before = packets.get(Vec::len);
    while packets.get(Vec::len) < before + 5 {
        camera.push(&frame(&config, &time));
        std::thread::sleep(Duration::from_millis(66));
    }
    let all = packets.get(Vec::clone);
    assert!(all.windows(2).all(|w| w[1].0 == w[0].0.wrapping_add(1)), "sequence numbers: {all:?}");
    assert!(all.windows(2).all(|w| w[1].1.wrapping_sub(w[0].1) < 90_000 * 10), "RTP time: {all:?}");
}

#[test]
fn without_any_encoder_the_codec_is_refused_with_a_reason() {
    gstreamer().unwrap();
    let error = VideoEncoder::with(Vec::new(), Codec::H264, &small(), &Time::start(), Arc::default(), None).err().unwrap();
    assert!(error.0.contains("H264") && error.0.contains("install"), "{error}");
}

/// Longer than anything that is awaited takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A camera that codes by itself, and can be told what to do or not: its stream and, decoded from that, its frames.
struct Coding {
    frames: Arc<Frames>,
    coded: Arc<Coded>,
    pipeline: Option<Pipeline>,
    element: gst::Element,
    time: Time,
    config: Config,
}

impl Coding {
    fn start(abilities: Abilities) -> Coding {
        gstreamer().unwrap();
        // A link may be too narrow even for the small picture.
        let (config, time) = (Config { min_bitrate: 20_000, ..small() }, Time::start());
        let (frames, coded) = (Arc::new(Frames::default()), Arc::new(Coded::default()));
        coded.steer.opened(abilities);
        // As cameras do it: with delimiters, and a level for their largest picture; a key frame only when asked for one.
        let text = format!(
            "videotestsrc is-live=true horizontal-speed=2 ! video/x-raw,format=I420,width={},height={},framerate={}/1 ! \
             x264enc name=camera tune=zerolatency speed-preset=ultrafast bitrate=400 vbv-buf-capacity=400 key-int-max=100000 \
             option-string=scenecut=0 bframes=0 threads=1 aud=true byte-stream=true ! \
             video/x-h264,profile=constrained-baseline,level=(string)4,stream-format=byte-stream,alignment=au ! \
             h264parse name=coded config-interval=-1 ! video/x-h264,stream-format=byte-stream,alignment=au ! \
             avdec_h264 max-threads=1 ! videoconvert ! {} ! appsink name=out sync=false",
            config.width,
            config.height,
            config.fps,
            frame_caps(&config)
        );
        let pipeline = Pipeline::build("camera", &text, &time, None, Arc::new(|e| panic!("{e}"))).unwrap();
        let element = pipeline.element("camera").unwrap();
        let (own, camera) = (coded.clone(), element.clone());
        pipeline.element("coded").unwrap().static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |pad, info| {
            own.steer.pass_on(|wish| match wish {
                Wish::Bitrate(bitrate) => camera.set_property("bitrate", bitrate / 1000),
                Wish::KeyFrame => {
                    let event = gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build();
                    assert!(camera.static_pad("src").unwrap().send_event(event));
                }
            });
            let (buffer, caps) = (info.buffer().unwrap(), pad.current_caps().unwrap());
            let segment = pad.sticky_event::<gst::event::Segment>(0).unwrap();
            let sample = gst::Sample::builder().buffer(buffer).segment(segment.segment()).build();
            own.push(buffer, &caps, running_time(&sample).unwrap());
            gst::PadProbeReturn::Ok
        });
        let sink = pipeline.element("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
        let (into, caps) = (frames.clone(), frame_caps(&config));
        let deliver = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            let mut buffer = sample.buffer_owned().unwrap();
            buffer.make_mut().set_pts(running_time(&sample));
            into.push(&gst::Sample::builder().buffer(&buffer).caps(&caps).build());
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(deliver).build());
        pipeline.play().unwrap();
        Coding { frames, coded, pipeline: Some(pipeline), element, time, config }
    }

    /// One that can be told what to do.
    fn steered() -> Coding {
        Coding::start(Abilities { key_frame: true, bitrate: Some(50_000..=2_000_000) })
    }

    /// An encoder on it, and what is sent.
    fn sent(&self) -> Sending {
        let ways = encoders(Codec::H264, false);
        let (frames, coded) = (self.frames.clone(), Some(self.coded.clone()));
        let encoder = VideoEncoder::with(ways, Codec::H264, &self.config, &self.time, frames, coded).unwrap();
        let packets: Arc<Watched<Vec<Bytes>>> = Arc::default();
        let seen = packets.clone();
        let id = encoder.outlets().add(96, Arc::new(move |p| seen.change(|s| s.push(p))), Some(encoder.limits()));
        Sending { encoder, id, packets }
    }

    /// It is pulled: the frames are placeholders from now on.
    fn pull(&mut self) {
        let mut closing = self.pipeline.take().unwrap().close();
        assert!(closing.done_by(Instant::now() + PATIENCE));
        self.coded.steer.closed();
    }
}

struct Sending {
    encoder: VideoEncoder,
    id: u64,
    packets: Arc<Watched<Vec<Bytes>>>,
}

impl Sending {
    /// Looks after the encoder as a session does, until it is so.
    fn until(&self, what: &str, mut reached: impl FnMut(&Sent) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !reached(&self.encoder.stats()) {
            assert!(Instant::now() < end, "did not come: {what}: {:?}", self.encoder.stats());
            self.encoder.tick(Instant::now()).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn by(&self, encoder: &str) {
        self.until(encoder, |stats| stats.encoder == encoder);
    }

    fn feedback(&self, estimate: u64) {
        let feedback = super::super::super::Feedback { estimate: Some(estimate), loss: Some(0.0), rtt: None };
        self.encoder.outlets().feedback(self.id, Instant::now(), feedback);
    }

    /// The NAL unit types of packets, those inside of aggregates and at the beginning of fragments (RFC 6184 5.2).
    fn kinds(&self) -> Vec<u8> {
        let kinds = |packet: &Bytes| -> Vec<u8> {
            let payload = &packet[12..];
            match payload[0] & 0x1f {
                24 => {
                    let (mut rest, mut found) = (&payload[1..], Vec::new());
                    while let [high, low, header, ..] = *rest {
                        found.push(header & 0x1f);
                        rest = &rest[2 + usize::from(u16::from_be_bytes([high, low]))..];
                    }
                    found
                }
                28 if payload[1] & 0x80 != 0 => vec![payload[1] & 0x1f],
                28 => Vec::new(),
                kind => vec![kind],
            }
        };
        self.packets.get(|all| all.iter().flat_map(kinds).collect())
    }

    /// One stream, whoever coded it: numbers without a gap, time that only goes on, and a mark at the end of each picture.
    fn is_seamless(&self) {
        let of = |p: &Bytes| (u16::from_be_bytes([p[2], p[3]]), u32::from_be_bytes([p[4], p[5], p[6], p[7]]), p[1] & 0x80 != 0);
        let all: Vec<_> = self.packets.get(|all| all.iter().map(of).collect());
        for pair in all.windows(2) {
            let [(number, time, end), (next, later, _)] = pair else { unreachable!() };
            assert_eq!(*next, number.wrapping_add(1));
            assert!(if *end { (1..90_000 * 10).contains(&later.wrapping_sub(*time)) } else { later == time }, "{pair:?}");
        }
    }
}

#[test]
fn a_coding_camera_s_own_stream_is_sent_at_the_bitrate_of_the_link_and_left_for_a_link_that_is_too_narrow() {
    let camera = Coding::steered();
    let sending = camera.sent();
    assert_eq!(sending.encoder.stats().encoder, "x264enc");
    sending.by("camera");
    // The camera follows the link.
    sending.feedback(300_000);
    sending.until("the camera's lower bitrate", |stats| {
        stats.target_bitrate < 300_000 && camera.element.property::<u32>("bitrate") == stats.target_bitrate / 1000
    });
    assert_eq!(sending.encoder.stats().encoder, "camera");
    // A smaller picture is none of the camera's.
    sending.feedback(30_000);
    sending.by("x264enc");
    assert!(sending.encoder.stats().width < camera.config.width);
    sending.feedback(2_000_000);
    sending.by("camera");
    let pictures = sending.encoder.stats().frames;
    sending.until("its pictures", |stats| stats.frames > pictures + 5);
    drop(camera);
    sending.is_seamless();
    let kinds = sending.kinds();
    assert!(kinds.contains(&5) && kinds.contains(&7) && !kinds.contains(&9), "no access unit delimiters: {kinds:?}");
}

#[test]
fn a_key_frame_comes_from_the_camera_that_can_be_asked_for_it() {
    let camera = Coding::steered();
    let sending = camera.sent();
    sending.by("camera");
    for _ in 0..3 {
        let (before, so_far) = (sending.encoder.stats().key_frames, sending.packets.get(Vec::len));
        sending.encoder.key_frame();
        sending.until("a key frame", |stats| stats.key_frames > before);
        sending.packets.until("its packets", |all| all.len() > so_far + 3);
        assert_eq!(sending.encoder.stats().encoder, "camera");
    }
    drop(camera);
    sending.is_seamless();
    // The camera's own: each comes with its parameter sets, at the level that was negotiated.
    let levels: Vec<u8> = sending.packets.get(|all| {
        let sequence = |p: &Bytes| p.windows(4).find(|w| w[..2] == [0x67, 66] && w[2] & 0xc0 == 0xc0).map(|w| w[3]);
        all.iter().filter_map(sequence).collect()
    });
    assert!(levels.len() >= 4 && levels.iter().all(|level| *level <= 31), "{levels:?}");
}

#[test]
fn a_camera_that_gives_no_key_frame_is_encoded_anew_and_so_gives_one() {
    let camera = Coding::steered();
    let sending = camera.sent();
    sending.by("camera");
    // Its driver has no such control.
    camera.coded.steer.closed();
    let before = sending.encoder.stats().key_frames;
    // The camera may still give one that it was asked for before.
    sending.until("the encoder", |stats| {
        sending.encoder.key_frame();
        stats.encoder == "x264enc"
    });
    sending.until("a key frame", |stats| stats.key_frames > before);
    let so_far = sending.packets.get(Vec::len);
    sending.until("its packets", |_| sending.packets.get(Vec::len) > so_far + 5);
    drop(camera);
    sending.is_seamless();
}

#[test]
fn a_coding_camera_that_is_pulled_leaves_the_placeholder_in_its_stream() {
    let mut camera = Coding::steered();
    let sending = camera.sent();
    sending.by("camera");
    camera.pull();
    sending.until("the encoder", |stats| {
        camera.frames.push(&frame(&camera.config, &camera.time));
        stats.encoder == "x264enc"
    });
    let so_far = sending.packets.get(Vec::len);
    sending.until("packets of the placeholder", |_| {
        camera.frames.push(&frame(&camera.config, &camera.time));
        sending.packets.get(Vec::len) > so_far
    });
    sending.is_seamless();
}
