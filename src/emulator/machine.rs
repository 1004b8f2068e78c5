//! A firmware in a system emulator, spoken to over its first UART.

use std::ffi::OsStr;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::flash::{self, Flash};
use super::{Firmware, Job, deadline, too_long};
use crate::error::{Error, Kind, Result};
use crate::firmware::record::{Boots, Emulator};
use crate::process::Group;
use crate::repl::{self, Console, Fault, Keyboard, Outcome, Pipes, Repl};

/// The emulated machine's first UART on standard input and output.
///
/// Plain pipes, because a pseudo-terminal has a line discipline and drops what is written before
/// somebody opens it. `mux` puts a buffer between: without it, qemu stops looking at its input while
/// the UART takes nothing, as before the firmware sets it up, and some UART models do not tell it to
/// look again. The multiplexer has an escape character, which `-echr` makes a byte that no UTF-8 has.
/// `signal=off` leaves Ctrl-C to the target.
const CONSOLE: [&str; 6] = [
    "-chardev",
    "stdio,id=console,mux=on,signal=off",
    "-serial",
    "chardev:console",
    "-echr",
    "0xff",
];

/// How much a pipe from the emulator is asked to hold, in bytes: an emulated UART without flow
/// control (the micro:bit's) loses what does not fit.
#[cfg(target_os = "linux")]
const PIPE_SIZE: usize = 1 << 20;

/// How long a firmware gets to boot into its REPL.
const BOOT: Duration = Duration::from_secs(30);

/// How long an emulator that closed its output gets to end.
const ENDING: Duration = Duration::from_secs(2);

/// How much of the emulator's own messages is kept, in bytes.
const KEPT: u64 = 4 << 10;

/// An emulator with a firmware that boots. Dropping it ends the emulator.
#[derive(Debug)]
pub struct Machine {
    program: String,
    board: String,
    // Ends the emulator before the pipes to it are given up.
    group: Group,
    repl: Repl<Pipes>,
    messages: Arc<Mutex<String>>,
    // Removed when the emulator has ended.
    _flash: Option<Flash>,
}

impl Machine {
    /// Starts the emulator that the record names.
    ///
    /// # Errors
    /// When the firmware has none, or it is not installed.
    pub fn start(firmware: &Firmware) -> Result<Machine> {
        let (emulator, booted) = firmware.emulated()?;
        let given = firmware.emulator.as_deref();
        let program = given.map_or(OsStr::new(&emulator.program), Path::as_os_str);
        let mut command = Command::new(program);
        command.args(&emulator.arguments).args(CONSOLE);
        let path = firmware.directory.join(&booted.path);
        let flash = match emulator.boots {
            Boots::Kernel => {
                command.arg("-kernel").arg(path);
                None
            }
            Boots::Flash => {
                flash::check_machine(program, emulator)?;
                let flash = Flash::with(&path, booted, firmware.record())?;
                command.arg("-drive").arg(flash.drive());
                Some(flash)
            }
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut group =
            Group::spawn(&mut command).map_err(|error| name_package(error, emulator))?;
        let child = group.child();
        let pipes = child.stdin.take().zip(child.stdout.take()).zip(child.stderr.take());
        let Some(((stdin, stdout), stderr)) = pipes else {
            return Err(Error::internal("the emulator has no pipes"));
        };
        #[cfg(target_os = "linux")]
        {
            // A smaller pipe still works for all but floods of output.
            let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE_SIZE);
        }
        let messages = Arc::new(Mutex::new(String::new()));
        let kept = Arc::clone(&messages);
        thread::Builder::new()
            .spawn(move || keep(stderr, &kept))
            .map_err(|error| Error::internal(format!("cannot start a thread: {error}")))?;
        Ok(Machine {
            program: program.display().to_string(),
            board: firmware.record.board.clone(),
            group,
            repl: Repl::new(Pipes::new(stdout, stdin)?),
            messages,
            _flash: flash,
        })
    }

    /// Runs programs to their end.
    ///
    /// # Errors
    /// As [`Firmware::run`].
    pub fn run(&mut self, job: &Job, console: &mut dyn Console) -> Result<Outcome> {
        let name = job.programs.first().map_or("", |program| program.argument());
        let arguments = job.arguments.iter().map(|argument| {
            argument.to_str().map(str::to_owned).ok_or_else(|| {
                Error::input(format!("the argument {} is not UTF-8", argument.display()))
            })
        });
        let arguments: Vec<String> = arguments.collect::<Result<_>>()?;
        self.repl.set_deadline(deadline(job.limit));
        self.boot(job)?;
        let outcome = self
            .repl
            .set_arguments(name, &arguments)
            .and_then(|()| job.mount.as_ref().map_or(Ok(()), |mount| self.repl.mount(mount)))
            .and_then(|()| {
                for program in &job.programs {
                    let outcome = self.repl.run(program, console)?;
                    if let Outcome::Raised(traceback) = &outcome {
                        console.error(traceback.as_bytes())?;
                    }
                    if outcome != Outcome::Done {
                        return Ok(outcome);
                    }
                }
                Ok(Outcome::Done)
            });
        outcome.map_err(|fault| self.explain(fault, job))
    }

