//! What the tests that compile rewritten programs share.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::command::{mpb, stderr, succeed, succeeded};

/// A program: its files, of which `main.c` prints what the others make.
pub type Files = Vec<(String, Vec<u8>)>;

/// The files in a directory of their own.
pub fn planted(files: &Files) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(directory.path().join(name), text).unwrap();
    }
    directory
}

/// Rewrites all files of a directory in place, and says which objects of which files got which section.
pub fn rewrite(directory: &Path, purpose: &str) -> BTreeMap<(String, String), String> {
    let mut rewrite = mpb();
    rewrite.args(["rewrite", "--json", "--for", purpose, "."]).current_dir(directory);
    let told: Value = serde_json::from_str(&succeed(rewrite)).unwrap();
    let mut objects = BTreeMap::new();
    for file in told["files"].as_array().unwrap() {
        let path = file["path"].as_str().unwrap();
        assert!(file.get("left").is_none(), "{file}");
        for object in file["objects"].as_array().unwrap() {
            let [name, section] =
                ["name", "section"].map(|key| object[key].as_str().unwrap().to_owned());
            objects.insert((path.trim_start_matches("./").to_owned(), name), section);
        }
    }
    objects
}

/// The C files of a directory.
pub fn sources(directory: &Path) -> Vec<PathBuf> {
    let mut sources: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    sources.retain(|path| path.extension().is_some_and(|extension| extension == "c"));
    sources.sort();
    sources
}

/// Compiles a directory's sources to objects beside them, one by one.
pub fn compile(compiler: &str, flags: &[&str], directory: &Path) -> Result<(), String> {
    for source in sources(directory) {
        let output = Command::new(compiler)
            .args(flags)
            .args(["-c", "-o"])
            .arg(source.with_extension("o"))
            .arg(&source)
            .current_dir(directory)
            .output()
            .unwrap();
        if !output.status.success() {
            return Err(format!("{compiler} {flags:?}\n{}", stderr(&output)));
        }
    }
    Ok(())
}

/// Links the objects that [`compile`] made for this machine, runs the program and returns what it prints.
pub fn run(flags: &[&str], directory: &Path) -> String {
    let program = directory.join("program");
    let objects = sources(directory).into_iter().map(|source| source.with_extension("o"));
    let mut link = Command::new("gcc");
    let output = link.args(flags).arg("-o").arg(&program).args(objects).output().unwrap();
    succeeded(&output);
    succeed(Command::new(&program))
}
