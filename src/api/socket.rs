//! The socket: its file, and who is at the other end.

use super::{Api, router};
use axum::extract::{ConnectInfo, Request, connect_info::Connected};
use axum::http::{Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::serve::IncomingStream;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use tokio::net::{UnixListener, UnixStream};

/// User id of the process at the other end, as the kernel says.
#[derive(Debug, Clone, Copy)]
pub struct Peer(Option<u32>);

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Peer(stream.io().peer_cred().ok().map(|c| c.uid()))
    }
}

/// Reading is for whoever can open the socket; changing something for root and the daemon's own user.
pub(super) async fn only_the_owner_changes(request: Request, next: Next) -> Response {
    let may = match request.extensions().get::<ConnectInfo<Peer>>() {
        Some(ConnectInfo(Peer(Some(uid)))) => *uid == 0 || own_uid().is_ok_and(|own| own == *uid),
        _ => false,
    };
    if request.method() == Method::GET || may {
        next.run(request).await
    } else {
        (StatusCode::FORBIDDEN, "only root and the daemon's own user may change something; use sudo\n").into_response()
    }
}

fn own_uid() -> io::Result<u32> {
    Ok(std::fs::metadata("/proc/self")?.uid())
}

/// A bound socket; its file goes when it is dropped.
#[derive(Debug)]
pub struct Bound {
    listener: Option<UnixListener>,
    path: PathBuf,
}

/// Binds the socket, mode 0660. A file left by an earlier run is replaced; one that somebody listens on is not.
///
/// # Errors
/// When another daemon is listening there or the folder cannot be written.
pub async fn bind(path: &Path) -> io::Result<Bound> {
    if UnixStream::connect(path).await.is_ok() {
        let what = format!("{} is in use: another residentd is running; stop it first", path.display());
        return Err(io::Error::new(io::ErrorKind::AddrInUse, what));
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    Ok(Bound { listener: Some(listener), path: path.into() })
}

impl Bound {
    /// Serves until dropped or aborted.
    ///
    /// # Errors
    /// When the listener fails.
    pub async fn serve(mut self, api: Api) -> io::Result<()> {
        let listener = self.listener.take().expect("taken only here, by value");
        axum::serve(listener, router(api).into_make_service_with_connect_info::<Peer>()).await
    }
}

impl Drop for Bound {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
