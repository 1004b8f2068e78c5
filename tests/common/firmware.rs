//! Real firmware for the tests that run it.
//!
//! `MPB_FIRMWARE_DIR` may name a directory with one firmware directory per board, for example
//! `$MPB_FIRMWARE_DIR/VIRT_RV32`: what is there is used and not built. The frozen module
//! `frozen_hello` with a function `greet` is expected in it.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};

use rustix::fs::{FlockOperation, flock};

use super::common::{micropython, require};

/// The firmware directory for a board, `unix`, or `unix-VARIANT`. Built at most once; none when the
/// machine lacks what it takes, as with [`require`].
pub fn firmware(board: &str) -> Option<PathBuf> {
    static BUILT: OnceLock<Mutex<HashMap<String, Option<PathBuf>>>> = OnceLock::new();
    let built = BUILT.get_or_init(Mutex::default);
    let mut built = built.lock().unwrap_or_else(PoisonError::into_inner);
    built.entry(board.to_owned()).or_insert_with(|| get(board)).clone()
}

fn get(board: &str) -> Option<PathBuf> {
    let emulator = match board {
        board if board.starts_with("unix") => None,
        "VIRT_RV32" => Some("qemu-system-riscv32"),
        "VIRT_RV64" => Some("qemu-system-riscv64"),
        _ => Some("qemu-system-arm"),
    };
    if emulator.is_some_and(|emulator| !require(emulator)) {
        return None;
    }
    let given = std::env::var_os("MPB_FIRMWARE_DIR").map(|all| PathBuf::from(all).join(board));
    if let Some(given) = given.filter(|given| given.is_dir()) {
        return Some(given);
    }
    let compiler = match emulator {
        None => "gcc",
        Some("qemu-system-arm") => "arm-none-eabi-gcc",
        Some(_) => "riscv64-unknown-elf-gcc",
    };
    if !require(compiler) || !require("make") {
        return None;
    }
    build(board, &micropython()?)
}

/// Builds it, unless an earlier run with the same program and tree did.
fn build(board: &str, tree: &Path) -> Option<PathBuf> {
    let program = Path::new(env!("CARGO_BIN_EXE_micropython-builder"));
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("firmware");
    fs::create_dir_all(&all).unwrap();
    let lock = File::create(all.join(format!("{board}.lock"))).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();

    let (out, stamp) = (all.join(board), all.join(format!("{board}.stamp")));
    let changed = program.metadata().unwrap().modified().unwrap();
    let current = format!("{} {changed:?}", tree.display());
    if out.is_dir() && fs::read_to_string(&stamp).is_ok_and(|stamp| stamp == current) {
        return Some(out);
    }
    let (name, variant) = board.split_once('-').unwrap_or((board, ""));
    let mut command = Command::new(program);
    command.args(["build", name, "--micropython"]).arg(tree).arg("--out").arg(&out);
    if !variant.is_empty() {
        command.args(["--variant", variant]);
    }
    if name == "unix" {
        // The source package lacks the submodules that these need.
        for variable in ["MICROPY_PY_BTREE=0", "MICROPY_PY_SSL=0", "MICROPY_SSL_MBEDTLS=0"] {
            command.args(["--make-arg", variable]);
        }
    }
    // The minimal variant has no big integers, which frozen modules need.
    if variant != "minimal" {
        command.arg("--manifest").arg(manifest(&all));
    }
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "cannot build {board}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::write(&stamp, current).unwrap();
    Some(out)
}

/// A manifest that freezes one module.
fn manifest(directory: &Path) -> PathBuf {
    let frozen = directory.join("frozen");
    fs::create_dir_all(&frozen).unwrap();
    fs::write(frozen.join("frozen_hello.py"), "def greet(name):\n    return \"hello \" + name\n")
        .unwrap();
    let manifest = directory.join("manifest.py");
    fs::write(&manifest, "module(\"frozen_hello.py\", base_path=\"frozen\")\n").unwrap();
    manifest
}
