//! The page's port: configuration, log strip, television link, TLS beside plain, and the binary's ready line.

use crate::support::{Heard, PATIENCE, Socket, http};
use futures_util::{SinkExt, StreamExt};
use residentd_lab::{Lab, Options};
use serde_json::{Value, json};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio_tungstenite::Connector;
use tokio_tungstenite::tungstenite::Message;

/// The link of a box or a viewer, and its first word: the state.
async fn link(lab: &Lab, end: &str) -> (Socket, Value) {
    let mut socket = Socket::open(&lab.tv_url().replace("/tv/box", end)).await;
    let state = socket.json().await;
    assert_eq!(state["type"], "state");
    (socket, state)
}

#[tokio::test]
async fn the_box_and_the_viewer_share_one_television() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let (mut viewer, before) = link(&lab, "/tv/view").await;
    assert_eq!(before, json!({"type": "state", "power": "standby", "input": "tuner", "volume": 30, "box": false}));
    let (mut tv_box, state) = link(&lab, "/tv/box").await;
    assert_eq!(state, json!({"type": "state", "power": "standby", "input": "tuner", "volume": 30, "box": true}));
    tv_box.send(&json!({"type": "power", "to": "on"})).await;
    tv_box.send(&json!({"type": "input", "to": "box"})).await;
    let there = |s: &Value| s["power"] == "on" && s["input"] == "box";
    viewer.until(there).await;
    tv_box.until(there).await;
    viewer.send(&json!({"type": "key", "key": "ok", "pressed": true})).await;
    assert_eq!(tv_box.json().await, json!({"type": "key", "key": "ok", "pressed": true}));
    viewer.send(&json!({"type": "volume", "to": 12})).await;
    tv_box.until(|s| s["volume"] == 12).await;
    // What is not understood changes nothing and ends nothing.
    for odd in [json!({"type": "volume", "to": 1000}), json!({"type": "power", "to": "off"}), json!(3)] {
        viewer.send(&odd).await;
    }
    lab.press("back");
    assert_eq!(tv_box.json().await["key"], "back");
    drop(tv_box);
    viewer.until(|s| s["box"] == false).await;
}

#[tokio::test]
async fn pictures_and_sound_reach_the_viewer_and_are_measured() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let (mut viewer, _) = link(&lab, "/tv/view").await;
    let (mut tv_box, _) = link(&lab, "/tv/box").await;
    viewer.until(|s| s["box"] == true).await;
    let sound: Vec<u8> = std::iter::once(2).chain((0..1920).flat_map(|i| if i % 2 == 0 { 3277i16 } else { -3277 }.to_le_bytes())).collect();
    let picture = vec![1u8, 0xff, 0xd8, 7];
    for frame in [sound.clone(), picture.clone()] {
        tv_box.0.send(Message::Binary(frame.clone().into())).await.unwrap();
        let seen = tokio::time::timeout(PATIENCE, async {
            loop {
                if let Message::Binary(seen) = viewer.0.next().await.unwrap().unwrap() {
                    return seen;
                }
            }
        });
        assert_eq!(seen.await.unwrap(), frame);
    }
    let state = http(&lab.page_url(), "GET", "/lab/state", &[], "").await.json();
    assert_eq!(state["tv"]["sound"]["level_dbfs"], -20.0);
    assert_eq!((state["tv"]["picture"]["count"].clone(), state["tv"]["picture"]["changed"].clone()), (json!(1), json!(1)));
    assert_eq!(lab.tv_picture().unwrap(), picture[1..]);
}

#[tokio::test]
async fn a_viewer_that_does_not_read_holds_nobody_up() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let (_stuck, _) = link(&lab, "/tv/view").await;
    let (mut tv_box, _) = link(&lab, "/tv/box").await;
    // 200 MB: more than all buffers between here and the stuck viewer.
    for number in 0..200u8 {
        let mut frame = vec![number; 1 << 20];
        frame[0] = 1;
        tokio::time::timeout(PATIENCE, tv_box.0.send(Message::Binary(frame.into()))).await.expect("the lab reads on").unwrap();
    }
    tv_box.settled().await;
    assert_eq!(lab.state()["tv"]["picture"]["count"], 200);
}

