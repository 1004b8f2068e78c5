//! `manual`: the manual pages, made of what `--help` says.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::CommandFactory;

use super::output::Output;
use crate::error::{Error, Result};

#[derive(Debug, clap::Args)]
#[command(
    about = "Write the manual pages",
    long_about = "Write the manual pages, one for the program and one for each command, with what `--help` says: \
        micropython-builder.1, micropython-builder-build.1 and so on. Pages that are there already are replaced.",
    after_help = "Examples:\n  \
        micropython-builder manual ~/.local/share/man/man1\n      \
        and `man micropython-builder-build` shows the page of build"
)]
pub(super) struct Arguments {
    /// The directory to write to; it is made if it is not there
    #[arg(value_name = "DIR")]
    directory: PathBuf,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let directory: &Path = &arguments.directory;
    fs::create_dir_all(directory).map_err(|error| Error::io("create", directory, &error))?;
    let mut command = super::Arguments::command();
    // The pages of help are what these pages are.
    command = command.disable_help_subcommand(true);
    clap_mangen::generate_to(command, directory)
        .map_err(|error| Error::io("write manual pages in", directory, &error))?;
    output.data(format!("{}\n", directory.display()))?;
    Ok(ExitCode::SUCCESS)
}
