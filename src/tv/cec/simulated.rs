//! A bus with a television, and whatever sits around it, that behaves as badly as real ones do. In virtual time.

use super::core::{Address, Sent};
use super::message::{AUDIO, BROADCAST, Frame, Physical, TV, key, op};
use super::{Adapter, Report};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

/// The input of another stick.
pub const STICK: Physical = Physical(0x2000);
pub const TUNER: Physical = Physical(0);

/// How badly.
#[derive(Debug, Clone)]
pub struct Manners {
    /// Where the box is plugged in.
    pub plug: Physical,
    pub vendor: u32,
    /// From "on" to being on; until then it says it is on its way, and hears of no source.
    pub boot: Duration,
    /// So many messages are not acknowledged first.
    pub naks: u32,
    /// Every so manyth message loses the bus; 0: none.
    pub lost_every: u32,
    pub answers_in_standby: bool,
    pub acknowledges_in_standby: bool,
    /// Says "on" whatever it is.
    pub always_on: bool,
    /// Pulls its line down in standby.
    pub unplugs_in_standby: bool,
    /// Another stick takes the screen so often, 3 s after we did.
    pub thefts: u32,
    /// Image View On and Text View On: does, ignores, or refuses them.
    pub view_on: View,
    /// Knows nothing of "on" for so long after it went to standby.
    pub deaf_after_standby: Duration,
    /// Nothing is ever acknowledged.
    pub dead: bool,
    pub tells_volume: bool,
    pub volume_step: u8,
    /// Does not know Give Device Power Status.
    pub refuses_power_status: bool,
    /// After Inactive Source it stays where it is until it is led.
    pub must_be_led: bool,
    /// An amplifier, in standby, between the television and the box.
    pub amplifier: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum View {
    Does,
    Ignores,
    Refuses,
}

impl Default for Manners {
    fn default() -> Self {
        Manners {
            plug: Physical(0x1000),
            vendor: 0xabcdef,
            boot: Duration::from_millis(800),
            naks: 0,
            lost_every: 0,
            answers_in_standby: true,
            acknowledges_in_standby: true,
            always_on: false,
            unplugs_in_standby: false,
            thefts: 0,
            view_on: View::Does,
            deaf_after_standby: Duration::ZERO,
            dead: false,
            tells_volume: true,
            volume_step: 1,
            refuses_power_status: false,
            must_be_led: false,
            amplifier: false,
        }
    }
}

/// How it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Now {
    pub on: bool,
    pub booting: bool,
    pub shown: Physical,
    pub volume: u8,
    pub amplifier_on: bool,
    pub plugged: bool,
}

struct Inner {
    manners: Manners,
    now: Now,
    standby_at: Option<Instant>,
    frames: u32,
    log: Vec<Frame>,
    epoch: u32,
}

/// The handle; clones are the same bus.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Mutex<Inner>>,
    reports: mpsc::Sender<Report>,
}

/// The box's logical address.
const BOX: u8 = 4;
/// The stick's.
const OTHER: u8 = 8;
/// A short frame on the wire.
const WIRE: Duration = Duration::from_millis(70);

