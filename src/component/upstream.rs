//! The lock files and the manifest that a MicroPython tree comes with.

use std::fs;
use std::path::{Path, PathBuf};

use super::lock::Lock;
use super::manifest::{FILE_NAME, Manifest, project_hash};
use crate::error::{Error, Result};
use crate::pins::Sha256Hash;

/// Where the lock files are, in a MicroPython tree; one for each chip.
const LOCKS: &str = "ports/esp32/lockfiles";

/// How their names begin; the chip follows.
const PREFIX: &str = "dependencies.lock.";

/// The component of MicroPython's project that has the manifest, and its directory.
pub const MAIN: &str = "main";

/// The lock file of a MicroPython tree for a chip.
#[derive(Debug, Clone)]
pub struct UpstreamLock {
    /// Where it is.
    pub path: PathBuf,
    /// The hash of the file.
    pub sha256: Sha256Hash,
    /// What it says.
    pub lock: Lock,
}

/// The manifest of MicroPython's ESP32 port.
///
/// # Errors
/// When the tree has none, or it is wrong.
pub fn manifest(micropython: &Path) -> Result<Manifest> {
    let path = manifest_path(micropython);
    let bytes = fs::read(&path).map_err(|error| {
        Error::io("read", &path, &error)
            .hint("give a MicroPython source tree of v1.24 or newer with --micropython")
    })?;
    Manifest::parse(&bytes, &path.display().to_string())
}

/// Where that manifest is.
pub fn manifest_path(micropython: &Path) -> PathBuf {
    micropython.join("ports/esp32").join(MAIN).join(FILE_NAME)
}

/// The chips that a MicroPython tree has lock files for; none before v1.26.1.
///
/// # Errors
/// When the directory of the lock files is there and cannot be read.
pub fn targets(micropython: &Path) -> Result<Vec<String>> {
    let directory = micropython.join(LOCKS);
    let entries = match fs::read_dir(&directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("read", &directory, &error)),
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut targets: Vec<String> = names
        .filter_map(|name| Some(name.to_str()?.strip_prefix(PREFIX)?.to_owned()))
        .filter(|target| !target.is_empty())
        .collect();
    targets.sort();
    Ok(targets)
}

/// The lock file of a MicroPython tree for a chip.
///
/// # Errors
/// When the tree has none, or it is stale: the tree's manifest has been changed since it was made.
pub fn lock(micropython: &Path, target: &str) -> Result<UpstreamLock> {
    let manifest = manifest(micropython)?;
    let again = format!(
        "make one with `micropython-builder lock --micropython {} --target {target} --idf-version \
         VERSION --out dependencies.lock.{target}` and give it with --lock",
        micropython.display()
    );
    let known = targets(micropython)?;
    if !known.iter().any(|it| it == target) {
        let error = match known.as_slice() {
            [] => Error::input(format!(
                "{} has no lock files for ESP-IDF's components; releases before v1.26.1 have none",
                micropython.display()
            )),
            _ => Error::input(format!(
                "{} has no lock file for {target}, it has for {}",
                micropython.display(),
                known.join(", ")
            )),
        };
        return Err(error.hint(again));
    }
    let found = unchecked_lock(micropython, target)?;
    let UpstreamLock { path, lock, .. } = &found;
    let made_for = lock.target.as_deref().unwrap_or(target);
    if made_for != target {
        return Err(
            Error::input(format!("{} is a lock for {made_for}", path.display())).hint(again)
        );
    }
    if lock.manifest_hash.as_deref() != Some(project_hash([(MAIN, &manifest)]).as_str()) {
        return Err(Error::input(format!(
            "{} is stale: {} was changed after it was made",
            path.display(),
            manifest_path(micropython).display()
        ))
        .hint(again));
    }
    Ok(found)
}

/// As [`lock`], without looking whether it is stale.
///
/// # Errors
/// When it cannot be read or is none.
pub fn unchecked_lock(micropython: &Path, target: &str) -> Result<UpstreamLock> {
    let path = micropython.join(LOCKS).join(format!("{PREFIX}{target}"));
    let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
    let lock = Lock::parse(&bytes, &path.display().to_string())?;
    Ok(UpstreamLock { path, sha256: Sha256Hash::of(&bytes), lock })
}
