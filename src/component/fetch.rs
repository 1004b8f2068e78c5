//! Getting one component, from whichever of its places has it.

use std::fs;
use std::path::{Path, PathBuf};

use super::ComponentHash;
use super::files::Defaults;
use super::git::short;
use super::registry::{Registry, local_file};
use super::tree;
use super::upload;
use crate::error::{Error, Kind, Result};
use crate::pins::{GitTree, Sha256Hash, Upload};
use crate::report::Report;
use crate::source::{Layout, Limits, remove, unpack};

/// The largest archive of a component, in bytes.
const MAX_ARCHIVE: u64 = 2 << 30;

/// Where a component may be had.
#[derive(Debug, Clone, PartialEq)]
pub enum Place {
    /// A registry; the usual one if there is no URL.
    Registry(Option<String>),
    /// A git repository, by an archive from its forge.
    Forge(GitTree),
    /// A git repository, with git.
    Git(GitTree),
    /// The repository from which the registry's component was uploaded, by an archive from its forge.
    UploadFromForge(Upload),
    /// The same, with git.
    UploadWithGit(Upload),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Place::Registry(None) => f.write_str("the registry"),
            Place::Registry(Some(url)) => write!(f, "the registry {url}"),
            Place::Forge(tree) | Place::UploadFromForge(Upload { tree, .. }) => {
                write!(f, "an archive of {} {}", tree.url, short(&tree.commit))
            }
            Place::Git(tree) | Place::UploadWithGit(Upload { tree, .. }) => {
                write!(f, "git, {} {}", tree.url, short(&tree.commit))
            }
        }
    }
}

/// A component that is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// Its name, with the namespace.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The hash of its files.
    pub hash: ComponentHash,
    /// Which files its hash covers.
    pub defaults: Defaults,
    /// Where it may be had, in the order in which to ask.
    pub places: Vec<Place>,
}

/// Gets components into directories.
pub struct Fetcher<'a> {
    /// The registry.
    pub registry: &'a Registry,
    /// Where to put what is being downloaded and unpacked; on one filesystem with the result.
    pub directory: &'a Path,
    /// How much an archive may hold.
    pub limits: Limits,
    /// Whom to tell.
    pub report: &'a dyn Report,
}

