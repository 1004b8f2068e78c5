//! The git submodules of a MicroPython tree that are not there.

use std::fs;
use std::path::Path;

use crate::error::Error;

/// Whether a submodule has been fetched: an unfetched one is an empty directory.
pub(crate) fn present(tree: &Path, submodule: &Path) -> bool {
    fs::read_dir(tree.join(submodule)).is_ok_and(|mut entries| entries.next().is_some())
}

/// The error for submodules that are needed and not there. In a checkout git brings them; what does
/// otherwise is said by `otherwise`.
pub(crate) fn missing(tree: &Path, missing: &[&Path], otherwise: impl Fn(&str) -> String) -> Error {
    let names: Vec<String> = missing.iter().map(|path| path.display().to_string()).collect();
    let names = names.join(" ");
    let error =
        Error::input(format!("{} lacks submodules that this build needs: {names}", tree.display()));
    if tree.join(".git").exists() {
        error.hint(format!("`git -C {} submodule update --init {names}`", tree.display()))
    } else {
        error.hint(otherwise(&names))
    }
}
