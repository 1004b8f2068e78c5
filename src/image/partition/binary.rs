//! Partition tables as they lie in flash: rows of 32 bytes, a row with the MD5 of those before it, and
//! erased bytes.

use md5::{Digest, Md5};
use serde::Serialize;

use super::names::{APP, DATA};
use super::{MAX_LENGTH, MAX_NAME, Partition, Table};
use crate::error::{Error, Result};
use crate::image::bytes::{u8_at, u16_le, u32_le};
use crate::image::hex;

const ROW: usize = 32;
const MAGIC: u16 = 0x50aa;
const MD5_MAGIC: u16 = 0xebeb;
const ENCRYPTED: u32 = 1;
const READONLY: u32 = 2;

/// A table as it was read, however far that went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawTable {
    /// The rows that could be read.
    pub table: Table,
    /// The row with the MD5.
    pub md5: Md5Row,
    /// How many bytes the rows take, with the MD5 row and without the erased bytes after them.
    pub length: usize,
    /// What is wrong with it.
    pub problems: Vec<String>,
    /// What is unusual and no fault.
    pub warnings: Vec<String>,
}

/// The row of a table that holds the MD5 of the rows before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Md5Row {
    /// There is none.
    Absent,
    /// It agrees with the rows.
    Valid,
    /// It differs from what the rows give.
    Wrong,
}

/// Whether bytes begin as a binary partition table does.
pub fn looks_binary(data: &[u8]) -> bool {
    u16_le(data, 0) == MAGIC
}

impl RawTable {
    /// Reads as much of a table as there is. Nothing after its end is looked at.
    pub fn parse(data: &[u8]) -> RawTable {
        let mut raw = RawTable {
            table: Table::default(),
            md5: Md5Row::Absent,
            length: 0,
            problems: Vec::new(),
            warnings: Vec::new(),
        };
        let mut hash = Md5::new();
        for (index, row) in data.chunks(ROW).enumerate() {
            if row.len() < ROW {
                raw.problems
                    .push(format!("cut off: row {index} has {} bytes, expected {ROW}", row.len()));
                return raw;
            }
            if row.iter().all(|&byte| byte == 0xff) {
                return raw;
            }
            match u16_le(row, 0) {
                MAGIC => {
                    hash.update(row);
                    raw.push(row, index);
                }
                MD5_MAGIC => raw.check_md5(row, &hash.clone().finalize()),
                other => {
                    let begin = hex(&other.to_le_bytes());
                    raw.problems.push(format!(
                        "row {index} begins with {begin}, expected aa50, or 32 bytes of ff at the end"
                    ));
                    return raw;
                }
            }
            raw.length += ROW;
        }
        raw.problems.push("cut off: there are no 32 bytes of ff that end it".to_owned());
        raw
    }

    fn check_md5(&mut self, row: &[u8], computed: &[u8]) {
        let stored = row.get(16..).unwrap_or(&[]);
        if stored == computed {
            self.md5 = Md5Row::Valid;
        } else {
            self.md5 = Md5Row::Wrong;
            let (stored, computed) = (hex(stored), hex(computed));
            self.problems.push(format!("the MD5 is {stored}, the rows give {computed}"));
        }
    }

    fn push(&mut self, row: &[u8], index: usize) {
        let name = row.get(12..12 + MAX_NAME).unwrap_or(&[]);
        let end = name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        let name = name.get(..end).unwrap_or(name);
        if std::str::from_utf8(name).is_err() {
            self.problems.push(format!("the name in row {index} is not UTF-8: {}", hex(name)));
        }
        let flags = u32_le(row, 28);
        let partition = Partition {
            name: String::from_utf8_lossy(name).into_owned(),
            kind: u8_at(row, 2),
            subtype: u8_at(row, 3),
            offset: u32_le(row, 4),
            size: u32_le(row, 8),
            encrypted: flags & ENCRYPTED != 0,
            readonly: flags & READONLY != 0,
        };
        let unknown = flags & !(ENCRYPTED | READONLY);
        if unknown != 0 {
            self.warnings.push(format!(
                "the partition {:?} has unknown flags 0x{unknown:08x}",
                partition.name
            ));
        }
        self.table.partitions.push(partition);
    }

    /// Whether this looks like a table and not like bytes that begin with its magic by chance.
    pub(crate) fn is_plausible(&self) -> bool {
        let known = |partition: &Partition| {
            matches!(partition.kind, APP | DATA) && partition.offset.is_multiple_of(0x1000)
        };
        self.problems.is_empty() || self.table.partitions.first().is_some_and(known)
    }
}

impl Table {
    /// Reads a table as it lies in flash.
    ///
    /// # Errors
    /// When it is cut off or malformed, or, where `check_md5`, when its MD5 is wrong.
    pub fn from_binary(data: &[u8], check_md5: bool) -> Result<Table> {
        let raw = RawTable::parse(data);
        let only_md5 = raw.md5 == Md5Row::Wrong && raw.problems.len() == 1;
        match raw.problems.first() {
            None => Ok(raw.table),
            Some(_) if only_md5 && !check_md5 => Ok(raw.table),
            Some(problem) => {
                Err(Error::input(format!("the partition table is damaged: {problem}")))
            }
        }
    }

    /// The table as it lies in flash, [`MAX_LENGTH`] bytes long.
    ///
    /// # Errors
    /// When there are too many partitions.
    pub fn to_binary(&self, with_md5: bool) -> Result<Vec<u8>> {
        let mut data = Vec::with_capacity(MAX_LENGTH);
        for partition in &self.partitions {
            data.extend_from_slice(&row(partition));
        }
        if with_md5 {
            let digest = Md5::digest(&data);
            data.extend_from_slice(&MD5_MAGIC.to_le_bytes());
            data.extend_from_slice(&[0xff; 14]);
            data.extend_from_slice(&digest);
        }
        // Upstream wants a row of erased bytes at the end.
        if data.len() >= MAX_LENGTH {
            let most = MAX_LENGTH / ROW - 1 - usize::from(with_md5);
            return Err(Error::input(format!(
                "the table has {} partitions, at most {most} fit",
                self.partitions.len()
            )));
        }
        data.resize(MAX_LENGTH, 0xff);
        Ok(data)
    }
}

fn row(partition: &Partition) -> Vec<u8> {
    let mut row = Vec::with_capacity(ROW);
    row.extend_from_slice(&MAGIC.to_le_bytes());
    row.extend_from_slice(&[partition.kind, partition.subtype]);
    row.extend_from_slice(&partition.offset.to_le_bytes());
    row.extend_from_slice(&partition.size.to_le_bytes());
    row.extend(partition.name.bytes().chain(std::iter::repeat(0)).take(MAX_NAME));
    let flags = if partition.encrypted { ENCRYPTED } else { 0 }
        | if partition.readonly { READONLY } else { 0 };
    row.extend_from_slice(&flags.to_le_bytes());
    row
}
