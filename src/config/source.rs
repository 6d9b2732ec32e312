//! The layers a value can come from, read and checked against the table of settings.
//!
//! Vendor file < `/etc/residentd/config.toml` < `/etc/residentd/config.d/*.toml` in order of name < environment
//! (`RESIDENTD__CALL__RING=30`) < `--set call.ring=30`. Every mistake of every layer is gathered, each with where it
//! stands, what is wrong and what is allowed.

use super::setting::{self, Kind, SETTINGS};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use toml::de::{DeTable, DeValue};

/// A checked value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Text.
    Text(String),
    /// Whole number.
    Integer(i64),
    /// Fraction.
    Float(f64),
    /// Truth.
    Bool(bool),
    /// List of texts.
    List(Vec<String>),
}

/// Where a value or a mistake stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Built in.
    Default,
    /// A file and the line in it, from 1.
    File(PathBuf, usize),
    /// An environment variable.
    Environment(String),
    /// A `--set` flag.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Environment(name) => write!(f, "environment variable {name}"),
            Origin::Flag(flag) => write!(f, "--set {flag}"),
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where.
    pub origin: Origin,
    /// What is wrong and what is allowed.
    pub what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.origin, self.what)
    }
}

/// The effective values with their origins; every key of [`SETTINGS`] is present.
pub type Values = BTreeMap<&'static str, (Value, Origin)>;

/// Where the files are and what the process was given.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// Files in rising precedence; one that does not exist is passed over.
    pub files: Vec<PathBuf>,
    /// A folder of drop-ins after them.
    pub drop_ins: Option<PathBuf>,
    /// Environment variables (only `RESIDENTD__…` is looked at).
    pub environment: Vec<(String, String)>,
    /// `key=value` flags.
    pub flags: Vec<String>,
}

impl Sources {
    /// The system's places, or only `file` when one is named.
    pub fn system(file: Option<&Path>, flags: Vec<String>) -> Self {
        let environment = std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))).collect();
        match file {
            Some(file) => Self { files: vec![file.into()], drop_ins: None, environment, flags },
            None => Self {
                files: vec!["/usr/lib/residentd/residentd.toml".into(), "/etc/residentd/config.toml".into()],
                drop_ins: Some("/etc/residentd/config.d".into()),
                environment,
                flags,
            },
        }
    }

    /// Reads all layers. Mistakes do not stop the reading: all of them come back.
    pub fn read(&self) -> (Values, Vec<Mistake>) {
        let mut values: Values = SETTINGS.iter().map(|s| (s.key, (default(s), Origin::Default))).collect();
        let mut mistakes = Vec::new();
        for file in self.files.iter().cloned().chain(self.drop_in_files(&mut mistakes)) {
            match std::fs::read_to_string(&file) {
                Ok(text) => read_file(&file, &text, &mut values, &mut mistakes),
                Err(e) if e.kind() == std::io::ErrorKind::NotFound && self.drop_ins.is_some() => {}
                Err(e) => mistakes.push(Mistake { origin: Origin::File(file, 1), what: format!("cannot be read: {e}") }),
            }
        }
        for (name, text) in &self.environment {
            let Some(key) = name.strip_prefix("RESIDENTD__") else { continue };
            let key = key.to_ascii_lowercase().replace("__", ".");
            assign(&key, text, Origin::Environment(name.clone()), &mut values, &mut mistakes);
        }
        for flag in &self.flags {
            let origin = Origin::Flag(flag.clone());
            match flag.split_once('=') {
                Some((key, text)) => assign(key.trim(), text.trim(), origin, &mut values, &mut mistakes),
                None => mistakes.push(Mistake { origin, what: "is not of the form key=value".into() }),
            }
        }
        (values, mistakes)
    }

    fn drop_in_files(&self, mistakes: &mut Vec<Mistake>) -> Vec<PathBuf> {
        let Some(folder) = &self.drop_ins else { return Vec::new() };
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Vec::new(),
            Err(e) => {
                mistakes.push(Mistake { origin: Origin::File(folder.clone(), 1), what: format!("cannot be read: {e}") });
                return Vec::new();
            }
        };
        let mut files: Vec<_> = entries.flatten().map(|e| e.path()).filter(|p| p.extension().is_some_and(|x| x == "toml")).collect();
        files.sort();
        files
    }
}

fn default(setting: &setting::Setting) -> Value {
    let text = format!("v = {}", setting.default);
    let table = DeTable::parse(&text).expect("every default of the table is TOML");
    let value = table.get_ref().get("v").expect("just written").get_ref();
    check(setting.kind, value).expect("every default of the table is allowed")
}

/// A value given as plain text: TOML if it reads as such and fits, else the text itself.
fn assign(key: &str, text: &str, origin: Origin, values: &mut Values, mistakes: &mut Vec<Mistake>) {
    let Some(setting) = setting::find(key) else {
        mistakes.push(Mistake { origin, what: unknown(key) });
        return;
    };
    let wrapped = format!("v = {text}");
    let as_toml = DeTable::parse(&wrapped).ok().and_then(|t| check(setting.kind, t.get_ref().get("v")?.get_ref()).ok());
    match as_toml.map_or_else(|| check(setting.kind, &DeValue::String(text.into())), Ok) {
        Ok(value) => {
            values.insert(setting.key, (value, origin));
        }
        Err(why) => mistakes.push(Mistake { origin, what: format!("{key} {why}") }),
    }
}

