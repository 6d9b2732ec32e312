//! What is put back late: after a crash, a silence, in the middle of the next call.

use super::*;

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
