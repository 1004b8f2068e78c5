//! `micropython-builder natmod-link` beside upstream's `mpy_ld.py` and `mpy-tool.py`, on the same object
//! files in the same run: the example `re` for x64, linked and merged, and `features2` for ARMv7-M, linked
//! with the compiler's runtime and nothing in a cache.
//!
//! `MPB_MICROPYTHON` names the tree, `MPB_PYTHON` a Python with pyelftools and ar (target/test-python). All
//! are timed as child processes, as a makefile runs them.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[allow(dead_code)]
mod figures;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use criterion::{Criterion, criterion_group, criterion_main};
use figures::{Figure, Section, pairs};
use tempfile::TempDir;

/// One of upstream's cached archives is worth more than the rest of a link.
const CACHE: &str = ".mpy_ld_cache";

/// The linker's place in the command that a makefile prints.
const LINKER: &str = "LINKER";

struct World {
    tree: PathBuf,
    python: PathBuf,
    directory: TempDir,
}

/// Commands that make a module, one after the other.
type Job = Vec<Command>;

/// An example whose sources have been compiled.
struct Example {
    directory: PathBuf,
    /// The arguments that its makefile gives to the linker.
    arguments: Vec<String>,
}

impl World {
    fn new() -> Option<World> {
        let named = |name| std::env::var_os(name).map(PathBuf::from);
        let (tree, python) = (named("MPB_MICROPYTHON")?, named("MPB_PYTHON")?);
        Some(World { tree, python, directory: tempfile::tempdir().unwrap() })
    }

    fn example(&self, name: &str, arch: &str, variables: &[&str]) -> Example {
        let directory = self.directory.path().join(name);
        fs::create_dir_all(&directory).unwrap();
        for entry in fs::read_dir(self.tree.join("examples/natmod").join(name)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), directory.join(entry.file_name())).unwrap();
        }
        let make = |linker: &str, options: &[&str]| {
            let mut make = Command::new("make");
            make.current_dir(&directory).args(variables).args(options);
            make.args([format!("MPY_DIR={}", self.tree.display()), format!("ARCH={arch}")]);
            make.args([format!("MPY_LD={linker}"), "MPY_CROSS=true".into(), "BUILD=build".into()]);
            String::from_utf8(make.output().unwrap().stdout).unwrap()
        };
        make(&format!("{} natmod-link --micropython $(MPY_DIR)", program()), &[]);
        let commands = make(LINKER, &["-n", "-B"]);
        let link = commands.lines().find(|line| line.contains("--qstrs")).unwrap();
        let arguments = link.split_whitespace().skip_while(|word| *word != LINKER).skip(1);
        Example { directory, arguments: arguments.map(str::to_owned).collect() }
    }
}

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_micropython-builder")
}

impl Example {
    /// Linking and merging with a linker and a tool, into a file of their own.
    fn job(&self, linker: &[&str], tool: &[&str], out: &str) -> Job {
        let command = |words: &[&str]| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).current_dir(&self.directory);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            command
        };
        let native = format!("build/{out}");
        let mut link = command(linker);
        link.args(self.arguments.iter().map(|word| match word.ends_with(".native.mpy") {
            true => &native,
            false => word,
        }));
        let mut merge = command(tool);
        merge.args(["--merge", "-o", out, &native]);
        vec![link, merge]
    }
}

fn seconds(job: &mut [Command]) -> f64 {
    figures::seconds(|| {
        for command in job {
            assert!(command.status().unwrap().success());
        }
    })
}

fn link(criterion: &mut Criterion) {
    let section = Section("Linking native modules");
    section.about(
        "Upstream's linker is a Python program: for a small module most of its time is Python's start, for one \
         with a runtime it is the C library, which it reads whole and keeps in a cache for its next run. Here a \
         library's index says which members to read. What is left is two processes and the release's headers, \
         which are read each time; linking and merging in one process would save some of that, but upstream's \
         makefile calls for two.",
    );
    let Some(world) = World::new() else {
        return section.missing("MPB_MICROPYTHON and MPB_PYTHON name no tree and no Python");
    };
    let python = world.python.to_str().unwrap().to_owned();
    let tool = |name: &str| world.tree.join("tools").join(name).to_str().unwrap().to_owned();
    let (mpy_ld, mpy_tool) = (tool("mpy_ld.py"), tool("mpy-tool.py"));
    let tree = world.tree.to_str().unwrap().to_owned();
    let ours = [program(), "natmod-link", "--micropython", &tree];

    let theirs = ([python.as_str(), &mpy_ld], [python.as_str(), &mpy_tool]);

    let re = world.example("re", "x64", &[]);
    let mut their_job = re.job(&theirs.0, &theirs.1, "theirs.mpy");
    let mut our_job = re.job(&ours, &ours[..2], "ours.mpy");
    let figure = |what| Figure {
        what,
        ours: "`micropython-builder natmod-link …`",
        peer: "`mpy_ld.py …`, then `mpy-tool.py --merge …`",
        unit: "s",
    };
    let timed = pairs(15, || seconds(&mut our_job), || seconds(&mut their_job));
    section.figure(&figure("`re` for x64"), &timed);

    let variables = ["LINK_RUNTIME=1", "MICROPY_FLOAT_IMPL=float"];
    let features2 = world.example("features2", "armv7m", &variables);
    let mut their_job = features2.job(&theirs.0, &theirs.1, "theirs.mpy");
    let mut our_cold = features2.job(&ours, &ours[..2], "ours.mpy");
    let cold = || {
        let _ = fs::remove_dir_all(features2.directory.join(CACHE));
        seconds(&mut their_job)
    };
    let what = "`features2` for armv7m with its runtime, nothing in a cache";
    section.figure(&figure(what), &pairs(3, || seconds(&mut our_cold), cold));
    if figures::only() {
        return;
    }

    let mut group = criterion.benchmark_group("link");
    group.bench_function("re x64", |bencher| bencher.iter(|| seconds(&mut our_job)));
    group.bench_function("features2 armv7m with its runtime", |bencher| {
        bencher.iter(|| seconds(&mut our_cold))
    });
    group.finish();
}

criterion_group!(benches, link);
criterion_main!(benches);
