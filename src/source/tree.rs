//! What can be asked for, and what is returned.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::debian;
use super::nar::nar_hash;
use super::version::{Version, version};
use crate::error::{Error, Result};
use crate::pins::Sha256Hash;

/// Which MicroPython source tree is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// A tree that is there already.
    Directory(PathBuf),
    /// A pinned release.
    Release(String),
    /// Debian's source package, of a suite or of the usual one.
    Debian(Option<String>),
}

impl Request {
    /// Reads what a person names: an existing directory, a version (`v1.28.0`, `1.28.0`), `debian`
    /// or `debian:SUITE`. What is an existing directory is taken as one.
    ///
    /// # Errors
    /// When it can be none of them.
    pub fn parse(text: &OsStr) -> Result<Request> {
        let path = Path::new(text);
        if path.is_dir() {
            return Ok(Request::Directory(path.to_owned()));
        }
        let shown = text.to_string_lossy();
        let wrong = |message: String| {
            Err(Error::input(message).hint(
                "name a directory, a release such as `v1.28.0`, or `debian` for Debian's package",
            ))
        };
        if path.exists() {
            return wrong(format!("{shown} is a file, expected a MicroPython source tree"));
        }
        match text.to_str() {
            Some("debian") => Ok(Request::Debian(None)),
            Some(name) if name.starts_with("debian:") => {
                let suite = name.trim_start_matches("debian:");
                debian::check_suite(suite)?;
                Ok(Request::Debian(Some(suite.to_owned())))
            }
            Some(name) if !name.is_empty() && !name.contains('/') && !name.starts_with('.') => {
                Ok(Request::Release(name.to_owned()))
            }
            _ => wrong(format!("there is no directory {shown}")),
        }
    }
}

/// Where a tree comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Origin {
    /// It was given as a directory; nothing is known of it.
    Directory,
    /// A pinned release, verified by its pin.
    Release {
        /// The name of the release as it is pinned.
        release: String,
        /// Its commit.
        commit: String,
    },
    /// Upstream's tarball of Debian's source package.
    Debian {
        /// The suite it was taken from.
        suite: String,
        /// The name of the tarball.
        file: String,
        /// The release of which it is the tree, when the tarball is pinned.
        release: Option<String>,
        /// What vouches for it.
        verified: Verified,
    },
}

/// What vouches for a tree from Debian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verified {
    /// Its pin.
    Pin,
    /// Only apt, which checked the signature of the archive that it came from.
    Apt,
}

/// A MicroPython source tree. Nothing may write to it.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its directory, absolute.
    pub path: PathBuf,
    /// Where it comes from.
    pub origin: Origin,
    /// Its NAR hash, where it has been verified. See [`Tree::nar`].
    pub verified: Option<Sha256Hash>,
    /// When its commit was made, in seconds since 1970, where that is pinned: what
    /// `SOURCE_DATE_EPOCH` should be.
    pub epoch: Option<u64>,
}

impl Tree {
    /// The NAR hash. Of a directory that was given it is computed, with all that lies in it.
    ///
    /// # Errors
    /// When the directory cannot be read, or the user interrupts.
    pub fn nar(&self) -> Result<Sha256Hash> {
        self.verified.map_or_else(|| nar_hash(&self.path), Ok)
    }

    /// Which MicroPython it is.
    ///
    /// # Errors
    /// When the tree does not say.
    pub fn version(&self) -> Result<Version> {
        version(&self.path)
    }
}
