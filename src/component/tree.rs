//! A component's directory as this program lays it out: the files that its hash covers and
//! `.component_hash`, nothing else. Where the files came from leaves no trace: they are regular
//! files, executable if they begin with `#!`, all of one time.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::ComponentHash;
use super::files::{self, Defaults, Selection};
use super::glob::FinalStars;
use super::hash;
use crate::error::{Error, Result};

/// The time of every file: as in the Nix store, a second after the epoch.
const TIME: Duration = Duration::from_secs(1);

/// The files of a component whose hash is `wanted`.
///
/// # Errors
/// [`Error::source`] when the hash is another one; others when the files cannot be read.
pub fn examine(root: &Path, defaults: Defaults, wanted: &ComponentHash) -> Result<Vec<String>> {
    let manifest = hash::manifest(root)?;
    let selection = Selection::of_component(&manifest, defaults)?;
    let mut found = None;
    for stars in [FinalStars::Directories, FinalStars::Everything] {
        if stars == FinalStars::Everything && !selection.depends_on_final_stars() {
            break;
        }
        let paths = files::select(root, &selection, stars)?;
        let hash = ComponentHash::of_files(root, &paths)?;
        if hash == *wanted {
            return Ok(paths);
        }
        found = found.or(Some(hash));
    }
    let found = found.map_or_else(String::new, |hash| hash.to_string());
    Err(Error::source(format!(
        "its hash differs from the lock\n  lock:  {wanted}\n  found: {found}"
    )))
}

/// Moves a component's files into a new directory and makes them look the same wherever they came
/// from.
///
/// # Errors
/// When something cannot be moved or written.
pub fn install(root: &Path, paths: &[String], into: &Path, hash: &ComponentHash) -> Result<()> {
    let create =
        |path: &Path| fs::create_dir_all(path).map_err(|error| Error::io("create", path, &error));
    create(into)?;
    for path in paths {
        let (from, to) = (root.join(path), into.join(path));
        if let Some(parent) = to.parent() {
            create(parent)?;
        }
        let fail = |error: io::Error| Error::io("create", &to, &error);
        let kind = fs::symlink_metadata(&from).map_err(|error| Error::io("read", &from, &error))?;
        if kind.is_symlink() {
            let mut source = File::open(&from).map_err(|error| Error::io("open", &from, &error))?;
            let mut target = File::create_new(&to).map_err(fail)?;
            io::copy(&mut source, &mut target).map_err(fail)?;
        } else {
            fs::rename(&from, &to).map_err(fail)?;
        }
        normalise(&to)?;
    }
    let file = into.join(hash::FILE_NAME);
    fs::write(&file, hash.to_string()).map_err(|error| Error::io("write", &file, &error))?;
    normalise(&file)?;
    // Last: a new file changes its directory's time.
    for entry in walkdir::WalkDir::new(into).contents_first(true) {
        let entry = entry
            .map_err(|error| Error::internal(format!("cannot list {}: {error}", into.display())))?;
        if entry.file_type().is_dir() {
            let path = entry.path();
            let fail = |error: io::Error| Error::io("change", path, &error);
            fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(fail)?;
            let directory = File::open(path).map_err(fail)?;
            directory.set_modified(SystemTime::UNIX_EPOCH + TIME).map_err(fail)?;
        }
    }
    Ok(())
}

fn normalise(path: &Path) -> Result<()> {
    let fail = |error: io::Error| Error::io("change", path, &error);
    let mut file = File::open(path).map_err(fail)?;
    let mode = if begins_as_script(&mut file).map_err(fail)? { 0o755 } else { 0o644 };
    file.set_permissions(fs::Permissions::from_mode(mode)).map_err(fail)?;
    file.set_modified(SystemTime::UNIX_EPOCH + TIME).map_err(fail)
}

fn begins_as_script(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    file.by_ref().take(2).read_to_end(&mut start)?;
    Ok(start == b"#!")
}

/// What is wrong with a directory that should hold a component as [`install`] makes it; `None` when
/// nothing is.
///
/// # Errors
/// When it cannot be read.
pub fn fault(
    directory: &Path,
    defaults: Defaults,
    wanted: &ComponentHash,
) -> Result<Option<String>> {
    let note = directory.join(hash::FILE_NAME);
    match fs::read_to_string(&note) {
        Ok(text) if text == wanted.to_string() => {}
        Ok(text) => return Ok(Some(format!("{} says {:?}", hash::FILE_NAME, text.trim()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(Some(format!("it has no {}", hash::FILE_NAME)));
        }
        Err(error) => return Err(Error::io("read", &note, &error)),
    }
    let mut paths = match examine(directory, defaults, wanted) {
        Ok(paths) => paths,
        Err(error) => return Ok(Some(error.message().replace("\n  ", "; "))),
    };
    paths.retain(|path| path != hash::FILE_NAME);
    let mut expected =
        paths.iter().map(String::as_str).chain([hash::FILE_NAME]).collect::<Vec<_>>();
    expected.sort_unstable();
    for entry in walkdir::WalkDir::new(directory).min_depth(1) {
        let entry = entry.map_err(|error| {
            Error::input(format!("cannot read {}: {error}", directory.display()))
        })?;
        if entry.file_type().is_dir() {
            continue;
        }
        let name = entry.path().strip_prefix(directory).unwrap_or(entry.path());
        let known = name.to_str().is_some_and(|name| expected.binary_search(&name).is_ok());
        if !known || !entry.file_type().is_file() {
            return Ok(Some(format!("{} does not belong to it", name.display())));
        }
        let fail = |error: io::Error| Error::io("read", entry.path(), &error);
        let mut file = File::open(entry.path()).map_err(fail)?;
        let executable = file.metadata().map_err(fail)?.permissions().mode() & 0o100 != 0;
        if begins_as_script(&mut file).map_err(fail)? != executable {
            let state = if executable { "executable" } else { "not executable" };
            return Ok(Some(format!("{} is {state}", name.display())));
        }
    }
    Ok(None)
}

/// The hash a directory claims to have, if its files still have it: then it is a component that
/// some run put there and nobody changed.
pub fn claimed(directory: &Path) -> Option<ComponentHash> {
    let text = fs::read_to_string(directory.join(hash::FILE_NAME)).ok()?;
    let hash: ComponentHash = text.trim().parse().ok()?;
    let either = [Defaults::Kept, Defaults::LeftOut];
    either.iter().any(|it| examine(directory, *it, &hash).is_ok()).then_some(hash)
}
