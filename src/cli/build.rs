//! `build`.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;

use super::Jobs;
use super::output::Output;
use super::tree::TreeArgument;
use crate::board;
use crate::error::Result;
use crate::firmware::record::EspIdf;
use crate::firmware::{self, Esp32, FetchSubmodule, Record, Request, Source, Target};
use crate::source::{Origin, Sources};

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  micropython-builder build VIRT_RV32 --micropython v1.28.0 --out out
  micropython-builder build unix --variant minimal --micropython ~/micropython --out out
  micropython-builder build VIRT_RV32 --micropython ~/micropython \\
      --manifest manifest.py --user-c-modules ./modules --out out
  micropython-builder build ESP32_GENERIC_C3 --micropython v1.28.0 --idf ~/esp-idf \\
      --components ./managed_components --python ~/.espressif/python_env/idf5.5/bin/python --out out

The source tree is never written to. The output is a directory with the images, the ELF, the map
and firmware.json, which `run` and `inspect` read; the same inputs give the same bytes.")]
pub(super) struct Arguments {
    /// The board, as `micropython-builder boards` lists it; `unix` for a program for this machine
    board: String,
    /// The board's variant
    #[arg(long, value_name = "NAME")]
    variant: Option<String>,
    /// The port, when boards of several ports have the name
    #[arg(long, value_name = "NAME")]
    port: Option<String>,
    #[command(flatten)]
    tree: TreeArgument,
    /// A checkout of micropython-lib, for manifests that `require` packages; the tree's own otherwise
    #[arg(long, value_name = "DIR")]
    micropython_lib: Option<PathBuf>,
    /// A submodule that the source tree lacks, by its path: lib/mbedtls=/src/mbedtls; may be repeated
    #[arg(long = "submodule", value_name = "PATH=DIR", value_parser = submodule)]
    submodules: Vec<(String, PathBuf)>,
    /// A manifest of Python modules to freeze, in place of the board's own; may be repeated.
    /// Begin it with include("$(BOARD_DIR)/manifest.py") or include("$(PORT_DIR)/boards/manifest.py")
    /// to keep what the board freezes
    #[arg(long = "manifest", value_name = "FILE")]
    manifests: Vec<PathBuf>,
    /// A user C module: its directory, or a directory of several; may be repeated
    #[arg(long = "user-c-modules", value_name = "DIR")]
    user_c_modules: Vec<PathBuf>,
    /// Whether `static const` objects of the user's C modules get sections of their own, as
    /// `micropython-builder rewrite --for firmware` does it; on copies, never in your files
    #[arg(long, value_name = "WHEN", default_value = "on")]
    static_const: Switch,
    /// A patch to MicroPython (`patch -p1`), applied to a copy; may be repeated
    #[arg(long = "patch", value_name = "FILE")]
    patches: Vec<PathBuf>,
    /// A variable for upstream's makefile (esp32: for CMake), for example MICROPY_HEAP_SIZE=200000;
    /// may be repeated
    #[arg(long = "make-arg", value_name = "NAME=VALUE")]
    make_arguments: Vec<String>,
    /// Use this mpy-cross instead of building the tree's own (once, then it is cached)
    #[arg(long, value_name = "FILE")]
    mpy_cross: Option<PathBuf>,
    /// The firmware directory to write; an earlier firmware there is replaced [default: firmware/BOARD]
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Put ELF and map there, and only what is flashed or run into the firmware directory
    #[arg(long, value_name = "DIR")]
    symbols: Option<PathBuf>,
    /// Save the finished build to this file, for builds that add something to it (esp32)
    #[arg(long, value_name = "FILE")]
    save_build: Option<PathBuf>,
    /// Begin with the build of the same board that --save-build saved; what changed is compiled (esp32)
    #[arg(long, value_name = "FILE")]
    from_build: Option<PathBuf>,
    #[command(flatten)]
    jobs: Jobs,
    /// End the build when it takes longer than this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "3600", value_parser = super::seconds)]
    time_limit: u64,
    /// Keep the build directory beside the output, as DIR.build
    #[arg(long)]
    keep_build: bool,
    #[command(flatten)]
    esp32: Esp32Arguments,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

/// What only the esp32 port takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "ESP32")]
struct Esp32Arguments {
    /// ESP-IDF's source tree, with its submodules
    #[arg(long, value_name = "DIR", env = "IDF_PATH")]
    idf: Option<PathBuf>,
    /// The directory of ESP-IDF components that `micropython-builder vendor` made
    #[arg(long, value_name = "DIR")]
    components: Option<PathBuf>,
    /// The Python that has ESP-IDF's packages [default: python3]
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
    /// A partition table (CSV) in place of the board's
    #[arg(long, value_name = "FILE")]
    partition_table: Option<PathBuf>,
    /// The lock of ESP-IDF components (`micropython-builder lock` writes one) in place of the tree's
    #[arg(long, value_name = "FILE")]
    lock: Option<PathBuf>,
    /// Settings as in sdkconfig (CONFIG_…=…), after the board's; may be repeated
    #[arg(long = "sdkconfig", value_name = "FILE")]
    sdkconfig: Vec<PathBuf>,
    /// Whether frozen modules lie behind everything else in the program, so that a change in one moves
    /// nothing else and `flash` has little to write; costs up to 4 KiB of flash
    #[arg(long, value_name = "WHEN", default_value = "on")]
    frozen_last: Switch,
}

impl From<&Esp32Arguments> for Esp32 {
    fn from(arguments: &Esp32Arguments) -> Esp32 {
        Esp32 {
            idf: arguments.idf.clone(),
            components: arguments.components.clone(),
            python: arguments.python.clone(),
            partition_table: arguments.partition_table.clone(),
            lock: arguments.lock.clone(),
            sdkconfig: arguments.sdkconfig.clone(),
            frozen_last: arguments.frozen_last == Switch::On,
        }
    }
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let progress = output.progress();
    let sources = Sources::of_user()?;
    let tree = arguments.tree.get(&sources, output)?;
    let version = tree.version()?;
    let catalogue = board::scan(&tree.path)?;
    let found = catalogue.find(
        &arguments.board,
        arguments.port.as_deref(),
        arguments.variant.as_deref(),
    )?;
    let target = Target {
        port: found.port.name.clone(),
        board: found.board.name.clone(),
        variant: found.variant.name.clone(),
        mcu: found.board.mcu.clone(),
    };
    let fetch = |path: &str| sources.submodule_of(&tree, path, &progress);
    let fetch: &FetchSubmodule<'_> = &fetch;
    let commit = match &tree.origin {
        Origin::Release { commit, .. } => Some(commit.as_str()),
        Origin::Directory | Origin::Debian { .. } => version.commit.as_deref(),
    };
    let request = Request {
        out: arguments.out.clone().unwrap_or_else(|| default_out(&target)),
        source: Source {
            path: &tree.path,
            version: &version.tag,
            commit,
            epoch: tree.epoch.or(version.epoch).or_else(|| sources.epoch_of(&version.tag)),
            fetch_submodule: (tree.origin != Origin::Directory).then_some(fetch),
        },
        target,
        micropython_lib: arguments.micropython_lib.clone(),
        submodules: arguments.submodules.iter().cloned().collect(),
        manifests: arguments.manifests.clone(),
        user_c_modules: arguments.user_c_modules.clone(),
        static_const: arguments.static_const == Switch::On,
        patches: arguments.patches.clone(),
        make_arguments: arguments.make_arguments.clone(),
        mpy_cross: arguments.mpy_cross.clone(),
        esp32: (&arguments.esp32).into(),
        symbols: arguments.symbols.clone(),
        save_build: arguments.save_build.clone(),
        from_build: arguments.from_build.clone(),
        jobs: arguments.jobs.get(),
        time_limit: Duration::from_secs(arguments.time_limit),
        keep_build: arguments.keep_build,
    };
    let record = firmware::build(&request, &progress)?;
    if output.json() {
        output.data_json(&record)?;
    } else {
        output.data(summary(&record, &request.out))?;
        if let Some(esp_idf) = &record.esp_idf {
            room(esp_idf).iter().for_each(|line| output.say(line));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads `PATH=DIR`.
fn submodule(text: &str) -> std::result::Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((path, directory)) if !path.is_empty() && !directory.is_empty() => {
            Ok((path.trim_end_matches('/').to_owned(), PathBuf::from(directory)))
        }
        _ => Err("expected PATH=DIR, such as lib/mbedtls=/src/mbedtls".to_owned()),
    }
}

fn default_out(target: &Target) -> PathBuf {
    let variant = target.variant.as_deref().map(|name| format!("-{name}")).unwrap_or_default();
    PathBuf::from("firmware").join(format!("{}{variant}", target.board))
}

/// How full the application's partition is, and with what.
fn room(esp_idf: &EspIdf) -> Vec<String> {
    const SHOWN: usize = 5;
    let mut lines = Vec::new();
    for partition in &esp_idf.partitions {
        let Some(used) = partition.used else { continue };
        lines.push(format!(
            "partition {}: {used} of {} bytes used, {} free",
            partition.name,
            partition.size,
            partition.size.saturating_sub(used)
        ));
    }
    let listed = esp_idf.sizes.iter().take(SHOWN);
    let largest: Vec<String> =
        listed.map(|size| format!("{} {}", size.archive, size.in_flash())).collect();
    if !largest.is_empty() {
        lines.push(format!("most of it: {} (bytes; all in firmware.json)", largest.join(", ")));
    }
    lines
}

/// One line per file: its path and size.
fn summary(record: &Record, out: &Path) -> String {
    let lines = record
        .files
        .iter()
        .map(|file| format!("{}  {} bytes\n", out.join(&file.path).display(), file.size));
    lines.collect()
}
