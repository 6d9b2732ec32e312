//! One peer connection's descriptions and candidates, without I/O (twilio-video.md section 5): who may offer, which
//! answer is meant, what happens when both offer, and candidate lists that start over.
//!
//! The peer works on one description at a time; what comes meanwhile waits here. An offer of ours exists from the moment
//! the peer made it until it is answered or rolled back.

use super::messages::{self, Candidate, Description, DescriptionKind, Ice, LocalDescription};
use serde_json::Value;

/// ICE generations of the far side kept; each restart makes one.
const BOXES: usize = 8;
/// Candidates kept of one generation.
const CANDIDATES: usize = 128;

/// What the peer is asked to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Task {
    /// Make an offer, with new ICE credentials or not.
    Offer {
        /// New credentials.
        restart: bool,
    },
    /// Answer this offer; an outstanding own one is rolled back.
    AcceptOffer {
        /// SDP.
        sdp: String,
    },
    /// Apply this answer.
    AcceptAnswer {
        /// SDP.
        sdp: String,
    },
    /// Add this candidate.
    AddCandidate {
        /// `candidate:…`.
        line: String,
        /// The section it belongs to.
        mid: Option<String>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    None,
    Offering { restart: bool },
    Answering { revision: u64 },
    Applying { revision: u64 },
}

#[derive(Debug)]
struct Outstanding {
    restart: bool,
}

/// Candidates of the far side of one generation: a union, because lists start over and arrive shortened.
#[derive(Debug)]
struct IceBox {
    ufrag: String,
    candidates: Vec<Candidate>,
    /// How many of them the peer has.
    given: usize,
}

/// Our candidates of the present generation.
#[derive(Debug, Default)]
struct OwnIce {
    ufrag: String,
    mid: String,
    lines: Vec<String>,
    complete: bool,
    /// Grows over all generations.
    revision: u64,
    unsent: bool,
}

/// One peer connection as signalling sees it.
#[derive(Debug)]
pub struct Negotiation {
    /// Revision last seen or used.
    revision: u64,
    /// Revision of the last completed exchange; 0: none yet.
    stable: u64,
    work: Work,
    outstanding: Option<Outstanding>,
    /// A description that waits for the peer, or for the answer to our first offer.
    waiting: Option<Description>,
    /// An offer of ours that is still wanted.
    wanted: Option<Outstanding>,
    local: Option<LocalDescription>,
    local_unsent: bool,
    own: OwnIce,
    boxes: Vec<IceBox>,
    remote_ufrags: Vec<String>,
    remote_lite: bool,
    tasks: Vec<Task>,
}

impl Negotiation {
    /// Nothing said yet.
    pub fn new() -> Self {
        Self {
            revision: 0,
            stable: 0,
            work: Work::None,
            outstanding: None,
            waiting: None,
            wanted: None,
            local: None,
            local_unsent: false,
            own: OwnIce::default(),
            boxes: Vec::new(),
            remote_ufrags: Vec::new(),
            remote_lite: false,
            tasks: Vec::new(),
        }
    }

    /// What the peer is to do, in order.
    pub fn tasks(&mut self) -> Vec<Task> {
        std::mem::take(&mut self.tasks)
    }

    /// Whether an exchange was ever completed, so that its media state means something.
    pub fn is_agreed(&self) -> bool {
        self.stable > 0
    }

    /// The last local description, for `sync`.
    pub fn local(&self) -> Option<&LocalDescription> {
        self.local.as_ref()
    }

    /// We want to offer: at the start, or with `restart` to find another path.
    pub fn offer(&mut self, restart: bool) {
        let restart = restart || self.wanted.as_ref().is_some_and(|w| w.restart);
        self.wanted = Some(Outstanding { restart });
        self.proceed();
    }

    /// A description of the far side (or of the server) came.
    pub fn described(&mut self, description: Description) {
        let revision = description.revision.unwrap_or(0);
        match description.kind {
            DescriptionKind::Offer | DescriptionKind::CreateOffer if revision > self.stable => {
                // A newer one replaces what waits: it supersedes it on the far side too.
                if self.waiting.as_ref().is_none_or(|w| w.revision.unwrap_or(0) <= revision) {
                    self.waiting = Some(description);
                }
                self.proceed();
            }
            // An answer that is not for the outstanding offer is late, and dropped.
            DescriptionKind::Answer if revision == self.revision && self.outstanding.is_some() && self.work == Work::None => {
                if let Some(sdp) = description.sdp {
                    self.work = Work::Applying { revision };
                    self.read_remote(&sdp);
                    self.tasks.push(Task::AcceptAnswer { sdp });
                }
            }
            _ => {}
        }
    }

