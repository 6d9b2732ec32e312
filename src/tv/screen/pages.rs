//! How each scene is set.

use super::pen::{Ruler, icon};
use super::template::{fill, initials, plain};
use super::words::Words;
use super::{Area, BANNER, BANNER_TALL, SAFE_X, SIGN, SMALLEST, palette};
use crate::call::{Caller, Decline, Ending, Medium, Scene};
use crate::tv::dialog::Choice;
use crate::tv::stage::View;
use fluent_bundle::FluentValue;

const FACE: &str = include_str!("templates/face.svg");
const BUTTON: &str = include_str!("templates/button.svg");
const BUTTON_FOCUS: &str = include_str!("templates/button_focus.svg");
const KEY: &str = include_str!("templates/key.svg");
const ROW: &str = include_str!("templates/row.svg");

/// Left edge of the words beside a face.
const COLUMN: f32 = 660.0;
/// Where their middle is.
const MIDDLE: f32 = 356.0;
/// Right edge of everything.
const RIGHT: f32 = 1824.0;
/// The line at the foot of a page.
const FOOT: f32 = 990.0;
/// Rows of missed calls on a page.
const ROWS: usize = 4;

/// Where the caller's face is: middle and radius.
pub fn face(scene: &Scene) -> Option<(u32, u32, u32)> {
    match scene {
        Scene::Idle | Scene::Missed { .. } => None,
        _ => Some((340, 340, 232)),
    }
}

/// A line of the words beside a face.
struct Line {
    text: String,
    size: f32,
    bold: bool,
    colour: &'static str,
    icon: Option<&'static str>,
    /// Space above it, pixels.
    above: f32,
}

impl Line {
    fn soft(text: String) -> Line {
        Line { text, size: SMALLEST, bold: false, colour: palette::SOFT, icon: None, above: 14.0 }
    }

    fn warm(text: String) -> Line {
        Line { bold: true, colour: palette::WARM, above: 26.0, ..Line::soft(text) }
    }
}

/// The page of a scene; nothing for idle.
pub fn page(ruler: &mut Ruler<'_>, words: &Words, view: &View, today: jiff::Timestamp) -> Option<String> {
    let mut out = String::new();
    match &view.scene {
        Scene::Idle => return None,
        Scene::Ringing { caller, medium, .. } => {
            person(&mut out, ruler, words, caller, RIGHT - COLUMN, kind(words, *medium), Vec::new());
            choices(&mut out, ruler, words, view.focus, "answer");
            foot(&mut out, "private", &words.get("devices-off"));
        }
        Scene::Countdown { caller, medium, .. } => {
            let more = vec![Line::warm(words.get("answers-by-itself"))];
            person(&mut out, ruler, words, caller, 1330.0 - COLUMN, kind(words, *medium), more);
            choices(&mut out, ruler, words, view.focus, "answer-now");
            foot(&mut out, "private", &words.get("any-other-key-stops"));
        }
        Scene::Connecting { caller, medium, .. } => {
            let more = vec![Line::warm(words.get("connecting"))];
            person(&mut out, ruler, words, caller, beside_own(*medium), kind(words, *medium), more);
            camera_sign(&mut out, words, *medium, false);
            hang_up(&mut out, ruler, words);
        }
        Scene::InCall { caller, medium, weak, muted, no_camera, .. } => {
            let mut more = Vec::new();
            if *weak {
                more.push(Line { icon: Some("weak"), ..Line::warm(words.get("weak")) });
            }
            person(&mut out, ruler, words, caller, beside_own(*medium), kind(words, *medium), more);
            camera_sign(&mut out, words, *medium, *no_camera);
            if *muted {
                let sign = Line { icon: Some("microphone-off"), colour: palette::TEXT, ..Line::soft(words.get("microphone-off")) };
                line(&mut out, 1090.0, 800.0, &sign);
            }
            hang_up(&mut out, ruler, words);
        }
        Scene::Ended { caller, ending } => {
            let more = vec![Line::warm(words.get(ended(*ending)))];
            person(&mut out, ruler, words, caller, RIGHT - COLUMN, None, more);
            foot(&mut out, "private", &words.get("devices-off"));
        }
        Scene::NoCamera { caller } => {
            let mut why = Line::warm(words.get("no-camera-why"));
            why.icon = Some("camera-off");
            let more = vec![Line::soft(words.get("no-camera"))];
            person(&mut out, ruler, words, caller, RIGHT - COLUMN, None, more);
            line(&mut out, SAFE_X as f32 + 12.0, 780.0, &why);
            foot(&mut out, "private", &words.get("devices-off"));
        }
        Scene::Missed { calls } => missed(&mut out, ruler, words, calls, today),
    }
    Some(out)
}

