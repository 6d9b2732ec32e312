//! Remote controls and keyboards by the kernel's input devices (evdev): USB, infrared, Bluetooth. All that can say yes or
//! no are listened to, also those that come later.
//!
//! A key never reaches both us and another program: while something of ours is shown the devices are ours alone
//! (`EVIOCGRAB`), and what could not be grabbed is not acted on; otherwise they belong to the others, and all we take from
//! a key is that somebody uses the television. A device changes hands only while none of its keys is held, or the other
//! program would see a key that is never let go.

use super::keymap::Map;
use super::keys::Stroke;
use super::stage::DriverEvent;
use super::watch::Watch;
use super::worker::{Stuck, Worker};
use evdev::{BusType, Device, EventSummary, KeyCode};
use futures_util::FutureExt;
use std::collections::{HashMap, HashSet};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::task::AbortOnDropHandle;

const DIRECTORY: &str = "/dev/input";
/// A node appears before udev has given it to its group.
const SETTLE: Duration = Duration::from_millis(250);
/// A call into a driver takes longer only when that hangs.
const PATIENCE: Duration = Duration::from_secs(5);
/// A key that is held longer than this when a device is to be given back is stuck.
const HELD: Duration = Duration::from_secs(3);

/// Which devices.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Paths, or parts of names; empty: all that can be remotes.
    pub devices: Vec<String>,
    /// Keys that the kernel passes on from HDMI-CEC come from there already.
    pub cec_elsewhere: bool,
}

/// Listens from now on; ends with the receiver of the events, or the sender of `shown` (whether something of ours is
/// shown). Call it inside a tokio runtime.
pub fn start(settings: Settings, map: Arc<Map>, shown: watch::Receiver<bool>, tell: mpsc::Sender<DriverEvent>) {
    tokio::spawn(discover(settings, map, shown, tell));
}

/// Whether another program keeps a device to itself. `false` also where that cannot be told: without the right to open it, or while one of
/// its keys is held. Blocks while its driver answers.
pub fn is_taken(path: &Path) -> bool {
    let Ok(mut device) = Device::open(path) else { return false };
    // The others would not see a held key let go.
    if device.get_key_state().map_or(true, |held| held.iter().next().is_some()) {
        return false;
    }
    // Given back when it is closed, at once.
    device.grab().is_err_and(|e| e.kind() == io::ErrorKind::ResourceBusy)
}

/// A node as it is now: another device may get the same name later.
type Node = (PathBuf, u64, i64);

async fn discover(settings: Settings, map: Arc<Map>, shown: watch::Receiver<bool>, tell: mpsc::Sender<DriverEvent>) {
    let mut watch = match Watch::new(&[Path::new("/dev"), Path::new(DIRECTORY)]) {
        Ok(watch) => watch,
        Err(e) => {
            return log::warn!(MESSAGE_ID = crate::journal::messages::REMOTE_UNUSABLE.id; "remote controls that are plugged in later will not be found: {e}; restart residentd then");
        }
    };
    // What is known: a listener, or nothing for a device that is no remote.
    let mut known: HashMap<Node, Option<AbortOnDropHandle<()>>> = HashMap::new();
    // Those whose drivers did not return; each is tried again when it does.
    let mut hung = JoinSet::new();
    loop {
        let there = nodes();
        known.retain(|node, listener| there.contains(node) && listener.as_ref().is_none_or(|l| !l.is_finished()));
        for node in there {
            if known.contains_key(&node) {
                continue;
            }
            let path = node.0.clone();
            match open(path.clone()).await {
                Ok(Some(device)) if is_ours(&settings, &map, &path, &device) => {
                    let name = device.name().unwrap_or("without a name").to_owned();
                    log::info!("listening to the remote control or keyboard {name:?} ({})", path.display());
                    let mute = settings.cec_elsewhere && device.input_id().bus_type() == BusType::BUS_CEC;
                    let listener = Listener { name, map: map.clone(), shown: shown.clone(), tell: tell.clone(), mute, refused: false };
                    known.insert(node, Some(AbortOnDropHandle::new(tokio::spawn(listener.run(device)))));
                }
                Ok(Some(_)) => drop(known.insert(node, None)),
                // Not ours to read yet: its change of hands is seen.
                Ok(None) => {}
                Err(trouble) => {
                    log::warn!(MESSAGE_ID = crate::journal::messages::REMOTE_UNUSABLE.id; "{}: {trouble}; not used", path.display());
                    known.insert(node.clone(), None);
                    if let Trouble::Hangs(stuck) = trouble {
                        hung.spawn(stuck.returned().map(|()| node));
                    }
                }
            }
        }
        tokio::select! {
            () = watch.changed() => sleep(SETTLE).await,
            Some(Ok(node)) = hung.join_next() => drop(known.remove(&node)),
            () = tell.closed() => return,
        }
    }
}

