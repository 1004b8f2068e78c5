//! The pins of ESP-IDF's managed components, `components.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use super::Sha256Hash;
use crate::error::{Error, Result};

/// The components that are pinned, and which of them the releases of MicroPython need.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Components {
    schema: u32,
    /// By name and version; of a git repository the version is the commit.
    pub components: BTreeMap<String, BTreeMap<String, ComponentPin>>,
    /// The releases of MicroPython that have lock files, by name.
    #[serde(default)]
    pub releases: BTreeMap<String, ReleaseLocks>,
}

/// One version of a component.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ComponentPin {
    /// The hash that lock files give, in hexadecimal digits.
    #[serde(serialize_with = "to_hex", deserialize_with = "from_hex")]
    pub component_hash: Sha256Hash,
    /// The NAR hash of its directory as this program lays it out. Missing when nobody could compute
    /// it yet: then the component hash alone vouches for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nar: Option<Sha256Hash>,
    /// Where it can be had, in the order in which to ask.
    pub sources: Vec<ComponentSource>,
}

/// Where a component can be had.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum ComponentSource {
    /// From ESP-IDF's component registry.
    Registry,
    /// From a git repository, as it is there at the commit that is the version.
    Git(GitTree),
    /// From the git repository from which its author uploaded it to the registry, changed as the
    /// upload changed it.
    Repository(Upload),
}

/// A directory of a git repository.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GitTree {
    /// The repository.
    pub url: String,
    /// The commit: 40 hexadecimal digits.
    pub commit: String,
    /// The directory; `.` is the whole repository.
    #[serde(default = "here", skip_serializing_if = "is_here")]
    pub path: String,
}

/// What the registry made of a directory of a git repository.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize)]
pub struct Upload {
    /// The directory.
    #[serde(flatten)]
    pub tree: GitTree,
    /// Submodules that were checked out when it was uploaded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub submodules: Vec<Submodule>,
    /// Files and directories that were copied before, relative to the repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy: Vec<Copy>,
    /// Files and directories that were removed before, relative to the repository.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub remove: Vec<String>,
    /// What the upload changed in the manifest.
    #[serde(default)]
    pub manifest: ManifestChange,
    /// Whether it wrote the manifests of the examples anew, without `override_path`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub examples: bool,
}

/// A submodule.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Submodule {
    /// Where it lies in the repository.
    pub path: String,
    /// The repository it is.
    pub url: String,
    /// Its commit.
    pub commit: String,
    /// The content of its `.git` file, where that was uploaded too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_file: Option<String>,
}

/// A copy that was made.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Copy {
    /// What was copied.
    pub from: String,
    /// What it became.
    pub to: String,
}

/// What an upload changed in a manifest, apart from sorting it.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ManifestChange {
    /// Keys that were left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop: Vec<String>,
    /// Keys that were added or replaced.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub set: Map<String, Value>,
}

/// The lock files of a release of MicroPython.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct ReleaseLocks {
    /// The version of ESP-IDF they were made with.
    pub esp_idf: String,
    /// By chip, as ESP-IDF calls it.
    pub targets: BTreeMap<String, TargetLock>,
}

/// The lock file for one chip.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TargetLock {
    /// The hash of the lock file.
    pub lock: Sha256Hash,
    /// The components in it, with their versions.
    pub components: BTreeMap<String, String>,
    /// The NAR hash of the directory with all of them, when each one's is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nar: Option<Sha256Hash>,
}

impl Components {
    /// No pins.
    pub fn empty() -> Components {
        Components { schema: super::SCHEMA, ..Components::default() }
    }

    /// Reads pins. `place` names them in messages.
    ///
    /// # Errors
    /// When they are not what this program reads.
    pub fn parse(text: &str, place: &str) -> Result<Components> {
        super::parse(text, place)
    }

    /// The pin of a component.
    pub fn get(&self, name: &str, version: &str) -> Option<&ComponentPin> {
        self.components.get(name)?.get(version)
    }

    /// Adds pins; what is there already and not the same is replaced.
    pub fn merge(&mut self, other: Components) {
        for (name, versions) in other.components {
            self.components.entry(name).or_default().extend(versions);
        }
        for (name, release) in other.releases {
            match self.releases.get_mut(&name) {
                Some(known) if known.esp_idf == release.esp_idf => {
                    known.targets.extend(release.targets);
                }
                _ => {
                    self.releases.insert(name, release);
                }
            }
        }
    }

    /// The pins as the text of a file.
    ///
    /// # Errors
    /// When this program cannot write JSON.
    pub fn to_text(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self)
            .map_err(|error| Error::internal(format!("cannot write pins: {error}")))?;
        Ok(format!("{text}\n"))
    }
}

fn here() -> String {
    ".".to_owned()
}

fn is_here(path: &str) -> bool {
    path == "."
}

fn to_hex<S: Serializer>(hash: &Sha256Hash, serializer: S) -> std::result::Result<S::Ok, S::Error> {
    serializer.serialize_str(&hash.to_hex())
}

fn from_hex<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Sha256Hash, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_release_is_pinned_to_the_byte() {
        let pins = super::super::components().unwrap();
        for (release, chips) in [("v1.26.1", 6), ("v1.27.0", 8), ("v1.28.0", 8)] {
            let locks = pins.releases.get(release).unwrap();
            assert_eq!(locks.targets.len(), chips, "{release}");
            for (target, lock) in &locks.targets {
                assert!(lock.nar.is_some(), "{release} {target}");
                for (name, version) in &lock.components {
                    let pin = pins.get(name, version);
                    assert!(pin.is_some_and(|pin| pin.nar.is_some()), "{name} {version}");
                }
            }
        }
    }

    #[test]
    fn the_file_is_as_this_program_writes_it() {
        let pins = super::super::components().unwrap();
        assert_eq!(pins.to_text().unwrap(), include_str!("../../nix/pins/components.json"));
    }
}
