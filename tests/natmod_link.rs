//! `natmod-link`: the bytes of upstream's linker, and errors that say what mends them.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/generated.rs"]
mod generated;
#[path = "common/linking.rs"]
mod linking;
#[path = "common/oracle.rs"]
mod oracle;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use generated::Generated;
use linking::{Module, Tools, compiler, run, tools};
use oracle::Dice;
use tempfile::TempDir;

const EXAMPLES: [&str; 10] = [
    "deflate",
    "features0",
    "features1",
    "features2",
    "features3",
    "features4",
    "framebuf",
    "heapq",
    "random",
    "re",
];

fn mpb(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_micropython-builder"))
        .args(arguments)
        .current_dir(directory)
        .env_remove("MICROPYTHON")
        .output()
        .unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// An example as it can be built for an architecture from Debian's packages.
fn example(tools: &Tools, name: &str, arch: &str) -> Module {
    let module = Module::example(tools, name);
    match (name, arch) {
        // GCC 12 folds offsets into literals with -mforce-l32, which upstream's linker cannot link.
        ("features2", "xtensa" | "xtensawin") => module.with("MICROPY_FLOAT_IMPL=float"),
        (_, "xtensa") => module.with("CFLAGS_ARCH=-fpic -fno-common -U_FORTIFY_SOURCE"),
        ("features2" | "random", "armv6m" | "armv7m" | "rv32imc") => {
            module.with("LINK_RUNTIME=1").with("MICROPY_FLOAT_IMPL=float")
        }
        ("deflate" | "framebuf" | "re", "armv6m") => module.with("LINK_RUNTIME=1"),
        _ => module,
    }
}

/// Links what upstream's makefile compiled with both linkers.
fn compare(tools: &Tools, module: &Module, arch: &str, what: &str) -> Result<(), String> {
    let theirs = module.with_upstream(tools, arch)?;
    let native = fs::read(module.native()).unwrap();
    let [expected, header] = module.headers(tools, arch);
    assert_eq!(header, expected, "{what} {arch}: header");
    module.unlink();
    let ours = module.with_ours(tools, arch)?;
    let our_native = fs::read(module.native()).unwrap();
    if our_native == native {
        assert!(ours == theirs, "{what} {arch}: merged");
        return Ok(());
    }
    // Upstream takes members of libraries in any order, and other ones than the library's index says.
    let members = module.members(tools, arch);
    assert!(members.len() > 1, "{what} {arch}: {members:?}");
    let theirs = module.with_upstream_and_members(tools, arch, &members);
    assert!(our_native == theirs, "{what} {arch}, linked with {members:?}");
    Ok(())
}

/// Debian's Xtensa compilers have little of the runtime for division and floats, so some examples don't
/// link there: neither with upstream's linker nor with this one.
fn lacks_runtime(tools: &Tools, module: &Module, arch: &str) -> bool {
    if !arch.starts_with("xtensa") {
        return false;
    }
    let Err(theirs) = module.with_upstream(tools, arch) else { return false };
    let ours = module.with_ours(tools, arch).unwrap_err();
    assert!(theirs.contains("LinkError"), "{theirs}");
    assert!(
        theirs.contains("undefined symbol") && ours.contains("undefined symbol"),
        "{theirs} {ours}"
    );
    true
}

fn examples(arch: &str) {
    let Some(tools) = tools() else { return };
    if !common::require(compiler(arch)) {
        return;
    }
    let mut compared = 0;
    for name in EXAMPLES {
        let module = example(&tools, name, arch);
        if !lacks_runtime(&tools, &module, arch) {
            compare(&tools, &module, arch, name).unwrap();
            compared += 1;
        }
    }
    assert!(compared > EXAMPLES.len() / 2, "{compared} linked");
}

macro_rules! examples_for {
    ($($test:ident: $arch:literal),* $(,)?) => {
        $(#[test] fn $test() { examples($arch); })*
    };
}

examples_for! {
    examples_for_x86_are_upstreams_bytes: "x86",
    examples_for_x64_are_upstreams_bytes: "x64",
    examples_for_armv6m_are_upstreams_bytes: "armv6m",
    examples_for_armv7m_are_upstreams_bytes: "armv7m",
    examples_for_armv7emsp_are_upstreams_bytes: "armv7emsp",
    examples_for_armv7emdp_are_upstreams_bytes: "armv7emdp",
    examples_for_xtensa_are_upstreams_bytes: "xtensa",
    examples_for_xtensawin_are_upstreams_bytes: "xtensawin",
    examples_for_rv32imc_are_upstreams_bytes: "rv32imc",
}

/// Many files, many qstrs, constants, pointers and variables; on Xtensa upstream's linker gets these wrong.
#[test]
fn generated_modules_are_upstreams_bytes() {
    let Some(tools) = tools() else { return };
    let mut dice = Dice(6);
    for round in 0..3 {
        let sources = Generated::new(&mut dice).module();
        for arch in linking::ARCHS.into_iter().filter(|arch| !arch.starts_with("xtensa")) {
            if !common::require(compiler(arch)) {
                return;
            }
            let module = Module::generated("generated", &sources, arch);
            compare(&tools, &module, arch, &format!("module {round}")).unwrap();
        }
    }
}

/// Compiles a C file with the flags that `py/dynruntime.mk` has for an architecture.
fn compile(directory: &Path, name: &str, arch: &str, flags: &[&str], source: &str) -> PathBuf {
    let own: &[&str] = match arch {
        "armv6m" => &["-mthumb", "-mcpu=cortex-m0"],
        "armv7m" => &["-mthumb", "-mcpu=cortex-m3"],
        "armv7emsp" => &["-mthumb", "-mcpu=cortex-m4", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"],
        "rv32imc" => &["-march=rv32imac", "-mabi=ilp32", "-mno-relax"],
        "x86" => &["-m32", "-fno-stack-protector"],
        _ => &[],
    };
    let end = if source.starts_with('.') { "s" } else { "c" };
    let file = directory.join(format!("{name}.{end}"));
    let object = directory.join(format!("{name}.o"));
    fs::write(&file, source).unwrap();
    let mut command = Command::new(compiler(arch));
    command.args(["-Os", "-ffreestanding", "-fpic", "-fno-common"]).args(own).args(flags);
    run(command.arg("-c").arg("-o").args([&object, &file]));
    object
}

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

/// What needs many members of a compiler's runtime.
const ARITHMETIC: &str = "long long mpy_init(double a, long long b, float c, int d) {\n\
    return (long long)(a / b + c * d) % (b + 3) + d / (int)c + (b << d);\n}";

#[test]
fn library_members_are_linked_as_upstream_links_files() {
    let Some(tools) = tools() else { return };
    for arch in ["armv7m", "rv32imc", "xtensa"] {
        if !common::require(compiler(arch)) {
            return;
        }
        let directory = TempDir::new().unwrap();
        let at = directory.path();
        let source = match arch {
            // Debian's runtime for Xtensa lacks most of it.
            "xtensa" => "int mpy_init(int a, int b) { return a * b; }",
            _ => ARITHMETIC,
        };
        compile(at, "main", arch, &[], source);
        let flags: &[&str] = match arch {
            "armv7m" => &["-mthumb", "-mcpu=cortex-m3"],
            "rv32imc" => &["-march=rv32imac", "-mabi=ilp32"],
            _ => &[],
        };
        let mut ask = Command::new(compiler(arch));
        let library = run(ask.args(flags).arg("--print-libgcc-file-name")).trim().to_owned();
        let tree = tools.tree.to_str().unwrap();
        let link = |out: &str| {
            let fixed = ["--json", "natmod-link", "--micropython", tree, "--arch", arch];
            let output = mpb(&[&fixed[..], &["-l", &library, "-o", out, "main.o"]].concat(), at);
            assert!(output.status.success(), "{}", stderr(&output));
            serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap()
        };
        let report = link("ours.mpy");
        assert_eq!((&report["schema"], &report["arch"]), (&1.into(), &arch.into()));
        let members: Vec<String> = report["members"]
            .as_array()
            .unwrap()
            .iter()
            .map(|member| {
                let member = member.as_str().unwrap();
                member.strip_prefix(&library).unwrap().trim_matches(['(', ')']).to_owned()
            })
            .collect();
        assert!(arch == "xtensa" || members.len() > 3, "{members:?}");
        for member in &members {
            let archiver = compiler(arch).replace("-gcc", "-ar");
            run(Command::new(archiver).current_dir(at).args(["x", &library, member]));
        }
        let ours = fs::read(at.join("ours.mpy")).unwrap();
        let mut upstream = Command::new(&tools.python);
        upstream.current_dir(at).arg(tools.tree.join("tools/mpy_ld.py"));
        upstream.args(["--arch", arch, "-o", "ours.mpy", "main.o"]).args(&members);
        run(&mut upstream);
        assert!(fs::read(at.join("ours.mpy")).unwrap() == ours, "{arch}");
    }
}

#[test]
fn a_library_needs_no_index_and_object_files_come_before_it() {
    let Some(tools) = tools() else { return };
    if !common::require("ar") {
        return;
    }
    let directory = TempDir::new().unwrap();
    let at = directory.path();
    compile(
        at,
        "main",
        "x64",
        &[],
        "int own(void), other(void); int mpy_init(void) { return own() + other(); }",
    );
    compile(at, "own", "x64", &[], "int own(void) { return 1; }");
    // Nothing of it is needed but this, whatever else it has.
    compile(at, "other", "x64", &[], "int other(void) { return 2; }");
    compile(at, "again", "x64", &[], "int own(void) { return 3; } int data = 5;");
    let mut linked = Vec::new();
    for (library, options) in [("with.a", "rcs"), ("without.a", "rcS")] {
        run(Command::new("ar").current_dir(at).args([options, library, "again.o", "other.o"]));
        let tree = tools.tree.to_str().unwrap();
        let fixed = ["natmod-link", "-v", "--micropython", tree, "--arch", "x64", "-o", "x.mpy"];
        let output = mpb(&[&fixed[..], &["-l", library, "main.o", "own.o"]].concat(), at);
        assert!(output.status.success(), "{}", stderr(&output));
        assert!(stderr(&output).contains(&format!("linked {library}(other.o)\n")));
        assert!(!stderr(&output).contains("again.o"));
        linked.push(fs::read(at.join("x.mpy")).unwrap());
    }
    assert_eq!(linked[0], linked[1]);
}

/// Python files of the tree's tests, compiled; all of them with functions, classes and jumps.
fn compiled(tools: &Tools, directory: &Path, names: &[&str]) -> Vec<String> {
    let compile = |(number, name): (usize, &&str)| {
        let out = directory.join(format!("{number}.mpy"));
        let source = tools.tree.join("tests/basics").join(name);
        run(Command::new(&tools.mpy_cross).arg("-o").args([&out, &source]));
        out.to_str().unwrap().to_owned()
    };
    names.iter().enumerate().map(compile).collect()
}

#[test]
fn merged_files_are_upstreams_bytes() {
    let Some(tools) = tools() else { return };
    let directory = TempDir::new().unwrap();
    let mut names: Vec<String> = fs::read_dir(tools.tree.join("tests/basics"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        // Not those with a jump that upstream's tool moves to a wrong place, or that do not compile.
        .filter(|name| name.ends_with(".py") && !name.contains("async") && !name.contains("syntax"))
        .filter(|name| !["break", "continue", "try", "with"].iter().any(|word| name.contains(word)))
        .collect();
    names.sort_unstable();
    assert!(names.len() > 300);
    let mut dice = Dice(5);
    for _ in 0..25 {
        let count = 2 + dice.roll(6);
        let chosen: Vec<&str> = (0..count).map(|_| dice.one(&names).as_str()).collect();
        let files = compiled(&tools, directory.path(), &chosen);
        let out = directory.path().join("theirs.mpy");
        let mut upstream = Command::new(&tools.python);
        upstream.arg(tools.tree.join("tools/mpy-tool.py")).args(["--merge", "-o"]);
        run(upstream.arg(&out).args(&files));
        let mut arguments = vec!["natmod-link", "--merge", "-o", "ours.mpy"];
        arguments.extend(files.iter().map(String::as_str));
        let output = mpb(&arguments, directory.path());
        assert!(output.status.success(), "{}", stderr(&output));
        let ours = fs::read(directory.path().join("ours.mpy")).unwrap();
        assert!(ours == fs::read(&out).unwrap(), "{chosen:?}");
    }
}
