//! Partition tables as text.

use super::names::{self, BOOTLOADER, PARTITION_TABLE, PRIMARY, RECOVERY};
use super::{MAX_NAME, Options, Partition, SECTOR, Table, number};
use crate::error::{Error, Result};
use crate::image::bytes::u16_le;

/// A row before what it leaves out is filled in.
struct Row {
    line: usize,
    partition: Partition,
    offset: Option<i64>,
    size: i64,
}

impl Table {
    /// Reads a table from text. Offsets that are left out follow the partition before, aligned to
    /// 64 KiB for applications and 4 KiB for all else; a negative size means "up to this offset".
    ///
    /// # Errors
    /// At the first line that is malformed or overlaps what comes before it.
    pub fn from_csv(text: &str, options: &Options) -> Result<Table> {
        check_bootloader_offset(options)?;
        let mut rows = Vec::new();
        for (index, line) in lines(text).enumerate() {
            let trimmed = strip(line);
            if trimmed.is_empty() || trimmed.starts_with('#') {
                continue;
            }
            let row = parse_row(trimmed, index + 1, options)
                .map_err(|error| error.context(format!("line {}", index + 1)))?;
            rows.push(row);
        }
        place(rows, options)
    }

    /// The table as text, in the form `gen_esp32part.py` writes it.
    pub fn to_csv(&self) -> String {
        let mut text =
            String::from("# ESP-IDF Partition Table\n# Name, Type, SubType, Offset, Size, Flags\n");
        for partition in &self.partitions {
            text.push_str(&csv_row(partition));
            text.push('\n');
        }
        text
    }
}

/// Text from the bytes of a file: UTF-8, or UTF-16 with a byte order mark.
pub(super) fn decode(data: &[u8]) -> Result<String> {
    let utf16 = |data: &[u8], big_endian: bool| {
        let unit = |pair| if big_endian { u16_le(pair, 0).swap_bytes() } else { u16_le(pair, 0) };
        let units: Vec<u16> = data.chunks(2).map(unit).collect();
        String::from_utf16(&units).ok().filter(|_| data.len().is_multiple_of(2))
    };
    let text = match data {
        [0xff, 0xfe, rest @ ..] => utf16(rest, false),
        [0xfe, 0xff, rest @ ..] => utf16(rest, true),
        [0xef, 0xbb, 0xbf, rest @ ..] => std::str::from_utf8(rest).ok().map(str::to_owned),
        _ => std::str::from_utf8(data).ok().map(str::to_owned),
    };
    text.ok_or_else(|| {
        Error::input("neither a binary partition table, which begins with aa 50, nor text in UTF-8")
            .hint("`micropython-builder inspect FILE` says what the file is")
    })
}

/// Lines as Python's `str.splitlines` gives them.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    let ends = |char| {
        matches!(
            char,
            '\n' | '\r' | '\x0b' | '\x0c' | '\x1c'..='\x1e' | '\u{85}' | '\u{2028}' | '\u{2029}'
        )
    };
    let mut rest = Some(text);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some((at, end)) = text.char_indices().find(|(_, char)| ends(*char)) else {
            rest = None;
            return Some(text).filter(|text| !text.is_empty());
        };
        let (line, tail) = text.split_at(at);
        let tail = tail.strip_prefix("\r\n").or_else(|| tail.strip_prefix(end));
        rest = tail;
        Some(line)
    })
}

/// Without the white space around it, as Python's `str.strip` sees white space.
fn strip(text: &str) -> &str {
    text.trim_matches(|char: char| char.is_whitespace() || matches!(char, '\x1c'..='\x1f'))
}

fn check_bootloader_offset(options: &Options) -> Result<()> {
    match options.primary_bootloader_offset {
        Some(offset) if offset >= options.table_offset => Err(Error::input(format!(
            "the bootloader's offset 0x{offset:x} is not below the partition table's, 0x{:x}",
            options.table_offset
        ))
        .hint("check --primary-bootloader-offset and --offset")),
        _ => Ok(()),
    }
}

