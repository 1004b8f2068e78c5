//! A simulated ESP32 on a pseudo-terminal: its ROM loader, the flasher stub, its flash chip, and faults.
//!
//! `loader` answers commands as the ROM or as the stub does, on a `board` with registers and a `nor` flash chip.
//! `session` runs it on the `line` of a `plug`, `usb` shows that to the host; `lines` are the modem lines that reset it, `faults` what goes wrong,
//! `application` what runs after a reset. It does things at once; the time that a line at its rate and a flash chip
//! would have taken is counted ([`Stats`]), so that figures do not depend on the machine.

mod application;
mod board;
pub mod chip;
mod download;
pub mod faults;
mod line;
pub mod lines;
mod loader;
mod nor;
mod plug;
pub mod protocol;
mod reading;
mod session;
pub mod slip;
pub mod usb;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tempfile::TempDir;

use application::{Application, Program};
use board::Board;
use chip::{Chip, Identity};
use faults::{Fault, Harm, Way, Wire};
use lines::{Lines, Wiring};
use nor::Nor;
use protocol::Command;
use session::{Session, Shared, Straps};
use usb::Plugged;

/// What the port is called.
const PORT: &str = "ttyUSB0";

/// A device that has yet to be plugged in.
pub struct Setup {
    chip: Chip,
    identity: Identity,
    flash: Vec<u8>,
    faults: Vec<Fault>,
    application: Application,
    straps: Straps,
    wiring: Wiring,
    usb: Option<Plugged>,
    /// Whether it is in download mode when it is plugged in.
    loader: bool,
}

/// A device that is plugged in. It is unplugged when this is dropped.
pub struct Device {
    shared: Arc<Mutex<Shared>>,
    thread: Option<JoinHandle<()>>,
    directory: TempDir,
}

/// What has happened since the device was plugged in.
#[derive(Debug, Clone)]
pub struct Stats {
    /// Bytes from the host.
    pub received: u64,
    /// Bytes to the host.
    pub sent: u64,
    /// How often each command came.
    pub commands: HashMap<Command, u64>,
    /// Bytes of the flash that were erased and programmed, and in how many operations.
    pub erased: u64,
    pub written: u64,
    pub operations: u64,
    pub resets: u64,
    /// What is running: `rom`, `stub`, `application` or `nothing`.
    pub running: &'static str,
    /// How long the line would have been busy with these bytes at the rates it had.
    pub line_time: Duration,
    /// How long the flash chip would have been busy.
    pub flash_time: Duration,
}

impl Device {
    /// A device with an empty flash chip of 4 MiB, in download mode.
    #[allow(clippy::new_ret_no_self)]
    pub fn new(chip: Chip) -> Setup {
        let identity = Identity {
            mac: [0x24, 0x6F, 0x28, 0x01, 0x02, 0x03],
            revision: if chip == Chip::Esp32 { (3, 0) } else { (0, 2) },
            secure_boot: false,
            flash_encryption: false,
            secure_download: false,
        };
        Setup {
            chip,
            identity,
            flash: vec![0xFF; 4 << 20],
            faults: Vec::new(),
            application: Application::Says(Vec::new()),
            straps: Straps::Download,
            wiring: Wiring::Nowhere,
            usb: None,
            loader: true,
        }
    }

    /// The serial port to give to a host.
    pub fn port(&self) -> PathBuf {
        self.directory.path().join(PORT)
    }

    /// A copy of what the flash chip holds.
    pub fn flash(&self) -> Vec<u8> {
        self.lock().board.nor.bytes().to_vec()
    }

    /// Puts bytes into the flash chip as if they had always been there.
    pub fn write_flash(&self, offset: usize, bytes: &[u8]) {
        self.lock().board.nor.put(offset, bytes);
    }

    pub fn stats(&self) -> Stats {
        let shared = self.lock();
        let (board, nor) = (&shared.board, &shared.board.nor);
        Stats {
            received: shared.wire.received,
            sent: shared.wire.sent,
            commands: board.commands.clone(),
            erased: nor.erased,
            written: nor.written,
            operations: nor.operations,
            resets: shared.resets,
            running: shared.running,
            line_time: shared.line_time,
            flash_time: nor.busy,
        }
    }

    /// Pulls the plug, if it is still in: what can be plugged in again is the chip with its flash.
    pub fn unplug(mut self) -> Setup {
        self.stop();
        let shared = self.lock();
        let (board, flash) = (&shared.board, shared.board.nor.bytes().to_vec());
        Setup { identity: board.identity.clone(), flash, ..Device::new(board.chip) }
    }

