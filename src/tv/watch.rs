//! Devices that come and go: what happens in directories of `/dev`, by inotify. Nothing is polled.

use rustix::fs::inotify::{self, CreateFlags, WatchFlags};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Some directories. One that is not there yet is watched as soon as it is, if its parent is among them.
pub struct Watch {
    fd: AsyncFd<OwnedFd>,
    directories: Vec<PathBuf>,
}

impl Watch {
    /// Watches from now on. Call it inside a tokio runtime, and before looking what is there.
    ///
    /// # Errors
    /// The system has no inotify left.
    pub fn new(directories: &[&Path]) -> io::Result<Watch> {
        let fd = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
        let directories = directories.iter().map(|d| d.to_path_buf()).collect();
        #[allow(deprecated)] // its successor is unsafe for types that close their descriptor early; an OwnedFd does not
        let fd = AsyncFd::with_interest(fd, Interest::READABLE)?;
        let watch = Watch { fd, directories };
        watch.add();
        Ok(watch)
    }

    fn add(&self) {
        // A node appears first and is given to its group after that.
        let what = WatchFlags::CREATE | WatchFlags::DELETE | WatchFlags::ATTRIB | WatchFlags::MOVED_TO | WatchFlags::MOVED_FROM;
        for directory in &self.directories {
            let _ = inotify::add_watch(self.fd.get_ref(), directory, what);
        }
    }

    /// Something has come, gone or changed hands.
    pub async fn changed(&mut self) {
        loop {
            let Ok(mut ready) = self.fd.readable().await else { return std::future::pending().await };
            let read = ready.try_io(|fd| {
                let mut buffer = [MaybeUninit::<u8>::uninit(); 4096];
                let (filled, _) = rustix::io::read(fd.get_ref(), &mut buffer)?;
                Ok(!filled.is_empty())
            });
            if matches!(read, Ok(Ok(true))) {
                self.add();
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use tokio::time::timeout;

    #[tokio::test]
    async fn what_comes_and_goes_is_seen_also_in_a_directory_that_came_later() {
        let dir = tempfile::tempdir().unwrap();
        let below = dir.path().join("input");
        let mut watch = Watch::new(&[dir.path(), &below]).unwrap();
        let patience = Duration::from_secs(30);
        std::fs::create_dir(&below).unwrap();
        timeout(patience, watch.changed()).await.expect("a directory came");
        std::fs::write(below.join("event0"), "").unwrap();
        timeout(patience, watch.changed()).await.expect("a file came in it");
        std::fs::remove_file(below.join("event0")).unwrap();
        timeout(patience, watch.changed()).await.expect("it went");
    }
}
