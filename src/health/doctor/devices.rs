//! What the box sees, hears and speaks with. Devices are opened one after the other, because they disturb each other, and
//! not while there is a call.

use super::{Outcome, Patient, Planned, blocking, planned, television};
use crate::config::Config;
use crate::daemon;
use crate::media::reading;
use crate::media::session::{CameraSource, MicrophoneSource};
use crate::media::{SoundOut, gstreamer};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

const HANGS: &str = "a driver hangs: pull the plug of the device, or restart the box; dmesg says which";

/// How long pictures are counted.
const PICTURES: Duration = Duration::from_secs(2);
/// How long the microphone is listened to.
const LISTEN: Duration = Duration::from_millis(1500);

pub(super) fn plan(patient: &Arc<Patient>) -> Vec<Planned> {
    // In the order in which they come here.
    let turn = Turn::default();
    let device = |name, seconds, check: fn(&Patient, &Config) -> Outcome| {
        let patient = patient.clone();
        let check = in_turn(turn.clone(), name, move |hang| match (&patient.config, busy(&patient)) {
            (Err(_), _) => Outcome::skipped("the configuration has mistakes"),
            (_, true) => Outcome::skipped("there is a call, and it has the devices"),
            (Ok(_), _) if name == "speaker" && hang.contains(&"microphone") => {
                Outcome::skipped("the microphone hangs, and there is nothing else to hear it with")
            }
            (Ok(config), false) => check(&patient, config),
        });
        planned(name, seconds, HANGS, check)
    };
    let quick = |name, check: fn(&Patient, &Config) -> Outcome| {
        let patient = patient.clone();
        planned(name, 15, HANGS, async move {
            blocking(move || match &patient.config {
                Ok(config) => check(&patient, config),
                Err(_) => Outcome::skipped("the configuration has mistakes"),
            })
            .await
        })
    };
    let examined = patient.clone();
    vec![
        planned("gstreamer", 30, HANGS, blocking(move || elements(examined.config.as_ref().ok()))),
        // Whoever hangs leaves the next ones the time that they usually take.
        device("camera", 40, camera),
        device("microphone", 45, microphone),
        device("speaker", 50, speaker),
        quick("display", |_, config| television::display(config)),
        quick("cec", television::cec),
        quick("keys", television::keys),
    ]
}

/// One check at a time has the devices. Holds the names of those that began and did not end.
type Turn = Arc<Mutex<Vec<&'static str>>>;

/// Does the work when it is its turn, and tells it which checks hang. The turn is this future's: whoever abandons it passes the turn on,
/// although the driver keeps the thread.
async fn in_turn(turn: Turn, name: &'static str, work: impl FnOnce(&[&str]) -> Outcome + Send + 'static) -> Outcome {
    let mut unfinished = turn.lock().await;
    let hang = unfinished.clone();
    unfinished.push(name);
    let outcome = blocking(move || work(&hang)).await;
    unfinished.pop();
    outcome
}

/// Whether a call has the devices, or is about to.
fn busy(patient: &Patient) -> bool {
    let phase = patient.status.as_ref().ok().and_then(|status| status["phase"].as_str());
    patient.call.is_cancelled() || phase.is_some_and(|phase| !matches!(phase, "idle" | "message" | "stopped"))
}

/// When an element is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    Always,
    /// The camera is one of the kernel's.
    Camera,
    TestPicture,
    Microphone,
    TestTone,
    /// `tv.sink` says so.
    Sink(&'static str),
}

/// What the daemon's pipelines are made of; of those on one line, any will do.
const ELEMENTS: &[(When, &[&str])] = &[
    (When::Always, &["appsrc"]),
    (When::Always, &["appsink"]),
    (When::Always, &["capsfilter"]),
    (When::Always, &["queue"]),
    (When::Always, &["audioconvert"]),
    (When::Always, &["audioresample"]),
    (When::Always, &["videoconvert"]),
    (When::Always, &["videorate"]),
    (When::Always, &["videoscale"]),
    (When::Always, &["rtpjitterbuffer"]),
    (When::Always, &["opusenc"]),
    (When::Always, &["opusdec"]),
    (When::Always, &["rtpopuspay"]),
    (When::Always, &["rtpopusdepay"]),
    (When::Always, &["x264enc", "v4l2h264enc", "openh264enc", "vp8enc"]),
    (When::Always, &["h264parse"]),
    (When::Always, &["avdec_h264", "v4l2h264dec", "openh264dec"]),
    (When::Always, &["rtph264pay"]),
    (When::Always, &["rtph264depay"]),
    (When::Always, &["vp8dec"]),
    (When::Always, &["rtpvp8pay"]),
    (When::Always, &["rtpvp8depay"]),
    (When::Camera, &["jpegdec"]),
    (When::TestPicture, &["videotestsrc"]),
    (When::Microphone, &["alsasrc"]),
    (When::TestTone, &["audiotestsrc"]),
    (When::Sink("kms"), &["kmssink"]),
    (When::Sink("window"), &["waylandsink", "ximagesink"]),
    (When::Sink("driver"), &["jpegenc"]),
    (When::Sink("none"), &["fakesink"]),
];

