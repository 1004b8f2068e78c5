//! Files that appear whole or not at all.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::error::{Error, Result};

/// A file that is written beside its destination and renamed to it when it is whole. Dropped before that,
/// it leaves nothing.
pub struct Aside {
    file: NamedTempFile,
    destination: PathBuf,
}

impl Aside {
    /// Begins a file that is to become `destination`.
    ///
    /// # Errors
    /// When its directory is missing or cannot be written to, or `destination` is a directory.
    pub fn create(destination: &Path) -> Result<Aside> {
        let fail = |error: io::Error| Error::io("write", destination, &error);
        if fs::metadata(destination).is_ok_and(|found| found.is_dir()) {
            return Err(Error::input(format!("{} is a directory", destination.display()))
                .hint("name the file to write"));
        }
        let parent = match destination.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        let mut builder = tempfile::Builder::new();
        builder.prefix(".micropython-builder-");
        // Made private by default; the umask decides, as for any other file.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let file = builder.tempfile_in(parent).map_err(fail)?;
        Ok(Aside { file, destination: destination.to_owned() })
    }

    /// The file, to write to.
    pub fn file(&self) -> &File {
        self.file.as_file()
    }

    /// Renames the file to its destination.
    ///
    /// # Errors
    /// When that fails.
    pub fn keep(self) -> Result<()> {
        let Aside { file, destination } = self;
        file.persist(&destination)
            .map(drop)
            .map_err(|error| Error::io("write", &destination, &error.error))
    }
}

/// Writes bytes to a file, aside first.
///
/// # Errors
/// When that fails.
pub fn write_whole(destination: &Path, data: &[u8]) -> Result<()> {
    let aside = Aside::create(destination)?;
    io::Write::write_all(&mut aside.file(), data)
        .map_err(|error| Error::io("write", destination, &error))?;
    aside.keep()
}
