//! `inspect`.

mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::output::{self, Output};
use crate::error::{Error, Result};
use crate::inspect::target::{self, Target};
use crate::inspect::{self, Description, Kind};
use crate::natmod::Header;

pub(super) use text::{columns, partition_columns};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  micropython-builder inspect firmware.bin
  micropython-builder inspect --json module.mpy firmware.uf2
  micropython-builder inspect --for /dev/ttyACM0 module.mpy
  micropython-builder inspect --for firmware/VIRT_RV32 dist/*.mpy
  micropython-builder inspect --sys-mpy 10758 module.mpy

Exit code 3 says that a file is damaged, of no known kind, or does not load where it was asked for.")]
pub(super) struct Arguments {
    /// The files to look at
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check .mpy files against a device: the number that `import sys; sys.implementation._mpy`
    /// prints on it, in decimal or as 0x…
    #[arg(long, value_name = "NUMBER", value_parser = parse_number)]
    sys_mpy: Option<u64>,
    /// Check whether .mpy files load there, and say why not: the serial port of a device, or a firmware
    /// directory, which is booted in its emulator and asked
    #[arg(long = "for", value_name = "DEVICE|FIRMWARE", conflicts_with = "sys_mpy")]
    target: Option<PathBuf>,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: u32,
    files: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    path: String,
    #[serde(flatten)]
    description: Option<&'a Description>,
    #[serde(skip_serializing_if = "Option::is_none")]
    device: Option<Device<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Whether a file loads on a device.
#[derive(Serialize)]
struct Device<'a> {
    name: &'a str,
    sys_mpy: u64,
    loads: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// One file and what was found.
struct Found<'a> {
    path: &'a Path,
    result: Result<Description>,
    target: Option<(&'a Target, std::result::Result<(), String>)>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let target = match (&arguments.target, arguments.sys_mpy) {
        (Some(path), _) => Some(target::ask(path)?),
        (None, Some(sys_mpy)) => Some(Target { name: "the device".to_owned(), sys_mpy }),
        (None, None) => None,
    };
    let found: Vec<Found<'_>> =
        arguments.files.iter().map(|path| look_at(path, target.as_ref())).collect();
    if output.json() {
        let files = found.iter().map(Found::entry).collect();
        output.data_json(&Answer { schema: 1, files })?;
    } else {
        let texts: Vec<String> = found.iter().filter_map(Found::text).collect();
        output.data(texts.join("\n"))?;
    }
    verdict(found)
}

fn look_at<'a>(path: &'a Path, target: Option<&'a Target>) -> Found<'a> {
    let result = inspect::inspect(path);
    let target = match (target, result.as_ref().map(|description| &description.content)) {
        (Some(target), Ok(Kind::Mpy { .. })) => {
            header(path).map(|header| (target, loads(&header, target)))
        }
        _ => None,
    };
    Found { path, result, target }
}

fn loads(header: &Header, target: &Target) -> std::result::Result<(), String> {
    match target.sys_mpy {
        0 => Err("it loads no .mpy files at all".to_owned()),
        sys_mpy => header.loads_on(sys_mpy),
    }
}

fn header(path: &Path) -> Option<Header> {
    let bytes = crate::image::FileBytes::open(path).ok()?;
    Header::parse(&crate::image::bytes::vec(&bytes, 0, 32).ok()?).ok()
}

impl Found<'_> {
    fn entry(&self) -> Entry<'_> {
        let device = self.target.as_ref().map(|(target, loads)| Device {
            name: &target.name,
            sys_mpy: target.sys_mpy,
            loads: loads.is_ok(),
            reason: loads.as_ref().err().cloned(),
        });
        Entry {
            path: self.path.display().to_string(),
            description: self.result.as_ref().ok(),
            device,
            error: self.result.as_ref().err().map(ToString::to_string),
        }
    }

    fn text(&self) -> Option<String> {
        let description = self.result.as_ref().ok()?;
        let mut text = text::describe(&self.path.display().to_string(), description);
        match &self.target {
            Some((target, Ok(()))) => text.push_str(&format!("  loads on {}\n", target.name)),
            Some((target, Err(reason))) => {
                text.push_str(&format!("  does not load on {}: {reason}\n", target.name));
            }
            None => {}
        }
        Some(text)
    }

    fn fault(self) -> Option<Error> {
        let path = self.path.display();
        match (self.result, self.target) {
            (Err(error), _) => Some(error),
            (Ok(description), target) => match (description.problems.as_slice(), target) {
                ([first], _) => Some(Error::input(format!("{path}: {first}"))),
                ([first, rest @ ..], _) => {
                    Some(Error::input(format!("{path}: {first} (and {} more)", rest.len())))
                }
                (_, Some((target, Err(reason)))) => Some(
                    Error::input(format!("{path} does not load on {}: {reason}", target.name)).hint(
                        "compile Python with the mpy-cross of the device's MicroPython version; \
                         `micropython-builder natmod` builds C for any",
                    ),
                ),
                _ => None,
            },
        }
    }
}

/// The last fault is the command's error; those before it are told first.
fn verdict(found: Vec<Found<'_>>) -> Result<ExitCode> {
    let mut faults: Vec<Error> = found.into_iter().filter_map(Found::fault).collect();
    let last = faults.pop();
    for fault in &faults {
        output::print_error(fault);
    }
    last.map_or(Ok(ExitCode::SUCCESS), Err)
}

/// A number in decimal or hexadecimal.
fn parse_number(text: &str) -> std::result::Result<u64, String> {
    let parsed = match text.strip_prefix("0x").or(text.strip_prefix("0X")) {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| "expected a number in decimal or as 0x…".to_owned())
}
