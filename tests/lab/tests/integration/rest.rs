//! The REST API answers as the recorded samples do (contract chatta §2).

use crate::support::{http, json_call, login};
use residentd_lab::{Entries, Fault, Lab, Options};
use serde_json::{Value, json};
use std::time::Duration;

/// The people of the samples: the caller of id 5 is called `care_admin` there.
fn sample_people() -> Options {
    let people: Entries = serde_json::from_value(json!({"administrator": [{"id": 5, "username": "care_admin"}]})).unwrap();
    Options { people, login: "care_admin".to_owned(), ..Options::default() }
}

/// The shape of a value: field names and kinds. Null and text are one kind, as an absent avatar is either.
fn shape(value: &Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fields.iter().map(|(k, v)| (k.clone(), shape(v))).collect()),
        Value::Array(items) => Value::Array(items.iter().take(1).map(shape).collect()),
        Value::Null | Value::String(_) => json!("text"),
        Value::Number(_) => json!("number"),
        Value::Bool(_) => json!("bool"),
    }
}

#[tokio::test]
async fn every_recorded_request_gets_its_status_and_the_shape_of_its_reply() {
    let lab = Lab::start(sample_people()).await.unwrap();
    let api = lab.api_url();
    // Presence comes from subscriptions, and the samples list two residents who are online.
    let _online = (lab.caller("chattademo"), lab.caller("chattaremote"));
    let resident = login(&api, "chattademo").await;
    let admin = login(&api, "care_admin").await;
    let mut compared = 0;
    for line in include_str!("samples/rest.jsonl").lines() {
        let sample: Value = serde_json::from_str(line).unwrap();
        let url = sample["url"].as_str().unwrap();
        let resident_speaks = url.contains("refresh") || url.contains("video-token") || url.contains("pusher");
        let token = if resident_speaks { &resident } else { &admin };
        let mut headers = Vec::new();
        for (name, value) in sample["headers"].as_object().unwrap() {
            headers.push((name.as_str(), value.as_str().unwrap().replace("<jwt>", token)));
        }
        let body = match &sample["body"] {
            Value::Null => String::new(),
            Value::String(form) => form.clone(),
            body => body.to_string().replace("<jwt>", token),
        };
        let headers: Vec<_> = headers.iter().map(|(n, v)| (*n, v.as_str())).collect();
        let answer = http(&api, sample["method"].as_str().unwrap(), url, &headers, &body).await;
        assert_eq!(json!(answer.status), sample["status"], "{line}");
        assert_eq!(shape(&answer.json()), shape(&sample["reply"]), "{} {url}", sample["method"]);
        if url == "/pusher/auth/" {
            assert_eq!(answer.json(), sample["reply"]);
        }
        compared += 1;
    }
    assert_eq!(compared, 13);
    lab.stop().await;
}

#[tokio::test]
async fn a_browser_from_another_origin_may_call() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let origin = "https://conf-sample.caremessenger.co.uk";
    let asks = [("origin", origin), ("access-control-request-method", "PATCH"), ("access-control-request-headers", "authorization")];
    let answer = http(&lab.api_url(), "OPTIONS", "/v2/set-top-box/322/power_normal?force=true", &asks, "").await;
    assert_eq!(answer.status, 200);
    assert!(answer.headers.contains(&format!("access-control-allow-origin: {origin}")));
    assert!(answer.headers.contains("patch") && answer.headers.contains("authorization, content-type"));
    let refused = http(&lab.api_url(), "GET", "/v2/customer/7", &[("origin", origin)], "").await;
    assert!(refused.status == 401 && refused.headers.contains("access-control-allow-origin"));
}

#[tokio::test]
async fn a_room_keeps_its_sid_and_is_created_once() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let token = login(&lab.api_url(), "second_admin").await;
    let room = json!({"unique_name": "second_admin-to-chattademo", "enable_recording": false, "audio_only": false});
    let first = json_call(&lab.api_url(), "POST", "/v2/conferencing-room", Some(&token), &room).await;
    let second = json_call(&lab.api_url(), "POST", "/v2/conferencing-room", Some(&token), &room).await;
    assert_eq!((first.status, second.status), (201, 200));
    assert_eq!(first.json()["sid"], second.json()["sid"]);
    assert_eq!(first.json()["sid"].as_str().unwrap().len(), 34);
}

