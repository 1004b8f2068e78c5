//! `micropython.json`: MicroPython's releases, their submodules, and Debian's packages of them.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::sri::Sha256Hash;
use super::version::ReleaseName;
use crate::error::{Error, Result};

/// The pins of MicroPython.
#[derive(Debug, Clone, Deserialize)]
pub struct MicroPython {
    /// Where the archive of a commit is, most wanted first: URLs in which `{owner}`, `{repo}` and
    /// `{commit}` are replaced. All of them serve the same tree.
    pub archives: Vec<String>,
    /// Debian's source packages.
    pub debian: DebianPins,
    /// The releases by the names of their tags. Use [`MicroPython::release`] to look one up.
    pub releases: BTreeMap<String, Release>,
}

/// A commit of a repository on GitHub, and the tree its archive holds.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Repository {
    /// The owner of the repository.
    pub owner: String,
    /// The name of the repository.
    pub repo: String,
    /// The commit, 40 hexadecimal digits.
    pub commit: String,
    /// The NAR hash of the tree without submodules, as Nix's `fetchFromGitHub` yields it. `None`
    /// when it is not known.
    pub nar: Option<Sha256Hash>,
}

/// A release of MicroPython.
#[derive(Debug, Clone, Deserialize)]
pub struct Release {
    /// The commit of the tag, and its tree.
    #[serde(flatten)]
    pub tree: Repository,
    /// When the commit was made, in seconds since 1970: what `SOURCE_DATE_EPOCH` should be.
    pub epoch: u64,
    /// The versions of ESP-IDF that build its esp32 port.
    pub esp_idf: EspIdf,
    /// The `.mpy` version it loads and its mpy-cross writes, with the sub-version of native code
    /// (`py/persistentcode.h`): `6.3`.
    pub mpy_version: String,
    /// The submodules by path.
    pub submodules: BTreeMap<String, Repository>,
}

/// Versions of ESP-IDF, as the tags of its repository.
#[derive(Debug, Clone, Deserialize)]
pub struct EspIdf {
    /// The one that upstream's CI builds every board with.
    pub recommended: String,
    /// All that upstream names in `ports/esp32/README.md` or builds with in CI.
    pub supported: Vec<String>,
}

/// Debian's source packages of MicroPython, which Ubuntu has too.
#[derive(Debug, Clone, Deserialize)]
pub struct DebianPins {
    /// The name of the source package.
    pub package: String,
    /// The suite that is meant when none is named.
    pub default: DefaultSuites,
    /// What is known of the package in a suite, by the suite's name.
    pub suites: BTreeMap<String, DebianTarball>,
}

/// The suites to take when none is named: new ones that stay as they are.
#[derive(Debug, Clone, Deserialize)]
pub struct DefaultSuites {
    /// On mirrors of Debian.
    pub debian: String,
    /// On mirrors of Ubuntu.
    pub ubuntu: String,
}

/// The upstream tarball of a Debian source package.
#[derive(Debug, Clone, Deserialize)]
pub struct DebianTarball {
    /// The name of the file.
    pub file: String,
    /// The hash of the file.
    pub hash: Sha256Hash,
    /// The NAR hash of the tree in it.
    pub nar: Sha256Hash,
    /// The release of which it holds the tree, perhaps less some files.
    pub release: String,
}

impl MicroPython {
    /// A release by its name, with or without `v`; the name as it is pinned comes with it.
    ///
    /// # Errors
    /// When it is not pinned; the nearest that are stand in the hint.
    pub fn release(&self, name: &str) -> Result<(&str, &Release)> {
        let wanted = ReleaseName::parse(name);
        let found = self.releases.iter().find(|(pinned, _)| {
            pinned.as_str() == name || wanted.is_some() && ReleaseName::parse(pinned) == wanted
        });
        found.map(|(pinned, release)| (pinned.as_str(), release)).ok_or_else(|| {
            Error::input(format!("MicroPython {name} is not pinned"))
                .hint(format!("pinned releases near it: {}", self.nearest(name).join(", ")))
                .hint(format!(
                    "to pin another one, add its entry to a copy of micropython.json and set {} \
                     to the directory of that copy (docs/sources.md)",
                    super::VARIABLE
                ))
        })
    }

    /// A submodule of a release by its path.
    ///
    /// # Errors
    /// When the release is not pinned or has no such submodule.
    pub fn submodule(&self, release: &str, path: &str) -> Result<&Repository> {
        let (name, release) = self.release(release)?;
        let path = path.trim_end_matches('/');
        release.submodules.get(path).ok_or_else(|| {
            let known: Vec<&str> = release.submodules.keys().map(String::as_str).collect();
            Error::input(format!("MicroPython {name} has no submodule {path}"))
                .hint(format!("its submodules are {}", known.join(", ")))
        })
    }

