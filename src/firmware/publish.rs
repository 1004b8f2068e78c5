//! Putting a finished firmware directory where the user wants it, whole or not at all.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::record::{self, Record};
use super::workspace::parent_and_name;
use crate::error::{Error, Result};

/// A directory beside the output that becomes it in one step. Dropped before, nothing has happened.
#[derive(Debug)]
pub(super) struct Staging {
    directory: tempfile::TempDir,
}

/// Checks that a path may become a firmware directory: it is not there, empty, or one already.
///
/// # Errors
/// When something else is there.
pub(super) fn check(out: &Path) -> Result<()> {
    let entries = match fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("write to", out, &error)),
    };
    if entries.count() == 0 || out.join(record::FILE_NAME).is_file() {
        return Ok(());
    }
    Err(Error::input(format!(
        "{} holds other files, and a firmware directory would replace it",
        out.display()
    ))
    .hint("give --out a directory that is new, empty, or an earlier firmware"))
}

/// Checks that a path may become a directory of symbols: it is not there, or holds nothing else.
///
/// # Errors
/// When something else is there.
pub(super) fn check_symbols(out: &Path) -> Result<()> {
    let entries = match fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("write to", out, &error)),
    };
    let ours = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let path = entry.path();
            path.extension().is_some_and(|it| it == "elf" || it == "map")
        })
    };
    if entries.into_iter().all(ours) {
        return Ok(());
    }
    Err(Error::input(format!(
        "{} holds other files than ELF files and maps, and would be replaced",
        out.display()
    ))
    .hint("give --symbols a directory that is new, or an earlier one"))
}

impl Staging {
    /// A new, empty directory beside `out`.
    pub(super) fn beside(out: &Path) -> Result<Staging> {
        let (parent, name) = parent_and_name(out)?;
        let mut prefix = std::ffi::OsString::from(".");
        prefix.push(name);
        prefix.push(".new-");
        let directory = tempfile::Builder::new()
            .prefix(&prefix)
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(&parent)
            .map_err(|error| Error::io("create a directory in", &parent, &error))?;
        Ok(Staging { directory })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes the record and makes the directory `out`, in place of what was there.
    pub(super) fn publish(self, record: &Record, out: &Path) -> Result<()> {
        let path = self.path().join(record::FILE_NAME);
        let mut text = serde_json::to_string_pretty(record)
            .map_err(|error| Error::internal(format!("cannot write the record: {error}")))?;
        text.push('\n');
        fs::write(&path, text).map_err(|error| Error::io("write", &path, &error))?;
        check(out)?;
        self.replace(out)
    }

    /// Makes the directory `out`, in place of what was there.
    pub(super) fn replace(self, out: &Path) -> Result<()> {
        let fail = |error: io::Error| Error::io("create", out, &error);
        if !out.exists() {
            fs::rename(self.path(), out).map_err(fail)?;
            let _ = self.directory.keep();
            return Ok(());
        }
        match renameat_with(CWD, self.path(), CWD, out, RenameFlags::EXCHANGE) {
            // Dropping `self` now removes what was at `out`.
            Ok(()) => Ok(()),
            // File systems without an exchange: for a moment there is nothing at `out`.
            Err(_) => {
                fs::remove_dir_all(out).map_err(fail)?;
                fs::rename(self.path(), out).map_err(fail)?;
                let _ = self.directory.keep();
                Ok(())
            }
        }
    }
}
