//! What a process costs, as the kernel counts it.

use std::fs::read_to_string;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Ticks of `/proc/PID/stat` a second: `USER_HZ`, the same on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// Where the npm packages lie.
pub fn npm() -> PathBuf {
    let cache = std::env::var_os("RESIDENTD_CACHE").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".cache/residentd"));
    let npm = std::env::var_os("RESIDENTD_NPM").map_or_else(|| cache.join("npm/node_modules"), PathBuf::from);
    assert!(npm.join("pusher-js").is_dir(), "pusher-js is missing in {}; run `make tools`", npm.display());
    npm
}

/// Tells this program which part it is to play; see main.rs.
pub const PART: &str = "RESIDENTD_FIGURES";

/// This program once more, in that part.
pub fn this_as(part: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a name"));
    command.env(PART, part);
    command
}

/// Runs it beside this one; its standard input ends when it is dropped.
pub fn again(part: &str, arguments: &[&str]) -> Running {
    Running(this_as(part).args(arguments).stdin(Stdio::piped()).spawn().expect("this program starts"))
}

/// Runs it to its end; the JSON that it tells.
pub fn again_and_tell(part: &str, arguments: &[&str]) -> serde_json::Value {
    let done = this_as(part).args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).output().expect("this program starts");
    assert!(done.status.success(), "{part} failed with {}; the reason stands above", done.status);
    let text = String::from_utf8_lossy(&done.stdout);
    text.lines().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_else(|| panic!("{part} tells nothing: {text}"))
}

/// Ended with its owner.
pub struct Running(pub Child);

impl Running {
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process at one moment.
#[derive(Debug, Clone, Copy, Default)]
pub struct Usage {
    /// CPU time in seconds, user and system.
    pub cpu: f64,
    /// Resident memory in MiB.
    pub rss: f64,
    /// Resident memory in MiB, what is shared counted in part.
    pub pss: f64,
    /// How often a thread went to sleep, and hence was woken.
    pub wakes: f64,
    /// Threads.
    pub threads: usize,
}

/// Of this process; it must be running.
pub fn usage(pid: u32) -> Usage {
    let proc = Path::new("/proc").join(pid.to_string());
    let read = |name: &str| read_to_string(proc.join(name)).unwrap_or_else(|e| panic!("process {pid} is gone: {e}"));
    let stat = read("stat");
    // The name in brackets may hold anything, spaces included.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<f64>().unwrap();
    let tasks: Vec<_> = std::fs::read_dir(proc.join("task")).unwrap().flatten().map(|task| task.path().join("status")).collect();
    let wakes = tasks.iter().filter_map(|task| Some(value(&read_to_string(task).ok()?, "voluntary_ctxt_switches:"))).sum();
    Usage {
        cpu: (ticks(11) + ticks(12)) / TICKS,
        rss: value(&read("status"), "VmRSS:") / 1024.0,
        pss: value(&read("smaps_rollup"), "Pss:") / 1024.0,
        wakes,
        threads: tasks.len(),
    }
}

/// The sum over these processes; those that are gone count nothing.
pub fn cpu_of_all(pids: &[u32]) -> f64 {
    let all = pids.iter().filter_map(|pid| {
        let stat = read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let fields: Vec<f64> = stat.rsplit(')').next()?.split_whitespace().skip(11).take(2).filter_map(|f| f.parse().ok()).collect();
        Some(fields.iter().sum::<f64>() / TICKS)
    });
    all.sum()
}

/// Memory of these processes in MiB, what they share counted once.
pub fn pss_of_all(pids: &[u32]) -> f64 {
    pids.iter().filter_map(|pid| read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()).map(|text| value(&text, "Pss:") / 1024.0).sum()
}

fn value(text: &str, key: &str) -> f64 {
    text.lines().find_map(|l| l.strip_prefix(key)?.split_whitespace().next()?.parse().ok()).unwrap_or(0.0)
}
