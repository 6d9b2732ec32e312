//! What outlives a restart: the call log, the call in progress, the television's state to put back, access tokens.
//!
//! A [`Store`] always opens and never fails a call. What is remembered is held in memory and written behind by a thread
//! of its own, one transaction a change, in order; if the disk is full, read-only or broken, the daemon goes on with
//! what is in memory, says so in the log and in [`Store::trouble`], and tries the disk again with each further change.
//!
//! Every function returns at once, but for two that wait for the disk: [`Store::remember`], for a second at most, because
//! nothing of the television may be changed before its state is safe; and [`Store::log`]. Call these two from a
//! blocking task.

mod disk;
#[cfg(test)]
mod tests;

use crate::call::{CallId, Ending, LineId, Offer, Record};
use crate::checkpoint::{Point, reached};
use crate::journal::messages;
use crate::tv::Remembered;
use disk::{Change, Disk};
use jiff::Timestamp;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a call may be held up by a slow disk.
const PATIENCE: Duration = Duration::from_secs(1);

/// A sign of life is written down this often, in calls only: some 8 KiB each time.
const SIGN_OF_LIFE: Duration = Duration::from_secs(60);

/// How long after the last sign of life the caller of a call that broke off is still told that it ended: longer than the
/// longest pause between two starts of the daemon, and a box boots within it.
const RECENT: Duration = Duration::from_secs(600);

/// Records that wait for a disk that cannot be written; more push out the oldest.
const WAITING: usize = 200;

/// Why the disk cannot be used: what is wrong and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// No space left.
    #[error("no space left for {}: calls go on, but the call log is not kept; free some space", path.display())]
    Full {
        /// The database.
        path: PathBuf,
    },
    /// Another process holds it.
    #[error("{} is in use: another residentd runs on the same state directory; stop it, or give this one its own", path.display())]
    InUse {
        /// The database.
        path: PathBuf,
    },
    /// Directory or file cannot be made, opened or written.
    #[error("{} cannot be used ({why}): calls go on, but the call log is not kept; check that the directory exists and is writable for the daemon's user", path.display())]
    Files {
        /// The database.
        path: PathBuf,
        /// What the system says.
        why: String,
    },
    /// It is not a database of ours, or damaged. A fresh one was begun if that was possible.
    #[error("{} is unreadable: {why}", path.display())]
    Broken {
        /// The database.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
}

impl StoreError {
    /// Its entry in the catalogue.
    fn message(&self) -> messages::Message {
        match self {
            StoreError::Full { .. } => messages::STATE_FULL,
            StoreError::InUse { .. } => messages::STATE_IN_USE,
            StoreError::Files { .. } => messages::STATE_UNWRITABLE,
            StoreError::Broken { .. } => messages::STATE_BROKEN,
        }
    }
}

/// A call that was going on when the last run of the daemon broke off.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Interrupted {
    /// Our number.
    pub call: CallId,
    /// Its offer; a reply would be about this.
    pub offer: Offer,
    /// When it was offered.
    pub offered: Timestamp,
    /// When it was accepted, if that was still written down.
    pub accepted: Option<Timestamp>,
    /// The last sign of life of the run that broke off, written down once a minute.
    #[serde(default)]
    pub seen: Option<Timestamp>,
}

impl Interrupted {
    /// Whether its caller may still be waiting for a word. A box that was unplugged in a call and comes back hours later
    /// stays silent: a late `ended` would end another call of theirs. So does one that does not know the time.
    pub fn is_recent(&self, now: Timestamp) -> bool {
        let seen = self.seen.max(self.accepted).unwrap_or(self.offered).max(self.offered);
        now.duration_since(seen).try_into().is_ok_and(|ago: Duration| ago <= RECENT)
    }

    /// Its line in the call log. Nobody knows when it really ended.
    pub fn record(self, now: Timestamp) -> Record {
        Record {
            call: self.call,
            caller: self.offer.caller,
            medium: self.offer.medium,
            offered: self.offered,
            accepted: self.accepted,
            automatic: false,
            ended: now,
            ending: Ending::Shutdown,
        }
    }
}

/// What outlives a restart. Cheap to clone; the last clone that goes writes what is left.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Owner>,
}

