//! The way to the platform: names, REST, Pusher, room signalling, STUN and TURN, bandwidth.
//!
//! What one check finds out others build on (the login, the room's servers), but each says only what it saw itself: a
//! broken login leaves the other connections to be tried without one.

use super::{Outcome, Patient, Planned, Verdict, planned};
use crate::config::Config;
use crate::line::chatta::probe::{Identity, Probe, ProbeError};
use crate::media::peer::IceServer;
use crate::media::relay::probe::{self, Way};
use crate::pusher::{Client, News, Plan};
use crate::room::twilio::probe::{Answer, servers};
use crate::{daemon, net};
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

const BLOCKED: &str = "the network swallows it: ask its owner to let it through, then again";
/// A room's name that no call has.
const ROOM: &str = "residentd-doctor";
/// For one server of the relay.
const SERVER: Duration = Duration::from_secs(7);
/// For opening the room signalling and its answer.
const SIGNALLING: Duration = Duration::from_secs(10);
/// How long bandwidth is measured.
const SPAN: Duration = Duration::from_secs(3);

type Login = Shared<BoxFuture<'static, Result<Identity, ProbeError>>>;
type Servers = Shared<BoxFuture<'static, Result<Vec<IceServer>, String>>>;
type Tls = Arc<rustls::ClientConfig>;

/// What the checks share.
#[derive(Clone)]
struct Ground {
    config: Config,
    tls: Tls,
    probe: Option<Probe>,
    settings: Result<crate::line::chatta::Settings, String>,
    login: Login,
    servers: Servers,
}

pub(super) fn plan(patient: &Arc<Patient>) -> Vec<Planned> {
    const NAMES: [&str; 9] = ["dns", "rest", "pusher", "rooms", "stun", "turn-udp", "turn-tcp", "turn-tls", "bandwidth"];
    let skip = |why: String| NAMES.map(|name| planned(name, 1, "", std::future::ready(Outcome::skipped(why.clone())))).into();
    let config = match &patient.config {
        Ok(config) if config.flag("line.chatta.enabled") => config.clone(),
        Ok(_) => return skip("no line is enabled".into()),
        Err(_) => return skip("the configuration has mistakes".into()),
    };
    let tls = match net::tls::client(config.path("network.authority").as_deref()) {
        Ok(tls) => tls,
        Err(e) => return skip(format!("network.authority: {e}")),
    };
    let g = Ground::new(config, tls);
    let way = |name, way: Way, g: &Ground| planned(name, 42, BLOCKED, relay(g.clone(), way));
    vec![
        planned("dns", 12, "no name server answers: check /etc/resolv.conf and the network", dns(g.clone())),
        planned("rest", 15, BLOCKED, rest(g.clone())),
        planned("pusher", 25, BLOCKED, pusher(g.clone())),
        planned("rooms", 35, BLOCKED, rooms(g.clone())),
        way("stun", Way::Stun, &g),
        way("turn-udp", Way::Udp, &g),
        way("turn-tcp", Way::Tcp, &g),
        way("turn-tls", Way::Tls, &g),
        planned("bandwidth", 50, BLOCKED, bandwidth(g.clone())),
    ]
}

impl Ground {
    fn new(config: Config, tls: Tls) -> Ground {
        let settings = daemon::chatta(&config);
        let probe = settings.clone().ok().and_then(|settings| Probe::new(settings, tls.clone()).ok());
        let login = {
            let (probe, settings) = (probe.clone(), settings.clone());
            async move {
                match (probe, settings) {
                    (Some(probe), _) => probe.login().await,
                    (None, settings) => Err(ProbeError::Refused(settings.err().unwrap_or_else(|| "no HTTP client".into()))),
                }
            }
            .boxed()
            .shared()
        };
        let servers = {
            let (login, probe, tls, url) = (login.clone(), probe.clone(), tls.clone(), config.text("line.chatta.rooms").to_owned());
            async move {
                let who = login.await.map_err(|_| "there is no login: see rest".to_owned())?;
                let probe = probe.ok_or("there is no login: see rest")?;
                let token = probe.video_token(&who, ROOM).await.map_err(|e| e.to_string())?;
                match tokio::time::timeout(SIGNALLING, servers(&url, &token, tls)).await {
                    Ok(Ok(Answer::Servers(servers))) => Ok(servers),
                    Ok(Ok(Answer::Refused(_, why))) => Err(why),
                    Ok(Err(why)) => Err(why),
                    Err(_) => Err("the room signalling does not answer".into()),
                }
            }
            .boxed()
            .shared()
        };
        Ground { config, tls, probe, settings, login, servers }
    }
}

