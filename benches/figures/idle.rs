//! Waiting for a call: the daemon online at the lab, beside baresip registered at a SIP registrar.
//!
//! baresip is the lightest telephone that Debian has. It is given what it needs for the same calls (Opus, VP8, ICE,
//! DTLS-SRTP) and no more.

use crate::figure::{Figure, Samples, Target, report};
use crate::process::{Running, Usage, usage};
use residentd_lab::{Lab, Options};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Starts of each, in turn.
const STARTS: usize = 5;
/// Let both come to rest before they are watched.
const REST: Duration = Duration::from_secs(10);
/// Windows of this length are watched one after the other, both processes side by side.
const WINDOW: Duration = Duration::from_secs(20);
const WINDOWS: usize = 3;
const PATIENCE: Duration = Duration::from_secs(30);
const RESIDENT: u64 = 1124;

pub fn run() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let lab = runtime.block_on(Lab::start(Options::default())).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (registrar, registered) = registrar();
    configure_ours(&lab, dir.path());
    configure_baresip(registrar, dir.path());

    let (mut us, mut them) = (Vec::new(), Vec::new());
    let mut pair = None;
    for _ in 0..STARTS {
        drop(pair.take());
        until("the resident is offline again", || !lab.online(RESIDENT));
        let (start, daemon) = (Instant::now(), ours(dir.path()));
        until("the resident is online", || lab.online(RESIDENT));
        us.push(start.elapsed().as_secs_f64() * 1000.0);
        while registered.try_recv().is_ok() {}
        let (start, telephone) = (Instant::now(), baresip(dir.path()));
        registered.recv_timeout(PATIENCE).expect("baresip does not register; `baresip -f` with its configuration says why");
        them.push(start.elapsed().as_secs_f64() * 1000.0);
        pair = Some((daemon, telephone));
    }
    let (daemon, telephone) = pair.unwrap();

    std::thread::sleep(REST);
    let mut seen = vec![(usage(daemon.pid()), usage(telephone.pid()))];
    for _ in 0..WINDOWS {
        std::thread::sleep(WINDOW);
        seen.push((usage(daemon.pid()), usage(telephone.pid())));
    }
    let minutes = WINDOW.as_secs_f64() / 60.0;
    // Not the median of the windows: what happens seldom counts, too.
    let rate = |of: fn(&(Usage, Usage)) -> f64| (of(&seen[WINDOWS]) - of(&seen[0])) / minutes / WINDOWS as f64;
    let last = seen[WINDOWS];
    let peer = "baresip";
    let figures = [
        Figure::new("idle, RSS", "MiB", last.0.rss).beside(peer, last.1.rss).target(Target::RatioAtMost(1.0)),
        Figure::new("idle, PSS", "MiB", last.0.pss).beside(peer, last.1.pss),
        Figure::new("idle, wake-ups", "1/min", rate(|s| s.0.wakes)).beside(peer, rate(|s| s.1.wakes)).target(Target::AtMost(12.0)),
        Figure::new("idle, CPU", "ms/min", rate(|s| s.0.cpu) * 1000.0).beside(peer, rate(|s| s.1.cpu) * 1000.0),
        Figure::new("start to online", "ms", Samples::new(us)).beside(peer, Samples::new(them)),
        Figure::new("idle, threads", "1", last.0.threads as f64).beside(peer, last.1.threads as f64),
    ];
    let windows = seen.windows(2).map(|w| format!("{:.0}", (w[1].0.wakes - w[0].0.wakes) / minutes)).collect::<Vec<_>>().join(", ");
    report(
        &format!(
            "Idle and reachable, {} s (our wake-ups by {} s: {windows} a minute)",
            WINDOW.as_secs() * WINDOWS as u64,
            WINDOW.as_secs()
        ),
        &figures,
    );
}

fn until(what: &str, is: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is() {
        assert!(Instant::now() < end, "not within {} s: {what}", PATIENCE.as_secs());
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn configure_ours(lab: &Lab, dir: &Path) {
    std::fs::write(dir.join("password"), "password").unwrap();
    std::fs::create_dir(dir.join("state")).unwrap();
    let (pusher, at) = (lab.pusher(), |name: &str| dir.join(name).display().to_string());
    let lines = [
        "line.chatta.enabled = true".to_owned(),
        format!("line.chatta.api = {:?}", lab.api_url()),
        format!("line.chatta.pusher = \"ws://{}:{}\"", pusher.host, pusher.port),
        format!("line.chatta.key = {:?}", pusher.key),
        format!("line.chatta.rooms = {:?}", lab.rooms_url()),
        "line.chatta.username = \"chattademo\"".into(),
        format!("line.chatta.password_file = {:?}", at("password")),
        "media.camera = \"test\"".into(),
        "media.microphone = \"test\"".into(),
        format!("api.socket = {:?}", at("s.sock")),
        format!("state.directory = {:?}", at("state")),
    ];
    std::fs::write(dir.join("residentd.toml"), lines.join("\n")).unwrap();
}

fn ours(dir: &Path) -> Running {
    let mut command = Command::new(env!("CARGO_BIN_EXE_residentd"));
    command.arg("--config").arg(dir.join("residentd.toml"));
    Running(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("built before this bench"))
}

fn configure_baresip(registrar: u16, dir: &Path) {
    let folder = dir.join("baresip");
    std::fs::create_dir(&folder).unwrap();
    // Where Debian puts them differs by architecture and by release.
    let places = ["/usr/lib/baresip/modules".into(), format!("/usr/lib/{}-linux-gnu/baresip/modules", std::env::consts::ARCH)];
    let modules = places.iter().find(|place| Path::new(place).is_dir()).expect("baresip has modules; run `tests/tools/prepare bench`");
    let mut config = format!("poll_method epoll\nsip_listen 127.0.0.1:0\nmodule_path {modules}\n");
    for module in ["opus", "vp8", "fakevideo", "ausine", "ice", "dtls_srtp"] {
        config += &format!("module {module}.so\n");
    }
    config += "module_app account.so\n";
    std::fs::write(folder.join("config"), config).unwrap();
    std::fs::write(folder.join("contacts"), "").unwrap();
    let account = format!("<sip:resident@127.0.0.1:{registrar};transport=udp>;auth_pass=none;regint=600;mediaenc=dtls_srtp;medianat=ice\n");
    std::fs::write(folder.join("accounts"), account).unwrap();
}

fn baresip(dir: &Path) -> Running {
    let mut command = Command::new("baresip");
    command.arg("-f").arg(dir.join("baresip")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    Running(command.spawn().unwrap_or_else(|e| panic!("baresip: {e}; run `tests/tools/prepare bench`")))
}

/// Accepts every registration for ten minutes, as RFC 3261 10.3 wants it answered, and tells of each. Its port.
fn registrar() -> (u16, mpsc::Receiver<()>) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let request = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if !request.starts_with("REGISTER ") {
                continue;
            }
            let mut answer = String::from("SIP/2.0 200 OK\r\n");
            for line in request.lines().skip(1).take_while(|line| !line.is_empty()) {
                let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
                match name.as_str() {
                    "via" | "from" | "call-id" | "cseq" => answer += &format!("{line}\r\n"),
                    "to" => answer += &format!("{line};tag=registrar\r\n"),
                    "contact" => answer += &format!("{line};expires=600\r\n"),
                    _ => {}
                }
            }
            answer += "Content-Length: 0\r\n\r\n";
            if socket.send_to(answer.as_bytes(), from).is_err() || tell.send(()).is_err() {
                return;
            }
        }
    });
    (port, told)
}
