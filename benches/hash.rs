//! `micropython-builder hash` beside `nix hash path`, on the same tree in the same run.
//!
//! `MPB_MICROPYTHON` names the tree; without it one of like shape is made. Both are timed as child
//! processes, as they are used.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[allow(dead_code)]
mod figures;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use figures::{Figure, Section, pairs, seconds};
use micropython_builder::source::nar_hash;
use tempfile::TempDir;

fn ours(tree: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
    command.arg("hash").arg(tree).stdout(Stdio::null());
    command
}

fn nix(tree: &Path) -> Command {
    let mut command = Command::new("nix");
    command.args(["--extra-experimental-features", "nix-command", "hash", "path"]).arg(tree);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn run(command: &mut Command) {
    assert!(command.status().unwrap().success());
}

/// 6000 files of 8 KiB on the average in 600 directories: what MicroPython's tree is like.
fn tree() -> (Option<TempDir>, PathBuf) {
    if let Some(tree) = std::env::var_os("MPB_MICROPYTHON") {
        return (None, tree.into());
    }
    let directory = tempfile::tempdir().unwrap();
    for number in 0..6000 {
        let parent = directory.path().join(format!("{}/{}", number % 20, number % 600));
        fs::create_dir_all(&parent).unwrap();
        let size = [100, 2000, 6000, 24_000][number % 4];
        fs::write(parent.join(number.to_string()), vec![b'x'; size]).unwrap();
    }
    let path = directory.path().to_owned();
    (Some(directory), path)
}

fn compare(tree: &Path) {
    let section = Section("The NAR hash");
    section.about(
        "MicroPython's tree, whose files are in the page cache. A NAR has one SHA-256, which cannot be shared by \
         processors; `openssl` on the same bytes in one file shows what that alone takes. The rest is opening and \
         reading thousands of files, and could be hidden by reading ahead on a second thread.",
    );
    if !nix(tree).status().is_ok_and(|status| status.success()) {
        return section.missing("nix is not installed");
    }
    let timed = pairs(31, || seconds(|| run(&mut ours(tree))), || seconds(|| run(&mut nix(tree))));
    let figure = Figure {
        what: "MicroPython's tree",
        ours: "`micropython-builder hash TREE`",
        peer: "`nix hash path TREE`",
        unit: "s",
    };
    section.figure(&figure, &timed);

    let archive = tempfile::NamedTempFile::new().unwrap();
    run(Command::new("nix-store").arg("--dump").arg(tree).stdout(archive.reopen().unwrap()));
    let mut bound = Command::new("openssl");
    bound.args(["dgst", "-sha256"]).arg(archive.path()).stdout(Stdio::null());
    let timed = pairs(31, || seconds(|| run(&mut ours(tree))), || seconds(|| run(&mut bound)));
    let (what, peer) = ("the same, as one file for the peer", "`openssl dgst -sha256 NAR`");
    section.figure(&Figure { what, peer, ..figure }, &timed);
}

fn hash(criterion: &mut Criterion) {
    let (_keep, tree) = tree();
    compare(&tree);
    if figures::only() {
        return;
    }
    let mut group = criterion.benchmark_group("hash");
    group.sample_size(30).measurement_time(Duration::from_secs(6));
    group.bench_function("library", |bench| bench.iter(|| nar_hash(&tree).unwrap()));
    group.bench_with_input(
        BenchmarkId::new("command", "micropython-builder"),
        &tree,
        |bench, tree| {
            bench.iter(|| run(&mut ours(tree)));
        },
    );
    if nix(&tree).status().is_ok_and(|status| status.success()) {
        group.bench_with_input(BenchmarkId::new("command", "nix"), &tree, |bench, tree| {
            bench.iter(|| run(&mut nix(tree)));
        });
    }
    group.finish();
}

criterion_group!(benches, hash);
criterion_main!(benches);
