//! What can go wrong between host and target.

use std::io;

use crate::error::{Error, describe};

/// How many bytes of what a target said last are kept.
const KEPT: usize = 4 << 10;

/// How many lines of them are shown.
const SHOWN: usize = 10;

/// What ends the first line of a fault handler's report.
const CRASH: &str = " exception caught:";

/// Why a conversation with a target failed. Python that raises is no fault: see
/// [`Outcome`](super::Outcome).
#[derive(Debug)]
pub enum Fault {
    /// The stream ended: the emulator ended, the device was unplugged.
    Closed,
    /// The time limit passed.
    TimedOut,
    /// The target's fault handler reported a crash of the firmware.
    Crashed,
    /// The target said something that the protocol does not know; this says what and where.
    Protocol(String),
    /// Anything else: an interrupt, wrong input, output that cannot be passed on.
    Other(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Fault {
        Fault::Other(error)
    }
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        match error.kind() {
            io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => Fault::Closed,
            _ => Fault::Other(Error::device(format!(
                "cannot talk to the target: {}",
                describe(&error)
            ))),
        }
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault {
            Fault::Closed => Error::device("the target ended the connection"),
            Fault::TimedOut => Error::device("the target did not answer in time"),
            Fault::Crashed => Error::device("the firmware crashed"),
            Fault::Protocol(what) => Error::device(what),
            Fault::Other(error) => error,
        }
    }
}

/// The last of what a target said.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tail {
    bytes: Vec<u8>,
}

impl Tail {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * KEPT {
            self.bytes.drain(..self.bytes.len() - KEPT);
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The last lines, or the first of a fault handler's report, ready to follow a message: `; WHAT was:` and
    /// the lines, indented.
    pub(crate) fn show(&self, what: &str) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let blank = lines.iter().rev().take_while(|line| line.is_empty()).count();
        let lines = lines.get(..lines.len() - blank).unwrap_or_default();
        if lines.is_empty() {
            return "; it said nothing".to_owned();
        }
        let first = match lines.iter().rposition(|line| line.ends_with(CRASH)) {
            Some(first) if self.is_crash() => first,
            _ => lines.len().saturating_sub(SHOWN),
        };
        let last = lines.iter().skip(first).take(SHOWN);
        let shown: String = last.map(|line| format!("\n    {}", printable(line))).collect();
        format!("; {what}:{shown}")
    }

    /// Whether the last of it is the report of a fault handler that stops without ending the
    /// emulator: `ports/qemu/mcu/arm/errorhandler.c` names the exception, prints the registers, from
    /// v1.27 on those for debugging too, and loops for ever.
    pub(super) fn is_crash(&self) -> bool {
        let text = String::from_utf8_lossy(&self.bytes);
        let Some((_, report)) = text.rsplit_once(CRASH) else { return false };
        let Some((_, after)) = report.split_once("\nxPSR: ") else { return false };
        after.lines().skip(1).map(str::trim_end).all(is_of_report)
    }
}

/// Whether a line may follow the registers in a fault handler's report: empty, a heading, or
/// `NAME: VALUE …` with a register's name, maybe of a bit in it.
fn is_of_report(line: &str) -> bool {
    let name = line.split_once(':').map_or(line, |(name, _)| name);
    let of_name = |c: char| c.is_ascii_uppercase() || c == '.';
    line == "Debug registers:" || name.chars().all(of_name)
}

/// A line without what would move the cursor or colour the terminal.
fn printable(line: &str) -> String {
    line.chars()
        .map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tail_shows_the_last_lines() {
        let mut tail = Tail::default();
        assert_eq!(tail.show("the last was"), "; it said nothing");
        for line in 0..100_000 {
            tail.push(format!("line {line}\r\n").as_bytes());
        }
        tail.push(b"\x1b[1munfinished\r\n\r\n");
        let shown = tail.show("the last was");
        assert!(tail.bytes.len() <= 2 * KEPT);
        assert_eq!(shown.lines().count(), 1 + SHOWN);
        assert!(shown.starts_with("; the last was:\n    line 99991\n"), "{shown}");
        assert!(shown.ends_with("\n    \u{fffd}[1munfinished"), "{shown}");
    }

    #[test]
    fn a_fault_report_is_known_only_at_the_very_end() {
        let mut tail = Tail::default();
        tail.push(b"x\r\nHardFault exception caught:\r\nR0:   00000000 R1:   1\r\n");
        assert!(!tail.is_crash());
        tail.push(b"xPSR: 61000003\r\n");
        assert!(tail.is_crash());
        tail.push(b"\r\nDebug registers:\r\nCFSR: 00000400 HFSR: 40000000 DFSR: 00000000\r\n");
        for _ in 0..SHOWN {
            tail.push(b"CFSR.IACCVIOL:    0 CFSR.DACCVIOL:   0\r\n");
        }
        assert!(tail.is_crash());
        let shown = tail.show("the last was");
        assert_eq!(shown.lines().count(), 1 + SHOWN);
        assert!(shown.starts_with("; the last was:\n    HardFault exception caught:\n"), "{shown}");
        tail.push(b"but it went on\r\n");
        assert!(!tail.is_crash());
    }
}
