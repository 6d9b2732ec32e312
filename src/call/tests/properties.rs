//! What holds whatever happens: 100,000 random lives of a machine, watched by an [`Observer`].
//!
//! `RESIDENTD_CALL_SEED=n cargo test --lib call::tests::properties` replays the one life that a failure named, and
//! `RESIDENTD_CALL_LIVES=n` makes it more or fewer than 100,000.

use super::observer::{Observer, Rules};
use super::*;
use crate::call::consent::Quiet;

/// A life is a set of rules and a number of these.
#[derive(Debug, Clone)]
enum Step {
    Tell(Word),
    /// Told twice in the same instant: must be as if told once.
    Twice(Word),
    /// This much time passes, every deadline served.
    Pass(Duration),
    /// As much passes as is left to the next deadline, less or more a millisecond, and the deadline is not served.
    Nearly {
        late: bool,
    },
}

/// An event, but for the numbers of calls, which depend on what happened before.
#[derive(Debug, Clone)]
enum Word {
    Plain(Event),
    Of(Which, About),
}

#[derive(Debug, Clone, Copy)]
enum Which {
    Current,
    Earlier,
    Later,
}

#[derive(Debug, Clone)]
enum About {
    Noticed,
    Unnoticed,
    Prepared(bool),
    Room(RoomEvent),
    MediaFailed,
    ReplyUncertain,
}

/// splitmix64: the same numbers for the same seed, for ever.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

fn rules(dice: &mut Dice) -> Rules {
    let common = dice.below(4);
    Rules {
        never: common == 0,
        everybody: common == 3,
        listed: common == 3 || dice.one_in(2) || common == 1,
        quiet: dice.one_in(6),
        floor: Duration::from_millis(dice.of(&[0, 1000, 3000, 5000])),
        limits: [dice.of(&[15, 45, 120]), 15, dice.of(&[10, 30]), 10, dice.of(&[5, 15]), dice.of(&[5, 10])],
    }
}

fn machine(rules: Rules) -> Fixture {
    let [ring, prepare, wait, grace, again, uncertain] = rules.limits.map(seconds);
    let maximum = rules.limits[0].is_multiple_of(2).then_some(seconds(100));
    let limits = Limits { ring, prepare, wait, grace, again, uncertain, maximum, ..Limits::default() };
    let automatic = match (rules.never, rules.everybody) {
        (true, _) => Automatic::Never,
        (_, true) => Automatic::Always,
        _ => Automatic::ListedCallers,
    };
    let callers = vec![Listed::allowed(Who::Id("5".into())), Listed::refused(Who::Id("6".into()))];
    let callers = if rules.listed { callers } else { Vec::new() };
    let quiet: Vec<Quiet> =
        rules.quiet.then(|| "00:00-12:30".parse().unwrap()).into_iter().chain(["12:30-00:00".parse().unwrap()]).collect();
    let quiet = if rules.quiet { quiet } else { Vec::new() };
    Fixture::with(limits, Consent { automatic, callers, quiet, floor: rules.floor, ..Consent::default() })
}

/// A step that makes sense where the machine stands, so that lives come far; or any step at all.
fn step(dice: &mut Dice, phase: Phase) -> Step {
    if dice.one_in(4) {
        return if dice.one_in(3) { time(dice) } else { Step::Tell(any(dice)) };
    }
    if dice.one_in(8) {
        return Step::Twice(any(dice));
    }
    if dice.one_in(3) {
        return time(dice);
    }
    let of = |about| Word::Of(Which::Current, about);
    let press = |dice: &mut Dice, keys: &[Press]| Word::Plain(Event::Press(dice.of(keys)));
    Step::Tell(match phase {
        Phase::Idle | Phase::Message => offered(dice),
        Phase::Ringing => match dice.below(5) {
            0 => offered(dice),
            1 => withdrawn(dice),
            2 => press(dice, &[Press::Decline, Press::Other]),
            _ => press(dice, &[Press::Accept]),
        },
        Phase::Countdown => match dice.below(8) {
            0 => offered(dice),
            1 => withdrawn(dice),
            2 => of(About::Unnoticed),
            3 => press(dice, &[Press::Decline, Press::Other, Press::Accept]),
            _ => of(About::Noticed),
        },
        Phase::Preparing => match dice.below(6) {
            0 => withdrawn(dice),
            1 => press(dice, &[Press::Decline, Press::Accept]),
            2 => of(About::Prepared(false)),
            _ => of(About::Prepared(true)),
        },
        Phase::Waiting | Phase::Talking => match dice.below(12) {
            0 => offered(dice),
            1 => withdrawn(dice),
            2 => press(dice, &[Press::HangUp, Press::Mute, Press::Other]),
            3 => of(About::ReplyUncertain),
            4 => of(About::Room(RoomEvent::Joined)),
            5 | 6 => of(About::Room(RoomEvent::CallerLeft)),
            7 => of(About::Room(dice.of(&[RoomEvent::Weak, RoomEvent::Good, RoomEvent::MediaFlowing]))),
            8 => Word::Plain(Event::Devices { camera: dice.one_in(2), microphone: true }),
            _ => of(About::Room(RoomEvent::CallerArrived)),
        },
        Phase::Stopped => any(dice),
    })
}