struct Owner {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

struct Shared {
    memory: Mutex<Memory>,
    changed: Condvar,
    written: Condvar,
    /// Locked after `memory` was let go, never the other way round.
    disk: Mutex<Disk>,
}

/// Names under which things are remembered.
mod name {
    pub const NEXT_CALL: &str = "next-call";
    pub const RUNNING: &str = "running";
    pub const INTERRUPTED: &str = "interrupted";
    pub const OWED: &str = "owed";
    pub const TELEVISION: &str = "television";
    pub const TOKEN: &str = "token/";
}

#[derive(Default)]
struct Memory {
    state: BTreeMap<String, Zeroizing<String>>,
    /// Names whose value on the disk is not (known to be) that in memory.
    dirty: BTreeSet<String>,
    records: Vec<Record>,
    /// Counts changes, and which of them were tried to be written.
    change: u64,
    tried: u64,
    trouble: Option<StoreError>,
    stop: bool,
}

impl Memory {
    fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_str(self.state.get(name)?).ok()
    }

    fn set<T: Serialize>(&mut self, name: &str, value: &T) {
        let text = serde_json::to_string(value).expect("what is remembered is plain data");
        self.state.insert(name.to_owned(), Zeroizing::new(text));
        self.dirty.insert(name.to_owned());
    }

    fn sign_of_life(&mut self, now: Timestamp) {
        if let Some(running) = self.get::<Interrupted>(name::RUNNING) {
            self.set(name::RUNNING, &Interrupted { seen: Some(now), ..running });
        }
        self.change += 1;
    }

    fn remove(&mut self, name: &str) {
        if self.state.remove(name).is_some() {
            self.dirty.insert(name.to_owned());
        }
    }
}

impl Store {
    /// Opens, or begins, the database in `directory`. Blocks for the disk; call it once at the start.
    pub fn open(directory: &Path) -> Store {
        let mut disk = Disk::new(directory);
        let mut memory = Memory::default();
        match disk.load().and_then(|state| Ok((state, disk.last_call()?))) {
            Ok((state, last_call)) => {
                memory.state = state.into_iter().map(|(name, value)| (name, Zeroizing::new(value))).collect();
                let next = last_call.map_or(1, |call| call.saturating_add(1)).max(memory.get(name::NEXT_CALL).unwrap_or(1));
                memory.set(name::NEXT_CALL, &next);
            }
            Err(error) => {
                log::error!(MESSAGE_ID = error.message().id; "{error}");
                memory.trouble = Some(error);
            }
        }
        if disk.take_fresh() || memory.trouble.is_some() {
            // How far the numbers had come is not known. Seconds since 1970 are beyond any count of calls.
            memory.set(name::NEXT_CALL, &Timestamp::now().as_second());
        }
        if let Some(running) = memory.get::<Interrupted>(name::RUNNING) {
            memory.set(name::INTERRUPTED, &running);
        }
        memory.remove(name::RUNNING);

        let shared =
            Arc::new(Shared { memory: Mutex::new(memory), changed: Condvar::new(), written: Condvar::new(), disk: Mutex::new(disk) });
        let of_writer = shared.clone();
        let writer = std::thread::Builder::new().name("store".into()).stack_size(256 * 1024).spawn(move || of_writer.write_behind());
        if let Err(error) = &writer {
            log::error!(MESSAGE_ID = messages::DEFECT.id; "no thread for the store ({error}): nothing will be kept; the box is out of memory or threads");
        }
        Store { shared: Arc::new(Owner { shared, writer: writer.ok() }) }
    }

    /// The number of the next call: higher than any before.
    pub fn next_call(&self) -> CallId {
        CallId(self.memory().get(name::NEXT_CALL).unwrap_or(1))
    }

    /// A call was offered. Until [`Store::ended`] it is the one in progress.
    pub fn began(&self, call: CallId, offer: &Offer, now: Timestamp) {
        self.change(|memory| {
            let next = memory.get(name::NEXT_CALL).unwrap_or(1).max(call.0.saturating_add(1));
            memory.set(name::NEXT_CALL, &next);
            memory.set(name::RUNNING, &Interrupted { call, offer: offer.clone(), offered: now, accepted: None, seen: None });
            memory.remove(name::OWED);
        });
    }

    /// Its caller was told `accepted`.
    pub fn accepted(&self, call: CallId, now: Timestamp) {
        self.change(|memory| {
            if let Some(running) = memory.get::<Interrupted>(name::RUNNING).filter(|running| running.call == call) {
                memory.set(name::RUNNING, &Interrupted { accepted: Some(now), ..running });
            }
        });
    }

