//! The database file: opened, checked, moved aside when it is broken, written in one transaction a change.
//!
//! WAL and `synchronous = FULL`: what a transaction has committed is there after a power cut, what it has not is not,
//! and nothing in between (<https://www.sqlite.org/wal.html>). One process at a time: the lock is held as long as the
//! database is open.

use super::{Record, StoreError};
use crate::journal::messages;
use rusqlite::{Connection, ErrorCode, params};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use zeroize::Zeroize;

/// Counted up with every change of the tables.
const SCHEMA: i64 = 1;

/// Calls kept in the log.
const LOG: i64 = 1000;

/// Broken databases kept for whoever wants to look at them; older ones are removed.
const ASIDE: usize = 3;

/// One transaction.
pub(super) struct Change {
    /// What is to be remembered under a name; `None`: nothing any more.
    pub state: Vec<(String, Option<String>)>,
    pub records: Vec<Record>,
}

impl Change {
    /// Tokens are among what was written.
    pub fn forget(&mut self) {
        for (_, value) in &mut self.state {
            value.zeroize();
        }
    }
}

pub(super) struct Disk {
    path: PathBuf,
    /// `None` until it could be opened; tried again with every change.
    pub(super) open: Option<Connection>,
    /// A broken database was replaced by an empty one, and nobody has asked yet.
    fresh: bool,
}

impl Disk {
    pub fn new(directory: &Path) -> Disk {
        Disk { path: directory.join("residentd.db"), open: None, fresh: false }
    }

    /// Whether since the last time a broken database was replaced by an empty one: then nothing is in it but the last change.
    pub fn take_fresh(&mut self) -> bool {
        std::mem::take(&mut self.fresh)
    }

