//! Linking, preprocessing and merging with files, as a build does it.

use std::fs;
use std::path::{Path, PathBuf};

use super::{
    Externs, Input, LibraryFile, Module, Qstrs, Release, Request, config_header, link, merge,
};
use crate::error::{Error, Result};
use crate::image::output::write_whole;
use crate::natmod::Arch;

/// How many linker scripts may name each other.
const DEEPEST_SCRIPT: usize = 8;

/// What to link, and where to.
#[derive(Debug, Clone)]
pub struct LinkJob<'a> {
    /// The architecture.
    pub arch: Arch,
    /// The release that is to load the module.
    pub release: &'a Release,
    /// Object files.
    pub objects: &'a [PathBuf],
    /// Static libraries, or linker scripts that name them.
    pub libraries: &'a [PathBuf],
    /// Linker scripts with symbols at fixed addresses.
    pub externs: &'a [PathBuf],
    /// The header that the sources were compiled with, which has the module's qstrs.
    pub qstrs: Option<&'a Path>,
    /// What of the processor's extensions the code needs; 0 for none.
    pub arch_flags: u64,
    /// The `.mpy` file to write; tracebacks show this path.
    pub out: &'a Path,
}

/// Links a module into a file, which appears whole or not at all.
///
/// # Errors
/// As [`link`], and when a file cannot be read or written.
pub fn link_files(job: &LinkJob<'_>) -> Result<Module> {
    let objects = read_all(job.objects)?;
    let mut libraries = Vec::new();
    for path in job.libraries {
        read_library(path, &mut libraries, 0)?;
    }
    let mut externs = Externs::default();
    for path in job.externs {
        let script = Externs::parse(&read_text(path)?);
        externs.extend(script.map_err(|error| error.context(path.display()))?);
    }
    let qstrs = match job.qstrs {
        Some(path) => Qstrs::of_header(&read_text(path)?),
        None => Qstrs::default(),
    };
    let module = link(&Request {
        arch: job.arch,
        release: job.release,
        objects: &objects,
        libraries: &libraries,
        externs: &externs,
        qstrs: &qstrs,
        arch_flags: job.arch_flags,
        name: &job.out.to_string_lossy(),
    })?;
    write_whole(job.out, &module.bytes)?;
    Ok(module)
}

/// Writes the header with the qstrs of C sources; says how many of its own the module has.
///
/// # Errors
/// When a file cannot be read or written.
pub fn preprocess_files(
    sources: &[PathBuf],
    arch: Arch,
    release: &Release,
    out: &Path,
) -> Result<usize> {
    let sources = read_all(sources)?;
    let qstrs = Qstrs::collect(sources.iter().map(|source| source.data.as_slice()), release);
    let header = config_header(&qstrs, release, arch == Arch::Xtensawin);
    write_whole(out, header.as_bytes())?;
    Ok(qstrs.values.len() + qstrs.objects.len())
}

/// Merges `.mpy` files into one; says how many bytes that has.
///
/// # Errors
/// As [`merge()`], and when a file cannot be read or written.
pub fn merge_files(files: &[PathBuf], out: &Path) -> Result<usize> {
    let merged = merge(&read_all(files)?)?;
    write_whole(out, &merged)?;
    Ok(merged.len())
}

fn read(path: &Path) -> Result<Input> {
    let data = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
    Ok(Input { name: path.to_string_lossy().into_owned(), data })
}

fn read_all(paths: &[PathBuf]) -> Result<Vec<Input>> {
    paths.iter().map(|path| read(path)).collect()
}

fn read_text(path: &Path) -> Result<String> {
    Ok(String::from_utf8_lossy(&read(path)?.data).into_owned())
}

fn read_library(path: &Path, libraries: &mut Vec<Input>, depth: usize) -> Result<()> {
    let input = read(path)?;
    match LibraryFile::of(&input.name, &input.data)? {
        LibraryFile::Archive => libraries.push(input),
        LibraryFile::Script(_) if depth == DEEPEST_SCRIPT => {
            return Err(Error::input(format!("{} is a script that names itself", input.name)));
        }
        LibraryFile::Script(names) => {
            for name in names {
                read_library(Path::new(&name), libraries, depth + 1)?;
            }
        }
    }
    Ok(())
}
