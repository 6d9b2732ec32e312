//! The volume keys: one change of the volume at a time, and the latest wish after it.

use super::super::TvState;
use super::super::power;
use super::Television;

/// One press of a volume key.
const VOLUME_STEP: u8 = 5;

impl Television {
    pub(super) fn turn(&mut self, steps: i8) {
        let wanted = self.volume.as_ref().and_then(|(_, next)| *next).or(self.seen.volume);
        let Some(from) = wanted else { return self.step(steps) };
        let to = from.saturating_add_signed(steps.saturating_mul(VOLUME_STEP as i8)).min(100);
        match &mut self.volume {
            Some((_, next)) => *next = Some(to),
            None => self.set_volume(to),
        }
    }

    /// A set that does not tell its volume is turned by steps; a key that is pressed while one is under way is lost.
    fn step(&mut self, steps: i8) {
        if self.volume.is_some() {
            return;
        }
        let (set, ledger) = (self.set.clone(), self.ledger.clone());
        let job = async move {
            if let Some(mut plan) = ledger.current() {
                plan.steps = plan.steps.saturating_add(i16::from(steps));
                ledger.write(Some(plan)).await;
            }
            power::step(&*set, steps > 0).await;
        };
        self.volume = Some((Box::pin(job), None));
    }

    fn set_volume(&mut self, to: u8) {
        let (set, ledger) = (self.set.clone(), self.ledger.clone());
        let job = async move {
            if let Some(mut plan) = ledger.current() {
                plan.volume = Some(to);
                ledger.write(Some(plan)).await;
            }
            power::turn(&*set, to).await;
        };
        self.see(TvState { volume: Some(to), ..self.seen.clone() });
        self.volume = Some((Box::pin(job), None));
    }

    pub(super) fn volume_set(&mut self) {
        if let Some((_, Some(next))) = self.volume.take() {
            self.set_volume(next);
        }
    }
}
