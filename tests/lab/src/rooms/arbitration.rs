//! One peer connection between two participants, as the server sees it: whose descriptions pass, and the union of
//! everybody's candidates (contract twilio-video §5).
//!
//! The server owns the sequence of descriptions: one outstanding offer at a time, the first one wins, a competing or stale
//! one is dropped. The loser gets the winner's offer, rolls back, answers it and offers again by itself.

use serde_json::{Value, json};

/// Candidates kept of one generation; a browser has a dozen.
const CANDIDATES: usize = 200;
/// Generations (ICE restarts) kept of one side, for candidates that come late.
const GENERATIONS: usize = 4;

#[derive(Debug, Clone)]
struct Generation {
    ufrag: String,
    candidates: Vec<Value>,
    complete: bool,
}

#[derive(Debug, Default)]
struct Side {
    description: Option<Value>,
    generations: Vec<Generation>,
    revision: u64,
}

/// Which end of a connection somebody is on: the one whose offer made it, or the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Maker,
    Other,
}

/// A peer connection.
#[derive(Debug, Default)]
pub(super) struct PeerConnection {
    maker: Side,
    other: Side,
    /// The highest revision seen.
    revision: i64,
    /// The revision of the last finished exchange.
    stable: i64,
    pending: Option<(End, i64)>,
}

impl PeerConnection {
    fn side(&mut self, end: End) -> &mut Side {
        match end {
            End::Maker => &mut self.maker,
            End::Other => &mut self.other,
        }
    }

    /// Takes a description from one end; false when it is dropped.
    pub(super) fn describe(&mut self, from: End, description: &Value) -> bool {
        let Some(revision) = description["revision"].as_i64() else { return false };
        let passes = match description["type"].as_str() {
            Some("offer") => {
                let passes = self.pending.is_none_or(|(by, _)| by == from) && revision > self.stable;
                if passes {
                    self.pending = Some((from, revision));
                }
                passes
            }
            Some("answer") => {
                let passes = self.pending.is_some_and(|(by, asked)| by != from && asked == revision);
                if passes {
                    self.stable = revision;
                    self.pending = None;
                }
                passes
            }
            Some("close") => true,
            _ => false,
        };
        if passes {
            self.revision = self.revision.max(revision);
            self.side(from).description = Some(description.clone());
        }
        passes
    }

    /// Whether `sync` brings a description of this end that the server has not seen yet.
    pub(super) fn is_news(&self, from: End, description: &Value) -> bool {
        let side = if from == End::Maker { &self.maker } else { &self.other };
        side.description
            .as_ref()
            .is_none_or(|known| description["revision"].as_i64() > known["revision"].as_i64() || description["type"] != known["type"])
    }

    /// Merges a list of candidates and gives the whole list with a revision of the server's own. Clients restart their
    /// list at every local description, so lists are united, never replaced. `None` without a `ufrag`.
    pub(super) fn candidates(&mut self, from: End, ice: &Value) -> Option<Value> {
        let ufrag = ice["ufrag"].as_str()?;
        let side = self.side(from);
        let index = match side.generations.iter().position(|g| g.ufrag == ufrag) {
            Some(index) => index,
            None => {
                if side.generations.len() == GENERATIONS {
                    side.generations.remove(0);
                }
                side.generations.push(Generation { ufrag: ufrag.to_owned(), candidates: Vec::new(), complete: false });
                side.generations.len() - 1
            }
        };
        let generation = &mut side.generations[index];
        for candidate in ice["candidates"].as_array().into_iter().flatten() {
            let same = |known: &Value| known["candidate"] == candidate["candidate"] && known["sdpMid"] == candidate["sdpMid"];
            if generation.candidates.len() < CANDIDATES && !generation.candidates.iter().any(same) {
                generation.candidates.push(candidate.clone());
            }
        }
        generation.complete |= ice["complete"] == true;
        side.revision += 1;
        Some(generation_json(&side.generations[index], side.revision))
    }