/// Without a configuration, only what every box needs is.
fn needed(when: When, config: Option<&Config>) -> bool {
    let media = config.and_then(|config| daemon::media(config).ok());
    let camera = |is: fn(&CameraSource) -> bool| media.as_ref().is_some_and(|media| is(&media.camera));
    let microphone = |is: fn(&MicrophoneSource) -> bool| media.as_ref().is_some_and(|media| is(&media.microphone));
    match when {
        When::Always => true,
        When::Camera => camera(|camera| matches!(camera, CameraSource::Auto | CameraSource::V4l2(_))),
        When::TestPicture => camera(|camera| *camera == CameraSource::Test),
        When::Microphone => microphone(|microphone| matches!(microphone, MicrophoneSource::Alsa(_))),
        When::TestTone => microphone(|microphone| *microphone == MicrophoneSource::Test),
        When::Sink(sink) => config.is_some_and(|config| config.text("tv.sink") == sink),
    }
}

fn elements(config: Option<&Config>) -> Outcome {
    if let Err(e) = gstreamer() {
        return Outcome::failure(e.0, "reinstall GStreamer, and delete ~/.cache/gstreamer-1.0");
    }
    let there = |name: &&str| ::gstreamer::ElementFactory::find(name).is_some();
    let lacking = ELEMENTS.iter().filter(|(when, any)| needed(*when, config) && !any.iter().any(there));
    let missing: Vec<String> = lacking.map(|(_, any)| any.join(" or ")).collect();
    if missing.is_empty() {
        Outcome::ok("every element that a call needs is there")
    } else {
        let next = "install the plugins: gstreamer1.0-plugins-{base,good,bad,ugly}, gstreamer1.0-libav, gstreamer1.0-alsa, gstreamer1.0-x";
        Outcome::failure(format!("missing: {}", missing.join(", ")), next)
    }
}

fn camera(patient: &Patient, config: &Config) -> Outcome {
    let media = match daemon::media(config) {
        Ok(media) => media,
        Err(why) => return Outcome::failure(why, "residentctl config check"),
    };
    match &media.camera {
        CameraSource::None => {
            return Outcome::warning("media.camera is \"none\": video calls are declined", "set media.camera (residentctl devices)");
        }
        CameraSource::V4l2(path) if !Path::new(path).exists() => {
            return Outcome::failure(
                format!("{path} is not there: video calls are declined"),
                "plug it in; residentctl devices lists what there is",
            );
        }
        _ => {}
    }
    let pictures = match reading::camera(&media, PICTURES, &patient.call) {
        Ok(pictures) => pictures,
        Err(why) if patient.call.is_cancelled() => return Outcome::skipped(why),
        Err(why) => return Outcome::failure(why, "see above; then residentctl test camera"),
    };
    let (fps, test) = (media.fps, media.camera == CameraSource::Test);
    let takes = takes(&media);
    let says = format!(
        "{}{}: {:.1} of {fps} pictures a second of {}x{}, the first after {} ms, light {} %",
        if test { "the test picture".to_owned() } else { media.camera.to_string() },
        takes.as_ref().map_or_else(String::new, |takes| format!(" ({takes})")),
        pictures.rate,
        media.width,
        media.height,
        pictures.first_ms,
        pictures.light
    );
    let outcome = if test {
        Outcome::warning(says, "callers see a test picture: set media.camera")
    } else if pictures.rate < 0.6 * f64::from(fps) {
        Outcome::warning(says, "too few: too dark a room, another USB port, or a smaller media.size")
    } else if pictures.light < 12 {
        Outcome::warning(says, "very dark: open the cover of the camera, or light the room")
    } else {
        Outcome::ok(says)
    };
    outcome.figure("format", takes).figure("rate", pictures.rate).figure("light", pictures.light).figure("first_ms", pictures.first_ms)
}

/// What is taken of what the camera offers.
fn takes(media: &crate::media::session::Config) -> Option<String> {
    let CameraSource::V4l2(path) = &media.camera else { return None };
    let named = Path::new(path);
    let cameras = crate::media::devices::list(media.want()).cameras;
    let camera = cameras.iter().find(|c| c.path == named || c.stable.as_deref() == Some(named))?;
    camera.choices.first().map(ToString::to_string)
}

