//! What `natmod` builds and links, run on every architecture: the answers of modules are those of the same C
//! as a program of this machine.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/firmware.rs"]
mod firmware;
#[path = "common/generated.rs"]
mod generated;
#[path = "common/natmod.rs"]
mod natmod;
#[path = "common/oracle.rs"]
mod oracle;
#[path = "common/runners.rs"]
mod runners;

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::require;
use generated::Generated;
use natmod::{Tools, record, succeeds};
use oracle::Dice;
use runners::{
    Module, RUNNERS, Runner, call0_prefix, on_every_architecture, run_with, xtensa_compilers,
};
use tempfile::TempDir;

/// What upstream's linker gets wrong on Xtensa: two files with something at the same offsets of sections of
/// the same names, and addresses behind the start of a symbol.
const FIRST: &str = r#"
static const uint16_t table[8] = {101, 102, 103, 104, 105, 106, 107, 108};
static int32_t up(int32_t x) { return x + 7; }
static int32_t down(int32_t x) { return x - 9; }
static int32_t (*const both[2])(int32_t) = {up, down};
static const struct { const char *name; int32_t (*step)(int32_t); } rows[2] = {{"first row", up}, {"1", down}};
const int32_t shared[40] = {
    1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31,
    900, 901, 902, 903, 904, 905, 906, 907, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89,
};
uint32_t counters[16];
static int32_t sum(const char *s) { int32_t n = 0; while (*s) n += (uint8_t)*s++; return n; }
static int32_t table_of(int32_t x) {
    switch (x & 15) {
        case 0: return 17; case 1: return x * 3; case 2: return -x; case 3: return x ^ 85; case 4: return 1000;
        case 5: return x + 70000; case 6: return 42; case 7: return x << 3; case 8: return 9; case 9: return x - 1;
        default: return 5;
    }
}
int32_t part_0(int32_t x) {
    static const uint8_t lut[16] = {3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8, 9, 7, 9, 3};
    int32_t (*volatile step)(int32_t) = (x & 1) ? up : down;
    const int32_t *tail = shared + 20;
    uint32_t *late = counters + 8;
    late[x & 7] += x + 1;
    x += table[x & 7] + (table + 3)[x & 3] + lut[x & 15];
    x += both[x & 1](x) + step(x) + rows[x & 1].step(x) + sum(rows[(x >> 1) & 1].name);
    x += sum(x & 2 ? "a string of the first file" : "another of the first") + sum("hello, first" + 7);
    return x + tail[x & 7] + table_of(x) + late[(x >> 2) & 7];
}
"#;

/// The same again with other values, and with what the first file defines.
const SECOND: &str = r#"
static const uint16_t table[8] = {9001, 9002, 9003, 9004, 9005, 9006, 9007, 9008};
static int32_t up(int32_t x) { return x + 1234; }
static int32_t down(int32_t x) { return x - 4321; }
static int32_t (*const both[2])(int32_t) = {down, up};
static const struct { const char *name; int32_t (*step)(int32_t); } rows[2] = {{"second row", down}, {"22", up}};
extern const int32_t shared[40];
extern uint32_t counters[16];
static int32_t sum(const char *s) { int32_t n = 1; while (*s) n = (n << 1) + (uint8_t)*s++; return n; }
static int32_t table_of(int32_t x) {
    switch (x & 15) {
        case 0: return 71; case 1: return x * 5; case 2: return ~x; case 3: return x ^ 58; case 4: return 2000;
        case 5: return x + 80000; case 6: return 24; case 7: return x << 2; case 8: return 90; case 9: return x - 2;
        default: return 6;
    }
}
int32_t part_1(int32_t x) {
    static const uint8_t lut[16] = {2, 7, 1, 8, 2, 8, 1, 8, 2, 8, 4, 5, 9, 0, 4, 5};
    int32_t (*volatile step)(int32_t) = (x & 1) ? down : up;
    const int32_t *tail = &shared[28];
    counters[x & 15] ^= x;
    x += table[x & 7] + (table + 2)[x & 3] + lut[x & 15] + shared[x & 31];
    x += both[x & 1](x) + step(x) + rows[x & 1].step(x) + sum(rows[(x >> 1) & 1].name);
    x += sum(x & 2 ? "one more of the second" : "of the second file") + sum("goodbye, second" + 9);
    return x + tail[x & 7] + table_of(x) + counters[(x >> 3) & 15];
}
"#;

/// What every makefile begins with. Only ARMv6-M wants its compiler's runtime, for tables of jumps.
const LINES: &str = "SRC = $(sort $(wildcard *.c))\nCFLAGS_EXTRA = -fwrapv\n\
    ifeq ($(ARCH),armv6m)\nLINK_RUNTIME = 1\nendif\ninclude $(MPY_DIR)/py/dynruntime.mk\n";

