//! The events of the call channel: what callers send, read leniently (chatta.md 3, 5), and what we answer.

use crate::call::{Caller, CallerId, Decline, LineId, Medium, Offer, Reference, Reply, Wish, Withdrawal};
use crate::line::Wishes;
use serde_json::{Value, json};
use std::time::Duration;
use url::Url;

/// Longest delay a caller can ask for (5.1).
const LONGEST_AFTER: f64 = 300.0;
/// A longer name of a room or user is taken for none: our replies must fit into 10 KB.
const LONGEST_NAME: usize = 512;
/// Characters of a caller's name that are shown.
const SHOWN_NAME: usize = 80;
/// Characters of a photograph's address.
const LONGEST_ADDRESS: usize = 2048;

/// Who the box is at the platform.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    pub resident: u64,
    pub customer: u64,
    pub username: String,
    pub set_top_box: Option<u64>,
}

impl Identity {
    /// The channel of all calls of the organisation.
    pub fn call_channel(&self) -> String {
        format!("private-call-{}", self.customer)
    }

    /// The channel whose subscription makes the box visible (4, step 1).
    pub fn presence_channel(&self) -> String {
        format!("private-presence-{}", self.customer)
    }

    /// Somebody calls.
    pub fn requested(&self) -> String {
        format!("client-conferencing-call-requested-{}", self.resident)
    }

    /// Whether the platform shows the resident as online has changed (3).
    pub fn presence_update(&self) -> String {
        format!("presence_update_{}", self.resident)
    }

    /// The caller's side says it is over.
    pub fn ended(&self) -> String {
        format!("client-conferencing-call-ended-{}", self.resident)
    }
}

/// A resident's record has changed; of which one only the payload tells (3).
pub const RESIDENT_UPDATED: &str = "resident_updated";
/// The platform asks to wake the screen (8, item 3).
pub const POWER_NORMAL: &str = "power_normal";

/// What the platform's record says of the resident, as far as the box needs it (2.4, 3). What is missing or odd is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Shown to callers as online.
    pub online: Option<bool>,
    pub locale: Option<String>,
    pub time_zone: Option<String>,
    /// Whether the record of the box asks for a detailed log.
    pub logging: Option<bool>,
    /// What it asks of the television, where it holds a box at all.
    pub wishes: Option<Wishes>,
}

impl Record {
    pub fn read(user: &Value) -> Record {
        let text = |value: &Value| value.as_str().filter(|text| !text.is_empty()).map(Into::into);
        Record {
            online: user["online"].as_bool(),
            locale: text(&user["locale"]),
            time_zone: text(&user["time_zone"]),
            logging: user["set_top_box"]["logging_enabled"].as_bool(),
            wishes: user["set_top_box"].as_object().map(|set_top_box| {
                // A key that the record does not speak of is allowed.
                let allowed = |key: &str| set_top_box.get(key).and_then(Value::as_bool).unwrap_or(true);
                Wishes {
                    av_key: allowed("av_key_enabled"),
                    menu_key: allowed("menu_key_enabled") && user["customer"]["settings_enabled"] != false,
                    default_input: text(&user["set_top_box"]["default_av_input"]),
                }
            }),
        }
    }
}

#[cfg(test)]
#[test]
fn the_wishes_of_a_record_are_read_and_what_it_does_not_speak_of_is_allowed() {
    let wishes = |user: Value| Record::read(&user).wishes;
    assert_eq!(wishes(json!({ "id": 1124, "online": true })), None);
    let silent = Wishes { av_key: true, menu_key: true, default_input: None };
    assert_eq!(wishes(json!({ "set_top_box": { "id": 322, "default_av_input": "" } })), Some(silent.clone()));
    let set = json!({ "av_key_enabled": false, "menu_key_enabled": false, "default_av_input": "HDMI2" });
    let asked = Wishes { av_key: false, menu_key: false, default_input: Some("HDMI2".into()) };
    assert_eq!(wishes(json!({ "set_top_box": set })), Some(asked));
    let settings = json!({ "customer": { "settings_enabled": false }, "set_top_box": { "menu_key_enabled": true } });
    assert_eq!(wishes(settings), Some(Wishes { menu_key: false, ..silent }));
}

/// How to read an offer.
pub struct Reading<'a> {
    pub line: &'a LineId,
    pub identity: &'a Identity,
    /// For photographs given without a host.
    pub api: &'a Url,
    pub accept_after_implies_auto: bool,
}

/// Decodes an event's payload: an object, or a string that holds one, however often it was encoded (5.2).
pub fn payload(raw: &str) -> Option<Value> {
    let mut value: Value = serde_json::from_str(raw).ok()?;
    // Server events of one server are encoded twice, client events of clumsy clients once more (6.1).
    for _ in 0..3 {
        match value {
            Value::String(inner) => value = serde_json::from_str(&inner).ok()?,
            other => return other.is_object().then_some(other),
        }
    }
    value.is_object().then_some(value)
}

/// `initiator.id`. Without one there is nobody to answer.
pub fn initiator(payload: &Value) -> Option<u64> {
    payload["initiator"]["id"].as_u64()
}

