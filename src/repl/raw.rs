//! The raw REPL of `shared/runtime/pyexec.c`, with raw-paste mode and its flow-control window.

use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use super::decoder::{Decoder, Event, Lines};
use super::fault::Fault;
use super::line::{HELD, Line};
use super::server::Server;
use super::transport::Transport;
use super::{Captured, Console, Exit, Outcome};
use crate::error::Error;

/// How long a booting target may be silent before it is spoken to all the same.
const BOOT_SILENCE: Duration = Duration::from_secs(1);

/// How long a target gets to start its raw REPL anew, with whatever its `boot.py` does.
const RESTART: Duration = Duration::from_secs(10);

/// How long the first attempt to enter the raw REPL waits for an answer; later ones wait longer.
const FIRST_ATTEMPT: Duration = Duration::from_millis(500);

const CTRL_A: u8 = 1;
const CTRL_B: u8 = 2;
const CTRL_C: u8 = 3;
const CTRL_D: u8 = 4;

/// What the raw REPL says when it begins, after an interrupt and after a soft reset.
const BANNER: &[u8] = b"raw REPL; CTRL-B to exit\r\n>";

/// A conversation with the REPL of a target.
#[derive(Debug)]
pub struct Repl<T> {
    pub(super) line: Line<T>,
    paste: Option<bool>,
    pub(super) server: Server,
    pub(super) link: Link,
    pub(super) ending: Option<Ending>,
    key: String,
}

/// Whether the target's end of the link is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Link {
    /// Nobody asked yet.
    Untried,
    /// It is there.
    Up,
    /// This firmware cannot have it, for this reason.
    Impossible(String),
}

/// What the target's end of the link said about how a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ending {
    Done,
    Raised,
    Exit(Exit),
}

impl<T: Transport> Repl<T> {
    /// A conversation over a transport. Nothing is sent yet.
    pub fn new(transport: T) -> Repl<T> {
        let random = RandomState::new().hash_one(std::process::id());
        Repl {
            line: Line::new(transport),
            paste: None,
            server: Server::default(),
            link: Link::Untried,
            ending: None,
            key: format!("{random:016x}"),
        }
    }

