//! What the resident reads: by language, with plural rules, times in their time zone.

use fluent_bundle::concurrent::FluentBundle;
use fluent_bundle::{FluentArgs, FluentResource, FluentValue};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use unic_langid::LanguageIdentifier;

/// The languages there are; the first is spoken where nothing better is known.
const LANGUAGES: [(&str, &str); 2] = [("en", include_str!("../locales/en.ftl")), ("de", include_str!("../locales/de.ftl"))];

/// The words of one language, and the clock of one place.
pub struct Words {
    bundle: FluentBundle<FluentResource>,
    zone: TimeZone,
    /// Hours from 1 to 12, as in the United States.
    half_days: bool,
}

impl Words {
    /// The language of `locale` (`de`, `en_GB`, `de-AT`) or English, and the zone of that IANA name or the system's.
    pub fn new(locale: &str, zone: &str) -> Words {
        let wanted: Option<LanguageIdentifier> = locale.replace('_', "-").parse().ok();
        let language = wanted.as_ref().map_or("en", |l| l.language.as_str());
        let (name, text) = LANGUAGES.into_iter().find(|(name, _)| *name == language).unwrap_or(LANGUAGES[0]);
        let half_days = name == "en" && wanted.and_then(|l| l.region).is_some_and(|r| r == "US");
        let zone = if zone.is_empty() { TimeZone::system() } else { TimeZone::get(zone).unwrap_or_else(|_| TimeZone::system()) };
        let resource = FluentResource::try_new(text.to_owned()).unwrap_or_else(|(resource, _)| resource);
        let mut bundle = FluentBundle::new_concurrent(vec![name.parse().unwrap_or_default()]);
        // The marks that keep languages apart inside a sentence are for browsers, not for a picture.
        bundle.set_use_isolating(false);
        // Cannot fail: the resource is the only one.
        let _ = bundle.add_resource(resource);
        Words { bundle, zone, half_days }
    }

    /// A message without arguments; its key where there is none.
    pub fn get(&self, key: &str) -> String {
        self.with(key, &[])
    }

    /// A message with arguments.
    pub fn with(&self, key: &str, args: &[(&'static str, FluentValue<'static>)]) -> String {
        self.find(key, args).unwrap_or_else(|| key.to_owned())
    }

    fn find(&self, key: &str, args: &[(&'static str, FluentValue<'static>)]) -> Option<String> {
        let pattern = self.bundle.get_message(key)?.value()?;
        let args: FluentArgs = args.iter().cloned().collect();
        Some(self.bundle.format_pattern(pattern, Some(&args), &mut Vec::new()).into_owned())
    }

    /// A platform's word for who somebody is, in the resident's; nothing where it is not known.
    pub fn role(&self, role: Option<&str>) -> Option<String> {
        let role = role.filter(|r| r.len() < 40 && r.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'))?;
        self.find(&format!("role-{}", role.to_ascii_lowercase()), &[])
    }

    /// When something was, as one says it now.
    pub fn when(&self, at: Timestamp, now: Timestamp) -> String {
        let (at, now) = (at.to_zoned(self.zone.clone()), now.to_zoned(self.zone.clone()));
        let time = if self.half_days { at.strftime("%-I:%M %p") } else { at.strftime("%H:%M") }.to_string();
        let time = ("time", FluentValue::from(time));
        let yesterday = now.yesterday().ok().map(|y| y.date());
        if at.date() == now.date() {
            self.with("today", &[time])
        } else if Some(at.date()) == yesterday {
            self.with("yesterday", &[time])
        } else {
            let month = self.with("month", &[("number", FluentValue::from(i64::from(at.month())))]);
            self.with("date", &[("day", FluentValue::from(i64::from(at.day()))), ("month", FluentValue::from(month)), time])
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn keys(text: &str) -> BTreeSet<&str> {
        text.lines().filter(|l| l.starts_with(|c: char| c.is_ascii_lowercase())).filter_map(|l| l.split(" =").next()).collect()
    }

    #[test]
    fn every_language_has_the_same_keys_and_no_mistake() {
        for (name, text) in LANGUAGES {
            assert_eq!(keys(text), keys(LANGUAGES[0].1), "{name}");
            assert!(FluentResource::try_new(text.to_owned()).is_ok(), "{name}");
            let words = Words::new(name, "UTC");
            for key in keys(text) {
                let args = [
                    ("calls", FluentValue::from(2)),
                    ("time", FluentValue::from("10:00")),
                    ("day", FluentValue::from(1)),
                    ("month", FluentValue::from("May")),
                    ("number", FluentValue::from(5)),
                ];
                let said = words.with(key, &args);
                assert!(!said.contains('{') && said != key || key == "month", "{name}: {key} is {said}");
            }
        }
    }

    #[test]
    fn one_is_not_many() {
        let calls = |n: i64| [("calls", FluentValue::from(n))];
        let (en, de) = (Words::new("en-GB", "UTC"), Words::new("de_AT", "UTC"));
        assert_eq!(en.with("missed", &calls(1)), "Missed call");
        assert_eq!(en.with("missed", &calls(3)), "3 missed calls");
        assert_eq!(de.with("missed", &calls(1)), "Verpasster Anruf");
        assert_eq!(de.with("missed", &calls(3)), "3 verpasste Anrufe");
    }

    #[test]
    fn times_are_those_of_the_residents_place() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        let (event, now) = (at("2026-11-20T23:30:00Z"), at("2026-11-21T09:00:00Z"));
        assert_eq!(Words::new("en-GB", "Europe/London").when(event, now), "Yesterday, 23:30");
        assert_eq!(Words::new("de", "Europe/Berlin").when(event, now), "Heute, 00:30");
        assert_eq!(Words::new("en-US", "America/New_York").when(event, now), "Yesterday, 6:30 PM");
        assert_eq!(Words::new("en", "UTC").when(at("2026-05-03T07:05:00Z"), now), "3 May, 07:05");
        assert_eq!(Words::new("de", "UTC").when(at("2026-05-03T07:05:00Z"), now), "3. Mai, 07:05");
    }

    #[test]
    fn an_unknown_language_zone_or_role_is_no_trouble() {
        let words = Words::new("tlh", "Mars/Olympus");
        assert_eq!(words.get("answer"), "Answer");
        assert_eq!(Words::new("", "").get("answer"), "Answer");
        assert_eq!(words.role(Some("customeradmin")).as_deref(), Some("Care team"));
        assert_eq!(words.role(Some("../../etc")), None);
        assert_eq!(words.role(Some("warlock")), None);
        assert_eq!(words.role(None), None);
    }
}
