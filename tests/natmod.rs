//! `natmod`: what it writes, what it leaves alone, and what bad input gets.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/natmod.rs"]
mod natmod;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant, SystemTime};

use common::require;
use natmod::{Tools, answering, module, module_with, record, stderr, succeeds};
use predicates::prelude::*;
use predicates::str::contains;

/// A cache of this test's own, so that nothing is there from other runs.
fn own_cache(command: &mut Command, cache: &Path) {
    command.env("MICROPYTHON_BUILDER_CACHE", cache);
}

fn twice_plus_one() -> String {
    answering("", "2 * n + 1")
}

#[test]
fn a_record_tells_what_was_built() {
    let Some(tools) = Tools::find() else { return };
    let module = module(&[("mymodule.c", &twice_plus_one())]);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("dist");
    let output =
        succeeds(tools.natmod(module.path(), &out).args(["--arch", "x64,rv64imc", "--json"]));
    let record = record(&out);
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap(), record);
    let file = &record["files"][0];
    assert_eq!(file["path"], "mymodule-mpy6.3-x64.mpy");
    for (key, value) in [("module", "mymodule"), ("arch", "x64"), ("mpy_version", "6.3")] {
        assert_eq!(file[key], value);
    }
    assert!(file["micropython"].as_str().unwrap().starts_with("v1."));
    assert!(file["toolchain"].as_str().unwrap().contains("gcc"));
    let bytes = fs::read(out.join("mymodule-mpy6.3-x64.mpy")).unwrap();
    assert_eq!(file["size"], bytes.len());
    let sha256 = Command::new("sha256sum").arg(out.join("mymodule-mpy6.3-x64.mpy")).output();
    assert!(
        String::from_utf8(sha256.unwrap().stdout)
            .unwrap()
            .starts_with(file["sha256"].as_str().unwrap())
    );
    assert_eq!(&bytes[..4], b"M\x06\x0b\x1f");
    // Releases before v1.28.0 have none for 64-bit RISC-V, and that is no failure.
    if record["files"].as_array().unwrap().len() == 1 {
        assert_eq!(record["not_supported"][0]["arch"], "rv64imc");
        assert!(stderr(&output).contains("not supported"));
    }
    assert_eq!(record["failed"].as_array().unwrap().len(), 0);
    // The user's directory is as it was.
    let names: Vec<_> =
        fs::read_dir(module.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "{names:?}");
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_are_not_built_again() {
    let Some(tools) = Tools::find() else { return };
    let top = tempfile::tempdir().unwrap();
    // Something that no earlier run has built.
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let unique = format!("2 * n + {}", now.subsec_nanos());
    let source = [
        ("mymodule.c", answering("", &unique)),
        ("extra.py", "def thrice(x):\n    return 3 * x\n".into()),
    ];
    let source: Vec<(&str, &str)> =
        source.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let (one, other) = (module(&source), module(&source));
    let build = |module: &Path, out: &str, arguments: &[&str]| {
        let out = top.path().join(out);
        let mut command = tools.natmod(module, &out);
        command.args(["--arch", "x64"]).args(arguments);
        let said = stderr(&succeeds(&mut command));
        (fs::read(out.join("mymodule-mpy6.3-x64.mpy")).unwrap(), said.contains("unchanged"))
    };
    let (first, _) = build(one.path(), "a", &["--rebuild"]);
    let (again, unchanged) = build(one.path(), "a", &[]);
    assert!(unchanged && again == first);
    // Elsewhere, with odd characters on the way, and really built.
    let odd = top.path().join("it's $HOME  \"two\"");
    fs::create_dir(&odd).unwrap();
    let moved = odd.join("the module");
    succeeds(Command::new("cp").arg("-r").arg(other.path()).arg(&moved));
    let (elsewhere, unchanged) = build(&moved, "it's $HOME  \"two\"/out put", &["--rebuild"]);
    assert!(!unchanged && elsewhere == first);
    // What decides the bytes decides whether it is built again.
    let (flags, unchanged) = build(one.path(), "b", &["--make-arg", "CFLAGS_EXTRA=-DX=1"]);
    assert!(!unchanged && flags == first);
    fs::write(one.path().join("mymodule.c"), answering("", &format!("{unique} + 1"))).unwrap();
    let (changed, unchanged) = build(one.path(), "a", &[]);
    assert!(!unchanged && changed != first);
}

