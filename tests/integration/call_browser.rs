//! A whole call with the real caller's page in a real browser, and what may be open when.
use crate::support::browser::{self, Browser};
use crate::support::coturn::{self, Coturn};
use crate::support::house::{House, PATIENCE, RESIDENT};
use residentd::api::Happening;
use residentd::call::{Ending, Reply, Scene};
use residentd::media::Kind;
use residentd::tv::keys::Key;
use std::collections::HashSet;

async fn logged_in(browser: &Browser, house: &House) -> browser::Page {
    let page = browser.open("carer", &house.lab.page_url()).await;
    page.wait("!!document.querySelector('body[data-ready]')", PATIENCE).await;
    page.click("#login-button").await;
    page.wait(&format!("!!document.querySelector('#resident-{RESIDENT}[data-online=true]')"), PATIENCE).await;
    page.click(&format!("#resident-{RESIDENT}")).await;
    page
}

/// Both sides see and hear each other.
async fn flowing(house: &mut House, page: &browser::Page) {
    let mut wanted = HashSet::from([Kind::Audio, Kind::Video]);
    house
        .happening("the caller's picture and sound", |h| {
            if let Happening::Flowing { media, .. } = h {
                wanted.remove(media);
            }
            wanted.is_empty().then_some(())
        })
        .await;
    page.wait("(c => c.remote.width > 0 && c.remote.frames > 24 && c.remote.loudness > 0.1)(window.check())", PATIENCE).await;
    let (before, _) = house.tv.pictures();
    tokio::time::timeout(PATIENCE, async {
        while house.tv.pictures().0 < before + 24 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the caller's picture stands still");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answered_by_a_key_seen_and_heard_by_both_ended_by_the_caller_and_everything_closed_and_put_back() {
    let mut house = House::start("").await;
    let browser = Browser::start(browser::Options::default()).await;
    let page = logged_in(&browser, &house).await;
    page.click("#video-call").await;
    house.scene("the ringing", |s| matches!(s, Scene::Ringing { .. })).await;
    house.tv.press(Key::Ok).await;
    let order = std::cell::RefCell::new(Vec::new());
    house
        .happening("accepting and opening", |h| {
            match h {
                Happening::Replied { reply, .. } => order.borrow_mut().push(format!("{reply:?}")),
                Happening::Opened { camera: true, .. } => order.borrow_mut().push("opened".into()),
                _ => {}
            }
            (order.borrow().len() == 2).then_some(())
        })
        .await;
    assert_eq!(*order.borrow(), [format!("{:?}", Reply::Accepted), "opened".into()], "a device was open before the call was accepted");
    house.scene("the call", |s| matches!(s, Scene::InCall { .. })).await;
    flowing(&mut house, &page).await;
    page.click("#hang-up").await;
    let (mut closed, mut figures) = (false, None);
    house
        .happening("closing the devices and the figures of the call", |h| {
            closed |= matches!(h, Happening::Closed { .. });
            if let Happening::Figures { figures: f, .. } = h {
                figures = Some(f.clone());
            }
            (closed && figures.is_some()).then_some(())
        })
        .await;
    let figures = figures.unwrap();
    let peer = &figures["room"]["peer"];
    assert!(peer["local_candidate"].is_string() && peer["rtt_ms"].is_number(), "{figures}");
    for way in ["sent", "received"] {
        let stream =
            |kind: &str| peer[way].as_array().unwrap().iter().find(|s| s["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {figures}"));
        assert_eq!(stream("audio")["codec"], "Opus", "{figures}");
        assert!(stream("video")["packets"].as_u64().unwrap() > 0, "{figures}");
    }
    let shown = figures["media"]["received"].as_array().unwrap();
    assert!(shown.iter().any(|s| s["frames"].as_u64() > Some(0)), "{figures}");
    house.scene("the end", |s| matches!(s, Scene::Ended { .. })).await;
    house.restored().await;
    page.close().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answered_by_itself_where_consent_allows_after_a_notice_and_ended_by_the_resident() {
    let mut house = House::start("consent.automatic=listed\nconsent.callers=[\"roger_chatta_admin\"]").await;
    let browser = Browser::start(browser::Options::default()).await;
    let page = logged_in(&browser, &house).await;
    page.wait("(document.querySelector('#auto-accept').click(), true)", PATIENCE).await;
    page.click("#video-call").await;
    let shown = house.scene("the countdown", |s| matches!(s, Scene::Countdown { until: Some(_), .. })).await;
    let Scene::Countdown { until: Some(until), length, .. } = shown else { unreachable!() };
    assert!(length >= std::time::Duration::from_secs(3), "the caller shortened the notice to {length:?}");
    house.happening("opening", |h| matches!(h, Happening::Opened { .. }).then_some(())).await;
    assert!(std::time::Instant::now() >= until, "answered before the notice was over");
    flowing(&mut house, &page).await;
    house.tv.press(Key::Back).await;
    assert_eq!(house.over().await.ending, Ending::HungUp);
    page.wait("window.check().call === 'idle'", PATIENCE).await;
    house.restored().await;
    page.close().await;
    browser.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_only_a_relay_gets_through_the_call_comes_about_over_udp_tcp_and_tls() {
    let coturn = Coturn::start("localhost");
    let browser = Browser::start(browser::Options::default()).await;
    for (url, protocol) in [
        (format!("turn:127.0.0.1:{}?transport=udp", coturn.port), "udp"),
        (format!("turn:127.0.0.1:{}?transport=tcp", coturn.port), "tcp"),
        (format!("turns:localhost:{}?transport=tcp", coturn.tls_port), "tls"),
    ] {
        let servers = serde_json::json!([{ "urls": url, "username": coturn::USER, "credential": coturn::PASSWORD }]);
        let options = residentd_lab::Options { ice_servers: servers, ..Default::default() };
        let settings = format!("network.relay_only=true\nnetwork.authority={}", coturn.authority.display());
        let mut house = House::with(options, &settings).await;
        let page = logged_in(&browser, &house).await;
        page.click("#video-call").await;
        house.scene("the ringing", |s| matches!(s, Scene::Ringing { .. })).await;
        house.tv.press(Key::Ok).await;
        flowing(&mut house, &page).await;
        house.tv.press(Key::Back).await;
        let figures =
            house.happening("figures", |h| if let Happening::Figures { figures, .. } = h { Some(figures.clone()) } else { None }).await;
        let peer = &figures["room"]["peer"];
        assert_eq!((&peer["local_candidate"], &peer["relay_protocol"]), (&"relay".into(), &protocol.into()), "{figures}");
        house.restored().await;
        page.close().await;
    }
    browser.close().await;
}
