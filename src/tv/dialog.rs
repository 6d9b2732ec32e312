//! Focus and keys: what a press means in the scene that is shown. No I/O, no clock of its own.
//!
//! | scene | OK | Back, red, power | arrows | mute | volume | any other |
//! |---|---|---|---|---|---|---|
//! | idle | – | – | – | – | – | – (not ours) |
//! | ringing | the choice in focus | decline | focus | other | volume | other |
//! | countdown | the choice in focus | decline | focus and other | other | volume and other | other (stops the countdown) |
//! | connecting, in call | – | hang up | – | mute | volume | – |
//! | ended, missed, no camera | other | other | other | other | other | other (closes it) |
//!
//! In a call OK does nothing: who presses OK twice to answer must not hang up with the second press.

use super::keys::{Fingers, Key, Stroke, Touch};
use crate::call::{Press, Scene};
use std::time::Instant;

/// The two choices of a dialog.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Choice {
    /// Answer.
    #[default]
    Answer,
    /// Decline.
    Decline,
}

/// What a stroke leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// To be told to the agent.
    pub press: Option<Press>,
    /// The focus has moved: draw again.
    pub moved: bool,
    /// Steps of the volume, up or down.
    pub volume: i8,
    /// Nothing of ours is shown: somebody uses the television.
    pub foreign: bool,
}

impl Outcome {
    fn press(press: Press) -> Outcome {
        Outcome { press: Some(press), ..Outcome::default() }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Idle,
    Ringing,
    Countdown,
    Call,
    Message,
}

fn kind(scene: &Scene) -> Kind {
    match scene {
        Scene::Idle => Kind::Idle,
        Scene::Ringing { .. } => Kind::Ringing,
        Scene::Countdown { .. } => Kind::Countdown,
        Scene::Connecting { .. } | Scene::InCall { .. } => Kind::Call,
        Scene::Ended { .. } | Scene::Missed { .. } | Scene::NoCamera { .. } => Kind::Message,
    }
}

/// The call a scene is about.
pub(crate) fn call_of(scene: &Scene) -> Option<crate::call::CallId> {
    match scene {
        Scene::Ringing { call, .. } | Scene::Countdown { call, .. } | Scene::Connecting { call, .. } | Scene::InCall { call, .. } => {
            Some(*call)
        }
        Scene::Idle | Scene::Ended { .. } | Scene::Missed { .. } | Scene::NoCamera { .. } => None,
    }
}

/// Focus and fingers.
#[derive(Debug)]
pub struct Dialog {
    kind: Kind,
    call: Option<crate::call::CallId>,
    focus: Choice,
    fingers: Fingers,
}

impl Default for Dialog {
    fn default() -> Self {
        Dialog { kind: Kind::Idle, call: None, focus: Choice::Answer, fingers: Fingers::default() }
    }
}

impl Dialog {
    /// Another scene is shown. The focus stays while the same call goes on ringing, also when its countdown was stopped.
    pub fn show(&mut self, scene: &Scene) {
        self.kind = kind(scene);
        let call = call_of(scene);
        if call != self.call {
            self.focus = Choice::Answer;
        }
        self.call = call;
    }

    /// The choice in focus.
    pub fn focus(&self) -> Choice {
        self.focus
    }

    /// What this stroke means.
    pub fn stroke(&mut self, now: Instant, stroke: Stroke) -> Outcome {
        match self.fingers.touch(now, stroke) {
            Touch::Released => return Outcome::default(),
            // Only the volume runs on while its key is held.
            Touch::Held if self.kind != Kind::Message && step(stroke.key) != 0 => {}
            Touch::Held => return Outcome::default(),
            Touch::Fresh => {}
        }
        let key = stroke.key;
        match self.kind {
            Kind::Idle => Outcome { foreign: true, ..Outcome::default() },
            Kind::Message => Outcome::press(Press::Other),
            Kind::Ringing | Kind::Countdown => self.choose(key),
            Kind::Call => match key {
                Key::Back | Key::Red | Key::Power => Outcome::press(Press::HangUp),
                Key::Mute => Outcome::press(Press::Mute),
                _ => Outcome { volume: step(key), ..Outcome::default() },
            },
        }
    }

    fn choose(&mut self, key: Key) -> Outcome {
        // Somebody is there, and decides: whatever they press, nothing is answered by itself any more.
        let here = (self.kind == Kind::Countdown).then_some(Press::Other);
        match key {
            Key::Left | Key::Up => Outcome { press: here, ..self.focus_on(Choice::Answer) },
            Key::Right | Key::Down => Outcome { press: here, ..self.focus_on(Choice::Decline) },
            Key::Ok => Outcome::press(match self.focus {
                Choice::Answer => Press::Accept,
                Choice::Decline => Press::Decline,
            }),
            Key::Back | Key::Red | Key::Power => Outcome::press(Press::Decline),
            Key::VolumeUp | Key::VolumeDown => Outcome { press: here, volume: step(key), ..Outcome::default() },
            _ => Outcome::press(Press::Other),
        }
    }

