//! `completions`: what a shell needs to complete commands and options.

use std::process::ExitCode;

use clap::CommandFactory;
use clap_complete::Shell;

use super::output::Output;
use crate::error::Result;

#[derive(Debug, clap::Args)]
#[command(
    about = "Print a script that completes commands and options in a shell",
    after_help = "Examples:\n  \
        micropython-builder completions bash \\\n      \
        > ~/.local/share/bash-completion/completions/micropython-builder\n  \
        micropython-builder completions zsh > ~/.zfunc/_micropython-builder\n      \
        with ~/.zfunc in fpath before compinit\n  \
        micropython-builder completions fish > ~/.config/fish/completions/micropython-builder.fish"
)]
pub(super) struct Arguments {
    /// Whose language
    shell: Shell,
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let mut command = super::Arguments::command();
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, name, &mut script);
    output.data_bytes(&script)?;
    Ok(ExitCode::SUCCESS)
}
