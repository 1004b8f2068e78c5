//! What the tests share: the tools and sources that a machine may or may not have.

pub mod command;

use std::path::PathBuf;
use std::process::Command;

/// Whether a tool is on PATH. When it is not, the test is to be skipped; with `MPB_REQUIRE_TOOLS`
/// set, that is a failure.
pub fn require(tool: &str) -> bool {
    let found = std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join(tool).is_file())
    });
    if !found {
        missing(&format!("{tool} is not installed"));
    }
    found
}

/// The MicroPython source tree to test with: `MPB_MICROPYTHON`, or none, as with [`require`].
pub fn micropython() -> Option<PathBuf> {
    let tree = std::env::var_os("MPB_MICROPYTHON").filter(|tree| !tree.is_empty());
    if tree.is_none() {
        missing("MPB_MICROPYTHON names no MicroPython source tree");
    }
    tree.map(PathBuf::from)
}

/// The Python that has the packages of the tests' oracles: `MPB_PYTHON`, or none when it is not set
/// or lacks one of these modules, as with [`require`].
pub fn python(modules: &[&str]) -> Option<PathBuf> {
    let Some(python) = std::env::var_os("MPB_PYTHON").filter(|python| !python.is_empty()) else {
        missing("MPB_PYTHON names no Python");
        return None;
    };
    for module in modules {
        let import = format!("import {module}");
        let imported = Command::new(&python).args(["-c", &import]).output();
        let found = imported.is_ok_and(|output| output.status.success());
        if !found {
            missing(&format!("{} has no module {module}", python.display()));
            return None;
        }
    }
    Some(PathBuf::from(python))
}

/// Says what this machine lacks for a test that is skipped, or fails, as with [`require`].
pub fn missing(what: &str) {
    assert!(std::env::var_os("MPB_REQUIRE_TOOLS").is_none(), "{what}");
    eprintln!("skipped: {what}");
}

// Each test program uses some of these.
const _: fn(&str) -> bool = require;
const _: fn() -> Option<PathBuf> = micropython;
const _: fn(&[&str]) -> Option<PathBuf> = python;
const _: fn(&str) = missing;
