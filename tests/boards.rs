//! `boards`: against the files of a real tree, and on trees that are wrong.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::*;
use serde_json::Value;

fn boards(tree: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
    command.env_remove("MICROPYTHON").args(["boards", "--micropython"]).arg(tree);
    command
}

fn json(command: &mut Command) -> Value {
    let output = command.arg("--json").assert().success().get_output().stdout.clone();
    let value: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(value["schema"], 1);
    value
}

fn board<'a>(catalogue: &'a Value, port: &str, name: &str) -> &'a Value {
    let boards = catalogue["boards"].as_array().unwrap();
    boards
        .iter()
        .find(|board| board["port"] == port && board["name"] == name)
        .unwrap_or_else(|| panic!("no {port} {name}"))
}

fn variant_names(board: &Value) -> Vec<&str> {
    let variants = board["variants"].as_array().unwrap();
    variants.iter().filter_map(|variant| variant["name"].as_str()).collect()
}

fn names(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

/// Directories `ports/*/boards/*`, with port and name.
fn board_directories(tree: &Path) -> Vec<(String, String, PathBuf)> {
    let mut found = Vec::new();
    for port in names(&tree.join("ports")) {
        let boards = tree.join("ports").join(&port).join("boards");
        for name in names(&boards) {
            let directory = boards.join(&name);
            if directory.is_dir() {
                found.push((port.clone(), name, directory));
            }
        }
    }
    found
}

#[test]
fn every_board_and_variant_of_the_tree_is_listed() {
    let Some(tree) = common::micropython() else { return };
    let catalogue = json(&mut boards(&tree));
    let mut expected: BTreeMap<(String, String), BTreeSet<String>> = BTreeMap::new();
    for (port, name, directory) in board_directories(&tree) {
        let files = names(&directory);
        let is_board =
            files.iter().any(|file| file == "board.json" || file.starts_with("mpconfigboard."));
        if is_board && port != "zephyr" {
            let variants = files.iter().filter_map(|file| file.strip_prefix("mpconfigvariant_"));
            let variants = variants.filter_map(|file| Some(file.split_once('.')?.0.to_owned()));
            expected.insert((port, name), variants.collect());
        }
    }
    for file in names(&tree.join("ports/zephyr/boards")) {
        if let Some(name) = file.strip_suffix(".conf") {
            expected.insert(("zephyr".to_owned(), name.to_owned()), BTreeSet::new());
        }
    }
    for port in ["unix", "windows", "webassembly"] {
        let directory = tree.join("ports").join(port).join("variants");
        let variants = names(&directory).into_iter().filter(|name| directory.join(name).is_dir());
        expected.insert((port.to_owned(), port.to_owned()), variants.collect());
    }
    for port in ["minimal", "bare-arm", "powerpc", "pic16bit"] {
        expected.insert((port.to_owned(), port.to_owned()), BTreeSet::new());
    }
    let found: BTreeMap<(String, String), BTreeSet<String>> = catalogue["boards"]
        .as_array()
        .unwrap()
        .iter()
        .map(|board| {
            let text = |key: &str| board[key].as_str().unwrap().to_owned();
            let variants = variant_names(board).into_iter().map(str::to_owned).collect();
            ((text("port"), text("name")), variants)
        })
        .collect();
    assert!(expected.len() > 200, "{} boards are too few for a whole tree", expected.len());
    assert_eq!(found, expected);
    let ports: BTreeSet<&str> = catalogue["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["name"].as_str().unwrap())
        .collect();
    let directories = names(&tree.join("ports"));
    assert_eq!(ports, directories.iter().map(String::as_str).collect());
    assert_eq!(catalogue["warnings"], Value::Array(Vec::new()));
}

#[test]
fn what_board_json_says_is_passed_on() {
    let Some(tree) = common::micropython() else { return };
    let catalogue = json(&mut boards(&tree));
    let mut compared = 0;
    for (port, name, directory) in board_directories(&tree) {
        let Ok(text) = fs::read(directory.join("board.json")) else { continue };
        let upstream: Value = serde_json::from_slice(&text).unwrap();
        let ours = board(&catalogue, &port, &name);
        for key in ["mcu", "product", "vendor", "url", "docs", "thumbnail"] {
            let text = upstream[key].as_str().map(str::trim).filter(|text| !text.is_empty());
            assert_eq!(ours[key].as_str(), text, "{port} {name} {key}");
        }
        for key in ["features", "images"] {
            assert_eq!(ours[key], upstream[key], "{port} {name} {key}");
        }
        for variant in ours["variants"].as_array().unwrap() {
            let described =
                variant["name"].as_str().and_then(|name| upstream["variants"][name].as_str());
            assert_eq!(variant["description"].as_str(), described, "{port} {name}");
        }
        for page in ours["flashing"].as_array().unwrap() {
            assert!(tree.join(page.as_str().unwrap()).is_file(), "{port} {name} {page}");
        }
        assert_eq!(
            ours["flashing"].as_array().unwrap().len(),
            upstream["deploy"].as_array().unwrap().len()
        );
        compared += 1;
    }
    assert!(compared > 150, "{compared}");
}

/// The flash sizes of the esp32 port, by a reading of its own: all configuration files that the
/// text of the CMake files names, one after another.
#[test]
fn flash_sizes_of_esp32_boards_follow_their_configuration() {
    let Some(tree) = common::micropython() else { return };
    let port = tree.join("ports/esp32");
    let named_files = |text: &str, directory: &str| -> Vec<PathBuf> {
        text.split(|c: char| c.is_whitespace() || c == ')')
            .map(|word| word.replace("${MICROPY_BOARD_DIR}", directory))
            .filter(|word| word.contains("/sdkconfig."))
            .map(|word| port.join(word))
            .collect()
    };
    let mut sizes = BTreeSet::new();
    for ours in json(boards(&tree).args(["--port", "esp32"]))["boards"].as_array().unwrap() {
        let directory = format!("boards/{}", ours["name"].as_str().unwrap());
        let read = |file: &str| fs::read_to_string(port.join(&directory).join(file));
        let base = named_files(&read("mpconfigboard.cmake").unwrap(), &directory);
        for variant in ours["variants"].as_array().unwrap() {
            let mut files = base.clone();
            if let Some(name) = variant["name"].as_str() {
                let text = read(&format!("mpconfigvariant_{name}.cmake")).unwrap();
                files.extend(named_files(&text, &directory));
            }
            let text: String = files.iter().map(|file| fs::read_to_string(file).unwrap()).collect();
            let (before, _) = text.rsplit_once("MB=y").unwrap();
            let megabytes: u64 = before.rsplit_once('_').unwrap().1.parse().unwrap();
            assert_eq!(variant["flash_size"], megabytes << 20, "{directory} {variant}");
            sizes.insert(megabytes);
        }
    }
    assert!(sizes.len() > 2, "{sizes:?}");
}

/// What make itself finds in the makefiles, on a copy: it makes directories as it reads them.
#[test]
fn what_is_read_from_makefiles_is_what_make_reads() {
    let Some(tree) = common::micropython() else { return };
    if !common::require("make") || !common::require("cp") {
        return;
    }
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("ports")).unwrap();
    for (directory, target) in [
        ("py", "py"),
        ("extmod", "extmod"),
        ("tools", "tools"),
        ("lib", "lib"),
        ("mpy-cross", "mpy-cross"),
        ("ports/mimxrt", "ports/mimxrt"),
        ("ports/qemu", "ports/qemu"),
        ("ports/unix", "ports/unix"),
    ] {
        let status = std::process::Command::new("cp")
            .arg("-r")
            .args([tree.join(directory), copy.path().join(target)])
            .status()
            .unwrap();
        assert!(status.success());
    }
    let make = |port: &str, board: &str, show: &str| -> String {
        let output = std::process::Command::new("make")
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .args(["-s", "-C"])
            .arg(copy.path().join("ports").join(port))
            .arg(format!("BOARD={board}"))
            .arg(format!("--eval=show-it:;@echo 'shown:{show}'"))
            .arg("show-it")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let shown = text.lines().find_map(|line| line.strip_prefix("shown:"));
        shown.unwrap_or_else(|| panic!("{port} {board}: {output:?}")).to_owned()
    };
    let catalogue = json(&mut boards(copy.path()));
    let mut compared = 0;
    for ours in catalogue["boards"].as_array().unwrap() {
        let name = ours["name"].as_str().unwrap();
        match ours["port"].as_str().unwrap() {
            "mimxrt" => {
                let size = make("mimxrt", name, "$(MICROPY_HW_FLASH_SIZE)");
                let size = u64::from_str_radix(size.trim().trim_start_matches("0x"), 16).unwrap();
                assert_eq!(ours["variants"][0]["flash_size"], size, "{name}");
            }
            "qemu" => {
                let machine = make("qemu", name, "$(QEMU_ARCH) $(QEMU_MACHINE)");
                let ours = &ours["machine"];
                let found = format!(
                    "{} {}",
                    ours["architecture"].as_str().unwrap(),
                    ours["name"].as_str().unwrap()
                );
                assert_eq!(found, machine, "{name}");
            }
            _ => {
                let default = make("unix", "", "$(VARIANT)");
                assert_eq!(ours["variants"][0]["name"], default.as_str());
                assert_eq!(ours["variants"][0]["default"], true);
            }
        }
        compared += 1;
    }
    assert!(compared > 15, "{compared}");
}

#[test]
fn well_known_boards_are_what_they_are() {
    let Some(tree) = common::micropython() else { return };
    let catalogue = json(&mut boards(&tree));
    let generic = board(&catalogue, "esp32", "ESP32_GENERIC");
    assert_eq!(generic["mcu"], "esp32");
    let variants: BTreeSet<&str> = variant_names(generic).into_iter().collect();
    assert!(variants.is_superset(&BTreeSet::from(["D2WD", "OTA", "SPIRAM", "UNICORE"])));
    assert_eq!(generic["variants"][0]["name"], Value::Null);
    assert_eq!(generic["variants"][0]["default"], true);
    let virt = board(&catalogue, "qemu", "VIRT_RV32");
    assert_eq!(virt["machine"]["architecture"], "riscv32");
    assert_eq!(virt["variants"].as_array().unwrap().len(), 1);
    let unix = board(&catalogue, "unix", "unix");
    assert_eq!(variant_names(unix)[0], "standard");
}

#[test]
fn one_board_is_shown_and_a_port_narrows_the_list() {
    let Some(tree) = common::micropython() else { return };
    boards(&tree)
        .arg("ESP32_GENERIC")
        .assert()
        .success()
        .stdout(predicate::str::starts_with("ESP32_GENERIC (esp32)\n"))
        .stdout(predicate::str::contains("D2WD"))
        .stdout(predicate::str::contains("ports/esp32/boards/deploy.md"))
        .stderr("");
    let microbit = json(boards(&tree).args(["MICROBIT", "--port", "nrf"]));
    assert_eq!(microbit["boards"].as_array().unwrap().len(), 1);
    assert_eq!(microbit["ports"].as_array().unwrap().len(), 1);
    let qemu = boards(&tree).args(["--port", "qemu"]).assert().success().get_output().clone();
    let lines: Vec<String> =
        String::from_utf8(qemu.stdout).unwrap().lines().map(str::to_owned).collect();
    assert!(lines[0].starts_with("PORT  BOARD"), "{lines:?}");
    assert!(lines[1..].iter().all(|line| line.starts_with("qemu  ")), "{lines:?}");
    let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
    command.env("MICROPYTHON", &tree).args(["boards", "VIRT_RV32"]).assert().success();
}

#[test]
fn unknown_names_get_the_nearest() {
    let Some(tree) = common::micropython() else { return };
    let fails = |arguments: &[&str], message: &str, hint: &str| {
        boards(&tree)
            .args(arguments)
            .assert()
            .code(3)
            .stdout("")
            .stderr(predicate::str::contains(message))
            .stderr(predicate::str::contains(hint));
    };
    fails(&["esp32-generic"], "there is no board \"esp32-generic\"", "did you mean ESP32_GENERIC?");
    fails(&["VIRT_RV31"], "there is no board", "VIRT_RV32");
    fails(&["MICROBIT"], "in more than one port: nrf, qemu", "add `--port nrf` or `--port qemu`");
    fails(&["MICROBIT", "--port", "esp32"], "in the port esp32", "`--port nrf`");
    fails(&["--port", "esp23"], "there is no port \"esp23\"", "did you mean");
    fails(&["ESP32_GENERIC-OTA"], "there is no board", "`ESP32_GENERIC --variant OTA`");
}

/// A tree with one port and the boards GOOD and BAD.
fn small_tree(top: &Path) {
    let port = top.join("ports/port");
    fs::create_dir_all(top.join("py")).unwrap();
    fs::create_dir_all(top.join("mpy-cross")).unwrap();
    fs::write(top.join("py/mpconfig.h"), "#define MICROPY_VERSION_MAJOR 1\n").unwrap();
    for name in ["GOOD", "BAD", "no-board"] {
        fs::create_dir_all(port.join("boards").join(name)).unwrap();
    }
    fs::write(port.join("Makefile"), "BOARD ?= GOOD\ninclude boards/$(BOARD)/mpconfigboard.mk\n")
        .unwrap();
    fs::write(port.join("boards/GOOD/board.json"), "{\"mcu\": \"m\", \"deploy\": [\"gone.md\"]}")
        .unwrap();
    fs::write(port.join("boards/BAD/board.json"), "{\"mcu\": \"m\",\n}").unwrap();
    fs::write(port.join("boards/BAD/mpconfigboard.mk"), "MICROPY_HW_FLASH_SIZE = 0x100000\n")
        .unwrap();
}

#[test]
fn a_malformed_file_is_named_and_hides_nothing() {
    let top = tempfile::tempdir().unwrap();
    small_tree(top.path());
    let output = boards(top.path()).arg("--json").assert().success().get_output().clone();
    let catalogue: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(catalogue["boards"].as_array().unwrap().len(), 2);
    assert_eq!(board(&catalogue, "port", "GOOD")["mcu"], "m");
    let bad = board(&catalogue, "port", "BAD");
    assert_eq!(bad["mcu"], Value::Null);
    assert_eq!(bad["variants"][0]["flash_size"], 1 << 20);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("ports/port/boards/BAD/board.json is malformed: "), "{stderr}");
    assert!(stderr.contains("line 2 column 1"), "{stderr}");
    assert!(stderr.contains("gone.md, which is not there"), "{stderr}");
    assert_eq!(catalogue["warnings"].as_array().unwrap().len(), 2);
    boards(top.path()).arg("GOOD").assert().stderr(predicate::str::contains("malformed").not());
}

