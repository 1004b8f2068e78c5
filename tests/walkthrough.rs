//! The commands in README and docs, typed as a reader would, page after page: each ends as the page says, and prints
//! what it shows. What can't be run here is marked in the page, with the reason; see `tests/pages`.
#![allow(clippy::unwrap_used, clippy::print_stderr)]

#[allow(dead_code)]
#[path = "common/archives.rs"]
mod archives;
mod common;
#[allow(dead_code)]
mod device;
#[path = "common/firmware.rs"]
mod firmware;
#[allow(dead_code)]
mod flashing;
#[path = "common/micropython_board.rs"]
mod micropython_board;
mod pages;
#[allow(dead_code)]
#[path = "common/server.rs"]
mod server;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{missing, require};
use device::Setup;
use device::chip::Chip;
use device::lines::{Preloaded, Wiring};
use firmware::firmware;
use flashing::{Firmware, Header, noise};
use pages::block::{Kind, blocks, pages};
use pages::place::Place;

/// Pages with commands that are run, each by the test of its name.
const WALKED: [&str; 11] = [
    "README.md",
    "docs/boards.md",
    "docs/doctor.md",
    "docs/flash.md",
    "docs/hash.md",
    "docs/image.md",
    "docs/inspect.md",
    "docs/linker.md",
    "docs/natmod.md",
    "docs/run.md",
    "docs/sources.md",
];

#[test]
fn every_page_with_commands_is_walked_through() {
    let run = |page: &String| {
        blocks(page).iter().any(|block| block.kind != Kind::Other && block.marks.not_run.is_none())
    };
    let mut pages: Vec<String> = pages().into_iter().filter(run).collect();
    pages.sort();
    assert_eq!(pages, WALKED);
}

#[test]
fn what_is_not_run_says_why() {
    for page in pages() {
        for block in blocks(&page) {
            if let Some(reason) = &block.marks.not_run {
                eprintln!("{}: not run: {reason}", block.place);
                assert!(reason.split(' ').count() > 2, "{}: {reason}?", block.place);
            }
            // A command that someone could type is in a block that is run.
            let mut lines = block.text.lines().map(|line| line.trim_start_matches("$ "));
            let is_synopsis = |line: &str| line.contains(['…', '[']);
            let typed =
                lines.find(|line| line.starts_with("micropython-builder ") && !is_synopsis(line));
            assert!(block.kind != Kind::Other || typed.is_none(), "{}: {typed:?}", block.place);
        }
    }
}

/// A board on the desk: an ESP32-C3 that runs MicroPython after a reset, and, as long as nobody resets it, the
/// firmware of an emulated board.
fn esp32c3(emulated: &str) -> Option<(Setup, Preloaded)> {
    let (setup, library) = micropython_board::board(Chip::Esp32c3, Wiring::Board, emulated)?;
    Some((setup.revision(0, 4), library))
}

/// Firmware for an ESP32-C3, small, in the place of what `build` would take an ESP-IDF for.
fn esp_firmware(into: &Path) {
    let firmware = Firmware::of(Header::of(Chip::Esp32c3), &noise(1, 150_000), flashing::TABLE);
    copy(firmware.path(), into);
}

fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").arg("-rL").arg(from).arg(to).status().unwrap();
    assert!(status.success());
}

#[test]
fn boards() {
    let Some(place) = Place::new().filter(|_| require("jq")) else { return };
    symlink(place.tree(), place.home().join("micropython")).unwrap();
    place.walk("docs/boards.md");
}

/// A machine without what RISC-V takes.
#[test]
fn doctor() {
    let Some(mut place) = Place::new() else { return };
    let programs = place.home().join("programs");
    fs::create_dir(&programs).unwrap();
    for entry in fs::read_dir("/usr/bin").unwrap() {
        let name = entry.unwrap().file_name();
        if !["riscv", "qemu-system-riscv"].iter().any(|it| name.to_str().unwrap().starts_with(it)) {
            symlink(Path::new("/usr/bin").join(&name), programs.join(&name)).unwrap();
        }
    }
    if rustix::process::geteuid().is_root() {
        place.instead("sudo apt-get", "apt-get");
    }
    place.instead("/usr/bin", programs.to_str().unwrap());
    place.only_path(programs);
    place.walk("docs/doctor.md");
}

