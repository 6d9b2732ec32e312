//! The table: which fault, when, and what must come of it.

use residentd::journal::messages::{self, Message};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    CameraUnplugged,
    CameraStalls,
    CameraHangs,
    CameraCrowdedOut,
    CameraHeld,
    CameraFails,
    CameraDropsMost,
    CameraAndMicrophoneUnplugged,
    MicrophoneUnplugged,
    MicrophoneHeld,
    MicrophoneOverruns,
    SpeakerUnplugged,
    SpeakerHeld,
    SpeakerHangs,
    SpeakerUnderruns,
    TelevisionSwitchedAway,
    TelevisionPutToStandby,
    /// From here on with HDMI-CEC, the box's own display and a remote control of its own.
    CablePulled,
    AdapterUnplugged,
    AdapterHangs,
    TelevisionSilent,
    TelevisionUnpowered,
    TelevisionWakesLate,
    DisplayUnplugged,
    DisplayHeld,
    DisplayHangs,
    RemoteUnplugged,
    RemoteHeld,
}

/// When.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    BeforeTheCall,
    Ringing,
    Accepted,
    Talking,
    HangingUp,
}

/// What it leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The caller sees a placeholder instead of the resident, and the camera when it is mended.
    Placeholder,
    /// The caller goes on seeing and hearing the resident.
    GoesOn,
    /// The caller is told so instead of an answer.
    Declined(&'static str),
    /// The call ends, and the caller is told.
    Ends,
    /// The end is as quick and as complete as without the fault.
    Closes,
    /// A key does nothing until it is mended; then it answers, or hangs up.
    ByKeyLater,
}

/// Which devices a call has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Camera, microphone and loudspeaker of the kernel, a simulated television.
    Devices,
    /// Television, display and remote control of the kernel, a test picture.
    Television,
}

/// One row.
#[derive(Clone, Copy)]
pub struct Case {
    pub kind: Kind,
    pub moment: Moment,
    pub outcome: Outcome,
    /// What the journal must say, if anything.
    pub says: Option<&'static Message>,
}

use Kind::*;
use Moment::*;
use Outcome::*;

impl Kind {
    pub fn place(self) -> Place {
        match self {
            CablePulled | AdapterUnplugged | AdapterHangs | TelevisionSilent | TelevisionUnpowered | TelevisionWakesLate
            | DisplayUnplugged | DisplayHeld | DisplayHangs | RemoteUnplugged | RemoteHeld => Place::Television,
            _ => Place::Devices,
        }
    }
}

impl Kind {
    /// The daemon has to know of the television before it can happen.
    pub fn is_about_the_set(self) -> bool {
        self.place() == Place::Television || matches!(self, TelevisionSwitchedAway | TelevisionPutToStandby)
    }
}

const fn says(kind: Kind, moment: Moment, outcome: Outcome, message: &'static Message) -> Case {
    Case { kind, moment, outcome, says: Some(message) }
}

const fn quiet(kind: Kind, moment: Moment, outcome: Outcome) -> Case {
    Case { kind, moment, outcome, says: None }
}

