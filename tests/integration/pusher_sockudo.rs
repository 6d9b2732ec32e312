//! The line and its Pusher client against a real server, sockudo, that somebody else wrote. The REST API is a small one
//! in the test's process; connections can be made to go dead by a proxy.

use crate::support::platform::Platform;
use crate::support::proxy::Proxy;
use crate::support::sockudo::{self, Sockudo};
use residentd::call::{Decline, LineId, Medium, Offer, Reply, Wish};
use residentd::line::chatta::{self, Credentials, Settings};
use residentd::line::{LineCommand, LineEvent, LineHandle, LineState};
use residentd::pusher::{Client, Endpoint, News, Outcome, Plan, Times, Trigger, decode};
use residentd::room::Ticket;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

const CALLS: &str = "private-call-7";

fn tls() -> std::sync::Arc<rustls::ClientConfig> {
    residentd::net::tls::client(None).unwrap()
}

/// Waits that would take minutes are made short; what they lead to is the same.
fn quick() -> Times {
    let ms = Duration::from_millis;
    Times {
        reconnect: (ms(50), ms(200)),
        resubscribe: (ms(50), ms(200)),
        activity: ms(500),
        pong: ms(500),
        confirm: ms(500),
        ..Times::default()
    }
}

/// Nothing here takes this long; without it a missing event would hang the test run.
async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.unwrap_or_else(|_| panic!("did not happen: {what}"))
}

/// Somebody else on the organisation's channels.
struct Member {
    client: Client,
    next: u64,
}

impl Member {
    async fn join(endpoint: Endpoint, events: &[&str]) -> Self {
        let bindings = events.iter().map(|event| (CALLS.into(), event.to_string())).collect();
        let client = Client::spawn(Plan { endpoint, times: quick(), channels: vec![CALLS.into()], bindings, tls: tls() });
        let mut member = Self { client, next: 0 };
        member.until("subscribed", |news| matches!(news, News::Subscribed { .. })).await;
        member
    }

    async fn until(&mut self, what: &str, mut wanted: impl FnMut(&News) -> bool) -> News {
        soon(what, async {
            loop {
                let news = self.client.next().await.expect("the client runs");
                if let News::Authorise { socket, channel } = &news {
                    self.client.authorised(socket.clone(), channel.clone(), Ok(sockudo::sign(socket, channel)));
                }
                if wanted(&news) {
                    return news;
                }
            }
        })
        .await
    }

    async fn event(&mut self, name: &str) -> Value {
        match self.until(name, |news| matches!(news, News::Event { event, .. } if event == name)).await {
            News::Event { data, .. } => decode(&data),
            _ => unreachable!(),
        }
    }

    async fn send(&mut self, event: &str, data: Value) -> Outcome {
        self.next += 1;
        let id = self.next;
        self.client.trigger(Trigger { id, channel: CALLS.into(), event: event.into(), data: data.to_string() }).unwrap();
        match self.until("triggered", |news| matches!(news, News::Triggered { id: done, .. } if *done == id)).await {
            News::Triggered { outcome, .. } => outcome,
            _ => unreachable!(),
        }
    }

    async fn call(&mut self, options: Value) {
        assert_eq!(self.send("client-conferencing-call-requested-1124", options).await, Outcome::Confirmed);
    }
}

fn options() -> Value {
    json!({
        "audioOnly": false,
        "initiator": { "id": 5, "username": "care_admin", "first_name": "Ada", "last_name": "Admin", "user_type": "customeradmin" },
        "target": { "id": 1124, "username": "chattademo" },
        "roomName": "care_admin-to-chattademo", "roomSid": "RM1", "autoAccept": false, "acceptAfter": 0,
    })
}

/// A running line and the agent's end of it.
struct Box {
    handle: LineHandle,
    events: mpsc::Receiver<(LineId, LineEvent)>,
}

impl Box {
    fn settings(platform: &Platform, endpoint: Endpoint) -> Settings {
        let credentials = Credentials { username: Some("chattademo".into()), password: Some("secret".to_string().into()), token: None };
        let mut settings = Settings::new(LineId("chatta".into()), platform.url.clone(), endpoint, credentials);
        settings.times.pusher = quick();
        settings.times.login_retry = (Duration::from_millis(50), Duration::from_millis(200));
        settings
    }

