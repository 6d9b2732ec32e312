//! The television: power, input, volume, what is on the screen, keys. [`Command`]s go in, [`TvEvent`]s come out; the
//! drivers (`headless`, `lab`, later CEC and KMS) sit behind one interface.

use crate::call::{CallId, Press, Scene};
use tokio::sync::oneshot;

/// What the agent tells the television's task.
#[derive(Debug)]
pub enum Command {
    /// Remember the state (power, input, volume) durably, then wake it and come to the front.
    Wake(CallId),
    /// Show this scene with its sound from now on.
    Show(Scene),
    /// Put back what we changed.
    Restore(CallId),
    /// Put back what an earlier run of the daemon left changed, if anything; then answer.
    Recover(oneshot::Sender<()>),
}

/// What the television's task tells the agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TvEvent {
    /// Somebody pressed a key that means this in the scene that is shown.
    Press(Press),
    /// The dialog of this call is on the screen and its tone is sounding.
    Noticed(CallId),
    /// It cannot be shown or heard, and why.
    Unnoticed(CallId, String),
    /// How waking went.
    Woken(Wake),
    /// Everything we changed is put back.
    Restored(CallId),
}

/// How waking the television went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Wake {
    /// It was in standby and is on now.
    Woken,
    /// It was on.
    AlreadyOn,
    /// It does not answer: a state of its own, not "off".
    NoAnswer,
}

/// Power of the television as far as it tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Power {
    /// On.
    On,
    /// Standby.
    Standby,
    /// It does not answer.
    Unknown,
}

/// What is put back: power, input and volume as found.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct TvState {
    /// Power.
    pub power: Power,
    /// The input shown, as the driver names it (a CEC physical address, `tuner`, …); `None` if unknown.
    pub input: Option<String>,
    /// Volume 0..=100; `None` if unknown.
    pub volume: Option<u8>,
}
