//! Passing on what a target says, as it comes.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::{Error, Result};
use crate::interrupt;
use crate::repl::Console;

/// What a pipe that is ready takes without blocking, in bytes (POSIX wants at least 512).
const PIPE_BUF: usize = 512;

/// This process's standard output and error. A reader that has gone away is no error: the program
/// still runs to its end, and the exit code tells how it was.
pub(super) struct Standard;

impl Console for Standard {
    fn output(&mut self, bytes: &[u8]) -> Result<()> {
        write(io::stdout(), "standard output", bytes)
    }

    fn error(&mut self, bytes: &[u8]) -> Result<()> {
        write(io::stderr(), "standard error", bytes)
    }
}

/// Writes as much at once as never blocks, so that an interrupt is noticed where a reader stalls.
fn write(mut stream: impl Write + AsFd, name: &str, bytes: &[u8]) -> Result<()> {
    for piece in bytes.chunks(PIPE_BUF) {
        while !writable(&stream) {
            interrupt::check()?;
        }
        match stream.write_all(piece).and_then(|()| stream.flush()) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                return Err(Error::io("write", Path::new(name), &error));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Whether a stream takes bytes, waited for a moment.
fn writable(stream: &impl AsFd) -> bool {
    let mut streams = [PollFd::new(stream, PollFlags::OUT)];
    let moment = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
    match poll(&mut streams, Some(&moment)) {
        Ok(ready) => ready > 0,
        // The write will say what is wrong.
        Err(error) => error != rustix::io::Errno::INTR,
    }
}
