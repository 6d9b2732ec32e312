//! A look at the platform without a line: what `residentctl provision` and `doctor` ask before, or beside, the daemon. It
//! subscribes to nothing: nobody must see the resident online who cannot be called.

use super::account::{Account, assemble};
use super::rest::{Login, Rest, RestError};
use super::settings::Settings;
use crate::pusher::Authorisation;
use std::sync::Arc;
use zeroize::Zeroizing;

/// The platform of one line.
#[derive(Clone)]
pub struct Probe {
    rest: Rest,
    settings: Arc<Settings>,
}

/// Who the box is to the platform.
#[derive(Clone)]
pub struct Identity {
    account: Account,
}

/// Why it did not work, and whose turn it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// The platform says no.
    #[error("{0}")]
    Refused(String),
    /// The platform cannot be reached, or is something else.
    #[error("{0}")]
    Network(String),
}

impl From<RestError> for ProbeError {
    fn from(error: RestError) -> ProbeError {
        let says = error.to_string();
        if error.is_refusal() { ProbeError::Refused(says) } else { ProbeError::Network(says) }
    }
}

impl Probe {
    /// With the line's own settings.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(settings: Settings, tls: Arc<rustls::ClientConfig>) -> Result<Probe, ProbeError> {
        let rest = Rest::new(&settings.api, tls, settings.times.rest).map_err(|e| ProbeError::Network(e.to_string()))?;
        Ok(Probe { rest, settings: Arc::new(settings) })
    }

    /// Logs in as the line does: with the password where there is one, else with the token.
    ///
    /// # Errors
    /// Who must do what.
    pub async fn login(&self) -> Result<Identity, ProbeError> {
        let credentials = &self.settings.credentials;
        let login = match (&credentials.username, &credentials.password, &credentials.token) {
            (Some(username), Some(password), _) => self.rest.login(username, password).await.map_err(|e| match ProbeError::from(e) {
                ProbeError::Refused(says) => ProbeError::Refused(format!("{says}: user name or password is wrong")),
                other => other,
            })?,
            (_, _, Some(token)) => match self.rest.refresh(token).await {
                Ok(login) => login,
                Err(e @ RestError::Network { .. }) => return Err(e.into()),
                Err(e) if e.is_refusal() => return Err(ProbeError::Refused(format!("{e}: the token is not valid any more"))),
                // Not every token can be refreshed; the line uses such a one as it is.
                Err(_) => Login::from_token(token),
            },
            _ => return Err(ProbeError::Refused("there is neither a token nor user name and password".into())),
        };
        let account = assemble(&self.settings, login, None, true).map_err(ProbeError::Refused)?;
        Ok(Identity { account })
    }

    /// The signature of the channel that calls arrive on, for this connection.
    ///
    /// # Errors
    /// Who must do what.
    pub async fn signature(&self, who: &Identity, socket: &str) -> Result<Authorisation, ProbeError> {
        let channel = format!("private-call-{}", who.account.identity.customer);
        Ok(self.rest.pusher_auth(&who.account.token, socket, &channel).await?)
    }

    /// An access token for a room.
    ///
    /// # Errors
    /// Who must do what.
    pub async fn video_token(&self, who: &Identity, room: &str) -> Result<Zeroizing<String>, ProbeError> {
        Ok(self.rest.video_token(&who.account.token, &who.account.identity.username, room).await?)
    }
}

impl Identity {
    /// Login name.
    pub fn username(&self) -> &str {
        &self.account.identity.username
    }

    /// The resident's id.
    pub fn resident(&self) -> u64 {
        self.account.identity.resident
    }

    /// The organisation's id.
    pub fn customer(&self) -> u64 {
        self.account.identity.customer
    }

    /// The box's id, where the platform tells it.
    pub fn set_top_box(&self) -> Option<u64> {
        self.account.identity.set_top_box
    }

    /// The token that was got: to be kept out of everything that is written down.
    pub fn token(&self) -> &Zeroizing<String> {
        &self.account.token
    }
}
