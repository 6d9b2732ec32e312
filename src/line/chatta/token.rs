//! What a platform token says about itself, read without checking its signature: it is the server's to check, we only
//! want to know when to ask for a new one.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use std::time::Duration;

/// Between two refreshes of tokens that live shorter than makes sense.
const SHORTEST: Duration = Duration::from_secs(1);
/// A wait that timers can hold whatever a token claims.
const LONGEST: Duration = Duration::from_secs(90 * 86_400);

/// The claims of a JWT; `None`: it is none.
pub fn claims(token: &str) -> Option<Value> {
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else { return None };
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&bytes).ok().filter(Value::is_object)
}

/// How long a token received now may be used before it is refreshed: until a little before half of its life is gone.
/// `None`: it does not say when it ends, so it is used until it is refused.
///
/// `wall`: seconds since 1970 by the box's clock, which may be wrong: boxes without a battery start in 1970. `iat` counts
/// before it; `orig_iat` (django-rest-framework-jwt) stays that of the first login through all refreshes, so the clock,
/// when it can be right, counts before that.
pub fn use_for(token: &str, fresh: bool, wall: u64) -> Option<Duration> {
    let claims = claims(token)?;
    let number = |name: &str| claims[name].as_f64().filter(|n| *n >= 0.0 && n.is_finite());
    let end = number("exp")?;
    let first = number("orig_iat");
    let plausible = |wall: f64| wall < end && first.is_none_or(|first| wall + 86_400.0 > first) && wall > 1.5e9;
    let wall = Some(wall as f64).filter(|wall| plausible(*wall));
    let issued = number("iat").filter(|iat| *iat < end).or(if fresh { wall } else { None }).or(first).or(wall)?;
    let age = if fresh { 0.0 } else { wall.map_or(0.0, |wall| (wall - issued).max(0.0)) };
    let wait = ((end - issued).max(0.0) * 0.45 - age).max(0.0);
    Some(Duration::from_secs_f64(wait.min(LONGEST.as_secs_f64())).max(SHORTEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    const NOW: u64 = 1_800_000_000;

    fn jwt(claims: Value) -> String {
        format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims.to_string()))
    }

    fn seconds(claims: Value, fresh: bool, wall: u64) -> Option<u64> {
        use_for(&jwt(claims), fresh, wall).map(|d| d.as_secs())
    }

    #[test]
    fn a_token_is_refreshed_before_half_of_its_life_is_gone() {
        assert_eq!(seconds(json!({"exp": NOW + 1000, "iat": NOW}), true, NOW), Some(450));
        assert_eq!(seconds(json!({"exp": NOW + 1000, "orig_iat": NOW}), true, NOW), Some(450));
        assert_eq!(seconds(json!({"exp": NOW + 1000}), true, NOW), Some(450));
    }

    #[test]
    fn the_time_of_the_first_login_does_not_lengthen_a_refreshed_token() {
        assert_eq!(seconds(json!({"exp": NOW + 1000, "orig_iat": NOW - 100_000}), true, NOW), Some(450));
    }

    #[test]
    fn a_ready_token_counts_its_age() {
        assert_eq!(seconds(json!({"exp": NOW + 900, "iat": NOW - 100}), false, NOW), Some(350));
        assert_eq!(seconds(json!({"exp": NOW + 100, "iat": NOW - 900}), false, NOW), Some(1));
    }

    #[test]
    fn a_wrong_clock_of_the_box_does_no_harm() {
        assert_eq!(seconds(json!({"exp": NOW + 1000, "orig_iat": NOW}), true, 12), Some(450));
        assert_eq!(seconds(json!({"exp": NOW + 1000, "iat": NOW}), true, NOW + 5_000_000), Some(450));
        assert_eq!(seconds(json!({"exp": NOW + 1000}), true, 12), None);
    }

    #[test]
    fn without_an_end_there_is_nothing_to_plan() {
        assert_eq!(seconds(json!({"iat": NOW}), true, NOW), None);
        for opaque in ["", "abc", "a.b", "a.b.c", "a.b.c.d", "9944b09199c62bcf9418ad846dd0e4bbdfc6ee4b"] {
            assert_eq!(use_for(opaque, true, NOW), None);
            assert_eq!(claims(opaque), None);
        }
    }

    proptest! {
        #[test]
        fn no_token_panics(token in any::<String>(), exp in any::<f64>(), iat in any::<i64>(), wall in any::<u64>()) {
            use_for(&token, true, wall);
            use_for(&jwt(json!({"exp": exp, "iat": iat})), false, wall);
        }
    }
}
