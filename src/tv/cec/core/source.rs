//! What is shown: taking the screen, keeping it while a set boots or another stick grabs it, and leaving it.

use super::super::message::{AUDIO, BROADCAST, Physical, TV, op};
use super::super::quirks::{Leave, Step};
use super::sending::{Purpose, acknowledged};
use super::{Core, Id, Sent};
use crate::tv::Power;
use std::time::{Duration, Instant};

/// Another device that takes the screen this soon after us was only woken by us.
const THIEVES: Duration = Duration::from_secs(20);
/// The screen is taken back so often.
const RETAKES: u8 = 3;
/// And so much later: a set that is told during its own switching forgets.
const RETAKE: Duration = Duration::from_millis(700);
/// Who chose an input by the television's menu did it this shortly before the device came up.
const CHOSEN: Duration = Duration::from_secs(5);
/// What switches a set on is not said twice within this.
const TWICE: Duration = Duration::from_secs(2);
/// A set that does not come on is asked again after so many seconds since we took the screen.
const INSIST: [u64; 7] = [12, 20, 30, 40, 50, 65, 90];
/// A set may say "on" while it boots and hears nothing: it is told once more after this, and again where its word is worth
/// nothing. Who has chosen something else by then has said so.
const AGAIN: [Duration; 3] = [Duration::from_secs(3), Duration::from_secs(8), Duration::from_secs(14)];
/// How long a set is left to choose what comes next, before it is led there.
const LEAVE: Duration = Duration::from_millis(1500);

/// We have something to show.
#[derive(Debug)]
pub(super) struct Hold {
    since: Instant,
    taken: Instant,
    retakes: u8,
    retake_at: Option<Instant>,
    /// It was dark when we came.
    dark: bool,
    /// It boots until then: what it shows by itself is not somebody's choice.
    settles: Option<Instant>,
    chosen: Option<(Instant, Physical)>,
    insisted: usize,
    insist_at: Option<Instant>,
    /// Soonest last.
    again: Vec<Instant>,
}

impl Hold {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.retake_at.into_iter().chain(self.insist_at).chain(self.again.last().copied()).min()
    }

    pub(super) fn is_dark(&self) -> bool {
        self.dark
    }

    /// The set is on now.
    pub(super) fn lit(&mut self, now: Instant, settle: Duration) {
        self.insist_at = None;
        if std::mem::replace(&mut self.dark, false) {
            self.settles = Some(now + settle);
            // It may have been deaf while it booted.
            self.retake_at = Some(now + RETAKE);
        }
    }
}

impl Core {
    pub(super) fn take(&mut self, now: Instant, id: Id) {
        self.leaving = None;
        let dark = self.judged_power() != Power::On;
        let insist_at = INSIST.first().map(|s| now + Duration::from_secs(*s)).filter(|_| dark);
        let times = if self.untellable() { AGAIN.len() } else { 1 };
        match &mut self.hold {
            Some(hold) => hold.taken = now,
            None => {
                self.hold = Some(Hold {
                    since: now,
                    taken: now,
                    retakes: 0,
                    retake_at: None,
                    dark,
                    settles: None,
                    chosen: None,
                    insisted: 0,
                    insist_at,
                    again: AGAIN.iter().take(times).rev().map(|after| now + *after).collect(),
                });
            }
        }
        if self.own().is_none() || self.address.is_some_and(|a| a.logical.is_none()) {
            // Said as soon as there is an address.
            return self.answer(id, Ok(None));
        }
        let lately = self.waking.as_ref().is_some_and(|w| now.saturating_duration_since(w.at) < TWICE);
        if !lately {
            let first = self.profile.wake.iter().copied().find(|s| *s != Step::PowerOnKey);
            self.send_step(first.unwrap_or(Step::ImageViewOn));
        }
        self.claim_as(Some(id));
    }

    /// Says that we are shown.
    pub(super) fn claim(&mut self, now: Instant) {
        if let Some(hold) = &mut self.hold {
            hold.taken = now;
        }
        self.claim_as(None);
    }

    fn claim_as(&mut self, id: Option<Id>) {
        let Some(own) = self.own() else { return };
        if own.is_behind_another() && !self.audio.by_amplifier {
            // An amplifier in between switches to us by this, and comes out of standby.
            self.audio.woken = true;
            self.send_address(AUDIO, op::SYSTEM_AUDIO_MODE_REQUEST, own, Purpose::Courtesy);
        }
        self.send_address(BROADCAST, op::ACTIVE_SOURCE, own, Purpose::Take(id));
    }

    /// Somebody asks who is shown, and it is us.
    pub(super) fn announce(&mut self) {
        if let Some(own) = self.own().filter(|_| !self.sending.has(|p| matches!(p, Purpose::Take(_)))) {
            self.send_address(BROADCAST, op::ACTIVE_SOURCE, own, Purpose::Courtesy);
        }
    }

