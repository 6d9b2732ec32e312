//! What is said on the bus, and what is made of the answers: a value without I/O, clock or async. [`Core::handle`] takes
//! what happened, [`Core::poll`] gives what to do, [`Core::deadline`] says when to come back.
//!
//! `inquiry.rs` asks how the set is; `wake.rs` switches it on and off; `source.rs` takes and leaves the screen;
//! `volume.rs` turns it; `sending.rs` has one message on the wire at a time and repeats what was lost.

mod inquiry;
mod sending;
mod source;
mod volume;
mod wake;

use super::message::{BROADCAST, Frame, Physical, TV, Word, op};
use super::quirks::{Profile, Quirks};
use crate::tv::{Power, TvState};
use inquiry::Inquiry;
use sending::{Purpose, Sending};
use source::Hold;
use std::collections::VecDeque;
use std::time::Instant;
use volume::Audio;
use wake::{Sleep, Waking};

/// The number of a request, for its answer.
pub type Id = u64;

/// What the daemon wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// How is it?
    State,
    /// On.
    On,
    /// On, by the last means.
    Insist,
    /// Standby.
    Standby,
    /// Come to the front.
    Take,
    /// Leave the front, for this input if it is known.
    Leave(Option<Physical>),
    /// 0..=100.
    Volume(u8),
    /// One step louder or softer.
    Step(bool),
}

/// What a request came to.
pub type Answer = Result<Option<TvState>, String>;

/// Where we are on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// Our plug; [`Physical::INVALID`] without a cable.
    pub physical: Physical,
    /// Our logical address; `None` while there is none.
    pub logical: Option<u8>,
}

/// What became of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Somebody took it.
    Acked,
    /// Nobody did.
    NotAcked,
    /// The bus was taken by others, or disturbed.
    Lost,
    /// The adapter would not send it.
    Refused,
}

/// What happened.
#[derive(Debug, Clone)]
pub enum Input {
    /// The adapter is here, or gone.
    Adapter(Option<Address>),
    /// A message for us or for all.
    Received(Frame),
    /// What became of the last [`Output::Transmit`].
    Sent(Sent),
    /// The daemon wants something.
    Ask(Id, Request),
    /// The time given by [`Core::deadline`] has come.
    Time,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// Send this and report; the next comes only then.
    Transmit(Frame),
    /// The answer to a request.
    Answer(Id, Answer),
    /// The set is like this now.
    Changed(TvState),
    /// A key of its remote (a CEC operand) goes down or up.
    Key(u8, bool),
}

/// The bus as we know it.
pub struct Core {
    quirks: Quirks,
    profile: Profile,
    vendor: Option<u32>,
    address: Option<Address>,
    sending: Sending,
    inquiry: Inquiry,
    /// As it last said; `None` is not known.
    power: Option<Power>,
    /// Its last word was that it goes to standby.
    asleep: bool,
    /// It does not know the question.
    mute_about_power: bool,
    waking: Option<Waking>,
    sleep: Option<Sleep>,
    /// What is shown.
    active: Option<Physical>,
    hold: Option<Hold>,
    leaving: Option<(Instant, Physical, usize)>,
    audio: Audio,
    key: Option<u8>,
    told: TvState,
    outputs: VecDeque<Output>,
}

impl Core {
    /// Nothing is known yet.
    pub fn new(quirks: Quirks) -> Core {
        Core {
            profile: quirks.profile(None),
            quirks,
            vendor: None,
            address: None,
            sending: Sending::default(),
            inquiry: Inquiry::default(),
            power: None,
            asleep: false,
            mute_about_power: false,
            waking: None,
            sleep: None,
            active: None,
            hold: None,
            leaving: None,
            audio: Audio::default(),
            key: None,
            told: TvState::UNKNOWN,
            outputs: VecDeque::new(),
        }
    }

    /// Takes what happened.
    pub fn handle(&mut self, now: Instant, input: Input) {
        match input {
            Input::Adapter(address) => self.adapter(now, address),
            Input::Received(frame) => self.received(now, frame),
            Input::Sent(sent) => self.sent(now, sent),
            Input::Ask(id, request) => self.ask(now, id, request),
            Input::Time => {}
        }
        self.due(now);
        self.send_next(now);
        self.tell();
    }

    /// What is to be done, until there is nothing more.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to come back with [`Input::Time`], whatever happens until then.
    pub fn deadline(&self) -> Option<Instant> {
        let sleep = self.sleep.as_ref().map(|s| s.check_at);
        let leaving = self.leaving.as_ref().map(|(at, ..)| *at);
        let hold = self.hold.as_ref().and_then(Hold::deadline);
        [self.sending.deadline(), self.inquiry.deadline(), sleep, leaving, hold, self.audio.deadline()].into_iter().flatten().min()
    }

    /// Our own input, as far as there is a cable.
    pub fn own(&self) -> Option<Physical> {
        self.address.map(|a| a.physical).filter(|p| p.is_valid())
    }

    /// Who made it, by the table.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// As it is, as far as known.
    pub fn state(&self) -> TvState {
        let power = self.judged_power();
        let shown = self.active.filter(|_| power != Power::Standby);
        TvState { power, input: shown.map(|p| p.to_string()), volume: self.audio.level }
    }

