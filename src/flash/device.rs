//! What flashing asks of a device.

use std::ops::Range;

use serde::Serialize;

use super::plan::Digest16;
use crate::error::Result;
use crate::image::Chip;

/// What was found out about a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The chip, as ESP-IDF writes it: `esp32c3`.
    pub chip: String,
    /// Its revision, major and minor.
    pub revision: Option<(u32, u32)>,
    /// Its MAC address.
    pub mac: Option<String>,
    /// The size of its flash in bytes; absent where the flash chip's own word is not understood.
    pub flash_size: Option<u64>,
    /// Which of its locks are closed, where that can be asked.
    pub security: Option<Security>,
}

/// The locks of a chip that decide what it starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Security {
    /// Only signed images start.
    pub secure_boot: bool,
    /// What is in flash is encrypted.
    pub flash_encryption: bool,
    /// The ROM's loader does next to nothing.
    pub secure_download: bool,
}

impl Found {
    /// The chip as Espressif prints it: `ESP32-C3`.
    pub fn title(&self) -> String {
        Chip::by_name(&self.chip)
            .map_or_else(|| self.chip.to_ascii_uppercase(), |chip| chip.title())
    }

    /// What it is, in words: `ESP32-C3 revision 0.4, 4 MB, 24:6f:28:01:02:03`.
    pub fn describe(&self) -> String {
        let mut text = self.title();
        if let Some((major, minor)) = self.revision {
            text.push_str(&format!(" revision {major}.{minor}"));
        }
        if let Some(size) = self.flash_size {
            text.push_str(&format!(", {}", super::checks::megabytes(size)));
        }
        if let Some(mac) = &self.mac {
            text.push_str(&format!(", {mac}"));
        }
        text
    }
}

/// A device whose flash can be compared and written.
pub trait Device {
    /// What was found out about it.
    fn found(&self) -> &Found;

    /// The MD5 of a range of its flash.
    ///
    /// # Errors
    /// When it does not answer.
    fn md5(&mut self, range: Range<u32>) -> Result<Digest16>;

    /// Reads its flash.
    ///
    /// # Errors
    /// When it does not answer.
    fn read(&mut self, offset: u32, length: u32) -> Result<Vec<u8>>;

    /// Erases the sectors from `offset` on and writes `data`. `progress` is told how many bytes are done,
    /// and may end it.
    ///
    /// # Errors
    /// When the device refuses or does not answer, or `progress` ends it.
    fn write(
        &mut self,
        offset: u32,
        data: &[u8],
        progress: &mut dyn FnMut(u64) -> Result<()>,
    ) -> Result<()>;

    /// Erases whole sectors.
    ///
    /// # Errors
    /// When the device refuses or does not answer.
    fn erase(&mut self, range: Range<u32>) -> Result<()>;

    /// Erases all of its flash.
    ///
    /// # Errors
    /// When the device refuses or does not answer.
    fn erase_all(&mut self) -> Result<()>;
}