    /// The call is over: into the log. If its caller has not said so themselves, the word to them is owed until
    /// [`Store::settled`].
    pub fn ended(&self, record: &Record) {
        self.change(|memory| {
            let running = memory.get::<Interrupted>(name::RUNNING).filter(|running| running.call == record.call);
            if let (Some(running), false) = (running, matches!(record.ending, Ending::Withdrawn | Ending::CallerEnded)) {
                memory.set(name::OWED, &Interrupted { seen: Some(record.ended), ..running });
            }
            let next = memory.get(name::NEXT_CALL).unwrap_or(1).max(record.call.0.saturating_add(1));
            memory.set(name::NEXT_CALL, &next);
            for name in [name::RUNNING, name::INTERRUPTED] {
                if memory.get::<Interrupted>(name).is_some_and(|call| call.call == record.call) {
                    memory.remove(name);
                }
            }
            memory.records.push(record.clone());
            let too_many = memory.records.len().saturating_sub(WAITING);
            memory.records.drain(..too_many);
        });
    }

    /// Writes an interrupted call into the log. It stays the interrupted one until [`Store::settled`]: if the daemon breaks
    /// off again meanwhile, the next run does this once more.
    pub fn log_interrupted(&self, record: &Record) {
        self.change(|memory| memory.records.push(record.clone()));
    }

    /// The call that is in the log, but whose caller may not have heard of its end.
    pub fn owed(&self) -> Option<Interrupted> {
        self.memory().get(name::OWED)
    }

    /// Everything that was to be done about this call is done.
    pub fn settled(&self, call: CallId) {
        let of_call = |memory: &Memory, name: &str| memory.get::<Interrupted>(name).is_some_and(|left| left.call == call);
        if [name::INTERRUPTED, name::OWED].iter().any(|name| of_call(&self.memory(), name)) {
            self.change(|memory| {
                for name in [name::INTERRUPTED, name::OWED] {
                    if of_call(memory, name) {
                        memory.remove(name);
                    }
                }
            });
        }
    }

    /// The call that the last run of the daemon did not come to end; to be ended with [`Interrupted::record`].
    pub fn interrupted(&self) -> Option<Interrupted> {
        self.memory().get(name::INTERRUPTED)
    }

    /// The call log, newest first. Waits for the disk.
    pub fn log(&self, limit: usize) -> Vec<Record> {
        let shared = &self.shared.shared;
        let from_disk = shared.disk().log(limit);
        let memory = self.memory();
        // What waits is newer than what is written, or just being written.
        let mut records = memory.records.clone();
        records.extend(from_disk.unwrap_or_default());
        records.sort_by_key(|record| std::cmp::Reverse(record.call));
        records.dedup_by_key(|record| record.call);
        records.truncate(limit);
        records
    }

    /// Remembers what is to be put back on the television, in place of what was to be put back before. Waits until it is
    /// safe on the disk, but not longer than a second, and says whether it is.
    pub fn remember(&self, what: &Remembered) -> bool {
        let change = self.change(|memory| memory.set(name::TELEVISION, what));
        self.wait_for(change, PATIENCE)
    }

    /// What is to be put back on the television.
    pub fn to_restore(&self) -> Option<Remembered> {
        self.memory().get(name::TELEVISION)
    }

    /// It is put back.
    pub fn restored(&self) {
        self.change(|memory| memory.remove(name::TELEVISION));
    }

    /// Keeps a line's access token. The file is readable by the daemon's user only.
    pub fn keep_token(&self, line: &LineId, token: &str) {
        self.change(|memory| memory.set(&format!("{}{}", name::TOKEN, line.0), &token));
    }

    /// A line's access token.
    pub fn token(&self, line: &LineId) -> Option<Zeroizing<String>> {
        self.memory().get(&format!("{}{}", name::TOKEN, line.0)).map(Zeroizing::new)
    }

    /// It is of no use any more.
    pub fn forget_token(&self, line: &LineId) {
        self.change(|memory| memory.remove(&format!("{}{}", name::TOKEN, line.0)));
    }

    /// Why nothing is kept at the moment, if so.
    pub fn trouble(&self) -> Option<StoreError> {
        self.memory().trouble.clone()
    }

