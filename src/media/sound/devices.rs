//! Sound cards, listed with the names that people know them by: the webcam's, the television's.

use super::super::camera::device::{ANSWER_WITHIN, within};
use alsa::ctl::{Ctl, DeviceIter, ElemIface, ElemType, ElemValue};
use alsa::device_name::HintIter;
use alsa::{Card, Direction};
use serde::Serialize;

/// A place where sound comes in or goes out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SoundDevice {
    /// What belongs into the configuration; it names the card, not its number, which changes with the plugs.
    pub device: String,
    /// What people know it by.
    pub name: String,
    /// It is an HDMI output.
    pub hdmi: bool,
    /// For HDMI outputs that say so: whether a screen that plays sound is connected.
    pub connected: Option<bool>,
}

/// Microphones and loudspeakers, in the order of the cards.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct SoundDevices {
    /// What records.
    pub microphones: Vec<SoundDevice>,
    /// What plays.
    pub speakers: Vec<SoundDevice>,
}

/// One PCM device as ALSA describes it.
#[derive(Debug, Default)]
struct Pcm {
    /// The card's short name without blanks.
    card: String,
    /// What the card calls itself.
    title: String,
    number: u32,
    /// What this part of the card is called.
    part: String,
    /// The connected screen's description of itself, for HDMI.
    eld: Option<Vec<u8>>,
}

/// All sound devices of the box. A card that does not answer is left out, after three seconds.
pub fn list() -> SoundDevices {
    let mut all = SoundDevices::default();
    for card in alsa::card::Iter::new().flatten() {
        let of_card = within(ANSWER_WITHIN, move || [Direction::Capture, Direction::Playback].map(|direction| of_card(card, direction)));
        let Some([microphones, speakers]) = of_card else { continue };
        all.microphones.extend(microphones);
        all.speakers.extend(speakers);
    }
    all
}

fn of_card(card: Card, direction: Direction) -> Vec<SoundDevice> {
    let hints = hdmi_hints(card);
    parts(card, direction).unwrap_or_default().iter().map(|pcm| describe(pcm, direction, &hints)).collect()
}

fn parts(card: Card, direction: Direction) -> alsa::Result<Vec<Pcm>> {
    let ctl = Ctl::from_card(&card, true)?;
    let info = ctl.card_info()?;
    let (id, title) = (info.get_id()?.to_owned(), info.get_name()?.trim().to_owned());
    let mut found = Vec::new();
    for number in DeviceIter::new(&ctl).filter_map(|n| u32::try_from(n).ok()) {
        // No device in this direction.
        let Ok(pcm) = ctl.pcm_info(number, 0, direction) else { continue };
        let part = pcm.get_name().unwrap_or_default().trim().to_owned();
        found.push(Pcm { card: id.clone(), title: title.clone(), number, part, eld: eld(&ctl, number) });
    }
    Ok(found)
}

/// What the screen on this HDMI output says of itself; all zero without a screen, `None` where it is no HDMI output.
fn eld(ctl: &Ctl, device: u32) -> Option<Vec<u8>> {
    let elements = ctl.elem_list().ok()?;
    let wanted = |i: &u32| {
        elements.get_name(*i).is_ok_and(|n| n == "ELD")
            && elements.get_interface(*i).is_ok_and(|i| i == ElemIface::PCM)
            && elements.get_device(*i).is_ok_and(|d| d == device)
    };
    let id = (0..elements.get_used()).find(wanted).and_then(|i| elements.get_id(i).ok())?;
    let mut value = ElemValue::new(ElemType::Bytes).ok()?;
    value.set_id(&id);
    ctl.elem_read(&mut value).ok()?;
    Some(value.get_bytes().unwrap_or_default().to_vec())
}

/// ALSA's own devices for HDMI (they set what the television wants to know about the sound): name and description.
fn hdmi_hints(card: Card) -> Vec<(String, String)> {
    let hints = HintIter::new(Some(&card), c"pcm").into_iter().flatten();
    hints.filter_map(|h| Some((h.name?, h.desc.unwrap_or_default()))).filter(|(name, _)| name.starts_with("hdmi:")).collect()
}

