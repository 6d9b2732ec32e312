//! Where an encoder's packets go: one encoder serves several receivers.

use super::super::adapt::{Adapt, Limits, Target};
use super::super::source::lock;
use super::super::{Feedback, Outlet};
use bytes::Bytes;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

struct One {
    id: u64,
    payload_type: u8,
    outlet: Outlet,
    adapt: Option<Adapt>,
    loss: f32,
    rtt: Option<Duration>,
}

/// The receivers of one encoder.
#[derive(Default)]
pub struct Outlets {
    all: Mutex<Vec<One>>,
    next: AtomicU64,
    /// Packets handed out by the encoder.
    pub packets: AtomicU64,
    /// Their bytes.
    pub bytes: AtomicU64,
    newest_sequence: AtomicU32,
}

impl Outlets {
    /// A new receiver; `limits` for pictures. The answer names it.
    pub fn add(&self, payload_type: u8, outlet: Outlet, limits: Option<Limits>) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.all).push(One { id, payload_type, outlet, adapt: limits.map(Adapt::new), loss: 0.0, rtt: None });
        id
    }

    /// The receiver is gone.
    pub fn remove(&self, id: u64) {
        lock(&self.all).retain(|o| o.id != id);
    }

    /// One packet of the payloader, to everybody with the payload type of each.
    pub fn hand_out(&self, packet: &[u8]) {
        let [_, second, high, low, ..] = *packet else { return };
        self.packets.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(packet.len() as u64, Ordering::Relaxed);
        self.newest_sequence.store(u32::from(u16::from_be_bytes([high, low])), Ordering::Relaxed);
        let all: Vec<(u8, Outlet)> = lock(&self.all).iter().map(|o| (o.payload_type, o.outlet.clone())).collect();
        for (payload_type, outlet) in all {
            let mut bytes = packet.to_vec();
            bytes[1] = (second & 0x80) | (payload_type & 0x7f);
            outlet(Bytes::from(bytes));
        }
    }

    /// The sequence number a new payloader goes on with, so that receivers see one stream.
    pub fn next_sequence(&self) -> u16 {
        (self.newest_sequence.load(Ordering::Relaxed) as u16).wrapping_add(1)
    }

    /// A receiver's report.
    pub fn feedback(&self, id: u64, now: Instant, feedback: Feedback) {
        if let Some(one) = lock(&self.all).iter_mut().find(|o| o.id == id) {
            one.loss = feedback.loss.filter(|l| l.is_finite()).unwrap_or(one.loss);
            one.rtt = feedback.rtt.or(one.rtt);
            if let Some(adapt) = &mut one.adapt {
                adapt.feedback(now, feedback);
            }
        }
    }

    /// The encoder did not keep up.
    pub fn overloaded(&self, now: Instant) {
        for one in lock(&self.all).iter_mut() {
            if let Some(adapt) = &mut one.adapt {
                adapt.overloaded(now);
            }
        }
    }

    /// What suits the weakest receiver.
    pub fn target(&self, now: Instant) -> Option<Target> {
        lock(&self.all)
            .iter_mut()
            .filter_map(|o| o.adapt.as_mut())
            .map(|a| a.target(now))
            .min_by_key(|t| (t.bitrate, t.width * t.height * t.fps))
    }

    /// The worst loss any receiver reports, 0..=1.
    pub fn loss(&self) -> f32 {
        lock(&self.all).iter().map(|o| o.loss).fold(0.0, f32::max)
    }

    /// The longest round trip any receiver reports.
    pub fn rtt(&self) -> Option<Duration> {
        lock(&self.all).iter().filter_map(|o| o.rtt).max()
    }
}
