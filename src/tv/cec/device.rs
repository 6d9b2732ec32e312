//! The kernel's HDMI-CEC adapter, `/dev/cecN` (Linux: Documentation/userspace-api/media/cec).
//!
//! Its calls are made on two threads of their own, one that sends and one that receives: a driver that hangs is given up
//! after some seconds and used again when it returns. The kernel answers the basic questions of other devices itself; we
//! are its one follower, so that nobody else acts on the same key.

use super::core::{Address, Sent};
use super::message::{Frame, Physical};
use super::{Adapter, Report};
use crate::media::camera::device::{ANSWER_WITHIN, within};
use crate::tv::watch::Watch;
use crate::tv::worker::{Stuck, Worker};
use cec_linux::{
    Capabilities, CecDevice, CecLogAddrType, CecLogAddrs, CecLogicalAddress, CecModeFollower, CecModeInitiator, CecOpcode,
    CecPhysicalAddress, CecPrimDevType, OSDStr, VendorID, Version,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc;
use tokio::time::sleep;

/// A call into the driver that takes longer hangs: the kernel gives up a message after about 2 s, claiming an address may
/// take three messages.
const PATIENCE: Duration = Duration::from_secs(8);
/// An adapter that is there but cannot be used (no permission yet, used by another) is tried again after this.
const AGAIN: Duration = Duration::from_secs(10);
/// Messages read at a time: more than come in while one is sent.
const AT_A_TIME: usize = 64;

/// Which adapter, and who we are there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The device; `None`: the first that is plugged into a television.
    pub device: Option<PathBuf>,
    /// What the television calls us, at most 14 letters.
    pub name: String,
    /// Where we are plugged in, for adapters that cannot know (USB).
    pub physical: Option<Physical>,
}

/// Uses an adapter from now on, also when it comes later, goes, and comes back. Call it inside a tokio runtime. It ends
/// with the receiver of the reports.
pub fn open(settings: Settings) -> Adapter {
    let (orders, inbox) = mpsc::channel(1);
    let (outbox, reports) = mpsc::channel(AT_A_TIME);
    tokio::spawn(supervise(settings, inbox, outbox));
    Adapter { orders, reports }
}