    fn stop(&mut self) {
        self.lock().stop = true;
        if let Some(thread) = self.thread.take() {
            let ended = thread.join();
            assert!(ended.is_ok() || thread::panicking(), "the device failed");
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Setup {
    /// The flash chip, all erased.
    pub fn flash_size(self, size: usize) -> Setup {
        self.flash_image(vec![0xFF; size])
    }

    /// The flash chip with what it holds.
    pub fn flash_image(self, flash: Vec<u8>) -> Setup {
        Setup { flash, ..self }
    }

    pub fn mac(mut self, mac: [u8; 6]) -> Setup {
        self.identity.mac = mac;
        self
    }

    pub fn revision(mut self, major: u32, minor: u32) -> Setup {
        self.identity.revision = (major, minor);
        self
    }

    pub fn secure_boot(mut self) -> Setup {
        self.identity.secure_boot = true;
        self
    }

    pub fn flash_encryption(mut self) -> Setup {
        self.identity.flash_encryption = true;
        self
    }

    pub fn secure_download(mut self) -> Setup {
        self.identity.secure_download = true;
        self
    }

    pub fn fault(mut self, fault: Fault) -> Setup {
        self.faults.push(fault);
        self
    }

    /// The boot pin is no longer held: the next reset starts the application.
    pub fn boot_pin_released(self) -> Setup {
        Setup { straps: Straps::Released, ..self }
    }

    /// How the modem lines reset it; for host programs that run with [`lines::preload`].
    pub fn wiring(self, wiring: Wiring) -> Setup {
        Setup { wiring, ..self }
    }

    /// Where it is on a USB, and what as.
    pub fn on_usb(self, plugged: Plugged) -> Setup {
        Setup { usb: Some(plugged), ..self }
    }

    /// It is not in download mode when it is plugged in: its application runs.
    pub fn running_application(self) -> Setup {
        Setup { loader: false, ..self }
    }

    /// What the application says after a reset: a boot log, a panic.
    pub fn boots_saying(self, log: impl Into<Vec<u8>>) -> Setup {
        Setup { application: Application::Says(log.into()), ..self }
    }

    /// A program to run after a reset, which is told what the flash holds.
    pub fn boots(self, program: Program) -> Setup {
        Setup { application: Application::Runs(program), ..self }
    }

    /// The same, where MicroPython runs this code whenever it starts.
    pub fn boots_with(self, program: Program, code: &'static str) -> Setup {
        Setup { application: Application::RunsWith(program, code), ..self }
    }

    /// Plugs it in.
    pub fn start(self) -> Device {
        let board = self.board();
        let shared = Arc::new(Mutex::new(Shared {
            board,
            wire: Wire::default(),
            lines: Lines::new(self.wiring),
            line_time: Duration::ZERO,
            resets: 0,
            running: "nothing",
            stop: false,
        }));
        let directory = tempfile::tempdir().unwrap();
        let port = directory.path().join(PORT);
        let session = Session::new(self, port, Arc::clone(&shared));
        let thread = Some(thread::spawn(move || session.run()));
        Device { shared, thread, directory }
    }

    fn board(&self) -> Board {
        let mut nor = Nor::new(self.flash.clone());
        let mut size = nor.len();
        for fault in &self.faults {
            match fault {
                Fault::SaysFlashSize(said) => size = *said,
                Fault::WornCell(offset) => nor.worn = Some(*offset),
                Fault::PowerCut { operation } => nor.fuse = Some(*operation),
                _ => {}
            }
        }
        Board::new(self.chip, self.identity.clone(), nor, size, session::DEFAULT_RATE)
    }
}

// Each test program uses some of these.
const _: [fn(Setup) -> Setup; 5] = [
    Setup::secure_boot,
    Setup::flash_encryption,
    Setup::secure_download,
    Setup::boot_pin_released,
    Setup::running_application,
];
const _: fn(Setup, usize) -> Setup = Setup::flash_size;
const _: fn(Setup, [u8; 6]) -> Setup = Setup::mac;
const _: fn(Setup, u32, u32) -> Setup = Setup::revision;
const _: fn(Setup, Fault) -> Setup = Setup::fault;
const _: fn(Setup, Vec<u8>) -> Setup = Setup::boots_saying;
const _: fn(Setup, Program) -> Setup = Setup::boots;
const _: fn(Setup, Program, &'static str) -> Setup = Setup::boots_with;
const _: fn(Setup, Wiring) -> Setup = Setup::wiring;
const _: [Wiring; 3] = [Wiring::Board, Wiring::UsbJtag, Wiring::MicroPythonUsb];
const _: fn(Setup, Plugged) -> Setup = Setup::on_usb;
const _: fn() -> usb::Bus = usb::Bus::new;
const _: fn(&usb::Bus, &mut std::process::Command) = usb::Bus::show;
const _: fn() -> Option<lines::Preloaded> = lines::preload;
const _: fn(&Device, usize, &[u8]) = Device::write_flash;
const _: fn(&Device) -> Vec<u8> = Device::flash;
const _: fn(&Device) -> Stats = Device::stats;
const _: fn(Device) -> Setup = Device::unplug;
const _: fn(Chip) -> &'static str = Chip::name;
const _: fn(Chip) -> usize = Chip::bootloader;
const _: [Chip; 4] = chip::CHIPS;
const _: [Fault; 12] = [
    Fault::Enumerates { away: Duration::ZERO },
    Fault::Silent,
    Fault::SilentAfter(0),
    Fault::Byte { way: Way::ToDevice, at: 0, harm: Harm::Drop },
    Fault::Noisy { way: Way::ToHost, every: 1 },
    Fault::Babble(Vec::new()),
    Fault::Unplug { after: 0 },
    Fault::PowerCut { operation: 0 },
    Fault::Slow(Duration::ZERO),
    Fault::Stall { after: 0, time: Duration::ZERO },
    Fault::SaysFlashSize(0),
    Fault::WornCell(0),
];
const _: fn(&Stats) -> [u64; 6] = |stats| {
    [stats.received, stats.sent, stats.erased, stats.written, stats.operations, stats.resets]
};
const _: fn(&Stats) -> [Duration; 2] = |stats| [stats.line_time, stats.flash_time];
const _: fn(&Stats) -> (usize, &'static str) = |stats| (stats.commands.len(), stats.running);
const _: [Harm; 2] = [Harm::Double, Harm::Flip(0)];
