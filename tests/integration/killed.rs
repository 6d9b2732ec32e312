//! Killed at any moment of a call, what the next start makes of it: the caller is told, nobody of ours is left in the
//! room, the television is put back, the call is in the log. The moments are those of `residentd::checkpoint`.
use crate::support::participant::{Guest, Participant};
use crate::support::program::{self, CALLER, Daemon, PATIENCE, RESIDENT, RESIDENT_NAME, configure};
use residentd::call::{Decline, Ending};
use residentd::checkpoint::{Point, VARIABLE};
use residentd::store::Store;
use residentd_lab::{CallOptions, Caller, Lab, Options, Power, ReplyKind};
use std::convert::Infallible;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const SIGKILL: i32 = 9;
/// Calls at a time: each is a lab, a daemon and a caller.
const AT_ONCE: usize = 3;

/// How the call goes on once it rings.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Story {
    /// Answered; the resident mutes, unmutes and hangs up.
    Answered,
    /// Declined with the remote control, on a television that shows something.
    Declined,
}

fn story(point: Point) -> Story {
    match point {
        Point::NoticedHeard | Point::KeyHeard | Point::DeclinedOrdered => Story::Declined,
        _ => Story::Answered,
    }
}

/// A room whose service misses nobody for an hour: whoever is gone from it was sent out.
async fn lab() -> Lab {
    let hour = Duration::from_secs(3600);
    Lab::start(Options { peer_loss: hour, session_timeout: hour, tv_volume: 10, ..Options::default() }).await.unwrap()
}

fn start(lab: &Lab, dir: &Path, story: Story, kill_at: Option<Point>) -> Daemon {
    let more = match story {
        Story::Answered => "tv.sink = \"none\"\nmedia.speaker = \"none\"\nlog.level = \"error\"",
        Story::Declined => "log.level = \"error\"",
    };
    let mut command = program::command(&configure(lab, dir, more));
    command.envs(kill_at.map(|point| (VARIABLE, point.name())));
    Daemon::start(&mut command, dir)
}

