//! What runs after a reset out of download mode.

use std::io;
use std::time::Duration;

use micropython_builder::repl::Transport;

/// Starts what the flash holds, and returns the line to it.
pub type Start = Box<dyn FnMut(&[u8]) -> Box<dyn Transport + Send> + Send>;

pub enum Application {
    /// It says this and no more: a boot log, a panic.
    Says(Vec<u8>),
    /// Something real, for example MicroPython in an emulator.
    Real(Start),
}

/// An application that has been started.
pub struct Running {
    line: Option<Box<dyn Transport + Send>>,
    log: Vec<u8>,
}

impl Application {
    pub fn boot(&mut self, flash: &[u8]) -> Running {
        match self {
            Application::Says(log) => Running { line: None, log: log.clone() },
            Application::Real(start) => Running { line: Some(start(flash)), log: Vec::new() },
        }
    }
}

impl Running {
    /// What it has said since the last call.
    pub fn says(&mut self) -> Vec<u8> {
        let mut says = std::mem::take(&mut self.log);
        let mut buffer = [0; 4096];
        if let Some(line) = &mut self.line {
            match line.receive(&mut buffer, Duration::from_millis(1)) {
                Ok(count) => says.extend(&buffer[..count]),
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {}
                Err(error) => panic!("the application's line: {error}"),
            }
        }
        says
    }

    pub fn take(&mut self, byte: u8) {
        if let Some(line) = &mut self.line {
            let _ = line.send(&[byte]);
        }
    }
}
