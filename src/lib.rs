//! `residentd` is the resident's end of a call: a headless daemon that turns a TV set-top box into a telephone.
//! It keeps the box reachable, rings the TV when somebody calls, connects camera, microphone, picture and sound,
//! tells the caller what happened, and puts the television back as it was.
//!
//! # The way a call takes through the house
//!
//! ```text
//! platform ──frame──▶ line ──Event──▶ call machine ──Action──▶ tv · media · line ──reply──▶ platform
//!                      ▲                    ▲
//!                   remote keys        timers, device changes
//! ```
//!
//! One direction, one loop ([`agent`]). A [`line`](mod@line) translates its platform's words into the few words of [`call`]; the
//! machine decides; the agent carries the decisions out. Nothing below the machine knows a platform, nothing in a line
//! knows a television.
//!
//! # Rooms
//!
//! | room | what lives there | may touch |
//! |---|---|---|
//! | [`agent`] | the one loop: events in, actions out, supervision of the tasks | `call`, and the handles of the others |
//! | [`daemon`] | from the configuration to a running agent | everything, once |
//! | [`call`] | what a call is and what may happen next: state machine, consent. No I/O, no clock, no async | nothing |
//! | [`line`](mod@line) | how calls reach the box, a module a platform | network, `room`'s types |
//! | [`pusher`] | Pusher protocol 7: sans-I/O core and its driver | network |
//! | [`room`] | where a call's media meets: signalling of the room | network, `media`'s peer |
//! | [`media`] | the peer connection and its pipelines: camera and microphone out, picture and sound in | devices |
//! | [`tv`] | the television: power, input, volume, what is on the screen, keys | devices |
//! | [`store`] | what outlives a restart | the state directory |
//! | [`api`] | the local HTTP API on a Unix socket | the local socket |
//! | [`arguments`] | the arguments of `residentd` | nothing |
//! | [`ctl`] | `residentctl`, the technician's command: a client of `api` | the local socket, files |
//! | [`config`] | one typed, documented configuration | files |
//! | [`health`] | readiness, watchdog, what `residentctl doctor` checks | sd_notify |
//! | [`checkpoint`] | the moments of a call at which tests kill the daemon | – |
//! | [`journal`] | where log lines go | the journal |
//! | [`net`] | TLS roots, reconnect delays, changes of the network, a caller's photograph: what all that speaks to a network shares | network |

pub mod agent;
pub mod api;
pub mod arguments;
pub mod call;
pub mod checkpoint;
pub mod config;
pub mod ctl;
pub mod daemon;
pub mod health;
pub mod journal;
pub mod line;
pub mod media;
pub mod net;
pub mod pusher;
pub mod room;
#[cfg(test)]
mod sources;
pub mod store;
pub mod tv;
