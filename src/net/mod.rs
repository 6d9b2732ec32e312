//! What everything that speaks to a network shares: the TLS roots of the box, and how long to wait before trying again.

pub mod backoff;
pub mod tls;
