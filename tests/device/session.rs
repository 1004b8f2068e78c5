//! A device in use: what runs on it, what comes over the line, and what goes wrong.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::Setup;
use super::application::{Application, Running};
use super::board::Board;
use super::faults::{Fault, Way, Wire};
use super::line::{Event, Line};
use super::lines::{Effect, Lines};
use super::loader::Loader;
use super::plug::Plug;
use super::protocol::{Dialect, Then};
use super::usb::{Identity, Plugged};

/// The rate of everything that finds no other: the boot log, MicroPython's REPL.
pub const DEFAULT_RATE: u32 = 115_200;

/// How long a device is away from the bus that comes back as another one.
const AWAY: Duration = Duration::from_millis(300);

/// How long the line is watched at a time.
const MOMENT: Duration = Duration::from_millis(2);

/// What the chip executes.
pub enum Mode {
    Loader(Box<Loader>),
    Application(Running),
    /// Nothing that answers: it is held in reset, or has crashed.
    Nothing,
}

/// What the handle on a device and its threads share.
pub struct Shared {
    pub board: Board,
    pub wire: Wire,
    pub lines: Lines,
    /// How long the line was busy, at the rates it had.
    pub line_time: Duration,
    pub resets: u64,
    pub running: &'static str,
    /// The handle wants the plug pulled.
    pub stop: bool,
}

pub struct Session {
    shared: Arc<Mutex<Shared>>,
    /// None only while it is away from the bus.
    plug: Option<Plug>,
    port: PathBuf,
    usb: Option<Plugged>,
    /// Whether it is on the bus as its loader is.
    as_loader: bool,
    mode: Mode,
    faults: Vec<Fault>,
    application: Application,
    straps: Straps,
    rate: u32,
    open: bool,
}

/// What the boot pin says at a reset that no line causes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Straps {
    /// It is held, or was when the chip last looked: such a reset leads into the loader again.
    Download,
    /// It was let go after the device was put into download mode: the next reset starts the application.
    Released,
}

/// The plug has been pulled.
struct Unplugged;

impl Session {
    /// A device behind a port of this name; `loader` tells whether it is in download mode.
    pub fn new(setup: Setup, port: PathBuf, shared: Arc<Mutex<Shared>>) -> Session {
        let mut session = Session {
            shared,
            plug: None,
            port,
            usb: setup.usb,
            as_loader: setup.loader,
            mode: Mode::Nothing,
            faults: setup.faults,
            application: setup.application,
            straps: setup.straps,
            rate: DEFAULT_RATE,
            open: false,
        };
        session.plug_in();
        session.begin(setup.loader);
        session
    }

    /// Puts it into the loader, or starts the application, before anybody has opened the port.
    fn begin(&mut self, loader: bool) {
        if loader {
            self.switch(Mode::Loader(Box::new(Loader::new(Dialect::Rom))));
        } else {
            self.boot();
        }
    }

    /// Runs until the plug is pulled.
    pub fn run(mut self) {
        while !self.lock().stop && self.moment().is_ok() {}
    }

    fn moment(&mut self) -> Result<(), Unplugged> {
        match self.line().receive(MOMENT) {
            Event::Closed => {
                self.open = false;
                thread::sleep(MOMENT);
            }
            Event::Bytes(bytes) => {
                self.opened();
                self.reset();
                self.take(&bytes)?;
            }
            Event::Nothing => self.opened(),
        }
        self.reset();
        // The boot pin is looked at again, and nobody holds it any more.
        if self.lock().board.watchdog_bites() {
            self.boot();
        }
        // What it has said by then waits for a host, so that no test has to be quick.
        if self.open
            && let Mode::Application(running) = &mut self.mode
        {
            let says = running.says();
            self.say(&says);
        }
        Ok(())
    }

    fn opened(&mut self) {
        if std::mem::replace(&mut self.open, true) {
            return;
        }
        let babble = self.faults.iter().find_map(|fault| match fault {
            Fault::Babble(bytes) => Some(bytes.clone()),
            _ => None,
        });
        self.say(&babble.unwrap_or_default());
    }