    /// Candidates of the far side came.
    pub fn candidates(&mut self, ice: Ice) {
        let known = match self.boxes.iter().position(|b| b.ufrag == ice.ufrag) {
            Some(at) => &mut self.boxes[at],
            None => {
                if self.boxes.len() >= BOXES {
                    // The oldest generation that is not in use.
                    let at = self.boxes.iter().position(|b| !self.remote_ufrags.contains(&b.ufrag)).unwrap_or(0);
                    self.boxes.remove(at);
                }
                self.boxes.push(IceBox { ufrag: ice.ufrag, candidates: Vec::new(), given: 0 });
                self.boxes.last_mut().expect("just pushed")
            }
        };
        for candidate in ice.candidates {
            let new = !candidate.candidate.is_empty() && known.candidates.iter().all(|k| k.candidate != candidate.candidate);
            if new && known.candidates.len() < CANDIDATES {
                known.candidates.push(candidate);
            }
        }
        if self.work == Work::None {
            self.give_candidates();
        }
    }

    /// The peer made the offer.
    pub fn offered(&mut self, sdp: String) {
        let Work::Offering { restart } = self.work else { return };
        self.work = Work::None;
        self.outstanding = Some(Outstanding { restart });
        // While it was made the far side offered: theirs goes first, ours is rolled back unseen and made anew (glare).
        let overtaken = self.stable > 0 && matches!(&self.waiting, Some(w) if w.kind == DescriptionKind::Offer);
        if !overtaken {
            self.revision = self.revision.saturating_add(1);
            self.describe(DescriptionKind::Offer, self.revision, sdp);
        }
        self.proceed();
    }

    /// The peer answered.
    pub fn answered(&mut self, sdp: String) {
        let Work::Answering { revision } = self.work else { return };
        self.work = Work::None;
        self.stable = revision;
        self.describe(DescriptionKind::Answer, revision, sdp);
        self.give_candidates();
        self.proceed();
    }

    /// The peer applied the answer.
    pub fn accepted(&mut self) {
        let Work::Applying { revision } = self.work else { return };
        self.work = Work::None;
        self.outstanding = None;
        self.stable = revision;
        self.give_candidates();
        self.proceed();
    }

    /// The peer could not do it; its own state is as before.
    pub fn refused(&mut self) {
        if matches!(self.work, Work::Applying { .. }) {
            self.outstanding = None;
        }
        self.work = Work::None;
        self.proceed();
    }

    /// The peer found a candidate of ours.
    pub fn candidate(&mut self, line: String) {
        // Some stacks put the generation into the line; a late one of an earlier generation is of no use any more.
        let mut words = line.split_ascii_whitespace();
        let stale = words.any(|w| w == "ufrag") && words.next().is_some_and(|ufrag| !self.own.ufrag.is_empty() && ufrag != self.own.ufrag);
        if !line.is_empty() && !stale && self.own.lines.len() < CANDIDATES && !self.own.lines.contains(&line) {
            self.own.lines.push(line);
            self.own.complete = false;
            self.own.unsent = true;
        }
    }

    /// The peer has found all of them.
    pub fn gathered(&mut self) {
        if !self.own.complete {
            self.own.complete = true;
            self.own.unsent = true;
        }
    }

    /// The description that is to be told, once there is a session. Goes before candidates.
    pub fn unsent_description(&mut self) -> Option<&LocalDescription> {
        if std::mem::take(&mut self.local_unsent) { self.local.as_ref() } else { None }
    }

    /// The candidates that are to be told: always the whole list.
    pub fn unsent_candidates(&mut self) -> Option<Value> {
        // Without a description the far side knows no generation they could belong to. A server that checks nothing by
        // itself (ice-lite) needs none of them, only the end.
        if self.local.is_none() || !self.own.unsent || (self.remote_lite && !self.own.complete) {
            return None;
        }
        self.own.unsent = false;
        self.own.revision += 1;
        let lines: &[String] = if self.remote_lite { &[] } else { &self.own.lines };
        Some(messages::candidates(&self.own.ufrag, &self.own.mid, self.own.revision, lines, self.own.complete))
    }

