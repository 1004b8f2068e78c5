//! `natmod`: what bad input gets, and what becomes of the rest of the matrix.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/natmod.rs"]
mod natmod;

use std::fs;
use std::process::{Command, Output};

use common::command::{mpb, stderr};
use common::require;
use natmod::{Tools, answering, module, record, succeeds};
use predicates::prelude::*;
use predicates::str::contains;

fn twice_plus_one() -> String {
    answering("", "2 * n + 1")
}

struct Bad<'a> {
    what: &'a str,
    makefile: Option<&'a str>,
    code: String,
    arguments: &'a [&'a str],
    exit: i32,
    says: &'a [&'a str],
}

/// For this machine's architecture, with MicroPython's linker.
const UPSTREAM: &[&str] = &["--arch", "x64", "--linker", "upstream"];

const GOOD_MAKEFILE: &str = "MOD = m\nSRC = m.c\ninclude $(MPY_DIR)/py/dynruntime.mk\n";

impl Default for Bad<'_> {
    fn default() -> Self {
        Bad {
            what: "",
            makefile: Some(GOOD_MAKEFILE),
            code: twice_plus_one(),
            arguments: &["--arch", "x64"],
            exit: 3,
            says: &[],
        }
    }
}

#[test]
fn bad_input_gets_an_answer_that_helps() {
    let Some(tools) = Tools::find() else { return };
    let table = [
        Bad {
            what: "no Makefile",
            makefile: None,
            says: &["has no Makefile", "hint:"],
            ..Bad::default()
        },
        Bad {
            what: "no MOD",
            makefile: Some("SRC = m.c\ninclude $(MPY_DIR)/py/dynruntime.mk\n"),
            says: &["does not set MOD", "MOD = mymodule"],
            ..Bad::default()
        },
        Bad {
            what: "no dynruntime.mk",
            makefile: Some("MOD = m\nall:\n\techo nothing\n"),
            says: &["does not include py/dynruntime.mk", "include $(MPY_DIR)/py/dynruntime.mk"],
            ..Bad::default()
        },
        Bad {
            what: "a MOD that is a path",
            makefile: Some("MOD = ../m\nSRC = m.c\ninclude $(MPY_DIR)/py/dynruntime.mk\n"),
            says: &["expected one plain name"],
            ..Bad::default()
        },
        Bad {
            what: "a Makefile that make cannot read",
            makefile: Some("MOD = m\n  nonsense\n"),
            exit: 4,
            says: &["missing separator"],
            ..Bad::default()
        },
        Bad {
            what: "a Makefile that knows better",
            makefile: Some(
                "override ARCH = x86\nMOD = m\nSRC = m.c\ninclude $(MPY_DIR)/py/dynruntime.mk\n",
            ),
            code: twice_plus_one(),
            exit: 4,
            says: &[
                "what was built is .mpy version 6.3 for x86, expected .mpy version 6.3 for x64",
            ],
            ..Bad::default()
        },
        Bad {
            what: "an unknown architecture",
            arguments: &["--arch", "armv7"],
            exit: 2,
            says: &["armv7", "armv7m"],
            ..Bad::default()
        },
        Bad {
            what: "an unknown toolchain architecture",
            arguments: &["--toolchain", "arm=x"],
            exit: 2,
            says: &["there is no architecture \"arm\"", "armv6m"],
            ..Bad::default()
        },
        Bad {
            what: "a compile error",
            code: "#include \"py/dynruntime.h\"\nint x = wrong;\n".to_owned(),
            exit: 4,
            says: &["x64, .mpy version 6.3: m.c:2", "wrong", "the whole log: "],
            ..Bad::default()
        },
        Bad {
            what: "a symbol that is nowhere",
            code: answering("int misspelt(int);", "misspelt(n)"),
            exit: 4,
            says: &[
                "undefined symbol misspelt, used in build/m.o, function answer",
                "a file that defines misspelt is missing: add it to SRC",
            ],
            ..Bad::default()
        },
        Bad {
            what: "a symbol of libm",
            code: answering("double cbrt(double);", "(int)cbrt(n)"),
            exit: 4,
            says: &["undefined symbol cbrt, used in build/m.o", "libm", "--link-runtime"],
            ..Bad::default()
        },
        Bad {
            what: "a symbol of libc",
            code: answering("int puts(const char *);", "puts(\"x\")"),
            exit: 4,
            says: &["undefined symbol puts, used in build/m.o", "libc.a has puts"],
            ..Bad::default()
        },
        Bad {
            what: "a variable with a value",
            code: answering("// counter\nint counter = 3;", "counter += n"),
            exit: 4,
            says: &["cannot have variables that begin with a value: counter (m.c:3)", "mpy_init"],
            ..Bad::default()
        },
        Bad {
            what: "a static variable",
            code: answering("static int seen[20];", "seen[n] += n"),
            exit: 4,
            says: &["cannot have static variables: seen (m.c:2)", "remove `static`"],
            ..Bad::default()
        },
        Bad {
            what: "the same for MicroPython's linker: a symbol of libm",
            code: answering("double cbrt(double);", "(int)cbrt(n)"),
            arguments: UPSTREAM,
            exit: 4,
            says: &["undefined symbol cbrt", "libm", "--link-runtime"],
            ..Bad::default()
        },
        Bad {
            what: "a symbol that is nowhere",
            code: answering("int misspelt(int);", "misspelt(n)"),
            arguments: UPSTREAM,
            exit: 4,
            says: &["undefined symbol misspelt", "a name misspelt?"],
            ..Bad::default()
        },
        Bad {
            what: "a variable with a value",
            code: answering("// counter\nint counter = 3;", "counter += n"),
            arguments: UPSTREAM,
            exit: 4,
            says: &["cannot have variables that begin with a value: counter (m.c:3)", "mpy_init"],
            ..Bad::default()
        },
        Bad {
            what: "a static variable",
            code: answering("static int seen[20];", "seen[n] += n"),
            arguments: UPSTREAM,
            exit: 4,
            says: &["cannot have static variables: seen (m.c:2)", "remove `static`"],
            ..Bad::default()
        },
        Bad {
            what: "a make that hangs",
            makefile: Some(
                "MOD = m\nSRC = m.c\nall:\n\tsleep 1000\ninclude $(MPY_DIR)/py/dynruntime.mk\n",
            ),
            arguments: &["--arch", "x64", "--time-limit", "1"],
            exit: 4,
            says: &["did not end within its time limit", "--time-limit"],
            ..Bad::default()
        },
        Bad {
            what: "a make that leaves nothing",
            makefile: Some("MOD = m\nSRC = m.c\nnothing:\n\ninclude $(MPY_DIR)/py/dynruntime.mk\n"),
            exit: 4,
            says: &["ended well and left no m.mpy"],
            ..Bad::default()
        },
        Bad {
            what: "a variable that is ours",
            arguments: &["--make-arg", "ARCH=x64"],
            exit: 2,
            says: &["ARCH is set by --arch"],
            ..Bad::default()
        },
        Bad {
            what: "flags for what has none",
            arguments: &["--arch", "x64", "--arch-flags", "zba"],
            exit: 2,
            says: &["only rv32imc"],
            ..Bad::default()
        },
        Bad {
            what: "a file of symbols that is not there",
            arguments: &["--externs", "no-such-file"],
            says: &["there is no file no-such-file"],
            ..Bad::default()
        },
        Bad {
            what: "a Python without pyelftools",
            arguments: &[
                "--arch",
                "x64",
                "--linker",
                "upstream",
                "--rebuild",
                "--python",
                "/usr/bin/false",
            ],
            says: &[
                "has no module elftools",
                "pip install pyelftools",
                "own linker needs no Python",
            ],
            ..Bad::default()
        },
        Bad {
            what: "a compiler that is not there",
            arguments: &["--arch", "x64", "--toolchain", "x64=/nowhere/x-"],
            says: &["no compiler /nowhere/x-gcc for x64"],
            ..Bad::default()
        },
        Bad {
            what: "an output that holds other files",
            arguments: &["--arch", "x64", "--out", "."],
            says: &["holds other files"],
            ..Bad::default()
        },
    ];
    for bad in table {
        let directory = tempfile::tempdir().unwrap();
        let module = directory.path().join("module");
        fs::create_dir(&module).unwrap();
        fs::write(module.join("m.c"), &bad.code).unwrap();
        if let Some(makefile) = bad.makefile {
            fs::write(module.join("Makefile"), makefile).unwrap();
        }
        let out = directory.path().join("dist");
        let mut command = mpb();
        command.arg("natmod").arg(&module).current_dir(&module);
        command.arg("--micropython").arg(&tools.tree);
        for (option, value) in [("--python", &tools.python), ("--out", &out)] {
            if !bad.arguments.contains(&option) {
                command.arg(option).arg(value);
            }
        }
        let output = command.args(bad.arguments).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(bad.exit), "{}: {said}", bad.what);
        for part in bad.says {
            assert!(said.contains(part), "{}: no {part:?} in {said}", bad.what);
        }
        assert!(!out.exists(), "{}", bad.what);
    }
}

