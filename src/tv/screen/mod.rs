//! Scenes become pictures: 1920×1080, drawn once per change by resvg from the SVG templates beside this file. Nothing
//! here moves, flashes, or is told by colour alone; capitals are at least 45 pixels high and nothing that matters lies in
//! the outer 5 % that televisions cut off.
//!
//! `pages.rs` sets the scenes; `template.rs` fills templates and fits names; `words.rs` speaks the resident's language;
//! `palette.rs` holds the colours; `face.rs` the callers' photographs.

mod face;
pub mod gallery;
mod pages;
pub mod palette;
mod pen;
mod template;
pub mod words;

pub use face::Photo;
pub use pen::Pen;
pub use words::Words;

use super::stage::View;
use crate::call::{Medium, Scene};
use resvg::tiny_skia::Pixmap;
use std::time::Instant;

/// Width of every picture.
pub const WIDTH: u32 = 1920;
/// Height of every picture.
pub const HEIGHT: u32 = 1080;
/// Televisions may cut off so much of each side: 5 %.
pub const SAFE_X: u32 = 96;
/// The same, above and below.
pub const SAFE_Y: u32 = 54;
/// The smallest font: DejaVu's capitals are 0.73 of it high, that is 45 pixels.
pub const SMALLEST: f32 = 62.0;

/// A rectangle on the screen, pixels. Even numbers, because the pictures end as I420.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// Left edge.
    pub x: u32,
    /// Upper edge.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

/// Where the resident sees themselves.
pub const OWN: Area = Area { x: 1384, y: 54, width: 440, height: 248 };
/// Around it, so that it stands out from any picture.
pub const OWN_EDGE: u32 = 6;
/// The sign under it that says the camera is on.
pub const SIGN: Area = Area { x: 1378, y: 308, width: 452, height: 96 };
/// The banner in a call.
pub const BANNER: Area = Area { x: 96, y: 882, width: 1728, height: 144 };
/// The banner when there is something to say.
pub const BANNER_TALL: Area = Area { x: 96, y: 774, width: 1728, height: 252 };
/// The countdown's number.
pub const NUMBER: Area = Area { x: 1364, y: 96, width: 460, height: 460 };

/// Something small over the caller's picture.
#[derive(Clone)]
pub struct Card {
    /// Where.
    pub area: Area,
    /// What, of exactly this size, opaque.
    pub picture: Pixmap,
}

/// What the screen shows.
#[derive(Clone)]
pub struct Picture {
    /// Full size. In a call: what is seen until the caller's picture is there.
    pub page: Pixmap,
    /// Whether the caller's picture, as soon as there is one, takes the page's place.
    pub live: bool,
    /// Whether the resident's own picture is shown.
    pub own: bool,
    /// Over the caller's picture.
    pub cards: Vec<Card>,
}

/// Draws scenes.
pub struct Painter {
    pen: Pen,
    words: Words,
}

impl Painter {
    /// Loads the fonts: some 10 ms, so only when there is something to show.
    pub fn new(pen: Pen, words: Words) -> Painter {
        Painter { pen, words }
    }

    /// Another language or zone.
    pub fn speak(&mut self, words: Words) {
        self.words = words;
    }

    /// Draws a view; nothing for [`Scene::Idle`]. `now` is for what counts and for "yesterday".
    pub fn paint(&mut self, view: &View, photo: Option<&Photo>, now: Instant, today: jiff::Timestamp) -> Option<Picture> {
        let content = pages::page(&mut self.pen.ruler(), &self.words, view, today)?;
        let mut page = self.pen.page(&content);
        if let (Some(photo), Some((x, y, radius))) = (photo, pages::face(&view.scene)) {
            photo.draw(&mut page, x, y, radius);
        }
        let mut picture = Picture { page, live: false, own: false, cards: Vec::new() };
        match &view.scene {
            Scene::Countdown { .. } => {
                self.count(&view.scene, &mut picture, now);
            }
            Scene::Connecting { medium, .. } => picture.own = *medium == Medium::Video,
            Scene::InCall { medium, no_camera, .. } => {
                picture.live = true;
                picture.own = *medium == Medium::Video && !no_camera;
                let cards = pages::cards(&mut self.pen.ruler(), &self.words, &view.scene);
                picture.cards = cards.into_iter().map(|(area, content)| Card { area, picture: self.pen.card(area, &content) }).collect();
            }
            _ => {}
        }
        Some(picture)
    }

    /// Draws only the number of a countdown into its picture. Gives when it changes next.
    pub fn count(&mut self, scene: &Scene, picture: &mut Picture, now: Instant) -> Option<Instant> {
        let Scene::Countdown { until, length, .. } = scene else { return None };
        let left = until.map_or(*length, |until| until.saturating_duration_since(now));
        // Rounded up: it says 1 until it is over.
        let seconds = left.as_secs() + u64::from(left.subsec_nanos() > 0);
        let part = if length.is_zero() { 0.0 } else { (seconds as f64 / length.as_secs_f64()).min(1.0) };
        self.pen.number(&mut picture.page, NUMBER, seconds, part);
        let next = until.as_ref().filter(|_| seconds > 0)?;
        next.checked_sub(std::time::Duration::from_secs(seconds - 1))
    }
}

#[cfg(test)]
mod tests;
