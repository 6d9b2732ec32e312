//! What we send: an encoder's packets, numbered and named as negotiated, and the far side's wishes back to the encoder.

use super::engine;
use super::figures::Figures;
use super::streams::{Encoding, Streams};
use crate::media::{Codec, Kind, Outlet};
use bytes::Bytes;
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpRtxParameters, RtpCodecKind};
use rtc::shared::marshal::Unmarshal;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::rtp_transceiver::RtpSender;

/// Packets between the encoder's thread and the network: a key frame of 720p is some 150.
const QUEUE: usize = 1024;

/// One of our tracks.
pub(super) struct Outgoing {
    pub(super) kind: Kind,
    pub(super) id: String,
    ssrc: u32,
    repair: Option<u32>,
    track: Arc<TrackLocalStaticRTP>,
    sender: Arc<dyn RtpSender>,
    /// Decided by the first negotiation: the crate binds its interceptors only once.
    codec: OnceLock<Codec>,
    wanted: watch::Sender<Option<(Codec, u8)>>,
}

fn media_track(kind: Kind, id: &str, codec: Codec, ssrc: u32, repair: Option<u32>) -> MediaStreamTrack {
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(ssrc),
            rtx: repair.map(|ssrc| RTCRtpRtxParameters { ssrc }),
            ..Default::default()
        },
        codec: engine::codec(codec),
        ..Default::default()
    };
    let kind = match kind {
        Kind::Audio => RtpCodecKind::Audio,
        Kind::Video => RtpCodecKind::Video,
    };
    MediaStreamTrack::new("resident".to_owned(), id.to_owned(), id.to_owned(), kind, vec![coding])
}

impl Outgoing {
    /// Adds the track to `connection`. Of several codecs the first negotiation decides.
    pub(super) async fn add(
        connection: &dyn webrtc::peer_connection::PeerConnection,
        kind: Kind,
        id: String,
        codecs: &[Codec],
    ) -> rtc::shared::error::Result<Outgoing> {
        let codec = *codecs.first().ok_or(rtc::shared::error::Error::ErrNoCodecsAvailable)?;
        let ssrc = rand::random_range(1..u32::MAX);
        let repair = (kind == Kind::Video).then_some(ssrc ^ 1);
        let track = Arc::new(TrackLocalStaticRTP::new(media_track(kind, &id, codec, ssrc, repair)));
        let sender = connection.add_track(Arc::clone(&track) as Arc<dyn TrackLocal>).await?;
        let decided = OnceLock::new();
        if kind == Kind::Audio {
            let _ = decided.set(codec);
        } else {
            // The crate would offer only the codec of the track.
            for transceiver in connection.get_transceivers().await {
                if rtc::rtp_transceiver::RTCRtpSenderId::from(transceiver.id()) == sender.id() {
                    transceiver.set_codec_preferences(engine::picture_codecs(codecs)).await?;
                }
            }
        }
        Ok(Outgoing { kind, id, ssrc, repair, track, sender, codec: decided, wanted: watch::Sender::new(None) })
    }

    /// The local end of it, which answers `None` once the transport has stopped.
    pub(super) fn track(&self) -> Arc<TrackLocalStaticRTP> {
        Arc::clone(&self.track)
    }

    /// Decides the codec, before the description that settles it is applied: the crate looks for the track's codec among
    /// the negotiated ones then, and sends no repairs and no reports for a track it does not find.
    pub(super) async fn decide(&self, codec: Codec) -> rtc::shared::error::Result<()> {
        if self.codec.set(codec).is_ok() {
            let track = media_track(self.kind, &self.id, codec, self.ssrc, self.repair);
            self.sender.replace_track(Arc::new(TrackLocalStaticRTP::new(track))).await?;
        }
        Ok(())
    }

    /// Starts, goes on or stops encoding after a negotiation.
    pub(super) async fn negotiated(&self, sends: bool, figures: &Figures) {
        let wanted = match self.codec.get().filter(|_| sends) {
            Some(&codec) => self.payload_type(codec).await.map(|payload_type| (codec, payload_type)),
            None => None,
        };
        if sends && wanted.is_none() {
            log::warn!(MESSAGE_ID = crate::journal::messages::STREAM_FAILED.id, kind:? = self.kind; "the far side takes none of our codecs; nothing is sent");
        }
        if let Some((codec, payload_type)) = wanted {
            figures.codec(self.ssrc, true, codec, payload_type);
        }
        self.wanted.send_if_modified(|now| {
            let changed = *now != wanted;
            *now = wanted;
            changed
        });
    }

    async fn payload_type(&self, codec: Codec) -> Option<u8> {
        let mime = engine::codec(codec).mime_type;
        let parameters = self.sender.get_parameters().await.ok()?;
        let found = parameters.rtp_parameters.codecs.iter().find(|offered| offered.rtp_codec.mime_type.eq_ignore_ascii_case(&mime));
        found.map(|found| found.payload_type)
    }

    /// Runs until `end`: encodes what is wanted, sends while connected.
    pub(super) fn run(
        &self,
        streams: Arc<dyn Streams>,
        figures: Arc<Figures>,
        connected: watch::Receiver<bool>,
        end: CancellationToken,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (kind, ssrc, track, wanted) = (self.kind, self.ssrc, Arc::clone(&self.track), self.wanted.subscribe());
        let (packets, queue) = mpsc::channel(QUEUE);
        let run = Run { kind, ssrc, track, streams, figures, packets, encoding: None, payload_type: 0, numbers: Numbers::default() };
        run.run(wanted, connected, queue, end)
    }
}

