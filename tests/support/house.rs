//! The whole daemon in this process, against a lab in this process, with a television that is only recorded.
#![allow(dead_code, reason = "each test file uses a part of it")]

use residentd::api::Happening;
use residentd::call::{Record, Scene};
use residentd::config::{Config, Sources};
use residentd::daemon;
use residentd::line::LineState;
use residentd::tv::headless::Headless;
use residentd::tv::{Power, TvState};
use residentd_lab::{Lab, Options};
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything that is awaited here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The resident of the contract.
pub const RESIDENT: u64 = 1124;

pub struct House {
    pub lab: Lab,
    pub tv: Headless,
    pub happenings: broadcast::Receiver<Happening>,
    pub dir: tempfile::TempDir,
    stop: CancellationToken,
    daemon: JoinHandle<Result<(), String>>,
}

impl House {
    /// Lab and daemon, the resident online. `settings` are lines of the configuration.
    pub async fn start(settings: &str) -> House {
        House::with(Options::default(), settings).await
    }

    pub async fn with(options: Options, settings: &str) -> House {
        let lab = Lab::start(options).await.unwrap();
        House::on(lab, settings, tempfile::tempdir().unwrap()).await
    }

    /// A daemon on this lab, with this state directory.
    pub async fn on(lab: Lab, settings: &str, dir: tempfile::TempDir) -> House {
        let _ = env_logger::builder().is_test(true).try_init();
        let _ = rustls::crypto::ring::default_provider().install_default();
        let pusher = lab.pusher();
        let at = |name: &str| dir.path().join(name).display().to_string();
        std::fs::write(at("password"), "password").unwrap();
        let base = [
            "line.chatta.enabled=true".to_owned(),
            format!("line.chatta.api={}", lab.api_url()),
            format!("line.chatta.pusher=ws://{}:{}", pusher.host, pusher.port),
            format!("line.chatta.key={}", pusher.key),
            format!("line.chatta.rooms={}", lab.rooms_url()),
            "line.chatta.username=chattademo".into(),
            format!("line.chatta.password_file={}", at("password")),
            format!("state.directory={}", at("state")),
            format!("api.socket={}", at("s.sock")),
            "media.camera=test".into(),
            "media.microphone=test".into(),
            "media.size=640x360".into(),
            "resident.time_zone=UTC".into(),
        ];
        let flags = base.into_iter().chain(settings.lines().map(|l| l.trim().to_owned()).filter(|l| !l.is_empty())).collect();
        let config = Config::load(&Sources { flags, ..Default::default() }).unwrap();
        let (tv, driver) = Headless::in_state(TvState { power: Power::Standby, input: Some("tuner".into()), volume: Some(18) });
        let agent = daemon::assemble(config, driver, tv.outputs()).await.unwrap();
        let happenings = agent.happenings.subscribe();
        let mut status = agent.status.subscribe();
        let stop = CancellationToken::new();
        let daemon = tokio::spawn(agent.run(stop.clone()));
        let online = status.wait_for(|s| s.lines.values().any(|l| l.state == LineState::Online));
        tokio::time::timeout(PATIENCE, online).await.expect("the line does not come online").unwrap();
        House { lab, tv, happenings, dir, stop, daemon }
    }

    /// Waits until the television shows such a scene.
    pub async fn scene(&self, what: &str, is: impl Fn(&Scene) -> bool) -> Scene {
        let mut view = self.tv.view();
        let seen = tokio::time::timeout(PATIENCE, view.wait_for(|view| is(&view.scene))).await;
        match seen {
            Ok(view) => view.unwrap().scene.clone(),
            Err(_) => panic!("{what} is not shown, but {:?}", self.tv.view().borrow().scene),
        }
    }

    /// The next happening that `pick` wants, the others passed over.
    pub async fn happening<T>(&mut self, what: &str, mut pick: impl FnMut(&Happening) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let found = tokio::time::timeout(PATIENCE, async {
            loop {
                let happening = self.happenings.recv().await.unwrap();
                if let Some(found) = pick(&happening) {
                    return found;
                }
                seen.push(happening);
            }
        });
        match found.await {
            Ok(found) => found,
            Err(_) => panic!("{what} did not happen, but {seen:?}"),
        }
    }

    pub async fn over(&mut self) -> Record {
        self.happening("the end of the call", |h| if let Happening::Over(record) = h { Some(record.clone()) } else { None }).await
    }

    pub async fn restored(&mut self) {
        self.happening("putting the television back", |h| matches!(h, Happening::Restored { .. }).then_some(())).await;
        assert_eq!(self.tv.now(), TvState { power: Power::Standby, input: Some("tuner".into()), volume: Some(18) });
    }

    /// SIGTERM.
    pub async fn stop(&mut self) {
        self.stop.cancel();
        tokio::time::timeout(PATIENCE, &mut self.daemon).await.expect("the daemon does not stop").unwrap().unwrap();
    }
}
