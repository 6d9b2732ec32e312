//! Where log lines go: the journal under systemd, with every key-value as a field of its own, else standard error.
//!
//! Whatever is logged while a call is going on carries `CALL_ID`, `LINE` and `CALLER_ID`: `journalctl CALL_ID=17` shows
//! the call with all that happened around it, whichever part of the daemon says it. What a technician may meet has a
//! MESSAGE_ID: see [`messages`].

pub mod messages;

use crate::call::{CallId, CallerId, LineId};
use log::kv::{Key, Source, Value, VisitSource};
use log::{LevelFilter, Log, Metadata, Record};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{PoisonError, RwLock};

/// The level asked for in the configuration or by a technician.
static LEVEL: AtomicUsize = AtomicUsize::new(LevelFilter::Info as usize);
/// The platform asks for more.
static RAISED: AtomicBool = AtomicBool::new(false);
/// The call that is going on; there is only one.
static CALL: RwLock<Option<OfCall>> = RwLock::new(None);

/// Whether standard error is the journal.
pub fn is_there() -> bool {
    systemd_journal_logger::connected_to_journal()
}

/// Installs the logger. `level` is that of our own lines; see `allowed` for the libraries'.
pub fn install(level: LevelFilter) {
    let journal = systemd_journal_logger::connected_to_journal().then(systemd_journal_logger::JournalLog::new);
    let inner: Box<dyn Log> = match journal {
        Some(Ok(journal)) => Box::new(journal),
        _ => Box::new(env_logger::Builder::new().filter_level(LevelFilter::Trace).format_timestamp_millis().build()),
    };
    if log::set_boxed_logger(Box::new(Quieter { inner })).is_ok() {
        set_level(level);
    }
}

/// How much of our own is logged from now on.
pub fn set_level(level: LevelFilter) {
    LEVEL.store(level as usize, Ordering::Relaxed);
    log::set_max_level(self::level());
}

/// The platform's record of the box asks for details (`logging_enabled`), or does not any more.
pub fn raise(details: bool) {
    if RAISED.swap(details, Ordering::Relaxed) != details {
        log::set_max_level(level());
        log::info!("the platform asks for {} log", if details { "a detailed" } else { "the usual" });
    }
}

/// How much of our own is logged now.
pub fn level() -> LevelFilter {
    let asked = LEVEL.load(Ordering::Relaxed);
    let asked = LevelFilter::iter().find(|level| *level as usize == asked).unwrap_or(LevelFilter::Info);
    if RAISED.load(Ordering::Relaxed) { asked.max(LevelFilter::Debug) } else { asked }
}

/// From now on every entry is of this call.
pub fn call_began(call: CallId, line: &LineId, caller: &CallerId) {
    let of_call = OfCall { call: call.0, line: line.0.clone(), caller: caller.0.clone() };
    *CALL.write().unwrap_or_else(PoisonError::into_inner) = Some(of_call);
}

/// Everything about this call is done.
pub fn call_over(call: CallId) {
    CALL.write().unwrap_or_else(PoisonError::into_inner).take_if(|of_call| of_call.call == call.0);
}

#[derive(Debug, Clone)]
struct OfCall {
    call: u64,
    line: String,
    caller: String,
}

/// An entry's own fields, and those of the call that it does not give itself.
struct WithCall<'a> {
    own: &'a dyn Source,
    call: &'a OfCall,
}

impl Source for WithCall<'_> {
    fn visit<'kvs>(&'kvs self, visitor: &mut dyn VisitSource<'kvs>) -> Result<(), log::kv::Error> {
        self.own.visit(visitor)?;
        let own = |key: &'static str| self.own.get(Key::from_str(key));
        // What is said of somebody else's call, e.g. that they were told `busy`, is not of this one.
        let same = |key, mine: &str| own(key).is_none_or(|theirs| theirs.to_string() == mine);
        if same("CALL_ID", &self.call.call.to_string()) && same("CALLER_ID", &self.call.caller) {
            let fields = [
                ("CALL_ID", Value::from(self.call.call)),
                ("LINE", self.call.line.as_str().into()),
                ("CALLER_ID", self.call.caller.as_str().into()),
            ];
            for (key, value) in fields {
                if own(key).is_none() {
                    visitor.visit_pair(Key::from_str(key), value)?;
                }
            }
        }
        Ok(())
    }
}

