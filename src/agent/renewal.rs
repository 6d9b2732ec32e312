//! A configuration that is read anew while the daemon runs. It is taken over between two calls, so that none is dropped,
//! and as a whole. Lines are only restarted when something of theirs has changed.

use super::*;
use crate::call::Phase;
use crate::call::consent::Consent;
use crate::call::machine::Limits;
use crate::line::Wired;

/// What a new configuration changes in a running agent. Television, local API and state directory stay as they are.
pub struct Renewal {
    /// Times and limits.
    pub limits: Limits,
    /// The resident's consent.
    pub consent: Consent,
    /// What of the resident the platform decides.
    pub follow_platform: FollowPlatform,
    /// A call's devices and rates.
    pub media: session::Config,
    /// How rooms are joined.
    pub rooms: twilio::Settings,
    /// Fetches callers' photographs.
    pub photos: Photos,
    /// The lines there are to be.
    pub lines: Vec<Wired>,
    /// The resident's language, if the configuration says it.
    pub locale: Option<String>,
    /// The resident's time zone, if the configuration says it.
    pub time_zone: Option<String>,
}

impl Loop {
    /// A new configuration is there; the latest counts.
    pub(super) fn on_renewal(&mut self, renewal: Renewal) {
        self.renewal = Some(renewal);
        if !self.between_calls() {
            log::info!("the configuration is read anew; it is taken over when the call is over");
        }
    }

    fn between_calls(&self) -> bool {
        matches!(self.agent.machine.snapshot().phase, Phase::Idle | Phase::Message)
    }

    /// Takes over what waits for the end of a call.
    pub(super) fn renew(&mut self) {
        if self.renewal.is_none() || !self.between_calls() {
            return;
        }
        let Some(renewal) = self.renewal.take() else { return };
        let Renewal { limits, consent, follow_platform, media, rooms, photos, lines, locale, time_zone } = renewal;
        self.agent.machine.renew(limits, consent, follow_platform.time_zone);
        (self.agent.media, self.agent.rooms, self.agent.photos) = (media, rooms, photos);
        self.agent.follow_platform = follow_platform;
        if locale.is_some() || time_zone.is_some() {
            self.to_tv(tv::Command::Resident { locale, time_zone });
        }
        let likeness: Vec<(LineId, u64)> = lines.iter().map(|line| (line.id.clone(), line.likeness)).collect();
        if likeness != self.agent.likeness {
            self.agent.likeness = likeness;
            self.rewire(lines);
        }
        self.look_at_devices();
        log::info!("the configuration read anew is in force");
    }

    fn rewire(&mut self, lines: Vec<Wired>) {
        for old in std::mem::take(&mut self.agent.lines) {
            self.tasks.spawn(async move {
                let (answer, answered) = oneshot::channel();
                if old.commands.send(LineCommand::Stop(answer)).await.is_ok() {
                    let _ = answered.await;
                }
                None
            });
        }
        // The old ones tell nobody any more.
        let (tell, told) = mpsc::channel(LINE_EVENTS);
        self.agent.line_events = told;
        self.agent.lines = lines.into_iter().map(|line| (line.start)(tell.clone())).collect();
        let ids: Vec<&str> = self.agent.lines.iter().map(|line| line.id.0.as_str()).collect();
        self.agent.status.send_modify(|status| status.lines.retain(|id, _| ids.contains(&id.as_str())));
    }
}
