//! `natmod-link`: the bytes of upstream's linker.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/generated.rs"]
mod generated;
#[path = "common/linking.rs"]
mod linking;
#[path = "common/mpy_cross.rs"]
mod mpy_cross;
#[path = "common/oracle.rs"]
mod oracle;

use std::fs;
use std::path::Path;
use std::process::Command;

use common::command::stderr;
use generated::Generated;
use linking::{Module, Tools, compile, compiler, mpb, run, tools};
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
            // Debian's runtime for Xtensa lacks most of it. And upstream's linker of later releases assumes what
            // is true of modules that do something: that the entry is not what comes first...
            "xtensa" => {
                "int first(int a) { return a; }\nint mpy_init(int a, int b) { return a * b; }"
                    .to_owned()
            }
            // ...and on ARM, that it has constants, which align it.
            "armv7m" => format!("__attribute__((aligned(4))) {ARITHMETIC}"),
            _ => ARITHMETIC.to_owned(),
        };
        compile(at, "main", arch, &[], &source);
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
