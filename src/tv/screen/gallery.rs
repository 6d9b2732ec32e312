//! Pictures of every screen, for technicians and tests: as a viewer would see them, without a television.

use super::{HEIGHT, OWN, OWN_EDGE, Painter, Pen, Picture, WIDTH, Words};
use crate::call::{CallId, Caller, CallerId, Ending, LineId, Medium, Scene};
use crate::tv::dialog::Choice;
use crate::tv::stage::View;
use image::{ImageFormat, Rgba, RgbaImage, imageops};
use std::io::Cursor;
use std::time::{Duration, Instant};

/// The screens there are, by name.
pub const SCREENS: [&str; 13] = [
    "ringing",
    "ringing-decline",
    "ringing-audio",
    "countdown",
    "connecting",
    "in-call",
    "in-call-audio",
    "in-call-weak",
    "in-call-no-camera",
    "ended",
    "missed",
    "missed-many",
    "no-camera",
];

/// A screen as a PNG of 1920 by 1080, with an invented caller. Draws on the calling thread for about a second.
///
/// # Errors
/// There is no screen of this name (see [`SCREENS`]), or it cannot be drawn: there is no font.
pub fn png(screen: &str, locale: &str, time_zone: &str, font: &str) -> Result<Vec<u8>, String> {
    let (now, today) = (Instant::now(), jiff::Timestamp::now());
    let view = view(screen, now, today).ok_or_else(|| format!("there is no screen {screen:?}, only {}", SCREENS.join(", ")))?;
    let mut painter = Painter::new(Pen::new(font), Words::new(locale, time_zone));
    let picture = painter.paint(&view, None, now, today).ok_or("the screen cannot be drawn; check that a font is installed")?;
    let mut png = Cursor::new(Vec::new());
    seen(&picture)?.write_to(&mut png, ImageFormat::Png).map_err(|e| e.to_string())?;
    Ok(png.into_inner())
}

fn view(screen: &str, now: Instant, today: jiff::Timestamp) -> Option<View> {
    let caller = || Caller {
        line: LineId("example".into()),
        id: CallerId("1".into()),
        username: None,
        name: "Margaret Jørgensen".into(),
        role: None,
        photo: None,
    };
    let call = CallId(1);
    let in_call = |medium, weak, no_camera| Scene::InCall { call, caller: caller(), medium, weak, muted: weak, no_camera };
    let hours_ago = |hours| (caller(), today - jiff::SignedDuration::from_hours(hours));
    let length = Duration::from_secs(10);
    let scene = match screen {
        "ringing" | "ringing-decline" => Scene::Ringing { call, caller: caller(), medium: Medium::Video },
        "ringing-audio" => Scene::Ringing { call, caller: caller(), medium: Medium::Audio },
        "countdown" => Scene::Countdown { call, caller: caller(), medium: Medium::Video, until: Some(now + length), length },
        "connecting" => Scene::Connecting { call, caller: caller(), medium: Medium::Video },
        "in-call" => in_call(Medium::Video, false, false),
        "in-call-audio" => in_call(Medium::Audio, false, false),
        "in-call-weak" => in_call(Medium::Video, true, false),
        "in-call-no-camera" => in_call(Medium::Video, false, true),
        "ended" => Scene::Ended { caller: caller(), ending: Ending::CallerEnded },
        "missed" => Scene::Missed { calls: vec![hours_ago(0)] },
        "missed-many" => Scene::Missed { calls: (0..6).map(|i| hours_ago(20 * i)).collect() },
        "no-camera" => Scene::NoCamera { caller: caller() },
        _ => return None,
    };
    Some(View { scene, focus: if screen == "ringing-decline" { Choice::Decline } else { Choice::Answer } })
}

/// The picture as it is seen: in a video call, over a grey one of the caller.
fn seen(picture: &Picture) -> Result<RgbaImage, String> {
    let of = |p: &resvg::tiny_skia::Pixmap| RgbaImage::from_raw(p.width(), p.height(), p.data().to_vec()).ok_or("the picture is torn");
    let mut out = of(&picture.page)?;
    if picture.live && picture.cards.len() > 1 {
        out = RgbaImage::from_pixel(WIDTH, HEIGHT, Rgba([128, 128, 128, 255]));
        if picture.own {
            let own = RgbaImage::from_pixel(OWN.width + 2 * OWN_EDGE, OWN.height + 2 * OWN_EDGE, Rgba([80, 80, 80, 255]));
            imageops::replace(&mut out, &own, i64::from(OWN.x - OWN_EDGE), i64::from(OWN.y - OWN_EDGE));
        }
        for card in &picture.cards {
            imageops::replace(&mut out, &of(&card.picture)?, i64::from(card.area.x), i64::from(card.area.y));
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_screen_is_a_picture_of_full_size_and_nothing_else_is_one() {
        for screen in SCREENS {
            let png = png(screen, "en-GB", "Europe/London", "DejaVu Sans").unwrap();
            let picture = image::load_from_memory(&png).unwrap();
            assert_eq!((picture.width(), picture.height()), (WIDTH, HEIGHT), "{screen}");
        }
        assert!(png("advertisement", "en", "UTC", "").unwrap_err().contains("only ringing"));
    }
}
