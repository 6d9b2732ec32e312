//! STUN and ChannelData on a stream (RFC 8656 12.5): whole messages out of whatever pieces a stream reads. Sans-I/O.

use bytes::{Buf, Bytes, BytesMut};

/// What came is no TURN: the stream is of no use any more.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("what the server sent is not TURN (it begins with byte {0:#04x}); the address may be another service's")]
pub(super) struct NotTurn(u8);

/// Collects what a stream reads. Holds at most one incomplete message (64 KiB) besides what was pushed last.
#[derive(Default)]
pub(super) struct Frames {
    buffer: BytesMut,
}

impl Frames {
    /// The buffer to read into.
    pub(super) fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// The next whole message, without its padding.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, NotTurn> {
        let Some(&first) = self.buffer.first() else { return Ok(None) };
        let Some(length) = self.buffer.get(2..4).map(|field| usize::from(u16::from_be_bytes([field[0], field[1]]))) else {
            return if first < 0x80 { Ok(None) } else { Err(NotTurn(first)) };
        };
        let (whole, padding) = match first {
            // STUN: a header of 20 bytes; always a multiple of four.
            0x00..=0x3f => (20 + length, 0),
            0x40..=0x7f => (4 + length, length.wrapping_neg() % 4),
            _ => return Err(NotTurn(first)),
        };
        if self.buffer.len() < whole + padding {
            return Ok(None);
        }
        let message = self.buffer.split_to(whole).freeze();
        self.buffer.advance(padding);
        Ok(Some(message))
    }
}

/// Appends a datagram as it goes onto a stream: ChannelData padded to four bytes. What is neither STUN nor ChannelData
/// is left out: it would end the stream.
pub(super) fn append(datagram: &[u8], stream: &mut Vec<u8>) {
    let Some(&first) = datagram.first() else { return };
    if first >= 0x80 || datagram.len() < 4 {
        return;
    }
    stream.extend_from_slice(datagram);
    if first >= 0x40 {
        stream.resize(stream.len() + datagram.len().wrapping_neg() % 4, 0);
    }
}

/// The answer to an Allocate request, as far as it matters here.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Allocation {
    /// The relay gave an address.
    Granted,
    /// It did not: error code (RFC 8656 18.3, RFC 8489 14.8).
    Refused(u16),
}

/// Reads an Allocate answer.
pub(super) fn allocation(message: &[u8]) -> Option<Allocation> {
    const ERROR_CODE: u16 = 0x0009;
    match message.get(..2)? {
        [0x01, 0x03] => Some(Allocation::Granted),
        [0x01, 0x13] => {
            let value = attribute(message, ERROR_CODE)?;
            Some(Allocation::Refused(u16::from(value.get(2)? & 7) * 100 + u16::from(*value.get(3)?)))
        }
        _ => None,
    }
}

/// Our own answer to an Allocate request that no server will ever answer, so that nobody repeats it for half a minute:
/// the usual challenge (RFC 8489 9.2.4) to the first, since the crate believes no other answer to that one, and an error to
/// the second. `None` for anything else.
pub(super) fn refusal(request: &[u8]) -> Option<Vec<u8>> {
    const USERNAME: u16 = 0x0006;
    // ERROR-CODE 401, REALM and NONCE of one letter each; ERROR-CODE 500.
    const CHALLENGE: [u8; 24] = [0, 9, 0, 4, 0, 0, 4, 1, 0, 0x14, 0, 1, b'-', 0, 0, 0, 0, 0x15, 0, 1, b'-', 0, 0, 0];
    const ERROR: [u8; 8] = [0, 9, 0, 4, 0, 0, 5, 0];
    let transaction = request.get(4..20).filter(|_| request[..2] == [0x00, 0x03])?;
    let answer = if attribute(request, USERNAME).is_some() { &ERROR[..] } else { &CHALLENGE };
    Some([&[0x01, 0x13, 0, answer.len() as u8], transaction, answer].concat())
}

