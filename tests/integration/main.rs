//! Tests on real input: the daemon's program, or some of its rooms together, with real servers, browsers and relays. One program, because
//! each would link the whole daemon again; the test runner gives every test a process of its own all the same, and some count on that.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod adverse;
mod browser_driver;
mod call_browser;
mod calls;
mod carer_page;
mod echo;
mod foreign;
mod hundred_calls;
mod journal;
mod killed;
mod line_lab;
mod media_churn;
mod moved;
mod peer_leftovers;
mod peer_pair;
mod process;
mod pusher_sockudo;
mod relay_coturn;
mod repair_browser;
mod repair_loss;
mod residentctl;
mod room_browser;
mod room_lab;
mod service;
#[path = "../support/mod.rs"]
mod support;
mod television;
mod window;
