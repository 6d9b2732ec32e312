//! The echo, on sound cards: a caller's voice goes the way of a call into the television's card, from there through a room with a
//! television that takes its time, and back into the microphone's card. Measured is what the caller gets to hear of themselves, and
//! of the resident who speaks at the same time.

use crate::guest::{is_guest, until};
use crate::sound::{Side, side};
use crate::voices::{LOUD, ORDINARY, OWN, RATE, Room, db, decode, find, pcm, power, read, sample};
use alsa::pcm::{Access, Format, HwParams};
use alsa::{Direction, PCM, ValueOr};
use bytes::Bytes;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use residentd::media::session::{MicrophoneSource, Receiving};
use residentd::media::{Codec, SoundOut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// What is played on device 0 of a card is recorded on its device 1.
const TELEVISION: &str = "hw:Loopback,0,0";
const IN_THE_ROOM: &str = "hw:Loopback,1,0";
const TO_THE_MICROPHONE: &str = "hw:Speaker,0,0";
const MICROPHONE: &str = "hw:Speaker,1,0";

/// Samples that the room takes at a time: every system call is dear here.
const BLOCK: usize = RATE / 50;
/// Blocks that are on their way to the microphone: room for a guest that is held up.
const CUSHION: usize = 5;
/// The canceller has had so long.
const CONVERGED: f64 = 7.0;

/// A card, 48 kHz stereo.
fn card(device: &str, direction: Direction) -> PCM {
    let pcm = PCM::new(device, direction, false).unwrap();
    {
        let hardware = HwParams::any(&pcm).unwrap();
        hardware.set_access(Access::RWInterleaved).unwrap();
        hardware.set_format(Format::S16LE).unwrap();
        hardware.set_channels(2).unwrap();
        hardware.set_rate(RATE as u32, ValueOr::Nearest).unwrap();
        hardware.set_period_size_near(BLOCK as i64, ValueOr::Nearest).unwrap();
        hardware.set_buffer_size_near(10 * BLOCK as i64).unwrap();
        pcm.hw_params(&hardware).unwrap();
        let software = pcm.sw_params_current().unwrap();
        // A capture starts with the first read, if that asks for as much.
        let blocks = if direction == Direction::Playback { CUSHION } else { 1 };
        software.set_start_threshold((blocks * BLOCK) as i64).unwrap();
        pcm.sw_params(&software).unwrap();
    }
    pcm
}

/// What came to the microphone, and when.
#[derive(Default)]
struct Heard {
    all: Vec<f32>,
    /// The resident's voice in it.
    own: Vec<f32>,
    blocks: Vec<Instant>,
    /// Times the guest was held up for so long that sound was lost.
    gaps: u32,
}

/// The room, as a thread between the cards.
struct Living {
    speak: Arc<AtomicBool>,
    end: Arc<AtomicBool>,
    thread: JoinHandle<Heard>,
}

impl Living {
    fn start(delay_ms: usize, loudness: f32) -> Living {
        let (speak, end) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (mut room, near) = (Room::new(delay_ms, loudness), read("near.ogg"));
        // Opened here, so that the session finds the format.
        let (ear, mouth) = (card(IN_THE_ROOM, Direction::Capture), card(TO_THE_MICROPHONE, Direction::Playback));
        let (speaks, ends) = (speak.clone(), end.clone());
        let thread = std::thread::spawn(move || {
            let (mut heard, mut played, mut said) = (Heard::default(), vec![0i16; 2 * BLOCK], near.len());
            let fill = |mouth: &PCM| {
                for _ in 0..CUSHION {
                    let _ = mouth.io_i16().unwrap().writei(&[0; 2 * BLOCK]);
                }
            };
            fill(&mouth);
            while !ends.load(Ordering::Relaxed) {
                if let Err(e) = ear.io_i16().unwrap().readi(&mut played) {
                    ear.try_recover(e, true).unwrap();
                    heard.gaps += 1;
                    continue;
                }
                if speaks.swap(false, Ordering::Relaxed) {
                    said = 0;
                }
                let mut out = [0i16; 2 * BLOCK];
                for (stereo, out) in played.chunks_exact(2).zip(out.chunks_exact_mut(2)) {
                    let own = near.get(said).map_or(0.0, |s| s * OWN);
                    said += 1;
                    let all = room.hear((f32::from(stereo[0]) + f32::from(stereo[1])) / 2.0) + own;
                    out.fill(pcm(all));
                    heard.all.push(all);
                    heard.own.push(own);
                }
                heard.blocks.push(Instant::now());
                let written = mouth.io_i16().unwrap().writei(&out);
                if let Err(e) = written {
                    mouth.try_recover(e, true).unwrap();
                    heard.gaps += 1;
                    fill(&mouth);
                }
            }
            heard
        });
        Living { speak, end, thread }
    }
}

/// Plays the caller's voice into the session, as packets in their time; it ends when this is dropped.
struct Caller(gst::Element);

impl Caller {
    fn speak(into: Arc<Receiving>) -> Caller {
        let text =
            format!("filesrc location={} ! oggdemux ! opusparse ! rtpopuspay pt=111 ! appsink name=out sync=true", sample("far.ogg"));
        let pipeline = gst::parse::launch(&text).unwrap();
        let sink = pipeline.downcast_ref::<gst::Bin>().unwrap().by_name("out").unwrap().downcast::<gst_app::AppSink>().unwrap();
        let push = move |sink: &gst_app::AppSink| {
            let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
            into.push(Bytes::copy_from_slice(&sample.buffer().unwrap().map_readable().unwrap()));
            Ok(gst::FlowSuccess::Ok)
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(push).build());
        pipeline.set_state(gst::State::Playing).unwrap();
        Caller(pipeline)
    }
}

impl Drop for Caller {
    fn drop(&mut self) {
        let _ = self.0.set_state(gst::State::Null);
    }
}

/// A call through the room.
struct Loop {
    resident: Side,
    room: Living,
    sent: Arc<Mutex<Vec<(Instant, Bytes)>>>,
    caller: Option<Caller>,
    from: Instant,
    _sending: residentd::media::session::Sending,
}

/// What there is after it.
struct Tape {
    heard: Heard,
    /// What was sent to the caller, and when each 20 ms of it.
    sent: Vec<f32>,
    packets: Vec<Instant>,
    from: Instant,
}

impl Loop {
    fn start(delay_ms: usize, loudness: f32) -> Loop {
        is_guest();
        let room = Living::start(delay_ms, loudness);
        let delay = Duration::from_millis(delay_ms as u64);
        let resident = side(MicrophoneSource::Alsa(MICROPHONE.into()), SoundOut::Alsa(TELEVISION.into()), true, delay);
        let sent: Arc<Mutex<Vec<(Instant, Bytes)>>> = Arc::default();
        let tape = sent.clone();
        let outlet = Arc::new(move |packet| tape.lock().unwrap().push((Instant::now(), packet)));
        let sending = resident.session.send(Codec::Opus, 111, outlet).unwrap();
        let receiving = Arc::new(resident.session.receive(Codec::Opus, 111, Arc::new(|| {})).unwrap());
        until("the television's card plays", || resident.session.statistics().playing.is_some_and(|p| p.queued_ms > 0));
        until("the microphone is sent", || !sent.lock().unwrap().is_empty());
        Loop { resident, room, sent, caller: Some(Caller::speak(receiving)), from: Instant::now(), _sending: sending }
    }

    /// Lets it go on until so many seconds after its beginning: sound takes its time.
    fn until(&self, seconds: f64) {
        std::thread::sleep((self.from + Duration::from_secs_f64(seconds)).saturating_duration_since(Instant::now()));
    }

    fn end(self) -> Tape {
        println!("{:?}", self.resident.session.statistics());
        self.resident.session.close();
        self.room.end.store(true, Ordering::Relaxed);
        let heard = self.room.thread.join().unwrap();
        println!("gaps in the room: {}", heard.gaps);
        let (packets, bytes): (Vec<Instant>, Vec<Bytes>) = std::mem::take(&mut *self.sent.lock().unwrap()).into_iter().unzip();
        let caps = "application/x-rtp,media=audio,encoding-name=OPUS,payload=111,clock-rate=48000";
        let sent = decode(&format!("appsrc name=in format=time max-bytes=0 caps=\"{caps}\" ! rtpopusdepay ! opusdec"), |pipeline| {
            let src = pipeline.by_name("in").unwrap().downcast::<gst_app::AppSrc>().unwrap();
            for packet in bytes {
                src.push_buffer(gst::Buffer::from_slice(packet)).unwrap();
            }
            src.end_of_stream().unwrap();
        });
        Tape { heard, sent, packets, from: self.from }
    }
}

impl Tape {
    /// Samples of these seconds, as ranges of what was heard and of what was sent.
    fn span(&self, from: f64, to: f64) -> (std::ops::Range<usize>, std::ops::Range<usize>) {
        let at = |times: &[Instant], seconds: f64| times.partition_point(|t| *t < self.from + Duration::from_secs_f64(seconds));
        // A packet is as long as a block of the room's.
        let of = |times: &[Instant], most: usize| (at(times, from) * BLOCK).min(most)..(at(times, to) * BLOCK).min(most);
        (of(&self.heard.blocks, self.heard.all.len()), of(&self.packets, self.sent.len()))
    }

    /// How much weaker the echo is sent than it came, in dB. Whatever gain the voices get is against it.
    fn erle(&self, from: f64, to: f64) -> f64 {
        let (heard, sent) = self.span(from, to);
        db(power(&self.heard.all[heard]), power(&self.sent[sent]))
    }

    /// What is left of the resident's voice, in dB.
    fn voice(&self, from: f64, to: f64) -> f64 {
        // A voice has most of itself below 4 kHz, and a sixth of the samples is found six times as fast, six times.
        let slow = |samples: &[f32]| samples.chunks_exact(6).map(|c| c.iter().sum::<f32>() / 6.0).collect::<Vec<f32>>();
        let (heard, sent) = self.span(from, to);
        let (voice, sent) = (slow(&self.heard.own[heard]), slow(&self.sent[sent.start..]));
        let (lag, gain) = find(&voice, &sent, RATE / 6 / 2, 1);
        println!("the resident is heard {} ms later, at {gain:.1} dB", lag / 8);
        gain
    }
}

/// The echo on the loop is this much weaker at least.
const ERLE: f64 = 20.0;

/// A call in which the room lost no sound, where three tries give one: a guest that is held up moves the echo, and no canceller knows.
fn undisturbed(call: impl Fn() -> Tape) -> Tape {
    let mut tape = call();
    for _ in 0..2 {
        if tape.heard.gaps == 0 {
            break;
        }
        println!("the room was held up: once more");
        tape = call();
    }
    tape
}

fn echo_at(delay_ms: usize) {
    let tape = undisturbed(|| {
        let call = Loop::start(delay_ms, LOUD);
        call.until(15.0);
        call.end()
    });
    let erle = tape.erle(CONVERGED, 14.5);
    println!("{delay_ms} ms, a loud television: echo {:.1} dB at first, {:.1} dB after {CONVERGED} s", -tape.erle(1.0, 3.0), -erle);
    assert!(erle >= ERLE, "{delay_ms} ms: {erle:.1} dB");
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn the_echo_of_a_quick_television_is_taken_out() {
    echo_at(80);
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn the_echo_of_a_slow_television_is_taken_out() {
    echo_at(200);
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn the_echo_of_a_very_slow_television_is_taken_out() {
    echo_at(400);
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn a_resident_who_speaks_while_the_caller_does_is_heard() {
    let tape = undisturbed(|| {
        let mut call = Loop::start(200, ORDINARY);
        call.until(15.0);
        call.room.speak.store(true, Ordering::Relaxed);
        call.until(24.0);
        call.caller = None;
        call.until(25.0);
        call.room.speak.store(true, Ordering::Relaxed);
        call.until(34.0);
        call.end()
    });
    let (erle, both, alone) = (tape.erle(CONVERGED, 14.5), tape.voice(15.0, 23.0), tape.voice(25.0, 33.0));
    println!("an ordinary television: echo {:.1} dB; the resident {both:.1} dB while both speak, {alone:.1} dB alone", -erle);
    assert!(erle >= ERLE, "{erle:.1} dB");
    assert!(both > alone - 9.0, "{both:.1} dB of {alone:.1} dB");
}
