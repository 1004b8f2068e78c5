//! Putting a finished directory where the user wants it, whole or not at all.
//!
//! Such a directory holds a record, a JSON file of a name that says what it is: by it a later run knows
//! that it may be replaced.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde::Serialize;

use crate::error::{Error, Result};

/// How many bytes of an output's name are in the names of what lies beside it: those end in something of
/// their own, and file systems allow 255 in all.
const LONGEST_IN_PREFIX: usize = 200;

/// A directory beside the output that becomes it in one step. Dropped before, nothing has happened.
#[derive(Debug)]
pub(crate) struct Staging {
    directory: tempfile::TempDir,
    /// Dropped after the directory that is in it.
    _parent: Parent,
}

/// Checks that a path may become a directory with such a record: it is not there, empty, or one already.
///
/// # Errors
/// When something else is there.
pub(crate) fn check(out: &Path, record: &str) -> Result<()> {
    let Some(entries) = entries(out)? else { return Ok(()) };
    if entries.count() == 0 || out.join(record).is_file() {
        return Ok(());
    }
    Err(Error::input(format!(
        "{} holds other files, and what is built would replace it",
        out.display()
    ))
    .hint(format!(
        "give --out a directory that is new, empty, or has a {record} of an earlier build"
    )))
}

/// Checks that a path may become a directory of symbols: it is not there, or holds nothing else.
///
/// # Errors
/// When something else is there.
pub(crate) fn check_symbols(out: &Path) -> Result<()> {
    let Some(mut entries) = entries(out)? else { return Ok(()) };
    let ours = |entry: io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| {
            let path = entry.path();
            path.extension().is_some_and(|it| it == "elf" || it == "map")
        })
    };
    if entries.all(ours) {
        return Ok(());
    }
    Err(Error::input(format!(
        "{} holds other files than ELF files and maps, and would be replaced",
        out.display()
    ))
    .hint("give --symbols a directory that is new, or an earlier one"))
}

/// What is in a directory, or `None` where there is nothing.
fn entries(directory: &Path) -> Result<Option<fs::ReadDir>> {
    match fs::read_dir(directory) {
        Ok(entries) => Ok(Some(entries)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("write to", directory, &error)),
    }
}

impl Staging {
    /// A new, empty directory beside `out`.
    pub(crate) fn beside(out: &Path) -> Result<Staging> {
        let parent = Parent::of(out)?;
        let directory = tempfile::Builder::new()
            .prefix(&parent.prefix("new"))
            .permissions(fs::Permissions::from_mode(0o755))
            .tempdir_in(parent.path())
            .map_err(|error| Error::io("create a directory in", parent.path(), &error))?;
        Ok(Staging { directory, _parent: parent })
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Writes the record under its name and makes the directory `out`, in place of what was there.
    pub(crate) fn publish(self, name: &str, record: &impl Serialize, out: &Path) -> Result<()> {
        let path = self.path().join(name);
        let mut text = serde_json::to_string_pretty(record)
            .map_err(|error| Error::internal(format!("cannot write the record: {error}")))?;
        text.push('\n');
        fs::write(&path, text).map_err(|error| Error::io("write", &path, &error))?;
        check(out, name)?;
        self.replace(out)
    }

    /// Makes the directory `out`, in place of what was there.
    pub(crate) fn replace(self, out: &Path) -> Result<()> {
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

/// A directory that was made, with what it lies in, if it was not there. Dropped while nothing is in them, those
/// that were made are gone again, unless they are kept.
#[derive(Debug)]
pub(crate) struct Made {
    /// The directories that were not there, the outermost last.
    directories: Vec<PathBuf>,
}

impl Made {
    pub(crate) fn directory(path: &Path) -> Result<Made> {
        let missing = path.ancestors().take_while(|ancestor| !ancestor.exists());
        let directories = missing.map(Path::to_owned).collect();
        fs::create_dir_all(path).map_err(|error| Error::io("create", path, &error))?;
        Ok(Made { directories })
    }

    /// From now on they stay.
    pub(crate) fn keep(&mut self) {
        self.directories.clear();
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        for directory in &self.directories {
            // What holds something is not removed, which is what this counts on.
            let _ = fs::remove_dir(directory);
        }
    }
}

/// The directory that holds an output, for as long as the output is made.
#[derive(Debug)]
pub(crate) struct Parent {
    path: PathBuf,
    /// The output's own name.
    name: OsString,
    _made: Made,
}

impl Parent {
    pub(crate) fn of(out: &Path) -> Result<Parent> {
        let (path, name) = parent_and_name(out)?;
        let name = name.to_owned();
        let made = Made::directory(&path)?;
        Ok(Parent { path, name, _made: made })
    }

    pub(crate) fn name(&self) -> &OsStr {
        &self.name
    }

    /// What names begin with that lie there for the output while it is made, for example `.out.new-`.
    pub(crate) fn prefix(&self, purpose: &str) -> OsString {
        // A name may be as long as file systems let it: then a part of it has to do.
        let name = self.name.as_bytes();
        let mut prefix = OsString::from(".");
        prefix.push(OsStr::from_bytes(&name[..name.len().min(LONGEST_IN_PREFIX)]));
        prefix.push(format!(".{purpose}-"));
        prefix
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// The directory that holds `out`, absolute, and `out`'s own name.
pub(crate) fn parent_and_name(out: &Path) -> Result<(PathBuf, &OsStr)> {
    let absolute = std::path::absolute(out).map_err(|error| Error::io("resolve", out, &error))?;
    match (absolute.parent(), out.components().next_back()) {
        (Some(parent), Some(Component::Normal(name))) => Ok((parent.to_owned(), name)),
        _ => Err(Error::usage(format!(
            "--out {} does not name a directory that can be made",
            out.display()
        ))
        .hint("give a directory by its name, for example `--out out`")),
    }
}
