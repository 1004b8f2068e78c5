//! `natmod`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::PossibleValuesParser;

use super::output::{self, Output};
use super::{Jobs, progress::Progress};
use crate::error::{Error, Kind, Result};
use crate::natmod::{self, Arch, Choice, MpyVersion, Options, Outcome, Request, Source};
use crate::rewrite;
use crate::source::{self, Origin, Sources};

/// What stands for all architectures or versions.
const ALL: &str = "all";

#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  micropython-builder natmod src --out dist
      for every architecture, .mpy version 6.3
  micropython-builder natmod src --arch x64,armv6m,xtensawin --mpy-version all
  micropython-builder natmod src --micropython ~/micropython --arch rv32imc --arch-flags zba
  micropython-builder natmod src --toolchain xtensawin=pinned \\
      --toolchain armv7m=/opt/arm/bin/arm-none-eabi-

DIR holds upstream's kind of Makefile: it sets MOD and SRC and includes $(MPY_DIR)/py/dynruntime.mk.
It is copied, never written to. What is built is named MODULE-mpyVERSION-ARCH.mpy and listed in
natmod.json. A module is not built again while its sources, options, MicroPython and compiler stay the
same.

Exit code 4 says that a module could not be built (the others were), 3 that a compiler is missing.")]
pub(super) struct Arguments {
    /// The directory with the module's Makefile
    #[arg(value_name = "DIR", default_value = ".")]
    module: PathBuf,
    /// The architectures to build for, or all of them
    #[arg(long = "arch", value_name = "ARCH,…", value_delimiter = ',', default_value = ALL,
          value_parser = arch_names())]
    archs: Vec<String>,
    /// The .mpy versions to build for, each with the newest release that has it, or all [default: 6.3]
    #[arg(long = "mpy-version", value_name = "VERSION,…", value_delimiter = ',',
          value_parser = versions(), conflicts_with = "micropython")]
    mpy_versions: Vec<String>,
    /// The MicroPython to build for: the directory that holds `ports` and `py`, a release (v1.28.0), or
    /// `debian`; may be repeated
    #[arg(long, value_name = "DIR|RELEASE|debian")]
    micropython: Vec<OsString>,
    /// The directory to write; an earlier one there is replaced
    #[arg(long, short, value_name = "DIR", default_value = "dist")]
    out: PathBuf,
    /// Begin the files' names with this instead of the module's name
    #[arg(long, value_name = "NAME", value_parser = plain_name)]
    output_name: Option<String>,
    /// A directory around DIR to copy with it, when the Makefile uses files outside its own directory
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    #[command(flatten)]
    build: BuildArguments,
    #[command(flatten)]
    jobs: Jobs,
    /// End the make of a module when it takes longer than this many seconds
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = super::seconds)]
    time_limit: u64,
    /// Stop at the first module that cannot be built, and write nothing
    #[arg(long, overrides_with = "keep_going")]
    fail_fast: bool,
    /// Build all that can be built (the default)
    #[arg(long)]
    keep_going: bool,
    /// Build again what was built before
    #[arg(long)]
    rebuild: bool,
}

/// What the makefiles and tools are given.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Build")]
struct BuildArguments {
    /// The toolchain for an architecture: what stands before `gcc` (with its directory if that is not on
    /// PATH), or `pinned` for the archive that is pinned; may be repeated
    #[arg(long = "toolchain", value_name = "ARCH=PREFIX|pinned", value_parser = toolchain)]
    toolchains: Vec<(Arch, Choice)>,
    /// What makes a .mpy file of object files
    #[arg(long, value_name = "WHICH", value_enum, default_value = "own")]
    linker: Linker,
    /// When to give static const objects sections of their own, in the copy that is built; auto: where
    /// the linker would take one file's for another's, which is upstream's on xtensa and xtensawin
    #[arg(long, value_name = "WHEN", value_enum, default_value = "auto")]
    static_const: StaticConst,
    /// The Python that runs MicroPython's linker, where that links
    #[arg(long, value_name = "FILE", default_value = "python3")]
    python: PathBuf,
    /// The target to make instead of the Makefile's first
    #[arg(long, value_name = "TARGET")]
    make_target: Option<String>,
    /// A variable for the Makefile, for example DEBUG=1; may be repeated
    #[arg(long = "make-arg", value_name = "NAME=VALUE")]
    make_arguments: Vec<String>,
    /// An argument for mpy-cross, which compiles the module's .py files; may be repeated
    #[arg(long = "mpy-cross-arg", value_name = "ARGUMENT", allow_hyphen_values = true)]
    mpy_cross_arguments: Vec<String>,
    /// Processor extensions that the module may use, for example zba,zcmp (rv32imc, MicroPython v1.27)
    #[arg(long, value_name = "FLAGS")]
    arch_flags: Option<String>,
    /// Link libgcc and libm where the module uses them (MicroPython v1.25 and later)
    #[arg(long)]
    link_runtime: bool,
    /// A linker script with the addresses of a ROM's functions
    #[arg(long, value_name = "FILE")]
    externs: Option<PathBuf>,
}

/// What links.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Linker {
    /// This program (natmod-link): right where MicroPython's is wrong, fast, and without Python
    Own,
    /// MicroPython's tools/mpy_ld.py, which needs the Python modules pyelftools and, for libraries, ar
    Upstream,
}

/// When sources are rewritten.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum StaticConst {
    Auto,
    On,
    Off,
}

impl From<StaticConst> for rewrite::StaticConst {
    fn from(chosen: StaticConst) -> Self {
        match chosen {
            StaticConst::Auto => rewrite::StaticConst::Auto,
            StaticConst::On => rewrite::StaticConst::On,
            StaticConst::Off => rewrite::StaticConst::Off,
        }
    }
}

