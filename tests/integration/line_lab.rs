//! The line against the lab: over TLS with an authority of its own, and on the platform's bad days.

use residentd::call::{Decline, LineId, Offer, Reply};
use residentd::line::chatta::{self, Credentials, Settings};
use residentd::line::{LineCommand, LineEvent, LineHandle, LineState};
use residentd::pusher::{Endpoint, Times};
use residentd::room::Ticket;
use residentd_lab::{At, CallOptions, Fault, Lab, Options, Reply as Said, ReplyKind};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};

const PATIENCE: Duration = Duration::from_secs(20);

struct Box {
    handle: LineHandle,
    events: mpsc::Receiver<(LineId, LineEvent)>,
}

impl Box {
    /// Over `https` and `wss`, with waits that tests can wait for.
    fn start(lab: &Lab, change: impl FnOnce(&mut Settings)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let authority = folder.path().join("ca.pem");
        std::fs::write(&authority, lab.ca_pem().unwrap()).unwrap();
        let tls = residentd::net::tls::client(Some(&authority)).unwrap();
        let address = lab.pusher();
        let endpoint = Endpoint { host: address.host, port: address.port, tls: true, path: String::new(), key: address.key };
        let credentials = Credentials { username: Some("chattademo".into()), password: Some("password".to_string().into()), token: None };
        let api = format!("{}/v2", lab.api_url().replace("http:", "https:")).parse().unwrap();
        let mut settings = Settings::new(LineId("chatta".into()), api, endpoint, credentials);
        let ms = Duration::from_millis;
        settings.times.login_retry = (ms(50), ms(200));
        settings.times.rest = ms(1000);
        settings.times.pusher = Times {
            reconnect: (ms(50), ms(200)),
            resubscribe: (ms(50), ms(200)),
            refused: ms(300),
            handshake: ms(2000),
            activity: ms(1000),
            pong: ms(500),
            ..Times::default()
        };
        change(&mut settings);
        let (sender, events) = mpsc::channel(8);
        Self { handle: chatta::spawn(settings, tls, sender), events }
    }

    async fn until(&mut self, what: &str, mut wanted: impl FnMut(&LineEvent) -> bool) -> LineEvent {
        let found = async {
            loop {
                let (_, event) = self.events.recv().await.expect("the line runs");
                if wanted(&event) {
                    return event;
                }
            }
        };
        tokio::time::timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("did not happen: {what}"))
    }

    async fn online(&mut self) {
        self.until("online", |event| matches!(event, LineEvent::State(LineState::Online))).await;
    }

    async fn offline(&mut self) -> String {
        match self.until("offline", |event| matches!(event, LineEvent::State(LineState::Offline { .. }))).await {
            LineEvent::State(LineState::Offline { why, .. }) => why,
            _ => unreachable!(),
        }
    }

    async fn offer(&mut self) -> Offer {
        match self.until("offered", |event| matches!(event, LineEvent::Offered(_))).await {
            LineEvent::Offered(offer) => offer,
            _ => unreachable!(),
        }
    }

    async fn reply(&self, offer: &Offer, reply: Reply) {
        self.handle.commands.send(LineCommand::Reply { offer: offer.clone(), reply, repeat: false }).await.unwrap();
    }

    async fn ticket(&self, offer: &Offer) -> Result<Ticket, String> {
        let (answer, ticket) = oneshot::channel();
        self.handle.commands.send(LineCommand::Ticket { offer: offer.clone(), answer }).await.unwrap();
        tokio::time::timeout(PATIENCE, ticket).await.unwrap().unwrap()
    }

    /// A call comes through and its answer back.
    async fn works(&mut self, lab: &Lab) {
        let mut caller = lab.caller("roger_chatta_admin");
        caller.request(1124, &CallOptions::default());
        let offer = self.offer().await;
        self.reply(&offer, Reply::Declined(Decline::Busy)).await;
        let Some(Said { kind, .. }) = caller.reply(PATIENCE).await else { panic!("no reply") };
        assert_eq!(kind, ReplyKind::Declined(Some("busy".into())));
    }
}

#[tokio::test]
async fn after_each_subscription_the_platforms_record_is_read_anew() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut seen = lab.events();
    let mut tv = Box::start(&lab, |_| {});
    for _ in 0..2 {
        tv.online().await;
        let asked = async { while seen.recv().await.unwrap().what != "GET /v2/resident/1124" {} };
        tokio::time::timeout(PATIENCE, asked).await.expect("the record was not asked for");
        let resident = |event: &LineEvent| matches!(event, LineEvent::Resident { locale: Some(l), .. } if l == "en-GB");
        tv.until("the resident's wishes", resident).await;
        lab.fault(&Fault::Close { at: At::Pusher, who: Some("chattademo".into()), code: 4200, reason: String::new() });
        tv.offline().await;
    }
    // And a change that the platform tells by itself arrives without asking; that of somebody else does not.
    tv.online().await;
    let changed = |id: u64, locale: &str| serde_json::json!({ "id": id, "locale": locale, "time_zone": "Europe/Berlin" });
    let of = |event: &LineEvent| match event {
        LineEvent::Resident { locale: Some(locale), time_zone: Some(zone) } if zone == "Europe/Berlin" => Some(locale.clone()),
        _ => None,
    };
    while lab.trigger("private-presence-7", "resident_updated", &changed(1125, "fr-FR")) == 0 {
        tokio::task::yield_now().await;
    }
    lab.trigger("private-presence-7", "resident_updated", &changed(1124, "de-DE"));
    let told = tv.until("the change", |event| of(event).is_some()).await;
    assert_eq!(of(&told).as_deref(), Some("de-DE"));
}

