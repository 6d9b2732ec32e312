//! One pipeline from pictures to packets. Lines follow each other in one stream: same source, next sequence number.

use super::super::super::pipeline::{Closing, OnError, Pipeline, Time};
use super::super::super::source::lock;
use super::super::outlets::Outlets;
use gstreamer as gst;
use gstreamer::prelude::*;
use gstreamer_app as gst_app;
use gstreamer_video as gst_video;
use std::sync::{Arc, Mutex};

/// A running line.
pub struct Line {
    pipeline: Pipeline,
    /// Takes pictures.
    pub src: gst_app::AppSrc,
    sink: gst_app::AppSink,
    /// Its packets count. Held while one is handed out: when the next line asks for its first sequence number, this one's
    /// last packet is out or never will be.
    open: Arc<Mutex<bool>>,
}

impl Line {
    /// Starts a pipeline from `appsrc name=in` to `appsink name=out`.
    ///
    /// # Errors
    /// What GStreamer says.
    pub fn start(description: &str, time: &Time, outlets: Arc<Outlets>, on_error: OnError) -> Result<Line, String> {
        let pipeline = Pipeline::build("video encoder", description, time, None, on_error)?;
        let element = |name: &str| pipeline.element(name).ok_or_else(|| format!("no element `{name}`"));
        let src = element("in")?.downcast::<gst_app::AppSrc>().map_err(|_| "no appsrc")?;
        let sink = element("out")?.downcast::<gst_app::AppSink>().map_err(|_| "no appsink")?;
        let open = Arc::new(Mutex::new(true));
        let hand_out = {
            let open = open.clone();
            move |sink: &gst_app::AppSink| {
                let sample = sink.pull_sample().map_err(|_| gst::FlowError::Eos)?;
                let open = lock(&open);
                if let (true, Some(map)) = (*open, sample.buffer().and_then(|b| b.map_readable().ok())) {
                    outlets.hand_out(&map);
                }
                Ok(gst::FlowSuccess::Ok)
            }
        };
        sink.set_callbacks(gst_app::AppSinkCallbacks::builder().new_sample(hand_out).build());
        pipeline.play()?;
        Ok(Line { pipeline, src, sink, open })
    }

    /// The element of this name in the description.
    pub fn element(&self, name: &str) -> Result<gst::Element, String> {
        self.pipeline.element(name).ok_or_else(|| format!("no element `{name}`"))
    }

    /// The next picture shall be a key frame.
    pub fn key_frame(&self) {
        if let Some(pad) = self.sink.static_pad("sink") {
            pad.push_event(gst_video::UpstreamForceKeyUnitEvent::builder().all_headers(true).build());
        }
    }

    /// No packet of it is handed out any more.
    pub fn close(self) -> Closing {
        *lock(&self.open) = false;
        self.pipeline.close()
    }
}
