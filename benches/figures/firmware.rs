//! What a firmware builder asks: how large the programs are for each processor, what they pull in, how soon the daemon is ready.
//!
//! Sizes are those of the programs that are there: `make package TARGET=aarch64` (armv7, x86_64) builds them. Debian's package of
//! baresip stands beside, with the libraries and plug-ins that each of the two brings onto a system that has neither.

use crate::figure::{Figure, Samples, Target, report};
use crate::process::Running;
use std::collections::HashSet;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const STARTS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(30);
const MEBIBYTE: f64 = 1024.0 * 1024.0;
const PROCESSORS: &[(&str, &str)] =
    &[("x86_64", "x86_64-unknown-linux-gnu"), ("aarch64", "aarch64-unknown-linux-gnu"), ("armv7", "armv7-unknown-linux-gnueabihf")];

pub fn run() {
    let mut figures = Vec::new();
    let mut missing = Vec::new();
    let target =
        PathBuf::from(std::env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/target").into()));
    let baresip = pulled_in(&["baresip-core"]);
    for (processor, triple) in PROCESSORS {
        let programs = target.join(triple).join("release");
        let Some(daemon) = size(&programs.join("residentd")) else {
            missing.push(*processor);
            continue;
        };
        figures.push(Figure::new(format!("residentd, {processor}"), "MiB", daemon).target(Target::AtMost(12.0)));
    }
    let ours = pulled_in(&depends());
    match (ours, baresip) {
        (Some(us), Some(them)) => {
            figures.push(Figure::new("packages it pulls in", "1", us.0).beside("baresip-core", them.0));
            figures.push(Figure::new("packages it pulls in, installed", "MiB", us.1).beside("baresip-core", them.1));
        }
        _ => println!("apt-cache knows no packages here (apt-get update?): what is pulled in is not counted"),
    }
    figures.push(Figure::new("start to READY", "ms", Samples::new((0..STARTS).map(|_| ready()))).target(Target::AtMost(300.0)));
    report("Firmware: size, packages, start", &figures);
    if !missing.is_empty() {
        println!("not built here, and not in the table: {} (make package TARGET=…)", missing.join(", "));
    }
}

/// MiB of a program without symbols.
fn size(program: &Path) -> Option<f64> {
    Some(std::fs::metadata(program).ok()?.len() as f64 / MEBIBYTE)
}

/// What the Debian package depends on, as Cargo.toml says: the first of each choice.
fn depends() -> Vec<&'static str> {
    let manifest = include_str!("../../Cargo.toml");
    let list = manifest.split("\ndepends = \"\"\"").nth(1).and_then(|rest| rest.split("\"\"\"").next()).expect("Cargo.toml has depends");
    list.split(',').filter_map(|one| one.split_whitespace().find(|word| *word != "\\")).collect()
}

/// How many packages these and all they depend on are, and their installed size in MiB, without those that every Debian has.
fn pulled_in(packages: &[&str]) -> Option<(f64, f64)> {
    let closure = |packages: &[&str]| -> Option<HashSet<String>> {
        let flags = ["--no-recommends", "--no-suggests", "--no-conflicts", "--no-breaks", "--no-replaces", "--no-enhances", "--recurse"];
        let out = Command::new("apt-cache").arg("depends").args(flags).args(packages).stderr(Stdio::null()).output().ok()?;
        let text = String::from_utf8(out.stdout).ok()?;
        // Names stand at the beginning of a line; those in angle brackets are virtual.
        let named = text.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_alphanumeric()));
        Some(named.map(|line| line.trim().to_owned()).collect())
    };
    let mine = closure(packages)?;
    if mine.is_empty() {
        return None;
    }
    let everywhere = closure(&["apt", "systemd", "init-system-helpers", "ca-certificates"])?;
    let mut new: Vec<_> = mine.difference(&everywhere).collect();
    new.sort();
    let shown = Command::new("apt-cache").args(["show", "--no-all-versions"]).args(&new).stderr(Stdio::null()).output().ok()?;
    let text = String::from_utf8(shown.stdout).ok()?;
    let kibibytes: f64 = text.lines().filter_map(|l| l.strip_prefix("Installed-Size: ")?.trim().parse::<f64>().ok()).sum();
    Some((new.len() as f64, kibibytes / 1024.0))
}

/// From starting the program to its word for the service manager that it is ready, ms: with a line to a platform that is not
/// there, for READY does not wait for the cloud.
fn ready() -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    std::fs::create_dir(at("state")).unwrap();
    std::fs::write(at("password"), "password").unwrap();
    let text = format!(
        "line.chatta.enabled = true\nline.chatta.api = \"http://127.0.0.1:9\"\nline.chatta.username = \"chattademo\"\n\
         line.chatta.password_file = {:?}\napi.socket = {:?}\nstate.directory = {:?}\n",
        at("password"),
        at("s.sock"),
        at("state"),
    );
    std::fs::write(at("config.toml"), text).unwrap();
    let manager = UnixDatagram::bind(at("notify")).unwrap();
    manager.set_read_timeout(Some(PATIENCE)).unwrap();
    let start = Instant::now();
    let mut command = Command::new(env!("CARGO_BIN_EXE_residentd"));
    command.arg("--config").arg(at("config.toml")).env("NOTIFY_SOCKET", at("notify"));
    let _daemon = Running(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("built before this bench"));
    let mut said = [0; 4096];
    loop {
        let length = manager.recv(&mut said).expect("the daemon says that it is ready");
        if String::from_utf8_lossy(&said[..length]).contains("READY=1") {
            return start.elapsed().as_secs_f64() * 1000.0;
        }
    }
}
