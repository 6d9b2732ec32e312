//! Each failure that a technician may meet: its MESSAGE_ID, what happened, what to check, what to replace. This table is
//! what `systemd/residentd.catalog` is written from (`residentd --catalogue`), and `journalctl -x` shows. The line in the
//! log says what happened just now; the table says what to do about it. An id stays with its failure for ever.

/// One failure.
#[derive(Debug, Clone, Copy)]
pub struct Message {
    /// MESSAGE_ID: 128 bits, in hexadecimal.
    pub id: &'static str,
    /// Its name in this table.
    pub name: &'static str,
    /// In a few words. `@FIELD@` is filled in from the entry.
    pub subject: &'static str,
    /// What it means.
    pub happened: &'static str,
    /// Where to look, in this order.
    pub check: &'static str,
    /// What to replace or change when that is of no use.
    pub replace: &'static str,
}

macro_rules! messages {
    ($($name:ident $id:literal $subject:literal happened $happened:literal check $check:literal replace $replace:literal)*) => {
        $(
            #[doc = $subject]
            pub const $name: Message =
                Message { id: $id, name: stringify!($name), subject: $subject, happened: $happened, check: $check, replace: $replace };
        )*

        /// Every one.
        pub const ALL: &[Message] = &[$($name,)*];
    };
}

