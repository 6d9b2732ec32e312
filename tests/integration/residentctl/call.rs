//! A call from its ringing to its end, by what is typed.

use super::{RESIDENT, ctl, json, ringing, text};
use crate::support::house::{House, PATIENCE};
use crate::support::participant::{Guest, Participant};
use residentd::call::Scene;
use residentd_lab::{CallOptions, ReplyKind};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_is_accepted_muted_looked_at_and_ended_from_a_shell() {
    let mut house = House::start("").await;
    let nothing = async |what: &str| assert_eq!(ctl(&house, &[what]).await.status.code(), Some(4), "{what}: there is no call");
    for what in ["accept", "end", "mute", "statistics"] {
        nothing(what).await;
    }
    let mut caller = house.lab.caller("roger_chatta_admin");
    caller.request(RESIDENT, &CallOptions::default());
    house.scene("the ringing", ringing).await;
    assert_eq!(json(&ctl(&house, &["accept", "--json"]).await)["done"], "accept");
    assert_eq!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Accepted);
    let guest = Guest::in_room(&house.lab, "roger_chatta_admin-to-chattademo", "roger_chatta_admin", "chattademo");
    let mut carer = Participant::join(guest).await;
    house.scene("the call", |scene| matches!(scene, Scene::InCall { .. })).await;
    carer.sees_and_hears().await;

    let figures = json(&ctl(&house, &["statistics"]).await);
    let codecs = figures.to_string();
    assert!(codecs.contains("opus") || codecs.contains("Opus"), "{figures}");
    let muted = async || json(&ctl(&house, &["status", "--json"]).await)["status"]["call"]["muted"].clone();
    for wanted in [true, false] {
        let pressed = ctl(&house, if wanted { &["mute"] } else { &["mute", "--json"] }).await;
        assert_eq!(pressed.status.code(), Some(0));
        if wanted {
            assert_eq!(text(&pressed), "", "silence is success");
        } else {
            assert_eq!(json(&pressed)["done"], "mute");
        }
        house.scene("the microphone", |scene| matches!(scene, Scene::InCall { muted, .. } if *muted == wanted)).await;
        assert_eq!(muted().await, wanted);
        let told = text(&ctl(&house, &["status"]).await).split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(told.contains("microphone off"), wanted, "{told}");
    }
    assert_eq!(json(&ctl(&house, &["end", "--json"]).await)["done"], "end");
    assert_eq!(caller.reply(PATIENCE).await.expect("no reply").kind, ReplyKind::Ended);
    carer.leave().await;
    house.over().await;
    let calls = text(&ctl(&house, &["calls"]).await);
    assert!(calls.contains("video"), "{calls}");
    house.stop().await;
}
