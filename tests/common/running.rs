//! What the tests of `run` share.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::common::command;

/// `run FIRMWARE` without standard input.
pub fn mpb(firmware: &Path) -> Command {
    let mut command = command::mpb();
    command.arg("run").arg(firmware).stdin(Stdio::null());
    command
}

/// A directory with files.
pub fn directory(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, contents) in files {
        let path = directory.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
    directory
}

/// A copy of a firmware whose path no other process has on its command line.
pub fn own_copy(firmware: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(firmware).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

/// Processes with this path on their command line, as long as there are some and some time is left.
pub fn left_over(path: &Path) -> Vec<String> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        let found: Vec<String> = fs::read_dir("/proc")
            .unwrap()
            .filter_map(|entry| fs::read(entry.ok()?.path().join("cmdline")).ok())
            .map(|line| String::from_utf8_lossy(&line).into_owned())
            .filter(|line| line.contains(path.to_str().unwrap()))
            .collect();
        if found.is_empty() || Instant::now() > until {
            return found;
        }
        thread::sleep(Duration::from_millis(100));
    }
}