fn parse_row(line: &str, number: usize, options: &Options) -> Result<Row> {
    if let Some(variable) = variable(line) {
        return Err(Error::input(format!(
            "the environment variable ${variable} is named, which is not expanded here"
        ))
        .hint("write its value into the table"));
    }
    let mut fields = line.split(',').map(strip);
    let mut next = || fields.next().unwrap_or("");
    let name = parse_name(next())?;
    let kind = parse_type(next())?;
    let subtype = parse_subtype(next(), kind, options)?;
    let offset = parse_offset(next(), kind, subtype, options)?;
    let size = parse_size(next(), kind, options)?;
    let mut partition =
        Partition { name, kind, subtype, offset: 0, size: 0, encrypted: false, readonly: false };
    for flag in next().split(':') {
        match flag {
            "" => {}
            "encrypted" => partition.encrypted = true,
            "readonly" => partition.readonly = true,
            _ => {
                return Err(Error::input(format!(
                    "the flag {flag:?} is unknown, expected encrypted or readonly"
                ))
                .hint("separate two flags with a colon and no space: encrypted:readonly"));
            }
        }
    }
    Ok(Row { line: number, partition, offset, size })
}

/// The name after a `$`, when one is there.
fn variable(line: &str) -> Option<&str> {
    let is_word = |char: char| char.is_ascii_alphanumeric() || char == '_';
    line.split('$').skip(1).find_map(|after| {
        let after = after.strip_prefix('{').unwrap_or(after);
        let end = after.find(|char| !is_word(char)).unwrap_or(after.len());
        after.get(..end).filter(|name| !name.is_empty())
    })
}

fn parse_name(field: &str) -> Result<String> {
    if field.len() > MAX_NAME {
        return Err(Error::input(format!(
            "the name {field:?} has {} bytes, at most {MAX_NAME} fit",
            field.len()
        ))
        .hint("shorten it: on the device it would be cut off"));
    }
    if field.contains('\0') {
        return Err(Error::input(format!("the name {field:?} holds a NUL byte")));
    }
    Ok(field.to_owned())
}

fn parse_type(field: &str) -> Result<u8> {
    if field.is_empty() {
        return Err(
            Error::input("the type is missing").hint("write app or data in the second column")
        );
    }
    match number::parse(field) {
        Some(value) => byte(value, "type"),
        None => names::named_type(field).ok_or_else(|| unknown("type", field, names::type_names())),
    }
}

fn parse_subtype(field: &str, kind: u8, options: &Options) -> Result<u8> {
    if field.is_empty() {
        return match kind {
            names::APP => Err(Error::input("an application's subtype is missing")
                .hint("write factory or ota_0 in the third column")),
            _ => Ok(names::DATA_UNDEFINED),
        };
    }
    if let Some(value) = number::parse(field) {
        return byte(value, "subtype");
    }
    let lower = field.to_lowercase();
    let known = names::subtypes(kind, &options.extra_subtypes);
    // The last one wins, as it does in upstream's dictionary.
    known.filter(|(name, _)| *name == lower).last().map(|(_, value)| value).ok_or_else(|| {
        unknown(
            "subtype",
            field,
            names::subtypes(kind, &options.extra_subtypes).map(|known| known.0),
        )
    })
}

/// An unknown name, with the nearest that is known.
fn unknown<'a>(what: &str, found: &str, known: impl Iterator<Item = &'a str>) -> Error {
    let known: Vec<&str> = known.collect();
    let error = Error::input(format!("the {what} {found:?} is unknown"));
    if known.is_empty() {
        return error.hint("write the subtype of a type of your own as a number from 0 to 0xfe");
    }
    let lower = found.to_lowercase();
    let nearest = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(name, &lower), name))
        .min()
        .filter(|(distance, name)| *distance <= name.len().div_ceil(2));
    match nearest {
        Some((_, name)) => error.hint(format!("did you mean {name}? Known: {}", known.join(", "))),
        None => error.hint(format!("known: {}", known.join(", "))),
    }
}

fn byte(value: i64, what: &str) -> Result<u8> {
    u8::try_from(value)
        .map_err(|_| Error::input(format!("the {what} is {value}, expected 0 to 255")))
}

