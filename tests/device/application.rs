//! What runs after a reset out of download mode.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use micropython_builder::repl::{Pipes, Transport};

const CTRL_A: &[u8] = b"\x01";
const CTRL_B: &[u8] = b"\x02";
const CTRL_D: &[u8] = b"\x04";

/// The prompts of the friendly and the raw REPL, and the end of the friendly one's greeting.
const PROMPT: &[u8] = b">>> ";
const RAW_PROMPT: &[u8] = b"raw REPL; CTRL-B to exit\r\n>";
const GREETED: &[u8] = b"for more information.\r\n>>> ";

/// A program that runs what is in the flash, its standard input and output being the UART: an emulator
/// with MicroPython.
pub type Program = Box<dyn FnMut(&[u8]) -> Command + Send>;

pub enum Application {
    /// It says this and no more: a boot log, a panic.
    Says(Vec<u8>),
    Runs(Program),
    /// The same, and MicroPython runs this code whenever it starts, as ports with a file system do: an emulated board
    /// has none.
    RunsWith(Program, &'static str),
}

/// An application that has been started. It ends when this is dropped.
pub enum Running {
    Said(Vec<u8>),
    Program { child: Child, uart: Pipes, startup: Option<Startup> },
}

impl Application {
    pub fn boot(&mut self, flash: &[u8]) -> Running {
        let (program, code) = match self {
            Application::Says(log) => return Running::Said(log.clone()),
            Application::Runs(program) => (program, None),
            Application::RunsWith(program, code) => (program, Some(*code)),
        };
        let mut command = program(flash);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (output, input) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
        let mut uart = Pipes::new(output, input).unwrap();
        let startup = code.map(|code| Startup { code, heard: Vec::new() });
        if let Some(startup) = &startup {
            wait_for(&mut uart, Vec::new(), PROMPT);
            startup.run(&mut uart);
            leave_raw(&mut uart);
        }
        Running::Program { child, uart, startup }
    }
}

impl Running {
    /// What it has said since the last call.
    pub fn says(&mut self) -> Vec<u8> {
        let (uart, startup) = match self {
            Running::Said(log) => return std::mem::take(log),
            Running::Program { uart, startup, .. } => (uart, startup),
        };
        let mut says = receive(uart, Duration::from_millis(1));
        if let Some(startup) = startup
            && let Some(heard) = startup.starts(&says)
        {
            says.truncate(says.len() - heard.len());
            says.extend(startup.resume(uart, heard));
        }
        says
    }

    pub fn take(&mut self, bytes: &[u8]) {
        if let Running::Program { uart, .. } = self {
            // One that has ended takes nothing.
            let _ = uart.send(bytes);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Running::Program { child, .. } = self {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What comes within a while.
fn receive(uart: &mut Pipes, wait: Duration) -> Vec<u8> {
    let mut buffer = [0; 4096];
    match uart.receive(&mut buffer, wait) {
        Ok(count) => buffer[..count].to_vec(),
        Err(error) if error.kind() == io::ErrorKind::TimedOut => Vec::new(),
        Err(error) => panic!("the application's UART: {error}"),
    }
}

/// Code that MicroPython runs whenever it starts.
pub struct Startup {
    code: &'static str,
    /// What came since it started last.
    heard: Vec<u8>,
}

impl Startup {
    /// What MicroPython has said since it started anew, if it does.
    fn starts(&mut self, says: &[u8]) -> Option<Vec<u8>> {
        const ANEW: &[u8] = b"soft reboot\r\n";
        self.heard.extend(says);
        let at = self.heard.windows(ANEW.len()).position(|window| window == ANEW)?;
        Some(std::mem::take(&mut self.heard).split_off(at + ANEW.len()))
    }

    /// Runs it after a soft reset, as if the host were listened to only then. Returns what MicroPython says at its
    /// first prompt.
    fn resume(&self, uart: &mut Pipes, heard: Vec<u8>) -> Vec<u8> {
        // The host may have spoken already. All of that is answered when this is, with a second greeting.
        uart.send(CTRL_B).unwrap();
        let heard = wait_until(uart, heard, |heard| {
            heard.ends_with(PROMPT)
                && heard.windows(GREETED.len()).filter(|it| *it == GREETED).count() > 1
        });
        self.run(uart);
        let in_raw = heard.windows(RAW_PROMPT.len()).any(|it| it == RAW_PROMPT);
        if in_raw { RAW_PROMPT.to_vec() } else { leave_raw(uart) }
    }

    /// Runs it from the friendly REPL, and stays in the raw one.
    fn run(&self, uart: &mut Pipes) {
        uart.send(CTRL_A).unwrap();
        wait_for(uart, Vec::new(), RAW_PROMPT);
        uart.send(self.code.as_bytes()).unwrap();
        uart.send(CTRL_D).unwrap();
        let said = wait_for(uart, Vec::new(), b"\x04>");
        assert!(said.ends_with(b"\x04\x04>"), "{}", String::from_utf8_lossy(&said));
    }
}

/// Goes back to the friendly REPL, and returns its greeting.
fn leave_raw(uart: &mut Pipes) -> Vec<u8> {
    uart.send(CTRL_B).unwrap();
    wait_for(uart, Vec::new(), PROMPT)
}

/// Receives until what was heard ends so.
fn wait_for(uart: &mut Pipes, heard: Vec<u8>, end: &[u8]) -> Vec<u8> {
    wait_until(uart, heard, |heard| heard.ends_with(end))
}

fn wait_until(uart: &mut Pipes, mut heard: Vec<u8>, enough: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let until = Instant::now() + Duration::from_secs(60);
    while !enough(&heard) {
        assert!(Instant::now() < until, "no more than this: {}", String::from_utf8_lossy(&heard));
        heard.extend(receive(uart, Duration::from_millis(50)));
    }
    heard
}
