//! Pusher protocol 7, client side: `protocol.rs` is the sans-I/O core, `client.rs` drives it over a WebSocket.

/// Where a Pusher application is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Host name or address, e.g. `ws-eu.pusher.com`.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `wss` instead of `ws`.
    pub tls: bool,
    /// What stands before `/app/…`: empty, or a path that begins with a slash.
    pub path: String,
    /// The application's public key.
    pub key: String,
}

impl Endpoint {
    /// The hosted service: `wss://ws-<cluster>.pusher.com:443`.
    pub fn cluster(cluster: &str, key: &str) -> Self {
        Self { host: format!("ws-{cluster}.pusher.com"), port: 443, tls: true, path: String::new(), key: key.into() }
    }

    /// The address of a connection, over TLS or not.
    pub fn address(&self, tls: bool) -> String {
        let Self { host, port, path, key, .. } = self;
        let (scheme, version) = (if tls { "wss" } else { "ws" }, env!("CARGO_PKG_VERSION"));
        let path = path.trim_end_matches('/');
        format!("{scheme}://{host}:{port}{path}/app/{key}?protocol=7&client=residentd&version={version}")
    }
}