    /// What somebody who has seen nothing of the other end yet must know.
    pub(super) fn seen_from(&self, viewer: End, id: &str) -> Value {
        let side = if viewer == End::Maker { &self.other } else { &self.maker };
        let mut state = json!({"id": id});
        if let Some(description) = &side.description {
            state["description"] = description.clone();
        }
        if let Some(generation) = side.generations.last() {
            state["ice"] = generation_json(generation, side.revision);
        }
        state
    }

    pub(super) fn close(&self, id: &str) -> Value {
        json!({"id": id, "description": {"type": "close", "revision": self.revision + 1}})
    }

    /// For `/lab/state`: highest and last finished revision.
    pub(super) fn revisions(&self) -> (i64, i64) {
        (self.revision, self.stable)
    }
}

fn generation_json(generation: &Generation, revision: u64) -> Value {
    let mut ice = json!({"ufrag": generation.ufrag, "candidates": generation.candidates, "revision": revision});
    if generation.complete {
        ice["complete"] = json!(true);
    }
    ice
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(kind: &str, revision: i64) -> Value {
        json!({"type": kind, "revision": revision, "sdp": "v=0"})
    }

    #[test]
    fn the_first_of_two_offers_wins_and_the_loser_may_offer_again_after_the_answer() {
        let mut pc = PeerConnection::default();
        assert!(pc.describe(End::Maker, &description("offer", 1)));
        assert!(!pc.describe(End::Other, &description("offer", 2)));
        assert!(pc.describe(End::Other, &description("answer", 1)));
        assert!(pc.describe(End::Other, &description("offer", 2)));
        assert!(pc.describe(End::Maker, &description("answer", 2)));
        assert_eq!(pc.revisions(), (2, 2));
    }

    #[test]
    fn stale_offers_foreign_answers_and_nonsense_are_dropped() {
        let mut pc = PeerConnection::default();
        assert!(!pc.describe(End::Other, &description("answer", 1)));
        assert!(pc.describe(End::Maker, &description("offer", 1)));
        assert!(!pc.describe(End::Maker, &description("answer", 1)), "the own offer");
        assert!(!pc.describe(End::Other, &description("answer", 2)), "another revision");
        assert!(pc.describe(End::Other, &description("answer", 1)));
        assert!(!pc.describe(End::Other, &description("answer", 1)), "twice");
        assert!(!pc.describe(End::Maker, &description("offer", 1)), "stale");
        assert!(!pc.describe(End::Maker, &description("pranswer", 2)));
        assert!(!pc.describe(End::Maker, &json!({"type": "offer"})));
    }

    #[test]
    fn a_restarted_candidate_list_loses_nothing() {
        let mut pc = PeerConnection::default();
        let candidate = |n: u32| json!({"candidate": format!("candidate:{n}"), "sdpMid": "0"});
        pc.candidates(End::Maker, &json!({"ufrag": "a", "candidates": [candidate(1), candidate(2)], "revision": 2}));
        let whole = pc.candidates(End::Maker, &json!({"ufrag": "a", "candidates": [], "complete": true, "revision": 3})).unwrap();
        assert_eq!(whole["candidates"].as_array().unwrap().len(), 2);
        assert_eq!((whole["complete"].clone(), whole["revision"].clone()), (json!(true), json!(2)));
        // An ICE restart begins a list of its own, and a late candidate of the old one does not disturb it.
        pc.candidates(End::Maker, &json!({"ufrag": "b", "candidates": [candidate(9)]}));
        let late = pc.candidates(End::Maker, &json!({"ufrag": "a", "candidates": [candidate(3)]})).unwrap();
        assert_eq!((late["ufrag"].clone(), late["candidates"].as_array().unwrap().len()), (json!("a"), 3));
        assert_eq!(pc.seen_from(End::Other, "x")["ice"]["ufrag"], "b");
    }
}
