//! What is seen and heard: the seam between the television's task and whoever draws and plays.

use super::dialog::Choice;
use super::keys::Stroke;
use super::power::Set;
use super::{Seen, TvState};
use crate::call::{Caller, CallerId, LineId, Scene};
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// A scene with the choice in focus.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// What.
    pub scene: Scene,
    /// Where the focus is, in scenes with choices.
    pub focus: Choice,
}

/// Whose photograph.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Whose {
    /// The line they call through.
    pub line: LineId,
    /// Their id there.
    pub id: CallerId,
}

impl From<&Caller> for Whose {
    fn from(caller: &Caller) -> Self {
        Whose { line: caller.line.clone(), id: caller.id.clone() }
    }
}

/// Draws and plays. Each method returns at once; what came of it is told as [`DriverEvent`]s with the show's number.
pub trait Stage: Send + 'static {
    /// Shows this, with the sound that belongs to the scene, until the next.
    fn show(&mut self, number: u64, view: &View);
    /// A caller's photograph has arrived (JPEG or PNG, as fetched).
    fn photo(&mut self, whose: Whose, bytes: Vec<u8>);
    /// The language of the screens and the time zone of the times on them; `None` leaves it.
    fn resident(&mut self, locale: Option<String>, time_zone: Option<String>);
}

/// What a driver tells the television's task. Channels of these are bounded at [`EVENTS`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DriverEvent {
    /// A key.
    Stroke(Stroke),
    /// The set is like this now, whoever changed it; also when it answers again after a silence.
    Changed(TvState),
    /// The picture of this show was handed to the sink.
    Shown(u64),
    /// The first samples of this show's tone were handed to the speaker (or it has none).
    Heard(u64),
    /// This show cannot be seen (any more): why, and what to try.
    Unseen(u64, String),
    /// This show cannot be heard (any more): why, and what to try.
    Unheard(u64, String),
}

/// Room in a driver's channel: more than a person can press and a scene can tell between two looks.
pub const EVENTS: usize = 64;

/// A television with its picture, sound and keys.
pub struct Driver {
    /// Power, input, volume.
    pub set: Arc<dyn Set>,
    /// Picture and sound.
    pub stage: Box<dyn Stage>,
    /// What both tell.
    pub events: mpsc::Receiver<DriverEvent>,
    /// Told whether something of ours is shown, for whoever needs to know.
    pub shown: watch::Sender<bool>,
    /// Told how the set is whenever that is seen; `None` before.
    pub seen: watch::Sender<Option<Seen>>,
}
