//! A box whose network address changes in a call: the real program at the other end of a cable, its address taken away and
//! another one given.
use crate::support::browser::{self, Browser};
use crate::support::cable::{Cable, HERE, with_a_cable};
use crate::support::program::{Daemon, PATIENCE, configure};
use residentd_lab::{Lab, Options};
use std::net::Ipv4Addr;
use std::path::Path;

fn start(lab: &Lab, dir: &Path, cable: &Cable) -> Daemon {
    let ports = lab.ports();
    let more = format!(
        "line.chatta.api = \"http://{HERE}:{}\"\nline.chatta.pusher = \"ws://{HERE}:{}\"\nline.chatta.rooms = \"ws://{HERE}:{}/signaling\"\n\
         media.speaker = \"none\"\ntv.sink = \"none\"\ntv.driver = \"headless\"",
        ports.api, ports.pusher, ports.rooms,
    );
    let config = configure(lab, dir, &more);
    Daemon::start(cable.command(env!("CARGO_BIN_EXE_residentd")).arg("--config").arg(config), dir)
}

#[test]
fn a_call_survives_a_new_address_of_the_box() {
    with_a_cable(survives);
}

async fn survives(cable: Cable) {
    let lab = Lab::start(Options { bind: Ipv4Addr::UNSPECIFIED.into(), ..Options::default() }).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = start(&lab, dir.path(), &cable);
    let browser = Browser::start(browser::Options::default()).await;
    let page = browser.open("carer", &format!("http://127.0.0.1:{}", lab.ports().page)).await;
    page.wait("!!document.querySelector('body[data-ready]')", PATIENCE).await;
    page.click("#login-button").await;
    page.wait("!!document.querySelector('#resident-1124[data-online=true]')", PATIENCE).await;
    page.click("#resident-1124").await;
    page.click("#video-call").await;
    // Its local API is reached over a socket in the file system, wherever its network is.
    daemon.phase("ringing").await.expect("the program ended");
    assert_eq!(daemon.ask("POST", "/v1/accept").map(|answer| answer.0), Some(204));
    let moving = "(async () => { const a = window.check().remote.frames; await new Promise(r => setTimeout(r, 500)); return window.check().remote.frames > a + 5; })()";
    page.wait(moving, PATIENCE).await;
    cable.take_address(2);
    page.wait("(async () => { const a = window.check().remote.frames; await new Promise(r => setTimeout(r, 500)); return window.check().remote.frames === a; })()", PATIENCE).await;
    cable.add_address(3);
    let start = std::time::Instant::now();
    page.wait(moving, PATIENCE).await;
    println!("pictures again {:.1} s after the new address", start.elapsed().as_secs_f64());
    daemon.phase("talking").await.expect("the program ended");
    page.click("#hang-up").await;
    // The word that the page hung up may go to the old address: then its leaving the room ends the call.
    daemon.until("the end of the call", |status| status["call"].is_null()).await.expect("the program ended");
    page.close().await;
    browser.close().await;
}
