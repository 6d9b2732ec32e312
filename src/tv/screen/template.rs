//! Filling SVG templates, and fitting words into them. `{{name}}` is replaced by escaped text, `{{&name}}` by SVG.

use super::palette;

/// What a template's names stand for.
pub type Values<'a> = &'a [(&'a str, &'a str)];

/// Fills a template. Colours of the palette need not be given.
pub fn fill(template: &str, values: Values<'_>) -> String {
    let mut out = String::with_capacity(template.len() * 2);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        out.push_str(before);
        let Some((name, after)) = after.split_once("}}") else { break };
        let (raw, name) = name.strip_prefix('&').map_or((false, name), |name| (true, name));
        let value = values.iter().chain(palette::NAMED.iter()).find(|(n, _)| *n == name).map_or("", |(_, v)| *v);
        debug_assert!(values.iter().chain(palette::NAMED.iter()).any(|(n, _)| *n == name), "the template asks for {name}");
        if raw {
            out.push_str(value)
        } else {
            escape(value, &mut out)
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars().filter(|c| drawable(*c)) {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&apos;"),
            c => out.push(c),
        }
    }
}

/// Not XML, or able to turn the rest of a line around: not drawn.
fn drawable(c: char) -> bool {
    !c.is_control() && !matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

/// A name from a stranger's message, fit to be shown: one line, no controls, no more than anybody is called.
pub fn plain(name: &str) -> String {
    let name: String = name.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| drawable(*c)).take(200).collect();
    name.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// First letters of the first and last word, for who has no photograph.
pub fn initials(name: &str) -> String {
    let first = |word: &str| word.chars().find(|c| c.is_alphanumeric());
    let words: Vec<char> = name.split_whitespace().filter_map(first).collect();
    let letters: String = match words.as_slice() {
        [] => "?".into(),
        [one] => one.to_string(),
        [first, .., last] => [*first, *last].iter().collect(),
    };
    letters.to_uppercase()
}

/// Words set into lines of one size.
#[derive(Debug, PartialEq)]
pub struct Fitted {
    /// The lines.
    pub lines: Vec<String>,
    /// Font size, pixels.
    pub size: f32,
}

/// The largest size of `sizes` (descending) at which `text` fits into `width` and `lines`; at the smallest it is cut.
/// `measure` gives the width of a text at size 1.
pub fn fit(text: &str, width: f32, lines: usize, sizes: &[f32], measure: &mut dyn FnMut(&str) -> f32) -> Fitted {
    let words: Vec<(&str, f32)> = text.split(' ').filter(|w| !w.is_empty()).map(|w| (w, measure(w))).collect();
    let space = measure("n n") - measure("nn");
    for size in sizes {
        if let Some(lines) = wrap(&words, space, width / size, lines) {
            return Fitted { lines, size: *size };
        }
    }
    let size = sizes.last().copied().unwrap_or(1.0);
    Fitted { lines: cut(&words, space, width / size, lines, measure), size }
}

/// As many words a line as it holds; `None` if they need more lines or one is wider than a line.
fn wrap(words: &[(&str, f32)], space: f32, width: f32, lines: usize) -> Option<Vec<String>> {
    let mut out: Vec<(String, f32)> = Vec::new();
    for (word, wide) in words {
        if *wide > width {
            return None;
        }
        match out.last_mut() {
            Some((line, used)) if *used + space + wide <= width => {
                line.push(' ');
                line.push_str(word);
                *used += space + wide;
            }
            _ => out.push(((*word).to_owned(), *wide)),
        }
    }
    (out.len() <= lines).then(|| out.into_iter().map(|(line, _)| line).collect())
}

/// What does not fit is cut, and shown to be.
fn cut(words: &[(&str, f32)], space: f32, width: f32, lines: usize, measure: &mut dyn FnMut(&str) -> f32) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let mut used = width + 1.0;
    for (word, wide) in words {
        if used + space + wide <= width {
            if let Some(line) = out.last_mut() {
                line.push(' ');
                line.push_str(word);
            }
            used += space + wide;
        } else if out.len() < lines && *wide <= width {
            out.push((*word).to_owned());
            used = *wide;
        } else if out.len() < lines {
            out.push(shorten(word, width, measure));
            used = width + 1.0;
        } else if let Some(line) = out.last_mut() {
            if !line.ends_with('…') {
                *line = shorten(&format!("{line} {word}"), width, measure);
            }
            break;
        }
    }
    out
}