async fn supervise(settings: Settings, mut orders: mpsc::Receiver<Frame>, reports: mpsc::Sender<Report>) {
    let mut watch = Watch::new(&[Path::new("/dev")])
        .inspect_err(|e| log::warn!(MESSAGE_ID = crate::journal::messages::CEC_UNUSABLE.id; "/dev cannot be watched: {e}"))
        .ok();
    let mut said = String::new();
    loop {
        let ended = serve(&settings, &mut orders, &reports).await;
        while orders.try_recv().is_ok() {}
        if reports.send(Report::Address(None)).await.is_err() {
            return;
        }
        let (why, stuck) = match ended {
            Ended::NobodyListens => return,
            Ended::Because(why) => (why, None),
            Ended::Hangs(stuck) => ("its driver does not return from a call; it is left alone until it does".into(), Some(stuck)),
        };
        if why != said {
            log::warn!(MESSAGE_ID = crate::journal::messages::CEC_UNUSABLE.id; "the HDMI-CEC adapter cannot be used: {why}");
            said = why;
        }
        if let Some(stuck) = stuck {
            tokio::select! {
                () = stuck.returned() => said.clear(),
                () = reports.closed() => return,
            }
            continue;
        }
        let change = async {
            match &mut watch {
                Some(watch) => watch.changed().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = change => {
                // udev gives the node to its group a moment after it appeared.
                sleep(Duration::from_millis(200)).await;
            }
            () = sleep(AGAIN) => {}
            () = reports.closed() => return,
        }
    }
}

enum Ended {
    NobodyListens,
    Because(String),
    Hangs(Stuck),
}

impl From<Stuck> for Ended {
    fn from(stuck: Stuck) -> Ended {
        Ended::Hangs(stuck)
    }
}

async fn serve(settings: &Settings, orders: &mut mpsc::Receiver<Frame>, reports: &mpsc::Sender<Report>) -> Ended {
    match run(settings, orders, reports).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

enum Never {}

async fn run(settings: &Settings, orders: &mut mpsc::Receiver<Frame>, reports: &mpsc::Sender<Report>) -> Result<Never, Ended> {
    let no_thread = |e: io::Error| Ended::Because(e.to_string());
    let (sender, receiver) = (Worker::start("cec-out").map_err(no_thread)?, Worker::start("cec-in").map_err(no_thread)?);
    let wanted = settings.clone();
    let Found { device, path, mut alone } = receiver.run(PATIENCE, move || find(&wanted)).await?.map_err(Ended::Because)?;
    let device = Arc::new(device);
    let opened = device.clone();
    let mut known = receiver.run(PATIENCE, move || address(&opened)).await?.map_err(|e| lost(&e))?;
    log::info!("HDMI-CEC by {} at {}", path.display(), known.physical);
    tell(reports, Report::Address(Some(known))).await?;
    // Events are not taken out: what they say is asked for, and that there is one is seen by the edge.
    #[allow(deprecated)] // its successor is unsafe for types that close their descriptor early; this one does not
    let ready = AsyncFd::with_interest(device.clone(), Interest::READABLE | Interest::PRIORITY).map_err(|e| lost(&e))?;
    let mut sending = None;
    let mut again = tokio::time::interval(AGAIN);
    loop {
        tokio::select! {
            order = orders.recv(), if sending.is_none() => {
                let Some(frame) = order else { return Err(Ended::NobodyListens) };
                let (device, sender) = (device.clone(), &sender);
                sending = Some(Box::pin(async move { sender.run(PATIENCE, move || transmit(&device, &frame)).await }));
            }
            sent = async { match &mut sending { Some(sending) => sending.await, None => std::future::pending().await } } => {
                sending = None;
                let sent = sent?.map_err(|e| lost(&e))?;
                tell(reports, Report::Sent(sent)).await?;
            }
            guard = ready.ready(Interest::READABLE | Interest::PRIORITY) => {
                guard.map_err(|e| lost(&e))?.clear_ready();
                let device = device.clone();
                let (frames, now) = receiver.run(PATIENCE, move || Ok((drain(&device)?, address(&device)?))).await?.map_err(|e| lost(&e))?;
                for frame in frames {
                    tell(reports, Report::Received(frame)).await?;
                }
                if now != known {
                    known = now;
                    log::info!("HDMI-CEC is at {} now", known.physical);
                    tell(reports, Report::Address(Some(known))).await?;
                }
            }
            _ = again.tick(), if !alone => {
                let device = device.clone();
                alone = receiver.run(PATIENCE, move || device.set_mode(CecModeInitiator::Send, CecModeFollower::Exclusive)).await?.is_ok();
                if alone {
                    log::info!("keys and answers that come by {} reach us now, and nobody else", path.display());
                }
            }
            () = reports.closed() => return Err(Ended::NobodyListens),
        }
    }
}

async fn tell(reports: &mpsc::Sender<Report>, report: Report) -> Result<(), Ended> {
    reports.send(report).await.map_err(|_| Ended::NobodyListens)
}

fn lost(e: &io::Error) -> Ended {
    Ended::Because(match e.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => "it was unplugged; used again when it is back".into(),
        _ => e.to_string(),
    })
}

/// An adapter that has been set up.
struct Found {
    device: CecDevice,
    path: PathBuf,
    /// What is sent to it comes to us, and to nobody else.
    alone: bool,
}

/// The adapter to use, set up.
fn find(settings: &Settings) -> Result<Found, String> {
    let candidates = match &settings.device {
        Some(device) => vec![device.clone()],
        None => adapters(),
    };
    let mut trouble = Vec::new();
    let mut spare = None;
    for path in candidates {
        match look(&path, settings) {
            Ok(Some((device, true))) => return set_up(device, path, settings),
            Ok(Some((device, false))) => spare = spare.or(Some((device, path))),
            Ok(None) => trouble.push(format!("{} is not the sending end of a cable", path.display())),
            Err(e) => trouble.push(format!("{}: {e}", path.display())),
        }
    }
    match spare {
        Some((device, path)) => set_up(device, path, settings),
        None if trouble.is_empty() => Err("there is none (/dev/cec*); it is used as soon as it comes".into()),
        None => Err(trouble.join("; ")),
    }
}

/// The trouble of an adapter whose driver does not return from a call.
pub const HANGS: &str = "its driver does not answer";

/// What an adapter says of itself, for a technician.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct AdapterInfo {
    /// Such as `/dev/cec0`.
    pub path: PathBuf,
    /// The kernel's driver.
    pub driver: Option<String>,
    /// Where it is plugged in, such as `1.0.0.0`; `None` without a television at the other end.
    pub physical: Option<String>,
    /// Its address on the bus; `None` until the daemon has claimed one.
    pub logical: Option<u8>,
    /// Why it could not be asked.
    pub trouble: Option<String>,
}

