//! Reading and mending session descriptions as text, as far as the crate has to be helped. Pure functions.

use crate::media::{Codec, Kind};
use std::collections::{HashMap, HashSet};

/// `a=extmap` URI of the mid in RTP headers (RFC 8843).
pub(super) const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";

/// A media section: its `m=` line and everything up to the next one.
#[derive(Debug, Clone, Default)]
struct Section<'a> {
    lines: Vec<&'a str>,
}

impl<'a> Section<'a> {
    fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes(name).next()
    }

    fn attributes(&self, name: &str) -> impl Iterator<Item = &'a str> {
        let attribute = |line: &'a str| line.strip_prefix("a=").map(|rest| rest.split_once(':').unwrap_or((rest, "")));
        self.lines.iter().copied().filter_map(attribute).filter(move |(key, _)| *key == name).map(|(_, value)| value)
    }

    fn kind(&self) -> Option<Kind> {
        match self.lines.first()?.strip_prefix("m=")?.split(' ').next()? {
            "audio" => Some(Kind::Audio),
            "video" => Some(Kind::Video),
            _ => None,
        }
    }

    /// Payload types in their order.
    fn formats(&self) -> Vec<&'a str> {
        self.lines.first().map(|line| line.split(' ').skip(3).filter(|format| !format.is_empty()).collect()).unwrap_or_default()
    }

    fn rejected(&self) -> bool {
        self.lines.first().and_then(|line| line.split(' ').nth(1)) == Some("0") && self.attribute("bundle-only").is_none()
    }

    fn sends(&self) -> bool {
        !self.rejected() && self.attribute("recvonly").is_none() && self.attribute("inactive").is_none()
    }

    fn codec(&self, format: &str) -> Option<Codec> {
        let of_format = |value: &'a str| value.split_once(' ').filter(|(number, _)| *number == format).map(|(_, rest)| rest);
        let map = self.attributes("rtpmap").find_map(of_format)?.to_ascii_lowercase();
        match map.split('/').next()? {
            "opus" => Some(Codec::Opus),
            "vp8" => Some(Codec::Vp8),
            "h264" => {
                let parameters = self.attributes("fmtp").find_map(of_format)?.to_ascii_lowercase();
                let parameter = |name: &str| parameters.split(';').find_map(|pair| pair.trim().strip_prefix(name)?.strip_prefix('='));
                let usable = parameter("packetization-mode") == Some("1")
                    && parameter("profile-level-id").is_some_and(|profile| profile.starts_with("42e0"));
                usable.then_some(Codec::H264)
            }
            _ => None,
        }
    }
}

/// The lines before the first section, and the sections.
fn split(sdp: &str) -> (Vec<&str>, Vec<Section<'_>>) {
    let (mut session, mut sections) = (Vec::new(), Vec::<Section<'_>>::new());
    for line in sdp.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
        if line.starts_with("m=") {
            sections.push(Section::default());
        }
        match sections.last_mut() {
            Some(section) => section.lines.push(line),
            None => session.push(line),
        }
    }
    (session, sections)
}

/// What the crate would stumble over only after having changed its state for good.
pub(super) fn check(sdp: &str) -> Result<(), &'static str> {
    let (session, sections) = split(sdp);
    let everywhere = |name: &str| {
        let prefix = format!("a={name}:");
        session.iter().any(|line| line.starts_with(&prefix)) || sections.iter().any(|section| section.attribute(name).is_some())
    };
    if session.first() != Some(&"v=0") || sections.is_empty() {
        return Err("it is no session description with at least one section");
    }
    if sections.iter().any(|section| section.attribute("mid").is_none_or(str::is_empty)) {
        return Err("a section has no mid");
    }
    if !["ice-ufrag", "ice-pwd", "fingerprint"].into_iter().all(everywhere) {
        return Err("it has no ICE user name, password or fingerprint");
    }
    let unreadable = |section: &&Section<'_>| section.kind().is_some() && !section.rejected() && section.attribute("rtpmap").is_none();
    if sections.iter().find(unreadable).is_some() {
        return Err("a section names no codec");
    }
    Ok(())
}

/// A track the far side offers to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RemoteTrack {
    /// Its section.
    pub(super) mid: String,
    /// Second token of `a=msid`, or the section's mid where there is none.
    pub(super) id: String,
    /// What it carries.
    pub(super) kind: Kind,
    /// Whether its SSRC is in the description.
    pub(super) declared: bool,
}

/// What the far side sends, by its description.
pub(super) fn tracks(sdp: &str) -> Vec<RemoteTrack> {
    let (_, sections) = split(sdp);
    let track = |section: &Section<'_>| {
        let mid = section.attribute("mid")?.to_owned();
        let named =
            section.attribute("msid").or_else(|| section.attributes("ssrc").find_map(|value| value.split_once("msid:").map(|(_, id)| id)));
        let id = named.and_then(|value| value.split_whitespace().nth(1)).map_or_else(|| mid.clone(), str::to_owned);
        let declared = section.attribute("ssrc").is_some() || section.attribute("rid").is_some();
        Some(RemoteTrack { mid, id, kind: section.kind()?, declared })
    };
    sections.iter().filter(|section| section.kind().is_some() && section.sends()).filter_map(track).collect()
}