#[test]
fn flash() {
    let Some(mut place) = Place::new() else { return };
    let Some((setup, library)) = esp32c3("VIRT_RV32") else { return };
    esp_firmware(&place.clone().join("out"));
    place.plug_in("/dev/ttyACM0", setup);
    for (name, value) in library {
        place.environment(name, value);
    }
    place.walk("docs/flash.md");
}

#[test]
fn hash() {
    let Some(place) = Place::new() else { return };
    copy(place.tree(), &place.clone().join("micropython-1.28.0"));
    place.walk("docs/hash.md");
}

#[test]
fn image() {
    let Some(place) = Place::new() else { return };
    pages::esp::build(&place.clone().join("build-ESP32_GENERIC_C3"));
    place.walk("docs/image.md");
}

#[test]
fn inspect() {
    let Some(mut place) = Place::new() else { return };
    let Some(emulated) = firmware("VIRT_RV32").filter(|_| require("arm-none-eabi-gcc")) else {
        return;
    };
    let Some((setup, library)) = esp32c3("MPS2_AN385") else { return };
    pages::esp::build(&place.clone().join("build-ESP32_GENERIC_C3"));
    fs::create_dir(place.clone().join("firmware")).unwrap();
    symlink(emulated, place.clone().join("firmware/VIRT_RV32")).unwrap();
    place.plug_in("/dev/ttyACM0", setup);
    for (name, value) in library {
        place.environment(name, value);
    }
    place.type_before("micropython-builder image assemble build-ESP32_GENERIC_C3 -o firmware.bin");
    place.type_before("micropython-builder natmod examples/natmod --arch armv7m");
    place.walk("docs/inspect.md");
}

#[test]
fn linker() {
    let Some(mut place) = Place::new().filter(|_| require("arm-none-eabi-gcc")) else { return };
    if !xtensa(&mut place) {
        return;
    }
    place.walk("docs/linker.md");
}

#[test]
fn natmod() {
    let compilers = ["gcc", "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc", "xtensa-lx106-elf-gcc"];
    let Some(mut place) = Place::new().filter(|_| compilers.into_iter().all(require)) else {
        return;
    };
    if !xtensa(&mut place) {
        return;
    }
    place.walk("docs/natmod.md");
}

/// Puts the compiler for the ESP32 on PATH, if there is one.
fn xtensa(place: &mut Place) -> bool {
    let made = std::env::var_os("MPB_XTENSA").map(|made| PathBuf::from(made).join("bin"));
    let made = made.filter(|made| made.is_dir());
    if made.is_none() {
        missing("MPB_XTENSA names no directory that tests/xtensa/toolchain made");
    }
    made.is_some_and(|made| {
        place.on_path(made);
        true
    })
}

#[test]
fn run() {
    let Some(place) = Place::new() else { return };
    let Some(emulated) = firmware("VIRT_RV32") else { return };
    copy(&emulated, &place.clone().join("out"));
    fs::write(place.clone().join("mymodule.py"), "def test():\n    print('tested')\n").unwrap();
    place.walk("docs/run.md");
}

#[test]
fn sources() {
    let Some(mut place) = Place::new() else { return };
    place.empty_cache();
    place.walk("docs/sources.md");
}

/// A fresh machine, and then a board on the desk.
#[test]
fn readme() {
    let tools = ["dpkg-query", "make", "riscv64-unknown-elf-gcc", "qemu-system-riscv32"];
    let Some(mut place) = Place::new().filter(|_| tools.into_iter().all(require)) else { return };
    let Some((setup, library)) = esp32c3("VIRT_RV32") else { return };
    esp_firmware(&place.clone().join("out-esp32c3"));
    // A pseudo-terminal has no USB ids to be found by.
    place.instead("flash out-esp32c3", "flash out-esp32c3 --port /dev/ttyACM0");
    place.plug_in("/dev/ttyACM0", setup);
    for (name, value) in library {
        place.environment(name, value);
    }
    place.walk("README.md");
}
