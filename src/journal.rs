//! Where log lines go: the journal under systemd, with every key-value as a field of its own, else standard error.

use log::{LevelFilter, Log, Metadata, Record};

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

/// Up to which level our own lines are logged now.
pub fn level() -> LevelFilter {
    log::max_level()
}

/// Another level, until the next one or a restart.
pub fn set_level(level: LevelFilter) {
    log::set_max_level(level);
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
        if self.enabled(record.metadata()) {
            self.inner.log(record);
        }
    }

    fn flush(&self) {
        self.inner.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
