//! Programs that the tests run, this one above all: what they print, and how they fail.

use std::borrow::BorrowMut;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// This program, as cargo built it for the tests.
pub fn mpb() -> Command {
    Command::new(env!("CARGO_BIN_EXE_micropython-builder"))
}

/// A file or directory of the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs a command that must succeed, and returns what it printed.
#[track_caller]
pub fn succeed(mut command: impl BorrowMut<Command>) -> String {
    let command = command.borrow_mut();
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}\n{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs a command: its exit code, -1 where a signal ended it, and what it printed to stdout and stderr.
pub fn outcome(mut command: impl BorrowMut<Command>) -> (i32, String, String) {
    let Output { status, stdout, stderr } = command.borrow_mut().output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap_or(-1), text(stdout), text(stderr))
}

/// A run succeeded; what it printed.
#[track_caller]
pub fn succeeded(output: &Output) -> String {
    assert!(output.status.success(), "{}", stderr(output));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Runs a command that must end with this exit code, and a message and a hint that hold these words.
#[track_caller]
pub fn fail(mut command: impl BorrowMut<Command>, code: i32, words: &[&str]) {
    failed(&command.borrow_mut().output().unwrap(), code, words);
}

/// A run ended with this exit code, and a message and a hint that hold these words.
#[track_caller]
pub fn failed(output: &Output, code: i32, words: &[&str]) {
    let said = stderr(output);
    assert_eq!(output.status.code(), Some(code), "{said}");
    holds(&said, words);
}

/// A text holds each of these.
#[track_caller]
pub fn holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

/// The names in a directory, sorted.
pub fn names_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

// Each test program uses some of these.
const _: fn() -> Command = mpb;
const _: fn(&str) -> PathBuf = repository;
const _: fn(&Output) -> String = stdout;
const _: fn(Command) -> String = succeed;
const _: fn(&Path) -> Vec<String> = names_in;
const _: fn(Command) -> (i32, String, String) = outcome;
const _: fn(&Output) -> String = succeeded;
const _: fn(Command, i32, &[&str]) = fail;
