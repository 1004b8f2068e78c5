//! `image table`.

use std::fs;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use serde::Serialize;

use super::super::inspect::{columns, partition_columns};
use super::super::output::Output;
use super::{parse_bytes, parse_offset};
use crate::error::{Error, Result};
use crate::image::bytes;
use crate::image::flash::FlashImage;
use crate::image::output::write_whole;
use crate::image::partition::{
    self, DEFAULT_OFFSET, ExtraSubtype, Options, Partition, SECTOR, SecureBoot, Table,
};
use crate::image::{FileBytes, ReadAt};
use crate::report::Report;

/// A text larger than this is no partition table.
const LARGEST_TEXT: u64 = 1024 * 1024;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  micropython-builder image table partitions.csv --flash-size 4MB
  micropython-builder image table partitions.csv -o partition-table.bin
  micropython-builder image table firmware.bin --to csv")]
pub(super) struct Arguments {
    /// The partition table, or an image that holds one
    #[arg(value_name = "FILE")]
    table: PathBuf,
    /// Write the table to this file: text as binary, all else as text, unless --to says otherwise
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// What to convert to; CSV is printed when there is no --out
    #[arg(long, value_name = "FORM")]
    to: Option<Form>,
    /// The size of the flash that the partitions must fit: 4MB
    #[arg(long, value_name = "SIZE", value_parser = parse_bytes)]
    flash_size: Option<u64>,
    /// Where the table itself lies in flash [default: the image's, or 0x8000]
    #[arg(long, value_name = "OFFSET", value_parser = parse_offset)]
    offset: Option<u32>,
    /// Write no MD5, and ignore a wrong one
    #[arg(long)]
    no_md5: bool,
    /// Convert a table even when it breaks the rules
    #[arg(long)]
    no_verify: bool,
    /// The secure boot that application partitions must suit
    #[arg(long, value_name = "VERSION")]
    secure_boot: Option<Secure>,
    /// Where the bootloader lies, for tables that name it
    #[arg(long, value_name = "OFFSET", value_parser = parse_offset)]
    primary_bootloader_offset: Option<u32>,
    /// Where the recovery bootloader lies, for tables that name one
    #[arg(long, value_name = "OFFSET", value_parser = parse_offset)]
    recovery_bootloader_offset: Option<u32>,
    /// A subtype that the project adds, as TYPE,NAME,VALUE with a hexadecimal value (repeatable)
    #[arg(long, value_name = "SUBTYPE")]
    extra_subtype: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    /// Text, a row per partition
    Csv,
    /// As it lies in flash
    Binary,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Secure {
    V1,
    V2,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: u32,
    path: String,
    form: &'static str,
    offset: u32,
    end: u64,
    partitions: &'a [Partition],
    warnings: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    written: Option<String>,
}

/// A table and how it was found.
struct Found {
    table: Table,
    form: &'static str,
    options: Options,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let to = target(arguments)?;
    let Found { table, form, options } = read(arguments)?;
    let warnings = match arguments.no_verify {
        false => {
            table.verify(&options).map_err(|error| error.context(arguments.table.display()))?
        }
        true => Vec::new(),
    };
    let report = output.progress();
    warnings.iter().for_each(|warning| report.warn(warning));
    let written = match &arguments.out {
        Some(out) => {
            let opposite = if form == "csv" { Form::Binary } else { Form::Csv };
            write(&table, to.unwrap_or(opposite), &options, out)?;
            Some(out.display().to_string())
        }
        None => None,
    };
    if output.json() {
        return output.data_json(&Answer {
            schema: 1,
            path: arguments.table.display().to_string(),
            form,
            offset: options.table_offset,
            end: table.flash_end(),
            partitions: &table.partitions,
            warnings,
            written,
        });
    }
    match (written, to) {
        (Some(written), _) => output.say(format!("wrote {written}")),
        (None, Some(_)) => output.data(table.to_csv())?,
        (None, None) => output.data(text(&table))?,
    }
    Ok(())
}

fn target(arguments: &Arguments) -> Result<Option<Form>> {
    match (arguments.to, &arguments.out) {
        (Some(Form::Binary), None) => Err(Error::usage("a binary table needs a file to go to")
            .hint("name one: --to binary -o partition-table.bin")),
        (to, _) => Ok(to),
    }
}

fn options(arguments: &Arguments) -> Result<Options> {
    Ok(Options {
        table_offset: arguments.offset.unwrap_or(DEFAULT_OFFSET),
        md5: !arguments.no_md5,
        secure_boot: arguments.secure_boot.map(|version| match version {
            Secure::V1 => SecureBoot::V1,
            Secure::V2 => SecureBoot::V2,
        }),
        primary_bootloader_offset: arguments.primary_bootloader_offset,
        recovery_bootloader_offset: arguments.recovery_bootloader_offset,
        flash_size: arguments.flash_size,
        extra_subtypes: arguments
            .extra_subtype
            .iter()
            .map(|text| ExtraSubtype::parse(text))
            .collect::<Result<_>>()?,
    })
}

fn read(arguments: &Arguments) -> Result<Found> {
    let path = &arguments.table;
    let mut options = options(arguments)?;
    let bytes = FileBytes::open(path)?;
    let read_error = |error: std::io::Error| Error::io("read", path, &error);
    let context = |error: Error| error.context(path.display());
    let head = bytes::vec(&bytes, 0, SECTOR as usize).map_err(read_error)?;
    if partition::looks_binary(&head) {
        let table = Table::from_binary(&head, options.md5).map_err(context)?;
        return Ok(Found { table, form: "binary", options });
    }
    if let Some(flash) = FlashImage::read(&bytes).map_err(read_error)? {
        let window = bytes::Window::new(&bytes, flash.table_offset - flash.offset, SECTOR.into());
        let data = bytes::vec(&window, 0, SECTOR as usize).map_err(read_error)?;
        let table = Table::from_binary(&data, options.md5).map_err(context)?;
        let found = u32::try_from(flash.table_offset).unwrap_or(DEFAULT_OFFSET);
        options.table_offset = arguments.offset.unwrap_or(found);
        return Ok(Found { table, form: "flash-image", options });
    }
    if bytes.size() > LARGEST_TEXT {
        return Err(unknown(path));
    }
    let data = fs::read(path).map_err(read_error)?;
    let table = Table::parse(&data, &options).map_err(context)?;
    Ok(Found { table, form: "csv", options })
}

fn unknown(path: &Path) -> Error {
    Error::input(format!(
        "{} is neither a partition table nor a flash image with one",
        path.display()
    ))
    .hint("`micropython-builder inspect FILE` says what the file is")
}

fn write(table: &Table, form: Form, options: &Options, out: &Path) -> Result<()> {
    match form {
        Form::Csv => write_whole(out, table.to_csv().as_bytes()),
        Form::Binary => write_whole(out, &table.to_binary(options.md5)?),
    }
}

fn text(table: &Table) -> String {
    let header = ["name", "type", "subtype", "offset", "end", "size", "flags"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(table.partitions.iter().map(partition_columns));
    columns(&rows)
}
