//! Figures for docs/benchmarks.md: something measured beside its peer, in turns.
//!
//! `MPB_FIGURES` names a file to which each is added as a line of JSON; `scripts/bench` makes the page of them. A bench
//! with nothing but figures to measure then measures nothing else.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};

/// One part of the page.
pub struct Section(pub &'static str);

/// What is compared: a sentence, and the two commands.
pub struct Figure<'a> {
    pub what: &'a str,
    pub ours: &'a str,
    pub peer: &'a str,
    /// `s`, or what else was counted.
    pub unit: &'a str,
}

/// Whether figures are all that is wanted.
pub fn only() -> bool {
    std::env::var_os("MPB_FIGURES").is_some()
}

impl Section {
    /// What was measured, and what would have to change to be faster.
    pub fn about(&self, text: &str) {
        self.record(&json!({ "section": self.0, "about": text }));
    }

    /// Nothing was measured, and why.
    pub fn missing(&self, reason: &str) {
        println!("{}: not measured: {reason}", self.0);
        self.record(&json!({ "section": self.0, "missing": reason }));
    }

    /// Pairs of ours and the peer's.
    pub fn figure(&self, figure: &Figure<'_>, pairs: &[(f64, f64)]) {
        let median = |mut values: Vec<f64>| {
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let ours = median(pairs.iter().map(|pair| pair.0).collect());
        let peer = median(pairs.iter().map(|pair| pair.1).collect());
        let times = median(pairs.iter().map(|pair| pair.1 / pair.0).collect());
        println!(
            "{}: {ours:.3} {unit}, {} {peer:.3} {unit}, {times:.2} times",
            figure.what,
            figure.peer,
            unit = figure.unit
        );
        self.record(&json!({
            "section": self.0, "what": figure.what, "ours": figure.ours, "peer": figure.peer,
            "unit": figure.unit, "pairs": pairs,
        }));
    }

    fn record(&self, value: &Value) {
        let Some(path) = std::env::var_os("MPB_FIGURES") else { return };
        let mut file = OpenOptions::new().create(true).append(true).open(path).unwrap();
        writeln!(file, "{value}").unwrap();
    }
}

/// Ours and the peer's in turns, so that both see the same cache and the same neighbours on the machine.
pub fn pairs(
    rounds: usize,
    mut ours: impl FnMut() -> f64,
    mut peer: impl FnMut() -> f64,
) -> Vec<(f64, f64)> {
    (0..rounds).map(|_| (ours(), peer())).collect()
}

/// How long something takes, in seconds.
pub fn seconds(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64()
}

/// Runs a command that must succeed and says nothing.
pub fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}