messages! {
    LINE_OFFLINE "2e2a47359046455985b7dc0ba01fe4af"
        "The line @LINE@ is offline: nobody can call"
        happened "The connection to the platform is lost or cannot be made. It is tried again for ever, at growing intervals."
        check "The network: does the box have an address, does it resolve names, is the clock right (timedatectl)? Then `residentctl doctor`, which tries each stage by itself. A firewall must let out TCP 443."
        replace "The cable or the Wi-Fi, then the router. When other boxes at the same place are online, the address or key in line.chatta.*."

    LOGIN_REFUSED "ba3e0f04940e4287826c6a91ef9294fb"
        "The platform does not let the line @LINE@ in"
        happened "The login failed. Calls cannot arrive until it works; it is tried again for ever."
        check "User name and password, by logging in on the platform's own page. Whether the account is still active there. The clock: a box years in the past refuses every certificate."
        replace "The credential: `residentctl provision`."

    CHANNEL_REFUSED "299a3c8f3588496693160ca8eb87725d"
        "The platform refuses a channel to the line @LINE@"
        happened "The connection is up, but a channel was not granted. Without the call channel no call arrives."
        check "Whether customer and resident of the configuration are those of the account (line.chatta.customer, line.chatta.resident; 0 takes the account's own)."
        replace "The ids in the configuration, or the account's rights on the platform."

    INVISIBLE "de77f65ebe6e4874bba0b43d4b2ef57d"
        "The platform shows the resident as offline although calls can arrive"
        happened "Callers do not see the box, so that nobody will call."
        check "On the platform's page, whether the resident is shown as online a minute later. `residentctl doctor`."
        replace "line.chatta.channels: ask the platform which channel makes a box visible, and add it."

    NO_LINE "af5f64fcd6cd492f88cfe1ffa713aefd"
        "No line is configured: nobody can call"
        happened "The daemon runs, but has no account at any platform."
        check "`residentctl config show`: line.chatta.enabled, and from which file it comes."
        replace "The configuration: `residentctl provision`."

    REPLY_LOST "fba05af3167940e781f8f2b3931998f8"
        "A caller could not be told what became of the call"
        happened "The line was down too long for a reply to be of any use. The caller's page may ring on until the caller hangs up."
        check "LINE_OFFLINE entries around this time, and how often they come: an unsteady network."
        replace "Wi-Fi by a cable, or the access point."

    LINE_STUCK "d971495e1d2f4f7f9e6701776ee4179d"
        "The line takes no orders"
        happened "A part of the daemon hangs. The watchdog starts the daemon anew when it lasts."
        check "Whether it happens again. CPU and memory of the box (`systemctl status residentd`)."
        replace "Nothing: report it with the log (`residentctl bugreport`)."

    DEFECT "acc49da066064e0791d429fcfc4a0c58"
        "Something in the daemon went wrong that should not"
        happened "A fault of the program itself. It goes on as well as it can."
        check "Whether a newer version is there."
        replace "Nothing: report it with the log (`residentctl bugreport`)."

    STUCK "b97156cbd8e14a5188bcf050e0b76f45"
        "A part of the daemon makes no progress"
        happened "One of the loops that the watchdog asks does not answer. If that lasts, systemd starts the daemon anew."
        check "Whether a device or its driver hangs (`journalctl -k`), whether memory or processor are used up."
        replace "The device that the kernel complains of."

    STARTED_IN_VAIN "cf1708e8b295499db7353cdef3691701"
        "The daemon ends soon after each start"
        happened "Several starts in a row ended badly. It is started again for ever, but waits before it: longer from time to time, two minutes at most."
        check "The entries before this one, which say why it ended: a mistake in the configuration, a full or broken disk, too little memory (oom-kill), a library that does not fit."
        replace "What they name; then `systemctl restart residentd`, which does not wait. Else report it with the log (`residentctl bugreport`)."

    INTERRUPTED "0eb2269c3ec64929b80e42b7c1259f0e"
        "The daemon was interrupted in call @CALL_ID@"
        happened "It was killed, or the power failed. The call is logged as ended, its caller is told, the television is put back."
        check "Just before this entry: a power cut (the whole log begins anew), the watchdog, too little memory (oom-kill), or an upgrade."
        replace "After power cuts: the plug, a switched socket, the power supply."

    CONFIGURATION_REFUSED "df4df0dea03641f5a8c6729a4414023c"
        "The configuration has mistakes and is not taken over"
        happened "The files were read and refused as a whole; what was in force stays in force."
        check "`residentd --check-config` names every mistake with its file, its line and what is allowed."
        replace "What it names."

    CONFIGURATION_LATER "19c3177619164acba84157160f5a238b"
        "A part of the configuration takes effect at the next start only"
        happened "The new files are good and in force, but for the settings named."
        check "Nothing."
        replace "`systemctl restart residentd` when no call is going on."

    STATE_FULL "40829e0b44344fa88e4cd135c84ba9b8"
        "There is no space for the daemon's state"
        happened "Calls go on. The call log is not kept, and after a power cut the television may stay as it is then."
        check "`df -h /var/lib/residentd` and what fills it (`du -x`)."
        replace "The files that fill it; the flash memory when it is full of errors instead (`journalctl -k`)."

    STATE_UNWRITABLE "2d74c9e8820f4cc9b5d52b6b932b0ad0"
        "The daemon's state cannot be written"
        happened "The directory is missing, read-only, or another's. Calls go on without a call log."
        check "`ls -ld /var/lib/residentd` (residentd, 0700), `findmnt -T /var/lib/residentd` (rw). A file system that turned read-only by itself says why in `journalctl -k`."
        replace "The flash memory, when the kernel reports errors of it."

    STATE_IN_USE "825b35fae6c54599b97a620de654deac"
        "Another residentd uses the same state"
        happened "Two daemons run on one directory. This one goes on without keeping anything."
        check "`systemctl status residentd` and `pgrep -a residentd`: which one is not the service?"
        replace "Stop the other, or give it a state.directory of its own."

    STATE_BROKEN "7fe344c4259a490dbcdec4e5e6b12046"
        "The daemon's state was damaged and is begun anew"
        happened "The database could not be read. It is kept beside the new one. Call log and remembered state are empty."
        check "Power cuts and errors of the flash memory (`journalctl -k`)."
        replace "The flash memory, when it happens again."

    API_UNAVAILABLE "26b4377be5c9475bb2f78b2abaf784c7"
        "There is no local API"
        happened "residentctl cannot reach the daemon. Calls work all the same."
        check "Whether another residentd runs; whether /run/residentd is there and the daemon's own."
        replace "`systemctl restart residentd` when no call is going on."

    SECRET_READABLE "0de0b2570edb46c7a43331afd43f8848"
        "A secret can be read by others"
        happened "The file of a password or token is open to other users of the box."
        check "The file that the entry names."
        replace "Its mode: chmod 600. Then the password, if others may have read it."

    CERTIFICATES_UNREADABLE "68921b01e04b4aac916d1a26dd7d7172"
        "A certificate authority of the system cannot be read"
        happened "Connections that need it will be refused; others work."
        check "The package ca-certificates."
        replace "Install it again, or the image."

    TV_ASLEEP "0706665221cd4c61b7f6b81281be304c"
        "The television does not wake up"
        happened "It was asked several times over HDMI and does not come on. The call rings, but perhaps nobody sees it."
        check "The television's menu: HDMI control (its makers call it Anynet+, Bravia Sync, Simplink, VIERA Link, EasyLink) must be on. Is it at the mains? `residentctl test screen`."
        replace "The HDMI cable, by one with all its wires; an HDMI switch between box and television, by a direct cable."

    TV_SILENT "fe8183bfadfe4a6fadafadec40c68800"
        "The television does not answer"
        happened "What was changed cannot be put back now. It is done as soon as the television answers."
        check "Whether it is at the mains, and HDMI control on in its menu."
        replace "The HDMI cable."

    TV_REFUSES "8a5f7746175f43529746fa009c0d3cf0"
        "The television does not do what it was asked"
        happened "It answers, but refuses or ignores one of power, input and volume."
        check "HDMI control in its menu, and which parts of it are on. The kernel's words about it: `journalctl -k -g cec`."
        replace "The way the volume is set, where the television takes none over HDMI: the box's own."

    TV_REQUESTS_IMPOSSIBLE "bfb770cd999f4613bba9d3c8c9d0b668"
        "Requests to the television cannot be made"
        happened "tv.command holds HTTP requests, and what they need cannot be set up. Calls ring; the television is not switched."
        check "network.authority: is the file there, and is it PEM?"
        replace "That file; or requests by programs."

    TV_UNREMEMBERED "c9b29485bcfb454185caac6064c294ea"
        "How the television was before the call cannot be written down or read"
        happened "The call goes on. After a power cut in it, the television may stay as it is then."
        check "As for STATE_FULL and STATE_UNWRITABLE entries nearby."
        replace "As there."

    CALL_UNNOTICED "cb5c8c8ba2f34e608c77df8c42ff2adf"
        "The resident cannot see or hear call @CALL_ID@"
        happened "The dialog is not on the screen, or its tone does not sound. A call that would be answered by itself rings instead."
        check "Is the television on, and shows the box's input? `residentctl test screen`, `residentctl test speaker`."
        replace "As for TV_ASLEEP; a loudspeaker that is set to another device (media.speaker)."

    NO_FONT "a4d8c953352d4ff28055bc18c6b51b5b"
        "There is no font: dialogs have no words"
        happened "The screens are drawn without letters."
        check "`ls /usr/share/fonts`."
        replace "Install a font, for instance the package fonts-dejavu-core."

    NO_CAMERA "42fecde6d3174e69ba6da83d17a8e783"
        "A video call was declined: there is no camera"
        happened "The caller was told that the box has no camera."
        check "`residentctl devices`; is it plugged in, does `journalctl -k` see it? Is media.camera the right device?"
        replace "The camera's cable or port, then the camera."

    NO_MICROPHONE "ece4bc19612d4d1fa9924bb043208fa0"
        "A call was declined: there is no microphone"
        happened "The caller was told that the call cannot be taken."
        check "`residentctl devices`; is it plugged in? Is media.microphone the right device?"
        replace "The microphone (in many cameras it is built in), its cable or port."

    CAMERA_LOST "412f0b3d2da547b5a45deaced0ecf339"
        "The camera is lost in call @CALL_ID@"
        happened "The call goes on with sound. The camera is used again as soon as it is back."
        check "The plug; then `journalctl -k`: a camera that disconnects by itself lacks power, one that finds \"no space\" shares its USB bus with too much else."
        replace "A powered hub or another port; the cable; the camera."

    BUS_FULL "54f832d7af664f9d8d4e1b087c9243d9"
        "The camera has to do with less: its USB bus is full"
        happened "Other devices use what the bus carries. The camera is asked for a smaller picture, or a compressed one."
        check "Which devices share the bus (`lsusb -t`)."
        replace "The port, by one on another bus; the hub."

    SOUND_LOST "504e2b22ff6146f6a20b4cc51b1833ca"
        "Microphone or loudspeaker do not work"
        happened "The device named cannot be opened or gave up. It is tried again while the call lasts."
        check "`residentctl devices`, `residentctl test microphone`, `residentctl test speaker`. Does another program hold it (`fuser -v /dev/snd/*`)?"
        replace "The setting media.microphone or media.speaker; then the device."

    MEDIA_FAILED "792524263ba04252b424530bb66dac96"
        "The devices of call @CALL_ID@ failed"
        happened "The call was ended, because there would have been neither sound nor picture."
        check "The reason in the entry; missing GStreamer plugins (`residentctl doctor`)."
        replace "The packages or devices that it names."

    CODEC_RESTARTED "d4103afc60b24559bc34c7e7799930a4"
        "A video encoder or decoder failed and is started again"
        happened "Picture or sound stood still for a moment."
        check "Whether it happens often. With hardware codecs: `journalctl -k`."
        replace "media.hardware = false uses software instead."

    DEVICE_SLOW "cdf9c3f28bbf47a1a9131af6aaf4b98f"
        "A device takes long to close"
        happened "Its driver hangs. It may not be there for the next call."
        check "`journalctl -k`."
        replace "The device named there; a newer kernel."

    ROOM_FAILED "bcf5840c2a014a1883c6d5a744484984"
        "The room of call @CALL_ID@ failed"
        happened "The call could not meet, or broke off, and was ended."
        check "The reason in the entry. Network trouble: `residentctl doctor` tries signalling and the relay over UDP, TCP and TLS."
        replace "What blocks it: the network must let out TCP 443, better UDP 3478 too."

    RELAY_UNUSABLE "1acf4784294a4173a0153ed3709d90d4"
        "A relay for sound and picture cannot be used"
        happened "The network does not let this way through, or the relay refuses. Other ways are tried."
        check "`residentctl doctor`: at least one of UDP, TCP and TLS must work."
        replace "The firewall's rules."

    TICKET_FAILED "bfa1142a2f2d49e7bec7cc26eb4a1d57"
        "Call @CALL_ID@ could not be prepared"
        happened "The platform gave no entry to the room in time. The caller was told."
        check "LOGIN_REFUSED and LINE_OFFLINE entries nearby. The platform's own state."
        replace "Nothing at the box."

    STREAM_FAILED "e173ce6bd0bc44b187006132aaa16c53"
        "A part of sound or picture does not get through in call @CALL_ID@"
        happened "The two sides are connected, but one stream cannot be sent, received or shown. The rest of the call goes on."
        check "The reason in the entry. Whether it is so with every caller: then it is the box, else the caller's browser."
        replace "The caller's browser by a current one."

    PLATFORM_ODD "e462da59f18d4403acd98e29fc860437"
        "The platform or a caller says something unexpected"
        happened "A message was not understood, came too often, or lacks what it needs. It was passed over."
        check "Whether calls work all the same; whether a newer version of residentd is there."
        replace "Nothing at the box: tell the platform's people, with the log (`residentctl bugreport`)."

    NETWORK_UNWATCHED "6b0206b8bae34389b2e4b67009666ef6"
        "The box does not see changes of its network at once"
        happened "A new address or cable is noticed a minute later than usual. Calls work."
        check "A drop-in that narrows RestrictAddressFamilies= of the unit: AF_NETLINK must be among them."
        replace "That drop-in."

    CEC_UNUSABLE "be6fbca9eebd4adcb6cd776191c97fdd"
        "The box cannot speak to the television over HDMI"
        happened "The HDMI-CEC adapter is missing, refused, or shared with another program. Calls ring; the television is not woken or switched."
        check "`ls -l /dev/cec*` (group video), `journalctl -k -g cec`, and whether another program holds it (`fuser -v /dev/cec*`)."
        replace "End the other program; the HDMI cable; a box or adapter whose HDMI port has CEC."

    REMOTE_UNUSABLE "55939236d661492993153f501c29453c"
        "A remote control's keys do not arrive"
        happened "Its input device cannot be read, or another program keeps it to itself."
        check "`ls -l /dev/input/event*` (group input), and who holds it (`fuser -v /dev/input/event*`)."
        replace "End the other program; the remote's batteries; its receiver."

    TABLE_REFUSED "2d0b68ccd2294268be4b69a43b3958d9"
        "A file of the technician's for televisions or keys is not used"
        happened "It cannot be read or has a mistake; the built-in table is used instead."
        check "The file and the line that the entry names."
        replace "What it names, or the file."
}

