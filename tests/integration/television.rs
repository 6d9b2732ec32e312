//! The daemon's side of the lab's television: woken, shown, sounded, keyed, put back, and linked again for ever.
use residentd::call::{CallId, Caller, CallerId, LineId, Medium, Press, Scene};
use residentd::tv::headless::Headless;
use residentd::tv::{self, Command, Control, Display, Settings, Speaker, TvEvent, Wake};
use residentd_lab::{Lab, Options, Power, TvState};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

struct House {
    lab: Lab,
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<TvEvent>,
}

fn ringing() -> Scene {
    let caller = Caller {
        line: LineId("chatta".into()),
        id: CallerId("5".into()),
        username: None,
        name: "Ada Admin".into(),
        role: Some("customeradmin".into()),
        photo: None,
    };
    Scene::Ringing { call: CallId(1), caller, medium: Medium::Video }
}

/// A house whose television is linked.
async fn house(page: u16) -> House {
    let house = just_started(page).await;
    house.set(|s| s.linked).await;
    house
}

async fn just_started(page: u16) -> House {
    let lab = lab(page).await;
    let (commands, events) = television(lab.tv_url());
    House { lab, commands, events }
}

/// The television's task with the driver of a lab at this address.
fn television(lab: String) -> (mpsc::Sender<Command>, mpsc::Receiver<TvEvent>) {
    let settings = Settings {
        control: Control::Lab(lab),
        display: Display::Driver,
        speaker: Speaker::Tv,
        ring_volume: 70,
        keymap: None,
        wanted: Default::default(),
        remotes: None,
        font: String::new(),
        locale: "en-GB".into(),
        time_zone: "Europe/London".into(),
    };
    let opened = tv::open(&settings).unwrap();
    // Only its memory is used.
    let (memory, _) = Headless::new();
    tv::spawn(tv::Config::default(), opened.driver, memory.memory())
}

async fn lab(page: u16) -> Lab {
    let mut options = Options::default();
    options.ports.page = page;
    options.tv_volume = 20;
    Lab::start(options).await.expect("a lab")
}

impl House {
    async fn tell(&self, command: Command) {
        self.commands.send(command).await.unwrap();
    }

    async fn event(&mut self) -> TvEvent {
        timeout(PATIENCE, self.events.recv()).await.expect("an event").expect("the television runs")
    }

    /// Waits until the set is as wanted.
    async fn set(&self, wanted: impl Fn(&TvState) -> bool) {
        let mut state = self.lab.tv();
        let what = timeout(PATIENCE, state.wait_for(|s| wanted(s))).await.map(|s| s.is_ok());
        assert_eq!(what, Ok(true), "the set is {:?}", self.lab.state()["tv"]);
    }

    /// Waits until `/lab/state` says so about the television.
    async fn report(&self, what: &str, wanted: impl Fn(&serde_json::Value) -> bool) {
        let until = tokio::time::Instant::now() + PATIENCE;
        while !wanted(&self.lab.state()["tv"]) {
            assert!(tokio::time::Instant::now() < until, "{what}: {}", self.lab.state()["tv"]);
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_wakes_rings_is_answered_by_a_key_and_the_set_is_put_back() {
    let mut house = house(0).await;
    house.tell(Command::Wake(CallId(1))).await;
    house.tell(Command::Show(ringing())).await;
    let (mut woken, mut noticed) = (false, false);
    while !(woken && noticed) {
        match house.event().await {
            TvEvent::Woken(Wake::Woken) => woken = true,
            TvEvent::Noticed(CallId(1)) => noticed = true,
            other => panic!("{other:?}"),
        }
    }
    house.set(|s| s.power == Power::On && s.input == "box" && s.volume == 30).await;
    house.report("the dialog is in the browser", |tv| tv["picture"]["size"] == serde_json::json!([1920, 1080])).await;
    house.report("the ring is heard", |tv| tv["sound"]["loudest_dbfs"].as_f64().is_some_and(|db| db > -25.0)).await;

    house.lab.press("right");
    house.lab.press("left");
    house.lab.press("ok");
    assert_eq!(house.event().await, TvEvent::Press(Press::Accept));

    house.tell(Command::Show(Scene::Idle)).await;
    house.tell(Command::Restore(CallId(1))).await;
    assert_eq!(house.event().await, TvEvent::Restored(CallId(1)));
    house.set(|s| s.power == Power::Standby && s.input == "tuner" && s.volume == 20).await;
    let pieces = |tv: &serde_json::Value| tv["sound"]["age_ms"].as_u64();
    house.report("the ring has stopped", |tv| pieces(tv).is_some_and(|age| age > 300)).await;
    house.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_comes_before_the_television_has_said_how_it_is_is_put_back_too() {
    let mut house = just_started(0).await;
    house.tell(Command::Wake(CallId(1))).await;
    assert_eq!(house.event().await, TvEvent::Woken(Wake::Woken));
    house.tell(Command::Restore(CallId(1))).await;
    assert_eq!(house.event().await, TvEvent::Restored(CallId(1)));
    house.set(|s| s.power == Power::Standby && s.input == "tuner" && s.volume == 20).await;
    house.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lab_that_is_started_again_shows_the_dialog_again() {
    let mut house = house(0).await;
    house.tell(Command::Show(ringing())).await;
    // In standby nobody sees it.
    assert!(matches!(house.event().await, TvEvent::Unnoticed(..)));
    let page = house.lab.ports().page;
    house.lab.stop().await;
    house.lab = lab(page).await;
    house.set(|s| s.linked).await;
    house.report("the dialog is there again", |tv| tv["picture"]["count"].as_u64().is_some_and(|n| n > 0)).await;
    house.lab.set_tv(|s| s.power = Power::On);
    assert_eq!(house.event().await, TvEvent::Noticed(CallId(1)));
    house.lab.press("back");
    assert_eq!(house.event().await, TvEvent::Press(Press::Decline));
    house.lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lab_the_television_does_not_answer_and_nothing_hangs() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (commands, mut events) = television(format!("ws://{unused}/tv/box"));
    commands.send(Command::Wake(CallId(1))).await.unwrap();
    commands.send(Command::Show(ringing())).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.push(timeout(PATIENCE, events.recv()).await.expect("an event").unwrap());
    }
    assert!(seen.contains(&TvEvent::Woken(Wake::NoAnswer)), "{seen:?}");
    assert!(seen.iter().any(|e| matches!(e, TvEvent::Unnoticed(CallId(1), why) if why.contains("lab"))), "{seen:?}");
}
