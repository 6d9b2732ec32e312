//! Who is in the room and whose tracks are presented, without I/O (twilio-video.md section 4, "How the client applies
//! state"). Everything carries revisions, so that late and repeated words change nothing.

use super::messages::{Participant, Subscribed};
use crate::media::Kind;
use std::collections::{BTreeMap, HashMap};

/// Participants remembered, those that left included: they keep late words about themselves from bringing them back.
const PARTICIPANTS: usize = 64;
/// Remote tracks remembered.
const TRACKS: usize = 64;

#[derive(Debug)]
struct Somebody {
    identity: String,
    here: bool,
    revision: u64,
    /// Ids of their published tracks, `MT…`.
    tracks: Vec<String>,
}

/// A track that arrived by a peer connection.
#[derive(Debug)]
struct Arrived {
    pc: String,
    /// Second token of its `a=msid`.
    id: String,
    kind: Kind,
}

/// The people and tracks of a room.
#[derive(Debug, Default)]
pub struct Roster {
    /// Whose arrival and leaving counts; `None`: anybody's.
    caller: Option<String>,
    me: Option<(String, String)>,
    participants: BTreeMap<String, Somebody>,
    subscribed_revision: u64,
    /// Published id to id in `a=msid`; they differ in group rooms.
    subscribed: HashMap<String, String>,
    /// In the order of their coming.
    arrived: Vec<Arrived>,
    /// What is presented now, sound and picture, as (peer connection, track id).
    presented: [Option<(String, String)>; 2],
}

impl Roster {
    /// Nobody yet.
    pub fn new(caller: Option<String>) -> Self {
        Self { caller, ..Self::default() }
    }

    /// Who we are here: never listed as somebody else, nor an older self that the service has not yet removed.
    pub fn set_me(&mut self, me: &Participant) {
        self.me = Some((me.sid.clone(), me.identity.clone().unwrap_or_default()));
        self.participants.remove(&me.sid);
    }

    /// Applies news of participants; a `complete` list makes those that are not in it leave.
    pub fn apply(&mut self, news: &[Participant], complete: bool) {
        if complete {
            for (sid, somebody) in &mut self.participants {
                if news.iter().all(|p| &p.sid != sid) {
                    somebody.here = false;
                    somebody.tracks.clear();
                }
            }
        }
        for one in news.iter().filter(|p| p.sid.len() <= 128) {
            if self.me.as_ref().is_some_and(|(sid, _)| *sid == one.sid) {
                continue;
            }
            let known = self.participants.get(&one.sid).map(|k| (k.revision, k.identity.clone()));
            if known.as_ref().is_some_and(|(seen, _)| one.revision.is_some_and(|r| r <= *seen)) {
                continue;
            }
            if known.is_none() && !self.make_space() {
                continue;
            }
            let (seen, name) = known.unwrap_or_default();
            let revision = one.revision.unwrap_or(seen);
            let identity = one.identity.clone().unwrap_or(name);
            let here = one.state.as_deref() != Some("disconnected");
            let tracks = if here { one.tracks.iter().filter_map(|t| t.sid.clone()).collect() } else { Vec::new() };
            let identity = identity.chars().take(256).collect();
            self.participants.insert(one.sid.clone(), Somebody { identity, here, revision, tracks });
        }
    }

    /// Applies the list of what we get from whom.
    pub fn subscribe(&mut self, subscribed: &Subscribed) {
        if let Some(revision) = subscribed.revision.filter(|r| *r > self.subscribed_revision) {
            self.subscribed_revision = revision;
            self.subscribed = subscribed.tracks.iter().filter_map(|t| Some((t.sid.clone(), t.id.clone()?))).collect();
        }
    }

    /// A remote track has arrived.
    pub fn track(&mut self, pc: &str, id: String, kind: Kind) {
        let known = self.arrived.iter().any(|t| t.pc == pc && t.id == id);
        if !known {
            if self.arrived.len() >= TRACKS {
                self.arrived.remove(0);
            }
            self.arrived.push(Arrived { pc: pc.to_owned(), id, kind });
        }
    }

    /// A peer connection is gone with its tracks.
    pub fn forget(&mut self, pc: &str) {
        self.arrived.retain(|t| t.pc != pc);
    }

