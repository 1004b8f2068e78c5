//! `run`.

use std::ffi::{OsStr, OsString};
use std::io::{self, IsTerminal};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, value_parser};
use serde::Serialize;

use super::output::Output;
use super::stream::Standard;
use crate::emulator::{Firmware, Job, Machine};
use crate::error::{Error, Kind, Result};
use crate::repl::{Captured, Exit, Keyboard, Outcome, Program, RawTerminal};

/// How long programs may take unless told otherwise, in seconds.
const TIMEOUT: u64 = 60;

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Firmware of the qemu port runs in the emulator that its record names, firmware of the unix port as a
program of this machine. Firmware for an ESP32, ESP32-C3 or ESP32-S3 runs in Espressif's QEMU, from a
copy of its flash that is gone afterwards. What the Python prints goes to standard output as it
arrives, its traceback to standard error. The exit code is 6 when it raises, ends with sys.exit and
another value than 0, crashes or takes too long.

Without --exec and --script: on a terminal an interactive session, which Ctrl-] ends (Ctrl-D for the
unix port); otherwise the program is read from standard input.

Examples:
  micropython-builder run out --exec 'import sys; print(sys.implementation)'
  micropython-builder run out --mount . --script tests/test_all.py --timeout 300
  micropython-builder run out --exec 'import selftest' --exec 'selftest.main()' -- -v fast
  micropython-builder run out --emulator ~/qemu/bin/qemu-system-riscv32
  micropython-builder run out")]
pub(super) struct Arguments {
    /// The directory that `build` wrote: images and firmware.json
    #[arg(value_name = "FIRMWARE")]
    firmware: PathBuf,
    #[command(flatten)]
    pieces: Pieces,
    /// Make the files of this directory importable on the target, where it is mounted read-only as
    /// /remote and the current directory
    #[arg(long, value_name = "DIR")]
    mount: Option<PathBuf>,
    /// End the run after this many seconds with exit code 6; 0 lets it run as long as it takes
    /// [default: 60, none for an interactive session]
    #[arg(long, value_name = "SECONDS", value_parser = super::seconds)]
    timeout: Option<u64>,
    /// The emulator to run, a name on PATH or a file, in place of the one that firmware.json names
    #[arg(long, value_name = "PROGRAM")]
    emulator: Option<PathBuf>,
    /// What the program finds in sys.argv after its own name; after `--` where they begin with a dash
    #[arg(value_name = "ARGS")]
    arguments: Vec<OsString>,
}

/// `--exec` and `--script`, in the order in which they were given.
#[derive(Debug, Default)]
struct Pieces(Vec<Piece>);

#[derive(Debug)]
enum Piece {
    Code(OsString),
    Script(PathBuf),
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let mut firmware = Firmware::open(&arguments.firmware)?;
    if let Some(program) = &arguments.emulator {
        firmware.set_emulator(program)?;
    }
    let mut job = Job {
        programs: Vec::new(),
        arguments: arguments.arguments.clone(),
        mount: arguments.mount.clone(),
        limit: None,
    };
    if arguments.pieces.0.is_empty() && io::stdin().is_terminal() {
        return interact(arguments, &firmware, &job, output);
    }
    job.limit = Some(arguments.timeout.unwrap_or(TIMEOUT))
        .filter(|seconds| *seconds > 0)
        .map(Duration::from_secs);
    job.programs = arguments.pieces.programs()?;
    if output.json() {
        let mut console = Captured::default();
        let outcome = firmware.run(&job, &mut console)?;
        output.data_json(&Report::new(&firmware, &outcome, &console))?;
        return conclude(&outcome);
    }
    conclude(&firmware.run(&job, &mut Standard)?)
}

/// The exit code for how the programs ended. A traceback has been shown already.
fn conclude(outcome: &Outcome) -> Result<ExitCode> {
    match outcome {
        outcome if outcome.success() => Ok(ExitCode::SUCCESS),
        Outcome::Exited(Exit::Code(code)) => {
            Err(Error::device(format!("the program ended with exit status {code}")))
        }
        Outcome::Exited(Exit::Message(text)) => {
            Err(Error::device(format!("the program ended with sys.exit: {text}")))
        }
        Outcome::Exited(Exit::Unknown) => Err(Error::device(
            "the program ended with sys.exit, and this firmware does not tell with which value",
        )
        .hint("let the program run to its end, or raise another exception when it fails")),
        Outcome::Done | Outcome::Raised(_) => Ok(ExitCode::from(Kind::Device.exit_code())),
    }
}