/// Which codec a payload type stands for. Unique within a bundle (RFC 8843 10.1.2).
pub(super) fn payload_types(sdp: &str) -> HashMap<u8, Codec> {
    let (_, sections) = split(sdp);
    let entry = |section: &Section<'_>, format: &str| Some((format.parse().ok()?, section.codec(format)?));
    sections
        .iter()
        .flat_map(|section| section.formats().into_iter().filter_map(|format| entry(section, format)).collect::<Vec<_>>())
        .collect()
}

/// The codecs of the pictures that the far side can take, in its order. A rejected section counts for nothing.
pub(super) fn video_codecs(sdp: &str) -> Vec<Codec> {
    let (_, sections) = split(sdp);
    let mut codecs = Vec::new();
    for section in sections.iter().filter(|section| section.kind() == Some(Kind::Video)) {
        for codec in section.formats().iter().filter_map(|format| section.codec(format)) {
            if !codecs.contains(&codec) {
                codecs.push(codec);
            }
        }
    }
    codecs
}

/// Id of the mid header extension.
pub(super) fn mid_extension(sdp: &str) -> Option<u8> {
    let (_, sections) = split(sdp);
    sections.iter().flat_map(|section| section.attributes("extmap").collect::<Vec<_>>()).find_map(|value| {
        let (id, uri) = value.split_once(' ')?;
        (uri.split(' ').next() == Some(MID_EXTENSION)).then(|| id.split('/').next()?.parse().ok())?
    })
}

/// First ICE user fragment: names a generation of candidates.
pub(super) fn ufrag(sdp: &str) -> Option<&str> {
    sdp.lines().find_map(|line| line.trim_end().strip_prefix("a=ice-ufrag:"))
}

/// The far side's offer with our preferred codecs first. An answer keeps the offer's order, and the offerer sends what
/// the answer has first: this is how it learns what we would rather decode.
pub(super) fn prefer(sdp: &str, preference: &[Codec]) -> String {
    let (session, sections) = split(sdp);
    let mut out = session.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    for section in &sections {
        let rank = |format: &&str| {
            section.codec(format).and_then(|codec| preference.iter().position(|wanted| *wanted == codec)).unwrap_or(usize::MAX)
        };
        let mut formats = section.formats();
        let mut lines = section.lines.iter();
        if section.kind() == Some(Kind::Video)
            && let Some(first) = lines.next()
        {
            formats.sort_by_key(rank);
            let head = first.split(' ').take(3).collect::<Vec<_>>();
            out.push(format!("{} {}", head.join(" "), formats.join(" ")));
        }
        out.extend(lines.map(|line| (*line).to_owned()));
    }
    out.join("\r\n") + "\r\n"
}

/// The description with an SSRC for every section that sends and declares none, which the crate refuses otherwise
/// (contract twilio-video.md section 9): those of `ssrcs`, by mid.
pub(super) fn declare(sdp: &str, ssrcs: &HashMap<String, u32>) -> String {
    let missing: HashSet<String> = tracks(sdp).into_iter().filter(|track| !track.declared).map(|track| track.mid).collect();
    let (session, sections) = split(sdp);
    let mut out = session.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    for section in &sections {
        out.extend(section.lines.iter().map(|line| (*line).to_owned()));
        let ssrc = section.attribute("mid").filter(|mid| missing.contains(*mid)).and_then(|mid| ssrcs.get(mid));
        out.extend(ssrc.map(|ssrc| format!("a=ssrc:{ssrc} cname:undeclared")));
    }
    out.join("\r\n") + "\r\n"
}

/// Whether the track `id` of ours is to be sent by these two descriptions.
pub(super) fn sends(local: &str, remote: &str, id: &str) -> bool {
    let Some(mid) = tracks(local).into_iter().find(|track| track.id == id).map(|track| track.mid) else { return false };
    let (_, sections) = split(remote);
    let theirs = sections.iter().find(|section| section.attribute("mid") == Some(&mid));
    theirs.is_some_and(|section| !section.rejected() && section.attribute("sendonly").is_none() && section.attribute("inactive").is_none())
}

/// The description as an offer of the far side that changes nothing but what [`declare`] adds: roles are settled.
pub(super) fn as_offer(sdp: &str) -> String {
    let role = |line: &str| if line.starts_with("a=setup:") { "a=setup:actpass".to_owned() } else { line.to_owned() };
    sdp.lines().map(|line| role(line.trim_end())).collect::<Vec<_>>().join("\r\n") + "\r\n"
}

