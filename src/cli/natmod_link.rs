//! `natmod-link`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ArgAction;
use serde::Serialize;

use super::output::{self, Output};
use crate::error::{Error, Result};
use crate::natmod::Arch;
use crate::natmod::linker::{
    LinkJob, Module, Release, link_files, merge_files, parse_arch_flags, preprocess_files,
};
use crate::source::{Request, Sources};

#[derive(Debug, clap::Args)]
#[command(
    about = "Link object files into a native module (.mpy), without Python",
    long_about = "Link object files into a native module (.mpy), for every architecture and every \
        MicroPython from v1.18 on, without Python.\n\n\
        It takes the place of upstream's tools/mpy_ld.py and of tools/mpy-tool.py --merge, and of \
        their arguments those that py/dynruntime.mk gives. The bytes are theirs, but where theirs \
        are wrong: on ESP32 and ESP8266 (xtensawin, xtensa) those read one file's constants where \
        another's are meant.",
    after_help = "Examples:\n  \
        make ARCH=xtensawin \\\n      \
        MPY_LD='micropython-builder natmod-link --micropython $(MPY_DIR)' \\\n      \
        MPY_TOOL='micropython-builder natmod-link'\n      \
        builds a native module with upstream's makefiles and this linker\n  \
        micropython-builder natmod-link --micropython v1.28.0 --arch armv6m --preprocess \\\n      \
        -o mod.config.h a.c b.c\n      \
        writes the header with the names (MP_QSTR_…) that the C files mention\n  \
        micropython-builder natmod-link --micropython v1.28.0 --arch armv6m --qstrs mod.config.h \\\n      \
        -l $(arm-none-eabi-gcc -mcpu=cortex-m0 -mthumb --print-libgcc-file-name) \\\n      \
        -o mod.native.mpy a.o b.o\n      \
        links, with what the code needs of the compiler's runtime\n  \
        micropython-builder natmod-link --merge -o mod.mpy mod.native.mpy more.mpy\n      \
        merges the module with Python files that mpy-cross compiled for its architecture"
)]
pub(super) struct Arguments {
    /// The MicroPython that is to load the module: the directory that holds `ports` and `py`, a release
    /// (v1.28.0), or `debian` for Debian's source package
    #[arg(long, value_name = "DIR|RELEASE|debian", env = "MICROPYTHON")]
    micropython: Option<OsString>,
    /// The architecture: x86, x64, armv6m, armv7m, armv7emsp, armv7emdp, xtensa, xtensawin, rv32imc or
    /// rv64imc
    #[arg(long, value_parser = parse_arch, required_unless_present = "merge")]
    arch: Option<Arch>,
    /// Write the header that C files are compiled with, instead of linking
    #[arg(long, conflicts_with = "merge")]
    preprocess: bool,
    /// Merge .mpy files, at most one of them with native code, instead of linking
    #[arg(long)]
    merge: bool,
    /// The header that the object files were compiled with
    #[arg(long, value_name = "FILE", conflicts_with_all = ["preprocess", "merge"])]
    qstrs: Option<PathBuf>,
    /// A static library, of which what is needed is linked; can be repeated
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["preprocess", "merge"])]
    libs: Vec<PathBuf>,
    /// A linker script with symbols at fixed addresses, such as those of a chip's ROM; can be repeated
    #[arg(long, short, value_name = "FILE", conflicts_with_all = ["preprocess", "merge"])]
    externs: Vec<PathBuf>,
    /// Extensions that the code needs of an rv32imc processor: zba, zcmp, or a number
    #[arg(long, value_name = "FLAGS", conflicts_with_all = ["preprocess", "merge"])]
    arch_flags: Option<String>,
    /// The file to write
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,
    /// Say which library members were linked
    #[arg(long, short, action = ArgAction::Count)]
    verbose: u8,
    /// Object files; C files with --preprocess, .mpy files with --merge
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

#[derive(Serialize)]
struct Report<'a> {
    schema: u32,
    path: String,
    #[serde(flatten)]
    module: Option<Sizes<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    qstrs: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<usize>,
}

#[derive(Serialize)]
struct Sizes<'a> {
    arch: &'a str,
    mpy_version: String,
    size: usize,
    text: u64,
    rodata: u64,
    bss: u64,
    got_entries: usize,
    members: &'a [String],
}

fn parse_arch(text: &str) -> std::result::Result<Arch, String> {
    let found = Arch::ALL.into_iter().find(|arch| arch.name() == text);
    found.ok_or_else(|| format!("there is no architecture {text}"))
}

pub(super) fn run(arguments: &Arguments, output: &Output) -> Result<ExitCode> {
    let out = arguments.output.as_path();
    let mut report = Report {
        schema: 1,
        path: out.display().to_string(),
        module: None,
        qstrs: None,
        size: None,
    };
    if arguments.merge {
        let size = merge_files(&arguments.files, out)?;
        report.size = Some(size);
        return finish(&report, output, &format!("{size} bytes"));
    }
    let Some(arch) = arguments.arch else { return Err(Error::usage("--arch is missing")) };
    let release = release(arguments, output)?;
    if arguments.preprocess {
        let qstrs = preprocess_files(&arguments.files, arch, &release, out)?;
        report.qstrs = Some(qstrs);
        return finish(&report, output, &format!("{qstrs} qstrs"));
    }
    let arch_flags = match &arguments.arch_flags {
        Some(text) => parse_arch_flags(text, arch)?,
        None => 0,
    };
    let module = link_files(&LinkJob {
        arch,
        release: &release,
        objects: &arguments.files,
        libraries: &arguments.libs,
        externs: &arguments.externs,
        qstrs: arguments.qstrs.as_deref(),
        arch_flags,
        out,
    })?;
    for (name, address, file) in &module.overridden {
        output::print_warning(&format!(
            "{name} is taken from address 0x{address:x} of --externs, not from {file}"
        ));
    }
    if arguments.verbose > 0 {
        for member in &module.members {
            output.say(format!("linked {member}"));
        }
    }
    let Module { text, rodata, bss, .. } = module;
    let said =
        format!("{arch}, {text} bytes of code, {rodata} of constants apart, {bss} of zeroed data");
    report.module = Some(Sizes {
        arch: arch.name(),
        mpy_version: release.mpy_version.to_string(),
        size: module.bytes.len(),
        text,
        rodata,
        bss,
        got_entries: module.got_entries,
        members: &module.members,
    });
    finish(&report, output, &said)
}

fn finish(report: &Report<'_>, output: &Output, said: &str) -> Result<ExitCode> {
    if output.json() {
        output.data_json(report)?;
    } else {
        output.say(format!("{}: {said}", report.path));
    }
    Ok(ExitCode::SUCCESS)
}

fn release(arguments: &Arguments, output: &Output) -> Result<Release> {
    let Some(micropython) = &arguments.micropython else {
        return Err(Error::usage("--micropython is missing: which release is to load the module?")
            .hint(
                "in a makefile: MPY_LD='micropython-builder natmod-link --micropython $(MPY_DIR)'",
            ));
    };
    match Request::parse(micropython)? {
        // A build runs this often; what is there needs no look at the pins.
        Request::Directory(path) => Release::of_tree(Path::new(&path)),
        request => Release::of_tree(&Sources::of_user()?.get(&request, &output.progress())?.path),
    }
}
