//! The states of a call and what each event does in them.

/// Times and limits.
#[derive(Debug, Clone)]
pub struct Limits {}

/// The call machine.
#[derive(Debug)]
pub struct Machine {}
