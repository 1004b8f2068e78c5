//! `build`: real firmware from real MicroPython, and what bad input gets.

#[path = "common/building.rs"]
mod building;
mod common;

use std::fs;
use std::path::Path;

use building::{MINIMAL, WITHOUT_SUBMODULES, build, build_hello, hash, record};
use common::command::{fail, mpb, names_in, repository, succeed};
use common::{micropython, require};
use serde_json::Value;

/// Boots a firmware with the example's frozen module, which calls the example's C module, and reads both back.
fn boot_and_ask(out: &Path, board: &str) {
    let mut run = mpb();
    run.arg("run").arg(out).arg("--script").arg(repository("examples/hello/ask.py"));
    let answer = succeed(run);
    assert!(answer.contains("built by micropython-builder"), "{answer}");
    assert!(answer.contains("[0, 1, 3, 6, 10, 15, 21, 28, 36, 45]"), "{answer}");
    let record = record(out);
    assert_eq!(record["board"], board);
    assert_eq!(record["frozen_modules"], serde_json::json!(["hello.py"]));
    assert_eq!(record["user_c_modules"][0]["name"], "triangle");
}

#[test]
fn an_arm_board_is_built_and_answers() {
    if !require("arm-none-eabi-gcc") || !require("qemu-system-arm") {
        return;
    }
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    succeed(build_hello("MPS2_AN385", &tree, &out, &[]));
    boot_and_ask(&out, "MPS2_AN385");
}

#[test]
fn a_riscv_board_answers_and_its_symbols_go_where_they_are_asked_for() {
    if !require("riscv64-unknown-elf-gcc") || !require("qemu-system-riscv32") {
        return;
    }
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let (out, symbols) = (directory.path().join("out"), directory.path().join("symbols"));
    let more = ["--symbols", symbols.to_str().unwrap()];
    succeed(build_hello("VIRT_RV32", &tree, &out, &more));
    boot_and_ask(&out, "VIRT_RV32");
    // What an emulator boots stays where it is looked for, and symbols are not in the record.
    assert_eq!(names_in(&out), ["firmware.elf", "firmware.json"]);
    assert_eq!(names_in(&symbols), ["firmware.map"]);
    assert_eq!(record(&out)["files"].as_array().unwrap().len(), 1);
    fs::write(symbols.join("notes.txt"), "mine").unwrap();
    let command = build_hello("VIRT_RV32", &tree, &out, &more);
    fail(command, 3, &["holds other files than ELF files and maps", "--symbols"]);
    assert_eq!(names_in(&symbols), ["firmware.map", "notes.txt"]);
}

#[test]
fn the_unix_port_has_the_same_bytes_from_two_places_and_answers() {
    if !require("pkg-config") {
        return;
    }
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let before = hash(&tree);
    let one = directory.path().join("one");
    let two = directory.path().join("an öther place/it's $two");
    fs::create_dir_all(two.parent().unwrap()).unwrap();
    succeed(build_hello("unix", &tree, &one, &WITHOUT_SUBMODULES));
    succeed(build_hello("unix", &tree, &two, &WITHOUT_SUBMODULES));
    assert_eq!(hash(&one), hash(&two));
    assert_eq!(hash(&tree), before, "the source tree was written to");
    assert_eq!(names_in(directory.path()), ["an öther place", "one"]);
    boot_and_ask(&two, "unix");
}

#[test]
fn a_firmware_is_replaced_and_the_build_directory_kept_on_request() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let minimal = |more: &[&str]| {
        let mut command = build("unix", &tree, &out, more);
        command.args(MINIMAL);
        command
    };
    succeed(minimal(&[]));
    assert_eq!(names_in(&out), ["firmware.json", "micropython", "micropython.map"]);
    let printed = succeed(minimal(&["--keep-build", "--json"]));
    let printed: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(printed, record(&out));
    assert_eq!(names_in(directory.path()), ["out", "out.build"]);
    assert!(directory.path().join("out.build/build/micropython").is_file());
}

#[test]
fn submodules_that_the_tree_lacks_are_taken_from_where_they_are_given() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let given = directory.path().join("berkeley-db");
    let header = given.join("include/berkeley-db/db.h");
    fs::create_dir_all(header.parent().unwrap()).unwrap();
    let option = |path: &str, place: &Path| format!("{path}={}", place.display());
    let build = |option: &str| {
        let mut more = vec!["--submodule", option];
        // Of the three, only the one that is given is built in.
        more.extend(WITHOUT_SUBMODULES.iter().filter(|it| **it != "MICROPY_PY_BTREE=0"));
        more.remove(more.iter().position(|it| *it == "--make-arg").unwrap());
        build_hello("unix", &tree, &out, &more)
    };
    let path = "lib/berkeley-db-1.xx";
    fs::write(header, "#error this is the one that was given\n").unwrap();
    fail(build(&option(path, &given)), 4, &["this is the one that was given"]);

    let empty = directory.path().join("empty");
    fs::create_dir(&empty).unwrap();
    for (given, code, words) in [
        (option(path, &empty), 3, ["is empty", "give a checkout"]),
        (option(path, Path::new("/nowhere")), 3, ["/nowhere", path]),
        (option("lib/nothing", &empty), 3, ["has no submodule lib/nothing", "lib/mbedtls"]),
        (path.to_owned(), 2, ["expected PATH=DIR", "--submodule"]),
    ] {
        fail(build(&given), code, &words);
    }
    assert!(!out.exists());
}

