//! Asks for lost video packets (RFC 4585 6.2.1).
//!
//! The crate's own generator repeats every interval, however long the way: at 160 ms round trip and an interval of 20 ms
//! each lost packet is asked for, and sent, eight times. This one asks at once and repeats when an answer is overdue.

use super::chain::{Belt, outgoing_rtcp, pass_through};
use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp::transport_feedbacks::transport_layer_nack::{TransportLayerNack, nack_pairs_from_sequence_numbers};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How much reordering is forgiven, and how long requests are collected into one packet. Every millisecond of it is one that
/// the decoder has to wait for the repair.
const REORDERING: Duration = Duration::from_millis(5);
/// How often what is missing is looked at, and the shortest time between two requests for a packet.
const INTERVAL: Duration = Duration::from_millis(20);
/// Requests for one packet; then the decoder has to live without it.
const MAX_REQUESTS: u8 = 10;
/// Older gaps are not worth a repair: the picture has moved on.
const MAX_AGE: Duration = Duration::from_secs(1);
/// A larger gap is a jump of the sender, not loss.
const MAX_GAP: u16 = 512;
/// Until the round trip is measured.
const UNKNOWN_ROUND_TRIP: Duration = Duration::from_millis(100);

/// The round trip as far as it is measured, shared with the one who measures it.
pub(super) type RoundTrip = Arc<dyn Fn() -> Option<Duration> + Send + Sync>;

struct Missing {
    since: Instant,
    requests: u8,
    next: Instant,
}

/// One stream's gaps, by extended sequence number.
#[derive(Default)]
struct Gaps {
    /// Highest sequence number seen, extended over its wrap.
    highest: Option<i64>,
    missing: BTreeMap<i64, Missing>,
}

impl Gaps {
    /// `true` when packets are missing that were not before.
    fn received(&mut self, now: Instant, sequence: u16) -> bool {
        let Some(highest) = self.highest else {
            self.highest = Some(i64::from(sequence));
            return false;
        };
        let step = sequence.wrapping_sub(highest as u16) as i16;
        let extended = highest + i64::from(step);
        if step <= 0 {
            self.missing.remove(&extended);
            return false;
        }
        if step as u16 > MAX_GAP {
            self.missing.clear();
        } else {
            for lost in highest + 1..extended {
                self.missing.insert(lost, Missing { since: now, requests: 0, next: now + REORDERING });
            }
            while self.missing.len() > usize::from(MAX_GAP) {
                self.missing.pop_first();
            }
        }
        self.highest = Some(extended);
        step > 1 && !self.missing.is_empty()
    }

    /// What to ask for now; what has been asked for often enough, or is too old, is given up.
    fn due(&mut self, now: Instant, repeat: Duration) -> Vec<u16> {
        self.missing.retain(|_, missing| now.duration_since(missing.since) < MAX_AGE && missing.requests < MAX_REQUESTS);
        let due = self.missing.iter_mut().filter(|(_, missing)| missing.next <= now);
        due.map(|(&sequence, missing)| {
            missing.requests += 1;
            // A repair that is overdue twice waits in a queue rather: asking at the same pace would only lengthen that (a
            // link of 600 kbit/s carried 1,100 repairs of 300 packets, and 770 like this).
            missing.next = now + repeat * u32::from(missing.requests).saturating_sub(1).max(1);
            sequence as u16
        })
        .collect()
    }
}

/// The interceptor.
pub(super) struct Nack {
    belt: Belt,
    streams: HashMap<u32, Gaps>,
    /// Streams of repairs: bound like any other, with the feedback of what they repair, but nobody repairs repairs.
    repairs: HashSet<u32>,
    round_trip: RoundTrip,
    next: Option<Instant>,
}

impl Nack {
    pub(super) fn new(round_trip: RoundTrip) -> Nack {
        Nack { belt: Belt::default(), streams: HashMap::new(), repairs: HashSet::new(), round_trip, next: None }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Nack {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(packet) = &message.message.packet
            && let Some(gaps) = self.streams.get_mut(&packet.header.ssrc)
            && gaps.received(message.now, packet.header.sequence_number)
        {
            let soon = message.now + REORDERING;
            self.next = Some(self.next.map_or(soon, |next| next.min(soon)));
        }
        self.belt.read.push_back(message);
        Ok(())
    }

    pass_through!(poll_read handle_write poll_write);

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.next.is_none_or(|next| now < next) {
            return Ok(());
        }
        let repeat = ((self.round_trip)().unwrap_or(UNKNOWN_ROUND_TRIP) + Duration::from_millis(10)).max(INTERVAL);
        for (&ssrc, gaps) in &mut self.streams {
            let due = gaps.due(now, repeat);
            if !due.is_empty() {
                let nacks = nack_pairs_from_sequence_numbers(&due);
                self.belt.write.push_back(outgoing_rtcp(now, Box::new(TransportLayerNack { sender_ssrc: 0, media_ssrc: ssrc, nacks })));
            }
        }
        let waiting = self.streams.values().any(|gaps| !gaps.missing.is_empty());
        self.next = waiting.then(|| now + INTERVAL);
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.next
    }
}

