//! The line to a target: bytes sent as it can take them, and bytes received, both with a limit of time.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::fault::{Fault, Tail};
use super::transport::Transport;
use crate::interrupt;

/// How long a wait goes on before the clock and the interrupt flag are looked at.
const SLICE: Duration = Duration::from_millis(50);

/// How long a target must be silent after a fault report before it counts as crashed.
const CRASH_SILENCE: Duration = Duration::from_millis(500);

/// How many bytes the smallest REPL buffer holds (`stdin_ringbuf` of the esp32 port). Behind a UART that
/// makes the sender wait, that port's interrupt handler takes everything and drops what does not fit.
pub(super) const HELD: usize = 256;

/// How much is sent at once to a target that cannot make the sender wait, and the pause after it.
pub(super) const PIECE: usize = HELD / 2;
const PAUSE: Duration = Duration::from_millis(10);

/// A transport with what was received over it and not taken yet.
#[derive(Debug)]
pub(super) struct Line<T> {
    pub(super) transport: T,
    received: Vec<u8>,
    taken: usize,
    deadline: Option<Instant>,
    /// The last of what the target said.
    pub(super) tail: Tail,
}

impl<T: Transport> Line<T> {
    pub(super) fn new(transport: T) -> Line<T> {
        Line { transport, received: Vec::new(), taken: 0, deadline: None, tail: Tail::default() }
    }

    /// Sets when to give up, whatever is going on.
    pub(super) fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Sends bytes, slowly to a target that cannot make the sender wait.
    pub(super) fn send(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        if self.transport.has_flow_control() {
            return Ok(self.transport.send(bytes)?);
        }
        self.send_slowly(bytes)
    }

    /// Sends bytes in pieces that fit into the smallest buffer, with pauses.
    pub(super) fn send_slowly(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        for (index, piece) in bytes.chunks(PIECE).enumerate() {
            if index > 0 {
                self.check(None)?;
                thread::sleep(PAUSE);
            }
            self.transport.send(piece)?;
        }
        Ok(())
    }

    /// Skips what comes up to and including `pattern`.
    pub(super) fn wait_for(&mut self, pattern: &[u8], end: Instant) -> Result<(), Fault> {
        let mut seen: Vec<u8> = Vec::new();
        while !seen.ends_with(pattern) {
            while !self.has_received() {
                self.receive(Some(end))?;
            }
            let byte = self.next()?;
            self.tail.push(&[byte]);
            seen.push(byte);
            if seen.len() > 2 * pattern.len() {
                seen.drain(..pattern.len());
            }
        }
        Ok(())
    }

    /// The next byte, waited for.
    pub(super) fn next(&mut self) -> Result<u8, Fault> {
        loop {
            if let Some(byte) = self.received.get(self.taken) {
                self.taken += 1;
                return Ok(*byte);
            }
            self.receive(None)?;
        }
    }

    /// Whether bytes have been received that were not taken yet.
    pub(super) fn has_received(&self) -> bool {
        self.taken < self.received.len()
    }

    /// What has been received and not taken yet, waiting for it no longer than `wait`.
    pub(super) fn take_within(&mut self, wait: Duration) -> Result<Vec<u8>, Fault> {
        if !self.has_received() {
            self.receive_once(wait)?;
        }
        let rest = self.received.split_off(self.taken.min(self.received.len()));
        self.received.clear();
        self.taken = 0;
        Ok(rest)
    }

    /// Waits until more has been received, the deadline or `end` passes, or the user interrupts.
    pub(super) fn receive(&mut self, end: Option<Instant>) -> Result<(), Fault> {
        let mut silent = Duration::ZERO;
        loop {
            self.check(end)?;
            if self.receive_once(SLICE)? {
                return Ok(());
            }
            silent += SLICE;
            if silent >= CRASH_SILENCE && self.tail.is_crash() {
                return Err(Fault::Crashed);
            }
        }
    }

    fn receive_once(&mut self, wait: Duration) -> Result<bool, Fault> {
        let mut buffer = [0; 8 << 10];
        match self.transport.receive(&mut buffer, wait) {
            Ok(0) => Err(Fault::Closed),
            Ok(count) => {
                self.received.clear();
                self.taken = 0;
                self.received.extend(buffer.iter().take(count));
                Ok(true)
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::Interrupted) =>
            {
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn check(&self, end: Option<Instant>) -> Result<(), Fault> {
        interrupt::check()?;
        let now = Instant::now();
        if [self.deadline, end].into_iter().flatten().any(|end| now >= end) {
            return Err(Fault::TimedOut);
        }
        Ok(())
    }
}
