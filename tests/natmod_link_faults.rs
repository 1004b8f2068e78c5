//! `natmod-link`: errors that say what is wrong, where, and what mends it.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/linking.rs"]
mod linking;
#[path = "common/mpy_cross.rs"]
mod mpy_cross;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::command::stderr;
use linking::{Tools, compile, compiler, mpb, run, tools};
use tempfile::TempDir;

/// What is wrong with C files for an architecture, and what is to be said about it.
struct Wrong {
    arch: &'static str,
    flags: &'static [&'static str],
    sources: &'static [&'static str],
    message: &'static str,
    hint: &'static str,
}

/// An entry that every module has.
const ENTRY: &str = "int mpy_init(void) { return 0; }";

const WRONG: &[Wrong] = &[
    Wrong {
        arch: "x64",
        flags: &[],
        sources: &[
            "extern int mp_obj_new_set(int); int mpy_init(void) { return 1 + mp_obj_new_set(2); }",
        ],
        message: "undefined symbol mp_obj_new_set, used in 0.o, function mpy_init (.text+0x",
        hint: "the firmware does not give mp_obj_new_set to modules",
    },
    Wrong {
        arch: "armv6m",
        flags: &[],
        sources: &["int mpy_init(int a, int b) { return a / b + a % b; }"],
        message: "__aeabi_idivmod, used in 0.o, function mpy_init",
        hint: "set LINK_RUNTIME=1 in the Makefile, or give -l with what `arm-none-eabi-gcc … --print-libgcc",
    },
    Wrong {
        arch: "xtensa",
        flags: &[],
        sources: &["int mpy_init(int a, int b) { return a / b; }"],
        message: "undefined symbol __divsi3, used in 0.o",
        hint: "the ESP8266's ROM has it: set MPY_EXTERN_SYM_FILE",
    },
    Wrong {
        arch: "x64",
        flags: &[],
        sources: &["double sin(double); double mpy_init(double x) { return 1 + sin(x); }"],
        message: "undefined symbol sin, used in 0.o, function mpy_init",
        hint: "sin is of the mathematical library: set LINK_RUNTIME=1",
    },
    Wrong {
        arch: "x64",
        flags: &["-O0"],
        sources: &[
            "int helper(int x) { return x; }",
            "int helpr(int); int mpy_init(void) { return helpr(1); }",
        ],
        message: "undefined symbol helpr",
        hint: "did helpr mean helper, which is defined?",
    },
    Wrong {
        arch: "armv7m",
        flags: &[],
        sources: &[
            "int counter = 5; char name[12] = \"x\"; int mpy_init(void) { return counter++ + name[1]++; }",
        ],
        message: "0.o has 16 bytes of initialised variables in .data: ",
        hint: "make them const; or leave them uninitialised and not static, and set them in mpy_init",
    },
    Wrong {
        arch: "x64",
        flags: &[],
        sources: &["static int state[64]; int mpy_init(int i) { return state[i & 63]++; }"],
        message: "function mpy_init (.text+0x",
        hint: "remove `static` from state",
    },
    Wrong {
        arch: "rv32imc",
        flags: &[],
        sources: &["static int state; int mpy_init(void) { return state++; }"],
        message: "and state is a static variable, which is loaded apart from the code",
        hint: "remove `static` from state",
    },
    Wrong {
        arch: "x86",
        flags: &[],
        sources: &["static int state[64]; int mpy_init(int i) { return state[i & 63]++; }"],
        message: "a static variable, which is loaded apart from the code",
        hint: "remove `static` from state",
    },
    Wrong {
        arch: "x64",
        flags: &["-fno-pic", "-fno-pie", "-mcmodel=large"],
        sources: &["extern int table[9]; int mpy_init(int i) { return table[i]; } int table[9];"],
        message: "the address of table in 0.o",
        hint: "with -fpic",
    },
    Wrong {
        arch: "x64",
        flags: &["-fno-pic", "-fno-pie"],
        sources: &["extern int table[9]; int mpy_init(int i) { return table[i]; } int table[9];"],
        message: "unsupported relocation R_X86_64_32S to table in 0.o, function mpy_init",
        hint: "compile it with -fpic",
    },
    Wrong {
        arch: "rv32imc",
        flags: &["-fno-pic", "-mcmodel=medlow"],
        sources: &["extern int table[9]; int mpy_init(int i) { return table[i]; } int table[9];"],
        message: "unsupported relocation R_RISCV_HI20 to table in 0.o, function mpy_init",
        hint: "compile it with -fpic",
    },
    Wrong {
        arch: "rv32imc",
        flags: &["-ftls-model=initial-exec"],
        sources: &["_Thread_local int own; int mpy_init(void) { return own++; }"],
        message: "unsupported relocation R_RISCV_TLS_GOT_HI20 to own in 0.o, function mpy_init",
        hint: "remove __thread or _Thread_local",
    },
    Wrong {
        arch: "x64",
        flags: &[],
        sources: &[ENTRY, "int twice(void) { return 1; }", "int twice(void) { return 2; }"],
        message: "twice is defined in 1.o and in 2.o",
        hint: "rename one of them",
    },
    Wrong {
        arch: "x64",
        flags: &[],
        sources: &["int other(void) { return 1; }"],
        message: "no object file defines mpy_init",
        hint: "define `mp_obj_t mpy_init(",
    },
    Wrong {
        arch: "x64",
        flags: &["-fcommon"],
        sources: &["int shared; int mpy_init(void) { return shared; }"],
        message: "shared in 0.o is a common symbol",
        hint: "-fno-common",
    },
    Wrong {
        arch: "rv32imc",
        flags: &[],
        sources: &[
            ENTRY,
            // An assembler makes a longer branch of what does not reach.
            ".text\n.reloc ., R_RISCV_BRANCH, target\n.word 0x00b50063\n.space 8192\n\
             .section .text.b\n.globl target\ntarget: ret\n",
        ],
        message: "R_RISCV_BRANCH in 1.o (.text+0x0) does not reach target, ",
        hint: "-Os",
    },
    Wrong {
        arch: "armv7m",
        flags: &[],
        sources: &[
            ENTRY,
            ".syntax unified\n.thumb\n.text\nfar: b.n target\n.space 4096\n.global target\n",
        ],
        message: "undefined symbol target, used in 1.o (.text+0x0)",
        hint: "a file that defines target is missing: add it to SRC in the Makefile, or give its object file",
    },
];

