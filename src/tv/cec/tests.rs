//! The whole way from a wish to the wire, against televisions that behave as badly as real ones, in virtual time.

use super::message::{Frame, Physical, op};
use super::quirks::Quirks;
use super::simulated::{Bus, Manners, Now, STICK, TUNER, View};
use super::*;
use crate::tv::power::{self, Ledger, Memory, Remembered};
use crate::tv::{Power, Wake};
use std::sync::Mutex;
use std::time::Duration;
use tokio::time::{sleep, timeout};

const FLOOR: u8 = 30;

#[derive(Default)]
struct Paper(Mutex<Option<Remembered>>);

impl Memory for Paper {
    fn remember(&self, what: &Remembered) -> Result<(), String> {
        *self.0.lock().unwrap() = Some(what.clone());
        Ok(())
    }
    fn recall(&self) -> Result<Option<Remembered>, String> {
        Ok(self.0.lock().unwrap().clone())
    }
    fn forget(&self) -> Result<(), String> {
        *self.0.lock().unwrap() = None;
        Ok(())
    }
}

struct House {
    bus: Bus,
    set: Cec,
    ledger: Ledger,
    events: mpsc::Receiver<DriverEvent>,
}

/// A box that has been plugged in for a while.
async fn house(manners: Manners, on: bool, shown: Physical, volume: u8) -> House {
    let mut quirks = Quirks::default();
    // The simulated makers.
    quirks.add("[[tv]]\nvendor=\"00aa01\"\nstatus=\"silent-in-standby\"\n[[tv]]\nvendor=\"00aa02\"\nstatus=\"always-on\"\n[[tv]]\nvendor=\"00aa03\"\nrestore=[\"inactive-source\",\"set-stream-path\"]\n[[tv]]\nvendor=\"00aa04\"\nvolume=\"keys\"\n").unwrap();
    let (bus, adapter) = Bus::new(manners, on, shown, volume);
    let (tell, events) = mpsc::channel(64);
    let set = Cec::start(adapter, quirks, Arc::default(), tell);
    let house = House { bus, set, ledger: Ledger::new(Arc::new(Paper::default())), events };
    sleep(Duration::from_secs(5)).await;
    house
}

impl House {
    async fn wake(&self) -> Wake {
        power::wake(&self.set, &self.ledger, FLOOR, None).await.wake
    }

    async fn restore(&self) -> bool {
        let done = power::restore(&self.set, &self.ledger).await.done;
        sleep(Duration::from_secs(15)).await;
        done
    }

    fn shows_us(&self) -> bool {
        let Now { on, shown, .. } = self.bus.now();
        on && Some(shown.to_string()) == self.set.own_input()
    }

    /// Until a thing is so, for at most two minutes of virtual time.
    async fn until(&self, what: &str, so: impl Fn(&House) -> bool) {
        for _ in 0..1200 {
            if so(self) {
                return;
            }
            sleep(Duration::from_millis(100)).await;
        }
        panic!("{what} never came true: {:?}, sent {:?}", self.bus.now(), self.bus.log());
    }

    fn strokes(&mut self) -> Vec<Stroke> {
        std::iter::from_fn(|| self.events.try_recv().ok())
            .filter_map(|e| match e {
                DriverEvent::Stroke(stroke) => Some(stroke),
                _ => None,
            })
            .collect()
    }
}

/// Wakes, sees that the box is shown, calls for a while, restores; what a call does to it.
async fn a_call(manners: Manners, on: bool, shown: Physical) -> (Wake, Now, House) {
    let house = house(manners, on, shown, 40).await;
    let wake = house.wake().await;
    house.until("our picture", House::shows_us).await;
    sleep(Duration::from_secs(30)).await;
    assert!(house.shows_us(), "not ours any more: {:?}", house.bus.now());
    assert!(house.restore().await);
    let after = house.bus.now();
    (wake, after, house)
}

#[tokio::test(start_paused = true)]
async fn a_polite_television_is_woken_and_put_back() {
    let (wake, after, _) = a_call(Manners::default(), false, TUNER).await;
    assert_eq!(wake, Wake::Woken);
    assert!(!after.on);
}

