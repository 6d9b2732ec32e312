//! Events on their way to the agent. A busy agent must not stop the room, so they wait here; what cancels each other out
//! while it waits is not told, which bounds the queue.

use crate::call::RoomEvent;
use std::collections::VecDeque;
use tokio::sync::mpsc;

/// Events that wait.
pub struct Outbox {
    waiting: VecDeque<RoomEvent>,
    agent: mpsc::Sender<RoomEvent>,
}

impl Outbox {
    /// To this agent.
    pub fn new(agent: mpsc::Sender<RoomEvent>) -> Self {
        Self { waiting: VecDeque::new(), agent }
    }

    /// One more.
    pub fn put(&mut self, event: RoomEvent) {
        let cancelled = opposite(&event).and_then(|opposite| self.waiting.iter().rposition(|waiting| *waiting == opposite));
        match cancelled {
            Some(at) => drop(self.waiting.remove(at)),
            None => self.waiting.push_back(event),
        }
    }

    /// Hands over the next one; pending while there is none. Cancel safe.
    pub async fn deliver(&mut self) {
        if self.waiting.is_empty() {
            return std::future::pending().await;
        }
        if let Ok(permit) = self.agent.reserve().await
            && let Some(event) = self.waiting.front().cloned()
        {
            permit.send(event);
        }
        self.waiting.pop_front();
    }

    /// Hands over all.
    pub async fn deliver_all(&mut self) {
        while !self.waiting.is_empty() {
            self.deliver().await;
        }
    }
}

fn opposite(event: &RoomEvent) -> Option<RoomEvent> {
    match event {
        RoomEvent::CallerArrived => Some(RoomEvent::CallerLeft),
        RoomEvent::CallerLeft => Some(RoomEvent::CallerArrived),
        RoomEvent::Weak => Some(RoomEvent::Good),
        RoomEvent::Good => Some(RoomEvent::Weak),
        // Each of these comes once.
        RoomEvent::Joined | RoomEvent::MediaFlowing | RoomEvent::Failed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_slow_agent_hears_the_outcome_and_the_queue_stays_short() {
        let (agent, mut heard) = mpsc::channel(1);
        let mut outbox = Outbox::new(agent);
        outbox.put(RoomEvent::Joined);
        for _ in 0..10_000 {
            outbox.put(RoomEvent::CallerArrived);
            outbox.put(RoomEvent::Weak);
            outbox.put(RoomEvent::CallerLeft);
            outbox.put(RoomEvent::Good);
        }
        outbox.put(RoomEvent::CallerArrived);
        outbox.put(RoomEvent::Failed("x".into()));
        assert!(outbox.waiting.len() <= 3);
        let told = async {
            let mut told = Vec::new();
            while told.last() != Some(&RoomEvent::Failed("x".into())) {
                told.push(heard.recv().await.unwrap());
            }
            told
        };
        let (told, ()) = tokio::join!(told, outbox.deliver_all());
        assert_eq!(told, [RoomEvent::Joined, RoomEvent::CallerArrived, RoomEvent::Failed("x".into())]);
    }

    #[tokio::test]
    async fn an_agent_that_is_gone_stops_nobody() {
        let mut outbox = Outbox::new(mpsc::channel(1).0);
        outbox.put(RoomEvent::Joined);
        outbox.deliver_all().await;
    }
}
