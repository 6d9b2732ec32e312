//! Whether a microphone is there, told from what the kernel lists: nothing is opened, so nothing can hang.

use std::path::Path;

/// Whether this ALSA device could record now, as far as can be told. The kernel's list in /proc/asound is hidden from the
/// service (`ProcSubset=pid`); each device that records has a node `pcmC<card>D<device>c`, and its card's name is in /sys.
pub fn records(device: &str) -> bool {
    listed(device, Path::new("/dev/snd"), Path::new("/sys/class/sound"))
}

fn listed(device: &str, nodes: &Path, cards: &Path) -> bool {
    let mut start = "pcmC".to_owned();
    if let Some(card) = card_of(device) {
        match (card.parse::<u32>(), std::fs::read_dir(cards)) {
            (Ok(number), _) => start = format!("pcmC{number}D"),
            (Err(_), Ok(cards)) => match cards.flatten().find_map(|entry| number_of(card, &entry.path())) {
                Some(number) => start = format!("pcmC{number}D"),
                None => return false,
            },
            // Where /sys is hidden, too, any card may be this one.
            (Err(_), Err(_)) => {}
        }
    }
    // A name that means no card in particular may be any of them.
    let is_one = |name: &str| name.starts_with(&start) && name.ends_with('c');
    std::fs::read_dir(nodes).is_ok_and(|nodes| nodes.flatten().any(|node| node.file_name().to_str().is_some_and(is_one)))
}

/// The card in a name of a device, where it has one: `plughw:CARD=C920,DEV=0`, `hw:1,0`, `sysdefault:C920`.
fn card_of(device: &str) -> Option<&str> {
    let (kind, arguments) = device.split_once(':')?;
    if !["hw", "plughw", "default", "sysdefault", "front", "dsnoop", "hdmi"].contains(&kind) {
        return None;
    }
    let mut arguments = arguments.split(',').map(str::trim);
    let named = arguments.clone().find_map(|argument| argument.strip_prefix("CARD="));
    named.or_else(|| arguments.next().filter(|first| !first.is_empty() && !first.contains('=')))
}

/// The number of the card at this place below /sys/class/sound, if it has this name.
fn number_of(name: &str, card: &Path) -> Option<u32> {
    let number = card.file_name()?.to_str()?.strip_prefix("card")?.parse().ok()?;
    let id = std::fs::read_to_string(card.join("id")).ok()?;
    (id.trim() == name).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_microphone_counts_as_missing_when_its_own_card_is_gone_and_others_are_there() {
        let box_ = tempfile::tempdir().unwrap();
        let (nodes, cards) = (box_.path().join("snd"), box_.path().join("sound"));
        for dir in [&nodes, &cards.join("card0"), &cards.join("card2")] {
            std::fs::create_dir_all(dir).unwrap();
        }
        for node in ["controlC0", "pcmC0D3p", "controlC2", "pcmC2D0c", "pcmC2D0p"] {
            std::fs::write(nodes.join(node), "").unwrap();
        }
        std::fs::write(cards.join("card0/id"), "HDMI\n").unwrap();
        std::fs::write(cards.join("card2/id"), "C920\n").unwrap();
        let there = |device: &str| listed(device, &nodes, &cards);
        for device in ["hw:CARD=C920,DEV=0", "plughw:C920", "hw:2,0", "sysdefault:CARD=C920", "default", "pulse", "plug:SLAVE=\"hw:1\""] {
            assert!(there(device), "{device}");
        }
        for device in ["hw:CARD=HDMI,DEV=3", "plughw:Webcam", "hw:1,0", "hw:0,3"] {
            assert!(!there(device), "{device}");
        }
        assert!(listed("plughw:Webcam", &nodes, &box_.path().join("hidden")));
        std::fs::remove_file(nodes.join("pcmC2D0c")).unwrap();
        assert!(!there("default") && !there("plughw:C920"));
    }
}
