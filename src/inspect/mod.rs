//! What a file is, by its content: `.mpy` files, ESP images and whole flashes, partition tables, UF2 and
//! ELF files. A file that is cut off or damaged is described as far as it goes.

pub mod banner;
pub mod elf;
pub mod mpy;
pub mod target;

use std::io;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};
use crate::image::bytes::{self, FileBytes, ReadAt, u32_le};
use crate::image::esp::EspImage;
use crate::image::flash::{Content, FlashImage};
use crate::image::partition::{self, Md5Row, Options, Partition, RawTable, Table};
use crate::image::uf2::{self, Uf2};
use banner::{Banner, Finder};

/// A `.mpy` file larger than this is taken for something else.
const LARGEST_MPY: u64 = 64 * 1024 * 1024;
/// A partition table as text has fewer bytes than this.
const LARGEST_CSV: u64 = 64 * 1024;

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Description {
    /// How many bytes it has.
    pub size: u64,
    /// What it holds.
    #[serde(flatten)]
    pub content: Kind,
    /// The MicroPython in it, where its banner was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub micropython: Option<Banner>,
    /// All that is wrong with it.
    pub problems: Vec<String>,
}

/// What a file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Kind {
    /// A compiled Python module.
    Mpy {
        /// What it says.
        mpy: mpy::Mpy,
    },
    /// One image for an Espressif chip: a bootloader or an application.
    EspImage {
        /// What it says.
        image: Box<EspImage>,
        /// How many bytes follow it.
        trailing: u64,
    },
    /// An image of a flash, or of its beginning.
    FlashImage {
        /// What it says.
        flash: Box<Flash>,
    },
    /// A partition table as it lies in flash.
    PartitionTable {
        /// What it says.
        table: TableFile,
    },
    /// A partition table as text.
    PartitionTableCsv {
        /// What it says.
        table: TableFile,
    },
    /// A UF2 file.
    Uf2 {
        /// What it says.
        uf2: Uf2,
    },
    /// An ELF file.
    Elf {
        /// What it says.
        elf: elf::Elf,
    },
    /// A binary of no format of its own that holds MicroPython: what a microcontroller's flash holds.
    Raw {
        /// Where a Cortex-M's stack begins, when the bytes begin with a vector table.
        #[serde(skip_serializing_if = "Option::is_none")]
        vectors: Option<Vectors>,
    },
    /// Something else.
    Unknown {
        /// The first bytes, in hex.
        begins: String,
    },
}

/// The beginning of a Cortex-M's vector table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Vectors {
    /// Where the stack begins.
    pub initial_stack: u32,
    /// Where execution starts.
    pub reset: u32,
}

/// An image of a flash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Flash {
    /// The offset to write it to, in bytes.
    pub offset: u64,
    /// Whether the offset follows from where the applications lie, or is assumed.
    pub offset_known: bool,
    /// Where the bootloader lies in flash.
    pub bootloader_offset: u64,
    /// The bootloader.
    pub bootloader: EspImage,
    /// Where the partition table lies in flash.
    pub table_offset: u64,
    /// The partition table's MD5.
    pub table_md5: Md5Row,
    /// The partitions, with what the file holds of them.
    pub partitions: Vec<Filled>,
}

/// A partition with what a file holds of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Filled {
    /// The partition.
    #[serde(flatten)]
    pub partition: Partition,
    /// What the file holds of it.
    #[serde(flatten)]
    pub content: Content,
    /// The image at its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<EspImage>,
}

/// A file with a partition table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TableFile {
    /// Its MD5; absent in text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub md5: Option<Md5Row>,
    /// Its rows.
    pub partitions: Vec<Partition>,
    /// What is odd but no fault.
    pub warnings: Vec<String>,
}

/// Says what a file is.
///
/// # Errors
/// When it cannot be read. A file that is damaged or unknown is no error here: see
/// [`problems`](Description::problems).
pub fn inspect(path: &Path) -> Result<Description> {
    let bytes = FileBytes::open(path)?;
    describe(&bytes).map_err(|error| Error::io("read", path, &error))
}

/// Says what bytes are.
///
/// # Errors
/// When they cannot be read.
pub fn describe(bytes: &dyn ReadAt) -> io::Result<Description> {
    let head = bytes::vec(bytes, 0, 64)?;
    if uf2::looks_uf2(&head) {
        return describe_uf2(bytes);
    }
    if let Some(elf) = elf::Elf::read(bytes) {
        let problems = elf.problems.clone();
        return finish(bytes, Kind::Elf { elf }, problems);
    }
    if let Some(table) = describe_table(bytes)? {
        return Ok(table);
    }
    if let Some(flash) = FlashImage::read(bytes)? {
        return describe_flash(bytes, flash);
    }
    if let Some(image) = EspImage::read(bytes, 0)? {
        let trailing = bytes.size().saturating_sub(image.length);
        let problems = image.problems.clone();
        return finish(bytes, Kind::EspImage { image: Box::new(image), trailing }, problems);
    }
    if bytes.size() <= LARGEST_MPY
        && head.first() == Some(&crate::natmod::header::MAGIC)
        && let Some(mpy) = mpy::Mpy::parse(&read_all(bytes)?)
    {
        let problems = mpy.problems.clone();
        return Ok(description(bytes, Kind::Mpy { mpy }, None, problems));
    }
    if let Some(table) = csv_table(bytes)? {
        return Ok(description(bytes, Kind::PartitionTableCsv { table }, None, Vec::new()));
    }
    describe_other(bytes, &head)
}