fn describe(pcm: &Pcm, direction: Direction, hints: &[(String, String)]) -> SoundDevice {
    let hdmi =
        direction == Direction::Playback && (pcm.eld.is_some() || format!("{} {}", pcm.title, pcm.part).to_lowercase().contains("hdmi"));
    let own = format!("hdmi:CARD={},", pcm.card);
    // "HDA Intel PCH, HDMI 0\nHDMI Audio Output"
    let hint = hints.iter().find(|(name, text)| {
        hdmi && name.starts_with(&own)
            && (hints.len() == 1 || text.lines().next().is_some_and(|line| line.ends_with(&format!(", {}", pcm.part))))
    });
    let device = hint.map_or_else(|| format!("plughw:CARD={},DEV={}", pcm.card, pcm.number), |(name, _)| name.clone());
    let screen = pcm.eld.as_deref().and_then(monitor);
    let generic = pcm.part.is_empty() || pcm.part.starts_with("USB Audio") || pcm.title.contains(&pcm.part);
    let name = match (&screen, hdmi, generic) {
        (Some(screen), ..) => format!("{screen}, by HDMI ({})", pcm.title),
        (None, true, _) => format!("HDMI ({}, {})", pcm.title, pcm.part),
        (None, false, true) => pcm.title.clone(),
        (None, false, false) => format!("{}, {}", pcm.title, pcm.part),
    };
    SoundDevice { device, name, hdmi, connected: pcm.eld.is_some().then_some(screen.is_some()) }
}

/// The screen's name out of its ELD (EDID-Like Data: High Definition Audio specification 7.3.3.34); `None` without one.
fn monitor(eld: &[u8]) -> Option<String> {
    let length = usize::from(eld.get(4)? & 0x1f);
    // A version of 0: nothing is connected.
    if eld[0] >> 3 == 0 {
        return None;
    }
    let name: String = String::from_utf8_lossy(eld.get(20..20 + length)?).chars().filter(|c| !c.is_control()).collect();
    Some(name.trim().to_owned()).map(|n| if n.is_empty() { "a screen".to_owned() } else { n })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eld_of(name: &str) -> Vec<u8> {
        let mut eld = vec![0u8; 20];
        (eld[0], eld[2], eld[4]) = (2 << 3, 8, (3 << 5) | name.len() as u8);
        eld.extend(name.as_bytes());
        eld.resize(96, 0);
        eld
    }

    fn pcm(card: &str, title: &str, number: u32, part: &str) -> Pcm {
        Pcm { card: card.into(), title: title.into(), number, part: part.into(), eld: None }
    }

    #[test]
    fn sound_cards_have_the_names_that_people_know() {
        let webcam = describe(&pcm("C920", "HD Pro Webcam C920", 0, "USB Audio"), Direction::Capture, &[]);
        assert_eq!((webcam.name.as_str(), webcam.device.as_str()), ("HD Pro Webcam C920", "plughw:CARD=C920,DEV=0"));
        let jack = describe(&pcm("PCH", "HDA Intel PCH", 0, "ALC892 Analog"), Direction::Playback, &[]);
        assert_eq!((jack.name.as_str(), jack.hdmi, jack.connected), ("HDA Intel PCH, ALC892 Analog", false, None));
    }

    #[test]
    fn an_hdmi_output_has_the_name_of_the_television_on_it() {
        let hints =
            [("hdmi:CARD=PCH,DEV=0", "HDA Intel PCH, HDMI 0\nHDMI Audio Output"), ("hdmi:CARD=PCH,DEV=1", "HDA Intel PCH, HDMI 1\nx")];
        let hints = hints.map(|(n, d)| (n.to_owned(), d.to_owned()));
        let mut second = pcm("PCH", "HDA Intel PCH", 7, "HDMI 1");
        second.eld = Some(eld_of("SAMSUNG"));
        let tv = describe(&second, Direction::Playback, &hints);
        assert_eq!((tv.name.as_str(), tv.device.as_str()), ("SAMSUNG, by HDMI (HDA Intel PCH)", "hdmi:CARD=PCH,DEV=1"));
        assert_eq!((tv.hdmi, tv.connected), (true, Some(true)));
        second.eld = Some(vec![0; 96]);
        let off = describe(&second, Direction::Playback, &hints);
        assert_eq!((off.name.as_str(), off.connected), ("HDMI (HDA Intel PCH, HDMI 1)", Some(false)));
        // One card that is nothing but HDMI, as on single-board computers.
        let one = [("hdmi:CARD=vc4hdmi,DEV=0".to_owned(), "vc4-hdmi, MAI PCM i2s-hifi-0\nHDMI Audio Output".to_owned())];
        assert_eq!(describe(&pcm("vc4hdmi", "vc4-hdmi", 0, "MAI PCM"), Direction::Playback, &one).device, "hdmi:CARD=vc4hdmi,DEV=0");
    }

    #[test]
    fn a_screen_that_says_nonsense_is_survived() {
        assert_eq!(monitor(&[]), None);
        assert_eq!(monitor(&[0x10, 0, 0, 0, 0x1f]), None);
        assert_eq!(monitor(&eld_of("")), Some("a screen".into()));
        assert_eq!(monitor(&eld_of("TV\u{7}\n")), Some("TV".into()));
    }

    #[test]
    fn listing_works_on_a_box_without_sound_cards() {
        let _ = list();
    }
}