/// The level up to which lines of this target are let through. What a technician needs to know we say ourselves, once and
/// in words. The WebRTC libraries log each packet that a broken network refuses, with the address it was for: that is
/// let through only where details were asked for.
fn allowed(target: &str, level: LevelFilter) -> LevelFilter {
    let of = |name: &str| target.strip_prefix(name).is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
    if of("residentd") || of("residentctl") {
        level
    } else if level < LevelFilter::Debug && (of("webrtc") || of("rtc") || target.starts_with("rtc_")) {
        LevelFilter::Off
    } else {
        level.min(LevelFilter::Warn)
    }
}

struct Quieter {
    inner: Box<dyn Log>,
}

impl Log for Quieter {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= allowed(metadata.target(), level())
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let call = CALL.read().unwrap_or_else(PoisonError::into_inner).clone();
        match call {
            Some(call) => {
                let fields = WithCall { own: record.key_values(), call: &call };
                self.inner.log(&record.to_builder().key_values(&fields).build());
            }
            None => self.inner.log(record),
        }
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn the_libraries_are_quieter_than_we_and_those_that_name_addresses_are_silent() {
        for (target, level, expected) in [
            ("residentd::agent", LevelFilter::Info, LevelFilter::Info),
            ("residentd", LevelFilter::Trace, LevelFilter::Trace),
            ("webrtc::peer_connection::driver", LevelFilter::Info, LevelFilter::Off),
            ("rtc_ice::agent", LevelFilter::Info, LevelFilter::Off),
            ("rtc::peer_connection", LevelFilter::Info, LevelFilter::Off),
            ("rtc_ice::agent", LevelFilter::Debug, LevelFilter::Warn),
            ("hyper::client", LevelFilter::Info, LevelFilter::Warn),
            ("hyper::client", LevelFilter::Error, LevelFilter::Error),
            ("residentdish", LevelFilter::Trace, LevelFilter::Warn),
        ] {
            assert_eq!(allowed(target, level), expected, "{target} at {level}");
        }
    }

    /// The fields of an entry with these of its own, while call 17 of caller 5 goes on.
    fn fields(own: &[(&str, &str)]) -> BTreeMap<String, String> {
        struct Gathered(BTreeMap<String, String>);
        impl<'kvs> VisitSource<'kvs> for Gathered {
            fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), log::kv::Error> {
                assert!(self.0.insert(key.to_string(), value.to_string()).is_none(), "{key} comes twice");
                Ok(())
            }
        }
        let call = OfCall { call: 17, line: "chatta".into(), caller: "5".into() };
        let mut gathered = Gathered(BTreeMap::new());
        WithCall { own: &own, call: &call }.visit(&mut gathered).unwrap();
        gathered.0
    }

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    #[test]
    fn an_entry_of_a_call_carries_its_fields_whoever_writes_it() {
        let all = map(&[("CALL_ID", "17"), ("LINE", "chatta"), ("CALLER_ID", "5")]);
        assert_eq!(fields(&[]), all);
        assert_eq!(fields(&[("CALL_ID", "17")]), all);
        assert_eq!(fields(&[("LINE", "chatta"), ("CALLER_ID", "5")]), all);
    }

    #[test]
    fn what_is_said_to_somebody_else_meanwhile_is_not_of_the_call() {
        assert_eq!(fields(&[("CALLER_ID", "6")]), map(&[("CALLER_ID", "6")]));
        assert_eq!(fields(&[("CALL_ID", "16")]), map(&[("CALL_ID", "16")]));
    }
}
