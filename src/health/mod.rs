//! Readiness, watchdog.
