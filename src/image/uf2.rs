//! UF2 files: 512-byte blocks that each say where in flash their payload goes.
//!
//! The format is Microsoft's (<https://github.com/microsoft/uf2>); writing follows MicroPython's
//! `tools/uf2conv.py`, byte for byte.

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;

use super::bytes::{self, ReadAt, u8_at, u32_le};
use super::{hex, uf2_family};

/// How many bytes a block has.
pub const BLOCK: usize = 512;
/// How many bytes of payload a written block has.
const PAYLOAD: usize = 256;
const MAX_PAYLOAD: usize = 476;
const HEADER: usize = 32;

const MAGIC_START: [u32; 2] = [0x0a32_4655, 0x9e5d_5157];
const MAGIC_END: u32 = 0x0ab1_6f30;

const NOT_MAIN_FLASH: u32 = 0x0000_0001;
const FILE_CONTAINER: u32 = 0x0000_1000;
const FAMILY_PRESENT: u32 = 0x0000_2000;
const TAGS_PRESENT: u32 = 0x0000_8000;

/// More problems than this are counted, not told one by one.
const TOLD: usize = 8;
/// More address ranges than this are counted, not kept.
const RANGES: usize = 256;
/// A file for more families than this is damaged.
const FAMILIES: usize = 32;

/// What a UF2 file holds, as far as it could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Uf2 {
    /// How many valid blocks there are.
    pub blocks: u64,
    /// What is for which family, in the order in which they come.
    pub families: Vec<Family>,
    /// What the first block with extension tags says of the device and firmware.
    pub tags: BTreeMap<String, String>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    #[serde(skip)]
    untold: usize,
}

/// The blocks for one family of chips.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Family {
    /// The family's number; absent in files without one.
    pub id: Option<u32>,
    /// Its short name, when it is known.
    pub name: Option<&'static str>,
    /// How many blocks it has.
    pub blocks: u64,
    /// How many of them are not for the main flash.
    pub not_main_flash: u64,
    /// How many bytes of payload go to flash.
    pub bytes: u64,
    /// Where in the address space they go, in the order of the blocks.
    pub ranges: Vec<Range>,
    #[serde(skip)]
    announced: u32,
    #[serde(skip)]
    disordered: bool,
}

/// A range of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Range {
    /// The first address.
    pub start: u64,
    /// The address after the last.
    pub end: u64,
}

/// Whether bytes begin as a UF2 file does.
pub fn looks_uf2(head: &[u8]) -> bool {
    head.len() >= 8 && [u32_le(head, 0), u32_le(head, 4)] == MAGIC_START
}

impl Uf2 {
    /// Reads a file, and hands each payload for flash on to `payload` with its address.
    ///
    /// # Errors
    /// When the bytes cannot be read. What is wrong with the file itself is in
    /// [`problems`](Self::problems).
    pub fn read(bytes: &dyn ReadAt, mut payload: impl FnMut(u32, &[u8])) -> io::Result<Uf2> {
        let mut uf2 = Uf2::default();
        let mut offset = 0;
        // A multiple of the block size, so that no block is torn.
        const AT_ONCE: usize = 128 * BLOCK;
        loop {
            let piece = bytes::vec(bytes, offset, AT_ONCE)?;
            for (index, block) in piece.chunks(BLOCK).enumerate() {
                uf2.block(block, offset + (index * BLOCK) as u64, &mut payload);
            }
            offset += piece.len() as u64;
            if piece.len() < AT_ONCE {
                break;
            }
        }
        uf2.finish();
        Ok(uf2)
    }

    fn problem(&mut self, problem: String) {
        if self.problems.len() < TOLD {
            self.problems.push(problem);
        } else {
            self.untold += 1;
        }
    }

    fn block(&mut self, block: &[u8], offset: u64, payload: &mut dyn FnMut(u32, &[u8])) {
        if block.len() < BLOCK {
            let message =
                format!("cut off: the block at {offset} has {} bytes of {BLOCK}", block.len());
            return self.problem(message);
        }
        if !looks_uf2(block) || u32_le(block, BLOCK - 4) != MAGIC_END {
            return self.problem(format!("the bytes at {offset} are no UF2 block"));
        }
        let flags = u32_le(block, 8);
        let length = u32_le(block, 16);
        let data = usize::try_from(length)
            .ok()
            .filter(|length| *length <= MAX_PAYLOAD)
            .and_then(|length| block.get(HEADER..HEADER + length));
        let Some(data) = data else {
            return self.problem(format!(
                "the block at {offset} says it has {length} bytes of payload, at most {MAX_PAYLOAD} fit"
            ));
        };
        self.blocks += 1;
        if flags & TAGS_PRESENT != 0 && self.tags.is_empty() {
            let start = HEADER + data.len().next_multiple_of(4);
            self.tags = tags(block.get(start..BLOCK - 4).unwrap_or(&[]));
        }
        let problem = match self.family_of(block, flags) {
            Some(family) => family.add(block, flags, data.len() as u64),
            None => Some(format!("is for one family more than {FAMILIES}")),
        };
        if let Some(problem) = problem {
            self.problem(format!("the block at {offset} {problem}"));
        }
        if flags & (NOT_MAIN_FLASH | FILE_CONTAINER) == 0 {
            payload(u32_le(block, 12), data);
        }
    }