fn read_file(file: &Path, text: &str, values: &mut Values, mistakes: &mut Vec<Mistake>) {
    let line = |at: usize| text.as_bytes()[..at.min(text.len())].iter().filter(|b| **b == b'\n').count() + 1;
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut last = 0;
    for error in &errors {
        let at = error.span().map_or(0, |s| s.start);
        // One slip of the pen makes several errors in its line: the first says it.
        if std::mem::replace(&mut last, line(at)) == line(at) {
            continue;
        }
        let what = format!("is not TOML here: {}", error.message().replace('\n', "; "));
        mistakes.push(Mistake { origin: Origin::File(file.into(), line(at)), what });
    }
    walk(table.get_ref(), "", &mut |key, at, value| {
        let origin = Origin::File(file.into(), line(at));
        match setting::find(key) {
            None => mistakes.push(Mistake { origin, what: unknown(key) }),
            Some(setting) => match check(setting.kind, value) {
                Ok(value) => {
                    values.insert(setting.key, (value, origin));
                }
                // A value the parser already complained about would only be reported twice.
                Err(_) if errors.iter().any(|e| e.span().is_some_and(|s| line(s.start) == line(at))) => {}
                Err(why) => mistakes.push(Mistake { origin, what: format!("{key} {why}") }),
            },
        }
    });
    mistakes.sort_by_key(|m| if let Origin::File(f, l) = &m.origin { (f.clone(), *l) } else { (PathBuf::new(), 0) });
}

fn unknown(key: &str) -> String {
    match setting::nearest(key) {
        Some(near) => format!("there is no setting {key}; did you mean {near}?"),
        None => format!("there is no setting {key}; `residentd --reference` lists them"),
    }
}

fn walk(table: &DeTable<'_>, prefix: &str, found: &mut impl FnMut(&str, usize, &DeValue<'_>)) {
    for (name, value) in table {
        let key = if prefix.is_empty() { name.get_ref().to_string() } else { format!("{prefix}.{}", name.get_ref()) };
        match value.get_ref() {
            DeValue::Table(inner) if setting::find(&key).is_none() => {
                let group = format!("{key}.");
                if SETTINGS.iter().any(|s| s.key.starts_with(&group)) || inner.is_empty() {
                    walk(inner, &key, found);
                } else {
                    found(&key, name.span().start, value.get_ref());
                }
            }
            other => found(&key, name.span().start, other),
        }
    }
}

/// The value, or what is wrong with it and what is allowed.
fn check(kind: Kind, value: &DeValue<'_>) -> Result<Value, String> {
    let refuse = || Err(format!("is {}; allowed is {}", shown(value), kind.allowed()));
    let integer = |v: &DeValue<'_>| v.as_integer().and_then(|i| i64::from_str_radix(i.as_str(), i.radix()).ok());
    let fits = |ok: bool, text: &str| if ok { Ok(Value::Text(text.to_owned())) } else { refuse() };
    match kind {
        Kind::Bool => value.as_bool().map_or_else(refuse, |b| Ok(Value::Bool(b))),
        Kind::Integer(min, max) => integer(value).filter(|n| (min..=max).contains(n)).map_or_else(refuse, |n| Ok(Value::Integer(n))),
        Kind::Seconds(min, max) => {
            let number =
                integer(value).map(|n| n as f64).or_else(|| value.as_float().and_then(|f| f.as_str().replace('_', "").parse().ok()));
            number.filter(|n| (min..=max).contains(n)).map_or_else(refuse, |n| Ok(Value::Float(n)))
        }
        Kind::List => {
            let Some(array) = value.as_array() else { return refuse() };
            let items: Option<Vec<String>> = array
                .iter()
                .map(|v| v.get_ref().as_str().map(str::to_owned).or_else(|| integer(v.get_ref()).map(|n| n.to_string())))
                .collect();
            items.map_or_else(refuse, |l| Ok(Value::List(l)))
        }
        _ => {
            let Some(text) = value.as_str() else { return refuse() };
            match kind {
                Kind::OneOf(words) => fits(words.contains(&text), text),
                Kind::Url(schemes) => fits(url::Url::parse(text).is_ok_and(|u| schemes.contains(&u.scheme()) && u.host().is_some()), text),
                Kind::Path => fits(text.is_empty() || text.starts_with('/'), text),
                Kind::Hours => fits(text.is_empty() || text.parse::<crate::call::consent::Quiet>().is_ok(), text),
                Kind::Locale => fits(text.is_empty() || text.parse::<unic_langid::LanguageIdentifier>().is_ok(), text),
                Kind::TimeZone => fits(text.is_empty() || jiff::tz::TimeZone::get(text).is_ok(), text),
                _ => Ok(Value::Text(text.to_owned())),
            }
        }
    }
}

/// The value as it may be repeated in a message.
fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(s) => format!("\"{}\"", s.chars().take(60).collect::<String>()),
        DeValue::Integer(i) => i.to_string(),
        DeValue::Float(f) => f.to_string(),
        DeValue::Boolean(b) => b.to_string(),
        DeValue::Datetime(d) => d.to_string(),
        DeValue::Array(_) => "a list".into(),
        DeValue::Table(_) => "a table".into(),
    }
}
