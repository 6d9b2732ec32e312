//! Two peer connections against each other: codecs, roles, renegotiation, ICE restart, and that nothing is left behind.

use crate::support::peers::{Side, call, config, connect, flowing, negotiate, until};
use residentd::media::peer::PeerEvent;
use residentd::media::{Codec, Kind};
use std::sync::atomic::Ordering;

async fn pair(a: &[Codec], b: &[Codec]) -> (Side, Side) {
    (Side::new("a", config(a), 800_000, true).await, Side::new("b", config(b), 800_000, true).await)
}

async fn close(a: Side, b: Side) {
    a.peer.close().await;
    b.peer.close().await;
    for side in [&a, &b] {
        assert_eq!(side.seen.running.load(Ordering::Relaxed), 0, "encoders and decoders ended");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_and_sound_go_both_ways_in_either_codec() {
    for codec in [Codec::Vp8, Codec::H264] {
        let (mut a, mut b) = pair(&[codec], &[codec]).await;
        call(&mut a, &mut b).await;
        for side in [&a, &b] {
            let statistics = side.peer.statistics().await;
            assert_eq!(statistics.state, "connected");
            assert_eq!((statistics.local_candidate.as_deref(), statistics.remote_candidate.as_deref()), (Some("host"), Some("host")));
            assert!(side.seen.sending.lock().unwrap().iter().any(|sent| sent.0 == codec));
            for streams in [&statistics.sent, &statistics.received] {
                let kinds: Vec<_> = streams.iter().map(|stream| (stream.kind, stream.codec)).collect();
                assert_eq!(kinds, [(Kind::Audio, Codec::Opus), (Kind::Video, codec)], "{statistics:?}");
                assert!(streams.iter().all(|stream| stream.packets > 0 && stream.lost == 0));
            }
        }
        close(a, b).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answerer_sends_under_the_offerers_payload_types() {
    // A browser's numbers, as the far side offers them.
    let (a, b) = pair(&[Codec::H264], &[Codec::H264, Codec::Vp8]).await;
    let offer = a.peer.offer(false).await.unwrap().replace("125", "108").replace(" 126", " 109").replace(":126", ":109");
    let answer = b.peer.accept_offer(&offer).await.unwrap();
    assert!(answer.contains("a=rtpmap:108 H264/90000") && !answer.contains(" VP8/"), "{answer}");
    until("the encoder starts", || b.seen.sending.lock().unwrap().contains(&(Codec::H264, 108))).await;
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_side_sends_what_it_likes_best_of_what_the_other_takes() {
    let (mut a, mut b) = pair(&[Codec::Vp8, Codec::H264], &[Codec::H264, Codec::Vp8]).await;
    call(&mut a, &mut b).await;
    let sent = |side: &Side| side.seen.sending.lock().unwrap().iter().map(|sent| sent.0).find(|codec| codec.kind() == Kind::Video);
    assert_eq!((sent(&a), sent(&b)), (Some(Codec::Vp8), Some(Codec::H264)));
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn descriptions_hold_what_the_contract_asks() {
    let (a, b) = pair(&[Codec::H264, Codec::Vp8], &[Codec::H264, Codec::Vp8]).await;
    let offer = a.peer.offer(false).await.unwrap();
    let answer = b.peer.accept_offer(&offer).await.unwrap();
    assert!(offer.contains("a=setup:actpass") && answer.contains("a=setup:passive"));
    assert!(!answer.contains("a=setup:active"));
    assert!(offer.contains("useinbandfec=1") && offer.contains("profile-level-id=42e01f") && offer.contains("packetization-mode=1"));
    assert!(!offer.contains("transport-cc"), "its feedback makes browsers send a third of what they could");
    let (sound, picture) = offer.split_once("m=video").unwrap();
    assert!(!sound.contains("nack"), "sound is not repaired");
    assert!(picture.contains("goog-remb") && picture.contains("nack pli") && picture.contains("ccm fir") && picture.contains("rtx/90000"));
    assert!(picture.contains("a=ssrc-group:FID"));
    for (sdp, name) in [(&offer, "a"), (&answer, "b")] {
        assert!(
            sdp.contains(&format!("a=msid:resident {name}-sound")) && sdp.contains(&format!("a=msid:resident {name}-picture")),
            "{sdp}"
        );
    }
    assert_eq!(answer.matches("a=sendrecv").count(), 2, "the offered sections are reused");
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audio_only_call_shows_the_callers_picture_all_the_same() {
    for we_offer in [true, false] {
        let mut caller = Side::new("caller", config(&[Codec::Vp8]), 800_000, true).await;
        let mut resident = Side::new("resident", config(&[Codec::Vp8]), 800_000, false).await;
        if we_offer {
            connect(&mut resident, &mut caller, false).await;
        } else {
            connect(&mut caller, &mut resident, false).await;
        }
        until("the caller's picture comes", || resident.seen.whole() > 10).await;
        until("the resident is heard", || caller.seen.sound.load(Ordering::Relaxed) > 10).await;
        assert_eq!(caller.seen.whole(), 0);
        assert!(resident.seen.sending.lock().unwrap().iter().all(|sent| sent.0 == Codec::Opus), "no camera is asked for");
        close(caller, resident).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_frame_comes_on_connect_and_whenever_the_decoder_asks() {
    let (mut a, mut b) = pair(&[Codec::Vp8], &[Codec::Vp8]).await;
    call(&mut a, &mut b).await;
    until("a key frame is there", || b.seen.pictures.lock().unwrap().values().any(|picture| picture.key)).await;
    b.seen.forget();
    let encoded = a.seen.keys_encoded.load(Ordering::Relaxed);
    let wish = b.seen.wish.lock().unwrap().clone().unwrap();
    wish();
    until("another one is there", || b.seen.pictures.lock().unwrap().values().any(|picture| picture.key)).await;
    assert!(a.seen.keys_encoded.load(Ordering::Relaxed) > encoded);
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_decoded_before_it_is_presented() {
    let mut a = Side::new("a", config(&[Codec::Vp8]), 800_000, true).await;
    let mut b = Side::quiet("b", config(&[Codec::Vp8]), 800_000, true).await;
    let offer = a.peer.offer(false).await.unwrap();
    let answer = b.peer.accept_offer(&offer).await.unwrap();
    a.peer.accept_answer(&answer).await.unwrap();
    for line in a.candidates().await {
        b.peer.add_candidate(&line, None).await.unwrap();
    }
    b.connected().await;
    a.connected().await;
    let received =
        async || b.peer.statistics().await.state == "connected" && a.peer.statistics().await.sent.iter().all(|stream| stream.packets > 20);
    while !received().await {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert!(b.seen.receiving.lock().unwrap().is_empty());
    assert!(b.past.contains(&PeerEvent::Track { id: "a-picture".into(), kind: Kind::Video }));
    assert!(b.peer.present("nobody").await.is_err());
    b.peer.present("a-picture").await.unwrap();
    until("pictures come, from a key frame on", || b.seen.pictures.lock().unwrap().values().any(|picture| picture.key)).await;
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn feedback_and_sender_reports_reach_the_session() {
    let (mut a, mut b) = pair(&[Codec::Vp8], &[Codec::Vp8]).await;
    call(&mut a, &mut b).await;
    until("the estimate, the loss and the round trip are told", || {
        let feedback = a.seen.feedback.lock().unwrap();
        feedback.iter().any(|one| one.estimate == Some(2_500_000))
            && feedback.iter().any(|one| one.loss == Some(0.0))
            && feedback.iter().any(|one| one.rtt.is_some_and(|rtt| rtt.as_millis() < 1000))
    })
    .await;
    until("sender reports come", || b.seen.reports.load(Ordering::Relaxed) > 2).await;
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_sides_may_renegotiate_at_any_time() {
    let (mut a, mut b) = pair(&[Codec::Vp8], &[Codec::Vp8]).await;
    call(&mut a, &mut b).await;
    negotiate(&mut b, &mut a, false).await;
    flowing(&a, &b).await;
    negotiate(&mut a, &mut b, false).await;
    flowing(&a, &b).await;
    assert_eq!(a.seen.sending.lock().unwrap().len(), 2, "the encoders ran on");
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_offers_at_once_the_accepted_one_wins() {
    for connected in [false, true] {
        let (mut a, mut b) = pair(&[Codec::Vp8], &[Codec::Vp8]).await;
        if connected {
            call(&mut a, &mut b).await;
        }
        let lost = a.peer.offer(false).await.unwrap();
        connect_or_negotiate(&mut b, &mut a, connected).await;
        assert!(b.peer.accept_answer(&lost).await.is_err(), "nothing is open any more");
        flowing(&a, &b).await;
        close(a, b).await;
    }
}

async fn connect_or_negotiate(a: &mut Side, b: &mut Side, connected: bool) {
    if connected { negotiate(a, b, false).await } else { connect(a, b, false).await }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ice_restart_by_either_side_moves_the_call_to_new_sockets() {
    let (mut a, mut b) = pair(&[Codec::Vp8], &[Codec::Vp8]).await;
    call(&mut a, &mut b).await;
    let before = a.peer.offer(false).await.unwrap();
    for turn in 0..2 {
        let (one, other) = if turn == 0 { (&mut a, &mut b) } else { (&mut b, &mut a) };
        one.past.clear();
        other.past.clear();
        connect(one, other, true).await;
        flowing(one, other).await;
    }
    let after = a.peer.offer(false).await.unwrap();
    let ufrag = |sdp: &str| sdp.lines().find(|line| line.starts_with("a=ice-ufrag")).unwrap().to_owned();
    assert_ne!(ufrag(&before), ufrag(&after));
    assert_eq!(a.seen.sending.lock().unwrap().len(), 2, "the encoders ran on");
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sections_that_declare_no_ssrc_are_received_too() {
    for we_offer in [false, true] {
        let (mut a, mut b) = pair(&[Codec::Vp8], &[Codec::Vp8]).await;
        let strip =
            |sdp: String| sdp.lines().filter(|line| !line.starts_with("a=ssrc")).map(|line| format!("{line}\r\n")).collect::<String>();
        if we_offer {
            let offer = b.peer.offer(false).await.unwrap();
            let answer = strip(a.peer.accept_offer(&offer).await.unwrap());
            b.peer.accept_answer(&answer).await.unwrap();
        } else {
            let offer = strip(a.peer.offer(false).await.unwrap());
            let answer = b.peer.accept_offer(&offer).await.unwrap();
            a.peer.accept_answer(&answer).await.unwrap();
        }
        for line in a.candidates().await {
            b.peer.add_candidate(&line, None).await.unwrap();
        }
        b.connected().await;
        until("pictures and sound come", || b.seen.whole() > 10 && b.seen.sound.load(Ordering::Relaxed) > 10).await;
        close(a, b).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_channel_sections_are_accepted() {
    let (a, b) = pair(&[Codec::Vp8], &[Codec::Vp8]).await;
    let offer = a.peer.offer(false).await.unwrap();
    let mid = "m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=setup:actpass\r\na=mid:data\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";
    let common: String = offer
        .lines()
        .filter(|line| line.starts_with("a=ice-ufrag") || line.starts_with("a=ice-pwd"))
        .take(2)
        .map(|line| format!("{line}\r\n"))
        .collect();
    let offer = offer.replace("a=group:BUNDLE 0 1", "a=group:BUNDLE 0 1 data") + mid + &common;
    let answer = b.peer.accept_offer(&offer).await.unwrap();
    assert!(answer.contains("m=application 9 UDP/DTLS/SCTP webrtc-datachannel"), "{answer}");
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_descriptions_and_candidates_are_refused_and_do_no_harm() {
    let (mut a, mut b) = pair(&[Codec::Vp8], &[Codec::Vp8]).await;
    for bad in ["", "nonsense", "v=0\r\n", "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\n"] {
        assert!(a.peer.accept_offer(bad).await.is_err(), "{bad:?}");
        assert!(a.peer.accept_answer(bad).await.is_err(), "{bad:?}");
    }
    call(&mut a, &mut b).await;
    for bad in ["nonsense", "candidate:1 1 udp", "candidate:1 1 udp 1 300.1.1.1 99999 typ host"] {
        let _ = a.peer.add_candidate(bad, None).await;
    }
    a.peer.add_candidate("", None).await.unwrap();
    flowing(&a, &b).await;
    close(a, b).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_is_idempotent_and_told_once() {
    let (mut a, mut b) = pair(&[Codec::Vp8], &[Codec::Vp8]).await;
    call(&mut a, &mut b).await;
    tokio::join!(a.peer.close(), a.peer.close());
    a.peer.close().await;
    a.event(|event| *event == PeerEvent::Closed).await;
    assert!(a.events.recv().await.is_none(), "nothing after the end");
    assert!(a.peer.offer(false).await.is_err() && a.peer.present("b-picture").await.is_err());
    assert_eq!(a.peer.statistics().await.state, "closed");
    b.peer.close().await;
}
