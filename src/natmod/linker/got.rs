//! The global offset table: the addresses that a module gets at only when it is loaded.
//!
//! An entry is what it means, never the text of a name: a symbol that all files share (and, on Xtensa, how
//! far behind it), or an offset in a section of one file. Two files that have something at the same offset
//! of a section of the same name have two entries.

use std::collections::HashMap;

use super::elf::{Binding, Part, Symbol};
use super::fault::Fault;
use super::relocate;
use super::symbols::{Loader, Meaning, Program, SectionId};

/// What makes two uses of the table the same entry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key<'data> {
    Global(&'data str, i64),
    Local(SectionId, u64),
}

/// An entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    pub meaning: Meaning,
    /// In bytes behind what is meant.
    pub addend: i64,
}

impl Entry {
    /// The address of a field of `mp_fun_table` is taken for what the field holds, as upstream's linker
    /// takes it: modules write `type.base.type = (void *)&mp_fun_table.type_type` and mean the type.
    fn of(program: &Program<'_>, meaning: Meaning, addend: i64) -> Entry {
        let word = program.target.word() as i64;
        let field = (addend > 0 && addend % word == 0).then(|| u8::try_from(addend / word).ok());
        match (meaning, field.flatten()) {
            (Meaning::Loader(Loader::Functions), Some(index)) => {
                Entry { meaning: Meaning::Loader(Loader::Object(index)), addend: 0 }
            }
            _ => Entry { meaning, addend },
        }
    }
}

/// The table, in the order of its words.
#[derive(Debug, Default)]
pub(super) struct Got<'data> {
    pub entries: Vec<Entry>,
    index: HashMap<Key<'data>, usize>,
}

impl<'data> Got<'data> {
    /// The table that a program needs whose code uses it by relocations of its own (all but Xtensa).
    pub(super) fn of_code(program: &Program<'data>) -> Result<Got<'data>, Fault> {
        let mut got = Got::default();
        let mut files = program.files.iter().enumerate();
        files.try_for_each(|(file, object)| {
            for (section, contents) in object.sections.iter().enumerate() {
                for relocation in &contents.relocations {
                    let Some(symbol) = object.symbols.get(relocation.symbol) else { continue };
                    let uses = relocate::got_use(program.target, relocation.kind);
                    // Upstream's linker gives any symbol an entry that it sees in one of some more
                    // relocations. The code does not need those; the bytes are the same.
                    let wanted = match symbol.binding {
                        Binding::Local => uses.needs,
                        _ => uses.needs || uses.makes,
                    };
                    if wanted {
                        let at = SectionId { file, section };
                        got.add(program, at, relocation.offset, relocation.symbol, symbol, 0)?;
                    }
                }
            }
            Ok::<(), Fault>(())
        })?;
        Ok(got)
    }

    /// Adds an entry unless it is there; returns its number in the order of addition.
    pub(super) fn add(
        &mut self,
        program: &Program<'data>,
        at: SectionId,
        offset: u64,
        index: usize,
        symbol: &Symbol<'data>,
        addend: i64,
    ) -> Result<usize, Fault> {
        let meaning = program.meaning(at, offset, index)?;
        let key = key(symbol, meaning, addend);
        let next = self.entries.len();
        let number = *self.index.entry(key).or_insert(next);
        if number == next {
            self.entries.push(Entry::of(program, meaning, addend));
        }
        Ok(number)
    }

    /// Brings the entries of one kind together, so that the loader's instructions for them become one:
    /// what the firmware has, then code, constants and variables. Returns where each entry went.
    pub(super) fn sort(&mut self, program: &Program<'data>) -> Vec<usize> {
        let kind = |entry: &Entry| match entry.meaning {
            Meaning::Section(id, _) => match program.section(id).map(|section| section.part) {
                Some(Part::Rodata | Part::RelRo) => 3,
                Some(Part::Bss) => 4,
                _ => 2,
            },
            _ => 1,
        };
        let mut order: Vec<usize> = (0..self.entries.len()).collect();
        order.sort_by_key(|&number| self.entries.get(number).map(kind));
        let mut went = vec![0; order.len()];
        for (to, &from) in order.iter().enumerate() {
            if let Some(went) = went.get_mut(from) {
                *went = to;
            }
        }
        self.entries =
            order.iter().filter_map(|&number| self.entries.get(number).copied()).collect();
        for number in self.index.values_mut() {
            *number = went.get(*number).copied().unwrap_or(0);
        }
        went
    }

    /// The number of a symbol's entry in the table.
    pub(super) fn find(&self, symbol: &Symbol<'data>, meaning: Meaning) -> Option<usize> {
        self.index.get(&key(symbol, meaning, 0)).copied()
    }
}

fn key<'data>(symbol: &Symbol<'data>, meaning: Meaning, addend: i64) -> Key<'data> {
    match (symbol.binding, meaning) {
        (Binding::Local, Meaning::Section(id, value)) => {
            Key::Local(id, value.wrapping_add_signed(addend))
        }
        _ => Key::Global(symbol.name, addend),
    }
}
