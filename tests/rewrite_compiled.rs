//! The static-const rewrite before and after, with real compilers: what compiled still compiles, without
//! a warning more, and does what it did; and what `mpy_ld.py` mixes up on Xtensa, it no longer can.

mod common;
mod rewriting;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use common::{micropython, python, require};
use object::{Object, ObjectSection, ObjectSymbol, RelocationTarget, SymbolKind};
use rewriting::{Files, compile, planted, rewrite, run, sources};

/// Compilers with flags as native modules and firmware are compiled with.
const COMPILERS: &[(&str, &[&str])] = &[
    ("gcc", &["-fpic"]),
    ("gcc", &["-fPIE", "-fdata-sections", "-ffunction-sections"]),
    ("arm-none-eabi-gcc", &["-mthumb", "-mcpu=cortex-m0", "-fpic"]),
    ("arm-none-eabi-gcc", &["-mthumb", "-mcpu=cortex-m7", "-fdata-sections"]),
    ("riscv64-unknown-elf-gcc", &["-march=rv32imac", "-mabi=ilp32", "-fpic"]),
    ("riscv64-unknown-elf-gcc", &["-march=rv64imac", "-mabi=lp64", "-fdata-sections"]),
    ("xtensa-lx106-elf-gcc", &["-fpic", "-mforce-l32"]),
    ("xtensa-lx106-elf-gcc", &["-fdata-sections", "-mlongcalls"]),
];

const STRICT: &[&str] = &[
    "-std=c99",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-const-variable",
    "-Wno-old-style-declaration",
];

/// What each file of the program begins with.
const HEAD: &str = "typedef unsigned char uint8_t; typedef unsigned int uint32_t;\n\
    typedef __SIZE_TYPE__ size_t;\n#define NULL ((void *)0)\n\
    extern volatile int at; void out(int number); void say(const char *text);\n";

