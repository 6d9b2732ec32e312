//! The volume: keys are pressed until what is told fits.

use super::super::message::{AUDIO, TV, key, op};
use super::super::quirks::Volume;
use super::sending::Purpose;
use super::{Core, Id};
use std::time::{Duration, Instant};

/// A volume that is not told after this is asked for again.
const PATIENCE: Duration = Duration::from_millis(1200);
/// Rounds without a change before it is left as it is.
const STALE: u8 = 3;
/// Keys pressed for one wish at most.
const PRESSES: u16 = 120;

/// Who plays, and how loud.
#[derive(Debug, Default)]
pub(super) struct Audio {
    pub(super) level: Option<u8>,
    /// The amplifier plays.
    pub(super) by_amplifier: bool,
    /// We brought the amplifier in.
    pub(super) woken: bool,
    /// It refuses to tell.
    pub(super) untold: bool,
    turning: Option<Turning>,
}

#[derive(Debug)]
struct Turning {
    to: u8,
    up: bool,
    left: u16,
    stale: u8,
    look_at: Instant,
    before: u8,
}

impl Audio {
    pub(super) fn target(&self) -> u8 {
        if self.by_amplifier { AUDIO } else { TV }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.turning.as_ref().map(|t| t.look_at)
    }
}

impl Core {
    /// Answers at once: turning takes its time on this bus, and whoever wants to know asks how it is.
    pub(super) fn turn(&mut self, now: Instant, id: Id, to: u8) {
        let level = match (self.profile.volume, self.audio.level) {
            (Volume::None, _) => return self.answer(id, Err("its volume cannot be set by HDMI-CEC".into())),
            (_, None) => return self.answer(id, Err("it does not tell its volume; only steps are possible".into())),
            (_, Some(level)) => level,
        };
        self.answer(id, Ok(None));
        if self.audio.turning.as_ref().is_some_and(|t| t.to == to) {
            return;
        }
        self.audio.turning = Some(Turning { to, up: to > level, left: PRESSES, stale: 0, look_at: now + PATIENCE, before: level });
        self.press_towards(now, level);
    }

    pub(super) fn step(&mut self, _now: Instant, id: Id, up: bool) {
        if self.profile.volume == Volume::None {
            return self.answer(id, Err("its volume cannot be set by HDMI-CEC".into()));
        }
        let to = self.audio.target();
        self.audio.turning = None;
        self.send_key(to, if up { key::VOLUME_UP } else { key::VOLUME_DOWN }, Purpose::Once(id));
    }

    /// Presses as often as is safe before the next look: half the way, as a step may be more than one percent.
    fn press_towards(&mut self, now: Instant, level: u8) {
        let to_whom = self.audio.target();
        let Some(turning) = &mut self.audio.turning else { return };
        let reached = if turning.up { level >= turning.to } else { level <= turning.to };
        if reached || turning.left == 0 || turning.stale >= STALE {
            self.audio.turning = None;
            return;
        }
        let presses = u16::from((level.abs_diff(turning.to) / 2).clamp(1, 6)).min(turning.left);
        turning.left -= presses;
        turning.look_at = now + PATIENCE + Duration::from_millis(200) * u32::from(presses);
        let operand = if turning.up { key::VOLUME_UP } else { key::VOLUME_DOWN };
        for _ in 0..presses {
            self.send_key(to_whom, operand, Purpose::Volume);
        }
        self.send(to_whom, op::GIVE_AUDIO_STATUS, &[], Purpose::AskElse);
    }

    pub(super) fn audio_told(&mut self, now: Instant, level: Option<u8>) {
        self.audio.untold = level.is_none();
        self.audio.level = level.filter(|_| self.profile.volume == Volume::Status);
        // While keys are on their way it is told in between; what counts is the answer after the last.
        let pressing = self.sending.has(|p| p == Purpose::Volume);
        if let (Some(level), Some(turning), false) = (level, &mut self.audio.turning, pressing) {
            if level == turning.before {
                turning.stale += 1;
            } else {
                turning.stale = 0;
                turning.before = level;
            }
            self.press_towards(now, level);
        }
    }

    pub(super) fn audio_refused(&mut self, now: Instant) {
        self.audio.untold = true;
        self.audio.turning = None;
        self.inquiry_due(now);
    }

    pub(super) fn volume_due(&mut self, now: Instant) {
        let Some(turning) = self.audio.turning.as_mut().filter(|t| t.look_at <= now) else { return };
        turning.stale += 1;
        turning.look_at = now + PATIENCE;
        if turning.stale >= STALE {
            self.audio.turning = None;
        } else {
            let to = self.audio.target();
            self.send(to, op::GIVE_AUDIO_STATUS, &[], Purpose::AskElse);
        }
    }
}
