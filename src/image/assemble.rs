//! Putting a bootloader, a partition table and an application together into one image, as the
//! `makeimg.py` of MicroPython's ESP32 port does: from the bootloader's offset on, with erased bytes
//! between them.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::build_dir::BuildDir;
use super::bytes::{self, FileBytes, ReadAt};
use super::chip::Chip;
use super::esp::EspImage;
use super::output::Aside;
use super::partition::{APP, Partition, SECTOR, Table};
use super::{bytes_text, uf2};
use crate::error::{Error, Result};
use crate::pins::Hasher;
use crate::report::Report;

/// What is put together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parts {
    /// The second-stage bootloader.
    pub bootloader: PathBuf,
    /// Where it goes in flash, in bytes.
    pub bootloader_offset: u32,
    /// The binary partition table.
    pub partition_table: PathBuf,
    /// Where it goes in flash, in bytes.
    pub table_offset: u32,
    /// The application; it goes into the first application partition of the table.
    pub application: PathBuf,
    /// Where the build itself would flash the application, when that is known. It is only compared.
    pub application_offset: Option<u32>,
}

impl From<BuildDir> for Parts {
    fn from(build: BuildDir) -> Parts {
        Parts {
            bootloader: build.bootloader,
            bootloader_offset: build.bootloader_offset,
            partition_table: build.partition_table,
            table_offset: build.table_offset,
            application: build.application,
            application_offset: Some(build.application_offset),
        }
    }
}

/// An image that was put together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Assembled {
    /// Where it goes in flash: the bootloader's offset.
    pub offset: u32,
    /// How many bytes it has.
    pub size: u64,
    /// Its SHA-256 in hex.
    pub sha256: String,
    /// What it was made of, by offset.
    pub parts: Vec<Part>,
}

/// A part of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Part {
    /// `bootloader`, `partition-table` or `application`.
    pub role: &'static str,
    /// Where it lies in flash, in bytes.
    pub offset: u32,
    /// How many bytes it has.
    pub size: u64,
    /// How many bytes it may have: up to the next part, or its partition's size.
    pub limit: u64,
}

/// An opened part.
struct Piece {
    part: Part,
    path: PathBuf,
    bytes: FileBytes,
}

/// Writes the image to `out`, aside first and renamed when it is whole.
///
/// What can only be a mistake is refused: parts that are too large, with how many bytes over, and parts
/// for different chips. Parts that are no ESP images are warned of, because encrypted ones look so.
///
/// # Errors
/// When a part cannot be read or does not fit, or the image cannot be written.
pub fn assemble(parts: &Parts, out: &Path, report: &dyn Report) -> Result<Assembled> {
    let table_file = FileBytes::open(&parts.partition_table)?;
    let table = read_table(&table_file, &parts.partition_table)?;
    let application = application_partition(&table, &parts.partition_table)?;
    if let Some(built) = parts.application_offset.filter(|built| *built != application.offset) {
        report.warn(&format!(
            "the application goes to 0x{:x}, into the first application partition {:?}; the build itself would flash it at 0x{built:x}",
            application.offset, application.name
        ));
    }
    let table_limit = first_after(&table, parts.table_offset)
        .map_or(u64::from(SECTOR), |offset| u64::from(offset - parts.table_offset));
    let bootloader_limit = parts
        .table_offset
        .checked_sub(parts.bootloader_offset)
        .filter(|limit| *limit > 0)
        .ok_or_else(|| {
            Error::input(format!(
                "the bootloader's offset 0x{:x} is not below the partition table's, 0x{:x}",
                parts.bootloader_offset, parts.table_offset
            ))
        })?;
    let pieces = [
        piece("bootloader", &parts.bootloader, parts.bootloader_offset, bootloader_limit.into())?,
        Piece {
            part: Part {
                role: "partition-table",
                offset: parts.table_offset,
                size: table_file.size(),
                limit: table_limit,
            },
            path: parts.partition_table.clone(),
            bytes: table_file,
        },
        piece("application", &parts.application, application.offset, application.size.into())?,
    ];
    check_sizes(&pieces, application)?;
    check_images(&pieces, report)?;
    write(&pieces, parts.bootloader_offset, out)
}

/// The partition that the application goes into: the first of its type.
///
/// # Errors
/// When the table has none.
pub fn application_partition<'a>(table: &'a Table, path: &Path) -> Result<&'a Partition> {
    table
        .partitions
        .iter()
        .find(|partition| partition.kind == APP && partition.offset != 0)
        .ok_or_else(|| {
            Error::input(format!(
                "the partition table {} has no application partition",
                path.display()
            ))
            .hint("add a row such as: factory, app, factory, 0x10000, 0x1F0000")
        })
}

/// Writes an application as a UF2 file, which a board with a USB bootloader takes as a file. Returns its
/// size in bytes.
///
/// # Errors
/// When MicroPython has no UF2 files for the chip, or reading or writing fails.
pub fn write_uf2(application: &Path, chip: Chip, out: &Path) -> Result<u64> {
    let family = chip.uf2_family().ok_or_else(|| {
        Error::input(format!(
            "there are no UF2 files for {}, only for ESP32-S2 and ESP32-S3",
            chip.title()
        ))
        .hint("leave --uf2 out")
    })?;
    let bytes = FileBytes::open(application)?;
    let aside = Aside::create(out)?;
    let mut writer = BufWriter::new(aside.file());
    let size = uf2::write(&bytes, family, 0, &mut writer)
        .and_then(|size| writer.flush().map(|()| size))
        .map_err(|error| Error::io("write", out, &error))?;
    drop(writer);
    aside.keep()?;
    Ok(size)
}

