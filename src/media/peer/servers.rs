//! From the servers a platform names to those the crate can use: TURN over TCP and TLS goes through [`crate::media::relay`].

use super::IceServer;
use crate::media::relay::{Relay, Report, Server};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use webrtc::peer_connection::RTCIceServer;

/// A TURN URL (RFC 7065), taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::media) enum Url<'a> {
    /// Understood by the crate as it is.
    Plain,
    /// TURN over a stream.
    Stream { host: &'a str, port: u16, tls: bool },
}

/// Reads one; `None`: of a kind nobody here speaks.
pub(in crate::media) fn parse(url: &str) -> Option<Url<'_>> {
    let (scheme, rest) = url.split_once(':')?;
    let (address, query) = rest.split_once('?').unwrap_or((rest, ""));
    let tls = match scheme.to_ascii_lowercase().as_str() {
        "stun" => return (!address.is_empty()).then_some(Url::Plain),
        "turn" => false,
        "turns" => true,
        _ => return None,
    };
    let (host, port) = match address.strip_prefix('[') {
        Some(address) => {
            let (host, port) = address.split_once(']')?;
            (host, port.strip_prefix(':'))
        }
        None => address.split_once(':').map_or((address, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Some(if tls { 5349 } else { 3478 }), |port| port.parse().ok())?;
    if host.is_empty() {
        return None;
    }
    match (tls, query.to_ascii_lowercase().as_str()) {
        (false, "" | "transport=udp") => Some(Url::Plain),
        // DTLS to a relay is spoken by nobody; TLS is what is meant.
        (_, "" | "transport=tcp") => Some(Url::Stream { host, port, tls }),
        _ => None,
    }
}

/// What is known to be wrong with which server, for the one line that explains a failed connection.
#[derive(Default)]
pub(super) struct Troubles(Mutex<BTreeMap<String, String>>);

impl Troubles {
    fn report(self: &Arc<Self>, url: &str) -> Report {
        let (troubles, url) = (Arc::clone(self), url.to_owned());
        Arc::new(move |trouble| {
            let mut troubles = troubles.0.lock().unwrap_or_else(PoisonError::into_inner);
            match trouble {
                Some(trouble) => troubles.insert(url.clone(), trouble),
                None => troubles.remove(&url),
            };
        })
    }

    /// All of them, or nothing.
    pub(super) fn text(&self) -> Option<String> {
        let troubles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!troubles.is_empty()).then(|| troubles.values().cloned().collect::<Vec<_>>().join("; "))
    }
}

/// The servers for the crate, and the relays behind some of them.
#[derive(Default)]
pub(super) struct Servers {
    pub(super) list: Vec<RTCIceServer>,
    relays: Vec<(String, Relay)>,
    pub(super) troubles: Arc<Troubles>,
    /// Whether any relay was named at all.
    pub(super) any_relay: bool,
}

impl Servers {
    /// Servers that nobody could use are left out with a line in the log: one bad entry must not cost the call.
    pub(super) async fn prepare(servers: &[IceServer], tls: &Arc<rustls::ClientConfig>) -> Servers {
        let mut prepared = Servers::default();
        for server in servers {
            for url in &server.urls {
                let relay = url.to_ascii_lowercase().starts_with("turn");
                prepared.any_relay |= relay;
                if relay && (server.username.is_empty() || server.credential.is_empty()) {
                    log::warn!(MESSAGE_ID = crate::journal::messages::RELAY_UNUSABLE.id, server = url.as_str(); "a relay came without user name or password and is left out");
                    continue;
                }
                let url = match parse(url) {
                    Some(Url::Plain) => url.clone(),
                    Some(Url::Stream { host, port, tls: encrypted }) => {
                        let target = Server { host: host.to_owned(), port, tls: encrypted.then(|| Arc::clone(tls)) };
                        match Relay::start(target, prepared.troubles.report(url)).await {
                            Ok(relay) => {
                                let local = format!("turn:{}?transport=udp", relay.address());
                                prepared.relays.push((if encrypted { "tls" } else { "tcp" }.to_owned(), relay));
                                local
                            }
                            Err(error) => {
                                log::warn!(MESSAGE_ID = crate::journal::messages::RELAY_UNUSABLE.id, server = url.as_str(); "no local socket for a relay: {error}");
                                continue;
                            }
                        }
                    }
                    None => {
                        log::warn!(MESSAGE_ID = crate::journal::messages::RELAY_UNUSABLE.id, server = url.as_str(); "an ICE server of a kind nobody here speaks is left out");
                        continue;
                    }
                };
                prepared.list.push(RTCIceServer {
                    urls: vec![url],
                    username: server.username.clone(),
                    credential: server.credential.to_string(),
                });
            }
        }
        prepared
    }

    /// How the relay behind this URL of [`Servers::list`] is reached: `udp`, `tcp` or `tls`.
    pub(super) fn protocol(&self, url: &str) -> &str {
        let behind = self.relays.iter().find(|(_, relay)| url.contains(&relay.address().to_string()));
        behind.map_or("udp", |(protocol, _)| protocol)
    }

    /// Ends the relays with all their streams.
    pub(super) async fn close(&self) {
        for (_, relay) in &self.relays {
            relay.close().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_told_apart() {
        let stream = |host, port, tls| Some(Url::Stream { host, port, tls });
        for (url, parsed) in [
            ("stun:s.example", Some(Url::Plain)),
            ("turn:r.example:3478", Some(Url::Plain)),
            ("turn:r.example:3478?transport=udp", Some(Url::Plain)),
            ("turn:r.example:3478?transport=tcp", stream("r.example", 3478, false)),
            ("turn:r.example?transport=TCP", stream("r.example", 3478, false)),
            ("turns:r.example:443?transport=tcp", stream("r.example", 443, true)),
            ("turns:[2001:db8::1]:443", stream("2001:db8::1", 443, true)),
            ("turns:r.example", stream("r.example", 5349, true)),
            ("turn:r.example:99999?transport=tcp", None),
            ("turn::1?transport=tcp", None),
            ("turn:", None),
            ("stun:", None),
            ("stuns:s.example", None),
            ("http://r.example", None),
            ("", None),
        ] {
            assert_eq!(parse(url), parsed, "{url}");
        }
    }

    #[tokio::test]
    async fn one_bad_server_does_not_cost_the_others() {
        let tls = crate::net::tls::client(None).unwrap();
        let server = |urls: &[&str], username: &str| IceServer {
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            username: username.to_owned(),
            credential: zeroize::Zeroizing::new("secret".to_owned()),
        };
        let servers = Servers::prepare(
            &[server(&["nonsense", "turns:127.0.0.1:1", "turn:127.0.0.1:2"], "u"), server(&["turn:127.0.0.1:3"], "")],
            &tls,
        )
        .await;
        let urls: Vec<_> = servers.list.iter().map(|server| server.urls[0].as_str()).collect();
        assert_eq!(urls.len(), 2);
        assert_eq!((servers.protocol(urls[0]), servers.protocol(urls[1])), ("tls", "udp"));
        servers.close().await;
    }
}
