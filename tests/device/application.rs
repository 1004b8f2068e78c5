//! What runs after a reset out of download mode.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use micropython_builder::repl::{Pipes, Transport};

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
            startup.run(&mut uart, Vec::new());
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
            says.extend(startup.run(uart, heard));
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

    /// Runs it before the host is listened to; returns the greeting that comes then. MicroPython has said something
    /// already since it started.
    fn run(&self, uart: &mut Pipes, heard: Vec<u8>) -> Vec<u8> {
        wait_for(uart, heard, b">>> ");
        uart.send(b"\x01").unwrap();
        wait_for(uart, Vec::new(), b"raw REPL; CTRL-B to exit\r\n>");
        uart.send(self.code.as_bytes()).unwrap();
        uart.send(b"\x04").unwrap();
        let said = wait_for(uart, Vec::new(), b"\x04>");
        assert!(said.ends_with(b"\x04\x04>"), "{}", String::from_utf8_lossy(&said));
        uart.send(b"\x02").unwrap();
        wait_for(uart, Vec::new(), b">>> ")
    }
}

fn wait_for(uart: &mut Pipes, mut heard: Vec<u8>, mark: &[u8]) -> Vec<u8> {
    let until = Instant::now() + Duration::from_secs(60);
    while !heard.ends_with(mark) {
        assert!(Instant::now() < until, "no {mark:?} in {}", String::from_utf8_lossy(&heard));
        heard.extend(receive(uart, Duration::from_millis(50)));
    }
    heard
}
