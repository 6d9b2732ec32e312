//! The real program as systemd sees it: ready without the cloud, pings, a state in words, a new configuration without a
//! dropped call.
use crate::support::participant::{Guest, Participant};
use crate::support::program::{self, CALLER, Daemon, PATIENCE, RESIDENT, RESIDENT_NAME, configure};
use residentd::checkpoint::{Point, STUCK};
use residentd_lab::{CallOptions, Lab, Options, Power, ReplyKind};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::{Duration, Instant};

const QUIET: &str = "tv.sink = \"none\"\nmedia.speaker = \"none\"";

/// systemd's patience with a daemon that does not ping.
const WATCHDOG: Duration = Duration::from_millis(1500);

/// systemd's end of the notifications.
struct Systemd {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Systemd {
    fn start(dir: &Path, file: &Path) -> (Systemd, Daemon) {
        Systemd::start_with(dir, file, &[])
    }

    /// With these in the environment besides.
    fn start_with(dir: &Path, file: &Path, environment: &[(&str, &Path)]) -> (Systemd, Daemon) {
        let path = dir.join("notify");
        let _ = std::fs::remove_file(&path);
        let socket = UnixDatagram::bind(&path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let mut command = program::command(file);
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", WATCHDOG.as_micros().to_string()).envs(environment.iter().copied());
        (Systemd { socket, heard: Vec::new() }, Daemon::start(&mut command, dir))
    }

    /// Waits until this is heard; what was heard before is forgotten.
    fn hear(&mut self, what: &str) {
        let from = Instant::now();
        let mut before = Vec::new();
        loop {
            if let Some(at) = self.heard.iter().position(|line| line.contains(what)) {
                self.heard.drain(..=at);
                return;
            }
            before.append(&mut self.heard);
            assert!(from.elapsed() < PATIENCE, "{what:?} is not heard, but {before:?}");
            self.listen();
        }
    }

    fn listen(&mut self) {
        let mut buffer = [0; 4096];
        if let Ok(length) = self.socket.recv(&mut buffer) {
            self.heard.extend(String::from_utf8_lossy(&buffer[..length]).lines().map(str::to_owned));
        }
    }

    /// Waits until no ping has come for so long that systemd would end the daemon.
    fn pings_end(&mut self) {
        let (from, mut last) = (Instant::now(), Instant::now());
        while last.elapsed() < WATCHDOG {
            assert!(from.elapsed() < PATIENCE, "it pings on");
            self.listen();
            if self.heard.drain(..).any(|line| line.contains("WATCHDOG=1")) {
                last = Instant::now();
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_ready_without_the_cloud_says_how_it_is_and_pings_as_long_as_it_goes_round() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    // Nobody listens there.
    let file = configure(&lab, dir.path(), &format!("{QUIET}\nline.chatta.api = \"http://127.0.0.1:9\""));
    let (mut systemd, mut daemon) = Systemd::start(dir.path(), &file);
    systemd.hear("READY=1");
    systemd.hear("STATUS=no call; chatta offline");
    for _ in 0..3 {
        systemd.hear("WATCHDOG=1");
    }
    configure(&lab, dir.path(), QUIET);
    daemon.signal("-HUP");
    systemd.hear("RELOADING=1");
    systemd.hear("READY=1");
    systemd.hear("STATUS=no call; chatta online");
    lab.caller(CALLER).request(RESIDENT, &CallOptions::default());
    systemd.hear("STATUS=a call rings; chatta online");
    daemon.signal("-TERM");
    systemd.hear("STOPPING=1");
    assert!(daemon.end().await.success());
}

/// A part of the daemon that waits for ever: systemd is pinged no more, and starts it anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_pings_no_more_when_television_agent_or_line_is_stuck() {
    for stuck_at in [Point::TelevisionWoken, Point::WokenHeard, Point::TicketAsked] {
        let lab = Lab::start(Options::default()).await.unwrap();
        let dir = tempfile::tempdir().unwrap();
        let file = configure(&lab, dir.path(), QUIET);
        let (mut systemd, mut daemon) = Systemd::start_with(dir.path(), &file, &[(STUCK, Path::new(stuck_at.name()))]);
        daemon.online().await;
        systemd.hear("WATCHDOG=1");
        lab.caller(CALLER).request(RESIDENT, &CallOptions::default());
        systemd.hear("STATUS=a call rings");
        if stuck_at == Point::TicketAsked {
            daemon.ask("POST", "/v1/accept");
        }
        systemd.pings_end();
        daemon.signal("-KILL");
        daemon.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_that_end_badly_are_tried_for_ever_but_ever_more_seldom_and_not_when_somebody_looks_after_them() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = configure(&lab, dir.path(), QUIET);
    let runtime: &[(&str, &Path)] = &[("RUNTIME_DIRECTORY", dir.path())];
    for _ in 0..3 {
        let (mut systemd, mut daemon) = Systemd::start_with(dir.path(), &file, runtime);
        systemd.hear("READY=1");
        assert!(systemd.heard.iter().all(|line| !line.starts_with("EXTEND_TIMEOUT_USEC")), "one of the first starts waits");
        daemon.signal("-KILL");
        daemon.end().await;
    }
    // A mistake in the configuration is a bad end, too, and waits before it is told again.
    configure(&lab, dir.path(), &format!("{QUIET}\ncall.ring = 1"));
    let from = Instant::now();
    let (mut systemd, mut daemon) = Systemd::start_with(dir.path(), &file, runtime);
    systemd.hear("STATUS=the last 3 starts ended badly: waiting 2 s");
    systemd.hear("EXTEND_TIMEOUT_USEC=32000000");
    assert_eq!(daemon.end().await.code(), Some(78));
    assert!(from.elapsed() >= Duration::from_secs(2), "it did not wait, but ended after {:?}", from.elapsed());
    // Told to stop while it waits, as `systemctl restart` does after the file was corrected: the next one starts at once.
    configure(&lab, dir.path(), QUIET);
    let (mut systemd, mut daemon) = Systemd::start_with(dir.path(), &file, runtime);
    systemd.hear("STATUS=the last 4 starts ended badly: waiting 4 s");
    systemd.hear("EXTEND_TIMEOUT_USEC=34000000");
    daemon.signal("-TERM");
    assert!(daemon.end().await.success());
    let (mut systemd, mut daemon) = Systemd::start_with(dir.path(), &file, runtime);
    systemd.hear("READY=1");
    assert!(systemd.heard.iter().all(|line| !line.starts_with("EXTEND_TIMEOUT_USEC")), "it waits all the same");
    daemon.signal("-TERM");
    assert!(daemon.end().await.success());
    assert!(!dir.path().join("starts").exists(), "an orderly end counts as a bad one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_configuration_is_taken_over_between_two_calls_and_a_bad_one_not_at_all() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let file = configure(&lab, dir.path(), QUIET);
    let (mut systemd, mut daemon) = Systemd::start(dir.path(), &file);
    daemon.online().await;
    let mut caller = lab.caller(CALLER);
    let call = caller.request(RESIDENT, &CallOptions::default());
    daemon.phase("ringing").await.unwrap();
    systemd.hear("STATUS=a call rings");

    // With a mistake; the rest of the file would take the camera away.
    configure(&lab, dir.path(), &format!("{QUIET}\nmedia.camera = \"none\"\ncall.ring = 1"));
    daemon.signal("-HUP");
    systemd.hear("RELOADING=1");
    systemd.hear("READY=1");
    assert_eq!(daemon.status().unwrap()["phase"], "ringing");

    // A good one, of which the line notices something too.
    let new = format!("{QUIET}\nmedia.camera = \"none\"\nline.chatta.set_top_box = 322\nline.chatta.callers = [\"5\"]");
    configure(&lab, dir.path(), &new);
    daemon.signal("-HUP");
    systemd.hear("RELOADING=1");
    systemd.hear("READY=1");
    let status = daemon.status().unwrap();
    assert_eq!((&status["phase"], &status["camera"]), (&"ringing".into(), &true.into()), "{status}");

    caller.end(RESIDENT, &call);
    // In force as soon as the call is over: the message of the missed call may still stand.
    daemon.until("the new configuration", |status| status["camera"] == false).await.unwrap();
    // Until the new line has the channel, a request may be lost.
    let declined = async {
        loop {
            caller.request(RESIDENT, &CallOptions::default());
            if let Some(reply) = caller.reply(Duration::from_secs(2)).await {
                return reply.kind;
            }
        }
    };
    let declined = tokio::time::timeout(PATIENCE, declined).await.expect("no reply");
    assert_eq!(declined, ReplyKind::Declined(Some("no-camera".into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_in_a_call_tells_the_caller_leaves_the_room_and_puts_the_television_back() {
    // A room that misses nobody for an hour: who is gone from it has left.
    let hour = Duration::from_secs(3600);
    let lab = Lab::start(Options { peer_loss: hour, session_timeout: hour, ..Options::default() }).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = Daemon::start(&mut program::command(&configure(&lab, dir.path(), QUIET)), dir.path());
    daemon.online().await;
    let mut caller = lab.caller(CALLER);
    let call = caller.request(RESIDENT, &CallOptions::default());
    daemon.until("the television's waking", |s| s["phase"] == "ringing" && s["woken"] == "woken").await.unwrap();
    daemon.ask("POST", "/v1/accept");
    assert_eq!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Accepted);
    let mut seat = Guest::in_room(&lab, &call.room_name, CALLER, RESIDENT_NAME);
    seat.camera = false;
    let mut guest = Participant::join(seat).await;
    daemon.phase("talking").await.unwrap();

    let asked = Instant::now();
    daemon.signal("-TERM");
    assert!(daemon.end().await.success());
    println!("stopped in a call within {} ms; systemd gives it 5 s", asked.elapsed().as_millis());
    assert_eq!(caller.reply(PATIENCE).await.expect("the caller is told nothing").kind, ReplyKind::Ended);
    program::television(&lab, Power::Standby, "tuner").await;
    let there = || {
        let rooms = lab.state()["rooms"]["list"].as_array().unwrap().clone();
        let mut people = rooms.iter().flat_map(|room| room["participants"].as_array().unwrap().clone());
        people.any(|person| person["identity"] == RESIDENT_NAME && person["state"] != "disconnected")
    };
    program::until("leaving the room", || !there()).await;
    guest.leave().await;
}
