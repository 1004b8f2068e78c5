//! Progress on the command line: bars on a terminal, a line per step otherwise.

use std::io::IsTerminal;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::report::{Gauge, Report, Silent};

/// A [`Report`] for a person at a terminal or a reader of logs.
#[derive(Debug)]
pub(super) struct Progress {
    quiet: bool,
    /// Where the bars are drawn, one below the other; `None` when it is no terminal.
    bars: Option<MultiProgress>,
}

impl Progress {
    pub(super) fn new(quiet: bool) -> Self {
        let bars = !quiet && std::io::stderr().is_terminal();
        Progress { quiet, bars: bars.then(MultiProgress::new) }
    }

    fn above_bars(&self, print: impl FnOnce()) {
        match &self.bars {
            Some(bars) => bars.suspend(print),
            None => print(),
        }
    }
}

impl Report for Progress {
    fn step(&self, message: &str) {
        if !self.quiet {
            self.above_bars(|| anstream::eprintln!("{message}"));
        }
    }

    fn warn(&self, message: &str) {
        self.above_bars(|| super::output::print_warning(message));
    }

    fn bytes(&self, what: &str, total: Option<u64>) -> Box<dyn Gauge> {
        let Some(bars) = &self.bars else {
            self.step(what);
            return Box::new(Silent);
        };
        let bar = bars.add(total.map_or_else(ProgressBar::new_spinner, ProgressBar::new));
        let template = match total {
            Some(_) => "{msg} [{bar:30}] {bytes}/{total_bytes} ({bytes_per_sec}, {eta})",
            None => "{spinner} {msg} {bytes} ({bytes_per_sec})",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(120));
        Box::new(Bar(bar))
    }
}

struct Bar(ProgressBar);

impl Gauge for Bar {
    fn set(&self, bytes: u64) {
        self.0.set_position(bytes);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
