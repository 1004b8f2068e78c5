//! `run` with firmware that boots from flash: which emulators will do.

mod common;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use common::command::{fail, mpb, stderr};
use micropython_builder::firmware::record::{Role, describe_file};
use serde_json::json;
use tempfile::TempDir;

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn program(path: &Path, script: &str) {
    write(path, &format!("#!/bin/sh\n{script}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A firmware directory whose emulator is a program in it, of which only the machines are asked.
fn flash_booted(flash_size: &str) -> TempDir {
    let firmware = tempfile::tempdir().unwrap();
    fs::write(firmware.path().join("firmware.bin"), vec![0; 4097]).unwrap();
    let file = describe_file(&firmware.path().join("firmware.bin"), Role::Firmware, Some(0x1000));
    let record = json!({
        "schema": 1, "port": "esp32", "board": "SOME_C3", "mcu": "esp32c3",
        "micropython": {"version": "v1.28.0"},
        "esp_idf": {"version": "5.3.0", "components": [], "partitions": [],
            "flash": {"flash_mode": "dio", "flash_freq": "80m", "flash_size": flash_size}},
        "files": [file.unwrap()],
        "emulator": {"program": "qemu-of-nowhere", "arguments": ["-machine", "esp32c3"], "boots": "flash"},
    });
    write(&firmware.path().join("firmware.json"), &record.to_string());
    firmware
}

#[test]
fn an_emulator_without_the_machine_is_told_apart_from_one_that_is_missing() {
    let firmware = flash_booted("4MB");
    let qemu = firmware.path().join("qemu");
    let run = |firmware: &TempDir, more: &[&str], code: i32, words: &[&str]| {
        let mut command = mpb();
        command.arg("run").arg(firmware.path()).args(["--exec", "1"]).args(more);
        fail(command, code, words);
    };
    let espressif = "https://github.com/espressif/qemu";
    run(&firmware, &[], 3, &["qemu-of-nowhere is not installed", espressif, "--emulator FILE"]);
    let given = ["--emulator", qemu.to_str().unwrap()];
    program(&qemu, "echo 'Supported machines are:'; echo 'esp32c3x a board'; echo 'none'");
    run(&firmware, &given, 3, &["has no machine esp32c3", espressif]);
    program(
        &qemu,
        "[ \"$2\" = help ] && { echo 'esp32c3   a board'; exit; }; echo 'no \"$*\"' >&2; exit 1",
    );
    run(&firmware, &given, 6, &["ended before the program did"]);
    run(&flash_booted("4KB"), &given, 3, &["takes 4097 bytes from 0x1000 on, the flash has 4096"]);
    run(&flash_booted("detect"), &given, 3, &["does not say how large the flash is"]);
}

#[test]
fn a_program_of_this_machine_takes_no_emulator() {
    let firmware = tempfile::tempdir().unwrap();
    program(&firmware.path().join("micropython"), "exit 0");
    let file = describe_file(&firmware.path().join("micropython"), Role::Executable, None).unwrap();
    let record = json!({"schema": 1, "port": "unix", "board": "unix",
        "micropython": {"version": "v1.28.0"}, "files": [file]});
    write(&firmware.path().join("firmware.json"), &record.to_string());
    let mut command = mpb();
    command.arg("run").arg(firmware.path()).args(["--emulator", "qemu", "--exec", "1"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(stderr(&output).contains("runs without an emulator"), "{}", stderr(&output));
}
