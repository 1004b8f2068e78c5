//! Relocations: what of the code and data depends on where something lies.
//!
//! Places that are loaded together with what they refer to are settled here, one file for each family of
//! architectures. Pointers are for the loader, which adds to a word where a segment is, or what the firmware
//! has, as `mp_native_relocate` of MicroPython's `py/persistentcode.c` does.

mod arm;
mod names;
mod riscv;
mod x86;
mod xtensa;

use super::elf::{Place, Relocation, Symbol};
use super::fault::{Fault, Outside, Site, Why};
use super::got::Got;
use super::layout::{Layout, Segment, segment};
use super::literals::Literals;
use super::symbols::{Loader, Meaning, Program, SectionId};
use super::target::{Family, Target};

pub(super) use riscv::cj_bits as riscv_cj_bits;
pub(super) use xtensa::check_literal;

/// What the loader adds to a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base {
    Segment(Segment),
    Loader(Loader),
}

/// A word that the loader adjusts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Adjustment {
    /// The segment the word is in.
    pub segment: Segment,
    /// In bytes from the segment's start.
    pub offset: u64,
    pub base: Base,
}

/// How a relocation uses the global offset table.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct GotUse {
    /// It refers to the table.
    pub needs: bool,
    /// Upstream's linker makes an entry for it nevertheless.
    pub makes: bool,
}

/// How a relocation of an architecture uses the global offset table.
pub(super) fn got_use(target: Target, kind: u32) -> GotUse {
    match target.family {
        Family::X86 => x86::got_use_32(kind),
        Family::X64 => x86::got_use_64(kind),
        Family::Arm => arm::got_use(kind),
        Family::Riscv => riscv::got_use(kind, target.is_64()),
        Family::Xtensa => GotUse::default(),
    }
}

/// The segments of a module, and what the loader has to do to them.
#[derive(Debug)]
pub(super) struct Image {
    pub text: Vec<u8>,
    pub rodata: Vec<u8>,
    pub adjustments: Vec<Adjustment>,
}

/// A relocation, and where it is.
#[derive(Debug, Clone, Copy)]
struct Spot {
    at: SectionId,
    relocation: Relocation,
    segment: Segment,
    /// In bytes from the segment's start.
    address: u64,
}

/// Fills in all that depends on where something lies.
///
/// # Errors
/// When something cannot be expressed, or does not reach.
pub(super) fn apply(
    program: &Program<'_>,
    layout: &Layout,
    got: &Got<'_>,
    literals: &Literals,
) -> Result<Image, Fault> {
    let image = Image {
        text: vec![0; layout.text as usize],
        rodata: vec![0; layout.rodata as usize],
        adjustments: Vec::new(),
    };
    let mut linker = Linker { program, layout, got, literals, image };
    linker.copy_sections();
    linker.fill_got()?;
    linker.fill_numbers();
    for (file, object) in program.files.iter().enumerate() {
        for (section, contents) in object.sections.iter().enumerate() {
            let at = SectionId { file, section };
            let Some(segment) = segment(program, contents.part) else { continue };
            let labels = riscv::Labels::of(program, at);
            for &relocation in &contents.relocations {
                let address = layout.address(at) + relocation.offset;
                let spot = Spot { at, relocation, segment, address };
                match program.target.family {
                    Family::X86 => linker.relocate_x86(spot)?,
                    Family::X64 => linker.relocate_x64(spot)?,
                    Family::Arm => linker.relocate_arm(spot)?,
                    Family::Xtensa => linker.relocate_xtensa(spot)?,
                    Family::Riscv => linker.relocate_riscv(spot, &labels)?,
                }
            }
        }
    }
    Ok(linker.image)
}

struct Linker<'link, 'data> {
    program: &'link Program<'data>,
    layout: &'link Layout,
    got: &'link Got<'data>,
    literals: &'link Literals,
    image: Image,
}

