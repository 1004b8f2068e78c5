//! Upstream's examples of native modules, built for every architecture and run on each: in the unix port,
//! in QEMU's boards, and for Xtensa in a small port of our own (`tests/xtensa`).
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/firmware.rs"]
mod firmware;
#[path = "common/natmod.rs"]
mod natmod;
#[path = "common/runners.rs"]
mod runners;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use common::command::stderr;
use common::require;
use firmware::firmware;
use micropython_builder::firmware::Record;
use micropython_builder::firmware::record::Role;
use natmod::{Tools, record, succeeds};
use runners::{
    RUNNERS, Runner, call0_prefix, on_every_architecture, program, run_with, xtensa_compilers,
};

/// The examples that upstream's tests test, and those that only are imported.
const TESTED: [&str; 5] = ["deflate", "framebuf", "heapq", "random", "re"];
const IMPORTED: [&str; 5] = ["features0", "features1", "features2", "features3", "features4"];

/// Modules for processors without an FPU are built without floats, unless they ask for them.
const FLOATS: [&str; 2] = ["--make-arg", "MICROPY_FLOAT_IMPL=float"];

/// Those of RISC-V, of which a tree may know only one.
const RISC_V: &str = "rv32imc,rv64imc";

/// What architectures need besides: those whose compilers have no instructions for some of what C can do,
/// their runtime or, for the ESP8266, its ROM.
const GROUPS: [(&str, &[&str]); 4] = [
    ("x64,x86,armv7emsp,armv7emdp", &[]),
    ("armv6m,armv7m,xtensawin", &["--link-runtime", FLOATS[0], FLOATS[1]]),
    (RISC_V, &["--link-runtime", FLOATS[0], FLOATS[1]]),
    // No emulator has the ESP8266's ROM, of which upstream's makefiles take functions: they come from libgcc.
    ("xtensa", &["--link-runtime", FLOATS[0], FLOATS[1], "--externs"]),
];

/// Every example for every architecture that the tree knows, built once: `<directory>/<example>/<group>`.
fn examples() -> Option<&'static Path> {
    static BUILT: OnceLock<Option<PathBuf>> = OnceLock::new();
    BUILT.get_or_init(build_examples).as_deref()
}

fn build_examples() -> Option<PathBuf> {
    let tools = Tools::find()?;
    let compilers = ["arm-none-eabi-gcc", "riscv64-unknown-elf-gcc", "xtensa-lx106-elf-gcc"];
    if !compilers.into_iter().all(require) || !xtensa_compilers() {
        return None;
    }
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("natmod-examples");
    fs::create_dir_all(&all).unwrap();
    let no_rom = all.join("no-rom.ld");
    fs::write(&no_rom, "").unwrap();
    for example in TESTED.into_iter().chain(IMPORTED) {
        let (mut built, mut absent) = (0, 0);
        for (number, (archs, needs)) in GROUPS.into_iter().enumerate() {
            let out = all.join(example).join(number.to_string());
            let sources = match (example, archs) {
                ("re", RISC_V) => with_more_stack(&tools.example(example), &all.join("re-sources")),
                _ => tools.example(example),
            };
            let mut command = tools.natmod(&sources, &out);
            command.args(["--arch", archs]).args(needs);
            if needs.last() == Some(&"--externs") {
                command
                    .arg(&no_rom)
                    .arg("--toolchain")
                    .arg(format!("xtensa={}", call0_prefix().display()));
            }
            succeeds(&mut command);
            let record = record(&out);
            built += record["files"].as_array().unwrap().len();
            absent += record["not_supported"].as_array().unwrap().len();
        }
        assert!(built >= 9 && built + absent == RUNNERS.len(), "{example}: {built} and {absent}");
    }
    Some(all)
}

/// A copy of the example `re` that may recurse deeper. It allows itself 2048 bytes of stack, counted from where
/// it was imported; with the larger frames of RV64 three of upstream's tests need more, whoever links it.
fn with_more_stack(example: &Path, copy: &Path) -> PathBuf {
    fs::create_dir_all(copy).unwrap();
    for entry in fs::read_dir(example).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let text = text.replace("#define STACK_LIMIT (2048)", "#define STACK_LIMIT (4096)");
        fs::write(copy.join(path.file_name().unwrap()), text).unwrap();
    }
    copy.to_owned()
}

/// An example for an architecture; none if the tree does not know the architecture.
fn file_for(example: &str, arch: &str) -> Option<PathBuf> {
    let directory = examples().unwrap().join(example);
    let name = format!("{example}-mpy6.3-{arch}.mpy");
    (0..GROUPS.len())
        .map(|group| directory.join(group.to_string()).join(&name))
        .find(|it| it.is_file())
}

/// A board's emulator with its serial port on a pseudo-terminal, for upstream's `pyboard.py`.
fn emulator(board: &str) -> String {
    let directory = firmware(board).unwrap();
    let record = Record::read(&directory).unwrap();
    let emulator = record.emulator.as_ref().unwrap();
    let kernel = directory.join(&record.file(Role::Elf).unwrap().path);
    format!(
        "execpty:{} {} -serial pty -kernel {}",
        emulator.program,
        emulator.arguments.join(" "),
        kernel.display()
    )
}

