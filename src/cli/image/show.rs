//! `image show`.

use std::path::PathBuf;

use serde::Serialize;

use super::super::inspect::columns;
use super::super::output::Output;
use crate::error::{Error, Result};
use crate::image::FileBytes;
use crate::image::flash::{FlashImage, Region};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  micropython-builder image show firmware.bin
  micropython-builder image show --json flash-dump.bin")]
pub(super) struct Arguments {
    /// The image
    #[arg(value_name = "FILE")]
    image: PathBuf,
}

#[derive(Serialize)]
struct Answer {
    schema: u32,
    path: String,
    chip: Option<String>,
    offset: u64,
    offset_known: bool,
    flash_size: Option<u64>,
    regions: Vec<Region>,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let path = &arguments.image;
    let bytes = FileBytes::open(path)?;
    let flash = FlashImage::read(&bytes)
        .map_err(|error| Error::io("read", path, &error))?
        .ok_or_else(|| {
            Error::input(format!(
                "{} is no flash image: expected a bootloader and a partition table",
                path.display()
            ))
            .hint("`micropython-builder inspect FILE` says what the file is")
        })?;
    let regions = flash.regions();
    if output.json() {
        return output.data_json(&Answer {
            schema: 1,
            path: path.display().to_string(),
            chip: flash.bootloader.chip.clone(),
            offset: flash.offset,
            offset_known: flash.offset_known,
            flash_size: flash.bootloader.flash_size,
            regions,
        });
    }
    let header = ["offset", "end", "size", "used", "free", "what"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.extend(regions.iter().map(row));
    let assumed = if flash.offset_known { "" } else { " (assumed)" };
    output.data(format!(
        "{}: {}, to be written at 0x{:x}{assumed}\n{}",
        path.display(),
        flash.bootloader.chip_title(),
        flash.offset,
        columns(&rows)
    ))
}

fn row(region: &Region) -> Vec<String> {
    let number =
        |value: Option<u64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    vec![
        format!("0x{:x}", region.offset),
        format!("0x{:x}", region.offset + region.size),
        region.size.to_string(),
        number(region.used),
        number(region.free),
        region.what.clone(),
    ]
}