/// Modules in directories of their own, built for all architectures.
struct Built {
    directory: TempDir,
    /// The modules, and what each of them is to answer.
    modules: Vec<(String, String)>,
}

impl Built {
    /// Builds modules, with more options.
    fn new(tools: &Tools, generated: &[Generated], options: &[&str]) -> Built {
        let directory = tempfile::tempdir().unwrap();
        let mut modules = Vec::new();
        for (number, generated) in generated.iter().enumerate() {
            let name = format!("made_up_{number}");
            let sources = directory.path().join("sources").join(&name);
            fs::create_dir_all(&sources).unwrap();
            for (file, text) in generated.module() {
                fs::write(sources.join(file), text).unwrap();
            }
            fs::write(sources.join("Makefile"), format!("MOD = {name}\n{LINES}")).unwrap();
            let mut command = tools.natmod(&sources, &directory.path().join(&name));
            command.arg("--toolchain").arg(format!("xtensa={}", call0_prefix().display()));
            succeeds(command.args(options));
            modules.push((name, generated.answers()));
        }
        Built { directory, modules }
    }

    fn out(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// What the modules for an architecture answer, one line each; none if there are none.
    fn answers(&self, tools: &Tools, arch: &str, runner: Runner) -> Option<Vec<String>> {
        let (mut files, mut code): (Vec<Module>, _) = (Vec::new(), String::new());
        for (name, _) in &self.modules {
            let file = self.out(name).join(format!("{name}-mpy6.3-{arch}.mpy"));
            files.push((name.clone(), file));
            code.push_str(&Generated::script(name));
            code.push('\n');
        }
        if !files.iter().all(|(_, file)| file.is_file()) {
            return None;
        }
        let said = run_with(&tools.tree, runner, &files, &code);
        Some(said.lines().map(|line| line.trim().to_owned()).collect())
    }

    fn right(&self) -> Vec<String> {
        self.modules.iter().map(|(_, answers)| answers.clone()).collect()
    }
}

/// The tools, if there is everything to build for and run all architectures.
fn tools() -> Option<Tools> {
    let there =
        ["arm-none-eabi-gcc", "riscv64-unknown-elf-gcc", "qemu-xtensa"].into_iter().all(require);
    Tools::find().filter(|_| there && xtensa_compilers())
}

#[test]
fn modules_answer_as_the_same_c_does() {
    let Some(tools) = tools() else { return };
    let mut dice = Dice(14429);
    let mut generated = vec![Generated::of(&[FIRST, SECOND])];
    generated.extend((0..6).map(|_| Generated::new(&mut dice)));
    let built = Built::new(&tools, &generated, &[]);
    let absent = record(&built.out("made_up_0"))["not_supported"].as_array().unwrap().len();
    let ran = AtomicUsize::new(0);
    on_every_architecture(|arch, runner| {
        let Some(answers) = built.answers(&tools, arch, runner) else { return };
        assert_eq!(answers, built.right(), "{arch}");
        println!("{arch}: {} modules answer rightly", answers.len());
        ran.fetch_add(1, Ordering::Relaxed);
    });
    assert_eq!(ran.into_inner() + absent, RUNNERS.len());
}

/// Tables that two files have at the same place, and nothing else that upstream's linker mixes up.
const TABLES: [&str; 2] = [
    "static const uint16_t table[8] = {101, 102, 103, 104, 105, 106, 107, 108};\n\
     int32_t part_0(int32_t x) { return x + table[x & 7] + (table + 3)[x & 3]; }\n",
    "static const uint16_t table[8] = {9001, 9002, 9003, 9004, 9005, 9006, 9007, 9008};\n\
     int32_t part_1(int32_t x) { return x + table[x & 7] + (table + 2)[x & 3]; }\n",
];

#[test]
fn the_rewrite_keeps_upstreams_linker_from_mixing_up_tables() {
    let Some(tools) = tools() else { return };
    let runner = RUNNERS.into_iter().find(|(arch, _)| *arch == "xtensawin").unwrap().1;
    for (options, is_right, objects) in [
        (&["--linker", "own"][..], true, 0),
        (&["--linker", "upstream"], true, 2),
        (&["--linker", "upstream", "--static-const", "off"], false, 0),
    ] {
        let options = [&["--arch", "x64,xtensawin"], options].concat();
        let built = Built::new(&tools, &[Generated::of(&TABLES)], &options);
        let answers = built.answers(&tools, "xtensawin", runner).unwrap();
        assert_eq!(answers == built.right(), is_right, "{options:?}: {answers:?}");
        let record = record(&built.out("made_up_0"));
        let sections = record["static_const"].as_array().map_or(0, Vec::len);
        assert_eq!(sections, objects, "{options:?}: {record}");
        for file in record["files"].as_array().unwrap() {
            let rewritten = file["static_const"] == true;
            assert_eq!(rewritten, objects > 0 && file["arch"] == "xtensawin", "{file}");
        }
    }
}
