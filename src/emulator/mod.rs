//! Runs what a build made: in the emulator that its record names, or, for the unix port, as a
//! program of this machine.

mod flash;
mod machine;
mod native;
mod streams;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::firmware::Record;
use crate::firmware::record::{Boots, Emulator, File, Role};
use crate::repl::{Console, Outcome, Program};

pub use machine::Machine;

/// What is to be run on a firmware, and how.
#[derive(Debug, Clone, Default)]
pub struct Job {
    /// The programs, run one after the other in one interpreter, up to the first that does not end well.
    pub programs: Vec<Program>,
    /// What follows the program's name in `sys.argv`.
    pub arguments: Vec<OsString>,
    /// A directory whose files the programs can import and open.
    pub mount: Option<PathBuf>,
    /// How long it may take, from boot to end.
    pub limit: Option<Duration>,
}

/// A firmware directory whose files are what their record says.
#[derive(Debug)]
pub struct Firmware {
    directory: PathBuf,
    record: Record,
    emulator: Option<PathBuf>,
}

impl Firmware {
    /// Opens a firmware directory and checks its files.
    ///
    /// # Errors
    /// When it is none, a file differs from the record, or nothing can run it here.
    pub fn open(directory: &Path) -> Result<Firmware> {
        let record = Record::read(directory)?;
        record.verify(directory)?;
        let directory = std::path::absolute(directory)
            .map_err(|error| Error::io("resolve", directory, &error))?;
        let firmware = Firmware { directory, record, emulator: None };
        if firmware.executable().is_none() {
            firmware.emulated()?;
        }
        Ok(firmware)
    }

    /// Takes this emulator in place of the one that the record names.
    ///
    /// # Errors
    /// When the firmware is a program of this machine.
    pub fn set_emulator(&mut self, program: &Path) -> Result<()> {
        if self.executable().is_some() {
            return Err(Error::usage(format!(
                "firmware of the port {} runs without an emulator",
                self.record.port
            ))
            .hint("leave --emulator out"));
        }
        self.emulator = Some(program.to_owned());
        Ok(())
    }

    /// Its record.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// The program of this machine that it is, if it is one (the unix port).
    pub fn executable(&self) -> Option<PathBuf> {
        self.record.file(Role::Executable).map(|file| self.directory.join(&file.path))
    }

    /// Runs programs on it; their output goes to `console` as it arrives.
    ///
    /// # Errors
    /// When the emulator is not installed or ends before the programs do, when the time limit
    /// passes, or the user interrupts. Python that raises is an [`Outcome`].
    pub fn run(&self, job: &Job, console: &mut dyn Console) -> Result<Outcome> {
        match self.executable() {
            Some(executable) => native::run(&executable, job, console),
            None => Machine::start(self)?.run(job, console),
        }
    }

    /// Becomes the program that it is, on the caller's terminal, with `job`'s directory mounted.
    /// Returns only when that fails.
    pub fn become_interactive(&self, executable: &Path, job: &Job) -> Error {
        native::replace(executable, job)
    }

    /// How it is emulated, and the file that the emulator boots.
    fn emulated(&self) -> Result<(&Emulator, &File)> {
        let emulator = self.record.emulator.as_ref();
        let booted = emulator.and_then(|emulator| {
            self.record.file(match emulator.boots {
                Boots::Kernel => Role::Elf,
                Boots::Flash => Role::Firmware,
            })
        });
        emulator.zip(booted).ok_or_else(|| {
            Error::input(format!(
                "the firmware for {} (port {}) has no emulator; expected firmware of the ports qemu or unix, or for an ESP32, ESP32-C3 or ESP32-S3",
                self.record.board, self.record.port
            ))
            .hint("`micropython-builder flash` puts it onto a device")
        })
    }
}

/// When a limit that begins now ends.
fn deadline(limit: Option<Duration>) -> Option<Instant> {
    limit.and_then(|limit| Instant::now().checked_add(limit))
}

/// The message for a run that took too long.
fn too_long(job: &Job, last: &str) -> Error {
    let seconds = job.limit.unwrap_or_default().as_secs();
    let unit = if seconds == 1 { "second" } else { "seconds" };
    Error::device(format!("the program did not end within {seconds} {unit}{last}"))
        .hint("`--timeout SECONDS` gives it longer, `--timeout 0` as long as it takes")
}
