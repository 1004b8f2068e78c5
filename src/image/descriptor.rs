//! The descriptions that ESP-IDF puts at the start of an image's first segment:
//! `esp_app_desc_t` (`esp_app_desc.h`) and `esp_bootloader_desc_t` (`esp_bootloader_desc.h`).

use serde::Serialize;

use super::bytes::{text, u8_at, u16_le, u32_le};
use super::hex;

/// How many bytes from the start of the first segment hold a descriptor of either kind.
pub(super) const LENGTH: usize = 256;

const APPLICATION_MAGIC: u32 = 0xabcd_5432;
const BOOTLOADER_MAGIC: u8 = 80;

/// What an application says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Application {
    /// The project's name: `micropython`.
    pub project: String,
    /// The project's version: for MicroPython what `git describe` said.
    pub version: String,
    /// The date of compilation, as the C compiler writes it; empty in a reproducible build.
    pub date: String,
    /// The time of compilation, as the C compiler writes it; empty in a reproducible build.
    pub time: String,
    /// The ESP-IDF it was built with, as `git describe` said.
    pub idf_version: String,
    /// The SHA-256 of the ELF file the image was made of, in hex.
    pub elf_sha256: String,
    /// The version that anti-rollback compares.
    pub secure_version: u32,
}

impl Application {
    /// Reads the descriptor at the start of `data`, the bytes of a first segment.
    pub fn parse(data: &[u8]) -> Option<Application> {
        if data.len() < LENGTH || u32_le(data, 0) != APPLICATION_MAGIC {
            return None;
        }
        Some(Application {
            secure_version: u32_le(data, 4),
            version: text(data, 16, 32),
            project: text(data, 48, 32),
            time: text(data, 80, 16),
            date: text(data, 96, 16),
            idf_version: text(data, 112, 32),
            elf_sha256: hex(data.get(144..176).unwrap_or(&[])),
        })
    }
}

/// What a bootloader says of itself (ESP-IDF 5.1 and later).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bootloader {
    /// The bootloader project's version number.
    pub version: u32,
    /// The ESP-IDF it was built with.
    pub idf_version: String,
    /// The date and time of compilation; empty in a reproducible build.
    pub date_time: String,
}

impl Bootloader {
    /// Reads the descriptor at the start of `data`, the bytes of a first segment.
    ///
    /// Its magic is one byte, so the texts must be texts too.
    pub fn parse(data: &[u8]) -> Option<Bootloader> {
        if u8_at(data, 0) != BOOTLOADER_MAGIC || u16_le(data, 1) != 0 {
            return None;
        }
        let is_text = |text: &str| text.chars().all(|char| char.is_ascii_graphic() || char == ' ');
        let (idf_version, date_time) = (text(data, 8, 32), text(data, 40, 24));
        let texts = !idf_version.is_empty() && is_text(&idf_version) && is_text(&date_time);
        texts.then(|| Bootloader { version: u32_le(data, 4), idf_version, date_time })
    }
}
