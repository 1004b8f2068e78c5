//! `image assemble`.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::super::inspect::columns;
use super::super::output::Output;
use super::parse_offset;
use crate::error::{Error, Result};
use crate::image::assemble::{self, Assembled, Parts};
use crate::image::build_dir::BuildDir;
use crate::image::partition::DEFAULT_OFFSET;
use crate::image::{Chip, EspImage, FileBytes};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  micropython-builder image assemble build-ESP32_GENERIC_C3 -o firmware.bin
  micropython-builder image assemble build-ESP32_GENERIC_S3 -o firmware.bin --uf2 micropython.uf2
  micropython-builder image assemble --bootloader bootloader.bin --bootloader-offset 0x1000 \\
      --partition-table partition-table.bin --application micropython.bin -o firmware.bin")]
pub(super) struct Arguments {
    /// A directory that ESP-IDF built in: it has flasher_args.json and sdkconfig
    #[arg(value_name = "BUILD_DIR", required_unless_present_all = ["bootloader", "bootloader_offset", "partition_table", "application"])]
    build_dir: Option<PathBuf>,
    /// The image to write
    #[arg(long, short, value_name = "FILE")]
    out: PathBuf,
    /// Also write the application as a UF2 file (ESP32-S2 and ESP32-S3)
    #[arg(long, value_name = "FILE")]
    uf2: Option<PathBuf>,
    /// The second-stage bootloader
    #[arg(long, value_name = "FILE")]
    bootloader: Option<PathBuf>,
    /// Where the bootloader goes in flash; it depends on the chip, and ESP-IDF's sdkconfig has it
    #[arg(long, value_name = "OFFSET", value_parser = parse_offset)]
    bootloader_offset: Option<u32>,
    /// The partition table, in binary
    #[arg(long, value_name = "FILE")]
    partition_table: Option<PathBuf>,
    /// Where the partition table goes in flash [default: the build directory's, or 0x8000]
    #[arg(long, value_name = "OFFSET", value_parser = parse_offset)]
    partition_table_offset: Option<u32>,
    /// The application
    #[arg(long, value_name = "FILE")]
    application: Option<PathBuf>,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: u32,
    path: String,
    #[serde(flatten)]
    image: &'a Assembled,
    #[serde(skip_serializing_if = "Option::is_none")]
    uf2: Option<Uf2>,
}

#[derive(Serialize)]
struct Uf2 {
    path: String,
    size: u64,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let build = arguments.build_dir.as_deref().map(BuildDir::read).transpose()?;
    let built_for = build.as_ref().map(|build| build.chip);
    let parts = parts(arguments, build)?;
    let chip = match &arguments.uf2 {
        Some(_) => Some(built_for.map_or_else(|| chip(&parts.application), Ok)?),
        None => None,
    };
    let image = assemble::assemble(&parts, &arguments.out, &output.progress())?;
    let uf2 = match (&arguments.uf2, chip) {
        (Some(path), Some(chip)) => Some(Uf2 {
            size: assemble::write_uf2(&parts.application, chip, path)?,
            path: path.display().to_string(),
        }),
        _ => None,
    };
    let path = arguments.out.display().to_string();
    if output.json() {
        return output.data_json(&Answer { schema: 1, path, image: &image, uf2 });
    }
    output.data(text(&path, &image, uf2.as_ref()))
}

fn parts(arguments: &Arguments, build: Option<BuildDir>) -> Result<Parts> {
    let mut parts = match build {
        Some(build) => Parts::from(build),
        None => explicit_parts(arguments)?,
    };
    let replace = |part: &mut PathBuf, given: &Option<PathBuf>| {
        if let Some(given) = given {
            part.clone_from(given);
        }
    };
    replace(&mut parts.bootloader, &arguments.bootloader);
    replace(&mut parts.partition_table, &arguments.partition_table);
    replace(&mut parts.application, &arguments.application);
    parts.bootloader_offset = arguments.bootloader_offset.unwrap_or(parts.bootloader_offset);
    parts.table_offset = arguments.partition_table_offset.unwrap_or(parts.table_offset);
    if arguments.partition_table.is_some() {
        // Where the build would flash the application follows from the table it had.
        parts.application_offset = None;
    }
    Ok(parts)
}

/// The parts without a build directory. Clap has made sure that all are given.
fn explicit_parts(arguments: &Arguments) -> Result<Parts> {
    let missing = || Error::usage("neither a build directory nor all parts are given");
    Ok(Parts {
        bootloader: arguments.bootloader.clone().ok_or_else(missing)?,
        bootloader_offset: arguments.bootloader_offset.ok_or_else(missing)?,
        partition_table: arguments.partition_table.clone().ok_or_else(missing)?,
        table_offset: DEFAULT_OFFSET,
        application: arguments.application.clone().ok_or_else(missing)?,
        application_offset: None,
    })
}

/// The chip that an application says it is for.
fn chip(application: &Path) -> Result<Chip> {
    let bytes = FileBytes::open(application)?;
    EspImage::read(&bytes, 0)
        .map_err(|error| Error::io("read", application, &error))?
        .and_then(|image| image.chip_id)
        .and_then(Chip::by_id)
        .ok_or_else(|| {
            Error::input(format!("{} does not say which chip it is for", application.display()))
                .hint("give the build directory, or leave --uf2 out")
        })
}

fn text(path: &str, image: &Assembled, uf2: Option<&Uf2>) -> String {
    let cells = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
    let mut rows = vec![cells(["part", "offset", "size", "free"])];
    for part in &image.parts {
        rows.push(vec![
            part.role.to_owned(),
            format!("0x{:x}", part.offset),
            part.size.to_string(),
            (part.limit - part.size).to_string(),
        ]);
    }
    let mut text = format!(
        "{path}: {} bytes, to be written at 0x{:x}\n{}",
        image.size,
        image.offset,
        columns(&rows)
    );
    if let Some(uf2) = uf2 {
        text.push_str(&format!("{}: {} bytes\n", uf2.path, uf2.size));
    }
    text
}