fn parse_offset(field: &str, kind: u8, subtype: u8, options: &Options) -> Result<Option<i64>> {
    let given = |offset: Option<u32>, which: &str| {
        offset.map(|offset| Some(i64::from(offset))).ok_or_else(|| missing_offset(which))
    };
    match (kind, subtype) {
        (BOOTLOADER, PRIMARY) => given(options.primary_bootloader_offset, "primary"),
        (BOOTLOADER, RECOVERY) => given(options.recovery_bootloader_offset, "recovery"),
        (PARTITION_TABLE, PRIMARY) => Ok(Some(i64::from(options.table_offset))),
        _ if field.is_empty() => Ok(None),
        _ => parse_number(field, "offset").map(Some),
    }
}

fn parse_size(field: &str, kind: u8, options: &Options) -> Result<i64> {
    match kind {
        // Every bootloader has the room that the first one has.
        BOOTLOADER => options
            .primary_bootloader_offset
            .map(|offset| i64::from(options.table_offset) - i64::from(offset))
            .ok_or_else(|| missing_offset("primary")),
        PARTITION_TABLE => Ok(i64::from(SECTOR)),
        _ if field.is_empty() => Err(Error::input("the size is missing")
            .hint("write it in the fifth column, in bytes or with K or M")),
        _ => parse_number(field, "size"),
    }
}

fn missing_offset(which: &str) -> Error {
    Error::input(format!(
        "the table names a bootloader, and the {which} bootloader's offset is unknown"
    ))
    .hint(format!("give it: --{which}-bootloader-offset 0x1000"))
}

fn parse_number(field: &str, what: &str) -> Result<i64> {
    number::parse(field).ok_or_else(|| {
        Error::input(format!("the {what} {field:?} is no number"))
            .hint("write bytes in decimal or as 0x…, K for kibibytes or M for mebibytes")
    })
}

/// Fills in the offsets that were left out, and the sizes that were given as an end.
fn place(rows: Vec<Row>, options: &Options) -> Result<Table> {
    let after_table = i64::from(options.table_offset) + i64::from(SECTOR);
    let mut last_end = after_table;
    let mut table = Table::default();
    for Row { line, mut partition, offset, mut size } in rows {
        let primary = partition.is_primary();
        let overlap = |offset: i64| {
            Error::input(format!(
                "line {line}: the partition {:?} starts at 0x{offset:x}, before the end of {} at 0x{last_end:x}",
                partition.name,
                if last_end == after_table { "the partition table" } else { "the one before it" },
            ))
            .hint("leave its offset out, and it follows the one before it")
        };
        let offset = match offset {
            Some(offset) if !primary && offset < last_end => return Err(overlap(offset)),
            Some(offset) => offset,
            None => {
                let alignment = i64::from(super::verify::offset_alignment(partition.kind));
                align_up(last_end, alignment)
            }
        };
        if size < 0 && !primary {
            size = -size - offset;
        }
        partition.offset = fits(offset, "offset", line)?;
        partition.size = fits(size, "size", line)?;
        if !primary {
            last_end = offset + size;
        }
        table.partitions.push(partition);
    }
    Ok(table)
}

fn align_up(offset: i64, alignment: i64) -> i64 {
    offset + (alignment - offset % alignment) % alignment
}

fn fits(value: i64, what: &str, line: usize) -> Result<u32> {
    u32::try_from(value).map_err(|_| {
        let shown = if value < 0 {
            format!("-0x{:x}", value.unsigned_abs())
        } else {
            format!("0x{value:x}")
        };
        Error::input(format!("line {line}: the {what} is {shown}, expected 0 to 0xffffffff"))
    })
}

fn csv_row(partition: &Partition) -> String {
    let size = match partition.size {
        size if size.is_multiple_of(0x10_0000) => format!("{}M", size / 0x10_0000),
        size if size.is_multiple_of(0x400) => format!("{}K", size / 0x400),
        size => format!("0x{size:x}"),
    };
    let flags = match (partition.encrypted, partition.readonly) {
        (false, false) => "",
        (true, false) => "encrypted",
        (false, true) => "readonly",
        (true, true) => "encrypted:readonly",
    };
    format!(
        "{},{},{},0x{:x},{size},{flags}",
        partition.name,
        partition.type_text(),
        partition.subtype_text(),
        partition.offset
    )
}
