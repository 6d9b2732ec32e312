//! Peer connections that were closed: they must stay so, whatever late words say (twilio-video.md section 5).

use std::collections::{HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};

/// As many as no call sees, at eight bytes each: beyond, the oldest is forgotten.
const MOST: usize = 4096;

/// Remembers ids by their hash.
#[derive(Debug, Default)]
pub struct Closed {
    order: VecDeque<u64>,
    ids: HashSet<u64>,
}

impl Closed {
    /// This one is closed.
    pub fn insert(&mut self, id: &str) {
        let id = hash(id);
        if self.ids.insert(id) {
            self.order.push_back(id);
        }
        if self.order.len() > MOST
            && let Some(oldest) = self.order.pop_front()
        {
            self.ids.remove(&oldest);
        }
    }

    /// Whether this one was closed.
    pub fn contains(&self, id: &str) -> bool {
        self.ids.contains(&hash(id))
    }
}

fn hash(id: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    id.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_and_the_latest_are_remembered() {
        let mut closed = Closed::default();
        for n in 0..3 * MOST {
            closed.insert(&n.to_string());
        }
        assert!(closed.order.len() == MOST && closed.ids.len() == MOST);
        assert!(closed.contains(&(3 * MOST - 1).to_string()) && !closed.contains("0"));
    }
}
