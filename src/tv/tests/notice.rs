//! The dialog: whether it is seen and heard, and its keys.

use super::*;

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
