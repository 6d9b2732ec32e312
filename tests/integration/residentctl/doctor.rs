//! `doctor`: what is well and what is broken, each part broken by itself.

use super::{PATIENCE, command, json, platform, text};
use crate::support::coturn;
use serde_json::Value;
use std::path::Path;
use std::process::Output;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// Findings of `doctor` by name. Of the devices none: those of the machine that tests run on are nobody's business.
async fn doctor(settings: &[String], only: &[&str]) -> (Value, Output) {
    let mut arguments = vec!["doctor".to_owned(), "--json".to_owned()];
    arguments.extend(only.iter().flat_map(|name| ["--only".to_owned(), (*name).to_owned()]));
    arguments.extend(settings.iter().flat_map(|s| ["--set".to_owned(), s.clone()]));
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let socket = Path::new("/nonexistent/residentd.sock");
    let output = tokio::time::timeout(2 * PATIENCE, command(socket, &arguments).output()).await.expect("doctor does not end").unwrap();
    (json(&output), output)
}

fn finding<'a>(report: &'a Value, name: &str) -> &'a Value {
    let found = report["findings"].as_array().unwrap().iter().find(|f| f["check"] == name);
    found.unwrap_or_else(|| panic!("nothing about {name}: {report}"))
}

fn verdicts<'a>(report: &'a Value, names: &[&str]) -> Vec<&'a str> {
    names.iter().map(|name| finding(report, name)["verdict"].as_str().unwrap()).collect()
}