fn read_all(bytes: &dyn ReadAt) -> io::Result<Vec<u8>> {
    bytes::vec(bytes, 0, usize::try_from(bytes.size()).unwrap_or(usize::MAX))
}

fn description(
    bytes: &dyn ReadAt,
    content: Kind,
    micropython: Option<Banner>,
    problems: Vec<String>,
) -> Description {
    Description { size: bytes.size(), content, micropython, problems }
}

/// Looks for a banner in all of the bytes.
fn finish(bytes: &dyn ReadAt, content: Kind, problems: Vec<String>) -> io::Result<Description> {
    let mut finder = Finder::default();
    bytes::stream(bytes, 0, u64::MAX, |piece| finder.feed(piece))?;
    Ok(description(bytes, content, finder.finish(), problems))
}

fn describe_uf2(bytes: &dyn ReadAt) -> io::Result<Description> {
    let mut finder = Finder::default();
    let uf2 = Uf2::read(bytes, |_, payload| finder.feed(payload))?;
    let problems = uf2.problems.clone();
    Ok(description(bytes, Kind::Uf2 { uf2 }, finder.finish(), problems))
}

fn describe_table(bytes: &dyn ReadAt) -> io::Result<Option<Description>> {
    let data = bytes::vec(bytes, 0, partition::SECTOR as usize)?;
    if !partition::looks_binary(&data) {
        return Ok(None);
    }
    let raw = RawTable::parse(&data);
    if !raw.is_plausible() {
        return Ok(None);
    }
    let mut warnings = raw.warnings;
    if raw.problems.is_empty() {
        // The table's own offset is not in it: without one, no partition is too low.
        let options = Options { table_offset: 0, ..Options::default() };
        match raw.table.verify(&options) {
            Ok(odd) => warnings.extend(odd),
            Err(error) => warnings.push(error.message().to_owned()),
        }
    }
    let table = TableFile { md5: Some(raw.md5), partitions: raw.table.partitions, warnings };
    Ok(Some(description(bytes, Kind::PartitionTable { table }, None, raw.problems)))
}

/// The table in a file that is one as text: that has no line which is none of its rows.
fn csv_table(bytes: &dyn ReadAt) -> io::Result<Option<TableFile>> {
    if bytes.size() > LARGEST_CSV {
        return Ok(None);
    }
    // Tables may name bootloaders, whose place is not in them.
    let options = Options {
        primary_bootloader_offset: Some(0),
        recovery_bootloader_offset: Some(0),
        ..Options::default()
    };
    let table = match Table::parse(&read_all(bytes)?, &options) {
        Ok(table) if !table.partitions.is_empty() => table,
        _ => return Ok(None),
    };
    let warnings = match table.verify(&options) {
        Ok(odd) => odd,
        Err(error) => vec![error.message().to_owned()],
    };
    Ok(Some(TableFile { md5: None, partitions: table.partitions, warnings }))
}

fn describe_flash(bytes: &dyn ReadAt, flash: FlashImage) -> io::Result<Description> {
    let mut problems: Vec<String> =
        flash.bootloader.problems.iter().map(|problem| format!("bootloader: {problem}")).collect();
    problems
        .extend(flash.table.problems.iter().map(|problem| format!("partition table: {problem}")));
    for (partition, content) in flash.partitions() {
        let found = content.image.iter().flat_map(|image| &image.problems);
        problems
            .extend(found.map(|problem| format!("application {:?}: {problem}", partition.name)));
    }
    problems.extend(flash.problems);
    let partitions = flash.table.table.partitions.into_iter().zip(flash.contents);
    let flash = Flash {
        offset: flash.offset,
        offset_known: flash.offset_known,
        bootloader_offset: flash.bootloader_offset,
        bootloader: flash.bootloader,
        table_offset: flash.table_offset,
        table_md5: flash.table.md5,
        partitions: partitions
            .map(|(partition, mut content)| Filled {
                image: content.image.take(),
                partition,
                content,
            })
            .collect(),
    };
    finish(bytes, Kind::FlashImage { flash: Box::new(flash) }, problems)
}

/// A binary with a MicroPython banner in it, or something unknown.
fn describe_other(bytes: &dyn ReadAt, head: &[u8]) -> io::Result<Description> {
    let begins = crate::image::hex(head.get(..16).unwrap_or(head));
    let raw = finish(bytes, Kind::Raw { vectors: vectors(head) }, Vec::new())?;
    // A log may hold a banner, too, but no NUL bytes.
    let is_binary = bytes::vec(bytes, 0, 4096)?.contains(&0);
    if raw.micropython.is_some() && is_binary {
        return Ok(raw);
    }
    let problem = match bytes.size() {
        0 => "it is empty".to_owned(),
        _ => "it is of no kind that is known here".to_owned(),
    };
    Ok(description(bytes, Kind::Unknown { begins }, None, vec![problem]))
}

fn vectors(head: &[u8]) -> Option<Vectors> {
    let (initial_stack, reset) = (u32_le(head, 0), u32_le(head, 4));
    let in_ram = (0x1000_0000..0x4000_0000).contains(&initial_stack) && initial_stack % 4 == 0;
    (head.len() >= 8 && in_ram && reset & 1 == 1 && reset < 0xa000_0000)
        .then_some(Vectors { initial_stack, reset })
}
