//! What every interceptor needs: two queues, and the walk through them.

use rtc::interceptor::TaggedPacket;
use std::collections::VecDeque;

/// Packets on their way through an interceptor. The chain empties both after every packet it hands in.
#[derive(Default)]
pub(super) struct Belt {
    pub(super) read: VecDeque<TaggedPacket>,
    pub(super) write: VecDeque<TaggedPacket>,
}

/// The parts of `Protocol` in which an interceptor only hands on what is on its field `belt`.
macro_rules! pass_through {
    ($($part:ident)*) => { $(crate::media::peer::chain::pass_through!(@ $part);)* };
    (@ poll_read) => {
        fn poll_read(&mut self) -> Option<TaggedPacket> {
            self.belt.read.pop_front()
        }
    };
    (@ poll_write) => {
        fn poll_write(&mut self) -> Option<TaggedPacket> {
            self.belt.write.pop_front()
        }
    };
    (@ handle_read) => {
        fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
            self.belt.read.push_back(message);
            Ok(())
        }
    };
    (@ handle_write) => {
        fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
            self.belt.write.push_back(message);
            Ok(())
        }
    };
}
pub(super) use pass_through;

/// RTCP of our own, on its way to the wire.
pub(super) fn outgoing_rtcp(now: std::time::Instant, packet: Box<dyn rtc::rtcp::Packet>) -> TaggedPacket {
    TaggedPacket {
        now,
        transport: rtc::shared::TransportContext::default(),
        message: rtc::interceptor::AttributedPacket::new(rtc::interceptor::Packet::Rtcp(vec![packet])),
    }
}

#[cfg(test)]
pub(super) mod testing {
    //! Packets as they come out of the network.
    use super::*;
    use bytes::Bytes;
    use rtc::interceptor::{AttributedPacket, Packet};
    use std::time::Instant;

    pub(crate) fn rtp(ssrc: u32, payload_type: u8, sequence_number: u16, timestamp: u32, payload: Bytes) -> rtc::rtp::Packet {
        let header = rtc::rtp::header::Header { version: 2, ssrc, payload_type, sequence_number, timestamp, ..Default::default() };
        rtc::rtp::Packet { header, payload }
    }

    pub(crate) fn tagged(packet: rtc::rtp::Packet) -> TaggedPacket {
        tagged_at(packet, Instant::now())
    }

    pub(crate) fn tagged_at(packet: rtc::rtp::Packet, now: Instant) -> TaggedPacket {
        TaggedPacket { now, transport: Default::default(), message: AttributedPacket::new(Packet::Rtp(packet)) }
    }
}