const NETWORK: [&str; 3] = ["rest", "pusher", "rooms"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_a_healthy_platform_and_relay_healthy() {
    let coturn = tokio::task::spawn_blocking(|| coturn::Coturn::start("localhost")).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let urls = [
        format!("stun:127.0.0.1:{}", coturn.port),
        format!("turn:127.0.0.1:{}?transport=udp", coturn.port),
        format!("turn:127.0.0.1:{}?transport=tcp", coturn.port),
        format!("turns:localhost:{}?transport=tcp", coturn.tls_port),
    ];
    let ice = serde_json::json!([{"urls": urls, "username": coturn::USER, "credential": coturn::PASSWORD}]);
    let (_lab, mut settings) = platform(ice, "password", &dir).await;
    settings.push(format!("network.authority={}", coturn.authority.display()));
    let relay = ["stun", "turn-udp", "turn-tcp", "turn-tls", "bandwidth"];
    let all: Vec<&str> = NETWORK.into_iter().chain(relay).chain(["configuration", "disk"]).collect();
    let (report, output) = doctor(&settings, &all).await;
    // How much goes through on a loaded machine is not for a test to say; that something does is.
    let well: Vec<&str> = all.iter().copied().filter(|name| *name != "bandwidth").collect();
    assert!(verdicts(&report, &well).iter().all(|v| *v == "ok"), "{report:#}");
    assert!(finding(&report, "bandwidth")["figures"]["bitrate"].as_u64().unwrap() > 0, "{report:#}");
    assert!(!text(&output).contains("\"password\"") && !text(&output).contains(coturn::PASSWORD), "a secret was printed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_says_which_part_of_the_relay_is_broken_and_the_others_are_seen_all_the_same() {
    let coturn = tokio::task::spawn_blocking(|| coturn::Coturn::start("localhost")).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let with = |url: String, credential: &str| serde_json::json!({"urls": [url], "username": coturn::USER, "credential": credential});
    let ice = serde_json::json!([
        {"urls": [format!("stun:127.0.0.1:{nobody}")]},
        with(format!("turn:127.0.0.1:{}?transport=udp", coturn.port), "wrong"),
        with(format!("turn:127.0.0.1:{nobody}?transport=tcp"), coturn::PASSWORD),
        with(format!("turns:localhost:{}?transport=tcp", coturn.tls_port), coturn::PASSWORD),
    ]);
    // Without the authority the certificate of the relay is a stranger's.
    let (_lab, settings) = platform(ice, "password", &dir).await;
    let all = ["rooms", "stun", "turn-udp", "turn-tcp", "turn-tls", "bandwidth"];
    let (report, output) = doctor(&settings, &all).await;
    assert_eq!(verdicts(&report, &all), ["ok", "failure", "failure", "failure", "failure", "failure"], "{report:#}");
    let says = |name: &str| finding(&report, name)["says"].as_str().unwrap().to_owned();
    assert!(says("turn-udp").contains("user name or password"), "{}", says("turn-udp"));
    assert!(says("turn-tcp").contains("no connection"), "{}", says("turn-tcp"));
    assert!(says("turn-tls").contains("certificate"), "{}", says("turn-tls"));
    assert!(finding(&report, "bandwidth")["next"].as_str().unwrap().contains("no relay works"), "{report:#}");
    assert_eq!(output.status.code(), Some(1));
    assert!(!text(&output).contains(coturn::PASSWORD));
}

/// What it says of the bandwidth to a relay through which so many bytes a second go.
async fn through_a_thin_relay(bytes: u32, transport: &str) -> Value {
    let coturn = tokio::task::spawn_blocking(move || coturn::Coturn::thin(bytes)).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let url = format!("turn:127.0.0.1:{}?transport={transport}", coturn.port);
    let ice = serde_json::json!([{"urls": [url], "username": coturn::USER, "credential": coturn::PASSWORD}]);
    let (_lab, settings) = platform(ice, "password", &dir).await;
    let way = format!("turn-{transport}");
    let (report, _) = doctor(&settings, &[&way, "bandwidth"]).await;
    // It gives an address all the same: only what goes through it is little.
    assert_eq!(verdicts(&report, &[&way]), ["ok"], "{report:#}");
    finding(&report, "bandwidth").clone()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_measures_a_thin_relay_and_says_what_to_do() {
    for (bytes, transport, verdict, next) in [
        (80_000, "udp", "warning", "lower media.bitrate"),
        (10_000, "udp", "failure", "a better line"),
        (10_000, "tcp", "failure", "a better line"),
    ] {
        let found = through_a_thin_relay(bytes, transport).await;
        println!("{bytes} bytes a second over {transport}: {found}");
        assert!(found["verdict"] == verdict && found["next"].as_str().unwrap().contains(next), "{bytes} {transport}: {found:#}");
        let bitrate = found["figures"]["bitrate"].as_u64().unwrap();
        assert!(bitrate > 0 && bitrate < u64::from(bytes) * 8 * 2, "{bytes} {transport}: {found:#}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_tells_a_wrong_password_a_refused_channel_and_a_service_that_is_down_apart() {
    use residentd_lab::{At, Fault};
    let dir = tempfile::tempdir().unwrap();
    let (_lab, settings) = platform(serde_json::json!([]), "not the password", &dir).await;
    let (report, _) = doctor(&settings, &NETWORK).await;
    assert_eq!(verdicts(&report, &NETWORK), ["failure", "warning", "warning"], "{report:#}");
    assert!(finding(&report, "rest")["says"].as_str().unwrap().contains("user name or password"), "{report:#}");
    assert!(finding(&report, "rest")["next"].as_str().unwrap().contains("provision"), "{report:#}");

    let (lab, settings) = platform(serde_json::json!([]), "password", &dir).await;
    lab.fault(&Fault::RefuseAuth { status: 403, times: None });
    let (report, _) = doctor(&settings, &NETWORK).await;
    // No relay is named by this platform, and that is worth a warning.
    assert_eq!(verdicts(&report, &NETWORK), ["ok", "failure", "warning"], "{report:#}");
    lab.fault(&Fault::Reset);

    lab.fault(&Fault::RefuseConnections { at: At::Rooms, on: true });
    lab.fault(&Fault::RefuseConnections { at: At::Pusher, on: true });
    let (report, _) = doctor(&settings, &NETWORK).await;
    assert_eq!(verdicts(&report, &NETWORK), ["ok", "failure", "failure"], "{report:#}");
    lab.fault(&Fault::Reset);

    let other: Vec<String> =
        settings.iter().map(|s| if s.contains(".key=") { "line.chatta.key=other".into() } else { s.clone() }).collect();
    let (report, _) = doctor(&other, &NETWORK).await;
    assert_eq!(verdicts(&report, &["rest", "pusher"]), ["ok", "failure"], "{report:#}");

    let nowhere = vec!["line.chatta.api=https://api.residentd.invalid".to_owned()];
    let settings: Vec<String> = settings.into_iter().filter(|s| !s.contains(".api=")).chain(nowhere).collect();
    let (report, _) = doctor(&settings, &["dns", "rest", "pusher", "rooms"]).await;
    assert_eq!(verdicts(&report, &["dns", "rest", "pusher"]), ["failure", "failure", "warning"], "{report:#}");
    assert!(finding(&report, "dns")["says"].as_str().unwrap().contains("api.residentd.invalid"), "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_sees_a_broken_box_as_well() {
    let dir = tempfile::tempdir().unwrap();
    let (_lab, mut settings) = platform(serde_json::json!([]), "password", &dir).await;
    let file = dir.path().join("not-a-directory");
    std::fs::write(&file, "x").unwrap();
    settings.push(format!("state.directory={}", file.display()));
    std::fs::set_permissions(dir.path().join("password"), std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    let (report, output) = doctor(&settings, &["configuration", "daemon", "disk"]).await;
    assert_eq!(verdicts(&report, &["configuration", "daemon", "disk"]), ["warning", "failure", "failure"], "{report:#}");
    assert!(finding(&report, "configuration")["next"].as_str().unwrap().contains("chmod 600"), "{report:#}");
    assert_eq!(output.status.code(), Some(1));
    let (report, _) = doctor(&["call.ring=1".to_owned()], &["configuration", "rest", "camera", "memory"]).await;
    assert_eq!(verdicts(&report, &["configuration", "rest", "camera"]), ["failure", "skipped", "skipped"], "{report:#}");
    assert_ne!(finding(&report, "memory")["verdict"], "skipped", "{report:#}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn doctor_finds_missing_plugins_and_a_daemon_of_another_version() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s.sock");
    let older = tokio::net::UnixListener::bind(&socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut asked, _)) = older.accept().await {
            let body = r#"{"version": "0.0.1", "phase": "idle", "lines": {"chatta": {"state": "online"}}}"#;
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            let _ = asked.read(&mut [0; 4096]).await;
            let _ = asked.write_all((head + body).as_bytes()).await;
        }
    });
    let mut command = command(&socket, &["doctor", "--json", "--only", "versions", "--only", "gstreamer"]);
    // A box whose firmware has GStreamer's library and none of its plugins.
    let plugins = dir.path().join("plugins");
    std::fs::create_dir(&plugins).unwrap();
    command.env("GST_PLUGIN_SYSTEM_PATH_1_0", &plugins).env("GST_REGISTRY", dir.path().join("registry.bin"));
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("doctor does not end").unwrap();
    let report = json(&output);
    assert_eq!(verdicts(&report, &["versions", "gstreamer"]), ["warning", "failure"], "{report:#}");
    assert!(finding(&report, "versions")["says"].as_str().unwrap().contains("0.0.1"), "{report:#}");
    let missing = finding(&report, "gstreamer");
    assert!(missing["says"].as_str().unwrap().contains("opusenc") && missing["next"].as_str().unwrap().contains("plugins"), "{report:#}");
}