    /// Tracks of the caller that are to be presented from now on, as (peer connection, track id), in whichever order track,
    /// subscription and participant became known. At most one of a kind is presented: the newest picture, because
    /// somebody who shows a second one wants it seen; and of the newest peer connection the first sound, the voice. When
    /// it is withdrawn, the other comes again.
    pub fn present(&mut self) -> Vec<(String, String)> {
        let wanted: Vec<&str> = self
            .participants
            .values()
            .filter(|p| p.here && self.counts(p))
            .flat_map(|p| &p.tracks)
            .filter_map(|sid| self.subscribed.get(sid))
            .map(String::as_str)
            .collect();
        let of = |kind| self.arrived.iter().filter(move |t| t.kind == kind).filter(|t| wanted.contains(&t.id.as_str()));
        let picture = of(Kind::Video).next_back();
        let newest = of(Kind::Audio).next_back().map(|t| t.pc.as_str());
        let voice = of(Kind::Audio).find(|t| Some(t.pc.as_str()) == newest);
        let now = [voice, picture].map(|track| track.map(|t| (t.pc.clone(), t.id.clone())));
        let present = now.iter().zip(&self.presented).filter(|(now, before)| now != before).filter_map(|(now, _)| now.clone()).collect();
        self.presented = now;
        present
    }

    /// Whether the caller is in the room.
    pub fn caller_is_here(&self) -> bool {
        self.participants.values().any(|p| p.here && self.counts(p))
    }

    /// How many others are in the room.
    pub fn others(&self) -> usize {
        self.participants.values().filter(|p| p.here).count()
    }

    fn counts(&self, somebody: &Somebody) -> bool {
        let older_self = self.me.as_ref().is_some_and(|(_, identity)| !identity.is_empty() && *identity == somebody.identity);
        !older_self && self.caller.as_ref().is_none_or(|caller| *caller == somebody.identity)
    }

