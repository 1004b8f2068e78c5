//! `micropython-builder hash` beside `nix hash path`, on the same tree in the same run.
//!
//! `MPB_MICROPYTHON` names the tree; without it one of like shape is made. Both are timed as child
//! processes, as they are used.
#![allow(clippy::unwrap_used, clippy::print_stderr, missing_docs)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
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

/// The median of pairs: both see the same cache and the same neighbours on the machine.
fn ratio(tree: &Path) -> f64 {
    let time = |command: &mut Command| {
        let start = Instant::now();
        run(command);
        start.elapsed().as_secs_f64()
    };
    let mut ratios: Vec<f64> =
        (0..31).map(|_| time(&mut ours(tree)) / time(&mut nix(tree))).collect();
    ratios.sort_by(f64::total_cmp);
    ratios[ratios.len() / 2]
}

fn hash(criterion: &mut Criterion) {
    let (_keep, tree) = tree();
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
        eprintln!("micropython-builder takes {:.2} of the time of nix hash path", ratio(&tree));
    } else {
        eprintln!("skipped: nix is not installed");
    }
    group.finish();
}

criterion_group!(benches, hash);
criterion_main!(benches);
