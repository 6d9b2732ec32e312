//! The task with the headless driver, in virtual time.

mod late;
mod notice;

use super::headless::{Did, Headless};
use super::keys::Key;
use super::*;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::timeout;

struct Fixture {
    tv: Headless,
    commands: mpsc::Sender<Command>,
    events: mpsc::Receiver<TvEvent>,
}

fn found(power: Power, input: &str, volume: u8) -> TvState {
    TvState { power, input: Some(input.into()), volume: Some(volume) }
}

fn fixture(state: TvState) -> Fixture {
    let (tv, driver) = Headless::in_state(state);
    let (commands, events) = spawn(Config::default(), driver, tv.memory());
    Fixture { tv, commands, events }
}

impl Fixture {
    async fn tell(&self, command: Command) {
        self.commands.send(command).await.unwrap();
    }

    async fn event(&mut self) -> TvEvent {
        timeout(Duration::from_secs(60), self.events.recv()).await.expect("an event in a minute").expect("the task runs")
    }

    /// Nothing comes for a good while.
    async fn silence(&mut self) {
        if let Ok(event) = timeout(Duration::from_secs(60), self.events.recv()).await {
            panic!("unexpected {event:?}");
        }
    }

    async fn wake(&mut self) -> Wake {
        self.tell(Command::Wake(CallId(1))).await;
        match self.event().await {
            TvEvent::Woken(wake) => wake,
            other => panic!("{other:?}"),
        }
    }

    async fn in_call(&self) {
        self.tell(Command::Show(scenes::in_call())).await;
        self.tv.view().wait_for(|v| v.scene == scenes::in_call()).await.unwrap();
    }

    async fn restore(&mut self) {
        self.tell(Command::Restore(CallId(1))).await;
        assert_eq!(self.event().await, TvEvent::Restored(CallId(1)));
    }

    /// Commands to the set, without what is shown and written down.
    fn commands_to_set(&self) -> Vec<Did> {
        self.tv.did().into_iter().filter(|d| matches!(d, Did::Power(_) | Did::Input(_) | Did::Volume(_))).collect()
    }
}

#[tokio::test(start_paused = true)]
async fn a_sleeping_television_is_woken_and_put_back_as_it_was() {
    let before = found(Power::Standby, "tuner", 12);
    let mut f = fixture(before.clone());
    assert_eq!(f.wake().await, Wake::Woken);
    assert_eq!(f.tv.now(), found(Power::On, "box", 30));
    f.restore().await;
    assert_eq!(f.tv.now(), before);
    assert_eq!(f.tv.memory().recall(), Ok(None));
}

#[tokio::test(start_paused = true)]
async fn a_television_in_use_keeps_its_power_and_gets_its_input_and_volume_back() {
    let before = found(Power::On, "hdmi2", 20);
    let mut f = fixture(before.clone());
    assert_eq!(f.wake().await, Wake::AlreadyOn);
    f.restore().await;
    assert_eq!(f.tv.now(), before);
    assert!(!f.commands_to_set().iter().any(|d| matches!(d, Did::Power(_))));
}

#[tokio::test(start_paused = true)]
async fn what_needs_no_change_is_not_touched() {
    let mut f = fixture(found(Power::On, "box", 40));
    assert_eq!(f.wake().await, Wake::AlreadyOn);
    f.restore().await;
    assert_eq!(f.commands_to_set(), []);
}

#[tokio::test(start_paused = true)]
async fn the_state_is_written_down_before_anything_is_changed_and_struck_out_after() {
    let mut f = fixture(found(Power::Standby, "tuner", 12));
    f.wake().await;
    f.restore().await;
    let did = f.tv.did();
    assert_eq!(did.first(), Some(&Did::Remembered));
    assert_eq!(did.last(), Some(&Did::Forgot));
    // before it is woken, and before its input is given back
    assert_eq!(did.iter().filter(|d| **d == Did::Remembered).count(), 2);
}

#[tokio::test(start_paused = true)]
async fn waking_is_tried_three_times_three_seconds_apart() {
    let mut f = fixture(found(Power::Standby, "tuner", 40));
    f.tv.script(|s| s.deaf = 2);
    let start = tokio::time::Instant::now();
    assert_eq!(f.wake().await, Wake::Woken);
    assert_eq!(start.elapsed().as_secs(), 6);
    let mut f = fixture(found(Power::Standby, "tuner", 40));
    f.tv.script(|s| s.deaf = 99);
    assert_eq!(f.wake().await, Wake::NoAnswer);
    assert_eq!(f.commands_to_set().iter().filter(|d| **d == Did::Power(true)).count(), 3);
}

