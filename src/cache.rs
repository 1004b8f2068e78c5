//! The user's cache directory: what is expensive to get or make and can be had again.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::interrupt;
use crate::report::Report;

/// How often a run that waits for another one looks again.
const POLL: Duration = Duration::from_millis(100);

/// Overrides the cache directory.
pub const VARIABLE: &str = "MICROPYTHON_BUILDER_CACHE";

/// The cache directory: `$MICROPYTHON_BUILDER_CACHE`, else `micropython-builder` in the user's
/// cache directory (`$XDG_CACHE_HOME`, `~/.cache`, `~/Library/Caches`). It may not exist yet.
///
/// # Errors
/// When the user has no home directory and the variable is not set.
pub fn directory() -> Result<PathBuf> {
    if let Some(value) = std::env::var_os(VARIABLE).filter(|value| !value.is_empty()) {
        let path = PathBuf::from(value);
        return std::path::absolute(&path).map_err(|error| Error::io("resolve", &path, &error));
    }
    dirs::cache_dir().map(|base| base.join("micropython-builder")).ok_or_else(|| {
        Error::input("there is no home directory to cache in")
            .hint(format!("set {VARIABLE} to a directory that can be written to"))
    })
}

/// Makes a directory of the cache.
///
/// # Errors
/// When it cannot be made; the hint says how to have the cache elsewhere.
pub(crate) fn create(directory: &Path) -> Result<()> {
    fs::create_dir_all(directory).map_err(|error| fault("create", directory, &error))
}

/// The error for what failed on a path of the cache, with how to have it elsewhere.
pub(crate) fn fault(action: &str, path: &Path, error: &io::Error) -> Error {
    Error::io(action, path, error)
        .hint(format!("{VARIABLE} chooses where the cache is: a directory that can be written to"))
}

/// Held while one run makes something, so that others wait for it instead of making it too.
#[derive(Debug)]
pub struct Lock {
    /// `None` where the file system has no locks.
    file: Option<File>,
}

impl Lock {
    /// Waits until no other run holds the lock file `path`, and holds it until dropped. `waiting_for`
    /// says what a run that has to wait waits for.
    ///
    /// # Errors
    /// When the file cannot be created, or the user interrupts.
    pub fn acquire(path: &Path, waiting_for: &str, report: &dyn Report) -> Result<Lock> {
        let file = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)
            .map_err(|error| fault("create", path, &error))?;
        Lock::of(file, waiting_for, report)
    }

    /// The same of a file or directory that was opened, and lies anywhere.
    ///
    /// # Errors
    /// When the user interrupts.
    pub(crate) fn of(file: File, waiting_for: &str, report: &dyn Report) -> Result<Lock> {
        let mut told = false;
        loop {
            interrupt::check()?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Lock { file: Some(file) }),
                Err(Errno::WOULDBLOCK) => {
                    if !std::mem::replace(&mut told, true) {
                        report.step(&format!("waiting for {waiting_for}"));
                    }
                    thread::sleep(POLL);
                }
                Err(Errno::INTR) => {}
                // Some network file systems have no locks: the rename into place still decides.
                Err(_) => return Ok(Lock { file: None }),
            }
        }
    }

    /// Whether the lock keeps others out; it cannot where the file system has no locks.
    pub fn is_held(&self) -> bool {
        self.file.is_some()
    }
}