    /// This description went out by another way (`connect`, `sync`).
    pub fn description_sent(&mut self, kind: DescriptionKind, revision: u64) {
        if self.local.as_ref().is_some_and(|l| l.kind == kind && l.revision == revision) {
            self.local_unsent = false;
        }
    }

    /// A socket died, and candidates with it perhaps: the list goes out again.
    pub fn repeat_candidates(&mut self) {
        self.own.unsent = self.own.complete || !self.own.lines.is_empty();
    }

    fn proceed(&mut self) {
        if self.work != Work::None {
            return;
        }
        if let Some(waiting) = &self.waiting {
            let revision = waiting.revision.unwrap_or(0);
            let first_offer_open = self.outstanding.is_some() && self.stable == 0;
            if revision <= self.stable {
                self.waiting = None;
            } else if !first_offer_open {
                let waiting = self.waiting.take().expect("looked at above");
                self.take_up(waiting, revision);
                return;
            }
        }
        if self.waiting.is_none()
            && let Some(wanted) = self.wanted.take()
        {
            self.work = Work::Offering { restart: wanted.restart };
            self.outstanding = None;
            self.tasks.push(Task::Offer { restart: wanted.restart });
        }
    }

    fn take_up(&mut self, description: Description, revision: u64) {
        match description.kind {
            DescriptionKind::Offer => {
                let Some(sdp) = description.sdp else { return self.proceed() };
                let ours = self.outstanding.take();
                let restarted = self.read_remote(&sdp);
                // Both offered: ours gives way, and comes again unless theirs brought the new path that ours was for.
                if let Some(ours) = ours
                    && self.wanted.is_none()
                {
                    self.wanted = Some(ours);
                }
                if restarted {
                    self.wanted.take_if(|w| w.restart);
                }
                self.revision = revision;
                self.work = Work::Answering { revision };
                self.tasks.push(Task::AcceptOffer { sdp });
            }
            DescriptionKind::CreateOffer => {
                let restart = self.wanted.take().is_some_and(|w| w.restart);
                self.outstanding = None;
                self.revision = revision;
                self.work = Work::Offering { restart };
                self.tasks.push(Task::Offer { restart });
            }
            DescriptionKind::Answer | DescriptionKind::Close => {}
        }
    }

    /// Notes the far side's generation; whether it is another one than before.
    fn read_remote(&mut self, sdp: &str) -> bool {
        let mut ufrags: Vec<String> = Vec::new();
        for ufrag in attributes(sdp, "a=ice-ufrag:") {
            if ufrags.len() < BOXES && !ufrags.iter().any(|u| u == ufrag) {
                ufrags.push(ufrag.to_owned());
            }
        }
        self.remote_lite = sdp.lines().any(|l| l.trim_end() == "a=ice-lite");
        let another = !self.remote_ufrags.is_empty() && self.remote_ufrags != ufrags;
        self.remote_ufrags = ufrags;
        another
    }

    fn describe(&mut self, kind: DescriptionKind, revision: u64, sdp: String) {
        let ufrag = attributes(&sdp, "a=ice-ufrag:").next().unwrap_or_default();
        if ufrag != self.own.ufrag {
            // A new generation: its candidates come after its description.
            self.own = OwnIce { ufrag: ufrag.to_owned(), revision: self.own.revision, ..OwnIce::default() };
        }
        self.own.mid = attributes(&sdp, "a=mid:").next().unwrap_or("0").to_owned();
        self.local = Some(LocalDescription { kind, revision, sdp });
        self.local_unsent = true;
    }

    fn give_candidates(&mut self) {
        // The peer knows no remote description before the first exchange.
        if self.stable == 0 {
            return;
        }
        for known in self.boxes.iter_mut().filter(|b| self.remote_ufrags.contains(&b.ufrag)) {
            for candidate in &known.candidates[known.given..] {
                self.tasks
                    .push(Task::AddCandidate { line: candidate.candidate.clone(), mid: candidate.mid.clone().filter(|m| !m.is_empty()) });
            }
            known.given = known.candidates.len();
        }
    }
}

impl Default for Negotiation {
    fn default() -> Self {
        Self::new()
    }
}

fn attributes<'a>(sdp: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    sdp.lines().filter_map(move |l| l.strip_prefix(prefix)).map(str::trim).filter(|v| !v.is_empty())
}
