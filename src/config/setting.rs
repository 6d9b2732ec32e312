//! The table of settings: one line a setting. It drives the checks, the reference page and the typed [`super::Config`].

/// What a value may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Kind {
    /// Any text.
    Text,
    /// One of these words.
    OneOf(&'static [&'static str]),
    /// A whole number in this range.
    Integer(i64, i64),
    /// A number of seconds in this range; fractions allowed.
    Seconds(f64, f64),
    /// `true` or `false`.
    Bool,
    /// A list of texts (numbers are taken as text).
    List,
    /// An address beginning with one of these schemes.
    Url(&'static [&'static str]),
    /// An absolute path, or empty.
    Path,
    /// `HH:MM-HH:MM`, local time, or empty.
    Hours,
    /// A BCP 47 language tag, or empty.
    Locale,
    /// An IANA time zone name, or empty.
    TimeZone,
}

impl Kind {
    /// What is allowed, in words.
    pub fn allowed(&self) -> String {
        match self {
            Kind::Text => "a text".into(),
            Kind::OneOf(words) => format!("one of {}", words.iter().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", ")),
            Kind::Integer(min, max) => format!("a whole number from {min} to {max}"),
            Kind::Seconds(min, max) => format!("seconds from {min} to {max}"),
            Kind::Bool => "true or false".into(),
            Kind::List => "a list of texts".into(),
            Kind::Url(schemes) => {
                format!("an address beginning with {}", schemes.iter().map(|s| format!("{s}://")).collect::<Vec<_>>().join(" or "))
            }
            Kind::Path => "an absolute path, or \"\"".into(),
            Kind::Hours => "local hours like \"21:00-07:00\", or \"\"".into(),
            Kind::Locale => "a language tag like \"en-GB\" or \"de\", or \"\"".into(),
            Kind::TimeZone => "a time zone like \"Europe/London\", or \"\"".into(),
        }
    }
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Dotted key.
    pub key: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Its value when no source gives one, as TOML.
    pub default: &'static str,
    /// What it does, one sentence.
    pub about: &'static str,
}

const fn s(key: &'static str, kind: Kind, default: &'static str, about: &'static str) -> Setting {
    Setting { key, kind, default, about }
}

