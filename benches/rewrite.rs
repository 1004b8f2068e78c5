//! The static-const rewrite over files that hold nothing for it, which most do, beside what reads the same
//! bytes in the same run: counting lines as `wc -l` does, looking for `static const`, and `sed`.
//!
//! `MPB_MICROPYTHON` names the tree whose C files are read; without it files of like shape are made.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, missing_docs)]

#[allow(dead_code)]
mod figures;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use figures::{Figure, Section, pairs, seconds};
use memchr::{memchr_iter, memmem};
use micropython_builder::rewrite::{Purpose, Rewritten, rewrite};
use tempfile::TempDir;

/// C files in memory.
type Texts = Vec<Vec<u8>>;

fn is_c(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "c" || extension == "h")
}

fn go(text: &[u8]) -> Rewritten {
    rewrite(text, Purpose::NativeModule, "a.c")
}

/// The files that hold nothing, and those with something in them.
fn texts() -> (Texts, Texts) {
    let Some(tree) = std::env::var_os("MPB_MICROPYTHON") else {
        eprintln!("MPB_MICROPYTHON is not set: reading made-up files");
        let function = "static int f(const char *text, int n) {\n    // what it does\n    return text[n];\n}\n\n";
        let table = "static const int table[] = {1, 2, 3};\n";
        let empty = vec![function.repeat(150).into_bytes(); 500];
        return (empty, vec![format!("{}{table}", function.repeat(150)).into_bytes(); 100]);
    };
    let files = walkdir::WalkDir::new(tree).sort_by_file_name().into_iter().map(Result::unwrap);
    files
        .filter(|entry| entry.file_type().is_file() && is_c(entry.path()))
        .map(|entry| fs::read(entry.path()).unwrap())
        .partition(|text| go(text) == Rewritten::default())
}

fn size(texts: &Texts) -> u64 {
    texts.iter().map(|text| text.len() as u64).sum()
}

/// The texts as files, for programs that read files.
fn planted(texts: &Texts) -> (TempDir, Vec<PathBuf>) {
    let directory = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (number, text) in texts.iter().enumerate() {
        let path = directory.path().join(format!("{number}.c"));
        fs::write(&path, text).unwrap();
        paths.push(path);
    }
    (directory, paths)
}

fn run(command: &mut Command) {
    assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
}

/// The programs, over files.
fn compare(without: &Texts) {
    let (directory, paths) = planted(without);
    let mut ours = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
    ours.args(["rewrite", "--check"]).arg(directory.path());
    let mut sed = Command::new("sed");
    sed.args(["-n", "s/static const/const/p"]).args(&paths).env("LC_ALL", "C");
    let section = Section("The static-const rewrite");
    section.about(
        "MicroPython's own C files in which nothing is to be rewritten, as are most files of most modules. `sed` \
         is what the usual workaround runs, and knows no C. Files are read one after the other; reading them on \
         all processors would make it faster.",
    );
    let figure = Figure {
        what: "all of them",
        ours: "`micropython-builder rewrite --check .`",
        peer: "`sed -n 's/static const/const/p' *.c`",
        unit: "s",
    };
    let timed = pairs(21, || seconds(|| run(&mut ours)), || seconds(|| run(&mut sed)));
    section.figure(&figure, &timed);
}

fn rewriting(criterion: &mut Criterion) {
    let (without, with) = texts();
    eprintln!("{} files without, {} with something to rewrite", without.len(), with.len());
    compare(&without);
    if figures::only() {
        return;
    }

    let mut group = criterion.benchmark_group("without a match");
    group.throughput(Throughput::Bytes(size(&without))).measurement_time(Duration::from_secs(5));
    let each = |work: fn(&[u8])| without.iter().for_each(|text| work(black_box(text)));
    group.bench_function("rewrite", |bench| bench.iter(|| each(|text| drop(black_box(go(text))))));
    group.bench_function("count lines", |bench| {
        bench.iter(|| {
            each(|text| {
                black_box(memchr_iter(b'\n', text).count());
            });
        });
    });
    group.bench_function("look for static const", |bench| {
        bench.iter(|| {
            each(|text| {
                black_box(memmem::find(text, b"static const"));
            });
        });
    });
    group.finish();

    let mut group = criterion.benchmark_group("with a match");
    group.throughput(Throughput::Bytes(size(&with)));
    group.bench_function("rewrite", |bench| {
        bench.iter(|| with.iter().for_each(|text| drop(black_box(go(black_box(text))))));
    });
    group.finish();

    let (directory, paths) = planted(&without);
    let mut group = criterion.benchmark_group("files without a match");
    group.throughput(Throughput::Bytes(size(&without))).sample_size(10);
    group.bench_function("micropython-builder rewrite", |bench| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
        command.args(["rewrite", "--check"]).arg(directory.path());
        bench.iter(|| run(&mut command));
    });
    group.bench_function("sed", |bench| {
        let mut command = Command::new("sed");
        command.args(["-n", "s/static const/const/p"]).args(&paths).env("LC_ALL", "C");
        bench.iter(|| run(&mut command));
    });
    group.bench_function("wc", |bench| {
        let mut command = Command::new("wc");
        command.arg("-l").args(&paths).env("LC_ALL", "C");
        bench.iter(|| run(&mut command));
    });
    group.finish();
}

criterion_group!(benches, rewriting);
criterion_main!(benches);