/// What is missing cannot be: nobody else gets a device that we hold, and a stream that does not run cannot be disturbed.
pub const TABLE: &[Case] = &[
    says(CameraUnplugged, BeforeTheCall, Declined("no-camera"), &messages::NO_CAMERA),
    says(CameraUnplugged, Ringing, Placeholder, &messages::CAMERA_LOST),
    says(CameraUnplugged, Accepted, Placeholder, &messages::CAMERA_LOST),
    says(CameraUnplugged, Talking, Placeholder, &messages::CAMERA_LOST),
    quiet(CameraUnplugged, HangingUp, Closes),
    says(CameraStalls, BeforeTheCall, Placeholder, &messages::CAMERA_LOST),
    says(CameraStalls, Ringing, Placeholder, &messages::CAMERA_LOST),
    says(CameraStalls, Accepted, Placeholder, &messages::CAMERA_LOST),
    says(CameraStalls, Talking, Placeholder, &messages::CAMERA_LOST),
    quiet(CameraStalls, HangingUp, Closes),
    says(CameraHangs, BeforeTheCall, Placeholder, &messages::CAMERA_LOST),
    says(CameraHangs, Ringing, Placeholder, &messages::CAMERA_LOST),
    says(CameraHangs, Accepted, Placeholder, &messages::CAMERA_LOST),
    says(CameraHangs, Talking, Placeholder, &messages::CAMERA_LOST),
    quiet(CameraHangs, HangingUp, Closes),
    says(CameraCrowdedOut, BeforeTheCall, Placeholder, &messages::CAMERA_LOST),
    says(CameraCrowdedOut, Ringing, Placeholder, &messages::CAMERA_LOST),
    says(CameraCrowdedOut, Accepted, Placeholder, &messages::CAMERA_LOST),
    says(CameraCrowdedOut, Talking, Placeholder, &messages::CAMERA_LOST),
    quiet(CameraCrowdedOut, HangingUp, Closes),
    says(CameraHeld, BeforeTheCall, Placeholder, &messages::CAMERA_LOST),
    says(CameraHeld, Ringing, Placeholder, &messages::CAMERA_LOST),
    quiet(CameraFails, BeforeTheCall, GoesOn),
    quiet(CameraFails, Ringing, GoesOn),
    says(CameraFails, Talking, Placeholder, &messages::CAMERA_LOST),
    quiet(CameraFails, HangingUp, Closes),
    quiet(CameraDropsMost, BeforeTheCall, GoesOn),
    quiet(CameraDropsMost, Ringing, GoesOn),
    quiet(CameraDropsMost, Accepted, GoesOn),
    quiet(CameraDropsMost, Talking, GoesOn),
    quiet(CameraDropsMost, HangingUp, Closes),
    says(CameraAndMicrophoneUnplugged, BeforeTheCall, Declined("no-camera"), &messages::NO_CAMERA),
    says(CameraAndMicrophoneUnplugged, Ringing, Ends, &messages::MEDIA_FAILED),
    says(CameraAndMicrophoneUnplugged, Accepted, Ends, &messages::MEDIA_FAILED),
    says(CameraAndMicrophoneUnplugged, Talking, Ends, &messages::MEDIA_FAILED),
    quiet(CameraAndMicrophoneUnplugged, HangingUp, Closes),
    says(MicrophoneUnplugged, BeforeTheCall, Declined("no-microphone"), &messages::NO_MICROPHONE),
    says(MicrophoneUnplugged, BeforeTheCall, Ends, &messages::MEDIA_FAILED),
    says(MicrophoneUnplugged, Ringing, Ends, &messages::MEDIA_FAILED),
    says(MicrophoneUnplugged, Accepted, Ends, &messages::MEDIA_FAILED),
    says(MicrophoneUnplugged, Talking, Ends, &messages::MEDIA_FAILED),
    quiet(MicrophoneUnplugged, HangingUp, Closes),
    says(MicrophoneHeld, BeforeTheCall, Ends, &messages::MEDIA_FAILED),
    says(MicrophoneHeld, Ringing, Ends, &messages::MEDIA_FAILED),
    quiet(MicrophoneOverruns, Talking, GoesOn),
    quiet(MicrophoneOverruns, HangingUp, Closes),
    says(SpeakerUnplugged, BeforeTheCall, Ends, &messages::MEDIA_FAILED),
    says(SpeakerUnplugged, Ringing, Ends, &messages::MEDIA_FAILED),
    says(SpeakerUnplugged, Accepted, Ends, &messages::MEDIA_FAILED),
    says(SpeakerUnplugged, Talking, Ends, &messages::MEDIA_FAILED),
    quiet(SpeakerUnplugged, HangingUp, Closes),
    says(SpeakerHeld, BeforeTheCall, Ends, &messages::MEDIA_FAILED),
    says(SpeakerHangs, BeforeTheCall, Ends, &messages::MEDIA_FAILED),
    says(SpeakerHangs, Ringing, Ends, &messages::MEDIA_FAILED),
    quiet(SpeakerUnderruns, Talking, GoesOn),
    quiet(SpeakerUnderruns, HangingUp, Closes),
    quiet(TelevisionSwitchedAway, Ringing, GoesOn),
    quiet(TelevisionSwitchedAway, Accepted, GoesOn),
    quiet(TelevisionSwitchedAway, Talking, GoesOn),
    quiet(TelevisionSwitchedAway, HangingUp, Closes),
    quiet(TelevisionPutToStandby, Ringing, GoesOn),
    quiet(TelevisionPutToStandby, Accepted, Ends),
    quiet(TelevisionPutToStandby, Talking, Ends),
    quiet(TelevisionPutToStandby, HangingUp, Closes),
    says(CablePulled, BeforeTheCall, GoesOn, &messages::TV_ASLEEP),
    says(CablePulled, Ringing, GoesOn, &messages::TV_SILENT),
    says(CablePulled, Talking, GoesOn, &messages::TV_SILENT),
    says(CablePulled, HangingUp, Closes, &messages::TV_SILENT),
    says(AdapterUnplugged, BeforeTheCall, GoesOn, &messages::TV_ASLEEP),
    says(AdapterUnplugged, Ringing, GoesOn, &messages::TV_SILENT),
    says(AdapterUnplugged, Talking, GoesOn, &messages::TV_SILENT),
    says(AdapterUnplugged, HangingUp, Closes, &messages::TV_SILENT),
    says(AdapterHangs, BeforeTheCall, GoesOn, &messages::TV_ASLEEP),
    says(AdapterHangs, Ringing, GoesOn, &messages::TV_SILENT),
    says(AdapterHangs, Talking, GoesOn, &messages::TV_SILENT),
    says(AdapterHangs, HangingUp, Closes, &messages::TV_SILENT),
    says(TelevisionSilent, BeforeTheCall, GoesOn, &messages::TV_ASLEEP),
    says(TelevisionSilent, Talking, GoesOn, &messages::TV_SILENT),
    says(TelevisionSilent, HangingUp, Closes, &messages::TV_SILENT),
    says(TelevisionUnpowered, BeforeTheCall, GoesOn, &messages::TV_ASLEEP),
    says(TelevisionUnpowered, Talking, GoesOn, &messages::TV_SILENT),
    says(TelevisionUnpowered, HangingUp, Closes, &messages::TV_SILENT),
    quiet(TelevisionWakesLate, BeforeTheCall, GoesOn),
    says(DisplayUnplugged, BeforeTheCall, GoesOn, &messages::CALL_UNNOTICED),
    says(DisplayUnplugged, Ringing, GoesOn, &messages::CALL_UNNOTICED),
    says(DisplayUnplugged, Talking, GoesOn, &messages::CALL_UNNOTICED),
    quiet(DisplayUnplugged, HangingUp, Closes),
    says(DisplayHeld, BeforeTheCall, GoesOn, &messages::CALL_UNNOTICED),
    says(DisplayHangs, BeforeTheCall, GoesOn, &messages::CALL_UNNOTICED),
    quiet(RemoteUnplugged, Ringing, ByKeyLater),
    quiet(RemoteUnplugged, Talking, ByKeyLater),
    quiet(RemoteUnplugged, HangingUp, Closes),
    says(RemoteHeld, BeforeTheCall, ByKeyLater, &messages::REMOTE_UNUSABLE),
];

