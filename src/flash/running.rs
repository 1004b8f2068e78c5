//! The MicroPython on a board that was flashed: reached again after the reset, and its faults explained.

use std::thread;
use std::time::{Duration, Instant};

use super::ports::{self, Port};
use crate::error::{Error, Kind, Result};
use crate::repl::{Fault, Pipes, Repl, serial};

/// How long a board gets to come to its prompt: a filesystem is made at the first start.
pub(super) const BOOT: Duration = Duration::from_secs(30);

/// How long after a reset the USB of a board may still be there that is about to go away.
const GOING: Duration = Duration::from_millis(500);

/// A board with MicroPython on it.
pub struct Board {
    pub(super) port: Port,
    pub(super) repl: Repl<Pipes>,
    deadline: Option<Instant>,
}

impl Board {
    /// Finds the port again, whose USB may have gone away with the reset, and opens it.
    ///
    /// # Errors
    /// When it does not come back or cannot be used.
    pub fn after_reset(port: &Port) -> Result<Board> {
        thread::sleep(GOING);
        let port = ports::again(port)?;
        let repl = Repl::new(serial::open(port.path.as_ref())?);
        Ok(Board { port, repl, deadline: None })
    }

    /// Sets when to give up, whatever is going on.
    pub(super) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
        self.repl.set_deadline(deadline);
    }

    /// Brings it to its REPL. Where the port goes away meanwhile, its USB came up anew: that is followed.
    ///
    /// # Errors
    /// When it does not get there.
    pub(super) fn enter(&mut self, limit: Duration) -> Result<()> {
        let begun = Instant::now();
        let limit = limit.min(BOOT);
        loop {
            let fault = match self.repl.enter_raw(limit.saturating_sub(begun.elapsed())) {
                Ok(()) => return Ok(()),
                Err(fault) => fault,
            };
            match fault {
                Fault::Closed if begun.elapsed() < limit => {
                    *self = Board { deadline: self.deadline, ..Board::after_reset(&self.port)? };
                    self.repl.set_deadline(self.deadline);
                }
                Fault::TimedOut => {
                    return Err(Error::device(format!(
                        "the board on {} did not come to its REPL within {:.0} seconds{}",
                        self.port.path,
                        begun.elapsed().as_secs_f64(),
                        self.repl.last_lines("its last lines")
                    ))
                    .hint("`--monitor` shows what it says; does it have its REPL on this port?"));
                }
                fault => return Err(self.explain(fault)),
            }
        }
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