fn nodes() -> HashSet<Node> {
    let entries = std::fs::read_dir(DIRECTORY).into_iter().flatten().flatten();
    let events = entries.filter(|e| e.file_name().to_string_lossy().starts_with("event"));
    events
        .filter_map(|e| {
            let about = e.metadata().ok()?;
            Some((e.path(), about.rdev(), about.ctime()))
        })
        .collect()
}

/// Why a call into a driver gave nothing.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("its driver does not return")]
    Hangs(Stuck),
    #[error("{0}")]
    Failed(#[from] io::Error),
}

/// `None`: there is no right to it, or it is gone again.
async fn open(path: PathBuf) -> Result<Option<Device>, Trouble> {
    match driver(move || Device::open(path)).await? {
        Ok(device) => Ok(Some(device)),
        Err(e) if matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::NotFound) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Makes a call that may never return.
async fn driver<T: Send + 'static>(call: impl FnOnce() -> T + Send + 'static) -> Result<T, Trouble> {
    Worker::start("tv-key")?.run(PATIENCE, call).await.map_err(Trouble::Hangs)
}

fn is_ours(settings: &Settings, map: &Map, path: &Path, device: &Device) -> bool {
    if settings.devices.is_empty() {
        return map.is_remote(device.supported_keys().into_iter().flat_map(|keys| keys.iter()));
    }
    let name = device.name().unwrap_or_default();
    settings.devices.iter().any(|wanted| Path::new(wanted) == path || !wanted.starts_with('/') && name.contains(wanted.as_str()))
}

struct Listener {
    name: String,
    map: Arc<Map>,
    shown: watch::Receiver<bool>,
    tell: mpsc::Sender<DriverEvent>,
    /// Grabbed, but not listened to.
    mute: bool,
    refused: bool,
}

impl Listener {
    async fn run(mut self, device: Device) {
        if let Err(e) = self.listen(device).await {
            log::info!("the remote control or keyboard {:?} is gone ({e}); used again when it is back", self.name);
        }
    }

    async fn listen(&mut self, device: Device) -> Result<(), Trouble> {
        let (keys, device) = driver(move || (device.get_key_state(), device)).await?;
        let mut held: HashSet<KeyCode> = keys?.iter().collect();
        let mut stream = device.into_event_stream()?;
        let mut grabbed = false;
        let mut since = Instant::now();
        loop {
            let want = *self.shown.borrow_and_update();
            let stuck = since + HELD;
            if want != grabbed && (held.is_empty() || !want && Instant::now() >= stuck) {
                let change = move || {
                    let device = stream.device_mut();
                    let done = if want { device.grab() } else { device.ungrab() };
                    (stream, done)
                };
                let (returned, done) = driver(change).await?;
                stream = returned;
                grabbed = self.changed_hands(want, done);
            }
            let giving = grabbed && !want;
            tokio::select! {
                event = stream.next_event() => {
                    let EventSummary::Key(_, code, value) = event?.destructure() else { continue };
                    if value == 0 { held.remove(&code) } else { held.insert(code) };
                    // Shown, but not ours alone: another program acts on it.
                    let shared = want && !grabbed && value != 0;
                    if !self.mute && !shared && let Some(key) = self.map.of_evdev(code) {
                        // A flood of keys must not hold up the device: what nobody has room for is lost.
                        let _ = self.tell.try_send(DriverEvent::Stroke(Stroke { key, pressed: value != 0 }));
                    }
                }
                changed = self.shown.changed() => {
                    since = Instant::now();
                    if changed.is_err() {
                        return Ok(());
                    }
                }
                () = sleep_until(stuck), if giving => {}
            }
        }
    }

    /// It was to be taken for us alone, or given back; whether it is ours now.
    fn changed_hands(&mut self, take: bool, done: io::Result<()>) -> bool {
        match done {
            Ok(()) => {
                self.refused = false;
                take
            }
            Err(e) => {
                if take && !std::mem::replace(&mut self.refused, true) {
                    log::warn!(MESSAGE_ID = crate::journal::messages::REMOTE_UNUSABLE.id; "another program keeps {:?} to itself ({e}); its keys do nothing here", self.name);
                }
                !take
            }
        }
    }
}