    pub(super) fn taken(&mut self, now: Instant, id: Option<Id>, sent: Sent) {
        // To all: a missing acknowledgement only means that somebody on the bus objects.
        let said = matches!(sent, Sent::Acked | Sent::NotAcked);
        if said && self.hold.is_some() {
            self.active = self.own();
        } else if let Some(hold) = self.hold.as_mut().filter(|h| h.retakes < RETAKES) {
            hold.retakes += 1;
            hold.retake_at = Some(now + RETAKE);
        }
        if let Some(id) = id {
            self.answer(id, if said { Ok(None) } else { acknowledged(sent) });
        }
    }

    /// A device says that it is shown.
    pub(super) fn source_told(&mut self, now: Instant, shown: Physical, by_device: bool) {
        if Some(shown) == self.own() {
            return;
        }
        let settling = self.settling(now);
        let stolen = self.hold.as_ref().is_some_and(|hold| {
            let chosen = hold.chosen.is_some_and(|(at, p)| p == shown && now.saturating_duration_since(at) < CHOSEN);
            let soon = now.saturating_duration_since(hold.taken) < THIEVES && now.saturating_duration_since(hold.since) < 3 * THIEVES;
            settling || by_device && soon && !chosen
        });
        self.lost_to(now, shown, stolen);
    }

    /// The television, or a switch, goes to an input.
    pub(super) fn route_told(&mut self, now: Instant, shown: Physical) {
        let settling = self.settling(now);
        if Some(shown) == self.own() {
            self.active = Some(shown);
            self.announce();
            return;
        }
        if let Some(hold) = &mut self.hold {
            hold.chosen = Some((now, shown)).filter(|_| !settling);
        }
        self.lost_to(now, shown, settling);
    }

    fn settling(&self, now: Instant) -> bool {
        self.hold.as_ref().is_some_and(|h| h.dark || h.settles.is_some_and(|until| now < until))
    }

    fn lost_to(&mut self, now: Instant, shown: Physical, stolen: bool) {
        match self.hold.as_mut().filter(|h| stolen && h.retakes < RETAKES) {
            Some(hold) => {
                if hold.retake_at.is_none() {
                    hold.retakes += 1;
                    hold.retake_at = Some(now + RETAKE);
                }
            }
            None => self.active = Some(shown),
        }
    }

    pub(super) fn hold_due(&mut self, now: Instant) {
        let ours = self.active.is_some() && self.active == self.own();
        let (retake, insist) = match &mut self.hold {
            None => return,
            Some(hold) => {
                let again = hold.again.pop_if(|at| *at <= now).is_some() && ours;
                let retake = hold.retake_at.take_if(|at| *at <= now).is_some();
                let insist = hold.insist_at.take_if(|at| *at <= now).is_some();
                if insist {
                    hold.insisted += 1;
                    let next = INSIST.get(hold.insisted).map(|s| Duration::from_secs(*s)).filter(|s| *s <= self.profile.insist);
                    hold.insist_at = next.map(|s| hold.since + s);
                }
                (retake || again, insist)
            }
        };
        if insist && self.judged_power() != Power::On {
            if let Some(waking) = &mut self.waking {
                waking.at = now;
            }
            self.send_step(self.profile.wake.first().copied().unwrap_or(Step::ImageViewOn));
            self.ask_about(now, false);
        }
        if (retake || insist) && self.own().is_some() && self.address.is_some_and(|a| a.logical.is_some()) {
            self.claim(now);
        }
    }

    pub(super) fn leave(&mut self, now: Instant, id: Id, to: Option<Physical>) {
        self.hold = None;
        self.waking = None;
        self.sending.forget(|p| matches!(p, Purpose::Take(None)));
        let Some(own) = self.own().filter(|_| self.address.is_some_and(|a| a.logical.is_some())) else {
            return self.answer(id, Ok(None));
        };
        // What is to be shown instead is the box itself: it only stops claiming the screen.
        if to == Some(own) {
            return self.answer(id, Ok(None));
        }
        self.active = None;
        self.send_address(TV, op::INACTIVE_SOURCE, own, Purpose::Leave(Some(id)));
        self.leaving = to.map(|to| (now + LEAVE, to, 0));
    }

    /// A set that has not gone back by itself is led there, where its profile says that it follows.
    pub(super) fn leaving_due(&mut self, now: Instant) {
        let Some((at, to, tried)) = self.leaving.take_if(|(at, ..)| *at <= now) else { return };
        let Some(own) = self.own() else { return };
        // It has chosen something itself.
        if self.active.is_some_and(|shown| shown != own) {
            return;
        }
        match self.profile.restore.iter().filter(|l| **l != Leave::InactiveSource).nth(tried) {
            Some(Leave::SetStreamPath) => self.send_address(BROADCAST, op::SET_STREAM_PATH, to, Purpose::Leave(None)),
            Some(Leave::RoutingChange) => {
                let mut data = own.0.to_be_bytes().to_vec();
                data.extend(to.0.to_be_bytes());
                self.send(BROADCAST, op::ROUTING_CHANGE, &data, Purpose::Leave(None));
            }
            Some(Leave::InactiveSource) | None => return,
        }
        self.leaving = Some((at + LEAVE, to, tried + 1));
    }
}
