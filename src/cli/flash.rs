//! `flash`.

mod after;
mod choose;
mod others;
mod text;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueEnum;
use serde::Serialize;

use super::output::Output;
use crate::error::{Error, Kind, Result};
use crate::flash::firmware::{self, Given};
use crate::flash::ports::{self, Port};
use crate::flash::reset::{After, Before};
use crate::flash::session::Settings;
use crate::flash::several::{Flashed, Job};
use crate::flash::write::Options;
use crate::flash::{Firmware, checks};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
FIRMWARE is a directory that `build` or `nix build` made, whose files are compared with the hashes in its
firmware.json; or a firmware.bin, or a micropython.bin with --app-only. Which chip it is for is read from
its images, where its parts go from firmware.json or from its own partition table.

Without --port, the one port is taken whose USB ids are those of an Espressif chip or of a bridge to one.
Boards with a UF2 bootloader (rp2, samd, nrf) get a .uf2 file, copied to the drive that they show. For
other boards, the instructions of MicroPython's own tree are printed: give --board and --micropython.

What lies in the flash already is not written again; files on the board stay, unless --erase or
--erase-filesystem is given. All is verified before anything is reported done. A run that was interrupted
is repaired by running the same command again.

The exit code is 6 when a board is missing, does not suit or fails; with several ports, the worst one.

Examples:
  micropython-builder flash out
  micropython-builder flash out --monitor
  micropython-builder flash result --port /dev/ttyUSB0 --port /dev/ttyUSB1
  micropython-builder flash firmware.bin --erase --baud 115200
  micropython-builder flash out --app-only --deploy app/ --smoke tests/smoke.py
  micropython-builder flash --list-ports")]
