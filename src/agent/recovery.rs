//! What an earlier run that broke off in a call left: a television to put back, a call without an end in the log, a caller
//! who waits, and ourselves in the room, where the service sees us until it misses our heartbeat.
//!
//! The contract would leave the caller alone after a power cut (chatta.md 5.2, power off); here they are told `ended`, as
//! long as the last sign of life is recent, because a page whose resident has merely gone stays in the call with a black
//! picture (chatta.md 3.1). It is said once the line can say it, then the room is entered as the same participant, which
//! ends the one that was left there (twilio-video.md 8: duplicate identity), and left again. No device is opened for it.

use super::actions::ticket;
use super::*;
use crate::media::SoundOut;
use crate::media::session::{CameraSource, Config, MicrophoneSource};

/// For entering the room and leaving it again.
const EVICTION: Duration = Duration::from_secs(40);

impl Loop {
    /// Once, at the start.
    pub(super) fn recover(&mut self) {
        let (answer, _) = oneshot::channel();
        self.to_tv(tv::Command::Recover(answer));
        let Some(interrupted) = self.agent.store.interrupted() else {
            // It came to the end of the call, but perhaps not to saying so.
            self.orphan = self.agent.store.owed();
            return;
        };
        let call = interrupted.call;
        log::warn!(
            MESSAGE_ID = messages::INTERRUPTED.id, CALL_ID = call.0, LINE = interrupted.offer.caller.line.0.as_str(), CALLER_ID = interrupted.offer.caller.id.0.as_str();
            "the daemon was interrupted in this call; it is logged as ended now, and its caller will be told"
        );
        self.agent.store.log_interrupted(&interrupted.clone().record(jiff::Timestamp::now()));
        reached(Point::OrphanLogged);
        if self.line(&interrupted.offer).is_some() {
            self.orphan = Some(interrupted);
        } else {
            self.agent.store.settled(call);
        }
    }

    /// The line can say something now.
    pub(super) fn settle_orphan(&mut self, line: &LineId) {
        let Some(orphan) = self.orphan.take_if(|o| o.offer.caller.line == *line) else { return };
        let Interrupted { call, offer, .. } = orphan.clone();
        let Some(line) = self.line(&offer) else { return };
        if !orphan.is_recent(jiff::Timestamp::now()) {
            log::info!(CALL_ID = call.0; "the interrupted call was long ago: its caller is not told any more");
            return self.settled(call);
        }
        reached(Point::OrphanTelling);
        self.reply(Some(call), offer.clone(), Reply::Ended, false);
        let (rooms, outputs) = (self.agent.rooms.clone(), self.agent.outputs.clone());
        self.eviction = Some(self.tasks.spawn(async move {
            let evicted = async {
                let ticket = ticket(line, offer).await?;
                reached(Point::OrphanTicket);
                tokio::time::timeout(EVICTION, evict(ticket, rooms, outputs)).await.map_err(|_| "the room does not answer".to_owned())?
            };
            match evicted.await {
                Ok(()) => log::info!(CALL_ID = call.0; "what was left of us in the room of the interrupted call is gone"),
                Err(why) => log::info!(CALL_ID = call.0; "the room of the interrupted call: {why}; the service ends it by itself soon"),
            }
            reached(Point::OrphanEvicted);
            Some(Outcome::Settled(call))
        }));
    }

    pub(super) fn settled(&mut self, call: CallId) {
        self.eviction = None;
        self.agent.store.settled(call);
    }
}

/// Enters the room as ourselves, without devices, and leaves it.
async fn evict(ticket: Ticket, settings: twilio::Settings, outputs: Outputs) -> Result<(), String> {
    let (events, _media) = mpsc::channel(8);
    let silent = Config { camera: CameraSource::None, microphone: MicrophoneSource::None, ..Config::default() };
    let outputs = Outputs { sound: SoundOut::Null, ..outputs };
    let opened = tokio::task::spawn_blocking(move || Session::open(silent, false, outputs, events)).await;
    let session = opened.map_err(|e| e.to_string())?.map_err(|e| e.to_string())?;
    let (tell, mut told) = mpsc::channel(16);
    let room = room::join(ticket, settings, session.clone(), false, tell);
    let joined = loop {
        match told.recv().await {
            Some(RoomEvent::Joined) => break Ok(()),
            Some(RoomEvent::Failed(why)) => break Err(why),
            Some(_) => {}
            None => break Err("it could not be entered".to_owned()),
        }
    };
    room.leave().await;
    let _ = tokio::task::spawn_blocking(move || session.close()).await;
    joined
}
