//! Talks to a MicroPython target over any byte stream: an emulated UART, a serial port, a pipe.
//!
//! [`Repl`] speaks the raw REPL (`shared/runtime/pyexec.c` of MicroPython), in raw-paste mode where
//! the firmware has it. On top of it lies a link of our own, with which the target asks the host for
//! things while Python runs: the program itself, and the files of a mounted directory. It is a class
//! that is defined on the target; its messages are lines that begin with a marker made up for the
//! session, so that whatever else a program prints passes through untouched.

mod decoder;
mod fault;
mod line;
mod program;
mod raw;
pub mod serial;
mod server;
mod session;
mod terminal;
mod transport;

pub use fault::Fault;
pub(crate) use fault::Tail;
pub use program::Program;
pub use raw::Repl;
pub use session::{ESCAPE, interact};
pub use terminal::{Keyboard, RawTerminal};
pub use transport::{Pipes, Transport};

use crate::error::Result;

/// Where a target's output goes, as it arrives.
pub trait Console {
    /// The target's standard output.
    ///
    /// # Errors
    /// When it cannot be passed on; the run ends then.
    fn output(&mut self, bytes: &[u8]) -> Result<()>;

    /// The target's standard error, where it has one of its own, and tracebacks.
    ///
    /// # Errors
    /// As [`Console::output`].
    fn error(&mut self, bytes: &[u8]) -> Result<()>;
}

/// A console that keeps what it is given.
#[derive(Debug, Clone, Default)]
pub struct Captured {
    /// The target's standard output.
    pub output: Vec<u8>,
    /// The target's standard error and tracebacks.
    pub error: Vec<u8>,
}

impl Console for Captured {
    fn output(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.extend_from_slice(bytes);
        Ok(())
    }

    fn error(&mut self, bytes: &[u8]) -> Result<()> {
        self.error.extend_from_slice(bytes);
        Ok(())
    }
}

/// How Python on a target ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ran to its end.
    Done,
    /// It raised; the traceback, as the target printed it with LF line ends.
    Raised(String),
    /// It raised `SystemExit`, as `sys.exit` does.
    Exited(Exit),
}

/// The value of a `SystemExit`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// A number; `None`, `False` and no value are 0, `True` is 1.
    Code(i64),
    /// Anything else, as text.
    Message(String),
    /// The firmware does not tell: the raw REPL alone says only that there was one.
    Unknown,
}

impl Outcome {
    /// Whether it ended well: at its end, or with `sys.exit(0)`.
    pub fn success(&self) -> bool {
        matches!(self, Outcome::Done | Outcome::Exited(Exit::Code(0)))
    }
}