/// Pieces of C, each a file of a program: the function `FILE` prints what it makes of its tables. All
/// of them use the same names, and names of the C library.
const PIECES: &[&str] = &[
    // Offsets into tables, and ends of them.
    "static const int table[] = {1, 2, 3, 4, 5, 6, 7, 8};\n\
     static int sum(const int *from, const int *to) { int s = 0; while (from < to) { s += *from++; } return s; }\n\
     void FILE(void) { out(table[at + 3]); out(sum(table, table + 8)); out(*(&table[5] + at)); out((int)sizeof(table)); }\n",
    // Another file with a table of that name, in every spelling.
    "const static int table[] = {10, 20, 30};\nstatic volatile const int vol[] = {7, 8};\n\
     int static const index = 9;\nstatic int const y1[2][2] = {{1, 2}, {3, 4}}, gamma = 5;\n\
     static/* ; = { */const/**/int// static {\n commented[] = {6};\nstatic \\\n const \\\n int continued[] = {5};\n\
     void FILE(void) { out(table[at]); out(vol[at + 1]); out(index); out(y1[1][at]); out(gamma); out(commented[at]); out(continued[at]); }\n",
    // Tables in functions, and a pointer to one that is returned.
    "static const int *inner(int i) { static const int table[] = {11, 12, 13}; const int local[] = {1, 2}; return &table[i + local[at] - 1]; }\n\
     void FILE(void) { out(*inner(2)); static const char text[] = \"static const char text[] = {1};\"; say(text); }\n",
    // Functions that return constants; strings; pointers that are not constant.
    "static const char *names[] = {\"a\", \"b\"};\nstatic const char *const fixed[] = {\"c\", \"d\"};\nstatic char *const letter = \"e\";\n\
     static int plus(int i) { return i + 1; } static int (*const calls[2])(int) = {plus, plus};\n\
     static inline const char *name(int i) { return names[i]; }\nstatic const char *other(int i) { return fixed[i]; }\n\
     static const char http[] = \"http://\"; static const char open[] = \"/*\"; static const char close[] = \"*/\";\n\
     void FILE(void) { names[0] = \"z\"; say(name(at)); say(name(1)); out(calls[at](6)); say(other(1)); say(letter); say(http); say(open); say(close); }\n",
    // Structures, unions, enumerations, anonymous ones, designators, compound literals.
    "static const struct { int a; const char *text; } things[] = {{1, \"one\"}, {2, NULL}};\n\
     static const struct point { int x, y; } origin = {.y = 3}, *where = &origin;\nstatic const union { int i; char c; } both = {.i = 65};\n\
     static const enum color { RED = 4, BLUE } colors[] = {BLUE, RED};\nstatic const int *const literal = (const int[]){7, 8, 9};\n\
     void FILE(void) { out(things[at + 1].a); say(things[at].text); out(where->y); out(both.i); out(colors[at]); out(literal[2]); where = NULL; }\n",
    // Macros, typedefs, attributes.
    "#define ROM static const\n#define LOCAL static\n#define BYTE uint8_t\ntypedef const uint8_t rom_t; typedef const char *const name_t;\n\
     ROM BYTE table[] = {1, 2};\nLOCAL rom_t more[] = {3, 4};\nstatic name_t who = \"me\";\n\
     static const uint8_t wide[] __attribute__((aligned(16))) = {5}; static const uint8_t __attribute__((unused)) spare = 6;\n\
     static const struct __attribute__((packed)) { char c; int i; } tight = {7, 8};\n\
     #define COUNT (sizeof(table) / sizeof(table[0]))\n#define NAME(x) #x\n#define PASTE(a, b) a##b\n\
     void FILE(void) { out(table[at + 1]); out(more[at]); say(who); out(wide[at]); out(tight.i); out((int)COUNT); say(NAME(table)); out(PASTE(ta, ble)[at]); out((int)sizeof(tight)); out((int)((size_t)wide % 16)); }\n",
    // Conditions around, between and inside.
    "#define A 1\n#if A\nstatic const int table[] = {1};\n#else\nstatic const int table[] = {2};\n#endif\n\
     static const int parts[] = {\n#ifdef B\n1,\n#else\n2,\n#endif\n3};\n#if 0\ndo not { static const int broken = 1;\n#endif\n\
     #ifdef __cplusplus\nextern \"C\" {\n#endif\n#if A\nstatic int twice(int i) {\n#else\nstatic int twice(void) { int i = 0;\n#endif\n return 2 * parts[i]; }\n\
     #ifdef __cplusplus\n}\n#endif\nvoid FILE(void) { out(table[at]); out(parts[at]); out(parts[at + 1]); out(twice(1)); }\n",
    // Addresses in data, tentative definitions, names of fields, labels, parameters and locals.
    "static const uint8_t glyph[] = {1, 2, 3};\nstatic const uint8_t *const font[] = {glyph, glyph + 1};\n\
     static const int later; static const int later = 5;\nstruct s { int table; }; static const int table[] = {9, 8};\n\
     static int take(int table) { return table; }\n\
     void FILE(void) { struct s s = {.table = 3}; const uint8_t *all[] = {glyph, font[1]}; const int *cast = (const int *){table}; int i = 0; { int glyph = 4; i += glyph; } \
     if (at) { goto table; } out(font[at + 1][1]); out(later); out(s.table); out(take(table[1])); out(all[1][0]); out(*cast); out(i); table: out(table[at]); }\n",
    // Constants that the compiler may use for others.
    "static const int five = 5; static const int six[] = {1, 2, 3}; static const double third = 1.0 / 3; static const float half = .5f;\n\
     void FILE(void) { int buffer[five]; for (int i = 0; i < five; i++) { buffer[i] = six[i % 3] * i; } out(buffer[4]); out((int)(third * 9 + half * 4)); switch (six[at]) { case 1: out(1); break; default: out(0); } }\n",
];

const MAIN: &str = "#include <stdio.h>\nvolatile int at = 0; void out(int n) { printf(\"%d \", n); } void say(const char *t) { printf(\"<%s> \", t); }\n";

/// The pieces as files of one program, with a header for two of them and one for one.
fn program() -> Files {
    let mut files = Files::new();
    let mut main = MAIN.to_owned();
    let mut calls = String::new();
    for (number, piece) in PIECES.iter().enumerate() {
        let name = format!("piece{number}");
        let header = match number {
            0 | 1 => "#include \"shared.h\"\n",
            2 => "#include \"once.h\"\n",
            _ => "",
        };
        // Bytes that are not UTF-8, in a comment and in a string.
        let mut text = b"// \xe9\xff\nstatic const char latin[] = \"\xe9\";\n".to_vec();
        let piece = piece.replace(
            "void FILE(void) {",
            &format!(
                "void {name}(void) {{ out(latin[at] & 255); {}",
                match number {
                    0 | 1 => "out(shared[at + 1]); ",
                    2 => "out(once[at + 1]); ",
                    _ => "",
                }
            ),
        );
        text.extend_from_slice(format!("{HEAD}void {name}(void);\n{header}{piece}").as_bytes());
        files.push((format!("{name}.c"), text));
        main.push_str(&format!("void {name}(void);\n"));
        calls.push_str(&format!("{name}(); puts(\"\");\n"));
    }
    main.push_str(&format!("int main(void) {{ {calls} return 0; }}\n"));
    files.push(("main.c".into(), main.into_bytes()));
    files.push(("shared.h".into(), b"static const int shared[] = {31, 32};\n".to_vec()));
    files.push(("once.h".into(), b"static const int once[] = {41, 42};\n".to_vec()));
    files
}

