//! What an ELF file is: its header, sizes as `size` counts them, and where it is cut off.

use object::elf::{self, FileHeader32, FileHeader64};
use object::read::elf::{FileHeader, ProgramHeader, SectionHeader};
use object::read::{ReadCache, ReadCacheOps};
use object::{Endian, Endianness};
use serde::Serialize;

use crate::image::bytes::{self, ReadAt};

/// More sections than this are counted, not listed, and more faults not told.
const LISTED: usize = 4096;
const TOLD: usize = 8;

/// An ELF file, as far as it could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Elf {
    /// 32 or 64.
    pub bits: u8,
    /// `little` or `big`.
    pub endianness: &'static str,
    /// `executable`, `position-independent executable`, `shared`, `relocatable` or `core`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The processor: `arm`, `riscv`, `xtensa`, …
    pub machine: String,
    /// Where execution starts.
    pub entry: u64,
    /// How many bytes of code and read-only data are loaded.
    pub text: u64,
    /// How many bytes of writable data are loaded.
    pub data: u64,
    /// How many bytes are zeroed.
    pub bss: u64,
    /// The sections that take memory on the target.
    pub sections: Vec<Section>,
    /// What is wrong with it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// A section that takes memory on the target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Its name.
    pub name: String,
    /// Where it lies on the target.
    pub address: u64,
    /// How many bytes it has.
    pub size: u64,
}

impl Elf {
    /// Reads a file. Nothing when it is no ELF file.
    pub fn read(bytes: &dyn ReadAt) -> Option<Elf> {
        let ident = bytes::array::<5>(bytes, 0).ok()??;
        if ident[..4] != elf::ELFMAG {
            return None;
        }
        let cache = ReadCache::new(Cursor { bytes, position: 0 });
        let elf = match ident[4] {
            elf::ELFCLASS32 => read::<FileHeader32<Endianness>>(&cache, bytes.size()),
            elf::ELFCLASS64 => read::<FileHeader64<Endianness>>(&cache, bytes.size()),
            _ => None,
        };
        Some(elf.unwrap_or_else(|| Elf {
            endianness: "unknown",
            kind: "unknown".to_owned(),
            machine: "unknown".to_owned(),
            problems: vec!["cut off or damaged: its header cannot be read".to_owned()],
            ..Elf::default()
        }))
    }

    fn count(&mut self, section: Section, flags: u64, holds_data: bool) {
        let writable = flags & u64::from(elf::SHF_WRITE) != 0;
        match (holds_data, writable) {
            (false, _) => self.bss = self.bss.saturating_add(section.size),
            (true, true) => self.data = self.data.saturating_add(section.size),
            (true, false) => self.text = self.text.saturating_add(section.size),
        }
        if self.sections.len() < LISTED {
            self.sections.push(section);
        }
    }
}

fn read<'data, Header>(cache: &'data ReadCache<Cursor<'data>>, size: u64) -> Option<Elf>
where
    Header: FileHeader<Endian = Endianness>,
{
    let header = Header::parse(cache).ok()?;
    let endian = header.endian().ok()?;
    let mut elf = Elf {
        bits: if header.is_class_64() { 64 } else { 32 },
        endianness: if endian.is_little_endian() { "little" } else { "big" },
        kind: kind(header.e_type(endian)),
        machine: machine(header.e_machine(endian)),
        entry: header.e_entry(endian).into(),
        ..Elf::default()
    };
    read_sections::<Header>(header, endian, cache, size, &mut elf);
    match header.program_headers(endian, cache) {
        Ok(segments) => {
            let interpreted = segments.iter().any(|one| one.p_type(endian) == elf::PT_INTERP);
            if interpreted && header.e_type(endian) == elf::ET_DYN {
                elf.kind = "position-independent executable".to_owned();
            }
            for (index, segment) in segments.iter().enumerate() {
                let end = Into::<u64>::into(segment.p_offset(endian))
                    .saturating_add(segment.p_filesz(endian).into());
                if end > size && elf.problems.len() < TOLD {
                    elf.problems
                        .push(format!("cut off at {size} bytes: segment {index} ends at {end}"));
                }
            }
        }
        Err(error) => elf.problems.push(format!("its segments cannot be read: {error}")),
    }
    Some(elf)
}

fn read_sections<'data, Header>(
    header: &Header,
    endian: Endianness,
    cache: &'data ReadCache<Cursor<'data>>,
    size: u64,
    elf: &mut Elf,
) where
    Header: FileHeader<Endian = Endianness>,
{
    let table = match header.sections(endian, cache) {
        Ok(table) => table,
        Err(error) => {
            elf.problems.push(format!("its sections cannot be read: {error}"));
            return;
        }
    };
    for section in table.iter() {
        let flags: u64 = section.sh_flags(endian).into();
        let holds_data = section.sh_type(endian) != elf::SHT_NOBITS;
        let name = table.section_name(endian, section).unwrap_or(b"?");
        let name = String::from_utf8_lossy(name).into_owned();
        let length: u64 = section.sh_size(endian).into();
        let end = Into::<u64>::into(section.sh_offset(endian)).saturating_add(length);
        if holds_data
            && section.sh_type(endian) != elf::SHT_NULL
            && end > size
            && elf.problems.len() < TOLD
        {
            elf.problems.push(format!("cut off at {size} bytes: section {name} ends at {end}"));
        }
        if flags & u64::from(elf::SHF_ALLOC) != 0 {
            let address = section.sh_addr(endian).into();
            elf.count(Section { name, address, size: length }, flags, holds_data);
        }
    }
}

fn kind(code: u16) -> String {
    match code {
        elf::ET_REL => "relocatable".to_owned(),
        elf::ET_EXEC => "executable".to_owned(),
        elf::ET_DYN => "shared".to_owned(),
        elf::ET_CORE => "core".to_owned(),
        other => format!("type {other}"),
    }
}

fn machine(code: u16) -> String {
    let name = match code {
        elf::EM_386 => "x86",
        elf::EM_X86_64 => "x64",
        elf::EM_ARM => "arm",
        elf::EM_AARCH64 => "aarch64",
        elf::EM_XTENSA => "xtensa",
        elf::EM_RISCV => "riscv",
        elf::EM_MIPS => "mips",
        elf::EM_PPC => "powerpc",
        elf::EM_PPC64 => "powerpc64",
        elf::EM_LOONGARCH => "loongarch",
        other => return format!("machine {other}"),
    };
    name.to_owned()
}

/// Lets `object` read by offset, piece by piece.
struct Cursor<'a> {
    bytes: &'a dyn ReadAt,
    position: u64,
}

impl ReadCacheOps for Cursor<'_> {
    fn len(&mut self) -> Result<u64, ()> {
        Ok(self.bytes.size())
    }

    fn seek(&mut self, position: u64) -> Result<u64, ()> {
        self.position = position;
        Ok(position)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ()> {
        let read = self.bytes.read_at(self.position, buffer).map_err(|_| ())?;
        self.position += read as u64;
        Ok(read)
    }

    fn read_exact(&mut self, buffer: &mut [u8]) -> Result<(), ()> {
        if self.read(buffer)? == buffer.len() { Ok(()) } else { Err(()) }
    }
}
