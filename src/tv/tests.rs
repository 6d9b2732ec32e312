//! The task with the headless driver, in virtual time.

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
async fn a_silent_television_is_no_answer_and_does_not_hold_up_the_dialog() {
    let mut f = fixture(found(Power::Standby, "tuner", 40));
    f.tv.script(|s| s.silent = true);
    let mut view = f.tv.view();
    f.tell(Command::Wake(CallId(1))).await;
    f.tell(Command::Show(scenes::ringing())).await;
    let start = tokio::time::Instant::now();
    view.wait_for(|v| v.scene == scenes::ringing()).await.unwrap();
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(f.event().await, TvEvent::Woken(Wake::NoAnswer));
    // It may well be on: many sets never answer.
    assert_eq!(f.event().await, TvEvent::Noticed(CallId(1)));
}

#[tokio::test(start_paused = true)]
async fn a_television_that_stays_in_standby_shows_no_notice() {
    let mut f = fixture(found(Power::Standby, "tuner", 40));
    f.tv.script(|s| s.deaf = 99);
    f.tell(Command::Wake(CallId(1))).await;
    f.tell(Command::Show(scenes::countdown())).await;
    assert_eq!(f.event().await, TvEvent::Woken(Wake::NoAnswer));
    assert!(matches!(f.event().await, TvEvent::Unnoticed(CallId(1), _)));
    f.tv.viewer(|s| s.power = Power::On).await;
    assert_eq!(f.event().await, TvEvent::Noticed(CallId(1)));
}

#[tokio::test(start_paused = true)]
async fn a_dark_television_that_falls_silent_is_still_dark() {
    let mut f = fixture(found(Power::Standby, "tuner", 40));
    f.tv.script(|s| s.deaf = 99);
    f.tell(Command::Wake(CallId(1))).await;
    f.tell(Command::Show(scenes::countdown())).await;
    assert_eq!(f.event().await, TvEvent::Woken(Wake::NoAnswer));
    assert!(matches!(f.event().await, TvEvent::Unnoticed(CallId(1), _)));
    f.tv.viewer(|s| *s = TvState::UNKNOWN).await;
    f.silence().await;
}

#[tokio::test(start_paused = true)]
async fn noticed_needs_picture_and_sound() {
    let mut f = fixture(found(Power::On, "box", 40));
    f.tv.script(|s| s.no_picture = Some("no display".into()));
    f.tell(Command::Show(scenes::countdown())).await;
    assert_eq!(f.event().await, TvEvent::Unnoticed(CallId(1), "no display".into()));
    f.silence().await;
    f.tv.script(|s| (s.no_picture, s.no_sound) = (None, Some("no speaker".into())));
    f.tell(Command::Show(Scene::Idle)).await;
    f.tell(Command::Show(scenes::countdown())).await;
    assert_eq!(f.event().await, TvEvent::Unnoticed(CallId(1), "no speaker".into()));
    f.silence().await;
}

#[tokio::test(start_paused = true)]
async fn noticed_waits_until_picture_and_sound_are_really_out() {
    let mut f = fixture(found(Power::On, "box", 40));
    f.tv.script(|s| s.withhold = true);
    f.tell(Command::Show(scenes::countdown())).await;
    assert!(timeout(Duration::from_secs(9), f.events.recv()).await.is_err());
    f.tv.say_noticed().await;
    assert_eq!(f.event().await, TvEvent::Noticed(CallId(1)));
    f.silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_driver_that_says_nothing_of_the_notice_is_told() {
    let mut f = fixture(found(Power::On, "box", 40));
    f.tv.script(|s| s.withhold = true);
    let start = tokio::time::Instant::now();
    f.tell(Command::Show(scenes::countdown())).await;
    // Drawn again and again: that gives it no more time.
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(3)).await;
        f.tell(Command::Resident { locale: Some("de".into()), time_zone: None }).await;
    }
    let TvEvent::Unnoticed(CallId(1), why) = f.event().await else { panic!("another event came first") };
    assert!(why.contains("display's driver does not return"), "{why}");
    assert_eq!(start.elapsed().as_secs(), 10);
    // It returns after all.
    f.tv.say_noticed().await;
    assert_eq!(f.event().await, TvEvent::Noticed(CallId(1)));
    f.silence().await;
}

