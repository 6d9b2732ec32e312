//! What tests share: what they run against, and what they look with.

pub mod browser;
pub mod cable;
pub mod coturn;
pub mod echo;
pub mod house;
pub mod link;
pub mod participant;
pub mod peers;
pub mod platform;
pub mod program;
pub mod proxy;
pub mod sockudo;