    fn make_space(&mut self) -> bool {
        if self.participants.len() < PARTICIPANTS {
            return true;
        }
        let gone = self.participants.iter().find(|(_, p)| !p.here).map(|(sid, _)| sid.clone());
        gone.is_some_and(|sid| self.participants.remove(&sid).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn people(list: Value) -> Vec<Participant> {
        serde_json::from_value(list).unwrap()
    }

    fn subscribed(list: Value) -> Subscribed {
        serde_json::from_value(list).unwrap()
    }

    fn carer(revision: u64, state: &str) -> Vec<Participant> {
        people(
            json!([{ "sid": "PA1", "identity": "carer", "state": state, "revision": revision, "tracks": [{ "sid": "MT1", "id": "a" }] }]),
        )
    }

    #[test]
    fn late_and_repeated_words_about_a_participant_change_nothing() {
        let mut roster = Roster::new(None);
        roster.apply(&carer(3, "connected"), false);
        roster.apply(&carer(3, "disconnected"), false);
        roster.apply(&carer(2, "disconnected"), false);
        assert!(roster.caller_is_here());
        roster.apply(&carer(4, "disconnected"), false);
        roster.apply(&carer(3, "connected"), false);
        assert!(!roster.caller_is_here());
        roster.apply(&carer(5, "connected"), false);
        assert!(roster.caller_is_here());
    }

    #[test]
    fn a_participant_that_reconnects_is_still_here() {
        let mut roster = Roster::new(None);
        roster.apply(&carer(1, "connected"), false);
        roster.apply(&carer(2, "reconnecting"), false);
        assert!(roster.caller_is_here());
    }

    #[test]
    fn a_complete_list_makes_the_absent_leave() {
        let mut roster = Roster::new(None);
        roster.apply(&carer(1, "connected"), false);
        roster.apply(&[], false);
        assert!(roster.caller_is_here());
        roster.apply(&[], true);
        assert!(!roster.caller_is_here());
    }

    #[test]
    fn we_are_nobody_else_and_neither_is_our_older_self() {
        let mut roster = Roster::new(None);
        let me = people(json!([{ "sid": "PA9", "identity": "resident", "revision": 1 }]));
        roster.set_me(&me[0]);
        roster.apply(&people(json!([{ "sid": "PA9", "identity": "resident" }, { "sid": "PA8", "identity": "resident" }])), false);
        assert!(!roster.caller_is_here());
    }

    #[test]
    fn only_the_caller_counts_when_known() {
        let mut roster = Roster::new(Some("carer".into()));
        roster.apply(&people(json!([{ "sid": "PA2", "identity": "interpreter", "tracks": [{ "sid": "MT2" }] }])), false);
        roster.subscribe(&subscribed(json!({ "revision": 1, "tracks": [{ "sid": "MT2", "id": "x" }] })));
        roster.track("pc", "x".into(), Kind::Video);
        assert!(!roster.caller_is_here() && roster.present().is_empty());
        assert_eq!(roster.others(), 1);
        roster.apply(&carer(1, "connected"), false);
        assert!(roster.caller_is_here());
    }

    #[test]
    fn of_two_selves_of_a_reloaded_page_one_may_leave() {
        let mut roster = Roster::new(Some("carer".into()));
        roster.apply(&carer(1, "connected"), false);
        roster.apply(&people(json!([{ "sid": "PA2", "identity": "carer", "revision": 1 }])), false);
        roster.apply(&carer(2, "disconnected"), false);
        assert!(roster.caller_is_here());
    }

    #[test]
    fn a_track_is_presented_once_in_whichever_order_its_parts_become_known() {
        let steps: [fn(&mut Roster); 3] = [
            |r| r.apply(&carer(1, "connected"), false),
            |r| r.subscribe(&subscribed(json!({ "revision": 1, "tracks": [{ "sid": "MT1", "id": "made-by-the-server" }] }))),
            |r| r.track("pc", "made-by-the-server".into(), Kind::Video),
        ];
        for order in [[0, 1, 2], [0, 2, 1], [1, 0, 2], [1, 2, 0], [2, 0, 1], [2, 1, 0]] {
            let mut roster = Roster::new(None);
            for (n, step) in order.into_iter().enumerate() {
                assert!(roster.present().is_empty(), "{order:?} after {n}");
                steps[step](&mut roster);
            }
            assert_eq!(roster.present(), [("pc".into(), "made-by-the-server".into())], "{order:?}");
            roster.track("pc", "made-by-the-server".into(), Kind::Video);
            assert!(roster.present().is_empty());
        }
    }

    /// The carer publishes these tracks, each under its own name.
    fn publishes(roster: &mut Roster, revision: u64, tracks: &[&str]) {
        let published: Vec<_> = tracks.iter().map(|t| json!({ "sid": format!("MT{t}") })).collect();
        roster.apply(&people(json!([{ "sid": "PA1", "identity": "carer", "revision": revision, "tracks": published }])), false);
        let arriving: Vec<_> = tracks.iter().map(|t| json!({ "sid": format!("MT{t}"), "id": t })).collect();
        roster.subscribe(&subscribed(json!({ "revision": revision, "tracks": arriving })));
    }

    #[test]
    fn a_second_picture_is_shown_while_it_lasts_and_the_voice_stays() {
        let mut roster = Roster::new(None);
        let pc = |t: &str| ("pc".to_owned(), t.to_owned());
        publishes(&mut roster, 1, &["voice", "camera"]);
        roster.track("pc", "voice".into(), Kind::Audio);
        roster.track("pc", "camera".into(), Kind::Video);
        assert_eq!(roster.present(), [pc("voice"), pc("camera")]);
        publishes(&mut roster, 2, &["voice", "camera", "music", "screen"]);
        roster.track("pc", "music".into(), Kind::Audio);
        roster.track("pc", "screen".into(), Kind::Video);
        assert_eq!(roster.present(), [pc("screen")]);
        publishes(&mut roster, 3, &["voice", "camera"]);
        assert_eq!(roster.present(), [pc("camera")]);
        publishes(&mut roster, 4, &["camera"]);
        assert_eq!(roster.present(), []);
        publishes(&mut roster, 5, &["voice", "camera"]);
        assert_eq!(roster.present(), [pc("voice")]);
    }

    #[test]
    fn an_older_list_of_subscriptions_changes_nothing() {
        let mut roster = Roster::new(None);
        roster.apply(&carer(1, "connected"), false);
        roster.subscribe(&subscribed(json!({ "revision": 2, "tracks": [{ "sid": "MT1", "id": "new" }] })));
        roster.subscribe(&subscribed(json!({ "revision": 1, "tracks": [{ "sid": "MT1", "id": "old" }] })));
        roster.subscribe(&subscribed(json!({ "tracks": [] })));
        roster.track("pc", "new".into(), Kind::Audio);
        assert_eq!(roster.present().len(), 1);
    }

    #[test]
    fn memory_is_bounded_and_the_present_are_kept() {
        let mut roster = Roster::new(None);
        roster.apply(&carer(1, "connected"), false);
        for n in 0..10_000 {
            roster.apply(&people(json!([{ "sid": format!("PB{n}"), "state": "disconnected", "revision": 1 }])), false);
            roster.track("pc", format!("t{n}"), Kind::Video);
        }
        assert!(roster.participants.len() <= PARTICIPANTS && roster.arrived.len() <= TRACKS);
        assert!(roster.caller_is_here());
    }
}