    /// The family of a block, a new one as long as there are few.
    fn family_of(&mut self, block: &[u8], flags: u32) -> Option<&mut Family> {
        let id = (flags & FAMILY_PRESENT != 0).then(|| u32_le(block, 28));
        let known = self.families.iter().position(|family| family.id == id);
        if known.is_none() && self.families.len() < FAMILIES {
            self.families.push(Family {
                id,
                name: id.and_then(uf2_family::name),
                announced: u32_le(block, 24),
                ..Family::default()
            });
        }
        match known {
            Some(index) => self.families.get_mut(index),
            None => self.families.last_mut().filter(|family| family.id == id),
        }
    }

    fn finish(&mut self) {
        let mut missing = Vec::new();
        for family in &self.families {
            let announced = u64::from(family.announced);
            // picotool puts one block before an RP2350 image, announced as two, which works around
            // that chip's erratum E10.
            let workaround = family.id == Some(uf2_family::ABSOLUTE) && family.blocks == 1;
            if family.blocks != announced && !family.disordered && !workaround {
                missing.push(format!("there are {} of {announced} blocks", family.blocks));
            }
        }
        for problem in missing {
            self.problem(problem);
        }
        if self.untold > 0 {
            self.problems.push(format!("and {} problems more", self.untold));
        }
    }
}

impl Family {
    /// Counts a block, and says what is wrong with its place the first time that something is.
    fn add(&mut self, block: &[u8], flags: u32, length: u64) -> Option<String> {
        let (address, number, total) =
            (u64::from(u32_le(block, 12)), u32_le(block, 20), u32_le(block, 24));
        let expected = self.blocks;
        self.blocks += 1;
        if flags & (NOT_MAIN_FLASH | FILE_CONTAINER) != 0 {
            self.not_main_flash += 1;
        } else {
            self.bytes += length;
            let room = self.ranges.len() < RANGES;
            match self.ranges.last_mut() {
                Some(last) if last.end == address => last.end += length,
                _ if room => self.ranges.push(Range { start: address, end: address + length }),
                _ => {}
            }
        }
        if self.disordered {
            return None;
        }
        let problem = if total != self.announced {
            format!("announces {total} blocks, the ones before it {}", self.announced)
        } else if u64::from(number) != expected {
            format!("has the number {number}, expected {expected}")
        } else {
            return None;
        };
        self.disordered = true;
        Some(problem)
    }
}