    /// Waits until everything up to now is safe on the disk, but not longer than `patience`, and says whether it is.
    pub fn flush(&self, patience: Duration) -> bool {
        let change = self.change(|_| ());
        self.wait_for(change, patience)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.shared.memory()
    }

    fn change(&self, change: impl FnOnce(&mut Memory)) -> u64 {
        let mut memory = self.memory();
        change(&mut memory);
        memory.change += 1;
        self.shared.shared.changed.notify_one();
        memory.change
    }

    fn wait_for(&self, change: u64, patience: Duration) -> bool {
        if self.shared.writer.is_none() {
            return false;
        }
        let waited = self.shared.shared.written.wait_timeout_while(self.memory(), patience, |memory| memory.tried < change);
        let (memory, _) = waited.unwrap_or_else(PoisonError::into_inner);
        memory.tried >= change && memory.trouble.is_none()
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("trouble", &self.trouble()).finish_non_exhaustive()
    }
}

impl Shared {
    /// Nothing panics while it holds one of the locks; and if it did, what is in there would still be whole.
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_behind(&self) {
        let mut memory = self.memory();
        loop {
            let nothing_to_do = |memory: &mut Memory| memory.tried == memory.change && !memory.stop;
            memory = if memory.state.contains_key(name::RUNNING) {
                self.changed.wait_timeout_while(memory, SIGN_OF_LIFE, nothing_to_do).unwrap_or_else(PoisonError::into_inner).0
            } else {
                self.changed.wait_while(memory, nothing_to_do).unwrap_or_else(PoisonError::into_inner)
            };
            if memory.tried == memory.change {
                if memory.stop {
                    return;
                }
                memory.sign_of_life(Timestamp::now());
            }
            let upto = memory.change;
            let names = std::mem::take(&mut memory.dirty);
            let state = names.into_iter().map(|name| (memory.state.get(&name).cloned().map(|text| text.to_string()), name));
            let mut change = Change { state: state.map(|(value, name)| (name, value)).collect(), records: memory.records.clone() };
            drop(memory);
            let (done, fresh) = {
                let mut disk = self.disk();
                let nothing = change.state.is_empty() && change.records.is_empty();
                let done = if nothing { Ok(()) } else { disk.save(&change) };
                (done, disk.take_fresh())
            };
            memory = self.memory();
            if fresh {
                let all: Vec<String> = memory.state.keys().cloned().collect();
                memory.dirty.extend(all);
                memory.change += 1;
            }
            memory.tried = upto;
            match done {
                Ok(()) => {
                    change.checkpoints();
                    memory.records.retain(|record| !change.records.contains(record));
                    if memory.trouble.take().is_some() {
                        log::info!("the call log is kept again");
                    }
                }
                Err(error) => {
                    memory.dirty.extend(change.state.iter().map(|(name, _)| name.clone()));
                    if memory.trouble.as_ref() != Some(&error) {
                        log::error!(MESSAGE_ID = error.message().id; "{error}");
                        memory.trouble = Some(error);
                    }
                }
            }
            change.forget();
            self.written.notify_all();
        }
    }
}

impl Change {
    /// What is on the disk from here on.
    fn checkpoints(&self) {
        for (name, value) in &self.state {
            match (name.as_str(), value) {
                (name::RUNNING, Some(value)) if value.contains("\"accepted\":null") => reached(Point::CallWritten),
                (name::RUNNING, Some(_)) => reached(Point::AcceptedWritten),
                (name::TELEVISION, Some(_)) => reached(Point::TelevisionWritten),
                (name::TELEVISION, None) => reached(Point::TelevisionForgotten),
                _ => {}
            }
        }
        if !self.records.is_empty() {
            reached(Point::RecordWritten);
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.memory().stop = true;
        self.shared.changed.notify_one();
        if let Some(writer) = self.writer.take() {
            // Writes what is left and ends; a panic there was told already.
            let _ = writer.join();
        }
    }
}

/// What the television's task asks of its memory.
impl crate::tv::Memory for Store {
    fn remember(&self, what: &Remembered) -> Result<(), String> {
        if Store::remember(self, what) {
            return Ok(());
        }
        Err(self.trouble().map_or_else(|| "the disk is too slow".to_owned(), |trouble| trouble.to_string()))
    }

    fn recall(&self) -> Result<Option<Remembered>, String> {
        Ok(self.to_restore())
    }

    fn forget(&self) -> Result<(), String> {
        self.restored();
        Ok(())
    }
}
