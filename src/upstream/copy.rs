//! Copying source trees: MicroPython's without what a build does not need, and users' modules.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use walkdir::{DirEntry, WalkDir};

use crate::error::{Error, Result};
use crate::interrupt;

/// How many symlinks to directories outside may be followed one inside the other: enough for any
/// sane tree, and an end for those that lead back to themselves.
const MAX_LINKS_OUTSIDE: usize = 4;

/// Copies a directory. Files keep their owner's exec bit; contents are cloned where the file system
/// can. A symlink is kept when it points inside the directory, else what it points to is copied.
///
/// `wanted` says for each path below `from` whether it is copied.
pub(crate) fn copy_tree(from: &Path, to: &Path, wanted: impl Fn(&Path) -> bool) -> Result<()> {
    copy_tree_at(0, from, to, &wanted)
}

fn copy_tree_at(
    outside: usize,
    from: &Path,
    to: &Path,
    wanted: &dyn Fn(&Path) -> bool,
) -> Result<()> {
    let root = from.canonicalize().map_err(|error| Error::io("read", from, &error))?;
    let relative = |entry: &DirEntry| entry.path().strip_prefix(&root).map(Path::to_owned);
    let walk = WalkDir::new(&root).min_depth(1).into_iter();
    for entry in walk.filter_entry(|entry| relative(entry).is_ok_and(|path| wanted(&path))) {
        interrupt::check()?;
        let entry = entry.map_err(|error| Error::walk(&root, error))?;
        let below = relative(&entry).map_err(|_| {
            Error::internal(format!("{} left {}", entry.path().display(), root.display()))
        })?;
        copy_entry(outside, &root, &entry, &to.join(below))?;
    }
    fs::create_dir_all(to).map_err(|error| Error::io("create", to, &error))
}

fn copy_entry(outside: usize, root: &Path, entry: &DirEntry, target: &Path) -> Result<()> {
    let from = entry.path();
    let kind = entry.file_type();
    if kind.is_dir() {
        fs::create_dir_all(target).map_err(|error| Error::io("create", target, &error))
    } else if kind.is_file() {
        copy_file(from, target)
    } else if kind.is_symlink() {
        copy_symlink(outside, root, from, target)
    } else {
        Err(Error::input(format!("{} is neither file nor directory", from.display()))
            .hint("a source tree may hold files, directories and symlinks only"))
    }
}

/// Copies a file's bytes and makes the copy writable, whatever the original's mode.
fn copy_file(from: &Path, to: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    if let Some(parent) = to.parent() {
        fs::create_dir_all(parent).map_err(|error| Error::io("create", parent, &error))?;
    }
    fs::copy(from, to).map_err(|error| Error::copy(from, to, &error))?;
    let executable =
        fs::metadata(from).is_ok_and(|metadata| metadata.permissions().mode() & 0o100 != 0);
    let mode = if executable { 0o755 } else { 0o644 };
    fs::set_permissions(to, fs::Permissions::from_mode(mode))
        .map_err(|error| Error::io("change the mode of", to, &error))
}

fn copy_symlink(outside: usize, root: &Path, link: &Path, target: &Path) -> Result<()> {
    let points_to = fs::read_link(link).map_err(|error| Error::io("read", link, &error))?;
    let inside = points_to.is_relative()
        && link.canonicalize().is_ok_and(|resolved| resolved.starts_with(root));
    if inside {
        return std::os::unix::fs::symlink(&points_to, target)
            .map_err(|error| Error::io("create", target, &error));
    }
    let metadata = fs::metadata(link).map_err(|error| {
        Error::io("follow the symlink", link, &error).hint("remove the symlink, or mend its target")
    })?;
    if !metadata.is_dir() {
        return copy_file(link, target);
    }
    if outside == MAX_LINKS_OUTSIDE {
        return Err(Error::input(format!(
            "{} is one of more than {MAX_LINKS_OUTSIDE} nested symlinks to other directories",
            link.display()
        ))
        .hint("remove the symlink, or mend its target"));
    }
    copy_tree_at(outside + 1, link, target, &|_| true)
}

/// Whether a path of a MicroPython tree belongs into the copy: all but git's own files, directories
/// that builds write, and the contents of submodules, which follow when they are needed.
pub(crate) fn belongs_in_copy(path: &Path, submodules: &[PathBuf]) -> bool {
    let name = path.file_name().unwrap_or_default().as_bytes();
    let depth = path.components().count();
    let in_build_place = path.starts_with("ports") && depth == 3
        || path.starts_with("mpy-cross") && depth == 2
        || path.starts_with("examples/natmod") && depth == 4;
    let is_build = in_build_place && (name == b"build" || name.starts_with(b"build-"));
    let in_submodule =
        path.parent().is_some_and(|parent| submodules.iter().any(|sub| parent == sub));
    !(name == b".git" || name == b"__pycache__" || is_build || in_submodule)
}

/// The paths of a tree's submodules, as its `.gitmodules` lists them.
///
/// # Errors
/// When `.gitmodules` is there but cannot be read.
pub(crate) fn submodules(tree: &Path) -> Result<Vec<PathBuf>> {
    let path = tree.join(".gitmodules");
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, &error))?;
    let paths = text.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "path").then(|| PathBuf::from(value.trim()))
    });
    Ok(paths.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn builds_git_and_submodules_stay_out_of_the_copy() {
        let submodules = [PathBuf::from("lib/mbedtls")];
        let belongs = |path: &str| belongs_in_copy(Path::new(path), &submodules);
        assert!(belongs("py/obj.c"));
        assert!(belongs("lib/mbedtls"));
        assert!(belongs("ports/qemu/boards"));
        assert!(belongs("tools/build"));
        assert!(!belongs("lib/mbedtls/library"));
        assert!(!belongs(".git"));
        assert!(!belongs("ports/qemu/build-VIRT_RV32"));
        assert!(!belongs("mpy-cross/build"));
    }

    #[test]
    fn copies_are_writable_and_follow_links_that_lead_outside() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::create_dir_all(from.join("empty")).unwrap();
        fs::write(from.join("a"), "a").unwrap();
        fs::set_permissions(from.join("a"), fs::Permissions::from_mode(0o555)).unwrap();
        fs::write(directory.path().join("outside"), "o").unwrap();
        symlink("a", from.join("inner")).unwrap();
        symlink("../outside", from.join("outer")).unwrap();
        copy_tree(&from, &to, |path| path != Path::new("skipped")).unwrap();
        assert_eq!(fs::metadata(to.join("a")).unwrap().permissions().mode() & 0o777, 0o755);
        assert_eq!(fs::read_link(to.join("inner")).unwrap(), Path::new("a"));
        assert!(fs::symlink_metadata(to.join("outer")).unwrap().is_file());
        assert_eq!(fs::read(to.join("outer")).unwrap(), b"o");
        assert!(to.join("empty").is_dir());
    }

    #[test]
    fn a_dangling_link_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("nowhere", directory.path().join("dangling")).unwrap();
        let to = tempfile::tempdir().unwrap();
        let error = copy_tree(directory.path(), &to.path().join("to"), |_| true).unwrap_err();
        assert!(error.message().contains("dangling"), "{error}");
        assert_eq!(error.kind(), crate::error::Kind::Input);
    }
}
