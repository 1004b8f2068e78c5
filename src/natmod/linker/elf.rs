//! Object files: what of an ELF file the linker works with, by the System V gABI.

use std::borrow::Cow;
use std::collections::HashMap;

use object::LittleEndian;
use object::elf::{self, FileHeader32, FileHeader64};
use object::read::SectionIndex;
use object::read::elf::{FileHeader, Rel, Rela, SectionHeader, SectionTable, Sym, SymbolTable};

use super::fault::Fault;
use super::target::Target;

const ENDIAN: LittleEndian = LittleEndian;

/// The largest alignment that is believed: a memory page.
const MOST_ALIGNED: u64 = 4096;

/// Offsets and addends beyond these are damage. Sums of what is below them do not overflow.
const FARTHEST: u64 = 1 << 32;
const MOST_ADDED: u64 = 1 << 48;

/// An object file, or a member of an archive.
#[derive(Debug)]
pub(super) struct ObjectFile<'data> {
    /// Its path, or `archive(member)`.
    pub name: String,
    /// What its header says of the ABI.
    pub flags: u32,
    /// The sections that are linked, in the file's order.
    pub sections: Vec<Section<'data>>,
    /// All symbols, by their index.
    pub symbols: Vec<Symbol<'data>>,
    /// The section that tells about the ABI: `.ARM.attributes` or `.xtensa.info`.
    pub attributes: Option<&'data [u8]>,
}

/// A section that is linked.
#[derive(Debug)]
pub(super) struct Section<'data> {
    pub name: &'data str,
    pub part: Part,
    /// Its bytes; none for `.bss`.
    pub data: Cow<'data, [u8]>,
    /// Its size, in bytes.
    pub size: u64,
    /// In bytes; a power of two.
    pub align: u64,
    pub relocations: Vec<Relocation>,
}

/// What a section holds, by its name: compilers and upstream's linker agree on these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Words that Xtensa code loads with `l32r`.
    Literal,
    Text,
    /// Constants.
    Rodata,
    /// Constants that hold addresses.
    RelRo,
    Bss,
}

impl Part {
    fn of(name: &str) -> Option<Part> {
        [
            (".literal", Part::Literal),
            (".text", Part::Text),
            (".rodata", Part::Rodata),
            (".data.rel.ro", Part::RelRo),
            (".bss", Part::Bss),
        ]
        .into_iter()
        .find_map(|(prefix, part)| name.starts_with(prefix).then_some(part))
    }
}

/// A place in a section that depends on a symbol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Relocation {
    /// In bytes from the section's start.
    pub offset: u64,
    /// Its number in the architecture's psABI.
    pub kind: u32,
    /// The index of its symbol.
    pub symbol: usize,
    /// Nothing where the architecture keeps the addend in the place itself.
    pub addend: Option<i64>,
}

/// A symbol.
#[derive(Debug, Clone, Copy)]
pub(super) struct Symbol<'data> {
    pub name: &'data str,
    pub binding: Binding,
    pub is_function: bool,
    pub is_section: bool,
    pub place: Place<'data>,
    pub value: u64,
    pub size: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Binding {
    Local,
    Global,
    Weak,
}

/// Where a symbol is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'data> {
    /// In another file, or nowhere.
    Undefined,
    /// In a section that is linked, by its index among those.
    Section(usize),
    /// Its value is its address.
    Absolute,
    /// In no section yet: an uninitialised variable compiled with `-fcommon`.
    Common,
    /// In a section that is not linked, by that one's name.
    Elsewhere(&'data str),
}

impl<'data> ObjectFile<'data> {
    /// Reads a file.
    ///
    /// # Errors
    /// When it is none for the architecture, is damaged, or has writable data.
    pub(super) fn read(name: &str, data: &'data [u8], target: Target) -> Result<Self, Fault> {
        let not =
            |what: String| Fault::NotLinkable { file: name.to_owned(), what, arch: target.arch };
        match data.first_chunk::<6>() {
            Some(&[0x7f, b'E', b'L', b'F', class, endianness]) => {
                let found = |bits| format!("a {bits}-bit object file");
                match (class, target.is_64()) {
                    (elf::ELFCLASS32, true) => return Err(not(found(32))),
                    (elf::ELFCLASS64, false) => return Err(not(found(64))),
                    _ if endianness != elf::ELFDATA2LSB => {
                        return Err(not("a big-endian object file".to_owned()));
                    }
                    _ => {}
                }
            }
            _ => return Err(not("no ELF object file".to_owned())),
        }
        if target.is_64() {
            Reader::<FileHeader64<LittleEndian>>::open(name, data)?.read(target)
        } else {
            Reader::<FileHeader32<LittleEndian>>::open(name, data)?.read(target)
        }
    }

