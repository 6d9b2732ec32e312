//! Which loops of the daemon make progress. A loop that is supervised has a [`Beat`]; [`watch`] asks each of them a few
//! times in systemd's patience, and pings only when all have answered. A loop that waits for ever inside one of its
//! steps does not come to answer: then no ping goes out, and systemd starts the daemon anew.
//!
//! The list is one a process, like the watchdog it is for. Without a watchdog nobody asks, and nothing wakes up.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{MissedTickBehavior, interval};

static LOOPS: Loops = Loops(Mutex::new(Vec::new()));

struct Loops(Mutex<Vec<Weak<Shared>>>);

struct Shared {
    name: String,
    question: Notify,
    /// Asked and not answered yet.
    open: AtomicBool,
}

/// Held by a supervised loop as long as it runs.
pub struct Beat {
    shared: Arc<Shared>,
}

/// From now on the loop that holds the result must answer.
pub fn supervise(name: &str) -> Beat {
    LOOPS.supervise(name)
}

impl Beat {
    /// To be awaited beside everything else the loop waits for: comes back when somebody asks, and that is the answer.
    /// Nothing is lost when it is dropped before.
    pub async fn asked(&self) {
        self.shared.question.notified().await;
        self.shared.open.store(false, Ordering::Relaxed);
    }
}

impl Loops {
    fn supervise(&self, name: &str) -> Beat {
        let shared = Arc::new(Shared { name: name.to_owned(), question: Notify::new(), open: AtomicBool::new(false) });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&shared));
        Beat { shared }
    }

    /// Who has not answered the last question; asks everybody the next one. A loop that ended is not asked any more.
    fn ask(&self) -> Vec<String> {
        let mut silent = Vec::new();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|shared| {
            let Some(shared) = shared.upgrade() else { return false };
            if shared.open.swap(true, Ordering::Relaxed) {
                silent.push(shared.name.clone());
            }
            shared.question.notify_one();
            true
        });
        silent
    }

    /// See [`watch`].
    async fn watch(&self, patience: Duration, mut ping: impl FnMut(), mut silent: impl FnMut(&[String])) {
        let mut asking = interval(patience / 3);
        // After a standstill of the whole machine the loops get a full turn to answer, not what is left of one.
        asking.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut known = Vec::new();
        loop {
            asking.tick().await;
            let now = self.ask();
            if now.is_empty() {
                ping();
            }
            if now != known {
                silent(&now);
                known = now;
            }
        }
    }
}

/// Asks every third of systemd's `patience`; pings when everybody answered, and tells `silent` who has not whenever that
/// changes. Never ends.
pub async fn watch(patience: Duration, ping: impl FnMut(), silent: impl FnMut(&[String])) {
    LOOPS.watch(patience, ping, silent).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::oneshot;
    use tokio::time::{Instant, sleep};

    const PATIENCE: Duration = Duration::from_secs(30);

    struct Watched {
        loops: &'static Loops,
        pings: Arc<AtomicUsize>,
        told: Arc<Mutex<Vec<Vec<String>>>>,
    }

    fn watched() -> Watched {
        let loops: &'static Loops = Box::leak(Box::new(Loops(Mutex::new(Vec::new()))));
        let (pings, told) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        let (count, list) = (pings.clone(), told.clone());
        tokio::spawn(loops.watch(
            PATIENCE,
            move || {
                count.fetch_add(1, Ordering::Relaxed);
            },
            move |who| list.lock().unwrap().push(who.to_vec()),
        ));
        Watched { loops, pings, told }
    }

    impl Watched {
        /// Pings in the next `time`.
        async fn pings(&self, time: Duration) -> usize {
            let before = self.pings.load(Ordering::Relaxed);
            sleep(time).await;
            self.pings.load(Ordering::Relaxed) - before
        }
    }

    fn healthy(beat: Beat) -> tokio::task::JoinHandle<()> {
        tokio::spawn(async move {
            loop {
                beat.asked().await;
            }
        })
    }

    #[tokio::test(start_paused = true)]
    async fn while_every_loop_goes_round_systemd_hears_from_us_well_within_its_patience() {
        let watched = watched();
        healthy(watched.loops.supervise("one"));
        healthy(watched.loops.supervise("two"));
        for _ in 0..100 {
            assert!(watched.pings(PATIENCE / 2).await >= 1);
        }
        assert_eq!(*watched.told.lock().unwrap(), Vec::<Vec<String>>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn one_loop_that_is_stuck_silences_the_ping_and_is_named_and_one_that_goes_on_brings_it_back() {
        let watched = watched();
        healthy(watched.loops.supervise("one"));
        let beat = watched.loops.supervise("two");
        let (free, freed) = oneshot::channel::<()>();
        tokio::spawn(async move {
            beat.asked().await;
            // A step that waits for something that does not come.
            let _ = freed.await;
            loop {
                beat.asked().await;
            }
        });
        sleep(PATIENCE).await;
        let stuck = Instant::now();
        assert_eq!(watched.pings(PATIENCE * 2).await, 0, "pinged for a loop that is stuck since {stuck:?}");
        assert_eq!(*watched.told.lock().unwrap(), [["two".to_owned()]]);
        free.send(()).unwrap();
        assert!(watched.pings(PATIENCE).await >= 2);
        assert_eq!(watched.told.lock().unwrap().last(), Some(&Vec::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_that_ended_is_not_waited_for() {
        let watched = watched();
        healthy(watched.loops.supervise("one"));
        drop(watched.loops.supervise("two"));
        sleep(PATIENCE).await;
        assert!(watched.pings(PATIENCE).await >= 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_question_is_not_lost_when_the_loop_is_busy_with_something_else_just_then() {
        let watched = watched();
        let beat = watched.loops.supervise("one");
        tokio::spawn(async move {
            loop {
                // The other branch always wins; the question is answered in the next round.
                tokio::select! {
                    biased;
                    () = sleep(Duration::from_secs(1)) => {}
                    () = beat.asked() => {}
                }
            }
        });
        sleep(PATIENCE).await;
        assert!(watched.pings(PATIENCE * 10).await >= 29);
    }
}
