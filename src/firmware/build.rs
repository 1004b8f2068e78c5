//! Building a firmware: from a request to a firmware directory.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::job::{Built, Job, Product};
use super::plan::{self, Request};
use super::record::{self, Record, Role, UserCModule};
use super::workspace::Workspace;
use super::{c_modules, esp32, manifest, patch, saved, static_const, submodule, with_make};
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
    let (workspace, before) = match saved::begin(request, report)? {
        Some(begun) => begun,
        None => (Workspace::beside(&request.out)?, saved::Inputs::default()),
    };
    let result = build_in(&workspace, &before, request, report);
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
    request.symbols.as_deref().map_or(Ok(()), publish::check_symbols)?;
    if (request.save_build.is_some() || request.from_build.is_some())
        && request.target.port != "esp32"
    {
        return Err(Error::usage(format!(
            "builds of the port {} can be neither saved nor begun with a saved one",
            request.target.port
        ))
        .hint("its makefiles do not notice when compiler flags change; leave --save-build and --from-build away"));
    }
    manifest::check(&request.manifests)?;
    patch::check(&request.patches)?;
    make::check_arguments(&request.make_arguments, OURS)
}

/// `before` are the inputs of the saved build that lies in the workspace, if one does.
fn build_in(
    workspace: &Workspace,
    before: &saved::Inputs,
    request: &Request<'_>,
    report: &dyn Report,
) -> Result<Record> {
    let deadline = Instant::now() + request.time_limit;
    let fragment = c_modules::Fragment::of(&request.target.port);
    let modules = c_modules::find(&request.user_c_modules, fragment)?;
    let submodules = submodules(request.source.path)?;
    submodule::check(&request.submodules, &submodules)?;
    copy_tree(request.source.path, &workspace.micropython(), |path| {
        belongs_in_copy(path, &submodules)
    })?;
    let patches = patch::apply(&request.patches, &workspace.micropython())?;
    c_modules::stage(&modules, &workspace.user_c_modules())?;
    let static_const = if request.static_const && !modules.is_empty() && has_elf_sections(request) {
        static_const::rewrite(workspace, report)?
    } else {
        Vec::new()
    };
    let job = Job {
        workspace,
        before,
        request,
        modules: &modules,
        submodules: &submodules,
        deadline,
        report,
    };
    let built = match plan::way(request)? {
        plan::Way::Make(recipe) => with_make::build(&job, &recipe)?,
        plan::Way::Esp32 => esp32::build(&job)?,
    };

    let mut user_c_modules = Vec::new();
    for (name, module) in &modules {
        let nar_hash = source::nar_hash(module)?.to_sri();
        user_c_modules.push(UserCModule { name: name.clone(), nar_hash });
    }
    let (products, symbols) = apart(&built, request);
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
        files: collect(&products, &staging)?,
        emulator: built.emulator.clone(),
        frozen_modules: built.frozen_modules.clone(),
        user_c_modules,
        static_const,
        patches,
        make_arguments: request.make_arguments.clone(),
        compiler: built.compiler.clone(),
    };
    if let Some(out) = &request.symbols {
        let staging = Staging::beside(out)?;
        collect(&symbols, &staging)?;
        staging.replace(out)?;
    }
    staging.publish(record::FILE_NAME, &record, &request.out)?;
    Ok(record)
}

/// Whether sections have the names that ELF gives them. On Apple's systems the unix port is Mach-O.
fn has_elf_sections(request: &Request<'_>) -> bool {
    request.target.port != "unix" || !cfg!(target_vendor = "apple")
}

/// What goes into the firmware directory, and what only debuggers and people want, if that is to be
/// elsewhere.
fn apart<'a>(built: &'a Built, request: &Request<'_>) -> (Vec<&'a Product>, Vec<&'a Product>) {
    let boots_elf = built.products.first().is_some_and(|product| product.role == Role::Elf);
    built.products.iter().partition(|product| match product.role {
        Role::Map => request.symbols.is_none(),
        Role::Elf => boots_elf || request.symbols.is_none(),
        _ => true,
    })
}

fn collect(products: &[&Product], staging: &Staging) -> Result<Vec<record::File>> {
    let mut files = Vec::new();
    for product in products {
        let to = staging.path().join(&product.name);
        fs::copy(&product.built, &to).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                Error::build(format!("the build left no {}", product.built.display()))
            }
            _ => Error::copy(&product.built, &to, &error),
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
