//! A MicroPython that native modules are built for, and what its `py/dynruntime.mk` knows.

use std::fs;
use std::path::{Path, PathBuf};

use super::{Arch, MpyVersion};
use crate::error::{Error, Result};
use crate::pins::{Hasher, Sha256Hash};
use crate::source::nar_hash;
use crate::upstream::copy::{belongs_in_copy, copy_tree, submodules};
use crate::upstream::mpy_cross;

/// The makefile that native modules include, in a MicroPython tree.
pub const DYNRUNTIME: &str = "py/dynruntime.mk";

/// A MicroPython source tree, with what is known about where it comes from.
#[derive(Debug, Clone)]
pub struct Source {
    /// The tree. It is only read.
    pub path: PathBuf,
    /// The version as `git describe` writes it: `v1.25.0`.
    pub version: String,
    /// The commit, where it is known.
    pub commit: Option<String>,
    /// The NAR hash of the tree, where it has just been verified.
    pub nar: Option<Sha256Hash>,
}

/// A MicroPython that native modules are built for.
#[derive(Debug)]
pub(super) struct Tree {
    pub source: Source,
    pub mpy_version: MpyVersion,
    /// The architectures that its makefile knows.
    archs: Vec<Arch>,
    makefile: String,
    identity: Sha256Hash,
}

impl Tree {
    /// Reads what a tree knows.
    ///
    /// # Errors
    /// When it cannot be read, or has no native modules.
    pub(super) fn new(source: Source) -> Result<Tree> {
        let makefile = read(&source.path.join(DYNRUNTIME))?;
        let identity = match source.nar {
            Some(nar) => nar,
            None => identity(&source.path)?,
        };
        Ok(Tree {
            mpy_version: MpyVersion::of_tree(&source.path)?,
            archs: Arch::ALL.into_iter().filter(|arch| knows(&makefile, *arch)).collect(),
            source,
            makefile,
            identity,
        })
    }

    /// Whether native modules can be built for an architecture.
    pub(super) fn supports(&self, arch: Arch) -> bool {
        self.archs.contains(&arch)
    }

    /// Whether its makefile knows a variable.
    pub(super) fn knows_variable(&self, name: &str) -> bool {
        self.makefile.contains(name)
    }

    /// A hash of all of the tree that can decide what a native module becomes.
    pub(super) fn identity(&self) -> Sha256Hash {
        self.identity
    }

    /// Copies what mpy-cross is built from.
    ///
    /// # Errors
    /// When something cannot be read or written.
    pub(super) fn copy_mpy_cross_sources(&self, to: &Path) -> Result<()> {
        let submodules = submodules(&self.source.path)?;
        copy_tree(&self.source.path, to, |path| {
            path.components().next().is_some_and(|first| {
                mpy_cross::SOURCES.iter().any(|name| first.as_os_str() == *name)
            }) && belongs_in_copy(path, &submodules)
        })
    }
}

fn read(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|error| Error::io("read", path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Whether the makefile has a branch for an architecture: `ifeq ($(ARCH),armv6m)`.
fn knows(makefile: &str, arch: Arch) -> bool {
    let condition = format!("ifeq ($(ARCH),{arch})");
    makefile.lines().any(|line| line.trim().trim_start_matches("else ").trim() == condition)
}

/// The hash of a tree that was given as a directory, without what native modules have nothing of:
/// git's own files, documentation, tests, and ports (but for the ROM's addresses).
fn identity(tree: &Path) -> Result<Sha256Hash> {
    const LEFT_OUT: &[&str] = &[".git", ".github", "docs", "logo", "ports", "tests"];
    let mut names = Vec::new();
    for entry in fs::read_dir(tree).map_err(|error| Error::io("read", tree, &error))? {
        let entry = entry.map_err(|error| Error::io("read", tree, &error))?;
        if !LEFT_OUT.iter().any(|name| entry.file_name() == *name) {
            names.push(PathBuf::from(entry.file_name()));
        }
    }
    names.push("ports/esp8266/boards".into());
    names.sort();
    let mut hasher = Hasher::default();
    for name in names {
        let path = tree.join(&name);
        if path.exists() {
            hasher.update(name.as_os_str().as_encoded_bytes());
            hasher.update(nar_hash(&path)?.as_bytes());
        }
    }
    Ok(hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_makefile_says_which_architectures_there_are() {
        let makefile = "ifeq ($(ARCH),x86)\n\nelse ifeq ($(ARCH),armv7m)\nifeq ($(ARCH),armv7emsp)";
        let known: Vec<Arch> =
            Arch::ALL.into_iter().filter(|arch| knows(makefile, *arch)).collect();
        assert_eq!(known, [Arch::X86, Arch::Armv7m, Arch::Armv7emsp]);
    }
}