fn interact(
    arguments: &Arguments,
    firmware: &Firmware,
    job: &Job,
    output: &Output,
) -> Result<ExitCode> {
    let needless = [
        ("--timeout", arguments.timeout.is_some()),
        ("ARGS", !arguments.arguments.is_empty()),
        ("--json", output.json()),
    ];
    if let Some((name, _)) = needless.iter().find(|(_, given)| *given) {
        return Err(Error::usage(format!("{name} has no meaning in an interactive session"))
            .hint("give a program with `--exec CODE` or `--script FILE`"));
    }
    if let Some(executable) = firmware.executable() {
        return Err(firmware.become_interactive(&executable, job));
    }
    let mut machine = Machine::start(firmware)?;
    output.say(format!("{}: Ctrl-] ends the session", firmware.record().board));
    let terminal = RawTerminal::enter()?;
    let keyboard = Keyboard::stdin()?;
    let result = machine.interact(&keyboard, job, &mut Standard);
    drop(terminal);
    output.say("");
    result.map(|()| ExitCode::SUCCESS)
}

/// How a run went, as JSON.
#[derive(Debug, Serialize)]
struct Report<'a> {
    schema: u32,
    port: &'a str,
    board: &'a str,
    /// `done`, `raised` or `exited`.
    outcome: &'static str,
    /// The value given to `sys.exit`: a number, a text, or nothing where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    exit: Option<serde_json::Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceback: Option<&'a str>,
    stdout: String,
    stderr: String,
}

impl<'a> Report<'a> {
    fn new(firmware: &'a Firmware, outcome: &'a Outcome, console: &Captured) -> Report<'a> {
        let (name, exit, traceback) = match outcome {
            Outcome::Done => ("done", None, None),
            Outcome::Raised(traceback) => ("raised", None, Some(traceback.as_str())),
            Outcome::Exited(Exit::Code(code)) => ("exited", Some((*code).into()), None),
            Outcome::Exited(Exit::Message(text)) => ("exited", Some(text.as_str().into()), None),
            Outcome::Exited(Exit::Unknown) => ("exited", None, None),
        };
        Report {
            schema: 1,
            port: &firmware.record().port,
            board: &firmware.record().board,
            outcome: name,
            exit,
            traceback,
            stdout: String::from_utf8_lossy(&console.output).into_owned(),
            stderr: String::from_utf8_lossy(&console.error).into_owned(),
        }
    }
}

impl Pieces {
    /// The programs, read. None given means standard input.
    fn programs(&self) -> Result<Vec<Program>> {
        if self.0.is_empty() {
            return Ok(vec![Program::stream(io::stdin().lock())?]);
        }
        let read = |piece: &Piece| match piece {
            Piece::Code(code) => Ok(Program::code(code.clone().into_vec())),
            Piece::Script(path) if path.as_os_str() == OsStr::new("-") => {
                Program::stream(io::stdin().lock())
            }
            Piece::Script(path) => Program::file(path),
        };
        self.0.iter().map(read).collect()
    }
}

impl clap::Args for Pieces {
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                Arg::new("exec")
                    .long("exec")
                    .value_name("CODE")
                    .action(ArgAction::Append)
                    .value_parser(value_parser!(OsString))
                    .allow_hyphen_values(true)
                    .help("Run this Python code; may be given several times, also with --script: all run in the order given, in one interpreter, up to the first that fails"),
            )
            .arg(
                Arg::new("script")
                    .long("script")
                    .value_name("FILE")
                    .action(ArgAction::Append)
                    .value_parser(value_parser!(PathBuf))
                    .help("Run this file; `-` is standard input"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Pieces {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let mut pieces = Pieces::default();
        pieces.update_from_arg_matches(matches)?;
        Ok(pieces)
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        let places = |name| matches.indices_of(name).into_iter().flatten();
        let code = matches.get_many::<OsString>("exec").into_iter().flatten();
        let scripts = matches.get_many::<PathBuf>("script").into_iter().flatten();
        let code = places("exec").zip(code.map(|code| Piece::Code(code.clone())));
        let scripts = places("script").zip(scripts.map(|path| Piece::Script(path.clone())));
        let mut all: Vec<(usize, Piece)> = code.chain(scripts).collect();
        all.sort_by_key(|(place, _)| *place);
        self.0 = all.into_iter().map(|(_, piece)| piece).collect();
        Ok(())
    }
}
