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

/// The firmware directory for a board, `unix`, `unix-VARIANT`, or `unix-32bit`, a 32-bit program. Built at most once; none when the
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
    let tree = micropython()?;
    let boards = tree.join("ports/qemu/boards");
    if board == CORTEX_M7 && !boards.join(board).exists() && !boards.join("MPS2_AN500.mk").exists()
    {
        return build(board, &with_cortex_m7(&tree));
    }
    build(board, &tree)
}

/// A board with a double-precision FPU, which upstream has from v1.26 on.
const CORTEX_M7: &str = "MPS2_AN500";

/// A copy of an older tree with that board: the Cortex-M3's beside it, for the other processor, with the FPU
/// turned on before anything uses it.
fn with_cortex_m7(tree: &Path) -> PathBuf {
    let copy = Path::new(env!("CARGO_TARGET_TMPDIR")).join("micropython-cortex-m7");
    if copy.join("complete").is_file() {
        return copy;
    }
    let _ = fs::remove_dir_all(&copy);
    let copied = Command::new("cp").arg("-r").arg(tree).arg(&copy).status().unwrap();
    let writable = Command::new("chmod").args(["-R", "u+w"]).arg(&copy).status().unwrap();
    assert!(copied.success() && writable.success());
    let boards = copy.join("ports/qemu/boards");
    let new = boards.join(CORTEX_M7);
    fs::create_dir(&new).unwrap();
    for entry in fs::read_dir(boards.join("MPS2_AN385")).unwrap() {
        let path = entry.unwrap().path();
        let mut text = fs::read_to_string(&path).unwrap();
        for (old, other) in [
            ("mps2-an385", "mps2-an500"),
            ("cortex-m3 -mfloat-abi=soft", "cortex-m7 -mfloat-abi=hard -mfpu=fpv5-d16"),
            ("Cortex-M3", "Cortex-M7"),
            ("armv7m", "armv7emdp"),
        ] {
            text = text.replace(old, other);
        }
        fs::write(new.join(path.file_name().unwrap()), text).unwrap();
    }
    let startup = copy.join("ports/qemu/mcu/arm/startup.c");
    let text = fs::read_to_string(&startup).unwrap();
    let start = "    _start();\n}";
    assert!(text.contains(start));
    let fpu =
        "    *(volatile uint32_t *)0xe000ed88 |= 0xf << 20;\n    __asm volatile (\"dsb\\nisb\");\n";
    fs::write(&startup, text.replacen(start, &format!("{fpu}{start}"), 1)).unwrap();
    fs::write(copy.join("complete"), "").unwrap();
    copy
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
    let (variant, is_32bit) = if variant == "32bit" { ("", true) } else { (variant, false) };
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
    if is_32bit {
        for variable in ["MICROPY_FORCE_32BIT=1", "MICROPY_PY_FFI=0"] {
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