fn kind(words: &Words, medium: Medium) -> Option<Line> {
    let (icon, key) = match medium {
        Medium::Video => ("camera", "video-call"),
        Medium::Audio => ("sound", "audio-call"),
    };
    Some(Line { icon: Some(icon), above: 0.0, ..Line::soft(words.get(key)) })
}

/// The words leave room for the resident's own picture.
fn beside_own(medium: Medium) -> f32 {
    match medium {
        Medium::Video => 1350.0 - COLUMN,
        Medium::Audio => RIGHT - COLUMN,
    }
}

/// Face, name in capitals, who it is; `more` below.
fn person(out: &mut String, ruler: &mut Ruler<'_>, words: &Words, caller: &Caller, width: f32, head: Option<Line>, more: Vec<Line>) {
    let name = plain(&caller.name);
    let (x, y, radius) = (340, 340, 232);
    let letters = initials(&name);
    out.push_str(&fill(
        FACE,
        &[
            ("x", &x.to_string()),
            ("y", &y.to_string()),
            ("outer", &(radius + 8).to_string()),
            ("inner", &radius.to_string()),
            ("base", &(y + 66).to_string()),
            ("size", "180"),
            ("initials", &letters),
        ],
    ));
    // What stands below needs room: a name has two lines then, not three.
    let most = if more.is_empty() { 3 } else { 2 };
    let fitted = ruler.fit(&name.to_uppercase(), width, most, 116.0);
    let mut lines: Vec<Line> = head.into_iter().collect();
    for (i, text) in fitted.lines.into_iter().enumerate() {
        let above = if i == 0 { 22.0 } else { 0.0 };
        lines.push(Line { text, size: fitted.size, bold: true, colour: palette::TEXT, icon: None, above });
    }
    lines.extend(words.role(caller.role.as_deref()).map(Line::soft));
    for more in more {
        // A sentence wider than the column becomes two lines; it is never set smaller than can be read.
        let indent = if more.icon.is_some() { 90.0 } else { 0.0 };
        let set = ruler.fit(&more.text, width - indent, 2, SMALLEST);
        for (i, text) in set.lines.into_iter().enumerate() {
            let first = i == 0;
            lines.push(Line { text, above: if first { more.above } else { 0.0 }, icon: more.icon.filter(|_| first), ..more });
        }
    }
    let height: f32 = lines.iter().map(|l| l.above + l.size * 1.18).sum();
    let mut y = (MIDDLE - height / 2.0).max(64.0);
    for l in &lines {
        y += l.above + l.size * 1.18;
        line(out, COLUMN, y - l.size * 0.3, l);
    }
}

fn line(out: &mut String, x: f32, base: f32, l: &Line) {
    let mut x = x;
    if let Some(name) = l.icon {
        let top = base - l.size * 0.365 - 32.0;
        out.push_str(&format!("<g transform=\"translate({x:.0} {top:.0})\" color=\"{}\">{}</g>", l.colour, icon(name)));
        x += 90.0;
    }
    let weight = if l.bold { "bold" } else { "normal" };
    let (x, base, size) = (format!("{x:.0}"), format!("{base:.0}"), l.size.to_string());
    let template =
        "<text x=\"{{x}}\" y=\"{{base}}\" font-size=\"{{size}}\" font-weight=\"{{weight}}\" fill=\"{{colour}}\">{{words}}</text>";
    let values =
        [("x", x.as_str()), ("base", &base), ("size", &size), ("weight", weight), ("colour", l.colour), ("words", l.text.as_str())];
    out.push_str(&fill(template, &values));
}

