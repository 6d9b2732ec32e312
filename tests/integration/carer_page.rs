//! The lab's page behaves on the wire as the platform's own caller app (contract chatta.md, 3.1), without its known
//! faults. The box is played by the real pusher-js in a page of its own.

use crate::support::browser::{self, Browser, Event, Opening, Options, Page};
use residentd_lab::{Lab, Part};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::sync::broadcast;

const SOON: Duration = Duration::from_secs(15);

struct Fixture {
    lab: Lab,
    browser: Browser,
    carer: Page,
    resident: Page,
    events: broadcast::Receiver<Event>,
}

/// A lab, a carer who is logged in, and a resident whose box is connected and answers nothing by itself.
async fn fixture() -> Fixture {
    let lab = Lab::start(residentd_lab::Options { npm_dir: browser::npm_folder(), ..residentd_lab::Options::default() }).await.unwrap();
    let browser = Browser::start(Options::default()).await;
    let events = browser.events();
    let resident = browser.open_with("resident", Opening { npm: vec!["pusher-js".into()], ..Opening::default() }).await;
    let (api, pusher) = (lab.api_url(), lab.pusher());
    resident
        .eval(&format!(
            r#"(async () => {{
                const api = "{api}", headers = {{ "content-type": "application/json" }};
                const login = {{ method: "POST", headers, body: JSON.stringify({{ username: "chattademo", password: "password" }}) }};
                const {{ token }} = await (await fetch(api + "/api-token-auth/", login)).json();
                const pusher = new Pusher("{}", {{ cluster: "eu", wsHost: "{}", wsPort: {}, forceTLS: false, enabledTransports: ["ws"],
                    channelAuthorization: {{ endpoint: api + "/pusher/auth/", headers: {{ Authorization: "Bearer " + token }} }} }});
                pusher.subscribe("private-presence-7");
                window.calls = pusher.subscribe("private-call-7");
                window.heard = [];
                calls.bind_global((event, data) => heard.push([event, data]));
                window.reply = (kind, data) => calls.trigger(`client-conferencing-call-${{kind}}-5`, data);
                await new Promise((resolve) => calls.bind("pusher:subscription_succeeded", resolve));
            }})()"#,
            pusher.key, pusher.host, pusher.port
        ))
        .await;
    let carer = browser.open("carer", &lab.page_url()).await;
    carer.click("#login-button").await;
    carer.wait("document.querySelector('#resident-1124[data-online=true]') && document.querySelector('#link.online')", SOON).await;
    Fixture { lab, browser, carer, resident, events }
}

impl Fixture {
    async fn state(&self, state: &str) {
        self.carer.wait(&format!("document.body.dataset.call === '{state}'"), SOON).await;
    }

    async fn status(&self) -> String {
        self.carer.text("#status").await
    }

    /// The latest request that the box has heard; waits until there are `count`.
    async fn request(&self, count: usize) -> Value {
        let requests = "heard.filter(([e]) => e === 'client-conferencing-call-requested-1124')";
        self.resident.wait(&format!("{requests}.length >= {count}"), SOON).await;
        let all = self.resident.eval(requests).await;
        assert_eq!(all.as_array().unwrap().len(), count);
        all[count - 1][1].clone()
    }

    async fn ended_heard(&self, count: usize) {
        self.resident.wait(&format!("heard.filter(([e]) => e === 'client-conferencing-call-ended-1124').length === {count}"), SOON).await;
    }

    async fn reply(&self, kind: &str, data: Value) {
        self.resident.eval(&format!("reply('{kind}', {data})")).await;
    }

    /// How often the lab was asked for this, by log.
    fn asked(&self, what: &str) -> usize {
        self.lab.log().iter().filter(|e| e.part == Part::Rest && e.what.contains(what)).count()
    }

    /// Ends everything; the pages must not have thrown.
    async fn end(mut self) {
        self.browser.close().await;
        while let Ok(event) = self.events.try_recv() {
            assert_ne!(event.kind, "pageerror", "{}", event.body);
        }
        self.lab.stop().await;
    }
}

