//! User C modules: found in what the user gave, and copied into the workspace.
//!
//! Upstream's makefiles want one directory whose subdirectories are modules, each with a
//! `micropython.mk` (`py/py.mk`, `USER_C_MODULES`). Users have modules in several places, so each
//! is copied beside the others under its own name.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::upstream::copy::copy_tree;

/// The file that makes a directory a module, for the one or the other kind of build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fragment {
    Make,
    CMake,
}

impl Fragment {
    /// What a port's build includes.
    pub(super) fn of(port: &str) -> Fragment {
        if port == "esp32" { Fragment::CMake } else { Fragment::Make }
    }

    /// The file's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Fragment::Make => "micropython.mk",
            Fragment::CMake => "micropython.cmake",
        }
    }

    fn other(self) -> Fragment {
        match self {
            Fragment::Make => Fragment::CMake,
            Fragment::CMake => Fragment::Make,
        }
    }
}

/// The modules in the given paths by directory name: a path may be a module, a directory of modules,
/// or a fragment inside a module.
///
/// # Errors
/// When a path holds no module, or two modules have the same name.
pub(super) fn find(paths: &[PathBuf], fragment: Fragment) -> Result<BTreeMap<String, PathBuf>> {
    let mut modules = BTreeMap::new();
    for path in paths {
        for module in modules_in(path, fragment)? {
            let name = module_name(&module)?;
            if let Some(other) = modules.insert(name.clone(), module.clone()) {
                return Err(Error::input(format!(
                    "two user C modules are named {name}: {} and {}",
                    other.display(),
                    module.display()
                ))
                .hint("rename the directory of one of them, or give only one"));
            }
        }
    }
    Ok(modules)
}

fn modules_in(path: &Path, fragment: Fragment) -> Result<Vec<PathBuf>> {
    let path = path
        .canonicalize()
        .map_err(|error| Error::io("find", path, &error).context("user C modules"))?;
    if path.is_file() {
        let known = path
            .file_name()
            .is_some_and(|name| name == fragment.name() || name == fragment.other().name());
        return match path.parent() {
            Some(directory) if known => {
                module_or_error(directory, fragment).map(|module| vec![module])
            }
            _ => Err(Error::input(format!(
                "{} is no user C module: expected a directory or a {}",
                path.display(),
                fragment.name()
            ))),
        };
    }
    if path.join(fragment.name()).is_file() {
        return Ok(vec![path]);
    }
    let entries = fs::read_dir(&path).map_err(|error| Error::io("read", &path, &error))?;
    let mut modules = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Error::io("read", &path, &error))?.path();
        if entry.join(fragment.name()).is_file() {
            modules.push(entry);
        }
    }
    if modules.is_empty() {
        return module_or_error(&path, fragment).map(|module| vec![module]);
    }
    modules.sort();
    Ok(modules)
}

fn module_or_error(directory: &Path, fragment: Fragment) -> Result<PathBuf> {
    if directory.join(fragment.name()).is_file() {
        return Ok(directory.to_owned());
    }
    let error = if directory.join(fragment.other().name()).is_file() {
        Error::input(format!(
            "the user C module {} has a {} but no {}, which this port needs",
            directory.display(),
            fragment.other().name(),
            fragment.name()
        ))
    } else {
        Error::input(format!(
            "{} holds no user C module: neither it nor a directory in it has a {}",
            directory.display(),
            fragment.name()
        ))
    };
    Err(error.hint(format!(
        "add a {}; https://docs.micropython.org/en/latest/develop/cmodules.html shows how",
        fragment.name()
    )))
}

fn module_name(module: &Path) -> Result<String> {
    let name = module.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    if !name.is_empty() && name.chars().all(plain) {
        return Ok(name.to_owned());
    }
    Err(Error::input(format!(
        "the user C module {} has a name that makefiles cannot hold",
        module.display()
    ))
    .hint("rename its directory, using letters, digits, `-`, `_` and `.` only"))
}

/// Copies modules into the workspace, where upstream's build finds them. The user's own are only read.
///
/// # Errors
/// When a module cannot be copied.
pub(super) fn stage(modules: &BTreeMap<String, PathBuf>, to: &Path) -> Result<()> {
    for (name, module) in modules {
        copy_tree(module, &to.join(name), |path| {
            path.file_name().is_none_or(|name| name != ".git")
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAGMENT: &str = "micropython.mk";
    const CMAKE_FRAGMENT: &str = "micropython.cmake";

    fn module(root: &Path, name: &str, fragment: &str) -> PathBuf {
        let path = root.join(name);
        fs::create_dir_all(&path).unwrap();
        fs::write(path.join(fragment), "").unwrap();
        path
    }

    #[test]
    fn a_module_a_directory_of_modules_and_a_fragment_are_all_taken() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let one = module(root, "one", FRAGMENT);
        module(&root.join("many"), "two", FRAGMENT);
        module(&root.join("many"), "three", FRAGMENT);
        fs::create_dir(root.join("many/docs")).unwrap();
        let four = module(root, "four", FRAGMENT);
        let found = find(&[one, root.join("many"), four.join(FRAGMENT)], Fragment::Make).unwrap();
        let names: Vec<&str> = found.keys().map(String::as_str).collect();
        assert_eq!(names, ["four", "one", "three", "two"]);
    }

    #[test]
    fn what_is_no_module_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let error = find(&[directory.path().to_owned()], Fragment::Make).unwrap_err();
        assert!(error.message().contains("holds no user C module"), "{error}");
        let cmake = module(directory.path(), "cmake", CMAKE_FRAGMENT);
        let error = find(std::slice::from_ref(&cmake), Fragment::Make).unwrap_err();
        assert!(error.message().contains("has a micropython.cmake but no"), "{error}");
        assert_eq!(find(&[cmake], Fragment::CMake).unwrap().len(), 1);
    }

    #[test]
    fn two_modules_of_one_name_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let a = module(&directory.path().join("a"), "same", FRAGMENT);
        let b = module(&directory.path().join("b"), "same", FRAGMENT);
        let error = find(&[a, b], Fragment::Make).unwrap_err();
        assert!(error.message().starts_with("two user C modules are named same"), "{error}");
    }
}
