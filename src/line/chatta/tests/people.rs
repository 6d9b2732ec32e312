//! Names, pictures, recorded requests, and anything else that may come.

use super::*;

#[test]
fn the_callers_name_is_shown_in_one_line_without_tricks() {
    let name = |first: &str, last: &str, user: &str| {
        let mut request = request();
        request["initiator"] = json!({ "id": 5, "first_name": first, "last_name": last, "username": user });
        offered(&request).caller.name
    };
    assert_eq!(name(" Ada ", "Admin", "u"), "Ada Admin");
    assert_eq!(name("Ada", "", "u"), "Ada");
    assert_eq!(name("", "  ", "care_admin"), "care_admin");
    assert_eq!(name("\u{202e}Ada\n\u{7}", "A\u{200b}dmin", "u"), "Ada Admin");
    assert_eq!(name(&"x".repeat(500), "", "u").chars().count(), 80);
    let mut request = without("roomName");
    request["initiator"] = json!({ "id": 5 });
    assert!(matches!(hear(&settings(), REQUESTED, &request.to_string()), Some(Word::Refuse(offer, _)) if offer.caller.name == "5"));
}

#[test]
fn photographs_come_over_https_or_from_the_api_itself() {
    let photo = |avatar: Value| {
        let mut request = request();
        request["initiator"]["avatar"] = avatar;
        offered(&request).caller.photo
    };
    assert_eq!(photo(json!("https://cdn.example/a.png")).as_deref(), Some("https://cdn.example/a.png"));
    assert_eq!(photo(json!("/media/a.png")).as_deref(), Some("https://api.example/media/a.png"));
    assert_eq!(photo(json!("http://api.example/a.png")).as_deref(), Some("http://api.example/a.png"));
    for bad in [
        json!("http://192.168.0.1/admin"),
        json!("file:///etc/passwd"),
        json!("data:image/png;base64,AA"),
        json!(""),
        json!(null),
        json!(5),
    ] {
        assert_eq!(photo(bad.clone()), None, "{bad}");
    }
}

#[test]
fn the_wake_event_counts_for_our_own_box_only() {
    let wake = |identity: &Identity, data: Value| {
        Intake::default().event(Instant::now(), &settings(), identity, ("private-presence-7", "power_normal"), &data.to_string())
    };
    assert_eq!(wake(&identity(), json!({ "set_top_box": 322, "force": true })), Some(Word::Wake));
    assert_eq!(wake(&identity(), json!({ "set_top_box": 321, "force": true })), None);
    assert_eq!(wake(&identity(), json!({})), None);
    assert_eq!(wake(&Identity { set_top_box: None, ..identity() }, json!({})), None);
}

// ── recorded, and anything at all ──

#[test]
fn the_recorded_requests_of_the_platforms_own_page_are_understood() {
    let (mut offers, mut wishes) = (0, Vec::new());
    for line in include_str!("../../../../tests/samples/chatta/pusher-calls.jsonl").lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let (event, data) = (row["frame"]["event"].as_str().unwrap(), &row["frame"]["data"]);
        let word = hear(&settings(), event, &data.to_string());
        match (event, word) {
            (REQUESTED, Some(Word::Offer(offer))) => {
                offers += 1;
                assert_eq!((offer.caller.name.as_str(), offer.caller.role.as_deref()), ("Ada Admin", Some("customeradmin")));
                assert_eq!(offer.reference.room.as_deref(), Some("care_admin-to-chattademo"));
                assert!(offer.reference.sid.is_some_and(|sid| sid.starts_with("RM")));
                wishes.push((row["scenario"].as_str().unwrap().to_string(), offer.wish));
            }
            (REQUESTED, None) => assert!(!data.is_object(), "{line}"),
            (ENDED, Some(Word::Withdrawal(_))) => {}
            (REQUESTED | ENDED, other) => panic!("{event}: {other:?}"),
            (_, None) => {}
            (_, Some(word)) => panic!("{event}: {word:?}"),
        }
    }
    assert!(offers >= 15);
    let wish = |scenario: &str| wishes.iter().find(|(s, _)| s == scenario).map(|(_, wish)| *wish);
    assert_eq!(wish("options-autoaccept"), Some(Wish::Answer { after: Duration::ZERO }));
    assert_eq!(wish("options-both"), Some(Wish::Answer { after: seconds(10) }));
    assert_eq!(wish("options-after-only"), Some(Wish::Ask));
    assert_eq!(wish("options-after-reset-to-zero"), Some(Wish::Ask));
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(any::<String>(), inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_payload_panics_and_what_is_offered_can_be_answered(
        (field, value) in (prop::sample::select(vec!["audioOnly", "initiator", "target", "roomName", "roomSid", "autoAccept", "acceptAfter"]), any_json()),
        (inner, other) in (prop::sample::select(vec!["id", "username", "first_name", "last_name", "user_type", "avatar", "avatar_large"]), any_json()),
    ) {
        let mut request = with(field, value);
        if let Some(initiator) = request["initiator"].as_object_mut() {
            initiator.insert(inner.into(), other);
        }
        if let Some(Word::Offer(offer) | Word::Refuse(offer, _)) = hear(&settings(), REQUESTED, &request.to_string()) {
            let (event, data) = events::reply(&offer, Reply::Ended, &identity());
            prop_assert!(data.len() <= 10 * 1024 && event.len() <= 200);
            prop_assert!(!offer.caller.name.is_empty());
        }
        hear(&settings(), ENDED, &request.to_string());
    }

    #[test]
    fn no_text_panics(text in any::<String>(), bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        hear(&settings(), REQUESTED, &text);
        hear(&settings(), ENDED, &String::from_utf8_lossy(&bytes));
    }
}
