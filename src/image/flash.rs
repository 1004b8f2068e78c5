//! Images of a whole flash, or of its beginning: bootloader, erased bytes, partition table, and what
//! lies in the partitions. MicroPython's `firmware.bin` for ESP32 is one that starts at the bootloader.

use std::io;

use serde::Serialize;

use super::bytes::{self, ReadAt, Window};
use super::bytes_text;
use super::esp::{EspImage, MAGIC};
use super::partition::{APP, DEFAULT_OFFSET, Partition, RawTable, SECTOR};

/// How far from its start a bootloader is looked for, and how far the file's start may lie from that of
/// the flash.
const FIRST: u64 = 0x1_0000;
/// How far into an image a partition table is looked for.
const TABLE_WITHIN: u64 = 0x20_0000;
const SECTOR_64: u64 = SECTOR as u64;

/// An image of a flash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlashImage {
    /// Where the image starts in flash, in bytes: the offset to write it to.
    pub offset: u64,
    /// Whether [`offset`](Self::offset) follows from where the applications lie. Otherwise it is
    /// assumed, from the table lying where it lies by default.
    pub offset_known: bool,
    /// Where the bootloader starts in flash.
    pub bootloader_offset: u64,
    /// The bootloader.
    pub bootloader: EspImage,
    /// Where the partition table starts in flash.
    pub table_offset: u64,
    /// The partition table.
    pub table: RawTable,
    /// What the image holds of each partition, in the table's order.
    pub contents: Vec<Content>,
    /// What is wrong with the whole, besides its parts.
    pub problems: Vec<String>,
}

/// What an image holds of a partition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Content {
    /// How many of its bytes the image has: less than its size when the image ends before.
    pub present: u64,
    /// How many bytes from its start are in use: up to the last that is not erased.
    pub used: u64,
    /// The ESP image at its start.
    #[serde(skip)]
    pub image: Option<EspImage>,
}

/// A place in flash, and how much of it is in use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Region {
    /// What lies there: `bootloader`, `partition table`, or the partition's name, type and subtype.
    pub what: String,
    /// Where it starts in flash, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u64,
    /// How many of them are in use; absent when the image ends before.
    pub used: Option<u64>,
    /// How many of them are free; absent when the image ends before.
    pub free: Option<u64>,
}

impl FlashImage {
    /// Reads an image that begins with a bootloader, perhaps after erased bytes, and has a partition
    /// table. Nothing when the bytes are something else.
    ///
    /// # Errors
    /// When the bytes cannot be read.
    pub fn read(bytes: &dyn ReadAt) -> io::Result<Option<FlashImage>> {
        let Some(start) = first_image(bytes)? else { return Ok(None) };
        let Some(bootloader) = EspImage::read(bytes, start)? else { return Ok(None) };
        if bootloader.is_esp8266() || bootloader.application.is_some() {
            return Ok(None);
        }
        let Some((position, table)) = find_table(bytes, start)? else { return Ok(None) };
        let (offset, offset_known) = find_offset(bytes, &bootloader, position, &table)?;
        let mut image = FlashImage {
            offset,
            offset_known,
            bootloader_offset: offset + start,
            table_offset: offset + position,
            contents: Vec::new(),
            problems: Vec::new(),
            bootloader,
            table,
        };
        if start + image.bootloader.length > position {
            image.problems.push(format!(
                "the bootloader ends at 0x{:x}, after the start of the partition table",
                image.bootloader_offset + image.bootloader.length
            ));
        }
        image.read_contents(bytes)?;
        Ok(Some(image))
    }

    /// Where a flash offset lies in the image's bytes.
    pub fn position(&self, flash_offset: u64) -> Option<u64> {
        flash_offset.checked_sub(self.offset)
    }

    /// The partitions with what the image holds of them.
    pub fn partitions(&self) -> impl Iterator<Item = (&Partition, &Content)> {
        self.table.table.partitions.iter().zip(&self.contents)
    }

