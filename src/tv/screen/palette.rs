//! The colours, and that each text stands out from its ground (WCAG 2 contrast, at least 7 to 1).

/// Behind everything.
pub const GROUND: &str = "#0d1b2e";
/// Behind a choice that is not in focus, a card, a row.
pub const PANEL: &str = "#1b3150";
/// Edge of a panel.
pub const EDGE: &str = "#8ea6c4";
/// What matters.
pub const TEXT: &str = "#ffffff";
/// What goes with it.
pub const SOFT: &str = "#c8d7ea";
/// What happens by itself, and what needs attention.
pub const WARM: &str = "#ffd98a";
/// The choice in focus.
pub const FOCUS: &str = "#ffffff";
/// Text on the choice in focus.
pub const ON_FOCUS: &str = "#0d1b2e";
/// The mark of "answer".
pub const YES: &str = "#7fe0a3";
/// The mark of "answer" in focus.
pub const YES_ON_FOCUS: &str = "#0b5a2c";
/// The mark of "decline".
pub const NO: &str = "#ffb3a7";
/// The mark of "decline" in focus.
pub const NO_ON_FOCUS: &str = "#8c1d10";
/// Behind the initials of somebody without a photograph.
pub const FACE: &str = "#24466f";

/// Names used in templates.
pub const NAMED: [(&str, &str); 13] = [
    ("ground", GROUND),
    ("panel", PANEL),
    ("edge", EDGE),
    ("text", TEXT),
    ("soft", SOFT),
    ("warm", WARM),
    ("focus", FOCUS),
    ("on_focus", ON_FOCUS),
    ("yes", YES),
    ("yes_on_focus", YES_ON_FOCUS),
    ("no", NO),
    ("no_on_focus", NO_ON_FOCUS),
    ("face", FACE),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(colour: &str) -> f64 {
        let channel = |i: usize| {
            let c = f64::from(u8::from_str_radix(&colour[i..i + 2], 16).unwrap()) / 255.0;
            if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn every_text_and_mark_stands_out_seven_to_one() {
        let pairs = [
            (TEXT, GROUND),
            (SOFT, GROUND),
            (WARM, GROUND),
            (TEXT, PANEL),
            (SOFT, PANEL),
            (WARM, PANEL),
            (YES, PANEL),
            (NO, PANEL),
            (YES, GROUND),
            (ON_FOCUS, FOCUS),
            (YES_ON_FOCUS, FOCUS),
            (NO_ON_FOCUS, FOCUS),
            (TEXT, FACE),
        ];
        for (text, ground) in pairs {
            assert!(contrast(text, ground) >= 7.0, "{text} on {ground}: {:.1}", contrast(text, ground));
        }
    }

    #[test]
    fn focus_stands_out_from_what_is_not_in_focus_without_colour() {
        assert!(contrast(FOCUS, PANEL) >= 7.0);
    }

    #[test]
    fn the_measure_is_wcags() {
        assert!((contrast("#000000", "#ffffff") - 21.0).abs() < 0.01);
        assert!((contrast("#777777", "#ffffff") - 4.48).abs() < 0.01);
    }
}