fn microphone(patient: &Patient, config: &Config) -> Outcome {
    let media = match daemon::media(config) {
        Ok(media) => media,
        Err(why) => return Outcome::failure(why, "residentctl config check"),
    };
    match media.microphone {
        MicrophoneSource::None => {
            return Outcome::failure("media.microphone is \"none\": all calls are declined", "set media.microphone (residentctl devices)");
        }
        MicrophoneSource::Test => return Outcome::warning("callers hear a test tone", "set media.microphone"),
        _ => {}
    }
    let level = match reading::microphone(&media, LISTEN, &patient.call) {
        Ok(level) => level,
        Err(why) if patient.call.is_cancelled() => return Outcome::skipped(why),
        Err(why) => return Outcome::failure(why, "residentctl devices lists what there is; then residentctl test microphone"),
    };
    let says = format!("{}: mean {:.0} dB, peak {:.0} dB", media.microphone, level.mean_db, level.peak_db);
    let outcome = if level.dead {
        Outcome::failure(format!("{says}: a dead line"), "it is muted (alsamixer, F4), its switch is off, or it is another device")
    } else if level.peak_db > -0.5 {
        Outcome::warning(says, "too loud: turn its gain down (alsamixer, F4)")
    } else if level.mean_db < -75.0 {
        Outcome::warning(says, "very soft: turn its gain up (alsamixer, F4)")
    } else {
        Outcome::ok(says)
    };
    outcome.figure("mean_db", level.mean_db).figure("peak_db", level.peak_db)
}

fn speaker(patient: &Patient, config: &Config) -> Outcome {
    let device = config.text("media.speaker");
    let media = match daemon::media(config) {
        Ok(media) => media,
        Err(why) => return Outcome::failure(why, "residentctl config check"),
    };
    match device {
        "none" => return Outcome::failure("media.speaker is \"none\": nobody is heard", "set media.speaker (residentctl devices)"),
        "tv" => return Outcome::skipped("the sound goes through the television's driver (lab)"),
        _ => {}
    }
    if matches!(media.microphone, MicrophoneSource::None | MicrophoneSource::Test) {
        return Outcome::skipped("there is no microphone to hear it with");
    }
    match reading::speaker(&media, SoundOut::Alsa(device.to_owned()), &patient.call) {
        Ok(heard) => judge_heard(device, &heard, config.integer("media.playback_delay")),
        Err(why) if patient.call.is_cancelled() => Outcome::skipped(why),
        Err(why) => Outcome::failure(why, "residentctl devices lists what there is; then residentctl test speaker"),
    }
}

fn judge_heard(device: &str, heard: &reading::Heard, configured: i64) -> Outcome {
    let Some(delay) = heard.delay_ms else {
        let next = "is the television on, on this input, and not mute? is media.speaker the right output? then residentctl test speaker";
        return Outcome::warning(format!("{device} plays, but the microphone does not hear it"), next).figure("clearness", heard.clearness);
    };
    let says = format!("{device} is heard after {delay:.0} ms (media.playback_delay is {configured} ms)");
    // The canceller looks for the echo within about a tenth of a second of where it is told to expect it.
    let outcome = if (delay - configured as f64).abs() > 100.0 {
        Outcome::warning(says, format!("set media.playback_delay = {:.0}, else callers may hear themselves", delay.min(500.0)))
    } else {
        Outcome::ok(says)
    };
    outcome.figure("delay_ms", delay).figure("clearness", heard.clearness)
}

#[cfg(test)]
mod tests {
    use super::super::{Verdict, carry_out};
    use super::*;
    use crate::config::Sources;
    use serde_json::json;
    use std::collections::BTreeSet;
    use tokio_util::sync::CancellationToken;

    fn config(flags: &[&str]) -> Config {
        Config::load(&Sources { flags: flags.iter().map(ToString::to_string).collect(), ..Default::default() }).unwrap()
    }

    fn patient(config: &Config, phase: &str) -> Patient {
        Patient { config: Ok(config.clone()), status: Ok(json!({ "phase": phase })), call: CancellationToken::new() }
    }

    #[test]
    fn the_devices_of_a_call_are_left_alone() {
        let config = config(&[]);
        for (phase, is_busy) in [("idle", false), ("ringing", true), ("talking", true), ("message", false)] {
            assert_eq!(busy(&patient(&config, phase)), is_busy, "{phase}");
        }
        let called = patient(&config, "idle");
        called.call.cancel();
        assert!(busy(&called));
    }

