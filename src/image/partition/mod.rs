//! ESP-IDF partition tables, as text (CSV) and as they lie in flash.
//!
//! Reading and writing follow ESP-IDF's `gen_esp32part.py` (the one of v5.5, which reads what earlier
//! ones wrote), byte for byte. What differs on purpose: a name longer than 16 bytes is refused, where
//! upstream cuts it off; `$VARIABLE` is refused, where upstream reads the environment; a number that
//! does not fit its field is an error with a line number.

mod binary;
mod csv;
mod names;
mod number;
mod verify;

use serde::Serialize;
use serde::ser::{SerializeStruct, Serializer};

pub use binary::{Md5Row, RawTable, looks_binary};
pub use names::{
    APP, BOOTLOADER, DATA, ExtraSubtype, PARTITION_TABLE, PRIMARY, RECOVERY, subtype_name,
    type_name,
};

/// How many bytes a table and its MD5 row may take; the rest of the sector is for a signature.
pub const MAX_LENGTH: usize = 0xc00;
/// How many bytes of flash a table occupies.
pub const SECTOR: u32 = 0x1000;
/// How many bytes a partition's name may have.
pub const MAX_NAME: usize = 16;
/// Where the table lies in flash unless a project says otherwise (`CONFIG_PARTITION_TABLE_OFFSET`).
pub const DEFAULT_OFFSET: u32 = 0x8000;

/// What the meaning of a table depends on besides its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Where the table lies in flash, in bytes.
    pub table_offset: u32,
    /// Whether a row with the table's MD5 is written, and checked when there is one.
    pub md5: bool,
    /// The secure boot that application partitions must suit.
    pub secure_boot: Option<SecureBoot>,
    /// Where the bootloader lies in flash, for rows of the type `bootloader`.
    pub primary_bootloader_offset: Option<u32>,
    /// Where a recovery bootloader lies in flash.
    pub recovery_bootloader_offset: Option<u32>,
    /// The flash size in bytes that the partitions must fit.
    pub flash_size: Option<u64>,
    /// Subtypes that the project adds.
    pub extra_subtypes: Vec<ExtraSubtype>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            table_offset: DEFAULT_OFFSET,
            md5: true,
            secure_boot: None,
            primary_bootloader_offset: None,
            recovery_bootloader_offset: None,
            flash_size: None,
            extra_subtypes: Vec::new(),
        }
    }
}

/// A version of secure boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecureBoot {
    /// Version 1: application sizes are multiples of 64 KiB.
    V1,
    /// Version 2.
    V2,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its name, at most [`MAX_NAME`] bytes.
    pub name: String,
    /// Its type, for example [`APP`] or [`DATA`].
    pub kind: u8,
    /// Its subtype.
    pub subtype: u8,
    /// Where it starts in flash, in bytes.
    pub offset: u32,
    /// How many bytes it has.
    pub size: u32,
    /// Whether it is encrypted when flash encryption is on.
    pub encrypted: bool,
    /// Whether it is only read.
    pub readonly: bool,
}

impl Partition {
    /// Where it ends in flash: the offset of the first byte after it.
    pub fn end(&self) -> u64 {
        u64::from(self.offset) + u64::from(self.size)
    }

    /// Its type's name, or its number when that has none.
    pub fn type_text(&self) -> String {
        type_name(self.kind).map_or_else(|| self.kind.to_string(), str::to_owned)
    }

    /// Its subtype's name, or its number when that has none.
    pub fn subtype_text(&self) -> String {
        subtype_name(self.kind, self.subtype)
            .map_or_else(|| self.subtype.to_string(), str::to_owned)
    }

    /// Whether it is the bootloader or the table itself, which lie before what the table manages.
    fn is_primary(&self) -> bool {
        matches!(self.kind, BOOTLOADER | PARTITION_TABLE) && self.subtype == PRIMARY
    }
}

/// With names beside the numbers, for who reads the JSON.
impl Serialize for Partition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Partition", 9)?;
        fields.serialize_field("name", &self.name)?;
        fields.serialize_field("type", &self.type_text())?;
        fields.serialize_field("subtype", &self.subtype_text())?;
        fields.serialize_field("type_code", &self.kind)?;
        fields.serialize_field("subtype_code", &self.subtype)?;
        fields.serialize_field("offset", &self.offset)?;
        fields.serialize_field("size", &self.size)?;
        fields.serialize_field("encrypted", &self.encrypted)?;
        fields.serialize_field("readonly", &self.readonly)?;
        fields.end()
    }
}

/// A partition table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Table {
    /// Its rows, in order.
    pub partitions: Vec<Partition>,
}

impl Table {
    /// Reads a table from text or from binary, by its content.
    ///
    /// # Errors
    /// When it is neither, or is malformed. What the partitions mean is not looked at; see
    /// [`verify`](Self::verify).
    pub fn parse(data: &[u8], options: &Options) -> crate::Result<Table> {
        if looks_binary(data) {
            return Table::from_binary(data, options.md5);
        }
        Table::from_csv(&csv::decode(data)?, options)
    }

    /// The first partition with a name.
    pub fn find(&self, name: &str) -> Option<&Partition> {
        self.partitions.iter().find(|partition| partition.name == name)
    }

    /// Where the partition that lies last in flash ends; 0 when there is none.
    pub fn flash_end(&self) -> u64 {
        self.partitions.iter().max_by_key(|partition| partition.offset).map_or(0, Partition::end)
    }
}