    fn start(settings: Settings) -> Self {
        let (sender, events) = mpsc::channel(8);
        Self { handle: chatta::spawn(settings, tls(), sender), events }
    }

    async fn online(settings: Settings) -> Self {
        let mut it = Self::start(settings);
        it.until("online", |event| matches!(event, LineEvent::State(LineState::Online))).await;
        it
    }

    async fn until(&mut self, what: &str, mut wanted: impl FnMut(&LineEvent) -> bool) -> LineEvent {
        soon(what, async {
            loop {
                let (id, event) = self.events.recv().await.expect("the line runs");
                assert_eq!(id.0, "chatta");
                if wanted(&event) {
                    return event;
                }
            }
        })
        .await
    }

    async fn offer(&mut self) -> Offer {
        match self.until("offered", |event| matches!(event, LineEvent::Offered(_))).await {
            LineEvent::Offered(offer) => offer,
            _ => unreachable!(),
        }
    }

    async fn reply(&self, offer: &Offer, reply: Reply, repeat: bool) {
        self.handle.commands.send(LineCommand::Reply { offer: offer.clone(), reply, repeat }).await.unwrap();
    }

    async fn ticket(&self, offer: &Offer) -> Result<Ticket, String> {
        let (answer, ticket) = oneshot::channel();
        self.handle.commands.send(LineCommand::Ticket { offer: offer.clone(), answer }).await.unwrap();
        soon("a ticket", ticket).await.unwrap()
    }

    async fn stop(self) {
        let (answer, stopped) = oneshot::channel();
        self.handle.commands.send(LineCommand::Stop(answer)).await.unwrap();
        soon("stopped", stopped).await.unwrap();
    }
}

#[tokio::test]
async fn a_whole_call_over_the_line() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    let mut tv = Box::online(Box::settings(&platform, server.endpoint())).await;
    let replies = ["client-conferencing-call-accepted-5", "client-conferencing-call-ended-5"];
    let mut caller = Member::join(server.endpoint(), &replies).await;

    caller.call(options()).await;
    let offer = tv.offer().await;
    assert_eq!((offer.caller.name.as_str(), offer.medium, offer.wish), ("Ada Admin", Medium::Video, Wish::Ask));

    let Ticket::Twilio { url, room, caller: identity, .. } = tv.ticket(&offer).await.unwrap();
    assert_eq!((url.as_str(), room.as_str()), ("wss://global.vss.twilio.com/signaling", "care_admin-to-chattademo"));
    assert_eq!(identity.as_deref(), Some("care_admin"), "the platform makes identities from user names");

    tv.reply(&offer, Reply::Accepted, false).await;
    let accepted = caller.event("client-conferencing-call-accepted-5").await;
    let expected = json!({
        "initiator": { "id": 5, "username": "care_admin" }, "target": { "id": 1124, "username": "chattademo" },
        "audioOnly": false, "roomName": "care_admin-to-chattademo", "roomSid": "RM1", "autoAccept": false, "acceptAfter": 0,
    });
    assert_eq!(accepted, expected);

    tv.reply(&offer, Reply::Ended, false).await;
    caller.event("client-conferencing-call-ended-5").await;

    caller.send("client-conferencing-call-ended-1124", options()).await;
    tv.until("withdrawn", |event| matches!(event, LineEvent::Withdrawn(w) if w.caller.0 == "5")).await;

    tv.reply(&offer, Reply::Declined(Decline::Busy), false).await;
    tv.stop().await;
}

#[tokio::test]
async fn a_reply_given_just_before_the_stop_is_still_sent() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    let mut tv = Box::online(Box::settings(&platform, server.endpoint())).await;
    let mut caller = Member::join(server.endpoint(), &["client-conferencing-call-declined-5"]).await;
    caller.call(options()).await;
    let offer = tv.offer().await;
    tv.reply(&offer, Reply::Declined(Decline::NoAnswer), false).await;
    tv.stop().await;
    assert_eq!(caller.event("client-conferencing-call-declined-5").await["declineReason"], "no-answer");
}

