//! SVG text to pixels, and how wide words are.

use super::template::{Fitted, fill, fit};
use super::{Area, HEIGHT, SMALLEST, WIDTH};
use crate::journal::messages;
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{self, fontdb};
use std::collections::HashMap;
use std::sync::Arc;

const PAGE: &str = include_str!("templates/page.svg");
const CARD: &str = include_str!("templates/card.svg");
const NUMBER: &str = include_str!("templates/number.svg");
const ICONS: &str = include_str!("templates/icons.svg");

/// Widths remembered; names come and go.
const REMEMBERED: usize = 500;

/// Fonts and the renderer.
pub struct Pen {
    options: usvg::Options<'static>,
    family: String,
    widths: HashMap<(String, bool), f32>,
}

impl Pen {
    /// Loads the system's fonts; `family` is preferred, then DejaVu Sans, then any.
    pub fn new(family: &str) -> Pen {
        let mut fonts = fontdb::Database::new();
        fonts.load_system_fonts();
        let known = |name: &str| fonts.faces().any(|face| face.families.iter().any(|(f, _)| f == name));
        let any = || fonts.faces().next().and_then(|face| face.families.first()).map(|(name, _)| name.clone());
        let family = [family, "DejaVu Sans"].into_iter().find(|f| known(f)).map(str::to_owned).or_else(any).unwrap_or_default();
        if family.is_empty() {
            log::error!(MESSAGE_ID = messages::NO_FONT.id; "there is no font on this system, so no word can be shown; install one (Debian: fonts-dejavu-core)");
        }
        fonts.set_sans_serif_family(family.clone());
        fonts.set_serif_family(family.clone());
        let options = usvg::Options { font_family: family.clone(), fontdb: Arc::new(fonts), ..usvg::Options::default() };
        Pen { options, family, widths: HashMap::new() }
    }

    /// What measures words.
    pub fn ruler(&mut self) -> Ruler<'_> {
        Ruler(self)
    }

    /// A whole screen.
    pub fn page(&self, content: &str) -> Pixmap {
        let mut pixmap = blank(WIDTH, HEIGHT);
        self.draw(&fill(PAGE, &[("font", &self.family), ("content", content)]), &mut pixmap, 0, 0);
        pixmap
    }

    /// A card.
    pub fn card(&self, area: Area, content: &str) -> Pixmap {
        let mut pixmap = blank(area.width, area.height);
        let (width, height) = (area.width.to_string(), area.height.to_string());
        let svg = fill(CARD, &[("font", &self.family), ("width", &width), ("height", &height), ("content", content)]);
        self.draw(&svg, &mut pixmap, 0, 0);
        pixmap
    }

    /// The number of a countdown, `part` of its ring still to go.
    pub fn number(&self, page: &mut Pixmap, area: Area, seconds: u64, part: f64) {
        let drawn = format!("{:.1}", part * std::f64::consts::TAU * 205.0);
        let number = seconds.min(999).to_string();
        self.draw(&fill(NUMBER, &[("font", &self.family), ("drawn", &drawn), ("number", &number)]), page, area.x, area.y);
    }

    fn draw(&self, svg: &str, pixmap: &mut Pixmap, x: u32, y: u32) {
        match usvg::Tree::from_str(svg, &self.options) {
            Ok(tree) => resvg::render(&tree, Transform::from_translate(x as f32, y as f32), &mut pixmap.as_mut()),
            // Names are escaped, so this is a template of ours.
            Err(e) => log::error!(MESSAGE_ID = messages::DEFECT.id; "a picture cannot be drawn: {e}; this is a defect of residentd"),
        }
    }

    fn width(&mut self, text: &str, bold: bool) -> f32 {
        if let Some(width) = self.widths.get(&(text.to_owned(), bold)) {
            return *width;
        }
        let weight = if bold { "bold" } else { "normal" };
        let template = "<svg xmlns='http://www.w3.org/2000/svg' width='100' height='100'><text font-family='{{font}}' font-size='100' \
                        font-weight='{{weight}}' y='100'>{{text}}</text></svg>";
        // The template's "text" would be the palette's colour, so this value comes first.
        let svg = fill(template, &[("font", &self.family), ("weight", weight), ("text", text)]);
        let width = usvg::Tree::from_str(&svg, &self.options).map_or(0.0, |tree| tree.root().abs_bounding_box().width() / 100.0);
        if self.widths.len() >= REMEMBERED {
            self.widths.clear();
        }
        self.widths.insert((text.to_owned(), bold), width);
        width
    }
}

fn blank(width: u32, height: u32) -> Pixmap {
    Pixmap::new(width.max(1), height.max(1)).expect("sizes are ours and not zero")
}

/// Measures words.
pub struct Ruler<'a>(&'a mut Pen);

impl Ruler<'_> {
    /// Width in pixels.
    pub fn width(&mut self, text: &str, size: f32, bold: bool) -> f32 {
        self.0.width(text, bold) * size
    }

    /// Sets bold words at the largest size from `largest` down that fits.
    pub fn fit(&mut self, text: &str, width: f32, lines: usize, largest: f32) -> Fitted {
        let steps = ((largest - SMALLEST) / 6.0).max(0.0) as usize;
        let sizes: Vec<f32> = (0..=steps).map(|i| largest - 6.0 * i as f32).chain([SMALLEST]).collect();
        fit(text, width, lines, &sizes, &mut |s| self.0.width(s, true))
    }
}

/// An icon's drawing, 64×64, in `currentColor`.
pub fn icon(name: &str) -> &'static str {
    let start = ICONS.find(&format!("<g id=\"{name}\">"));
    start.and_then(|at| ICONS[at..].lines().next()).unwrap_or("")
}
