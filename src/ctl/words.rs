//! What the API says, in words. Unknown words of a newer daemon are shown as they are.

use super::screen::{clock, span, tame};
use serde_json::Value;
use std::time::Duration;

/// A moment of the API.
pub fn moment(value: &Value) -> Option<jiff::Timestamp> {
    value.as_str()?.parse().ok()
}

/// Who, for people: the name, else the id.
pub fn caller(caller: &Value) -> String {
    let of = |key: &str| caller[key].as_str().filter(|t| !t.is_empty());
    tame(of("name").or(of("username")).or(of("id")).unwrap_or("somebody"))
}

/// `video` or `audio`.
pub fn medium(medium: &Value) -> &str {
    medium.as_str().unwrap_or("call")
}

/// How a call ended.
pub fn ending(ending: &Value) -> String {
    let simple = match ending.as_str() {
        Some("withdrawn") => "missed: the caller gave up",
        Some("hung-up") => "ended by the resident",
        Some("caller-ended") => "ended by the caller",
        Some("caller-left") => "the caller left the room",
        Some("caller-never-came") => "the caller never came into the room",
        Some("room-failed") => "the room failed",
        Some("media-failed") => "camera, microphone, picture or sound failed",
        Some("maximum-length") => "ended at its maximum length",
        Some("shutdown") => "ended by a stop of the daemon",
        Some(other) => return tame(other),
        None => return declined(&ending["declined"]),
    };
    simple.to_owned()
}

fn declined(reason: &Value) -> String {
    match reason.as_str() {
        Some("busy") => "declined: busy".into(),
        Some("no-camera") => "declined: no camera".into(),
        Some("no-microphone") => "declined: no microphone".into(),
        Some("no-answer") => "missed: nobody answered".into(),
        Some("by-resident") => "declined by the resident".into(),
        Some("error") => "declined: the box could not prepare the call".into(),
        other => format!("declined: {}", tame(other.unwrap_or("no reason given"))),
    }
}

/// What a caller was told.
pub fn reply(reply: &Value) -> String {
    match reply.as_str() {
        Some("Accepted") => "accepted".into(),
        Some("Ended") => "ended".into(),
        Some(other) => tame(other),
        None => declined(&reply["Declined"]),
    }
}

/// A record of the call log as one line.
pub fn record(record: &Value) -> String {
    let when = moment(&record["offered"]).map_or_else(|| "?".into(), clock);
    let how = if record["automatic"] == true { ", answered by itself" } else { "" };
    let who = format!("#{} {}, {}", record["call"], caller(&record["caller"]), medium(&record["medium"]));
    let long = talked(record).map_or_else(String::new, |t| format!(", {}", span(t)));
    format!("{who}, {when}{long}{how}: {}", ending(&record["ending"]))
}

/// How long they talked.
pub fn talked(record: &Value) -> Option<Duration> {
    let (from, to) = (moment(&record["accepted"])?, moment(&record["ended"])?);
    Duration::try_from(to.duration_since(from)).ok()
}

/// What is going on.
pub fn phase(phase: &Value) -> &str {
    match phase.as_str() {
        Some("idle") => "none",
        Some("ringing") => "it rings",
        Some("countdown") => "it rings and will be answered by itself",
        Some("preparing") => "answered; getting what is needed to join the room",
        Some("waiting") => "accepted; the caller is not in the room yet",
        Some("talking") => "talking",
        Some("message") => "none; a message is on the screen",
        Some("stopped") => "the daemon stops",
        Some(other) => other,
        None => "unknown",
    }
}

/// Something that happened, as one line.
pub fn happening(happening: &Value) -> String {
    let call = || format!("call #{}", happening["call"]);
    match happening["kind"].as_str() {
        Some("offered") => format!("{} calls ({})", caller(&happening["caller"]), medium(&happening["medium"])),
        Some("replied") => {
            let about = if happening["call"].is_null() { "a call".into() } else { call() };
            format!("{about}: the caller was told: {}", reply(&happening["reply"]))
        }
        Some("opened") => {
            let what = if happening["camera"] == true { "camera and microphone are" } else { "the microphone is" };
            format!("{}: {what} open", call())
        }
        Some("closed") => format!("{}: camera and microphone are closed", call()),
        Some("flowing") => {
            let what = if happening["media"] == "video" { "picture" } else { "sound" };
            format!("{}: the caller's {what} is there", call())
        }
        Some("notice") => format!("{}: {}", call(), tame(happening["text"].as_str().unwrap_or_default())),
        Some("figures") => format!("{}: its figures are known (see --json)", call()),
        Some("restored") => format!("{}: the television is as it was", call()),
        Some("over") => format!("over: {}", record(happening)),
        _ => tame(&happening.to_string()),
    }
}

/// A line's state, and whether that is good.
pub fn line(line: &Value) -> (String, bool) {
    let since = super::screen::since(&line["since"]);
    match line["state"].as_str() {
        Some("online") => (format!("online since {since}"), true),
        Some("connecting") => (format!("connecting since {since}"), false),
        _ => (format!("offline since {since}: {}", tame(line["why"].as_str().unwrap_or("no reason given"))), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Happening;
    use crate::call::{CallId, Caller, CallerId, Decline, Ending, LineId, Medium, Record, Reply};
    use serde_json::json;

    fn roger() -> Caller {
        let line = LineId("chatta".into());
        Caller { line, id: CallerId("5".into()), username: None, name: "Roger".into(), role: None, photo: None }
    }

    #[test]
    fn every_ending_and_reply_of_the_daemon_has_words() {
        let declines = [Decline::Busy, Decline::NoCamera, Decline::NoMicrophone, Decline::NoAnswer, Decline::ByResident, Decline::Error];
        let endings = [
            Ending::Withdrawn,
            Ending::HungUp,
            Ending::CallerEnded,
            Ending::CallerLeft,
            Ending::CallerNeverCame,
            Ending::RoomFailed,
            Ending::MediaFailed,
            Ending::MaximumLength,
            Ending::Shutdown,
        ];
        for e in declines.map(Ending::Declined).into_iter().chain(endings) {
            let value = json!(e);
            let words = ending(&value);
            assert!(value.as_str() != Some(&words) && !words.contains("no reason"), "{e:?}: {words}");
        }
        for r in [Reply::Accepted, Reply::Ended].into_iter().chain(declines.map(Reply::Declined)) {
            assert!(!reply(&json!(r)).contains("no reason"), "{r:?}");
        }
    }

    #[test]
    fn every_happening_is_a_sentence() {
        let call = CallId(3);
        let at = jiff::Timestamp::UNIX_EPOCH;
        let over = Record {
            call,
            caller: roger(),
            medium: Medium::Video,
            offered: at,
            accepted: Some(at),
            automatic: true,
            ended: at,
            ending: Ending::HungUp,
        };
        for happening in [
            Happening::Offered { caller: roger(), medium: Medium::Video },
            Happening::Replied { call: Some(call), reply: Reply::Accepted },
            Happening::Opened { call, camera: true },
            Happening::Closed { call },
            Happening::Flowing { call, media: crate::media::Kind::Video },
            Happening::Notice { call, text: "camera lost".into() },
            Happening::Figures { call, figures: json!({}) },
            Happening::Restored { call },
            Happening::Over(over),
        ] {
            let words = super::happening(&json!(happening));
            assert!(!words.contains('{') && !words.contains("null"), "{words}");
        }
    }
}