#[test]
fn a_tree_may_have_any_name() {
    let top = tempfile::tempdir().unwrap();
    let tree = top.path().join(OsStr::from_bytes(b"a b \xff;\xc3\xa9"));
    small_tree(&tree);
    boards(&tree).assert().success().stdout(predicate::str::contains("GOOD"));
    json(&mut boards(&tree));
}

#[test]
fn what_is_no_tree_is_refused() {
    let top = tempfile::tempdir().unwrap();
    let refused = |path: &Path, message: &str, hint: &str| {
        boards(path)
            .assert()
            .code(3)
            .stdout("")
            .stderr(predicate::str::contains(message))
            .stderr(predicate::str::contains(format!("hint: {hint}")));
    };
    refused(top.path(), "is not a MicroPython source tree", "give the directory that holds py/");
    refused(&top.path().join("missing"), "there is no directory", "name a directory");
    fs::write(top.path().join("file"), "").unwrap();
    refused(&top.path().join("file"), "is a file", "name a directory");
    small_tree(&top.path().join("micropython-1.0"));
    let inner = top.path().join("micropython-1.0");
    refused(top.path(), "is not a MicroPython source tree", &format!("{} is one", inner.display()));
    refused(&inner.join("ports/port"), "are missing", &format!("{} is one", inner.display()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
    command.env_remove("MICROPYTHON").arg("boards").assert().code(2);
}
