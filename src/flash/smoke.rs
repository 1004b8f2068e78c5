//! A smoke test: a script that shows that what was flashed works.

use std::time::{Duration, Instant};

use super::running::Board;
use crate::error::{Error, Result};
use crate::repl::{Console, Fault, Outcome, Program};

impl Board {
    /// Runs a program in the REPL within `limit`, starting included. What it prints goes to the console as
    /// it comes, its traceback too.
    ///
    /// # Errors
    /// When the board does not come to its REPL or the program does not end; Python that raises is an
    /// [`Outcome`].
    pub fn smoke(
        &mut self,
        program: &Program,
        limit: Duration,
        console: &mut dyn Console,
    ) -> Result<Outcome> {
        self.set_deadline(Some(Instant::now() + limit));
        let outcome = self.enter(limit).and_then(|()| {
            let outcome = self.repl.run(program, console).map_err(|fault| match fault {
                Fault::TimedOut => Error::device(format!(
                    "{} did not end within {} seconds{}",
                    program.name,
                    limit.as_secs(),
                    self.repl.last_lines("its last lines")
                ))
                .hint("give it more time with `--smoke-timeout SECONDS`"),
                fault => self.explain(fault),
            })?;
            if let Outcome::Raised(traceback) = &outcome {
                console.error(traceback.as_bytes())?;
            }
            Ok(outcome)
        });
        self.set_deadline(None);
        // The board is left at its prompt, and what still runs is ended.
        let _ = self.repl.leave_raw();
        outcome
    }
}
