//! The one loop: events in, actions out.
