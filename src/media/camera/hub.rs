//! Hands each thing to all who take it.

use super::super::source::lock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// Takes one thing. Called on a streaming thread: must not block.
pub type Taker<T> = Arc<dyn Fn(&T) + Send + Sync>;

/// The takers of one stream.
pub struct Hub<T> {
    takers: Mutex<Vec<(u64, Taker<T>)>>,
    next: AtomicU64,
}

impl<T> Default for Hub<T> {
    fn default() -> Hub<T> {
        Hub { takers: Mutex::default(), next: AtomicU64::new(0) }
    }
}

impl<T> Hub<T> {
    /// Adds a taker; the answer removes it again.
    pub fn add(&self, taker: Taker<T>) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        lock(&self.takers).push((id, taker));
        id
    }

    /// Removes a taker.
    pub fn remove(&self, id: u64) {
        lock(&self.takers).retain(|(i, _)| *i != id);
    }

    /// Hands one on.
    pub fn push(&self, thing: &T) {
        let takers: Vec<_> = lock(&self.takers).iter().map(|(_, t)| t.clone()).collect();
        for taker in takers {
            taker(thing);
        }
    }
}
