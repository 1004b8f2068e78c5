//! `doctor`: with tools that are made up, and with those of this machine.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::*;
use serde_json::Value;

/// A directory of made-up tools, which is all of PATH.
struct Tools {
    _top: tempfile::TempDir,
    path: PathBuf,
}

impl Tools {
    fn new() -> Tools {
        let top = tempfile::tempdir().unwrap();
        let path = top.path().join(OsStr::from_bytes(b"some \xff tools"));
        fs::create_dir(&path).unwrap();
        Tools { _top: top, path }
    }

    fn add(&self, name: &str, script: &str) -> &Tools {
        write(&self.path.join(name), script, 0o755);
        self
    }

    /// Tools that only say a version.
    fn saying(&self, versions: &[(&str, &str)]) -> &Tools {
        for (name, version) in versions {
            self.add(name, &format!("echo '{version}'"));
        }
        self
    }

    fn doctor(&self, capabilities: &[&str]) -> Command {
        doctor(self.path.as_os_str(), capabilities)
    }
}

fn write(path: &Path, script: &str, mode: u32) {
    fs::write(path, format!("#!/bin/sh\n{script}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn doctor(path: &OsStr, capabilities: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
    command.env("PATH", path).arg("doctor").args(capabilities);
    command
}

fn json(command: &mut Command, code: i32) -> Value {
    let output = command.arg("--json").assert().code(code).stderr("").get_output().stdout.clone();
    let value: Value = serde_json::from_slice(&output).unwrap();
    assert_eq!(value["schema"], 1);
    assert_eq!(value["complete"], code == 0);
    value
}

fn tools(diagnosis: &Value) -> Vec<&Value> {
    let capabilities = diagnosis["capabilities"].as_array().unwrap();
    capabilities.iter().flat_map(|capability| capability["tools"].as_array().unwrap()).collect()
}

fn tool<'a>(diagnosis: &'a Value, name: &str) -> &'a Value {
    tools(diagnosis)
        .into_iter()
        .find(|tool| tool["name"] == name)
        .unwrap_or_else(|| panic!("no {name}"))
}

const EMULATORS: [(&str, &str); 3] = [
    ("qemu-system-arm", "QEMU emulator version 9.1.0 (Some 1:9.1+x)"),
    ("qemu-system-riscv32", "QEMU emulator version 9.1.1"),
    ("qemu-system-riscv64", "QEMU emulator version 9.1.2"),
];

#[test]
fn nothing_is_missing_when_all_tools_are_there() {
    let tools = Tools::new();
    tools.saying(&EMULATORS);
    let diagnosis = json(&mut tools.doctor(&["run"]), 0);
    assert_eq!(diagnosis["install"], Value::Null);
    assert_eq!(tool(&diagnosis, "qemu-system-arm")["version"], "9.1.0");
    assert_eq!(tool(&diagnosis, "qemu-system-riscv64")["version"], "9.1.2");
    tools
        .doctor(&["run"])
        .assert()
        .success()
        .stdout(predicate::str::contains("run: run firmware in an emulator, ready\n"))
        .stdout(predicate::str::ends_with("everything is there\n"));
}

#[test]
fn one_command_installs_everything_that_is_missing() {
    let tools = Tools::new();
    tools.saying(&EMULATORS[..1]).saying(&[("make", "GNU Make 4.3")]);
    let mut doctor = tools.doctor(&["run", "patch", "build-unix"]);
    let diagnosis = json(&mut doctor, 3);
    assert_eq!(tool(&diagnosis, "make")["status"], "ok");
    let install = diagnosis["install"].as_str().unwrap_or_default();
    let mut missing = 0;
    for tool in self::tools(&diagnosis) {
        let words = || install.split_whitespace();
        match (tool["status"].as_str().unwrap(), tool["package"].as_str()) {
            ("missing", Some(package)) => {
                assert_eq!(words().filter(|word| *word == package).count(), 1, "{install}");
                missing += 1;
            }
            ("missing", None) => {
                assert!(diagnosis["without_package"].as_array().unwrap().contains(&tool["name"]));
                missing += 1;
            }
            (_, package) => assert!(package.is_none_or(|package| !words().any(|w| w == package))),
        }
    }
    assert_eq!(missing, 2 + 1 + 6);
    let text = tools.doctor(&["run", "patch"]).assert().code(3).get_output().stdout.clone();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("patch: apply patches to MicroPython, not ready\n"), "{text}");
    assert!(text.contains("qemu-system-riscv64  missing  emulates 64-bit"), "{text}");
}