fn choices(out: &mut String, ruler: &mut Ruler<'_>, words: &Words, focus: Choice, answer: &str) {
    let answer_label = words.get(answer);
    let decline = words.get("decline");
    let buttons = [
        (Choice::Answer, 112.0, answer_label, "answer", palette::YES, palette::YES_ON_FOCUS),
        (Choice::Decline, 1000.0, decline, "decline", palette::NO, palette::NO_ON_FOCUS),
    ];
    let (width, height, y) = (808.0, 190.0, 684.0);
    for (choice, x, label, name, mark, mark_on_focus) in buttons {
        let focused = choice == focus;
        let fitted = ruler.fit(&label, if focused { width - 150.0 - 190.0 } else { width - 150.0 - 40.0 }, 1, 84.0);
        let values = [
            ("x", x.to_string()),
            ("y", y.to_string()),
            ("width", width.to_string()),
            ("height", height.to_string()),
            ("outer_width", (width + 32.0).to_string()),
            ("outer_height", (height + 32.0).to_string()),
            ("icon_y", ((height - 64.0 * 1.4) / 2.0).to_string()),
            ("mark", if focused { mark_on_focus } else { mark }.to_string()),
            ("icon", icon(name).to_string()),
            ("base", (height / 2.0 + fitted.size * 0.365).to_string()),
            ("size", fitted.size.to_string()),
            ("label", fitted.lines.concat()),
            ("badge_x", (width - 172.0).to_string()),
            ("badge_y", ((height - 100.0) / 2.0).to_string()),
            ("ok", words.get("key-ok")),
        ];
        let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
        out.push_str(&fill(if focused { BUTTON_FOCUS } else { BUTTON }, &values));
    }
}

fn foot(out: &mut String, icon: &'static str, text: &str) {
    line(out, SAFE_X as f32 + 12.0, FOOT, &Line { icon: Some(icon), ..Line::soft(text.to_owned()) });
}

fn key(out: &mut String, ruler: &mut Ruler<'_>, x: f32, y: f32, name: &str, label: &str) {
    let width = ruler.width(name, SMALLEST, true) + 64.0;
    let values = [
        ("x", x.to_string()),
        ("y", y.to_string()),
        ("width", width.to_string()),
        ("middle", (width / 2.0).to_string()),
        ("key", name.to_owned()),
        ("after", (width + 28.0).to_string()),
        ("label", label.to_owned()),
    ];
    let values: Vec<(&str, &str)> = values.iter().map(|(n, v)| (*n, v.as_str())).collect();
    out.push_str(&fill(KEY, &values));
}

/// How wide the words about hanging up are.
fn hang_up_width(ruler: &mut Ruler<'_>, words: &Words) -> f32 {
    ruler.width(&words.get("key-back"), SMALLEST, true) + ruler.width(&words.get("hang-up"), SMALLEST, false) + 92.0
}

fn hang_up(out: &mut String, ruler: &mut Ruler<'_>, words: &Words) {
    key(out, ruler, SAFE_X as f32 + 12.0, FOOT - 69.0, &words.get("key-back"), &words.get("hang-up"));
}

/// Whether somebody can see the resident.
fn camera_sign(out: &mut String, words: &Words, medium: Medium, no_camera: bool) {
    let (icon, key, colour) = match medium {
        Medium::Audio => ("camera-off", "camera-stays-off", palette::SOFT),
        Medium::Video if no_camera => ("camera-off", "no-camera-now", palette::WARM),
        Medium::Video => ("camera", "camera-on", palette::YES),
    };
    line(out, SAFE_X as f32 + 12.0, 800.0, &Line { icon: Some(icon), colour, ..Line::soft(words.get(key)) });
}

