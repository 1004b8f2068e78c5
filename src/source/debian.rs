//! MicroPython from Debian's source package, where only a mirror of Debian (or Ubuntu) answers.
//!
//! apt does the fetching and checks the archive's signature, with a configuration of its own in a
//! temporary directory: neither this machine's sources nor its package database are touched. Of the
//! package only upstream's tarball is used, not Debian's changes.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, TempDir};

use super::apt::{self, Family, Mirror};
use super::nar::nar_hash;
use super::{Origin, Sources, Tree, Verified, Wanted, differs, store_name};
use crate::error::{Error, Kind, Result};
use crate::pins::{DebianTarball, DefaultSuites, Sha256Hash};
use crate::process;
use crate::report::Report;

/// How long apt gets for an index or a package.
const LIMIT: Duration = Duration::from_secs(15 * 60);

/// A tarball that apt fetched and checked. It goes away with this.
#[derive(Debug)]
struct Tarball {
    path: PathBuf,
    name: String,
    _directory: TempDir,
}

/// Makes sure that a suite's name is one: it goes into a configuration file.
pub(super) fn check_suite(suite: &str) -> Result<()> {
    let valid = suite.starts_with(|first: char| first.is_ascii_lowercase())
        && suite.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.')
        });
    if valid {
        return Ok(());
    }
    Err(Error::input(format!("'{suite}' is not the name of a Debian suite"))
        .hint("a suite is named like trixie, sid or stable: `debian:trixie`"))
}

/// The suite that `debian` means with these mirrors.
fn default_suite<'a>(mirrors: &[Mirror], default: &'a DefaultSuites) -> &'a str {
    match mirrors.first() {
        Some(mirror) if mirror.family == Family::Ubuntu => &default.ubuntu,
        _ => &default.debian,
    }
}

/// Fetches upstream's tarball of a source package from a suite.
///
/// # Errors
/// When no mirror of this machine has it, apt is missing, or the user interrupts.
fn fetch(mirrors: &[Mirror], suite: &str, package: &str, report: &dyn Report) -> Result<Tarball> {
    let mut failure: Option<Error> = None;
    for mirror in mirrors {
        match fetch_from(mirror, suite, package, report) {
            Ok(tarball) => return Ok(tarball),
            Err(error) if error.kind() != Kind::Source => return Err(error),
            // The first one is the likeliest, so its answer is the one worth reading.
            Err(error) => _ = failure.get_or_insert(error),
        }
    }
    let failure =
        failure.unwrap_or_else(|| Error::source("apt's configuration names no mirror to ask"));
    Err(match mirrors.first() {
        Some(mirror) if mirror.family == Family::Ubuntu => failure.hint(
            "this machine's mirror is Ubuntu's: `debian` without a suite takes a package it has, \
             a version such as `v1.28.0` gets the release itself",
        ),
        _ => failure.hint("a version such as `v1.28.0` gets the release itself"),
    })
}

fn fetch_from(mirror: &Mirror, suite: &str, package: &str, report: &dyn Report) -> Result<Tarball> {
    // Readable for apt's own user, which does the downloading when root asks for it.
    let directory = tempfile::Builder::new()
        .prefix("micropython-builder-apt-")
        .permissions(fs::Permissions::from_mode(0o755))
        .tempdir()
        .map_err(|error| Error::io("create a directory in", &std::env::temp_dir(), &error))?;
    let configuration = mirror.configure(directory.path(), suite)?;
    let download = directory.path().join("download");
    let from = format!("{package} in {suite} from {}", mirror.shown());
    report.step(&format!("reading the index of sources of {suite} from {}", mirror.shown()));
    apt(&configuration, &download, &["update"], &from)?;
    report.step(&format!("downloading the source of {from}"));
    let arguments = ["source", "--download-only", "--tar-only", "--only-source", package];
    apt(&configuration, &download, &arguments, &from)?;
    let name = tarball_in(&download, package)?;
    Ok(Tarball { path: download.join(&name), name, _directory: directory })
}

fn apt(configuration: &Path, directory: &Path, arguments: &[&str], from: &str) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.arg("-c").arg(configuration).arg("-q").args(arguments).current_dir(directory);
    command.env("LC_ALL", "C.UTF-8");
    let output = process::output(&mut command, LIMIT).map_err(|error| match error.kind() {
        Kind::Build => Error::source(format!("cannot get {from}: {error}")),
        _ => error,
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said: Vec<&str> =
        output.stderr.lines().filter_map(|line| line.strip_prefix("E: ")).collect();
    let said = if said.is_empty() { output.stderr.trim().to_owned() } else { said.join("; ") };
    Err(Error::source(format!("cannot get {from}: apt-get says: {said}")))
}

fn tarball_in(directory: &Path, package: &str) -> Result<String> {
    let names = fs::read_dir(directory)
        .map_err(|error| Error::io("read", directory, &error))?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok());
    let prefix = format!("{package}_");
    let mut tarballs =
        names.filter(|name| name.starts_with(&prefix) && name.contains(".orig.tar."));
    match (tarballs.next(), tarballs.next()) {
        (Some(name), None) => Ok(name),
        (None, _) => Err(Error::source(format!("the source package {package} has no .orig.tar"))),
        (Some(first), Some(second)) => Err(Error::source(format!(
            "the source package {package} has two of upstream's tarballs, {first} and {second}"
        ))),
    }
}

/// What is remembered of a suite: which tarball it had (`debian-SUITE.json`).
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    schema: u32,
    file: String,
    nar: Sha256Hash,
}

