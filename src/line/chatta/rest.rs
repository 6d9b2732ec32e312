//! The platform's REST API, as far as a box needs it (chatta.md 2).

use super::events::Record;
use super::token::claims;
use crate::pusher::Authorisation;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use url::Url;
use zeroize::Zeroizing;

/// Answers of this API are small; more is somebody else's page.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// Why a request came to nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestError {
    /// An answer other than success.
    #[error("{what} was refused with status {status}")]
    Status {
        /// Which request.
        what: &'static str,
        /// HTTP status.
        status: u16,
    },
    /// No answer.
    #[error("{what} failed: {why}")]
    Network {
        /// Which request.
        what: &'static str,
        /// Why.
        why: String,
    },
    /// An answer that cannot be used.
    #[error("{what} was answered without {missing}; check the address of the API")]
    Answer {
        /// Which request.
        what: &'static str,
        /// What is missing in it.
        missing: &'static str,
    },
}

impl RestError {
    /// The platform does not accept the token, or the password.
    pub fn is_refusal(&self) -> bool {
        matches!(self, RestError::Status { status: 400 | 401 | 403, .. })
    }
}

/// What a login or a refresh gives.
#[derive(Clone)]
pub struct Login {
    pub token: Zeroizing<String>,
    pub username: Option<String>,
    pub resident: Option<u64>,
    pub customer: Option<u64>,
    pub set_top_box: Option<u64>,
    /// What else the answer says of the resident.
    pub record: Record,
}

impl Login {
    /// Lenient: fields may be missing, `customer` is a number or an object (chatta.md 2.1, 2.4).
    pub fn from_answer(answer: &Value) -> Option<Self> {
        let token = answer["token"].as_str().filter(|token| !token.is_empty())?;
        let user = &answer["user"];
        let id = |value: &Value| value.as_u64().or_else(|| value["id"].as_u64());
        Some(Self {
            record: Record::read(user),
            token: Zeroizing::new(token.into()),
            username: user["username"].as_str().map(Into::into).or_else(|| claims(token)?["username"].as_str().map(Into::into)),
            resident: id(user).or_else(|| claims(token)?["user_id"].as_u64()),
            customer: id(&user["customer"]),
            set_top_box: id(&user["set_top_box"]),
        })
    }

    /// A ready token, of which only its own claims are known.
    pub fn from_token(token: &Zeroizing<String>) -> Self {
        let claims = claims(token).unwrap_or_default();
        Self {
            token: token.clone(),
            username: claims["username"].as_str().map(Into::into),
            resident: claims["user_id"].as_u64(),
            customer: None,
            set_top_box: None,
            record: Record::default(),
        }
    }
}

/// The API at one address.
#[derive(Clone)]
pub struct Rest {
    http: reqwest::Client,
    base: String,
}

