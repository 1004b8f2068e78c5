//! The directory a build happens in: copies of the sources in a fixed layout, reached only through
//! relative paths, so that where it lies does not show in what is built.
//!
//! ```text
//! micropython/      a copy of the tree, without .git, builds and the submodules that are not needed
//! user_c_modules/   copies of the user's C modules
//! micropython-lib   a link to the one that was given, or to the tree's own
//! tools/            mpy-cross and the scripts that ask upstream's build for facts
//! manifest.py       includes the user's manifests
//! build/            what upstream's build writes
//! ```

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::publish::Parent;

/// A build's own directory. It is removed when dropped, unless it was kept.
#[derive(Debug)]
pub(super) struct Workspace {
    directory: tempfile::TempDir,
    /// Dropped after the directory that is in it.
    _parent: Parent,
}

impl Workspace {
    /// A new directory beside where the output will be: same disk, so renames work.
    pub(super) fn beside(out: &Path) -> Result<Workspace> {
        let parent = Parent::of(out)?;
        let directory = tempfile::Builder::new()
            .prefix(&parent.prefix("build"))
            .tempdir_in(real(&parent)?)
            .map_err(|error| Error::io("create a directory in", parent.path(), &error))?;
        Ok(Workspace { directory, _parent: parent })
    }

    /// The same, but of a name that depends on the output's alone.
    pub(super) fn fixed(out: &Path) -> Result<Workspace> {
        let parent = Parent::of(out)?;
        let mut name = parent.prefix("build");
        name.push("saved");
        Self::named(parent, &name).map_err(|error| {
            error.hint("another build works there, or one was killed: then remove it")
        })
    }

    /// A new directory of exactly this path.
    pub(super) fn at(path: &Path) -> Result<Workspace> {
        let parent = Parent::of(path)?;
        let name = parent.name().to_owned();
        Self::named(parent, &name)
    }

    fn named(parent: Parent, name: &OsStr) -> Result<Workspace> {
        let directory = tempfile::Builder::new()
            .prefix(name)
            .rand_bytes(0)
            .tempdir_in(real(&parent)?)
            .map_err(|error| Error::io("create", &parent.path().join(name), &error))?;
        Ok(Workspace { directory, _parent: parent })
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn micropython(&self) -> PathBuf {
        self.path().join("micropython")
    }

    pub(super) fn port(&self, port: &str) -> PathBuf {
        self.micropython().join("ports").join(port)
    }

    pub(super) fn user_c_modules(&self) -> PathBuf {
        self.path().join("user_c_modules")
    }

    pub(super) fn micropython_lib(&self) -> PathBuf {
        self.path().join("micropython-lib")
    }

    /// The manifest that includes the user's.
    pub(super) fn manifest(&self) -> PathBuf {
        self.path().join("manifest.py")
    }

    pub(super) fn tools(&self) -> Result<PathBuf> {
        let tools = self.path().join("tools");
        fs::create_dir_all(&tools).map_err(|error| Error::io("create", &tools, &error))?;
        Ok(tools)
    }

    pub(super) fn build(&self) -> PathBuf {
        self.path().join("build")
    }

    /// The log of everything upstream's build printed.
    pub(super) fn log(&self) -> PathBuf {
        self.path().join("build.log")
    }

    /// Moves the directory to where the user finds it, in place of an earlier one.
    pub(super) fn keep_as(self, kept: &Path) -> Result<()> {
        let fail = |error| Error::io("keep the build directory as", kept, &error);
        match fs::remove_dir_all(kept) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(fail(error)),
            _ => {}
        }
        fs::rename(self.directory.keep(), kept).map_err(fail)
    }
}

/// The real path of a directory. Compilers record that of where they run, and it is the one to map away.
fn real(parent: &Parent) -> Result<PathBuf> {
    let path = parent.path();
    path.canonicalize().map_err(|error| Error::io("resolve", path, &error))
}
