//! The modem lines DTR and RTS, with which a host resets a device into its loader.
//!
//! A pseudo-terminal has none. `lines.c`, preloaded into the host program, sends them over a socket.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const DTR: u8 = 0x02;
const RTS: u8 = 0x04;

/// How long MicroPython waits before it starts the loader that it was asked for.
const ASKED: Duration = Duration::from_millis(250);

/// The capacitor at the reset pin: the boot pin is looked at so long after a reset.
const RISE: Duration = Duration::from_millis(15);

/// What the lines are wired to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wiring {
    /// The two transistors of a development board.
    Board,
    /// The chip's own USB interface, which understands them without a circuit.
    UsbJtag,
    /// MicroPython's USB on a chip that has one for programs; while the loader runs, the chip's other one.
    MicroPythonUsb,
    /// Nothing: somebody has to press buttons.
    Nowhere,
}

/// What the lines do to the chip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    /// The chip is held in reset.
    Held,
    /// It starts now; whether the loader or the application.
    Starts {
        loader: bool,
    },
    /// The program that runs has been asked for the loader, and starts it.
    Asked,
}

#[derive(Debug)]
pub struct Lines {
    wiring: Wiring,
    state: u8,
    held: bool,
    /// Since when it is no longer.
    released: Option<Instant>,
    /// What the USB interface remembers: the next reset leads into the loader.
    flag: bool,
    /// Whether a program runs, not the loader.
    program: bool,
    /// Since when it has been asked for the loader.
    asked: Option<Instant>,
}

impl Lines {
    /// Both lines are raised when a port is opened, which does nothing.
    pub fn new(wiring: Wiring) -> Lines {
        Lines {
            wiring,
            state: DTR | RTS,
            held: false,
            released: None,
            flag: false,
            program: false,
            asked: None,
        }
    }

    /// Whether they come by the chip's own USB.
    pub fn is_usb(&self) -> bool {
        matches!(self.wiring, Wiring::UsbJtag | Wiring::MicroPythonUsb)
    }

    pub fn program_runs(&mut self, program: bool) {
        self.program = program;
    }

    /// A message of the host; returns the new state.
    pub fn message(&mut self, what: u8, bits: u8) -> u8 {
        let bits = bits & (DTR | RTS);
        let state = match what {
            1 => bits,
            2 => self.state | bits,
            3 => self.state & !bits,
            _ => return self.state,
        };
        let before = std::mem::replace(&mut self.state, state);
        if self.wiring == Wiring::MicroPythonUsb && self.program {
            // `tud_cdc_line_state_cb` of its shared/tinyusb/mp_usbd_cdc.c.
            if (before, state) == (RTS, DTR) {
                self.asked = Some(Instant::now());
            }
            return state;
        }
        // Both circuits agree that RTS alone resets.
        let held = state == RTS && self.wiring != Wiring::Nowhere;
        if self.held && !held {
            self.released = Some(Instant::now());
        }
        if held {
            self.released = None;
        }
        self.held = held;
        match state {
            DTR => self.flag = true,
            // The chip has started with it when the lines come to rest.
            0 if self.released.is_none() => self.flag = false,
            _ => {}
        }
        state
    }

    /// What the chip does now.
    pub fn effect(&mut self) -> Effect {
        if self.asked.take_if(|at| at.elapsed() >= ASKED).is_some() {
            return Effect::Asked;
        }
        match self.released {
            _ if self.held => Effect::Held,
            Some(at) if at.elapsed() < RISE => Effect::Held,
            Some(_) => {
                self.released = None;
                let loader = match self.wiring {
                    Wiring::UsbJtag | Wiring::MicroPythonUsb => std::mem::take(&mut self.flag),
                    _ => self.state == DTR,
                };
                Effect::Starts { loader }
            }
            None => Effect::Nothing,
        }
    }
}

/// Where the lines of a terminal are asked for.
fn address(terminal: &Path) -> SocketAddr {
    let number = terminal.file_name().unwrap().to_str().unwrap();
    SocketAddr::from_abstract_name(format!("simulated-device-{number}")).unwrap()
}

/// Serves the lines of a terminal until [`hang_up`]; what takes a message returns the lines' state.
pub fn serve(terminal: &Path, take: impl Fn(u8, u8) -> u8 + Send + 'static) -> JoinHandle<()> {
    let listener = listen(&address(terminal));
    thread::spawn(move || {
        for host in listener.incoming() {
            let (mut host, mut message) = (host.unwrap(), [0; 2]);
            if host.read_exact(&mut message).is_err() {
                return;
            }
            let _ = host.write_all(&[take(message[0], message[1])]);
        }
    })
}

/// A program that is being started holds what it inherits for a moment: the socket of a device that is gone,
/// whose terminal's number is free again.
fn listen(address: &SocketAddr) -> UnixListener {
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match UnixListener::bind_addr(address) {
            Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < until => {
                thread::sleep(Duration::from_millis(1));
            }
            listener => return listener.unwrap(),
        }
    }
}

/// Ends what [`serve`] began: by a message that is none.
pub fn hang_up(terminal: &Path) {
    drop(UnixStream::connect_addr(&address(terminal)));
}

/// The variables that preload the library into a host program. Its name and its place are apart: a path that has spaces
/// would be taken for several.
pub type Preloaded = [(&'static str, &'static OsStr); 2];

/// Preloads the library into a host program; none where it cannot be compiled.
pub fn preload() -> Option<Preloaded> {
    const NAME: &str = "modem-lines.so";
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT
        .get_or_init(|| {
            if !crate::common::require("gcc") {
                return None;
            }
            let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/device");
            let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
            // Test programs run side by side: each exchanges it for its own, which is the same.
            let own = directory.join(format!("modem-lines-{}.so", std::process::id()));
            let mut compile = Command::new("gcc");
            compile.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]).arg(&own);
            compile.args([sources.join("lines.c"), sources.join("usb.c")]);
            assert!(compile.status().unwrap().success(), "lines.c or usb.c does not compile");
            fs::rename(own, directory.join(NAME)).unwrap();
            Some(directory.to_owned())
        })
        .as_deref()
        .map(|directory| {
            [("LD_PRELOAD", NAME.as_ref()), ("LD_LIBRARY_PATH", directory.as_os_str())]
        })
}
