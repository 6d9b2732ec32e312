//! What we receive: a remote track's packets to its decoder, and the decoder's wish for key frames to the far side.

use super::figures::Figures;
use super::streams::{Decoding, Streams};
use crate::media::{Codec, Kind};
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::shared::marshal::Marshal;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

/// Shortest time between two requests.
const REQUEST: Duration = Duration::from_millis(300);
/// A key frame that did not come is asked for again.
const REPEAT: Duration = Duration::from_millis(600);
/// And after so many requests less often.
const PATIENT: u32 = 10;

/// Payload types of the local description: what the far side may send us.
pub(super) type PayloadTypes = Arc<Mutex<HashMap<u8, Codec>>>;

/// The ids of the tracks to decode.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Presented {
    pub(super) audio: Option<String>,
    pub(super) video: Option<String>,
}

impl Presented {
    pub(super) fn slot(&mut self, kind: Kind) -> &mut Option<String> {
        match kind {
            Kind::Audio => &mut self.audio,
            Kind::Video => &mut self.video,
        }
    }
}

/// When to ask for a key frame: at once, not too often, and again until one comes.
#[derive(Default)]
struct KeyFrames {
    wanted: bool,
    last: Option<Instant>,
    requests: u32,
}

impl KeyFrames {
    fn ask(&mut self) {
        if !self.wanted {
            (self.wanted, self.requests) = (true, 0);
        }
    }

    fn arrived(&mut self) {
        self.wanted = false;
    }

    fn due(&self, now: Instant) -> Option<Instant> {
        let wait = match self.requests {
            0 => REQUEST,
            1..PATIENT => REPEAT,
            _ => 4 * REPEAT,
        };
        self.wanted.then(|| self.last.map_or(now, |last| last + wait))
    }

    fn sent(&mut self, now: Instant) {
        self.last = Some(now);
        self.requests += 1;
    }
}

/// Whether a packet begins a picture that needs no other one.
fn begins_key_frame(codec: Codec, payload: &[u8]) -> bool {
    let key_unit = |unit: u8| matches!(unit & 0x1f, 5 | 7);
    match codec {
        Codec::Opus => false,
        Codec::Vp8 => begins_vp8_key_frame(payload).unwrap_or(false),
        // RFC 6184: single units, the units of an aggregate, the first fragment of one.
        Codec::H264 => match payload.first().map(|first| first & 0x1f) {
            Some(24) => {
                let mut units = &payload[1..];
                while let Some((length, rest)) = units.split_first_chunk::<2>() {
                    if rest.first().is_some_and(|&unit| key_unit(unit)) {
                        return true;
                    }
                    units = rest.get(usize::from(u16::from_be_bytes(*length))..).unwrap_or_default();
                }
                false
            }
            Some(28) => payload.get(1).is_some_and(|&header| header & 0x80 != 0 && key_unit(header)),
            Some(unit) => key_unit(unit),
            None => false,
        },
    }
}

/// RFC 7741 4.2 and 4.3: the payload descriptor, then the inverse key frame flag.
fn begins_vp8_key_frame(payload: &[u8]) -> Option<bool> {
    let (&first, mut rest) = payload.split_first()?;
    if first & 0x1f != 0x10 {
        return Some(false);
    }
    if first & 0x80 != 0 {
        let (&extensions, after) = rest.split_first()?;
        rest = after;
        if extensions & 0x80 != 0 {
            rest = rest.get(if rest.first()? & 0x80 != 0 { 2 } else { 1 }..)?;
        }
        rest = rest.get(usize::from(extensions & 0x40 != 0) + usize::from(extensions & 0x30 != 0)..)?;
    }
    Some(rest.first()? & 1 == 0)
}

/// One remote track, from its first packet on.
pub(super) struct Incoming {
    pub(super) track: Arc<dyn TrackRemote>,
    pub(super) id: String,
    pub(super) kind: Kind,
    pub(super) streams: Arc<dyn Streams>,
    pub(super) figures: Arc<Figures>,
    pub(super) payload_types: PayloadTypes,
}

/// The decoder of a track, for the payload type it came with.
struct Running {
    payload_type: u8,
    codec: Codec,
    decoding: Arc<dyn Decoding>,
}

