//! A build directory of an ESP32-C3 as ESP-IDF leaves one: small images that have all that is looked at.

use std::fs;
use std::path::Path;

use micropython_builder::image::partition::{Options, Table};
use micropython_builder::pins::Sha256Hash;
use serde_json::json;

use crate::device::chip::Chip;
use crate::flashing::Header;

const TABLE: &str = "\
nvs, data, nvs, 0x9000, 0x6000
phy_init, data, phy, 0xf000, 0x1000
factory, app, factory, 0x10000, 0x1F0000
vfs, data, fat, 0x200000, 0x200000
";

const BANNER: &[u8] = b"MicroPython v1.28.0 on 2026-01-02; Generic ESP32C3 module with ESP32C3\r\n";

const SDKCONFIG: &str = "\
CONFIG_IDF_TARGET_ARCH=\"riscv\"
CONFIG_IDF_TARGET=\"esp32c3\"
CONFIG_BOOTLOADER_OFFSET_IN_FLASH=0x0
CONFIG_PARTITION_TABLE_OFFSET=0x8000
";

pub fn build(directory: &Path) {
    let header = Header { size: 2, ..Header::of(Chip::Esp32c3) };
    // The descriptors that ESP-IDF puts first: of the bootloader, and of the application.
    let bootloader = data(20_480, &[(0, &[0x50]), (4, &[1]), (8, b"v5.5.1")]);
    let hash = Sha256Hash::of(b"an ELF file");
    let application = data(
        65_536,
        &[
            (0, &0xabcd_5432u32.to_le_bytes()),
            (16, b"v1.28.0"),
            (48, b"micropython"),
            (112, b"v5.5.1"),
            (144, hash.as_bytes()),
            (256, BANNER),
        ],
    );
    let table = Table::from_csv(TABLE, &Options::default()).unwrap();
    let part =
        |offset: &str, file: &str| json!({"offset": offset, "file": file, "encrypted": "false"});
    let arguments = json!({
        "write_flash_args": ["--flash_mode", "dio"],
        "flash_settings": {"flash_mode": "dio", "flash_size": "4MB", "flash_freq": "80m"},
        "bootloader": part("0x0", "bootloader/bootloader.bin"),
        "app": part("0x10000", "micropython.bin"),
        "partition-table": part("0x8000", "partition_table/partition-table.bin"),
        "extra_esptool_args": {"after": "hard_reset", "stub": true, "chip": "esp32c3"}
    });
    for (name, contents) in [
        ("bootloader/bootloader.bin", header.image(&bootloader)),
        ("partition_table/partition-table.bin", table.to_binary(true).unwrap()),
        ("micropython.bin", header.image(&application)),
        ("flasher_args.json", arguments.to_string().into_bytes()),
        ("sdkconfig", SDKCONFIG.into()),
    ] {
        let path = directory.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, contents).unwrap();
    }
}

/// Zeroes, with some pieces at their places.
fn data(size: usize, pieces: &[(usize, &[u8])]) -> Vec<u8> {
    let mut data = vec![0; size];
    for (place, piece) in pieces {
        data[*place..*place + piece.len()].copy_from_slice(piece);
    }
    data
}