/// Every setting there is, in the order of the reference page.
pub const SETTINGS: &[Setting] = &[
    s("resident.locale", Kind::Locale, "\"\"", "Language of the screens; empty: as the platform says, else English."),
    s(
        "resident.time_zone",
        Kind::TimeZone,
        "\"\"",
        "For times on the screen and quiet hours; empty: as the platform says, else the system's.",
    ),
    s("line.chatta.enabled", Kind::Bool, "false", "Whether the box is reachable through Chatta."),
    s("line.chatta.api", Kind::Url(&["https", "http"]), "\"https://api.caremessenger.co.uk\"", "Address of the REST API, without the /v2."),
    s("line.chatta.key", Kind::Text, "\"e9850d813b1f56114b53\"", "The Pusher application's public key."),
    s(
        "line.chatta.pusher",
        Kind::Url(&["wss", "ws"]),
        "\"wss://ws-eu.pusher.com\"",
        "Address of the Pusher server, without the /app/<key>.",
    ),
    s("line.chatta.rooms", Kind::Url(&["wss", "ws"]), "\"wss://global.vss.twilio.com/signaling\"", "Address of the room signalling."),
    s("line.chatta.username", Kind::Text, "\"\"", "The resident's user name; the password is a credential, see the README."),
    s("line.chatta.password_file", Kind::Path, "\"\"", "File that holds the password; empty: the systemd credential chatta-password."),
    s("line.chatta.token_file", Kind::Path, "\"\"", "File that holds a ready token instead; empty: the systemd credential chatta-token."),
    s("line.chatta.customer", Kind::Integer(0, i64::MAX), "0", "The organisation's id; 0: as the login says."),
    s("line.chatta.resident", Kind::Integer(0, i64::MAX), "0", "The resident's id; 0: as the login says."),
    s(
        "line.chatta.set_top_box",
        Kind::Integer(0, i64::MAX),
        "0",
        "The box's id, for wake-up events; 0: as the resident's record says, else every wake-up of the organisation is ignored.",
    ),
    s("line.chatta.channels", Kind::List, "[]", "Further Pusher channels to subscribe to."),
    s(
        "line.chatta.accept_after_implies_auto",
        Kind::Bool,
        "false",
        "Take a delay without auto-accept as a wish for a countdown (chatta.md 5.1); false: ask the resident.",
    ),
    s("line.chatta.callers", Kind::List, "[]", "Ids that may call at all; empty: everybody on the organisation's channel."),
    s("network.authority", Kind::Path, "\"\"", "PEM file of a further certificate authority to trust (an inspecting proxy, the lab)."),
    s("network.bind", Kind::List, "[]", "Local addresses for media; empty: all of the box that are not loopback."),
    s("network.relay_only", Kind::Bool, "false", "Send media through the TURN relay only."),
    s("call.ring", Kind::Seconds(15.0, 120.0), "45", "How long it rings before the call is declined as not answered."),
    s("call.wait_for_caller", Kind::Seconds(5.0, 120.0), "30", "How long an accepted call waits for the caller in the room."),
    s("call.left_grace", Kind::Seconds(0.0, 60.0), "10", "How long a call survives the caller's leaving the room."),
    s("call.maximum", Kind::Seconds(0.0, 86400.0), "0", "The longest call; 0: no limit."),
    s(
        "consent.automatic",
        Kind::OneOf(&["never", "listed", "always"]),
        "\"never\"",
        "Whose calls may be answered automatically when they ask for it.",
    ),
    s("consent.callers", Kind::List, "[]", "Ids or user names of the callers that `listed` means."),
    s("consent.never", Kind::List, "[]", "Ids or user names that are never answered automatically, whatever else is said."),
    s("consent.quiet_hours", Kind::Hours, "\"\"", "When nobody is answered automatically."),
    s(
        "consent.notice",
        Kind::Seconds(3.0, 60.0),
        "3",
        "The shortest notice before an automatic answer, seen and heard; no caller can shorten it.",
    ),
    s(
        "media.camera",
        Kind::Text,
        "\"/dev/video0\"",
        "A V4L2 device (best by its name below /dev/v4l/by-id), \"auto\" for the first camera, \"test\" for a moving test picture, or \"none\".",
    ),
    s("media.microphone", Kind::Text, "\"default\"", "An ALSA device, \"test\" for a test tone, or \"none\"."),
    s("media.speaker", Kind::Text, "\"default\"", "An ALSA device, \"tv\" for the television driver's own sound (lab), or \"none\"."),
    s("media.size", Kind::OneOf(&["1280x720", "960x540", "640x360"]), "\"1280x720\"", "The largest picture sent."),
    s("media.rate", Kind::Integer(10, 30), "24", "Pictures per second sent at most."),
    s(
        "media.mains",
        Kind::OneOf(&["50", "60"]),
        "\"50\"",
        "Frequency of the mains in Hz, so that the camera's picture does not flicker under lamps.",
    ),
    s("media.bitrate", Kind::Integer(150, 4000), "1500", "The highest bitrate of the picture, kbit/s."),
    s("media.codec", Kind::OneOf(&["h264", "vp8"]), "\"h264\"", "The picture codec preferred when the other side offers both."),
    s("media.hardware", Kind::Bool, "true", "Use the box's video hardware for H.264 where it has any; software takes over where it fails."),
    s(
        "media.jitter_buffer",
        Kind::Integer(20, 400),
        "60",
        "How long pictures and sound wait for packets at least, ms; repairs lengthen it.",
    ),
    s("media.echo_cancellation", Kind::Bool, "true", "Remove the television's sound from the microphone."),
    s(
        "media.playback_delay",
        Kind::Integer(0, 500),
        "80",
        "What the television takes to play sound, ms, as far as it is known; the sound card's own delay is measured.",
    ),
    s("media.volume", Kind::Integer(10, 100), "100", "Volume of the callers' voices, percent; the ring has its own (tv.ring_volume)."),
    s(
        "media.hearing",
        Kind::OneOf(&["off", "mild", "strong"]),
        "\"off\"",
        "Lifts the consonants of the callers' voices for ears that have grown old; \"strong\" suits hearing aids that are not worn.",
    ),
    s(
        "tv.driver",
        Kind::OneOf(&["none", "cec", "command", "dpms", "headless", "lab"]),
        "\"none\"",
        "How the television is controlled: \"cec\": by HDMI-CEC, through the cable of the picture; \"command\": by programs or HTTP requests; \"dpms\": by switching the signal of tv.sink \"kms\" off between calls; \"none\": not at all.",
    ),
    s("tv.cec.device", Kind::Path, "\"\"", "The HDMI-CEC adapter; empty: the first that is plugged into a television."),
    s("tv.cec.name", Kind::Text, "\"Telephone\"", "What the television's menu calls the box, at most 14 letters."),
    s(
        "tv.cec.address",
        Kind::Text,
        "\"\"",
        "Where the box is plugged in, such as \"2.0.0.0\", for adapters that cannot know (USB); empty: the adapter knows.",
    ),
    s(
        "tv.cec.quirks",
        Kind::Path,
        "\"/etc/residentd/cec-quirks.toml\"",
        "Televisions that need to be treated in their own way, on top of those that are known; see docs/television.md.",
    ),
    s(
        "tv.command.on",
        Kind::List,
        "[]",
        "Switches the television on: a program and its arguments, or \"GET\", \"POST\" or \"PUT\", an address and a body.",
    ),
    s("tv.command.off", Kind::List, "[]", "Sends it to standby, likewise."),
    s("tv.command.input", Kind::List, "[]", "Shows the box, likewise."),
    s("tv.command.back", Kind::List, "[]", "Shows again what was shown before, likewise; {input} is its name where it is known."),
    s("tv.command.volume", Kind::List, "[]", "Sets the volume, likewise; {volume} is 0 to 100."),
    s("tv.command.state", Kind::List, "[]", "Says \"on\" or \"standby\" as its first word, likewise."),
    s("tv.keys.enabled", Kind::Bool, "false", "Whether remote controls and keyboards at the box are listened to."),
    s("tv.keys.devices", Kind::List, "[]", "Which ones: paths, or parts of their names; empty: all that can be remote controls."),
    s("tv.keys.mute", Kind::OneOf(&["microphone", "nothing"]), "\"microphone\"", "What the mute key does in a call."),
    s("tv.keys.map", Kind::Path, "\"/etc/residentd/keys.toml\"", "What keys mean, on top of the built-in map; see docs/television.md."),
    s("tv.lab", Kind::Url(&["ws"]), "\"ws://127.0.0.1:8080/tv/box\"", "Where the lab's television listens."),
    s(
        "tv.sink",
        Kind::OneOf(&["kms", "window", "driver", "none"]),
        "\"kms\"",
        "Where the picture goes; \"driver\": through the television driver (lab).",
    ),
    s(
        "tv.display.connector",
        Kind::Text,
        "\"\"",
        "For tv.sink \"kms\": the connector, such as \"HDMI-A-1\"; empty: the best that is plugged in.",
    ),
    s(
        "tv.display.mode",
        Kind::Text,
        "\"\"",
        "For tv.sink \"kms\": the resolution, such as \"1280x720\"; empty: 1920x1080 where it is offered, else what the display likes best.",
    ),
    s("tv.ring_volume", Kind::Integer(30, 100), "70", "Volume of ring and notice, percent; never below the floor of 30."),
    s("api.socket", Kind::Path, "\"\"", "The local API's Unix socket; empty: residentd.sock in the runtime directory."),
    s("api.keys", Kind::Bool, "false", "Whether clients of the local API may press keys."),
    s("state.directory", Kind::Path, "\"\"", "What outlives a restart; empty: the unit's state directory, else /var/lib/residentd."),
    s("log.level", Kind::OneOf(&["error", "warn", "info", "debug", "trace"]), "\"info\"", "How much is logged."),
];

/// The setting of this key.
pub fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.key == key)
}

/// The known key nearest to a mistyped one, if one is near enough to be meant.
pub fn nearest(key: &str) -> Option<&'static str> {
    SETTINGS.iter().map(|s| (distance(key, s.key), s.key)).filter(|(d, k)| *d <= k.len() / 3).min().map(|(_, k)| k)
}

/// Levenshtein distance.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let next = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = row[j + 1];
            row[j + 1] = next;
        }
    }
    row[b.len()]
}
