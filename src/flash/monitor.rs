//! A person at the board's REPL, with its crashes explained.

use std::path::Path;

use super::panic::Explainer;
use super::running::Board;
use crate::error::Result;
use crate::repl::{self, Console, Fault, Keyboard};

/// Shows what a board says and passes keys on, until Ctrl-] is typed, the keys end or the board goes away.
/// Below the report of a crash stand the functions and lines of its addresses, where the ELF file is known.
///
/// # Errors
/// When the port fails, the ELF file cannot be read or the user interrupts.
pub fn run(board: &mut Board, elf: Option<&Path>, console: &mut dyn Console) -> Result<()> {
    let mut console = Explaining { console, explainer: elf.map(Explainer::open).transpose()? };
    let keyboard = Keyboard::stdin()?;
    match repl::interact(&mut board.repl, &keyboard, false, &mut console) {
        Err(fault @ Fault::Closed) => {
            Err(crate::Error::from(fault).hint("was the board unplugged?"))
        }
        other => other.map_err(crate::Error::from),
    }
}

/// A console that adds what the addresses in a crash report stand for.
struct Explaining<'a> {
    console: &'a mut dyn Console,
    explainer: Option<Explainer>,
}

impl Console for Explaining<'_> {
    fn output(&mut self, bytes: &[u8]) -> Result<()> {
        self.console.output(bytes)?;
        let Some(explainer) = &mut self.explainer else { return Ok(()) };
        for line in explainer.hear(bytes) {
            self.console.output(format!("{line}\r\n").as_bytes())?;
        }
        Ok(())
    }

    fn error(&mut self, bytes: &[u8]) -> Result<()> {
        self.console.error(bytes)
    }
}
