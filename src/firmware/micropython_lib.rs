//! micropython-lib: what `require(…)` in a manifest takes packages from.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::plan::Request;
use super::submodule;
use crate::error::{Error, Result};

/// Where a MicroPython tree has micropython-lib as a submodule.
pub(super) const SUBMODULE: &str = "lib/micropython-lib";

/// The micropython-lib of a build: the one given, or the tree's own, if it is there.
pub(super) fn find(request: &Request<'_>) -> Result<Option<PathBuf>> {
    if let Some(given) = &request.micropython_lib {
        let path = given
            .canonicalize()
            .map_err(|error| Error::io("find", given, &error).context("micropython-lib"))?;
        if !path.join("python-stdlib").is_dir() {
            return Err(Error::input(format!(
                "{} is no micropython-lib: it has no directory python-stdlib",
                given.display()
            ))
            .hint("give a checkout of https://github.com/micropython/micropython-lib"));
        }
        return Ok(Some(path));
    }
    let path = match request.submodules.get(SUBMODULE) {
        _ if submodule::present(request.source.path, Path::new(SUBMODULE)) => {
            request.source.path.join(SUBMODULE)
        }
        Some(given) => given.clone(),
        None => return Ok(None),
    };
    path.canonicalize().map(Some).map_err(|error| Error::io("find", &path, &error))
}

/// Links a micropython-lib into the workspace, in place of what was there.
///
/// Without one a directory stands in that satisfies the makefile's check, which is made whether or
/// not a manifest requires anything.
pub(super) fn link(library: Option<&Path>, at: &Path) -> Result<()> {
    let fail = |error: io::Error| Error::io("create", at, &error);
    if at.exists() {
        fs::remove_dir_all(at).map_err(fail)?;
    }
    match library {
        Some(library) => std::os::unix::fs::symlink(library, at).map_err(fail),
        None => fs::create_dir(at)
            .and_then(|()| fs::write(at.join("README.md"), "This build has no micropython-lib.\n"))
            .map_err(fail),
    }
}

/// The error for a package that no micropython-lib at hand has.
pub(super) fn lacks(whose: &str, package: &str, library: Option<&Path>) -> Error {
    match library {
        None => Error::input(format!(
            "{whose} frozen manifest requires {package:?} of micropython-lib, which is not at hand"
        ))
        .hint("give a checkout of micropython-lib with --micropython-lib DIR")
        .hint("or freeze something else with --manifest FILE"),
        Some(library) => Error::input(format!(
            "{whose} frozen manifest requires {package:?}, which {} does not have",
            library.display()
        ))
        .hint("give a micropython-lib that fits this MicroPython with --micropython-lib DIR"),
    }
}
