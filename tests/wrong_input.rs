//! What wrong input gets, over all commands: the exit code that DESIGN gives to its kind, a message that names
//! what was found, what mends it, and a directory that is as it was.

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use common::micropython;

/// The kind of a mistake, by its exit code.
const USAGE: i32 = 2;
const INPUT: i32 = 3;

/// Words of a command line, its exit code, and what standard error says. `TREE` is a MicroPython tree.
type Row = (&'static str, i32, &'static [&'static str]);

#[rustfmt::skip]
const ROWS: &[Row] = &[
    ("", USAGE, &["Usage: micropython-builder"]),
    ("flahs", USAGE, &["unrecognized subcommand 'flahs'"]),
    ("hash --jsn text", USAGE, &["unexpected argument '--jsn'", "'--json'"]),
    ("hash text --color purple", USAGE, &["'purple'", "auto, always, never"]),

    ("boards", USAGE, &["--micropython"]),
    ("boards --micropython empty", INPUT, &["empty is not a MicroPython source tree", "source v1"]),
    ("boards --micropython nowhere", INPUT, &["'nowhere' is neither a directory nor a release", "v1.28.0"]),
    ("boards --micropython v9.9.9", INPUT, &["MicroPython v9.9.9 is not pinned", "near it: v1"]),
    ("boards --micropython TREE ESP32_GENERIC_C33", INPUT, &["\"ESP32_GENERIC_C33\"", "did you mean one of ESP32_GENERIC_C3,"]),
    ("boards --micropython TREE --port stm33", INPUT, &["no port \"stm33\"", "did you mean stm32"]),

    ("build VIRT_RV32", USAGE, &["--micropython"]),
    ("build VIRT_RV23 --micropython TREE --out new/out", INPUT, &["VIRT_RV23", "VIRT_RV32"]),
    ("build RPI_PICO --micropython TREE --out new/out", INPUT, &["port rp2 is not supported yet", "hint: "]),
    ("build VIRT_RV32 --micropython TREE", INPUT, &["requires \"unittest\"", "--micropython-lib DIR"]),
    ("build unix --micropython TREE --out text", INPUT, &["cannot write to text: not a directory"]),
    ("build unix --micropython TREE --out full", INPUT, &["full holds other files", "hint: "]),
    ("build unix --micropython TREE --out ..", INPUT, &[".. holds other files", "hint: "]),
    ("build unix --micropython TREE --jobs 0", USAGE, &["0 is not in 1.."]),
    ("build unix --micropython TREE --time-limit soon", USAGE, &["expected a number of seconds"]),
    ("build unix --micropython TREE --static-const maybe", USAGE, &["on, off"]),
    ("build unix --micropython TREE --variant minimall", INPUT, &["minimall", "minimal"]),
    ("build unix --micropython TREE --manifest nowhere.py", INPUT, &["manifest nowhere.py does not exist"]),
    ("build unix --micropython TREE --patch nowhere.patch", INPUT, &["nowhere.patch"]),
    ("build unix --micropython TREE --user-c-modules empty", INPUT, &["no user C module", "micropython.mk"]),
    ("build unix --micropython TREE --make-arg BUILD=x", USAGE, &["set by --out"]),
    ("build ESP32_GENERIC_C3 --micropython TREE", USAGE, &["none was given", "--idf DIR"]),
    ("build ESP32_GENERIC_C3 --micropython TREE --idf empty", INPUT, &["empty is no ESP-IDF tree"]),

    ("run nowhere", INPUT, &["nowhere is no firmware directory", "build --out DIR"]),
    ("run later", INPUT, &["schema 99, this version reads schema 1"]),
    ("run cut", INPUT, &["cut/firmware.json is no firmware record", "hint: "]),
    ("run later --timeout x", USAGE, &["expected a number of seconds"]),

    ("inspect nowhere", INPUT, &["cannot read nowhere"]),
    ("inspect empty", INPUT, &["empty is a directory, expected a file"]),
    ("inspect random", INPUT, &["of no kind that is known"]),
    ("inspect nothing", INPUT, &["it is empty"]),
    ("inspect --for nowhere random", INPUT, &["cannot open nowhere", "hint: "]),

    ("hash nowhere", INPUT, &["cannot read nowhere"]),
    ("source empty", INPUT, &["is not a MicroPython source tree"]),
    ("source v1.2.3", INPUT, &["not pinned", "hint: "]),
    ("doctor nothing", USAGE, &["'nothing'", "build-unix"]),
    ("completions tcsh", USAGE, &["bash"]),
    ("manual text/man", INPUT, &["cannot create text/man"]),

    ("image", USAGE, &["assemble"]),
    ("image show text", INPUT, &["text is no flash image", "inspect FILE"]),
    ("image split random -o new/parts", INPUT, &["random is no flash image"]),
    ("image assemble empty -o new.bin", INPUT, &["no ESP-IDF build directory", "hint: "]),
    ("image assemble --bootloader random -o new.bin", USAGE, &["BUILD_DIR"]),
    ("image table table.csv -o new.bin", INPUT, &["\"factory\" starts at 0x10001", "move it to 0x20000"]),

    ("lock --micropython old --target esp32c3 --out new", USAGE, &["does not say which ESP-IDF", "--idf-version"]),
    ("lock --micropython empty --target esp32 --out new", INPUT, &["cannot read empty/", "hint: "]),
    ("vendor --out new", USAGE, &["which components are wanted", "--lock FILE"]),
    ("vendor --lock text --out new", INPUT, &["text is not a lock file"]),
    ("vendor --lock nowhere --out new", INPUT, &["cannot read nowhere"]),
    ("vendor --pinned mdns --out new", USAGE, &["expected NAME@VERSION"]),
    ("vendor --pinned a/b@1.0.0 --out new", INPUT, &["a/b 1.0.0 is not pinned", "--write-pins"]),
    ("vendor --micropython old --target esp32 --out new", INPUT, &["has no lock files", "micropython-builder lock"]),

    ("natmod module --arch armv9 --out new", USAGE, &["'armv9'", "armv7m"]),
    ("natmod module --mpy-version 7 --out new", USAGE, &["'7'", "6.3"]),
    ("natmod module --toolchain arm --out new", USAGE, &["expected ARCH=PREFIX"]),
    ("natmod module --micropython empty --out new", INPUT, &["is not a MicroPython source tree"]),
    // Before anything is fetched for it.
    ("natmod nowhere --out new", INPUT, &["cannot open nowhere"]),
    ("natmod empty --mpy-version all --out new", INPUT, &["empty has no Makefile", "examples/natmod"]),
    ("natmod module --micropython TREE --arch x64 --out new/dist", INPUT, &["dynruntime.mk"]),
    ("natmod-link --micropython TREE --arch x65 -o new.mpy text", USAGE, &["no architecture x65"]),
    ("natmod-link --micropython TREE --arch x64 -o new.mpy text", INPUT, &["text is no ELF object file", "hint: "]),
    ("natmod-link --merge -o new.mpy text", INPUT, &["text is no .mpy file"]),

    ("flash", USAGE, &["FIRMWARE"]),
    ("flash nowhere", INPUT, &["cannot read nowhere"]),
    ("flash empty", INPUT, &["empty is no firmware directory", "build --out DIR"]),
    ("flash later --port /dev/null", INPUT, &["schema 99, this version reads schema 1"]),
    ("flash text --port /dev/null", INPUT, &["does not begin with an image header", "inspect FILE"]),
    ("flash random --app-only --erase", USAGE, &["cannot be used with '--erase'"]),
    ("flash random --baud fast", USAGE, &["invalid digit"]),
    ("flash random --smoke nowhere.py", INPUT, &["cannot read nowhere.py"]),

    ("rewrite", USAGE, &["PATH"]),
    ("rewrite nowhere", INPUT, &["cannot read nowhere"]),
];

/// What the rows name.
fn furnish(place: &Path) {
    for directory in ["empty", "full", "later", "cut", "module", "old/ports/esp32/main"] {
        fs::create_dir_all(place.join(directory)).unwrap();
    }
    for (name, text) in [
        ("text", "only text\n"),
        ("nothing", ""),
        ("full/thesis.txt", "years of work"),
        ("later/firmware.json", "{\"schema\": 99}"),
        ("cut/firmware.json", "{"),
        ("module/Makefile", "all:\n"),
        ("old/ports/esp32/main/idf_component.yml", "dependencies:\n  idf: \">=5.0\"\n"),
        ("table.csv", "# Name, Type, SubType, Offset, Size\nfactory, app, factory, 0x10001, 1M\n"),
    ] {
        fs::write(place.join(name), text).unwrap();
    }
    let noise: Vec<u8> =
        (0..3000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    fs::write(place.join("random"), noise).unwrap();
}

/// A fault of the program is 1, and a panic 101: neither is an answer to any of these.
#[test]
fn wrong_input_is_named_and_leaves_nothing_behind() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("place");
    fs::create_dir(&place).unwrap();
    furnish(&place);
    let program = env!("CARGO_BIN_EXE_micropython-builder");
    let hash = || {
        let output = Command::new(program).arg("hash").arg(&place).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let before = hash();
    let mut wrong = Vec::new();
    for (line, code, words) in ROWS {
        let mut command = Command::new(program);
        for word in line.split_whitespace() {
            if word == "TREE" {
                command.arg(&tree)
            } else {
                command.arg(word)
            };
        }
        let output = command.current_dir(&place).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        let missing: Vec<_> = words.iter().filter(|word| !text.contains(**word)).collect();
        if output.status.code() != Some(*code) || !missing.is_empty() {
            wrong.push(format!(
                "$ {line}\n{text}{}, expected {code}; not said: {missing:?}",
                output.status
            ));
        }
        if hash() != before {
            let left = fs::read_dir(&place).unwrap().map(|entry| entry.unwrap().file_name());
            panic!("`{line}` changed the directory: {:?}", left.collect::<Vec<_>>());
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), ROWS.len(), wrong.join("\n\n"));
}
