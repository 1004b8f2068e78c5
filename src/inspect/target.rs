//! What a device, or a firmware in its emulator, loads: it is asked for `sys.implementation._mpy`.

use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::time::Duration;

use crate::emulator::{Firmware, Job};
use crate::error::{Error, Result};
use crate::repl::{self, Captured, Outcome, Program, Repl};

/// How long a device or emulator gets to boot and answer.
const LIMIT: Duration = Duration::from_secs(60);

/// How long a device gets to begin its raw REPL.
const ENTERING: Duration = Duration::from_secs(10);

/// What is asked. Firmware that loads no `.mpy` files has no such number.
const QUESTION: &str = "import sys\nprint(getattr(sys.implementation,'_mpy',0))";

/// What a target says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// What it is, for people.
    pub name: String,
    /// Its `sys.implementation._mpy`: 0 when it loads no `.mpy` files.
    pub sys_mpy: u64,
}

/// Asks a target: the serial port of a device, or a firmware directory.
///
/// # Errors
/// When it is neither, or does not answer.
pub fn ask(path: &Path) -> Result<Target> {
    let kind = path.metadata().map_err(|error| {
        Error::io("open", path, &error)
            .hint("--for names the serial port of a device, or a firmware directory")
    })?;
    if kind.is_dir() {
        return of_firmware(path);
    }
    if kind.file_type().is_char_device() {
        return of_device(path);
    }
    Err(Error::input(format!(
        "{} is neither a serial port nor a firmware directory",
        path.display()
    ))
    .hint("`micropython-builder build` makes a firmware directory")
    .hint(
        "what a device prints for `import sys; sys.implementation._mpy` may be given as --sys-mpy",
    ))
}

fn of_firmware(directory: &Path) -> Result<Target> {
    let firmware = Firmware::open(directory)?;
    let programs = vec![Program::code(QUESTION)];
    let job = Job { programs, limit: Some(LIMIT), ..Job::default() };
    let mut console = Captured::default();
    let outcome = firmware.run(&job, &mut console)?;
    let record = firmware.record();
    let name = format!("{} with MicroPython {}", record.board, record.micropython.version);
    answer(name, &outcome, &console)
}

fn of_device(path: &Path) -> Result<Target> {
    let mut repl = Repl::new(repl::serial::open(path)?);
    let mut console = Captured::default();
    repl.enter_raw(ENTERING).map_err(|fault| {
        Error::from(fault).context(format!("the device at {}", path.display())).hint(
            "does MicroPython run on it, and does no other program hold the port? A program on it \
             that ignores Ctrl-C must be ended first",
        )
    })?;
    let outcome = repl.exec(QUESTION.as_bytes(), &mut console)?;
    repl.leave_raw()?;
    answer(format!("the device at {}", path.display()), &outcome, &console)
}

fn answer(name: String, outcome: &Outcome, console: &Captured) -> Result<Target> {
    let text = String::from_utf8_lossy(&console.output);
    let number = text.lines().rev().find_map(|line| line.trim().parse().ok());
    match (outcome, number) {
        (Outcome::Done, Some(sys_mpy)) => Ok(Target { name, sys_mpy }),
        _ => Err(Error::device(format!("{name} does not say what it loads: {}", text.trim()))),
    }
}
