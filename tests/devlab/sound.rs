//! Sound cards by the kernel's own interface. The loopback card stands for the television and the microphone: what is played
//! into its device 0 is recorded from its device 1.

use crate::guest::{is_guest, keep, run, until};
use residentd::media::session::{CameraSource, Config, MicrophoneSource, Receiving, Sending, Session};
use residentd::media::{Codec, MediaEvent, Outputs, PictureSink, SoundOut, devices};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

const TELEVISION: &str = "plughw:CARD=Loopback,DEV=0";
const ROOM: &str = "plughw:CARD=Loopback,DEV=1";

struct Nobody;

impl PictureSink for Nobody {
    fn push(&self, _: &gstreamer::Sample) {}
}

/// One end of a call by sound.
pub struct Side {
    pub session: Session,
    events: mpsc::Receiver<MediaEvent>,
}

/// Opens it.
pub fn side(microphone: MicrophoneSource, sound: SoundOut, echo_cancellation: bool, playback_delay: Duration) -> Side {
    is_guest();
    let config = Config { camera: CameraSource::None, microphone, echo_cancellation, playback_delay, ..Config::default() };
    let outputs = Outputs { remote: Arc::new(Nobody), own: Arc::new(Nobody), sound };
    let (tell, events) = mpsc::channel(32);
    Side { session: Session::open(config, false, outputs, tell).unwrap(), events }
}

fn connect(from: &Side, to: &Side) -> (Sending, Arc<Receiving>) {
    let receiving = Arc::new(to.session.receive(Codec::Opus, 111, Arc::new(|| {})).unwrap());
    let into = receiving.clone();
    (from.session.send(Codec::Opus, 111, Arc::new(move |packet| into.push(packet))).unwrap(), receiving)
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn sound_cards_are_listed_by_name() {
    is_guest();
    let found = devices::list(Config::default().want());
    for list in [&found.microphones, &found.speakers] {
        assert!(list.iter().any(|d| d.name.contains("Loopback") && d.device.starts_with("plughw:CARD=Loopback,DEV=")), "{list:#?}");
    }
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn a_caller_is_heard_from_the_television_at_whatever_rate_and_format_is_asked_of_it() {
    let caller = side(MicrophoneSource::Test, SoundOut::Null, false, Duration::ZERO);
    let resident = side(MicrophoneSource::None, SoundOut::Alsa(TELEVISION.into()), false, Duration::ZERO);
    let _way = connect(&caller, &resident);
    until("sound in the card", || resident.session.statistics().playing.is_some_and(|p| p.queued_ms > 0));
    let file = keep("television.wav");
    // The loop takes the format of whoever plays: 48 kHz stereo; the recorder gets another one.
    run("arecord", &["-q", "-D", ROOM, "-f", "S32_LE", "-c", "1", "-r", "16000", "-d", "3", file.to_str().unwrap()]);
    let wav = std::fs::read(&file).unwrap();
    let samples: Vec<f64> = wav[44..].chunks_exact(4).map(|b| f64::from(i32::from_le_bytes([b[0], b[1], b[2], b[3]])) / 65_536.0).collect();
    // The tone of 440 Hz in half of each second, and nothing else that is loud.
    let loud = samples.chunks(160).filter(|c| c.iter().map(|s| s * s).sum::<f64>() / c.len() as f64 > 1e6).count();
    // A guest that is held up plays gaps; silence and noise are something else.
    assert!((20..240).contains(&loud), "{loud} of 300 hundredths of a second");
    let (mut sin, mut cos, mut all) = (0.0, 0.0, 1e-9);
    for (i, s) in samples.iter().enumerate() {
        let phase = i as f64 * 440.0 * std::f64::consts::TAU / 16_000.0;
        (sin, cos, all) = (sin + s * phase.sin(), cos + s * phase.cos(), all + s * s);
    }
    println!(
        "tone: {:.2} of the power; {:?}",
        2.0 * (sin * sin + cos * cos) / samples.len() as f64 / all,
        resident.session.statistics().playing
    );
    caller.session.close();
    resident.session.close();
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn a_television_that_takes_its_sound_card_away_is_heard_again_when_it_is_back() {
    let card = |there: bool| {
        let file = if there { "bind" } else { "unbind" };
        std::fs::write(format!("/sys/bus/platform/drivers/snd_aloop/{file}"), "snd_aloop.0").unwrap();
    };
    let caller = side(MicrophoneSource::Test, SoundOut::Null, false, Duration::ZERO);
    let mut resident = side(MicrophoneSource::None, SoundOut::Alsa(TELEVISION.into()), false, Duration::ZERO);
    let _way = connect(&caller, &resident);
    let opened =
        |n: u64| until("the sound card", || resident.session.statistics().playing.is_some_and(|p| p.opened >= n && p.queued_ms > 0));
    opened(1);
    card(false);
    until("the card's end", || !std::fs::read_to_string("/proc/asound/cards").unwrap().contains("[Loopback"));
    card(true);
    opened(2);
    // the loudspeaker plays silence before the caller's first sound has been decoded
    let mut first = None;
    until("the caller's sound", || {
        first = resident.events.try_recv().ok();
        first.is_some()
    });
    assert!(matches!(first, Some(MediaEvent::Flowing(_))), "the call goes on: {first:?}");
    assert!(resident.events.try_recv().is_err(), "the call goes on");
    caller.session.close();
    resident.session.close();
}

#[test]
#[ignore = "needs the device lab: make devlab-test"]
fn a_card_that_ran_dry_plays_on() {
    let resident = side(MicrophoneSource::None, SoundOut::Alsa(TELEVISION.into()), false, Duration::ZERO);
    let playing = || resident.session.statistics().playing.unwrap();
    until("sound in the card", || playing().queued_ms > 0);
    // Everybody is stopped for a second, as on a box that is far too busy: the card runs dry.
    let own = std::process::id().to_string();
    let script = format!("kill -STOP {own}; sleep 1; kill -CONT {own}");
    let before = playing().underruns;
    assert!(Command::new("setsid").args(["sh", "-c", &script]).spawn().unwrap().wait().is_ok());
    until("a recovery", || playing().underruns > before);
    until("sound in the card", || playing().queued_ms > 0);
    assert_eq!(playing().opened, 1, "it was not opened anew");
    resident.session.close();
}