impl Rest {
    /// `api` with or without the trailing `/v2`.
    pub fn new(api: &Url, tls: Arc<rustls::ClientConfig>, timeout: Duration) -> Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .tls_backend_preconfigured((*tls).clone())
            .user_agent(concat!("residentd/", env!("CARGO_PKG_VERSION")))
            .timeout(timeout)
            // A redirected POST would arrive as a GET without its body, and the token must not follow to another host.
            .redirect(reqwest::redirect::Policy::none())
            // Days pass between two requests: no connection is kept, and no timer for it.
            .pool_max_idle_per_host(0)
            .no_proxy()
            .build()?;
        let base = api.as_str().trim_end_matches('/');
        Ok(Self { http, base: base.strip_suffix("/v2").unwrap_or(base).trim_end_matches('/').into() })
    }

    /// 2.1
    pub async fn login(&self, username: &str, password: &str) -> Result<Login, RestError> {
        let body = json!({ "username": username, "password": password });
        let what = "the login";
        let answer = self.send(what, self.post("/api-token-auth/").json(&body)).await?;
        Login::from_answer(&answer).ok_or(RestError::Answer { what, missing: "a token" })
    }

    /// 2.2
    pub async fn refresh(&self, token: &str) -> Result<Login, RestError> {
        let what = "the refresh of the token";
        let request = self.post("/api-token-refresh/").bearer_auth(token).json(&json!({ "token": token }));
        let answer = self.send(what, request).await?;
        Login::from_answer(&answer).ok_or(RestError::Answer { what, missing: "a token" })
    }

    /// 2.3
    pub async fn customer(&self, token: &str, id: u64) -> Result<(), RestError> {
        let request = self.http.get(format!("{}/v2/customer/{id}", self.base)).bearer_auth(token);
        self.send("the question for the customer", request).await.map(drop)
    }

    /// 2.10: how the platform shows the resident.
    pub async fn resident(&self, token: &str, id: u64) -> Result<Record, RestError> {
        let request = self.http.get(format!("{}/v2/resident/{id}", self.base)).bearer_auth(token);
        self.send("the question for the resident's record", request).await.map(|answer| Record::read(&answer))
    }

    /// 2.7: the room's access token.
    pub async fn video_token(&self, token: &str, username: &str, room: &str) -> Result<Zeroizing<String>, RestError> {
        let what = "the request for the room's token";
        let body = json!({ "username": username, "room_name": room });
        let answer = self.send(what, self.post("/conferencing/video-token/").bearer_auth(token).json(&body)).await?;
        let token = answer["token"].as_str().filter(|token| !token.is_empty());
        token.map(|token| Zeroizing::new(token.into())).ok_or(RestError::Answer { what, missing: "a token" })
    }

    /// 2.9: the signature of a subscription. Anything but 200 with JSON is a refusal.
    pub async fn pusher_auth(&self, token: &str, socket: &str, channel: &str) -> Result<Authorisation, RestError> {
        let what = "the signature of a channel";
        let form = [("socket_id", socket), ("channel_name", channel)];
        let answer = self.send(what, self.post("/pusher/auth/").bearer_auth(token).form(&form)).await?;
        serde_json::from_value(answer).map_err(|_| RestError::Answer { what, missing: "a signature" })
    }

    fn post(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.post(format!("{}{path}", self.base))
    }

    async fn send(&self, what: &'static str, request: reqwest::RequestBuilder) -> Result<Value, RestError> {
        // The address is the technician's own; without it the message also cannot hold anything secret.
        let network = |error: reqwest::Error| {
            let why = if error.is_timeout() { "no answer in time".into() } else { cause(&error.without_url()) };
            RestError::Network { what, why }
        };
        let mut response = request.send().await.map_err(network)?;
        let status = response.status();
        if !status.is_success() {
            return Err(RestError::Status { what, status: status.as_u16() });
        }
        let mut body = Zeroizing::new(Vec::new());
        while let Some(chunk) = response.chunk().await.map_err(network)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(RestError::Answer { what, missing: "an end" });
            }
            body.extend_from_slice(&chunk);
        }
        serde_json::from_slice(&body).map_err(|_| RestError::Answer { what, missing: "JSON" })
    }
}

/// The innermost cause: "connection refused" instead of "error sending request".
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_trailing_v2_of_the_address_is_optional() {
        let tls = crate::net::tls::client(None).unwrap();
        for address in
            ["https://api.example:8000/v2", "https://api.example:8000/v2/", "https://api.example:8000", "https://api.example:8000/"]
        {
            let rest = Rest::new(&address.parse().unwrap(), tls.clone(), Duration::from_secs(1)).unwrap();
            assert_eq!(rest.base, "https://api.example:8000");
        }
    }

    #[test]
    fn the_recorded_logins_are_understood() {
        let mut seen = 0;
        for line in include_str!("../../../tests/samples/chatta/rest.jsonl").lines() {
            let call: Value = serde_json::from_str(line).unwrap();
            let url = call["url"].as_str().unwrap();
            let user = call["body"]["username"].as_str() != Some("care_admin");
            if !url.starts_with("/api-token") || !user {
                continue;
            }
            let login = Login::from_answer(&call["reply"]);
            assert_eq!(login.is_some(), call["status"] == 200, "{line}");
            if let Some(login) = login {
                seen += 1;
                assert_eq!((login.resident, login.customer, login.set_top_box), (Some(1124), Some(7), Some(322)));
                assert_eq!(login.username.as_deref(), Some("chattademo"));
            }
        }
        assert_eq!(seen, 2);
    }
}
