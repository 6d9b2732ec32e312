//! The line to Chatta: REST, Pusher channels and call events (contracts: chatta.md).