    /// Lets a person talk to it until they leave or it ends.
    ///
    /// # Errors
    /// When the emulator fails or the user interrupts.
    pub fn interact(
        &mut self,
        keyboard: &Keyboard,
        job: &Job,
        console: &mut dyn Console,
    ) -> Result<()> {
        if let Some(mount) = &job.mount {
            self.boot(job)?;
            self.repl
                .mount(mount)
                .and_then(|()| self.repl.leave_raw())
                .map_err(|fault| self.explain(fault, job))?;
        }
        match repl::interact(&mut self.repl, keyboard, job.mount.is_some(), console) {
            // `machine.reset()` ends the emulator: that is a way to leave.
            Err(Fault::Closed) if self.ended_well() => Ok(()),
            other => other.map_err(|fault| self.explain(fault, job)),
        }
    }

    fn boot(&mut self, job: &Job) -> Result<()> {
        let begun = Instant::now();
        self.repl.enter_raw(BOOT).map_err(|fault| match fault {
            Fault::TimedOut if begun.elapsed() >= BOOT => Error::device(format!(
                "{} did not come to its REPL within {} seconds{}",
                self.board,
                BOOT.as_secs(),
                self.repl.last_lines("its last lines")
            )),
            fault => self.explain(fault, job),
        })
    }

    /// The error for a fault, with what the emulator and the target said last.
    fn explain(&mut self, fault: Fault, job: &Job) -> Error {
        let last = self.repl.last_lines("its last lines");
        match fault {
            Fault::TimedOut => too_long(job, &last),
            Fault::Crashed => Error::device(format!("the firmware crashed{last}")),
            Fault::Closed => {
                let how = self.ending();
                Error::device(format!(
                    "{} ended before the program did ({how}){last}",
                    self.program
                ))
            }
            Fault::Protocol(what) => Error::device(format!("{what}{last}"))
                .hint("this may be a fault of the firmware or of this program; run it again"),
            Fault::Other(error) => error,
        }
    }

    fn ended_well(&mut self) -> bool {
        matches!(
            self.group.wait(Some(Instant::now() + ENDING)),
            Ok(crate::process::Outcome::Ended(status)) if status.success()
        )
    }

    /// How the emulator ended, in its own words where it has some.
    fn ending(&mut self) -> String {
        let how = match self.group.wait(Some(Instant::now() + ENDING)) {
            Ok(crate::process::Outcome::Ended(status)) => status.to_string(),
            Ok(crate::process::Outcome::TimedOut) => "it closed its output".to_owned(),
            Err(error) => error.to_string(),
        };
        let messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        match messages.trim() {
            "" => how,
            messages => format!("{how}: {messages}"),
        }
    }
}

/// Keeps what an emulator says on standard error, up to a limit, and reads on so that it never waits.
fn keep(mut stderr: impl Read, messages: &Mutex<String>) {
    let mut bytes = Vec::new();
    let mut kept = stderr.by_ref().take(KEPT);
    // What came before an error is still worth showing.
    let mut buffer = [0; 512];
    while let Ok(count @ 1..) = kept.read(&mut buffer) {
        bytes.extend(buffer.iter().take(count));
        let text = String::from_utf8_lossy(&bytes).into_owned();
        *messages.lock().unwrap_or_else(PoisonError::into_inner) = text;
    }
    let _ = std::io::copy(&mut stderr, &mut std::io::sink());
}

/// Adds the Debian package of an emulator that is not installed.
fn name_package(error: Error, emulator: &Emulator) -> Error {
    let packages = match emulator.program.as_str() {
        "qemu-system-arm" => "`apt-get install qemu-system-arm`",
        "qemu-system-riscv32" | "qemu-system-riscv64" => {
            "`apt-get install qemu-system-misc`, from Debian 13 on `apt-get install qemu-system-riscv`"
        }
        _ => return error,
    };
    if error.kind() != Kind::Input || !error.message().ends_with("is not installed") {
        return error;
    }
    error.hint(format!("on Debian and Ubuntu: {packages}"))
}
