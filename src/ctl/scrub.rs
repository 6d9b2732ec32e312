//! Takes out of a text what must not leave the box: passwords, tokens, mail addresses, public network addresses, and the
//! names of people. What is taken out is counted, and each thing has the same stand-in everywhere, so that a report can
//! still be followed.

use base64::Engine;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use zeroize::Zeroizing;

/// Names shorter than this are in every text by chance.
const SHORTEST_NAME: usize = 3;
/// A word after which a secret follows.
const KEYS: [&str; 8] = ["password", "token", "credential", "secret", "authorization", "auth", "bearer", "passwd"];

/// What is known to be secret, and what was found.
#[derive(Default)]
pub struct Scrub {
    secrets: Vec<(&'static str, Zeroizing<String>)>,
    people: Vec<String>,
    stand_ins: BTreeMap<String, String>,
    /// How often of which kind was taken out.
    pub counts: BTreeMap<&'static str, usize>,
}

impl Scrub {
    /// A secret that must not appear in any of its usual spellings.
    pub fn secret(&mut self, kind: &'static str, secret: &str) {
        if secret.len() >= SHORTEST_NAME {
            for form in forms(secret) {
                self.secrets.push((kind, form));
            }
        }
    }

    /// Somebody's name, user name or photograph.
    pub fn person(&mut self, name: &str) {
        if name.chars().count() >= SHORTEST_NAME && !self.people.iter().any(|p| p == name) {
            self.people.push(name.to_owned());
            // Longer names first: a first name must not leave the rest of the whole one behind.
            self.people.sort_by_key(|name| std::cmp::Reverse(name.len()));
        }
    }

    /// How many secrets are known, in any spelling, and whether one of them is in these bytes.
    pub fn found_in(&self, bytes: &[u8]) -> usize {
        self.secrets.iter().filter(|(_, secret)| bytes.windows(secret.len()).any(|w| w == secret.as_bytes())).count()
    }

    /// Number of spellings that are looked for.
    pub fn known(&self) -> usize {
        self.secrets.len()
    }

    /// The text without them.
    pub fn clean(&mut self, text: &str) -> String {
        let mut text = text.to_owned();
        for i in 0..self.secrets.len() {
            let (kind, secret) = (self.secrets[i].0, self.secrets[i].1.clone());
            self.replace(&mut text, kind, &secret, &format!("[{kind} removed]"));
        }
        for i in 0..self.people.len() {
            let name = self.people[i].clone();
            if text.contains(&name) {
                let stand_in = self.stand_in("person", &name);
                self.replace(&mut text, "name", &name, &stand_in);
            }
        }
        self.words(&text)
    }

    fn replace(&mut self, text: &mut String, kind: &'static str, what: &str, by: &str) {
        let times = text.matches(what).count();
        if times > 0 {
            *self.counts.entry(kind).or_default() += times;
            *text = text.replace(what, by);
        }
    }

    fn stand_in(&mut self, what: &str, original: &str) -> String {
        let next = self.stand_ins.len() + 1;
        self.stand_ins.entry(original.to_owned()).or_insert_with(|| format!("[{what} {next}]")).clone()
    }

    fn count(&mut self, kind: &'static str) {
        *self.counts.entry(kind).or_default() += 1;
    }

    /// What gives itself away by its form.
    fn words(&mut self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        // A key like `password` was read: what follows `:` or `=` is its value.
        let (mut key, mut armed) = (false, false);
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            if is_delimiter(first) {
                armed = (armed || (key && first == '=')) && first != '\n';
                key &= first != '\n' && first != ',';
                out.push(first);
                rest = &rest[first.len_utf8()..];
                continue;
            }
            let end = rest.find(is_delimiter).unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            rest = after;
            let bare = word.trim_end_matches(':').to_ascii_lowercase();
            let is_key = KEYS.iter().any(|k| {
                bare == *k || bare.ends_with(&format!("_{k}")) || bare.ends_with(&format!("-{k}")) || bare.ends_with(&format!(".{k}"))
            });
            if word == ":" {
                armed |= key;
                out.push_str(word);
            } else if is_key && (!armed || bare == "bearer") {
                key = true;
                armed = word.ends_with(':') || bare == "bearer";
                out.push_str(word);
            } else if armed {
                // `Authorization: Bearer x` has its secret one word later.
                let scheme = ["bearer", "basic", "digest"].contains(&&*bare);
                if scheme || word.starts_with('[') || ["true", "false", "null"].contains(&word) {
                    out.push_str(word);
                } else {
                    self.count("secret");
                    out.push_str("[secret removed]");
                }
                (key, armed) = (scheme, scheme);
            } else {
                key = false;
                let word = self.word(word);
                out.push_str(&word);
            }
        }
        out
    }

    fn word(&mut self, word: &str) -> String {
        if let Some(at) = word.find("eyJ").filter(|at| word[*at..].matches('.').count() >= 2) {
            self.count("token");
            return format!("{}[token removed]", &word[..at]);
        }
        if let Some((before, host)) = word.split_once('@') {
            if let Some((scheme, _)) = before.split_once("://") {
                self.count("secret");
                return format!("{scheme}://[secret removed]@{host}");
            }
            if !before.is_empty() && host.contains('.') && host.len() > 3 && !host.contains(".service") {
                self.count("mail address");
                return self.stand_in("mail address", word);
            }
        }
        match public_address(word) {
            Some(address) => {
                self.count("network address");
                let stand_in = self.stand_in("address", &address.to_string());
                word.replace(&address.to_string(), &stand_in)
            }
            None => word.to_owned(),
        }
    }
}

