//! The MicroPython on a board that was flashed: reached again after the reset, and its faults explained.

use std::time::{Duration, Instant};

use super::ports::{self, Port};
use crate::error::{Error, Kind, Result};
use crate::repl::{Fault, Pipes, Repl, serial};

/// How long a board gets to come to its prompt: a filesystem is made at the first start.
pub(super) const BOOT: Duration = Duration::from_secs(30);

/// A board with MicroPython on it.
pub struct Board {
    pub(super) port: String,
    pub(super) repl: Repl<Pipes>,
}

impl Board {
    /// Finds the port again, whose USB may have gone away with the reset, and opens it.
    ///
    /// # Errors
    /// When it does not come back or cannot be used.
    pub fn after_reset(port: &Port) -> Result<Board> {
        let port = ports::again(port)?;
        let repl = Repl::new(serial::open(port.path.as_ref())?);
        Ok(Board { port: port.path, repl })
    }

    /// Brings it to its REPL.
    ///
    /// # Errors
    /// When it does not get there.
    pub(super) fn enter(&mut self, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        self.repl.enter_raw(limit.min(BOOT)).map_err(|fault| match fault {
            Fault::TimedOut => Error::device(format!(
                "the board on {} did not come to its REPL within {:.0} seconds{}",
                self.port,
                begun.elapsed().as_secs_f64(),
                self.repl.last_lines("its last lines")
            ))
            .hint("`--monitor` shows what it says; does it have its REPL on this port?"),
            fault => self.explain(fault),
        })
    }

    /// The error for a fault, with what the board said last.
    pub(super) fn explain(&self, fault: Fault) -> Error {
        let error = Error::from(fault);
        match error.kind() {
            Kind::Device => Error::device(format!(
                "{error}{}",
                self.repl.last_lines("the last lines of the board")
            )),
            _ => error,
        }
    }
}
