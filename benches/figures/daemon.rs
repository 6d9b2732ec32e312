//! The whole daemon in this process, against a lab in this process, answering every call by itself and at once: without
//! the notice, which the configuration does not allow to be left out, and without the limits against floods.

use residentd::api::Happening;
use residentd::call::consent::Consent;
use residentd::call::{Devices, Machine};
use residentd::config::{Config, Sources};
use residentd::line::{LineState, chatta};
use residentd::tv::headless::Headless;
use residentd::tv::{Power, TvState};
use residentd::{daemon, net};
use residentd_lab::Lab;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything that is awaited here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// The resident of the contract.
pub const RESIDENT: u64 = 1124;
/// A caller of the contract.
pub const CALLER: &str = "roger_chatta_admin";

pub struct Daemon {
    pub tv: Headless,
    pub happenings: broadcast::Receiver<Happening>,
    stop: CancellationToken,
    task: JoinHandle<Result<(), String>>,
    _dir: tempfile::TempDir,
}

impl Daemon {
    /// Online at this lab. `settings` are lines of the configuration.
    pub async fn start(lab: &Lab, settings: &[&str]) -> Daemon {
        let dir = tempfile::tempdir().unwrap();
        let (pusher, at) = (lab.pusher(), |name: &str| dir.path().join(name).display().to_string());
        std::fs::write(at("password"), "password").unwrap();
        let base = [
            format!("line.chatta.api={}", lab.api_url()),
            format!("line.chatta.pusher=ws://{}:{}", pusher.host, pusher.port),
            format!("line.chatta.key={}", pusher.key),
            format!("line.chatta.rooms={}", lab.rooms_url()),
            "line.chatta.username=chattademo".into(),
            format!("line.chatta.password_file={}", at("password")),
            format!("state.directory={}", at("state")),
            format!("api.socket={}", at("s.sock")),
            "consent.automatic=always".into(),
            "media.camera=test".into(),
            "media.microphone=test".into(),
        ];
        let flags = base.into_iter().chain(settings.iter().map(|line| (*line).to_owned())).collect();
        let config = Config::load(&Sources { flags, ..Default::default() }).unwrap();
        let line = daemon::chatta(&config).unwrap();
        let flood = chatta::Flood { per_caller: usize::MAX, in_total: usize::MAX, ..line.flood };
        let (limits, consent) = (daemon::limits(&config), Consent { floor: Duration::ZERO, ..daemon::consent(&config) });
        let (tv, driver) = Headless::in_state(TvState { power: Power::On, input: Some("tuner".into()), volume: Some(18) });

        let mut agent = daemon::assemble(config, driver, tv.outputs()).await.unwrap();
        agent.machine = Machine::new(limits, consent, agent.store.next_call(), Devices { camera: true, microphone: true });
        let (events, line_events) = mpsc::channel(256);
        agent.lines = vec![chatta::spawn(chatta::Settings { flood, ..line }, net::tls::client(None).unwrap(), events)];
        agent.line_events = line_events;

        let happenings = agent.happenings.subscribe();
        let mut status = agent.status.subscribe();
        let stop = CancellationToken::new();
        let task = tokio::spawn(agent.run(stop.clone()));
        let online = status.wait_for(|s| s.lines.values().any(|l| l.state == LineState::Online));
        tokio::time::timeout(PATIENCE, online).await.expect("the line comes online").unwrap();
        Daemon { tv, happenings, stop, task, _dir: dir }
    }

    /// Passes over happenings until this one.
    pub async fn until(&mut self, what: &str, is: impl Fn(&Happening) -> bool) {
        let found = async { while !is(&self.happenings.recv().await.unwrap()) {} };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("{what} does not happen"));
    }

    /// As SIGTERM does.
    pub async fn stop(self) {
        self.stop.cancel();
        self.task.await.unwrap().unwrap();
    }
}