#[tokio::test(start_paused = true)]
async fn any_key_stops_a_countdown_also_one_that_means_nothing_else() {
    let (tv, driver) = Headless::in_state(found(Power::On, "box", 40));
    let (commands, events) = spawn(Config { mute_key: false, ..Config::default() }, driver, tv.memory());
    let mut f = Fixture { tv, commands, events };
    let wishes = Wishes { av_key: false, menu_key: false, default_input: None };
    f.tell(Command::Wishes(wishes)).await;
    f.tell(Command::Show(scenes::countdown())).await;
    assert_eq!(f.event().await, TvEvent::Noticed(CallId(1)));
    for key in [Key::Av, Key::Menu, Key::Mute, Key::Left, Key::Down, Key::VolumeUp, Key::Digit(5), Key::Other] {
        f.tv.press(key).await;
        assert_eq!(f.event().await, TvEvent::Press(Press::Other), "{key:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_the_platform_or_the_configuration_switches_off_do_nothing_in_a_call() {
    for mute_key in [true, false] {
        let (tv, driver) = Headless::in_state(found(Power::On, "box", 40));
        let (commands, events) = spawn(Config { mute_key, ..Config::default() }, driver, tv.memory());
        let mut f = Fixture { tv, commands, events };
        f.in_call().await;
        f.tv.press(Key::Mute).await;
        f.tv.press(Key::Red).await;
        if mute_key {
            assert_eq!(f.event().await, TvEvent::Press(Press::Mute));
        }
        assert_eq!(f.event().await, TvEvent::Press(Press::HangUp));
    }
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
async fn a_display_lost_during_the_notice_is_told() {
    let mut f = fixture(found(Power::On, "box", 40));
    f.tell(Command::Show(scenes::countdown())).await;
    assert_eq!(f.event().await, TvEvent::Noticed(CallId(1)));
    f.tell(Command::Show(scenes::counting(std::time::Instant::now()))).await;
    f.tv.lose("the cable was pulled").await;
    assert_eq!(f.event().await, TvEvent::Unnoticed(CallId(1), "the cable was pulled".into()));
    f.tv.say_noticed().await;
    assert_eq!(f.event().await, TvEvent::Noticed(CallId(1)));
}

#[tokio::test(start_paused = true)]
async fn keys_become_presses_of_the_scene_that_is_shown() {
    let mut f = fixture(found(Power::On, "box", 40));
    f.tell(Command::Show(scenes::ringing())).await;
    assert_eq!(f.event().await, TvEvent::Noticed(CallId(1)));
    f.tv.press(Key::Ok).await;
    assert_eq!(f.event().await, TvEvent::Press(Press::Accept));
    f.in_call().await;
    f.tv.press(Key::Back).await;
    assert_eq!(f.event().await, TvEvent::Press(Press::HangUp));
    let stroke = keys::Stroke { key: Key::Mute, pressed: true };
    f.tell(Command::Key(stroke)).await;
    assert_eq!(f.event().await, TvEvent::Press(Press::Mute));
}

#[tokio::test(start_paused = true)]
async fn the_focus_is_drawn_where_the_arrows_put_it() {
    let mut f = fixture(found(Power::On, "box", 40));
    f.tell(Command::Show(scenes::ringing())).await;
    assert_eq!(f.event().await, TvEvent::Noticed(CallId(1)));
    f.tv.press(Key::Right).await;
    f.tv.view().wait_for(|v| v.focus == dialog::Choice::Decline).await.unwrap();
    f.tv.press(Key::Ok).await;
    assert_eq!(f.event().await, TvEvent::Press(Press::Decline));
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

/// The television after a run that found it like this, and has put it back.
async fn next_run(left: TvState, memory: Arc<dyn Memory>) -> Headless {
    let (tv, driver) = Headless::in_state(left);
    let (commands, _events) = spawn(Config::default(), driver, memory);
    let (answer, answered) = oneshot::channel();
    commands.send(Command::Recover(answer)).await.unwrap();
    answered.await.unwrap();
    tv
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_the_next_run_puts_the_television_back() {
    let before = found(Power::Standby, "tuner", 12);
    let mut first = fixture(before.clone());
    first.wake().await;
    let memory = first.tv.memory();
    let left = first.tv.now();
    drop(first);
    let tv = next_run(left, memory.clone()).await;
    assert_eq!(tv.now(), before);
    assert_eq!(memory.recall(), Ok(None));
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_between_input_and_standby_it_is_switched_off_all_the_same_but_not_an_hour_later() {
    for (ago, power) in [(2, Power::Standby), (3600, Power::On)] {
        let mut first = fixture(found(Power::Standby, "tuner", 12));
        first.wake().await;
        let memory = first.tv.memory();
        let released = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(ago);
        let left = memory.recall().unwrap().unwrap();
        memory.remember(&Remembered { released: Some(released), ..left }).unwrap();
        let tv = next_run(found(Power::On, "tuner", 12), memory).await;
        assert_eq!(tv.now(), found(power, "tuner", 12), "{ago} s later");
    }
}

#[tokio::test(start_paused = true)]
async fn recovering_with_nothing_left_changes_nothing() {
    let f = fixture(found(Power::On, "box", 12));
    let (answer, answered) = oneshot::channel();
    f.tell(Command::Recover(answer)).await;
    answered.await.unwrap();
    assert_eq!(f.commands_to_set(), []);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_arrives_while_recovering_answers_the_recovery() {
    let mut f = fixture(found(Power::On, "box", 40));
    let (answer, answered) = oneshot::channel();
    f.tell(Command::Recover(answer)).await;
    f.wake().await;
    answered.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_does_not_keep_it_from_waking() {
    let mut f = fixture(found(Power::Standby, "tuner", 40));
    f.tv.script(|s| s.disk_full = true);
    assert_eq!(f.wake().await, Wake::Woken);
    f.restore().await;
    assert_eq!(f.tv.now().power, Power::Standby);
}

#[tokio::test(start_paused = true)]
async fn a_television_that_answers_too_late_for_being_put_back_is_put_back_all_the_same() {
    let before = found(Power::Standby, "tuner", 40);
    let mut f = fixture(before.clone());
    f.wake().await;
    let as_we_left_it = f.tv.now();
    f.tv.script(|s| s.silent = true);
    f.tv.viewer(|s| *s = TvState::UNKNOWN).await;
    f.tell(Command::Restore(CallId(1))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    f.tv.viewer(|s| *s = as_we_left_it).await;
    assert_eq!(f.event().await, TvEvent::Restored(CallId(1)));
    f.tv.script(|s| s.silent = false);
    while f.tv.now() != before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_television_that_was_silent_is_put_back_when_it_answers() {
    let before = found(Power::Standby, "tuner", 40);
    let mut f = fixture(before.clone());
    f.wake().await;
    let as_we_left_it = f.tv.now();
    f.tv.script(|s| s.silent = true);
    f.tv.viewer(|s| *s = TvState::UNKNOWN).await;
    f.restore().await;
    assert!(f.tv.memory().recall().unwrap().is_some(), "still owed");
    f.tv.script(|s| s.silent = false);
    f.tv.viewer(|s| *s = as_we_left_it).await;
    while f.tv.now() != before {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_announced_call_that_does_not_come_is_put_back_after_a_minute() {
    let before = found(Power::Standby, "tuner", 40);
    let mut f = fixture(before.clone());
    f.tell(Command::Announced).await;
    assert_eq!(f.event().await, TvEvent::Woken(Wake::Woken));
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(f.tv.now().power, Power::On);
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(f.tv.now(), before);
}

#[tokio::test(start_paused = true)]
async fn an_announced_call_that_comes_stays_on() {
    let mut f = fixture(found(Power::Standby, "tuner", 40));
    f.tell(Command::Announced).await;
    assert_eq!(f.event().await, TvEvent::Woken(Wake::Woken));
    f.wake().await;
    f.silence().await;
    assert_eq!(f.tv.now(), found(Power::On, "box", 40));
    f.restore().await;
    assert_eq!(f.tv.now(), found(Power::Standby, "tuner", 40));
}

#[tokio::test(start_paused = true)]
async fn a_wake_cut_short_is_undone_when_the_television_comes_up_late() {
    let mut f = fixture(found(Power::Standby, "tuner", 40));
    f.tv.script(|s| s.deaf = 1);
    f.tell(Command::Wake(CallId(1))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    f.tell(Command::Restore(CallId(1))).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    f.tv.viewer(|s| (s.power, s.input) = (Power::On, Some("box".into()))).await;
    assert_eq!(f.event().await, TvEvent::Restored(CallId(1)));
    assert_eq!(f.tv.now(), found(Power::Standby, "tuner", 40));
}

#[tokio::test(start_paused = true)]
async fn a_wake_cut_short_between_power_and_input_is_undone_too() {
    let mut f = fixture(found(Power::Standby, "tuner", 40));
    f.tv.script(|s| (s.deaf, s.blind) = (1, 1));
    f.tell(Command::Wake(CallId(1))).await;
    // Between two looks of the wake.
    tokio::time::sleep(Duration::from_millis(700)).await;
    f.tv.viewer(|s| s.power = Power::On).await;
    f.tell(Command::Restore(CallId(1))).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    f.tv.viewer(|s| s.input = Some("box".into())).await;
    assert_eq!(f.event().await, TvEvent::Restored(CallId(1)));
    assert_eq!(f.tv.now(), found(Power::Standby, "tuner", 40));
}

/// One that was woken, and has just been told to be as it was before.
async fn after_a_call(before: &TvState) -> Fixture {
    let mut f = fixture(before.clone());
    f.wake().await;
    f.restore().await;
    f
}

#[tokio::test(start_paused = true)]
async fn a_call_while_the_television_is_being_put_back_does_not_take_that_for_a_viewers_doing() {
    let before = found(Power::Standby, "tuner", 40);
    let mut f = after_a_call(&before).await;
    f.tell(Command::Wake(CallId(2))).await;
    assert_eq!(f.event().await, TvEvent::Woken(Wake::Woken));
    // What putting it back had asked for is told late; then the second wake counts.
    f.tv.viewer(|s| s.input = Some("tuner".into())).await;
    f.tv.viewer(|s| s.input = Some("box".into())).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    f.restore().await;
    assert_eq!(f.tv.now(), before);
}

#[tokio::test(start_paused = true)]
async fn a_call_while_standby_is_under_way_lights_the_television_up_again() {
    let before = found(Power::Standby, "tuner", 40);
    let mut f = after_a_call(&before).await;
    // It was sent to standby and takes its time: the next call finds it on.
    f.tv.viewer(|s| s.power = Power::On).await;
    f.tell(Command::Wake(CallId(2))).await;
    assert_eq!(f.event().await, TvEvent::Woken(Wake::AlreadyOn));
    f.tell(Command::Show(scenes::ringing())).await;
    f.tv.view().wait_for(|v| v.scene == scenes::ringing()).await.unwrap();
    f.tv.viewer(|s| s.power = Power::Standby).await;
    loop {
        if f.event().await == TvEvent::Woken(Wake::Woken) {
            break;
        }
    }
    assert_eq!(f.tv.now().power, Power::On);
    tokio::time::sleep(Duration::from_secs(10)).await;
    f.tell(Command::Show(Scene::Idle)).await;
    f.restore().await;
    assert_eq!(f.tv.now(), before);
}

#[tokio::test(start_paused = true)]
async fn standby_that_comes_late_does_not_hang_up_on_the_next_call() {
    let before = found(Power::Standby, "tuner", 40);
    let mut f = after_a_call(&before).await;
    f.tv.viewer(|s| s.power = Power::On).await;
    f.tell(Command::Wake(CallId(2))).await;
    assert_eq!(f.event().await, TvEvent::Woken(Wake::AlreadyOn));
    f.in_call().await;
    f.tv.viewer(|s| s.power = Power::Standby).await;
    assert_eq!(f.event().await, TvEvent::Woken(Wake::Woken));
    // It was lit before the resident's eyes, and from then on who switches it off has hung up.
    f.tv.viewer(|s| s.power = Power::Standby).await;
    assert_eq!(f.event().await, TvEvent::Press(Press::HangUp));
}

#[tokio::test(start_paused = true)]
async fn who_switches_it_off_hangs_up_even_right_after_the_call_before() {
    for before in [found(Power::Standby, "tuner", 40), found(Power::On, "tuner", 40)] {
        let mut f = after_a_call(&before).await;
        let from = tokio::time::Instant::now();
        f.tell(Command::Wake(CallId(2))).await;
        let wake = if before.power == Power::On { Wake::AlreadyOn } else { Wake::Woken };
        assert_eq!(f.event().await, TvEvent::Woken(wake));
        f.in_call().await;
        f.tv.viewer(|s| s.power = Power::Standby).await;
        assert_eq!(f.event().await, TvEvent::Press(Press::HangUp), "{before:?}");
        assert!(from.elapsed() < Duration::from_secs(1));
        assert_eq!(f.tv.now().power, Power::Standby);
    }
}

#[tokio::test(start_paused = true)]
async fn news_of_standby_from_before_it_was_lit_does_not_hang_up() {
    let before = found(Power::Standby, "tuner", 40);
    let mut f = after_a_call(&before).await;
    f.tv.script(|s| s.belated = Some(before));
    f.tell(Command::Wake(CallId(2))).await;
    f.tell(Command::Show(scenes::in_call())).await;
    assert_eq!(f.event().await, TvEvent::Woken(Wake::Woken));
    f.silence().await;
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_keys_blocks_nothing() {
    let mut f = fixture(found(Power::On, "box", 40));
    f.tell(Command::Show(scenes::missed())).await;
    f.tv.view().wait_for(|v| v.scene == scenes::missed()).await.unwrap();
    for _ in 0..1000 {
        f.tv.press(Key::Digit(1)).await;
    }
    f.tell(Command::Show(Scene::Idle)).await;
    f.tv.view().wait_for(|v| v.scene == Scene::Idle).await.unwrap();
    assert_eq!(f.event().await, TvEvent::Press(Press::Other));
}
