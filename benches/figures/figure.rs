//! One figure: what we reach, what the peer reaches on the same work in the same run, and whether that meets the target.

use serde_json::{Value, json};
use std::io::Write;
use std::path::PathBuf;

/// What a figure is to reach.
#[derive(Clone, Copy)]
pub enum Target {
    /// Ours divided by the peer's is this or less.
    RatioAtMost(f64),
    /// Ours divided by the peer's is this or more.
    RatioAtLeast(f64),
    /// Ours is this or less, in the figure's unit.
    AtMost(f64),
    /// None is promised: the figure explains another one.
    None,
}

/// The repetitions of one measurement: the median counts, the extremes show the machine's noise.
#[derive(Clone, Default)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Of these, in any order.
    pub fn new(values: impl IntoIterator<Item = f64>) -> Samples {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        Samples(values)
    }

    /// This share of the values is not above the answer; `quantile(0.5)` is the median. NaN without values.
    pub fn quantile(&self, share: f64) -> f64 {
        let index = ((self.0.len() as f64 * share).ceil() as usize).clamp(1, self.0.len().max(1)) - 1;
        self.0.get(index).copied().unwrap_or(f64::NAN)
    }

    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    fn range(&self) -> String {
        match self.0.as_slice() {
            [] | [_] => String::new(),
            [first, .., last] => format!("({}–{})", short(*first), short(*last)),
        }
    }
}

impl From<f64> for Samples {
    fn from(value: f64) -> Samples {
        Samples(vec![value])
    }
}

/// One line of the table, and of `target/bench.jsonl`.
pub struct Figure {
    name: String,
    unit: &'static str,
    ours: (f64, Samples),
    peer: Option<(&'static str, f64, Samples)>,
    target: Target,
}

impl Figure {
    /// The median of ours, without a peer and a target.
    pub fn new(name: impl Into<String>, unit: &'static str, ours: impl Into<Samples>) -> Figure {
        let ours = ours.into();
        Figure { name: name.into(), unit, ours: (ours.median(), ours), peer: None, target: Target::None }
    }

    /// Beside this peer's median.
    pub fn beside(mut self, name: &'static str, peer: impl Into<Samples>) -> Figure {
        let peer = peer.into();
        self.peer = Some((name, peer.median(), peer));
        self
    }

    /// Another quantile than the median, for ours and the peer's.
    pub fn at(mut self, share: f64) -> Figure {
        self.ours.0 = self.ours.1.quantile(share);
        if let Some((_, value, samples)) = &mut self.peer {
            *value = samples.quantile(share);
        }
        self
    }

    /// What it is to reach.
    pub fn target(mut self, target: Target) -> Figure {
        self.target = target;
        self
    }

    fn ratio(&self) -> Option<f64> {
        self.peer.as_ref().map(|(_, peer, _)| self.ours.0 / peer)
    }

    fn met(&self) -> Option<bool> {
        match self.target {
            Target::RatioAtMost(bound) => Some(self.ratio().is_some_and(|r| r <= bound)),
            Target::RatioAtLeast(bound) => Some(self.ratio().is_some_and(|r| r >= bound)),
            Target::AtMost(bound) => Some(self.ours.0 <= bound),
            Target::None => None,
        }
    }

    fn line(&self) -> Value {
        let target = match self.target {
            Target::RatioAtMost(bound) | Target::RatioAtLeast(bound) | Target::AtMost(bound) => json!(bound),
            Target::None => Value::Null,
        };
        json!({
            "name": self.name, "unit": self.unit, "ours": rounded(self.ours.0),
            "peer": self.peer.as_ref().map(|p| rounded(p.1)), "peer_name": self.peer.as_ref().map(|p| p.0),
            "ratio": self.ratio().map(rounded), "target": target, "met": self.met(),
        })
    }

    fn row(&self) -> [String; 6] {
        let peer = self.peer.as_ref().map_or_else(String::new, |(_, value, samples)| format!("{} {}", short(*value), samples.range()));
        let ratio = self.ratio().map_or_else(String::new, |r| format!("{r:.2}"));
        let target = match self.target {
            Target::RatioAtMost(bound) => format!("ratio ≤ {bound}"),
            Target::RatioAtLeast(bound) => format!("ratio ≥ {bound}"),
            Target::AtMost(bound) => format!("≤ {bound} {}", self.unit),
            Target::None => String::new(),
        };
        let met = self.met().map_or("", |met| if met { "met" } else { "MISSED" });
        let ours = format!("{} {}", short(self.ours.0), self.ours.1.range());
        [format!("{}, {}", self.name, self.unit), ours, peer, ratio, target, met.into()]
    }
}

/// Prints the table of a group and appends its lines to `target/bench.jsonl`.
pub fn report(title: &str, figures: &[Figure]) {
    let peers: Vec<_> = figures.iter().filter_map(|f| f.peer.as_ref().map(|p| p.0)).collect();
    let mut shown = peers.clone();
    shown.sort_unstable();
    shown.dedup();
    println!(
        "\n{title}\n  median (least–most) of the repetitions; beside {}",
        if shown.is_empty() { "nobody".into() } else { shown.join(", ") }
    );
    let head = ["", "ours", "peer", "ratio", "target", ""].map(String::from);
    let mut rows = vec![head];
    for figure in figures {
        let mut row = figure.row();
        if let (true, Some((name, ..))) = (shown.len() > 1, &figure.peer) {
            row[2] = format!("{} {name}", row[2]);
        }
        rows.push(row);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<_> = (0..6).map(width).collect();
    for row in &rows {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        println!("  {}", cells.join("  ").trim_end());
    }
    let mut file = std::fs::OpenOptions::new().create(true).append(true).open(jsonl()).unwrap();
    for figure in figures {
        writeln!(file, "{}", figure.line()).unwrap();
    }
}

/// The file of all figures. A guest of the device lab cannot write to this machine's: it hands its own back.
pub fn jsonl() -> PathBuf {
    let target = std::env::var_os("DEVLAB_OUT").or(std::env::var_os("CARGO_TARGET_DIR"));
    target.map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target")), PathBuf::from).join("bench.jsonl")
}

fn rounded(value: f64) -> f64 {
    if value.abs() >= 1000.0 { value.round() } else { (value * 1000.0).round() / 1000.0 }
}

fn short(value: f64) -> String {
    match value.abs() {
        big if big >= 100.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}
