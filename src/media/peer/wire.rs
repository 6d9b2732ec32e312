//! The interceptor next to the network: sees everything as it comes and goes. It counts, tells the encoders what the far
//! side reports, measures the round trip, and sends our own estimate (REMB).
//!
//! All of it happens here and not by RTCP handed to the application: that would need a task a track looping on
//! `TrackLocal::poll`, which answers `None` before binding and after closing alike.

use super::chain::{Belt, outgoing_rtcp, pass_through};
use super::figures::{Figures, State, Stream};
use crate::media::{Feedback, Kind};
use rtc::interceptor::{Attribute, Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::rtcp;
use rtc::rtcp::payload_feedbacks::full_intra_request::FullIntraRequest;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc::rtcp::receiver_report::ReceiverReport;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use rtc::shared::marshal::MarshalSize;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How often the estimate is told. Chromium forgets it after some seconds of silence.
const TELL: Duration = Duration::from_millis(500);
/// Undeclared SSRCs remembered: a far side may invent any number.
const STRANGERS: usize = 16;

/// The interceptor.
pub(super) struct Wire {
    belt: Belt,
    figures: Arc<Figures>,
    tell: Option<Instant>,
    known: HashSet<u32>,
}

impl Wire {
    pub(super) fn new(figures: Arc<Figures>) -> Wire {
        Wire { belt: Belt::default(), figures, tell: None, known: HashSet::new() }
    }

    fn rtp_in(&mut self, now: Instant, packet: &rtc::rtp::Packet) {
        let header = &packet.header;
        let bytes = packet.marshal_size();
        let mut state = self.figures.lock();
        state.received.count(now, header.ssrc, bytes, false);
        state.estimate.received(now, header.ssrc, header.sequence_number, header.timestamp, bytes);
        if !self.known.contains(&header.ssrc) && self.known.len() < 4 * STRANGERS {
            self.known.insert(header.ssrc);
            if state.undeclared.len() < STRANGERS {
                let mid = state.mid_extension.and_then(|id| header.get_extension(id));
                let mid = mid.and_then(|mid| String::from_utf8(mid.to_vec()).ok());
                state.undeclared.push((header.ssrc, header.payload_type, mid));
                self.figures.stranger.notify_one();
            }
        }
    }

    fn rtcp_in(&self, now: Instant, packets: &[Box<dyn rtcp::Packet>]) {
        let figures = &self.figures;
        let mut state = figures.lock();
        for packet in packets {
            let packet = packet.as_any();
            if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
                report.reports.iter().for_each(|block| figures.reported(&mut state, now, block));
            } else if let Some(report) = packet.downcast_ref::<SenderReport>() {
                report.reports.iter().for_each(|block| figures.reported(&mut state, now, block));
                if let Some(stream) = state.received.streams.get_mut(&report.ssrc) {
                    stream.report = Some((report.ntp_time, report.rtp_time));
                }
            } else if let Some(estimate) = packet.downcast_ref::<ReceiverEstimatedMaximumBitrate>() {
                // A float from the network: negative and NaN become 0, infinity the maximum.
                let estimate = estimate.bitrate as u64;
                state.send_estimate = Some(estimate);
                figures.feedback(&mut state, Kind::Video, Feedback { estimate: Some(estimate), ..Feedback::default() });
            } else if let Some(request) = packet.downcast_ref::<PictureLossIndication>() {
                figures.key_frame_wanted(&mut state, request.media_ssrc);
            } else if let Some(request) = packet.downcast_ref::<FullIntraRequest>() {
                request.fir.iter().for_each(|entry| figures.key_frame_wanted(&mut state, entry.ssrc));
            } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>()
                && let Some(stream) = state.sent.streams.get_mut(&nack.media_ssrc)
            {
                stream.nacked += asked_for(nack);
            }
        }
    }

    fn rtcp_out(&self, now: Instant, packets: &[Box<dyn rtcp::Packet>]) {
        let mut state = self.figures.lock();
        for packet in packets {
            let packet = packet.as_any();
            if let Some(report) = packet.downcast_ref::<SenderReport>() {
                self.figures.report_sent(&mut state, now, report.ssrc, report.ntp_time);
            } else if let Some(report) = packet.downcast_ref::<ReceiverReport>() {
                for block in &report.reports {
                    if let Some(stream) = state.received.streams.get_mut(&block.ssrc) {
                        stream.loss = f64::from(block.fraction_lost) / 256.0;
                        stream.lost = u64::from(block.total_lost);
                        stream.jitter = block.jitter;
                    }
                }
            } else if let Some(nack) = packet.downcast_ref::<TransportLayerNack>() {
                if let Some(stream) = state.received.streams.get_mut(&nack.media_ssrc) {
                    stream.nacked += asked_for(nack);
                }
            } else if let Some(request) = packet.downcast_ref::<PictureLossIndication>()
                && let Some(stream) = state.received.streams.get_mut(&request.media_ssrc)
            {
                stream.key_frame_requests += 1;
            }
        }
    }

    /// Our estimate for everything the far side sends, where it sends pictures at all.
    fn tell(&mut self, now: Instant) {
        let state = self.figures.lock();
        let ssrcs = pictures(&state);
        let bitrate = state.estimate.bitrate() as f32;
        drop(state);
        self.tell = (!ssrcs.is_empty()).then(|| now + TELL);
        if !ssrcs.is_empty() {
            let estimate = ReceiverEstimatedMaximumBitrate { sender_ssrc: 0, bitrate, ssrcs };
            self.belt.write.push_back(outgoing_rtcp(now, Box::new(estimate)));
        }
    }
}