#[test]
fn errors_say_what_is_wrong_where_and_what_mends_it() {
    let Some(tools) = tools() else { return };
    for wrong in WRONG {
        if !common::require(compiler(wrong.arch)) {
            return;
        }
        let directory = TempDir::new().unwrap();
        let mut files = Vec::new();
        for (number, source) in wrong.sources.iter().enumerate() {
            compile(directory.path(), &number.to_string(), wrong.arch, wrong.flags, source);
            files.push(format!("{number}.o"));
        }
        let tree = tools.tree.to_str().unwrap();
        let mut arguments =
            vec!["natmod-link", "--micropython", tree, "--arch", wrong.arch, "-o", "x.mpy"];
        arguments.extend(files.iter().map(String::as_str));
        let output = mpb(&arguments, directory.path());
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(3), "{}: {said}", wrong.message);
        assert!(said.contains(wrong.message), "expected {}: {said}", wrong.message);
        let hint = said.split("hint: ").skip(1).any(|hint| hint.contains(wrong.hint));
        assert!(hint, "expected {}: {said}", wrong.hint);
        assert!(!directory.path().join("x.mpy").exists());
    }
}

#[test]
fn files_of_another_kind_are_refused() {
    let Some(tools) = tools() else { return };
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    for (name, arch, linked_for, message) in [
        (
            "call0",
            "xtensa",
            "xtensawin",
            "call0.o is code with the call0 ABI, expected code with the windowed ABI for",
        ),
        ("hard", "armv7emsp", "armv7m", "hard.o is code for a newer processor"),
        (
            "soft",
            "armv7m",
            "armv7emsp",
            "soft.o is soft-float code, expected code with -mfloat-abi=hard",
        ),
        (
            "v7m",
            "armv7m",
            "armv6m",
            "v7m.o is code for a newer processor, expected code that the processor runs",
        ),
        (
            "x64",
            "x64",
            "x86",
            "x64.o is a 64-bit object file, expected a 32-bit object file for x86",
        ),
        (
            "arm",
            "armv7m",
            "rv32imc",
            "arm.o is code for ARM, expected a 32-bit object file for rv32imc",
        ),
    ] {
        if !common::require(compiler(arch)) {
            return;
        }
        compile(at, name, arch, &[], "float mpy_init(float a) { return a + 1; }");
        refused(&tools, at, linked_for, &[&format!("{name}.o")], message);
    }
    // A library's members are looked at as closely: the wrong one links without a word, and crashes.
    compile(at, "helper", "xtensa", &[], "float helper(float a) { return a; }");
    run(Command::new("xtensa-lx106-elf-ar").current_dir(at).args(["rcs", "call0.a", "helper.o"]));
    let uses_it = "float helper(float); float mpy_init(float a) { return 1 + helper(a); }";
    compile(at, "windowed", "xtensawin", &[], uses_it);
    let message =
        "call0.a(helper.o) is code with the call0 ABI, expected code with the windowed ABI";
    refused(&tools, at, "xtensawin", &["-l", "call0.a", "windowed.o"], message);
    let whole = fs::read(at.join("x64.o")).unwrap();
    fs::write(at.join("short.o"), &whole[..whole.len() / 2]).unwrap();
    fs::write(at.join("text.o"), "int mpy_init;").unwrap();
    refused(&tools, at, "x64", &["short.o"], "short.o is damaged: ");
    refused(&tools, at, "x64", &["text.o"], "text.o is no ELF object file");
    refused(&tools, at, "x64", &["missing.o"], "cannot read missing.o: no such file");
    refused(&tools, at, "armv6", &["arm.o"], "there are no native modules for armv6");
    refused(&tools, at, "x64", &["-l", "x64.o", "x64.o"], "x64.o is no static library");
    fs::write(at.join("thin.a"), "!<thin>\n").unwrap();
    refused(&tools, at, "x64", &["-l", "thin.a", "x64.o"], "thin.a is damaged: a thin archive");
}

fn refused(tools: &Tools, directory: &Path, arch: &str, files: &[&str], message: &str) {
    let tree = tools.tree.to_str().unwrap();
    let arguments = ["natmod-link", "--micropython", tree, "--arch", arch, "-o", "x.mpy"];
    let output = mpb(&[&arguments, files].concat(), directory);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{message}: {said}");
    assert!(said.contains(message), "expected {message}: {said}");
}