#[test]
fn both_linkers_give_the_same_bytes_and_only_one_needs_python() {
    let Some(tools) = Tools::find() else { return };
    let extra = "def thrice(x):\n    return 3 * x\n";
    let module = module(&[("mymodule.c", &twice_plus_one()), ("extra.py", extra)]);
    let (top, cache) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let build = |linker: &str, python: &Path| {
        let out = top.path().join(linker);
        let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
        command.arg("natmod").arg(module.path()).arg("--micropython").arg(&tools.tree);
        command.arg("--out").arg(&out).args(["--linker", linker, "--arch", "x64,x86", "--python"]);
        own_cache(&mut command, cache.path());
        assert!(!stderr(&succeeds(command.arg(python))).contains("unchanged"), "{linker}");
        let record = record(&out);
        assert_eq!(record["linker"], linker);
        record["files"].as_array().unwrap().clone()
    };
    let own = build("own", Path::new("/usr/bin/false"));
    assert_eq!(own.len(), 2);
    assert_eq!(build("upstream", &tools.python), own);
}

#[test]
fn results_are_no_sources() {
    let Some(tools) = Tools::find() else { return };
    let module = module(&[("mymodule.c", &twice_plus_one())]);
    let (out, cache) = (module.path().join("dist"), tempfile::tempdir().unwrap());
    // Objects of an earlier make, newer than any source, and for another architecture.
    fs::create_dir(module.path().join("build")).unwrap();
    fs::write(module.path().join("build/mymodule.o"), "no object").unwrap();
    for unchanged in [false, true] {
        let mut command = tools.natmod(Path::new("."), Path::new("dist"));
        own_cache(&mut command, cache.path());
        let output = succeeds(command.current_dir(module.path()).args(["--arch", "x64"]));
        assert_eq!(stderr(&output).contains("unchanged"), unchanged);
        assert!(out.join("mymodule-mpy6.3-x64.mpy").is_file());
    }
}

#[test]
fn names_and_targets_are_the_users() {
    let Some(tools) = Tools::find() else { return };
    let lines = ".PHONY: other\nother:\n\t$(MAKE) CFLAGS_EXTRA=-DOTHER $(MOD).mpy\n\techo newest >zzz.mpy\n\
                 all:\n\n";
    let code = answering("#ifndef OTHER\n#error \"the wrong target\"\n#endif", "n");
    let module = module_with(lines, &[("mymodule.c", &code)]);
    let out = tempfile::tempdir().unwrap();
    let out = out.path().join("dist");
    succeeds(tools.natmod(module.path(), &out).args([
        "--arch",
        "x64",
        "--make-target",
        "other",
        "--output-name",
        "thing-1.2",
    ]));
    // The file that MOD names, not the newest.
    let bytes = fs::read(out.join("thing-1.2-mpy6.3-x64.mpy")).unwrap();
    assert_eq!(&bytes[..4], b"M\x06\x0b\x1f");
}