impl Bus {
    /// A television in this state. The box is plugged in.
    pub fn new(manners: Manners, on: bool, shown: Physical, volume: u8) -> (Bus, Adapter) {
        let (orders, inbox) = mpsc::channel(1);
        let (reports, outbox) = mpsc::channel(256);
        let plugged = on || !manners.unplugs_in_standby;
        let now = Now { on, booting: false, shown, volume, amplifier_on: false, plugged };
        let inner = Inner { manners, now, standby_at: None, frames: 0, log: Vec::new(), epoch: 0 };
        let bus = Bus { inner: Arc::new(Mutex::new(inner)), reports };
        tokio::spawn(bus.clone().run(inbox));
        (bus, Adapter { orders, reports: outbox })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn now(&self) -> Now {
        self.lock().now.clone()
    }

    /// What was sent so far.
    pub fn log(&self) -> Vec<Frame> {
        self.lock().log.clone()
    }

    pub fn sent(&self, opcode: u8) -> usize {
        self.lock().log.iter().filter(|f| f.opcode == opcode).count()
    }

    /// The cable goes in or out, or the adapter goes altogether.
    pub async fn cable(&self, plugged: Option<bool>) {
        if let Some(plugged) = plugged {
            self.lock().now.plugged = plugged;
        }
        let address = plugged.map(|_| self.address());
        let _ = self.reports.send(Report::Address(address)).await;
    }

    /// The cable goes into another socket of the television.
    pub async fn plug_into(&self, socket: Physical) {
        self.cable(Some(false)).await;
        self.lock().manners.plug = socket;
        self.cable(Some(true)).await;
    }

    fn address(&self) -> Address {
        let inner = self.lock();
        if inner.now.plugged {
            Address { physical: inner.manners.plug, logical: Some(BOX) }
        } else {
            Address { physical: Physical::INVALID, logical: None }
        }
    }

    /// Its mains plug is pulled or put in, and it says who it is as soon as it has power.
    pub async fn mains(&self, power: bool) {
        self.lock().manners.dead = !power;
        if power {
            self.say(TV, BROADCAST, op::REPORT_PHYSICAL_ADDRESS, &[0, 0, 0]).await;
        }
    }

    /// It has booted so far that it knows Give Device Power Status.
    pub fn learns_to_tell_its_power(&self) {
        self.lock().manners.refuses_power_status = false;
    }

    /// The resident presses the power key of the television's remote.
    pub async fn power_key(&self) {
        let on = self.now().on;
        if on { self.to_standby(true).await } else { self.boot() }
    }

    /// The resident chooses an input in the television's menu.
    pub async fn choose(&self, shown: Physical) {
        let from = std::mem::replace(&mut self.lock().now.shown, shown);
        let mut data = from.0.to_be_bytes().to_vec();
        data.extend(shown.0.to_be_bytes());
        self.say(TV, BROADCAST, op::ROUTING_CHANGE, &data).await;
        self.say(TV, BROADCAST, op::SET_STREAM_PATH, &shown.0.to_be_bytes()).await;
        if shown == STICK {
            self.say(OTHER, BROADCAST, op::ACTIVE_SOURCE, &shown.0.to_be_bytes()).await;
        }
    }

    pub async fn say(&self, from: u8, to: u8, opcode: u8, data: &[u8]) {
        sleep(WIRE).await;
        if self.now().plugged {
            let _ = self.reports.send(Report::Received(Frame::new(from, to, opcode, data))).await;
        }
    }

    async fn run(self, mut orders: mpsc::Receiver<Frame>) {
        let _ = self.reports.send(Report::Address(Some(self.address()))).await;
        while let Some(frame) = orders.recv().await {
            sleep(WIRE).await;
            let sent = self.fate(&frame);
            let _ = self.reports.send(Report::Sent(sent)).await;
            if sent == Sent::Acked {
                self.lock().log.push(frame.clone());
                tokio::spawn(self.clone().take(frame));
            }
        }
    }

    fn fate(&self, frame: &Frame) -> Sent {
        let mut inner = self.lock();
        inner.frames += 1;
        if inner.manners.dead {
            return if frame.to == BROADCAST { Sent::Acked } else { Sent::NotAcked };
        }
        if !inner.now.plugged && (frame.from != BROADCAST || !matches!(frame.opcode, op::IMAGE_VIEW_ON | op::TEXT_VIEW_ON)) {
            return Sent::Refused;
        }
        if inner.manners.lost_every > 0 && inner.frames.is_multiple_of(inner.manners.lost_every) {
            return Sent::Lost;
        }
        if frame.to == AUDIO && !inner.manners.amplifier {
            return Sent::NotAcked;
        }
        if frame.to == TV && inner.manners.naks > 0 {
            inner.manners.naks -= 1;
            return Sent::NotAcked;
        }
        let dark = !inner.now.on && !inner.now.booting;
        let wakes = matches!(frame.opcode, op::IMAGE_VIEW_ON | op::TEXT_VIEW_ON | op::USER_CONTROL_PRESSED);
        if frame.to == TV && dark && !inner.manners.acknowledges_in_standby && !wakes {
            return Sent::NotAcked;
        }
        Sent::Acked
    }

    async fn take(self, frame: Frame) {
        let (manners, now) = {
            let inner = self.lock();
            (inner.manners.clone(), inner.now.clone())
        };
        let dark = !now.on && !now.booting;
        let answers = !dark || manners.answers_in_standby;
        if frame.to == AUDIO {
            return self.amplifier(frame, &manners).await;
        }
        match frame.opcode {
            op::IMAGE_VIEW_ON | op::TEXT_VIEW_ON => match manners.view_on {
                View::Does => self.boot(),
                View::Ignores => {}
                View::Refuses => self.say(TV, frame.from, op::FEATURE_ABORT, &[frame.opcode, 0]).await,
            },
            op::USER_CONTROL_PRESSED => self.pressed(frame.data[0], &manners),
            op::GIVE_DEVICE_POWER_STATUS if manners.refuses_power_status && answers => {
                self.say(TV, frame.from, op::FEATURE_ABORT, &[frame.opcode, 0]).await;
            }
            op::GIVE_DEVICE_POWER_STATUS if answers => {
                let status = match (now.on || manners.always_on, now.booting) {
                    (true, _) => 0,
                    (false, true) => 2,
                    (false, false) => 1,
                };
                self.say(TV, frame.from, op::REPORT_POWER_STATUS, &[status]).await;
            }
            op::GIVE_DEVICE_VENDOR_ID if answers => {
                self.say(TV, BROADCAST, op::DEVICE_VENDOR_ID, &manners.vendor.to_be_bytes()[1..]).await;
            }
            op::GIVE_AUDIO_STATUS if answers && manners.tells_volume => {
                let level = self.now().volume;
                self.say(TV, frame.from, op::REPORT_AUDIO_STATUS, &[level]).await;
            }
            op::GIVE_AUDIO_STATUS if answers => self.say(TV, frame.from, op::FEATURE_ABORT, &[frame.opcode, 0]).await,
            op::REQUEST_ACTIVE_SOURCE if now.on && now.shown == TUNER => self.say(TV, BROADCAST, op::ACTIVE_SOURCE, &[0, 0]).await,
            op::REQUEST_ACTIVE_SOURCE if now.on && now.shown == STICK => {
                self.say(OTHER, BROADCAST, op::ACTIVE_SOURCE, &STICK.0.to_be_bytes()).await;
            }
            op::ACTIVE_SOURCE if now.on => {
                let shown = Physical(u16::from_be_bytes([frame.data[0], frame.data[1]]));
                if !manners.amplifier || now.amplifier_on {
                    self.lock().now.shown = shown;
                }
                self.theft().await;
            }
            op::INACTIVE_SOURCE if now.on && now.shown == manners.plug && !manners.must_be_led => self.choose(TUNER).await,
            op::SET_STREAM_PATH if now.on => {
                self.lock().now.shown = Physical(u16::from_be_bytes([frame.data[0], frame.data[1]]));
            }
            op::STANDBY => self.to_standby(true).await,
            _ => {}
        }
    }

    async fn amplifier(&self, frame: Frame, manners: &Manners) {
        match frame.opcode {
            op::SYSTEM_AUDIO_MODE_REQUEST => {
                let on = !frame.data.is_empty();
                self.lock().now.amplifier_on = on;
                self.say(AUDIO, BROADCAST, op::SET_SYSTEM_AUDIO_MODE, &[u8::from(on)]).await;
            }
            op::GIVE_SYSTEM_AUDIO_MODE_STATUS => {
                let on = self.now().amplifier_on;
                self.say(AUDIO, frame.from, op::SYSTEM_AUDIO_MODE_STATUS, &[u8::from(on)]).await;
            }
            op::GIVE_AUDIO_STATUS => {
                let level = self.now().volume;
                self.say(AUDIO, frame.from, op::REPORT_AUDIO_STATUS, &[level]).await;
            }
            op::USER_CONTROL_PRESSED => self.pressed(frame.data[0], manners),
            op::STANDBY => self.lock().now.amplifier_on = false,
            _ => {}
        }
    }

    fn pressed(&self, operand: u8, manners: &Manners) {
        let mut inner = self.lock();
        let volume = inner.now.volume;
        match operand {
            key::VOLUME_UP => inner.now.volume = (volume + manners.volume_step).min(100),
            key::VOLUME_DOWN => inner.now.volume = volume.saturating_sub(manners.volume_step),
            key::POWER_ON_FUNCTION => {
                drop(inner);
                self.boot();
            }
            _ => {}
        }
    }

    /// Another stick that was woken with the television wants to be seen.
    async fn theft(&self) {
        {
            let mut inner = self.lock();
            if inner.manners.thefts == 0 {
                return;
            }
            inner.manners.thefts -= 1;
        }
        sleep(Duration::from_secs(3)).await;
        self.lock().now.shown = STICK;
        self.say(OTHER, BROADCAST, op::ACTIVE_SOURCE, &STICK.0.to_be_bytes()).await;
    }

    fn boot(&self) {
        let (boot, epoch) = {
            let mut inner = self.lock();
            let deaf = inner.standby_at.is_some_and(|at| at.elapsed() < inner.manners.deaf_after_standby);
            if inner.now.on || inner.now.booting || deaf {
                return;
            }
            inner.now.booting = true;
            inner.epoch += 1;
            (inner.manners.boot, inner.epoch)
        };
        let bus = self.clone();
        tokio::spawn(async move {
            sleep(boot).await;
            let (plug, slow) = {
                let mut inner = bus.lock();
                if inner.epoch != epoch {
                    return;
                }
                inner.now.on = true;
                inner.now.booting = false;
                inner.now.shown = TUNER;
                let plug = !std::mem::replace(&mut inner.now.plugged, true);
                (plug, inner.manners.boot > Duration::from_secs(2))
            };
            if plug {
                bus.cable(Some(true)).await;
            }
            if slow {
                // It shows its tuner first, and says so.
                bus.say(TV, BROADCAST, op::ACTIVE_SOURCE, &[0, 0]).await;
            }
        });
    }

    pub async fn to_standby(&self, says: bool) {
        let unplugs = {
            let mut inner = self.lock();
            if !inner.now.on {
                return;
            }
            inner.now.on = false;
            inner.now.booting = false;
            inner.epoch += 1;
            inner.standby_at = Some(Instant::now());
            inner.manners.unplugs_in_standby
        };
        if says {
            self.say(TV, BROADCAST, op::STANDBY, &[]).await;
        }
        if unplugs {
            sleep(Duration::from_secs(1)).await;
            self.cable(Some(false)).await;
        }
    }
}
