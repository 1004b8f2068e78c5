//! The command line: one file per subcommand with its arguments, one call into the library, and printing.

mod boards;
mod build;
mod completions;
mod doctor;
mod flash;
mod hash;
mod image;
mod inspect;
mod lock;
mod manual;
mod natmod;
mod natmod_link;
mod output;
mod progress;
mod rewrite;
mod run;
mod source;
mod stream;
mod tree;
mod vendor;

use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::thread;

use clap::{Parser, Subcommand, ValueEnum};

use crate::error::{Error, Result};
use crate::interrupt;
use output::Output;

/// The version, in a release build with the commit that it is made of; see `build.rs`.
const VERSION: &str = match option_env!("MPB_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Build, run, inspect and flash MicroPython firmware and native modules.
#[derive(Debug, Parser)]
#[command(name = "micropython-builder", version = VERSION, max_term_width = 100)]
#[command(
    after_help = "Exit codes: 0 done, 1 a fault of this program, 2 wrong usage, 3 wrong input, \
    4 the upstream build failed, 5 a source could not be had or its hash differs, \
    6 the device or the Python on it failed, 130 interrupted."
)]
pub struct Arguments {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// Print data as JSON on standard output, where a command returns data
    #[arg(long, global = true)]
    json: bool,
    /// Say nothing but warnings and errors on standard error
    #[arg(long, short, global = true)]
    quiet: bool,
    /// Colour in messages; `auto` follows the terminal and NO_COLOR
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
}

/// How much may run at once.
#[derive(Debug, clap::Args)]
struct Jobs {
    /// How many compilers run at once [default: one per processor]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
}

impl Jobs {
    fn get(&self) -> usize {
        let available = || thread::available_parallelism().map_or(1, NonZeroUsize::get);
        self.jobs.map_or_else(available, usize::from)
    }
}

/// A number of seconds, as a command line has it.
fn seconds(text: &str) -> std::result::Result<u64, String> {
    text.parse().map_err(|_| "expected a number of seconds, such as 300".to_owned())
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the boards of a MicroPython tree, or show one
    Boards(boards::Arguments),
    /// Build firmware for a board
    Build(Box<build::Arguments>),
    Completions(completions::Arguments),
    /// Say what is installed, what is missing for what, and how to get it
    Doctor(doctor::Arguments),
    /// Write firmware to a board, verify it, and see it run
    Flash(Box<flash::Arguments>),
    /// Print the NAR hash of a file or directory, as `nix hash path` does
    Hash(hash::Arguments),
    /// Assemble, split, show images for Espressif chips and their partition tables
    ///
    /// All of it works offline and without ESP-IDF, and gives the bytes that the tools of MicroPython's
    /// ESP32 port and of ESP-IDF give.
    Image(image::Arguments),
    /// Say what a .mpy, .bin, .uf2, .elf or partition table file is
    ///
    /// Goes by what is in a file, never by its name. Known are compiled Python modules (.mpy), images for
    /// Espressif chips (bootloader, application, or a whole flash with its partition table), partition
    /// tables, UF2 and ELF files, and raw binaries that hold MicroPython. Checksums and hashes are
    /// verified. A file that is cut off or damaged is described as far as it goes, with what is wrong.
    Inspect(inspect::Arguments),
    Lock(lock::Arguments),
    Manual(manual::Arguments),
    /// Build native modules (.mpy) from C for any architecture and .mpy version
    Natmod(Box<natmod::Arguments>),
    Rewrite(rewrite::Arguments),
    NatmodLink(natmod_link::Arguments),
    /// Boot a firmware in its emulator
    Run(run::Arguments),
    /// Get a MicroPython source tree by its pin and print where it lies
    Source(source::Arguments),
    Vendor(vendor::Arguments),
}

/// Parses the command line. Wrong usage ends the process with exit code 2, help with 0.
pub fn parse() -> Arguments {
    Arguments::parse()
}

/// Carries a command out.
///
/// # Errors
/// Whatever the command reports; see [`fail`].
pub fn run(arguments: Arguments) -> Result<ExitCode> {
    interrupt::install()?;
    arguments.global.color.apply();
    let output = Output::new(arguments.global.json, arguments.global.quiet);
    match arguments.command {
        Command::Boards(arguments) => boards::run(&arguments, &output),
        Command::Build(arguments) => build::run(&arguments, &output),
        Command::Completions(arguments) => completions::run(&arguments, &output),
        Command::Doctor(arguments) => doctor::run(&arguments, &output),
        Command::Flash(arguments) => flash::run(&arguments, &output),
        Command::Hash(arguments) => hash::run(&arguments, &output),
        Command::Image(arguments) => image::run(&arguments, &output),
        Command::Inspect(arguments) => inspect::run(&arguments, &output),
        Command::Lock(arguments) => lock::run(&arguments, &output),
        Command::Manual(arguments) => manual::run(&arguments, &output),
        Command::Natmod(arguments) => natmod::run(&arguments, &output),
        Command::Rewrite(arguments) => rewrite::run(&arguments, &output),
        Command::NatmodLink(arguments) => natmod_link::run(&arguments, &output),
        Command::Run(arguments) => run::run(&arguments, &output),
        Command::Source(arguments) => source::run(&arguments, &output),
        Command::Vendor(arguments) => vendor::run(&arguments, &output),
    }
}

/// Prints an error with its hints to standard error and returns its exit code.
pub fn fail(error: &Error) -> ExitCode {
    output::print_error(error);
    ExitCode::from(error.kind().exit_code())
}

impl Color {
    fn apply(self) {
        match self {
            Color::Auto => anstream::ColorChoice::Auto,
            Color::Always => anstream::ColorChoice::Always,
            Color::Never => anstream::ColorChoice::Never,
        }
        .write_global();
    }
}