    /// The names of the pinned releases, oldest first.
    pub fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.releases.keys().map(String::as_str).collect();
        names.sort_by_key(|name| ReleaseName::parse(name));
        names
    }

    /// The addresses of a repository's archive, most wanted first.
    pub fn archive_urls(&self, repository: &Repository) -> Vec<String> {
        let fill = |template: &String| {
            template
                .replace("{owner}", &repository.owner)
                .replace("{repo}", &repository.repo)
                .replace("{commit}", &repository.commit)
        };
        self.archives.iter().map(fill).collect()
    }

    /// Up to three pinned releases that are most like `name`, oldest first.
    fn nearest(&self, name: &str) -> Vec<&str> {
        let mut names = self.names();
        names.reverse();
        if let Some(wanted) = ReleaseName::parse(name) {
            names.sort_by_key(|pinned| ReleaseName::parse(pinned).map(|it| it.distance(wanted)));
        } else {
            let likeness = |pinned: &&str| (strsim::jaro_winkler(name, pinned) * 1000.0) as u32;
            names.sort_by_key(|pinned| std::cmp::Reverse(likeness(pinned)));
        }
        names.truncate(3);
        names.sort_by_key(|name| ReleaseName::parse(name));
        names
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    const TEXT: &str = include_str!("../../nix/pins/micropython.json");

    fn pins() -> MicroPython {
        serde_json::from_str(TEXT).unwrap()
    }

    fn is_commit(text: &str) -> bool {
        text.len() == 40 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    }

    fn is_tag(text: &str) -> bool {
        text.starts_with('v') && ReleaseName::parse(text).is_some()
    }

    #[test]
    fn every_entry_is_well_formed() {
        let pins = pins();
        let mut trees: HashMap<&str, &Repository> = HashMap::new();
        for (name, release) in &pins.releases {
            assert!(is_tag(name), "{name}");
            assert!(release.tree.nar.is_some(), "{name}");
            assert!(release.epoch > 1_600_000_000, "{name}");
            let idf = &release.esp_idf;
            assert!(idf.supported.iter().all(|tag| is_tag(tag)), "{name}: {idf:?}");
            assert!(idf.supported.contains(&idf.recommended), "{name}: {idf:?}");
            assert!(idf.supported.is_sorted_by_key(|tag| ReleaseName::parse(tag)), "{name}");
            assert!(release.mpy_version.starts_with(['5', '6']), "{name}");
            for (path, tree) in &release.submodules {
                assert!(path.starts_with("lib/"), "{name}: {path}");
                // A commit has one tree, in whichever release and repository it stands.
                let first = trees.entry(&tree.commit).or_insert(tree);
                assert_eq!(first.nar, tree.nar, "{name}: {path}");
            }
            for tree in release.submodules.values().chain([&release.tree]) {
                assert!(is_commit(&tree.commit), "{name}: {tree:?}");
                assert!(!tree.owner.is_empty() && !tree.repo.is_empty(), "{name}: {tree:?}");
            }
        }
        for template in &pins.archives {
            assert!(template.starts_with("https://") && template.contains("{commit}"));
        }
        for tarball in pins.debian.suites.values() {
            assert!(pins.releases.contains_key(&tarball.release), "{tarball:?}");
        }
        for suite in [&pins.debian.default.debian, &pins.debian.default.ubuntu] {
            assert!(pins.debian.suites.contains_key(suite), "{suite}");
        }
    }

    #[test]
    fn releases_are_found_by_any_of_their_names() {
        let pins = pins();
        for name in ["v1.28.0", "1.28.0", "v1.28"] {
            assert_eq!(pins.release(name).unwrap().0, "v1.28.0");
        }
        assert_eq!(pins.release("1.19.0").unwrap().0, "v1.19");
        assert_eq!(pins.names().first(), Some(&"v1.18"));
    }

    #[test]
    fn an_unknown_release_gets_the_nearest() {
        let error = pins().release("v1.24.7").unwrap_err();
        assert_eq!(error.message(), "MicroPython v1.24.7 is not pinned");
        assert!(error.hints()[0].contains("v1.24.1"), "{:?}", error.hints());
        let error = pins().release("1.99").unwrap_err();
        assert!(error.hints()[0].ends_with("v1.28.0"), "{:?}", error.hints());
    }

    #[test]
    fn an_unknown_submodule_gets_the_known() {
        let pins = pins();
        assert_eq!(pins.submodule("v1.28.0", "lib/axtls/").unwrap().repo, "axtls");
        let error = pins.submodule("v1.28.0", "lib/axtsl").unwrap_err();
        assert!(error.hints()[0].contains("lib/axtls"), "{:?}", error.hints());
    }
}