pub(super) struct Arguments {
    /// What is written: a firmware directory, or an image
    #[arg(value_name = "FIRMWARE", required_unless_present = "list_ports")]
    firmware: Option<PathBuf>,
    /// List the serial ports of this machine, those that may have a board behind them first
    #[arg(long, conflicts_with = "firmware")]
    list_ports: bool,
    /// The serial port of the board; given several times, all these boards are flashed at once
    #[arg(long, short, value_name = "PORT")]
    port: Vec<String>,
    /// Write the application only: bootloader, partition table and the files on the board stay
    #[arg(long, conflicts_with_all = ["erase", "erase_filesystem"])]
    app_only: bool,
    /// Erase all of the flash first, settings and files included
    #[arg(long, conflicts_with = "no_stub")]
    erase: bool,
    /// Erase the files on the board (the partition vfs or ffat); MicroPython makes a new filesystem
    #[arg(long, conflicts_with = "no_stub")]
    erase_filesystem: bool,
    /// How fast to write, in bits per second; USB without a bridge takes no notice of it
    #[arg(long, value_name = "RATE", default_value_t = 460_800, value_parser = clap::value_parser!(u32).range(1..))]
    baud: u32,
    /// Use the loader in the chip's ROM, which is slower and cannot erase
    #[arg(long)]
    no_stub: bool,
    /// How the chip gets into its loader
    #[arg(long, value_name = "HOW", default_value = "default-reset")]
    before: BeforeName,
    /// What becomes of the chip afterwards
    #[arg(long, value_name = "HOW", default_value = "hard-reset")]
    after: AfterName,
    /// Show what would be written, and write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    others: others::OtherArguments,
    #[command(flatten)]
    then: after::AfterArguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum BeforeName {
    /// By the control lines of the port
    #[value(name = "default-reset")]
    Lines,
    /// As a chip whose USB is its own is reset
    #[value(name = "usb-reset")]
    Usb,
    /// Not at all: it is there already, by its buttons
    #[value(name = "no-reset")]
    Nothing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum AfterName {
    /// It is reset and starts what was written
    HardReset,
    /// It stays in the loader of its ROM
    NoReset,
    /// It stays in the loader in its memory
    NoResetNoStub,
    /// Its watchdog resets it, for chips that else stay in the loader
    WatchdogReset,
}

impl Arguments {
    fn settings(&self) -> Settings {
        Settings {
            baud: self.baud,
            stub: !self.no_stub,
            before: match self.before {
                BeforeName::Lines => Before::Reset,
                BeforeName::Usb => Before::UsbReset,
                BeforeName::Nothing => Before::NoReset,
            },
            after: match self.after {
                AfterName::HardReset => After::Reset,
                AfterName::NoReset => After::NoReset,
                AfterName::NoResetNoStub => After::NoResetStub,
                AfterName::WatchdogReset => After::Watchdog,
            },
        }
    }

    fn options(&self) -> Options {
        Options {
            app_only: self.app_only,
            erase: self.erase,
            erase_filesystem: self.erase_filesystem,
        }
    }
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let Some(path) = arguments.firmware.as_deref() else {
        return list(output);
    };
    let then = arguments.then.prepare(arguments, output)?;
    if let Some(board) = &arguments.others.board {
        return others::instruct(&arguments.others, board, None, output);
    }
    match firmware::open(path)? {
        Given::Esp(firmware) => esp(arguments, firmware, &then, output),
        Given::Uf2(path) => others::copy(arguments, &path, output),
        Given::Other(record) => {
            others::instruct(&arguments.others, &record.board, Some(&record.port), output)
        }
    }
}

fn list(output: &Output) -> Result<ExitCode> {
    let ports = ports::list()?;
    if output.json() {
        #[derive(Serialize)]
        struct Listed {
            schema: u32,
            ports: Vec<Port>,
        }
        output.data_json(&Listed { schema: 1, ports })?;
        return Ok(ExitCode::SUCCESS);
    }
    output.data(text::ports(&ports))?;
    if ports.is_empty() {
        output.say("this machine has no serial port");
    }
    Ok(ExitCode::SUCCESS)
}

fn esp(
    arguments: &Arguments,
    firmware: Firmware,
    then: &after::Then,
    output: &Output,
) -> Result<ExitCode> {
    if firmware.is_application_alone() && !arguments.app_only {
        return Err(Error::input(format!(
            "{} is the application alone: without bootloader and partition table, which are in firmware.bin",
            firmware.name
        ))
        .hint("to flash a whole board, give firmware.bin, or the directory with firmware.json")
        .hint("to update the application of a board that has MicroPython already, add `--app-only`"));
    }
    if !firmware.is_application_alone() {
        checks::firmware(&firmware)?;
    }
    let ports = choose::ports(arguments, output)?;
    if ports.len() > 1 {
        then.check_several()?;
    }
    let elf = firmware.elf.clone();
    let job = Job {
        firmware,
        options: arguments.options(),
        settings: arguments.settings(),
        dry_run: arguments.dry_run,
    };
    let progress = output.progress();
    let results = job.run_all(&ports, &progress);
    drop(progress);
    let mut worst: Option<Error> = None;
    let mut boards = Vec::new();
    for (port, result) in ports.iter().zip(results) {
        let board = result.and_then(|flashed| {
            if !output.json() {
                output.data(text::flashed(&flashed))?;
            }
            let then = then.run(port, elf.as_deref(), output)?;
            Ok(Board { flashed, then })
        });
        match board {
            Ok(board) => boards.push(serde_json::to_value(board).map_err(unwritable)?),
            Err(error) => {
                boards.push(serde_json::json!({ "port": port.path, "error": error.message() }));
                let error = if ports.len() > 1 { error.context(&port.path) } else { error };
                worst = Some(match worst {
                    None => error,
                    Some(before) => {
                        super::output::print_error(&before);
                        if rank(&before) > rank(&error) { before } else { error }
                    }
                });
            }
        }
    }
    if output.json() {
        output.data_json(&serde_json::json!({ "schema": 1, "boards": boards }))?;
    }
    worst.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// A board that was flashed, and what was done with it then.
#[derive(Serialize)]
struct Board {
    #[serde(flatten)]
    flashed: Flashed,
    #[serde(flatten)]
    then: after::Report,
}

fn unwritable(error: serde_json::Error) -> Error {
    Error::internal(format!("cannot write JSON: {error}"))
}

/// Which of two exit codes is the worse: an interrupt tells the least about a board.
fn rank(error: &Error) -> u8 {
    match error.kind() {
        Kind::Interrupted => 0,
        kind => kind.exit_code(),
    }
}
