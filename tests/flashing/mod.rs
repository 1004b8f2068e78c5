//! Firmware to flash: images that are small and have all that a loader looks at.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use micropython_builder::image::partition::{Options, Table};
use serde_json::{Value, json};

use crate::common::command::{self, stderr};
use crate::device::chip::Chip;

/// A partition table as MicroPython's boards have it, for a flash of 2 MiB.
pub const TABLE: &str = "\
nvs, data, nvs, 0x9000, 0x6000
phy_init, data, phy, 0xf000, 0x1000
factory, app, factory, 0x10000, 0x160000
vfs, data, fat, 0x170000, 0x90000
";

pub const TABLE_OFFSET: usize = 0x8000;
pub const APPLICATION: usize = 0x1_0000;
pub const FILES: usize = 0x17_0000;
pub const FLASH: usize = 2 << 20;

/// A firmware directory as `build` writes it.
pub struct Firmware {
    pub directory: tempfile::TempDir,
    pub chip: Chip,
    pub bootloader: Vec<u8>,
    pub table: Vec<u8>,
    pub application: Vec<u8>,
}

/// What an image is of.
#[derive(Clone, Copy)]
pub struct Header {
    pub chip: Chip,
    /// `major * 100 + minor`.
    pub min_revision: u16,
    /// The code of the flash size: 0 is 1 MB, 1 is 2 MB.
    pub size: u8,
}

impl Header {
    pub fn of(chip: Chip) -> Header {
        Header { chip, min_revision: 0, size: 1 }
    }

    /// An image with one segment, as esptool's `elf2image` lays it out.
    pub fn image(self, data: &[u8]) -> Vec<u8> {
        let mut image = vec![0xe9, 1, 2, self.size << 4 | 0xf];
        image.extend(0x4080_0000u32.to_le_bytes());
        image.extend([0xee, 0, 0, 0]);
        image.extend((self.chip.id() as u16).to_le_bytes());
        image.push(0);
        image.extend(self.min_revision.to_le_bytes());
        image.extend(u16::MAX.to_le_bytes());
        image.extend([0, 0, 0, 0, 1]);
        let mut data = data.to_vec();
        data.resize(data.len().next_multiple_of(4), 0);
        image.extend(0x3c00_0020u32.to_le_bytes());
        image.extend((data.len() as u32).to_le_bytes());
        image.extend(&data);
        image.resize((image.len() / 16 + 1) * 16 - 1, 0);
        image.push(data.iter().fold(0xef, |sum, byte| sum ^ byte));
        let hash = micropython_builder::pins::Sha256Hash::of(&image);
        image.extend(hash.as_bytes());
        image
    }

    /// An application with the descriptor that ESP-IDF puts first.
    pub fn application(self, contents: &[u8]) -> Vec<u8> {
        let mut data = vec![0; 256];
        data[..4].copy_from_slice(&0xabcd_5432u32.to_le_bytes());
        data[16..24].copy_from_slice(b"v1.28.0\0");
        data[48..60].copy_from_slice(b"micropython\0");
        data.extend(contents);
        self.image(&data)
    }
}

/// Bytes that do not compress, the same each time.
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..count).map(|_| next()).collect()
}

impl Firmware {
    pub fn new(chip: Chip) -> Firmware {
        Firmware::of(Header::of(chip), &noise(1, 150_000), TABLE)
    }

    pub fn of(header: Header, contents: &[u8], table: &str) -> Firmware {
        let options = Options::default();
        // It compresses a little, as real ones do: esptool stops to compress at a file that does not.
        let mut bootloader = noise(2, 12_000);
        bootloader.resize(15_000, 0);
        let firmware = Firmware {
            directory: tempfile::tempdir().unwrap(),
            chip: header.chip,
            bootloader: header.image(&bootloader),
            table: Table::parse(table.as_bytes(), &options).unwrap().to_binary(true).unwrap(),
            application: header.application(contents),
        };
        firmware.write();
        firmware
    }

    /// Writes the files and their record.
    pub fn write(&self) {
        let offset = self.chip.bootloader();
        let parts = [
            ("firmware", "firmware.bin", offset, &self.whole()),
            ("bootloader", "bootloader.bin", offset, &self.bootloader),
            ("partition-table", "partition-table.bin", TABLE_OFFSET, &self.table),
            ("application", "micropython.bin", APPLICATION, &self.application),
        ];
        let mut files = Vec::new();
        for (role, name, offset, data) in parts {
            fs::write(self.path().join(name), data).unwrap();
            let hash = micropython_builder::pins::Sha256Hash::of(data).to_hex();
            files.push(json!({
                "role": role, "path": name, "offset": offset, "size": data.len(), "sha256": hash,
            }));
        }
        let record = json!({
            "schema": 1, "port": "esp32", "board": "TEST_BOARD", "mcu": self.chip.name(),
            "micropython": { "version": "v1.28.0" }, "files": files,
        });
        fs::write(self.path().join("firmware.json"), record.to_string()).unwrap();
    }

    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.path().join(name)
    }

    /// `firmware.bin`, which begins at the bootloader.
    pub fn whole(&self) -> Vec<u8> {
        let start = self.chip.bootloader();
        let mut whole = vec![0xff; APPLICATION - start];
        whole[..self.bootloader.len()].copy_from_slice(&self.bootloader);
        let table = TABLE_OFFSET - start;
        whole[table..table + self.table.len()].copy_from_slice(&self.table);
        whole.extend(&self.application);
        whole
    }

    /// Whether a flash holds all of it.
    pub fn is_in(&self, flash: &[u8]) -> bool {
        let holds = |offset: usize, data: &[u8]| flash[offset..offset + data.len()] == *data;
        holds(self.chip.bootloader(), &self.bootloader)
            && holds(TABLE_OFFSET, &self.table)
            && holds(APPLICATION, &self.application)
    }
}

/// A command line of `flash`, ready to be run.
pub fn command(firmware: &Path, ports: &[PathBuf], more: &[&str]) -> Command {
    let mut command = command::mpb();
    command.arg("flash").arg(firmware);
    for port in ports {
        command.arg("--port").arg(port);
    }
    command.args(more);
    command
}

pub fn flash(firmware: &Path, port: PathBuf, more: &[&str]) -> Output {
    command(firmware, &[port], more).output().unwrap()
}

/// What a run said of its only board. Panics when it failed.
pub fn done(output: &Output) -> Value {
    assert!(output.status.success(), "{}", stderr(output));
    let value: Value = serde_json::from_slice(&output.stdout).unwrap();
    value["boards"][0].clone()
}
