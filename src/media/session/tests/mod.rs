mod lips;
mod robust;

use super::super::Feedback;
use super::super::{PictureSink, SoundOut};
use super::*;
use bytes::Bytes;
use gstreamer as gst;
use gstreamer_video as gst_video;
use std::sync::Condvar;
use std::sync::atomic::AtomicU64;

/// A value that tests wait for.
#[derive(Default)]
pub struct Watched<T> {
    value: Mutex<T>,
    changed: Condvar,
}

impl<T> Watched<T> {
    pub fn change(&self, f: impl FnOnce(&mut T)) {
        f(&mut self.value.lock().unwrap());
        self.changed.notify_all();
    }

    /// Waits until it is so; the limit is only there to end a broken test.
    pub fn until(&self, what: &str, f: impl Fn(&T) -> bool) {
        let (_guard, timeout) = self.changed.wait_timeout_while(self.value.lock().unwrap(), Duration::from_secs(60), |v| !f(v)).unwrap();
        assert!(!timeout.timed_out(), "did not come: {what}");
    }

    pub fn get<R>(&self, f: impl FnOnce(&T) -> R) -> R {
        f(&self.value.lock().unwrap())
    }
}

/// Pictures seen: how many, of which size, how many different ones.
#[derive(Default)]
pub struct Seen {
    pub frames: u64,
    pub size: (u32, u32),
    pub changes: u64,
    last: u64,
}

#[derive(Default)]
pub struct Watcher(pub Watched<Seen>);

impl PictureSink for Watcher {
    fn push(&self, sample: &gst::Sample) {
        let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let sum = map.iter().step_by(997).enumerate().map(|(i, b)| u64::from(*b) * (i as u64 + 1)).sum::<u64>();
        self.0.change(|s| {
            s.frames += 1;
            s.size = (info.width(), info.height());
            s.changes += u64::from(s.last != sum);
            s.last = sum;
        });
    }
}

/// Loudness heard.
#[derive(Default)]
pub struct Heard {
    pub frames: u64,
    pub loud: u64,
}

pub struct Fixture {
    pub remote: Arc<Watcher>,
    pub own: Arc<Watcher>,
    pub sound: Arc<Watched<Heard>>,
    pub events: mpsc::Receiver<MediaEvent>,
    pub session: Session,
}

/// A small picture: the tests are about the way, not about the machine.
pub fn small() -> Config {
    Config { width: 320, height: 180, fps: 15, jitter_buffer: Duration::from_millis(40), ..Config::default() }
}

pub fn open(config: Config) -> Fixture {
    let (remote, own, sound) = (Arc::new(Watcher::default()), Arc::new(Watcher::default()), Arc::new(Watched::<Heard>::default()));
    let heard = sound.clone();
    let samples: super::super::SampleSink = Arc::new(move |s: &[i16]| {
        let loud = s.iter().any(|x| x.unsigned_abs() > 1000);
        heard.change(|h| {
            h.frames += 1;
            h.loud += u64::from(loud);
        });
    });
    let (tell, events) = mpsc::channel(32);
    let outputs = Outputs { remote: remote.clone(), own: own.clone(), sound: SoundOut::Samples(samples) };
    let session = Session::open(config, true, outputs, tell).unwrap();
    Fixture { remote, own, sound, events, session }
}

/// Sends what one session encodes into another one.
pub fn connect(from: &Session, to: &Session, codec: Codec) -> (Arc<Sending>, Arc<Receiving>) {
    let sending: Arc<Mutex<Weak<Sending>>> = Arc::default();
    let ask = {
        let sending = sending.clone();
        Arc::new(move || {
            if let Some(s) = lock(&sending).upgrade() {
                s.key_frame();
            }
        })
    };
    let receiving = Arc::new(to.receive(codec, 100, ask).unwrap());
    let into = receiving.clone();
    let s = Arc::new(from.send(codec, 100, Arc::new(move |packet| into.push(packet))).unwrap());
    *lock(&sending) = Arc::downgrade(&s);
    (s, receiving)
}

#[test]
fn a_call_is_seen_and_heard_with_either_codec() {
    for codec in [Codec::Vp8, Codec::H264] {
        let (a, b) = (open(small()), open(small()));
        let _picture = connect(&a.session, &b.session, codec);
        let _sound = connect(&a.session, &b.session, Codec::Opus);
        b.remote.0.until("moving pictures", |s| s.changes >= 10);
        assert_eq!(b.remote.0.get(|s| s.size), (320, 180));
        b.sound.until("the tone", |h| h.loud >= 20);
        a.own.0.until("the own picture", |s| s.changes >= 10);
        let stats = b.session.statistics();
        assert_eq!(stats.received.len(), 2, "{stats:?}");
        assert!(stats.received.iter().all(|r| r.lost == 0 && r.frames > 0), "{stats:?}");
        assert!(a.session.statistics().sent.iter().all(|s| s.packets > 0));
    }
}

/// A camera that codes by itself, with a key frame a second.
const CODING: &str = "videotestsrc is-live=true horizontal-speed=2 ! video/x-raw,format=I420,width=320,height=180,framerate=15/1 ! \
    x264enc tune=zerolatency speed-preset=ultrafast bitrate=300 key-int-max=15 bframes=0 threads=1 aud=true byte-stream=true ! \
    video/x-h264,profile=constrained-baseline ! h264parse name=coded config-interval=-1 ! \
    video/x-h264,stream-format=byte-stream,alignment=au ! avdec_h264 max-threads=1";