fn pictures(state: &State) -> Vec<u32> {
    state.received.streams.iter().filter(|(_, stream)| stream.kind == Kind::Video).map(|(ssrc, _)| *ssrc).collect()
}

/// Packets that a NACK asks for.
fn asked_for(nack: &TransportLayerNack) -> u64 {
    nack.nacks.iter().map(|pair| 1 + u64::from(pair.lost_packets.count_ones())).sum()
}

fn kind(info: &StreamInfo) -> Kind {
    if info.mime_type.to_ascii_lowercase().starts_with("audio/") { Kind::Audio } else { Kind::Video }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Wire {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        match &message.message.packet {
            Packet::Rtp(packet) => self.rtp_in(message.now, packet),
            Packet::Rtcp(packets) => self.rtcp_in(message.now, packets),
            _ => {}
        }
        self.belt.read.push_back(message);
        Ok(())
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        match &message.message.packet {
            Packet::Rtp(packet) => {
                let repeated = message.message.has(&Attribute::Retransmission);
                self.figures.lock().sent.count(message.now, packet.header.ssrc, packet.marshal_size(), repeated);
            }
            Packet::Rtcp(packets) => self.rtcp_out(message.now, packets),
            _ => {}
        }
        self.belt.write.push_back(message);
        Ok(())
    }

    pass_through!(poll_read poll_write);

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        let lowered = self.figures.lock().estimate.judge(now);
        if lowered || self.tell.is_some_and(|tell| tell <= now) {
            self.tell(now);
        }
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        let judge = self.figures.lock().estimate.deadline();
        [judge, self.tell].into_iter().flatten().min()
    }
}

impl Interceptor for Wire {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        let stream = Stream::new(kind(info), info.clock_rate, info.ssrc_rtx);
        self.figures.lock().sent.streams.insert(info.ssrc, stream);
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.figures.lock().sent.streams.remove(&info.ssrc);
    }

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        self.known.insert(info.ssrc);
        self.known.extend(info.ssrc_rtx);
        let mut state = self.figures.lock();
        // The stream of repairs is bound like any other; it belongs to the one it repairs.
        if state.received.streams.values().any(|stream| stream.repairs(info.ssrc)) {
            return;
        }
        state.estimate.add(info.ssrc, info.clock_rate);
        state.received.streams.insert(info.ssrc, Stream::new(kind(info), info.clock_rate, info.ssrc_rtx));
        drop(state);
        if self.tell.is_none() && kind(info) == Kind::Video {
            // At once with the first packet: without it the far side starts low and climbs slowly.
            self.tell = Some(Instant::now());
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        let mut state = self.figures.lock();
        state.received.streams.remove(&info.ssrc);
        state.estimate.remove(info.ssrc);
    }
}