    /// Does what the modem lines want.
    fn reset(&mut self) {
        let effect = self.lock().lines.effect();
        match effect {
            Effect::Nothing => {}
            Effect::Held => self.switch(Mode::Nothing),
            Effect::Starts { loader } if loader || self.lock().board.wants_loader() => {
                self.restart();
            }
            Effect::Starts { .. } => self.boot(),
            Effect::Asked => {
                self.lock().board.want_loader();
                self.restart();
            }
        }
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Unplugged> {
        let host = self.line().rate();
        if let Mode::Loader(loader) = &self.mode
            && !loader.is_synced()
        {
            // The ROM measures the rate of what comes.
            self.rate = host;
        }
        for byte in bytes {
            let (arrived, received) = {
                let mut shared = self.lock();
                shared.line_time += byte_time(host);
                let arrived = shared.wire.carry(Way::ToDevice, &[*byte], &self.faults);
                (arrived, shared.wire.received)
            };
            self.execute(&self.at_rate(host, arrived))?;
            for fault in &self.faults {
                match fault {
                    Fault::Unplug { after } if received >= *after => return Err(Unplugged),
                    Fault::Stall { after, time } if received == *after => thread::sleep(*time),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    fn execute(&mut self, bytes: &[u8]) -> Result<(), Unplugged> {
        for byte in bytes {
            match &mut self.mode {
                Mode::Nothing => {}
                Mode::Application(running) => running.take(&[*byte]),
                Mode::Loader(loader) => {
                    let (says, then) = {
                        let mut shared = self.shared.lock().unwrap();
                        shared.board.rate = self.rate;
                        loader.receive(*byte, &mut shared.board)
                    };
                    self.say(&says);
                    self.then(then)?;
                }
            }
        }
        Ok(())
    }

    fn then(&mut self, then: Then) -> Result<(), Unplugged> {
        match then {
            Then::Nothing => {}
            Then::Rate(rate) => self.rate = rate,
            Then::Stub => self.switch(Mode::Loader(Box::new(Loader::new(Dialect::Stub)))),
            Then::SoftReset if self.straps == Straps::Download => self.restart(),
            Then::SoftReset | Then::Application => self.boot(),
            Then::PowerLost => return Err(Unplugged),
            Then::Crash => self.switch(Mode::Nothing),
        }
        Ok(())
    }

    /// A reset into the loader.
    fn restart(&mut self) {
        let log = {
            let mut shared = self.lock();
            shared.resets += 1;
            format!("{}waiting for download\r\n", shared.board.chip.boot_log(true))
        };
        self.rate = DEFAULT_RATE;
        self.switch(Mode::Loader(Box::new(Loader::new(Dialect::Rom))));
        self.say(log.as_bytes());
        self.enumerate(true);
    }

    /// A reset into the application.
    fn boot(&mut self) {
        let (log, running) = {
            let mut shared = self.shared.lock().unwrap();
            shared.resets += 1;
            (shared.board.chip.boot_log(false), self.application.boot(shared.board.nor.bytes()))
        };
        self.rate = DEFAULT_RATE;
        self.switch(Mode::Application(running));
        self.say(log.as_bytes());
        self.enumerate(false);
    }

    /// Leaves the bus and comes back, if it is of that kind.
    fn enumerate(&mut self, loader: bool) {
        let asked = self.faults.iter().find_map(|fault| match fault {
            Fault::Enumerates { away } => Some(*away),
            _ => None,
        });
        let other = self.identity(loader) != self.identity(self.as_loader);
        self.as_loader = loader;
        let away = asked.filter(|_| self.open && !loader).or(other.then_some(AWAY));
        if let Some(away) = away {
            self.plug = None;
            thread::sleep(away);
            self.plug_in();
            self.open = false;
        }
    }

    fn plug_in(&mut self) {
        let usb = self.usb.clone().zip(self.identity(self.as_loader));
        self.plug = Some(Plug::new(&self.port, &self.shared, usb));
    }

    fn identity(&self, loader: bool) -> Option<Identity> {
        Some(self.usb.as_ref()?.identity(loader))
    }

    fn switch(&mut self, mode: Mode) {
        {
            let mut shared = self.lock();
            shared.running = match &mode {
                Mode::Loader(loader) => loader.name(),
                Mode::Application(_) => "application",
                Mode::Nothing => "nothing",
            };
            shared.lines.program_runs(matches!(mode, Mode::Application(_)));
        }
        self.mode = mode;
    }

    /// Says something, if nothing keeps it from that.
    fn say(&mut self, bytes: &[u8]) {
        if bytes.is_empty() || !self.open {
            return;
        }
        let host = self.line().rate();
        let received = self.lock().wire.received;
        for fault in &self.faults {
            match fault {
                Fault::Silent => return,
                Fault::SilentAfter(after) if received >= *after => return,
                Fault::Slow(time) => thread::sleep(*time),
                _ => {}
            }
        }
        let says = {
            let mut shared = self.lock();
            shared.line_time += byte_time(self.rate) * bytes.len() as u32;
            shared.wire.carry(Way::ToHost, bytes, &self.faults)
        };
        let says = self.at_rate(host, says);
        self.line().send(&says);
    }

    /// What is understood when the host's rate is this: at another, bits are seen where there are none.
    /// USB without a bridge has no rate.
    fn at_rate(&self, host: u32, mut bytes: Vec<u8>) -> Vec<u8> {
        if host != self.rate && !self.lock().lines.is_usb() {
            bytes.iter_mut().for_each(|byte| *byte = byte.rotate_left(3) ^ 0x5A);
        }
        bytes
    }

    fn line(&mut self) -> &mut Line {
        &mut self.plug.as_mut().unwrap().line
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How long a byte takes with its start and stop bits.
fn byte_time(rate: u32) -> Duration {
    Duration::from_secs(10) / rate.max(1)
}
