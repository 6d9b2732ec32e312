//! A display that this program holds: [`Lit`], to be shown on, or [`Dark`]. Nobody else can show anything there meanwhile.

use super::displays::{self, Card, Display, Mode, Wanted};
use drm::buffer::{Buffer as _, DrmFourcc};
use drm::control::dumbbuffer::DumbBuffer;
use drm::control::{Device as _, connector, crtc, framebuffer, property};
use drm::{ClientCapability, Device as _};
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

/// There is one holder of a card at a time (DRM master).
///
/// # Errors
/// Somebody else holds it, and who where that can be seen.
fn hold(path: &Path) -> Result<Card, String> {
    if let Some(card) = take(path)? {
        return Ok(card);
    }
    let (others, here) = holders(path);
    let who = match others.is_empty() {
        false => others.join(", "),
        true if here => return Err(format!("{} is still being closed; where that does not end, see journalctl -k", path.display())),
        // Let go meanwhile, or held by somebody out of our sight.
        true => match take(path)? {
            Some(card) => return Ok(card),
            None => "another program".into(),
        },
    };
    Err(format!("{who} holds {} (DRM master); end it, or use tv.sink = \"window\" within a desktop", path.display()))
}

/// The card, if nobody else holds it. Who opens one that nobody holds, holds it; asked again by its holder this changes nothing.
fn take(path: &Path) -> Result<Option<Card>, String> {
    let card = Card::open(path).map_err(|e| format!("{}: {e}", path.display()))?;
    Ok(card.acquire_master_lock().is_ok().then_some(card))
}

/// Other programs that have the device open, as far as /proc lets us see; and whether this one has.
fn holders(card: &Path) -> (Vec<String>, bool) {
    let opened = |process: &Path| {
        let mut files = std::fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
        files.any(|f| std::fs::read_link(f.path()).is_ok_and(|to| to == card))
    };
    let own = std::process::id().to_string();
    let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut others: Vec<String> = processes
        .filter(|p| p.file_name().to_str().is_some_and(|n| n.parse::<u32>().is_ok() && n != own))
        .filter(|p| opened(&p.path()))
        .filter_map(|p| Some(std::fs::read_to_string(p.path().join("comm")).ok()?.trim().to_owned()))
        .collect();
    others.sort();
    others.dedup();
    (others, opened(Path::new("/proc/self")))
}

/// A display in a mode, black until something is shown. As it was before once this is dropped, which blocks for the hardware.
pub struct Lit {
    card: Card,
    connector: connector::Handle,
    before: crtc::Info,
    black: (framebuffer::Handle, DumbBuffer),
}

/// Sets the display that fits best to the mode that does. Blocks for the hardware. kmssink could do that, too, but takes the first mode
/// of a size whatever its rate, does it again whenever the colours of the pictures change, and keeps the card for ever where the cable is
/// pulled meanwhile.
///
/// # Errors
/// There is none, another program shows something there, or it cannot be set: in one line, and what to do.
pub fn light(wanted: &Wanted) -> Result<(Display, Lit), String> {
    let all = displays::list()?;
    let (display, mode) = displays::choose(&all, wanted)?;
    let card = hold(&display.card)?;
    let shown = format!("{}x{} at {} Hz", mode.width, mode.height, mode.rate);
    let lit = set(card, display, mode).map_err(|e| format!("{} cannot be set to {shown}: {e}", display.connector))?;
    log::info!("showing on {} ({}), {shown}", display.connector, display.monitor.as_deref().unwrap_or("without a name"));
    Ok((display.clone(), lit))
}

fn set(card: Card, display: &Display, mode: Mode) -> io::Result<Lit> {
    // or the sink sees only planes above the one that covers the whole display
    card.set_client_capability(ClientCapability::UniversalPlanes, true)?;
    let gone = || io::Error::other("its connector is gone");
    let connector: connector::Handle = drm::control::from_u32(display.id).ok_or_else(gone)?;
    let info = card.get_connector(connector, false)?;
    let same = info.modes().iter().find(|m| Mode::from(*m) == mode);
    let wanted = *same.ok_or_else(|| io::Error::other("it does not offer that any more; check the cable"))?;
    let before = card.get_crtc(free_crtc(&card, &info)?)?;
    let buffer = card.create_dumb_buffer((mode.width, mode.height), DrmFourcc::Xrgb8888, 32)?;
    let black = match card.add_framebuffer(&buffer, 24, 32) {
        Ok(black) => (black, buffer),
        Err(e) => {
            let _ = card.destroy_dumb_buffer(buffer);
            return Err(e);
        }
    };
    let lit = Lit { card, connector, before, black };
    lit.card.set_crtc(lit.before.handle(), Some(black.0), (0, 0), &[connector], Some(wanted))?;
    Ok(lit)
}

