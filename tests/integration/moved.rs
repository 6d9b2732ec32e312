//! A box whose network address changes in a call: the real program in a network namespace of its own, its cable's address
//! taken away and another one given. Needs root for `ip netns`.
use crate::support::browser::{self, Browser};
use crate::support::program::{Daemon, PATIENCE, configure};
use residentd_lab::{Lab, Options};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};

/// The network between here and there: of each run its own, as one that was killed may have left its cable.
fn net() -> String {
    format!("10.77.{}", std::process::id() % 100)
}

fn ip(arguments: &str) -> bool {
    Command::new("ip").args(arguments.split(' ')).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// A namespace with one cable to here.
struct Elsewhere {
    name: String,
    cable: String,
}

impl Elsewhere {
    fn new() -> Elsewhere {
        let number = std::process::id() % 10_000;
        let elsewhere = Elsewhere { name: format!("residentd-{number}"), cable: format!("rd{number}") };
        let (Elsewhere { name, cable }, net) = (&elsewhere, net());
        let steps = [
            format!("netns add {name}"),
            format!("link add {cable} type veth peer name eth0 netns {name}"),
            format!("addr add {net}.1/24 dev {cable}"),
            format!("link set {cable} up"),
            format!("-n {name} link set lo up"),
            format!("-n {name} link set eth0 up"),
        ];
        for step in &steps {
            assert!(ip(step), "`ip {step}` fails: this test needs root and the package iproute2");
        }
        elsewhere.address("add", 2);
        elsewhere
    }

    fn address(&self, what: &str, last: u8) {
        let (name, net) = (&self.name, net());
        assert!(ip(&format!("-n {name} addr {what} {net}.{last}/24 dev eth0")));
        if what == "add" {
            assert!(ip(&format!("-n {name} route replace default via {net}.1")));
        }
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        ip(&format!("netns del {}", self.name));
        ip(&format!("link del {}", self.cable));
    }
}

fn start(lab: &Lab, dir: &Path, namespace: &str) -> Daemon {
    let (ports, here) = (lab.ports(), format!("{}.1", net()));
    let more = format!(
        "line.chatta.api = \"http://{here}:{}\"\nline.chatta.pusher = \"ws://{here}:{}\"\nline.chatta.rooms = \"ws://{here}:{}/signaling\"\n\
         media.speaker = \"none\"\ntv.sink = \"none\"\ntv.driver = \"headless\"",
        ports.api, ports.pusher, ports.rooms,
    );
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace, env!("CARGO_BIN_EXE_residentd"), "--config"]).arg(configure(lab, dir, &more));
    Daemon::start(command.stdin(Stdio::null()), dir)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_survives_a_new_address_of_the_box() {
    let elsewhere = Elsewhere::new();
    let lab = Lab::start(Options { bind: Ipv4Addr::UNSPECIFIED.into(), ..Options::default() }).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut daemon = start(&lab, dir.path(), &elsewhere.name);
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
    elsewhere.address("del", 2);
    page.wait("(async () => { const a = window.check().remote.frames; await new Promise(r => setTimeout(r, 500)); return window.check().remote.frames === a; })()", PATIENCE).await;
    elsewhere.address("add", 3);
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
