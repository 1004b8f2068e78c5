//! The git submodules of a MicroPython tree: which there are, which a build needs, which are missing.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::upstream::make::Facts;
use crate::upstream::submodule;

pub(super) use submodule::present;

/// What leaves a submodule out of a build, for those that carry an optional feature.
const LEFT_OUT_BY: &[(&str, &str)] = &[
    ("lib/axtls", "--make-arg MICROPY_PY_SSL=0"),
    ("lib/berkeley-db-1.xx", "--make-arg MICROPY_PY_BTREE=0"),
    ("lib/libffi", "--make-arg MICROPY_PY_FFI=0"),
    ("lib/mbedtls", "--make-arg MICROPY_PY_SSL=0 --make-arg MICROPY_SSL_MBEDTLS=0"),
];

/// Those submodules whose files the build would compile or include.
pub(super) fn needed<'a>(submodules: &'a [PathBuf], facts: &Facts) -> Vec<&'a Path> {
    let mentioned = |submodule: &Path| {
        let inside = format!("{}/", submodule.display());
        facts.paths.iter().any(|word| word.contains(&inside))
    };
    submodules.iter().map(PathBuf::as_path).filter(|submodule| mentioned(submodule)).collect()
}

/// Checks the submodules that the user gives: that the tree declares them, and that they hold something.
///
/// # Errors
/// At the first that is wrong.
pub(super) fn check(given: &BTreeMap<String, PathBuf>, declared: &[PathBuf]) -> Result<()> {
    for (path, directory) in given {
        if !declared.iter().any(|known| known == Path::new(path)) {
            let known: Vec<String> = declared.iter().map(|it| it.display().to_string()).collect();
            let error = Error::input(format!("this MicroPython has no submodule {path}"));
            return Err(if known.is_empty() {
                error.hint("its .gitmodules names none")
            } else {
                error.hint(format!("its submodules are {}", known.join(", ")))
            });
        }
        let filled = fs::read_dir(directory).map(|mut entries| entries.next().is_some());
        match filled {
            Ok(true) => {}
            Ok(false) => {
                return Err(Error::input(format!(
                    "{}, given for the submodule {path}, is empty",
                    directory.display()
                ))
                .hint("give a checkout of the submodule's repository"));
            }
            Err(error) => {
                return Err(Error::io("read", directory, &error)
                    .context(format!("given for the submodule {path}")));
            }
        }
    }
    Ok(())
}

/// The error for submodules that are needed and not there, with what would bring them.
pub(super) fn missing(tree: &Path, missing: &[&Path]) -> Error {
    let error = submodule::missing(tree, missing, |_| {
        "build from a release: `--micropython v1.28.0` fetches what it needs by its pins".to_owned()
    });
    with_left_out(error, missing)
}

/// Adds to an error how to build without the submodules that caused it, if all of them carry a
/// feature that can be left out.
pub(super) fn with_left_out(error: Error, submodules: &[&Path]) -> Error {
    let left_out: Vec<&str> = LEFT_OUT_BY
        .iter()
        .filter(|(path, _)| submodules.iter().any(|submodule| *submodule == Path::new(path)))
        .map(|(_, arguments)| *arguments)
        .collect();
    if left_out.is_empty() || left_out.len() < submodules.len() {
        return error;
    }
    error.hint(format!("or build without them: {}", left_out.join(" ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_submodules_that_are_compiled_or_included_are_needed() {
        let submodules =
            ["lib/mbedtls", "lib/berkeley-db-1.xx", "lib/tinyusb"].map(PathBuf::from).to_vec();
        let facts = Facts {
            paths: vec![
                "-I../../lib/mbedtls/include".to_owned(),
                "../../../build/lib/mbedtls_errors/mp_mbedtls_errors.o".to_owned(),
                "../../../build/lib/berkeley-db-1.xx/btree/bt_open.o".to_owned(),
            ],
            ..Facts::default()
        };
        assert_eq!(
            needed(&submodules, &facts),
            [Path::new("lib/mbedtls"), Path::new("lib/berkeley-db-1.xx")]
        );
    }

    #[test]
    fn the_error_names_what_fetches_and_what_leaves_out() {
        let tree = tempfile::tempdir().unwrap();
        fs::create_dir(tree.path().join(".git")).unwrap();
        let error = missing(tree.path(), &[Path::new("lib/berkeley-db-1.xx")]);
        assert!(error.message().ends_with("needs: lib/berkeley-db-1.xx"));
        assert!(error.hints()[0].contains("submodule update --init lib/berkeley-db-1.xx"));
        assert!(error.hints()[1].contains("MICROPY_PY_BTREE=0"));
        let error = missing(tree.path(), &[Path::new("lib/tinyusb")]);
        assert_eq!(error.hints().len(), 1, "tinyusb cannot be left out");
    }
}