impl Sources {
    pub(super) fn debian(&self, suite: Option<&str>, report: &dyn Report) -> Result<Tree> {
        let pins = &self.pins.debian;
        let (suite, mirrors) = match suite {
            Some(suite) => (suite.to_owned(), None),
            None => {
                let mirrors = apt::mirrors();
                // Without apt, what an earlier run put into the cache still serves.
                let known = mirrors.as_deref().unwrap_or_default();
                (default_suite(known, &pins.default).to_owned(), Some(mirrors))
            }
        };
        if let Some(tree) = self.debian_cached(&suite)? {
            return Ok(tree);
        }
        let mirrors = mirrors.unwrap_or_else(apt::mirrors)?;
        let tarball = fetch(&mirrors, &suite, &pins.package, report)?;
        let pinned = pins.suites.values().find(|pinned| pinned.file == tarball.name);
        let (nar, path) = match pinned {
            Some(pinned) => (pinned.nar, self.debian_pinned(pinned, &tarball.path, report)?),
            None => self.debian_unpinned(&suite, &tarball, report)?,
        };
        self.remember(&suite, &tarball.name, nar)?;
        Ok(self.debian_tree(&suite, &tarball.name, nar, path))
    }

    fn debian_cached(&self, suite: &str) -> Result<Option<Tree>> {
        if let Some(pinned) = self.pins.debian.suites.get(suite) {
            let name = debian_name(&pinned.file, pinned.nar);
            if let Some(path) = self.store.find(&name, pinned.nar)? {
                return Ok(Some(self.debian_tree(suite, &pinned.file, pinned.nar, path)));
            }
        }
        let text = fs::read_to_string(self.store.path(&note_name(suite))).unwrap_or_default();
        // A note that cannot be read is as good as none.
        let note = serde_json::from_str::<Remembered>(&text).ok();
        let Some(note) = note.filter(|note| note.schema == 1 && !self.refresh) else {
            return Ok(None);
        };
        let path = self.store.find(&debian_name(&note.file, note.nar), note.nar)?;
        Ok(path.map(|path| self.debian_tree(suite, &note.file, note.nar, path)))
    }

    /// Unpacks a tarball whose name is pinned.
    fn debian_pinned(
        &self,
        pinned: &DebianTarball,
        tarball: &Path,
        report: &dyn Report,
    ) -> Result<PathBuf> {
        let hash = Sha256Hash::of_file(tarball)?;
        if hash != pinned.hash {
            return Err(differs(&pinned.file, pinned.hash, hash));
        }
        let name = debian_name(&pinned.file, pinned.nar);
        let _lock = self.store.lock(&name, report)?;
        self.unpack(tarball, Wanted { name: &name, nar: pinned.nar, what: &pinned.file }, report)
    }

    /// Unpacks a tarball that only apt vouches for.
    fn debian_unpinned(
        &self,
        suite: &str,
        tarball: &Tarball,
        report: &dyn Report,
    ) -> Result<(Sha256Hash, PathBuf)> {
        report.warn(&format!(
            "{} is not pinned: apt vouches for it, and another day {suite} may have another one",
            tarball.name
        ));
        let lock_name = format!("debian-{suite}");
        let _lock = self.store.lock(&lock_name, report)?;
        let temporary = self.store.temporary(&lock_name)?;
        report.step(&format!("unpacking {}", tarball.name));
        let tree = self.unpack_into(&tarball.path, temporary.path(), &tarball.name)?;
        let nar = nar_hash(&tree)?;
        let name = debian_name(&tarball.name, nar);
        let path = match self.store.find(&name, nar)? {
            Some(path) => path,
            None => self.store.place(&tree, &name, nar, report)?,
        };
        Ok((nar, path))
    }

    fn debian_tree(&self, suite: &str, file: &str, nar: Sha256Hash, path: PathBuf) -> Tree {
        let pins = &self.pins;
        let mut pinned = pins.debian.suites.values();
        let pinned = pinned.find(|pinned| pinned.file == file && pinned.nar == nar);
        let release = pinned.map(|pinned| pinned.release.clone());
        let epoch = release.as_ref().and_then(|name| pins.releases.get(name)).map(|it| it.epoch);
        let verified = if pinned.is_some() { Verified::Pin } else { Verified::Apt };
        let (suite, file) = (suite.to_owned(), file.to_owned());
        let origin = Origin::Debian { suite, file, release, verified };
        Tree { path, origin, verified: Some(nar), epoch }
    }

    /// Notes what a suite had, for [`Sources::debian_cached`].
    fn remember(&self, suite: &str, file: &str, nar: Sha256Hash) -> Result<()> {
        let note = Remembered { schema: 1, file: file.to_owned(), nar };
        let path = self.store.path(&note_name(suite));
        let text = serde_json::to_string_pretty(&note)
            .map_err(|error| Error::internal(format!("cannot write JSON: {error}")))?;
        let fail = |error: io::Error| Error::io("write", &path, &error);
        let mut aside = NamedTempFile::new_in(self.store.root()).map_err(fail)?;
        writeln!(aside, "{text}").map_err(fail)?;
        aside.persist(&path).map(|_| ()).map_err(|error| fail(error.error))
    }
}

fn debian_name(file: &str, nar: Sha256Hash) -> String {
    let stem = file.split(".orig.tar").next().unwrap_or(file);
    store_name(&format!("debian-{stem}"), nar)
}

fn note_name(suite: &str) -> String {
    format!("debian-{suite}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suites_cannot_smuggle_options() {
        for suite in ["trixie", "sid", "stable", "trixie-backports", "noble"] {
            assert!(check_suite(suite).is_ok(), "{suite}");
        }
        for suite in ["", "-x", "a b", "a\nb", "../x", "Trixie", "x]"] {
            assert!(check_suite(suite).is_err(), "{suite:?}");
        }
    }
}
