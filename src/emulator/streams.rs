//! What the unix port writes, on its way to the console.
//!
//! Uncaught exceptions go to standard error, where v1.27 and later write them to standard output; and
//! tracebacks lose the frames of the driver that runs several programs.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::ExitStatus;

use crate::error::{Error, Result};
use crate::repl::{Console, Exit, Outcome, Tail};

/// The first line of a traceback.
const TRACEBACK: &[u8] = b"Traceback (most recent call last):";

/// How much of standard output is held back at most, in bytes.
const HELD: usize = 64 << 10;

/// A piece of what the program wrote.
pub(super) enum Part {
    /// To standard output.
    Output(Vec<u8>),
    /// To standard error.
    Error(Vec<u8>),
}

/// Both streams.
pub(super) struct Streams<'a> {
    console: &'a mut dyn Console,
    /// How a line of a traceback begins that names the driver.
    frame: Option<Vec<u8>>,
    /// A line of standard error that is not complete yet.
    line: Vec<u8>,
    /// Standard output from a traceback's first line on, or what may become one.
    held: Vec<u8>,
    within_line: bool,
    tail: Tail,
    errors: Tail,
}

impl<'a> Streams<'a> {
    pub(super) fn new(console: &'a mut dyn Console, driver: Option<&Path>) -> Streams<'a> {
        let frame =
            driver.map(|path| [b"  File \"", path.as_os_str().as_bytes(), b"\", "].concat());
        Streams {
            console,
            frame,
            line: Vec::new(),
            held: Vec::new(),
            within_line: false,
            tail: Tail::default(),
            errors: Tail::default(),
        }
    }

    /// The last lines of both, ready to follow a message.
    pub(super) fn last_lines(&self) -> String {
        self.tail.show("its last lines")
    }

    /// Passes a piece on, or holds it back.
    pub(super) fn take(&mut self, part: Part) -> Result<()> {
        match part {
            Part::Output(bytes) => self.output(&bytes),
            Part::Error(bytes) => self.error(&bytes),
        }
    }

    /// Lets go of standard output that was held back.
    pub(super) fn release(&mut self) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        self.pass_output(&held)
    }

    /// Passes the rest on and says how the program ended: with 1 after an uncaught exception, and
    /// with the value of `sys.exit` otherwise.
    pub(super) fn finish(&mut self, status: ExitStatus) -> Result<Outcome> {
        let raised = status.code() == Some(1) && self.errors.bytes().is_empty();
        if let Some(at) = last_traceback(&self.held).filter(|_| raised) {
            let traceback = self.held.split_off(at);
            self.error(&traceback)?;
        }
        self.release()?;
        self.end_line()?;
        match status.code() {
            Some(0) => Ok(Outcome::Done),
            Some(1) => {
                let errors = self.errors.bytes();
                let traceback = last_traceback(errors).and_then(|at| errors.get(at..));
                Ok(traceback.map_or(Outcome::Exited(Exit::Code(1)), |text| {
                    Outcome::Raised(String::from_utf8_lossy(text).into_owned())
                }))
            }
            Some(code) => Ok(Outcome::Exited(Exit::Code(code.into()))),
            None => {
                Err(Error::device(format!("the program ended by {status}{}", self.last_lines())))
            }
        }
    }

    fn output(&mut self, bytes: &[u8]) -> Result<()> {
        let mut passed = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.within_line && self.held.is_empty() {
                passed.push(*byte);
                self.within_line = *byte != b'\n';
                continue;
            }
            self.held.push(*byte);
            let resembles = self.held.starts_with(TRACEBACK) || TRACEBACK.starts_with(&self.held);
            if !resembles || self.held.len() > HELD {
                passed.append(&mut self.held);
                self.within_line = *byte != b'\n';
            }
        }
        self.pass_output(&passed)
    }

    fn pass_output(&mut self, bytes: &[u8]) -> Result<()> {
        if let Some(last) = bytes.last() {
            self.within_line = *last != b'\n';
            self.tail.push(bytes);
            self.console.output(bytes)?;
        }
        Ok(())
    }

    fn error(&mut self, bytes: &[u8]) -> Result<()> {
        if self.frame.is_none() {
            return self.pass_error(bytes);
        }
        for byte in bytes {
            self.line.push(*byte);
            if *byte == b'\n' {
                self.end_line()?;
            }
        }
        Ok(())
    }

    /// Passes a line of standard error on, unless it is a frame of the driver.
    fn end_line(&mut self) -> Result<()> {
        let line = std::mem::take(&mut self.line);
        match &self.frame {
            Some(frame) if line.starts_with(frame) => Ok(()),
            _ => self.pass_error(&line),
        }
    }

    fn pass_error(&mut self, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.tail.push(bytes);
        self.errors.push(bytes);
        self.console.error(bytes)
    }
}

/// Where the traceback begins that ends a text: its first line, frames, and what was raised, which
/// may have several lines.
fn last_traceback(text: &[u8]) -> Option<usize> {
    let at = text.windows(TRACEBACK.len()).rposition(|window| window == TRACEBACK)?;
    let text = String::from_utf8_lossy(text.get(at..)?);
    let mut lines = text.lines().skip(1).skip_while(|line| line.starts_with("  "));
    let name = lines.next()?.split(':').next()?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    is_name.then_some(at)
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;
    use crate::repl::Captured;

    const RAISED: &str =
        "Traceback (most recent call last):\n  File \"a.py\", line 1, in f\nValueError: x\ny\n";

    fn finish(output: &str, error: &str, code: i32, step: usize) -> (Outcome, String, String) {
        let mut console = Captured::default();
        let mut streams = Streams::new(&mut console, Some(Path::new("/tmp/d.py")));
        for piece in output.as_bytes().chunks(step) {
            streams.take(Part::Output(piece.to_vec())).unwrap();
        }
        for piece in error.as_bytes().chunks(step) {
            streams.take(Part::Error(piece.to_vec())).unwrap();
        }
        let outcome = streams.finish(ExitStatus::from_raw(code << 8)).unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (outcome, text(console.output), text(console.error))
    }

    #[test]
    fn a_traceback_on_standard_output_goes_to_standard_error() {
        for step in [1, 3, 1000] {
            let output = format!("before\n{RAISED}Trace\n{RAISED}");
            assert_eq!(
                finish(&output, "", 1, step),
                (
                    Outcome::Raised(RAISED.to_owned()),
                    format!("before\n{RAISED}Trace\n"),
                    RAISED.to_owned()
                )
            );
        }
    }

    #[test]
    fn what_only_resembles_a_traceback_stays() {
        for output in ["Tracebac", "T\nTr\nTraceback\nx", "xTraceback (most recent call last):\n"] {
            let (outcome, kept, error) = finish(output, "", 1, 1);
            assert_eq!((kept.as_str(), error.as_str()), (output, ""));
            assert_eq!(outcome, Outcome::Exited(Exit::Code(1)));
        }
        // A program that shows a traceback and ends well.
        assert_eq!(finish(RAISED, "", 0, 5), (Outcome::Done, RAISED.to_owned(), String::new()));
    }

    #[test]
    fn frames_of_the_driver_are_taken_away() {
        let frame = "  File \"/tmp/d.py\", line 7, in <module>\n";
        let error = RAISED.replacen('\n', &format!("\n{frame}"), 1);
        for (output, error) in [("", error.as_str()), (error.as_str(), "")] {
            let (outcome, _, shown) = finish(output, error, 1, 2);
            assert_eq!(shown, RAISED);
            assert_eq!(outcome, Outcome::Raised(RAISED.to_owned()));
        }
    }
}