#[test]
fn a_program_does_what_it_did() {
    if !require("gcc") {
        return;
    }
    let files = program();
    for purpose in ["natmod", "firmware"] {
        for level in ["-O0", "-O1", "-O2", "-Os", "-O3"] {
            for mode in ["-fpic", "-fno-pie"] {
                let flags = [STRICT, &[level, mode]].concat();
                let link = if mode == "-fno-pie" { "-no-pie" } else { "-pie" };
                let (before, after) = (planted(&files), planted(&files));
                let objects = rewrite(after.path(), purpose);
                assert!(objects.len() >= 20, "{purpose}: {objects:?}");
                compile("gcc", &flags, before.path()).unwrap();
                compile("gcc", &flags, after.path()).unwrap();
                let expected = run(&[link], before.path());
                assert!(expected.contains("233 32 10 8 9 3 5 6 5"), "{expected}");
                assert_eq!(run(&[link], after.path()), expected, "{purpose} {level} {mode}");
            }
        }
    }
}

#[test]
fn every_compiler_takes_what_it_took() {
    let mut files = program();
    files.retain(|(name, _)| name != "main.c");
    for (compiler, machine) in COMPILERS {
        if !require(compiler) {
            continue;
        }
        let before = planted(&files);
        let rewritten = ["natmod", "firmware"].map(|purpose| {
            let after = planted(&files);
            (rewrite(after.path(), purpose), after)
        });
        for level in ["-Os", "-O2"] {
            let flags = [STRICT, machine, &[level]].concat();
            compile(compiler, &flags, before.path()).unwrap();
            for (sections, after) in &rewritten {
                compile(compiler, &flags, after.path()).unwrap();
                objects_are_kept(before.path(), after.path());
                lie_where_it_was_said(sections, after.path());
            }
        }
    }
}

/// The same functions and objects, and these of the same sizes: nothing is lost or kept that was not. (What
/// lies in one section can be reached from one anchor, so the code may differ.)
#[track_caller]
fn objects_are_kept(before: &Path, after: &Path) {
    let symbols = |directory: &Path| {
        let mut symbols: BTreeSet<(String, String, u64)> = BTreeSet::new();
        for source in sources(directory) {
            let data = fs::read(source.with_extension("o")).unwrap();
            let file = object::File::parse(data.as_slice()).unwrap();
            for symbol in file.symbols() {
                if matches!(symbol.kind(), SymbolKind::Text | SymbolKind::Data) {
                    let source = source.file_name().unwrap().to_string_lossy().into_owned();
                    let size = if symbol.kind() == SymbolKind::Data { symbol.size() } else { 0 };
                    symbols.insert((source, symbol.name().unwrap().to_owned(), size));
                }
            }
        }
        symbols
    };
    assert_eq!(symbols(before), symbols(after));
}

/// The objects lie in the sections that the rewrite told, those that the compiler did not optimise away.
#[track_caller]
fn lie_where_it_was_said(sections: &BTreeMap<(String, String), String>, directory: &Path) {
    let mut seen = 0;
    for ((source, name), section) in sections {
        let path = directory.join(source).with_extension("o");
        // What is in a header lies in the object of the source that includes it.
        let Ok(data) = fs::read(&path) else { continue };
        let file = object::File::parse(data.as_slice()).unwrap();
        let Some(symbol) = file.symbols().find(|symbol| symbol.name() == Ok(name)) else {
            continue;
        };
        let found = file.section_by_index(symbol.section_index().unwrap()).unwrap();
        assert_eq!(found.name(), Ok(section.as_str()), "{source} {name}");
        seen += 1;
    }
    assert!(seen >= 10, "{seen}");
}

/// What `mpy_ld.py`, in `build_got_xtensa`, knows of local data: for each name of section and offset in
/// the literals, which files have it.
fn keys(directory: &Path) -> BTreeMap<(String, u64), BTreeSet<String>> {
    let mut keys: BTreeMap<(String, u64), BTreeSet<String>> = BTreeMap::new();
    for source in sources(directory) {
        let data = fs::read(source.with_extension("o")).unwrap();
        let file = object::File::parse(data.as_slice()).unwrap();
        let literals = file.section_by_name(".literal").unwrap();
        let bytes = literals.data().unwrap();
        for (offset, relocation) in literals.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else { continue };
            let symbol = file.symbol_by_index(index).unwrap();
            if symbol.kind() != SymbolKind::Section {
                continue;
            }
            let section = file.section_by_index(symbol.section_index().unwrap()).unwrap();
            let offset = usize::try_from(offset).unwrap();
            let existing = u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap());
            let key = (section.name().unwrap().to_owned(), u64::from(existing));
            let source = source.file_name().unwrap().to_string_lossy().into_owned();
            keys.entry(key).or_default().insert(source);
        }
    }
    keys
}

