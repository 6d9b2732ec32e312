//! Putting the daemon together: from the configuration to a running [`Agent`].

use crate::agent::{Agent, FollowPlatform, LINE_EVENTS, Renewal};
use crate::api::{self, Status};
use crate::call::consent::{Automatic, Consent, Listed, Who};
use crate::call::{Devices, Limits, LineId, Machine};
use crate::config::{Config, credential_places};
use crate::journal::messages;
use crate::line::{LineHandle, Wired, chatta};
use crate::media::camera::controls::Mains;
use crate::media::peer::PeerConfig;
use crate::media::{Codec, Outputs, session};
use crate::pusher::Endpoint;
use crate::room::twilio;
use crate::store::Store;
use crate::{health, net, tv};
use jiff::tz::TimeZone;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::task::AbortOnDropHandle;
use zeroize::Zeroizing;

/// The one Chatta line's name in the log, the API and the call log.
const CHATTA: &str = "chatta";

/// The times and limits of the call machine.
pub fn limits(config: &Config) -> Limits {
    let maximum = config.seconds("call.maximum");
    Limits {
        ring: config.seconds("call.ring"),
        wait: config.seconds("call.wait_for_caller"),
        grace: config.seconds("call.left_grace"),
        maximum: (!maximum.is_zero()).then_some(maximum),
        ..Limits::default()
    }
}

/// The resident's consent. A refusal stands before a permission.
pub fn consent(config: &Config) -> Consent {
    let listed =
        |key: &str, entry: fn(Who) -> Listed| config.list(key).iter().map(|text| entry(Who::Either(text.clone()))).collect::<Vec<_>>();
    let automatic = match config.text("consent.automatic") {
        "always" => Automatic::Always,
        "listed" => Automatic::ListedCallers,
        _ => Automatic::Never,
    };
    Consent {
        automatic,
        callers: listed("consent.never", Listed::refused).into_iter().chain(listed("consent.callers", Listed::allowed)).collect(),
        quiet: config.text("consent.quiet_hours").parse().into_iter().collect(),
        zone: zone(config),
        floor: config.seconds("consent.notice"),
    }
}

/// The configured zone, else the system's.
fn zone(config: &Config) -> TimeZone {
    match config.text("resident.time_zone") {
        "" => TimeZone::system(),
        name => TimeZone::get(name).unwrap_or(TimeZone::UTC),
    }
}

/// Which of the resident's traits the platform decides.
pub fn follow_platform(config: &Config) -> FollowPlatform {
    FollowPlatform { locale: config.text("resident.locale").is_empty(), time_zone: config.text("resident.time_zone").is_empty() }
}

/// A secret from its configured file, else from the credentials: the sealed one, else the plain one (`.plain`); surrounding
/// white space is not part of it, and nothing but white space is no secret.
///
/// # Errors
/// One line: which file, what is wrong, what to do.
fn secret(config: &Config, key: &str, credential: &str) -> Result<Option<Zeroizing<String>>, String> {
    let read = |file: &Path| std::fs::read_to_string(file).map(Zeroizing::new).map(|text| Zeroizing::new(text.trim().to_owned()));
    if let Some(file) = config.path(key) {
        let text =
            read(&file).map_err(|e| format!("{key}: {} cannot be read: {e}; write the secret into it and chmod 600", file.display()))?;
        warn_if_readable(&file);
        return Ok(Some(text).filter(|t| !t.is_empty()));
    }
    for file in credential_places().flat_map(|place| [place.join(credential), place.join(format!("{credential}.plain"))]) {
        match read(&file) {
            Ok(text) if text.is_empty() => {}
            Ok(text) => return Ok(Some(text)),
            // Another user's credentials are none of ours.
            Err(e) if matches!(e.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied) => {}
            Err(e) => return Err(format!("the credential {} cannot be read: {e}", file.display())),
        }
    }
    Ok(None)
}

fn warn_if_readable(file: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = std::fs::metadata(file).map(|m| m.permissions().mode()).unwrap_or(0);
    if mode & 0o077 != 0 && std::env::var_os("CREDENTIALS_DIRECTORY").is_none() {
        log::warn!(MESSAGE_ID = messages::SECRET_READABLE.id; "{} can be read by others: chmod 600 {0}", file.display());
    }
}

