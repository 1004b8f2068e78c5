//! Building native modules: from a request to a directory of `.mpy` files.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Arch;
use super::cell::{Cell, Site};
use super::module::Snapshot;
use super::options::Options;
use super::record::{self, Failed, File, NotSupported, Record};
use super::run::{Done, Good, Run, logs};
use super::store::{self, Finished};
use super::toolchain::Choice;
use super::tree::{Source, Tree};
use crate::error::{Error, Result};
use crate::pins::Sha256Hash;
use crate::publish::{self, Staging};
use crate::report::Report;

/// Everything that decides which native modules are built, and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The directory with the module's Makefile.
    pub module: PathBuf,
    /// A directory around it that is copied with it, when the Makefile uses files outside its own.
    pub root: Option<PathBuf>,
    /// The MicroPythons to build it for, no two with the same `.mpy` version.
    pub sources: Vec<Source>,
    /// The architectures to build it for.
    pub archs: Vec<Arch>,
    /// Toolchains that the user chose.
    pub toolchains: BTreeMap<Arch, Choice>,
    /// What the makefiles are given.
    pub options: Options,
    /// What the files' names begin with, instead of the module's name.
    pub output_name: Option<String>,
    /// The Python that runs MicroPython's tools.
    pub python: PathBuf,
    /// Where the directory of modules is to be.
    pub out: PathBuf,
    /// How many processes may be busy at once.
    pub jobs: usize,
    /// How long one module's make may take.
    pub time_limit: Duration,
    /// Stop at the first cell that cannot be built.
    pub fail_fast: bool,
    /// Build again what was built before.
    pub rebuild: bool,
}

/// What became of a request.
#[derive(Debug)]
pub struct Outcome {
    /// What was built. If nothing was, nothing was written.
    pub record: Record,
    /// What went wrong, in the order of the matrix.
    pub faults: Vec<Error>,
    /// How many modules were made by an earlier run.
    pub unchanged: usize,
}

/// Builds native modules, which then lie at `request.out` beside their record.
///
/// Cells that fail are in the outcome, and their logs in `<out>.logs`; the others are built. With
/// `fail_fast` the first failure is the result, and `request.out` stays as it was.
///
/// # Errors
/// `Kind::Input` and `Kind::Usage` for anything wrong in the request as a whole.
pub fn build(request: &Request, report: &dyn Report) -> Result<Outcome> {
    publish::check(&request.out, record::FILE_NAME)?;
    request.options.check(&request.archs)?;
    let trees = trees(&request.sources)?;
    for tree in &trees {
        request.options.warn(tree, report);
    }
    let workspace = tempfile::Builder::new()
        .prefix("natmod-")
        .tempdir()
        .map_err(|error| Error::io("create a directory in", &std::env::temp_dir(), &error))?;
    // What compilers record is the real path.
    let workspace_path = workspace
        .path()
        .canonicalize()
        .map_err(|error| Error::io("resolve", workspace.path(), &error))?;
    let root = request.root.as_deref().unwrap_or(&request.module);
    let sources = workspace_path.join("source");
    let snapshot = Snapshot::take(&request.module, root, &request.out, &sources)?;
    let (cells, not_supported) = matrix(&trees, &request.archs)?;
    let rewritten = if cells.iter().any(|cell| request.options.rewrites(cell.arch)) {
        snapshot.rewritten(&workspace_path.join("rewritten"))?
    } else {
        None
    };
    let told = rewritten.iter().flat_map(|rewritten| rewritten.changes.lines());
    told.for_each(|line| report.step(&line));
    let caches = store::directory()?;
    let site = Site {
        workspace: &workspace_path,
        snapshot: &snapshot,
        rewritten: rewritten.as_ref(),
        options: &request.options,
        options_identity: request.options.identity()?,
        python: &request.python,
        caches: &caches,
        time_limit: request.time_limit,
    };
    let results = Run::new(request, &site, report).all(cells, &trees)?;
    publish(&site, request, results, not_supported)
}