#[tokio::test]
async fn requests_look_as_the_platforms_own() {
    let at = fixture().await;
    at.carer.click("#video-call").await;
    let first = at.request(1).await;
    let names: Vec<&str> = first.as_object().unwrap().keys().map(String::as_str).collect();
    let mut expected = ["audioOnly", "initiator", "target", "roomName", "autoAccept", "acceptAfter", "roomSid"];
    expected.sort_unstable(); // serde_json sorts
    assert_eq!(names, expected);
    assert_eq!(
        (&first["audioOnly"], &first["autoAccept"], &first["acceptAfter"], &first["roomName"]),
        (&json!(false), &json!(false), &json!(0), &json!("roger_chatta_admin-to-chattademo"))
    );
    assert_eq!(
        (&first["initiator"]["id"], &first["target"]["id"], &first["target"]["set_top_box"]["id"]),
        (&json!(5), &json!(1124), &json!(322))
    );
    assert!(first["roomSid"].as_str().unwrap().starts_with("RM"));
    // woken first, then a room, then the request
    assert_eq!((at.asked("PATCH /v2/set-top-box/322/power_normal"), at.asked("POST /v2/conferencing-room")), (1, 1));
    let log = at.lab.log();
    let ms = |what: &str| log.iter().find(|e| e.what.contains(what)).map(|e| e.ms).unwrap();
    assert!(ms("POST /v2/conferencing-room") >= ms("PATCH /v2/set-top-box/322/power_normal") + 950);

    at.carer.click("#hang-up").await;
    at.ended_heard(1).await;
    at.state("idle").await;

    // once chosen, the delay is a text; chosen first, it goes along with auto-accept, which then disables the choice
    at.carer.select("#accept-after", "10").await;
    at.carer.click("#auto-accept").await;
    assert_eq!(at.carer.eval("document.getElementById('accept-after').disabled").await, json!(true));
    at.carer.click("#audio-call").await;
    let second = at.request(2).await;
    assert_eq!((&second["audioOnly"], &second["autoAccept"], &second["acceptAfter"]), (&json!(true), &json!(true), &json!("10")));
    at.end().await;
}

#[tokio::test]
async fn replies_mean_what_the_contract_says_and_no_more() {
    let at = fixture().await;
    for (data, words) in [
        (json!({"declineReason": "busy"}), "User Busy"),
        (json!({"declineReason": "no-camera"}), "No Camera Detected"),
        (json!({"declineReason": "something-new"}), "User Declined Call"),
        (Value::Null, "User Declined Call"),
    ] {
        at.carer.click("#video-call").await;
        at.state("calling").await;
        at.reply("declined", data).await;
        at.state("idle").await;
        assert_eq!(at.status().await, words);
    }

    // another resident's accept and another room's end are none of this call's business
    at.carer.click("#video-call").await;
    at.state("calling").await;
    at.reply("accepted", json!({"target": {"id": 1125}})).await;
    at.reply("ended", json!({"target": {"id": 1124}, "roomSid": "RM00000000000000000000000000000000"})).await;
    // events of one connection arrive in order: what follows is heard after those two
    at.reply("accepted", json!({"target": {"id": 1124}})).await;
    at.reply("accepted", json!({"target": {"id": 1124}})).await;
    at.state("joining").await;
    at.carer.wait("document.querySelector('#self.live')", SOON).await;
    assert_eq!(at.asked("/conferencing/video-token/"), 1, "joins once, however often it was accepted");

    // a decline after the accept is an end
    at.reply("declined", json!({"target": {"id": 1124}})).await;
    at.state("idle").await;
    assert_eq!(at.status().await, "The resident ended the call");
    assert_eq!(at.carer.eval("document.getElementById('self').srcObject").await, Value::Null, "the camera is let go");
    at.end().await;
}

#[tokio::test]
async fn nothing_is_asked_after_hanging_up_and_a_reload_remembers() {
    let at = fixture().await;
    at.carer.click("#video-call").await;
    at.state("waking").await;
    at.carer.click("#hang-up").await;
    at.state("idle").await;
    // the next call's request is the first that the box hears
    at.carer.click("#video-call").await;
    at.request(1).await;
    at.resident.eval("heard.length = 0").await;
    at.carer.click("#hang-up").await;
    at.ended_heard(1).await;

    let carer = at.browser.open("carer", &at.lab.page_url()).await;
    carer.wait("document.querySelector('#link.online')", SOON).await;
    assert_eq!(carer.text("#callee").await, "Dora Demo");
    assert_eq!(at.asked("POST /api-token-auth/"), 2, "the box and the carer logged in once each");
    at.end().await;
}
