//! HDMI-CEC: the television through the cable that carries the picture. `core/` knows what to say and what is meant;
//! this file is the task around it; `device.rs` is the kernel's adapter below; `quirks.rs` what is known of makers.
//!
//! The rules of the bus (HDMI 1.4b, supplement 1) leave much open, and sets differ: nothing is believed that the set has
//! not said, nothing is waited for longer than a second or two, and a set that does not answer is a state of its own.

pub mod core;
pub mod device;
pub mod message;
pub mod quirks;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod tests;

use self::core::{Address, Answer, Core, Id, Output, Request, Sent};
use self::message::{Frame, Physical};
use super::TvState;
use super::keymap::Map;
use super::keys::Stroke;
use super::power::{Fault, Input, Set};
use super::stage::DriverEvent;
use async_trait::async_trait;
use quirks::Quirks;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// What an adapter reports.
#[derive(Debug, Clone)]
pub enum Report {
    /// It is here, at this address; or gone.
    Address(Option<Address>),
    /// A message.
    Received(Frame),
    /// What became of the last order.
    Sent(Sent),
}

/// The two ends of an adapter: messages go in one at a time, each is reported before the next.
pub struct Adapter {
    /// To be sent.
    pub orders: mpsc::Sender<Frame>,
    /// What happens.
    pub reports: mpsc::Receiver<Report>,
}

/// Requests that wait for the task: the television has one job and one volume at a time.
const ASKS: usize = 16;

/// A television on HDMI-CEC.
pub struct Cec {
    asks: mpsc::Sender<(Request, oneshot::Sender<Answer>)>,
    own: watch::Receiver<Option<String>>,
}

impl Cec {
    /// Starts the task; it ends with this. Call it inside a tokio runtime.
    pub fn start(adapter: Adapter, quirks: Quirks, keys: Arc<Map>, tell: mpsc::Sender<DriverEvent>) -> Cec {
        let (asks, inbox) = mpsc::channel(ASKS);
        let (to_own, own) = watch::channel(None);
        let task = Task { core: Core::new(quirks), adapter, keys, tell, waiting: BTreeMap::new(), number: 0, own: to_own };
        tokio::spawn(task.run(inbox));
        Cec { asks, own }
    }

    async fn ask(&self, request: Request) -> Result<Option<TvState>, Fault> {
        let (answer, waits) = oneshot::channel();
        self.asks.send((request, answer)).await.map_err(|_| Fault("HDMI-CEC has ended".into()))?;
        waits.await.map_err(|_| Fault("HDMI-CEC has ended".into()))?.map_err(Fault)
    }
}

#[async_trait]
impl Set for Cec {
    async fn state(&self) -> Result<TvState, Fault> {
        Ok(self.ask(Request::State).await?.unwrap_or(TvState::UNKNOWN))
    }

    async fn power(&self, on: bool) -> Result<(), Fault> {
        self.ask(if on { Request::On } else { Request::Standby }).await.map(drop)
    }

    async fn insist(&self) -> Result<bool, Fault> {
        self.ask(Request::Insist).await.map(|_| true)
    }

    async fn input(&self, to: &Input) -> Result<(), Fault> {
        let request = match to {
            Input::Ours => Request::Take,
            Input::Other(name) => Request::Leave(Physical::named(name)),
            Input::Release => Request::Leave(None),
        };
        self.ask(request).await.map(drop)
    }

    async fn volume(&self, to: u8) -> Result<(), Fault> {
        self.ask(Request::Volume(to)).await.map(drop)
    }

    async fn step(&self, louder: bool) -> Result<bool, Fault> {
        self.ask(Request::Step(louder)).await.map(|_| true)
    }

    fn own_input(&self) -> Option<String> {
        self.own.borrow().clone()
    }
}

struct Task {
    core: Core,
    adapter: Adapter,
    keys: Arc<Map>,
    tell: mpsc::Sender<DriverEvent>,
    waiting: BTreeMap<Id, oneshot::Sender<Answer>>,
    number: Id,
    own: watch::Sender<Option<String>>,
}

impl Task {
    async fn run(mut self, mut inbox: mpsc::Receiver<(Request, oneshot::Sender<Answer>)>) {
        let mut alive = true;
        loop {
            let deadline = self.core.deadline().map(Instant::from_std);
            let input = tokio::select! {
                report = self.adapter.reports.recv(), if alive => match report {
                    Some(Report::Address(address)) => core::Input::Adapter(address),
                    Some(Report::Received(frame)) => core::Input::Received(frame),
                    Some(Report::Sent(sent)) => core::Input::Sent(sent),
                    None => {
                        alive = false;
                        core::Input::Adapter(None)
                    }
                },
                ask = inbox.recv() => match ask {
                    Some((request, answer)) => {
                        self.number += 1;
                        // Who asked and has gone since is forgotten here.
                        self.waiting.retain(|_, waits| !waits.is_closed());
                        self.waiting.insert(self.number, answer);
                        core::Input::Ask(self.number, request)
                    }
                    None => return,
                },
                () = async { match deadline { Some(at) => sleep_until(at).await, None => std::future::pending().await } } => core::Input::Time,
            };
            self.core.handle(Instant::now().into_std(), input);
            self.carry_out().await;
        }
    }

    async fn carry_out(&mut self) {
        let own = self.core.own().map(|p| p.to_string());
        self.own.send_if_modified(|known| {
            let other = *known != own;
            if other {
                known.clone_from(&own);
            }
            other
        });
        while let Some(output) = self.core.poll() {
            match output {
                Output::Transmit(frame) => {
                    // One at a time, and there is room for one: only an adapter that has ended refuses.
                    if self.adapter.orders.try_send(frame).is_err() {
                        self.core.handle(Instant::now().into_std(), core::Input::Sent(Sent::Refused));
                    }
                }
                Output::Answer(id, answer) => {
                    if let Some(waits) = self.waiting.remove(&id) {
                        let _ = waits.send(answer);
                    }
                }
                // Television's loop reads these before all else and never waits for this task outside of it.
                Output::Changed(state) => drop(self.tell.send(DriverEvent::Changed(state)).await),
                Output::Key(operand, pressed) => match self.keys.of_cec(operand) {
                    Some(key) => drop(self.tell.try_send(DriverEvent::Stroke(Stroke { key, pressed }))),
                    None => log::debug!("key {operand:#04x} of the television's remote control means nothing here"),
                },
            }
        }
    }
}
