//! Sound out: frames of the microphone as Opus in RTP packets, with in-band FEC.

use super::super::pipeline::{Closing, OnError, Pipeline, Time};
use super::super::sound::{FRAME, microphone::Microphone};
use super::super::source::lock;
use super::super::stats::Sent;
use super::super::{Codec, MediaError};
use super::outlets::Outlets;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// bit/s: transparent for one voice.
const BITRATE: u32 = 32_000;

/// The length of a frame of the microphone in nanoseconds.
const HALF: u64 = 10_000_000;

/// The Opus encoder with everybody who takes its packets.
pub struct AudioEncoder {
    pipeline: Mutex<Option<Pipeline>>,
    encoder: gst::Element,
    outlets: Arc<Outlets>,
    microphone: Arc<Microphone>,
    taker: u64,
    failed: Arc<Mutex<Option<String>>>,
    frames: Arc<AtomicU64>,
}

/// Two frames of the microphone make one of the encoder's: its thread is woken for whole ones only.
#[derive(Default)]
struct Halves {
    first: Option<(Vec<u8>, gst::ClockTime)>,
}

impl Halves {
    /// One frame and its time; every second one gives a buffer.
    fn add(&mut self, frame: &[i16; FRAME], running: gst::ClockTime) -> Option<gst::Buffer> {
        let (mut bytes, start) = match self.first.take() {
            // After a gap the half that waits is as good as lost: it would shift what comes after it.
            Some((bytes, start)) if running.nseconds().abs_diff(start.nseconds() + HALF) < HALF => (bytes, start),
            _ => {
                let mut bytes = Vec::with_capacity(4 * FRAME);
                bytes.extend(frame.iter().flat_map(|s| s.to_le_bytes()));
                self.first = Some((bytes, running));
                return None;
            }
        };
        bytes.extend(frame.iter().flat_map(|s| s.to_le_bytes()));
        let mut buffer = gst::Buffer::from_slice(bytes);
        if let Some(b) = buffer.get_mut() {
            b.set_pts(start);
            b.set_duration(gst::ClockTime::from_nseconds(2 * HALF));
        }
        Some(buffer)
    }
}

impl AudioEncoder {
    /// Starts encoding what the microphone delivers.
    ///
    /// # Errors
    /// This box has no Opus encoder.
    pub fn start(time: &Time, microphone: Arc<Microphone>) -> Result<AudioEncoder, MediaError> {
        let outlets = Arc::new(Outlets::default());
        let failed: Arc<Mutex<Option<String>>> = Arc::default();
        let on_error: OnError = {
            let failed = failed.clone();
            Arc::new(move |text| {
                lock(&failed).get_or_insert(text);
            })
        };
        // Expected loss switches the in-band copies on; without it the encoder makes none.
        let description = format!(
            "appsrc name=in is-live=true format=time max-buffers=50 max-bytes=0 max-time=0 leaky-type=downstream \
             caps=\"audio/x-raw,format=S16LE,layout=interleaved,rate=48000,channels=1\" ! \
             opusenc name=encoder bitrate={BITRATE} frame-size=20 inband-fec=true packet-loss-percentage=5 audio-type=voice ! \
             rtpopuspay name=pay mtu=1200 ! appsink name=out sync=false async=false buffer-list=false max-buffers=50 drop=true"
        );
        let start = || -> Result<_, String> {
            let pipeline = Pipeline::build("audio encoder", &description, time, None, on_error)?;
            let src = pipeline.element("in").and_then(|e| e.downcast::<gst_app::AppSrc>().ok()).ok_or("no appsrc")?;
            let sink = pipeline.element("out").and_then(|e| e.downcast::<gst_app::AppSink>().ok()).ok_or("no appsink")?;
            let encoder = pipeline.element("encoder").ok_or("no opusenc")?;
            let to = outlets.clone();
            sink.set_callbacks(
                gst_app::AppSinkCallbacks::builder()
                    .new_sample(move |sink| {
                        let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                        if let Some(map) = sample.buffer().and_then(|b| b.map_readable().ok()) {
                            to.hand_out(&map);
                        }
                        Ok(gst::FlowSuccess::Ok)
                    })
                    .build(),
            );
            pipeline.play()?;
            Ok((pipeline, src, encoder))
        };
        let (pipeline, src, encoder) =
            start().map_err(|reason| MediaError(format!("Opus encoder: {reason}; install gstreamer1.0-plugins-base")))?;
        let frames = Arc::new(AtomicU64::new(0));
        let taker = {
            let (frames, halves) = (frames.clone(), Mutex::new(Halves::default()));
            microphone.add(Arc::new(move |frame: &[i16; FRAME], running| {
                frames.fetch_add(1, Ordering::Relaxed);
                if let Some(buffer) = lock(&halves).add(frame, running) {
                    let _ = src.push_buffer(buffer);
                }
            }))
        };
        Ok(AudioEncoder { pipeline: Mutex::new(Some(pipeline)), encoder, outlets, microphone, taker, failed, frames })
    }

    /// Its receivers.
    pub fn outlets(&self) -> &Outlets {
        &self.outlets
    }

    /// Four times a second: as many in-band copies as the loss asks for.
    ///
    /// # Errors
    /// It cannot go on, and why.
    pub fn tick(&self) -> Result<(), MediaError> {
        if let Some(reason) = lock(&self.failed).take() {
            return Err(MediaError(format!("Opus encoder: {reason}; reinstall gstreamer1.0-plugins-base")));
        }
        let percent = ((self.outlets.loss() * 100.0) as i32).clamp(5, 30);
        if self.encoder.property::<i32>("packet-loss-percentage") != percent {
            self.encoder.set_property("packet-loss-percentage", percent);
        }
        Ok(())
    }

    /// Its figures.
    pub fn stats(&self) -> Sent {
        Sent {
            codec: Codec::Opus,
            encoder: "opusenc".into(),
            width: 0,
            height: 0,
            fps: 0,
            target_bitrate: BITRATE,
            packets: self.outlets.packets.load(Ordering::Relaxed),
            bytes: self.outlets.bytes.load(Ordering::Relaxed),
            frames: self.frames.load(Ordering::Relaxed),
            frames_dropped: 0,
            key_frames: 0,
        }
    }

    /// Starts taking it down. Idempotent.
    pub fn close(&self) -> Option<Closing> {
        self.microphone.remove(self.taker);
        lock(&self.pipeline).take().map(Pipeline::close)
    }
}

impl Drop for AudioEncoder {
    fn drop(&mut self) {
        let _ = self.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_frames_of_the_microphone_make_one_of_the_encoder_and_a_gap_shifts_nothing() {
        super::super::super::gstreamer().unwrap();
        let (mut halves, ms) = (Halves::default(), gst::ClockTime::from_mseconds);
        assert!(halves.add(&[1; FRAME], ms(0)).is_none());
        let whole = halves.add(&[2; FRAME], ms(10)).unwrap();
        assert_eq!((whole.pts(), whole.duration(), whole.size()), (Some(ms(0)), Some(ms(20)), 4 * FRAME));
        let bytes = whole.map_readable().unwrap();
        assert_eq!((bytes[0], bytes[2 * FRAME]), (1, 2));
        assert!(halves.add(&[3; FRAME], ms(20)).is_none());
        // 40 ms are missing.
        assert!(halves.add(&[4; FRAME], ms(70)).is_none());
        assert_eq!(halves.add(&[5; FRAME], ms(80)).unwrap().pts(), Some(ms(70)));
    }
}