#[tokio::test]
async fn events_of_other_residents_and_with_similar_names_are_not_heard() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    let mut tv = Box::online(Box::settings(&platform, server.endpoint())).await;
    let mut caller = Member::join(server.endpoint(), &[]).await;
    for name in ["requested-112", "requested-11241", "requested-5", "accepted-1124", "declined-1124"] {
        let name = format!("client-conferencing-call-{name}");
        assert_eq!(caller.send(&name, options()).await, Outcome::Confirmed);
    }
    let mut last = options();
    last["roomSid"] = json!("RMlast");
    caller.call(last).await;
    let first = tv.offer().await;
    assert_eq!(first.reference.sid.as_deref(), Some("RMlast"), "the first offer is the one meant for us");
}

#[tokio::test]
async fn a_wrong_signature_is_refused_and_asked_for_again() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    platform.book().sign_wrongly = true;
    let mut tv = Box::start(Box::settings(&platform, server.endpoint()));
    let refused = |event: &LineEvent| matches!(event, LineEvent::State(LineState::Offline { why, .. }) if why.contains("4009"));
    tv.until("refused with 4009", refused).await;
    platform.book().sign_wrongly = false;
    tv.until("online", |event| matches!(event, LineEvent::State(LineState::Online))).await;
}

#[tokio::test]
async fn a_refused_token_leads_to_a_new_login_on_the_same_connection() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    let proxy = Proxy::start(server.port).await;
    let mut settings = Box::settings(&platform, Endpoint { port: proxy.port, ..server.endpoint() });
    // A token nobody knows any more, that cannot be refreshed either.
    settings.credentials.token = Some("e30.eyJ1c2VybmFtZSI6ImNoYXR0YWRlbW8ifQ.c2ln".to_string().into());
    let tv = Box::online(settings).await;
    assert_eq!(platform.book().count("/api-token-refresh/", 400), 1);
    assert_eq!(platform.book().count("/api-token-auth/", 200), 1);
    tv.stop().await;

    // Revoked between login and signature.
    let before = proxy.connections.load(Ordering::SeqCst);
    platform.book().refuse_auth = Some(403);
    let mut tv = Box::start(Box::settings(&platform, Endpoint { port: proxy.port, ..server.endpoint() }));
    tv.until("refused", |event| matches!(event, LineEvent::State(LineState::Offline { .. }))).await;
    platform.book().refuse_auth = None;
    tv.until("online", |event| matches!(event, LineEvent::State(LineState::Online))).await;
    assert!(platform.book().count("/api-token-auth/", 200) >= 3, "it logged in anew");
    assert_eq!(proxy.connections.load(Ordering::SeqCst), before + 1, "the connection was kept");
}

#[tokio::test]
async fn an_expired_login_is_renewed_when_a_room_is_wanted() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    let mut tv = Box::online(Box::settings(&platform, server.endpoint())).await;
    let mut caller = Member::join(server.endpoint(), &[]).await;
    caller.call(options()).await;
    let offer = tv.offer().await;
    platform.book().tokens.clear();
    assert!(tv.ticket(&offer).await.is_ok());
    assert_eq!(platform.book().count("/conferencing/video-token/", 401), 1);
    assert_eq!(platform.book().count("/conferencing/video-token/", 200), 1);
    platform.book().refuse_login = Some(400);
    platform.book().tokens.clear();
    assert!(tv.ticket(&offer).await.is_err());
}

