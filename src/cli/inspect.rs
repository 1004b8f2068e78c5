//! `inspect`.

mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use serde::Serialize;

use super::output::{self, Output};
use crate::error::{Error, Result};
use crate::inspect::{self, Description, Kind};
use crate::natmod::Header;

pub(super) use text::{columns, partition_columns};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  micropython-builder inspect firmware.bin
  micropython-builder inspect --json module.mpy firmware.uf2
  micropython-builder inspect --sys-mpy 10758 module.mpy

Exit code 3 says that a file is damaged, of no known kind, or, with --sys-mpy, does not load.")]
pub(super) struct Arguments {
    /// The files to look at
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Check .mpy files against a device: the number that `import sys; sys.implementation._mpy`
    /// prints on it, in decimal or as 0x…
    #[arg(long, value_name = "NUMBER", value_parser = parse_number)]
    sys_mpy: Option<u64>,
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
    device: Option<Device>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// Whether a file loads on a device.
#[derive(Serialize)]
struct Device {
    sys_mpy: u64,
    loads: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// One file and what was found.
struct Found<'a> {
    path: &'a Path,
    result: Result<Description>,
    device: Option<std::result::Result<(), String>>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let found: Vec<Found<'_>> =
        arguments.files.iter().map(|path| look_at(path, arguments.sys_mpy)).collect();
    if output.json() {
        let files = found.iter().map(|found| found.entry(arguments.sys_mpy)).collect();
        output.data_json(&Answer { schema: 1, files })?;
    } else {
        let texts: Vec<String> = found.iter().filter_map(Found::text).collect();
        output.data(texts.join("\n"))?;
    }
    verdict(found)
}

fn look_at(path: &Path, sys_mpy: Option<u64>) -> Found<'_> {
    let result = inspect::inspect(path);
    let device = match (sys_mpy, result.as_ref().map(|description| &description.content)) {
        (Some(sys_mpy), Ok(Kind::Mpy { .. })) => {
            header(path).map(|header| header.loads_on(sys_mpy))
        }
        _ => None,
    };
    Found { path, result, device }
}

fn header(path: &Path) -> Option<Header> {
    let bytes = crate::image::FileBytes::open(path).ok()?;
    Header::parse(&crate::image::bytes::vec(&bytes, 0, 32).ok()?).ok()
}

impl Found<'_> {
    fn entry(&self, sys_mpy: Option<u64>) -> Entry<'_> {
        let device = self.device.as_ref().zip(sys_mpy).map(|(loads, sys_mpy)| Device {
            sys_mpy,
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
        match &self.device {
            Some(Ok(())) => text.push_str("  loads on the device\n"),
            Some(Err(reason)) => {
                text.push_str(&format!("  does not load on the device: {reason}\n"))
            }
            None => {}
        }
        Some(text)
    }

    fn fault(self) -> Option<Error> {
        let path = self.path.display();
        match (self.result, self.device) {
            (Err(error), _) => Some(error),
            (Ok(description), device) => match (description.problems.as_slice(), device) {
                ([first], _) => Some(Error::input(format!("{path}: {first}"))),
                ([first, rest @ ..], _) => {
                    Some(Error::input(format!("{path}: {first} (and {} more)", rest.len())))
                }
                (_, Some(Err(reason))) => Some(
                    Error::input(format!("{path} does not load on the device: {reason}"))
                        .hint("compile it with the mpy-cross of the device's MicroPython version"),
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
