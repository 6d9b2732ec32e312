//! Tests on the kernel's own device interfaces: camera, sound cards, display, HDMI-CEC, remote controls.
//!
//! They run in the device lab only: `make devlab-test`, or `tests/devlab/test NAME` for some of them. One after the other, as root
//! of a guest that is thrown away, under its systemd. What a test keeps with [`guest::keep`] is in target/devlab afterwards.
//! `make devlab-full` runs them in another guest: a Debian machine with its stock kernel and the installed package.
#![allow(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

mod camera;
mod cec;
mod daemon;
mod display;
mod doctor;
mod echo;
mod faults;
mod figures;
mod guest;
mod keys;
mod outside;
#[path = "../support/participant.rs"]
mod participant;
mod service;
mod sound;
#[path = "../support/echo.rs"]
mod voices;
mod whole;
