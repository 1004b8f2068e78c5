//! The mpy-cross of a MicroPython tree, made by upstream's makefile.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

/// Builds it, unless that was done for this tree. The tree may be read-only, and its path hold what make's
/// variables cannot: what is built is a copy of one directory, beside links to the others.
pub fn mpy_cross(tree: &Path) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mpy-cross");
    let lock = File::create(place.with_extension("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    if fs::read_link(place.join("py")).ok() != Some(tree.join("py")) {
        let _ = fs::remove_dir_all(&place);
        fs::create_dir(&place).unwrap();
        for entry in fs::read_dir(tree).unwrap() {
            let name = entry.unwrap().file_name();
            if name != "mpy-cross" {
                std::os::unix::fs::symlink(tree.join(&name), place.join(&name)).unwrap();
            }
        }
        let from = tree.join("mpy-cross");
        let copied = Command::new("cp").arg("-r").args([from.as_path(), &place]).status().unwrap();
        let mut writable = Command::new("chmod");
        writable.args(["-R", "u+w", "mpy-cross"]).current_dir(&place);
        assert!(copied.success() && writable.status().unwrap().success());
    }
    let mut make = Command::new("make");
    make.args(["-C", "mpy-cross", "-j2", "BUILD=build"]).current_dir(&place);
    let output = make.env("PYTHONDONTWRITEBYTECODE", "1").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    place.join("mpy-cross/build/mpy-cross")
}
