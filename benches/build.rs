//! `micropython-builder build` beside the make that it runs, on the same tree with the same compiler and number of jobs.
//!
//! `MPB_MICROPYTHON` names the tree, which is copied for make: it may be read-only.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[allow(dead_code)]
mod figures;

use std::fs;
use std::path::Path;
use std::process::Command;

use figures::{Figure, Section, pairs, run, seconds};
use tempfile::TempDir;

fn compare(section: &Section, tree: &Path) {
    let directory = TempDir::new().unwrap();
    let place = |name: &str| directory.path().join(name);
    run(Command::new("cp").arg("-rL").arg(tree).arg(place("tree")));
    run(Command::new("chmod").args(["-R", "u+w"]).arg(place("tree")));
    let processors = std::thread::available_parallelism().unwrap().get();

    let ours = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
        command.args(["build", "unix", "--variant", "minimal", "--micropython"]).arg(tree);
        command.arg("--out").arg(place("out"));
        seconds(|| run(&mut command))
    };
    let make = || {
        let mut command = Command::new("make");
        command.arg("-C").arg(place("tree/ports/unix")).arg(format!("-j{processors}"));
        command.arg("VARIANT=minimal").arg(format!("BUILD={}", place("build").display()));
        seconds(|| run(&mut command))
    };
    let cold = pairs(3, ours, || {
        let _ = fs::remove_dir_all(place("build"));
        make()
    });
    let peer = format!("`make -C ports/unix -j{processors} VARIANT=minimal`");
    let figure = |what| Figure {
        what,
        ours: "`micropython-builder build unix --variant minimal`",
        peer: &peer,
        unit: "s",
    };
    section.figure(&figure("the unix port, minimal, everything compiled"), &cold);
    section.figure(&figure("the same again, nothing changed"), &pairs(3, ours, make));
}

fn main() {
    let section = Section("Building with make");
    section.about(
        "The tree is copied, make is asked what it needs, and everything is compiled, also when nothing changed: make \
         does not notice that a flag, a variable or a manifest did, so a build directory that is taken up again can \
         make another firmware than a new one would. To be as fast as make there, a build would have to know that all \
         its inputs are what they were, as `natmod` does for each module, and hand out the firmware of the last time.",
    );
    match std::env::var_os("MPB_MICROPYTHON") {
        Some(tree) => compare(&section, Path::new(&tree)),
        None => section.missing("MPB_MICROPYTHON names no tree"),
    }
}
