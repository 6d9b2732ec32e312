//! A television, or a monitor, that sleeps while it gets no signal: the box's own display goes dark between calls (DPMS)
//! and is lit for the next one. Somebody else's picture is never switched off.

use super::displays::{self, Wanted};
use super::held::{self, Dark};
use super::power::{Fault, Input, Set};
use super::worker::Worker;
use super::{Power, TvState};
use async_trait::async_trait;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Our own picture's end takes a moment to let go of the display.
const AGAIN: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_millis(2500);
/// Switching takes longer only when the driver hangs.
const SWITCH: Duration = Duration::from_secs(5);

/// The signal on the connector that `wanted` chooses.
pub struct Signal {
    wanted: Wanted,
    /// Held while the hardware is asked: never by who must not wait for it.
    dark: Mutex<Option<Dark>>,
    /// Until somebody asks for it to be on. A picture that lights it first has not found it on.
    asleep: AtomicBool,
}

impl Signal {
    /// As it is: nothing is switched.
    pub fn new(wanted: Wanted) -> Signal {
        Signal { wanted, dark: Mutex::default(), asleep: AtomicBool::new(false) }
    }

    /// On, and free for whoever shows something. Blocks for the hardware.
    pub fn light(&self) {
        *self.dark.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn wake(&self) {
        self.light();
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Off, if nobody shows anything there. Blocks for the hardware.
    ///
    /// # Errors
    /// Another program shows something, or the display cannot be had: who, and what to do.
    pub fn darken(&self) -> Result<(), String> {
        let mut dark = self.dark.lock().unwrap_or_else(PoisonError::into_inner);
        if dark.is_none() {
            let all = displays::list()?;
            let (display, _) = displays::choose(&all, &self.wanted)?;
            *dark = Some(held::darken(display)?);
            self.asleep.store(true, Ordering::SeqCst);
        }
        Ok(())
    }
}

/// Such a television. `shown`: whether something of ours is on the screen; it goes dark once that is over.
pub struct BySignal {
    switch: Arc<Switch>,
}

struct Switch {
    signal: Arc<Signal>,
    shown: watch::Receiver<bool>,
    /// For the hardware, which may never return.
    worker: Worker,
}

impl BySignal {
    /// Dark from now on, until the first call.
    ///
    /// # Errors
    /// The system has no thread left.
    pub fn start(signal: Arc<Signal>, shown: watch::Receiver<bool>) -> std::io::Result<BySignal> {
        let switch = Arc::new(Switch { signal, shown, worker: Worker::start("tv-signal")? });
        let of_task = switch.clone();
        let mut changes = switch.shown.clone();
        tokio::spawn(async move {
            loop {
                // What is shown last may outlive the call: a missed one stays until a key.
                if !*changes.borrow_and_update()
                    && let Err(why) = of_task.off().await
                {
                    log::info!("the display stays lit: {why}");
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        });
        Ok(BySignal { switch })
    }
}

impl Switch {
    /// Dark, unless something of ours is shown (again).
    async fn off(&self) -> Result<(), String> {
        let end = tokio::time::Instant::now() + PATIENCE;
        loop {
            let (signal, shown) = (self.signal.clone(), self.shown.clone());
            // It may be done long after it was asked for. Something may come to be shown meanwhile, and look before it was dark.
            let darken = move || {
                if *shown.borrow() {
                    return Ok(());
                }
                signal.darken()?;
                if *shown.borrow() {
                    signal.light();
                }
                Ok(())
            };
            match self.run(darken).await? {
                Err(_) if tokio::time::Instant::now() < end => tokio::time::sleep(AGAIN).await,
                done => return done,
            }
        }
    }

    async fn run<T: Send + 'static>(&self, call: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        self.worker.run(SWITCH, call).await.map_err(|_| "the display's driver does not return; see journalctl -k".into())
    }
}

#[async_trait]
impl Set for BySignal {
    async fn state(&self) -> Result<TvState, Fault> {
        let power = if self.switch.signal.asleep.load(Ordering::SeqCst) { Power::Standby } else { Power::On };
        Ok(TvState { power, input: None, volume: None })
    }

    async fn power(&self, on: bool) -> Result<(), Fault> {
        if on {
            let signal = self.switch.signal.clone();
            return self.switch.run(move || signal.wake()).await.map_err(Fault);
        }
        self.switch.off().await.map_err(Fault)
    }

    async fn input(&self, _: &Input) -> Result<(), Fault> {
        Ok(())
    }

    async fn volume(&self, _: u8) -> Result<(), Fault> {
        Ok(())
    }

    fn own_input(&self) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test(start_paused = true)]
    async fn a_driver_that_does_not_return_holds_nobody_up() {
        let signal = Arc::new(Signal::new(Wanted::default()));
        let (shown, changes) = watch::channel(true);
        let set = BySignal::start(signal.clone(), changes).unwrap();
        let (let_go, hangs) = mpsc::channel::<()>();
        let (begun, hung) = mpsc::channel();
        // As the screen's thread does, in a call into the driver.
        let thread = std::thread::spawn(move || {
            let _in_the_driver = signal.dark.lock().unwrap();
            begun.send(()).unwrap();
            let _ = hangs.recv();
        });
        hung.recv().unwrap();
        assert_eq!(set.state().await.unwrap().power, Power::On);
        let fault = set.power(true).await.unwrap_err();
        assert!(fault.0.contains("does not return"), "{fault:?}");
        drop(let_go);
        thread.join().unwrap();
        // A clock that stands still would not wait for the thread.
        tokio::time::resume();
        assert!(set.power(true).await.is_ok());
        drop(shown);
    }
}
