//! The service's error codes in words: what is wrong and who must do what (twilio-video.md section 11).

/// One line that says why and what to do.
pub fn words(code: i64, message: &str) -> String {
    let advice = match code {
        20101 | 20102 | 20107 => "the access token is not accepted; check the account and API key of the platform",
        20103 => "the issuer of the access token is not accepted; check the API key of the platform",
        20104 => "the access token has expired; check the clock of the box and of the platform",
        20105 => "the access token is not yet valid; check the clock of the box and of the platform",
        20106 => "the access token is for another room; the platform must issue it for the room of the call",
        53006 => "the service is busy and wants no further attempt; call again later",
        53105 => "the room is full; somebody must leave it first",
        53106 => "the room does not exist any more; the caller must call again",
        53118 => "the room was ended by the platform; the caller must call again",
        53204 => "the service has forgotten us, perhaps after a restart; the caller must call again",
        53205 => "another device joined the room under the resident's name; only one box may use this account",
        53000..=53004 => "the signalling of the room failed; check the network, then the version of the service",
        53125 => "the room takes no track of this kind; for video the platform must create a room that is not audio-only",
        53400..=53403 => "the media of the call could not be agreed on; report this with the log",
        53404 => "there is no codec that both sides know; report this with the log",
        53405 => "no path for sound and picture; check that UDP or the TURN relay is not blocked",
        53407 => "the encryption of sound and picture failed; report this with the log",
        53500 | 53501 => "the relay servers of the room could not be had; check the platform's account",
        _ => "the room refused us; look the code up with the service",
    };
    let message: String = message.chars().filter(|c| !c.is_control()).take(120).collect();
    if message.is_empty() { format!("{advice} (code {code})") } else { format!("{advice} (code {code}: {message})") }
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn every_code_of_the_contract_says_what_to_do() {
        let general = words(1, "");
        for code in [
            20101, 20102, 20103, 20104, 20105, 20106, 20107, 53000, 53001, 53003, 53004, 53006, 53105, 53106, 53118, 53125, 53204, 53205,
            53400, 53401, 53402, 53403, 53404, 53405, 53407, 53500, 53501,
        ] {
            let line = words(code, "");
            assert_ne!(line.split(" (").next(), general.split(" (").next(), "{code}");
            assert!(line.contains(&code.to_string()));
        }
    }

    #[test]
    fn the_services_own_words_are_kept_short_and_on_one_line() {
        let line = words(20104, &"a\nb".repeat(1000));
        assert!(!line.contains('\n') && line.len() < 300, "{line}");
    }
}
