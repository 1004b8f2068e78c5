//! The version of a tree: against upstream's own script.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Command;

use common::command::succeed;
use common::{micropython, require};
use micropython_builder::source::version;

/// `py/makeversionhdr.py` of the tree itself, with git as it is or hidden.
fn upstream_tag(script: &Path, tree: &Path, git: bool) -> String {
    let header = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("python3");
    command.arg(script).arg(header.path()).env_remove("MICROPY_GIT_TAG");
    if !git {
        command.env("GIT_DIR", tree.join("no-git"));
    }
    succeed(&mut command);
    let text = fs::read_to_string(header.path()).unwrap();
    let line = text.lines().find(|line| line.contains("MICROPY_GIT_TAG")).unwrap();
    line.split('"').nth(1).unwrap().to_owned()
}

#[test]
fn versions_are_what_upstreams_script_makes_of_them() {
    let Some(source) = micropython() else { return };
    if !require("python3") || !require("git") {
        return;
    }
    let found = version(&source).unwrap();
    assert_eq!(found.tag, upstream_tag(&source.join("py/makeversionhdr.py"), &source, false));
    assert_eq!(found.commit, None);

    // A checkout with the same script and header, at a tag and after it, clean and changed.
    let directory = tempfile::tempdir().unwrap();
    let tree = directory.path();
    for name in ["py", "ports", "mpy-cross"] {
        fs::create_dir_all(tree.join(name)).unwrap();
    }
    for name in ["py/makeversionhdr.py", "py/mpconfig.h"] {
        fs::write(tree.join(name), fs::read(source.join(name)).unwrap()).unwrap();
    }
    let git = |arguments: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=T", "-c", "user.email=t@example.org", "-C"]);
        succeed(git.arg(tree).args(arguments)).trim().to_owned()
    };
    let agrees = || {
        let found = version(tree).unwrap();
        assert_eq!(found.tag, upstream_tag(&tree.join("py/makeversionhdr.py"), tree, true));
        assert_eq!(found.commit, Some(git(&["rev-parse", "--short", "HEAD"])));
        found.tag
    };
    git(&["init", "--quiet"]);
    git(&["add", "."]);
    git(&["commit", "--quiet", "-m", "one"]);
    agrees();
    git(&["tag", "v1.99.0"]);
    assert_eq!(agrees(), "v1.99.0");
    git(&["commit", "--quiet", "--allow-empty", "-m", "two"]);
    assert!(agrees().starts_with("v1.99.0-1.g"));
    fs::File::options()
        .append(true)
        .open(tree.join("py/mpconfig.h"))
        .unwrap()
        .write_all(b"\n")
        .unwrap();
    assert!(agrees().ends_with(".dirty"));
}