#[test]
fn one_cell_that_fails_does_not_keep_the_others() {
    let Some(tools) = Tools::find() else { return };
    if !require("arm-none-eabi-gcc") {
        return;
    }
    let code = answering("#ifdef __ARM_FP\n#error \"no floats, please\"\n#endif", "n");
    let module = module(&[("mymodule.c", &code)]);
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("dist");
    let build = |more: &[&str]| -> Output {
        let mut command = tools.natmod(module.path(), &out);
        command.args(["--arch", "x64,armv7m,armv7emsp"]).args(more).output().unwrap()
    };
    let output = build(&[]);
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("armv7emsp, .mpy version 6.3: mymodule.c:3:2: error: #error"), "{said}");
    let built = record(&out);
    assert_eq!(built["files"].as_array().unwrap().len(), 2);
    assert_eq!(built["failed"][0]["arch"], "armv7emsp");
    let log = fs::read_to_string(top.path().join("dist.logs/mpy6.3-armv7emsp.log")).unwrap();
    assert!(log.contains("no floats, please"));

    let before = fs::read(out.join("natmod.json")).unwrap();
    let output = build(&["--fail-fast"]);
    assert_eq!(output.status.code(), Some(4));
    assert_eq!(fs::read(out.join("natmod.json")).unwrap(), before);

    fs::write(module.path().join("mymodule.c"), twice_plus_one()).unwrap();
    succeeds(tools.natmod(module.path(), &out).args(["--arch", "x64,armv7m,armv7emsp"]));
    assert!(!top.path().join("dist.logs").exists());
}

