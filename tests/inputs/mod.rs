//! Inputs for the tests of `image` and `inspect`: linked by a real compiler, turned into images by
//! esptool, and random ones that come out the same each time.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::common::command;

/// The binary under test.
pub fn mpb<A: AsRef<std::ffi::OsStr>>(arguments: impl IntoIterator<Item = A>) -> Output {
    command::mpb().args(arguments).output().unwrap()
}

/// Runs a tool that must succeed, and returns what it printed.
pub fn tool(command: &mut Command) -> String {
    // Scripts of a source tree leave nothing in it.
    command::succeed(command.env("PYTHONDONTWRITEBYTECODE", "1"))
}

/// What a run printed for programs. Panics when it printed something else.
pub fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {output:?}");
    })
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// SplitMix64: the same numbers for the same seed, on every machine.
pub struct Rng(pub u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    pub fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    pub fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }

    /// Damages bytes: flips, cuts, repeats or overwrites a few of them.
    pub fn damage(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut bytes = bytes.to_vec();
        for _ in 0..=self.below(4) {
            if bytes.is_empty() {
                break;
            }
            // Headers are where most of the meaning is.
            let within = if self.chance(60) { bytes.len().min(256) } else { bytes.len() };
            let at = self.below(within);
            match self.below(6) {
                0 => bytes[at] ^= 1 << self.below(8),
                1 => bytes[at] = *self.pick(&[&0, &0xff, &0x7f, &0x80]),
                2 => bytes.truncate(at),
                3 => {
                    let end = (at + 1 + self.below(64)).min(bytes.len());
                    let piece = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, piece);
                }
                4 => {
                    let end = (at + 4).min(bytes.len());
                    let value = self.next().to_le_bytes();
                    bytes[at..end].copy_from_slice(&value[..end - at]);
                }
                _ => drop(bytes.remove(at)),
            }
        }
        bytes
    }
}

/// A program with an application descriptor and MicroPython's banner, linked by the compiler that Debian
/// has for RISC-V, to run from where an ESP32-C3 has its flash.
pub fn elf(directory: &Path) -> PathBuf {
    elf_at(directory, "0x3c000020")
}

/// The same, with its read-only data elsewhere: some chips have one place for code and data.
pub fn elf_at(directory: &Path, rodata: &str) -> PathBuf {
    std::fs::write(directory.join("application.c"), PROGRAM).unwrap();
    std::fs::write(directory.join("application.ld"), LAYOUT.replace("RODATA", rodata)).unwrap();
    let elf = directory.join("application.elf");
    tool(
        Command::new("riscv64-unknown-elf-gcc")
            .current_dir(directory)
            .args(["-march=rv32imac", "-mabi=ilp32", "-nostdlib", "-ffreestanding", "-Os"])
            .args(["-T", "application.ld", "-o", "application.elf", "application.c"]),
    );
    elf
}

/// That program as an image, made by esptool.
pub fn esp_image(python: &Path, chip: &str, elf: &Path) -> PathBuf {
    let image = elf.with_file_name(format!("{chip}.bin"));
    tool(
        Command::new(python)
            .args(["-m", "esptool", "--chip", chip, "elf2image"])
            .args(["--flash_mode", "dio", "--flash_size", "4MB", "--elf-sha256-offset", "0xb0"])
            .arg("-o")
            .args([&image, elf]),
    );
    image
}

/// A small bootloader: the same, without a descriptor.
pub fn bootloader(python: &Path, chip: &str, directory: &Path) -> PathBuf {
    let source = directory.join("bootloader.c");
    std::fs::write(&source, "void call_start(void) { for (;;) {} }\n").unwrap();
    let elf = directory.join("bootloader.elf");
    tool(
        Command::new("riscv64-unknown-elf-gcc")
            .current_dir(directory)
            .args(["-march=rv32imac", "-mabi=ilp32", "-nostdlib", "-ffreestanding", "-Os"])
            .args(["-Wl,-Ttext=0x403ce710,-e,call_start,--build-id=none"])
            .args(["-o", "bootloader.elf", "bootloader.c"]),
    );
    let image = directory.join("bootloader.bin");
    tool(
        Command::new(python)
            .args(["-m", "esptool", "--chip", chip, "elf2image", "-o"])
            .args([&image, &elf]),
    );
    image
}

const PROGRAM: &str = r#"
#include <stdint.h>
struct description {
    uint32_t magic, secure_version, reserved[2];
    char version[32], project[32], time[16], date[16], idf[32];
    uint8_t elf_sha256[32];
    uint32_t rest[20];
};
__attribute__((section(".flash.appdesc"), used))
const struct description description = {
    0xabcd5432, 7, {0}, "v1.99.0-7", "micropython", "12:34:56", "Jan  2 2026", "v5.5.1",
};
__attribute__((section(".flash.rodata"), used))
const char banner[] = "MicroPython v1.99.0-7 on 2026-01-02; A tested board with ESP32C3\r\n";
__attribute__((section(".flash.text"), used)) int triple(int x) { return 3 * x; }
__attribute__((section(".iram0.text"), used)) void call_start(void) { for (;;) triple(1); }
__attribute__((section(".dram0.data"), used)) int data[10] = {1, 2, 3};
__attribute__((section(".dram0.bss"), used)) int zeroed[25];
"#;

const LAYOUT: &str = r"
ENTRY(call_start)
SECTIONS {
    .flash.appdesc RODATA : { *(.flash.appdesc) }
    .flash.rodata : { *(.flash.rodata) }
    .flash.text 0x42010020 : { *(.flash.text) }
    .iram0.text 0x40380000 : { *(.iram0.text) }
    .dram0.data 0x3fc90000 : { *(.dram0.data) }
    .dram0.bss (NOLOAD) : { *(.dram0.bss) }
    /DISCARD/ : { *(.comment) *(.riscv.attributes) *(.note*) }
}
";

// Each test program uses some of these.
const _: fn(&Output) -> serde_json::Value = json;
const _: fn(&[u8]) -> String = hex;
const _: fn(&Path) -> PathBuf = elf;
const _: fn(&Path, &str) -> PathBuf = elf_at;
const _: fn(&Path, &str, &Path) -> PathBuf = esp_image;
const _: fn(&Path, &str, &Path) -> PathBuf = bootloader;
const _: fn(&mut Rng, &[u8]) -> Vec<u8> = Rng::damage;
const _: fn(&mut Rng, usize) -> Vec<u8> = Rng::bytes;