#[test]
fn an_old_version_and_a_tool_that_fails_do_not_serve() {
    let tools = Tools::new();
    tools
        .saying(&[("python3", "Python 3.2.6"), ("make", "GNU Make 4.3"), ("bash", "bash 5.0")])
        .add("gcc", "echo 'cannot load a library' >&2; exit 127");
    write(&tools.path.join("pkg-config"), "echo 1.0", 0o644);
    fs::create_dir(tools.path.join("patch")).unwrap();
    let diagnosis = json(&mut tools.doctor(&["build-unix", "patch"]), 3);
    let python = tool(&diagnosis, "python3");
    assert_eq!((&python["status"], &python["version"]), (&"too-old".into(), &"3.2.6".into()));
    assert_eq!(python["minimum"], "3.3");
    let gcc = tool(&diagnosis, "gcc");
    assert_eq!(
        (&gcc["status"], &gcc["reason"]),
        (&"broken".into(), &"cannot load a library".into())
    );
    assert_eq!(diagnosis["broken"], serde_json::json!(["gcc", "libc"]));
    assert_eq!(tool(&diagnosis, "pkg-config")["status"], "missing");
    assert_eq!(tool(&diagnosis, "patch")["status"], "missing");
    assert_eq!(tool(&diagnosis, "libffi")["needs"], "pkg-config");
    tools
        .doctor(&["build-unix"])
        .assert()
        .code(3)
        .stdout(predicate::str::contains("3.2.6 is too old"))
        .stdout(predicate::str::contains("3.3 or later is needed"))
        .stdout(predicate::str::contains("cannot load a library"))
        .stdout(predicate::str::contains("repair, or take off PATH: gcc, libc\n"));
}

/// A compiler that has picolibc's specs file or not, and that finds headers when `finds` says so.
fn compiler(specs: &str, finds: &str) -> String {
    format!(
        "case \"$*\" in
*--version*) echo 'riscv64-unknown-elf-gcc () 13.2.0';;
*--print-file-name=picolibc.specs*) echo '{specs}';;
*-E*) {finds};;
*) exit 1;;
esac"
    )
}

#[test]
fn c_libraries_are_asked_of_their_compiler() {
    let library = |script: &str| {
        let tools = Tools::new();
        tools.add("riscv64-unknown-elf-gcc", script);
        let diagnosis = json(&mut tools.doctor(&["build-qemu-riscv"]), 3);
        tool(&diagnosis, "libc-riscv").clone()
    };
    let picolibc = "case \"$*\" in
    *--specs=/lib/picolibc.specs*) echo '#define _NEWLIB_VERSION \"4.1.0\"'; echo '#define __PICOLIBC_VERSION__ \"1.8\"';;
    *) exit 1;;
esac";
    let found = library(&compiler("/lib/picolibc.specs", picolibc));
    assert_eq!((&found["status"], &found["version"]), (&"ok".into(), &"picolibc 1.8".into()));
    let newlib =
        "case \"$*\" in *specs=*) exit 1;; *) echo '#define _NEWLIB_VERSION \"4.4.0\"';; esac";
    let found = library(&compiler("picolibc.specs", newlib));
    assert_eq!((&found["status"], &found["version"]), (&"ok".into(), &"newlib 4.4.0".into()));
    let none =
        "echo '<command-line>: fatal error: string.h: No such file or directory' >&2; exit 1";
    let found = library(&compiler("picolibc.specs", none));
    assert_eq!((&found["status"], &found["needs"]), (&"missing".into(), &Value::Null));
    let broken = "echo 'cc1: not found' >&2; exit 1";
    let found = library(&compiler("picolibc.specs", broken));
    assert_eq!((&found["status"], &found["reason"]), (&"broken".into(), &"cc1: not found".into()));
}

/// What this machine's tools say of themselves is what is reported.
#[test]
fn the_tools_of_this_machine_are_found() {
    let tools =
        ["make", "gcc", "patch", "qemu-system-arm", "riscv64-unknown-elf-gcc", "arm-none-eabi-gcc"];
    if !tools.iter().all(|tool| common::require(tool)) {
        return;
    }
    let path: OsString = std::env::var_os("PATH").unwrap();
    let mut doctor = doctor(&path, &["build-qemu-arm", "build-qemu-riscv", "run", "patch"]);
    let output = doctor.arg("--json").output().unwrap();
    let diagnosis: Value = serde_json::from_slice(&output.stdout).unwrap();
    for name in tools {
        let found = tool(&diagnosis, name);
        assert_eq!(found["status"], "ok", "{found}");
        let program = std::process::Command::new(found["path"].as_str().unwrap())
            .arg("--version")
            .output()
            .unwrap();
        let said = String::from_utf8(program.stdout).unwrap();
        assert!(said.contains(found["version"].as_str().unwrap()), "{found}");
    }
    let specs = std::process::Command::new("riscv64-unknown-elf-gcc")
        .args(["-march=rv32imac", "-mabi=ilp32", "--print-file-name=picolibc.specs"])
        .output()
        .unwrap();
    let specs = String::from_utf8(specs.stdout).unwrap();
    if Path::new(specs.trim()).is_absolute() {
        let version = tool(&diagnosis, "libc-riscv")["version"].as_str().unwrap();
        assert!(version.starts_with("picolibc "), "{version}");
    }
}

#[test]
fn an_unknown_capability_is_wrong_usage() {
    let tools = Tools::new();
    tools.doctor(&["fly"]).assert().code(2).stderr(predicate::str::contains("build-qemu-riscv"));
}