#[tokio::test]
async fn the_token_is_refreshed_before_half_of_its_life_is_gone_and_the_line_stays_up() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    platform.book().life = Some(4);
    let mut tv = Box::online(Box::settings(&platform, server.endpoint())).await;
    soon("two refreshes", async {
        while platform.book().count("/api-token-refresh/", 200) < 2 {
            // The platform cannot tell when it was asked.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    assert_eq!(platform.book().count("/api-token-auth/", 200), 1);
    assert!(tv.events.try_recv().is_err(), "nothing was told about it");
}

#[tokio::test]
async fn a_refused_login_is_tried_for_ever() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    platform.book().refuse_login = Some(400);
    let mut tv = Box::start(Box::settings(&platform, server.endpoint()));
    for _ in 0..3 {
        let told = |event: &LineEvent| matches!(event, LineEvent::State(LineState::Offline { why, .. }) if why.contains("password"));
        tv.until("refused", told).await;
    }
    platform.book().refuse_login = Some(503);
    let told = |event: &LineEvent| matches!(event, LineEvent::State(LineState::Offline { why, .. }) if why.contains("503"));
    tv.until("out of order", told).await;
    platform.book().refuse_login = None;
    tv.until("online", |event| matches!(event, LineEvent::State(LineState::Online))).await;
}

#[tokio::test]
async fn a_killed_and_restarted_server_finds_the_line_subscribed_again() {
    let (mut server, platform) = (Sockudo::start(120).await, Platform::start().await);
    let mut tv = Box::online(Box::settings(&platform, server.endpoint())).await;
    server.kill();
    tv.until("offline", |event| matches!(event, LineEvent::State(LineState::Offline { .. }))).await;
    assert!(server.run().await, "the port is free again");
    tv.until("online", |event| matches!(event, LineEvent::State(LineState::Online))).await;
    let mut caller = Member::join(server.endpoint(), &[]).await;
    caller.call(options()).await;
    tv.offer().await;
    assert_eq!(platform.book().count("/api-token-auth/", 200), 1, "the login is still good");
}

#[tokio::test]
async fn of_the_replies_given_while_the_line_is_down_the_latest_is_sent_when_it_is_back() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    let proxy = Proxy::start(server.port).await;
    let mut tv = Box::online(Box::settings(&platform, Endpoint { port: proxy.port, ..server.endpoint() })).await;
    let declined = "client-conferencing-call-declined-5";
    let mut caller = Member::join(server.endpoint(), &[declined]).await;
    caller.call(options()).await;
    let offer = tv.offer().await;
    proxy.cut(true);
    tv.until("offline", |event| matches!(event, LineEvent::State(LineState::Offline { .. }))).await;
    tv.reply(&offer, Reply::Declined(Decline::Error), false).await;
    tv.reply(&offer, Reply::Declined(Decline::NoAnswer), false).await;
    proxy.cut(false);
    assert_eq!(caller.event(declined).await["declineReason"], "no-answer");
    // Nothing but that: the next thing the caller hears is the answer to the next call.
    caller.call(options()).await;
    let again = tv.offer().await;
    tv.reply(&again, Reply::Declined(Decline::Busy), false).await;
    assert_eq!(caller.event(declined).await["declineReason"], "busy");
}

#[tokio::test]
async fn a_half_open_connection_is_found_by_the_missing_pong() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    let proxy = Proxy::start(server.port).await;
    let mut tv = Box::online(Box::settings(&platform, Endpoint { port: proxy.port, ..server.endpoint() })).await;
    proxy.swallow(true);
    tv.until("silence noticed", |event| matches!(event, LineEvent::State(LineState::Offline { why, .. }) if why.contains("silent"))).await;
    proxy.swallow(false);
    tv.until("online", |event| matches!(event, LineEvent::State(LineState::Online))).await;
    let mut caller = Member::join(server.endpoint(), &[]).await;
    caller.call(options()).await;
    tv.offer().await;
}

#[tokio::test]
async fn an_accepted_swallowed_by_a_dead_connection_is_reported_and_said_once_more() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    let proxy = Proxy::start(server.port).await;
    let mut settings = Box::settings(&platform, Endpoint { port: proxy.port, ..server.endpoint() });
    // Only the question after the reply may find the dead connection here.
    settings.times.pusher.activity = Duration::from_secs(100);
    let mut tv = Box::online(settings).await;
    let mut caller = Member::join(server.endpoint(), &["client-conferencing-call-accepted-5", "client-conferencing-call-ended-5"]).await;
    caller.call(options()).await;
    let offer = tv.offer().await;

    proxy.swallow(true);
    tv.reply(&offer, Reply::Accepted, false).await;
    tv.until("offline", |event| matches!(event, LineEvent::State(LineState::Offline { .. }))).await;
    proxy.swallow(false);
    let uncertain = tv.until("uncertain", |event| matches!(event, LineEvent::ReplyUncertain(_))).await;
    assert!(matches!(uncertain, LineEvent::ReplyUncertain(again) if again == offer));

    // Said once more, and whatever the agent thinks, not a third time.
    tv.reply(&offer, Reply::Accepted, true).await;
    tv.reply(&offer, Reply::Accepted, true).await;
    tv.reply(&offer, Reply::Ended, false).await;
    let mut heard = Vec::new();
    caller
        .until("ended", |news| {
            if let News::Event { event, .. } = news {
                heard.push(event.clone());
            }
            matches!(news, News::Event { event, .. } if event.contains("ended"))
        })
        .await;
    assert_eq!(heard, ["client-conferencing-call-accepted-5", "client-conferencing-call-ended-5"]);
}