impl Incoming {
    /// Runs until the track or the connection ends.
    pub(super) async fn run(self, mut presented: watch::Receiver<Presented>, end: CancellationToken) {
        let request = Arc::new(Notify::new());
        let mut key_frames = KeyFrames::default();
        let mut running: Option<Running> = None;
        let mut ssrc = 0;
        let is_mine = |presented: &mut watch::Receiver<Presented>| {
            let mut now = presented.borrow_and_update().clone();
            now.slot(self.kind).as_deref() == Some(&self.id)
        };
        let mut mine = is_mine(&mut presented);
        loop {
            let due = key_frames.due(Instant::now()).filter(|_| ssrc != 0);
            tokio::select! {
                () = end.cancelled() => break,
                changed = presented.changed() => {
                    if changed.is_err() { break }
                    mine = is_mine(&mut presented);
                    if !mine {
                        key_frames.arrived();
                        stop(running.take()).await;
                    }
                }
                () = request.notified() => key_frames.ask(),
                () = sleep_until(due) => {
                    let picture_loss = PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc };
                    let _ = self.track.write_rtcp(vec![Box::new(picture_loss)]).await;
                    key_frames.sent(Instant::now());
                }
                event = self.track.poll() => match event {
                    None | Some(TrackRemoteEvent::OnEnded) => break,
                    Some(TrackRemoteEvent::OnRtpPacket(packet)) if mine => {
                        let payload_type = packet.header.payload_type;
                        ssrc = packet.header.ssrc;
                        if running.as_ref().is_none_or(|running| running.payload_type != payload_type) {
                            stop(running.take()).await;
                            running = self.start(payload_type, ssrc, &request).await;
                            if running.is_some() && self.kind == Kind::Video { key_frames.ask() }
                        }
                        if let Some(running) = &running {
                            if begins_key_frame(running.codec, &packet.payload) { key_frames.arrived() }
                            if let Ok(bytes) = packet.marshal() { running.decoding.push(bytes.freeze()) }
                            if let Some((ntp, rtp)) = self.figures.take_report(ssrc) { running.decoding.sender_report(ntp, rtp) }
                        }
                    }
                    Some(_) => {}
                }
            }
        }
        stop(running).await;
    }

    /// Pipelines block while they start: on a thread for that. A failure is the session's to tell; the next packet tries
    /// again only with another payload type.
    async fn start(&self, payload_type: u8, ssrc: u32, request: &Arc<Notify>) -> Option<Running> {
        let codec = *self.payload_types.lock().unwrap_or_else(PoisonError::into_inner).get(&payload_type)?;
        if codec.kind() != self.kind {
            return None;
        }
        self.figures.codec(ssrc, false, codec, payload_type);
        let (streams, request) = (Arc::clone(&self.streams), Arc::clone(request));
        let wish = Arc::new(move || request.notify_one());
        let started = tokio::task::spawn_blocking(move || streams.receive(codec, payload_type, wish)).await.ok()?;
        match started {
            Ok(decoding) => Some(Running { payload_type, codec, decoding: Arc::from(decoding) }),
            Err(error) => {
                log::warn!(MESSAGE_ID = crate::journal::messages::STREAM_FAILED.id, kind:? = self.kind; "a remote track cannot be presented: {error}");
                Some(Running { payload_type, codec, decoding: Arc::new(Nobody) })
            }
        }
    }
}

/// Stands in for a decoder that could not be had.
struct Nobody;

impl Decoding for Nobody {
    fn push(&self, _: bytes::Bytes) {}
    fn sender_report(&self, _: u64, _: u32) {}
}

async fn stop(running: Option<Running>) {
    if let Some(running) = running {
        let _ = tokio::task::spawn_blocking(move || drop(running)).await;
    }
}

async fn sleep_until(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn key_frames_are_recognised() {
        for (codec, payload, key) in [
            (Codec::Vp8, &[0x10, 0x00][..], true),
            (Codec::Vp8, &[0x10, 0x01], false),
            (Codec::Vp8, &[0x00, 0x00], false),
            (Codec::Vp8, &[0x90, 0x80, 0x81, 0x23, 0x00], true),
            (Codec::Vp8, &[0x90, 0x80, 0x23, 0x01], false),
            (Codec::Vp8, &[0x90, 0xf0, 0x81, 0x23, 1, 2, 0x00], true),
            (Codec::Vp8, &[0x90], false),
            (Codec::Vp8, &[], false),
            (Codec::H264, &[0x65, 1, 2], true),
            (Codec::H264, &[0x67, 1, 2], true),
            (Codec::H264, &[0x41, 1, 2], false),
            (Codec::H264, &[0x78, 0, 2, 0x09, 0xf0, 0, 1, 0x67], true),
            (Codec::H264, &[0x78, 0, 2, 0x09, 0xf0, 0, 1, 0x41], false),
            (Codec::H264, &[0x78, 0xff, 0xff, 0x09], false),
            (Codec::H264, &[0x7c, 0x85, 0], true),
            (Codec::H264, &[0x7c, 0x05, 0], false),
            (Codec::H264, &[0x7c], false),
            (Codec::H264, &[], false),
            (Codec::Opus, &[0x10, 0x00], false),
        ] {
            assert_eq!(begins_key_frame(codec, payload), key, "{codec:?} {payload:02x?}");
        }
    }

    #[test]
    fn a_key_frame_is_asked_for_at_once_then_again_until_it_comes() {
        let (mut keys, start) = (KeyFrames::default(), Instant::now());
        assert_eq!(keys.due(start), None);
        keys.ask();
        assert_eq!(keys.due(start), Some(start));
        keys.sent(start);
        keys.ask();
        assert_eq!(keys.due(start), Some(start + REPEAT));
        keys.arrived();
        assert_eq!(keys.due(start), None);
    }

    #[test]
    fn a_decoder_in_trouble_cannot_flood_the_far_side() {
        let (mut keys, start) = (KeyFrames::default(), Instant::now());
        let (mut now, mut sent) = (start, 0);
        while now < start + Duration::from_secs(10) {
            keys.ask();
            if keys.due(now).is_some_and(|due| due <= now) {
                keys.sent(now);
                keys.arrived();
                sent += 1;
            }
            now += Duration::from_millis(1);
        }
        assert!((30..=34).contains(&sent), "{sent}");
    }
}
