//! Builds for the tests of `build`: the command, what it says and what it leaves.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

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

pub fn mpb() -> Command {
    Command::new(env!("CARGO_BIN_EXE_micropython-builder"))
}

/// A file or directory of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

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

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[track_caller]
pub fn succeed(mut command: Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Fails with this exit code, and a message and a hint that hold these words.
#[track_caller]
pub fn fail(mut command: Command, code: i32, words: &[&str]) {
    let output = command.output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{command:?}\n{text}");
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

pub fn record(out: &Path) -> Value {
    serde_json::from_slice(&fs::read(out.join("firmware.json")).unwrap()).unwrap()
}

pub fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

// Each test program uses some of these.
const _: [&str; 6] = WITHOUT_SUBMODULES;
const _: [&str; 2] = MINIMAL;
const _: fn(&str, &Path, &Path, &[&str]) -> Command = build_hello;
const _: fn(&Path) -> String = hash;
const _: fn(Command, i32, &[&str]) = fail;
const _: fn(&Path) -> Value = record;
const _: fn(&Path) -> Vec<String> = names_in;
