//! What the resident sees: what the daemon itself says that it shows, and on what.

use serde_json::Value;

/// In words, from the daemon's status and whether it has said that its camera is lost.
pub fn sees(status: &Value, camera: bool) -> String {
    let shown = match status["phase"].as_str() {
        Some("talking") => "the call",
        Some("waiting") => "that the caller is being connected",
        Some("message") if status["missed"].as_u64() > Some(0) => "a missed call",
        Some("message") => "that the call is over",
        other => return format!("{other:?}"),
    };
    let camera = if camera { "" } else { ", and that the camera cannot be used" };
    let television = &status["television"];
    let television = match (television["power"].as_str(), television["shows_us"].as_bool()) {
        (Some("on"), Some(true) | None) => "",
        (Some("on"), Some(false)) => ", once the television shows the box again",
        (Some("standby"), _) => ", once the television is on again",
        (_, _) => ", if the television shows the box: it does not answer",
    };
    format!("{shown}{camera}{television}")
}
