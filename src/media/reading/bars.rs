//! Colour bars on the display, for somebody who stands in front of it.

use super::super::pipeline::{CLOSE_WITHIN, OnError, Pipeline, Time, gstreamer};
use super::super::source::lock;
use ::gstreamer as gst;
use gst::prelude::*;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio_util::sync::CancellationToken;

/// Shows moving colour bars for so long through this end of a GStreamer pipeline, whose sink is called `sink`; how many pictures were shown.
///
/// # Errors
/// One line: what is wrong and what to try; or that a call came.
pub fn bars(sink: &str, span: Duration, call: &CancellationToken) -> Result<u64, String> {
    gstreamer().map_err(|e| e.0)?;
    let failed: Arc<Mutex<Option<String>>> = Arc::default();
    let on_error: OnError = {
        let failed = failed.clone();
        Arc::new(move |why| {
            lock(&failed).get_or_insert(why);
        })
    };
    let description = format!(
        "videotestsrc is-live=true pattern=smpte horizontal-speed=4 ! video/x-raw,width=1280,height=720,framerate=25/1 ! \
         videoconvert ! {sink}"
    );
    let time = Time::start();
    let pipeline = Pipeline::build("screen", &description, &time, None, on_error)?;
    let advice = "end what else uses the display (the daemon, while it shows something, or a desktop), and check the cable";
    let trouble = |why: Option<String>, or: String| format!("{}; {advice}", why.unwrap_or(or));
    pipeline.play().map_err(|e| trouble(lock(&failed).take(), e))?;
    let began = Instant::now();
    let ended = loop {
        if let Some(why) = lock(&failed).take() {
            break Err(trouble(Some(why), String::new()));
        }
        if call.is_cancelled() {
            break Err("a call came: the display is left to it".to_owned());
        }
        if began.elapsed() >= span {
            let stats = pipeline.element("sink").map(|sink| sink.property::<gst::Structure>("stats"));
            break Ok(stats.and_then(|stats| stats.get::<u64>("rendered").ok()).unwrap_or(0));
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    pipeline.close().done_by(Instant::now() + 4 * CLOSE_WITHIN);
    match ended {
        Ok(0) => Err(trouble(None, "nothing was shown".to_owned())),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_reach_the_sink_and_a_sink_that_is_not_there_is_told() {
        let call = CancellationToken::new();
        assert!(bars("fakesink name=sink sync=true", Duration::from_millis(800), &call).unwrap() > 0);
        assert!(bars("nosuchsink name=sink", Duration::from_millis(100), &call).is_err());
        call.cancel();
        assert!(bars("fakesink name=sink", Duration::from_secs(60), &call).unwrap_err().contains("a call came"));
    }
}
