//! Twilio-compatible room signalling (contract twilio-video), peer-to-peer rooms.

use crate::Shared;
use crate::faults::{Fault, Faults};
use crate::log::Log;
use axum::Router;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// Who makes the first offer (contract twilio-video §10 item 4).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Pairing {
    /// The newcomer's first offer goes to who is there.
    #[default]
    NewcomerOffers,
    /// The waiting participant's first offer is handed to the newcomer.
    ExistingOffers,
}

pub(crate) struct Rooms {
    names: Mutex<std::collections::BTreeSet<String>>,
}

impl Rooms {
    pub(crate) fn new(_: Arc<Log>, _: Arc<Faults>, _: &crate::Options) -> Self {
        Self { names: Mutex::default() }
    }
    pub(crate) fn create(&self, name: &str, _audio_only: bool) -> (String, bool) {
        use sha2::Digest;
        let sid: String = sha2::Sha256::digest(name.as_bytes()).iter().take(16).map(|b| format!("{b:02x}")).collect();
        (format!("RM{sid}"), crate::lock(&self.names).insert(name.to_owned()))
    }
    pub(crate) fn fault(&self, _: &Fault) -> usize {
        0
    }
    pub(crate) fn state(&self) -> Value {
        json!([])
    }
    pub(crate) async fn clock(&self, mut stop: watch::Receiver<bool>) {
        let _ = stop.wait_for(|s| *s).await;
    }
}

pub(crate) fn router(shared: Arc<Shared>) -> Router {
    Router::new().with_state(shared)
}
