//! Getting what the pins name: source trees, verified, from the cache, the network or a directory.
//!
//! This is the only part of the crate that uses the network. What it returns is a directory whose
//! NAR hash has been compared with its pin, every time, so everything behind it is a function of
//! its inputs.

mod apt;
mod archive;
mod debian;
mod download;
pub mod nar;
mod store;
mod tree;
mod version;

use std::fs;
use std::path::{Component, Path, PathBuf};

pub use archive::{Layout, Limits, unpack, unpack_verified};
pub use download::{Patience, fetch, find, remove};
pub use nar::nar_hash;
pub use tree::{Origin, Request, Tree, Verified};
pub(crate) use version::defined;
pub use version::{Version, check, number, version};

pub use crate::pins::Sha256Hash;

use crate::error::{Error, Kind, Result};
use crate::pins::{MicroPython, ReleaseName, Repository};
use crate::report::Report;
use store::Store;

/// Gets source trees and keeps them in the cache.
#[derive(Debug)]
pub struct Sources {
    pins: MicroPython,
    store: Store,
    downloads: PathBuf,
    patience: Patience,
    limits: Limits,
    refresh: bool,
}

impl Sources {
    /// Sources that `pins` name, kept below the directory `cache`.
    pub fn new(pins: MicroPython, cache: &Path) -> Self {
        Sources {
            pins,
            store: Store::new(cache.join("sources")),
            downloads: cache.join("downloads"),
            patience: Patience::default(),
            limits: Limits::default(),
            refresh: false,
        }
    }

    /// The sources of this machine's user: pins and cache directory as the environment has them.
    ///
    /// # Errors
    /// When the pins cannot be read, or there is no cache directory.
    pub fn of_user() -> Result<Self> {
        Ok(Self::new(crate::pins::micropython()?, &crate::cache::directory()?))
    }

    /// Sets how patient downloads are.
    #[must_use]
    pub fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    /// Sets how much an archive may hold.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets whether a suite of Debian that is not pinned is asked again for what it has now, although
    /// an earlier tree of it is in the cache. Changes nothing for what is pinned.
    #[must_use]
    pub fn refresh(mut self, refresh: bool) -> Self {
        self.refresh = refresh;
        self
    }

    /// The pins.
    pub fn pins(&self) -> &MicroPython {
        &self.pins
    }

    /// Gets a tree. One that is in the cache and still what its hash says is taken without network.
    ///
    /// # Errors
    /// When the directory is not a MicroPython tree or the release is not pinned; when it cannot be
    /// had, or its hash differs from the pin ([`Error::source`]); or when the user interrupts.
    pub fn get(&self, request: &Request, report: &dyn Report) -> Result<Tree> {
        match request {
            Request::Directory(path) => {
                let path =
                    fs::canonicalize(path).map_err(|error| Error::io("open", path, &error))?;
                check(&path)?;
                Ok(Tree { path, origin: Origin::Directory, verified: None, epoch: None })
            }
            Request::Release(name) => self.release(name, report),
            Request::Debian(suite) => self.debian(suite.as_deref(), report),
        }
    }

    /// When the commit of a release was made, in seconds since 1970, where the release is pinned.
    pub fn epoch_of(&self, release: &str) -> Option<u64> {
        self.pins.releases.get(release).map(|release| release.epoch)
    }

    /// The tree of a submodule of a pinned release.
    ///
    /// # Errors
    /// When the release or submodule is not pinned or its hash is not known, and as [`Sources::get`].
    pub fn submodule(&self, release: &str, path: &str, report: &dyn Report) -> Result<PathBuf> {
        let (name, _) = self.pins.release(release)?;
        let repository = self.pins.submodule(name, path)?;
        let Some(nar) = repository.nar else {
            return Err(Error::source(format!(
                "the hash of submodule {path} of MicroPython {name} is not known, so it cannot be \
                 verified"
            ))
            .hint(format!(
                "give a checkout in which `git submodule update --init {path}` has been run"
            )));
        };
        let commit = repository.commit.get(..10).unwrap_or(&repository.commit);
        let what = format!("{} {commit}", repository.repo);
        self.pinned(repository, nar, &format!("{}-{commit}", repository.repo), &what, report)
    }

    /// The tree of a submodule of a tree: the one it contains, or else the one that belongs to its
    /// release.
    ///
    /// # Errors
    /// When the tree has neither, and as [`Sources::submodule`].
    pub fn submodule_of(&self, tree: &Tree, path: &str, report: &dyn Report) -> Result<PathBuf> {
        let inside = tree.path.join(path);
        let below = Path::new(path).components().all(|part| matches!(part, Component::Normal(_)));
        if below && fs::read_dir(&inside).is_ok_and(|mut entries| entries.next().is_some()) {
            return Ok(inside);
        }
        let release = match &tree.origin {
            Origin::Release { release, .. } | Origin::Debian { release: Some(release), .. } => {
                release.clone()
            }
            Origin::Directory | Origin::Debian { release: None, .. } => tree.version()?.tag,
        };
        self.submodule(&release, path, report).map_err(|error| {
            error.context(format!("{} has no submodule {path}", tree.path.display()))
        })
    }