#[tokio::test]
async fn over_tls_the_resident_is_online_and_calls_come_through() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut tv = Box::start(&lab, |_| {});
    tv.online().await;
    // The channel of presence, on which the wake-up comes, follows that of the calls. Nobody else is there to hear it.
    while lab.trigger("private-presence-7", "power_normal", &serde_json::json!({"set_top_box": 322, "force": true})) == 0 {
        tokio::task::yield_now().await;
    }
    tv.until("woken", |event| matches!(event, LineEvent::Wake)).await;
    let mut caller = lab.caller("roger_chatta_admin");
    assert!(caller.presence(1124, true, PATIENCE).await, "the platform shows the resident as online");
    caller.request(1124, &CallOptions::default());
    let offer = tv.offer().await;
    let Ticket::Twilio { room, caller: identity, .. } = tv.ticket(&offer).await.unwrap();
    assert_eq!((room.as_str(), identity.as_deref()), ("roger_chatta_admin-to-chattademo", Some("roger_chatta_admin")));
    tv.reply(&offer, Reply::Accepted).await;
    assert_eq!(caller.reply(PATIENCE).await.unwrap().kind, ReplyKind::Accepted);

    let (answer, stopped) = oneshot::channel();
    tv.handle.commands.send(LineCommand::Stop(answer)).await.unwrap();
    tokio::time::timeout(PATIENCE, stopped).await.unwrap().unwrap();
    assert!(caller.presence(1124, false, PATIENCE).await, "and as offline when the daemon has stopped");
}

#[tokio::test]
async fn a_certificate_of_an_unknown_authority_is_refused_and_said_so() {
    let (lab, other) = (Lab::start(Options::default()).await.unwrap(), Lab::start(Options::default()).await.unwrap());
    let api = format!("{}/v2", lab.api_url().replace("http:", "https:")).parse().unwrap();
    let mut tv = Box::start(&other, |settings| settings.api = api);
    let why = tv.offline().await;
    assert!(why.to_lowercase().contains("certificate"), "{why}");
    assert!(!lab.online(1124) && !other.online(1124));
}

#[tokio::test]
async fn after_every_close_code_the_line_comes_back() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut tv = Box::start(&lab, |_| {});
    tv.online().await;
    for code in [1000, 1001, 1011, 4000, 4001, 4004, 4009, 4099, 4100, 4200, 4201, 4202, 4299, 4301] {
        let fault = Fault::Close { at: At::Pusher, who: Some("chattademo".into()), code, reason: String::new() };
        assert_eq!(lab.fault(&fault), 1, "{code}");
        let why = tv.offline().await;
        assert!(why.contains(&code.to_string()), "{code}: {why}");
        tv.online().await;
    }
    lab.fault(&Fault::Drop { at: At::Pusher, who: Some("chattademo".into()) });
    tv.offline().await;
    tv.online().await;
    tv.works(&lab).await;
}

#[tokio::test]
async fn a_dead_connection_and_a_dead_server_are_survived() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut tv = Box::start(&lab, |_| {});
    tv.online().await;
    lab.fault(&Fault::HalfOpen { at: At::Pusher, who: Some("chattademo".into()), on: true });
    tv.offline().await;
    lab.fault(&Fault::Reset);
    tv.online().await;
    lab.fault(&Fault::RefuseConnections { at: At::Pusher, on: true });
    lab.fault(&Fault::Drop { at: At::Pusher, who: None });
    for _ in 0..3 {
        tv.offline().await;
    }
    lab.fault(&Fault::Reset);
    tv.online().await;
    tv.works(&lab).await;
}

#[tokio::test]
async fn refused_signatures_expired_logins_and_a_broken_api_are_survived() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let rest = |route: &str, status, break_json| Fault::Rest { route: route.into(), status, delay_ms: 0, break_json, times: Some(2) };
    lab.fault(&rest("api-token-auth", Some(500), false));
    let mut tv = Box::start(&lab, |_| {});
    assert!(tv.offline().await.contains("500"));
    tv.online().await;

    for fault in [
        Fault::RefuseAuth { status: 401, times: Some(3) },
        Fault::RefuseAuth { status: 403, times: Some(3) },
        rest("pusher/auth", Some(503), false),
        rest("pusher/auth", None, true),
        Fault::ExpireTokens,
        Fault::BreakJson { at: At::Pusher, times: 2 },
    ] {
        lab.fault(&fault);
        lab.fault(&Fault::Drop { at: At::Pusher, who: Some("chattademo".into()) });
        tv.offline().await;
        tv.online().await;
    }
    tv.works(&lab).await;
}

#[tokio::test]
async fn a_slow_or_refusing_api_costs_the_ticket_and_nothing_else() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let mut tv = Box::start(&lab, |settings| settings.times.rest = Duration::from_millis(300));
    tv.online().await;
    let caller = lab.caller("roger_chatta_admin");
    caller.request(1124, &CallOptions::default());
    let offer = tv.offer().await;
    lab.fault(&Fault::Rest { route: "video-token".into(), status: None, delay_ms: 60_000, break_json: false, times: Some(1) });
    let why = tv.ticket(&offer).await.unwrap_err();
    assert!(why.contains("in time"), "{why}");
    for (status, break_json) in [(Some(500), false), (Some(404), false), (None, true)] {
        lab.fault(&Fault::Rest { route: "video-token".into(), status, delay_ms: 0, break_json, times: Some(1) });
        assert!(tv.ticket(&offer).await.is_err());
    }
    lab.fault(&Fault::ExpireTokens);
    assert!(tv.ticket(&offer).await.is_ok(), "an expired login is renewed for it");
    tv.works(&lab).await;
}
