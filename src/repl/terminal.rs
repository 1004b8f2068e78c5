//! The terminal a person types at: raw mode, always undone, and the keys as they come.

use std::io::Read;
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::error::{Error, Result};

/// The terminal on standard input in raw mode, where every key is passed on as it is. Dropping it
/// puts the terminal back as it was.
#[derive(Debug)]
pub struct RawTerminal {
    before: Termios,
}

impl RawTerminal {
    /// Puts the terminal on standard input into raw mode.
    ///
    /// # Errors
    /// When standard input is no terminal.
    pub fn enter() -> Result<RawTerminal> {
        let fail = |error: rustix::io::Errno| {
            Error::input(format!("cannot use the terminal: {error}"))
                .hint("run it in a terminal, or give the code with --exec or --script")
        };
        let before = tcgetattr(std::io::stdin()).map_err(fail)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &raw).map_err(fail)?;
        Ok(RawTerminal { before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // A terminal that is gone needs no restoring.
        let _ = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.before);
    }
}

/// Keys as they are typed.
#[derive(Debug)]
pub struct Keyboard {
    keys: Receiver<Vec<u8>>,
}

impl Keyboard {
    /// Starts to read standard input. The thread that does so lives until the input ends.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn stdin() -> Result<Keyboard> {
        Self::reading(std::io::stdin())
    }

    /// Starts to read keys from any stream.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn reading(mut stream: impl Read + Send + 'static) -> Result<Keyboard> {
        let (sender, keys) = channel();
        thread::Builder::new()
            .spawn(move || {
                let mut buffer = [0; 1024];
                loop {
                    match stream.read(&mut buffer) {
                        Ok(count @ 1..) => {
                            let typed = buffer.iter().take(count).copied().collect();
                            if sender.send(typed).is_err() {
                                return;
                            }
                        }
                        Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                        _ => return,
                    }
                }
            })
            .map_err(|error| Error::internal(format!("cannot start a thread: {error}")))?;
        Ok(Keyboard { keys })
    }

    /// What was typed since the last call; `None` when no more can come.
    pub(super) fn typed(&self) -> Option<Vec<u8>> {
        let mut all = Vec::new();
        loop {
            match self.keys.try_recv() {
                Ok(keys) => all.extend(keys),
                Err(TryRecvError::Empty) => return Some(all),
                Err(TryRecvError::Disconnected) if all.is_empty() => return None,
                Err(TryRecvError::Disconnected) => return Some(all),
            }
        }
    }
}