fn shorten(text: &str, width: f32, measure: &mut dyn FnMut(&str) -> f32) -> String {
    let letters: Vec<char> = text.chars().collect();
    // A search by halves: names are short, measuring is not free.
    let (mut good, mut bad) = (0, letters.len() + 1);
    while bad - good > 1 {
        let middle = usize::midpoint(good, bad);
        let candidate: String = letters[..middle.min(letters.len())].iter().chain(['…'].iter()).collect();
        if measure(&candidate) <= width { good = middle } else { bad = middle }
    }
    letters[..good.min(letters.len())].iter().collect::<String>().trim_end().to_owned() + "…"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every letter as wide as high.
    fn fitted(text: &str, width: f32, lines: usize) -> Fitted {
        fit(text, width, lines, &[100.0, 80.0, 60.0], &mut |s| s.chars().count() as f32)
    }

    #[test]
    fn text_is_escaped_and_cannot_leave_its_place() {
        let out = fill("<text>{{name}}</text>{{&icon}}", &[("name", "</text><script a='\"'>&\u{0}\u{202e}"), ("icon", "<g/>")]);
        assert_eq!(out, "<text>&lt;/text&gt;&lt;script a=&apos;&quot;&apos;&gt;&amp;</text><g/>");
    }

    #[test]
    fn a_value_is_not_a_template() {
        assert_eq!(fill("{{a}}{{b}}", &[("a", "{{b}}"), ("b", "x")]), "{{b}}x");
    }

    #[test]
    fn short_names_are_large_long_ones_wrap_then_shrink_then_are_cut() {
        assert_eq!(fitted("ADA", 600.0, 2), Fitted { lines: vec!["ADA".into()], size: 100.0 });
        assert_eq!(fitted("ADA LOVELACE", 800.0, 2).lines, ["ADA", "LOVELACE"]);
        assert_eq!(fitted("LONGESTNAME", 900.0, 2), Fitted { lines: vec!["LONGESTNAME".into()], size: 80.0 });
        let cut = fitted("HUBERT BLAINE WOLFESCHLEGELSTEINHAUSENBERGERDORFF SENIOR", 900.0, 2);
        assert_eq!(cut.size, 60.0);
        assert_eq!(cut.lines.len(), 2);
        assert!(cut.lines.iter().all(|l| l.chars().count() <= 15), "{cut:?}");
        assert!(cut.lines[1].ends_with('…'), "{cut:?}");
    }

    #[test]
    fn any_name_gives_lines_that_fit() {
        for name in ["", " ", "…", "a", &"x".repeat(500), &"ab ".repeat(200), "👩‍👩‍👧‍👦 family", "مريم العلي"] {
            let fitted = fitted(&plain(name), 600.0, 2);
            assert!(fitted.lines.len() <= 2 && fitted.lines.iter().all(|l| l.chars().count() as f32 * fitted.size <= 600.0), "{fitted:?}");
        }
    }

    #[test]
    fn names_are_cleaned_and_have_initials() {
        assert_eq!(plain("  Ada\u{0}\n\u{202e}Lovelace\t "), "Ada Lovelace");
        assert_eq!(plain(&"é".repeat(999)).chars().count(), 200);
        assert_eq!(initials("Margaret Ann Jørgensen"), "MJ");
        assert_eq!(initials("(ada)"), "A");
        assert_eq!(initials(""), "?");
        assert_eq!(initials("👩"), "?");
    }
}