/// Whether a section is one that the rewrite names: it ends with eight hexadecimal digits.
fn is_named(section: &str) -> bool {
    let last = section.rsplit('.').next().unwrap_or_default();
    last.len() == 8 && last.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[test]
fn what_the_linker_mixes_up_on_xtensa_is_told_apart() {
    if !require("xtensa-lx106-elf-gcc") {
        return;
    }
    let mut files = program();
    files.retain(|(name, _)| name != "main.c");
    let (before, after) = (planted(&files), planted(&files));
    rewrite(after.path(), "natmod");
    for directory in [&before, &after] {
        compile("xtensa-lx106-elf-gcc", &["-std=c99", "-Os", "-fpic"], directory.path()).unwrap();
    }
    let mixed_up = |directory: &Path| -> Vec<String> {
        let mixed = keys(directory).into_iter().filter(|(_, files)| files.len() > 1);
        mixed.map(|((section, _), _)| section).collect()
    };
    let of_tables = |section: &&String| !section.contains(".str");
    assert!(mixed_up(before.path()).iter().filter(of_tables).count() >= 4);
    let left = mixed_up(after.path());
    assert!(!left.iter().any(|section| is_named(section)), "{left:?}");
    // Offsets into a table are in the literal itself, where the linker finds them, not in the addend
    // of a global symbol, which it loses.
    let offsets = keys(after.path());
    assert!(
        offsets
            .keys()
            .any(|(section, offset)| section.starts_with(".rodata.table.") && *offset > 0)
    );
}

/// What a tree's own `mpy_ld.py` says of objects: the keys it got wrong, and how many it got right.
fn linked(python: &Path, tree: &Path, directory: &Path) -> (Vec<String>, usize) {
    let objects = sources(directory).into_iter().map(|source| source.with_extension("o"));
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rewriting/mpy_ld.py"))
        .arg(tree.join("tools"))
        .arg("xtensa")
        .args(objects)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let wrong = text.lines().filter_map(|line| line.strip_prefix("wrong ")).map(str::to_owned);
    let counts = text.lines().last().and_then(|line| line.strip_prefix("literals ")).unwrap();
    (wrong.collect(), counts.split(' ').next().unwrap().parse().unwrap())
}

/// Two files as a native module may have them: tables of one name, their ends, and an offset.
const MODULE: [(&str, &str); 2] = [
    (
        "a.c",
        "static const int table[] = {1, 2, 3, 4, 5, 6, 7, 8};\nstatic const char name[] = \"first file's name\";\n\
        __attribute__((noinline)) static int sum(const int *from, const int *to) { int s = 0; while (from < to) { s += *from++; } return s; }\n\
        int other(int); const int *last(void);\n\
        int mpy_init(int i) { return table[i] + sum(table, table + 8) + name[i] + *(&table[5] + i) + other(i) + *last(); }\n",
    ),
    (
        "b.c",
        "static const int table[] = {10, 20, 30, 40};\nstatic const int *const ends[] = {0, 0};\n\
        int other(int i) { return table[i] + (ends[i] == 0); }\nconst int *last(void) { return table + 3; }\n",
    ),
];

#[test]
fn the_unmended_linker_links_rewritten_modules_right() {
    let (Some(tree), Some(python)) = (micropython(), python(&["elftools", "ar"])) else { return };
    if !require("xtensa-lx106-elf-gcc") {
        return;
    }
    let files = |edit: fn(&str) -> String| -> Files {
        MODULE.iter().map(|(name, text)| ((*name).to_owned(), edit(text).into_bytes())).collect()
    };
    let link = |directory: &Path| {
        compile(
            "xtensa-lx106-elf-gcc",
            &["-std=c99", "-Os", "-fpic", "-Wall", "-Werror"],
            directory,
        )
        .unwrap();
        linked(&python, &tree, directory)
    };
    let before = planted(&files(str::to_owned));
    let (wrong, _) = link(before.path());
    assert!(wrong.contains(&".rodata+0x0".to_owned()), "{wrong:?}");
    // What removing `static` would do, with the names made different by hand.
    let global = planted(&files(|text| {
        let file = if text.contains("mpy_init") { "table_a" } else { "table_b" };
        text.replace("static const", "const").replace("table", file)
    }));
    let (wrong, _) = link(global.path());
    assert!(wrong.contains(&"table_a+0x14".to_owned()), "{wrong:?}");
    let after = planted(&files(str::to_owned));
    assert_eq!(rewrite(after.path(), "natmod").len(), 4);
    let (wrong, right) = link(after.path());
    assert_eq!(wrong, Vec::<String>::new());
    assert!(right >= 8);
}
