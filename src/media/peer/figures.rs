//! What passes on the wire, counted; the state that interceptors, tasks and statistics share.

use super::estimate::Estimate;
use super::statistics::StreamStatistics;
use crate::media::{Codec, Feedback, Kind};
use std::collections::{HashMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Sender reports remembered for the round trip: the far side answers one of the last.
const REPORTS: usize = 8;

/// Bits a second over the last whole second.
#[derive(Default)]
struct Rate {
    since: Option<Instant>,
    bytes: u64,
    last: u64,
}

impl Rate {
    fn count(&mut self, now: Instant, bytes: usize) {
        self.roll(now);
        self.bytes += bytes as u64;
    }

    fn roll(&mut self, now: Instant) -> u64 {
        let since = *self.since.get_or_insert(now);
        let passed = now.saturating_duration_since(since);
        if passed >= Duration::from_secs(1) {
            self.last = (self.bytes as f64 * 8.0 / passed.as_secs_f64()) as u64;
            (self.since, self.bytes) = (Some(now), 0);
        }
        self.last
    }
}

/// One stream in one direction.
pub(super) struct Stream {
    pub(super) kind: Kind,
    codec: Option<(Codec, u8)>,
    pub(super) clock_rate: u32,
    repair: Option<u32>,
    packets: u64,
    bytes: u64,
    rate: Rate,
    pub(super) lost: u64,
    pub(super) loss: f64,
    pub(super) jitter: u32,
    retransmissions: u64,
    pub(super) nacked: u64,
    pub(super) key_frame_requests: u64,
    /// Ours: when which sender report left, by the middle of its NTP time.
    reports: VecDeque<(u32, Instant)>,
    /// The far side's: the last sender report, until it is taken.
    pub(super) report: Option<(u64, u32)>,
}

impl Stream {
    pub(super) fn new(kind: Kind, clock_rate: u32, repair: Option<u32>) -> Stream {
        Stream {
            kind,
            codec: None,
            clock_rate,
            repair,
            packets: 0,
            bytes: 0,
            rate: Rate::default(),
            lost: 0,
            loss: 0.0,
            jitter: 0,
            retransmissions: 0,
            nacked: 0,
            key_frame_requests: 0,
            reports: VecDeque::new(),
            report: None,
        }
    }

    /// Whether `ssrc` repeats packets of this stream.
    pub(super) fn repairs(&self, ssrc: u32) -> bool {
        self.repair == Some(ssrc)
    }

    fn statistics(&mut self, now: Instant) -> Option<StreamStatistics> {
        let (codec, payload_type) = self.codec?;
        Some(StreamStatistics {
            kind: self.kind,
            codec,
            payload_type,
            bitrate: self.rate.roll(now),
            packets: self.packets,
            bytes: self.bytes,
            lost: self.lost,
            loss: self.loss,
            jitter_ms: f64::from(self.jitter) * 1000.0 / f64::from(self.clock_rate.max(1)),
            retransmissions: self.retransmissions,
            nacked: self.nacked,
            key_frame_requests: self.key_frame_requests,
        })
    }
}

/// One direction's streams by SSRC.
#[derive(Default)]
pub(super) struct Direction {
    pub(super) streams: HashMap<u32, Stream>,
}

impl Direction {
    /// Counts an RTP packet; the stream of repairs counts as retransmissions of the stream it repairs.
    pub(super) fn count(&mut self, now: Instant, ssrc: u32, bytes: usize, repeated: bool) {
        if let Some(stream) = self.streams.get_mut(&ssrc) {
            if repeated {
                stream.retransmissions += 1;
            } else {
                stream.packets += 1;
                stream.bytes += bytes as u64;
            }
            stream.rate.count(now, bytes);
        } else if let Some(stream) = self.streams.values_mut().find(|stream| stream.repairs(ssrc)) {
            stream.retransmissions += 1;
            stream.rate.count(now, bytes);
        }
    }
}

/// Behind the lock.
pub(super) struct State {
    pub(super) sent: Direction,
    pub(super) received: Direction,
    pub(super) estimate: Estimate,
    pub(super) send_estimate: Option<u64>,
    pub(super) round_trip: Option<Duration>,
    /// Not yet handed to the encoders: sound, picture.
    feedback: [Option<Feedback>; 2],
    key_frame: bool,
    /// Id under which the mid header extension is negotiated: tells packets without a declared SSRC apart.
    pub(super) mid_extension: Option<u8>,
    /// SSRCs of remote streams without `a=ssrc`, as their first packets show them: SSRC, payload type, mid.
    pub(super) undeclared: Vec<(u32, u8, Option<String>)>,
}

/// Shared between the interceptors, which count, and the tasks.
pub(super) struct Figures {
    state: Mutex<State>,
    /// Something for the sound's or the picture's encoder.
    wake: [Notify; 2],
    /// An undeclared SSRC was seen.
    pub(super) stranger: Notify,
}

fn index(kind: Kind) -> usize {
    match kind {
        Kind::Audio => 0,
        Kind::Video => 1,
    }
}

impl Figures {
    pub(super) fn new(receive: RangeInclusive<u64>) -> Figures {
        Figures {
            state: Mutex::new(State {
                sent: Direction::default(),
                received: Direction::default(),
                estimate: Estimate::new(receive),
                send_estimate: None,
                round_trip: None,
                feedback: [None; 2],
                key_frame: false,
                mid_extension: None,
                undeclared: Vec::new(),
            }),
            wake: Default::default(),
            stranger: Notify::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Plain figures: whatever a panicking holder left is still usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.lock().round_trip
    }

    /// Waits for something to tell the encoder of `kind`.
    pub(super) async fn told(&self, kind: Kind) {
        self.wake[index(kind)].notified().await;
    }

    /// What there is to tell it: feedback, and whether a key frame is wanted.
    pub(super) fn take(&self, kind: Kind) -> (Option<Feedback>, bool) {
        let mut state = self.lock();
        let feedback = state.feedback[index(kind)].take();
        (feedback, kind == Kind::Video && std::mem::take(&mut state.key_frame))
    }

    /// The far side asks for a key frame of the stream `ssrc`.
    pub(super) fn key_frame_wanted(&self, state: &mut State, ssrc: u32) {
        if let Some(stream) = state.sent.streams.get_mut(&ssrc).filter(|stream| stream.kind == Kind::Video) {
            stream.key_frame_requests += 1;
            state.key_frame = true;
            self.wake[index(Kind::Video)].notify_one();
        }
    }

    /// Puts feedback down for the encoder; what is not yet fetched is completed, not replaced.
    pub(super) fn feedback(&self, state: &mut State, kind: Kind, feedback: Feedback) {
        let waiting = state.feedback[index(kind)].get_or_insert_default();
        *waiting = Feedback {
            estimate: feedback.estimate.or(waiting.estimate),
            loss: feedback.loss.or(waiting.loss),
            rtt: feedback.rtt.or(waiting.rtt),
        };
        self.wake[index(kind)].notify_one();
    }

    /// One of our sender reports leaves.
    pub(super) fn report_sent(&self, state: &mut State, now: Instant, ssrc: u32, ntp: u64) {
        if let Some(stream) = state.sent.streams.get_mut(&ssrc) {
            stream.reports.push_back(((ntp >> 16) as u32, now));
            if stream.reports.len() > REPORTS {
                stream.reports.pop_front();
            }
        }
    }

    /// What the far side says about a stream of ours (RFC 3550 6.4.1).
    pub(super) fn reported(&self, state: &mut State, now: Instant, block: &rtc::rtcp::reception_report::ReceptionReport) {
        let Some(stream) = state.sent.streams.get_mut(&block.ssrc) else { return };
        stream.loss = f64::from(block.fraction_lost) / 256.0;
        // 24 bits, signed: repeated packets can make it negative.
        stream.lost = if block.total_lost & 0x80_0000 == 0 { u64::from(block.total_lost) } else { 0 };
        stream.jitter = block.jitter;
        let answered = stream.reports.iter().find(|(middle, _)| *middle == block.last_sender_report && block.last_sender_report != 0);
        let delay = Duration::from_secs_f64(f64::from(block.delay) / 65_536.0);
        let round_trip = answered.map(|(_, sent)| now.saturating_duration_since(*sent).saturating_sub(delay));
        let (kind, loss) = (stream.kind, stream.loss as f32);
        if let Some(latest) = round_trip {
            state.round_trip = Some(state.round_trip.map_or(latest, |smoothed| (smoothed * 3 + latest) / 4));
        }
        self.feedback(state, kind, Feedback { estimate: None, loss: Some(loss), rtt: state.round_trip });
    }

    /// The sender report of a received stream, if there is one that was not taken yet: NTP and RTP time.
    pub(super) fn take_report(&self, ssrc: u32) -> Option<(u64, u32)> {
        self.lock().received.streams.get_mut(&ssrc)?.report.take()
    }

    /// The codec that a stream carries, for the statistics.
    pub(super) fn codec(&self, ssrc: u32, sent: bool, codec: Codec, payload_type: u8) {
        let mut state = self.lock();
        let direction = if sent { &mut state.sent } else { &mut state.received };
        if let Some(stream) = direction.streams.get_mut(&ssrc) {
            stream.codec = Some((codec, payload_type));
        }
    }

    /// Sent and received streams.
    pub(super) fn statistics(&self, now: Instant) -> (Vec<StreamStatistics>, Vec<StreamStatistics>) {
        let mut state = self.lock();
        let list = |direction: &mut Direction| {
            let mut list: Vec<_> = direction.streams.values_mut().filter_map(|stream| stream.statistics(now)).collect();
            list.sort_by_key(|stream| index(stream.kind));
            list
        };
        let sent = list(&mut state.sent);
        (sent, list(&mut state.received))
    }
}
