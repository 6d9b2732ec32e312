//! `version`: of everything that matters when something is reported.

use super::client::Daemon;
use super::exit::Exit;
use super::screen::Screen;
use serde_json::{Map, Value};

/// Names and versions; the daemon's from its status, where there is one.
pub fn versions(status: Option<&Value>) -> Map<String, Value> {
    let (major, minor, micro, _) = gstreamer::version();
    let file = |path: &str| std::fs::read_to_string(path).ok();
    let named = |text: String| text.lines().find_map(|l| l.strip_prefix("PRETTY_NAME=").map(|n| n.trim_matches('"').to_owned()));
    let os = file("/etc/os-release").and_then(named);
    let pairs = [
        ("residentctl", Some(env!("CARGO_PKG_VERSION").to_owned())),
        ("residentd", status.and_then(|s| s["version"].as_str().map(str::to_owned))),
        ("GStreamer", Some(format!("{major}.{minor}.{micro}"))),
        ("Linux", file("/proc/sys/kernel/osrelease").map(|v| v.trim().to_owned())),
        ("system", os),
        ("processor", Some(std::env::consts::ARCH.to_owned())),
    ];
    pairs.into_iter().filter_map(|(name, version)| Some((name.to_owned(), Value::String(version?)))).collect()
}

/// All in one line.
pub fn in_one_line(versions: &Map<String, Value>) -> String {
    let named = versions.iter().map(|(name, v)| format!("{name} {}", v.as_str().unwrap_or("?")));
    named.collect::<Vec<_>>().join(", ")
}

/// Prints them. Without a daemon, its version is left out: that is no error here.
pub async fn run(screen: &mut Screen, daemon: &Daemon) -> Exit {
    let status = daemon.get("status").await.ok();
    let versions = versions(status.as_ref());
    if screen.json {
        screen.value(&versions, true);
    } else {
        for (name, version) in &versions {
            screen.field(name, version.as_str().unwrap_or("?"));
        }
        if status.is_none() {
            screen.field("residentd", "not running, or not to be asked");
        }
    }
    Exit::Done
}
