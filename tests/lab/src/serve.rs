//! Listeners. Each port speaks TLS and plain HTTP: the first byte of a connection tells which (a TLS client hello
//! starts with 0x16, no HTTP method does).

use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// How long a client may take until its first byte, and for the TLS handshake.
const HANDSHAKE: Duration = Duration::from_secs(15);
/// Connections at a time and port; the bench reconnects a thousand lines at once.
const CONNECTIONS: usize = 4096;

/// Whether a request came through TLS.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OverTls(pub(crate) bool);

/// Serves `router` on `listener` until `stop` says so. Ends with all its connections.
pub(crate) async fn serve(listener: TcpListener, router: Router, tls: TlsAcceptor, mut stop: watch::Receiver<bool>) {
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let plain = router.clone().layer(Extension(OverTls(false)));
    let secure = router.layer(Extension(OverTls(true)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|s| *s) => break,
            accepted = listener.accept() => accepted,
        };
        // Finished connections are reaped here, so that the set does not grow with the lab's age.
        while connections.try_join_next().is_some() {}
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(e) => {
                log::warn!("cannot accept a connection: {e}");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(slot) = slots.clone().try_acquire_owned() else { continue };
        let (plain, secure, tls) = (plain.clone(), secure.clone(), tls.clone());
        connections.spawn(async move {
            let _slot = slot;
            if let Err(e) = connection(stream, plain, secure, tls).await {
                log::debug!("connection ended: {e}");
            }
        });
    }
    connections.shutdown().await;
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

async fn connection(stream: TcpStream, plain: Router, secure: Router, tls: TlsAcceptor) -> Result<(), Failure> {
    // Signalling is many small frames; waiting to fill a segment would be felt in every call setup.
    stream.set_nodelay(true)?;
    let mut first = [0u8; 1];
    tokio::time::timeout(HANDSHAKE, stream.peek(&mut first)).await??;
    let http = Builder::new(TokioExecutor::new()).http1_only();
    if first[0] == 0x16 {
        let stream = tokio::time::timeout(HANDSHAKE, tls.accept(stream)).await??;
        http.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(secure)).await
    } else {
        http.serve_connection_with_upgrades(TokioIo::new(stream), TowerToHyperService::new(plain)).await
    }
}

/// A listener on a port of `ip`; port 0 takes a free one.
pub(crate) async fn bind(ip: std::net::IpAddr, port: u16) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((ip, port)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}