/// One call from its request to its very end, or to that of the program.
async fn call(
    lab: &Lab,
    daemon: &mut Daemon,
    caller: &Caller,
    guest: &mut Option<Participant>,
    point: Point,
) -> Result<Infallible, ExitStatus> {
    let call = caller.request(RESIDENT, &CallOptions { audio_only: true, ..CallOptions::default() });
    daemon.until("the television's waking", |status| status["phase"] == "ringing" && status["woken"] == "woken").await?;
    if point == Point::NoticedHeard {
        return Err(daemon.end().await);
    }
    if story(point) == Story::Declined {
        // A key right after the dialog came up might have been meant for what was there before.
        loop {
            lab.press("red");
            if daemon.until("a status", |_| true).await?["phase"] != "ringing" {
                return Err(daemon.end().await);
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }
    daemon.ask("POST", "/v1/accept");
    daemon.until("an answer", |status| status["phase"] == "waiting").await?;
    let mut seat = Guest::in_room(lab, &call.room_name, CALLER, RESIDENT_NAME);
    seat.camera = false;
    *guest = Some(Participant::join(seat).await);
    daemon.phase("talking").await?;
    let heard = |guest: &Option<Participant>| guest.as_ref().is_some_and(|g| g.loud.load(std::sync::atomic::Ordering::Relaxed) > 0);
    daemon.until("sound", |_| heard(guest)).await?;
    if matches!(point, Point::MediaFlowing | Point::PeerConnected | Point::Answered) {
        return Err(daemon.end().await);
    }
    daemon.ask("POST", "/v1/mute");
    daemon.ask("POST", "/v1/mute");
    daemon.ask("POST", "/v1/end");
    Err(daemon.end().await)
}

/// Ourselves, as the room sees it.
fn ghosts(lab: &Lab) -> usize {
    let state = lab.state();
    let rooms = state["rooms"]["list"].as_array().unwrap().clone();
    let people = rooms.iter().flat_map(|room| room["participants"].as_array().unwrap().clone());
    people.filter(|person| person["identity"] == RESIDENT_NAME && person["state"] != "disconnected").count()
}

async fn killed_at(point: Point) {
    let (lab, dir) = (lab().await, tempfile::tempdir().unwrap());
    let mut caller = lab.caller(CALLER);
    let mut guest = None;
    let recovering = matches!(point, Point::OrphanLogged | Point::OrphanTelling | Point::OrphanTicket | Point::OrphanEvicted);
    let first = if recovering { Point::CallerArrivedHeard } else { point };
    let story = story(point);

    let mut daemon = start(&lab, dir.path(), story, Some(first));
    assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online");
    let Err(ended) = call(&lab, &mut daemon, &caller, &mut guest, first).await;
    assert_eq!(ended.signal(), Some(SIGKILL));
    drop(daemon);
    assert!(caller.presence(RESIDENT, false, PATIENCE).await, "still online");
    if recovering {
        let mut daemon = start(&lab, dir.path(), story, Some(point));
        assert_eq!(daemon.end().await.signal(), Some(SIGKILL));
    }

    let mut daemon = start(&lab, dir.path(), story, None);
    let mut told = Vec::new();
    while told.last() != Some(&ReplyKind::Ended) {
        match caller.reply(PATIENCE).await {
            Some(reply) => told.push(reply.kind),
            None => panic!("the caller is not told that it ended, but {told:?}"),
        }
    }
    let tv = |lab: &Lab| lab.tv().borrow().clone();
    let as_before = |lab: &Lab| tv(lab).power == Power::Standby && tv(lab).input == "tuner" && tv(lab).volume == 10;
    program::until("putting the television back", || as_before(&lab)).await;
    program::until("leaving the room", || ghosts(&lab) == 0).await;
    daemon.online().await;
    assert_eq!(daemon.status().unwrap()["phase"], "idle");
    if let Some(mut guest) = guest {
        guest.leave().await;
    }
    // Of an orderly stop everything is on the disk.
    daemon.signal("-TERM");
    assert!(daemon.end().await.success());
    let log = Store::open(&dir.path().join("state")).log(10);
    assert_eq!(log.len(), 1, "{log:?}");
    assert_eq!(log[0].caller.username.as_deref(), Some(CALLER));
    let ending = &log[0].ending;
    assert!(endings(first).contains(ending), "the log says {ending:?} instead of one of {:?}", endings(first));
}

/// How the call may stand in the log: as interrupted, until it ended as its story says and that is on the disk.
fn endings(point: Point) -> Vec<Ending> {
    let own = match story(point) {
        Story::Answered => Ending::HungUp,
        Story::Declined => Ending::Declined(Decline::ByResident),
    };
    match point {
        Point::RecordWritten => vec![own],
        _ if (point as usize) < (Point::Disconnecting as usize) => vec![Ending::Shutdown],
        _ => vec![Ending::Shutdown, own],
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whenever_it_is_killed_the_next_start_sets_everything_right() {
    assert!(Point::ALL.len() >= 50);
    let wanted = std::env::var("KILL_AT").ok();
    let points: Vec<Point> =
        Point::ALL.iter().copied().filter(|p| wanted.as_deref().is_none_or(|w| w.split(',').any(|w| w == p.name()))).collect();
    let queue = Arc::new(Mutex::new(points));
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..AT_ONCE {
        let queue = queue.clone();
        workers.spawn(async move {
            let mut failed = Vec::new();
            loop {
                let Some(point) = queue.lock().unwrap().pop() else { return failed };
                if tokio::spawn(killed_at(point)).await.is_err() {
                    failed.push(point.name());
                }
            }
        });
    }
    let failed = workers.join_all().await.concat();
    assert!(failed.is_empty(), "wrong after being killed at {failed:?}; see above");
}
