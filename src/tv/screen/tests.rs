//! The pictures as they were looked at, and the rules they all keep.

use super::*;
use crate::call::{CallId, Caller, Ending, Medium};
use crate::tv::dialog::Choice;
use crate::tv::scenes;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::{ImageFormat, RgbaImage, imageops};
use std::path::PathBuf;
use std::time::Duration;

fn today() -> jiff::Timestamp {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

fn painter(locale: &str) -> Painter {
    Painter::new(Pen::new("DejaVu Sans"), Words::new(locale, "Europe/London"))
}

fn view(scene: Scene) -> View {
    View { scene, focus: Choice::Answer }
}

fn in_call(medium: Medium, weak: bool, muted: bool, no_camera: bool) -> Scene {
    Scene::InCall { call: CallId(1), caller: scenes::caller(), medium, weak, muted, no_camera }
}

fn named(name: &str) -> Caller {
    Caller { name: name.into(), ..scenes::caller() }
}

/// Every picture there is, by name.
fn pictures(now: Instant) -> Vec<(&'static str, View)> {
    let audio = Scene::Ringing { call: CallId(1), caller: named("Ada"), medium: Medium::Audio };
    let many = (0..6).map(|i| (scenes::caller(), today() - jiff::SignedDuration::from_hours(20 * i))).collect();
    vec![
        ("ringing", view(scenes::ringing())),
        ("ringing-decline", View { scene: scenes::ringing(), focus: Choice::Decline }),
        ("ringing-audio", view(audio)),
        ("countdown", view(scenes::counting(now + Duration::from_secs(7)))),
        ("connecting", view(scenes::connecting())),
        ("in-call", view(scenes::in_call())),
        ("in-call-audio", view(in_call(Medium::Audio, false, true, false))),
        ("in-call-weak", view(in_call(Medium::Video, true, true, false))),
        ("in-call-no-camera", view(in_call(Medium::Video, false, true, true))),
        ("ended", view(scenes::ended())),
        ("missed", view(scenes::missed())),
        ("missed-many", view(Scene::Missed { calls: many })),
        ("no-camera", view(scenes::no_camera())),
    ]
}

/// The picture as it is seen: in a video call, over a grey one of the caller.
fn seen(picture: &Picture) -> RgbaImage {
    let of = |p: &Pixmap| RgbaImage::from_raw(p.width(), p.height(), p.data().to_vec()).unwrap();
    let mut out = of(&picture.page);
    if picture.live && picture.cards.len() > 1 {
        out.pixels_mut().for_each(|p| p.0 = [128, 128, 128, 255]);
        if picture.own {
            let edge = OWN_EDGE;
            let own = RgbaImage::from_pixel(OWN.width + 2 * edge, OWN.height + 2 * edge, image::Rgba([80, 80, 80, 255]));
            imageops::replace(&mut out, &own, i64::from(OWN.x - edge), i64::from(OWN.y - edge));
        }
        for card in &picture.cards {
            imageops::replace(&mut out, &of(&card.picture), i64::from(card.area.x), i64::from(card.area.y));
        }
    }
    out
}

/// Half of each colour's bits are enough, and pack well.
fn keep(picture: &RgbaImage, path: &std::path::Path) {
    let mut rgb = image::DynamicImage::from(picture.clone()).to_rgb8();
    rgb.pixels_mut().for_each(|p| p.0 = p.0.map(|c| c & 0xf0 | c >> 4));
    let file = std::fs::File::create(path).unwrap();
    let encoder = PngEncoder::new_with_quality(file, CompressionType::Best, FilterType::NoFilter);
    rgb.write_with_encoder(encoder).unwrap();
}

/// A third of the size is enough to see every word, and small enough to be kept. `UPDATE_SNAPSHOTS=1` draws them anew;
/// then look at them.
#[test]
fn pictures_are_as_they_were_looked_at() {
    let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/screen");
    let update = std::env::var_os("UPDATE_SNAPSHOTS").is_some();
    let now = Instant::now();
    let mut wrong = Vec::new();
    for locale in ["en-GB", "de"] {
        let mut painter = painter(locale);
        for (name, view) in pictures(now) {
            let picture = painter.paint(&view, None, now, today()).unwrap();
            let small = imageops::thumbnail(&seen(&picture), WIDTH / 3, HEIGHT / 3);
            let path = dir.join(format!("{name}.{locale}.png"));
            if update {
                std::fs::create_dir_all(&dir).unwrap();
                keep(&small, &path);
                continue;
            }
            let Ok(kept) = image::open(&path) else {
                wrong.push(format!("{} is missing", path.display()));
                continue;
            };
            let kept = kept.to_rgba8();
            // Fonts differ a little between versions: a few pixels at the edges of letters.
            let off = |(a, b): (&image::Rgba<u8>, &image::Rgba<u8>)| (0..3).any(|i| a.0[i].abs_diff(b.0[i]) > 64);
            let different = kept.pixels().zip(small.pixels()).filter(|p| off(*p)).count();
            if kept.dimensions() != small.dimensions() || different > 400 {
                let new = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target").join(format!("{name}.{locale}.new.png"));
                small.save(&new).unwrap();
                wrong.push(format!("{}: {different} pixels differ, see {}", path.display(), new.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\nlook, then UPDATE_SNAPSHOTS=1 (needs the package fonts-dejavu-core)", wrong.join("\n"));
}

/// All SVG that is set for the pictures of a language.
fn svg(locale: &str) -> Vec<(&'static str, String)> {
    let mut painter = painter(locale);
    let mut all = Vec::new();
    for (name, view) in pictures(Instant::now()) {
        all.extend(pages::page(&mut painter.pen.ruler(), &painter.words, &view, today()).map(|page| (name, page)));
        all.extend(pages::cards(&mut painter.pen.ruler(), &painter.words, &view.scene).into_iter().map(|(_, card)| (name, card)));
    }
    all
}

#[test]
fn no_capital_is_lower_than_45_pixels_and_nothing_leans_or_moves() {
    for (name, svg) in svg("en-GB").into_iter().chain(svg("de")) {
        let sizes: Vec<f32> = svg.split("font-size=\"").skip(1).map(|s| s.split('"').next().unwrap().parse().unwrap()).collect();
        assert!(!sizes.is_empty());
        assert!(sizes.iter().all(|s| *s * 0.729 >= 45.0), "{name}: {sizes:?}");
        for word in ["italic", "oblique", "animate", "{{"] {
            assert!(!svg.contains(word), "{name} has {word}");
        }
    }
}

#[test]
fn no_word_of_ours_is_cut() {
    for locale in ["en-GB", "de"] {
        let words = Words::new(locale, "UTC");
        let with_dots = words.get("connecting");
        for (name, svg) in svg(locale) {
            // Set in two lines, the dots are at the end of the second.
            let cut = svg.split("</text>").filter(|t| t.ends_with('…')).find(|t| {
                let said = t.rsplit('>').next().unwrap();
                !with_dots.ends_with(said)
            });
            assert_eq!(cut, None, "{locale} {name}");
        }
    }
}

#[test]
fn nothing_lies_in_the_part_that_televisions_cut_off() {
    let now = Instant::now();
    let mut painter = painter("de");
    let long = "Wolfeschlegelsteinhausenbergerdorff ".repeat(5);
    let extra = Scene::Ringing { call: CallId(1), caller: named(&long), medium: Medium::Video };
    for (name, view) in pictures(now).into_iter().chain([("long", view(extra))]) {
        let picture = painter.paint(&view, None, now, today()).unwrap();
        let ground = picture.page.pixel(0, 0).unwrap();
        for y in 0..HEIGHT {
            for x in 0..WIDTH {
                let inside = (SAFE_X - 4..WIDTH - SAFE_X + 4).contains(&x) && (SAFE_Y - 4..HEIGHT - SAFE_Y + 4).contains(&y);
                if !inside && picture.page.pixel(x, y) != Some(ground) {
                    panic!("{name}: something at {x},{y}");
                }
            }
        }
    }
    for area in [OWN, SIGN, BANNER, BANNER_TALL, NUMBER] {
        assert!(area.x + 6 >= SAFE_X && area.x + area.width <= WIDTH - SAFE_X + 6, "{area:?}");
        assert!(area.y >= SAFE_Y && area.y + area.height <= HEIGHT - SAFE_Y, "{area:?}");
        assert!([area.x, area.y, area.width, area.height].iter().all(|n| n % 2 == 0), "{area:?} has odd numbers");
    }
}

#[test]
fn focus_is_seen_without_colours() {
    let mut painter = painter("en");
    let now = Instant::now();
    let grey = |focus| {
        let view = View { scene: scenes::ringing(), focus };
        image::DynamicImage::from(seen(&painter.paint(&view, None, now, today()).unwrap())).to_luma8()
    };
    let [answer, decline] = [Choice::Answer, Choice::Decline].map(grey);
    let different = answer.pixels().zip(decline.pixels()).filter(|(a, b)| a.0[0].abs_diff(b.0[0]) > 120).count();
    assert!(different > 100_000, "{different} pixels");
}

#[test]
fn any_name_can_be_drawn() {
    let mut painter = painter("en");
    let long = "x".repeat(5000);
    let zalgo = format!("Z{}", "\u{0301}".repeat(300));
    let names = [
        "",
        " ",
        "\u{0}\u{1}\u{fffe}",
        "</text></svg>&amp;{{font}}",
        "مريم العلي",
        "👩‍👩‍👧‍👦 Großmutter",
        "שרה כהן Cohen",
        "\u{202e}evil",
        "大野 花子",
        &long,
        &zalgo,
    ];
    for name in names {
        for scene in [
            Scene::Ringing { call: CallId(1), caller: named(name), medium: Medium::Video },
            Scene::InCall { call: CallId(1), caller: named(name), medium: Medium::Video, weak: true, muted: true, no_camera: true },
            Scene::Missed { calls: vec![(named(name), today())] },
        ] {
            let picture = painter.paint(&view(scene), None, Instant::now(), today()).unwrap();
            // Drawn at all: an SVG that cannot be parsed leaves a transparent picture.
            assert_eq!(picture.page.pixel(0, 0).unwrap().alpha(), 255, "{name:?}");
            assert!(picture.cards.iter().all(|c| c.picture.pixel(0, 0).unwrap().alpha() == 255), "{name:?}");
        }
    }
}

#[test]
fn counting_down_redraws_the_number_only_and_ends_at_zero() {
    let mut painter = painter("en");
    let now = Instant::now();
    let until = now + Duration::from_secs(9);
    let scene = scenes::counting(until);
    let mut picture = painter.paint(&view(scene.clone()), None, now, today()).unwrap();
    let mut at = now;
    let mut changes = 0;
    while let Some(next) = painter.count(&scene, &mut picture, at) {
        assert!(next > at && next <= until, "{:?}", next - now);
        at = next;
        changes += 1;
    }
    assert_eq!((changes, at), (9, until));
    let whole = painter.paint(&view(scene.clone()), None, at, today()).unwrap();
    assert!(whole.page.data() == picture.page.data(), "the part does not fit the whole");
    // Not seen and heard yet: the number stands still.
    assert_eq!(painter.count(&scenes::countdown(), &mut picture, now), None);
}

#[test]
fn a_photograph_takes_the_initials_place_and_a_broken_one_does_not() {
    let mut painter = painter("en");
    let now = Instant::now();
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image::RgbImage::from_pixel(300, 500, image::Rgb([250, 10, 10])).write_to(&mut jpeg, ImageFormat::Jpeg).unwrap();
    let photo = Photo::decode(jpeg.get_ref()).unwrap();
    let picture = painter.paint(&view(scenes::ringing()), Some(&photo), now, today()).unwrap();
    let middle = picture.page.pixel(340, 340).unwrap();
    assert!(middle.red() > 240 && middle.green() < 30, "{middle:?}");
    let corner = picture.page.pixel(110, 110).unwrap();
    assert_eq!(Some(corner), picture.page.pixel(0, 0), "it is round");
    let half = &jpeg.get_ref()[..200];
    for broken in [&[][..], b"GIF89a", half, &vec![0; 9 << 20]] {
        assert!(Photo::decode(broken).is_err());
    }
}

#[test]
fn how_a_call_ended_is_said_in_other_words_where_it_matters() {
    let mut painter = painter("en");
    let mut page = |ending| {
        let scene = Scene::Ended { caller: scenes::caller(), ending };
        pages::page(&mut painter.pen.ruler(), &painter.words, &view(scene), today()).unwrap()
    };
    assert!(page(Ending::HungUp).contains("You hung up"));
    assert!(page(Ending::RoomFailed).contains("The connection was lost"));
    assert!(page(Ending::CallerEnded).contains("The call has ended"));
}
