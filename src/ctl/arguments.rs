//! What can be typed: one definition, from which the help, the man pages and the completions are made.

use super::exit;
use clap::{Parser, Subcommand};
use std::path::PathBuf;

/// Sets up, watches and examines residentd, the resident's end of a video call.
#[derive(Debug, Clone, Parser)]
#[command(name = "residentctl", version, about, after_long_help = exit_codes(), max_term_width = 80, subcommand_required = true)]
pub struct Arguments {
    /// The daemon's socket [default: as the configuration says, else /run/residentd/residentd.sock].
    #[arg(long, global = true, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Print JSON instead of text.
    #[arg(long, global = true)]
    pub json: bool,
    /// Read only this configuration file instead of the system's places.
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one value over all files, e.g. `--set media.camera=none`.
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Everything a glance should tell: lines, television, devices, the call, versions.
    Status,
    /// The call log, newest first.
    Calls {
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
        limit: u16,
    },
    /// Follow what happens, one event a line, until Ctrl-C.
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
    /// The running call's figures.
    Statistics,
    /// The configuration.
    #[command(subcommand)]
    Config(ConfigCommand),
    /// How much is logged: show it, or change it until the next restart.
    LogLevel {
        /// The new level.
        #[arg(value_parser = ["error", "warn", "info", "debug", "trace"])]
        level: Option<String>,
    },
    /// Make this box a resident's: check the account at the platform, write credential and configuration, restart.
    ///
    /// A sealed credential (systemd-creds) of an earlier resident would count before the one that is written: it is renamed to NAME.old.
    Provision(Box<super::provision::Wish>),
    /// Check everything a call needs, and say what to do where something is not well. Takes under a minute.
    ///
    /// Camera and microphone are opened for a few seconds, and the speaker plays half a second of soft noise, unless there
    /// is a call; nothing is recorded. Best run as root: passwords cannot be read otherwise.
    Doctor {
        /// Only this check (may be given more than once).
        #[arg(long, value_name = "CHECK", value_parser = super::doctor::names())]
        only: Vec<String>,
        /// Without this check (may be given more than once).
        #[arg(long, value_name = "CHECK", value_parser = super::doctor::names())]
        skip: Vec<String>,
    },
    /// Look at one part more closely.
    #[command(subcommand)]
    Test(super::test::Part),
    /// Collect everything that helps somebody far away into one archive, without secrets and names.
    Bugreport {
        /// The archive [default: in the folder for temporary files].
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
        /// Open camera, microphone and speaker for it, too.
        #[arg(long)]
        devices: bool,
    },
    /// Cameras, microphones, loudspeakers, HDMI-CEC adapters, displays and remote controls, by the names that belong into the configuration.
    Devices,
    /// Versions of everything that matters.
    Version,
    /// Write man pages, completions and the reference page into a folder (for packages).
    #[command(hide = true)]
    Generate {
        /// Where to.
        folder: PathBuf,
    },
}

/// What can be done with the configuration.
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// The effective values, and where each came from.
    Show {
        /// Only what differs from the defaults.
        #[arg(long)]
        changed: bool,
    },
    /// Every mistake of every file.
    Check,
}

/// The table of exit codes as the end of the long help.
fn exit_codes() -> String {
    let rows = exit::TABLE.iter().map(|(exit, means)| format!("  {:>2}  {means}\n", exit.code()));
    format!("Exit codes:\n{}", rows.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn help(command: &mut clap::Command, texts: &mut Vec<String>) {
        texts.push(command.render_help().to_string());
        texts.push(command.render_long_help().to_string());
        command.get_subcommands_mut().for_each(|command| help(command, texts));
    }

    #[test]
    fn the_help_of_every_command_fits_into_80_columns() {
        let mut texts = Vec::new();
        let mut all = Arguments::command();
        all.build();
        help(&mut all, &mut texts);
        assert!(texts.len() > 40, "only {} pages", texts.len());
        for line in texts.iter().flat_map(|text| text.lines()) {
            assert!(line.chars().count() <= 80, "{line}");
        }
    }
}