fn time(dice: &mut Dice) -> Step {
    match dice.below(6) {
        0 => Step::Nearly { late: false },
        1 => Step::Nearly { late: true },
        2 => Step::Pass(Duration::from_millis(dice.below(500))),
        3 => Step::Pass(seconds(dice.below(120))),
        _ => Step::Pass(Duration::from_millis(dice.below(16_000))),
    }
}

fn any(dice: &mut Dice) -> Word {
    let room = [
        RoomEvent::Joined,
        RoomEvent::CallerArrived,
        RoomEvent::CallerLeft,
        RoomEvent::MediaFlowing,
        RoomEvent::Weak,
        RoomEvent::Good,
        RoomEvent::Failed("gone".into()),
    ];
    let which = dice.of(&[Which::Current, Which::Earlier, Which::Later]);
    match dice.below(13) {
        0 | 1 => offered(dice),
        2 => withdrawn(dice),
        3 | 4 => Word::Plain(Event::Press(dice.of(&[Press::Accept, Press::Decline, Press::HangUp, Press::Mute, Press::Other]))),
        5 => Word::Of(which, About::Noticed),
        6 => Word::Of(which, About::Unnoticed),
        7 => Word::Of(which, About::Prepared(!dice.one_in(4))),
        8 | 9 => Word::Of(which, About::Room(dice.of(&room))),
        10 => Word::Of(which, dice.of(&[About::MediaFailed, About::ReplyUncertain, About::ReplyUncertain])),
        11 => Word::Plain(Event::Devices { camera: !dice.one_in(3), microphone: !dice.one_in(3) }),
        _ if dice.one_in(4) => Word::Plain(Event::Shutdown),
        _ => Word::Of(Which::Earlier, About::Room(dice.of(&room))),
    }
}

fn caller(dice: &mut Dice) -> &'static str {
    dice.of(&["5", "5", "5", "5", "6", "7", "8"])
}

fn offered(dice: &mut Dice) -> Word {
    let after = seconds(dice.of(&[0, 2, 5, 15, 60]));
    let wish = if dice.one_in(3) { Wish::Ask } else { Wish::Answer { after } };
    let medium = if dice.one_in(4) { Medium::Audio } else { Medium::Video };
    let mut offer = Offer { wish, medium, ..offer_by(caller(dice)) };
    if dice.one_in(8) {
        offer.caller.line = LineId("phonenet".into());
    }
    Word::Plain(Event::Offered(offer))
}

fn withdrawn(dice: &mut Dice) -> Word {
    let mut word = withdrawal_by(caller(dice));
    match dice.below(5) {
        0 => word.reference = Reference::default(),
        1 => word.reference.sid = Some("RM-of-yesterday".into()),
        2 if dice.one_in(4) => word.line = LineId("phonenet".into()),
        _ => {}
    }
    Word::Plain(Event::Withdrawn(word))
}

fn event(word: &Word, machine: &Machine, last: u64) -> Event {
    let (which, about) = match word {
        Word::Plain(event) => return event.clone(),
        Word::Of(which, about) => (which, about),
    };
    let current = machine.current().map(|(id, _)| id);
    let id = match which {
        Which::Current => current.unwrap_or(CallId(last)),
        Which::Earlier => CallId(last.saturating_sub(1)),
        Which::Later => CallId(last + 1),
    };
    match about {
        About::Noticed => Event::Noticed(id),
        About::Unnoticed => Event::Unnoticed(id),
        About::Prepared(well) => Event::Prepared(id, if *well { Ok(()) } else { Err("no token".into()) }),
        About::Room(event) => Event::Room(id, event.clone()),
        About::MediaFailed => Event::MediaFailed(id, "no device".into()),
        About::ReplyUncertain => Event::ReplyUncertain(id),
    }
}

/// One life under observation.
struct Life {
    fixture: Fixture,
    observer: Observer,
    last: u64,
}

impl Life {
    fn new(rules: Rules) -> Life {
        Life { fixture: machine(rules), observer: Observer::new(rules), last: 0 }
    }