/// The Chatta line's settings.
///
/// # Errors
/// One line: what is missing or wrong.
pub fn chatta(config: &Config) -> Result<chatta::Settings, String> {
    let address = |key: &str| url::Url::parse(config.text(key)).map_err(|e| format!("{key}: {e}"));
    let pusher = address("line.chatta.pusher")?;
    let tls = pusher.scheme() == "wss";
    let endpoint = Endpoint {
        host: pusher.host_str().unwrap_or_default().into(),
        port: pusher.port().unwrap_or(if tls { 443 } else { 80 }),
        tls,
        path: pusher.path().trim_end_matches('/').into(),
        key: config.text("line.chatta.key").into(),
    };
    let credentials = chatta::Credentials {
        username: Some(config.text("line.chatta.username")).filter(|t| !t.is_empty()).map(str::to_owned),
        password: secret(config, "line.chatta.password_file", "chatta-password")?,
        token: secret(config, "line.chatta.token_file", "chatta-token")?,
    };
    let callers = config.list("line.chatta.callers");
    let ids = callers
        .iter()
        .map(|c| c.parse().map_err(|_| format!("line.chatta.callers: {c:?} is not an id")))
        .collect::<Result<Vec<u64>, _>>()?;
    Ok(chatta::Settings {
        customer: config.id("line.chatta.customer"),
        resident: config.id("line.chatta.resident"),
        set_top_box: config.id("line.chatta.set_top_box"),
        extra_channels: config.list("line.chatta.channels").to_vec(),
        accept_after_implies_auto: config.flag("line.chatta.accept_after_implies_auto"),
        admission: chatta::Admission { callers: (!ids.is_empty()).then_some(ids), roles: None },
        room_url: config.text("line.chatta.rooms").into(),
        ..chatta::Settings::new(LineId(CHATTA.into()), address("line.chatta.api")?, endpoint, credentials)
    })
}

/// A call's devices and rates.
///
/// # Errors
/// One line: which device is named wrongly.
pub fn media(config: &Config) -> Result<session::Config, String> {
    let (width, height) = config.text("media.size").split_once('x').expect("the table lists only sizes");
    let number = |text: &str| text.parse().expect("the table lists only numbers");
    let milliseconds = |name: &str| std::time::Duration::from_millis(u64::try_from(config.integer(name)).expect("the table bounds it"));
    Ok(session::Config {
        camera: config.text("media.camera").parse().map_err(|e| format!("media.camera: {e}"))?,
        microphone: config.text("media.microphone").parse().map_err(|e| format!("media.microphone: {e}"))?,
        width: number(width),
        height: number(height),
        fps: u32::try_from(config.integer("media.rate")).expect("the table bounds it"),
        mains: if config.text("media.mains") == "60" { Mains::Hertz60 } else { Mains::Hertz50 },
        max_bitrate: u32::try_from(config.integer("media.bitrate") * 1000).expect("the table bounds it"),
        power_saving: config.text("media.codec") == "h264",
        hardware: config.flag("media.hardware"),
        jitter_buffer: milliseconds("media.jitter_buffer"),
        echo_cancellation: config.flag("media.echo_cancellation"),
        playback_delay: milliseconds("media.playback_delay"),
        volume: u8::try_from(config.integer("media.volume")).expect("the table bounds it"),
        hearing: config.text("media.hearing").parse().expect("the table lists only these"),
        ..session::Config::default()
    })
}

/// How rooms are joined and their peer connections made.
///
/// # Errors
/// One line: which address is wrong.
pub fn rooms(config: &Config, tls: Arc<rustls::ClientConfig>, codecs: [Codec; 2]) -> Result<twilio::Settings, String> {
    let mut peer = PeerConfig::new(tls);
    peer.relay_only = config.flag("network.relay_only");
    peer.video = codecs.to_vec();
    let address =
        |text: &String| text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, 0)).map_err(|e| format!("network.bind: {text:?}: {e}"));
    let bind = config.list("network.bind").iter().map(address).collect::<Result<Vec<_>, _>>()?;
    if !bind.is_empty() {
        peer.bind = bind;
    }
    Ok(twilio::Settings::new(peer))
}