fn trees(sources: &[Source]) -> Result<Vec<Tree>> {
    let mut trees: Vec<Tree> = Vec::new();
    for source in sources {
        let tree = Tree::new(source.clone())?;
        if let Some(other) = trees.iter().find(|other| other.mpy_version == tree.mpy_version) {
            return Err(Error::usage(format!(
                "MicroPython {} and {} both have .mpy version {}, so their files would have the same \
                 names",
                other.source.version, tree.source.version, tree.mpy_version
            ))
            .hint("build for one after the other, each with an --out of its own"));
        }
        trees.push(tree);
    }
    Ok(trees)
}

/// The cells that exist upstream, and those that don't.
fn matrix<'a>(trees: &'a [Tree], archs: &[Arch]) -> Result<(Vec<Cell<'a>>, Vec<NotSupported>)> {
    let (mut cells, mut absent) = (Vec::new(), Vec::new());
    for tree in trees {
        for arch in archs {
            let cell = Cell { tree, arch: *arch };
            if tree.supports(*arch) {
                cells.push(cell);
            } else {
                let version = &tree.source.version;
                let reason = format!("MicroPython {version} has no native modules for {arch}");
                absent.push(NotSupported { cell: cell.record(), reason });
            }
        }
    }
    if cells.is_empty() {
        let reasons: Vec<&str> = absent.iter().map(|absent| absent.reason.as_str()).collect();
        return Err(Error::input(reasons.join("; ")).hint(
            "armv6m needs v1.19 or later, rv32imc v1.25.0, rv64imc v1.28.0: name one with \
             --micropython",
        ));
    }
    Ok((cells, absent))
}

/// Writes what was built, if anything was.
fn publish(
    site: &Site<'_>,
    request: &Request,
    results: Vec<Done<'_>>,
    not_supported: Vec<NotSupported>,
) -> Result<Outcome> {
    let linker = request.options.linker.name().to_owned();
    let mut record = Record {
        schema: record::SCHEMA,
        linker,
        static_const: Vec::new(),
        files: Vec::new(),
        not_supported,
        failed: Vec::new(),
    };
    let (mut faults, mut unchanged) = (Vec::new(), 0);
    let staging = Staging::beside(&request.out)?;
    for Done { cell, result } in results {
        match result {
            Ok(good) => {
                unchanged += usize::from(good.unchanged);
                let rewritten = site.rewritten(cell.arch);
                if let Some(rewritten) = rewritten.filter(|_| record.static_const.is_empty()) {
                    record.static_const = rewritten.changes.record();
                }
                let file = write(request, &cell, &good, rewritten.is_some(), staging.path())?;
                record.files.push(file);
            }
            Err(error) => {
                record.failed.push(Failed {
                    cell: cell.record(),
                    error: error.message().to_owned(),
                    hints: error.hints().to_vec(),
                });
                let place = format!("{}, .mpy version {}", cell.arch, cell.tree.mpy_version);
                faults.push(error.context(place));
            }
        }
    }
    if !record.files.is_empty() {
        staging.publish(record::FILE_NAME, &record, &request.out)?;
    }
    if faults.is_empty() {
        // Logs of an earlier run that failed say nothing any more.
        let _ = fs::remove_dir_all(logs(&request.out));
    }
    Ok(Outcome { record, faults, unchanged })
}

fn write(
    request: &Request,
    cell: &Cell<'_>,
    good: &Good,
    static_const: bool,
    directory: &Path,
) -> Result<File> {
    let Finished { about, bytes } = &good.finished;
    let stem = request.output_name.as_deref().unwrap_or(&about.module);
    let path = format!("{stem}-{}.mpy", cell.name());
    let to = directory.join(&path);
    fs::write(&to, bytes).map_err(|error| Error::io("write", &to, &error))?;
    Ok(File {
        path,
        module: about.module.clone(),
        cell: cell.record(),
        toolchain: good.compiler.clone(),
        static_const,
        size: bytes.len() as u64,
        sha256: Sha256Hash::of(bytes).to_hex(),
    })
}
