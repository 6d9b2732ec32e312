//! Where log lines go: the journal under systemd, with every key-value as a field of its own, else standard error.

use log::LevelFilter;

/// Installs the logger. `level` also holds for the libraries below us, one step quieter.
pub fn install(level: LevelFilter) {
    if systemd_journal_logger::connected_to_journal()
        && let Ok(journal) = systemd_journal_logger::JournalLog::new()
        && journal.install().is_ok()
    {
        log::set_max_level(level);
        return;
    }
    let quieter = level.min(LevelFilter::Warn);
    let mut builder = env_logger::Builder::new();
    builder.filter_level(quieter).filter_module("residentd", level).format_timestamp_millis();
    if let Ok(own) = std::env::var("RUST_LOG") {
        builder.parse_filters(&own);
    }
    builder.init();
}
