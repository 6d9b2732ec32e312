//! The words on the wire: TCMP frames (twilio-video.md section 3) and the RSP messages inside them (section 4).

mod incoming;
mod outgoing;

pub use incoming::*;
pub use outgoing::*;

use serde::{Deserialize, Serialize};

/// Kinds of [`Description`] and [`LocalDescription`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DescriptionKind {
    /// An offer.
    Offer,
    /// An answer.
    Answer,
    /// We shall offer.
    CreateOffer,
    /// Close it.
    Close,
}
