//! `image`: one file per subcommand.

mod assemble;
mod show;
mod split;
mod table;

use std::process::ExitCode;

use clap::Subcommand;

use super::output::Output;
use crate::error::Result;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  micropython-builder image assemble build-ESP32_GENERIC_C3 -o firmware.bin
  micropython-builder image show firmware.bin
  micropython-builder image table partitions.csv -o partition-table.bin")]
pub(super) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Put bootloader, partition table and application together
    ///
    /// The image is the one that makeimg.py of MicroPython's ESP32 port writes: it begins at the
    /// bootloader's offset, is to be written there, and has erased bytes (0xff) between its parts. The
    /// application goes into the first application partition of the table. A part that is too large is
    /// refused, with how many bytes it is over.
    ///
    /// The parts and offsets come from the build directory, or from the options, which win.
    Assemble(assemble::Arguments),
    /// Show what lies where in an image of a flash, and how much room is left
    ///
    /// The image is a firmware.bin, or what was read from a device. `inspect` tells more about each part,
    /// and verifies checksums.
    Show(show::Arguments),
    /// Take an image of a flash apart
    ///
    /// The image is a firmware.bin, or what was read from a device. Bootloader and partition table are
    /// found by their content, all else by the partition table. Partitions that are erased are left out,
    /// as are erased bytes at a part's end.
    Split(split::Arguments),
    /// Show, check or convert a partition table
    ///
    /// The table is text (CSV), binary, or the one in an image of a flash; which of them is told by the
    /// content. The rules are those of ESP-IDF's gen_esp32part.py, and so are the bytes.
    Table(table::Arguments),
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    match &arguments.action {
        Action::Assemble(arguments) => assemble::run(arguments, output)?,
        Action::Show(arguments) => show::run(arguments, output)?,
        Action::Split(arguments) => split::run(arguments, output)?,
        Action::Table(arguments) => table::run(arguments, output)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// An offset or size: decimal or 0x…, perhaps with K, KB, M or MB after it.
fn parse_bytes(text: &str) -> std::result::Result<u64, String> {
    let upper = text.trim().to_ascii_uppercase();
    let (digits, factor) = match upper.strip_suffix('B').filter(|_| !upper.starts_with("0X")) {
        Some(rest) => split_unit(rest),
        None => split_unit(&upper),
    };
    let value = match digits.strip_prefix("0X") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => digits.parse().ok(),
    };
    value
        .and_then(|value| value.checked_mul(factor))
        .ok_or_else(|| "expected bytes in decimal or as 0x…, perhaps with K or M".to_owned())
}

fn split_unit(text: &str) -> (&str, u64) {
    match (text.strip_suffix('K'), text.strip_suffix('M')) {
        (Some(digits), _) => (digits, 1024),
        (_, Some(digits)) => (digits, 1024 * 1024),
        _ => (text, 1),
    }
}

/// An offset in flash.
fn parse_offset(text: &str) -> std::result::Result<u32, String> {
    u32::try_from(parse_bytes(text)?).map_err(|_| "expected at most 0xffffffff".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_written_in_many_ways() {
        for (text, value) in [
            ("4096", 4096),
            ("0x1000", 4096),
            ("4K", 4096),
            ("4kb", 4096),
            ("4MB", 4 << 20),
            ("0x10k", 16 << 10),
            ("0xB", 11),
        ] {
            assert_eq!(parse_bytes(text), Ok(value), "{text}");
        }
        for text in ["", "K", "x", "-1", "4G", "0x", "99999999999M9", "18446744073709551615K"] {
            parse_bytes(text).unwrap_err();
        }
        parse_offset("4096M").unwrap_err();
    }
}
