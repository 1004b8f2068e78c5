//! Machines that are not as they should be: what can be done is done, what cannot be is named with what mends
//! it, and nothing half made is left.

mod common;
#[path = "common/disk.rs"]
mod disk;

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::command::{self, failed, names_in, stderr};
use common::{micropython, require};
use disk::on_a_disk_of;

/// A directory with a native module, and a MicroPython to build it with.
struct Place {
    directory: tempfile::TempDir,
    tree: PathBuf,
}

impl Place {
    /// None as with [`require`].
    fn new() -> Option<Place> {
        let there = ["make", "gcc"].into_iter().all(require);
        let tree = micropython().filter(|_| there)?;
        Some(Place { directory: tempfile::tempdir().unwrap(), tree })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    /// A directory of that name with a copy of the example `features0` in it.
    fn module_in(&self, name: &OsStr) -> PathBuf {
        let top = self.path().join(name);
        let module = top.join("features0");
        fs::create_dir_all(&module).unwrap();
        for file in ["Makefile", "features0.c"] {
            fs::copy(self.tree.join("examples/natmod/features0").join(file), module.join(file))
                .unwrap();
        }
        top
    }

    /// `natmod features0 --arch x64 --out OUT` in a directory, with a cache of its own.
    fn natmod(&self, directory: &Path, out: impl AsRef<OsStr>) -> Command {
        let mut command = mpb(directory);
        command.args(["natmod", "features0", "--arch", "x64", "--micropython"]).arg(&self.tree);
        command.arg("--out").arg(out);
        command.env("MICROPYTHON_BUILDER_CACHE", directory.join("cache"));
        command
    }
}

fn mpb(directory: &Path) -> Command {
    let mut command = command::mpb();
    command.current_dir(directory).stdin(Stdio::null());
    command
}

#[track_caller]
fn is_refused(command: &mut Command, words: &[&str]) {
    failed(&command.output().unwrap(), 3, words);
}

#[test]
fn a_cache_that_cannot_be_written_is_named_with_how_to_have_another() {
    let Some(place) = Place::new() else { return };
    let top = place.module_in(OsStr::new("top"));
    // What even root cannot write to: a directory in a file.
    fs::write(top.join("file"), "").unwrap();
    let cache = top.join("file/cache");
    let before = names_in(&top);
    let words = [
        "file/cache",
        "hint: MICROPYTHON_BUILDER_CACHE chooses where the cache is: a directory that can be written to",
    ];
    is_refused(place.natmod(&top, "out").env("MICROPYTHON_BUILDER_CACHE", &cache), &words);
    // Of the user's cache directory as well, and before anything is downloaded.
    let mut source = mpb(&top);
    source.args(["source", "v1.28.0"]).env_remove("MICROPYTHON_BUILDER_CACHE");
    is_refused(source.env("XDG_CACHE_HOME", top.join("file")), &words[1..]);
    assert_eq!(names_in(&top), before);
}

#[test]
fn temporary_files_that_cannot_be_written_are_named_with_how_to_have_them_elsewhere() {
    let Some(place) = Place::new() else { return };
    let top = place.module_in(OsStr::new("top"));
    let before = names_in(&top);
    let nowhere = top.join("nowhere");
    is_refused(
        place.natmod(&top, "out").env("TMPDIR", &nowhere),
        &["cannot create a directory in", "nowhere", "hint: set TMPDIR to a directory"],
    );
    assert_eq!(names_in(&top), before);
}

#[test]
fn a_full_disk_of_temporary_files_is_told_from_that_of_the_output() {
    let Some(place) = Place::new() else { return };
    let top = place.module_in(OsStr::new("top"));
    let small = top.join("small");
    fs::create_dir(&small).unwrap();
    let script = "head -c 20k /dev/zero >\"$0/zeros\" 2>&-; \"$@\"";
    let Some(mut command) = on_a_disk_of("16k", &small, script) else { return };
    let natmod = place.natmod(&top, "out");
    command.arg(natmod.get_program()).args(natmod.get_args()).current_dir(&top);
    command.env("MICROPYTHON_BUILDER_CACHE", top.join("cache")).env("TMPDIR", &small);
    is_refused(
        &mut command,
        &["no space left on device", "hint: free some space", "TMPDIR names a directory on it"],
    );
    assert!(!top.join("out").exists());
}

#[test]
fn what_cannot_be_printed_is_an_error_and_a_reader_that_has_left_is_none() {
    let Some(place) = Place::new() else { return };
    let top = place.module_in(OsStr::new("top"));
    let tree = place.tree.to_str().unwrap();
    for words in [&["hash", "features0"][..], &["boards", "--micropython", tree, "--json"]] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        is_refused(
            mpb(&top).args(words).stdout(full),
            &["cannot write to standard output: no space left on device"],
        );
        let mut child =
            mpb(&top).args(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", stderr(&output));
    }
}

#[test]
fn odd_places_and_bare_environments_build_the_same_module() {
    let Some(place) = Place::new() else { return };
    let module =
        |top: &Path, out: &str| fs::read(top.join(out).join("features0-mpy6.3-x64.mpy")).unwrap();
    let plain = place.module_in(OsStr::new("plain"));
    let output = place.natmod(&plain, "out").output().unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let expected = module(&plain, "out");

    let (long, longest) = ("long ".repeat(48), "x".repeat(255));
    for name in ["B\u{e4}ume & 'K\u{e4}se', 100% #1 $(x)".as_bytes(), b"o\xffd", long.as_bytes()] {
        let top = place.module_in(OsStr::from_bytes(name));
        let mut command = place.natmod(&top, &longest);
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| name == "PATH"));
        command.env("LC_ALL", "C").env("MICROPYTHON_BUILDER_CACHE", top.join("cache"));
        fs::create_dir(top.join("temporary")).unwrap();
        let output = command.env("TMPDIR", top.join("temporary")).output().unwrap();
        assert!(output.status.success(), "{top:?}: {}", stderr(&output));
        assert!(module(&top, &longest) == expected, "{top:?}");
        assert_eq!(names_in(&top.join("temporary")), [""; 0]);
        let there = ["cache", "features0", "temporary", longest.as_str()];
        assert_eq!(names_in(&top), there);
    }
}

#[test]
fn closed_streams_and_a_strict_umask_do_no_harm() {
    let Some(place) = Place::new() else { return };
    let top = place.module_in(OsStr::new("top"));
    let natmod = place.natmod(&top, "out");
    let mut shell = Command::new("sh");
    shell.args(["-c", "umask 077; exec \"$@\" <&- >&- 2>&-", "sh"]);
    shell.arg(natmod.get_program()).args(natmod.get_args()).current_dir(&top);
    shell.env("MICROPYTHON_BUILDER_CACHE", top.join("cache"));
    assert!(shell.status().unwrap().success());
    assert_eq!(names_in(&top.join("out")), ["features0-mpy6.3-x64.mpy", "natmod.json"]);
}
