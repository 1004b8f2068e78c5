//! What the registry makes of a component's repository when its author uploads it: files are left
//! out, and the manifest is written anew. With that known, a component can be had from the repository
//! and still is, file by file, what the registry serves; its hash tells.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;

use super::files::{self, Defaults, Selection};
use super::glob::FinalStars;
use super::hash;
use super::manifest::{self, Manifest};
use super::yaml::{self, Style};
use crate::error::{Error, Result};
use crate::pins::{ManifestChange, Upload};

/// Changes the tree of a repository as an upload does and returns the component's directory in it.
/// Submodules have to be in their places.
///
/// # Errors
/// When the tree is not the one that is described.
pub(super) fn apply(repository: &Path, upload: &Upload) -> Result<PathBuf> {
    for submodule in &upload.submodules {
        if let Some(text) = &submodule.git_file {
            let path = inside(repository, &submodule.path)?.join(".git");
            fs::write(&path, text).map_err(|error| Error::io("write", &path, &error))?;
        }
    }
    for copy in &upload.copy {
        copy_tree(&inside(repository, &copy.from)?, &inside(repository, &copy.to)?)?;
    }
    for path in &upload.remove {
        let path = inside(repository, path)?;
        let removed =
            if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|error| Error::io("remove", &path, &error))?;
    }
    let root = inside(repository, &upload.tree.path)?;
    if !root.is_dir() {
        return Err(Error::source(format!("the repository has no directory {}", upload.tree.path)));
    }
    leave_out(&root)?;
    rewrite(&root.join(manifest::FILE_NAME), |value| change(value, &upload.manifest))?;
    if upload.examples {
        for path in example_manifests(&root)? {
            rewrite(&path, drop_override_paths)?;
        }
    }
    Ok(root)
}

/// A path below a directory. Pins are trusted, but a mistake in them must not reach outside.
pub(super) fn inside(directory: &Path, path: &str) -> Result<PathBuf> {
    let mut joined = directory.to_owned();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => joined.push(name),
            Component::CurDir => {}
            _ => {
                return Err(Error::input(format!("the path {path:?} leads out of the repository")));
            }
        }
    }
    Ok(joined)
}

/// Removes what is not packed.
fn leave_out(root: &Path) -> Result<()> {
    let manifest = hash::manifest(root)?;
    let selection = Selection::of_component(&manifest, Defaults::LeftOut)?;
    let packed = files::select(root, &selection, FinalStars::default())?;
    let everything = Selection::of_component(&Manifest::parse(b"", "")?, Defaults::Kept)?;
    for path in files::select(root, &everything, FinalStars::default())? {
        if packed.binary_search(&path).is_err() {
            let path = root.join(path);
            fs::remove_file(&path).map_err(|error| Error::io("remove", &path, &error))?;
        }
    }
    Ok(())
}

/// Reads a manifest, changes it, and writes it as the registry does.
fn rewrite(path: &Path, change: impl FnOnce(&mut Value)) -> Result<()> {
    let text = fs::read_to_string(path).map_err(|error| Error::io("read", path, &error))?;
    let wrong = |error: Error| error.context(path.display());
    let mut value = yaml::load(&text).map_err(wrong)?;
    change(&mut value);
    let text = yaml::dump(&value, Style::REGISTRY).map_err(wrong)?;
    fs::write(path, text).map_err(|error| Error::io("write", path, &error))
}

fn change(value: &mut Value, change: &ManifestChange) {
    if let Some(entries) = value.as_object_mut() {
        for key in &change.drop {
            entries.remove(key);
        }
        entries.extend(change.set.clone());
    }
}

fn drop_override_paths(value: &mut Value) {
    let dependencies = value.get_mut("dependencies").and_then(Value::as_object_mut);
    for (_, dependency) in dependencies.into_iter().flatten() {
        if let Some(entries) = dependency.as_object_mut() {
            entries.remove("override_path");
        }
    }
}

fn example_manifests(root: &Path) -> Result<Vec<PathBuf>> {
    let examples = root.join("examples");
    if !examples.is_dir() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(&examples) {
        let entry = entry.map_err(|error| {
            Error::internal(format!("cannot list {}: {error}", examples.display()))
        })?;
        if entry.file_type().is_file() && entry.file_name() == manifest::FILE_NAME {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    // The list first: a directory may be copied into one below it.
    let entries: std::result::Result<Vec<_>, _> = walkdir::WalkDir::new(from).into_iter().collect();
    let entries = entries
        .map_err(|error| Error::source(format!("cannot copy {}: {error}", from.display())))?;
    for entry in entries {
        let path = entry.path();
        let target = to.join(path.strip_prefix(from).unwrap_or(path));
        let fail = |error: io::Error| Error::io("create", &target, &error);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).map_err(fail)?;
            continue;
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(fail)?;
        }
        if entry.file_type().is_symlink() {
            let link = fs::read_link(path).map_err(fail)?;
            std::os::unix::fs::symlink(link, &target).map_err(fail)?;
        } else {
            fs::copy(path, &target).map_err(fail)?;
        }
    }
    Ok(())
}