#[tokio::test(start_paused = true)]
async fn one_that_is_watched_keeps_running_and_goes_back_to_what_was_on() {
    let (wake, after, house) = a_call(Manners::default(), true, TUNER).await;
    assert_eq!(wake, Wake::AlreadyOn);
    assert!(after.on);
    assert_eq!(after.shown, TUNER);
    assert_eq!(house.bus.sent(op::STANDBY), 0);
    assert_eq!(house.bus.sent(op::INACTIVE_SOURCE), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_must_be_led_back_is_led_where_its_maker_allows() {
    let manners = Manners { must_be_led: true, vendor: 0x00aa03, ..Manners::default() };
    let (_, after, house) = a_call(manners, true, STICK).await;
    assert_eq!(after.shown, STICK);
    assert_eq!(house.bus.sent(op::SET_STREAM_PATH), 1);
    let (_, after, house) = a_call(Manners { must_be_led: true, ..Manners::default() }, true, STICK).await;
    assert_eq!((after.shown, house.bus.sent(op::SET_STREAM_PATH)), (Physical(0x1000), 0), "nobody else is led");
}

#[tokio::test(start_paused = true)]
async fn slow_to_boot() {
    let manners = Manners { boot: Duration::from_secs(6), ..Manners::default() };
    let (wake, after, _) = a_call(manners, false, TUNER).await;
    assert_eq!(wake, Wake::Woken);
    assert!(!after.on);
}

#[tokio::test(start_paused = true)]
async fn acknowledges_nothing_at_first() {
    let (wake, ..) = a_call(Manners { naks: 9, ..Manners::default() }, false, TUNER).await;
    assert_eq!(wake, Wake::Woken);
}

#[tokio::test(start_paused = true)]
async fn silent_in_standby_is_no_answer_before_and_woken_after() {
    let manners = Manners { answers_in_standby: false, ..Manners::default() };
    let house = house(manners.clone(), false, TUNER, 40).await;
    assert_eq!(power::ask(&house.set).await.power, Power::Unknown);
    let (wake, after, _) = a_call(manners, false, TUNER).await;
    assert_eq!(wake, Wake::Woken);
    assert!(after.on, "who was not seen in standby is not sent there");
}

#[tokio::test(start_paused = true)]
async fn silent_in_standby_by_its_maker_is_switched_off_again() {
    for acknowledges_in_standby in [true, false] {
        let manners = Manners { answers_in_standby: false, acknowledges_in_standby, vendor: 0x00aa01, ..Manners::default() };
        let house = house(manners, true, TUNER, 40).await;
        house.bus.to_standby(false).await;
        assert_eq!(house.wake().await, Wake::Woken);
        house.until("our picture", House::shows_us).await;
        assert!(house.restore().await);
        assert!(!house.bus.now().on);
    }
}

#[tokio::test(start_paused = true)]
async fn says_on_always() {
    let manners = Manners { always_on: true, vendor: 0x00aa02, ..Manners::default() };
    let (wake, ..) = a_call(manners, false, TUNER).await;
    assert_eq!(wake, Wake::Woken);
    // Of a maker that is not known for it, One Touch Play lights it all the same.
    a_call(Manners { always_on: true, ..Manners::default() }, false, TUNER).await;
}

#[tokio::test(start_paused = true)]
async fn pulls_its_line_down_in_standby() {
    let manners = Manners { unplugs_in_standby: true, boot: Duration::from_secs(3), ..Manners::default() };
    let house = house(manners, true, TUNER, 40).await;
    house.bus.power_key().await;
    sleep(Duration::from_secs(5)).await;
    assert_eq!(house.set.own_input(), None);
    assert_eq!(power::ask(&house.set).await.power, Power::Standby);
    assert_eq!(house.wake().await, Wake::Woken);
    house.until("our picture", House::shows_us).await;
    assert!(house.restore().await);
    assert!(!house.bus.now().on);
}

#[tokio::test(start_paused = true)]
async fn another_stick_takes_the_screen_and_it_is_taken_back_three_times_at_most() {
    let (wake, ..) = a_call(Manners { thefts: 2, ..Manners::default() }, false, TUNER).await;
    assert_eq!(wake, Wake::Woken);
    let house = house(Manners { thefts: 99, ..Manners::default() }, false, TUNER, 40).await;
    house.wake().await;
    sleep(Duration::from_secs(60)).await;
    assert_eq!(house.bus.now().shown, STICK);
    assert!(house.bus.sent(op::ACTIVE_SOURCE) <= 8, "{}", house.bus.sent(op::ACTIVE_SOURCE));
}

#[tokio::test(start_paused = true)]
async fn what_the_resident_chooses_is_not_taken_back() {
    let house = house(Manners::default(), true, TUNER, 40).await;
    house.wake().await;
    house.until("our picture", House::shows_us).await;
    sleep(Duration::from_secs(2)).await;
    house.bus.choose(STICK).await;
    sleep(Duration::from_secs(30)).await;
    assert_eq!(house.bus.now().shown, STICK);
}

#[tokio::test(start_paused = true)]
async fn an_amplifier_in_between_is_woken_and_sent_to_sleep() {
    let manners = Manners { amplifier: true, plug: Physical(0x1200), ..Manners::default() };
    let (wake, after, _) = a_call(manners, false, TUNER).await;
    assert_eq!(wake, Wake::Woken);
    assert!(!after.on && !after.amplifier_on, "{after:?}");
}

#[tokio::test(start_paused = true)]
async fn refuses_image_and_text_view_on() {
    let (wake, _, house) = a_call(Manners { view_on: View::Refuses, ..Manners::default() }, false, TUNER).await;
    assert_eq!(wake, Wake::Woken);
    let pressed: Vec<Frame> = house.bus.log().into_iter().filter(|f| f.opcode == op::USER_CONTROL_PRESSED).collect();
    assert_eq!(pressed[0].data, [0x6d]);
}

#[tokio::test(start_paused = true)]
async fn knows_only_the_key() {
    let (wake, ..) = a_call(Manners { view_on: View::Ignores, ..Manners::default() }, false, TUNER).await;
    assert_eq!(wake, Wake::Woken, "the last resort after three tries");
}

#[tokio::test(start_paused = true)]
async fn deaf_for_a_while_after_standby_it_comes_on_while_it_still_rings() {
    let manners = Manners { deaf_after_standby: Duration::from_secs(35), ..Manners::default() };
    let mut house = house(manners, true, TUNER, 40).await;
    house.bus.power_key().await;
    assert_eq!(house.wake().await, Wake::NoAnswer);
    house.until("our picture", House::shows_us).await;
    // It is told, so the notice counts as seen from here.
    let on = async {
        loop {
            if let Some(DriverEvent::Changed(TvState { power: Power::On, input: Some(input), .. })) = house.events.recv().await
                && input == "1.0.0.0"
            {
                return;
            }
        }
    };
    timeout(Duration::from_secs(30), on).await.expect("told");
}

#[tokio::test(start_paused = true)]
async fn never_answers() {
    let house = house(Manners { dead: true, ..Manners::default() }, false, TUNER, 40).await;
    assert_eq!(house.wake().await, Wake::NoAnswer);
    assert!(!house.restore().await, "it is owed until the set answers");
    assert!(house.bus.log().len() < 300);
}

#[tokio::test(start_paused = true)]
async fn does_not_know_the_question_for_its_power() {
    let (wake, ..) = a_call(Manners { refuses_power_status: true, ..Manners::default() }, false, TUNER).await;
    assert_eq!(wake, Wake::Woken);
}

#[tokio::test(start_paused = true)]
async fn a_busy_bus_costs_time_and_nothing_else() {
    let (wake, after, _) = a_call(Manners { lost_every: 2, ..Manners::default() }, false, TUNER).await;
    assert_eq!(wake, Wake::Woken);
    assert!(!after.on);
}

#[tokio::test(start_paused = true)]
async fn a_soft_one_is_made_louder_and_put_back() {
    for volume_step in [1, 2, 3] {
        let house = house(Manners { volume_step, ..Manners::default() }, true, TUNER, 12).await;
        house.wake().await;
        house.until("loud enough", |h| h.bus.now().volume >= FLOOR).await;
        sleep(Duration::from_secs(20)).await;
        let volume = house.bus.now().volume;
        assert!((FLOOR..FLOOR + 3).contains(&volume), "{volume}");
        assert!(house.restore().await);
        sleep(Duration::from_secs(20)).await;
        assert!(house.bus.now().volume.abs_diff(12) < volume_step, "{} by {volume_step}", house.bus.now().volume);
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_tell_its_volume_is_turned_by_steps() {
    for (vendor, tells_volume) in [(0x00aa04, true), (0xabcdef, false)] {
        let house = house(Manners { vendor, tells_volume, ..Manners::default() }, true, TUNER, 12).await;
        assert_eq!(power::ask(&house.set).await.volume, None);
        assert!(house.set.volume(30).await.is_err());
        for _ in 0..3 {
            assert_eq!(house.set.step(true).await, Ok(true));
        }
        house.until("three steps", |h| h.bus.now().volume == 15).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_cable_is_pulled_in_a_call_and_comes_back() {
    let house = house(Manners::default(), false, TUNER, 40).await;
    house.wake().await;
    house.until("our picture", House::shows_us).await;
    house.bus.cable(Some(false)).await;
    sleep(Duration::from_secs(1)).await;
    assert_eq!(house.set.own_input(), None);
    house.bus.choose(TUNER).await;
    house.bus.cable(Some(true)).await;
    house.until("our picture again", House::shows_us).await;
    assert!(house.restore().await);
    assert!(!house.bus.now().on);
}

#[tokio::test(start_paused = true)]
async fn the_box_is_plugged_into_another_socket_in_a_call() {
    let house = house(Manners::default(), false, TUNER, 40).await;
    house.wake().await;
    house.until("our picture", House::shows_us).await;
    house.bus.choose(TUNER).await;
    house.bus.plug_into(Physical(0x3000)).await;
    house.until("our picture at the other socket", |h| h.bus.now().shown == Physical(0x3000)).await;
    assert_eq!(house.set.own_input().as_deref(), Some("3.0.0.0"));
    assert!(house.restore().await);
    assert!(!house.bus.now().on);
}

#[tokio::test(start_paused = true)]
async fn the_adapter_is_pulled_and_comes_back() {
    let house = house(Manners::default(), false, TUNER, 40).await;
    house.bus.cable(None).await;
    sleep(Duration::from_millis(10)).await;
    let why = house.set.power(true).await.unwrap_err();
    assert!(why.0.contains("no HDMI-CEC adapter"), "{why}");
    assert_eq!(power::ask(&house.set).await, TvState::UNKNOWN);
    house.bus.cable(Some(true)).await;
    assert_eq!(house.wake().await, Wake::Woken);
}

#[tokio::test(start_paused = true)]
async fn whenever_it_gets_its_power_back_and_says_so_it_is_asked_how_it_is() {
    for late in [0, 200, 700, 990, 5_000] {
        let mut house = house(Manners::default(), true, TUNER, 40).await;
        house.wake().await;
        house.bus.mains(false).await;
        assert!(!power::restore(&house.set, &house.ledger).await.done);
        while house.events.try_recv().is_ok() {}
        sleep(Duration::from_millis(late)).await;
        house.bus.mains(true).await;
        sleep(Duration::from_secs(3)).await;
        let told = std::iter::from_fn(|| house.events.try_recv().ok());
        let on = told.into_iter().any(|e| matches!(e, DriverEvent::Changed(TvState { power: Power::On, .. })));
        assert!(on, "{late} ms after it was asked last");
        assert!(house.restore().await && !house.shows_us(), "{late} ms after it was asked last");
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_know_the_question_while_it_boots_is_asked_again_afterwards() {
    let house = house(Manners { refuses_power_status: true, ..Manners::default() }, false, TUNER, 40).await;
    assert_eq!(power::ask(&house.set).await.power, Power::Unknown);
    house.bus.learns_to_tell_its_power();
    house.bus.mains(true).await;
    house.until("an answer", |house| house.bus.sent(op::GIVE_DEVICE_POWER_STATUS) > 2).await;
    sleep(Duration::from_secs(2)).await;
    assert_eq!(power::ask(&house.set).await.power, Power::Standby);
}

#[tokio::test(start_paused = true)]
async fn who_switches_it_off_in_the_call_is_told_and_not_fought() {
    let mut house = house(Manners::default(), true, TUNER, 40).await;
    house.wake().await;
    while house.events.try_recv().is_ok() {}
    sleep(Duration::from_secs(10)).await;
    house.bus.power_key().await;
    sleep(Duration::from_secs(60)).await;
    assert!(!house.bus.now().on);
    let told = std::iter::from_fn(|| house.events.try_recv().ok());
    assert!(told.into_iter().any(|e| matches!(e, DriverEvent::Changed(TvState { power: Power::Standby, .. }))));
}

#[tokio::test(start_paused = true)]
async fn keys_of_the_televisions_remote_arrive() {
    let mut house = house(Manners::default(), true, TUNER, 40).await;
    house.strokes();
    for (operand, released) in [(0x00, true), (0x03, false), (0x72, true), (0x6d, true), (0x35, true)] {
        house.bus.say(TV_ADDRESS, 4, op::USER_CONTROL_PRESSED, &[operand]).await;
        if released {
            house.bus.say(TV_ADDRESS, 4, op::USER_CONTROL_RELEASED, &[]).await;
        }
    }
    sleep(Duration::from_secs(1)).await;
    use crate::tv::keys::Key;
    let pressed: Vec<Key> = house.strokes().into_iter().filter(|s| s.pressed).map(|s| s.key).collect();
    assert_eq!(pressed, [Key::Ok, Key::Left, Key::Red, Key::Other]);
}

const TV_ADDRESS: u8 = 0;

#[tokio::test(start_paused = true)]
async fn questions_of_others_are_answered_and_the_unknown_is_refused() {
    let house = house(Manners { amplifier: true, ..Manners::default() }, true, TUNER, 40).await;
    house.bus.say(TV_ADDRESS, 4, op::GIVE_DEVICE_POWER_STATUS, &[]).await;
    house.bus.say(TV_ADDRESS, 4, op::MENU_REQUEST, &[2]).await;
    house.bus.say(TV_ADDRESS, 4, 0x8b, &[1]).await;
    house.bus.say(TV_ADDRESS, 15, 0x32, b"eng").await;
    sleep(Duration::from_secs(1)).await;
    let log = house.bus.log();
    let sent = |opcode, data: &[u8]| log.iter().any(|f| f.opcode == opcode && f.data == data && f.to == 0);
    assert!(sent(op::REPORT_POWER_STATUS, &[0]) && sent(op::MENU_STATUS, &[1]) && sent(op::FEATURE_ABORT, &[0x8b, 0]), "{log:?}");
    assert_eq!(log.iter().filter(|f| f.opcode == op::FEATURE_ABORT).count(), 1, "what goes to all is refused by nobody");
}

/// The figure of the field: at least 99 of 100 within 15 s, over all kinds that can be woken within that time.
#[tokio::test(start_paused = true)]
async fn two_hundred_wakes_over_twelve_kinds_of_television() {
    let kinds = [
        Manners::default(),
        Manners { boot: Duration::from_secs(6), ..Manners::default() },
        Manners { boot: Duration::from_secs(9), thefts: 1, ..Manners::default() },
        Manners { naks: 5, ..Manners::default() },
        Manners { answers_in_standby: false, ..Manners::default() },
        Manners { answers_in_standby: false, acknowledges_in_standby: false, vendor: 0x00aa01, ..Manners::default() },
        Manners { always_on: true, vendor: 0x00aa02, ..Manners::default() },
        Manners { unplugs_in_standby: true, ..Manners::default() },
        Manners { thefts: 2, ..Manners::default() },
        Manners { amplifier: true, plug: Physical(0x1200), ..Manners::default() },
        Manners { view_on: View::Refuses, ..Manners::default() },
        Manners { view_on: View::Ignores, ..Manners::default() },
        Manners { refuses_power_status: true, ..Manners::default() },
        Manners { lost_every: 3, ..Manners::default() },
        Manners { deaf_after_standby: Duration::from_secs(8), ..Manners::default() },
    ];
    let mut slow = Vec::new();
    let mut wakes = 0;
    for round in 0..14u64 {
        for (i, manners) in kinds.iter().enumerate() {
            let house = house(manners.clone(), true, TUNER, 40).await;
            house.bus.power_key().await;
            sleep(Duration::from_millis(1500 + 377 * round)).await;
            let from = Instant::now();
            let waking = async {
                house.wake().await;
            };
            let shown = house.until("our picture", House::shows_us);
            tokio::join!(waking, shown);
            wakes += 1;
            if from.elapsed() > Duration::from_secs(15) {
                slow.push((i, from.elapsed()));
            }
        }
    }
    assert!(slow.len() * 100 <= wakes, "{} of {wakes} took longer than 15 s: {slow:?}", slow.len());
}
