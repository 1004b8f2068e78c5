//! What a partition table must be for ESP-IDF's bootloader and applications to use it.

use super::names::{self, APP, DATA};
use super::{Options, Partition, SECTOR, SecureBoot, Table};
use crate::error::{Error, Result};

/// The smallest NVS partition that can be written to.
const NVS_MINIMUM: u32 = 0x3000;
/// The one size an otadata partition may have.
const OTADATA_SIZE: u32 = 0x2000;

/// What a partition's offset must be a multiple of.
pub(super) fn offset_alignment(kind: u8) -> u32 {
    if kind == APP { 0x1_0000 } else { 0x1000 }
}

impl Table {
    /// Checks the table as `gen_esp32part.py` does: alignment, sizes, names, overlaps, otadata, and
    /// that it fits the flash when its size is given. Returns what is odd but no fault.
    ///
    /// A table without partitions is refused, which that tool accepts: nothing could boot from it, and
    /// its binary form cannot be told from noise.
    ///
    /// # Errors
    /// At the first fault.
    pub fn verify(&self, options: &Options) -> Result<Vec<String>> {
        if self.partitions.is_empty() {
            return Err(Error::input("the partition table has no partitions")
                .hint("a line is: name, type, subtype, offset, size, flags"));
        }
        for partition in &self.partitions {
            verify_partition(partition, options)?;
        }
        self.verify_names()?;
        self.verify_overlaps(options)?;
        self.verify_otadata(names::DATA_OTA, "otadata")?;
        self.verify_otadata(names::DATA_TEE_OTA, "TEE otadata")?;
        if let Some(flash_size) = options.flash_size {
            self.verify_fits(flash_size)?;
        }
        let misleading = self.partitions.iter().filter(|partition| {
            names::is_misleading(
                &partition.name,
                partition.kind,
                partition.subtype,
                &options.extra_subtypes,
            )
        });
        Ok(misleading
            .map(|partition| {
                format!(
                    "the partition {:?} is named like a type or subtype, but is {}, {}",
                    partition.name,
                    partition.type_text(),
                    partition.subtype_text()
                )
            })
            .collect())
    }

    /// Checks that all partitions lie within a flash of `flash_size` bytes.
    ///
    /// # Errors
    /// When they don't, with how many bytes are missing.
    pub fn verify_fits(&self, flash_size: u64) -> Result<()> {
        let end = self.flash_end();
        if end <= flash_size {
            return Ok(());
        }
        let last = self.partitions.iter().max_by_key(|partition| partition.offset);
        Err(Error::input(format!(
            "the partitions end at 0x{end:x}, the flash at 0x{flash_size:x}: {} bytes too many (the last one is {:?})",
            end - flash_size,
            last.map_or("", |partition| &partition.name)
        ))
        .hint("make a partition smaller, or choose a board or variant with more flash"))
    }

    fn verify_names(&self) -> Result<()> {
        for (index, partition) in self.partitions.iter().enumerate() {
            let before = self.partitions.iter().take(index);
            if before.into_iter().any(|other| other.name == partition.name) {
                return Err(Error::input(format!("two partitions are named {:?}", partition.name))
                    .hint("give each partition a name of its own"));
            }
        }
        Ok(())
    }

    fn verify_overlaps(&self, options: &Options) -> Result<()> {
        let first_free = u64::from(options.table_offset) + u64::from(SECTOR);
        let mut sorted: Vec<&Partition> = self.partitions.iter().collect();
        sorted.sort_by_key(|partition| partition.offset);
        let mut last: Option<&Partition> = None;
        for partition in sorted {
            if u64::from(partition.offset) < first_free && !partition.is_primary() {
                return Err(Error::input(format!(
                    "the partition {:?} starts at 0x{:x}, before 0x{first_free:x}, where the partition table ends",
                    partition.name, partition.offset
                ))
                .hint("move it, or give the table's offset if it is another"));
            }
            if let Some(last) = last.filter(|last| u64::from(partition.offset) < last.end()) {
                return Err(Error::input(format!(
                    "the partition {:?} at 0x{:x} overlaps {:?}, which ends at 0x{:x}",
                    partition.name,
                    partition.offset,
                    last.name,
                    last.end()
                )));
            }
            last = Some(partition);
        }
        Ok(())
    }

    fn verify_otadata(&self, subtype: u8, what: &str) -> Result<()> {
        let found: Vec<&Partition> = self
            .partitions
            .iter()
            .filter(|partition| partition.kind == DATA && partition.subtype == subtype)
            .collect();
        match found.as_slice() {
            [] => Ok(()),
            [one] if one.size == OTADATA_SIZE => Ok(()),
            [one] => Err(Error::input(format!(
                "the {what} partition {:?} has 0x{:x} bytes, expected 0x{OTADATA_SIZE:x}",
                one.name, one.size
            ))),
            [first, second, ..] => Err(Error::input(format!(
                "{:?} and {:?} are both {what} partitions, at most one is allowed",
                first.name, second.name
            ))),
        }
    }
}

fn verify_partition(partition: &Partition, options: &Options) -> Result<()> {
    let Partition { name, kind, subtype, offset, size, .. } = partition;
    let alignment = offset_alignment(*kind);
    if !offset.is_multiple_of(alignment) {
        return Err(Error::input(format!(
            "the partition {name:?} starts at 0x{offset:x}, expected a multiple of 0x{alignment:x}"
        ))
        .hint(format!(
            "move it to 0x{:x}",
            u64::from(*offset).next_multiple_of(alignment.into())
        )));
    }
    let unit = match options.secure_boot {
        Some(SecureBoot::V1) => 0x1_0000,
        _ => 0x1000,
    };
    if *kind == APP && !size.is_multiple_of(unit) {
        return Err(Error::input(format!(
            "the application partition {name:?} has 0x{size:x} bytes, expected a multiple of 0x{unit:x}"
        )));
    }
    let written = [names::DATA_OTA, names::DATA_COREDUMP];
    if *kind == DATA && written.contains(subtype) && partition.readonly {
        return Err(Error::input(format!(
            "the partition {name:?} is read-only, but a {} partition is always written to",
            partition.subtype_text()
        ))
        .hint("remove the flag readonly"));
    }
    if *kind == DATA && *subtype == names::DATA_NVS && *size < NVS_MINIMUM && !partition.readonly {
        return Err(Error::input(format!(
            "the NVS partition {name:?} has 0x{size:x} bytes, at least 0x{NVS_MINIMUM:x} are needed to write to it"
        ))
        .hint("make it larger, or flag it readonly"));
    }
    Ok(())
}
