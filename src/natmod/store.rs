//! The cache of finished native modules, each under a hash of all that decided it.

use std::fs;
use std::io;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::cache;
use crate::error::{Error, Result};

/// The file of the module itself in its directory.
const MODULE: &str = "module.mpy";
/// The file that says what it is.
const ABOUT: &str = "about.json";

/// A finished native module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finished {
    pub about: About,
    pub bytes: Vec<u8>,
}

/// What is known of a finished module besides its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct About {
    /// The module's name.
    pub module: String,
}

/// Below the user's cache: what concerns native modules.
pub(super) fn directory() -> Result<PathBuf> {
    Ok(cache::directory()?.join("natmod"))
}

/// The module with a key, if there is one and it can be read.
///
/// # Errors
/// When there is no cache directory.
pub(super) fn find(key: &str) -> Result<Option<Finished>> {
    let directory = directory()?.join("cells").join(key);
    let read = || -> io::Result<Finished> {
        let about = serde_json::from_slice(&fs::read(directory.join(ABOUT))?)?;
        Ok(Finished { about, bytes: fs::read(directory.join(MODULE))? })
    };
    // What cannot be read is built again.
    Ok(read().ok())
}

/// Keeps a module under its key.
///
/// # Errors
/// When the cache cannot be written.
pub(super) fn keep(key: &str, finished: &Finished) -> Result<()> {
    let cells = directory()?.join("cells");
    let fail = |error: io::Error| cache::fault("write to", &cells, &error);
    fs::create_dir_all(&cells).map_err(fail)?;
    let fresh = tempfile::Builder::new().prefix(".new-").tempdir_in(&cells).map_err(fail)?;
    let about = serde_json::to_vec(&finished.about)
        .map_err(|error| Error::internal(format!("cannot write {ABOUT}: {error}")))?;
    fs::write(fresh.path().join(MODULE), &finished.bytes).map_err(fail)?;
    fs::write(fresh.path().join(ABOUT), about).map_err(fail)?;
    let path = cells.join(key);
    // What is there is either the same, or could not be read.
    match fs::remove_dir_all(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(fail(error)),
        _ => {}
    }
    match fs::rename(fresh.path(), &path) {
        Ok(()) => {
            let _ = fresh.keep();
            Ok(())
        }
        // Another run was faster, and built the same.
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(fail(error)),
    }
}