/// What the configuration says about the television.
pub fn television(config: &Config) -> tv::Settings {
    tv::Settings {
        control: match config.text("tv.driver") {
            "headless" => tv::Control::Headless,
            "lab" => tv::Control::Lab(config.text("tv.lab").to_owned()),
            "command" => {
                let command = |name: &str| config.list(&format!("tv.command.{name}")).to_vec();
                tv::Control::Command(tv::command::Commands {
                    on: command("on"),
                    off: command("off"),
                    input: command("input"),
                    back: command("back"),
                    volume: command("volume"),
                    state: command("state"),
                    authority: config.path("network.authority"),
                })
            }
            "dpms" => tv::Control::Dpms,
            "cec" => tv::Control::Cec {
                adapter: tv::cec::device::Settings {
                    device: config.path("tv.cec.device"),
                    name: config.text("tv.cec.name").to_owned(),
                    physical: config.text("tv.cec.address").parse().ok(),
                },
                quirks: config.path("tv.cec.quirks"),
            },
            _ => tv::Control::None,
        },
        display: match config.text("tv.sink") {
            "kms" => tv::Display::Kms,
            "window" => tv::Display::Window,
            "driver" => tv::Display::Driver,
            _ => tv::Display::None,
        },
        wanted: tv::displays::Wanted {
            connector: Some(config.text("tv.display.connector").to_owned()).filter(|c| !c.is_empty()),
            size: config.text("tv.display.mode").split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?))),
        },
        speaker: match config.text("media.speaker") {
            "tv" => tv::Speaker::Tv,
            "none" => tv::Speaker::None,
            device => tv::Speaker::Alsa(device.to_owned()),
        },
        ring_volume: u8::try_from(config.integer("tv.ring_volume")).unwrap_or(100),
        remotes: Some(config.list("tv.keys.devices").to_vec()).filter(|_| config.flag("tv.keys.enabled")),
        keymap: config.path("tv.keys.map"),
        font: String::new(),
        locale: config.text("resident.locale").to_owned(),
        time_zone: config.text("resident.time_zone").to_owned(),
    }
}

/// Where the state is.
pub fn state_directory(config: &Config) -> PathBuf {
    let unit = || std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    config.path("state.directory").or_else(unit).unwrap_or_else(|| "/var/lib/residentd".into())
}

/// Where the local API is.
pub fn socket(config: &Config) -> PathBuf {
    let unit = std::env::var_os("RUNTIME_DIRECTORY").map_or_else(|| PathBuf::from("/run/residentd"), PathBuf::from);
    config.path("api.socket").unwrap_or_else(|| unit.join("residentd.sock"))
}

/// The lines that are enabled.
fn lines(config: &Config, tls: &Arc<rustls::ClientConfig>) -> Result<Vec<Wired>, String> {
    let mut lines = Vec::new();
    if config.flag("line.chatta.enabled") {
        let (settings, tls) = (chatta(config)?, tls.clone());
        let mut likeness = DefaultHasher::new();
        config.values_of(&["line.chatta.", "network.authority"]).hash(&mut likeness);
        let secrets = [&settings.credentials.password, &settings.credentials.token];
        secrets.map(|secret| secret.as_ref().map(|text| text.as_str())).hash(&mut likeness);
        let start = Box::new(move |events| chatta::spawn(settings, tls, events));
        lines.push(Wired { id: LineId(CHATTA.into()), likeness: likeness.finish(), start });
    }
    Ok(lines)
}

