//! What a caller and a resident meet, end to end: the daemon, the lab, and a television that is only recorded.
use crate::support::house::{House, PATIENCE, RESIDENT};
use residentd::api::Happening;
use residentd::call::{Decline, Ending, Reply, Scene};
use residentd::tv::Power;
use residentd::tv::headless::Did;
use residentd::tv::keys::Key;
use residentd_lab::{CallOptions, Fault, ReplyKind};
use std::time::Duration;

fn ringing(scene: &Scene) -> bool {
    matches!(scene, Scene::Ringing { .. })
}

fn opened(happenings: &mut tokio::sync::broadcast::Receiver<Happening>) -> bool {
    std::iter::from_fn(|| happenings.try_recv().ok()).any(|h| matches!(h, Happening::Opened { .. }))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_wakes_the_television_rings_and_can_be_declined_and_everything_is_put_back() {
    let mut house = House::start("").await;
    let mut privacy = house.happenings.resubscribe();
    let mut caller = house.lab.caller("roger_chatta_admin");
    caller.request(RESIDENT, &CallOptions::default());
    house.scene("the ringing", ringing).await;
    let woken = house.tv.did().iter().position(|d| *d == Did::Power(true));
    let written = house.tv.did().iter().position(|d| *d == Did::Remembered);
    assert!(written <= woken, "the television was changed before its state was safe");
    house.tv.press(Key::Back).await;
    let reply = caller.reply(PATIENCE).await.expect("no reply");
    assert!(matches!(reply.kind, ReplyKind::Declined(_)), "{reply:?}");
    assert_eq!(house.over().await.ending, Ending::Declined(Decline::ByResident));
    house.restored().await;
    assert!(!opened(&mut privacy), "a device was opened for a call that was never accepted");
    assert_eq!(caller.reply(Duration::from_millis(300)).await, None, "a second reply");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_who_gives_up_hears_nothing_and_is_shown_as_missed() {
    let mut house = House::start("").await;
    let mut caller = house.lab.caller("roger_chatta_admin");
    let call = caller.request(RESIDENT, &CallOptions::default());
    house.scene("the ringing", ringing).await;
    caller.end(RESIDENT, &call);
    house.scene("the missed call", |s| matches!(s, Scene::Missed { calls } if calls.len() == 1)).await;
    assert_eq!(house.over().await.ending, Ending::Withdrawn);
    // A key right after the message came up was meant for the call, and must not close it unread: press until it does.
    let mut view = house.tv.view();
    let closed = async {
        while tokio::time::timeout(Duration::from_millis(100), view.wait_for(|v| v.scene == Scene::Idle)).await.is_err() {
            house.tv.press(Key::Ok).await;
        }
    };
    tokio::time::timeout(PATIENCE, closed).await.expect("the message does not go");
    house.restored().await;
    assert_eq!(caller.reply(Duration::from_millis(300)).await, None, "an ended call was answered");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_caller_is_told_busy_and_the_first_rings_on() {
    let mut house = House::start("").await;
    let mut first = house.lab.caller("roger_chatta_admin");
    let mut second = house.lab.caller("second_admin");
    first.request(RESIDENT, &CallOptions::default());
    let before = house.scene("the ringing", ringing).await;
    second.request(RESIDENT, &CallOptions::default());
    assert_eq!(second.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Declined(Some("busy".into())));
    assert_eq!(house.scene("the ringing", ringing).await, before);
    house.tv.press(Key::Red).await;
    assert!(matches!(first.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Declined(_)));
    house.restored().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_consent_no_wish_of_a_caller_answers_the_call() {
    let house = House::start("").await;
    let caller = house.lab.caller("roger_chatta_admin");
    caller.request(RESIDENT, &CallOptions { auto_accept: true, ..Default::default() });
    house.scene("the ringing", ringing).await;
    assert!(!house.tv.did().iter().any(|d| matches!(d, Did::Show(Scene::Countdown { .. }))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_camera_is_said_at_once_and_no_microphone_too() {
    for (setting, video, reason) in [("media.camera=none", true, "no-camera"), ("media.microphone=none", false, "no-microphone")] {
        let mut house = House::start(setting).await;
        let mut caller = house.lab.caller("roger_chatta_admin");
        caller.request(RESIDENT, &CallOptions { audio_only: !video, ..Default::default() });
        assert_eq!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Declined(Some(reason.into())));
        house.over().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_while_it_rings_tells_the_caller_and_puts_the_television_back() {
    let mut house = House::start("").await;
    let mut caller = house.lab.caller("roger_chatta_admin");
    caller.request(RESIDENT, &CallOptions::default());
    house.scene("the ringing", ringing).await;
    house.stop().await;
    assert!(matches!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Declined(_)));
    house.restored().await;
    assert!(house.dir.path().join("state").exists());
    assert!(!house.dir.path().join("s.sock").exists(), "the socket's file was left behind");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_room_token_is_a_declined_call_not_a_silent_one() {
    let mut house = House::start("").await;
    let mut caller = house.lab.caller("roger_chatta_admin");
    house.lab.fault(&Fault::Rest { route: "video-token".into(), status: Some(500), delay_ms: 0, break_json: false, times: None });
    caller.request(RESIDENT, &CallOptions::default());
    house.scene("the ringing", ringing).await;
    house.tv.press(Key::Ok).await;
    assert_eq!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Declined(Some("error".into())));
    let replied = house.happening("a reply", |h| if let Happening::Replied { reply, .. } = h { Some(*reply) } else { None }).await;
    assert_eq!(replied, Reply::Declined(Decline::Error));
    house.restored().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_room_token_is_got_while_it_rings_and_asked_for_again_when_that_failed() {
    let token = |status, times| Fault::Rest { route: "video-token".into(), status, delay_ms: 0, break_json: false, times };
    for ahead in [true, false] {
        let house = House::start("").await;
        let mut asked = house.lab.events();
        if !ahead {
            house.lab.fault(&token(Some(500), Some(1)));
        }
        let mut caller = house.lab.caller("roger_chatta_admin");
        caller.request(RESIDENT, &CallOptions::default());
        house.scene("the ringing", ringing).await;
        let answered = async { while !asked.recv().await.unwrap().what.contains("video-token") {} };
        tokio::time::timeout(PATIENCE, answered).await.expect("the token is not asked for while it rings");
        if ahead {
            // The answer may still be on its way to the box; once it was given, later refusals do not matter.
            house.lab.fault(&token(Some(500), None));
        }
        house.tv.press(Key::Ok).await;
        assert_eq!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Accepted, "token got ahead: {ahead}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn waking_the_screen_for_an_announced_call_does_not_need_the_call() {
    let house = House::start("").await;
    let awake = async {
        // The presence channel is subscribed a little later than that of the calls.
        while house.lab.trigger("private-presence-7", "power_normal", &serde_json::json!({"set_top_box": 322, "force": true})) == 0 {
            tokio::task::yield_now().await;
        }
        while house.tv.now().power != Power::On {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, awake).await.expect("the television was not woken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_platform_tells_the_residents_language_and_zone_where_the_configuration_is_silent() {
    let lab = residentd_lab::Lab::start(residentd_lab::Options::default()).await.unwrap();
    let address = lab.pusher();
    let endpoint =
        residentd::pusher::Endpoint { host: address.host, port: address.port, tls: false, path: String::new(), key: address.key };
    let credentials = residentd::line::chatta::Credentials {
        username: Some("chattademo".into()),
        password: Some("password".to_owned().into()),
        token: None,
    };
    let api = url::Url::parse(&lab.api_url()).unwrap();
    let settings = residentd::line::chatta::Settings::new(residentd::call::LineId("chatta".into()), api, endpoint, credentials);
    let (events, mut told) = tokio::sync::mpsc::channel(16);
    let _line = residentd::line::chatta::spawn(settings, residentd::net::tls::client(None).unwrap(), events);
    let resident = async {
        loop {
            if let (_, residentd::line::LineEvent::Resident { locale, time_zone }) = told.recv().await.expect("the line ended") {
                return (locale, time_zone);
            }
        }
    };
    let resident = tokio::time::timeout(PATIENCE, resident).await.expect("nothing is told");
    assert_eq!(resident, (Some("en-GB".into()), Some("Europe/London".into())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_callers_photograph_reaches_the_screen() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let house = House::start("").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let avatar = format!("http://{}/avatar.png", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let _ = stream.read(&mut [0; 1024]).await;
        stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n\x89PNG\r\n").await.unwrap();
    });
    let caller = house.lab.caller("roger_chatta_admin");
    let initiator = serde_json::json!({"id": 5, "username": "roger_chatta_admin", "first_name": "Roger", "avatar": avatar});
    caller.request(RESIDENT, &CallOptions { with: serde_json::json!({ "initiator": initiator }), ..Default::default() });
    let arrived = async {
        while !house.tv.did().iter().any(|d| matches!(d, Did::Photo(_))) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, arrived).await.expect("no photograph arrived");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_resident_is_seen_online_only_when_calls_can_arrive() {
    for _ in 0..20 {
        let lab = residentd_lab::Lab::start(residentd_lab::Options::default()).await.unwrap();
        let mut caller = lab.caller("roger_chatta_admin");
        let waiting = tokio::spawn(async move {
            assert!(caller.presence(RESIDENT, true, PATIENCE).await, "not online");
            // At once: the call must arrive.
            caller.request(RESIDENT, &CallOptions::default());
            caller
        });
        let house = House::on(lab, "", tempfile::tempdir().unwrap()).await;
        waiting.await.unwrap();
        house.scene("the ringing", ringing).await;
    }
}
