//! Lips and voice: the test sources beat together, and the far end must see and hear the beat together.

use super::*;
use std::collections::VecDeque;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Default)]
struct Beats {
    seen: VecDeque<Instant>,
    heard: VecDeque<Instant>,
    bright: bool,
    quiet: u32,
}

impl Beats {
    /// How much later than heard the newest beats were seen, in ms, the newest last.
    fn skews(&self) -> Vec<f64> {
        let ms = |a: Instant, b: Instant| if a >= b { (a - b).as_secs_f64() * 1e3 } else { -((b - a).as_secs_f64() * 1e3) };
        let nearest = |s: &Instant| self.heard.iter().map(|h| ms(*s, *h)).min_by(|a, b| a.abs().total_cmp(&b.abs()));
        self.seen.iter().filter_map(nearest).filter(|d| d.abs() < 500.0).collect()
    }

    fn median_of_last(&self, n: usize) -> Option<f64> {
        let mut last: Vec<f64> = self.skews().into_iter().rev().take(n).collect();
        last.sort_by(f64::total_cmp);
        (last.len() == n).then(|| last[n / 2])
    }
}

struct Eyes(Arc<Watched<Beats>>);

impl PictureSink for Eyes {
    fn push(&self, sample: &gst::Sample) {
        let now = Instant::now();
        let info = gst_video::VideoInfo::from_caps(sample.caps().unwrap()).unwrap();
        let map = sample.buffer().unwrap().map_readable().unwrap();
        let (w, h) = (info.width() as usize, info.height() as usize);
        let bright = map[(h - h / 12) * info.stride()[0] as usize + w - h / 12] > 128;
        self.0.change(|b| {
            if bright && !b.bright {
                b.seen.push_back(now);
            }
            b.bright = bright;
        });
    }
}

/// NTP time now, 32.32.
fn ntp() -> u64 {
    let t = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    ((t.as_secs() + 2_208_988_800) << 32) | ((u64::from(t.subsec_nanos()) << 32) / 1_000_000_000)
}

/// The newest packet's moment and RTP time, as a sender's reports are made.
type Newest = Arc<Mutex<(u64, u32)>>;

fn note(newest: &Newest, packet: &[u8]) {
    *lock(newest) = (ntp(), u32::from_be_bytes([packet[4], packet[5], packet[6], packet[7]]));
}

#[test]
fn a_picture_that_comes_later_is_seen_with_its_sound_once_reports_have_come() {
    const LATER: Duration = Duration::from_millis(200);
    let a = open(small());
    let beats: Arc<Watched<Beats>> = Arc::default();
    let ears = beats.clone();
    let samples: super::super::super::SampleSink = Arc::new(move |s: &[i16]| {
        let loud = s.iter().any(|x| x.unsigned_abs() > 1500);
        ears.change(|b| {
            if loud && b.quiet > 20 {
                b.heard.push_back(Instant::now());
            }
            b.quiet = if loud { 0 } else { b.quiet + 1 };
        });
    });
    let eyes = Arc::new(Eyes(beats.clone()));
    let (tell, _events) = mpsc::channel(8);
    let own = Arc::new(Watcher::default());
    let b = Session::open(
        Config { microphone: MicrophoneSource::None, ..small() },
        false,
        Outputs { remote: eyes, own, sound: SoundOut::Samples(samples) },
        tell,
    )
    .unwrap();
    let picture = Arc::new(b.receive(Codec::Vp8, 96, Arc::new(|| {})).unwrap());
    let sound = Arc::new(b.receive(Codec::Opus, 111, Arc::new(|| {})).unwrap());
    let (newest_picture, newest_sound): (Newest, Newest) = Default::default();

    let (late, line) = blocking::channel::<(Instant, Bytes)>();
    let into = picture.clone();
    let delay = std::thread::spawn(move || {
        for (due, packet) in line {
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            into.push(packet);
        }
    });
    let newest = newest_picture.clone();
    let sending_picture = a
        .session
        .send(
            Codec::Vp8,
            96,
            Arc::new(move |p: Bytes| {
                note(&newest, &p);
                late.send((Instant::now() + LATER, p)).unwrap_or(());
            }),
        )
        .unwrap();
    let (newest, into) = (newest_sound.clone(), sound.clone());
    let sending_sound = a
        .session
        .send(
            Codec::Opus,
            111,
            Arc::new(move |p: Bytes| {
                note(&newest, &p);
                into.push(p);
            }),
        )
        .unwrap();

    beats.until("pictures later than their sound", |b| b.median_of_last(3).is_some_and(|skew| skew > 100.0));
    // Reports as they come on the wire, until lips and voice are together.
    let reports = std::thread::spawn({
        let (picture, sound) = (Arc::downgrade(&picture), Arc::downgrade(&sound));
        move || {
            while let (Some(picture), Some(sound)) = (picture.upgrade(), sound.upgrade()) {
                let ((ntp_p, rtp_p), (ntp_s, rtp_s)) = (*lock(&newest_picture), *lock(&newest_sound));
                picture.sender_report(ntp_p, rtp_p);
                sound.sender_report(ntp_s, rtp_s);
                drop((picture, sound));
                std::thread::sleep(Duration::from_millis(300));
            }
        }
    });
    beats.until("picture and sound together", |b| b.median_of_last(3).is_some_and(|skew| skew.abs() < 80.0));
    let held = b.statistics().received.iter().find(|r| r.kind == Kind::Audio).unwrap().held_back_ms;
    assert!(held > 50.0, "the sound is held back {held} ms");
    println!("skews in ms: {:?}", beats.get(Beats::skews));
    drop((sending_picture, sending_sound, picture, sound));
    reports.join().unwrap();
    delay.join().unwrap();
}
