//! How the configured camera is opened: found under its name, asked what it offers, set up, and, when it refuses, asked why.

use super::capture;
use super::choice::{Choice, Want};
use super::coded::Coded;
use super::device::{self, Camera};
use super::{controls, trouble};
use crate::media::session::{CameraSource, Config};
use crate::media::source::{Bring, Diagnosis, Way, lock};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// The way to the configured camera. Everything but [`Opening::keep_rate`] may block, and has a thread of its own.
pub struct Opening {
    source: CameraSource,
    want: Want,
    mains: controls::Mains,
    /// Where a coding camera is told what to do.
    coded: Arc<Coded>,
    /// Which camera it was.
    last: Mutex<Option<Last>>,
    /// What the kernel said when it refused, if it did.
    refused: Arc<Mutex<Option<io::Error>>>,
}

struct Last {
    path: PathBuf,
    stable: Option<PathBuf>,
    name: String,
}

impl Opening {
    /// For this configuration.
    pub fn new(config: &Config, coded: Arc<Coded>) -> Opening {
        Opening {
            source: config.camera.clone(),
            want: config.want(),
            mains: config.mains,
            coded,
            last: Mutex::new(None),
            refused: Arc::default(),
        }
    }

    /// The ways to open it now, best first.
    ///
    /// # Errors
    /// It is not there, or does not answer.
    pub fn ways(&self) -> Result<Vec<Way>, String> {
        let Want { width, height, fps, .. } = self.want;
        let way = |description: String| Ok(vec![Way { description, about: String::new(), needs: 0, bring: None }]);
        match &self.source {
            CameraSource::None => Err("there is none".into()),
            CameraSource::Test => way(format!(
                "videotestsrc is-live=true pattern=smpte horizontal-speed=4 ! \
                 video/x-raw,format=I420,width={width},height={height},framerate={fps}/1 ! {}",
                self.tail()
            )),
            CameraSource::Launch(text) => way(format!("{text} ! {}", self.tail())),
            CameraSource::V4l2(path) => self.kernels(&self.find(path)?),
            CameraSource::Auto => self.kernels(&self.first()?),
        }
    }

    /// The ways to open a camera of the kernel's.
    fn kernels(&self, path: &Path) -> Result<Vec<Way>, String> {
        let said = device::ask(path, self.want).map_err(|e| trouble::words(&path.to_string_lossy(), &e))?;
        let camera = said.ok_or("it is no camera, or has no format that can be read here; choose another device in the configuration")?;
        controls::prepare(&camera.path, self.mains);
        let about = |c: &Choice| format!("{} ({}): {c}; {}", camera.name, camera.path.display(), c.why);
        let way = |c: &Choice| Way {
            description: format!("{}{}", capture::source(c), self.tail()),
            about: about(c),
            needs: c.needs,
            bring: Some(self.bring(&camera.path, c)),
        };
        let ways = camera.choices.iter().map(way).collect();
        let Camera { path, stable, name, .. } = camera;
        *lock(&self.last) = Some(Last { path, stable, name });
        Ok(ways)
    }

    fn bring(&self, path: &Path, choice: &Choice) -> Bring {
        let (path, choice, refused, coded) = (path.to_owned(), choice.clone(), self.refused.clone(), self.coded.clone());
        Arc::new(move |into, stop| {
            capture::run(&path, &choice, into, stop, &coded.steer).map_err(|e| {
                let words = trouble::words(&path.to_string_lossy(), &e);
                *lock(&refused) = Some(e);
                words
            })
        })
    }

    /// The configured device; when it was pulled and put in again, the same camera may have another number.
    fn find(&self, path: &str) -> Result<PathBuf, String> {
        if Path::new(path).exists() {
            return Ok(path.into());
        }
        let gone = || format!("{path} is not there; {}", trouble::advice("not there"));
        let (stable, name) = lock(&self.last).as_ref().map(|l| (l.stable.clone(), l.name.clone())).ok_or_else(gone)?;
        let (all, _) = device::list(self.want);
        let same = all.into_iter().find(|c| c.name == name && (c.stable == stable || stable.is_none()));
        same.map(|c| c.path).ok_or_else(gone)
    }

