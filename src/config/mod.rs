//! One typed, documented configuration. `setting.rs` is the table of everything that can be set; `source.rs` reads the
//! layers against it and gathers every mistake; this file gives each room its own typed part.

pub mod setting;
pub mod source;

pub use source::{Mistake, Origin, Sources, Value};

use source::Values;
use std::path::PathBuf;
use std::time::Duration;

/// The effective configuration: a value for every setting, all of them checked.
#[derive(Debug, Clone)]
pub struct Config {
    values: Values,
}

/// Folders where credentials are looked for: what systemd hands the unit; outside of it those of the running unit, and
/// where `residentctl provision` puts them, which also serves boxes without systemd.
pub fn credential_places() -> impl Iterator<Item = PathBuf> {
    let given = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
    let usual = ["/run/credentials/residentd.service", "/etc/residentd/credentials"].map(PathBuf::from);
    let usual = if given.is_some() { None } else { Some(usual) };
    given.into_iter().chain(usual.into_iter().flatten())
}

/// Every mistake found, one a line.
#[derive(Debug, thiserror::Error)]
#[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))]
pub struct Mistakes(pub Vec<Mistake>);

impl Config {
    /// Reads and checks all layers.
    ///
    /// # Errors
    /// All mistakes of all layers at once, and nothing of the configuration.
    pub fn load(sources: &Sources) -> Result<Config, Mistakes> {
        let (values, mut mistakes) = sources.read();
        let config = Config { values };
        if mistakes.is_empty() {
            mistakes = config.contradictions();
        }
        if mistakes.is_empty() { Ok(config) } else { Err(Mistakes(mistakes)) }
    }

    /// Settings that are right by themselves and wrong together.
    fn contradictions(&self) -> Vec<Mistake> {
        let mut found = Vec::new();
        let mut wrong = |key: &str, what: &str| found.push(Mistake { origin: self.entry(key).1.clone(), what: format!("{key} {what}") });
        let reachable = !self.text("line.chatta.username").is_empty() || !self.text("line.chatta.token_file").is_empty();
        // What may not be looked into may hold one.
        let held = |file: &str| credential_places().any(|place| place.join(file).try_exists().unwrap_or(true));
        if self.flag("line.chatta.enabled") && !reachable && !held("chatta-token") && !held("chatta-token.plain") {
            wrong("line.chatta.enabled", "is true, but there is neither line.chatta.username nor a token; give one of them");
        }
        if self.text("consent.automatic") == "listed" && self.list("consent.callers").is_empty() {
            wrong("consent.automatic", "is \"listed\", but consent.callers is empty; list the callers, or say \"never\"");
        }
        if self.text("tv.sink") == "driver" && self.text("tv.driver") != "lab" {
            wrong("tv.sink", "is \"driver\", but only tv.driver = \"lab\" shows pictures; choose another sink");
        }
        if self.text("tv.driver") == "dpms" && self.text("tv.sink") != "kms" {
            wrong("tv.driver", "is \"dpms\", but only tv.sink = \"kms\" has a signal of its own; choose that sink, or another driver");
        }
        if self.text("media.speaker") == "tv" && self.text("tv.driver") != "lab" {
            wrong("media.speaker", "is \"tv\", but only tv.driver = \"lab\" plays sound; choose an ALSA device or \"none\"");
        }
        found
    }

    fn entry(&self, key: &str) -> &(Value, Origin) {
        self.values.get(key).unwrap_or_else(|| panic!("{key} is not in the table of settings"))
    }

    /// A text, path, address or word.
    pub fn text(&self, key: &str) -> &str {
        match &self.entry(key).0 {
            Value::Text(text) => text,
            other => panic!("{key} is no text but {other:?}"),
        }
    }

    /// A whole number.
    pub fn integer(&self, key: &str) -> i64 {
        match self.entry(key).0 {
            Value::Integer(n) => n,
            ref other => panic!("{key} is no whole number but {other:?}"),
        }
    }

    /// A time span.
    pub fn seconds(&self, key: &str) -> Duration {
        match self.entry(key).0 {
            Value::Float(n) => Duration::from_secs_f64(n),
            ref other => panic!("{key} is no time span but {other:?}"),
        }
    }

    /// A truth.
    pub fn flag(&self, key: &str) -> bool {
        match self.entry(key).0 {
            Value::Bool(b) => b,
            ref other => panic!("{key} is no truth but {other:?}"),
        }
    }

    /// A list.
    pub fn list(&self, key: &str) -> &[String] {
        match &self.entry(key).0 {
            Value::List(list) => list,
            other => panic!("{key} is no list but {other:?}"),
        }
    }

    /// A path, if one is given.
    pub fn path(&self, key: &str) -> Option<PathBuf> {
        Some(self.text(key)).filter(|t| !t.is_empty()).map(PathBuf::from)
    }

    /// A number where 0 means "not given".
    pub fn id(&self, key: &str) -> Option<u64> {
        u64::try_from(self.integer(key)).ok().filter(|n| *n > 0)
    }

    /// Every setting in the order of the table: key, effective value, where it came from.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, &Value, &Origin)> {
        setting::SETTINGS.iter().map(|s| {
            let (value, origin) = self.entry(s.key);
            (s.key, value, origin)
        })
    }

    /// The values of all settings whose key begins with one of `prefixes`, one a line.
    pub fn values_of(&self, prefixes: &[&str]) -> String {
        let wanted = setting::SETTINGS.iter().filter(|s| prefixes.iter().any(|prefix| s.key.starts_with(prefix)));
        wanted.map(|s| format!("{} = {}\n", s.key, written(&self.entry(s.key).0))).collect()
    }

    /// The keys whose values differ between the two.
    pub fn differences(&self, other: &Config) -> Vec<&'static str> {
        setting::SETTINGS.iter().map(|s| s.key).filter(|key| self.entry(key).0 != other.entry(key).0).collect()
    }

    /// Effective values with their origins, one `key = value  # origin` a line.
    pub fn show(&self) -> String {
        self.entries().map(|(key, value, origin)| format!("{key} = {}  # {origin}\n", written(value))).collect()
    }
}

