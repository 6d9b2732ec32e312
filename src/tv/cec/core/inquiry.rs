//! How is it? Power, and what is shown and how loud where that is not known yet.

use super::super::message::{AUDIO, BROADCAST, TV, Word, op};
use super::super::quirks::{Status, Volume};
use super::sending::Purpose;
use super::{Core, Id};
use crate::tv::Power;
use std::time::{Duration, Instant};

/// A device answers within a second, says the standard; televisions that boot take a little longer.
const PATIENCE: Duration = Duration::from_millis(1500);
/// After this the power alone is the answer: what is shown and how loud are told when they come.
const EXTRAS: Duration = Duration::from_millis(600);
/// A television that says something of itself is asked how it is, but not more often than this.
const BETWEEN: Duration = Duration::from_secs(1);
/// What nobody answered is asked again only after this.
const AGAIN: Duration = Duration::from_secs(20);

/// What is being asked, and by whom.
#[derive(Debug, Default)]
pub(super) struct Inquiry {
    asked: Vec<Id>,
    power_by: Option<Instant>,
    extras_by: Option<Instant>,
    last: Option<Instant>,
    /// It said something too soon after that.
    again_at: Option<Instant>,
    source_asked: Option<Instant>,
    audio_asked: Option<Instant>,
}

impl Inquiry {
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.power_by.or([self.extras_by.filter(|_| !self.asked.is_empty()), self.again_at].into_iter().flatten().min())
    }

    pub(super) fn end(&mut self) -> Vec<Id> {
        self.power_by = None;
        self.extras_by = None;
        std::mem::take(&mut self.asked)
    }
}

impl Core {
    pub(super) fn inquire(&mut self, now: Instant, id: Id) {
        if self.own().is_none() || self.address.is_some_and(|a| a.logical.is_none()) {
            let state = self.state();
            return self.answer(id, Ok(Some(state)));
        }
        self.inquiry.asked.push(id);
        self.ask_about(now, false);
    }

    /// Asks for the power, and on a new acquaintance for who it is.
    pub(super) fn ask_about(&mut self, now: Instant, new: bool) {
        if self.inquiry.power_by.is_none() {
            self.inquiry.power_by = Some(now + PATIENCE);
            self.inquiry.last = Some(now);
            self.inquiry.again_at = None;
            self.send(TV, op::GIVE_DEVICE_POWER_STATUS, &[], Purpose::AskPower);
        }
        if new || self.vendor.is_none() && self.power == Some(Power::On) && !self.sending.has(|p| p == Purpose::AskElse) {
            self.send(TV, op::GIVE_DEVICE_VENDOR_ID, &[], Purpose::AskElse);
        }
        if new {
            self.inquiry.source_asked = None;
            self.inquiry.audio_asked = None;
            self.send(AUDIO, op::GIVE_SYSTEM_AUDIO_MODE_STATUS, &[], Purpose::AskElse);
        }
    }

    /// A television that was dark and says something is asked how it is.
    pub(super) fn television_speaks(&mut self, now: Instant, word: &Word) {
        if matches!(word, Word::Power(_) | Word::Standby | Word::Abort(_)) || !self.may_have_come_on() {
            return;
        }
        // One that has just taken its address has just got its power: what it does not know while it boots it may know soon.
        if matches!(word, Word::Report) {
            self.mute_about_power = false;
        }
        // What is asked before it is up is not answered, and it may say nothing more: the last word is not passed over.
        match self.inquiry.last.map(|at| at + BETWEEN).filter(|at| now < *at) {
            Some(soon) => self.inquiry.again_at = Some(soon),
            None if self.inquiry.power_by.is_some() => self.inquiry.again_at = Some(now),
            None => self.ask_about(now, false),
        }
    }

    fn may_have_come_on(&self) -> bool {
        self.own().is_some() && self.judged_power() != Power::On
    }

    pub(super) fn power_asked(&mut self, now: Instant, taken: bool) {
        if !taken && self.inquiry.power_by.is_some() {
            self.silent(now);
        }
    }

