//! Undoes retransmission streams (RFC 4588) before the NACK generator looks.
//!
//! The crate undoes them behind its interceptors, so that a NACK generator never learns of a repair and asks again and
//! again: thirteen retransmissions a lost packet were measured.

use super::chain::{Belt, pass_through};
use rtc::interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket};
use rtc::sansio::Protocol;
use rtc::shared::error::Error;
use std::collections::HashMap;
use std::time::Instant;

/// What a retransmission stream repairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Primary {
    ssrc: u32,
    payload_type: u8,
    /// Of the retransmissions: another one repairs a codec that was negotiated later, which the crate can still undo itself.
    repair_payload_type: u8,
}

/// The interceptor; belongs before the NACK generator.
#[derive(Default)]
pub(super) struct RtxUnwrap {
    belt: Belt,
    streams: HashMap<u32, Primary>,
}

/// Turns `packet` of a retransmission stream into the one it repeats. `false`, and nothing changed, when it repeats none:
/// bandwidth probes are padding only and carry no original sequence number.
fn unwrap(packet: &mut rtc::rtp::Packet, primary: Primary) -> bool {
    if packet.payload.len() < 2 || packet.header.payload_type != primary.repair_payload_type {
        return false;
    }
    packet.header.sequence_number = u16::from_be_bytes([packet.payload[0], packet.payload[1]]);
    packet.header.ssrc = primary.ssrc;
    packet.header.payload_type = primary.payload_type;
    packet.header.padding = false;
    packet.payload = packet.payload.slice(2..);
    true
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for RtxUnwrap {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(packet) = &mut message.message.packet
            && let Some(&primary) = self.streams.get(&packet.header.ssrc)
        {
            unwrap(packet, primary);
        }
        self.belt.read.push_back(message);
        Ok(())
    }

    pass_through!(poll_read handle_write poll_write);
}

impl Interceptor for RtxUnwrap {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        if let (Some(repair), Some(repair_payload_type)) = (info.ssrc_rtx, info.payload_type_rtx) {
            self.streams.insert(repair, Primary { ssrc: info.ssrc, payload_type: info.payload_type, repair_payload_type });
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.streams.retain(|repair, primary| Some(*repair) != info.ssrc_rtx && primary.ssrc != info.ssrc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::peer::chain::testing::{rtp, tagged};
    use bytes::Bytes;

    fn bound() -> RtxUnwrap {
        let mut unwrap = RtxUnwrap::default();
        unwrap.bind_remote_stream(&StreamInfo {
            ssrc: 1,
            ssrc_rtx: Some(2),
            payload_type: 96,
            payload_type_rtx: Some(97),
            ..Default::default()
        });
        unwrap
    }

    fn through(unwrap: &mut RtxUnwrap, packet: rtc::rtp::Packet) -> rtc::rtp::Packet {
        unwrap.handle_read(tagged(packet)).unwrap();
        match unwrap.poll_read().expect("one in, one out").message.packet {
            Packet::Rtp(packet) => packet,
            _ => panic!("RTP stays RTP"),
        }
    }

    #[test]
    fn a_repair_becomes_the_packet_it_repeats() {
        let mut repair = rtp(2, 97, 700, 9000, Bytes::from_static(&[0x12, 0x34, 1, 2, 3]));
        repair.header.marker = true;
        let packet = through(&mut bound(), repair);
        assert_eq!((packet.header.ssrc, packet.header.payload_type, packet.header.sequence_number), (1, 96, 0x1234));
        assert_eq!((packet.header.timestamp, packet.header.marker, packet.payload.as_ref()), (9000, true, &[1u8, 2, 3][..]));
    }

    #[test]
    fn padding_only_probes_pass_untouched() {
        let probe = rtp(2, 97, 701, 9000, Bytes::new());
        assert_eq!(through(&mut bound(), probe.clone()), probe);
    }

    #[test]
    fn other_streams_and_foreign_payload_types_pass_untouched() {
        for packet in [rtp(1, 96, 5, 0, Bytes::from_static(&[1, 2, 3])), rtp(2, 99, 5, 0, Bytes::from_static(&[1, 2, 3]))] {
            assert_eq!(through(&mut bound(), packet.clone()), packet);
        }
    }

    #[test]
    fn an_unbound_stream_is_forgotten() {
        let mut unwrap = bound();
        unwrap.unbind_remote_stream(&StreamInfo { ssrc: 1, ssrc_rtx: Some(2), ..Default::default() });
        let repair = rtp(2, 97, 700, 9000, Bytes::from_static(&[0x12, 0x34, 1]));
        assert_eq!(through(&mut unwrap, repair.clone()), repair);
    }
}
