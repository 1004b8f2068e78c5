//! `micropython-builder build` for an ESP32 beside the CMake and Ninja that it runs, and a build that begins with a saved
//! one beside the whole.
//!
//! The environment says where ESP-IDF is, as for `tests/esp32_real.rs`.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[allow(dead_code)]
#[path = "../tests/common/esp_idf.rs"]
mod esp_idf;
#[allow(dead_code)]
mod figures;

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use esp_idf::{BOARD, EspIdf};
use figures::{Figure, Section, pairs, run, seconds};
use tempfile::TempDir;

const SECTION: Section = Section("Building for an ESP32");

fn example(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(path)
}

fn remove(path: &Path) {
    if path.exists() {
        fs::remove_dir_all(path).unwrap();
    }
}

fn build(esp: &EspIdf, out: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_micropython-builder"));
    esp.build(&mut command, out);
    command
}

/// CMake and Ninja alone, in what a build left, from nothing.
fn build_bare(esp: &EspIdf, workspace: &Path) {
    let build = workspace.join("build");
    remove(&build);
    let mut paths = OsString::from(workspace.join("tools/bin"));
    paths.push(":");
    paths.push(esp.path());
    let environment = |command: &mut Command| {
        command.env("PATH", &paths).env("IDF_PATH", &esp.idf);
        command.env("HOME", workspace.join("home"));
        command.env("IDF_COMPONENT_CHECK_NEW_VERSION", "0");
        command.env("GIT_CEILING_DIRECTORIES", workspace);
        command.env("MICROPY_MPYCROSS", workspace.join("tools/mpy-cross"));
    };
    let python = workspace.join("tools/bin/python");
    let mut cmake = Command::new("cmake");
    cmake.args(["-G", "Ninja", "-S"]).arg(workspace.join("micropython/ports/esp32"));
    cmake.arg("-B").arg(&build).arg(format!("-DMICROPY_BOARD={BOARD}"));
    cmake.arg(format!("-DPython3_EXECUTABLE={}", python.display()));
    cmake.arg(format!("-DMICROPY_LIB_DIR={}", workspace.join("micropython-lib").display()));
    cmake.args(["-DPYTHON=python", "-DPYTHON_DEPS_CHECKED=1", "-DCCACHE_ENABLE=0"]);
    environment(&mut cmake);
    run(&mut cmake);
    let mut ninja = Command::new("ninja");
    ninja.arg("-C").arg(&build);
    environment(&mut ninja);
    run(&mut ninja);
}

fn main() {
    SECTION.about(
        "What stands around CMake and Ninja is checks, copies, hashes and a report; what takes time is upstream's build of \
         some 1400 files, and that of the bootloader. A build that begins with a saved one spends its time in CMake, which \
         runs as a whole whenever a manifest or a C module is named anew, and in the last link. It would be faster if \
         the configured state of the stock board could be taken over without running CMake.",
    );
    let Some(esp) = EspIdf::named() else {
        return SECTION.missing("it needs ESP-IDF, and variables that say where (docs/esp32.md)");
    };
    let directory = TempDir::new().unwrap();
    let place = |name: &str| directory.path().join(name);
    let bare = "`cmake -G Ninja -S ports/esp32 … && ninja`, from nothing";
    let whole = pairs(
        1,
        || seconds(|| run(build(&esp, &place("whole")).arg("--keep-build"))),
        || seconds(|| build_bare(&esp, &place("whole.build"))),
    );
    let ours = "`micropython-builder build ESP32_GENERIC_C3 …`";
    let what = "ESP32_GENERIC_C3, everything compiled";
    SECTION.figure(&Figure { what, ours, peer: bare, unit: "s" }, &whole);

    remove(&place("whole.build"));
    let saved = place("stock.tar.zst");
    run(build(&esp, &place("stock")).arg("--save-build").arg(&saved));
    let more = || {
        let mut command = build(&esp, &place("more"));
        command.arg("--from-build").arg(&saved);
        command.arg("--manifest").arg(example("hello/manifest.py"));
        command.arg("--user-c-modules").arg(example("modules"));
        seconds(|| run(&mut command))
    };
    // The peer is not run once for each: it would take the same time again.
    let delta = pairs(3, more, || whole[0].1);
    let what = "one frozen module and one C module more, from the saved stock build";
    let ours =
        "`micropython-builder build ESP32_GENERIC_C3 … --from-build stock.tar.zst --manifest …`";
    SECTION.figure(&Figure { what, ours, peer: bare, unit: "s" }, &delta);
}