fn is_delimiter(c: char) -> bool {
    c.is_whitespace() || c.is_control() || "\"'`,;(){}<>|=".contains(c)
}

/// The spellings a secret may have in a log: plain, in JSON, in an address, in Base64.
fn forms(secret: &str) -> Vec<Zeroizing<String>> {
    let json = serde_json::to_string(secret).unwrap_or_default();
    let percent: String = url::form_urlencoded::byte_serialize(secret.as_bytes()).collect();
    let base64 = base64::engine::general_purpose::STANDARD.encode(secret);
    let mut all = vec![secret.to_owned(), json.trim_matches('"').to_owned(), percent, base64];
    all.sort_by_key(|form| std::cmp::Reverse(form.len()));
    all.dedup();
    all.into_iter().map(Zeroizing::new).collect()
}

/// An address that leads to somebody: not of this machine, nor of a private network.
fn public_address(word: &str) -> Option<IpAddr> {
    let bare = word.trim_matches(|c: char| ".:[]/".contains(c) && c != ':' || c == '.');
    let bare = bare.split('/').next()?.split('%').next()?;
    let of = |text: &str| text.parse::<IpAddr>().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|s| s.ip()));
    let address = of(bare).or_else(|| of(bare.trim_end_matches(':'))).or_else(|| of(word))?;
    let private = match address {
        IpAddr::V4(a) => {
            a.is_private() || a.is_loopback() || a.is_link_local() || a.is_unspecified() || a.is_broadcast() || a.is_multicast()
        }
        IpAddr::V6(a) => a.is_loopback() || a.is_unspecified() || a.is_multicast() || a.is_unique_local() || a.is_unicast_link_local(),
    };
    (!private).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    const JWT: &str = "eyJhbGciOiJIUzI1NiJ9.eyJ1c2VyX2lkIjoxMTI0fQ.c2lnbmF0dXJl";

    #[test]
    fn secrets_go_in_every_spelling() {
        let mut scrub = Scrub::default();
        scrub.secret("password", "pa\"ss wörd&1");
        let base64 = base64::engine::general_purpose::STANDARD.encode("pa\"ss wörd&1");
        let text = format!("a pa\"ss wörd&1 b {} c pa%22ss+w%C3%B6rd%261 d pa\\\"ss wörd&1 e", base64);
        let clean = scrub.clean(&text);
        assert_eq!(clean, "a [password removed] b [password removed] c [password removed] d [password removed] e");
        assert_eq!(scrub.counts["password"], 4);
        assert_eq!((scrub.found_in(text.as_bytes()) > 0, scrub.found_in(clean.as_bytes())), (true, 0));
    }

    #[test]
    fn what_looks_like_a_secret_goes_too() {
        let mut scrub = Scrub::default();
        for (text, gone) in [
            (format!("token: {JWT}"), JWT),
            (format!("got {JWT}, fine"), JWT),
            ("Authorization: Bearer abcdef123456".to_owned(), "abcdef123456"),
            ("{\"credential\":\"hunter2\",\"ok\":true}".to_owned(), "hunter2"),
            ("{\"password\" : \"hunter2\"}".to_owned(), "hunter2"),
            ("room_token=xyz789 next".to_owned(), "xyz789"),
            ("wss://u:hunter2@relay.example/x".to_owned(), "hunter2"),
            ("write to ada@example.org please".to_owned(), "ada@example.org"),
            ("candidate 93.184.216.34:5000 typ host".to_owned(), "93.184.216.34"),
            ("via 2a00:1450:4001:81b::200e".to_owned(), "2a00:1450"),
        ] {
            let clean = scrub.clean(&text);
            assert!(!clean.contains(gone), "{text} became {clean}");
        }
    }

    #[test]
    fn what_a_technician_needs_stays() {
        let mut scrub = Scrub::default();
        for text in [
            "line.chatta.password_file = \"/etc/residentd/credentials/chatta-password\"  # /etc/residentd/config.toml:3",
            "host 192.168.1.20:5000 gone, trying fe80::1 and 10.0.0.7/24",
            "the login was refused with status 400; check user name and password",
            "residentd[412]: GStreamer 1.22.0, residentd@1.service",
            "{\"token\":null,\"password\":false}",
            "12:34:56.789 version 1.2.3.4.5",
        ] {
            assert_eq!(scrub.clean(text), text);
        }
        assert!(scrub.counts.is_empty(), "{:?}", scrub.counts);
    }

    #[test]
    fn a_person_is_the_same_stand_in_everywhere() {
        let mut scrub = Scrub::default();
        scrub.person("Roger");
        scrub.person("Roger Admin");
        assert_eq!(scrub.clean("Roger Admin calls; Roger Admin rings; Roger"), "[person 1] calls; [person 1] rings; [person 2]");
        scrub.person("Al");
        assert_eq!(scrub.clean("Also"), "Also");
    }
}