/// Extension tags: a length byte, a type of three bytes, and data up to the next multiple of four.
fn tags(mut data: &[u8]) -> BTreeMap<String, String> {
    let mut tags = BTreeMap::new();
    while let Some((head, _)) = data.split_at_checked(4) {
        let length = usize::from(u8_at(head, 0));
        let kind = u32_le(head, 0) >> 8;
        let Some(value) = data.get(4..length.max(4)).filter(|_| length > 4 && kind != 0) else {
            break;
        };
        let name = match kind {
            0x9f_c7bc => "version".to_owned(),
            0x65_0d9d => "description".to_owned(),
            0x0b_e9f7 => "page-size".to_owned(),
            0xb4_6db0 => "sha-2".to_owned(),
            0xc8_a729 => "device-type".to_owned(),
            other => format!("{other:06x}"),
        };
        tags.insert(name, tag_value(kind, value));
        data = data.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    tags
}

fn tag_value(kind: u32, value: &[u8]) -> String {
    match std::str::from_utf8(value) {
        _ if kind == 0x0b_e9f7 && value.len() == 4 => u32_le(value, 0).to_string(),
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => hex(value),
    }
}

/// Writes bytes as a UF2 file for `family`, to be flashed from `base` on, and returns how many bytes
/// it has. The last payload is filled up with zeros.
///
/// # Errors
/// When reading or writing fails, or when there are more bytes than block numbers.
pub fn write(bytes: &dyn ReadAt, family: u32, base: u32, out: &mut impl Write) -> io::Result<u64> {
    let total = u32::try_from(bytes.size().div_ceil(PAYLOAD as u64))
        .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "too large for UF2"))?;
    for number in 0..total {
        let offset = u64::from(number) * PAYLOAD as u64;
        let mut payload = bytes::vec(bytes, offset, PAYLOAD)?;
        payload.resize(BLOCK - HEADER - 4, 0);
        let address = u64::from(base) + offset;
        let address = u32::try_from(address)
            .map_err(|_| io::Error::new(io::ErrorKind::FileTooLarge, "too large for its base"))?;
        let [start, second] = MAGIC_START;
        for word in [start, second, FAMILY_PRESENT, address, PAYLOAD as u32, number, total, family]
        {
            out.write_all(&word.to_le_bytes())?;
        }
        out.write_all(&payload)?;
        out.write_all(&MAGIC_END.to_le_bytes())?;
    }
    Ok(u64::from(total) * BLOCK as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(payload: &[u8], family: u32) -> Vec<u8> {
        let mut file = Vec::new();
        write(&payload, family, 0x1000_0000, &mut file).unwrap();
        file
    }

    fn set(file: &mut [u8], offset: usize, value: u32) {
        file[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
    }

    #[test]
    fn extension_tags_are_read() {
        let mut file = file(b"payload", 1);
        set(&mut file, 8, FAMILY_PRESENT | TAGS_PRESENT);
        let tags: &[&[u8]] = &[
            b"\x09\xbc\xc7\x9fv1.25\0\0\0",
            b"\x0c\x9d\x0d\x65 A board",
            b"\x08\xf7\xe9\x0b\0\x10\0\0",
            b"\x06\x01\x02\x03\xff\xfe\0\0",
            b"\0\0\0\0",
        ];
        let tags = tags.concat();
        file[HEADER + PAYLOAD..][..tags.len()].copy_from_slice(&tags);
        let uf2 = Uf2::read(&file.as_slice(), |_, _| {}).unwrap();
        let found: Vec<(&str, &str)> =
            uf2.tags.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let expected = [
            ("030201", "fffe"),
            ("description", " A board"),
            ("page-size", "4096"),
            ("version", "v1.25"),
        ];
        assert_eq!(found, expected);
        assert_eq!(uf2.problems, [""; 0]);
    }

    #[test]
    fn blocks_for_elsewhere_are_no_part_of_the_flash() {
        let mut file = file(&[7; 600], 1);
        set(&mut file, BLOCK + 8, FAMILY_PRESENT | NOT_MAIN_FLASH);
        let mut seen = Vec::new();
        let uf2 =
            Uf2::read(&file.as_slice(), |address, data| seen.push((address, data.len()))).unwrap();
        assert_eq!(seen, [(0x1000_0000, 256), (0x1000_0200, 256)]);
        let [family] = uf2.families.as_slice() else { panic!("{uf2:?}") };
        assert_eq!((family.blocks, family.not_main_flash, family.ranges.len()), (3, 1, 2));
        assert_eq!(uf2.problems, [""; 0]);
    }

    #[test]
    fn the_block_against_an_erratum_is_no_fault() {
        let mut first = file(&[0xef; 256], uf2_family::ABSOLUTE);
        set(&mut first, 24, 2);
        let file = [first.clone(), file(&[1; 512], 0xe48b_ff59)].concat();
        let uf2 = Uf2::read(&file.as_slice(), |_, _| {}).unwrap();
        assert_eq!(uf2.problems, [""; 0]);
        assert_eq!(uf2.families[1].name, Some("RP2350_ARM_S"));
        set(&mut first, 28, 5);
        let uf2 = Uf2::read(&first.as_slice(), |_, _| {}).unwrap();
        assert_eq!(uf2.problems, ["there are 1 of 2 blocks"]);
    }

    #[test]
    fn a_file_of_nonsense_is_told_in_few_words() {
        let mut nonsense = file(&[0; 256 * 100], 1);
        for block in nonsense.chunks_mut(BLOCK).skip(1) {
            block[0] = 0;
        }
        let uf2 = Uf2::read(&nonsense.as_slice(), |_, _| {}).unwrap();
        assert_eq!((uf2.blocks, uf2.problems.len()), (1, TOLD + 1));
        assert_eq!(uf2.problems.last().map(String::as_str), Some("and 92 problems more"));
    }
}
