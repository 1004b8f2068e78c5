//! What must be right before the first byte is written.

use super::SECTOR;
use super::device::Found;
use super::firmware::{Firmware, PartRole};
use crate::error::{Error, Result};
use crate::image::bytes_text;

/// Checks a firmware by itself: parts that begin at a sector, do not share one and fit their partitions.
///
/// # Errors
/// At the first that is wrong.
pub fn firmware(firmware: &Firmware) -> Result<()> {
    let mut end = (0, "");
    for part in &firmware.parts {
        if !part.offset.is_multiple_of(SECTOR) {
            return Err(Error::input(format!(
                "the {} begins at 0x{:x}, expected a multiple of 0x{SECTOR:x}, the smallest piece that can be erased",
                part.name, part.offset
            )));
        }
        if u64::from(part.offset) < end.0 {
            return Err(Error::input(format!(
                "the {} at 0x{:x} overlaps the {}, whose last sector ends at 0x{:x}",
                part.name, part.offset, end.1, end.0
            ))
            .hint("build the firmware again, with a partition table that has room for it"));
        }
        end = (part.end().next_multiple_of(u64::from(SECTOR)), &part.name);
        let Some(table) = &firmware.table else { continue };
        if part.role == PartRole::Application
            && !table.partitions.iter().any(|partition| partition.offset == part.offset)
        {
            return Err(Error::input(format!(
                "the application is to lie at 0x{:x}, where the partition table has no partition",
                part.offset
            ))
            .hint("build the firmware again"));
        }
        if let Some(partition) = table.partitions.iter().find(|it| it.offset == part.offset)
            && part.end() > partition.end()
        {
            return Err(Error::input(format!(
                "the {} ends at 0x{:x}, its partition {:?} at 0x{:x}",
                part.name,
                part.end(),
                partition.name,
                partition.end()
            ))
            .hint("build the firmware again, with a partition table that has room for it"));
        }
    }
    Ok(())
}

/// Checks a firmware against the device that was found.
///
/// # Errors
/// When it is for another chip, revision or flash size, or the chip starts only what is signed or encrypted.
pub fn device(firmware: &Firmware, found: &Found) -> Result<()> {
    if firmware.chip.name != found.chip {
        let title = found.title();
        return Err(Error::device(format!(
            "{} is for an {}, the chip on this port is an {title}",
            firmware.name,
            firmware.chip.title()
        ))
        .hint("`micropython-builder flash --list-ports` lists the other ports")
        .hint(format!("`micropython-builder boards --port esp32` lists boards with an {title}")));
    }
    if let Some((major, minor)) = found.revision
        && major * 100 + minor < firmware.min_revision
    {
        return Err(Error::device(format!(
            "{} needs revision {}.{} of the {} or a later one, this chip has {major}.{minor}",
            firmware.name,
            firmware.min_revision / 100,
            firmware.min_revision % 100,
            firmware.chip.title()
        ))
        .hint("build it with a lower CONFIG_<CHIP>_REV_MIN in the board's sdkconfig"));
    }
    security(found)?;
    flash_size(firmware, found)
}

fn security(found: &Found) -> Result<()> {
    let Some(security) = found.security else { return Ok(()) };
    let (what, consequence) = if security.flash_encryption {
        ("flash encryption", "what is written in plain text does not start")
    } else if security.secure_boot {
        ("secure boot", "only what is signed with its key starts")
    } else if security.secure_download {
        ("secure download mode", "what is written cannot be verified")
    } else {
        return Ok(());
    };
    Err(Error::device(format!("the chip has {what} switched on: {consequence}"))
        .hint("use esptool and espsecure with the keys of this device"))
}

fn flash_size(firmware: &Firmware, found: &Found) -> Result<()> {
    let Some(size) = found.flash_size else { return Ok(()) };
    let table_end = firmware.table.as_ref().map_or(0, |table| table.flash_end());
    let end = firmware.parts.iter().map(super::firmware::Part::end).fold(table_end, u64::max);
    let (needed, what) = match firmware.flash_size {
        Some(configured) if configured > end => (configured, "is set up for"),
        _ => (end, "has partitions up to"),
    };
    if needed <= size {
        return Ok(());
    }
    Err(Error::device(format!(
        "{} {what} {} of flash, the device has {}",
        firmware.name,
        megabytes(needed),
        megabytes(size)
    ))
    .hint("build for a board or variant with that flash size, or with `--partition-table FILE`"))
}

/// A count of bytes, in MiB where it is a whole number of them.
pub(super) fn megabytes(bytes: u64) -> String {
    match bytes >> 20 {
        whole if whole << 20 == bytes && whole > 0 => format!("{whole} MB"),
        _ => bytes_text(bytes),
    }
}