#[test]
fn a_missing_compiler_is_named_and_the_rest_is_built() {
    let Some(tools) = Tools::find() else { return };
    // A PATH with what is needed for x64, and nothing else.
    let path = tempfile::tempdir().unwrap();
    for tool in ["make", "gcc", "sh", "tr", "rm", "mkdir", "as", "cat", "uname", "echo", "cp"] {
        let found =
            Command::new("sh").args(["-c", &format!("command -v {tool}")]).output().unwrap();
        let found = String::from_utf8(found.stdout).unwrap();
        if found.starts_with('/') {
            std::os::unix::fs::symlink(found.trim(), path.path().join(tool)).unwrap();
        }
    }
    let module = module(&[("mymodule.c", &twice_plus_one())]);
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("dist");
    let mut command = tools.natmod(module.path(), &out);
    command.env("MICROPYTHON_BUILDER_CACHE", top.path().join("cache"));
    let output = command.env("PATH", path.path()).args(["--arch", "x64,armv6m"]).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("armv6m, .mpy version 6.3: there is no compiler for armv6m: looked for arm-none-eabi-gcc"), "{said}");
    assert!(said.contains("--toolchain armv6m=pinned"), "{said}");
    assert_eq!(record(&out)["files"][0]["arch"], "x64");
}

#[test]
fn only_one_release_for_a_version() {
    let Some(tools) = Tools::find() else { return };
    let module = module(&[("mymodule.c", &twice_plus_one())]);
    let out = tempfile::tempdir().unwrap();
    let mut command = tools.natmod(module.path(), &out.path().join("dist"));
    let output = command.arg("--micropython").arg(&tools.tree).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(contains("both have .mpy version 6.3").eval(&stderr(&output)));
}

#[test]
fn versions_that_are_not_known_are_refused_with_those_that_are() {
    let mut command = mpb();
    let output = command.args(["natmod", "--mpy-version", "6.4"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(contains("6.3").and(contains("6.1")).eval(&stderr(&output)));
}