#[test]
fn builds_with_makefiles_are_neither_saved_nor_begun_with_saved_ones() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    for option in ["--save-build", "--from-build"] {
        let command = build_hello("VIRT_RV32", &tree, &out, &[option, "build.tar.zst"]);
        fail(command, 2, &["of the port qemu can be neither saved", "leave --save-build"]);
    }
}

#[test]
fn a_patch_changes_the_firmware_and_is_recorded() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let patch = directory.path().join("banner.patch");
    let source =
        fs::read_to_string(tree.join("ports/unix/variants/minimal/mpconfigvariant.h")).unwrap();
    let lines = source.lines().count();
    let last = source.lines().last().unwrap();
    fs::write(
        &patch,
        format!(
            "--- a/ports/unix/variants/minimal/mpconfigvariant.h\n+++ b/ports/unix/variants/minimal/mpconfigvariant.h\n\
             @@ -{lines},1 +{lines},2 @@\n {last}\n+#define MICROPY_PLATFORM_VERSION_PATCHED (1)\n"
        ),
    )
    .unwrap();
    let out = directory.path().join("out");
    let mut command = build("unix", &tree, &out, &MINIMAL);
    command.args(["--keep-build", "--patch"]).arg(&patch);
    succeed(command);
    assert_eq!(record(&out)["patches"][0]["name"], "banner.patch");
    let patched = directory
        .path()
        .join("out.build/micropython/ports/unix/variants/minimal/mpconfigvariant.h");
    assert!(fs::read_to_string(patched).unwrap().contains("PATCHED"));
    assert_eq!(
        fs::read_to_string(tree.join("ports/unix/variants/minimal/mpconfigvariant.h")).unwrap(),
        source
    );
}

#[test]
fn bad_input_is_refused_with_what_mends_it() {
    let Some(tree) = micropython() else { return };
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path();
    let out = place.join("out");
    let file = |name: &str, text: &str| -> String {
        fs::write(place.join(name), text).unwrap();
        place.join(name).to_str().unwrap().to_owned()
    };
    fs::create_dir(place.join("empty")).unwrap();
    let empty = place.join("empty").to_str().unwrap().to_owned();
    let manifest = file("fine.py", "");
    let go = |more: &[&str]| build("unix", &tree, &out, more);

    fail(
        build("unix", &place.join("empty"), &out, &[]),
        3,
        &["is not a MicroPython source tree", "hint:"],
    );
    fail(build("unix", &place.join("nowhere"), &out, &[]), 3, &["nowhere", "hint:"]);
    fail(build("VIRT_RV23", &tree, &out, &[]), 3, &["VIRT_RV23", "VIRT_RV32"]);
    fail(go(&["--variant", "minimall"]), 3, &["minimall", "minimal"]);
    fail(build("PYBV11", &tree, &out, &[]), 3, &["port stm32 is not supported yet"]);
    fail(go(&["--manifest", "nowhere.py"]), 3, &["the manifest nowhere.py does not exist"]);
    let requires = file("requires.py", "require('unittest')");
    fail(
        build("VIRT_RV32", &tree, &out, &["--manifest", &requires]),
        3,
        &["requires \"unittest\" of micropython-lib", "--micropython-lib DIR"],
    );
    let broken = file("broken.py", "freeze(");
    fail(
        build("VIRT_RV32", &tree, &out, &["--manifest", &broken]),
        3,
        &["the frozen manifest cannot be used", "broken.py"],
    );
    fail(go(&["--micropython-lib", &empty]), 3, &["is no micropython-lib"]);
    fail(go(&["--user-c-modules", &empty]), 3, &["holds no user C module", "micropython.mk"]);
    fail(go(&["--patch", "nowhere.patch"]), 3, &["nowhere.patch"]);
    let stale =
        file("stale.patch", "--- a/py/obj.c\n+++ b/py/obj.c\n@@ -1,1 +1,1 @@\n-no such line\n+x\n");
    fail(go(&["--patch", &stale]), 3, &["stale.patch does not apply", "hint:"]);
    fail(
        go(&["--manifest", &manifest]),
        3,
        &["lib/berkeley-db-1.xx", "--make-arg MICROPY_PY_BTREE=0"],
    );
    fail(go(&["--make-arg", "BOARD"]), 2, &["not of the form NAME=VALUE"]);
    fail(go(&["--make-arg", "BUILD=x"]), 2, &["set by --out"]);
    fail(go(&["--time-limit", "soon"]), 2, &["--time-limit"]);

    fs::create_dir(&out).unwrap();
    fs::write(out.join("thesis.txt"), "years of work").unwrap();
    fail(go(&["--manifest", &manifest]), 3, &["holds other files", "hint:"]);
    assert_eq!(names_in(&out), ["thesis.txt"]);
    assert_eq!(
        names_in(place),
        ["broken.py", "empty", "fine.py", "out", "requires.py", "stale.patch"],
        "something was left behind"
    );
}