    fn focus_on(&mut self, choice: Choice) -> Outcome {
        let moved = self.focus != choice;
        self.focus = choice;
        Outcome { moved, ..Outcome::default() }
    }
}

fn step(key: Key) -> i8 {
    match key {
        Key::VolumeUp => 1,
        Key::VolumeDown => -1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tv::scenes;
    use std::time::Duration;

    const ALL: [Key; 20] = [
        Key::Menu,
        Key::Av,
        Key::Other,
        Key::Ok,
        Key::Back,
        Key::Up,
        Key::Down,
        Key::Left,
        Key::Right,
        Key::Red,
        Key::Green,
        Key::Yellow,
        Key::Blue,
        Key::Mute,
        Key::VolumeUp,
        Key::VolumeDown,
        Key::Power,
        Key::Digit(0),
        Key::Digit(5),
        Key::Digit(9),
    ];

    fn tap(dialog: &mut Dialog, key: Key) -> Outcome {
        let now = Instant::now();
        let outcome = dialog.stroke(now, Stroke { key, pressed: true });
        dialog.stroke(now, Stroke { key, pressed: false });
        outcome
    }

    fn dialog(scene: &Scene) -> Dialog {
        let mut dialog = Dialog::default();
        dialog.show(scene);
        dialog
    }

    /// The table of the module's head, every scene with every key.
    #[test]
    fn each_key_means_what_the_table_says() {
        for scene in scenes::all() {
            for key in ALL {
                let outcome = tap(&mut dialog(&scene), key);
                let press = match (kind(&scene), key) {
                    (Kind::Idle, _) => None,
                    (Kind::Message, _) => Some(Press::Other),
                    (Kind::Ringing | Kind::Countdown, Key::Ok) => Some(Press::Accept),
                    (Kind::Ringing | Kind::Countdown, Key::Back | Key::Red | Key::Power) => Some(Press::Decline),
                    (Kind::Ringing, Key::Up | Key::Down | Key::Left | Key::Right) => None,
                    (Kind::Ringing, Key::VolumeUp | Key::VolumeDown) => None,
                    (Kind::Ringing | Kind::Countdown, _) => Some(Press::Other),
                    (Kind::Call, Key::Back | Key::Red | Key::Power) => Some(Press::HangUp),
                    (Kind::Call, Key::Mute) => Some(Press::Mute),
                    (Kind::Call, _) => None,
                };
                assert_eq!(outcome.press, press, "{key:?} in {scene:?}");
                assert_eq!(outcome.foreign, scene == Scene::Idle, "{key:?} in {scene:?}");
                let sounding = matches!(kind(&scene), Kind::Ringing | Kind::Countdown | Kind::Call);
                assert_eq!(outcome.volume, if sounding { step(key) } else { 0 }, "{key:?} in {scene:?}");
            }
        }
    }

    #[test]
    fn arrows_move_the_focus_and_ok_chooses_it() {
        for scene in [scenes::ringing(), scenes::countdown()] {
            let mut dialog = dialog(&scene);
            assert_eq!(dialog.focus(), Choice::Answer);
            assert!(tap(&mut dialog, Key::Right).moved);
            assert!(!tap(&mut dialog, Key::Down).moved, "there is no third choice");
            assert_eq!(dialog.focus(), Choice::Decline);
            assert_eq!(tap(&mut dialog, Key::Ok).press, Some(Press::Decline));
            assert!(tap(&mut dialog, Key::Up).moved);
            assert_eq!(tap(&mut dialog, Key::Ok).press, Some(Press::Accept));
        }
    }

    #[test]
    fn focus_survives_a_stopped_countdown_but_not_the_next_call() {
        let mut dialog = dialog(&scenes::countdown());
        tap(&mut dialog, Key::Right);
        dialog.show(&scenes::ringing());
        assert_eq!(dialog.focus(), Choice::Decline);
        dialog.show(&Scene::Idle);
        dialog.show(&scenes::ringing());
        assert_eq!(dialog.focus(), Choice::Answer);
    }

    #[test]
    fn a_key_held_since_before_the_dialog_chooses_nothing() {
        let mut dialog = Dialog::default();
        let start = Instant::now();
        assert!(dialog.stroke(start, Stroke { key: Key::Ok, pressed: true }).foreign);
        dialog.show(&scenes::ringing());
        for i in 1..20 {
            let outcome = dialog.stroke(start + i * Duration::from_millis(300), Stroke { key: Key::Ok, pressed: true });
            assert_eq!(outcome, Outcome::default());
        }
    }

    #[test]
    fn a_held_ok_answers_once_and_does_not_hang_up() {
        let mut dialog = dialog(&scenes::ringing());
        let start = Instant::now();
        let ok = Stroke { key: Key::Ok, pressed: true };
        assert_eq!(dialog.stroke(start, ok).press, Some(Press::Accept));
        assert_eq!(dialog.stroke(start + Duration::from_millis(400), ok), Outcome::default());
        dialog.show(&scenes::connecting());
        assert_eq!(dialog.stroke(start + Duration::from_millis(800), ok), Outcome::default());
        assert_eq!(tap(&mut dialog, Key::Ok).press, None);
    }

    #[test]
    fn the_volume_runs_on_while_its_key_is_held() {
        let mut dialog = dialog(&scenes::in_call());
        let start = Instant::now();
        for i in 0..5 {
            let outcome = dialog.stroke(start + i * Duration::from_millis(200), Stroke { key: Key::VolumeUp, pressed: true });
            assert_eq!(outcome.volume, 1);
        }
    }
}
