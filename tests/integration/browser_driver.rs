//! The browser that other tests drive is a real one: it evaluates, has a camera and a microphone, loads the packages
//! from npm, and its errors arrive.

use crate::support::browser::{Browser, Opening, Options};
use serde_json::json;
use std::time::Duration;

#[tokio::test]
async fn a_page_has_the_npm_packages_a_camera_and_a_microphone() {
    let browser = Browser::start(Options::default()).await;
    let mut events = browser.events();
    let npm = vec!["pusher-js".to_owned(), "twilio-video".to_owned()];
    let page = browser.open_with("carer", Opening { npm, ..Opening::default() }).await;

    assert_eq!(page.eval("[typeof Pusher, Twilio.Video.version]").await, json!(["function", "2.28.1"]));
    let tracks = "navigator.mediaDevices.getUserMedia({audio: true, video: true}).then(s => s.getTracks().length)";
    assert_eq!(page.eval(tracks).await, json!(2));

    page.eval("setTimeout(() => { window.later = 'so'; console.log('said') }, 50), 0").await;
    assert_eq!(page.wait("window.later", Duration::from_secs(10)).await, json!("so"));
    let said = events.recv().await.expect("the page says something");
    assert_eq!((said.kind.as_str(), said.page.as_str(), &said.body["text"]), ("console", "carer", &json!("said")));

    let error = page.try_eval("Promise.reject(new Error('on purpose'))").await.expect_err("it throws");
    assert!(error.contains("on purpose"), "{error}");

    page.close().await;
    browser.close().await;
}