impl AdapterInfo {
    /// Whether it is the one of a television, at the other end of some box's cable.
    fn is_televisions_own(&self) -> bool {
        self.physical.as_deref() == Some("0.0.0.0")
    }

    /// All but the path, in words.
    pub fn words(&self) -> String {
        let driver = self.driver.as_deref().unwrap_or("unknown driver");
        match (&self.trouble, &self.physical) {
            (Some(trouble), _) => format!("cannot be asked: {trouble}"),
            (None, None) => format!("{driver}, no television at the other end"),
            (None, Some(physical)) => {
                let logical = self.logical.map_or_else(|| "no address on the bus".to_owned(), |n| format!("logical address {n}"));
                format!("{driver}, plugged in at {physical}, {logical}")
            }
        }
    }
}

/// All adapters of the box with what they say. Nothing is sent over the cable. Blocks while drivers answer, three seconds for each that
/// hangs.
pub fn adapters_here() -> Vec<AdapterInfo> {
    adapters().into_iter().map(adapter_at).collect()
}

/// The adapter that the daemon would use, with what it says: this one, or the first that is plugged into a television, or else the first.
/// Blocks as [`adapters_here`] does.
pub fn adapter_for(wanted: Option<PathBuf>) -> Option<AdapterInfo> {
    if let Some(path) = wanted {
        return Some(adapter_at(path));
    }
    let mut all = adapters_here();
    all.retain(|adapter| !adapter.is_televisions_own());
    let plugged = all.iter().position(|adapter| adapter.physical.is_some()).unwrap_or(0);
    (!all.is_empty()).then(|| all.swap_remove(plugged))
}

fn adapter_at(path: PathBuf) -> AdapterInfo {
    let asked = path.clone();
    let ask = move || {
        let device = CecDevice::open(asked)?;
        Ok((device.get_capas()?.driver().to_owned(), address(&device)?))
    };
    match within(ANSWER_WITHIN, ask).unwrap_or_else(|| Err(io::Error::new(io::ErrorKind::TimedOut, HANGS))) {
        Ok((driver, at)) => {
            let physical = at.physical.is_valid().then(|| at.physical.to_string());
            AdapterInfo { driver: Some(driver), physical, logical: at.logical, trouble: None, path }
        }
        Err(e) => {
            let e: io::Error = e;
            AdapterInfo { driver: None, physical: None, logical: None, trouble: Some(e.to_string()), path }
        }
    }
}

/// All adapters, by number.
fn adapters() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("/dev").into_iter().flatten().flatten();
    let mut found: Vec<(u32, PathBuf)> =
        entries.filter_map(|entry| Some((entry.file_name().to_str()?.strip_prefix("cec")?.parse().ok()?, entry.path()))).collect();
    found.sort();
    found.into_iter().map(|(_, path)| path).collect()
}

/// Whether it can send, and whether there is a television at the other end now.
fn look(path: &Path, settings: &Settings) -> io::Result<Option<(CecDevice, bool)>> {
    let device = CecDevice::open(path)?;
    let capabilities = device.get_capas()?.capabilities();
    let physical = device.get_phys()?;
    let television = physical.to_num() == 0;
    if !capabilities.contains(Capabilities::TRANSMIT) || television && settings.device.is_none() {
        return Ok(None);
    }
    Ok(Some((device, physical != CecPhysicalAddress::INVALID || settings.physical.is_some())))
}

