//! What the line asks the platform's API for: logins, signatures, tickets. Each request runs beside the task; a refused
//! token leads to one new login, and then to one more try.

use super::super::account::{Account, renew};
use super::super::events::Record;
use super::super::rest::RestError;
use super::super::token::claims;
use super::{Line, now};
use crate::call::Offer;
use crate::checkpoint::{Point, reached};
use crate::journal::messages;
use crate::line::LineState;
use crate::pusher::Authorisation;
use crate::room::Ticket;
use std::time::Instant;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

/// Tickets that may be under way; a call needs one.
const TICKETS: usize = 8;

/// A signature that is wanted.
pub(super) struct Signature {
    pub socket: String,
    pub channel: String,
}

/// A ticket that is wanted.
pub(super) struct Wanted {
    pub offer: Offer,
    pub answer: oneshot::Sender<Result<Ticket, String>>,
    pub until: Instant,
}

/// An answer of the API. `with`: which login it was asked with.
pub(super) enum Done {
    Account(Result<Account, String>),
    Signature { signature: Signature, with: u64, again: bool, answer: Result<Authorisation, RestError> },
    Ticket { wanted: Wanted, with: u64, again: bool, answer: Result<Zeroizing<String>, RestError> },
    Customer(Result<(), RestError>),
    Record(Result<Record, RestError>),
}

impl Line {
    pub(super) fn login(&mut self) {
        self.login_at = None;
        if !std::mem::replace(&mut self.login_running, true) {
            let renewal = renew(self.rest.clone(), self.settings.clone(), self.account.clone(), self.token_refused);
            self.jobs.spawn(async { Done::Account(renewal.await) });
        }
    }

    /// The platform refused our token. `false`: a new login would not help.
    pub(super) fn login_anew(&mut self) -> bool {
        if !self.login_running {
            let now = now();
            if self.relogin_from.is_some_and(|from| now < from) {
                return false;
            }
            self.relogin_from = Some(now + self.relogin_backoff.next(1.0));
            self.token_refused = true;
            self.login();
        }
        true
    }

    fn logged_in(&mut self, account: Account) {
        self.logins += 1;
        self.token_refused = false;
        self.login_backoff.reset();
        self.login_at = account.refresh_in.map(|wait| now() + wait);
        let moved = self.account.as_ref().is_none_or(|old| old.identity != account.identity);
        let (rest, token, customer) = (self.rest.clone(), account.token.clone(), account.identity.customer);
        self.record(account.record.clone());
        self.account = Some(account);
        if moved {
            self.jobs.spawn(async move { Done::Customer(rest.customer(&token, customer).await) });
            self.connect();
        }
        for signature in std::mem::take(&mut self.signatures) {
            self.sign(signature, true);
        }
        for wanted in std::mem::take(&mut self.tickets) {
            self.ticket(wanted, true);
        }
    }

    fn login_failed(&mut self, why: String) {
        let retry = self.login_backoff.next(rand::random());
        self.login_at = Some(now() + retry);
        log::error!(MESSAGE_ID = messages::LOGIN_REFUSED.id, LINE = self.name(); "not logged in: {why} (again in {retry:?})");
        for Signature { socket, channel } in std::mem::take(&mut self.signatures) {
            if let Some(client) = &self.client {
                client.authorised(socket, channel, Err(why.clone()));
            }
        }
        for wanted in std::mem::take(&mut self.tickets) {
            let _ = wanted.answer.send(Err(why.clone()));
        }
        if !self.online {
            self.state(LineState::Offline { why, retry });
        }
    }