    #[tokio::test]
    async fn a_device_that_hangs_hides_no_other_and_is_named_to_those_after_it() {
        let (_plug, driver) = std::sync::mpsc::channel::<()>();
        let turn = Turn::default();
        let camera = in_turn(turn.clone(), "camera", move |_| {
            let _ = driver.recv();
            Outcome::ok("it came back")
        });
        let after = |name| in_turn(turn.clone(), name, |hang| Outcome::ok(hang.join(" ")));
        let checks = [
            planned("camera", 1, HANGS, camera),
            planned("microphone", 30, HANGS, after("microphone")),
            planned("speaker", 30, HANGS, after("speaker")),
        ];
        let (found, mut findings) = tokio::sync::mpsc::channel(checks.len());
        carry_out(checks.into_iter(), found).await;
        let mut told = Vec::new();
        while let Some(finding) = findings.recv().await {
            told.push((finding.check, finding.outcome.verdict, finding.outcome.says));
        }
        let hangs = ("camera", Verdict::Failure, "no result within 1 s".to_owned());
        let well = |name| (name, Verdict::Ok, "camera".to_owned());
        assert_eq!(told, [hangs, well("microphone"), well("speaker")]);
    }

    /// Elements in descriptions of pipelines: a name behind a link, or one that begins a text and has a link or a property behind it.
    fn described(text: &str) -> BTreeSet<&str> {
        let words: Vec<&str> = text.split_whitespace().filter(|word| *word != "\\").collect();
        let is_property = |word: &str| {
            word.split_once('=').is_some_and(|(key, _)| !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        };
        words
            .windows(3)
            .filter(|w| w[0] == "!" || (w[1].starts_with('"') && (w[2].starts_with('!') || is_property(w[2]))))
            .map(|w| w[1].trim_matches(['"', ',', ';', ')']))
            .filter(|name| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'))
            .collect()
    }

    #[test]
    fn every_element_of_a_pipeline_is_looked_for() {
        let text: String = crate::sources::without_tests().into_iter().map(|(_, text)| text).collect();
        let found = described(&text);
        for known in ["appsrc", "h264parse", "kmssink", "jpegdec", "rtph264pay", "openh264dec", "fakesink"] {
            assert!(found.contains(known), "{known} is not seen in the sources: {found:?}");
        }
        let listed: Vec<&str> = ELEMENTS.iter().flat_map(|(_, any)| any.iter().copied()).collect();
        let forgotten: Vec<_> = found.iter().filter(|name| !listed.contains(name)).collect();
        assert!(forgotten.is_empty(), "not in ELEMENTS: {forgotten:?}");
    }

    #[test]
    fn elements_are_needed_where_the_configuration_uses_them() {
        let needs = |flags: &[&str]| {
            let config = config(flags);
            move |name: &str| ELEMENTS.iter().any(|(when, any)| any.contains(&name) && needed(*when, Some(&config)))
        };
        let usual = needs(&[]);
        assert!(["kmssink", "jpegdec", "alsasrc", "vp8dec"].iter().all(|name| usual(name)));
        assert!(!["videotestsrc", "audiotestsrc", "ximagesink", "jpegenc"].iter().any(|name| usual(name)));
        let bare = needs(&["media.camera=test", "media.microphone=test", "tv.sink=none"]);
        assert!(["videotestsrc", "audiotestsrc", "fakesink", "vp8dec"].iter().all(|name| bare(name)));
        assert!(!["kmssink", "jpegdec", "alsasrc"].iter().any(|name| bare(name)));
        assert!(ELEMENTS.iter().all(|(when, _)| needed(*when, None) == (*when == When::Always)));
    }

    #[test]
    fn each_missing_device_is_a_finding_with_a_next_step() {
        let config = config(&["media.camera=/dev/video-not-there", "media.microphone=plughw:CARD=NotThere", "media.speaker=none"]);
        let patient = patient(&config, "idle");
        for (check, part) in
            [(camera as fn(&Patient, &Config) -> Outcome, "/dev/video-not-there"), (microphone, "NotThere"), (speaker, "nobody is heard")]
        {
            let outcome = check(&patient, &config);
            assert!(outcome.verdict == Verdict::Failure && outcome.says.contains(part) && outcome.next.is_some(), "{outcome:?}");
        }
    }

    #[test]
    fn a_speaker_that_is_not_heard_warns_and_one_that_comes_late_says_what_to_set() {
        let level = reading::Level { mean_db: -40.0, peak_db: -20.0, dead: false };
        let heard = |delay_ms| reading::Heard { delay_ms, clearness: 5.0, level };
        assert_eq!(judge_heard("default", &heard(None), 80).verdict, Verdict::Warning);
        assert_eq!(judge_heard("default", &heard(Some(120.0)), 80).verdict, Verdict::Ok);
        let late = judge_heard("default", &heard(Some(312.0)), 80);
        assert!(late.verdict == Verdict::Warning && late.next.as_ref().unwrap().contains("playback_delay = 312"), "{late:?}");
    }
}
