//! Building a firmware: from a request to a firmware directory.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::job::{Built, Job};
use super::plan::{self, Request};
use super::record::{self, Record, UserCModule};
use super::workspace::Workspace;
use super::{c_modules, esp32, manifest, patch, with_make};
use crate::error::{Error, Kind, Result};
use crate::publish::{self, Staging};
use crate::report::Report;
use crate::source;
use crate::upstream::copy::{belongs_in_copy, copy_tree, submodules};
use crate::upstream::make;

/// Variables that options of ours set.
const OURS: &[(&str, &str)] = &[
    ("BOARD", "the board's name"),
    ("BOARD_DIR", "the board's name"),
    ("BUILD", "--out"),
    ("FROZEN_MANIFEST", "--manifest"),
    ("IDF_PATH", "--idf"),
    ("MICROPY_BOARD", "the board's name"),
    ("MICROPY_BOARD_VARIANT", "--variant"),
    ("MICROPY_FROZEN_MANIFEST", "--manifest"),
    ("MICROPY_LIB_DIR", "--micropython-lib"),
    ("MICROPY_MPYCROSS", "--mpy-cross"),
    ("MPY_LIB_DIR", "--micropython-lib"),
    ("USER_C_MODULES", "--user-c-modules"),
    ("VARIANT", "--variant"),
    ("VARIANT_DIR", "--variant"),
];

/// Builds a firmware and returns its record, which lies at `request.out` with the files it names.
///
/// The source tree and the user's modules are only read. When this fails, `request.out` is as it was
/// before, and if upstream's build had begun, its log lies beside it as `<out>.log`.
///
/// # Errors
/// [`Kind::Input`] for anything wrong in the request, [`Kind::Build`] when upstream's build fails.
pub fn build(request: &Request<'_>, report: &dyn Report) -> Result<Record> {
    check(request)?;
    let workspace = Workspace::beside(&request.out)?;
    let result = build_in(&workspace, request, report);
    let result = result.map_err(|error| keep_log(&workspace, request, error));
    if request.keep_build {
        let kept = sibling(&request.out, ".build");
        workspace.keep_as(&kept)?;
        report.step(&format!("the build directory is kept as {}", kept.display()));
    }
    result
}

/// Everything that can be known to be wrong before anything is copied.
fn check(request: &Request<'_>) -> Result<()> {
    publish::check(&request.out, record::FILE_NAME)?;
    manifest::check(&request.manifests)?;
    patch::check(&request.patches)?;
    make::check_arguments(&request.make_arguments, OURS)
}

fn build_in(workspace: &Workspace, request: &Request<'_>, report: &dyn Report) -> Result<Record> {
    let deadline = Instant::now() + request.time_limit;
    let fragment = c_modules::Fragment::of(&request.target.port);
    let modules = c_modules::find(&request.user_c_modules, fragment)?;
    let submodules = submodules(request.source.path)?;
    copy_tree(request.source.path, &workspace.micropython(), |path| {
        belongs_in_copy(path, &submodules)
    })?;
    let patches = patch::apply(&request.patches, &workspace.micropython())?;
    c_modules::stage(&modules, &workspace.user_c_modules())?;
    let job =
        Job { workspace, request, modules: &modules, submodules: &submodules, deadline, report };
    let built = match plan::way(request)? {
        plan::Way::Make(recipe) => with_make::build(&job, &recipe)?,
        plan::Way::Esp32 => esp32::build(&job)?,
    };

    let mut user_c_modules = Vec::new();
    for (name, module) in &modules {
        let nar_hash = source::nar_hash(module)?.to_sri();
        user_c_modules.push(UserCModule { name: name.clone(), nar_hash });
    }
    let staging = Staging::beside(&request.out)?;
    let record = Record {
        schema: record::SCHEMA,
        port: request.target.port.clone(),
        board: request.target.board.clone(),
        variant: request.target.variant.clone(),
        mcu: request.target.mcu.clone(),
        micropython: record::MicroPython {
            version: request.source.version.to_owned(),
            commit: request.source.commit.map(str::to_owned),
        },
        esp_idf: built.esp_idf.clone(),
        files: collect(&built, &staging)?,
        emulator: built.emulator,
        frozen_modules: built.frozen_modules,
        user_c_modules,
        patches,
        make_arguments: request.make_arguments.clone(),
        compiler: built.compiler,
    };
    staging.publish(record::FILE_NAME, &record, &request.out)?;
    Ok(record)
}

fn collect(built: &Built, staging: &Staging) -> Result<Vec<record::File>> {
    let mut files = Vec::new();
    for product in &built.products {
        let to = staging.path().join(&product.name);
        fs::copy(&product.built, &to).map_err(|error| {
            Error::io("copy", &product.built, &error).context("the build left no such file")
        })?;
        files.push(record::describe_file(&to, product.role, product.offset)?);
    }
    Ok(files)
}

/// `out` with something added to its name.
fn sibling(out: &Path, suffix: &str) -> PathBuf {
    let mut name = out.file_name().unwrap_or_default().to_owned();
    name.push(suffix);
    out.with_file_name(name)
}

/// Saves the log of a failed upstream build beside the output, and says where it is.
fn keep_log(workspace: &Workspace, request: &Request<'_>, error: Error) -> Error {
    let log = workspace.log();
    if error.kind() != Kind::Build || !log.is_file() {
        return error;
    }
    let kept = sibling(&request.out, ".log");
    match fs::rename(&log, &kept) {
        Ok(()) => error.hint(format!("the whole log: {}", kept.display())),
        Err(_) => error,
    }
}
