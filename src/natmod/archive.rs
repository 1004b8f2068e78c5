//! Toolchains from pinned archives: fetched once, verified, and kept in the user's cache.

use std::fs;
use std::path::PathBuf;

use crate::cache::{self, Lock};
use crate::error::{Error, Result};
use crate::pins::{Archive, Sha256Hash};
use crate::report::Report;
use crate::source::{Patience, fetch, remove, unpack_verified};

/// This system, as Nix and the pins name it.
pub(super) const SYSTEM: &str = if cfg!(all(target_os = "linux", target_arch = "x86_64")) {
    "x86_64-linux"
} else if cfg!(all(target_os = "linux", target_arch = "aarch64")) {
    "aarch64-linux"
} else if cfg!(all(target_os = "macos", target_arch = "x86_64")) {
    "x86_64-darwin"
} else if cfg!(all(target_os = "macos", target_arch = "aarch64")) {
    "aarch64-darwin"
} else {
    "unknown"
};

fn directory() -> Result<PathBuf> {
    Ok(cache::directory()?.join("toolchains"))
}

/// The directory of a toolchain that was fetched before.
///
/// # Errors
/// When there is no cache directory.
pub(super) fn find(name: &str) -> Result<Option<PathBuf>> {
    let path = directory()?.join(name);
    Ok(path.is_dir().then_some(path))
}

/// The directory of a toolchain, fetched now if need be.
///
/// # Errors
/// When it cannot be had, or its hash differs from the pin.
pub(super) fn get(pin: &Archive, name: &str, report: &dyn Report) -> Result<PathBuf> {
    if let Some(path) = find(name)? {
        return Ok(path);
    }
    let all = directory()?;
    cache::create(&all)?;
    let lock = all.join(format!(".{name}.lock"));
    let _lock = Lock::acquire(&lock, &format!("another run that gets {name}"), report)?;
    if let Some(path) = find(name)? {
        return Ok(path);
    }
    let part = all.join(format!("{name}.part"));
    fetch(&pin.url, &part, name, &Patience::default(), report)?;
    let found = Sha256Hash::of_file(&part)?;
    if found != pin.hash {
        remove(&part)?;
        return Err(Error::source(format!(
            "the hash of {} differs from its pin\n  pinned: {}\n   found: {found}",
            pin.url, pin.hash
        ))
        .hint(
            "nothing of it was kept; if it goes on, the pin is wrong or somebody changed the file",
        ));
    }
    report.step(&format!("unpacking {name}"));
    let fresh = tempfile::Builder::new()
        .prefix(&format!(".{name}."))
        .tempdir_in(&all)
        .map_err(|error| cache::fault("create a directory in", &all, &error))?;
    let tree = unpack_verified(&part, fresh.path())?;
    let path = all.join(name);
    fs::rename(&tree, &path).map_err(|error| Error::io("create", &path, &error))?;
    remove(&part)?;
    Ok(path)
}
