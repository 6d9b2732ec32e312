//! Whether what is shown is really seen and heard: a countdown runs only while it is, and a driver that hangs is told.

use super::super::{Power, TvEvent};
use super::{Doing, Television};
use crate::call::{CallId, Scene};
use crate::journal::messages;
use std::time::Duration;
use tokio::time::Instant;

/// Whether a scene is seen and heard, or why not, is told within this; else a driver hangs. Fonts and a display that has to be set up
/// take some seconds.
const NEWS: Duration = Duration::from_secs(10);

/// What is known of the dialog that must be seen and heard before anything is answered by itself.
pub(super) struct Notice {
    call: CallId,
    /// Shows before this number belong to another dialog.
    since: u64,
    seen: bool,
    heard: bool,
    /// The television was known to be in standby.
    dark: bool,
    told: Option<bool>,
}

/// News of what is shown that have not come yet.
pub(super) struct Awaited {
    by: Instant,
    picture: bool,
    tone: bool,
}

/// Which of the two a driver tells of.
type Mark = fn(&mut Notice) -> &mut bool;

impl Television {
    /// The dialog that is shown now, if one is, and whether its countdown runs. `same`: the scene before was of its kind.
    pub(super) fn expect_notice(&mut self, dialog: Option<(CallId, bool)>, same: bool) {
        self.notice = match (dialog, self.notice.take()) {
            // The same notice goes on, its number has begun to count.
            (Some((call, true)), Some(notice)) if same && notice.call == call => Some(notice),
            (Some((call, _)), _) => Some(Notice { call, since: self.number, seen: false, heard: false, dark: false, told: None }),
            (None, _) => None,
        };
    }

    /// The scene is handed over: news of it are awaited.
    pub(super) fn expect_news(&mut self, tone: bool) {
        // A driver that owes news already gets no more time for being asked again.
        let by = self.awaited.as_ref().map_or_else(|| Instant::now() + NEWS, |awaited| awaited.by);
        self.awaited = (self.scene != Scene::Idle).then_some(Awaited { by, picture: true, tone });
    }

    /// When a driver that has told nothing counts as one that hangs.
    pub(super) fn overdue_at(&self) -> Option<Instant> {
        self.awaited.as_ref().map(|awaited| awaited.by)
    }

    /// What came of the picture of a show.
    pub(super) async fn seen(&mut self, number: u64, result: Result<(), String>) {
        self.news(number, |awaited| &mut awaited.picture);
        self.perceived(number, |notice| &mut notice.seen, result).await;
    }

    /// What came of the tone of a show.
    pub(super) async fn heard(&mut self, number: u64, result: Result<(), String>) {
        self.news(number, |awaited| &mut awaited.tone);
        self.perceived(number, |notice| &mut notice.heard, result).await;
    }

    /// Something came of this show: its driver lives. What was shown since has its own time.
    fn news(&mut self, number: u64, of: impl Fn(&mut Awaited) -> &mut bool) {
        let Some(awaited) = &mut self.awaited else { return };
        if number < self.number {
            awaited.by = Instant::now() + NEWS;
            return;
        }
        *of(awaited) = false;
        if !awaited.picture && !awaited.tone {
            self.awaited = None;
        }
    }

    /// A call into a driver does not return.
    pub(super) async fn overdue(&mut self) {
        let Some(awaited) = self.awaited.take() else { return };
        let (whose, mark): (_, Mark) =
            if awaited.picture { ("display", |notice| &mut notice.seen) } else { ("sound card", |notice| &mut notice.heard) };
        let why = format!("the {whose}'s driver does not return; restart the box, and see journalctl -k");
        if self.notice.is_none() {
            log::warn!(MESSAGE_ID = messages::CALL_UNNOTICED.id; "{why}");
        }
        self.perceived(self.number, mark, Err(why)).await;
    }

    async fn perceived(&mut self, number: u64, mark: Mark, result: Result<(), String>) {
        let Some(notice) = self.notice.as_mut().filter(|n| number >= n.since) else { return };
        *mark(notice) = result.is_ok();
        let call = notice.call;
        match result {
            Ok(()) => self.judge().await,
            Err(_) if notice.told == Some(false) => {}
            Err(why) => {
                notice.told = Some(false);
                log::warn!(MESSAGE_ID = messages::CALL_UNNOTICED.id, CALL_ID = call.0; "the dialog cannot be seen or heard: {why}");
                self.tell(TvEvent::Unnoticed(call, why)).await;
            }
        }
    }

    /// Says `Noticed` once everything is true that it says: the picture handed out, the tone sounding, and the television
    /// not known to be in standby. One that does not answer is taken at its word: many never do.
    pub(super) async fn judge(&mut self) {
        let waking = matches!(self.job, Some((Doing::Waking, _)));
        let dark = self.seen.power == Power::Standby;
        let Some(notice) = &mut self.notice else { return };
        if waking || !notice.seen || !notice.heard {
            return;
        }
        // One that falls silent while it is dark has not lit up.
        if self.seen.power == Power::Unknown && notice.dark {
            return;
        }
        notice.dark = dark;
        let call = notice.call;
        if notice.told.replace(!dark) == Some(!dark) {
            return;
        }
        let event = if dark { TvEvent::Unnoticed(call, "the television stays in standby".into()) } else { TvEvent::Noticed(call) };
        self.tell(event).await;
    }
}
