//! `residentd-lab`: starts the care platform in a box and says where.

use clap::{Parser, ValueEnum};
use residentd_lab::{Entries, Lab, Options, Pairing, Ports, Power};
use serde_json::{Value, json};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// The care platform in a box: REST API, Pusher server, room signalling, the carer's page and a television.
///
/// Every port speaks TLS and plain at once (the first byte tells which), so `https://127.0.0.1:PORT` and
/// `http://127.0.0.1:PORT` are the same service. When ready, one line of JSON on standard output says where everything is.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Port of the REST API; 0 takes a free one, as for all ports.
    #[arg(long, default_value_t = 0)]
    api: u16,
    /// Port of the Pusher server.
    #[arg(long, default_value_t = 0)]
    pusher: u16,
    /// Port of the room signalling.
    #[arg(long, default_value_t = 0)]
    rooms: u16,
    /// Port of the page, the television link, /lab/state and /lab/faults.
    #[arg(long, default_value_t = 0)]
    page: u16,
    /// Address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    bind: IpAddr,
    /// Certificate chain (PEM); without it the lab makes its own authority.
    #[arg(long, requires = "key")]
    cert: Option<PathBuf>,
    /// Key of the certificate (PEM).
    #[arg(long, requires = "cert")]
    key: Option<PathBuf>,
    /// Where to write the own authority's certificate; a file in the temporary directory by default.
    #[arg(long)]
    ca: Option<PathBuf>,
    /// More customers, administrators and residents (JSON or TOML).
    #[arg(long, value_name = "FILE")]
    residents: Option<PathBuf>,
    /// Where the npm packages lie (node_modules).
    #[arg(long, value_name = "DIR")]
    npm: Option<PathBuf>,
    /// Where the page's files lie.
    #[arg(long, value_name = "DIR")]
    page_dir: Option<PathBuf>,
    /// Who makes the first offer in a room.
    #[arg(long, value_enum, default_value = "newcomer-offers")]
    pairing: PairingName,
    /// ICE servers handed out to room clients, as JSON: [{"urls":"turn:…","username":"…","credential":"…"}].
    #[arg(long, value_name = "JSON", value_parser = |s: &str| serde_json::from_str::<Value>(s))]
    ice_servers: Option<Value>,
    /// How long logins live, in seconds.
    #[arg(long, value_name = "SECONDS")]
    token_life: Option<u64>,
    /// Silence in seconds after which the Pusher server pings.
    #[arg(long, value_name = "SECONDS")]
    activity_timeout: Option<u64>,
    /// The television is on at the start, not in standby.
    #[arg(long)]
    tv_on: bool,
    /// The television's input at the start.
    #[arg(long, default_value = "tuner")]
    tv_input: String,
    /// The television's volume at the start, 0 to 100.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u8).range(0..=100))]
    tv_volume: u8,
}

#[derive(Clone, Copy, ValueEnum)]
enum PairingName {
    NewcomerOffers,
    ExistingOffers,
}

#[tokio::main]
async fn main() -> ExitCode {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("warn")).init();
    match run(Arguments::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("residentd-lab: {e}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn std::error::Error>> {
    let defaults = Options::default();
    let options = Options {
        bind: arguments.bind,
        ports: Ports { api: arguments.api, pusher: arguments.pusher, rooms: arguments.rooms, page: arguments.page },
        certificate: arguments.cert.zip(arguments.key),
        people: arguments.residents.as_deref().map(Entries::read).transpose()?.unwrap_or_default(),
        token_life: arguments.token_life.map_or(defaults.token_life, Duration::from_secs),
        activity_timeout: arguments.activity_timeout.map_or(defaults.activity_timeout, Duration::from_secs),
        pairing: match arguments.pairing {
            PairingName::NewcomerOffers => Pairing::NewcomerOffers,
            PairingName::ExistingOffers => Pairing::ExistingOffers,
        },
        ice_servers: arguments.ice_servers.unwrap_or(defaults.ice_servers),
        tv_power: if arguments.tv_on { Power::On } else { Power::Standby },
        tv_input: arguments.tv_input,
        tv_volume: arguments.tv_volume,
        npm_dir: arguments.npm.unwrap_or(defaults.npm_dir),
        page_dir: arguments.page_dir.unwrap_or(defaults.page_dir),
        ..Options::default()
    };
    // Before the lab is ready, so that an early signal is not missed.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let lab = Lab::start(options).await?;
    let own_file = arguments.ca.is_none();
    let mut ca = None;
    if let Some(pem) = lab.ca_pem() {
        let file = arguments.ca.unwrap_or_else(|| std::env::temp_dir().join(format!("residentd-lab-{}.pem", std::process::id())));
        std::fs::write(&file, pem).map_err(|e| format!("cannot write {}: {e}", file.display()))?;
        ca = Some(file);
    }
    let ports = lab.ports();
    println!(
        "{}",
        json!({
            "ready": true, "api": ports.api, "pusher": ports.pusher, "rooms": ports.rooms, "page": ports.page,
            "api_url": lab.api_url(), "pusher_url": lab.pusher_url(), "rooms_url": lab.rooms_url(), "page_url": lab.page_url(),
            "tv_url": lab.tv_url(), "ca": ca, "pid": std::process::id(),
        })
    );
    tokio::select! {
        _ = interrupt.recv() => {}
        _ = terminate.recv() => {}
    }
    lab.stop().await;
    if let Some(file) = ca.filter(|_| own_file) {
        let _ = std::fs::remove_file(file);
    }
    Ok(())
}