impl Linker {
    fn library(self) -> Result<natmod::Linker> {
        match self {
            Linker::Own => std::env::current_exe().map(natmod::Linker::Own).map_err(|error| {
                Error::internal(format!("cannot tell where this program is: {error}"))
            }),
            Linker::Upstream => Ok(natmod::Linker::Upstream),
        }
    }
}

fn arch_names() -> PossibleValuesParser {
    PossibleValuesParser::new(natmod::architectures().map(Arch::name).chain([ALL]))
}

fn versions() -> PossibleValuesParser {
    let names = MpyVersion::ALL.map(|version| version.to_string());
    PossibleValuesParser::new(names.into_iter().chain(["6.0".to_owned(), ALL.to_owned()]))
}

fn plain_name(text: &str) -> std::result::Result<String, String> {
    if text.is_empty() || text.contains('/') || text.starts_with('.') {
        return Err("expected a name without directories".to_owned());
    }
    Ok(text.to_owned())
}

fn toolchain(text: &str) -> std::result::Result<(Arch, Choice), String> {
    let (arch, choice) = text.split_once('=').ok_or("expected ARCH=PREFIX or ARCH=pinned")?;
    let arch = natmod::architectures().find(|known| known.name() == arch).ok_or_else(|| {
        let names: Vec<&str> = natmod::architectures().map(Arch::name).collect();
        format!("there is no architecture {arch:?}; there are {}", names.join(", "))
    })?;
    let choice = match choice {
        "pinned" => Choice::Pinned,
        prefix if prefix.contains(char::is_whitespace) => {
            return Err("make cannot use a prefix with white space in it".to_owned());
        }
        prefix => Choice::Prefix(prefix.to_owned()),
    };
    Ok((arch, choice))
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let progress = output.progress();
    let build = &arguments.build;
    natmod::check_module(&arguments.module, arguments.root.as_deref())?;
    let request = Request {
        module: arguments.module.clone(),
        root: arguments.root.clone(),
        sources: arguments.sources(&progress)?,
        archs: arguments.archs(),
        toolchains: build.toolchains.iter().cloned().collect::<BTreeMap<_, _>>(),
        options: Options {
            linker: build.linker.library()?,
            static_const: build.static_const.into(),
            make_target: build.make_target.clone(),
            make_arguments: build.make_arguments.clone(),
            mpy_cross_arguments: build.mpy_cross_arguments.clone(),
            arch_flags: build.arch_flags.clone(),
            link_runtime: build.link_runtime,
            externs: build.externs.clone(),
        },
        output_name: arguments.output_name.clone(),
        python: build.python.clone(),
        out: arguments.out.clone(),
        jobs: arguments.jobs.get(),
        time_limit: Duration::from_secs(arguments.time_limit),
        fail_fast: arguments.fail_fast,
        rebuild: arguments.rebuild,
    };
    let outcome = natmod::build(&request, &progress)?;
    if output.json() {
        output.data_json(&outcome.record)?;
    } else {
        output.data(summary(&outcome, &request))?;
    }
    for absent in &outcome.record.not_supported {
        output.say(format!("not supported: {}", absent.reason));
    }
    if outcome.unchanged > 0 {
        output.say(format!("{} of them unchanged since they were built", outcome.unchanged));
    }
    outcome.faults.iter().for_each(output::print_error);
    Ok(exit_code(&outcome.faults))
}

/// That of a build which failed, if one did, else that of what was missing.
fn exit_code(faults: &[Error]) -> ExitCode {
    let failed = faults.iter().find(|fault| fault.kind() == Kind::Build).or(faults.first());
    failed.map_or(ExitCode::SUCCESS, |fault| ExitCode::from(fault.kind().exit_code()))
}

impl Arguments {
    fn archs(&self) -> Vec<Arch> {
        let asked = |arch: &Arch| self.archs.iter().any(|name| name == ALL || name == arch.name());
        natmod::architectures().filter(asked).collect()
    }

    fn sources(&self, progress: &Progress) -> Result<Vec<Source>> {
        let sources = Sources::of_user()?;
        let mut trees = Vec::new();
        if self.micropython.is_empty() {
            for version in self.mpy_versions() {
                let release = version.recommended_release(sources.pins())?;
                trees.push(sources.get(&source::Request::Release(release), progress)?);
            }
        } else {
            for name in &self.micropython {
                trees.push(sources.get(&source::Request::parse(name)?, progress)?);
            }
        }
        trees.into_iter().map(natmod_source).collect()
    }

    fn mpy_versions(&self) -> Vec<MpyVersion> {
        let newest = MpyVersion::ALL.first().map(ToString::to_string);
        let asked: Vec<&str> = if self.mpy_versions.is_empty() {
            newest.as_deref().into_iter().collect()
        } else {
            self.mpy_versions.iter().map(String::as_str).collect()
        };
        let wanted = |version: &MpyVersion| {
            asked.iter().any(|name| *name == ALL || name.parse() == Ok(*version))
        };
        MpyVersion::ALL.into_iter().filter(wanted).collect()
    }
}

fn natmod_source(tree: source::Tree) -> Result<Source> {
    let version = tree.version()?;
    let commit = match tree.origin {
        Origin::Release { commit, .. } => Some(commit),
        Origin::Directory | Origin::Debian { .. } => version.commit,
    };
    Ok(Source { path: tree.path, version: version.tag, commit, nar: tree.verified })
}

/// One line per file: its path and size.
fn summary(outcome: &Outcome, request: &Request) -> String {
    let mut text = String::new();
    for file in &outcome.record.files {
        let path = request.out.join(&file.path);
        let _ = writeln!(text, "{}  {} bytes", path.display(), file.size);
    }
    text
}
