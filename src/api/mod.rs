//! The local HTTP API on a Unix socket: what `residentctl`, the lab and the tests need, and what `curl --unix-socket` can
//! do as well. It holds no state of its own: requests go to the agent as [`Request`]s, everything else is read from what
//! the agent publishes.
//!
//! | method and path | answer |
//! |---|---|
//! | `GET /v1/status` | [`Status`] |
//! | `GET /v1/events` | server-sent events: `status` at once and at each change, and every [`Happening`] by its kind |
//! | `GET /v1/calls?limit=20` | the call log, newest first |
//! | `GET /v1/statistics` | the running call's figures; 404 without a call |
//! | `POST /v1/accept`, `/v1/decline`, `/v1/end`, `/v1/mute` | 204; 409 when there is nothing it could apply to |
//! | `GET /v1/log-level` | `{"level":"info"}` |
//! | `PUT /v1/log-level` | the same back: 204, until the next change or a restart |
//! | `POST /v1/keys/{key}` | as if pressed on the remote control; 403 unless `api.keys` is set |
//!
//! Whoever can open the socket (owner and group, mode 0660) may read; only root and the daemon's own user may change something.

mod socket;

pub use socket::{Bound, bind};

use crate::call::{CallId, Caller, Medium, Press, Record, Snapshot};
use crate::line::LineState;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures_util::{Stream, stream};
use serde::Serialize;
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// Everything a glance should tell.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    /// Of the daemon.
    pub version: &'static str,
    /// When it started.
    pub since: jiff::Timestamp,
    /// Every line's state.
    pub lines: BTreeMap<String, LineStatus>,
    /// What is going on, and the running call if there is one.
    #[serde(flatten)]
    pub now: Snapshot,
    /// How the television was seen last; `None`: not at all yet.
    pub television: Option<crate::tv::Seen>,
    /// How the last wake of the television went.
    pub woken: Option<crate::tv::Wake>,
    /// Whether a camera could be opened now.
    pub camera: bool,
    /// Whether a microphone could be opened now.
    pub microphone: bool,
}

/// A line and since when it is so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LineStatus {
    /// Its state.
    #[serde(flatten)]
    pub state: LineState,
    /// Since when.
    pub since: jiff::Timestamp,
}

/// What happened, for those who follow.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Happening {
    /// Somebody calls.
    Offered {
        /// Who.
        caller: Caller,
        /// What.
        medium: Medium,
    },
    /// What a caller was told.
    Replied {
        /// The call, if it became one.
        call: Option<CallId>,
        /// What.
        reply: crate::call::Reply,
    },
    /// Camera or microphone may be open from here.
    Opened {
        /// The call.
        call: CallId,
        /// Whether the camera is.
        camera: bool,
    },
    /// Camera and microphone are closed.
    Closed {
        /// The call.
        call: CallId,
    },
    /// The caller's picture or sound is presented for the first time.
    Flowing {
        /// The call.
        call: CallId,
        /// Which.
        media: crate::media::Kind,
    },
    /// Camera lost or back, connection weak or good, and the like, in words.
    Notice {
        /// The call.
        call: CallId,
        /// What.
        text: String,
    },
    /// How the call was, in figures; told once, when it is over.
    Figures {
        /// The call.
        call: CallId,
        /// As `GET /v1/statistics` gives them.
        figures: serde_json::Value,
    },
    /// The television is as it was.
    Restored {
        /// After this call.
        call: CallId,
    },
    /// A call is over.
    Over(Record),
}

/// What a client wants of the agent.
#[derive(Debug)]
pub enum Request {
    /// Accept, decline, end, mute; the answer says whether it applied.
    Press(Press, oneshot::Sender<bool>),
    /// A key of the remote control.
    Key(String, oneshot::Sender<bool>),
    /// The call log.
    Calls(usize, oneshot::Sender<Vec<Record>>),
    /// The running call's figures.
    Statistics(oneshot::Sender<Option<serde_json::Value>>),
}

/// What the API reads and where it sends requests.
#[derive(Clone)]
pub struct Api {
    /// Requests to the agent.
    pub requests: mpsc::Sender<Request>,
    /// The agent's status.
    pub status: watch::Receiver<Status>,
    /// What happens.
    pub happenings: broadcast::Sender<Happening>,
    /// Whether clients may press keys.
    pub keys: bool,
}

