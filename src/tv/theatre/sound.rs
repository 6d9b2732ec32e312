//! The tone that sounds with a scene.

use super::super::stage::DriverEvent;
use super::super::tone;
use super::OnStage;
use crate::call::{CallId, Scene};
use crate::media::sound::player::{Player, Playing};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

#[derive(Clone, Copy, PartialEq)]
pub(super) enum Tone {
    Ring,
    Notice,
}

/// A tone that is playing, and what its player has said. The player's thread shares it.
pub(super) struct Sounding {
    call: CallId,
    tone: Tone,
    player: Option<Arc<Player>>,
    fate: Arc<Mutex<Fate>>,
}

struct Fate {
    /// The show it is to be told about.
    number: u64,
    latest: Option<Result<(), String>>,
}

impl OnStage {
    /// The tone that belongs to the scene; one that is playing for the same call goes on.
    pub(super) fn sound(&mut self, scene: &Scene) {
        let Some((call, tone)) = wanted_tone(scene) else { return self.silence() };
        if let Some(sounding) = self.tone.as_ref().filter(|s| (s.call, s.tone) == (call, tone)) {
            let latest = {
                let mut fate = lock(&sounding.fate);
                fate.number = self.number;
                fate.latest.clone()
            };
            if let Some(latest) = latest {
                self.say(told(self.number, latest));
            }
            return;
        }
        self.silence();
        let fate = Arc::new(Mutex::new(Fate { number: self.number, latest: None }));
        let Some(out) = self.setting.sound.clone() else {
            let why = "there is no speaker configured; set media.speaker".to_owned();
            lock(&fate).latest = Some(Err(why.clone()));
            self.tone = Some(Sounding { call, tone, player: None, fate });
            return self.say(DriverEvent::Unheard(self.number, why));
        };
        let samples = match tone {
            Tone::Ring => tone::ring(),
            Tone::Notice => tone::notice(),
        };
        let (tell, of_player) = (self.tell.clone(), fate.clone());
        let hear = move |playing| {
            let latest = match playing {
                Playing::Heard => Ok(()),
                Playing::Silent(why) => Err(why),
                Playing::Ended => return,
            };
            let mut fate = lock(&of_player);
            fate.latest = Some(latest.clone());
            // The player's thread must not wait; a full channel means that nobody listens any more.
            let _ = tell.try_send(told(fate.number, latest));
        };
        match Player::play(out, samples, true, tone::gain(self.setting.ring_volume), Box::new(hear)) {
            Ok(player) => {
                let player = Arc::new(player);
                let mut inbox = self.shared.lock();
                match &inbox.show {
                    // What it belongs to is over already.
                    Some((_, view)) if wanted_tone(&view.scene).is_none() => player.hush(),
                    _ => inbox.tone = Some(player.clone()),
                }
                drop(inbox);
                self.tone = Some(Sounding { call, tone, player: Some(player), fate });
            }
            Err(e) => self.say(DriverEvent::Unheard(self.number, format!("the tone cannot be played: {e}"))),
        }
    }

    pub(super) fn silence(&mut self) {
        self.shared.lock().tone = None;
        if let Some(Sounding { player: Some(player), .. }) = self.tone.take() {
            player.stop();
        }
    }
}

/// The tone that belongs to a scene.
pub(super) fn wanted_tone(scene: &Scene) -> Option<(CallId, Tone)> {
    match scene {
        Scene::Ringing { call, .. } => Some((*call, Tone::Ring)),
        Scene::Countdown { call, .. } => Some((*call, Tone::Notice)),
        _ => None,
    }
}

fn told(number: u64, latest: Result<(), String>) -> DriverEvent {
    match latest {
        Ok(()) => DriverEvent::Heard(number),
        Err(why) => DriverEvent::Unheard(number, why),
    }
}

fn lock(fate: &Mutex<Fate>) -> MutexGuard<'_, Fate> {
    fate.lock().unwrap_or_else(PoisonError::into_inner)
}
