//! `residentctl`: the technician's command, a client of the local API. What it can do, `curl --unix-socket` can do too.

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

/// Talks to the running residentd.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// The daemon's socket.
    #[arg(long, value_name = "PATH", default_value = "/run/residentd/residentd.sock")]
    socket: PathBuf,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Lines, television, devices and the running call, as JSON.
    Status,
    /// The call log, newest first, as JSON.
    Calls {
        /// How many.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// The running call's figures, as JSON.
    Statistics,
    /// Follow what happens, one event a line.
    Events,
    /// Answer the ringing call.
    Accept,
    /// Decline the ringing call.
    Decline,
    /// Hang up.
    End,
    /// Switch the microphone off or on.
    Mute,
    /// Press a key of the remote control, e.g. `ok` (only where `api.keys` is set).
    Key {
        /// Which.
        key: String,
    },
}

/// Exit codes: 0 done, 1 refused or nothing it could apply to, 2 usage (clap), 3 the daemon cannot be reached.
const UNREACHABLE: u8 = 3;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments).await {
        Ok(code) => code,
        Err(e) => {
            eprintln!("residentd cannot be reached at {}: {e}; is it running? (systemctl status residentd)", arguments.socket.display());
            ExitCode::from(UNREACHABLE)
        }
    }
}

async fn run(arguments: &Arguments) -> Result<ExitCode, reqwest::Error> {
    // The socket needs no TLS, but the HTTP client is built with it and panics where none is chosen. Already chosen is fine.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().unix_socket(arguments.socket.as_path()).build()?;
    let at = |path: &str| format!("http://residentd/v1/{path}");
    let request = match &arguments.command {
        Command::Status => client.get(at("status")),
        Command::Calls { limit } => client.get(at(&format!("calls?limit={limit}"))),
        Command::Statistics => client.get(at("statistics")),
        Command::Events => client.get(at("events")),
        Command::Accept => client.post(at("accept")),
        Command::Decline => client.post(at("decline")),
        Command::End => client.post(at("end")),
        Command::Mute => client.post(at("mute")),
        Command::Key { key } => client.post(at(&format!("keys/{key}"))),
    };
    let mut answer = request.send().await?;
    let status = answer.status();
    while let Some(part) = answer.chunk().await? {
        print(&String::from_utf8_lossy(&part));
    }
    if status.is_success() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("{}", refusal(status.as_u16()));
    Ok(ExitCode::FAILURE)
}

/// Server-sent events lose their framing: one event a line.
fn print(text: &str) {
    for line in text.lines().map(|l| l.strip_prefix("data: ").unwrap_or(l)) {
        if !line.is_empty() && !line.starts_with("event:") && !line.starts_with(':') {
            println!("{line}");
        }
    }
}

fn refusal(status: u16) -> String {
    match status {
        403 => "not permitted: use sudo; keys need api.keys = true in the configuration".into(),
        404 => "there is nothing of that kind now".into(),
        409 => "there is no call that this applies to".into(),
        503 => "the daemon is stopping or hangs: see journalctl -u residentd".into(),
        other => format!("the daemon answered {other}"),
    }
}
