//! Pusher protocol 7, client side: `protocol.rs` is the sans-I/O core, `client.rs` drives it over a WebSocket.
