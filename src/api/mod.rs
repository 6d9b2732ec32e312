//! The local HTTP API on a Unix socket.
