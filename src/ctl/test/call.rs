//! `test call`: the box calls itself. Its media takes the way that a call's would take: to the platform's relay and back,
//! or, with a second account, through a room of the platform.

use super::super::client::Daemon;
use super::super::doctor::leave_devices_to_calls;
use super::super::exit::{Exit, Failure};
use super::super::screen::{Ink, Screen};
use crate::config::Config;
use crate::line::chatta::probe::{Identity, Probe, ProbeError};
use crate::line::chatta::{Credentials, Settings};
use crate::media::session::{CameraSource, MicrophoneSource};
use crate::media::trial::{self, Meeting, Report};
use crate::room::Ticket;
use crate::room::twilio::probe::{Answer, servers};
use crate::{daemon, net};
use clap::Args;
use serde_json::json;
use std::path::PathBuf;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use zeroize::Zeroizing;

/// For the room's servers.
const SIGNALLING: Duration = Duration::from_secs(10);

/// What `test call` takes.
#[derive(Debug, Clone, Args)]
pub struct Wish {
    /// How long, in seconds.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(2..=120))]
    pub seconds: u64,
    /// Use the box's own camera and microphone instead of test picture and test tone.
    #[arg(long)]
    pub devices: bool,
    /// Do without the relay: the media stays in this box. Says what the box itself can do.
    #[arg(long, conflicts_with = "caller")]
    pub local: bool,
    /// A caller's account at the platform: the call goes through a room, as a caller's would.
    #[arg(long, value_name = "USER", requires = "caller_password_file")]
    pub caller: Option<String>,
    /// File with the caller's password.
    #[arg(long, value_name = "FILE", requires = "caller")]
    pub caller_password_file: Option<PathBuf>,
}

/// Calls and reports.
///
/// # Errors
/// See [`Exit`].
pub async fn run(screen: &mut Screen, api: &Daemon, config: Config, wish: Wish) -> Result<Exit, Failure> {
    let wrong = |why: String| Failure::new(Exit::Configuration, why);
    let status = api.get("status").await.ok();
    let phase = status.as_ref().and_then(|s| s["phase"].as_str());
    if phase.is_some_and(|phase| !matches!(phase, "idle" | "message" | "stopped")) {
        return Err(Failure::new(Exit::Failed, "there is a call, and it needs the box for itself"));
    }
    let tls = net::tls::client(config.path("network.authority").as_deref()).map_err(|e| wrong(e.to_string()))?;
    let mut media = daemon::media(&config).map_err(wrong)?;
    if !wish.devices {
        (media.camera, media.microphone) = (CameraSource::Test, MicrophoneSource::Test);
    }
    let mut peer = daemon::rooms(&config, tls.clone(), media.codecs()).map_err(wrong)?.peer;
    let mut what = "within the box";
    let meeting = if wish.local {
        peer.bind = vec![([127, 0, 0, 1], 0).into()];
        peer.relay_only = false;
        Meeting::Direct
    } else {
        let settings = daemon::chatta(&config).map_err(wrong)?;
        let resident = Probe::new(settings.clone(), tls.clone()).map_err(refused)?;
        let who = screen.during("logging in", resident.login()).await.map_err(refused)?;
        match caller(&wish, &settings)? {
            Some(account) => {
                what = "through a room of the platform";
                let caller = Probe::new(account, tls.clone()).map_err(refused)?;
                let other = screen.during("logging in as the caller", caller.login()).await.map_err(refused)?;
                let room = format!("residentd-test-{}", uuid::Uuid::new_v4());
                let tickets =
                    [ticket(&settings, &resident, &who, &room, &other).await?, ticket(&settings, &caller, &other, &room, &who).await?];
                Meeting::Room(Box::new(tickets))
            }
            None => {
                what = "through the platform's relay";
                let token = resident.video_token(&who, "residentd-test").await.map_err(refused)?;
                let asked = tokio::time::timeout(SIGNALLING, servers(&settings.room_url, &token, tls.clone()));
                peer.ice_servers = match screen.during("asking for the relay", asked).await {
                    Ok(Ok(Answer::Servers(servers))) => servers,
                    Ok(Ok(Answer::Refused(_, why))) => return Err(Failure::new(Exit::Refused, why)),
                    Ok(Err(why)) => return Err(Failure::new(Exit::Network, why)),
                    Err(_) => return Err(Failure::new(Exit::Network, "the room signalling does not answer")),
                };
                peer.relay_only = peer.ice_servers.iter().any(|s| s.urls.iter().any(|url| url.starts_with("turn")));
                if !peer.relay_only {
                    what = "within this network: the platform names no relay";
                }
                Meeting::Direct
            }
        }
    };
    let call = CancellationToken::new();
    let _watch = status.is_some().then(|| leave_devices_to_calls(api.clone(), call.clone()));
    let trial = trial::call(media, peer, meeting, Duration::from_secs(wish.seconds));
    let trial = async {
        tokio::select! {
            report = trial => report,
            () = call.cancelled() => Err("a call came: the box is left to it".to_owned()),
        }
    };
    let report = screen.during(&format!("calling {what}"), trial).await.map_err(|why| Failure::new(Exit::Failed, why))?;
    print(screen, what, &report);
    Ok(Exit::Done)
}

