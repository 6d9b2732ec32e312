//! What everything that speaks to a network shares: the TLS roots of the box, how long to wait before trying again,
//! whether the box has moved to another network, and a caller's photograph.

pub mod backoff;
pub mod moves;
pub mod photo;
pub mod tls;