#[tokio::test]
async fn a_short_login_expires_and_is_refreshed_only_while_it_lives() {
    let lab = Lab::start(Options { token_life: Duration::from_secs(3600), ..Options::default() }).await.unwrap();
    let api = lab.api_url();
    let token = login(&api, "chattademo").await;
    let fresh = json_call(&api, "POST", "/api-token-refresh/", None, &json!({"token": token})).await;
    assert_eq!(fresh.status, 200);
    lab.fault(&Fault::ExpireTokens);
    let late = json_call(&api, "POST", "/api-token-refresh/", None, &json!({"token": token})).await;
    assert_eq!((late.status, late.json()), (400, json!({"non_field_errors": ["Signature has expired."]})));
    assert_eq!(json_call(&api, "GET", "/v2/customer/7", Some(&token), &Value::Null).await.status, 401);
    lab.fault(&Fault::TokenLife { seconds: -1 });
    let stale = login(&api, "chattademo").await;
    assert_eq!(json_call(&api, "GET", "/v2/customer/7", Some(&stale), &Value::Null).await.status, 401);
}

#[tokio::test]
async fn nobody_sees_another_customers_people_or_speaks_for_another_user() {
    let people = json!({"resident": [{"id": 2000, "username": "elsewhere", "customer": 8, "set_top_box": 900}]});
    let options = Options { people: serde_json::from_value(people).unwrap(), ..Options::default() };
    let lab = Lab::start(options).await.unwrap();
    let api = lab.api_url();
    let token = login(&api, "roger_chatta_admin").await;
    let get = async |path: &str| json_call(&api, "GET", path, Some(&token), &Value::Null).await;
    assert_eq!(get("/v2/customer/8").await.status, 404);
    assert_eq!(get("/v2/resident?customer=8").await.json()["count"], 0);
    assert_eq!(get("/v2/resident?online=true&customer=undefined").await.status, 400);
    assert_eq!(json_call(&api, "PATCH", "/v2/set-top-box/900/power_normal", Some(&token), &json!({})).await.status, 404);
    let other = json!({"username": "chattademo", "room_name": "x"});
    assert_eq!(json_call(&api, "POST", "/conferencing/video-token/", Some(&token), &other).await.status, 403);
}

#[tokio::test]
async fn faults_spoil_the_routes_they_name() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let fault = r#"{"fault":"rest","route":"api-token-auth","status":503,"times":1}"#;
    assert_eq!(http(&lab.page_url(), "POST", "/lab/faults", &[], fault).await.json(), json!({"ok": true, "hit": 0}));
    let fields = json!({"username": "chattademo", "password": "password"});
    assert_eq!(json_call(&lab.api_url(), "POST", "/api-token-auth/", None, &fields).await.status, 503);
    assert_eq!(json_call(&lab.api_url(), "POST", "/api-token-auth/", None, &fields).await.status, 200);
    let broken = r#"{"fault":"rest","route":"","break_json":true,"times":1}"#;
    http(&lab.page_url(), "POST", "/lab/faults", &[], broken).await;
    let answer = json_call(&lab.api_url(), "POST", "/api-token-auth/", None, &fields).await;
    assert!(answer.status == 200 && answer.json().is_null());
    assert_eq!(http(&lab.page_url(), "POST", "/lab/faults", &[], r#"{"fault":"flood"}"#).await.status, 400);
}

#[tokio::test]
async fn a_callers_photograph_is_a_png_of_the_api() {
    let lab = Lab::start(Options::default()).await.unwrap();
    let fields = json!({"username": "roger_chatta_admin", "password": "password"});
    let login = json_call(&lab.api_url(), "POST", "/api-token-auth/", None, &fields).await.json();
    let address = format!("{}{}", lab.api_url(), login["user"]["avatar"].as_str().unwrap());
    let (host, path) = address.trim_start_matches("http://").split_once('/').unwrap();
    let bytes = crate::support::http_bytes(host, &format!("/{path}")).await;
    assert_eq!(bytes[..8], *b"\x89PNG\r\n\x1a\n");
    assert_eq!(bytes[16..24], [0, 0, 1, 0, 0, 0, 1, 0]);
    assert_eq!(http(&lab.api_url(), "GET", "/media/people/99.png", &[], "").await.status, 404);
}