impl Interceptor for Nack {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        let wanted = info.rtcp_feedback.iter().any(|feedback| feedback.typ == "nack" && feedback.parameter.is_empty());
        self.repairs.extend(info.ssrc_rtx);
        if wanted && !self.repairs.contains(&info.ssrc) {
            self.streams.entry(info.ssrc).or_default();
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.streams.remove(&info.ssrc);
        self.repairs.remove(&info.ssrc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::peer::chain::testing::{rtp, tagged_at};
    use bytes::Bytes;

    const STEP: Duration = Duration::from_millis(1);

    fn nack(round_trip: Duration) -> Nack {
        let mut nack = Nack::new(Arc::new(move || Some(round_trip)));
        let feedback = rtc::interceptor::RTCPFeedback { typ: "nack".into(), parameter: String::new() };
        nack.bind_remote_stream(&StreamInfo { ssrc: 1, payload_type: 96, rtcp_feedback: vec![feedback], ..Default::default() });
        nack
    }

    fn receive(nack: &mut Nack, now: Instant, sequence: u16) {
        nack.handle_read(tagged_at(rtp(1, 96, sequence, 0, Bytes::new()), now)).unwrap();
        nack.poll_read();
    }

    /// Runs until `end` and gives what was asked for, and when.
    fn run(nack: &mut Nack, start: Instant, end: Instant) -> Vec<(Duration, Vec<u16>)> {
        let mut asked = Vec::new();
        let mut now = start;
        while now <= end {
            if nack.poll_timeout().is_some_and(|next| next <= now) {
                nack.handle_timeout(now).unwrap();
            }
            while let Some(message) = nack.poll_write() {
                let Packet::Rtcp(packets) = message.message.packet else { panic!("RTCP") };
                for packet in packets {
                    let packet = packet.as_any().downcast_ref::<TransportLayerNack>().expect("a NACK").clone();
                    let sequences = packet.nacks.into_iter().flat_map(|pair| pair.packet_list()).collect();
                    asked.push((now - start, sequences));
                }
            }
            now += STEP;
        }
        asked
    }

    #[test]
    fn nothing_lost_means_no_timer_and_no_request() {
        let (mut nack, start) = (nack(Duration::ZERO), Instant::now());
        for sequence in 65_530..65_536u32 + 5 {
            receive(&mut nack, start, sequence as u16);
        }
        assert_eq!(nack.poll_timeout(), None);
    }

    #[test]
    fn a_gap_is_asked_for_at_once_and_over_the_wrap() {
        let (mut nack, start) = (nack(Duration::from_millis(160)), Instant::now());
        receive(&mut nack, start, 65_534);
        receive(&mut nack, start, 1);
        let asked = run(&mut nack, start, start + Duration::from_millis(50));
        assert_eq!(asked, [(REORDERING, vec![65_535, 0])]);
    }

    #[test]
    fn reordering_within_5_ms_is_forgiven() {
        let (mut nack, start) = (nack(Duration::from_millis(160)), Instant::now());
        for sequence in [10, 12, 11] {
            receive(&mut nack, start, sequence);
        }
        assert!(run(&mut nack, start, start + Duration::from_millis(100)).is_empty());
    }

    #[test]
    fn a_request_is_repeated_only_when_the_repair_is_overdue() {
        let (mut nack, start) = (nack(Duration::from_millis(160)), Instant::now());
        receive(&mut nack, start, 10);
        receive(&mut nack, start, 12);
        assert_eq!(run(&mut nack, start, start + Duration::from_millis(170)).len(), 1);
        assert_eq!(run(&mut nack, start + Duration::from_millis(171), start + Duration::from_millis(220)).len(), 1);
    }

    #[test]
    fn requests_become_rarer_when_repairs_do_not_come() {
        let (mut nack, start) = (nack(Duration::from_millis(90)), Instant::now());
        receive(&mut nack, start, 10);
        receive(&mut nack, start, 12);
        let asked = run(&mut nack, start, start + Duration::from_secs(2));
        let waits: Vec<_> = asked.windows(2).map(|pair| (pair[1].0 - pair[0].0).as_millis() / 100).collect();
        assert_eq!(waits, [1, 1, 2, 3]);
    }

    #[test]
    fn a_packet_is_given_up_after_ten_requests_or_a_second() {
        for round_trip in [Duration::ZERO, Duration::from_millis(300)] {
            let (mut nack, start) = (nack(round_trip), Instant::now());
            receive(&mut nack, start, 10);
            receive(&mut nack, start, 12);
            let asked = run(&mut nack, start, start + Duration::from_secs(3));
            assert!((2..=usize::from(MAX_REQUESTS)).contains(&asked.len()), "{round_trip:?}: {}", asked.len());
            assert!(asked.iter().all(|(at, _)| *at < MAX_AGE + INTERVAL));
            assert_eq!(nack.poll_timeout(), None, "quiet again");
        }
    }

    #[test]
    fn a_jump_of_the_sender_is_no_loss() {
        let (mut nack, start) = (nack(Duration::ZERO), Instant::now());
        receive(&mut nack, start, 10);
        receive(&mut nack, start, 10 + MAX_GAP + 1);
        assert_eq!(nack.poll_timeout(), None);
    }

    #[test]
    fn nobody_repairs_repairs() {
        let mut nack = nack(Duration::ZERO);
        let feedback = rtc::interceptor::RTCPFeedback { typ: "nack".into(), parameter: String::new() };
        let stream = StreamInfo { ssrc: 5, ssrc_rtx: Some(6), rtcp_feedback: vec![feedback], ..Default::default() };
        nack.bind_remote_stream(&stream);
        nack.bind_remote_stream(&StreamInfo { ssrc: 6, ssrc_rtx: None, ..stream });
        assert!(nack.streams.contains_key(&5) && !nack.streams.contains_key(&6));
    }

    #[test]
    fn a_flood_of_gaps_is_bounded() {
        let (mut nack, start) = (nack(Duration::ZERO), Instant::now());
        let mut sequence = 0u16;
        for _ in 0..10_000 {
            sequence = sequence.wrapping_add(400);
            receive(&mut nack, start, sequence);
            nack.handle_timeout(start + INTERVAL).unwrap();
            while nack.poll_write().is_some() {}
        }
        assert!(nack.streams[&1].missing.len() <= usize::from(MAX_GAP));
    }
}
