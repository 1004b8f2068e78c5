//! Builds for the tests of `build`: command lines, and what they leave.

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::common::command::{mpb, repository, succeed};

/// What the unix port does without where its submodules are not there.
pub const WITHOUT_SUBMODULES: [&str; 6] = [
    "--make-arg",
    "MICROPY_PY_BTREE=0",
    "--make-arg",
    "MICROPY_PY_SSL=0",
    "--make-arg",
    "MICROPY_SSL_MBEDTLS=0",
];

/// The unix port's smallest variant, which compiles in a fraction of the time.
pub const MINIMAL: [&str; 2] = ["--variant", "minimal"];

pub fn build(board: &str, tree: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = mpb();
    command.args(["build", board, "--micropython"]).arg(tree).arg("--out").arg(out).args(more);
    command
}

/// With the example's frozen module, and no `require`, which the source package cannot serve.
pub fn build_hello(board: &str, tree: &Path, out: &Path, more: &[&str]) -> Command {
    let mut command = build(board, tree, out, more);
    command.arg("--manifest").arg(repository("examples/hello/manifest.py"));
    command.arg("--user-c-modules").arg(repository("examples/modules"));
    command
}

/// The NAR hash of a path.
pub fn hash(path: &Path) -> String {
    let mut hash = mpb();
    hash.arg("hash").arg(path);
    succeed(hash)
}

pub fn record(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("firmware.json")).unwrap()).unwrap()
}

// Each test program uses some of these.
const _: [&str; 6] = WITHOUT_SUBMODULES;
const _: [&str; 2] = MINIMAL;
const _: fn(&str, &Path, &Path, &[&str]) -> Command = build_hello;
const _: fn(&Path) -> String = hash;
const _: fn(&Path) -> Value = record;
