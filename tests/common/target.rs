//! A target that speaks the raw REPL as `shared/runtime/pyexec.c` of MicroPython does, and is strict
//! about it: it fails the test when the host sends more than it has offered room for.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use micropython_builder::repl::Transport;

pub const BANNER: &[u8] = b"raw REPL; CTRL-B to exit\r\n>";

/// What a target does with the host's request for raw-paste mode.
#[derive(Debug, Clone, Copy)]
pub enum Paste {
    /// Takes it, with this window.
    Window(u16),
    /// Knows the request and refuses.
    Refused,
    /// Does not know it.
    Unknown,
}

/// How code ends on the target.
#[derive(Debug, Clone)]
pub enum End {
    Done,
    Raises(&'static str),
    SystemExit,
    /// It does not compile: the target wants no more after this many bytes.
    RefusedAfter(usize),
    /// The stream ends.
    Gone,
    /// Nothing more comes.
    Hangs,
}

/// What happens when code is run: called with the code.
pub type Python = Box<dyn FnMut(&[u8]) -> (Vec<u8>, End)>;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Friendly,
    Raw,
    Paste { window: usize },
}

pub struct Target {
    mode: Mode,
    paste: Paste,
    python: Python,
    outgoing: VecDeque<u8>,
    incoming: VecDeque<u8>,
    line: Vec<u8>,
    /// How much of the raw paste the host may still send.
    room: usize,
    /// How much of the window the target has yet to read before it offers another.
    unread: usize,
    refused: bool,
    /// How many bytes one `receive` returns at most.
    pub step: usize,
    /// How many calls for the raw REPL must have come before the target gets to any of them.
    pub deaf: usize,
    gone: bool,
}

impl Target {
    pub fn new(paste: Paste, python: Python) -> Target {
        Target {
            mode: Mode::Friendly,
            paste,
            python,
            outgoing: b"noise \x00\xff at boot\r\nMicroPython v1.25.0\r\n>>> "
                .iter()
                .copied()
                .collect(),
            incoming: VecDeque::new(),
            line: Vec::new(),
            room: 0,
            unread: 0,
            refused: false,
            step: usize::MAX,
            deaf: 0,
            gone: false,
        }
    }

    fn say(&mut self, bytes: &[u8]) {
        self.outgoing.extend(bytes);
    }

    /// Reads what has come, as a target does when it gets to it.
    fn work(&mut self) {
        while let Some(byte) = self.incoming.pop_front() {
            match self.mode {
                Mode::Friendly => self.friendly(byte),
                Mode::Raw => self.raw(byte),
                Mode::Paste { window } => self.pasted(byte, window),
            }
        }
    }

    fn friendly(&mut self, byte: u8) {
        match byte {
            1 => {
                self.mode = Mode::Raw;
                self.say(b"\r\n");
                self.say(BANNER);
            }
            b'\r' | 3 => self.say(b"\r\n>>> "),
            _ => self.say(&[byte]),
        }
    }

    fn raw(&mut self, byte: u8) {
        match byte {
            1 if self.line == b"\x05A" => {
                self.line.clear();
                match self.paste {
                    Paste::Window(window) => {
                        self.say(b"R\x01");
                        self.say(&window.to_le_bytes());
                        self.say(b"\x01");
                        let window = usize::from(window);
                        self.room = 2 * window;
                        self.unread = window;
                        self.refused = false;
                        self.mode = Mode::Paste { window };
                    }
                    Paste::Refused => self.say(b"R\x00>"),
                    Paste::Unknown => self.say(BANNER),
                }
            }
            1 => {
                self.line.clear();
                self.say(BANNER);
            }
            2 => {
                self.line.clear();
                self.mode = Mode::Friendly;
                self.say(b"\r\nMicroPython v1.25.0\r\n>>> ");
            }
            3 => self.line.clear(),
            4 => {
                self.say(b"OK");
                let code = std::mem::take(&mut self.line);
                if code.is_empty() {
                    self.say(b"\r\nMPY: soft reboot\r\n");
                    self.say(BANNER);
                    return;
                }
                self.execute(&code);
            }
            _ => self.line.push(byte),
        }
    }

    fn pasted(&mut self, byte: u8, window: usize) {
        if byte == 4 {
            self.mode = Mode::Raw;
            let code = std::mem::take(&mut self.line);
            if self.refused {
                self.say(b"\x04Traceback (most recent call last):\r\nSyntaxError: invalid syntax\r\n\x04>");
                return;
            }
            self.say(b"\x04");
            self.execute(&code);
            return;
        }
        assert!(self.room > 0, "the host sent more than the target has room for");
        self.room -= 1;
        self.line.push(byte);
        if self.refused {
            return;
        }
        if let (_, End::RefusedAfter(limit)) = (self.python)(&self.line)
            && self.line.len() >= limit
        {
            self.refused = true;
            self.say(b"\x04");
            return;
        }
        self.unread -= 1;
        if self.unread == 0 {
            self.unread = window;
            self.room += window;
            self.say(b"\x01");
        }
    }

    fn execute(&mut self, code: &[u8]) {
        if code.starts_with(b"print('sync") {
            let word = &code[7..code.len() - 2];
            self.say(word);
            self.say(b"\r\n\x04\x04>");
            return;
        }
        let (output, end) = (self.python)(code);
        self.say(&output);
        match end {
            End::Done => self.say(b"\x04\x04>"),
            End::Raises(traceback) => {
                self.say(b"\x04");
                self.say(traceback.replace('\n', "\r\n").as_bytes());
                self.say(b"\x04>");
            }
            End::SystemExit => {
                self.say(b"\x04\x04MPY: soft reboot\r\n");
                self.say(BANNER);
            }
            End::RefusedAfter(_) => panic!("code that does not compile was run"),
            End::Gone => self.gone = true,
            End::Hangs => {}
        }
    }
}

impl Transport for Target {
    fn receive(&mut self, buffer: &mut [u8], wait: Duration) -> io::Result<usize> {
        let calls = self.incoming.iter().filter(|byte| **byte == 1).count();
        if self.outgoing.is_empty() && (self.mode != Mode::Friendly || calls > self.deaf) {
            self.work();
        }
        let count = self.outgoing.len().min(buffer.len()).min(self.step);
        if count == 0 && self.gone {
            return Ok(0);
        }
        if count == 0 {
            std::thread::sleep(wait.min(Duration::from_millis(5)));
            return Err(io::ErrorKind::TimedOut.into());
        }
        for (place, byte) in buffer.iter_mut().zip(self.outgoing.drain(..count)) {
            *place = byte;
        }
        Ok(count)
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.incoming.extend(bytes);
        Ok(())
    }

    fn has_flow_control(&self) -> bool {
        true
    }
}
