//! How `residentctl` ends: one table, from which the man pages and docs/residentctl.md are made.

use std::process::ExitCode;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something is wrong with the box.
    Failed = 1,
    /// Used wrongly.
    Usage = 2,
    /// No daemon.
    Unreachable = 3,
    /// Nothing to do it to.
    Nothing = 4,
    /// Not allowed.
    Forbidden = 5,
    /// The platform said no.
    Refused = 6,
    /// The platform did not answer.
    Network = 7,
    /// Configuration.
    Configuration = 78,
}

/// Every way to end, with what it means.
pub const TABLE: &[(Exit, &str)] = &[
    (Exit::Done, "Done; with doctor: nothing failed (there may be warnings)."),
    (Exit::Failed, "It was tried and failed; with doctor: at least one check failed."),
    (Exit::Usage, "Wrong arguments; nothing was done."),
    (Exit::Unreachable, "The daemon cannot be reached: not running, or another socket."),
    (Exit::Nothing, "There is nothing it could be done to, e.g. no call."),
    (Exit::Forbidden, "Not permitted: use sudo; keys need api.keys = true."),
    (Exit::Refused, "The platform refused user name, password or token."),
    (Exit::Network, "The platform cannot be reached, or answers with something else."),
    (Exit::Configuration, "The configuration has mistakes; every one of them was printed."),
];

impl Exit {
    /// The number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit.code())
    }
}

/// Why a command came to nothing: how to end, and one or more lines that say what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{says}")]
pub struct Failure {
    /// How to end.
    pub exit: Exit,
    /// What is wrong and what to do.
    pub says: String,
}

impl Failure {
    /// With these words.
    pub fn new(exit: Exit, says: impl Into<String>) -> Failure {
        Failure { exit, says: says.into() }
    }
}

/// The table in Markdown.
pub fn markdown() -> String {
    let rows = TABLE.iter().map(|(exit, means)| format!("| {} | {means} |\n", exit.code()));
    "| exit code | means |\n|---|---|\n".chars().chain(rows.collect::<String>().chars()).collect()
}