/// The platform's clock, in seconds since 1970, from whatever it answers.
pub(super) async fn time_of_platform(config: &Config) -> Option<i64> {
    let tls = net::tls::client(config.path("network.authority").as_deref()).ok()?;
    let client =
        reqwest::Client::builder().tls_backend_preconfigured((*tls).clone()).no_proxy().timeout(super::local::TIME).build().ok()?;
    let answer = client.get(config.text("line.chatta.api")).send().await.ok()?;
    let date = answer.headers().get(reqwest::header::DATE)?.to_str().ok()?;
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(date).ok().map(|at| at.as_second())
}

fn ms(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

async fn dns(g: Ground) -> Outcome {
    let addresses = ["line.chatta.api", "line.chatta.pusher", "line.chatta.rooms"].map(|key| url::Url::parse(g.config.text(key)));
    let mut names = BTreeSet::new();
    for url in addresses.into_iter().flatten() {
        if let Some(url::Host::Domain(name)) = url.host() {
            names.insert(name.to_owned());
        }
    }
    if names.is_empty() {
        return Outcome::skipped("the configuration has only numeric addresses");
    }
    let began = Instant::now();
    let looks = names.iter().map(|name| async move {
        let found = tokio::time::timeout(Duration::from_secs(10), tokio::net::lookup_host((name.as_str(), 443))).await;
        match found {
            Ok(Ok(mut addresses)) => addresses.next().map(drop).ok_or_else(|| format!("{name} has no address")),
            Ok(Err(e)) => Err(format!("{name}: {e}")),
            Err(_) => Err(format!("{name}: no answer")),
        }
    });
    let failed: Vec<String> = futures_util::future::join_all(looks).await.into_iter().filter_map(Result::err).collect();
    let took = began.elapsed();
    let outcome = if failed.is_empty() {
        let says = format!("{} names found in {} ms", names.len(), ms(took));
        if took > Duration::from_secs(2) {
            Outcome::warning(says, "slow: choose a nearer name server (resolvectl, /etc/resolv.conf)")
        } else {
            Outcome::ok(says)
        }
    } else {
        let next = if failed.len() == names.len() {
            "no name is found: check the cable, then the name server (resolvectl status, /etc/resolv.conf)"
        } else {
            "a name may be mistyped in the configuration, or blocked by the name server"
        };
        Outcome::failure(failed.join("; "), next)
    };
    outcome.figure("ms", ms(took))
}

async fn rest(g: Ground) -> Outcome {
    let began = Instant::now();
    match g.login.await {
        Ok(who) => {
            let took = began.elapsed();
            let says = format!(
                "logged in as {} (resident {} of organisation {}) in {} ms",
                who.username(),
                who.resident(),
                who.customer(),
                ms(took)
            );
            Outcome::ok(says).figure("ms", ms(took))
        }
        Err(ProbeError::Refused(_)) if !super::local::root() && g.settings.as_ref().is_ok_and(|s| s.credentials.password.is_none()) => {
            Outcome::skipped("password and token cannot be read without root")
        }
        Err(ProbeError::Refused(why)) => Outcome::failure(why, "sudo residentctl provision, with the right user name and password"),
        Err(ProbeError::Network(why)) => {
            let next =
                "check the network and line.chatta.api; port 443 must be open, and an inspecting proxy's authority be in network.authority";
            Outcome::failure(why, next)
        }
    }
}

async fn pusher(g: Ground) -> Outcome {
    let settings = match g.settings.clone() {
        Ok(settings) => settings,
        Err(why) => return Outcome::failure(why, "residentctl config check"),
    };
    let next = "check line.chatta.pusher and line.chatta.key; port 443 must be open for WebSockets";
    let key = settings.pusher.key.clone();
    // Subscribed to is nothing: the channel's name only makes the client tell the connection's number.
    let plan = Plan {
        endpoint: settings.pusher,
        times: settings.times.pusher,
        channels: vec!["private-doctor".into()],
        bindings: Vec::new(),
        tls: g.tls.clone(),
    };
    let began = Instant::now();
    let mut client = Client::spawn(plan);
    let socket = loop {
        match client.next().await {
            Some(News::Authorise { socket, .. }) => break socket,
            Some(News::Disconnected { why, .. }) => return Outcome::failure(why, next),
            Some(_) => {}
            None => return Outcome::failure("the connection ended", next),
        }
    };
    let took = began.elapsed();
    let connected = format!("connected in {} ms", ms(took));
    let outcome = match (g.login.await, &g.probe) {
        (Ok(who), Some(probe)) => match probe.signature(&who, &socket).await {
            Ok(signature) if signature.auth.split(':').next() == Some(&*key) => {
                Outcome::ok(format!("{connected}; the platform lets us have the channel of the calls"))
            }
            Ok(_) => Outcome::failure(
                format!("{connected}, but the platform signs for another application"),
                "line.chatta.key does not belong to line.chatta.api: ask the platform for the right pair",
            ),
            Err(why) => Outcome::failure(
                format!("{connected}, but the channel of the calls is not allowed: {why}"),
                "check line.chatta.customer, and the account at the platform",
            ),
        },
        _ => Outcome::warning(format!("{connected}; whether calls would arrive is not known without a login"), "see rest"),
    };
    client.close();
    outcome.figure("ms", ms(took))
}

async fn rooms(g: Ground) -> Outcome {
    let began = Instant::now();
    let next = "check line.chatta.rooms; port 443 must be open for WebSockets";
    match g.servers.clone().await {
        Ok(servers) => {
            let urls: usize = servers.iter().map(|s| s.urls.len()).sum();
            let took = began.elapsed();
            let says = format!("it answers, and hands out {urls} addresses of relays");
            let outcome = if urls == 0 {
                Outcome::warning(format!("{says}: calls work only within this network"), "ask the platform for a relay")
            } else {
                Outcome::ok(says)
            };
            outcome.figure("ms", ms(took))
        }
        Err(why) => {
            // Without a token it can still be told whether the service is there at all.
            let without = tokio::time::timeout(SIGNALLING, servers(g.config.text("line.chatta.rooms"), "", g.tls.clone())).await;
            match without {
                Ok(Ok(_)) => Outcome::warning(
                    format!("the service is there, but nothing can be asked of it: {why}"),
                    "see rest; else ask the platform",
                ),
                Ok(Err(own)) => Outcome::failure(own, next),
                Err(_) => Outcome::failure("no answer", next),
            }
        }
    }
}

/// The servers and URLs that are reached this way.
fn of_way(servers: &[IceServer], way: Way) -> Vec<(IceServer, String)> {
    let all = servers.iter().flat_map(|server| server.urls.iter().map(move |url| (server.clone(), url.clone())));
    all.filter(|(_, url)| Way::of(url) == Some(way)).collect()
}

async fn relay(g: Ground, way: Way) -> Outcome {
    let servers = match g.servers.await {
        Ok(servers) => servers,
        Err(_) => return Outcome::skipped("which servers there are is not known: see rest and rooms"),
    };
    let mut of_way = of_way(&servers, way);
    // A STUN server answers where a relay is: relays over UDP do as well.
    if way == Way::Stun && of_way.is_empty() {
        return Outcome::skipped("the room names no STUN server; its relays do the same");
    }
    if of_way.is_empty() {
        return Outcome::skipped("the room names no such relay");
    }
    of_way.truncate(4);
    let tls = &g.tls;
    let tries = of_way.iter().map(|(server, url)| async move {
        match tokio::time::timeout(SERVER, probe::try_out(server, url, tls)).await {
            Ok(tried) => tried,
            Err(_) => Err(format!("{url}: no answer within {} s", SERVER.as_secs())),
        }
    });
    let (mut worked, mut failed) = (Vec::new(), Vec::new());
    for tried in futures_util::future::join_all(tries).await {
        match tried {
            Ok(took) => worked.push(took),
            Err(why) => failed.push(why),
        }
    }
    let next = match way {
        Way::Stun | Way::Udp => "UDP is blocked: calls still work over TCP or TLS, with more delay; ask for UDP to port 3478",
        Way::Tcp => "calls still work over UDP or TLS; ask for TCP to port 3478",
        Way::Tls => "where UDP is blocked this is the last way: port 443 must be open, and the proxy's authority be in network.authority",
    };
    match worked.iter().min() {
        Some(best) if failed.is_empty() => {
            let gave = if way == Way::Stun { "answers" } else { "gives an address" };
            Outcome::ok(format!("{gave} after {} ms", ms(*best))).figure("ms", ms(*best))
        }
        Some(best) => Outcome::warning(format!("one works, but: {}", failed.join("; ")), next).figure("ms", ms(*best)),
        None => Outcome::failure(failed.join("; "), next),
    }
}

async fn bandwidth(g: Ground) -> Outcome {
    let servers = match g.servers.clone().await {
        Ok(servers) => servers,
        Err(_) => return Outcome::skipped("which relays there are is not known: see rest and rooms"),
    };
    let wanted = u64::try_from(g.config.integer("media.bitrate")).unwrap_or(0) * 1000 + 40_000;
    let mut troubles = Vec::new();
    // In the order in which a call prefers them; the first that works is what a call would get.
    for way in [Way::Udp, Way::Tcp, Way::Tls] {
        for (server, url) in of_way(&servers, way).into_iter().take(1) {
            match tokio::time::timeout(SERVER + SPAN, probe::measure(&server, &url, &g.tls, wanted, SPAN)).await {
                Ok(Ok(flow)) => return judge_flow(&flow, way, wanted),
                Ok(Err(why)) => troubles.push(why),
                Err(_) => troubles.push(format!("{url}: no answer in time")),
            }
        }
    }
    if troubles.is_empty() {
        Outcome::skipped("the room names no relay")
    } else {
        Outcome::failure(troubles.join("; "), "no relay works: see turn-udp, turn-tcp and turn-tls")
    }
}

fn judge_flow(flow: &probe::Flow, way: Way, wanted: u64) -> Outcome {
    let loss = flow.loss() * 100.0;
    let says = format!(
        "{} of {} kbit/s there and back over {}, {loss:.1} % lost, {:.0} ms",
        flow.bitrate / 1000,
        wanted / 1000,
        match way {
            Way::Udp | Way::Stun => "UDP",
            Way::Tcp => "TCP",
            Way::Tls => "TLS",
        },
        flow.rtt_ms,
    );
    let outcome = match flow.bitrate {
        bitrate if bitrate < 250_000 => Outcome::failure(says, "too little for a picture: use a cable instead of radio, or a better line"),
        bitrate if bitrate * 10 < wanted * 8 || loss > 3.0 || flow.rtt_ms > 400.0 => {
            Outcome::warning(says, "pictures will be poor: use a cable instead of radio, or lower media.bitrate")
        }
        _ => Outcome::ok(says),
    };
    debug_assert!(outcome.verdict != Verdict::Skipped);
    outcome.figure("bitrate", flow.bitrate).figure("loss", flow.loss()).figure("rtt_ms", flow.rtt_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thin_line_warns_and_one_without_room_for_a_picture_fails() {
        let flow = |received: u64, bitrate, rtt_ms| probe::Flow { sent: 100, received, bitrate, rtt_ms };
        let of = |flow: &probe::Flow| judge_flow(flow, Way::Udp, 1_540_000).verdict;
        assert_eq!(of(&flow(100, 1_500_000, 20.0)), Verdict::Ok);
        assert_eq!(of(&flow(90, 1_400_000, 20.0)), Verdict::Warning);
        assert_eq!(of(&flow(100, 1_500_000, 900.0)), Verdict::Warning);
        assert_eq!(of(&flow(10, 150_000, 20.0)), Verdict::Failure);
    }
}