    fn answer(&mut self, id: Id, answer: Answer) {
        self.outputs.push_back(Output::Answer(id, answer));
    }

    fn tell(&mut self) {
        let state = self.state();
        if state != self.told {
            self.told = state.clone();
            self.outputs.push_back(Output::Changed(state));
        }
    }

    fn adapter(&mut self, now: Instant, address: Option<Address>) {
        let before = std::mem::replace(&mut self.address, address);
        if before == address {
            return;
        }
        let own = |a: Option<Address>| a.map(|a| a.physical);
        if own(before) != own(address) {
            self.active = None;
            self.audio = Audio::default();
            // A set that pulls its line down in standby says so by it; else nothing is known without a cable.
            self.power = self.power.filter(|p| self.asleep && *p == Power::Standby);
        }
        let Some(address) = address else {
            self.power = None;
            self.asleep = false;
            self.forget_requests("there is no HDMI-CEC adapter");
            return;
        };
        if !address.physical.is_valid() || address.logical.is_none() {
            self.drop_messages("the HDMI cable is out, or the television pulls its line down");
            return;
        }
        self.mute_about_power = false;
        self.ask_about(now, true);
        // A set that came up with its line down is shown our picture as soon as it can be told.
        if self.hold.is_some() {
            self.claim(now);
        }
    }

    fn forget_requests(&mut self, why: &str) {
        self.drop_messages(why);
        for id in self.inquiry.end() {
            self.answer(id, Err(why.into()));
        }
        self.waking = None;
        self.sleep = None;
        self.leaving = None;
        self.audio = Audio::default();
    }

    fn ask(&mut self, now: Instant, id: Id, request: Request) {
        if self.address.is_none() {
            return self.answer(id, Err("there is no HDMI-CEC adapter; check that the kernel has a driver for it (/dev/cec*)".into()));
        }
        match request {
            Request::State => self.inquire(now, id),
            Request::On => self.wake(now, id),
            Request::Insist => self.last_resort(now, id),
            Request::Standby => self.sleep(now, id),
            Request::Take => self.take(now, id),
            Request::Leave(to) => self.leave(now, id, to),
            Request::Volume(to) => self.turn(now, id, to),
            Request::Step(up) => self.step(now, id, up),
        }
    }

    fn due(&mut self, now: Instant) {
        self.inquiry_due(now);
        self.sleep_due(now);
        self.hold_due(now);
        self.leaving_due(now);
        self.volume_due(now);
    }

    fn received(&mut self, now: Instant, frame: Frame) {
        let from_tv = frame.from == TV;
        let Some(word) = frame.word() else { return };
        if from_tv {
            self.television_speaks(now, &word);
        }
        match word {
            Word::Power(status) if from_tv => self.power_told(now, status),
            Word::Standby if from_tv => self.went_to_standby(now),
            Word::ActiveSource(shown) => self.source_told(now, shown, !from_tv),
            Word::StreamPath(shown) | Word::Routing(shown) => self.route_told(now, shown),
            Word::InactiveSource(gone) if self.active == Some(gone) => self.active = None,
            Word::Audio(level) => self.audio_told(now, level),
            Word::SystemAudio(on) => self.audio.by_amplifier = on,
            Word::Vendor(vendor) if from_tv => self.made_by(vendor),
            Word::Abort(opcode) => self.aborted(now, frame.from, opcode),
            Word::Pressed(key) => {
                // Another key without a release in between has let go of the first.
                if let Some(before) = self.key.replace(key).filter(|before| *before != key) {
                    self.outputs.push_back(Output::Key(before, false));
                }
                self.outputs.push_back(Output::Key(key, true));
            }
            Word::Released => {
                if let Some(key) = self.key.take() {
                    self.outputs.push_back(Output::Key(key, false));
                }
            }
            Word::GivePower => self.reply(frame.from, op::REPORT_POWER_STATUS, &[0]),
            Word::MenuRequest => self.reply(frame.from, op::MENU_STATUS, &[u8::from(self.hold.is_none())]),
            Word::GiveDeckStatus => self.reply(frame.from, op::DECK_STATUS, &[0x1a]),
            Word::RequestActiveSource if self.hold.is_some() && self.active.is_some() && self.active == self.own() => self.announce(),
            Word::RequestActiveSource => {}
            Word::Other if frame.to != BROADCAST && frame.from != BROADCAST => {
                self.reply(frame.from, op::FEATURE_ABORT, &[frame.opcode, 0])
            }
            _ => {}
        }
    }

    fn made_by(&mut self, vendor: u32) {
        if self.vendor.replace(vendor) != Some(vendor) {
            self.profile = self.quirks.profile(Some(vendor));
            log::info!("the television's maker is {vendor:06x}; treated as {}", self.profile.name);
        }
    }

    fn reply(&mut self, to: u8, opcode: u8, data: &[u8]) {
        if to != BROADCAST {
            self.send(to, opcode, data, Purpose::Courtesy);
        }
    }
}
