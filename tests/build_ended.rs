//! Builds that do not come to their end: a compile error, a time limit, an interrupt, a full disk. The last good
//! firmware stays, nothing is half written, and no process is left.

#[path = "common/building.rs"]
mod building;
mod common;
#[path = "common/disk.rs"]
mod disk;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use building::{MINIMAL, build, record};
use common::command::{fail, names_in, stderr, succeed};
use common::micropython;
use disk::on_a_disk_of;

#[test]
fn a_failing_build_shows_the_first_error_and_keeps_the_last_firmware() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let module = directory.path().join("broken");
    fs::create_dir(&module).unwrap();
    fs::write(module.join("micropython.mk"), "SRC_USERMOD_C += $(USERMOD_DIR)/broken.c\n").unwrap();
    fs::write(module.join("broken.c"), "this is no C;\n").unwrap();
    let out = directory.path().join("out");
    succeed(build("unix", &tree, &out, &MINIMAL));
    let before = record(&out);
    let mut command = build("unix", &tree, &out, &MINIMAL);
    command.arg("--user-c-modules").arg(&module);
    fail(command, 4, &["broken.c:1:1: error:", "the whole log:"]);
    assert_eq!(record(&out), before);
    assert_eq!(names_in(directory.path()), ["broken", "out", "out.log"]);
}

/// A user C module whose compilation never ends.
fn endless_module(directory: &Path) -> PathBuf {
    let module = directory.join("endless");
    fs::create_dir(&module).unwrap();
    fs::write(module.join("micropython.mk"), "$(BUILD)/genhdr/qstr.i.last: endless\nendless:\n\techo begun > $(USER_C_MODULES)/../../begun; sleep 1000\n").unwrap();
    module
}

/// The processes that work in or below a directory.
fn processes_below(directory: &Path) -> Vec<PathBuf> {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    processes
        .filter_map(|process| fs::read_link(process.path().join("cwd")).ok())
        .filter(|cwd| cwd.starts_with(directory))
        .collect()
}

#[track_caller]
fn nothing_is_left(directory: &Path) {
    let started = Instant::now();
    while !processes_below(directory).is_empty() && started.elapsed() < Duration::from_secs(10) {
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(processes_below(directory), Vec::<PathBuf>::new());
}

#[test]
fn a_build_that_hangs_is_ended_by_its_time_limit() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let module = endless_module(directory.path());
    let out = directory.path().join("out");
    // mpy-cross first, so that the limit is the hanging build's alone.
    succeed(build("unix", &tree, &directory.path().join("warm"), &MINIMAL));
    let mut command = build("unix", &tree, &out, &MINIMAL);
    command.args(["--time-limit", "25", "--user-c-modules"]).arg(&module);
    fail(command, 4, &["did not end within its time limit", "--time-limit"]);
    nothing_is_left(directory.path());
    assert_eq!(names_in(directory.path()), ["begun", "endless", "out.log", "warm"]);
}

#[test]
fn an_interrupted_build_leaves_nothing_behind() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let module = endless_module(directory.path());
    let out = directory.path().join("out");
    let mut command = build("unix", &tree, &out, &MINIMAL);
    command.arg("--user-c-modules").arg(&module);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let begun = directory.path().join("begun");
    let started = Instant::now();
    while !begun.exists() {
        assert!(started.elapsed() < Duration::from_secs(300), "the build did not begin");
        thread::sleep(Duration::from_millis(50));
    }
    let interrupt = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupt.success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    nothing_is_left(directory.path());
    assert_eq!(names_in(directory.path()), ["begun", "endless"]);
}

#[test]
fn a_full_disk_is_named_and_nothing_is_left() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let small = directory.path().join("small");
    fs::create_dir(&small).unwrap();
    let script = "cd \"$0\" && ! \"$@\" && ls -A";
    let Some(mut command) = on_a_disk_of("16m", &small, script) else { return };
    command.arg(env!("CARGO_BIN_EXE_micropython-builder"));
    command
        .args(["build", "unix", "--variant", "minimal", "--out", "out", "--micropython"])
        .arg(&tree);
    let output = command.output().unwrap();
    let text = stderr(&output);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("no space left on device"), "{text}");
    assert!(text.contains("hint: free some space"), "{text}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "something was left behind");
}

#[test]
fn a_directory_that_cannot_be_written_is_named() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let blocked = directory.path().join("file");
    fs::write(&blocked, "").unwrap();
    fail(
        build("unix", &tree, &blocked.join("out"), &MINIMAL),
        3,
        &["cannot", blocked.to_str().unwrap()],
    );
    // Root may write anywhere; anyone else gets a clear refusal.
    let closed = directory.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o555)).unwrap();
    if fs::write(closed.join("probe"), "").is_err() {
        fail(build("unix", &tree, &closed.join("out"), &MINIMAL), 3, &["permission denied"]);
    }
}