    /// Sets when to give up, whatever is going on.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.line.set_deadline(deadline);
    }

    /// The last lines that the target said, ready to follow a message: `; WHAT:` and the lines.
    pub fn last_lines(&self, what: &str) -> String {
        self.line.tail.show(what)
    }

    /// The marker with which the link's messages of this session begin: a byte that text hardly
    /// has, and a key that a program cannot know.
    pub(super) fn marker(&self) -> Vec<u8> {
        [b"\x1e", self.key.as_bytes()].concat()
    }

    /// The marker as it is written in a Python string.
    pub(super) fn marker_literal(&self) -> String {
        format!("\\x1e{}", self.key)
    }

    /// Brings the target into the raw REPL: one that is booting, that sits at a prompt, or that
    /// runs something that Ctrl-C ends.
    ///
    /// # Errors
    /// [`Fault::TimedOut`] when it does not answer within `limit` or before the deadline.
    pub fn enter_raw(&mut self, limit: Duration) -> Result<(), Fault> {
        let end = Instant::now() + limit;
        // An emulated UART drops what comes before the firmware has set it up, and the banner of
        // the friendly REPL says that it has.
        match self.line.wait_for(b">>> ", (Instant::now() + BOOT_SILENCE).min(end)) {
            Ok(()) | Err(Fault::TimedOut) => {}
            Err(fault) => return Err(fault),
        }
        self.call_raw(end)
    }

    /// Brings a target that listens into the raw REPL.
    pub(super) fn call_raw(&mut self, end: Instant) -> Result<(), Fault> {
        let mut patience = FIRST_ATTEMPT;
        for attempt in 0.. {
            self.line.send(&[b'\r', CTRL_C, CTRL_C, CTRL_A])?;
            match self.line.wait_for(BANNER, (Instant::now() + patience).min(end)) {
                Ok(()) if attempt == 0 => return Ok(()),
                // Answers to earlier attempts may still come.
                Ok(()) => return self.synchronise(end),
                Err(Fault::TimedOut) if Instant::now() < end => patience *= 2,
                Err(fault) => return Err(fault),
            }
        }
        Err(Fault::TimedOut)
    }

    /// Goes back to the friendly REPL, which greets with its banner.
    ///
    /// # Errors
    /// When the target cannot be spoken to.
    pub fn leave_raw(&mut self) -> Result<(), Fault> {
        self.line.send(&[CTRL_B])
    }

    /// Starts the interpreter anew, from the friendly REPL: `boot.py` and `main.py` run.
    ///
    /// # Errors
    /// When the target cannot be spoken to.
    pub fn soft_reset(&mut self) -> Result<(), Fault> {
        self.forget();
        self.line.send(&[CTRL_D])
    }

    /// Runs code in the raw REPL and follows it to its end; its output goes to `console` as it
    /// arrives, its traceback into the outcome. Names that it defines stay.
    ///
    /// A Ctrl-D that the code prints is taken for its end; [`Repl::run`] does not have that limit.
    ///
    /// # Errors
    /// When the code holds control bytes that the raw REPL cannot carry, or the target fails.
    pub fn exec(&mut self, code: &[u8], console: &mut dyn Console) -> Result<Outcome, Fault> {
        if let Some(at) = code.iter().position(|byte| (CTRL_A..=CTRL_D + 1).contains(byte)) {
            return Err(Error::input(format!(
                "the code has the control byte 0x{:02x} at offset {at}, which the REPL of this firmware cannot take",
                code.get(at).unwrap_or(&0)
            ))
            .hint("write it as an escape, for example \\x04")
            .into());
        }
        self.line.tail.clear();
        // Nothing at all would be a command to start the interpreter anew.
        self.upload(if code.is_empty() { b"\n" } else { code })?;
        self.follow(console)
    }

    /// Runs code whose output is of no interest.
    pub(super) fn exec_quietly(&mut self, code: &[u8]) -> Result<Outcome, Fault> {
        self.exec(code, &mut Captured::default())
    }

    /// Sends code, by raw paste where the firmware has it.
    fn upload(&mut self, code: &[u8]) -> Result<(), Fault> {
        if self.paste != Some(false) {
            let able = self.begin_paste()?;
            self.paste = Some(able);
            if able {
                return self.paste(code);
            }
        }
        self.line.send(code)?;
        self.line.send(&[CTRL_D])?;
        match (self.line.next()?, self.line.next()?) {
            (b'O', b'K') => Ok(()),
            (first, second) => Err(unexpected(&[first, second], "OK after a command")),
        }
    }

    /// Asks for raw-paste mode. Firmware without it starts the raw REPL anew instead.
    fn begin_paste(&mut self) -> Result<bool, Fault> {
        self.line.send(b"\x05A\x01")?;
        match (self.line.next()?, self.line.next()?) {
            (b'R', 1) => Ok(true),
            (b'R', 0) => match self.line.next()? {
                b'>' => Ok(false),
                other => Err(unexpected(&[other], "a prompt after refusing raw paste")),
            },
            (b'r', b'a') => {
                self.line.wait_for(BANNER.get(2..).unwrap_or(b">"), Instant::now() + RESTART)?;
                Ok(false)
            }
            (first, second) => Err(unexpected(&[first, second], "an answer to raw paste")),
        }
    }

    /// Sends code in raw-paste mode: never more than the target has said it has room for.
    fn paste(&mut self, code: &[u8]) -> Result<(), Fault> {
        let window = usize::from(u16::from_le_bytes([self.line.next()?, self.line.next()?]));
        if window == 0 {
            return Err(Fault::Protocol("the target offers a raw-paste window of 0 bytes".into()));
        }
        let mut room = window;
        let mut rest = code;
        while !rest.is_empty() {
            while room == 0 || self.line.has_received() {
                match self.line.next()? {
                    CTRL_A => room += window,
                    // It wants no more: what came so far does not compile, or fills its memory.
                    CTRL_D => return self.line.send(&[CTRL_D]),
                    other => return Err(unexpected(&[other], "flow control in raw paste")),
                }
            }
            let (piece, later) = rest.split_at(room.min(rest.len()));
            self.line.send(piece)?;
            room -= piece.len();
            rest = later;
        }
        self.line.send(&[CTRL_D])?;
        loop {
            match self.line.next()? {
                CTRL_A => {}
                CTRL_D => return Ok(()),
                other => return Err(unexpected(&[other], "the end of raw paste")),
            }
        }
    }

    /// Passes on what running code says until it ends, answering the link meanwhile.
    fn follow(&mut self, console: &mut dyn Console) -> Result<Outcome, Fault> {
        self.ending = None;
        let mut decoder = Decoder::new(&self.marker(), Lines::Plain, true);
        let mut text = Vec::new();
        loop {
            if !self.line.has_received() {
                self.pass_on(&mut text, console)?;
                self.line.receive(None)?;
            }
            match decoder.push(self.line.next()?, &mut text) {
                None => {}
                Some(Event::End) => break,
                Some(Event::Message(message)) => {
                    self.pass_on(&mut text, console)?;
                    self.hear(&message, &mut decoder.ends)?;
                }
            }
        }
        self.pass_on(&mut text, console)?;
        self.outcome()
    }

    fn pass_on(&mut self, text: &mut Vec<u8>, console: &mut dyn Console) -> Result<(), Fault> {
        if !text.is_empty() {
            self.line.tail.push(text);
            console.output(text)?;
            text.clear();
        }
        Ok(())
    }

    /// A message of the link: `- WHAT …` says something, `NUMBER REQUEST …` asks for something.
    pub(super) fn hear(&mut self, message: &[u8], ends: &mut bool) -> Result<(), Fault> {
        let message = String::from_utf8_lossy(message);
        let (number, rest) = message.split_once(' ').unwrap_or((&message, ""));
        if number == "-" {
            let (what, value) = rest.split_once(' ').unwrap_or((rest, ""));
            *ends = what != "begin";
            self.ending = match what {
                "done" => Some(Ending::Done),
                "raised" => Some(Ending::Raised),
                "exit" => Some(Ending::Exit(super::program::exit_code(value))),
                "message" => Some(Ending::Exit(super::program::exit_message(value))),
                _ => None,
            };
            return Ok(());
        }
        let answer = format!("\x1e{number} {}\n", self.server.answer(rest));
        match answer.len() {
            // The target waits for it, and so its buffer is empty.
            ..=HELD => self.line.send(answer.as_bytes()),
            _ => self.line.send_slowly(answer.as_bytes()),
        }
    }

    /// What follows the output: the traceback, its end mark, and the prompt or a soft reset.
    fn outcome(&mut self) -> Result<Outcome, Fault> {
        let mut traceback = Vec::new();
        let after = loop {
            match self.line.next()? {
                CTRL_D => match self.line.next()? {
                    b'>' => break b'>',
                    other if traceback.is_empty() => break other,
                    other => traceback.extend([CTRL_D, other]),
                },
                byte => traceback.push(byte),
            }
        };
        let traceback = String::from_utf8_lossy(&traceback).replace("\r\n", "\n");
        self.line.tail.push(traceback.as_bytes());
        if after != b'>' {
            // SystemExit makes the interpreter start anew.
            self.forget();
            self.line.wait_for(BANNER, Instant::now() + RESTART)?;
            return Ok(Outcome::Exited(Exit::Unknown));
        }
        match self.ending.take() {
            Some(Ending::Exit(exit)) if traceback.is_empty() => Ok(Outcome::Exited(exit)),
            _ if traceback.is_empty() => Ok(Outcome::Done),
            _ => Ok(Outcome::Raised(traceback)),
        }
    }

    /// The interpreter was started anew: nothing that was set up in it is there any more.
    pub(super) fn forget(&mut self) {
        self.link = Link::Untried;
        self.server.reset();
    }

    /// Makes sure that nothing of what was said before is still to come.
    fn synchronise(&mut self, end: Instant) -> Result<(), Fault> {
        let word = format!("sync{}", self.key);
        self.line.send(format!("print('{word}')\x04").as_bytes())?;
        self.line.wait_for(format!("{word}\r\n\x04\x04>").as_bytes(), end)
    }
}

