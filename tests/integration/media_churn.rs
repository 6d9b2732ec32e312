//! Calls in a row leave threads, file descriptors and memory where they were after the first ones. A process of its own,
//! because it counts what the whole process holds, with the allocator's settings of the unit.

use residentd::media::session::{Config, MicrophoneSource, Session};
use residentd::media::{Codec, Outputs, PictureSink, SoundOut};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

/// Tells when pictures come.
struct Pictures(mpsc::SyncSender<()>);

impl PictureSink for Pictures {
    fn push(&self, _: &gstreamer::Sample) {
        let _ = self.0.try_send(());
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    threads: usize,
    files: usize,
}

fn held() -> Held {
    Held { threads: std::fs::read_dir("/proc/self/task").unwrap().count(), files: std::fs::read_dir("/proc/self/fd").unwrap().count() }
}

/// Resident memory in KiB.
fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find_map(|l| l.strip_prefix("VmRSS:")).and_then(|l| l.split_whitespace().next()).unwrap().parse().unwrap()
}

/// Waits until no more than this is held: pipelines go down behind the end of a call.
fn settles_to(limit: Held) -> Held {
    let begin = Instant::now();
    loop {
        let now = held();
        if (now.threads <= limit.threads && now.files <= limit.files) || begin.elapsed() > Duration::from_secs(30) {
            return now;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One call with itself: until pictures were seen and sound was heard.
fn call(codec: Codec) {
    let (tell, seen) = mpsc::sync_channel(1);
    let (own, _) = mpsc::sync_channel(1);
    let loud = Arc::new(AtomicU64::new(0));
    let heard = loud.clone();
    let sound = SoundOut::Samples(Arc::new(move |s: &[i16]| {
        heard.fetch_add(u64::from(s.iter().any(|x| *x != 0)), Ordering::Relaxed);
    }));
    let (events, _inbox) = tokio::sync::mpsc::channel(8);
    let outputs = Outputs { remote: Arc::new(Pictures(tell)), own: Arc::new(Pictures(own)), sound };
    let config = Config {
        width: 320,
        height: 180,
        fps: 15,
        jitter_buffer: Duration::from_millis(20),
        microphone: MicrophoneSource::Test,
        ..Config::default()
    };
    let session = Session::open(config, true, outputs, events).unwrap();
    let picture = Arc::new(session.receive(codec, 96, Arc::new(|| {})).unwrap());
    let voice = Arc::new(session.receive(Codec::Opus, 111, Arc::new(|| {})).unwrap());
    let (p, v) = (picture.clone(), voice.clone());
    let _sending = (
        session.send(codec, 96, Arc::new(move |b| p.push(b))).unwrap(),
        session.send(Codec::Opus, 111, Arc::new(move |b| v.push(b))).unwrap(),
    );
    for _ in 0..3 {
        seen.recv_timeout(Duration::from_secs(60)).expect("pictures");
    }
    session.close();
}

fn calls(n: u32) {
    let codec = |i: u32| if i.is_multiple_of(2) { Codec::Vp8 } else { Codec::H264 };
    let before = held();
    (0..10).for_each(|i| call(codec(i)));
    // GLib keeps idle threads for a while; what counts is that they do not become more.
    let after_some = settles_to(before);
    let memory_after_some = rss();
    (0..n).for_each(|i| call(codec(i)));
    let end = settles_to(after_some);
    let memory_end = rss();
    println!("{n} calls: {before:?} -> {after_some:?} -> {end:?}, {memory_after_some} -> {memory_end} KiB");
    assert!(end.threads <= after_some.threads && end.files <= after_some.files, "{after_some:?} -> {end:?}");
    let growth = memory_end.saturating_sub(memory_after_some);
    assert!(growth < 2 * 1024 + 24 * u64::from(n), "{growth} KiB more after {n} calls");
}

/// Runs the test of this name again in a process with the allocator's settings of the unit, or does its work there.
fn apart(name: &str, work: impl FnOnce()) {
    if std::env::var_os("MALLOC_ARENA_MAX").is_some() {
        return work();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("MALLOC_ARENA_MAX", "2")
        .env("MALLOC_TRIM_THRESHOLD_", "131072")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success() && said.contains("test result: ok. 1 passed"), "{name} failed in its own process");
}

#[test]
fn thirty_calls_leave_nothing_behind() {
    apart("media_churn::thirty_calls_leave_nothing_behind", || calls(30));
}
