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

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::publish::parent_and_name;

/// A build's own directory. It is removed when dropped, unless it was kept.
#[derive(Debug)]
pub(super) struct Workspace {
    directory: tempfile::TempDir,
}

impl Workspace {
    /// A new directory beside where the output will be: same disk, so renames work.
    pub(super) fn beside(out: &Path) -> Result<Workspace> {
        let (parent, prefix) = parent_and_prefix(out)?;
        let directory = tempfile::Builder::new()
            .prefix(&prefix)
            .tempdir_in(&parent)
            .map_err(|error| Error::io("create a directory in", &parent, &error))?;
        Ok(Workspace { directory })
    }

    /// The same, but of a name that depends on the output's alone.
    pub(super) fn fixed(out: &Path) -> Result<Workspace> {
        let (parent, prefix) = parent_and_prefix(out)?;
        let mut name = prefix;
        name.push("saved");
        let path = parent.join(name);
        Self::at(&path).map_err(|error| {
            error.hint("another build works there, or one was killed: then remove it")
        })
    }

    /// A new directory of exactly this path.
    pub(super) fn at(path: &Path) -> Result<Workspace> {
        let (parent, name) = parent_and_name(path)?;
        let directory = tempfile::Builder::new()
            .prefix(name)
            .rand_bytes(0)
            .tempdir_in(&parent)
            .map_err(|error| Error::io("create", path, &error))?;
        Ok(Workspace { directory })
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

/// The directory that holds `out`, made if needed, and what the names of builds for it begin with.
fn parent_and_prefix(out: &Path) -> Result<(PathBuf, OsString)> {
    let (parent, name) = parent_and_name(out)?;
    fs::create_dir_all(&parent).map_err(|error| Error::io("create", &parent, &error))?;
    // Compilers record the real path of where they run, and that is the one to map away.
    let parent = parent.canonicalize().map_err(|error| Error::io("resolve", &parent, &error))?;
    let mut prefix = OsString::from(".");
    prefix.push(name);
    prefix.push(".build-");
    Ok((parent, prefix))
}
