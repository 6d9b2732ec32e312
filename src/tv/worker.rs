//! A thread for calls into drivers that may never return. Who waits for one waits for a limited time, and the process can
//! end without it: it belongs to no runtime.

use std::io;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;

type Job = Box<dyn FnOnce() + Send>;

/// The thread; it ends with this, once its call returns.
pub struct Worker {
    // Unbounded, but who uses it waits for each job, and gives it up when one is stuck.
    jobs: mpsc::Sender<Job>,
}

/// A call that has not returned in time. Waiting for it again is possible.
#[derive(Debug)]
pub struct Stuck(oneshot::Receiver<()>);

impl Stuck {
    /// Until it returns after all.
    pub async fn returned(self) {
        let _ = self.0.await;
    }
}

impl Worker {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(name: &str) -> io::Result<Worker> {
        let (jobs, inbox) = mpsc::channel::<Job>();
        thread::Builder::new().name(name.into()).spawn(move || {
            while let Ok(job) = inbox.recv() {
                job();
            }
        })?;
        Ok(Worker { jobs })
    }

    /// Makes a call on the thread.
    ///
    /// # Errors
    /// It has not returned within `patience`.
    pub async fn run<T: Send + 'static>(&self, patience: Duration, call: impl FnOnce() -> T + Send + 'static) -> Result<T, Stuck> {
        let (answer, waits) = oneshot::channel();
        let (over, ends) = oneshot::channel();
        let job = Box::new(move || {
            let _ = answer.send(call());
            drop(over);
        });
        // Only a thread whose call panicked is gone; then nothing answers, and that is the same as stuck for good.
        let _ = self.jobs.send(job);
        match timeout(patience, waits).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) | Err(_) => Err(Stuck(ends)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_call_that_hangs_holds_nobody_up_and_is_noticed_when_it_returns() {
        let worker = Worker::start("test").unwrap();
        assert!(worker.run(Duration::from_secs(30), || 7).await.is_ok_and(|n| n == 7));
        let (let_go, hangs) = mpsc::channel::<()>();
        let stuck = worker.run(Duration::from_millis(10), move || hangs.recv()).await.expect_err("it is stuck");
        let_go.send(()).unwrap();
        timeout(Duration::from_secs(30), stuck.returned()).await.expect("it returned");
    }
}
