//! `flash` for boards that have no serial loader of Espressif.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::cli::output::Output;
use crate::error::{Error, Result};
use crate::flash::instructions;
use crate::flash::uf2_drive::{self, Drive};
use crate::source::{Request, Sources};

#[derive(Debug, clap::Args)]
pub(super) struct OtherArguments {
    /// The boot drive to copy a .uf2 file to, in place of the only one that is mounted
    #[arg(long, value_name = "DIR")]
    drive: Option<PathBuf>,
    /// Print the instructions of MicroPython's tree for this board, which other tools flash
    #[arg(long, value_name = "BOARD", requires = "micropython")]
    pub(super) board: Option<String>,
    /// The MicroPython whose instructions are printed: a directory, a release or `debian`
    #[arg(long, value_name = "DIR|RELEASE|debian", env = "MICROPYTHON")]
    micropython: Option<OsString>,
}

/// Copies a UF2 file to a boot drive.
pub(super) fn copy(arguments: &super::Arguments, file: &Path, output: &Output) -> Result<ExitCode> {
    let serial = [
        ("--port", !arguments.port.is_empty()),
        ("--app-only", arguments.app_only),
        ("--erase", arguments.erase),
        ("--erase-filesystem", arguments.erase_filesystem),
    ];
    if let Some((name, _)) = serial.iter().find(|(_, given)| *given) {
        return Err(Error::usage(format!("{name} has no meaning for a .uf2 file")));
    }
    if arguments.then.any() {
        return Err(Error::usage(
            "--deploy, --smoke and --monitor work on boards that are flashed through their serial port",
        )
        .hint("a .uf2 file is copied to a drive, and the port that comes then is not known"));
    }
    let uf2 = uf2_drive::read(file)?;
    let drive = match &arguments.others.drive {
        Some(path) => Drive::at(path).ok_or_else(|| {
            Error::device(format!("{} is no boot drive: it has no INFO_UF2.TXT", path.display()))
                .hint("hold the board's BOOTSEL button while you plug it in (rp2), or press RESET twice (samd, nrf)")
        })?,
        None => uf2_drive::find(&mut || output.say("waiting for a boot drive"))?,
    };
    drive.check(&uf2)?;
    if arguments.dry_run {
        output.data(format!("{} would go to {}\n", file.display(), drive.describe()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let copied = uf2_drive::copy(file, &drive, uf2_drive::WAIT, &output.progress())?;
    if output.json() {
        output.data_json(&serde_json::json!({ "schema": 1, "drive": copied }))?;
    } else {
        output.data(format!(
            "{}: {} bytes copied, and the board has taken them, in {:.1} s\n",
            drive.describe(),
            copied.bytes,
            copied.seconds
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints what the tree says about flashing a board.
pub(super) fn instruct(
    arguments: &OtherArguments,
    board: &str,
    port: Option<&str>,
    output: &Output,
) -> Result<ExitCode> {
    if let Some(port @ ("unix" | "qemu")) = port {
        return Err(Error::input(format!("firmware of the {port} port runs on this machine"))
            .hint("`micropython-builder run FIRMWARE` runs it"));
    }
    let Some(micropython) = &arguments.micropython else {
        return Err(Error::input(format!("{board} is flashed by other tools"))
            .hint("`--micropython RELEASE` prints what MicroPython says about flashing it"));
    };
    let tree = Sources::of_user()?.get(&Request::parse(micropython)?, &output.progress())?;
    let pages = instructions::of_board(&tree.path, board, port)?;
    if pages.is_empty() {
        return Err(Error::input(format!("MicroPython has no instructions for flashing {board}"))
            .hint(format!("`micropython-builder boards {board}` shows its documentation")));
    }
    for page in &pages {
        output.data(format!("{}\n\n", page.text.trim()))?;
    }
    output.say(format!("{board} is flashed as this says; nothing was written"));
    Ok(ExitCode::SUCCESS)
}
