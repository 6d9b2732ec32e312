//! On and standby.

use super::super::message::{AUDIO, TV, key, op};
use super::super::quirks::Step;
use super::sending::Purpose;
use super::source::Hold;
use super::{Core, Id};
use crate::tv::Power;
use std::time::{Duration, Instant};

/// Whether it took standby is looked at so much later: sets say "on" until their screen is dark.
const CHECK: Duration = Duration::from_secs(4);
/// Standby is said so often at most.
const STANDBYS: u8 = 2;

/// It was asked to switch on.
#[derive(Debug)]
pub(super) struct Waking {
    pub(super) asked: Option<Id>,
    /// Which of the profile's ways is on the wire.
    way: usize,
    pub(super) acknowledged: bool,
    /// When something that switches it on was last sent.
    pub(super) at: Instant,
}

/// It was asked to go to standby.
#[derive(Debug)]
pub(super) struct Sleep {
    pub(super) check_at: Instant,
    said: u8,
    asked: bool,
}

impl Core {
    pub(super) fn wake(&mut self, now: Instant, id: Id) {
        self.sleep = None;
        if let Some(before) = self.waking.take().and_then(|w| w.asked) {
            self.answer(before, Ok(None));
        }
        self.waking = Some(Waking { asked: Some(id), way: 0, acknowledged: false, at: now });
        self.send_way(now);
    }

    fn send_way(&mut self, now: Instant) {
        let Some(waking) = &mut self.waking else { return };
        waking.at = now;
        // Without a logical address only these two may be sent, to a television that pulled its line down.
        let reachable = self.address.is_some_and(|a| a.logical.is_some());
        let possible = |s: &&Step| reachable || **s != Step::PowerOnKey;
        match self.profile.wake.iter().filter(possible).nth(waking.way).copied() {
            Some(step) => self.send_step(step),
            None => {
                if let Some(id) = waking.asked.take() {
                    self.answer(id, Err("it does not take \"on\" by HDMI-CEC".into()));
                }
            }
        }
    }

    pub(super) fn wake_sent(&mut self, now: Instant, _step: Step, taken: bool) {
        let Some(waking) = &mut self.waking else { return };
        if taken {
            waking.acknowledged = true;
            if let Some(id) = waking.asked.take() {
                self.answer(id, Ok(None));
            }
            self.asleep &= !self.untellable();
        } else if waking.asked.is_some() {
            waking.way += 1;
            self.send_way(now);
        }
    }

    /// All ways at once, for a set that came on by none of them.
    pub(super) fn last_resort(&mut self, now: Instant, id: Id) {
        self.waking = Some(Waking { asked: None, way: 0, acknowledged: false, at: now });
        self.send_step(Step::ImageViewOn);
        if self.address.is_some_and(|a| a.logical.is_some()) {
            self.send_step(Step::PowerOnKey);
        } else {
            self.send_step(Step::TextViewOn);
        }
        self.answer(id, Ok(None));
    }

    /// It does not do what it was asked.
    pub(super) fn aborted(&mut self, now: Instant, from: u8, opcode: u8) {
        let refused = match opcode {
            op::IMAGE_VIEW_ON => Some(Step::ImageViewOn),
            op::TEXT_VIEW_ON => Some(Step::TextViewOn),
            op::USER_CONTROL_PRESSED if from == TV => Some(Step::PowerOnKey),
            _ => None,
        };
        match opcode {
            op::GIVE_DEVICE_POWER_STATUS if from == TV => {
                self.mute_about_power = true;
                self.power_refused(now);
            }
            op::GIVE_AUDIO_STATUS => self.audio_refused(now),
            op::STANDBY if from == TV && self.sleep.is_some() => self.send_key(TV, key::POWER_OFF_FUNCTION, Purpose::Courtesy),
            _ => {}
        }
        let way = |w: &Waking| self.profile.wake.get(w.way).copied();
        if refused.is_some() && self.waking.as_ref().is_some_and(|w| way(w) == refused && self.power != Some(Power::On)) {
            if let Some(waking) = &mut self.waking {
                waking.way += 1;
                waking.acknowledged = false;
            }
            self.send_way(now);
        }
    }

    /// It is on now, and was not.
    pub(super) fn came_on(&mut self, now: Instant) {
        self.asleep = false;
        self.sleep = None;
        if let Some(hold) = &mut self.hold {
            hold.lit(now, self.profile.settle);
        }
    }

    pub(super) fn went_to_standby(&mut self, _now: Instant) {
        self.power = Some(Power::Standby);
        self.asleep = true;
        self.active = None;
        self.waking = None;
        // Somebody switched it off: it is not fought.
        self.hold = self.hold.take().filter(Hold::is_dark);
    }

    pub(super) fn sleep(&mut self, now: Instant, id: Id) {
        self.hold = None;
        self.waking = None;
        self.sleep = Some(Sleep { check_at: now + CHECK, said: 1, asked: false });
        if self.audio.woken {
            self.audio.woken = false;
            self.send(AUDIO, op::SYSTEM_AUDIO_MODE_REQUEST, &[], Purpose::Courtesy);
            self.send(AUDIO, op::STANDBY, &[], Purpose::Courtesy);
        }
        self.send(TV, op::STANDBY, &[], Purpose::Standby(Some(id)));
    }

    pub(super) fn sleep_due(&mut self, now: Instant) {
        let on = self.judged_power() == Power::On;
        let Some(sleep) = self.sleep.as_mut().filter(|s| s.check_at <= now) else { return };
        if !on || sleep.said >= STANDBYS && sleep.asked {
            self.sleep = None;
            return;
        }
        sleep.check_at = now + CHECK;
        if std::mem::replace(&mut sleep.asked, true) {
            // Asked, and it still is on: once more.
            sleep.said += 1;
            sleep.asked = false;
            self.send(TV, op::STANDBY, &[], Purpose::Standby(None));
        } else {
            self.ask_about(now, false);
        }
    }
}