/// The value of a STUN attribute.
fn attribute(message: &[u8], wanted: u16) -> Option<&[u8]> {
    let mut attributes = message.get(20..)?;
    while let Some(head) = attributes.get(..4) {
        let (kind, length) = (u16::from_be_bytes([head[0], head[1]]), usize::from(u16::from_be_bytes([head[2], head[3]])));
        let value = attributes.get(4..4 + length)?;
        if kind == wanted {
            return Some(value);
        }
        attributes = attributes.get(4 + length.next_multiple_of(4)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stun(length: u16) -> Vec<u8> {
        let mut message = vec![0x01, 0x01];
        message.extend(length.to_be_bytes());
        message.extend((0..16 + length).map(|byte| byte as u8));
        message
    }

    fn channel_data(length: u16) -> Vec<u8> {
        let mut message = vec![0x40, 0x00];
        message.extend(length.to_be_bytes());
        message.extend((0..length).map(|byte| byte as u8));
        message
    }

    #[test]
    fn channel_data_is_padded_and_stun_is_not() {
        for (length, padding) in [(0, 0), (1, 3), (2, 2), (3, 1), (4, 0)] {
            let mut stream = Vec::new();
            append(&channel_data(length), &mut stream);
            assert_eq!(stream.len(), 4 + usize::from(length) + padding);
        }
        let mut stream = Vec::new();
        append(&stun(8), &mut stream);
        assert_eq!(stream, stun(8));
    }

    #[test]
    fn what_is_no_turn_never_reaches_the_server() {
        let mut stream = Vec::new();
        for datagram in [&[][..], &[0x80, 0, 0, 0], &[0x16, 3], &[0xff; 40]] {
            append(datagram, &mut stream);
        }
        assert!(stream.is_empty());
    }

    #[test]
    fn a_server_that_speaks_something_else_is_recognised() {
        for greeting in [&b"\xff\xfd\x18\x00"[..], b"\x80"] {
            let mut frames = Frames::default();
            frames.buffer().extend_from_slice(greeting);
            assert_eq!(frames.next(), Err(NotTurn(greeting[0])));
        }
    }

    #[test]
    fn an_answer_to_allocate_is_read() {
        let mut refused = vec![0x01, 0x13, 0, 16];
        refused.extend([0; 16]);
        // SOFTWARE, three bytes and padding, then ERROR-CODE 401.
        refused.extend([0x80, 0x22, 0, 3, b'x', b'y', b'z', 0, 0, 9, 0, 4, 0, 0, 4, 1]);
        assert_eq!(allocation(&refused), Some(Allocation::Refused(401)));
        assert_eq!(allocation(&[0x01, 0x03, 0, 0]), Some(Allocation::Granted));
        assert_eq!(allocation(&stun(0)), None);
    }

    #[test]
    fn only_requests_for_an_allocation_are_answered_in_place_of_the_server() {
        let mut request = stun(0);
        request[..2].copy_from_slice(&[0, 3]);
        let answer = refusal(&request).unwrap();
        assert_eq!((allocation(&answer), &answer[4..20]), (Some(Allocation::Refused(401)), &request[4..20]));
        assert_eq!((attribute(&answer, 0x14), attribute(&answer, 0x15)), (Some(&b"-"[..]), Some(&b"-"[..])));
        request.extend([0, 6, 0, 3, b'b', b'o', b'x', 0]);
        assert_eq!(allocation(&refusal(&request).unwrap()), Some(Allocation::Refused(500)));
        assert_eq!((refusal(&stun(8)), refusal(&channel_data(40)), refusal(&[0, 3])), (None, None, None));
    }

    proptest! {
        #[test]
        fn messages_survive_any_split_and_merge(
            lengths in proptest::collection::vec((any::<bool>(), 0u16..1500), 1..20),
            cuts in proptest::collection::vec(1usize..900, 1..40),
        ) {
            let sent: Vec<Vec<u8>> = lengths.iter()
                .map(|&(is_stun, length)| if is_stun { stun(length & !3) } else { channel_data(length) }).collect();
            let mut stream = Vec::new();
            for message in &sent {
                append(message, &mut stream);
            }
            let (mut frames, mut got, mut rest, mut cuts) = (Frames::default(), Vec::new(), &stream[..], cuts.iter().cycle());
            while !rest.is_empty() {
                let (piece, left) = rest.split_at((*cuts.next().unwrap()).min(rest.len()));
                frames.buffer().extend_from_slice(piece);
                while let Some(message) = frames.next().unwrap() {
                    got.push(message.to_vec());
                }
                rest = left;
            }
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn garbage_does_no_harm(garbage in proptest::collection::vec(any::<u8>(), 0..3000)) {
            let mut frames = Frames::default();
            frames.buffer().extend_from_slice(&garbage);
            while let Ok(Some(_)) = frames.next() {}
            allocation(&garbage);
            refusal(&garbage);
            append(&garbage, &mut Vec::new());
        }
    }
}
