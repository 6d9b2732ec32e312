//! One scene of each kind, for the tests of this room.

use crate::call::{CallId, Caller, CallerId, Decline, Ending, LineId, Medium, Scene};
use std::time::{Duration, Instant};

pub(crate) fn caller() -> Caller {
    Caller {
        line: LineId("chatta".into()),
        id: CallerId("5".into()),
        username: Some("care_admin".into()),
        name: "Margaret Jørgensen".into(),
        role: Some("customeradmin".into()),
        photo: None,
    }
}

pub(crate) fn ringing() -> Scene {
    Scene::Ringing { call: CallId(1), caller: caller(), medium: Medium::Video }
}

pub(crate) fn countdown() -> Scene {
    Scene::Countdown { call: CallId(1), caller: caller(), medium: Medium::Video, until: None, length: Duration::from_secs(10) }
}

pub(crate) fn counting(until: Instant) -> Scene {
    Scene::Countdown { call: CallId(1), caller: caller(), medium: Medium::Video, until: Some(until), length: Duration::from_secs(10) }
}

pub(crate) fn connecting() -> Scene {
    Scene::Connecting { call: CallId(1), caller: caller(), medium: Medium::Video }
}

pub(crate) fn in_call() -> Scene {
    Scene::InCall { call: CallId(1), caller: caller(), medium: Medium::Video, weak: false, muted: false, no_camera: false }
}

pub(crate) fn ended() -> Scene {
    Scene::Ended { caller: caller(), ending: Ending::CallerEnded }
}

pub(crate) fn missed() -> Scene {
    let at = |text: &str| text.parse().expect("a timestamp");
    Scene::Missed { calls: vec![(caller(), at("2026-11-20T09:41:00Z")), (caller(), at("2026-11-19T17:05:00Z"))] }
}

pub(crate) fn no_camera() -> Scene {
    Scene::NoCamera { caller: caller() }
}

pub(crate) fn all() -> Vec<Scene> {
    let declined = Scene::Ended { caller: caller(), ending: Ending::Declined(Decline::NoAnswer) };
    vec![Scene::Idle, ringing(), countdown(), connecting(), in_call(), ended(), declined, missed(), no_camera()]
}