/// Whether a candidate line names an address a peer can use: the crate offers `0.0.0.0` and `::` where a machine has no
/// interface of that family.
pub(super) fn is_usable(candidate: &str) -> bool {
    let address = candidate.split_whitespace().nth(4);
    address.is_some_and(|address| !matches!(address.parse::<std::net::IpAddr>(), Ok(address) if address.is_unspecified()))
}

/// Type of a candidate line: `host`, `srflx`, `prflx` or `relay`.
pub(super) fn candidate_type(candidate: &str) -> Option<&str> {
    candidate.split_whitespace().skip_while(|word| *word != "typ").nth(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 1 2\r\n\
        m=audio 9 UDP/TLS/RTP/SAVPF 111 63\r\na=mid:0\r\na=ice-ufrag:abcd\r\na=sendrecv\r\na=msid:- sound\r\n\
        a=rtpmap:111 opus/48000/2\r\na=rtpmap:63 red/48000/2\r\na=ssrc:1 cname:c\r\na=extmap:4 urn:ietf:params:rtp-hdrext:sdes:mid\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96 97 102 108\r\na=mid:1\r\na=sendonly\r\na=msid:- picture\r\n\
        a=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n\
        a=rtpmap:102 H264/90000\r\na=fmtp:102 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42001f\r\n\
        a=rtpmap:108 H264/90000\r\na=fmtp:108 level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f\r\n\
        m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:2\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\n";

    #[test]
    fn tracks_are_the_sections_that_send() {
        let track = |mid: &str, id: &str, kind, declared| RemoteTrack { mid: mid.into(), id: id.into(), kind, declared };
        assert_eq!(tracks(OFFER), [track("0", "sound", Kind::Audio, true), track("1", "picture", Kind::Video, false)]);
    }

    #[test]
    fn payload_types_are_read_and_foreign_h264_profiles_are_not_ours() {
        assert_eq!(payload_types(OFFER), HashMap::from([(111, Codec::Opus), (96, Codec::Vp8), (108, Codec::H264)]));
        assert_eq!(video_codecs(OFFER), [Codec::Vp8, Codec::H264]);
        assert_eq!((mid_extension(OFFER), ufrag(OFFER)), (Some(4), Some("abcd")));
    }

    #[test]
    fn the_preferred_codec_moves_to_the_front_and_nothing_is_lost() {
        let preferred = prefer(OFFER, &[Codec::H264, Codec::Vp8]);
        assert!(preferred.contains("m=video 9 UDP/TLS/RTP/SAVPF 108 96 97 102\r\n"), "{preferred}");
        assert_eq!(preferred.lines().count(), OFFER.lines().count());
        assert_eq!(prefer(OFFER, &[Codec::Vp8]), OFFER);
    }

    #[test]
    fn only_sending_sections_without_an_ssrc_get_one() {
        let mended = declare(OFFER, &HashMap::from([("0".into(), 8), ("1".into(), 9), ("2".into(), 10)]));
        assert_eq!(mended.matches("a=ssrc:").count(), 2);
        assert!(mended.contains("a=ssrc:9 ") && tracks(&mended).iter().all(|track| track.declared));
    }

    #[test]
    fn a_track_is_sent_where_both_sides_want_it() {
        assert!(sends(OFFER, OFFER, "sound"));
        assert!(!sends(OFFER, &OFFER.replace("a=sendrecv", "a=sendonly"), "sound"));
        assert!(!sends(OFFER, &OFFER.replace("m=audio 9", "m=audio 0"), "sound"));
        assert!(sends(OFFER, &OFFER.replace("a=sendonly", "a=recvonly"), "picture"));
        assert!(!sends(OFFER, OFFER, "picture") && !sends(OFFER, OFFER, "nothing"));
    }

    #[test]
    fn unspecified_addresses_are_no_candidates() {
        assert!(!is_usable("candidate:1 1 udp 2130706431 0.0.0.0 4000 typ host"));
        assert!(!is_usable("candidate:1 1 udp 2130706431 :: 4000 typ host"));
        assert!(is_usable("candidate:1 1 udp 2130706431 192.0.2.1 4000 typ host"));
        assert!(is_usable("candidate:1 1 udp 2130706431 a-b.local 4000 typ host"));
        assert_eq!(candidate_type("candidate:1 1 udp 1 192.0.2.1 4000 typ relay raddr 0.0.0.0 rport 0"), Some("relay"));
    }

    #[test]
    fn garbage_does_no_harm() {
        for garbage in
            ["", "m=", "m=video", "m=video 9 x 96\r\na=rtpmap:\r\na=fmtp:96", "a=mid:0\na=extmap:x y", "\u{fffd}\r\n\r\nm=audio 0"]
        {
            assert!(check(garbage).is_err());
            tracks(garbage);
            payload_types(garbage);
            mid_extension(garbage);
            prefer(garbage, &[Codec::Vp8]);
            declare(garbage, &HashMap::new());
            sends(garbage, garbage, "x");
            is_usable(garbage);
        }
    }
}