#[tokio::test]
async fn a_flood_of_requests_is_bounded_per_caller() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    let mut tv = Box::online(Box::settings(&platform, server.endpoint())).await;
    let mut caller = Member::join(server.endpoint(), &[]).await;
    for n in 0..9 {
        let mut request = options();
        request["roomSid"] = json!(format!("RM{n}"));
        caller.call(request).await;
    }
    let mut other = options();
    other["initiator"]["id"] = json!(6);
    caller.call(other).await;
    let mut offers = Vec::new();
    while offers.last() != Some(&"6".to_string()) {
        offers.push(tv.offer().await.caller.id.0);
    }
    assert_eq!(offers, ["5", "5", "5", "5", "5", "6"]);
}

#[tokio::test]
async fn more_than_ten_events_a_second_are_sent_at_the_pace_the_server_takes() {
    let server = Sockudo::start(120).await;
    let mut listener = Member::join(server.endpoint(), &["client-n"]).await;
    let mut speaker = Member::join(server.endpoint(), &[]).await;
    for n in 0..15 {
        let data = json!({ "n": n }).to_string();
        speaker.client.trigger(Trigger { id: 100 + n, channel: CALLS.into(), event: "client-n".into(), data }).unwrap();
    }
    for n in 0..15 {
        assert_eq!(listener.event("client-n").await, json!({ "n": n }));
    }
    let long = "x".repeat(11 * 1024);
    assert!(matches!(speaker.send("client-n", json!(long)).await, Outcome::Unsent(_)), "it is not even tried");
}

#[tokio::test]
async fn payloads_as_object_and_as_string_are_understood() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    let mut tv = Box::online(Box::settings(&platform, server.endpoint())).await;
    let mut caller = Member::join(server.endpoint(), &[]).await;
    caller.call(options()).await;
    let object = tv.offer().await;
    caller.call(json!(options().to_string())).await;
    assert_eq!(tv.offer().await, object);
    for nonsense in
        [json!(null), json!("x"), json!([]), json!(5), json!({}), json!({ "initiator": { "id": "5" } }), json!({ "initiator": null })]
    {
        caller.send("client-conferencing-call-requested-1124", nonsense).await;
    }
    tokio::time::sleep(Duration::from_millis(1100)).await; // the server's pace, not ours
    let mut other = options();
    other["initiator"]["id"] = json!(6);
    caller.call(other).await;
    assert_eq!(tv.offer().await.caller.id.0, "6", "nothing came of the nonsense");
}

#[tokio::test]
async fn the_wake_event_is_for_our_own_box_only() {
    let (server, platform) = (Sockudo::start(120).await, Platform::start().await);
    let mut tv = Box::online(Box::settings(&platform, server.endpoint())).await;
    let mut caller = Member::join(server.endpoint(), &[]).await;
    let presence = "private-presence-7";
    // The presence channel may come up a little after the call channel.
    soon("woken", async {
        loop {
            server.publish(presence, "power_normal", &json!({ "set_top_box": 321, "force": true })).await;
            server.publish(presence, "power_normal", &json!({ "set_top_box": 322, "force": true })).await;
            if let Ok(Some((_, event))) = tokio::time::timeout(Duration::from_millis(200), tv.events.recv()).await {
                assert!(matches!(event, LineEvent::Wake));
                break;
            }
        }
    })
    .await;
    server.publish(presence, "power_normal", &json!({ "set_top_box": 321, "force": true })).await;
    server.publish(presence, "resident_updated", &json!({ "id": 1124, "online": true })).await;
    caller.call(options()).await;
    let next = soon("the offer", tv.events.recv()).await.unwrap().1;
    assert!(matches!(next, LineEvent::Offered(_)), "the other box's event woke us: {next:?}");
}

#[tokio::test]
async fn a_wrong_key_is_reported_and_tried_again() {
    let server = Sockudo::start(120).await;
    let endpoint = Endpoint { key: "nobody".into(), ..server.endpoint() };
    let mut client = Client::spawn(Plan { endpoint, times: quick(), channels: vec![CALLS.into()], bindings: vec![], tls: tls() });
    for _ in 0..3 {
        let news = soon("refused", client.next()).await.unwrap();
        assert!(matches!(news, News::Disconnected { .. }), "{news:?}");
    }
}
