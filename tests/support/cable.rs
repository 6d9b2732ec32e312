//! A box with a network cable that tests pull: two network namespaces, and one cable between them. The test is in the one, with
//! the lab and the browser; the box is in the other. The machine's own network does not change: every other test would
//! notice it. Needs root and the package iproute2.
#![allow(dead_code, reason = "each test file uses a part of it")]

use rustix::fd::AsFd;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

/// Where the lab is to the box.
pub const HERE: &str = "10.77.0.1";

/// The cable. What is left of it goes with its owner.
pub struct Cable {
    here: String,
    there: String,
}

fn ip(arguments: &str) {
    let done = Command::new("ip").args(arguments.split(' ')).stderr(Stdio::null()).status();
    assert!(done.is_ok_and(|status| status.success()), "`ip {arguments}` fails: this test needs root and the package iproute2");
}

/// Runs a test at this end of a cable. The box's end is up and has the address 10.77.0.2.
pub fn with_a_cable<F: Future<Output = ()>>(test: impl FnOnce(Cable) -> F + Send + 'static) {
    // A thread of its own, as nothing else may find itself in that network afterwards.
    let end = std::thread::spawn(|| {
        let cable = Cable::new();
        cable.stay_here();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(test(cable));
    });
    if let Err(panic) = end.join() {
        std::panic::resume_unwind(panic);
    }
}

impl Cable {
    fn new() -> Cable {
        // Under `cargo test` several tests are one process.
        static MADE: AtomicU32 = AtomicU32::new(0);
        let number = format!("{}-{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let cable = Cable { here: format!("residentd-here-{number}"), there: format!("residentd-there-{number}") };
        let (here, there) = (&cable.here, &cable.there);
        for step in [
            format!("netns add {here}"),
            format!("netns add {there}"),
            format!("-n {here} link add eth0 type veth peer name eth0 netns {there}"),
            format!("-n {here} link set lo up"),
            format!("-n {there} link set lo up"),
            format!("-n {here} addr add {HERE}/24 dev eth0"),
            format!("-n {here} link set eth0 up"),
            format!("-n {there} link set eth0 up"),
        ] {
            ip(&step);
        }
        cable.add_address(2);
        // A browser without a way out takes itself for offline.
        ip(&format!("-n {here} route add default via 10.77.0.2"));
        cable
    }

    /// This thread and all that it starts are at this end from now on.
    fn stay_here(&self) {
        let namespace = std::fs::File::open(format!("/run/netns/{}", self.here)).expect("made just now");
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).expect("this test needs root");
    }

    /// Starts this program at the box's end.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.there, program]).stdin(Stdio::null());
        command
    }

    /// Gives the box the address 10.77.0.`last`, and by it a way out.
    pub fn add_address(&self, last: u8) {
        ip(&format!("-n {} addr add 10.77.0.{last}/24 dev eth0", self.there));
        ip(&format!("-n {} route replace default via {HERE}", self.there));
    }

    /// Takes it away.
    pub fn take_address(&self, last: u8) {
        ip(&format!("-n {} addr del 10.77.0.{last}/24 dev eth0", self.there));
    }

    /// Plugs the box's end in, or pulls it.
    pub fn plugged(&self, yes: bool) {
        ip(&format!("-n {} link set eth0 {}", self.there, if yes { "up" } else { "down" }));
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in [&self.here, &self.there] {
            // The cable goes with the last connection that is still being closed.
            let _ = Command::new("ip").args(["netns", "del", name]).status();
        }
    }
}