#[test]
fn the_stream_of_a_camera_that_codes_by_itself_is_seen_whatever_was_negotiated() {
    for (codec, encoder) in [(Codec::H264, "camera"), (Codec::Vp8, "vp8enc")] {
        let (a, b) = (open(Config { camera: CameraSource::Launch(CODING.into()), ..small() }), open(small()));
        let _picture = connect(&a.session, &b.session, codec);
        let by = || a.session.statistics().sent.first().map(|s| s.encoder.clone());
        let from = Instant::now();
        while by().as_deref() != Some(encoder) {
            assert!(from.elapsed() < Duration::from_secs(60), "{:?}", a.session.statistics());
            let seen = b.remote.0.get(|s| s.frames);
            b.remote.0.until("pictures meanwhile", |s| s.frames > seen);
        }
        let (own, changes) = (a.own.0.get(|s| s.changes), b.remote.0.get(|s| s.changes));
        b.remote.0.until("moving pictures", |s| s.changes >= changes + 10);
        assert_eq!(b.remote.0.get(|s| s.size), (320, 180));
        a.own.0.until("the own picture", |s| s.changes >= own + 10);
        let received = b.session.statistics().received;
        assert!(received.iter().all(|r| r.lost == 0 && r.key_frame_requests <= 1), "{received:?}");
        let before = Instant::now();
        a.session.close();
        assert!(before.elapsed() < CLOSE_WITHIN * 4, "{:?}", before.elapsed());
    }
}

#[test]
fn the_payload_type_is_the_one_asked_for_and_a_second_receiver_shares_the_encoder() {
    let a = open(small());
    let seen: Arc<Watched<Vec<u8>>> = Arc::default();
    let outlet = |expected: u8| -> Outlet {
        let seen = seen.clone();
        Arc::new(move |p: Bytes| seen.change(|s| s.push(if p[1] & 0x7f == expected { expected } else { 0 })))
    };
    let _one = a.session.send(Codec::Vp8, 96, outlet(96)).unwrap();
    let two = a.session.send(Codec::Vp8, 120, outlet(120)).unwrap();
    seen.until("packets of both", |s| s.iter().filter(|p| **p == 96).count() > 20 && s.iter().filter(|p| **p == 120).count() > 20);
    assert!(!seen.get(|s| s.contains(&0)));
    assert_eq!(a.session.statistics().sent.len(), 1);
    drop(two);
    let so_far = seen.get(|s| s.iter().filter(|p| **p == 120).count());
    let len = seen.get(Vec::len);
    seen.until("more of the first", |s| s.len() > len + 20);
    assert!(seen.get(|s| s.iter().filter(|p| **p == 120).count()) <= so_far + 1);
}

#[test]
fn silence_is_sent_while_muted() {
    let (a, b) = (open(small()), open(small()));
    a.session.mute(true);
    let _sound = connect(&a.session, &b.session, Codec::Opus);
    let counted = Arc::new(AtomicU64::new(0));
    b.sound.until("two seconds", |h| h.frames >= 200);
    assert_eq!(b.sound.get(|h| h.loud), 0, "{counted:?}");
    a.session.mute(false);
    b.sound.until("the tone", |h| h.loud >= 10);
}

#[test]
fn flowing_is_told_once_for_picture_and_sound() {
    let (a, mut b) = (open(small()), open(small()));
    let _picture = connect(&a.session, &b.session, Codec::Vp8);
    let _sound = connect(&a.session, &b.session, Codec::Opus);
    b.remote.0.until("pictures", |s| s.frames >= 10);
    b.sound.until("sound", |h| h.loud >= 10);
    b.session.close();
    let mut told = Vec::new();
    while let Ok(event) = b.events.try_recv() {
        told.push(event);
    }
    told.sort_by_key(|e| format!("{e:?}"));
    assert_eq!(told, [MediaEvent::Flowing(Kind::Audio), MediaEvent::Flowing(Kind::Video)]);
}

#[test]
fn a_closed_session_refuses_streams_and_closes_twice_without_harm() {
    let a = open(small());
    let other = a.session.clone();
    a.session.close();
    other.close();
    assert!(other.send(Codec::Opus, 111, Arc::new(|_| {})).is_err());
    assert!(other.receive(Codec::Vp8, 96, Arc::new(|| {})).is_err());
}

#[test]
fn garbage_instead_of_rtp_does_no_harm() {
    let (a, b) = (open(small()), open(small()));
    let (_s, receiving) = connect(&a.session, &b.session, Codec::Vp8);
    for i in 0..500usize {
        receiving.push(Bytes::from((0..i % 60).map(|j| (i * 31 + j * 7) as u8).collect::<Vec<u8>>()));
    }
    let before = b.remote.0.get(|s| s.frames);
    b.remote.0.until("pictures after garbage", |s| s.frames >= before + 10);
}

#[test]
fn a_microphone_that_does_not_exist_is_named_with_what_to_try() {
    let (tell, _events) = mpsc::channel(4);
    let watcher = Arc::new(Watcher::default());
    let outputs = Outputs { remote: watcher.clone(), own: watcher, sound: SoundOut::Null };
    let config = Config { microphone: MicrophoneSource::Alsa("hw:CARD=Missing".into()), ..small() };
    let error = Session::open(config, false, outputs, tell).err().unwrap();
    assert!(error.0.contains("hw:CARD=Missing") && error.0.contains("arecord -L"), "{error}");
}
