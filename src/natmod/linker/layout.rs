//! Where everything lies: sections one behind the other, each on a multiple of its alignment, in the order
//! of the files and of the sections in each.

use super::elf::Part;
use super::entry;
use super::fault::Fault;
use super::symbols::{Program, SectionId};
use super::target::Family;

/// What is loaded as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    Text,
    Rodata,
    Bss,
}

/// More code or data than any device that loads a module has memory for.
const LIMIT: u64 = 64 << 20;

/// Where everything lies, in bytes from the start of its segment.
#[derive(Debug)]
pub(super) struct Layout {
    addresses: Vec<Vec<u64>>,
    /// The jump to the entry, at the start of the code.
    pub jump: Vec<u8>,
    /// Where the global offset table is in the code.
    pub got: u64,
    /// Where the numbers are that Xtensa code loads, in the code.
    pub numbers: u64,
    /// How many bytes each segment has.
    pub text: u64,
    /// Of constants that are loaded apart from the code.
    pub rodata: u64,
    /// Of zeroed variables.
    pub bss: u64,
}

/// How many words the linker adds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub got: usize,
    pub numbers: usize,
}

impl Layout {
    /// Lays a program out, with the first way to jump to its entry that reaches it.
    pub(super) fn of(program: &Program<'_>, words: Words) -> Result<Layout, Fault> {
        let (entry, value) = program.entry()?;
        let mut distance = 0;
        for jump in entry::jumps(program.target, program.release) {
            let mut layout = Layout::behind(program, words, jump.size)?;
            distance = layout.address(entry).saturating_add(value);
            if program.target.family == Family::Arm {
                // The lowest bit of an address says that it is Thumb code.
                distance &= !1;
            }
            if let Some(code) = jump.code(distance) {
                layout.jump = code;
                return Ok(layout);
            }
        }
        Err(Fault::EntryOutOfReach { distance })
    }

    fn behind(program: &Program<'_>, words: Words, jump: u64) -> Result<Layout, Fault> {
        let target = program.target;
        let mut layout = Layout {
            addresses: Vec::new(),
            jump: Vec::new(),
            got: 0,
            numbers: 0,
            text: jump,
            rodata: 0,
            bss: 0,
        };
        let word = target.word();
        if target.has_literals() {
            layout.got = layout.place(Segment::Text, words.got as u64 * word, word)?;
            layout.numbers = layout.place(Segment::Text, words.numbers as u64 * word, word)?;
        }
        for (number, file) in program.files.iter().enumerate() {
            if number == program.given && !target.has_literals() {
                layout.got = layout.place(Segment::Text, words.got as u64 * word, word)?;
            }
            let mut addresses = Vec::with_capacity(file.sections.len());
            for section in &file.sections {
                // A section that is empty moves nothing.
                let is_table = number >= program.given;
                addresses.push(match segment(program, section.part) {
                    Some(segment) if section.size > 0 || is_table => {
                        layout.place(segment, section.size, section.align)?
                    }
                    Some(segment) => *layout.size(segment),
                    None => 0,
                });
            }
            layout.addresses.push(addresses);
        }
        if program.given == program.files.len() && !target.has_literals() {
            layout.got = layout.place(Segment::Text, words.got as u64 * word, word)?;
        }
        Ok(layout)
    }

    fn size(&mut self, segment: Segment) -> &mut u64 {
        match segment {
            Segment::Text => &mut self.text,
            Segment::Rodata => &mut self.rodata,
            Segment::Bss => &mut self.bss,
        }
    }

    fn place(&mut self, segment: Segment, size: u64, align: u64) -> Result<u64, Fault> {
        let end = self.size(segment);
        let start = end.next_multiple_of(align);
        *end = start.saturating_add(size);
        if *end > LIMIT {
            let what = match segment {
                Segment::Text => "code",
                Segment::Rodata => "read-only data",
                Segment::Bss => "zeroed data",
            };
            return Err(Fault::TooLarge { what, size: *end, limit: LIMIT });
        }
        Ok(start)
    }

    /// Where a section lies.
    pub(super) fn address(&self, id: SectionId) -> u64 {
        let addresses = self.addresses.get(id.file);
        addresses.and_then(|file| file.get(id.section)).copied().unwrap_or(0)
    }
}

/// Where a part goes; the words of `.literal` sections go one by one.
pub(super) fn segment(program: &Program<'_>, part: Part) -> Option<Segment> {
    match part {
        Part::Literal => None,
        Part::Text => Some(Segment::Text),
        Part::Rodata | Part::RelRo if program.target.has_rodata_apart() => Some(Segment::Rodata),
        Part::Rodata | Part::RelRo => Some(Segment::Text),
        Part::Bss => Some(Segment::Bss),
    }
}