fn read_table(file: &FileBytes, path: &Path) -> Result<Table> {
    let data =
        bytes::vec(file, 0, SECTOR as usize).map_err(|error| Error::io("read", path, &error))?;
    if !super::partition::looks_binary(&data) {
        return Err(Error::input(format!("{} is no binary partition table", path.display())).hint(
            "`micropython-builder image table FILE.csv -o FILE.bin` makes one of a CSV file",
        ));
    }
    Table::from_binary(&data, true).map_err(|error| error.context(path.display()))
}

fn first_after(table: &Table, offset: u32) -> Option<u32> {
    table.partitions.iter().map(|partition| partition.offset).filter(|start| *start > offset).min()
}

fn piece(role: &'static str, path: &Path, offset: u32, limit: u64) -> Result<Piece> {
    let bytes = FileBytes::open(path)?;
    let part = Part { role, offset, size: bytes.size(), limit };
    Ok(Piece { part, path: path.to_owned(), bytes })
}

fn check_sizes(pieces: &[Piece], application: &Partition) -> Result<()> {
    for Piece { part, path, .. } in pieces {
        if part.size == 0 {
            return Err(Error::input(format!("the {} {} is empty", part.role, path.display())));
        }
        if part.size <= part.limit {
            continue;
        }
        let place = match part.role {
            "application" => format!("its partition {:?}", application.name),
            "bootloader" => "the room before the partition table".to_owned(),
            _ => "the room before the first partition".to_owned(),
        };
        return Err(Error::input(format!(
            "the {} {} is {} too large: it has {} bytes, {place} has {}",
            part.role,
            path.display(),
            bytes_text(part.size - part.limit),
            part.size,
            part.limit
        ))
        .hint(match part.role {
            "application" => {
                "give it a larger partition in the partition table, or build less into it"
            }
            "bootloader" => "check that it is the bootloader, and its offset",
            _ => "check that it is the partition table, and its offset",
        }));
    }
    let mut end = 0;
    for Piece { part, .. } in pieces {
        if u64::from(part.offset) < end {
            return Err(Error::input(format!(
                "the {} starts at 0x{:x}, before the end of the part before it at 0x{end:x}",
                part.role, part.offset
            )));
        }
        end = u64::from(part.offset) + part.size;
    }
    Ok(())
}

/// Compares the chips of bootloader and application.
fn check_images(pieces: &[Piece], report: &dyn Report) -> Result<()> {
    let mut chips = Vec::new();
    for Piece { part, path, bytes } in
        pieces.iter().filter(|piece| piece.part.role != "partition-table")
    {
        let image = EspImage::read(bytes, 0).map_err(|error| Error::io("read", path, &error))?;
        let Some(image) = image else {
            report.warn(&format!(
                "the {} {} is no ESP image; it is taken as it is",
                part.role,
                path.display()
            ));
            continue;
        };
        for problem in &image.problems {
            report.warn(&format!("the {} {}: {problem}", part.role, path.display()));
        }
        chips.push(image.chip_title());
    }
    match chips.as_slice() {
        [bootloader, application] if bootloader != application => Err(Error::input(format!(
            "the bootloader is for {bootloader}, the application for {application}"
        ))
        .hint("give the parts of one build")),
        _ => Ok(()),
    }
}

fn write(pieces: &[Piece], start: u32, out: &Path) -> Result<Assembled> {
    let aside = Aside::create(out)?;
    let (size, sha256) = join(pieces, start, aside.file(), out)?;
    aside.keep()?;
    let parts = pieces.iter().map(|piece| piece.part.clone()).collect();
    Ok(Assembled { offset: start, size, sha256, parts })
}

/// Writes the parts to a file, and returns how many bytes that were and their SHA-256.
fn join(pieces: &[Piece], start: u32, file: &File, out: &Path) -> Result<(u64, String)> {
    let mut sink = Sink { inner: BufWriter::new(file), hash: Hasher::default(), size: 0 };
    for Piece { part, path, bytes } in pieces {
        sink.erased_until(u64::from(part.offset - start))
            .map_err(|error| Error::io("write", out, &error))?;
        let mut written = Ok(());
        let length = bytes::stream(bytes, 0, part.size, |piece| {
            if written.is_ok() {
                written = sink.write(piece);
            }
        })
        .map_err(|error| Error::io("read", path, &error))?;
        written.map_err(|error| Error::io("write", out, &error))?;
        if length != part.size {
            return Err(Error::input(format!("{} changed while it was read", path.display())));
        }
    }
    sink.inner.flush().map_err(|error| Error::io("write", out, &error))?;
    Ok((sink.size, sink.hash.finish().to_hex()))
}

struct Sink<W: Write> {
    inner: W,
    hash: Hasher,
    size: u64,
}

impl<W: Write> Sink<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.hash.update(data);
        self.size += data.len() as u64;
        self.inner.write_all(data)
    }

    fn erased_until(&mut self, end: u64) -> io::Result<()> {
        let erased = [0xff; 4096];
        while self.size < end {
            let length = usize::try_from(end - self.size).unwrap_or(erased.len()).min(erased.len());
            self.write(erased.get(..length).unwrap_or(&erased))?;
        }
        Ok(())
    }
}