/// What to ask the examples that upstream has no tests for, and the last line that they print when they are
/// right.
fn expectation(example: &str) -> (&'static str, &'static str) {
    match example {
        "features0" => ("import features0 as m; print(m.factorial(10))", "3628800"),
        "features1" => (
            "import features1 as m; m.access(2, 7); \
             print(m.add(1, 2), m.fibonacci(12), m.access(), m.make_array(), m.VAL, m.MSG)",
            "3 144 [0, 0, 7, 0] bytearray(b'\\x00\\x10\\x00 ') 42 HELLO_MICROPYTHON",
        ),
        "features2" => ("import features2 as m; print(m.add(1, 2), m.round(2.6))", "3.0 3.0"),
        "features3" => (
            "import features3 as m; print(m.make_dict(1, 2), m.get_types()[3], m.get_const_objects())",
            "{1: 2} <class 'int'> (None, False, True, b'', ())",
        ),
        _ => ("import features4 as m; print(m.Factorial(4).calculate())", "24"),
    }
}

#[test]
fn every_example_runs_on_every_architecture() {
    let Some(tools) = Tools::find() else { return };
    if examples().is_none() || !require("qemu-xtensa") {
        return;
    }
    on_every_architecture(|arch, runner| {
        import_examples(&tools, arch, runner);
        run_upstreams_tests(&tools, arch, runner);
    });
}

/// Imports the examples that upstream has no tests for, all of them at once, and asks each something.
fn import_examples(tools: &Tools, arch: &str, runner: Runner) {
    let (mut modules, mut code) = (Vec::new(), String::new());
    for example in IMPORTED {
        let Some(file) = file_for(example, arch) else { return };
        modules.push((example.to_owned(), file));
        code.push_str(&format!("{}\nprint('that was {example}')\n", expectation(example).0));
    }
    let said = run_with(&tools.tree, runner, &modules, &code);
    for example in IMPORTED {
        let expected = format!("{}\nthat was {example}\n", expectation(example).1);
        let said = said.replace('\r', "");
        assert!(said.contains(&expected), "{example} for {arch}: {said}");
    }
}

fn run_upstreams_tests(tools: &Tools, arch: &str, runner: Runner) {
    if file_for("re", arch).is_none() {
        return;
    }
    let said = upstreams_tests(tools, arch, runner);
    let passed = said.lines().filter(|line| line.starts_with("pass ")).count();
    let failed = said.lines().filter(|line| line.starts_with("FAIL ")).count();
    println!("{arch}: {passed} of upstream's tests pass");
    assert!(failed == 0 && passed >= 28, "{arch}\n{said}");
}

/// Runs upstream's `run-natmodtests.py` in a copy of its tests, with our modules where it looks for them.
fn upstreams_tests(tools: &Tools, arch: &str, runner: Runner) -> String {
    let directory = tempfile::tempdir().unwrap();
    let tests = directory.path().join("tests");
    fs::create_dir_all(tests.join("extmod")).unwrap();
    let copy = |from: &Path, to: &Path| fs::copy(tools.tree.join(from), to).unwrap();
    for entry in fs::read_dir(tools.tree.join("tests")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "py") {
            fs::copy(&path, tests.join(path.file_name().unwrap())).unwrap();
        }
    }
    fs::create_dir(directory.path().join("tools")).unwrap();
    copy(Path::new("tools/pyboard.py"), &directory.path().join("tools/pyboard.py"));
    let mut cases = Vec::new();
    for entry in fs::read_dir(tools.tree.join("tests/extmod")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if TESTED.iter().any(|module| name.starts_with(module)) {
            copy(&Path::new("tests/extmod").join(&name), &tests.join("extmod").join(&name));
            if name.ends_with(".py") {
                cases.push(format!("extmod/{name}"));
            }
        }
    }
    cases.sort();
    for example in TESTED {
        let to = directory.path().join("examples/natmod").join(example);
        fs::create_dir_all(&to).unwrap();
        fs::copy(file_for(example, arch).unwrap(), to.join(format!("{example}_{arch}.mpy")))
            .unwrap();
    }
    let mut command = Command::new(&tools.python);
    command.current_dir(&tests).arg("run-natmodtests.py").args(["-a", arch]);
    match runner {
        Runner::Board(board) => {
            let device = emulator(board);
            // Up to v1.25 the device was an option of its own.
            let script = fs::read_to_string(tests.join("run-natmodtests.py")).unwrap();
            if script.contains("--pyboard") {
                command.args(["-p", "-d", &device]);
            } else {
                command.args(["-t", &device]);
            }
        }
        program_of_this_machine => {
            let words = program(&tools.tree, program_of_this_machine);
            let script = directory.path().join("micropython");
            fs::write(&script, format!("#!/bin/sh\nexec {}\n", words.join(" "))).unwrap();
            succeeds(Command::new("chmod").arg("+x").arg(&script));
            command.env("MICROPY_MICROPYTHON", script);
        }
    }
    command.env("MICROPY_CPYTHON3", &tools.python).args(&cases);
    let output = command.output().unwrap();
    format!("{}{}", String::from_utf8_lossy(&output.stdout), stderr(&output))
}