    fn release(&self, name: &str, report: &dyn Report) -> Result<Tree> {
        let (name, release) = self.pins.release(name).map_err(|error| {
            if ReleaseName::parse(name).is_some() {
                return error;
            }
            let mut plain = Error::input(format!("'{name}' is neither a directory nor a release"));
            for hint in error.hints() {
                plain = plain.hint(hint);
            }
            plain
        })?;
        let nar = release.tree.nar.ok_or_else(|| {
            Error::source(format!("the hash of MicroPython {name} is not pinned"))
                .hint("add it to its entry in micropython.json as \"nar\"")
        })?;
        let what = format!("MicroPython {name}");
        let path =
            self.pinned(&release.tree, nar, &format!("micropython-{name}"), &what, report)?;
        let origin =
            Origin::Release { release: name.to_owned(), commit: release.tree.commit.clone() };
        Ok(Tree { path, origin, verified: Some(nar), epoch: Some(release.epoch) })
    }

    /// Gets the tree of a pinned commit. `label` begins its name in the store, `what` names it to
    /// people.
    fn pinned(
        &self,
        repository: &Repository,
        nar: Sha256Hash,
        label: &str,
        what: &str,
        report: &dyn Report,
    ) -> Result<PathBuf> {
        let name = store_name(label, nar);
        let wanted = Wanted { name: &name, nar, what };
        if let Some(path) = self.store.find(&name, nar)? {
            return Ok(path);
        }
        let _lock = self.store.lock(&name, report)?;
        if let Some(path) = self.store.find(&name, nar)? {
            return Ok(path);
        }
        fs::create_dir_all(&self.downloads)
            .map_err(|error| Error::io("create", &self.downloads, &error))?;
        let mut failure = Error::source(format!("the pins name no place to get {what} from"));
        let urls = self.pins.archive_urls(repository);
        for (index, url) in urls.iter().enumerate() {
            match self.download(url, wanted, report) {
                Err(error) if error.kind() == Kind::Source => {
                    if index + 1 < urls.len() {
                        report.warn(&format!("{error}; trying the next place"));
                    }
                    failure = error;
                }
                result => return result,
            }
        }
        Err(failure.hint(
            "where GitHub cannot be reached, give a directory, or `debian` for Debian's package",
        ))
    }

    fn download(&self, url: &str, wanted: Wanted<'_>, report: &dyn Report) -> Result<PathBuf> {
        let part = self.downloads.join(format!("{}.tar.part", wanted.name));
        let mut again = true;
        loop {
            let continued = fetch(url, &part, wanted.what, &self.patience, report)?;
            let result = self.unpack(&part, wanted, report);
            // An interrupt or a full disk says nothing about what was downloaded.
            match &result {
                Err(error) if error.kind() != Kind::Source => return result,
                _ => remove(&part)?,
            }
            if result.is_ok() || !continued || !std::mem::replace(&mut again, false) {
                return result;
            }
            report.step("what arrived in pieces does not fit together; downloading it again");
        }
    }

    /// Unpacks an archive aside, compares the tree's hash and puts it in its place.
    fn unpack(&self, archive: &Path, wanted: Wanted<'_>, report: &dyn Report) -> Result<PathBuf> {
        let what = wanted.what;
        report.step(&format!("unpacking and verifying {what}"));
        let temporary = self.store.temporary(wanted.name)?;
        let tree = self.unpack_into(archive, temporary.path(), what)?;
        let found = nar_hash(&tree)?;
        if found != wanted.nar {
            return Err(differs(what, wanted.nar, found));
        }
        self.store.place(&tree, wanted.name, wanted.nar, report)
    }

    fn unpack_into(&self, archive: &Path, temporary: &Path, what: &str) -> Result<PathBuf> {
        let tree = temporary.join("tree");
        fs::create_dir(&tree).map_err(|error| Error::io("create", &tree, &error))?;
        unpack(archive, &tree, Layout::BelowTop, self.limits).map_err(|error| {
            match error.kind() {
                Kind::Source => error.context(format!("cannot use the archive of {what}")),
                _ => error,
            }
        })?;
        Ok(tree)
    }
}

/// A tree that is to be put into the store.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    /// Its name there.
    name: &'a str,
    nar: Sha256Hash,
    /// Its name for people.
    what: &'a str,
}

/// The name of a tree in the store: readable, and another one for every hash.
fn store_name(label: &str, nar: Sha256Hash) -> String {
    let hash = nar.to_hex();
    format!("{label}-{}", hash.get(..16).unwrap_or(&hash))
}

fn differs(what: &str, pinned: Sha256Hash, found: Sha256Hash) -> Error {
    Error::source(format!(
        "the hash of {what} differs from its pin\n  pinned: {pinned}\n   found: {found}"
    ))
    .hint("nothing of it was kept; if it goes on, the pin is wrong or somebody changed the source")
}