/// What drives the connector now, or could without taking it from another one.
fn free_crtc(card: &Card, connector: &connector::Info) -> io::Result<crtc::Handle> {
    let driving = |encoder| card.get_encoder(encoder).ok().and_then(|e| e.crtc());
    if let Some(crtc) = connector.current_encoder().and_then(driving) {
        return Ok(crtc);
    }
    let resources = card.resource_handles()?;
    let taken: Vec<crtc::Handle> = resources.encoders().iter().filter_map(|e| driving(*e)).collect();
    let encoders = connector.encoders().iter().filter_map(|e| card.get_encoder(*e).ok());
    let mut possible = encoders.flat_map(|e| resources.filter_crtcs(e.possible_crtcs()));
    possible.find(|c| !taken.contains(c)).ok_or_else(|| io::Error::other("the other displays leave nothing to drive it with"))
}

impl Lit {
    /// The GStreamer sink for it: exactly its mode, since its plane can neither scale nor be smaller. To be used only as long as
    /// this is there.
    pub fn sink(&self) -> String {
        let (width, height) = self.black.1.size();
        // Today's drivers (atomic) wait for the vertical blank by themselves; waiting for it here would put black in between.
        format!(
            "videoconvert ! videoscale add-borders=true ! video/x-raw,width={width},height={height},pixel-aspect-ratio=1/1 \
             ! kmssink name=sink sync=false fd={} connector-id={} skip-vsync=true restore-crtc=false",
            self.card.as_fd().as_raw_fd(),
            u32::from(self.connector)
        )
    }
}

impl Drop for Lit {
    fn drop(&mut self) {
        let Lit { card, connector, before, black } = self;
        let connectors: &[connector::Handle] = if before.mode().is_some() { &[*connector] } else { &[] };
        if let Err(e) = card.set_crtc(before.handle(), before.framebuffer(), before.position(), connectors, before.mode()) {
            log::debug!("the display is not as it was before: {e}");
        }
        let _ = card.destroy_framebuffer(black.0);
        let _ = card.destroy_dumb_buffer(black.1);
        // A sink that forgets a copy of the descriptor would hold it on.
        let _ = card.release_master_lock();
    }
}

/// A display whose signal is switched off, until this is dropped.
pub struct Dark {
    card: Card,
    connector: connector::Handle,
    power: property::Handle,
}

/// The kernel's values of the property DPMS.
const ON: u64 = 0;
const OFF: u64 = 3;

/// Switches a display's signal off.
///
/// # Errors
/// Another program shows something there, or the display cannot be switched off.
pub fn darken(display: &Display) -> Result<Dark, String> {
    let card = hold(&display.card)?;
    let refused = |e: io::Error| format!("{} cannot be switched off: {e}", display.connector);
    let no_property = || format!("{} cannot be switched off: its driver has no DPMS", display.connector);
    let connector: connector::Handle = drm::control::from_u32(display.id).ok_or_else(no_property)?;
    let properties = card.get_properties(connector).map_err(refused)?;
    let is_power = |property: property::Handle| card.get_property(property).is_ok_and(|p| p.name() == c"DPMS");
    let power = properties.iter().map(|(property, _)| *property).find(|p| is_power(*p)).ok_or_else(no_property)?;
    card.set_property(connector, power, OFF).map_err(refused)?;
    Ok(Dark { card, connector, power })
}

impl Drop for Dark {
    fn drop(&mut self) {
        // Who shows something next lights it anyway.
        if let Err(e) = self.card.set_property(self.connector, self.power, ON) {
            log::debug!("the display is not lit by itself: {e}");
        }
    }
}
