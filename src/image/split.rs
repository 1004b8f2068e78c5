//! Taking an image of a flash apart again, by its magics and its partition table.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::bytes::{self, FileBytes, ReadAt};
use super::esp::EspImage;
use super::flash::FlashImage;
use super::output::Aside;
use super::partition::{APP, MAX_LENGTH, SECTOR};
use crate::error::{Error, Result};
use crate::pins::Hasher;
use crate::report::Report;

/// A part of an image, written as a file of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SplitPart {
    /// `bootloader`, `partition-table`, `application` or `data`.
    pub role: &'static str,
    /// The partition it comes from; bootloader and table come from none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<String>,
    /// The file's name.
    pub path: String,
    /// Where it lies in flash, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u64,
    /// Its SHA-256 in hex.
    pub sha256: String,
}

/// Where a part of an image lies.
pub(crate) struct Piece {
    /// As [`SplitPart::role`].
    pub role: &'static str,
    /// As [`SplitPart::partition`].
    pub partition: Option<String>,
    /// The name of a file for it.
    pub name: String,
    /// Where it lies in flash, in bytes.
    pub offset: u64,
    /// Where it lies in the image, in bytes.
    pub position: u64,
    /// How many bytes it has, without the erased ones at its end.
    pub size: u64,
}

/// Writes the parts of `image` into `directory`, which is created when it is missing: `bootloader.bin`,
/// `partition-table.bin`, the application as `micropython.bin` (or `application.bin`, when its project has
/// another name), and every other partition that is not erased under its own name. Erased bytes at a
/// part's end are left out.
///
/// # Errors
/// When the file is no image of a flash, its partition table is damaged, or a part cannot be written. A
/// damaged bootloader or application is warned of.
pub fn split(image: &Path, directory: &Path, report: &dyn Report) -> Result<Vec<SplitPart>> {
    let bytes = FileBytes::open(image)?;
    let read_error = |error: io::Error| Error::io("read", image, &error);
    let flash = FlashImage::read(&bytes).map_err(read_error)?.ok_or_else(|| {
        Error::input(format!(
            "{} is no flash image: expected a bootloader and a partition table",
            image.display()
        ))
        .hint("`micropython-builder inspect FILE` says what the file is")
    })?;
    let problems = flash.table.problems.iter().chain(&flash.problems);
    if let Some(problem) = problems.into_iter().next() {
        return Err(Error::input(format!("{} is damaged: {problem}", image.display()))
            .hint("`micropython-builder inspect FILE` tells all that is wrong with it"));
    }
    warn_of_damage(&flash, report);
    let pieces = pieces(&bytes, &flash).map_err(read_error)?;
    fs::create_dir_all(directory).map_err(|error| Error::io("create", directory, &error))?;
    let mut written = Vec::new();
    for piece in &pieces {
        written.push(write(&bytes, piece, image, directory)?);
    }
    let mut parts = Vec::new();
    for (aside, part) in written {
        aside.keep()?;
        parts.push(part);
    }
    Ok(parts)
}

fn warn_of_damage(flash: &FlashImage, report: &dyn Report) {
    for problem in &flash.bootloader.problems {
        report.warn(&format!("the bootloader: {problem}"));
    }
    for (partition, content) in flash.partitions() {
        for problem in content.image.iter().flat_map(|image| &image.problems) {
            report.warn(&format!("the application in {:?}: {problem}", partition.name));
        }
    }
}

/// The parts of an image: bootloader, partition table, and every partition that is not erased.
pub(crate) fn pieces(bytes: &dyn ReadAt, flash: &FlashImage) -> io::Result<Vec<Piece>> {
    let mut names = HashSet::new();
    let mut pieces = Vec::new();
    let mut add = |role, partition: Option<&str>, name: String, offset, position, size| {
        let mut unique = name;
        while !names.insert(unique.clone()) {
            unique = format!("{:x}-{unique}", offset);
        }
        let partition = partition.map(str::to_owned);
        pieces.push(Piece { role, partition, name: unique, offset, position, size });
    };

    let start = flash.bootloader_offset - flash.offset;
    let table = flash.table_offset - flash.offset;
    let used = bytes::used_length(bytes, start, table.saturating_sub(start))?;
    let bootloader = used.max(flash.bootloader.length);
    add("bootloader", None, "bootloader.bin".into(), flash.bootloader_offset, start, bootloader);

    let used = bytes::used_length(bytes, table, u64::from(SECTOR))?;
    let size = used.max(MAX_LENGTH as u64).min(bytes.size() - table);
    add("partition-table", None, "partition-table.bin".into(), flash.table_offset, table, size);

    let mut main = true;
    for (partition, content) in flash.partitions() {
        let offset = u64::from(partition.offset);
        let Some(position) = flash.position(offset).filter(|_| content.used > 0) else { continue };
        // The table may list the bootloader and itself.
        if offset == flash.bootloader_offset || offset == flash.table_offset {
            continue;
        }
        let image_length = content.image.as_ref().map_or(0, |image| image.length);
        let size = content.used.max(image_length).min(content.present);
        let (role, name) = match &content.image {
            Some(image) if main && partition.kind == APP => {
                main = false;
                ("application", application_name(image).to_owned())
            }
            Some(_) => ("application", file_name(&partition.name)),
            None => ("data", file_name(&partition.name)),
        };
        add(role, Some(&partition.name), name, offset, position, size);
    }
    Ok(pieces)
}

fn application_name(image: &EspImage) -> &'static str {
    match &image.application {
        Some(application) if application.project == "micropython" => "micropython.bin",
        _ => "application.bin",
    }
}

/// A file name for a partition: its name is data from elsewhere.
fn file_name(partition: &str) -> String {
    let plain: String = partition
        .chars()
        .map(|char| if char.is_alphanumeric() || "-_".contains(char) { char } else { '_' })
        .collect();
    format!("{}.bin", if plain.is_empty() { "partition" } else { &plain })
}

fn write(
    bytes: &FileBytes,
    piece: &Piece,
    image: &Path,
    directory: &Path,
) -> Result<(Aside, SplitPart)> {
    let path = directory.join(&piece.name);
    let aside = Aside::create(&path)?;
    let mut hash = Hasher::default();
    let mut written = Ok(());
    let size = bytes::stream(bytes, piece.position, piece.size, |data| {
        hash.update(data);
        if written.is_ok() {
            written = aside.file().write_all(data);
        }
    })
    .map_err(|error| Error::io("read", image, &error))?;
    written.map_err(|error| Error::io("write", &path, &error))?;
    let part = SplitPart {
        role: piece.role,
        partition: piece.partition.clone(),
        path: piece.name.clone(),
        offset: piece.offset,
        size,
        sha256: hash.finish().to_hex(),
    };
    Ok((aside, part))
}