fn unexpected(found: &[u8], expected: &str) -> Fault {
    let found = String::from_utf8_lossy(found).escape_debug().to_string();
    Fault::Protocol(format!("the target answered \"{found}\", expected {expected}"))
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::super::line::PIECE;
    use super::*;

    /// Keeps what is sent to it.
    #[derive(Default)]
    struct Sent(Vec<usize>);

    impl Transport for Sent {
        fn receive(&mut self, _: &mut [u8], _: Duration) -> io::Result<usize> {
            Err(io::ErrorKind::TimedOut.into())
        }

        fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.0.push(bytes.len());
            Ok(())
        }

        fn has_flow_control(&self) -> bool {
            true
        }
    }

    #[test]
    fn answers_fit_into_the_smallest_buffer_or_come_in_pieces() {
        let mut repl = Repl::new(Sent::default());
        repl.server.offer(&[b'x'; 1000]);
        let mut ends = false;
        repl.hear(b"9999 read 0 0", &mut ends).unwrap();
        let [whole] = repl.line.transport.0[..] else { panic!("{:?}", repl.line.transport.0) };
        assert!((HELD - 10..=HELD).contains(&whole), "{whole}");

        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("n".repeat(255)), "").unwrap();
        repl.server.share(directory.path()).unwrap();
        repl.hear(b"1 list Lw==", &mut ends).unwrap();
        repl.line.transport.0.clear();
        repl.hear(b"2 next 1", &mut ends).unwrap();
        let sizes = &repl.line.transport.0;
        assert!(sizes.len() > 2 && sizes.iter().all(|size| *size <= PIECE), "{sizes:?}");
    }
}
