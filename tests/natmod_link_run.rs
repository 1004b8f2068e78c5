//! What `natmod-link` links, run: the answers of modules are those of the same C as a program.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/firmware.rs"]
mod firmware;
#[path = "common/generated.rs"]
mod generated;
#[path = "common/linking.rs"]
mod linking;
#[path = "common/oracle.rs"]
mod oracle;

use std::fs;
use std::path::Path;
use std::process::Command;

use generated::Generated;
use linking::{Module, Tools, compiler, run, tools};
use oracle::Dice;

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

/// A firmware, and the architectures whose modules it runs.
const RUNNERS: [(&str, &[&str]); 3] =
    [("unix", &["x64"]), ("MPS2_AN385", &["armv6m", "armv7m"]), ("VIRT_RV32", &["rv32imc"])];

/// What a script prints on a firmware that has a directory's modules.
fn answers(firmware: &Path, directory: &Path, script: &str) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
    command.arg("run").arg(firmware).arg("--mount").arg(directory).args(["--exec", script]);
    run(&mut command).trim().to_owned()
}

fn check(tools: &Tools, generated: &Generated, what: &str) {
    let expected = generated.answers();
    let sources = generated.module();
    for (board, archs) in RUNNERS {
        let Some(firmware) = firmware::firmware(board) else { return };
        for arch in archs {
            if !common::require(compiler(arch)) {
                return;
            }
            let module = Module::generated("made_up", &sources, arch);
            module.with_ours(tools, arch).unwrap();
            let place = tempfile::tempdir().unwrap();
            fs::copy(module.file(), place.path().join("made_up.mpy")).unwrap();
            let found = answers(&firmware, place.path(), &Generated::script("made_up"));
            assert_eq!(found, expected, "{what} on {board}, {arch}");
        }
    }
}

#[test]
fn constants_of_several_files_are_each_files_own() {
    let Some(tools) = tools() else { return };
    check(&tools, &Generated::of(&[FIRST, SECOND]), "two files alike");
}

#[test]
fn generated_modules_answer_as_the_same_c_does() {
    let Some(tools) = tools() else { return };
    let mut dice = Dice(14429);
    for round in 0..6 {
        check(&tools, &Generated::new(&mut dice), &format!("module {round}"));
    }
}