#[test]
fn files_outside_come_along_from_a_root() {
    let Some(tools) = Tools::find() else { return };
    let top = tempfile::tempdir().unwrap();
    fs::create_dir_all(top.path().join("repository/src/module")).unwrap();
    let here = |name: &str| top.path().join("repository").join(name);
    fs::write(here("src/shared.c"), "int shared(int n) { return n + 7; }\n").unwrap();
    fs::write(here("src/module/mymodule.c"), answering("int shared(int);", "shared(n)")).unwrap();
    fs::write(
        here("src/module/Makefile"),
        "MOD = mymodule\nSRC = mymodule.c ../shared.c\ninclude $(MPY_DIR)/py/dynruntime.mk\n",
    )
    .unwrap();
    let out = top.path().join("dist");
    let mut alone = tools.natmod(&here("src/module"), &out);
    let output = alone.args(["--arch", "x64"]).output().unwrap();
    assert_eq!(output.status.code(), Some(4));
    assert!(stderr(&output).contains("--root"), "{}", stderr(&output));
    assert!(!out.exists());
    let mut command = tools.natmod(&here("src/module"), &out);
    succeeds(command.args(["--arch", "x64", "--root"]).arg(top.path().join("repository")));
    assert!(out.join("mymodule-mpy6.3-x64.mpy").is_file());
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
        let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
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
    own_cache(&mut command, &top.path().join("cache"));
    let output = command.env("PATH", path.path()).args(["--arch", "x64,armv6m"]).output().unwrap();
    let said = stderr(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("armv6m, .mpy version 6.3: there is no compiler for armv6m: looked for arm-none-eabi-gcc"), "{said}");
    assert!(said.contains("--toolchain armv6m=pinned"), "{said}");
    assert_eq!(record(&out)["files"][0]["arch"], "x64");
}

#[test]
fn two_runs_at_once_do_not_disturb_each_other() {
    let Some(tools) = Tools::find() else { return };
    let module = module(&[("mymodule.c", &twice_plus_one())]);
    let top = tempfile::tempdir().unwrap();
    let out = top.path().join("dist");
    let mut runs: Vec<_> = (0..3)
        .map(|_| {
            let mut command = tools.natmod(module.path(), &out);
            command.args(["--arch", "x64,x86", "--rebuild"]).stderr(std::process::Stdio::null());
            command.stdout(std::process::Stdio::null()).spawn().unwrap()
        })
        .collect();
    for run in &mut runs {
        run.wait().unwrap();
    }
    let record = record(&out);
    assert!(record["files"].as_array().unwrap().iter().any(|file| file["arch"] == "x64"));
    let left: Vec<_> =
        fs::read_dir(top.path()).unwrap().map(|it| it.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".dist")), "{left:?}");
}

#[test]
fn an_interrupted_run_leaves_nothing_behind() {
    let Some(tools) = Tools::find() else { return };
    let makefile = "MOD = m\nSRC = m.c\nwait:\n\ttouch $(STARTED)\n\tsleep 1000\n\
                    include $(MPY_DIR)/py/dynruntime.mk\n";
    let top = tempfile::tempdir().unwrap();
    fs::create_dir(top.path().join("module")).unwrap();
    fs::write(top.path().join("module/Makefile"), makefile).unwrap();
    let (out, started) = (top.path().join("dist"), top.path().join("started"));
    let temporary = top.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let mut command = tools.natmod(&top.path().join("module"), &out);
    command.args(["--arch", "x64", "--make-arg"]).arg(format!("STARTED={}", started.display()));
    let mut run = command.env("TMPDIR", &temporary).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while !started.exists() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(20));
    }
    let pid = rustix::process::Pid::from_raw(run.id() as i32).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(run.wait().unwrap().code(), Some(130));
    assert!(!out.exists());
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
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
    let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
    let output = command.args(["natmod", "--mpy-version", "6.4"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(contains("6.3").and(contains("6.1")).eval(&stderr(&output)));
}

#[test]
fn source_trees_are_only_read() {
    let Some(tools) = Tools::find() else { return };
    let module = module(&[("mymodule.c", &twice_plus_one()), ("more.py", "x = 1\n")]);
    fs::set_permissions(module.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let before = micropython_builder::source::nar_hash(&tools.tree).unwrap();
    let out = tempfile::tempdir().unwrap();
    succeeds(tools.natmod(module.path(), &out.path().join("dist")).args([
        "--arch",
        "x64",
        "--rebuild",
    ]));
    assert_eq!(micropython_builder::source::nar_hash(&tools.tree).unwrap(), before);
    fs::set_permissions(module.path(), fs::Permissions::from_mode(0o755)).unwrap();
}
