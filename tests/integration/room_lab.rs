//! The room's task against the lab's signalling, without a browser: two of ours meet, and the service has its bad days.

use crate::support::participant::{self, Guest, PATIENCE, Participant, until};
use residentd::call::RoomEvent;
use residentd::room::twilio::Timings;
use residentd_lab::{At, Fault, Lab, Options, Pairing};
use std::time::Duration;
use tokio::time::Instant;

async fn lab(options: Options) -> Lab {
    Lab::start(options).await.expect("loopback has free ports")
}

fn resident(lab: &Lab) -> Guest {
    Guest { camera: false, ..Guest::of(lab, "resident", "carer") }
}

/// Somebody who is in the room.
async fn joined(lab: &Lab) -> Participant {
    let mut one = Participant::join(resident(lab)).await;
    one.expect(RoomEvent::Joined).await;
    one
}

#[tokio::test(flavor = "multi_thread")]
async fn two_of_ours_see_and_hear_each_other_whoever_offers() {
    for pairing in [Pairing::NewcomerOffers, Pairing::ExistingOffers] {
        let lab = lab(Options { pairing, ..Options::default() }).await;
        let mut one = Participant::join(Guest::of(&lab, "resident", "carer")).await;
        one.expect(RoomEvent::Joined).await;
        let mut other = Participant::join(Guest::of(&lab, "carer", "resident")).await;
        other.expect(RoomEvent::Joined).await;
        other.expect(RoomEvent::CallerArrived).await;
        one.expect(RoomEvent::CallerArrived).await;
        tokio::join!(one.sees_and_hears(), other.sees_and_hears());
        other.leave().await;
        one.expect(RoomEvent::CallerLeft).await;
        one.leave().await;
        lab.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_certificate_is_checked_against_the_configured_authority() {
    let lab = lab(Options::default()).await;
    let authority = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(authority.path(), lab.ca_pem().expect("its own authority")).expect("written");
    let url = lab.rooms_url().replace("ws://", "wss://");

    let mut trusting = resident(&lab);
    trusting.url = url.clone();
    trusting.peer.tls = residentd::net::tls::client(Some(authority.path())).expect("a certificate");
    let mut one = Participant::join(trusting).await;
    one.expect(RoomEvent::Joined).await;
    one.leave().await;

    let timings = Timings { join: Duration::from_secs(2), ..Timings::default() };
    let mut distrusting = Participant::join(Guest { url, timings, ..resident(&lab) }).await;
    let why = distrusting.expect_failure().await;
    assert!(why.to_lowercase().contains("certificate") && why.contains("could not be joined"), "{why}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_busy_service_lets_us_in_later_on_the_same_socket_or_the_next() {
    for keep_alive in [true, false] {
        let lab = lab(Options::default()).await;
        lab.fault(&Fault::Busy { times: 2, retry_after_ms: 100, keep_alive });
        joined(&lab).await.leave().await;
        lab.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_down_when_we_come_is_tried_until_it_is_up() {
    let lab = lab(Options::default()).await;
    lab.fault(&Fault::RefuseConnections { at: At::Rooms, on: true });
    let mut one = Participant::join(resident(&lab)).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(one.events.try_recv().is_err(), "trying");
    lab.fault(&Fault::Reset);
    one.expect(RoomEvent::Joined).await;
    one.leave().await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_come_as_one_line_that_says_what_to_do() {
    let lab = lab(Options::default()).await;
    lab.fault(&Fault::RoomError { times: 1, code: 53105 });
    let why = Participant::join(resident(&lab)).await.expect_failure().await;
    assert!(why.contains("full") && why.contains("53105") && !why.contains('\n'), "{why}");
    let why = Participant::join(Guest { token: "forged".into(), ..resident(&lab) }).await.expect_failure().await;
    assert!(why.contains("API key") && why.contains("20101"), "{why}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_forgets_us_or_ends_the_room_ends_the_call() {
    let lab = lab(Options::default()).await;
    let mut one = joined(&lab).await;
    lab.fault(&Fault::ForgetSessions);
    let why = one.expect_failure().await;
    assert!(why.contains("forgotten"), "{why}");
    let mut one = joined(&lab).await;
    lab.fault(&Fault::CompleteRoom { room: participant::ROOM.into() });
    let why = one.expect_failure().await;
    assert!(why.contains("53118"), "{why}");
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_socket_that_swallows_everything_is_noticed_and_replaced() {
    let lab = lab(Options { heartbeat: Duration::from_secs(1), peer_loss: Duration::from_secs(60), ..Options::default() }).await;
    let mut one = joined(&lab).await;
    lab.fault(&Fault::HalfOpen { at: At::Rooms, who: Some("resident".into()), on: true });
    let room = one.room.as_ref().expect("joined");
    let end = Instant::now() + PATIENCE;
    while room.statistics().await.is_some_and(|s| s.signalling) {
        assert!(Instant::now() < end, "the silence is not noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    lab.fault(&Fault::Reset);
    while !room.statistics().await.is_some_and(|s| s.signalling) {
        assert!(Instant::now() < end, "the session is not taken up again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(one.events.try_recv().is_err(), "the agent has nothing to tell");
    one.leave().await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_frames_and_foreign_close_codes_end_nothing() {
    let lab = lab(Options::default()).await;
    let mut one = joined(&lab).await;
    for code in [1001, 1011, 1013, 3001, 4999] {
        lab.fault(&Fault::BreakJson { at: At::Rooms, times: 1 });
        assert_eq!(lab.fault(&Fault::Close { at: At::Rooms, who: None, code, reason: "test".into() }), 1);
        lab.fault(&Fault::Reset);
        let room = one.room.as_ref().expect("joined");
        let end = Instant::now() + PATIENCE;
        // Replaced: down, then up again. The down may be too short to be seen.
        tokio::time::sleep(Duration::from_millis(50)).await;
        while !room.statistics().await.is_some_and(|s| s.signalling) {
            assert!(Instant::now() < end, "after {code}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    assert!(one.events.try_recv().is_err());
    one.leave().await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_is_quick_and_leaves_nothing_behind() {
    let lab = lab(Options::default()).await;
    let sockets = || lab.state()["rooms"]["connections"].as_u64();
    joined(&lab).await.leave().await;
    until("the end of the first socket", || sockets() == Some(0)).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for _ in 0..5 {
        let mut one = joined(&lab).await;
        let began = Instant::now();
        one.leave().await;
        assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    }
    until("the end of all sockets", || sockets() == Some(0)).await;
    until("the end of all tasks", || tasks() <= before).await;
    lab.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaving_a_service_that_is_down_takes_two_seconds_at_most() {
    let lab = lab(Options::default()).await;
    let mut one = joined(&lab).await;
    lab.fault(&Fault::RefuseConnections { at: At::Rooms, on: true });
    lab.fault(&Fault::Drop { at: At::Rooms, who: None });
    let room = one.room.as_ref().expect("joined");
    while room.statistics().await.is_some_and(|s| s.signalling) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let began = Instant::now();
    one.leave().await;
    assert!(began.elapsed() < Duration::from_secs(3), "{:?}", began.elapsed());
    lab.stop().await;
}
