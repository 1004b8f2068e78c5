//! What runs after a reset out of download mode.

use std::io;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use micropython_builder::repl::{Pipes, Transport};

/// A program that runs what is in the flash, its standard input and output being the UART: an emulator
/// with MicroPython.
pub type Program = Box<dyn FnMut(&[u8]) -> Command + Send>;

pub enum Application {
    /// It says this and no more: a boot log, a panic.
    Says(Vec<u8>),
    Runs(Program),
}

/// An application that has been started. It ends when this is dropped.
pub enum Running {
    Said(Vec<u8>),
    Program { child: Child, uart: Pipes },
}

impl Application {
    pub fn boot(&mut self, flash: &[u8]) -> Running {
        match self {
            Application::Says(log) => Running::Said(log.clone()),
            Application::Runs(program) => {
                let mut command = program(flash);
                let mut child =
                    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
                let (output, input) = (child.stdout.take().unwrap(), child.stdin.take().unwrap());
                Running::Program { child, uart: Pipes::new(output, input).unwrap() }
            }
        }
    }
}

impl Running {
    /// What it has said since the last call.
    pub fn says(&mut self) -> Vec<u8> {
        let uart = match self {
            Running::Said(log) => return std::mem::take(log),
            Running::Program { uart, .. } => uart,
        };
        let mut buffer = [0; 4096];
        match uart.receive(&mut buffer, Duration::from_millis(1)) {
            Ok(count) => buffer[..count].to_vec(),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Vec::new(),
            Err(error) => panic!("the application's UART: {error}"),
        }
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