/// A value as it stands in a file (TOML).
pub fn written(value: &Value) -> String {
    match value {
        Value::Text(text) => format!("{text:?}"),
        Value::Integer(n) => n.to_string(),
        Value::Float(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::List(list) => format!("{list:?}"),
    }
}

/// The reference page of all settings, in Markdown.
pub fn reference() -> String {
    let mut page = String::from("| setting | allowed | default | what it does |\n|---|---|---|---|\n");
    for s in setting::SETTINGS {
        page += &format!("| `{}` | {} | `{}` | {} |\n", s.key, s.kind.allowed().replace('|', "\\|"), s.default, s.about);
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn sources(dir: &tempfile::TempDir, text: &str) -> Sources {
        let file = dir.path().join("config.toml");
        fs::write(&file, text).unwrap();
        Sources { files: vec![file], ..Default::default() }
    }

    #[test]
    fn every_mistake_of_a_file_comes_at_once_with_line_reason_and_what_is_allowed() {
        let dir = tempfile::tempdir().unwrap();
        let text = "[call]\nring = 5\nrang = 9\n[consent]\nautomatic = \"sometimes\"\nquiet_hours = \"25:00-07:00\"\n[media]\ncamera = 7\nrate = = 3\n";
        let error = Config::load(&sources(&dir, text)).unwrap_err();
        let lines: Vec<String> = error.0.iter().map(|m| m.to_string().replace(&*dir.path().to_string_lossy(), "")).collect();
        assert_eq!(lines[0], "/config.toml:2: call.ring is 5; allowed is seconds from 15 to 120");
        assert_eq!(lines[1], "/config.toml:3: there is no setting call.rang; did you mean call.ring?");
        assert_eq!(lines[2], "/config.toml:5: consent.automatic is \"sometimes\"; allowed is one of \"never\", \"listed\", \"always\"");
        assert!(lines[3].starts_with("/config.toml:6: consent.quiet_hours is \"25:00-07:00\"; allowed is local hours"), "{}", lines[3]);
        assert!(lines[4].starts_with("/config.toml:8: media.camera is 7; allowed is a text"), "{}", lines[4]);
        assert!(lines[5].starts_with("/config.toml:9: is not TOML here"), "{}", lines[5]);
        assert_eq!(lines.len(), 6, "{lines:#?}");
    }

    #[test]
    fn layers_override_each_other_and_say_where_a_value_came_from() {
        let dir = tempfile::tempdir().unwrap();
        let drop_ins = dir.path().join("config.d");
        fs::create_dir(&drop_ins).unwrap();
        fs::write(drop_ins.join("20-b.toml"), "call.ring = 60\nmedia.rate = 30").unwrap();
        fs::write(drop_ins.join("10-a.toml"), "call.ring = 50\ncall.left_grace = 7.5").unwrap();
        fs::write(drop_ins.join("note.txt"), "not a drop-in").unwrap();
        let mut s = sources(&dir, "[call]\nring = 40\nwait_for_caller = 20");
        s.drop_ins = Some(drop_ins.clone());
        s.environment = vec![("RESIDENTD__MEDIA__RATE".into(), "15".into()), ("HOME".into(), "x".into())];
        s.flags = vec!["consent.callers=[5, \"ada\"]".into(), "tv.driver=headless".into()];
        let config = Config::load(&s).unwrap();
        assert_eq!(config.seconds("call.ring"), Duration::from_secs(60));
        assert_eq!(config.entry("call.ring").1, Origin::File(drop_ins.join("20-b.toml"), 1));
        assert_eq!(config.seconds("call.left_grace"), Duration::from_millis(7500));
        assert_eq!(config.seconds("call.wait_for_caller"), Duration::from_secs(20));
        assert_eq!(config.integer("media.rate"), 15);
        assert_eq!(config.list("consent.callers"), ["5", "ada"]);
        assert_eq!(config.text("tv.driver"), "headless");
        assert!(config.show().contains("media.rate = 15  # environment variable RESIDENTD__MEDIA__RATE"));
    }

    #[test]
    fn contradictions_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let error = Config::load(&sources(&dir, "consent.automatic = \"listed\"\ntv.sink = \"driver\"")).unwrap_err().to_string();
        assert!(error.contains(":1: consent.automatic is \"listed\", but consent.callers is empty"), "{error}");
        assert!(error.contains(":2: tv.sink is \"driver\", but only"), "{error}");
    }

    #[test]
    fn a_missing_named_file_and_bad_flags_are_mistakes() {
        let s =
            Sources { files: vec!["/nonexistent/x.toml".into()], flags: vec!["ring".into(), "call.ring=x".into()], ..Default::default() };
        let error = Config::load(&s).unwrap_err().to_string();
        assert!(error.contains("/nonexistent/x.toml:1: cannot be read"), "{error}");
        assert!(error.contains("--set ring: is not of the form key=value"), "{error}");
        assert!(error.contains("--set call.ring=x: call.ring is \"x\"; allowed is seconds from 15 to 120"), "{error}");
    }

    #[test]
    fn the_reference_page_in_the_documentation_is_the_table() {
        let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/configuration.md")).unwrap();
        assert!(page.contains(&reference()), "docs/configuration.md is old: paste the output of `residentd --reference` into it");
    }
}
