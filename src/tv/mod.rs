//! The television: power, input, volume, what is on the screen, keys. [`Command`]s go in, [`TvEvent`]s come out; the
//! drivers (`headless`, `lab`, CEC, programs, a signal) sit behind one interface.
//!
//! `television` is the task; `theatre` draws and plays, on a display that `displays.rs` chooses and `held.rs` lights; `power.rs` wakes
//! and puts back behind the [`power::Set`] of a driver; `dialog.rs` and `keys.rs` say what a key means; `stage.rs` is the seam to what
//! is seen and heard.

pub mod cec;
pub mod command;
pub mod devices;
pub mod dialog;
pub mod displays;
pub mod headless;
pub mod held;
pub mod keymap;
pub mod keys;
pub mod lab;
mod mixer;
mod open;
pub mod output;
pub mod power;
pub mod remotes;
#[cfg(test)]
pub(crate) mod scenes;
pub mod screen;
pub mod signal;
pub mod stage;
mod television;
#[cfg(test)]
mod tests;
pub mod theatre;
#[cfg(test)]
mod theatre_tests;
pub mod tone;
mod watch;
mod worker;

pub use open::{Control, Display, Settings, Speaker, Television, open};
pub use power::{Memory, Remembered};
pub use stage::{Driver, Whose};
pub use television::spawn;

use crate::call::{CallId, Press, Scene};
use tokio::sync::oneshot;

/// How the task behaves, whatever driver it has.
#[derive(Debug, Clone)]
pub struct Config {
    /// A television that is softer than this (0..=100) is turned up to it before it rings.
    pub volume_floor: u8,
    /// In a call the mute key mutes the microphone; else it does nothing here.
    pub mute_key: bool,
}

impl Default for Config {
    fn default() -> Self {
        Config { volume_floor: 30, mute_key: true }
    }
}

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
    /// The platform wakes the screen for a call it is about to send (chatta.md 2.5). Put back after a minute without one.
    Announced,
    /// A caller's photograph has been fetched (JPEG or PNG, as it came).
    Photo(Whose, Vec<u8>),
    /// The resident's language (`de`, `en-GB`) and time zone (IANA name), as far as now known.
    Resident {
        /// Language; `None` leaves it.
        locale: Option<String>,
        /// Time zone; `None` leaves it.
        time_zone: Option<String>,
    },
    /// What the platform's record of the resident and the box says about keys and inputs.
    Wishes(Wishes),
    /// A key pressed by other means than the television's own (the local API, where permitted).
    Key(keys::Stroke),
}

/// The platform's wishes about the television (the resident's `set_top_box` record, chatta.md 2.4).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    /// The key that chooses an input does something (`av_key_enabled`).
    pub av_key: bool,
    /// The menu key does something (`menu_key_enabled`, and the organisation's `settings_enabled`).
    pub menu_key: bool,
    /// The input to go back to where it is not known what was shown before (`default_av_input`, such as `HDMI2`).
    pub default_input: Option<String>,
}

impl Default for Wishes {
    fn default() -> Self {
        Wishes { av_key: true, menu_key: true, default_input: None }
    }
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

/// The television as it was last seen, for those who want to know.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Seen {
    /// How it was.
    #[serde(flatten)]
    pub state: TvState,
    /// Whether the box was what it showed; `None` if unknown.
    pub shows_us: Option<bool>,
    /// When it was asked, or told us. Most drivers tell every change; one that only answers may have changed since.
    pub at: jiff::Timestamp,
}

impl TvState {
    /// Nothing is known.
    pub const UNKNOWN: TvState = TvState { power: Power::Unknown, input: None, volume: None };
}
