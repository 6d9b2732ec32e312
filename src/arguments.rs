//! The arguments of `residentd`, from which its man page and completions are made too.

use clap::Parser;
use std::path::PathBuf;

/// The resident's end of a video call.
#[derive(Debug, Clone, Parser)]
#[command(name = "residentd", version, about)]
pub struct Arguments {
    /// Read only this configuration file instead of the system's places.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Set one value over all files, e.g. `--set call.ring=30`.
    #[arg(long, value_name = "KEY=VALUE")]
    pub set: Vec<String>,
    /// Check the configuration, print every mistake, and end.
    #[arg(long)]
    pub check_config: bool,
    /// Print the effective values and where each came from, and end.
    #[arg(long)]
    pub show_config: bool,
    /// Print the journal's catalogue of messages, and end.
    #[arg(long)]
    pub catalogue: bool,
    /// Print the reference page of all settings, and end.
    #[arg(long)]
    pub reference: bool,
}
