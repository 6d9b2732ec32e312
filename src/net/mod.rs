//! What everything that speaks to a network shares: the TLS roots of the box, how long to wait before trying again,
//! and a caller's photograph.

pub mod backoff;
pub mod photo;
pub mod tls;