impl Fetcher<'_> {
    /// Gets a component, verifies it, and puts its directory at `into`, which must not exist.
    /// Returns the place that had it.
    ///
    /// # Errors
    /// [`Error::source`] when no place has it, with what each said.
    pub fn get<'w>(&self, wanted: &'w Wanted, into: &Path) -> Result<&'w Place> {
        let mut failures: Vec<(&Place, Error)> = Vec::new();
        for place in &wanted.places {
            match self.get_from(place, wanted, into) {
                Ok(()) => return Ok(place),
                Err(error) if error.kind() == Kind::Source => failures.push((place, error)),
                // An interrupt or a full disk says nothing about the place.
                Err(error) => return Err(error),
            }
        }
        Err(unavailable(wanted, &failures))
    }

    fn get_from(&self, place: &Place, wanted: &Wanted, into: &Path) -> Result<()> {
        let scratch = tempfile::Builder::new()
            .prefix("tree-")
            .tempdir_in(self.directory)
            .map_err(|error| Error::io("create a directory in", self.directory, &error))?;
        let unpacked = scratch.path().join("tree");
        fs::create_dir(&unpacked).map_err(|error| Error::io("create", &unpacked, &error))?;
        let (root, defaults) = self.unpack_from(place, wanted, &unpacked)?;
        let paths = tree::examine(&root, defaults, &wanted.hash).map_err(blame_source)?;
        let done = scratch.path().join("done");
        tree::install(&root, &paths, &done, &wanted.hash)?;
        fs::rename(&done, into).map_err(|error| Error::io("create", into, &error))
    }

    fn unpack_from(
        &self,
        place: &Place,
        wanted: &Wanted,
        into: &Path,
    ) -> Result<(PathBuf, Defaults)> {
        match place {
            Place::Registry(registry) => {
                let (name, version) = (&wanted.name, &wanted.version);
                let found = self.registry.release(
                    name,
                    version,
                    &wanted.hash,
                    registry.as_deref(),
                    self.report,
                )?;
                let (index, release) = found;
                if let Some(when) = &release.yanked_at {
                    let why = release.yanked_message.as_deref().unwrap_or("no reason was given");
                    self.report.warn(&format!("{name} {version} was withdrawn on {when}: {why}"));
                }
                let url = Registry::archive_url(&index, &release);
                self.archive(&url, Layout::Flat, &format!("{name} {version}"), into)?;
                Ok((into.to_owned(), wanted.defaults))
            }
            Place::Forge(tree) => {
                self.forge_tree(&tree.url, &tree.commit, into)?;
                Ok((component_in(into, &tree.path)?, wanted.defaults))
            }
            Place::Git(tree) => {
                self.git_tree(&tree.url, &tree.commit, into)?;
                Ok((component_in(into, &tree.path)?, wanted.defaults))
            }
            Place::UploadFromForge(it) => self.uploaded(it, into, Self::forge_tree),
            Place::UploadWithGit(it) => self.uploaded(it, into, Self::git_tree),
        }
    }

    fn uploaded(
        &self,
        upload: &Upload,
        into: &Path,
        get: fn(&Self, &str, &str, &Path) -> Result<()>,
    ) -> Result<(PathBuf, Defaults)> {
        get(self, &upload.tree.url, &upload.tree.commit, into)?;
        for submodule in &upload.submodules {
            let path = upload::inside(into, &submodule.path)?;
            fs::create_dir_all(&path).map_err(|error| Error::io("create", &path, &error))?;
            get(self, &submodule.url, &submodule.commit, &path)?;
        }
        Ok((upload::apply(into, upload).map_err(blame_source)?, Defaults::Kept))
    }

    /// Downloads an archive and unpacks it into an empty directory. When it had been put together
    /// from several answers and does not fit, it is downloaded again once.
    pub(super) fn archive(&self, url: &str, layout: Layout, what: &str, into: &Path) -> Result<()> {
        if let Some(path) = local_file(url) {
            if !path.is_file() {
                return Err(Error::source(format!("there is no file {}", path.display())));
            }
            return unpack(&path, into, layout, self.limits).map_err(|error| error.context(url));
        }
        let key = Sha256Hash::of(url.as_bytes()).to_hex();
        let part = self.directory.join(format!("{}.part", key.get(..32).unwrap_or(&key)));
        for attempt in 0..2 {
            let found = self.registry.download(url, &part, what, MAX_ARCHIVE, self.report)?;
            let Some(continued) = found else {
                return Err(Error::source(format!("{url}: the server answered 404 Not Found")));
            };
            let result = unpack(&part, into, layout, self.limits);
            match &result {
                // The download itself is good: the next run need not repeat it.
                Err(error) if error.kind() != Kind::Source => return result,
                _ => remove(&part)?,
            }
            if result.is_ok() || !continued || attempt > 0 {
                return result.map_err(|error| error.context(url));
            }
            self.report.step("what arrived in pieces does not fit together; downloading it again");
            fs::remove_dir_all(into)
                .and_then(|()| fs::create_dir(into))
                .map_err(|error| Error::io("empty", into, &error))?;
        }
        Err(Error::internal("an archive was tried more often than twice"))
    }
}

/// What is wrong with files that were fetched is not the user's fault.
fn blame_source(error: Error) -> Error {
    if error.kind() != Kind::Input {
        return error;
    }
    let hints = error.hints().iter().cloned();
    hints.fold(Error::source(error.message()), Error::hint)
}

fn component_in(tree: &Path, path: &str) -> Result<PathBuf> {
    let root = upload::inside(tree, path)?;
    // Through a symlink it might lie anywhere.
    match fs::symlink_metadata(&root) {
        Ok(found) if found.is_dir() => Ok(root),
        _ => Err(Error::source(format!("the repository has no directory {path}"))),
    }
}

fn unavailable(wanted: &Wanted, failures: &[(&Place, Error)]) -> Error {
    let (name, version) = (&wanted.name, &wanted.version);
    let mut message = format!("cannot get {name} {version}");
    match failures {
        [] => message.push_str(": the pins name no place for it"),
        [(place, error)] => message.push_str(&format!(" from {place}: {error}")),
        _ => {
            for (place, error) in failures {
                message.push_str(&format!(
                    "\n  from {place}: {}",
                    error.message().replace('\n', "\n  ")
                ));
            }
        }
    }
    let mut combined = Error::source(message);
    for hint in failures.iter().flat_map(|(_, error)| error.hints()) {
        if !combined.hints().contains(hint) {
            combined = combined.hint(hint);
        }
    }
    combined.hint("IDF_COMPONENT_STORAGE_URL names a mirror of the registry, file:///… too")
}
