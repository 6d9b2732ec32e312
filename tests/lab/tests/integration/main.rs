//! The lab as its clients see it: the real ones, and recordings of them.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

#[path = "../../../support/browser.rs"]
mod browser;
mod page_port;
mod pages;
mod pusher;
mod rest;
mod rooms;
mod support;
