//! `toolchains.json`: compilers that are published as archives, and which of them builds what.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::sri::Sha256Hash;

/// The pins of toolchains.
#[derive(Debug, Clone, Deserialize)]
pub struct Toolchains {
    /// What builds native modules for an architecture, by the architecture's name.
    pub native_modules: BTreeMap<String, Choice>,
    /// The toolchains by name.
    pub toolchains: BTreeMap<String, Toolchain>,
}

/// A version of a toolchain.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Choice {
    /// The toolchain's name.
    pub toolchain: String,
    /// Its version.
    pub version: String,
}

/// A toolchain in its versions.
#[derive(Debug, Clone, Deserialize)]
pub struct Toolchain {
    /// What stands before `gcc` in the names of its programs.
    pub prefix: String,
    /// The versions by name.
    pub versions: BTreeMap<String, ToolchainVersion>,
}

/// One version of a toolchain.
#[derive(Debug, Clone, Deserialize)]
pub struct ToolchainVersion {
    /// The archives by the system they run on, as Nix names it: `x86_64-linux`. Each holds one
    /// directory, and the programs in its `bin`.
    pub archives: BTreeMap<String, Archive>,
}

/// A published archive.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Archive {
    /// Where it is.
    pub url: String,
    /// The hash of the file.
    pub hash: Sha256Hash,
    /// Its size in bytes, where it is known.
    #[serde(default)]
    pub size: Option<u64>,
}

impl Toolchains {
    /// What builds native modules for an architecture on a system: the choice, the names' prefix, and
    /// the archive. `None` when nothing is pinned for it.
    pub fn for_native_modules(
        &self,
        arch: &str,
        system: &str,
    ) -> Option<(&Choice, &str, &Archive)> {
        let choice = self.native_modules.get(arch)?;
        let toolchain = self.toolchains.get(&choice.toolchain)?;
        let archive = toolchain.versions.get(&choice.version)?.archives.get(system)?;
        Some((choice, &toolchain.prefix, archive))
    }
}

#[cfg(test)]
mod tests {
    const SYSTEMS: [&str; 4] = ["aarch64-darwin", "aarch64-linux", "x86_64-darwin", "x86_64-linux"];

    #[test]
    fn every_entry_is_well_formed() {
        let pins = super::super::toolchains().unwrap();
        for (name, toolchain) in &pins.toolchains {
            assert!(toolchain.prefix.ends_with('-'), "{name}");
            for (version, of_version) in &toolchain.versions {
                assert!(of_version.archives.contains_key("x86_64-linux"), "{name} {version}");
                for (system, archive) in &of_version.archives {
                    assert!(SYSTEMS.contains(&system.as_str()), "{name} {version} {system}");
                    assert!(archive.url.starts_with("https://"), "{}", archive.url);
                    assert!(archive.size.is_none_or(|size| size > 1_000_000), "{}", archive.url);
                }
            }
        }
        for arch in pins.native_modules.keys() {
            assert!(pins.for_native_modules(arch, "x86_64-linux").is_some(), "{arch}");
        }
    }
}
