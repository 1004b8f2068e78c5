//! mpy-cross, the compiler that turns Python into frozen bytecode: built once per source, then reused.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::job::Job;
use super::make::Make;
use crate::cache::{self, Lock};
use crate::error::{Error, Result};
use crate::pins::Hasher;
use crate::{process, source};

/// The directories of a tree that decide what mpy-cross is.
const SOURCES: &[&str] = &["extmod", "lib", "mpy-cross", "py", "shared", "tools"];

/// The mpy-cross of a tree, from the cache or built now. The tree is a copy that may be written to.
///
/// # Errors
/// When it cannot be built, or the cache cannot be written.
pub(super) fn get(job: &Job<'_>) -> Result<PathBuf> {
    let tree = &job.workspace.micropython();
    let directory = cache::directory()?.join("mpy-cross");
    let key = key(tree)?;
    let cached = directory.join(&key);
    let program = cached.join("mpy-cross");
    if program.is_file() {
        return Ok(program);
    }
    fs::create_dir_all(&directory).map_err(|error| Error::io("create", &directory, &error))?;
    let lock = directory.join(format!(".{key}.lock"));
    let _lock = Lock::acquire(&lock, "another run that builds mpy-cross", job.report)?;
    if program.is_file() {
        return Ok(program);
    }
    job.report.step("building mpy-cross");
    let make = Make {
        directory: tree.join("mpy-cross"),
        variables: vec!["BUILD=build".into()],
        environment: job.environment(),
    };
    make.run(job.request.jobs, &job.workspace.log(), job.deadline)
        .map_err(|error| error.context("mpy-cross"))?;

    let fresh = tempfile::tempdir_in(&directory)
        .map_err(|error| Error::io("create a directory in", &directory, &error))?;
    let built = tree.join("mpy-cross/build/mpy-cross");
    fs::copy(&built, fresh.path().join("mpy-cross"))
        .map_err(|error| Error::io("copy", &built, &error))?;
    match fs::rename(fresh.path(), &cached) {
        Ok(()) => {
            // The directory has moved: there is nothing left to remove at the old name.
            let _ = fresh.keep();
            Ok(program)
        }
        // Another run was faster, and built the same.
        Err(_) if program.is_file() => Ok(program),
        Err(error) => Err(Error::io("create", &cached, &error)),
    }
}

/// A name for what [`get`] builds: a hash of the sources and the compiler.
fn key(tree: &Path) -> Result<String> {
    let mut hasher = Hasher::default();
    for name in SOURCES {
        let path = tree.join(name);
        if path.is_dir() {
            hasher.update(source::nar_hash(&path)?.as_bytes());
        }
    }
    let compiler = process::output(Command::new("gcc").arg("--version"), Duration::from_secs(20))?;
    hasher.update(compiler.stdout.as_bytes());
    hasher.update(std::env::consts::ARCH.as_bytes());
    Ok(hasher.finish().to_hex().chars().take(32).collect())
}
