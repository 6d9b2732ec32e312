//! A TCP proxy that can become a black hole (connections stay open and nothing comes through, as when a router forgets
//! them), or be pulled out like a cable.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Proxy {
    pub port: u16,
    swallow: Arc<AtomicBool>,
    cut: watch::Sender<bool>,
    pub connections: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Proxy {
    pub async fn start(to: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (swallow, connections) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (global, count) = (swallow.clone(), connections.clone());
        let (cut, seen) = watch::channel(false);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                if *seen.borrow() {
                    continue;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let Ok(far) = TcpStream::connect(("127.0.0.1", to)).await else { continue };
                // A connection once swallowed stays so; new ones are born healthy when the fault is over.
                let dead = Arc::new(AtomicBool::new(false));
                let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
                let out = carry(near_read, far_write, global.clone(), dead.clone());
                let back = carry(far_read, near_write, global.clone(), dead);
                let mut seen = seen.clone();
                tokio::spawn(async move {
                    tokio::select! {
                        _ = async { tokio::join!(out, back) } => {}
                        _ = seen.wait_for(|cut| *cut) => {}
                    }
                });
            }
        });
        Self { port, swallow, cut, connections, task }
    }

    /// From the next byte on, nothing of the connections there are comes through.
    pub fn swallow(&self, on: bool) {
        self.swallow.store(on, Ordering::SeqCst);
    }

    /// Ends the connections there are and takes no new ones.
    pub fn cut(&self, on: bool) {
        self.cut.send_replace(on);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn carry(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    global: Arc<AtomicBool>,
    dead: Arc<AtomicBool>,
) {
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if global.load(Ordering::SeqCst) {
            dead.store(true, Ordering::SeqCst);
        }
        if !dead.load(Ordering::SeqCst) && to.write_all(&buffer[..length]).await.is_err() {
            return;
        }
    }
    // A swallowed connection's end is not carried either.
    if dead.load(Ordering::SeqCst) {
        std::future::pending::<()>().await;
    }
}