/// The routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/status", get(|State(api): State<Api>| async move { Json(api.status.borrow().clone()) }))
        .route("/v1/events", get(events))
        .route("/v1/calls", get(calls))
        .route("/v1/statistics", get(statistics))
        .route("/v1/accept", post(|State(api): State<Api>| press(api, Press::Accept)))
        .route("/v1/decline", post(|State(api): State<Api>| press(api, Press::Decline)))
        .route("/v1/end", post(|State(api): State<Api>| press(api, Press::HangUp)))
        .route("/v1/mute", post(|State(api): State<Api>| press(api, Press::Mute)))
        .route("/v1/keys/{key}", post(key))
        .route("/v1/log-level", get(|| async { Json(LogLevel { level: level_name(crate::journal::level()) }) }).put(set_log_level))
        .layer(axum::middleware::from_fn(socket::only_the_owner_changes))
        .with_state(api)
}

/// How long the agent may take to answer: it is one loop that never blocks, so longer means it hangs.
const ANSWER: Duration = Duration::from_secs(2);

async fn ask<T>(api: &Api, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, StatusCode> {
    let (answer, answered) = oneshot::channel();
    let exchange = async {
        api.requests.send(request(answer)).await.ok()?;
        answered.await.ok()
    };
    tokio::time::timeout(ANSWER, exchange).await.ok().flatten().ok_or(StatusCode::SERVICE_UNAVAILABLE)
}

async fn press(api: Api, press: Press) -> Result<StatusCode, StatusCode> {
    let applied = ask(&api, |answer| Request::Press(press, answer)).await?;
    Ok(if applied { StatusCode::NO_CONTENT } else { StatusCode::CONFLICT })
}

async fn key(State(api): State<Api>, Path(key): Path<String>) -> Result<StatusCode, StatusCode> {
    if !api.keys {
        return Err(StatusCode::FORBIDDEN);
    }
    let known = ask(&api, |answer| Request::Key(key, answer)).await?;
    Ok(if known { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND })
}

#[derive(serde::Serialize, serde::Deserialize)]
struct LogLevel {
    level: String,
}

fn level_name(level: log::LevelFilter) -> String {
    level.as_str().to_ascii_lowercase()
}

async fn set_log_level(Json(wanted): Json<LogLevel>) -> StatusCode {
    let Ok(level) = wanted.level.parse::<log::LevelFilter>() else { return StatusCode::UNPROCESSABLE_ENTITY };
    let before = crate::journal::level();
    crate::journal::set_level(level.max(before));
    log::info!("the log level is {} now, and was {}", level_name(level), level_name(before));
    crate::journal::set_level(level);
    StatusCode::NO_CONTENT
}

#[derive(serde::Deserialize)]
struct Limit {
    #[serde(default = "Limit::default")]
    limit: usize,
}

impl Limit {
    fn default() -> usize {
        20
    }
}

async fn calls(State(api): State<Api>, Query(limit): Query<Limit>) -> Result<Json<Vec<Record>>, StatusCode> {
    ask(&api, |answer| Request::Calls(limit.limit.min(1000), answer)).await.map(Json)
}

async fn statistics(State(api): State<Api>) -> Result<Json<serde_json::Value>, StatusCode> {
    ask(&api, Request::Statistics).await?.map(Json).ok_or(StatusCode::NOT_FOUND)
}

async fn events(State(api): State<Api>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let mut status = api.status.clone();
    status.mark_changed();
    let happenings = api.happenings.subscribe();
    let stream = stream::unfold((status, happenings), |(mut status, mut happenings)| async move {
        let event = tokio::select! {
            biased;
            happening = happenings.recv() => match happening {
                Ok(happening) => Event::default().event("happening").json_data(&happening),
                // A slow reader is told that it missed some; nobody waits for it.
                Err(broadcast::error::RecvError::Lagged(n)) => Ok(Event::default().event("missed").data(n.to_string())),
                Err(broadcast::error::RecvError::Closed) => return None,
            },
            changed = status.changed() => {
                changed.ok()?;
                let now = status.borrow_and_update().clone();
                Event::default().event("status").json_data(&now)
            }
        };
        let event = event.unwrap_or_else(|e| Event::default().event("error").data(e.to_string()));
        Some((Ok(event), (status, happenings)))
    });
    Sse::new(stream).keep_alive(KeepAlive::new().interval(Duration::from_secs(30)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::UnixStream;

    fn idle() -> Status {
        let since = jiff::Timestamp::UNIX_EPOCH;
        let now = Snapshot { phase: crate::call::Phase::Idle, call: None, missed: 0 };
        Status { version: "0", since, lines: BTreeMap::new(), now, television: None, woken: None, camera: true, microphone: true }
    }

    struct Fixture {
        dir: tempfile::TempDir,
        status: watch::Sender<Status>,
        happenings: broadcast::Sender<Happening>,
        requests: mpsc::Receiver<Request>,
        server: tokio::task::JoinHandle<std::io::Result<()>>,
    }

    impl Fixture {
        async fn start(keys: bool) -> Self {
            let dir = tempfile::tempdir().unwrap();
            let (to_agent, requests) = mpsc::channel(4);
            let (status, seen) = watch::channel(idle());
            let happenings = broadcast::channel(8).0;
            let bound = bind(&dir.path().join("s.sock")).await.unwrap();
            let server = tokio::spawn(bound.serve(Api { requests: to_agent, status: seen, happenings: happenings.clone(), keys }));
            Self { dir, status, happenings, requests, server }
        }

        async fn connect(&self, request: &str) -> UnixStream {
            let mut stream = UnixStream::connect(self.dir.path().join("s.sock")).await.unwrap();
            stream.write_all(format!("{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).await.unwrap();
            stream
        }

        async fn get(&self, request: &str) -> String {
            let mut answer = String::new();
            self.connect(request).await.read_to_string(&mut answer).await.unwrap();
            answer
        }
    }

    async fn until(stream: &mut UnixStream, text: &str) -> String {
        let (mut all, mut part) = (String::new(), [0; 1024]);
        while !all.contains(text) {
            let n = stream.read(&mut part).await.unwrap();
            assert!(n > 0, "{all}");
            all += std::str::from_utf8(&part[..n]).unwrap();
        }
        all
    }

    #[tokio::test]
    async fn tells_status_and_refuses_keys_unless_configured() {
        let fixture = Fixture::start(false).await;
        assert!(fixture.get("GET /v1/status").await.contains("\"camera\":true"));
        assert!(fixture.get("POST /v1/keys/ok").await.starts_with("HTTP/1.1 403"));
        assert!(fixture.get("GET /v1/nothing").await.starts_with("HTTP/1.1 404"));
    }

    #[tokio::test]
    async fn a_press_goes_to_the_agent_and_its_answer_comes_back() {
        let mut fixture = Fixture::start(true).await;
        for (applied, code) in [(true, "204"), (false, "409")] {
            let mut stream = fixture.connect("POST /v1/accept").await;
            let Some(Request::Press(Press::Accept, answer)) = fixture.requests.recv().await else { panic!("no press") };
            answer.send(applied).unwrap();
            until(&mut stream, &format!("HTTP/1.1 {code}")).await;
        }
        let mut stream = fixture.connect("POST /v1/keys/ok").await;
        let Some(Request::Key(key, answer)) = fixture.requests.recv().await else { panic!("no key") };
        assert_eq!(key, "ok");
        answer.send(true).unwrap();
        until(&mut stream, "204").await;
    }

    #[tokio::test]
    async fn a_follower_gets_the_status_at_once_then_what_happens() {
        let fixture = Fixture::start(false).await;
        let mut stream = fixture.connect("GET /v1/events").await;
        until(&mut stream, "event: status").await;
        fixture.happenings.send(Happening::Restored { call: CallId(7) }).unwrap();
        until(&mut stream, "{\"kind\":\"restored\",\"call\":7}").await;
        fixture.status.send_modify(|s| s.camera = false);
        until(&mut stream, "\"camera\":false").await;
    }

    #[tokio::test]
    async fn an_agent_that_is_gone_is_said_and_the_socket_file_goes_with_the_server() {
        let mut fixture = Fixture::start(false).await;
        fixture.requests.close();
        assert!(fixture.get("POST /v1/end").await.starts_with("HTTP/1.1 503"));
        let path = fixture.dir.path().join("s.sock");
        assert!(bind(&path).await.unwrap_err().to_string().contains("another residentd"), "a served socket was taken over");
        fixture.server.abort();
        let _ = (&mut fixture.server).await;
        assert!(!path.exists());
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        bind(&path).await.unwrap();
    }
}