    /// What was remembered, by name.
    pub fn load(&mut self) -> Result<Vec<(String, String)>, StoreError> {
        self.healing(|db| {
            let mut query = db.prepare("SELECT name, value FROM state")?;
            query.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
    }

    pub fn save(&mut self, change: &Change) -> Result<(), StoreError> {
        self.healing(|db| {
            let transaction = db.transaction()?;
            for (name, value) in &change.state {
                match value {
                    Some(value) => transaction
                        .execute("INSERT INTO state VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET value = ?2", params![name, value])?,
                    None => transaction.execute("DELETE FROM state WHERE name = ?1", params![name])?,
                };
            }
            for record in &change.records {
                let text = serde_json::to_string(record).expect("a record is plain data");
                transaction.execute("INSERT OR REPLACE INTO log VALUES (?1, ?2)", params![record.call.0 as i64, text])?;
            }
            if !change.records.is_empty() {
                transaction
                    .execute("DELETE FROM log WHERE call NOT IN (SELECT call FROM log ORDER BY call DESC LIMIT ?1)", params![LOG])?;
            }
            transaction.commit()
        })
    }

    /// Newest first. Lines that another version wrote and this one can't read are left out.
    pub fn log(&mut self, limit: usize) -> Result<Vec<Record>, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        self.healing(|db| {
            let mut query = db.prepare("SELECT record FROM log ORDER BY call DESC LIMIT ?1")?;
            let lines: Vec<String> = query.query_map([limit], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
            Ok(lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect())
        })
    }

    /// The highest call number in the log.
    pub fn last_call(&mut self) -> Result<Option<u64>, StoreError> {
        self.healing(|db| db.query_row("SELECT max(call) FROM log", [], |row| Ok(row.get::<_, Option<i64>>(0)?.map(|call| call as u64))))
    }

    /// Runs `work` on the open database. A broken one is moved aside, and `work` is run once more on a fresh one.
    fn healing<T>(&mut self, work: impl Fn(&mut Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        match self.attempt(&work) {
            Err(StoreError::Broken { why, .. }) => {
                self.open = None;
                let aside = self.move_aside()?;
                log::error!(
                    MESSAGE_ID = messages::STATE_BROKEN.id;
                    "the call log and remembered state in {} are unreadable ({why}); begun afresh, the old file is kept as {}",
                    self.path.display(),
                    aside.display()
                );
                self.fresh = true;
                self.attempt(&work)
            }
            Err(error) => {
                // Perhaps another file system is there by the next time: opened again then.
                self.open = None;
                Err(error)
            }
            done => done,
        }
    }

    fn attempt<T>(&mut self, work: &impl Fn(&mut Connection) -> rusqlite::Result<T>) -> Result<T, StoreError> {
        let db = match &mut self.open {
            Some(db) => db,
            closed => closed.insert(open(&self.path)?),
        };
        work(db).map_err(|error| StoreError::of(&self.path, error))
    }

    fn move_aside(&self) -> Result<PathBuf, StoreError> {
        let failed = |error: std::io::Error| StoreError::Files { path: self.path.clone(), why: error.to_string() };
        let time = jiff::Timestamp::now().as_millisecond();
        let aside = with_suffix(&self.path, &format!(".corrupt-{time}"));
        fs::rename(&self.path, &aside).map_err(failed)?;
        for part in ["-wal", "-shm"] {
            // Belongs to the old file, and may not exist.
            let _ = fs::rename(with_suffix(&self.path, part), with_suffix(&aside, part));
        }
        self.remove_oldest_aside();
        Ok(aside)
    }

    fn remove_oldest_aside(&self) {
        let Some(directory) = self.path.parent() else { return };
        let begin = with_suffix(&self.path, ".corrupt-");
        let mut aside: Vec<PathBuf> = fs::read_dir(directory)
            .into_iter()
            .flatten()
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.as_os_str().as_encoded_bytes().starts_with(begin.as_os_str().as_encoded_bytes()))
            .filter(|path| path.extension().is_some_and(|end| !end.as_encoded_bytes().ends_with(b"-wal")))
            .collect();
        aside.sort();
        for old in aside.iter().rev().skip(ASIDE) {
            let _ = fs::remove_file(old);
            let _ = fs::remove_file(with_suffix(old, "-wal"));
        }
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    private(path).map_err(|error| StoreError::Files { path: path.into(), why: error.to_string() })?;
    let prepare = || -> rusqlite::Result<Result<Connection, String>> {
        let db = Connection::open(path)?;
        // A second daemon on the same directory is told at once instead of waiting.
        db.busy_timeout(std::time::Duration::ZERO)?;
        db.pragma_update(None, "locking_mode", "EXCLUSIVE")?;
        let mode: String = db.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        if mode != "wal" {
            return Ok(Err(format!("journal mode {mode}")));
        }
        db.pragma_update(None, "synchronous", "FULL")?;
        // KiB. The whole log fits, but nobody reads it while the box waits for calls.
        db.pragma_update(None, "cache_size", -128)?;
        // Tokens that were replaced are not to be found in free pages.
        db.pragma_update(None, "secure_delete", true)?;
        let health: String = db.pragma_query_value(None, "quick_check", |row| row.get(0))?;
        if health != "ok" {
            return Ok(Err(health));
        }
        let schema: i64 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
        if schema > SCHEMA {
            return Ok(Err(format!("written by a newer version, schema {schema}")));
        }
        db.execute_batch(&format!(
            "BEGIN IMMEDIATE;
             CREATE TABLE IF NOT EXISTS state (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
             CREATE TABLE IF NOT EXISTS log (call INTEGER PRIMARY KEY, record TEXT NOT NULL) STRICT;
             PRAGMA user_version = {SCHEMA};
             COMMIT;"
        ))?;
        Ok(Ok(db))
    };
    match prepare() {
        Ok(Ok(db)) => Ok(db),
        Ok(Err(why)) => Err(StoreError::Broken { path: path.into(), why }),
        Err(error) => Err(StoreError::of(path, error)),
    }
}

/// The directory is the daemon's alone (0700), and so is the file (0600); SQLite gives its companions the same mode.
fn private(path: &Path) -> std::io::Result<()> {
    if let Some(directory) = path.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
        close(directory, 0o700);
    }
    OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path)?;
    close(path, 0o600);
    Ok(())
}

fn close(path: &Path, mode: u32) {
    let open = |found: fs::Metadata| found.permissions().mode() & 0o077 != 0;
    if fs::metadata(path).is_ok_and(open)
        && let Err(error) = fs::set_permissions(path, Permissions::from_mode(mode))
    {
        log::warn!(MESSAGE_ID = messages::SECRET_READABLE.id; "others may read {} ({error}): it holds names of callers and access tokens; chmod it to {mode:o}", path.display());
    }
}

impl StoreError {
    fn of(path: &Path, error: rusqlite::Error) -> StoreError {
        let (path, why) = (path.to_owned(), error.to_string());
        match error.sqlite_error_code() {
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => StoreError::Broken { path, why },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::InUse { path },
            Some(ErrorCode::DiskFull) => StoreError::Full { path },
            _ => match error {
                // Tables that are not ours, or damage that the check does not see.
                rusqlite::Error::SqlInputError { .. } | rusqlite::Error::InvalidColumnType(..) => StoreError::Broken { path, why },
                _ => StoreError::Files { path, why },
            },
        }
    }
}
