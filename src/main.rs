//! The `micropython-builder` command: parse, call, and turn an error into a message and an exit code.

use std::process::ExitCode;

use micropython_builder::cli;

fn main() -> ExitCode {
    let arguments = cli::parse();
    match cli::run(arguments) {
        Ok(code) => code,
        Err(error) => cli::fail(&error),
    }
}
