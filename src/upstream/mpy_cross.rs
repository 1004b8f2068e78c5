//! mpy-cross, the compiler that turns Python into bytecode: built once per source, then reused.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::make::Make;
use crate::cache::{self, Lock};
use crate::error::{Error, Result};
use crate::pins::Hasher;
use crate::report::Report;
use crate::{process, source};

/// The directories of a tree that decide what mpy-cross is.
pub(crate) const SOURCES: &[&str] = &["extmod", "lib", "mpy-cross", "py", "shared", "tools"];

/// Where the makefile leaves the program: below the build directory, or up to v1.19 beside itself.
const PROGRAMS: &[&str] = &["build/mpy-cross", "mpy-cross"];

/// What building the mpy-cross of a tree takes.
pub(crate) struct Build<'a> {
    /// A copy of the tree, or of its [`SOURCES`], that may be written to.
    pub tree: &'a Path,
    /// The environment besides what is inherited.
    pub environment: Vec<(OsString, OsString)>,
    /// How many compilers may run at once.
    pub jobs: usize,
    /// Where everything is logged that is printed.
    pub log: &'a Path,
    pub deadline: Instant,
}

impl Build<'_> {
    /// The program, from the cache or built now.
    ///
    /// # Errors
    /// When it cannot be built, or the cache cannot be written.
    pub(crate) fn get(self, report: &dyn Report) -> Result<PathBuf> {
        let directory = cache::directory()?.join("mpy-cross");
        let key = key(self.tree)?;
        let cached = directory.join(&key);
        let program = cached.join("mpy-cross");
        if program.is_file() {
            return Ok(program);
        }
        cache::create(&directory)?;
        let lock = directory.join(format!(".{key}.lock"));
        let _lock = Lock::acquire(&lock, "another run that builds mpy-cross", report)?;
        if program.is_file() {
            return Ok(program);
        }
        report.step("building mpy-cross");
        let built = self.make().map_err(|error| error.context("mpy-cross"))?;

        let fresh = tempfile::tempdir_in(&directory)
            .map_err(|error| cache::fault("create a directory in", &directory, &error))?;
        let copy = fresh.path().join("mpy-cross");
        fs::copy(&built, &copy).map_err(|error| Error::copy(&built, &copy, &error))?;
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

    fn make(self) -> Result<PathBuf> {
        let directory = self.tree.join("mpy-cross");
        let mut environment = self.environment;
        // A release knows nothing of the warnings of compilers that came after it.
        environment.push(("CFLAGS_EXTRA".into(), "-Wno-error".into()));
        let make = Make {
            directory: directory.clone(),
            variables: vec!["BUILD=build".into()],
            environment,
        };
        make.run(self.jobs, self.log, self.deadline)?;
        let program = PROGRAMS.iter().map(|name| directory.join(name)).find(|path| path.is_file());
        program.ok_or_else(|| Error::build("the build left no program"))
    }
}

/// A name for what [`Build::get`] makes: a hash of the sources and the compiler.
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
