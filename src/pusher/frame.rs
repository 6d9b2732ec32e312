//! Frames of Pusher protocol 7: JSON texts `{event, channel?, data?}`.
//!
//! On an organisation's channel nearly every event is for somebody else. [`peek_event`] therefore finds the event's name
//! without allocating and without looking at what follows it; only a frame somebody waits for is parsed.

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A received frame. What can be borrowed is; `data` is not looked into.
#[derive(Debug, Deserialize)]
pub struct Frame<'a> {
    /// The event's name.
    #[serde(borrow)]
    pub event: Cow<'a, str>,
    /// The channel, absent on the connection's own events.
    #[serde(borrow, default)]
    pub channel: Option<Cow<'a, str>>,
    /// The payload as it stands in the frame: a JSON string from servers, an object from clients (chatta.md 6).
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
    /// Some servers put an error's fields here instead of into `data` (chatta.md 6.1).
    #[serde(borrow, default)]
    code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
}

impl<'a> Frame<'a> {
    /// Reads a frame; `None` when it is none.
    pub fn parse(text: &'a str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }

    /// The payload, decoded once more when it is a string that holds JSON.
    pub fn value(&self) -> Value {
        decode(self.data.map_or("null", RawValue::get))
    }

    /// Code and message of a `pusher:error` or `pusher:subscription_error`, wherever the server put them.
    pub fn error(&self) -> (Option<u64>, String) {
        let data = self.value();
        let own = |raw: Option<&RawValue>| raw.map_or(Value::Null, |raw| decode(raw.get()));
        let field = |name: &str, other: Option<&RawValue>| match data.get(name) {
            None | Some(Value::Null) => own(other),
            Some(value) => value.clone(),
        };
        let code = field("code", self.code).as_u64().or_else(|| data.get("status").and_then(Value::as_u64));
        let message = match (field("message", self.message), data.get("error")) {
            (Value::String(text), _) => text,
            (_, Some(Value::String(text))) => text.clone(),
            _ => String::new(),
        };
        (code, message.chars().filter(|c| !c.is_control()).take(200).collect())
    }
}

/// Decodes a payload: a string is tried as JSON once more and kept when it is none.
pub fn decode(raw: &str) -> Value {
    match serde_json::from_str(raw) {
        Ok(Value::String(text)) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        Ok(value) => value,
        Err(_) => Value::Null,
    }
}

/// The event's name, when it can be read without parsing the frame. `None`: parse it.
pub fn peek_event(text: &str) -> Option<&str> {
    let bytes = text.as_bytes();
    let mut at = space(bytes, 0);
    if bytes.get(at) != Some(&b'{') {
        return None;
    }
    at += 1;
    loop {
        let (key, after) = plain_string(text, space(bytes, at))?;
        at = space(bytes, after);
        if bytes.get(at) != Some(&b':') {
            return None;
        }
        at = space(bytes, at + 1);
        if key == "event" {
            return plain_string(text, at).map(|(name, _)| name);
        }
        at = space(bytes, skip_value(bytes, at)?);
        if bytes.get(at) != Some(&b',') {
            return None;
        }
        at += 1;
    }
}

fn space(bytes: &[u8], mut at: usize) -> usize {
    while matches!(bytes.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// A string without escapes, and where it ends.
fn plain_string(text: &str, at: usize) -> Option<(&str, usize)> {
    let rest = text.get(at..)?.strip_prefix('"')?;
    let length = rest.bytes().position(|b| b == b'"' || b == b'\\')?;
    (rest.as_bytes()[length] == b'"').then(|| (&rest[..length], at + length + 2))
}

/// Where the value that begins at `at` ends. Only as exact as finding the next key needs.
fn skip_value(bytes: &[u8], mut at: usize) -> Option<usize> {
    let mut depth = 0usize;
    loop {
        match bytes.get(at)? {
            b'"' => at = skip_string(bytes, at)?,
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => {
                depth -= 1;
                at += 1;
            }
            b',' if depth == 0 => return Some(at),
            _ => {
                at += 1;
                continue;
            }
        }
        if depth == 0 {
            return Some(at);
        }
    }
}

fn skip_string(bytes: &[u8], at: usize) -> Option<usize> {
    let mut at = at + 1;
    loop {
        match bytes.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// `pusher:subscribe`.
pub fn subscribe(channel: &str, authorisation: Option<&super::Authorisation>) -> String {
    let mut data = serde_json::json!({ "channel": channel });
    if let Some(authorisation) = authorisation {
        data["auth"] = authorisation.auth.as_str().into();
        if let Some(channel_data) = &authorisation.channel_data {
            data["channel_data"] = channel_data.as_str().into();
        }
    }
    serde_json::json!({ "event": "pusher:subscribe", "data": data }).to_string()
}

/// `pusher:ping`, with the `data` that some servers insist on (chatta.md 6.1).
pub const PING: &str = r#"{"event":"pusher:ping","data":{}}"#;
/// `pusher:pong`.
pub const PONG: &str = r#"{"event":"pusher:pong","data":{}}"#;

/// A client event; `data` is JSON already.
pub fn client_event(event: &str, channel: &str, data: &str) -> String {
    format!(r#"{{"event":{},"channel":{},"data":{data}}}"#, Value::from(event), Value::from(channel))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_name_is_found_wherever_it_stands() {
        for text in [
            r#"{"event":"a-b","channel":"c","data":{}}"#,
            "\n {\t\"event\" : \"a-b\" }",
            r#"{"channel":"c","event":"a-b"}"#,
            r#"{"data":{"event":"wrong","x":[{"event":"wrong"},"}"]},"event":"a-b"}"#,
            r#"{"data":"{\"event\":\"wrong\"}","n":-1.5e3,"t":true,"z":null,"l":[],"event":"a-b"}"#,
        ] {
            assert_eq!(peek_event(text), Some("a-b"), "{text}");
            assert_eq!(Frame::parse(text).unwrap().event, "a-b", "{text}");
        }
    }

    #[test]
    fn what_cannot_be_read_at_a_glance_is_left_to_the_parser() {
        for text in ["", "{", "[]", "{}", "null", r#"{"event":5}"#, r#"{"event":"a\u002db"}"#, r#"{"even\u0074":"a"}"#, r#"{"data":{"#] {
            assert_eq!(peek_event(text), None, "{text}");
        }
        assert_eq!(Frame::parse(r#"{"event":"a\u002db"}"#).unwrap().event, "a-b");
    }

    #[test]
    fn data_is_decoded_once_more_when_it_is_a_string() {
        assert_eq!(decode(r#""{\"a\":1}""#), serde_json::json!({"a":1}));
        assert_eq!(decode(r#"{"a":1}"#), serde_json::json!({"a":1}));
        assert_eq!(decode(r#""plain words""#), serde_json::json!("plain words"));
        assert_eq!(Frame::parse(r#"{"event":"e"}"#).unwrap().value(), Value::Null);
    }

    #[test]
    fn errors_are_found_in_both_forms() {
        let error = |text| Frame::parse(text).unwrap().error();
        assert_eq!(error(r#"{"event":"pusher:error","data":{"code":4009,"message":"no"}}"#), (Some(4009), "no".into()));
        assert_eq!(error(r#"{"event":"pusher:error","data":"{\"code\":4301,\"message\":\"no\"}"}"#), (Some(4301), "no".into()));
        assert_eq!(error(r#"{"event":"pusher:error","message":"Invalid signature","code":409}"#), (Some(409), "Invalid signature".into()));
        let subscription = r#"{"event":"pusher:subscription_error","channel":"c","data":{"type":"AuthError","error":"no","status":401}}"#;
        assert_eq!(error(subscription), (Some(401), "no".into()));
        assert_eq!(error(r#"{"event":"pusher:error","data":{"code":null,"message":"bad"}}"#), (None, "bad".into()));
    }

    proptest! {
        #[test]
        fn no_text_panics(text in any::<String>()) {
            peek_event(&text);
            if let Some(frame) = Frame::parse(&text) {
                frame.error();
            }
        }

        #[test]
        fn no_json_like_text_panics_and_peek_agrees_with_the_parser(text in r#"[ {}\[\]",:\\a-c"event0-9]{0,60}"#) {
            if let (Some(peeked), Some(frame)) = (peek_event(&text), Frame::parse(&text)) {
                prop_assert_eq!(peeked, frame.event);
            }
        }

        #[test]
        fn a_client_event_is_read_back(name in any::<String>(), channel in any::<String>(), text in any::<String>()) {
            let data = Value::from(text).to_string();
            let written = client_event(&name, &channel, &data);
            let frame = Frame::parse(&written).unwrap();
            prop_assert_eq!(frame.event, name);
            prop_assert_eq!(frame.channel.unwrap(), channel);
            prop_assert_eq!(frame.data.unwrap().get(), data);
        }
    }
}