/// `CallOptions` of a request. `reference.room` is missing when no name was given and none can be derived.
pub fn offer(payload: &Value, reading: &Reading<'_>) -> Option<Offer> {
    let user = &payload["initiator"];
    let id = initiator(payload)?;
    let target = &payload["target"];
    if target["id"].as_u64().is_some_and(|target| target != reading.identity.resident) {
        log::info!(LINE = reading.line.0.as_str(); "a request's target is not the resident its event names; the event's name counts");
    }
    let username = short(&user["username"]);
    let caller = Caller {
        line: reading.line.clone(),
        id: CallerId(id.to_string()),
        name: shown_name(user, id),
        role: short(&user["user_type"]),
        photo: photo(user, reading.api),
        username,
    };
    let mut reference = reference(payload);
    if reference.room.is_none() {
        let resident = short(&target["username"]).unwrap_or_else(|| reading.identity.username.clone());
        reference.room = caller.username.as_ref().filter(|_| !resident.is_empty()).map(|caller| format!("{caller}-to-{resident}"));
    }
    // Anything but a clear no is the request that opens less.
    let medium = match &payload["audioOnly"] {
        Value::Null | Value::Bool(false) => Medium::Video,
        Value::String(text) if ["", "false", "0"].contains(&text.trim()) => Medium::Video,
        Value::Number(number) if number.as_f64() == Some(0.0) => Medium::Video,
        _ => Medium::Audio,
    };
    Some(Offer { caller, medium, wish: wish(payload, reading.accept_after_implies_auto), reference })
}

/// A caller's `ended`.
pub fn withdrawal(payload: &Value, line: &LineId) -> Option<Withdrawal> {
    let caller = CallerId(initiator(payload)?.to_string());
    Some(Withdrawal { line: line.clone(), caller, reference: reference(payload) })
}

/// `autoAccept` and `acceptAfter` (5.1).
fn wish(payload: &Value, after_implies_auto: bool) -> Wish {
    let auto = match &payload["autoAccept"] {
        Value::Bool(auto) => *auto,
        Value::String(text) => text == "true",
        Value::Number(number) => number.as_f64() == Some(1.0),
        _ => false,
    };
    let after = match &payload["acceptAfter"] {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let after = after.filter(|after: &f64| !after.is_nan()).unwrap_or(0.0).clamp(0.0, LONGEST_AFTER);
    if auto || (after_implies_auto && after > 0.0) { Wish::Answer { after: Duration::from_secs_f64(after) } } else { Wish::Ask }
}

fn reference(payload: &Value) -> Reference {
    Reference { room: short(&payload["roomName"]), sid: short(&payload["roomSid"]) }
}

/// A string that is there, and not longer than a name can be.
fn short(value: &Value) -> Option<String> {
    value.as_str().filter(|text| !text.trim().is_empty() && text.len() <= LONGEST_NAME).map(Into::into)
}

/// First and last name, else the login name, in one line and without characters that could disguise it.
fn shown_name(user: &Value, id: u64) -> String {
    let part = |name: &str| user[name].as_str().unwrap_or_default().to_string();
    let clean = |text: String| {
        let visible: String = text.chars().map(|c| if c.is_whitespace() { ' ' } else { c }).filter(|c| !is_hidden(*c)).collect();
        let words: Vec<_> = visible.split_whitespace().collect();
        words.join(" ").chars().take(SHOWN_NAME).collect::<String>()
    };
    let names = [clean(format!("{} {}", part("first_name"), part("last_name"))), clean(part("username"))];
    names.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| id.to_string())
}

/// Control characters, and those that change the direction of writing or have no width.
fn is_hidden(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The largest photograph that has an address. Plain HTTP only from the API's own host.
fn photo(user: &Value, api: &Url) -> Option<String> {
    let addresses = ["avatar_large", "avatar", "avatar_original", "avatar_thumb"].into_iter().filter_map(|name| user[name].as_str());
    addresses
        .filter(|address| !address.trim().is_empty() && address.len() <= LONGEST_ADDRESS)
        .filter_map(|address| api.join(address).ok())
        .find(|url| url.scheme() == "https" || (url.scheme() == "http" && url.host() == api.host()))
        .map(Into::into)
}

/// Our side of an offer: the event's name and its slim payload (4.2).
pub fn reply(offer: &Offer, reply: Reply, identity: &Identity) -> (String, String) {
    let (kind, reason) = match reply {
        Reply::Accepted => ("accepted", None),
        Reply::Ended => ("ended", None),
        Reply::Declined(reason) => ("declined", decline_reason(reason)),
    };
    let id = &offer.caller.id.0;
    let (auto, after) = match offer.wish {
        Wish::Ask => (false, 0.0),
        Wish::Answer { after } => (true, after.as_secs_f64()),
    };
    let number = |seconds: f64| if seconds.fract() == 0.0 { json!(seconds as u64) } else { json!(seconds) };
    let mut data = json!({
        "audioOnly": offer.medium == Medium::Audio,
        "initiator": { "id": id.parse::<u64>().map_or_else(|_| json!(id), |id| json!(id)) },
        "target": { "id": identity.resident, "username": identity.username },
        "autoAccept": auto,
        "acceptAfter": number(after),
    });
    let mut set = |path: &str, value: &Option<String>| {
        if let Some(value) = value {
            data[path] = json!(value);
        }
    };
    set("roomName", &offer.reference.room);
    set("roomSid", &offer.reference.sid);
    set("declineReason", &reason.map(Into::into));
    if let Some(username) = &offer.caller.username {
        data["initiator"]["username"] = json!(username);
    }
    (format!("client-conferencing-call-{kind}-{id}"), data.to_string())
}

/// The platform's words; the callers' page knows the first two and shows the others as a plain refusal. The resident's
/// own no carries none: it is nobody's business whether they were there.
fn decline_reason(reason: Decline) -> Option<&'static str> {
    match reason {
        Decline::Busy => Some("busy"),
        Decline::NoCamera => Some("no-camera"),
        Decline::NoMicrophone => Some("no-microphone"),
        Decline::NoAnswer => Some("no-answer"),
        Decline::Error => Some("error"),
        Decline::ByResident => None,
    }
}