fn refused(error: ProbeError) -> Failure {
    match error {
        ProbeError::Refused(why) => Failure::new(Exit::Refused, why),
        ProbeError::Network(why) => Failure::new(Exit::Network, why),
    }
}

fn caller(wish: &Wish, settings: &Settings) -> Result<Option<Settings>, Failure> {
    let Some((user, file)) = wish.caller.clone().zip(wish.caller_password_file.as_ref()) else { return Ok(None) };
    let password = std::fs::read_to_string(file).map(Zeroizing::new);
    let password = password.map_err(|e| Failure::new(Exit::Usage, format!("{} cannot be read: {e}", file.display())))?;
    let credentials = Credentials { username: Some(user), password: Some(Zeroizing::new(password.trim().to_owned())), token: None };
    Ok(Some(Settings { credentials, customer: None, resident: None, ..settings.clone() }))
}

async fn ticket(settings: &Settings, probe: &Probe, who: &Identity, room: &str, other: &Identity) -> Result<Ticket, Failure> {
    let token = probe.video_token(who, room).await.map_err(refused)?;
    Ok(Ticket::Twilio { url: settings.room_url.clone(), token, room: room.to_owned(), caller: Some(other.username().to_owned()) })
}

fn print(screen: &mut Screen, what: &str, report: &Report) {
    if screen.json {
        return screen.value(&json!({ "way": what, "report": report }), true);
    }
    let ms = |value: Option<f64>| value.map_or_else(|| "not known".to_owned(), |ms| format!("{ms:.0} ms"));
    let whole = |value: Option<u64>| ms(value.map(|ms| ms as f64));
    let good = screen.ink(Ink::Good, "the call worked");
    screen.line(&format!("{good}, {what}"));
    screen.field("first picture", &format!("after {}", whole(report.picture_ms)));
    screen.field("first sound", &format!("after {}", whole(report.sound_ms)));
    screen.field("pictures", &format!("{:.1} a second, {} kbit/s", report.rate, report.bitrate / 1000));
    screen.field("latency", &format!("{} from the camera's frame to the screen", ms(report.latency_ms)));
    screen.field("round trip", &ms(report.rtt_ms));
    screen.field("loss", &format!("{:.2} %, jitter {:.1} ms", report.loss * 100.0, report.jitter_ms));
    let relay = report.relay.as_deref().map_or_else(String::new, |way| format!(", reached over {}", way.to_uppercase()));
    screen.field("path", &format!("{}{relay}", report.path.as_deref().unwrap_or("not known")));
}
