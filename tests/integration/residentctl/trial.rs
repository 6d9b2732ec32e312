//! `test`: one part at a time, and a call of the box with itself.

use super::{PATIENCE, command, json, platform, text};
use crate::support::coturn;
use serde_json::Value;
use std::path::Path;
use std::process::Output;

async fn test(settings: &[impl AsRef<str>], arguments: &[&str]) -> Output {
    let sets = settings.iter().flat_map(|setting| ["--set", setting.as_ref()]);
    let arguments: Vec<&str> = ["test"].into_iter().chain(arguments.iter().copied()).chain(sets).collect();
    let run = command(Path::new("/nonexistent/residentd.sock"), &arguments).output();
    tokio::time::timeout(3 * PATIENCE, run).await.expect("the test does not end").unwrap()
}

/// A call of two seconds with this platform, and its report.
async fn call(mut settings: Vec<String>, more: &[&str]) -> Value {
    settings.extend(["media.size=640x360", "media.rate=15", "network.bind=[\"127.0.0.1\"]", "media.codec=vp8"].map(str::to_owned));
    let output = test(&settings, &[&["call", "--json", "--seconds", "2"], more].concat()).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output));
    json(&output)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_box_calls_itself_in_a_room_of_the_platform_and_reports_how_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let (_lab, settings) = platform(serde_json::json!([]), "password", &dir).await;
    let password = dir.path().join("callers-password");
    std::fs::write(&password, "password").unwrap();
    let told = call(settings, &["--caller", "roger_chatta_admin", "--caller-password-file", password.to_str().unwrap()]).await;
    let report = &told["report"];
    assert!(told["way"].as_str().unwrap().contains("room"), "{told}");
    assert!(report["picture_ms"].as_u64().is_some() && report["rate"].as_f64().unwrap() > 0.0, "{told}");
    assert!(report["path"].as_str().is_some() && report["loss"].as_f64().unwrap() <= 1.0, "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_box_calls_itself_through_the_relay() {
    let coturn = tokio::task::spawn_blocking(|| coturn::Coturn::start("localhost")).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let url = format!("turn:127.0.0.1:{}?transport=tcp", coturn.port);
    let ice = serde_json::json!([{"urls": [url], "username": coturn::USER, "credential": coturn::PASSWORD}]);
    let (_lab, settings) = platform(ice, "password", &dir).await;
    let told = call(settings, &[]).await;
    assert_eq!((&told["report"]["path"], &told["report"]["relay"]), (&"relay".into(), &"tcp".into()), "{told}");
}

/// What it says of this check in JSON.
async fn verdict(settings: &[&str], part: &str, check: &str) -> (String, String, Option<i32>) {
    let output = test(settings, &[part, "--json"]).await;
    let told = json(&output);
    let findings = told["findings"].as_array().unwrap_or_else(|| panic!("{told}"));
    let finding = findings.iter().find(|f| f["check"] == check).unwrap_or_else(|| panic!("nothing about {check}: {told}"));
    let word = |name: &str| finding[name].as_str().unwrap_or_default().to_owned();
    (word("verdict"), word("says"), output.status.code())
}

#[tokio::test]
async fn the_camera_is_opened_and_what_it_gives_is_told() {
    let small = ["media.camera=test", "media.size=640x360", "media.rate=15"];
    let (verdict_, says, exit) = verdict(&small, "camera", "camera").await;
    assert_eq!((verdict_.as_str(), exit), ("warning", Some(0)), "{says}");
    assert!(says.contains("test picture") && says.contains("640x360"), "{says}");
    let (verdict_, says, exit) = verdict(&["media.camera=/dev/video-nobody"], "camera", "camera").await;
    assert_eq!((verdict_.as_str(), exit), ("failure", Some(1)), "{says}");
    assert!(says.contains("/dev/video-nobody is not there"), "{says}");
}

#[tokio::test]
async fn a_microphone_that_is_not_there_and_a_speaker_that_is_not_wanted_are_named() {
    for (part, setting, named) in [
        ("microphone", "media.microphone=hw:nobody", "hw:nobody"),
        ("microphone", "media.microphone=none", "media.microphone is \"none\""),
        ("speaker", "media.speaker=none", "media.speaker is \"none\""),
    ] {
        let (verdict_, says, exit) = verdict(&[setting], part, part).await;
        assert_eq!((verdict_.as_str(), exit), ("failure", Some(1)), "{part}: {says}");
        assert!(says.contains(named), "{part}: {says}");
    }
    let (verdict_, says, exit) = verdict(&["media.microphone=test"], "microphone", "microphone").await;
    assert_eq!((verdict_.as_str(), exit), ("warning", Some(0)), "{says}");
}

#[tokio::test]
async fn nothing_is_tested_with_a_configuration_that_has_mistakes() {
    let output = test(&["media.size=1x1"], &["camera"]).await;
    assert_eq!(output.status.code(), Some(78), "{}", text(&output));
    assert!(text(&output).contains("media.size"), "{}", text(&output));
}

#[tokio::test]
async fn without_a_screen_it_says_what_is_known_of_the_television() {
    let output = test(&["tv.sink=none", "tv.driver=none"], &["screen", "--json"]).await;
    let told = json(&output);
    let names: Vec<_> = told["findings"].as_array().unwrap().iter().map(|f| f["check"].as_str().unwrap()).collect();
    assert_eq!(names, ["display", "cec"], "{told}");
}

#[tokio::test]
async fn every_screen_is_written_as_a_picture_in_the_residents_language() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("pictures");
    let run = async |locale: &str| {
        let output = test(&[locale, "resident.time_zone=UTC"], &["screen", "--json", "--picture", folder.to_str().unwrap()]).await;
        assert_eq!(output.status.code(), Some(0), "{}", text(&output));
        json(&output)["written"].as_array().unwrap().iter().map(|path| path.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let written = run("resident.locale=en").await;
    assert_eq!(written.len(), residentd::tv::screen::gallery::SCREENS.len());
    let english: Vec<_> = written.iter().map(|path| std::fs::read(path).unwrap()).collect();
    for (path, picture) in written.iter().zip(&english) {
        assert!(path.ends_with(".png") && picture.starts_with(b"\x89PNG"), "{path}");
    }
    assert_eq!(run("resident.locale=de").await, written);
    assert!(written.iter().zip(&english).all(|(path, picture)| std::fs::read(path).unwrap() != *picture), "a screen in the wrong language");
    let refused = test(&[""; 0], &["screen", "--picture", "/proc/nowhere"]).await;
    assert_eq!(refused.status.code(), Some(1), "{}", text(&refused));
    assert!(text(&refused).contains("/proc/nowhere cannot be written"), "{}", text(&refused));
}
