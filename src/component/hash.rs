//! `component_hash`: what a lock file says about the files of a component.
//!
//! SHA-256 over all files that belong to the component, sorted by path: of each its path and the
//! hexadecimal SHA-256 of its content, without anything in between
//! (`idf_component_tools/hash_tools/calculate.py`).

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::files::{self, Defaults, Selection};
use super::glob::FinalStars;
use super::manifest::Manifest;
use crate::error::{Error, Result};
use crate::pins::{Hasher, Sha256Hash};

/// The file in which the component manager keeps the hash of a component it has put somewhere.
pub const FILE_NAME: &str = ".component_hash";

/// The file in which the registry lists the files of an archive.
pub const CHECKSUMS: &str = "CHECKSUMS.json";

/// The hash of a component: 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ComponentHash(Sha256Hash);

impl ComponentHash {
    /// The hash of these files below `root`. They have to be sorted, as [`files::select`] does.
    ///
    /// # Errors
    /// When one cannot be read, or the user interrupts.
    pub fn of_files(root: &Path, paths: &[String]) -> Result<ComponentHash> {
        let mut hasher = Hasher::default();
        for path in paths {
            hasher.update(path.as_bytes());
            hasher.update(Sha256Hash::of_file(&root.join(path))?.to_hex().as_bytes());
        }
        Ok(ComponentHash(hasher.finish()))
    }
}

/// The hash of a component's directory, as the component manager computes it: with the files its
/// manifest includes and excludes, and, for what comes straight from a git repository, without what
/// is left out of every component.
///
/// # Errors
/// When the directory cannot be read, its manifest is wrong, or a name is not UTF-8.
pub fn component_hash(root: &Path, defaults: Defaults, stars: FinalStars) -> Result<ComponentHash> {
    let selection = Selection::of_component(&manifest(root)?, defaults)?;
    ComponentHash::of_files(root, &files::select(root, &selection, stars)?)
}

/// The manifest of a component's directory; an empty one when it has none.
///
/// # Errors
/// When it is there and wrong.
pub fn manifest(root: &Path) -> Result<Manifest> {
    let path = root.join(super::manifest::FILE_NAME);
    match std::fs::read(&path) {
        Ok(bytes) => Manifest::parse(&bytes, &path.display().to_string()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Manifest::parse(b"", ""),
        Err(error) => Err(Error::io("read", &path, &error)),
    }
}

impl From<Sha256Hash> for ComponentHash {
    fn from(hash: Sha256Hash) -> Self {
        ComponentHash(hash)
    }
}

impl From<ComponentHash> for Sha256Hash {
    fn from(hash: ComponentHash) -> Self {
        hash.0
    }
}

impl FromStr for ComponentHash {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let hash = (lower && text.len() == 64).then(|| text.parse::<Sha256Hash>().ok()).flatten();
        hash.map(ComponentHash).ok_or_else(|| {
            Error::input(format!(
                "component_hash is {text:?}, 64 lower-case hexadecimal digits were expected"
            ))
        })
    }
}

impl fmt::Display for ComponentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.to_hex())
    }
}

impl fmt::Debug for ComponentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ComponentHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for ComponentHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}
