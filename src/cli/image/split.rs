//! `image split`.

use std::path::PathBuf;

use serde::Serialize;

use super::super::inspect::columns;
use super::super::output::Output;
use crate::error::Result;
use crate::image::split::{self, SplitPart};

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  micropython-builder image split firmware.bin -o parts
  micropython-builder image split --json flash-dump.bin -o parts

Writes bootloader.bin, partition-table.bin, micropython.bin (application.bin when the application is not
MicroPython), and NAME.bin for every other partition that is not erased.")]
pub(super) struct Arguments {
    /// The image
    #[arg(value_name = "FILE")]
    image: PathBuf,
    /// The directory to write the parts to; it is created when it is missing
    #[arg(long, short, value_name = "DIR")]
    out: PathBuf,
}

#[derive(Serialize)]
struct Answer<'a> {
    schema: u32,
    directory: String,
    parts: &'a [SplitPart],
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<()> {
    let parts = split::split(&arguments.image, &arguments.out, &output.progress())?;
    if output.json() {
        let directory = arguments.out.display().to_string();
        return output.data_json(&Answer { schema: 1, directory, parts: &parts });
    }
    let cells = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
    let mut rows = vec![cells(["file", "offset", "size"])];
    for part in &parts {
        rows.push(vec![
            arguments.out.join(&part.path).display().to_string(),
            format!("0x{:x}", part.offset),
            part.size.to_string(),
        ]);
    }
    output.data(columns(&rows))
}
