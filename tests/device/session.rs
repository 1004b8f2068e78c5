//! A device in use: what runs on it, what comes over the line, and what goes wrong.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::application::{Application, Running};
use super::faults::{Fault, Way, Wire};
use super::line::{Event, Line};
use super::loader::{Board, Dialect, Loader, Then};

/// The rate of everything that finds no other: the boot log, MicroPython's REPL.
pub const DEFAULT_RATE: u32 = 115_200;

/// How long the line is watched at a time.
const MOMENT: Duration = Duration::from_millis(5);

/// What the chip executes.
enum Mode {
    Loader(Box<Loader>),
    Application(Running),
    /// Nothing that answers.
    Nothing,
}

/// What the handle on a device and its thread share.
pub struct Shared {
    pub board: Board,
    pub wire: Wire,
    /// How long the line was busy, at the rates it had.
    pub line_time: Duration,
    pub resets: u64,
    pub running: &'static str,
    /// The handle wants the plug pulled.
    pub stop: bool,
}

pub struct Session {
    shared: Arc<Mutex<Shared>>,
    line: Line,
    mode: Mode,
    faults: Vec<Fault>,
    application: Application,
    /// What a reset starts.
    straps: Straps,
    rate: u32,
    open: bool,
}

/// What the boot pin says at a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Straps {
    /// It is held: a reset leads into the loader again.
    Download,
    /// It was let go after the device was put into download mode: the next reset starts the application.
    Released,
}

impl Session {
    pub fn new(
        shared: Arc<Mutex<Shared>>,
        line: Line,
        faults: Vec<Fault>,
        application: Application,
        straps: Straps,
    ) -> Session {
        let mode = Mode::Loader(Box::new(Loader::new(Dialect::Rom)));
        let (rate, open) = (DEFAULT_RATE, false);
        Session { shared, line, mode, faults, application, straps, rate, open }
    }

    /// Runs until the plug is pulled.
    pub fn run(mut self) {
        loop {
            match self.line.receive(MOMENT) {
                Event::Closed => {
                    self.open = false;
                    thread::sleep(MOMENT);
                }
                Event::Bytes(bytes) => {
                    self.opened();
                    if !self.take(&bytes) {
                        return;
                    }
                }
                Event::Nothing => self.opened(),
            }
            if let Mode::Application(running) = &mut self.mode {
                let says = running.says();
                self.say(&says);
            }
            if self.shared.lock().unwrap().stop {
                return;
            }
        }
    }

    fn opened(&mut self) {
        if std::mem::replace(&mut self.open, true) {
            return;
        }
        let babble: Vec<u8> = self
            .faults
            .iter()
            .filter_map(|fault| if let Fault::Babble(bytes) = fault { Some(bytes) } else { None })
            .flatten()
            .copied()
            .collect();
        self.say(&babble);
    }

    /// Takes bytes from the host; false when the plug was pulled.
    fn take(&mut self, bytes: &[u8]) -> bool {
        let host = self.line.rate();
        if let Mode::Loader(loader) = &self.mode
            && !loader.is_synced()
        {
            // The ROM measures the rate of what comes.
            self.rate = host;
        }
        for byte in bytes {
            let (arrived, received) = {
                let mut shared = self.shared.lock().unwrap();
                shared.line_time += byte_time(host);
                let arrived = shared.wire.carry(Way::ToDevice, &[*byte], &self.faults);
                (arrived, shared.wire.received)
            };
            for byte in arrived {
                // At another rate, bits are seen where there are none.
                let byte = if host == self.rate { byte } else { byte.rotate_left(3) ^ 0x5A };
                if !self.execute(byte) {
                    return false;
                }
            }
            for fault in &self.faults {
                match fault {
                    Fault::Unplug { after } if received >= *after => return false,
                    Fault::Stall { after, time } if received == *after => thread::sleep(*time),
                    _ => {}
                }
            }
        }
        true
    }

    fn execute(&mut self, byte: u8) -> bool {
        match &mut self.mode {
            Mode::Nothing => true,
            Mode::Application(running) => {
                running.take(byte);
                true
            }
            Mode::Loader(loader) => {
                let (says, then) = {
                    let mut shared = self.shared.lock().unwrap();
                    shared.board.rate = self.rate;
                    loader.receive(byte, &mut shared.board)
                };
                self.say(&says);
                self.then(then)
            }
        }
    }

    fn then(&mut self, then: Then) -> bool {
        match then {
            Then::Nothing => {}
            Then::Rate(rate) => self.rate = rate,
            Then::Stub => self.become_(Mode::Loader(Box::new(Loader::new(Dialect::Stub)))),
            Then::SoftReset if self.straps == Straps::Download => self.reset_into_loader(),
            Then::SoftReset | Then::Application => self.boot(),
            Then::Gone
                if self.faults.iter().any(|fault| matches!(fault, Fault::PowerCut { .. })) =>
            {
                return false;
            }
            Then::Gone => self.become_(Mode::Nothing),
        }
        true
    }

    fn reset_into_loader(&mut self) {
        self.shared.lock().unwrap().resets += 1;
        self.become_(Mode::Loader(Box::new(Loader::new(Dialect::Rom))));
        self.rate = DEFAULT_RATE;
    }

    fn boot(&mut self) {
        let running = {
            let mut shared = self.shared.lock().unwrap();
            shared.resets += 1;
            self.application.boot(shared.board.nor.bytes())
        };
        self.rate = DEFAULT_RATE;
        self.become_(Mode::Application(running));
    }

    fn become_(&mut self, mode: Mode) {
        self.shared.lock().unwrap().running = match &mode {
            Mode::Loader(loader) => loader.name(),
            Mode::Application(_) => "application",
            Mode::Nothing => "nothing",
        };
        self.mode = mode;
    }

    /// Says something, if nothing keeps it from that.
    fn say(&mut self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let mut says = {
            let mut shared = self.shared.lock().unwrap();
            let received = shared.wire.received;
            for fault in &self.faults {
                match fault {
                    Fault::Silent => return,
                    Fault::SilentAfter(after) if received >= *after => return,
                    Fault::Slow(time) => thread::sleep(*time),
                    _ => {}
                }
            }
            shared.line_time += byte_time(self.rate) * bytes.len() as u32;
            shared.wire.carry(Way::ToHost, bytes, &self.faults)
        };
        if self.open && self.line.rate() != self.rate {
            says.iter_mut().for_each(|byte| *byte = byte.rotate_left(3) ^ 0x5A);
        }
        self.line.send(&says);
    }
}

/// How long a byte takes with its start and stop bits.
fn byte_time(rate: u32) -> Duration {
    Duration::from_secs(10) / rate.max(1)
}