fn set_up(device: CecDevice, path: PathBuf, settings: &Settings) -> Result<Found, String> {
    let tell = |what: &str, e: io::Error| format!("{}: {what}: {e}", path.display());
    let exclusive = device.set_mode(CecModeInitiator::Send, CecModeFollower::Exclusive);
    if let Err(e) = &exclusive {
        // The kernel gives such a program everything, and us nothing.
        log::warn!(MESSAGE_ID = crate::journal::messages::CEC_UNUSABLE.id; "another program keeps the keys and answers that come by {} to itself ({e}): end it (Kodi, cec-follower, …)", path.display());
        device.set_mode(CecModeInitiator::Send, CecModeFollower::All).map_err(|e| tell("another program keeps it to itself", e))?;
    }
    let capabilities = device.get_capas().map_err(|e| tell("capabilities", e))?.capabilities();
    if let Some(physical) = settings.physical.filter(|_| capabilities.contains(Capabilities::PHYS_ADDR)) {
        device.set_phys(CecPhysicalAddress::from_num(physical.0)).map_err(|e| tell("physical address", e))?;
    }
    if capabilities.contains(Capabilities::LOG_ADDRS) {
        let name: String = settings.name.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(14).collect();
        let before = device.get_log().map_err(|e| tell("logical address", e))?;
        // What an earlier run claimed is kept: sets show every change as "device connected".
        if !(before.mask().is_playback() && before.osd_name.as_ref() == name && before.flags.is_empty()) {
            let name = OSDStr::try_from(name).unwrap_or_default();
            // No vendor: sets speak other languages to boxes of their own maker.
            let ours = CecLogAddrs::new(VendorID::NONE, Version::V1_4, name, &[CecPrimDevType::PLAYBACK], &[CecLogAddrType::PLAYBACK]);
            device.set_log(CecLogAddrs::default()).map_err(|e| tell("logical address", e))?;
            device.set_log(ours).map_err(|e| tell("logical address", e))?;
        }
    }
    Ok(Found { device, path, alone: exclusive.is_ok() })
}

fn address(device: &CecDevice) -> io::Result<Address> {
    let physical = Physical(device.get_phys()?.to_num());
    let mask = device.get_log()?.mask();
    // Bit 15 is "without an address": as good as none.
    let logical = (0..15).find(|n| mask.bits() & 1 << n != 0);
    Ok(Address { physical, logical: logical.filter(|_| physical.is_valid()) })
}

fn drain(device: &CecDevice) -> io::Result<Vec<Frame>> {
    let mut frames = Vec::new();
    while frames.len() < AT_A_TIME {
        // The shortest wait there is: 0 is for ever.
        match device.rec_for(1) {
            Ok(message) => {
                let opcode = match message.opcode() {
                    Some(Ok(opcode)) => opcode.into(),
                    Some(Err(unknown)) => unknown.number,
                    None => continue,
                };
                frames.push(Frame::new(message.initiator().into(), message.destination().into(), opcode, message.parameters()));
            }
            Err(e) if matches!(e.raw_os_error(), Some(libc::ETIMEDOUT | libc::EAGAIN)) => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(frames)
}

fn transmit(device: &CecDevice, frame: &Frame) -> io::Result<Sent> {
    let address = |n: u8| CecLogicalAddress::try_from(n).unwrap_or(CecLogicalAddress::UnregisteredBroadcast);
    let Ok(opcode) = CecOpcode::try_from(frame.opcode) else { return Ok(Sent::Refused) };
    match device.transmit_data(address(frame.from), address(frame.to), opcode, &frame.data) {
        Ok(()) => Ok(Sent::Acked),
        Err(e) => fate(e),
    }
}

/// What became of a message that was not acknowledged.
///
/// # Errors
/// The adapter is gone.
fn fate(e: io::Error) -> io::Result<Sent> {
    match e.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => Err(e),
        Some(libc::EBUSY) => Ok(Sent::Lost),
        Some(_) => Ok(Sent::Refused),
        // The crate tells the fate of a message in words only.
        None => {
            let words = e.to_string();
            let disturbed = ["ArbLost", "LowDrive", "Errors"].iter().any(|w| words.contains(w)) && !words.contains("NAck");
            Ok(if disturbed { Sent::Lost } else { Sent::NotAcked })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_became_of_a_message_is_told_from_the_kernels_number_or_the_crates_words() {
        let words = |text: &str| fate(io::Error::other(text)).unwrap();
        assert_eq!(words("ArbLost: 5 "), Sent::Lost);
        assert_eq!(words("LowDrive: 2 Errors: 1 "), Sent::Lost);
        // somebody spoke in between, and nobody was there all the same
        assert_eq!(words("ArbLost: 1 NAck: 2 "), Sent::NotAcked);
        assert_eq!(words("NAck: 2 "), Sent::NotAcked);
        let number = |n| fate(io::Error::from_raw_os_error(n));
        assert_eq!(number(libc::EBUSY).unwrap(), Sent::Lost);
        assert_eq!(number(libc::EINVAL).unwrap(), Sent::Refused);
        assert!(number(libc::ENODEV).is_err() && number(libc::ENXIO).is_err());
    }
}
