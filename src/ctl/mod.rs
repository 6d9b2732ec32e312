//! `residentctl`: the technician's command. It is a client of the local API ([`crate::api`]) and reads the same
//! configuration as the daemon; what it can do with the daemon, `curl --unix-socket` can do too.
//!
//! A file a command, or a few that belong together. [`arguments`] is the one definition of what can be typed, [`exit`] of
//! how it ends, [`screen`] of how it looks; each command prints through the latter and returns the former.

pub mod arguments;
mod bugreport;
pub mod client;
mod devices;
mod doctor;
pub mod exit;
pub mod generate;
mod log;
pub mod provision;
pub mod screen;
mod scrub;
mod settings;
mod status;
pub mod test;
mod version;
mod words;

use crate::config::{Config, Sources};
use arguments::{Arguments, Command};
use clap::Parser;
use client::Daemon;
use exit::{Exit, Failure};
use screen::Screen;
use serde_json::json;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// For jobs that are left when the report is there: those that close a device in good order take less.
const LEFT: Duration = Duration::from_millis(200);

/// The whole program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let mut screen = Screen::new(arguments.json);
    let exit = carry_out(run(arguments, &mut screen)).unwrap_or_else(|failure| {
        if screen.json {
            screen.value(&json!({ "error": failure.says, "exit": failure.exit.code() }), false);
        } else {
            eprintln!("residentctl: {}", failure.says);
        }
        failure.exit
    });
    exit.into()
}

/// Runs a command to its end. A driver that hangs keeps its thread for ever, but not the program: the kernel closes the device with it.
fn carry_out(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|e| Failure::new(Exit::Failed, format!("no runtime: {e}")))?;
    let ended = runtime.block_on(command);
    runtime.shutdown_timeout(LEFT);
    ended
}

async fn run(arguments: Arguments, screen: &mut Screen) -> Result<Exit, Failure> {
    let loaded = Config::load(&Sources::system(arguments.config.as_deref(), arguments.set.clone()));
    let config = loaded.as_ref().ok();
    let path = arguments.socket.clone().or_else(|| config.map(crate::daemon::socket));
    let daemon = Daemon::at(&path.unwrap_or_else(|| PathBuf::from("/run/residentd/residentd.sock")))?;
    match &arguments.command {
        Command::Status => status::run(screen, &daemon, config).await,
        Command::Calls { limit } => log::calls(screen, &daemon, *limit).await,
        Command::Events => log::events(screen, &daemon).await,
        Command::Statistics => log::statistics(screen, &daemon).await,
        Command::Accept => press(screen, &daemon, "accept").await,
        Command::Decline => press(screen, &daemon, "decline").await,
        Command::End => press(screen, &daemon, "end").await,
        Command::Mute => press(screen, &daemon, "mute").await,
        Command::Key { key } => press(screen, &daemon, &format!("keys/{key}")).await,
        Command::Config(command) => settings::run(screen, *command, loaded),
        Command::LogLevel { level } => log_level(screen, &daemon, level.as_deref()).await,
        Command::Doctor { only, skip } => {
            let choice = doctor::Choice { only: only.clone(), skip: skip.clone() };
            doctor::run(screen, &daemon, loaded, &choice).await
        }
        Command::Provision(wish) => provision::run(screen, &daemon, (**wish).clone(), arguments.set.clone()).await,
        Command::Test(part) => test::run(screen, &daemon, loaded, part.clone()).await,
        Command::Bugreport { output, devices } => bugreport::run(screen, &daemon, loaded, output.clone(), *devices).await,
        Command::Devices => devices::run(screen, config).await,
        Command::Version => Ok(version::run(screen, &daemon).await),
        Command::Generate { folder } => generate::run(screen, folder),
    }
}

/// Has the daemon do something. Silence is success, as with every Unix command; programs get their answer.
async fn press(screen: &mut Screen, daemon: &Daemon, what: &str) -> Result<Exit, Failure> {
    daemon.post(what).await?;
    if screen.json {
        screen.value(&json!({ "done": what }), false);
    }
    Ok(Exit::Done)
}

async fn log_level(screen: &mut Screen, daemon: &Daemon, level: Option<&str>) -> Result<Exit, Failure> {
    if let Some(level) = level {
        daemon.put("log-level", &json!({ "level": level })).await?;
    }
    let now = daemon.get("log-level").await?;
    if screen.json {
        screen.value(&now, false);
    } else {
        screen.line(now["level"].as_str().unwrap_or("unknown"));
    }
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn a_job_that_never_ends_does_not_keep_the_program() {
        let (plug, device) = mpsc::channel::<()>();
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let ended = carry_out(async move {
                tokio::task::spawn_blocking(move || device.recv());
                Ok(Exit::Done)
            });
            tell.send(ended.is_ok())
        });
        assert_eq!(told.recv_timeout(Duration::from_secs(10)), Ok(true), "it waits for the job");
        drop(plug);
    }
}