    /// The function that an offset of a section lies in.
    pub(super) fn function_at(&self, section: usize, offset: u64) -> Option<&'data str> {
        let within = |symbol: &&Symbol<'data>| {
            // An ARM function's lowest bit says that it is Thumb code.
            let start = symbol.value & !1;
            symbol.is_function
                && symbol.place == Place::Section(section)
                && offset >= start
                && offset - start < symbol.size.max(1)
        };
        self.symbols.iter().find(within).map(|symbol| symbol.name)
    }
}

struct Reader<'name, 'data, Header: FileHeader<Endian = LittleEndian>> {
    name: &'name str,
    data: &'data [u8],
    header: &'data Header,
    sections: SectionTable<'data, Header>,
}

impl<'name, 'data, Header: FileHeader<Endian = LittleEndian>> Reader<'name, 'data, Header> {
    fn open(name: &'name str, data: &'data [u8]) -> Result<Self, Fault> {
        let damaged = |error: object::Error| Fault::damaged(name, error);
        let header = Header::parse(data).map_err(damaged)?;
        let sections = header.sections(ENDIAN, data).map_err(damaged)?;
        Ok(Reader { name, data, header, sections })
    }

    fn read(&self, target: Target) -> Result<ObjectFile<'data>, Fault> {
        let machine = self.header.e_machine(ENDIAN);
        let kind = self.header.e_type(ENDIAN);
        let not = |what| Fault::NotLinkable { file: self.name.to_owned(), what, arch: target.arch };
        if machine != target.machine() {
            return Err(not(format!("code for {}", machine_name(machine))));
        }
        if kind != elf::ET_REL {
            return Err(not("a linked program, no object file".to_owned()));
        }
        let (mut sections, kept) = self.read_sections()?;
        let symbols = self.read_symbols(&kept)?;
        self.read_relocations(&mut sections, &kept, symbols.len())?;
        let wanted = match target.machine() {
            elf::EM_ARM => ".ARM.attributes",
            _ => ".xtensa.info",
        };
        Ok(ObjectFile {
            name: self.name.to_owned(),
            flags: self.header.e_flags(ENDIAN),
            sections,
            symbols,
            attributes: self
                .sections
                .section_by_name(ENDIAN, wanted.as_bytes())
                .and_then(|(_, section)| section.data(ENDIAN, self.data).ok()),
        })
    }

    fn damaged(&self, what: impl std::fmt::Display) -> Fault {
        Fault::damaged(self.name, what)
    }

    fn section_name(&self, section: &Header::SectionHeader) -> Result<&'data str, Fault> {
        let name =
            self.sections.section_name(ENDIAN, section).map_err(|error| self.damaged(error))?;
        std::str::from_utf8(name).map_err(|_| self.damaged("a section's name is not UTF-8"))
    }

    /// The sections to link, and for each index of the file which of them it is.
    fn read_sections(&self) -> Result<(Vec<Section<'data>>, HashMap<usize, usize>), Fault> {
        let mut sections = Vec::new();
        let mut kept = HashMap::new();
        let mut total: u64 = 0;
        for (index, header) in self.sections.enumerate() {
            let kind = header.sh_type(ENDIAN);
            let size: u64 = header.sh_size(ENDIAN).into();
            if !matches!(kind, elf::SHT_PROGBITS | elf::SHT_NOBITS) {
                continue;
            }
            let name = self.section_name(header)?;
            let Some(part) = Part::of(name) else {
                if size > 0 && name.starts_with(".data") {
                    return Err(self.writable_data(index, name, size));
                }
                continue;
            };
            let data = match kind {
                elf::SHT_NOBITS => &[],
                _ => header.data(ENDIAN, self.data).map_err(|error| self.damaged(error))?,
            };
            if (part == Part::Bss) != (kind == elf::SHT_NOBITS) && size > 0 {
                return Err(self.damaged(format!("{name} is not what its name says")));
            }
            // Sections that overlap in the file could make much out of little.
            total = total.saturating_add(data.len() as u64);
            let align = Into::<u64>::into(header.sh_addralign(ENDIAN)).max(1);
            if total > self.data.len() as u64 || !align.is_power_of_two() || align > MOST_ALIGNED {
                return Err(self.damaged(format!("{name} has an impossible size or alignment")));
            }
            kept.insert(index.0, sections.len());
            sections.push(Section {
                name,
                part,
                data: Cow::Borrowed(data),
                size,
                align,
                relocations: Vec::new(),
            });
        }
        Ok((sections, kept))
    }

    fn symbol_table(&self) -> Result<SymbolTable<'data, Header>, Fault> {
        self.sections
            .symbols(ENDIAN, self.data, elf::SHT_SYMTAB)
            .map_err(|error| self.damaged(error))
    }

    fn read_symbols(&self, kept: &HashMap<usize, usize>) -> Result<Vec<Symbol<'data>>, Fault> {
        let table = self.symbol_table()?;
        let mut symbols = Vec::with_capacity(table.len());
        for (index, symbol) in table.enumerate() {
            let name = table.symbol_name(ENDIAN, symbol).map_err(|error| self.damaged(error))?;
            let name = std::str::from_utf8(name).map_err(|_| {
                self.damaged(format!("the name of symbol {} is not UTF-8", index.0))
            })?;
            let place = match symbol.st_shndx(ENDIAN) {
                elf::SHN_UNDEF => Place::Undefined,
                elf::SHN_ABS => Place::Absolute,
                elf::SHN_COMMON => Place::Common,
                _ => {
                    let section = table
                        .symbol_section(ENDIAN, symbol, index)
                        .map_err(|error| self.damaged(error))?
                        .unwrap_or(SectionIndex(0));
                    match kept.get(&section.0) {
                        Some(&kept) => Place::Section(kept),
                        None => Place::Elsewhere(self.name_of(section)?),
                    }
                }
            };
            let value: u64 = symbol.st_value(ENDIAN).into();
            if value > FARTHEST && matches!(place, Place::Section(_)) {
                return Err(self.damaged(format!("{name} lies outside of its section")));
            }
            let binding = match symbol.st_bind() {
                elf::STB_LOCAL => Binding::Local,
                elf::STB_WEAK => Binding::Weak,
                _ => Binding::Global,
            };
            symbols.push(Symbol {
                name,
                binding,
                is_function: symbol.st_type() == elf::STT_FUNC,
                is_section: symbol.st_type() == elf::STT_SECTION,
                place,
                value,
                size: symbol.st_size(ENDIAN).into(),
            });
        }
        Ok(symbols)
    }

    fn name_of(&self, index: SectionIndex) -> Result<&'data str, Fault> {
        let section = self.sections.section(index).map_err(|error| self.damaged(error))?;
        self.section_name(section)
    }

    fn read_relocations(
        &self,
        sections: &mut [Section<'data>],
        kept: &HashMap<usize, usize>,
        symbols: usize,
    ) -> Result<(), Fault> {
        let mut total = 0;
        for header in self.sections.iter() {
            let Some(&section) = kept.get(&(header.sh_info(ENDIAN) as usize)) else { continue };
            let Some(section) = sections.get_mut(section) else { continue };
            let rel = header.rel(ENDIAN, self.data).map_err(|error| self.damaged(error))?;
            let rela = header.rela(ENDIAN, self.data).map_err(|error| self.damaged(error))?;
            let rel = rel.into_iter().flat_map(|(entries, _)| entries).map(|entry| Relocation {
                offset: entry.r_offset(ENDIAN).into(),
                kind: entry.r_type(ENDIAN),
                symbol: entry.r_sym(ENDIAN) as usize,
                addend: None,
            });
            let rela = rela.into_iter().flat_map(|(entries, _)| entries).map(|entry| Relocation {
                offset: entry.r_offset(ENDIAN).into(),
                kind: entry.r_type(ENDIAN, false),
                symbol: entry.r_sym(ENDIAN, false) as usize,
                addend: Some(entry.r_addend(ENDIAN).into()),
            });
            for relocation in rel.chain(rela) {
                total += 1;
                // An entry has eight bytes or more, whatever tables are said to lie over each other.
                if total > self.data.len() / 8 {
                    return Err(self.damaged("its relocations overlap"));
                }
                let added = relocation.addend.unwrap_or(0).unsigned_abs();
                let outside = relocation.offset >= section.size || added > MOST_ADDED;
                if relocation.symbol >= symbols || outside {
                    return Err(self.damaged(format!(
                        "a relocation of {} lies outside of it, or has no symbol",
                        section.name
                    )));
                }
                section.relocations.push(relocation);
            }
        }
        Ok(())
    }

    /// The error for a section of initialised variables, with their names.
    fn writable_data(&self, index: SectionIndex, section: &str, size: u64) -> Fault {
        let mut variables = Vec::new();
        if let Ok(table) = self.symbol_table() {
            for symbol in table.iter() {
                let here = symbol.st_shndx(ENDIAN) as usize == index.0;
                if here && !matches!(symbol.st_type(), elf::STT_SECTION | elf::STT_FILE) {
                    let name = table.symbol_name(ENDIAN, symbol).unwrap_or_default();
                    let name = String::from_utf8_lossy(name).into_owned();
                    variables.push((name, symbol.st_size(ENDIAN).into()));
                }
            }
        }
        // ARM's mapping symbols and the like have no size.
        variables.retain(|(name, size)| *size > 0 && !name.is_empty());
        Fault::WritableData {
            file: self.name.to_owned(),
            section: section.to_owned(),
            size,
            variables,
        }
    }
}

fn machine_name(machine: u16) -> String {
    match machine {
        elf::EM_386 => "x86".to_owned(),
        elf::EM_X86_64 => "x64".to_owned(),
        elf::EM_ARM => "ARM".to_owned(),
        elf::EM_AARCH64 => "64-bit ARM".to_owned(),
        elf::EM_XTENSA => "Xtensa".to_owned(),
        elf::EM_RISCV => "RISC-V".to_owned(),
        other => format!("the ELF machine {other}"),
    }
}
