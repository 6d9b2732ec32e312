//! A television, or a monitor, that sleeps while it gets no signal: the box's own display goes dark between calls (DPMS)
//! and is lit for the next one. Somebody else's picture is never switched off.

use super::displays::{self, Dark, Wanted};
use super::power::{Fault, Input, Set};
use super::{Power, TvState};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// Our own picture's end takes a moment to let go of the display.
const AGAIN: Duration = Duration::from_millis(100);
const PATIENCE: Duration = Duration::from_millis(2500);

/// The signal on the connector that `wanted` chooses.
pub struct Signal {
    wanted: Wanted,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    dark: Option<Dark>,
    /// Until somebody asks for it to be on. A picture that lights it first has not found it on.
    asleep: bool,
}

impl Signal {
    /// As it is: nothing is switched.
    pub fn new(wanted: Wanted) -> Signal {
        Signal { wanted, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// On, and free for whoever shows something. Blocks for the hardware.
    pub fn light(&self) {
        self.lock().dark = None;
    }

    fn wake(&self) {
        *self.lock() = State::default();
    }

    /// Off, if nobody shows anything there. Blocks for the hardware.
    ///
    /// # Errors
    /// Another program shows something, or the display cannot be had: who, and what to do.
    pub fn darken(&self) -> Result<(), String> {
        let mut state = self.lock();
        if state.dark.is_none() {
            let all = displays::list()?;
            let (display, _) = displays::choose(&all, &self.wanted)?;
            *state = State { dark: Some(displays::darken(display)?), asleep: true };
        }
        Ok(())
    }
}

/// Such a television. `shown`: whether something of ours is on the screen; it goes dark once that is over.
pub struct BySignal {
    signal: Arc<Signal>,
    shown: watch::Receiver<bool>,
}

impl BySignal {
    /// Dark from now on, until the first call.
    pub fn start(signal: Arc<Signal>, shown: watch::Receiver<bool>) -> BySignal {
        let of_task = signal.clone();
        let mut changes = shown.clone();
        tokio::spawn(async move {
            loop {
                // What is shown last may outlive the call: a missed one stays until a key.
                if !*changes.borrow_and_update()
                    && let Err(why) = off(&of_task, &changes).await
                {
                    log::info!("the display stays lit: {why}");
                }
                if changes.changed().await.is_err() {
                    return;
                }
            }
        });
        BySignal { signal, shown }
    }
}

/// Dark, unless something of ours is shown (again).
async fn off(signal: &Arc<Signal>, shown: &watch::Receiver<bool>) -> Result<(), String> {
    let end = tokio::time::Instant::now() + PATIENCE;
    loop {
        if *shown.borrow() {
            return Ok(());
        }
        let of_thread = signal.clone();
        match tokio::task::spawn_blocking(move || of_thread.darken()).await.map_err(|e| e.to_string())? {
            Err(_) if tokio::time::Instant::now() < end => tokio::time::sleep(AGAIN).await,
            done => {
                // Something came to be shown meanwhile, and may have looked before it was dark.
                if done.is_ok() && *shown.borrow() {
                    signal.light();
                }
                return done;
            }
        }
    }
}

#[async_trait]
impl Set for BySignal {
    async fn state(&self) -> Result<TvState, Fault> {
        let power = if self.signal.lock().asleep { Power::Standby } else { Power::On };
        Ok(TvState { power, input: None, volume: None })
    }

    async fn power(&self, on: bool) -> Result<(), Fault> {
        if on {
            let signal = self.signal.clone();
            return tokio::task::spawn_blocking(move || signal.wake()).await.map_err(|e| Fault(e.to_string()));
        }
        off(&self.signal, &self.shown).await.map_err(Fault)
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