    /// There is no answer to the question for its power.
    fn silent(&mut self, now: Instant) {
        self.inquiry.power_by = None;
        self.power = None;
        self.power_known(now);
    }

    /// It does not know the question, now and later.
    pub(super) fn power_refused(&mut self, now: Instant) {
        if self.inquiry.power_by.is_some() {
            self.silent(now);
        }
    }

    pub(super) fn power_told(&mut self, now: Instant, status: u8) {
        self.mute_about_power = false;
        let power = if status == 0 { Power::On } else { Power::Standby };
        if status == 0 && self.power != Some(Power::On) {
            self.came_on(now);
        }
        self.power = Some(power);
        self.asleep = matches!(status, 1 | 3);
        self.inquiry.power_by = None;
        self.power_known(now);
    }

    /// The power is settled for now; the rest is asked for where it makes sense.
    fn power_known(&mut self, now: Instant) {
        if self.judged_power() == Power::On && self.address.is_some_and(|a| a.logical.is_some()) {
            self.ask_extras(now);
        }
        if self.complete(now) {
            self.tell_inquirers();
        }
    }

    fn ask_extras(&mut self, now: Instant) {
        let old = |at: Option<Instant>| at.is_none_or(|at| now.saturating_duration_since(at) >= AGAIN);
        let mut extras = false;
        if self.active.is_none() && self.hold.is_none() && old(self.inquiry.source_asked) {
            self.inquiry.source_asked = Some(now);
            self.send(BROADCAST, op::REQUEST_ACTIVE_SOURCE, &[], Purpose::AskElse);
            extras = true;
        }
        if self.audio.level.is_none() && self.profile.volume == Volume::Status && old(self.inquiry.audio_asked) {
            self.inquiry.audio_asked = Some(now);
            let to = self.audio.target();
            self.send(to, op::GIVE_AUDIO_STATUS, &[], Purpose::AskElse);
            extras = true;
        }
        if extras {
            self.inquiry.extras_by = Some(now + EXTRAS);
        }
    }

    fn complete(&self, now: Instant) -> bool {
        let source = self.active.is_some() || self.hold.is_some();
        let extras = source && (self.audio.level.is_some() || self.audio.untold);
        self.inquiry.power_by.is_none() && (extras || self.inquiry.extras_by.is_none_or(|by| now >= by))
    }

    pub(super) fn tell_inquirers(&mut self) {
        let state = self.state();
        for id in self.inquiry.end() {
            self.answer(id, Ok(Some(state.clone())));
        }
    }

    pub(super) fn inquiry_due(&mut self, now: Instant) {
        if self.inquiry.power_by.is_some_and(|by| by <= now) {
            self.silent(now);
        }
        if self.inquiry.power_by.is_none() && self.inquiry.again_at.take_if(|at| *at <= now).is_some() && self.may_have_come_on() {
            self.ask_about(now, false);
        }
        if !self.inquiry.asked.is_empty() && self.complete(now) {
            self.tell_inquirers();
        }
    }

    /// Nothing better than its acknowledgement will ever be known of its power.
    pub(super) fn untellable(&self) -> bool {
        self.mute_about_power || self.profile.status == Status::AlwaysOn
    }

    /// Its power, by what it says and what that is worth.
    pub(super) fn judged_power(&self) -> Power {
        let obeys = self.waking.as_ref().is_some_and(|w| w.acknowledged && w.asked.is_none());
        let told = match self.profile.status {
            // It says "on" always: only what it did for us is believed.
            Status::AlwaysOn if self.power == Some(Power::On) => None,
            _ if self.mute_about_power => None,
            Status::AlwaysOn | Status::Honest | Status::SilentInStandby => self.power,
        };
        let there = self.address.is_some_and(|a| a.logical.is_some());
        match told {
            Some(power) => power,
            None if self.untellable() && obeys && !self.asleep => Power::On,
            None if self.asleep => Power::Standby,
            None if self.profile.status == Status::SilentInStandby && there => Power::Standby,
            None => Power::Unknown,
        }
    }
}
