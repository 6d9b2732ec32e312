//! Relay-only calls through a real TURN server over UDP, TCP and TLS, and what is said when the relay cannot be used.

use crate::support::coturn::{Coturn, PASSWORD, USER};
use crate::support::peers::{self, Side, call, config, connect, flowing, server};
use residentd::media::Codec;
use residentd::media::peer::{PeerConfig, PeerEvent};
use residentd::net::tls;
use std::time::{Duration, Instant};

fn relayed(coturn: &Coturn, urls: &[String], password: &str) -> PeerConfig {
    let mut config = config(&[Codec::Vp8]);
    config.relay_only = true;
    config.tls = tls::client(Some(&coturn.authority)).unwrap();
    config.ice_servers = urls.iter().map(|url| server(url.clone(), USER, password)).collect();
    config
}

async fn side(name: &str, config: PeerConfig) -> Side {
    Side::new(name, config, 500_000, true).await
}

/// Offers and waits for the line that says why it failed.
async fn failure(config: PeerConfig) -> String {
    let mut alone = side("alone", config).await;
    alone.peer.offer(false).await.unwrap();
    let event = alone.event(|event| matches!(event, PeerEvent::Failed(_))).await;
    alone.peer.close().await;
    let PeerEvent::Failed(reason) = event else { unreachable!() };
    reason
}

#[tokio::test(flavor = "multi_thread")]
async fn relayed_calls_work_over_udp_tcp_and_tls() {
    let coturn = Coturn::start("localhost");
    for (url, protocol) in [
        (format!("turn:127.0.0.1:{}?transport=udp", coturn.port), "udp"),
        (format!("turn:127.0.0.1:{}?transport=tcp", coturn.port), "tcp"),
        (format!("turns:localhost:{}?transport=tcp", coturn.tls_port), "tls"),
    ] {
        let mut a = side("a", relayed(&coturn, std::slice::from_ref(&url), PASSWORD)).await;
        let mut b = side("b", relayed(&coturn, std::slice::from_ref(&url), PASSWORD)).await;
        let start = Instant::now();
        connect(&mut a, &mut b, false).await;
        println!("relayed over {protocol}: connected after {} ms", start.elapsed().as_millis());
        flowing(&a, &b).await;
        for side in [&a, &b] {
            let statistics = side.peer.statistics().await;
            assert_eq!(statistics.local_candidate.as_deref(), Some("relay"), "{statistics:?}");
            assert_eq!(statistics.relay_protocol.as_deref(), Some(protocol));
        }
        a.peer.close().await;
        b.peer.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn blocked_udp_does_not_keep_a_call_waiting() {
    let coturn = Coturn::start("localhost");
    // Takes everything and never answers, as a firewall does.
    let hole = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let urls = [
        format!("turn:127.0.0.1:{}?transport=udp", hole.local_addr().unwrap().port()),
        format!("turns:localhost:{}?transport=tcp", coturn.tls_port),
    ];
    let mut a = side("a", relayed(&coturn, &urls, PASSWORD)).await;
    let mut b = side("b", relayed(&coturn, &urls, PASSWORD)).await;
    let start = Instant::now();
    // Candidates are told as they come; waiting for all of them would wait for the hole.
    peers::negotiate(&mut a, &mut b, false).await;
    let (to_a, to_b) = (a.peer.clone(), b.peer.clone());
    for (one, other) in [(&mut a, to_b), (&mut b, to_a)] {
        let PeerEvent::Candidate(line) = one.event(|event| matches!(event, PeerEvent::Candidate(_))).await else { unreachable!() };
        other.add_candidate(&line, Some("0")).await.unwrap();
    }
    a.connected().await;
    b.connected().await;
    let took = start.elapsed();
    println!("with UDP blocked: connected over TLS after {} ms", took.as_millis());
    assert!(took < Duration::from_secs(8), "{took:?}");
    peers::flowing(&a, &b).await;
    a.peer.close().await;
    b.peer.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_a_foreign_certificate_is_refused() {
    let (coturn, other) = (Coturn::start("localhost"), Coturn::start("localhost"));
    let mut config = relayed(&coturn, &[format!("turns:localhost:{}?transport=tcp", coturn.tls_port)], PASSWORD);
    config.tls = tls::client(Some(&other.authority)).unwrap();
    let reason = failure(config).await;
    assert!(reason.contains("certificate") && reason.contains("localhost"), "{reason}");
    assert!(!reason.contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_a_certificate_for_another_name_is_refused() {
    let coturn = Coturn::start("relay.example");
    let reason = failure(relayed(&coturn, &[format!("turns:localhost:{}?transport=tcp", coturn.tls_port)], PASSWORD)).await;
    assert!(reason.contains("certificate must be for localhost"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_password_is_told_in_words() {
    let coturn = Coturn::start("localhost");
    for url in [
        format!("turn:127.0.0.1:{}?transport=udp", coturn.port),
        format!("turn:127.0.0.1:{}?transport=tcp", coturn.port),
        format!("turns:localhost:{}", coturn.tls_port),
    ] {
        let reason = failure(relayed(&coturn, std::slice::from_ref(&url), "wrong")).await;
        assert!(reason.contains("user name or password"), "{url}: {reason}");
        assert!(!reason.contains("wrong"), "no secret in the log");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_there_is_told_in_words() {
    let coturn = Coturn::start("localhost");
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let reason = failure(relayed(&coturn, &[format!("turn:127.0.0.1:{nobody}?transport=tcp")], PASSWORD)).await;
    assert!(reason.contains("no connection"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ice_restart_allocates_anew_on_new_streams() {
    let coturn = Coturn::start("localhost");
    let url = [format!("turn:127.0.0.1:{}?transport=tcp", coturn.port)];
    let mut a = side("a", relayed(&coturn, &url, PASSWORD)).await;
    let mut b = side("b", relayed(&coturn, &url, PASSWORD)).await;
    call(&mut a, &mut b).await;
    peers::connect(&mut a, &mut b, true).await;
    peers::flowing(&a, &b).await;
    a.peer.close().await;
    b.peer.close().await;
}
