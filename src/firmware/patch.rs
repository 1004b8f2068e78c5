//! Patches to MicroPython, applied to the workspace's copy.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::record::{self, Role};
use crate::error::{Error, Result};
use crate::process;

/// Checks that patches can be read before anything is copied.
///
/// # Errors
/// At the first that cannot be read.
pub(super) fn check(patches: &[PathBuf]) -> Result<()> {
    for patch in patches {
        fs::File::open(patch).map_err(|error| Error::io("read the patch", patch, &error))?;
    }
    Ok(())
}

/// Applies patches in order with `patch -p1`, and returns what to record of them.
///
/// # Errors
/// At the first that does not apply: `patch`'s own words are shown.
pub(super) fn apply(patches: &[PathBuf], tree: &Path) -> Result<Vec<record::Patch>> {
    patches.iter().map(|patch| apply_one(patch, tree)).collect()
}

fn apply_one(patch: &Path, tree: &Path) -> Result<record::Patch> {
    let absolute =
        std::path::absolute(patch).map_err(|error| Error::io("resolve", patch, &error))?;
    let mut command = Command::new("patch");
    command
        .args(["-p1", "--forward", "--batch", "--no-backup-if-mismatch", "--reject-file=-"])
        .arg("--input")
        .arg(&absolute)
        .current_dir(tree)
        .env("LC_ALL", "C");
    let output = process::output(&mut command, Duration::from_secs(60))?;
    if !output.status.success() {
        let talk = format!("{}{}", output.stdout, output.stderr);
        let reason = talk
            .lines()
            .find(|line| {
                ["FAILED", "ignored", "can't find", "malformed", "****", "Only garbage"]
                    .iter()
                    .any(|word| line.contains(word))
            })
            .or_else(|| talk.lines().last())
            .unwrap_or("patch said nothing");
        return Err(Error::input(format!(
            "the patch {} does not apply to MicroPython: {}",
            patch.display(),
            reason.trim()
        ))
        .hint("make it against this version, with paths as `git diff` writes them (a/py/obj.c)"));
    }
    let described = record::describe_file(&absolute, Role::Firmware, None)?;
    Ok(record::Patch { name: described.path, sha256: described.sha256 })
}
