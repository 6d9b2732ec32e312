use super::*;

fn body(text: &str) -> Body {
    match Frame::read(&format!(r#"{{"type":"msg","body":{text}}}"#)).unwrap() {
        Frame::Message(body) => *body,
        other => panic!("{other:?}"),
    }
}

#[test]
fn servers_come_with_one_address_or_several() {
    let Body::Iced(servers) = body(
        r#"{"type":"iced","version":1,"ice_servers":[{"urls":"turn:a:3478?transport=udp","username":"u","credential":"c"},{"urls":["stun:b","turns:c"]},7]}"#,
    ) else {
        panic!()
    };
    assert_eq!(servers.len(), 2);
    assert_eq!((servers[0].urls.as_slice(), servers[0].username.as_str()), (["turn:a:3478?transport=udp".to_owned()].as_slice(), "u"));
    assert_eq!(servers[1].urls, ["stun:b", "turns:c"]);
    assert!(matches!(body(r#"{"type":"iced"}"#), Body::Iced(none) if none.is_empty()));
}

#[test]
fn one_malformed_entry_costs_only_itself() {
    let Body::Update(state) = body(
        r#"{"type":"update","participants":[{"sid":1},{"sid":"PA1","revision":"x","tracks":[null,{"sid":"MT1"}]},[]],
            "subscribed":{"revision":3,"tracks":[{"id":"a","sid":"MT1"},{"sid":"MT2","error":{"code":1}},{}]},
            "peer_connections":[{"id":"p","description":{"type":"frobnicate"},"ice":{"ufrag":"u","candidates":[{"candidate":"c"},5]}},{"id":{}}],
            "published":"no"}"#,
    ) else {
        panic!()
    };
    assert_eq!(state.participants.len(), 1);
    assert_eq!((state.participants[0].revision, state.participants[0].tracks.len()), (None, 1));
    let subscribed = state.subscribed.unwrap();
    assert_eq!((subscribed.revision, subscribed.tracks.len()), (Some(3), 2));
    assert_eq!(state.peer_connections.len(), 1);
    assert!(state.peer_connections[0].description.is_none());
    assert_eq!(state.peer_connections[0].ice.as_ref().unwrap().candidates.len(), 1);
    assert!(state.published.is_none());
}

#[test]
fn lists_are_bounded_when_read() {
    let many = vec![r#"{"candidate":"c","sdpMid":"0"}"#; 100_000].join(",");
    let Body::Update(state) =
        body(&format!(r#"{{"type":"update","peer_connections":[{{"id":"p","ice":{{"ufrag":"u","candidates":[{many}]}}}}]}}"#))
    else {
        panic!()
    };
    assert_eq!(state.peer_connections[0].ice.as_ref().unwrap().candidates.len(), CANDIDATES);
}

#[test]
fn busy_says_whether_and_when_to_come_again() {
    let busy = |text: &str| match Frame::read(text).unwrap() {
        Frame::Busy { cookie, keep_alive, retry_after } => (cookie, keep_alive, retry_after),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        busy(r#"{"type":"busy","cookie":"ck1","keepAlive":true,"retryAfter":1500}"#),
        (Some("ck1".into()), true, Some(Duration::from_millis(1500)))
    );
    assert_eq!(busy(r#"{"type":"busy","retryAfter":-1}"#), (None, false, None));
}

#[test]
fn numbers_beyond_reason_are_clamped() {
    let timeout = |n: &str| match Frame::read(&format!(r#"{{"type":"welcome","negotiatedTimeout":{n}}}"#)).unwrap() {
        Frame::Welcome { timeout } => timeout,
        other => panic!("{other:?}"),
    };
    assert_eq!(timeout("1e300"), Duration::from_secs(3600));
    assert_eq!(timeout("-5"), Duration::ZERO);
    assert_eq!(timeout("\"soon\""), Duration::from_secs(5));
}

#[test]
fn frames_of_a_later_protocol_are_no_error() {
    assert!(matches!(Frame::read(r#"{"type":"fanfare","x":1}"#).unwrap(), Frame::Other));
    assert!(matches!(Frame::read(r#"{"type":"msg"}"#).unwrap(), Frame::Other));
    assert!(matches!(body(r#"{"type":"warning"}"#), Body::Other));
    assert!(Frame::read("[]").is_err());
}