impl<'data> Linker<'_, 'data> {
    fn copy_sections(&mut self) {
        put(&mut self.image.text, 0, &self.layout.jump);
        for (file, object) in self.program.files.iter().enumerate() {
            for (section, contents) in object.sections.iter().enumerate() {
                let start = self.layout.address(SectionId { file, section });
                match segment(self.program, contents.part) {
                    Some(Segment::Text) => put(&mut self.image.text, start, &contents.data),
                    Some(Segment::Rodata) => put(&mut self.image.rodata, start, &contents.data),
                    Some(Segment::Bss) | None => {}
                }
            }
        }
    }

    fn fill_got(&mut self) -> Result<(), Fault> {
        let word = self.program.target.word();
        for (number, entry) in self.got.entries.iter().enumerate() {
            let offset = self.layout.got + number as u64 * word;
            let value = self.pointer(Segment::Text, offset, entry.meaning, entry.addend)?;
            put_word(&mut self.image.text, offset, value, word);
        }
        Ok(())
    }

    fn fill_numbers(&mut self) {
        for (index, number) in self.literals.numbers.iter().enumerate() {
            let at = self.layout.numbers + index as u64 * 4;
            put(&mut self.image.text, at, &number.to_le_bytes());
        }
    }

    /// What a pointer's word holds before it is loaded. Tells the loader to adjust it if need be.
    fn pointer(
        &mut self,
        segment: Segment,
        offset: u64,
        meaning: Meaning,
        addend: i64,
    ) -> Result<u64, Fault> {
        let (value, base) = match meaning {
            Meaning::Section(id, value) => {
                let base = self.segment_of(id).map(Base::Segment);
                (self.layout.address(id).wrapping_add(value), base)
            }
            Meaning::Loader(loader) => (0, Some(Base::Loader(loader))),
            Meaning::Got => (self.layout.got, Some(Base::Segment(Segment::Text))),
            Meaning::Fixed(address) => (address, None),
            Meaning::Nothing => (0, None),
        };
        if let Some(base) = base {
            self.image.adjustments.push(Adjustment { segment, offset, base });
        }
        Ok(value.wrapping_add_signed(addend))
    }

    fn segment_of(&self, id: SectionId) -> Option<Segment> {
        segment(self.program, self.program.section(id)?.part)
    }

    /// Writes a pointer to what a relocation's symbol means.
    fn put_pointer(&mut self, spot: Spot, addend: i64) -> Result<(), Fault> {
        let word = self.program.target.word();
        let meaning = self.meaning(spot)?;
        let moves = !matches!(meaning, Meaning::Fixed(_) | Meaning::Nothing);
        if moves && !spot.address.is_multiple_of(word) {
            let symbol = self.symbol_name(spot);
            return Err(Fault::Unaligned { site: self.site(spot), symbol });
        }
        let value = self.pointer(spot.segment, spot.address, meaning, addend)?;
        self.bytes(spot, word)?
            .copy_from_slice(value.to_le_bytes().get(..word as usize).unwrap_or(&[]));
        Ok(())
    }

    fn meaning(&self, spot: Spot) -> Result<Meaning, Fault> {
        self.program.meaning(spot.at, spot.relocation.offset, spot.relocation.symbol)
    }

    fn symbol(&self, spot: Spot) -> Result<&Symbol<'data>, Fault> {
        let file = self.program.files.get(spot.at.file);
        file.and_then(|file| file.symbols.get(spot.relocation.symbol))
            .ok_or_else(|| self.damaged(spot, "its symbol is missing"))
    }

    /// Where a relocation's symbol is, in bytes from the start of the segment that the relocation is in.
    ///
    /// # Errors
    /// When it is loaded apart from that.
    fn near(&self, spot: Spot) -> Result<i64, Fault> {
        let what = match self.meaning(spot)? {
            Meaning::Section(id, value) => match self.segment_of(id) {
                Some(segment) if segment == spot.segment => {
                    return Ok(self.layout.address(id).wrapping_add(value) as i64);
                }
                Some(Segment::Bss) => Outside::Bss,
                _ => Outside::Rodata,
            },
            Meaning::Got => return Ok(self.layout.got as i64),
            // A call of a weak function that nothing defines is never reached.
            Meaning::Nothing => return Ok(spot.address as i64),
            Meaning::Loader(_) => Outside::Firmware,
            Meaning::Fixed(_) => Outside::Fixed,
        };
        Err(Fault::OutsideCode { site: self.site(spot), symbol: self.symbol_name(spot), what })
    }

    /// Where the table's entry for a relocation's symbol is, in bytes from the table's start.
    fn got_offset(&self, spot: Spot) -> Result<i64, Fault> {
        let meaning = self.meaning(spot)?;
        let number = self.got.find(self.symbol(spot)?, meaning);
        let number = number.ok_or_else(|| self.damaged(spot, "its symbol has no table entry"))?;
        Ok(number as i64 * self.program.target.word() as i64)
    }

    /// The bytes that a relocation changes.
    fn bytes(&mut self, spot: Spot, count: u64) -> Result<&mut [u8], Fault> {
        let size = self.program.section(spot.at).map_or(0, |section| section.data.len() as u64);
        let inside = spot.relocation.offset.checked_add(count).is_some_and(|end| end <= size);
        let segment = match spot.segment {
            Segment::Text => &mut self.image.text,
            Segment::Rodata | Segment::Bss => &mut self.image.rodata,
        };
        let range = spot.address as usize..(spot.address.saturating_add(count)) as usize;
        match segment.get_mut(range) {
            Some(bytes) if inside => Ok(bytes),
            _ => {
                let site = self.program.site(spot.at, spot.relocation.offset);
                Err(Fault::damaged(&site.file, format!("a relocation leaves {}", site.section)))
            }
        }
    }

    fn read_u16(&mut self, spot: Spot) -> Result<u32, Fault> {
        let bytes = self.bytes(spot, 2)?;
        Ok(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }

    fn read_u32(&mut self, spot: Spot) -> Result<u32, Fault> {
        let bytes = self.bytes(spot, 4)?;
        Ok(bytes.iter().rev().fold(0, |value, &byte| value << 8 | u32::from(byte)))
    }

    fn write_u16(&mut self, spot: Spot, value: u32) -> Result<(), Fault> {
        self.bytes(spot, 2)?.copy_from_slice(&(value as u16).to_le_bytes());
        Ok(())
    }

    fn write_u32(&mut self, spot: Spot, value: u32) -> Result<(), Fault> {
        self.bytes(spot, 4)?.copy_from_slice(&value.to_le_bytes());
        Ok(())
    }

    /// Adds to a word of 32 bits, which holds the addend where the relocation has none.
    fn add_u32(&mut self, spot: Spot, value: i64) -> Result<(), Fault> {
        let base = match spot.relocation.addend {
            Some(addend) => addend,
            None => i64::from(self.read_u32(spot)? as i32),
        };
        let sum = base.wrapping_add(value);
        let Ok(sum) = i32::try_from(sum) else { return Err(self.out_of_reach(spot, sum)) };
        self.write_u32(spot, sum as u32)
    }

    fn symbol_name(&self, spot: Spot) -> String {
        match self.symbol(spot) {
            // The assembler and the compiler refer to variables by places before them.
            Ok(symbol) if symbol.is_section || symbol.name.starts_with(".L") => self.variable(spot),
            Ok(symbol) if !symbol.name.is_empty() => symbol.name.to_owned(),
            _ => "nothing".to_owned(),
        }
    }

    /// The variable or function that a relocation means, as far as its addend tells; else the section.
    fn variable(&self, spot: Spot) -> String {
        let Ok(Meaning::Section(id, value)) = self.meaning(spot) else {
            return "a section".to_owned();
        };
        let place = (value as i64).wrapping_add(spot.relocation.addend.unwrap_or(0));
        let file = self.program.files.get(id.file);
        let named = file.into_iter().flat_map(|file| &file.symbols).find(|symbol| {
            // A distance to code counts from up to eight bytes behind the place.
            let start = symbol.value as i64;
            symbol.place == Place::Section(id.section)
                && symbol.size > 0
                && (start - 8..start.saturating_add_unsigned(symbol.size)).contains(&place)
        });
        let section = self.program.section(id).map_or("a section", |section| section.name);
        named.map_or(section, |symbol| symbol.name).to_owned()
    }

    fn site(&self, spot: Spot) -> Box<Site> {
        Box::new(self.program.site(spot.at, spot.relocation.offset))
    }

    fn damaged(&self, spot: Spot, what: &str) -> Fault {
        let site = self.site(spot);
        Fault::damaged(&site.file, format!("a relocation at {site}: {what}"))
    }

    fn relocation_name(&self, spot: Spot) -> String {
        names::name(self.program.target.family, spot.relocation.kind)
    }

    fn out_of_reach(&self, spot: Spot, distance: i64) -> Fault {
        Fault::OutOfReach {
            site: self.site(spot),
            what: self.relocation_name(spot),
            symbol: self.symbol_name(spot),
            distance,
        }
    }

    fn unsupported(&self, spot: Spot, why: Why) -> Fault {
        Fault::Unsupported {
            site: self.site(spot),
            relocation: self.relocation_name(spot),
            symbol: self.symbol_name(spot),
            why,
        }
    }
}

fn put(segment: &mut [u8], start: u64, bytes: &[u8]) {
    if let Some(to) = segment.get_mut(start as usize..start as usize + bytes.len()) {
        to.copy_from_slice(bytes);
    }
}

fn put_word(segment: &mut [u8], start: u64, value: u64, word: u64) {
    put(segment, start, value.to_le_bytes().get(..word as usize).unwrap_or(&[]));
}