fn ended(ending: Ending) -> &'static str {
    match ending {
        Ending::HungUp => "ended-by-you",
        Ending::Declined(Decline::ByResident) => "ended-by-resident",
        Ending::Declined(_) => "ended-declined",
        Ending::Withdrawn => "ended-withdrawn",
        Ending::CallerNeverCame | Ending::RoomFailed => "ended-failed",
        Ending::MediaFailed => "ended-media",
        Ending::MaximumLength => "ended-maximum",
        Ending::CallerEnded | Ending::CallerLeft | Ending::Shutdown => "ended",
    }
}

fn missed(out: &mut String, ruler: &mut Ruler<'_>, words: &Words, calls: &[(Caller, jiff::Timestamp)], today: jiff::Timestamp) {
    let count = |n: usize| [("calls", FluentValue::from(i64::try_from(n).unwrap_or(i64::MAX)))];
    let title = Line { bold: true, size: 92.0, colour: palette::TEXT, ..Line::soft(words.with("missed", &count(calls.len()))) };
    line(out, SAFE_X as f32 + 12.0, 158.0, &title);
    let shown = if calls.len() > ROWS { ROWS - 1 } else { calls.len() };
    for (i, (caller, at)) in calls.iter().take(shown).enumerate() {
        let when = words.when(*at, today);
        let room = 1728.0 - 104.0 - 60.0 - ruler.width(&when, SMALLEST, false);
        let name = ruler.fit(&plain(&caller.name).to_uppercase(), room, 1, 76.0);
        let (y, size) = ((222 + 170 * i).to_string(), name.size.to_string());
        out.push_str(&fill(ROW, &[("y", &y), ("size", &size), ("name", &name.lines.concat()), ("when", &when)]));
    }
    if shown < calls.len() {
        let more = words.with("missed-more", &count(calls.len() - shown));
        line(out, SAFE_X as f32 + 52.0, 222.0 + 170.0 * shown as f32 + 96.0, &Line::soft(more));
    }
    line(out, SAFE_X as f32 + 12.0, FOOT, &Line::soft(words.get("any-key-closes")));
}

/// The cards over the caller's picture.
pub fn cards(ruler: &mut Ruler<'_>, words: &Words, scene: &Scene) -> Vec<(Area, String)> {
    let Scene::InCall { caller, medium, weak, muted, no_camera, .. } = scene else { return Vec::new() };
    let area = if *weak || *muted { BANNER_TALL } else { BANNER };
    let mut out = String::new();
    let (width, height) = (area.width as f32, area.height as f32);
    let keys = hang_up_width(ruler, words);
    let name = ruler.fit(&plain(&caller.name).to_uppercase(), width - keys - 150.0, 1, 76.0);
    let base = height - 144.0 + 97.0;
    line(&mut out, 44.0, base, &Line { bold: true, size: name.size, colour: palette::TEXT, ..Line::soft(name.lines.concat()) });
    key(&mut out, ruler, width - keys - 44.0, height - 118.0, &words.get("key-back"), &words.get("hang-up"));
    let mut x = 44.0;
    if *muted {
        // Beside a warning the sign alone has to do.
        let text = if *weak { String::new() } else { words.get("microphone-off") };
        line(&mut out, x, 104.0, &Line { icon: Some("microphone-off"), colour: palette::TEXT, ..Line::soft(text) });
        x += 110.0;
    }
    if *weak {
        line(&mut out, x, 104.0, &Line { icon: Some("weak"), ..Line::warm(words.get("weak")) });
    }
    let mut cards = vec![(area, out)];
    if *medium == Medium::Video {
        let mut sign = String::new();
        let (icon, key, colour) =
            if *no_camera { ("camera-off", "no-camera-now", palette::WARM) } else { ("camera", "camera-on", palette::YES) };
        line(&mut sign, 10.0, 70.0, &Line { icon: Some(icon), colour, ..Line::soft(words.get(key)) });
        cards.push((SIGN, sign));
    }
    cards
}
