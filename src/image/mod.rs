//! Images for flash: what they are, taking them apart and putting them together.
//!
//! Espressif's images ([`esp`]), partition tables ([`partition`]) and whole-flash images ([`flash`],
//! [`assemble`], [`split`]), and UF2 files ([`uf2`]).

pub mod assemble;
pub mod build_dir;
pub mod bytes;
pub mod chip;
pub mod descriptor;
pub mod esp;
pub mod flash;
pub mod output;
pub mod partition;
pub mod split;
pub mod uf2;
mod uf2_family;

pub use build_dir::{BuildDir, FlashSettings, Sdkconfig};
pub use bytes::{FileBytes, ReadAt};
pub use chip::Chip;
pub use esp::EspImage;

/// Bytes in lower-case hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A count of bytes in words.
pub(crate) fn bytes_text(count: u64) -> String {
    if count == 1 { "1 byte".to_owned() } else { format!("{count} bytes") }
}