#[tokio::test]
async fn the_page_learns_where_everything_is_by_the_name_it_was_reached_by() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let ports = lab.ports();
    let config = http(&lab.page_url(), "GET", "/lab/config", &[], "").await.json();
    assert_eq!(config["api"], lab.api_url());
    assert_eq!(config["rooms"], lab.rooms_url());
    assert_eq!(
        config["pusher"],
        json!({"key": lab.pusher().key, "host": "127.0.0.1", "port": ports.pusher, "tls": false, "cluster": "eu"})
    );
    assert_eq!(config["login"]["username"], "roger_chatta_admin");
    let page = http(&lab.page_url(), "GET", "/", &[], "").await;
    assert!(page.status == 200 && page.headers.contains("text/html"));
    for path in ["/../Cargo.toml", "/..%2fCargo.toml", "//etc/passwd", "/nothing", "/npm/other.js"] {
        assert_eq!(http(&lab.page_url(), "GET", path, &[], "").await.status, 404, "{path}");
    }
}

#[tokio::test]
async fn the_log_strip_shows_what_was_and_what_comes_and_no_secrets() {
    let lab = Lab::start(Options::default()).await.unwrap();
    crate::support::login(&lab.api_url(), "chattademo").await;
    let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", lab.ports().page)).await.unwrap();
    stream.write_all(b"GET /lab/log HTTP/1.1\r\nhost: lab\r\n\r\n").await.unwrap();
    let mut seen = String::new();
    let mut buffer = [0; 4096];
    let mut called = false;
    while !(seen.contains("/api-token-auth/") && seen.contains("client-conferencing-call-requested-1124")) {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..read]));
        if seen.contains("/api-token-auth/") && !called {
            called = true;
            lab.caller("second_admin").request(1124, &Default::default());
        }
    }
    assert!(seen.contains("\"part\":\"rest\"") && seen.contains("second_admin-to-chattademo"));
    assert!(!seen.contains("eyJ") && !seen.contains("password"), "no token, no password");
}

#[tokio::test]
async fn one_port_speaks_tls_with_the_labs_own_authority_and_plain() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut roots = rustls::RootCertStore::empty();
    use rustls::pki_types::pem::PemObject;
    roots.add(rustls::pki_types::CertificateDer::from_pem_slice(lab.ca_pem().unwrap().as_bytes()).unwrap()).unwrap();
    let config = rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let config = Arc::new(config);
    // The names of the public services, as an unmodified page asks for them.
    for (name, port, path) in [
        ("ws-eu.pusher.com", lab.ports().pusher, format!("/app/{}?protocol=7", lab.pusher().key)),
        ("global.vss.twilio.com", lab.ports().rooms, "/signaling".to_owned()),
        ("sdkgw.us1.twilio.com", lab.ports().rooms, "/v1/VideoEvents".to_owned()),
    ] {
        let tcp = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let connector = Some(Connector::Rustls(config.clone()));
        let url = format!("wss://{name}{path}");
        tokio_tungstenite::client_async_tls_with_config(url, tcp, None, connector).await.unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    let mut plain = Socket::open(&format!("{}?protocol=7", lab.pusher_url())).await;
    assert_eq!(plain.json().await["event"], "pusher:connection_established");
    drop(lab);
    assert_eq!(plain.next().await, Heard::Closed(1001));
}

#[tokio::test]
async fn the_program_says_when_it_is_ready_and_ends_on_a_signal() {
    for signal in ["-INT", "-TERM"] {
        let mut lab = tokio::process::Command::new(env!("CARGO_BIN_EXE_residentd-lab"))
            .args(["--tv-on", "--tv-volume", "44"])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut out = BufReader::new(lab.stdout.take().unwrap());
        tokio::time::timeout(PATIENCE, out.read_line(&mut line)).await.unwrap().unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["ready"], true);
        let state = http(ready["page_url"].as_str().unwrap(), "GET", "/lab/state", &[], "").await.json();
        assert_eq!((state["tv"]["power"].clone(), state["tv"]["volume"].clone()), (json!("on"), json!(44)));
        let ca = std::path::PathBuf::from(ready["ca"].as_str().unwrap());
        assert!(std::fs::read_to_string(&ca).unwrap().contains("BEGIN CERTIFICATE"));
        // An open connection must not hold the end up.
        let _open = Socket::open(&format!("{}?protocol=7", ready["pusher_url"].as_str().unwrap())).await;
        let pid = lab.id().unwrap().to_string();
        assert!(tokio::process::Command::new("kill").args([signal, &pid]).status().await.unwrap().success());
        let status = tokio::time::timeout(Duration::from_secs(10), lab.wait()).await.expect("it ends").unwrap();
        assert!(status.success(), "{signal}: {status}");
        assert!(!ca.exists(), "{signal}: {} is left", ca.display());
    }
}