/// What fits into the tests that always run.
pub const OF_EACH_RUN: &[(Kind, Moment)] = &[(CameraUnplugged, Talking), (SpeakerUnderruns, Talking), (DisplayUnplugged, Talking)];

/// One row of each kind.
pub const OF_EACH_KIND: &[(Kind, Moment)] = &[
    (CameraUnplugged, Talking),
    (CameraStalls, Talking),
    (CameraHangs, Talking),
    (CameraCrowdedOut, Accepted),
    (CameraHeld, Ringing),
    (CameraFails, Talking),
    (CameraDropsMost, Talking),
    (CameraAndMicrophoneUnplugged, Ringing),
    (MicrophoneUnplugged, Talking),
    (MicrophoneHeld, Ringing),
    (MicrophoneOverruns, Talking),
    (SpeakerUnplugged, HangingUp),
    (SpeakerHeld, BeforeTheCall),
    (SpeakerHangs, BeforeTheCall),
    (SpeakerUnderruns, Talking),
    (TelevisionSwitchedAway, Talking),
    (TelevisionPutToStandby, Talking),
    (CablePulled, Talking),
    (AdapterUnplugged, HangingUp),
    (AdapterHangs, BeforeTheCall),
    (TelevisionSilent, Talking),
    (TelevisionUnpowered, BeforeTheCall),
    (TelevisionWakesLate, BeforeTheCall),
    (DisplayUnplugged, Talking),
    (DisplayHeld, BeforeTheCall),
    (DisplayHangs, BeforeTheCall),
    (RemoteUnplugged, Ringing),
    (RemoteHeld, BeforeTheCall),
];