    pub(super) fn done(&mut self, done: Done) {
        match done {
            Done::Account(result) => {
                self.login_running = false;
                match result {
                    Ok(account) => self.logged_in(account),
                    Err(why) => self.login_failed(why),
                }
            }
            Done::Signature { signature, with, again, answer } => {
                if matches!(&answer, Err(error) if error.is_refusal()) && !again {
                    if with != self.logins {
                        return self.sign(signature, true);
                    }
                    if self.login_anew() {
                        return self.signatures.push(signature);
                    }
                }
                if let Some(client) = &self.client {
                    let Signature { socket, channel } = signature;
                    client.authorised(socket, channel, answer.map_err(|error| format!("{error}; check customer and channels")));
                }
            }
            Done::Ticket { wanted, with, again, answer } => {
                if matches!(&answer, Err(error) if error.is_refusal()) && !again {
                    if with != self.logins {
                        return self.ticket(wanted, true);
                    }
                    if self.login_anew() {
                        return self.tickets.push(wanted);
                    }
                }
                reached(Point::TicketGot);
                let answer = answer.map(|token| self.room(&wanted.offer, token)).map_err(|error| error.to_string());
                let _ = wanted.answer.send(answer);
            }
            Done::Record(Ok(record)) => self.record(record),
            // Not every platform lets a box ask; nothing depends on it.
            Done::Record(Err(error)) => log::debug!(LINE = self.name(); "{error}"),
            Done::Customer(Ok(())) => {}
            Done::Customer(Err(RestError::Network { .. })) => {}
            Done::Customer(Err(error)) => {
                log::warn!(MESSAGE_ID = crate::journal::messages::PLATFORM_ODD.id, LINE = self.name(); "{error}; check the customer's id")
            }
        }
    }

    pub(super) fn sign(&mut self, signature: Signature, again: bool) {
        let Some(Account { token, .. }) = &self.account else { return self.signatures.push(signature) };
        let (rest, token, with) = (self.rest.clone(), token.clone(), self.logins);
        self.jobs.spawn(async move {
            let answer = rest.pusher_auth(&token, &signature.socket, &signature.channel).await;
            Done::Signature { signature, with, again, answer }
        });
    }

    /// Asks how the platform shows the resident.
    pub(super) fn look_up(&mut self) {
        self.shown.looking();
        let Some(Account { token, identity, .. }) = &self.account else { return };
        let (rest, token, id) = (self.rest.clone(), token.clone(), identity.resident);
        self.jobs.spawn(async move { Done::Record(rest.resident(&token, id).await) });
    }

    pub(super) fn ticket(&mut self, wanted: Wanted, again: bool) {
        reached(Point::TicketAsked);
        if self.tickets.len() + self.jobs.len() >= TICKETS + 8 {
            let _ = wanted.answer.send(Err("too many requests for a room at once".into()));
            return;
        }
        let Some(Account { token, identity, .. }) = &self.account else { return self.tickets.push(wanted) };
        let Some(room) = wanted.offer.reference.room.clone() else {
            let _ = wanted.answer.send(Err("the request names no room".into()));
            return;
        };
        let (rest, token, username, with) = (self.rest.clone(), token.clone(), identity.username.clone(), self.logins);
        self.jobs.spawn(async move {
            // The time is for all of it: the caller waits while a login is renewed, too.
            let asked = rest.video_token(&token, &username, &room);
            let late = || Err(RestError::Network { what: "the request for the room's token", why: "no answer in time".into() });
            let answer = tokio::time::timeout_at(wanted.until.into(), asked).await.unwrap_or_else(|_| late());
            Done::Ticket { wanted, with, again, answer }
        });
    }

    fn room(&self, offer: &Offer, token: Zeroizing<String>) -> Ticket {
        // Nobody documents whom the room will show as the caller. When the platform makes our identity from our user
        // name it makes theirs from theirs; otherwise anybody in the room is the caller.
        let ours = claims(&token).and_then(|claims| claims["grants"]["identity"].as_str().map(String::from));
        let by_username = ours.is_some() && ours.as_deref() == self.account.as_ref().map(|account| account.identity.username.as_str());
        let caller = offer.caller.username.clone().filter(|_| by_username);
        Ticket::Twilio { url: self.settings.room_url.clone(), token, room: offer.reference.room.clone().unwrap_or_default(), caller }
    }
}
