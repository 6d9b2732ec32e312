//! `residentd`: arguments, configuration, journal, readiness, run, orderly stop.

use clap::Parser;
use residentd::config::{self, Config, Sources};
use std::path::PathBuf;
use std::process::ExitCode;

/// The resident's end of a video call.
#[derive(Parser)]
#[command(version, about)]
struct Arguments {
    /// Read only this configuration file instead of the system's places.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Set one value over all files, e.g. `--set call.ring=30`.
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Check the configuration, print every mistake, and end.
    #[arg(long)]
    check_config: bool,
    /// Print the effective values and where each came from, and end.
    #[arg(long)]
    show_config: bool,
    /// Print the reference page of all settings, and end.
    #[arg(long)]
    reference: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    if arguments.reference {
        print!("{}", config::reference());
        return ExitCode::SUCCESS;
    }
    let config = match Config::load(&Sources::system(arguments.config.as_deref(), arguments.set)) {
        Ok(config) => config,
        Err(mistakes) => {
            eprintln!("{mistakes}");
            return ExitCode::from(78); // EX_CONFIG
        }
    };
    if arguments.show_config {
        print!("{}", config.show());
    }
    ExitCode::SUCCESS
}