    /// All places in flash that something is in, or is meant for, by offset.
    pub fn regions(&self) -> Vec<Region> {
        let region = |what: String, offset: u64, size: u64, used: Option<u64>| Region {
            what,
            offset,
            size,
            used,
            free: used.map(|used| size.saturating_sub(used)),
        };
        let room = self.table_offset - self.bootloader_offset;
        let mut regions = vec![
            region(
                "bootloader".to_owned(),
                self.bootloader_offset,
                room,
                Some(self.bootloader.length),
            ),
            region(
                "partition table".to_owned(),
                self.table_offset,
                SECTOR_64,
                Some(self.table.length as u64),
            ),
        ];
        for (partition, content) in self.partitions() {
            let what = format!(
                "{} ({}, {})",
                partition.name,
                partition.type_text(),
                partition.subtype_text()
            );
            let used = content.image.as_ref().map_or(content.used, |image| image.length);
            let used = (content.present > 0).then_some(used);
            regions.push(region(what, partition.offset.into(), partition.size.into(), used));
        }
        regions.sort_by_key(|region| region.offset);
        regions
    }

    fn read_contents(&mut self, bytes: &dyn ReadAt) -> io::Result<()> {
        // Partitions that overlap could make the same bytes be read over and over.
        let mut budget = bytes.size().saturating_mul(2);
        for partition in &self.table.table.partitions {
            let position = self.position(u64::from(partition.offset));
            let content = match position.filter(|_| budget > 0) {
                Some(position) => content(bytes, partition, position)?,
                None => Content { present: 0, used: 0, image: None },
            };
            let image_length = content.image.as_ref().map_or(0, |image| image.length);
            budget = budget.saturating_sub(content.present.max(image_length));
            if let Some(image) = &content.image
                && image.length > u64::from(partition.size)
            {
                self.problems.push(format!(
                    "the application in {:?} is {} larger than its partition",
                    partition.name,
                    bytes_text(image.length - u64::from(partition.size))
                ));
            }
            self.contents.push(content);
        }
        Ok(())
    }
}

fn content(bytes: &dyn ReadAt, partition: &Partition, position: u64) -> io::Result<Content> {
    let size = u64::from(partition.size);
    let present = size.min(bytes.size().saturating_sub(position));
    let used = bytes::used_length(bytes, position, present)?;
    let image = match partition.kind {
        APP if used > 0 => EspImage::read(bytes, position)?,
        _ => None,
    };
    Ok(Content { present, used, image })
}

/// The position of the first byte that is not erased, when an ESP image may begin there.
fn first_image(bytes: &dyn ReadAt) -> io::Result<Option<u64>> {
    let mut position = 0;
    while position < FIRST {
        match bytes::array::<1>(bytes, position)? {
            Some([MAGIC]) => return Ok(Some(position)),
            Some([0xff]) if bytes::used_length(bytes, position, SECTOR_64)? == 0 => {}
            _ => return Ok(None),
        }
        position += SECTOR_64;
    }
    Ok(None)
}

fn find_table(bytes: &dyn ReadAt, start: u64) -> io::Result<Option<(u64, RawTable)>> {
    let mut position = start + SECTOR_64;
    while position < (start + TABLE_WITHIN).min(bytes.size()) {
        if bytes::array::<2>(bytes, position)? == Some([0xaa, 0x50]) {
            let window = Window::new(bytes, position, SECTOR_64);
            let table = RawTable::parse(&bytes::vec(&window, 0, SECTOR as usize)?);
            if table.is_plausible() {
                return Ok(Some((position, table)));
            }
        }
        position += SECTOR_64;
    }
    Ok(None)
}

/// Where the bytes start in flash, and whether that is known: it is, when an application for the same
/// chip begins where the table says that one does.
fn find_offset(
    bytes: &dyn ReadAt,
    bootloader: &EspImage,
    table: u64,
    raw: &RawTable,
) -> io::Result<(u64, bool)> {
    let usual = u64::from(DEFAULT_OFFSET).checked_sub(table);
    let others = (0..FIRST).step_by(SECTOR as usize).filter(|offset| Some(*offset) != usual);
    let applications: Vec<u64> = raw
        .table
        .partitions
        .iter()
        .filter(|partition| partition.kind == APP)
        .map(|partition| u64::from(partition.offset))
        .collect();
    for offset in usual.into_iter().chain(others) {
        for application in &applications {
            let Some(position) = application.checked_sub(offset) else { continue };
            let head = Window::new(bytes, position, 24);
            if let Some(image) = EspImage::read(&head, 0)?
                && image.chip_id == bootloader.chip_id
            {
                return Ok((offset, true));
            }
        }
    }
    Ok((usual.unwrap_or(0), false))
}
