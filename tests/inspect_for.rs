//! `inspect --for`: real modules, and the firmware and devices that load them or don't.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

mod common;
#[path = "common/firmware.rs"]
mod firmware;
#[path = "common/natmod.rs"]
mod natmod;

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use common::command::{mpb, stderr};
use common::require;
use firmware::firmware;
use micropython_builder::firmware::Record;
use micropython_builder::firmware::record::Role;
use natmod::{Tools, answering, module, succeeds};
use serde_json::Value;
use tempfile::TempDir;

fn inspect(target: &Path, file: &Path, more: &[&str]) -> Output {
    let mut command = mpb();
    command.arg("inspect").arg("--for").arg(target).arg(file).args(more).output().unwrap()
}

/// A module for two architectures, of which VIRT_RV32 runs one.
fn modules() -> Option<(TempDir, PathBuf, PathBuf)> {
    let tools = Tools::find()?;
    if !["arm-none-eabi-gcc", "riscv64-unknown-elf-gcc"].into_iter().all(require) {
        return None;
    }
    let module = module(&[("mymodule.c", &answering("", "n * n"))]);
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("dist");
    succeeds(tools.natmod(module.path(), &out).args(["--arch", "armv7m,rv32imc"]));
    let file = |arch: &str| out.join(format!("mymodule-mpy6.3-{arch}.mpy"));
    let (fits, differs) = (file("rv32imc"), file("armv7m"));
    Some((directory, fits, differs))
}

#[test]
fn a_firmware_is_booted_and_asked() {
    let Some((directory, fits, differs)) = modules() else { return };
    let Some(board) = firmware("VIRT_RV32") else { return };
    let output = inspect(&board, &fits, &["--json"]);
    assert!(output.status.success(), "{}", stderr(&output));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let device = &answer["files"][0]["device"];
    assert_eq!(device["loads"], true);
    assert_eq!(device["sys_mpy"], 0x2f06);
    assert!(device["name"].as_str().unwrap().starts_with("VIRT_RV32 with MicroPython v1."));
    let names = &answer["files"][0]["mpy"]["contents"]["names"];
    assert!(names.as_array().unwrap().contains(&"answer".into()), "{names}");

    let output = inspect(&board, &differs, &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("its native code is for armv7m, the device runs rv32imc"));
    // Where it says no, MicroPython does, too; and where it says yes.
    for (file, expected) in [(&fits, Some(0)), (&differs, Some(6))] {
        fs::copy(file, directory.path().join("mymodule.mpy")).unwrap();
        let mut run = mpb();
        run.arg("run").arg(&board).arg("--mount").arg(directory.path());
        let output = run.args(["--exec", "import mymodule; print(mymodule.answer(7))"]).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), expected, "{}", stderr(&output));
        if expected == Some(0) {
            assert_eq!(output.stdout, b"49\n");
        }
    }
}

#[test]
fn a_program_of_this_machine_is_asked() {
    let Some((_directory, fits, _)) = modules() else { return };
    let Some(unix) = firmware("unix") else { return };
    let output = inspect(&unix, &fits, &[]);
    assert_eq!(output.status.code(), Some(3));
    assert!(stderr(&output).contains("the device runs x64"), "{}", stderr(&output));
}

/// An emulated board whose serial port is a pseudo-terminal: to a program, a device.
struct Device {
    child: Child,
    port: PathBuf,
}

impl Device {
    fn start(board: &Path) -> Device {
        let record = Record::read(board).unwrap();
        let emulator = record.emulator.as_ref().unwrap();
        let mut child = Command::new(&emulator.program)
            .args(&emulator.arguments)
            .args(["-serial", "pty", "-kernel"])
            .arg(board.join(&record.file(Role::Elf).unwrap().path))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, rest) = line.split_once("redirected to ")?;
            Some(PathBuf::from(rest.split(' ').next().unwrap()))
        });
        Device { child, port: port.unwrap() }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn a_device_is_asked_on_its_serial_port() {
    let Some((_directory, fits, differs)) = modules() else { return };
    let Some(board) = firmware("VIRT_RV32") else { return };
    let device = Device::start(&board);
    // Twice, for the conversation must leave the device as it found it.
    for (file, code) in [(&fits, 0), (&differs, 3), (&fits, 0)] {
        let output = inspect(&device.port, file, &[]);
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
    }
}

#[test]
fn what_is_no_target_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("x.mpy");
    fs::write(&file, b"M\x06\x00\x1f\x01\x00").unwrap();
    for (target, code, says) in [
        (directory.path().join("nothing"), 3, "serial port of a device, or a firmware directory"),
        (directory.path().to_owned(), 3, "is no firmware directory"),
        (file.clone(), 3, "neither a serial port nor a firmware directory"),
        ("/dev/null".into(), 6, "is no serial port that can be used"),
    ] {
        let output = inspect(&target, &file, &[]);
        assert_eq!(output.status.code(), Some(code), "{target:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(says), "{target:?}: {}", stderr(&output));
    }
}