#[tokio::test(start_paused = true)]
async fn who_has_to_be_guessed_at_is_put_back_to_the_platforms_default_input() {
    let wishes = |input: &str| Wishes { default_input: Some(input.into()), ..Wishes::default() };
    for (before, after) in [(None, "HDMI2"), (Some("tuner"), "tuner")] {
        let mut f = fixture(TvState { power: Power::On, input: before.map(Into::into), volume: Some(40) });
        f.tell(Command::Wishes(wishes("HDMI2"))).await;
        f.wake().await;
        assert_eq!(f.tv.now().input.as_deref(), Some("box"));
        f.restore().await;
        assert_eq!(f.tv.now().input.as_deref(), Some(after), "{before:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_uses_the_television_after_the_wake_keeps_it() {
    let mut f = fixture(found(Power::Standby, "tuner", 40));
    f.wake().await;
    f.tv.viewer(|s| s.input = Some("hdmi2".into())).await;
    f.tv.viewer(|s| s.volume = Some(55)).await;
    f.restore().await;
    assert_eq!(f.tv.now(), found(Power::On, "hdmi2", 55));
}

#[tokio::test(start_paused = true)]
async fn a_key_pressed_while_nothing_of_ours_is_shown_is_use() {
    let mut f = fixture(found(Power::Standby, "box", 40));
    f.wake().await;
    f.tv.press(Key::Digit(3)).await;
    f.tv.viewer(|s| s.volume = Some(41)).await;
    f.restore().await;
    assert_eq!(f.tv.now().power, Power::On);
}

#[tokio::test(start_paused = true)]
async fn volume_keys_turn_the_television_and_the_volume_is_put_back() {
    let mut f = fixture(found(Power::On, "tuner", 40));
    f.wake().await;
    f.in_call().await;
    for _ in 0..3 {
        f.tv.press(Key::VolumeUp).await;
    }
    f.tv.press(Key::Mute).await;
    assert_eq!(f.event().await, TvEvent::Press(Press::Mute));
    while f.tv.now().volume != Some(55) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    f.tell(Command::Show(Scene::Idle)).await;
    f.restore().await;
    assert_eq!(f.tv.now(), found(Power::On, "tuner", 40));
}

#[tokio::test(start_paused = true)]
async fn a_television_switched_off_while_it_rang_is_woken_again_for_who_answers_all_the_same() {
    let mut f = fixture(found(Power::On, "tuner", 40));
    f.wake().await;
    f.tell(Command::Show(scenes::ringing())).await;
    assert_eq!(f.event().await, TvEvent::Noticed(CallId(1)));
    f.tv.viewer(|s| s.power = Power::Standby).await;
    assert!(matches!(f.event().await, TvEvent::Unnoticed(CallId(1), _)));
    f.tell(Command::Show(scenes::connecting())).await;
    assert_eq!(f.event().await, TvEvent::Woken(Wake::Woken));
    assert_eq!(f.tv.now(), found(Power::On, "box", 40));
    f.tell(Command::Show(Scene::Idle)).await;
    f.restore().await;
    assert_eq!(f.tv.now(), found(Power::On, "tuner", 40));
}

#[tokio::test(start_paused = true)]
async fn switching_the_television_off_during_the_call_hangs_up() {
    let mut f = fixture(found(Power::Standby, "tuner", 40));
    f.wake().await;
    f.in_call().await;
    f.tv.viewer(|s| s.power = Power::Standby).await;
    assert_eq!(f.event().await, TvEvent::Press(Press::HangUp));
    f.tell(Command::Show(scenes::ended())).await;
    f.restore().await;
    assert_eq!(f.tv.now().power, Power::Standby);
}

#[tokio::test(start_paused = true)]
async fn a_second_call_before_the_first_is_put_back_remembers_the_first_state() {
    let before = found(Power::Standby, "tuner", 12);
    let mut f = fixture(before.clone());
    f.wake().await;
    assert_eq!(f.wake().await, Wake::AlreadyOn);
    f.restore().await;
    assert_eq!(f.tv.now(), before);
}
