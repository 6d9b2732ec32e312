//! Being somebody at the platform: a token and the ids that go with it.

use super::events::{Identity, Record};
use super::rest::{Login, Rest, RestError};
use super::{Settings, token};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// Logged in.
#[derive(Clone)]
pub struct Account {
    pub token: Zeroizing<String>,
    pub identity: Identity,
    /// Until the token is to be refreshed.
    pub refresh_in: Option<Duration>,
    /// What else the answer said of the resident.
    pub record: Record,
}

/// Gets a new token: by refreshing the one there is, or with the password when there is none, or it was refused.
/// The error says in one line what is wrong and what to do.
pub async fn renew(rest: Rest, settings: Arc<Settings>, last: Option<Account>, refused: bool) -> Result<Account, String> {
    let credentials = &settings.credentials;
    let known = last.as_ref().map(|account| account.identity.clone());
    let token = last.map(|account| account.token).or_else(|| credentials.token.clone());
    let password = credentials.username.as_ref().zip(credentials.password.as_ref());
    let account = |login: Login, fresh: bool| assemble(&settings, login, known.as_ref(), fresh);
    let mut failed = None;
    // A refused token may still be good for a refresh; without a password that is all there is to try.
    if let Some(token) = token.as_ref().filter(|_| !refused || password.is_none()) {
        match rest.refresh(token).await {
            Ok(login) => return account(login, true),
            Err(error @ RestError::Network { .. }) => return Err(format!("{error}; check the network and the address of the API")),
            Err(error) => failed = Some(error),
        }
    }
    if let Some((username, password)) = password {
        return match rest.login(username, password).await {
            Ok(login) => account(login, true),
            Err(error) if error.is_refusal() => Err(format!("{error}; check user name and password")),
            Err(error) => Err(format!("{error}; check the network and the address of the API")),
        };
    }
    match (token, failed) {
        // Not every token can be refreshed. A ready one is used as it is as long as nobody refuses it.
        (Some(token), Some(error)) if known.is_none() && !refused => {
            account(Login::from_token(&token), false).map_err(|why| format!("{error}; {why}"))
        }
        (_, Some(error)) => Err(format!("{error}; give the line a new token, or user name and password")),
        _ => Err("there is neither a token nor user name and password; configure one".into()),
    }
}

/// From an answer of the platform and what the configuration says.
pub fn assemble(settings: &Settings, login: Login, known: Option<&Identity>, fresh: bool) -> Result<Account, String> {
    let missing = |what: &str| format!("the login does not tell the {what}; set it in the line's configuration");
    let customer = settings.customer.or(login.customer).or(known.map(|k| k.customer)).ok_or_else(|| missing("customer's id"))?;
    let resident = settings.resident.or(login.resident).or(known.map(|k| k.resident)).ok_or_else(|| missing("resident's id"))?;
    let username = login.username.or(known.map(|k| k.username.clone())).or(settings.credentials.username.clone());
    let set_top_box = settings.set_top_box.or(login.set_top_box).or(known.and_then(|k| k.set_top_box));
    let identity = Identity { resident, customer, username: username.ok_or_else(|| missing("user name"))?, set_top_box };
    let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let refresh_in = token::use_for(&login.token, fresh, wall);
    Ok(Account { token: login.token, identity, refresh_in, record: login.record })
}