    fn live(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Tell(word) => self.tell(word),
            Step::Twice(word) => {
                self.pass(Duration::ZERO)?;
                let event = event(word, &self.fixture.machine, self.last);
                self.tell(word)?;
                // A second request while nothing rings is a second call, and a second key another wish.
                let idempotent = match &event {
                    Event::Offered(_) => self.fixture.phase() != Phase::Message && self.fixture.phase() != Phase::Stopped,
                    Event::Press(press) => *press == Press::Accept,
                    _ => true,
                };
                let from_second = matches!(&event, Event::Offered(offer)
                    if self.fixture.machine.current().is_some_and(|(_, of)| of.caller.id != offer.caller.id || of.caller.line != offer.caller.line));
                if idempotent && !from_second {
                    let before = self.fixture.machine.clone();
                    let actions = self.fixture.on(event.clone());
                    self.observer.step(self.fixture.now, Some(&event), &actions, &before, &self.fixture.machine)?;
                    if before != self.fixture.machine || !actions.is_empty() {
                        return Err(format!("{event:?} told twice is not as told once: {}", words(&actions)));
                    }
                }
                Ok(())
            }
            Step::Pass(duration) => self.pass(*duration),
            Step::Nearly { late } => {
                if let Some(deadline) = self.fixture.machine.next_deadline() {
                    let millisecond = Duration::from_millis(1);
                    let to = if *late { deadline + millisecond } else { deadline - millisecond };
                    self.fixture.move_to(to.max(self.fixture.now.mono));
                }
                Ok(())
            }
        }
    }

    fn tell(&mut self, word: &Word) -> Result<(), String> {
        let event = event(word, &self.fixture.machine, self.last);
        let before = self.fixture.machine.clone();
        let actions = self.fixture.on(event.clone());
        self.last = self.fixture.machine.current().map_or(self.last, |(id, _)| id.0);
        self.observer.step(self.fixture.now, Some(&event), &actions, &before, &self.fixture.machine)
    }

    fn pass(&mut self, duration: Duration) -> Result<(), String> {
        let end = self.fixture.now.mono + duration;
        while let Some(deadline) = self.fixture.machine.next_deadline().filter(|deadline| *deadline <= end) {
            let before = self.fixture.machine.clone();
            let actions = self.fixture.jump(deadline);
            self.observer.step(self.fixture.now, None, &actions, &before, &self.fixture.machine)?;
        }
        self.fixture.move_to(end);
        Ok(())
    }

    /// The caller is gone, nobody is there: what is left comes to its end by itself.
    fn finish(&mut self) -> Result<(), String> {
        self.live(&Step::Tell(Word::Of(Which::Current, About::Room(RoomEvent::CallerLeft))))?;
        self.pass(seconds(24 * 3600))?;
        self.observer.finish(&self.fixture.machine)
    }
}

/// How a life goes that is already written down.
fn replay(rules: Rules, steps: &[Step]) -> Result<(), String> {
    let mut life = Life::new(rules);
    steps.iter().try_for_each(|step| life.live(step))?;
    life.finish()
}

/// The life of this seed, written down, and what was wrong with it. Also what phases it came through.
fn life_of(seed: u64, been: &mut [u64; 8]) -> Result<(), (Rules, Vec<Step>, String)> {
    let mut dice = Dice(seed);
    let rules = rules(&mut dice);
    let mut life = Life::new(rules);
    let mut steps = Vec::new();
    for _ in 0..5 + dice.below(25) {
        let next = step(&mut dice, life.fixture.phase());
        steps.push(next);
        if let Err(wrong) = life.live(&steps[steps.len() - 1]) {
            return Err((rules, steps, wrong));
        }
        been[life.fixture.phase() as usize] += 1;
    }
    life.finish().map_err(|wrong| (rules, steps, wrong))
}

/// Leaves out what isn't needed to go wrong.
fn shrink(rules: Rules, mut steps: Vec<Step>, mut wrong: String) -> (Vec<Step>, String) {
    let mut at = 0;
    while at < steps.len() {
        let mut fewer = steps.clone();
        fewer.remove(at);
        match replay(rules, &fewer) {
            Err(still) => (steps, wrong, at) = (fewer, still, 0),
            Ok(()) => at += 1,
        }
    }
    (steps, wrong)
}

fn number(variable: &str) -> Option<u64> {
    let text = std::env::var(variable).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{variable}={text} is no number")))
}

#[test]
fn the_promises_hold_whatever_happens() {
    let replayed = number("RESIDENTD_CALL_SEED");
    let lives = if replayed.is_some() { 1 } else { number("RESIDENTD_CALL_LIVES").unwrap_or(100_000) };
    let clock = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
    let first = replayed.unwrap_or(clock);
    println!("{lives} lives from seed {first}");
    let half = |from: u64, to: u64| {
        let mut been = [0; 8];
        for seed in from..to {
            let seed = first.wrapping_add(seed);
            if let Err((rules, steps, wrong)) = life_of(seed, &mut been) {
                let (steps, wrong) = shrink(rules, steps, wrong);
                let steps: String = steps.iter().map(|step| format!("  {step:?}\n")).collect();
                panic!("seed {seed}: {wrong}\n{rules:?}\n{steps}replay with RESIDENTD_CALL_SEED={seed}");
            }
        }
        been
    };
    let been = std::thread::scope(|scope| {
        let other = scope.spawn(|| half(0, lives / 2));
        let mut been = half(lives / 2, lives);
        let other = other.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        been.iter_mut().zip(other).for_each(|(sum, more)| *sum += more);
        been
    });
    println!("steps that led to idle, ringing, countdown, preparing, waiting, talking, message, stopped: {been:?}");
    if lives >= 1000 {
        // Lives that never come far would prove nothing.
        assert!(been.iter().all(|steps| *steps > lives / 10), "{been:?}");
    }
}