/// What a configuration that was read anew changes in a running agent.
///
/// # Errors
/// As [`start`].
pub fn renewal(config: &Config) -> Result<Renewal, String> {
    let tls = net::tls::client(config.path("network.authority").as_deref()).map_err(|e| e.to_string())?;
    let media = media(config)?;
    let given = |key: &str| Some(config.text(key)).filter(|text| !text.is_empty()).map(str::to_owned);
    Ok(Renewal {
        limits: limits(config),
        consent: consent(config),
        follow_platform: follow_platform(config),
        rooms: rooms(config, tls.clone(), media.codecs())?,
        media,
        photos: net::photo::Photos::new(tls.clone())?,
        lines: lines(config, &tls)?,
        locale: given("resident.locale"),
        time_zone: given("resident.time_zone"),
    })
}

/// Settings that only a start reads.
pub const AT_START: [&str; 4] = ["tv.", "api.", "state.", "media.speaker"];

/// Starts everything but the loop: state, television, lines, local API. Within a tokio runtime.
///
/// # Errors
/// One line that says what is wrong and what to do. Nothing that a network or a device does is an error here.
pub async fn start(config: Config) -> Result<Agent, String> {
    let tv::Television { driver, outputs } =
        tv::open(&television(&config)).map_err(|e| format!("the television's thread cannot be started: {e}"))?;
    assemble(config, driver, outputs).await
}

/// [`start`] with a television of one's own.
///
/// # Errors
/// As [`start`].
pub async fn assemble(config: Config, driver: tv::Driver, outputs: Outputs) -> Result<Agent, String> {
    let tls = net::tls::client(config.path("network.authority").as_deref()).map_err(|e| e.to_string())?;
    let media = media(&config)?;
    let rooms = rooms(&config, tls.clone(), media.codecs())?;
    let photos = net::photo::Photos::new(tls.clone())?;
    let store = Store::open(&state_directory(&config));

    let tv_config = tv::Config { mute_key: config.text("tv.keys.mute") == "microphone", ..tv::Config::default() };
    let television = driver.seen.subscribe();
    let (tv, tv_events) = tv::spawn(tv_config, driver, Arc::new(store.clone()));

    let (to_line_events, line_events) = mpsc::channel(LINE_EVENTS);
    let lines = lines(&config, &tls)?;
    let likeness = lines.iter().map(|line| (line.id.clone(), line.likeness)).collect();
    let lines: Vec<LineHandle> = lines.into_iter().map(|line| (line.start)(to_line_events.clone())).collect();
    drop(to_line_events);
    if lines.is_empty() {
        log::warn!(MESSAGE_ID = messages::NO_LINE.id; "no line is enabled: nobody can call; set line.chatta.enabled");
    }

    let devices = Devices { camera: media.camera.is_present(), microphone: media.microphone.is_present() };
    let machine = Machine::new(limits(&config), consent(&config), store.next_call(), devices);
    let (status, shown) = watch::channel(Status {
        version: env!("CARGO_PKG_VERSION"),
        since: jiff::Timestamp::now(),
        lines: Default::default(),
        now: machine.snapshot(),
        television: None,
        woken: None,
        camera: devices.camera,
        microphone: devices.microphone,
    });
    let happenings = broadcast::channel(256).0;
    let (to_requests, requests) = mpsc::channel(16);
    let path = socket(&config);
    let api = match api::bind(&path).await {
        Ok(bound) => {
            let api = api::Api { requests: to_requests, status: shown, happenings: happenings.clone(), keys: config.flag("api.keys") };
            Some(AbortOnDropHandle::new(tokio::spawn(async move {
                if let Err(e) = bound.serve(api).await {
                    log::error!(MESSAGE_ID = messages::API_UNAVAILABLE.id; "the local API ended: {e}; calls go on; restart residentd to have it back");
                }
            })))
        }
        // Calls are what the box is for: they go on without it.
        Err(e) => {
            log::error!(MESSAGE_ID = messages::API_UNAVAILABLE.id; "no local API at {}: {e}", path.display());
            None
        }
    };
    let (renew, renewals) = mpsc::channel(1);
    health::ready();
    Ok(Agent {
        likeness,
        renew,
        renewals,
        machine,
        lines,
        line_events,
        tv,
        tv_events,
        television,
        outputs,
        media,
        rooms,
        store,
        requests,
        status,
        happenings,
        photos,
        network: net::moves::watch(),
        api,
        follow_platform: follow_platform(&config),
    })
}