/// Continues sequence numbers when an encoder takes over from another one: SRTP takes a jump back for a replay.
#[derive(Default)]
struct Numbers {
    last: Option<u16>,
    offset: u16,
    generation: u64,
}

impl Numbers {
    fn next(&mut self, generation: u64, sequence: u16) -> u16 {
        if generation != self.generation || self.last.is_none() {
            self.offset = self.last.map_or(0, |last| last.wrapping_add(1).wrapping_sub(sequence));
            self.generation = generation;
        }
        let number = sequence.wrapping_add(self.offset);
        self.last = Some(number);
        number
    }
}

struct Run {
    kind: Kind,
    ssrc: u32,
    track: Arc<TrackLocalStaticRTP>,
    streams: Arc<dyn Streams>,
    figures: Arc<Figures>,
    packets: mpsc::Sender<(u64, Bytes)>,
    encoding: Option<Arc<dyn Encoding>>,
    payload_type: u8,
    numbers: Numbers,
}

impl Run {
    async fn run(
        mut self,
        mut wanted: watch::Receiver<Option<(Codec, u8)>>,
        mut connected: watch::Receiver<bool>,
        mut queue: mpsc::Receiver<(u64, Bytes)>,
        end: CancellationToken,
    ) {
        let mut generation = 0;
        loop {
            tokio::select! {
                () = end.cancelled() => break,
                changed = wanted.changed() => {
                    if changed.is_err() { break }
                    let now = *wanted.borrow_and_update();
                    generation += 1;
                    self.encode(now, generation).await;
                }
                changed = connected.changed() => {
                    if changed.is_err() { break }
                    if *connected.borrow_and_update() && let Some(encoding) = &self.encoding {
                        encoding.key_frame();
                    }
                }
                () = self.figures.told(self.kind) => {
                    let (feedback, key_frame) = self.figures.take(self.kind);
                    if let Some(encoding) = &self.encoding {
                        if let Some(feedback) = feedback { encoding.feedback(feedback) }
                        if key_frame { encoding.key_frame() }
                    }
                }
                packet = queue.recv() => {
                    let Some((from, packet)) = packet else { break };
                    // Before the connection stands nobody could decrypt it, and an old encoder's rest fits nowhere.
                    if from == generation && *connected.borrow() {
                        self.send(from, packet).await;
                    }
                }
            }
        }
        self.encode(None, generation + 1).await;
    }

    /// Pipelines block while they start and stop: on a thread for that.
    async fn encode(&mut self, wanted: Option<(Codec, u8)>, generation: u64) {
        let old = self.encoding.take();
        let (streams, packets, kind) = (Arc::clone(&self.streams), self.packets.clone(), self.kind);
        let dropped = AtomicU64::new(0);
        let outlet: Outlet = Arc::new(move |packet| {
            if packets.try_send((generation, packet)).is_err() && dropped.fetch_add(1, Ordering::Relaxed).is_multiple_of(1000) {
                log::warn!(MESSAGE_ID = crate::journal::messages::STREAM_FAILED.id, kind:? = kind; "the network task does not keep up; packets are dropped");
            }
        });
        let started = tokio::task::spawn_blocking(move || {
            drop(old);
            wanted.map(|(codec, payload_type)| streams.send(codec, payload_type, outlet))
        });
        match started.await {
            Ok(Some(Ok(encoding))) => self.encoding = Some(Arc::from(encoding)),
            // The session says so itself, with what to try; the connection goes on without.
            Ok(Some(Err(error))) => {
                log::warn!(MESSAGE_ID = crate::journal::messages::STREAM_FAILED.id, kind:? = self.kind; "nothing is sent: {error}")
            }
            Ok(None) | Err(_) => {}
        }
        self.payload_type = wanted.map_or(0, |(_, payload_type)| payload_type);
    }

    async fn send(&mut self, generation: u64, mut bytes: Bytes) {
        let Ok(mut packet) = rtc::rtp::Packet::unmarshal(&mut bytes) else { return };
        packet.header.sequence_number = self.numbers.next(generation, packet.header.sequence_number);
        packet.header.payload_type = self.payload_type;
        packet.header.ssrc = self.ssrc;
        // None is negotiated for what we send, and the crate refuses packets with others.
        packet.header.extension = false;
        packet.header.extensions.clear();
        // Refused only when the connection is ending.
        let _ = self.track.write_rtp(packet).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_continue_over_a_change_of_encoder_and_over_the_wrap() {
        let mut numbers = Numbers::default();
        assert_eq!([numbers.next(1, 65_534), numbers.next(1, 65_535), numbers.next(1, 0)], [65_534, 65_535, 0]);
        assert_eq!([numbers.next(2, 40_000), numbers.next(2, 40_001), numbers.next(3, 7)], [1, 2, 3]);
    }

    #[test]
    fn a_gap_that_the_encoder_left_stays_a_gap() {
        let mut numbers = Numbers::default();
        assert_eq!([numbers.next(1, 10), numbers.next(1, 13)], [10, 13]);
    }
}
