//! What a command prints: data to standard output, talk to standard error.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde::Serialize;

use super::progress::Progress;
use crate::error::{Error, Result};

const BOLD_RED: Style = AnsiColor::Red.on_default().bold();
const BOLD_CYAN: Style = AnsiColor::Cyan.on_default().bold();
const BOLD_YELLOW: Style = AnsiColor::Yellow.on_default().bold();

/// Where a command's data and talk go.
#[derive(Debug)]
pub(super) struct Output {
    json: bool,
    quiet: bool,
}

impl Output {
    pub(super) fn new(json: bool, quiet: bool) -> Self {
        Output { json, quiet }
    }

    /// Whether data is to be printed as JSON.
    pub(super) fn json(&self) -> bool {
        self.json
    }

    /// Whether what goes to standard output as bytes is to be coloured.
    pub(super) fn coloured(&self) -> bool {
        anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never
    }

    /// A reporter for long jobs: progress bars on a terminal, plain lines otherwise.
    pub(super) fn progress(&self) -> Progress {
        Progress::new(self.quiet)
    }

    /// Prints text to standard output. A reader that has gone away (`| head`) is no error.
    pub(super) fn data(&self, text: impl AsRef<str>) -> Result<()> {
        write_all(text.as_ref())
    }

    /// Prints bytes as they are, for paths that need not be UTF-8.
    pub(super) fn data_bytes(&self, bytes: &[u8]) -> Result<()> {
        write_to(std::io::stdout().lock(), bytes)
    }

    /// Prints a value as indented JSON.
    pub(super) fn data_json(&self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string_pretty(value)
            .map_err(|error| Error::internal(format!("cannot write JSON: {error}")))?;
        write_all(&format!("{text}\n"))
    }

    /// Whether only data and errors are printed.
    pub(super) fn quiet(&self) -> bool {
        self.quiet
    }

    /// Says something to the person, on standard error, unless `--quiet`.
    pub(super) fn say(&self, text: impl AsRef<str>) {
        if !self.quiet {
            // Nobody is left to be told when standard error is gone.
            let _ = writeln!(anstream::stderr().lock(), "{}", text.as_ref());
        }
    }
}

fn write_all(text: &str) -> Result<()> {
    write_to(anstream::stdout().lock(), text.as_bytes())
}

fn write_to(mut stdout: impl Write, bytes: &[u8]) -> Result<()> {
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::input(format!(
            "cannot write to standard output: {}",
            crate::error::describe(&error)
        ))),
        _ => Ok(()),
    }
}

/// `warning: …` on standard error.
pub(super) fn print_warning(message: &str) {
    let _ = writeln!(anstream::stderr().lock(), "{BOLD_YELLOW}warning{BOLD_YELLOW:#}: {message}");
}

/// `error: …` and its hints on standard error.
pub(super) fn print_error(error: &Error) {
    let mut stderr = anstream::stderr().lock();
    let _ = writeln!(stderr, "{BOLD_RED}error{BOLD_RED:#}: {error}");
    for hint in error.hints() {
        let _ = writeln!(stderr, "{BOLD_CYAN}hint{BOLD_CYAN:#}: {hint}");
    }
}