/// The catalogue in journald's format.
pub fn catalogue() -> String {
    let mut text = String::from("# Written from the table in src/journal/messages.rs by `residentd --catalogue`; change that.\n");
    for Message { id, subject, happened, check, replace, .. } in ALL {
        text += &format!("\n-- {id}\nSubject: {subject}\nDefined-By: residentd\nDocumentation: man:residentd(8)\n");
        for (heading, body) in [("What happened", happened), ("What to check", check), ("What to replace", replace)] {
            text += &format!("\n{}\n", wrapped(&format!("{heading}: {body}")));
        }
    }
    text
}

/// In lines of at most 80 characters.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 80 {
            lines.push(word.to_owned());
        } else {
            line.extend((!line.is_empty()).then_some(' '));
            line.push_str(word);
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::without_tests;
    use std::collections::BTreeSet;

    #[test]
    fn the_catalogue_in_systemd_is_written_from_this_table() {
        let file = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/systemd/residentd.catalog")).unwrap();
        assert_eq!(file, catalogue(), "write it anew: residentd --catalogue > systemd/residentd.catalog");
    }

    #[test]
    fn every_id_is_one_and_there_once() {
        let ids: BTreeSet<&str> = ALL.iter().map(|message| message.id).collect();
        assert_eq!(ids.len(), ALL.len());
        for id in ids {
            assert!(id.len() == 32 && id.chars().all(|c| c.is_ascii_digit() || ('a'..='f').contains(&c)), "{id}");
        }
    }

    #[test]
    fn every_message_is_logged_somewhere() {
        let files = without_tests();
        for message in ALL {
            let name = format!("messages::{}", message.name);
            assert!(files.iter().any(|(_, text)| text.contains(&name)), "nobody logs {}", message.name);
        }
    }

    #[test]
    fn everything_urgent_has_an_id() {
        let mut logged = 0;
        for (path, text) in without_tests() {
            for urgent in ["warn!(", "error!(", "log!("] {
                for (at, _) in text.match_indices(urgent) {
                    let line = text[..at].matches('\n').count() + 1;
                    let fields = text[at..].split('"').next().unwrap();
                    assert!(fields.contains("MESSAGE_ID = "), "{}:{line} logs without MESSAGE_ID", path.display());
                    logged += 1;
                }
            }
        }
        assert!(logged >= ALL.len(), "not seen in the sources: {logged} are");
    }
}
