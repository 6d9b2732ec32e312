//! `config show` and `config check`.

use super::arguments::ConfigCommand;
use super::exit::{Exit, Failure};
use super::screen::{Ink, Screen};
use crate::config::{Config, Mistakes, Origin, Value};
use serde_json::json;

/// Prints what was loaded, or every mistake.
///
/// # Errors
/// The mistakes.
pub fn run(screen: &mut Screen, command: ConfigCommand, loaded: Result<Config, Mistakes>) -> Result<Exit, Failure> {
    let config = match loaded {
        Ok(config) => config,
        Err(mistakes) if screen.json => {
            let all: Vec<_> = mistakes.0.iter().map(|m| json!({ "origin": m.origin.to_string(), "what": m.what })).collect();
            screen.value(&json!({ "ok": false, "mistakes": all }), true);
            return Ok(Exit::Configuration);
        }
        Err(mistakes) => return Err(Failure::new(Exit::Configuration, mistakes.to_string())),
    };
    match command {
        ConfigCommand::Check if screen.json => screen.value(&json!({ "ok": true, "mistakes": [] }), true),
        ConfigCommand::Check => {
            let changed = config.entries().filter(|(_, _, origin)| **origin != Origin::Default).count();
            screen.line(&format!("the configuration is right; {changed} settings differ from the defaults"));
        }
        ConfigCommand::Show { changed } => {
            let wanted = config.entries().filter(|(_, _, origin)| !changed || **origin != Origin::Default);
            if screen.json {
                let all: Vec<_> = wanted.map(|(key, v, o)| json!({ "key": key, "value": value(v), "origin": o.to_string() })).collect();
                screen.value(&all, true);
            } else {
                for (key, value, origin) in wanted {
                    let origin = screen.ink(Ink::Faint, &format!("# {origin}"));
                    screen.entry(4, &format!("{key} = {}  {origin}", crate::config::written(value)));
                }
            }
        }
    }
    Ok(Exit::Done)
}

fn value(value: &Value) -> serde_json::Value {
    match value {
        Value::Text(text) => json!(text),
        Value::Integer(n) => json!(n),
        Value::Float(n) => json!(n),
        Value::Bool(b) => json!(b),
        Value::List(list) => json!(list),
    }
}
