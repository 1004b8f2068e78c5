//! The matrix of native modules beside plain makes: four at once with a quarter of the processors each, as the
//! established GitHub Action runs them, in copies of the module's directory.
//!
//! `MPB_MICROPYTHON` names the tree, `MPB_PYTHON` the Python with pyelftools and ar. Timed are the
//! architectures for which this machine's compilers and MicroPython's own linker build all of the examples.
//! All commands are child processes, timed in turn. An argument names what to time: `-- "one module"`.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[allow(dead_code)]
mod figures;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;

use figures::{Figure, Section, seconds};
use serde_json::Value;
use tempfile::TempDir;

const EXAMPLES: [&str; 9] = [
    "deflate",
    "features0",
    "features1",
    "features3",
    "features4",
    "framebuf",
    "heapq",
    "random",
    "re",
];

/// What is timed how often.
const CASES: [(&str, &[&str], usize); 2] =
    [("one module (re)", &["re"], 3), ("nine examples", &EXAMPLES, 1)];

struct Bench {
    tree: PathBuf,
    python: PathBuf,
    archs: Vec<String>,
    work: TempDir,
}

impl Bench {
    fn find() -> Option<Bench> {
        let variable = |name| std::env::var_os(name).map(PathBuf::from);
        let (tree, python) = (variable("MPB_MICROPYTHON")?, variable("MPB_PYTHON")?);
        let work = tempfile::tempdir().unwrap();
        let mut bench = Bench { tree, python, archs: vec!["all".to_owned()], work };
        for module in EXAMPLES {
            // Some cells may fail.
            let _ = bench.natmod(module, &["--linker", "upstream"]).status().unwrap();
            let record = std::fs::read(bench.out(module).join("natmod.json")).unwrap();
            let record: Value = serde_json::from_slice(&record).unwrap();
            let built = record["files"].as_array().unwrap().iter();
            let built: Vec<String> =
                built.map(|file| file["arch"].as_str().unwrap().to_owned()).collect();
            if bench.archs == ["all"] {
                bench.archs = built;
            } else {
                bench.archs.retain(|arch| built.contains(arch));
            }
        }
        Some(bench)
    }

    fn out(&self, module: &str) -> PathBuf {
        self.work.path().join("ours").join(module)
    }

    fn natmod(&self, module: &str, more: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
        command.args(["--quiet", "natmod"]).args(more).arg(self.example(module));
        command.arg("--micropython").arg(&self.tree).arg("--out").arg(self.out(module));
        command.arg("--python").arg(&self.python).args(["--arch", &self.archs.join(",")]);
        command.env("MICROPYTHON_BUILDER_CACHE", self.work.path().join("cache"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// Our command for all architectures of some modules, one run after the other.
    fn ours(&self, modules: &[&str], more: &[&str]) {
        for module in modules {
            self.run(&mut self.natmod(module, more));
        }
    }

    /// Makes in copies of their own, so many at once, each with so many jobs.
    fn makes(&self, modules: &[&str], at_once: usize, jobs: usize) {
        for module in modules {
            let queue: Mutex<VecDeque<&str>> =
                Mutex::new(self.archs.iter().map(String::as_str).collect());
            std::thread::scope(|scope| {
                for _ in 0..at_once {
                    scope.spawn(|| {
                        while let Some(arch) = { queue.lock().unwrap().pop_front() } {
                            self.make(module, arch, jobs);
                        }
                    });
                }
            });
        }
    }

    fn make(&self, module: &str, arch: &str, jobs: usize) {
        let copy = tempfile::tempdir_in(self.work.path()).unwrap();
        let directory = copy.path().join("module");
        self.run(Command::new("cp").arg("-r").arg(self.example(module)).arg(&directory));
        let mut make = Command::new("make");
        make.current_dir(&directory).arg(format!("-j{jobs}"));
        make.arg(format!("ARCH={arch}")).arg(format!("MPY_DIR={}", self.tree.display()));
        make.arg(format!("PYTHON={}", self.python.display()));
        self.run(make.env("PYTHONDONTWRITEBYTECODE", "1"));
    }

    fn example(&self, module: &str) -> PathBuf {
        self.tree.join("examples/natmod").join(module)
    }

    fn run(&self, command: &mut Command) {
        command.stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().unwrap().success(), "{command:?}");
    }

    fn compare(&self, section: &Section, what: &str, modules: &[&str], rounds: usize) {
        let processors = std::thread::available_parallelism().map_or(1, |number| number.get());
        let quarter = (processors / 4).max(1);
        let (mut first, mut again, mut unchanged) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            let _ = std::fs::remove_dir_all(self.work.path().join("cache"));
            let ours = |more: &[&str]| seconds(|| self.ours(modules, more));
            let times = [ours(&[]), ours(&["--rebuild"]), ours(&[])];
            let peer = seconds(|| self.makes(modules, 4, quarter));
            for (pairs, time) in [&mut first, &mut again, &mut unchanged].into_iter().zip(times) {
                pairs.push((time, peer));
            }
        }
        let peer = format!("`make -j{quarter} ARCH=…`, four of them at once");
        for (name, pairs) in
            [("for the first time", first), ("built again", again), ("nothing changed", unchanged)]
        {
            let what = format!("{what}, {} architectures, {name}", self.archs.len());
            let ours = match name {
                "built again" => "`micropython-builder natmod --rebuild …`",
                _ => "`micropython-builder natmod …`",
            };
            section.figure(&Figure { what: &what, ours, peer: &peer, unit: "s" }, &pairs);
        }
    }
}

fn main() {
    let section = Section("Native modules");
    section.about(
        "The peer's architectures are those for which MicroPython's own linker builds all of these modules here. \
         What takes our time is one make, its shells and the compiler for each cell; linking takes milliseconds, \
         where each of the peer's links starts Python twice. It would be faster without make, but its makefile is \
         what says how a module is built.",
    );
    let Some(bench) = Bench::find() else {
        return section.missing("MPB_MICROPYTHON and MPB_PYTHON name no tree and no Python");
    };
    let asked = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    for (what, modules, rounds) in CASES {
        if asked.as_ref().is_none_or(|asked| what.contains(asked.as_str())) {
            bench.compare(&section, what, modules, rounds);
        }
    }
}
