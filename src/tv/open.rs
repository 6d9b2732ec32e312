//! From the configuration to a driver: which set, which sink, which speaker.

use super::cec::quirks::Quirks;
use super::cec::{self, Cec};
use super::command::{ByCommand, Commands};
use super::displays::Wanted;
use super::headless::Headless;
use super::keymap::Map;
use super::lab;
use super::output::Sink;
use super::power::{Fault, Input, Set};
use super::remotes;
use super::signal::{BySignal, Signal};
use super::stage::{Driver, EVENTS};
use super::theatre::{Setting, Theatre};
use super::{Power, TvState};
use crate::media::{Outputs, SoundOut};
use async_trait::async_trait;
use std::path::PathBuf;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};

/// How the television is controlled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// Not at all: taken as on and showing us.
    None,
    /// Recorded only.
    Headless,
    /// The lab's television at this address.
    Lab(String),
    /// By programs or HTTP requests.
    Command(Commands),
    /// By the signal of the box's own display, for screens that sleep without one.
    Dpms,
    /// By HDMI-CEC.
    Cec {
        /// Which adapter.
        adapter: cec::device::Settings,
        /// A technician's table of televisions, on top of the built-in one.
        quirks: Option<PathBuf>,
    },
}

/// Where pictures go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Display {
    /// The box's own display.
    Kms,
    /// A window on a desktop.
    Window,
    /// Through the driver (lab).
    Driver,
    /// Nowhere.
    None,
}

/// Where sound is played.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Speaker {
    /// This ALSA device.
    Alsa(String),
    /// Through the driver (lab).
    Tv,
    /// Nowhere.
    None,
}

/// Everything that decides about the television.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Power, input, volume, keys.
    pub control: Control,
    /// Picture.
    pub display: Display,
    /// Which of the box's own displays, and how.
    pub wanted: Wanted,
    /// Sound.
    pub speaker: Speaker,
    /// Ring volume, percent; never below [`super::tone::FLOOR`].
    pub ring_volume: u8,
    /// Which remote controls are listened to (paths, or parts of names; empty: all); `None`: none.
    pub remotes: Option<Vec<String>>,
    /// A technician's map of keys, on top of the built-in one.
    pub keymap: Option<PathBuf>,
    /// Preferred font family; empty: DejaVu Sans.
    pub font: String,
    /// Language of the screens; empty: English until the platform says.
    pub locale: String,
    /// IANA time zone; empty: the system's until the platform says.
    pub time_zone: String,
}

/// An opened television: the driver for [`super::spawn`], and where a call's media goes.
pub struct Television {
    /// For [`super::spawn`].
    pub driver: Driver,
    /// For a call's session.
    pub outputs: Outputs,
}

/// Opens the television. Nothing is shown, played or initialised yet. Call it inside a tokio runtime.
///
/// # Errors
/// The system has no thread left.
pub fn open(settings: &Settings) -> std::io::Result<Television> {
    let signal = (settings.control == Control::Dpms).then(|| Arc::new(Signal::new(settings.wanted.clone())));
    let shown = watch::Sender::new(false);
    let mut setting = Setting {
        sink: match settings.display {
            Display::Kms => Sink::Kms(settings.wanted.clone(), signal.clone()),
            Display::Window => Sink::Window,
            Display::Driver | Display::None => Sink::None,
        },
        sound: match &settings.speaker {
            Speaker::Alsa(device) => Some(SoundOut::Alsa(device.clone())),
            Speaker::Tv | Speaker::None => None,
        },
        ring_volume: settings.ring_volume,
        font: settings.font.clone(),
        locale: settings.locale.clone(),
        time_zone: settings.time_zone.clone(),
    };
    let keys = Arc::new(Map::with(settings.keymap.as_deref()));
    let (set, tell, events): (Arc<dyn Set>, _, _) = match &settings.control {
        Control::Headless => {
            let (headless, driver) = Headless::new();
            return Ok(Television { driver, outputs: headless.outputs() });
        }
        Control::None | Control::Dpms => {
            let (tell, events) = mpsc::channel(EVENTS);
            let set: Arc<dyn Set> = match signal {
                Some(signal) => Arc::new(BySignal::start(signal, shown.subscribe())?),
                None => Arc::new(Uncontrolled),
            };
            (set, tell, events)
        }
        Control::Command(commands) => {
            let (tell, events) = mpsc::channel(EVENTS);
            (Arc::new(ByCommand::new(commands.clone())), tell, events)
        }
        Control::Cec { adapter, quirks } => {
            let (tell, events) = mpsc::channel(EVENTS);
            let cec = Cec::start(cec::device::open(adapter.clone()), Quirks::with(quirks.as_deref()), keys.clone(), tell.clone());
            (Arc::new(cec), tell, events)
        }
        Control::Lab(url) => {
            let link = lab::link(url.clone());
            if settings.display == Display::Driver {
                setting.sink = Sink::Jpeg(link.pictures);
            }
            if settings.speaker == Speaker::Tv {
                setting.sound = Some(SoundOut::Samples(link.sound));
            }
            (Arc::new(link.lab), link.tell, link.events)
        }
    };
    let sound = setting.sound.clone().unwrap_or(SoundOut::Null);
    if let Some(devices) = settings.remotes.clone() {
        let cec_elsewhere = matches!(settings.control, Control::Cec { .. });
        remotes::start(remotes::Settings { devices, cec_elsewhere }, keys, shown.subscribe(), tell.clone());
    }
    let theatre = Theatre::start(setting, tell)?;
    let (remote, own) = theatre.taps();
    Ok(Television {
        driver: Driver { set, stage: Box::new(theatre), events, shown, seen: watch::Sender::new(None) },
        outputs: Outputs { remote, own, sound },
    })
}

/// A television that cannot be controlled: whoever sits before it has switched it on.
struct Uncontrolled;

#[async_trait]
impl Set for Uncontrolled {
    async fn state(&self) -> Result<TvState, Fault> {
        Ok(TvState { power: Power::On, input: None, volume: None })
    }

    async fn power(&self, _on: bool) -> Result<(), Fault> {
        Ok(())
    }

    async fn input(&self, _to: &Input) -> Result<(), Fault> {
        Ok(())
    }

    async fn volume(&self, _to: u8) -> Result<(), Fault> {
        Ok(())
    }

    fn own_input(&self) -> Option<String> {
        None
    }
}