    /// The first camera that gives pictures.
    fn first(&self) -> Result<PathBuf, String> {
        let (all, silent) = device::list(self.want);
        let found = all.into_iter().find(|c| !c.choices.is_empty()).map(|c| c.path);
        found.ok_or_else(|| silent.into_iter().next().map_or_else(|| format!("there is none; {}", trouble::advice("not there")), |s| s.why))
    }

    /// Why the last way did not deliver.
    pub fn diagnose(&self) -> Diagnosis {
        let (Some(e), path) = (lock(&self.refused).take(), lock(&self.last).as_ref().map(|l| l.path.clone())) else {
            return Diagnosis::Unclear;
        };
        let words = trouble::words(&path.unwrap_or_default().to_string_lossy(), &e);
        if trouble::is_bandwidth(&e) {
            Diagnosis::NoRoom(words)
        } else if trouble::is_hopeless(&e) {
            Diagnosis::Hopeless(words)
        } else {
            Diagnosis::Unclear
        }
    }

    /// Tells the camera to keep its rate from now on. Never blocks.
    pub fn keep_rate(&self) {
        let Some(path) = lock(&self.last).as_ref().map(|l| l.path.clone()) else { return };
        let work = move || {
            let result = if controls::keep_rate(&path) { "it is told to keep its rate" } else { "it cannot be told to keep its rate" };
            log::info!("camera {}: fewer than {} pictures a second in this light; {result}", path.display(), super::choice::LEAST_RATE);
        };
        let _ = std::thread::Builder::new().name("media-ask".into()).spawn(work);
    }

    /// From whatever the device gives to frames of one size. The size is made here and nowhere else, letterboxed.
    fn tail(&self) -> String {
        let Want { width, height, fps, .. } = self.want;
        format!(
            "videorate drop-only=true max-rate={fps} ! videoconvert ! videoscale add-borders=true ! \
             video/x-raw,format=I420,width={width},height={height},pixel-aspect-ratio=1/1 ! \
             appsink name=out sync=false async=false max-buffers=2 drop=true"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::choice::choose;
    use super::super::offer::{Bus, Coding, Mode, Pixels, Rate};
    use super::*;

    fn opening(camera: &str) -> Opening {
        Opening::new(&Config { camera: camera.parse().unwrap(), ..Config::default() }, Arc::default())
    }

    #[test]
    fn a_choice_becomes_a_pipeline_that_asks_for_exactly_that() {
        let want = Want { width: 1280, height: 720, fps: 24, h264: true };
        let mode = |coding, rate| Mode { coding, width: 640, height: 360, rates: vec![rate], any_between: false, steered: false };
        let pipeline = |coding, rate| capture::source(&choose(&[mode(coding, rate)], want, Bus::Other)[0]);
        let jpeg = pipeline(Coding::Jpeg, Rate { pictures: 30_000, seconds: 1001 });
        assert!(jpeg.ends_with("caps=\"image/jpeg,width=640,height=360,framerate=30000/1001\" ! jpegdec ! "), "{jpeg}");
        let raw = pipeline(Coding::Raw(Pixels::Yuy2), Rate::whole(30));
        assert!(raw.ends_with("caps=\"video/x-raw,format=YUY2,width=640,height=360,framerate=30/1\" ! "), "{raw}");
        let own = pipeline(Coding::H264, Rate::whole(30));
        assert!(own.contains("h264parse name=coded ") && own.contains(" ! avdec_h264 "), "{own}");
    }

    #[test]
    fn a_camera_that_is_not_there_is_said_to_be_so() {
        let reason = opening("/dev/nonexistent").ways().unwrap_err();
        assert_eq!(reason, "/dev/nonexistent is not there; plug it in, or choose another device in the configuration");
    }

    #[test]
    fn what_is_no_camera_is_said_to_be_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(opening(&file.path().to_string_lossy()).ways().unwrap_err().contains("; "));
    }

    #[test]
    fn what_the_kernel_said_decides_what_is_tried_next() {
        let camera = opening("/dev/video0");
        assert_eq!(camera.diagnose(), Diagnosis::Unclear);
        let after = |errno| {
            *lock(&camera.refused) = Some(io::Error::from_raw_os_error(errno));
            camera.diagnose()
        };
        assert!(matches!(after(28), Diagnosis::NoRoom(words) if words.contains("USB bandwidth")));
        assert!(matches!(after(16), Diagnosis::Hopeless(words) if words.contains("busy")));
        assert_eq!(after(22), Diagnosis::Unclear);
    }
}
