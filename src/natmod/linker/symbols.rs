//! What each symbol means: symbols of several files brought together, by the rules of the System V gABI,
//! with the names that only MicroPython's loader gives a meaning.

use std::borrow::Cow;
use std::collections::HashMap;

use super::elf::{Binding, ObjectFile, Part, Place, Section, Symbol};
use super::externs::Externs;
use super::fault::{Duplicate, Fault, Site};
use super::release::Release;
use super::target::Target;

/// A section of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SectionId {
    pub file: usize,
    pub section: usize,
}

/// What a symbol means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// An offset in a section.
    Section(SectionId, u64),
    /// What the loader supplies.
    Loader(Loader),
    /// The start of the global offset table.
    Got,
    /// An address that is the same in every firmware the module is for.
    Fixed(u64),
    /// Nothing defines it, and it is weak: its address is 0.
    Nothing,
}

/// What the loader supplies (`mp_native_relocate` of `py/persistentcode.c`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loader {
    /// `mp_fun_table` itself.
    Functions,
    /// What an entry of `mp_fun_table` holds.
    Object(u8),
    /// The module's table of qstrs.
    Qstrs,
    /// The module's table of objects.
    Objects,
}

/// GCC's helpers that read the program counter are defined in every file that needs them, in groups of
/// which a linker is to keep one.
const THUNKS: &str = "__x86.get_pc_thunk.";

/// How many undefined symbols are told.
const TOLD: usize = 50;

const GOT: &str = "_GLOBAL_OFFSET_TABLE_";

/// The files of a link, and what their symbols mean.
#[derive(Debug)]
pub(super) struct Program<'data> {
    pub target: Target,
    pub release: &'data Release,
    pub files: Vec<ObjectFile<'data>>,
    /// How many of the files were given; the others hold what the linker adds.
    pub given: usize,
    externs: &'data Externs,
    definitions: HashMap<&'data str, Definition>,
    /// Where a file's own tables of qstrs and of their objects are, when they are part of the code.
    qstr_tables: Option<[SectionId; 2]>,
}

#[derive(Debug, Clone, Copy)]
struct Definition {
    file: usize,
    symbol: usize,
    is_weak: bool,
}

impl<'data> Program<'data> {
    pub(super) fn new(target: Target, release: &'data Release, externs: &'data Externs) -> Self {
        Program {
            target,
            release,
            files: Vec::new(),
            given: 0,
            externs,
            definitions: HashMap::new(),
            qstr_tables: None,
        }
    }

    /// Adds a file.
    ///
    /// # Errors
    /// When it defines what another file defines.
    pub(super) fn add(&mut self, file: ObjectFile<'data>) -> Result<(), Fault> {
        let mut duplicates = Vec::new();
        for (index, symbol) in file.symbols.iter().enumerate() {
            if symbol.place == Place::Common {
                let (file, symbol) = (file.name.clone(), symbol.name.to_owned());
                return Err(Fault::Common { file, symbol });
            }
            if !is_definition(symbol) {
                continue;
            }
            let is_weak = symbol.binding == Binding::Weak;
            let new = Definition { file: self.files.len(), symbol: index, is_weak };
            match self.definitions.get(symbol.name) {
                Some(old) if !old.is_weak && !is_weak && !symbol.name.starts_with(THUNKS) => {
                    duplicates.push(Duplicate {
                        symbol: symbol.name.to_owned(),
                        first: self
                            .files
                            .get(old.file)
                            .map_or_else(String::new, |f| f.name.clone()),
                        second: file.name.clone(),
                    });
                }
                Some(old) if is_weak || !old.is_weak => {}
                _ => {
                    self.definitions.insert(symbol.name, new);
                }
            }
        }
        self.files.push(file);
        self.given = self.files.len();
        if duplicates.is_empty() { Ok(()) } else { Err(Fault::Duplicate(duplicates)) }
    }

    /// Adds the tables of `qstrs` qstrs and `objects` objects that modules before `.mpy` version 6 have in
    /// their code.
    pub(super) fn add_qstr_tables(&mut self, qstrs: u64, objects: u64) {
        let word = self.target.word();
        // ESP32 can read only words from where it executes.
        let qstr = if self.target.has_rodata_apart() { word } else { 2 };
        let table = |name, entry: u64, count: u64| Section {
            name,
            part: Part::Text,
            data: Cow::Owned(vec![0; (entry * count) as usize]),
            size: entry * count,
            align: entry,
            relocations: Vec::new(),
        };
        let file = self.files.len();
        self.qstr_tables = Some([0, 1].map(|section| SectionId { file, section }));
        self.files.push(ObjectFile {
            name: "the qstr tables".to_owned(),
            flags: 0,
            sections: vec![
                table(".text.qstrs", qstr, qstrs),
                table(".text.objects", word, objects),
            ],
            symbols: Vec::new(),
            attributes: None,
        });
    }

    pub(super) fn section(&self, id: SectionId) -> Option<&Section<'data>> {
        self.files.get(id.file)?.sections.get(id.section)
    }

    /// Where the tables of qstrs and of their objects are, when they are part of the code.
    pub(super) fn qstr_tables(&self) -> Option<[SectionId; 2]> {
        self.qstr_tables
    }

    /// The names of fixed addresses that are taken although a file defines them.
    pub(super) fn overridden(&self) -> impl Iterator<Item = (&str, u64, &str)> {
        self.externs.iter().filter_map(|(name, address)| {
            let definition = self.definitions.get(name)?;
            Some((name, address, self.files.get(definition.file)?.name.as_str()))
        })
    }

    /// Where the module's entry is.
    pub(super) fn entry(&self) -> Result<(SectionId, u64), Fault> {
        let definition = self.definitions.get("mpy_init").ok_or(Fault::NoEntry)?;
        match self.defined(definition) {
            Some(Meaning::Section(id, value)) => Ok((id, value)),
            _ => Err(Fault::NoEntry),
        }
    }

    fn defined(&self, definition: &Definition) -> Option<Meaning> {
        let symbol = self.files.get(definition.file)?.symbols.get(definition.symbol)?;
        match symbol.place {
            Place::Section(section) => {
                Some(Meaning::Section(SectionId { file: definition.file, section }, symbol.value))
            }
            Place::Absolute => Some(Meaning::Fixed(symbol.value)),
            _ => None,
        }
    }

    /// What a symbol that no file needs to define means.
    fn special(&self, name: &str) -> Option<Meaning> {
        let loader = match (name, self.qstr_tables) {
            (GOT, _) => return Some(Meaning::Got),
            ("mp_fun_table", _) => Loader::Functions,
            ("mp_native_qstr_val_table", Some([table, _]))
            | ("mp_native_qstr_obj_table", Some([_, table])) => {
                return Some(Meaning::Section(table, 0));
            }
            ("mp_native_qstr_table", None) => Loader::Qstrs,
            ("mp_native_obj_table", None) => Loader::Objects,
            _ => return None,
        };
        Some(Meaning::Loader(loader))
    }

    /// What a name means that is not local to a file; nothing when it is undefined.
    fn global(&self, name: &str) -> Option<Meaning> {
        self.special(name)
            .or_else(|| self.externs.get(name).map(Meaning::Fixed))
            .or_else(|| self.defined(self.definitions.get(name)?))
            .or_else(|| {
                self.release.object(name).map(|index| Meaning::Loader(Loader::Object(index)))
            })
    }

    /// Whether a name needs a definition still.
    pub(super) fn lacks(&self, name: &str) -> bool {
        self.global(name).is_none()
    }

    /// What a symbol of a file means.
    ///
    /// # Errors
    /// When nothing defines it, or it is where no module has anything.
    pub(super) fn meaning(
        &self,
        at: SectionId,
        offset: u64,
        index: usize,
    ) -> Result<Meaning, Fault> {
        let damaged = || Fault::damaged("an object file", "a symbol is missing");
        let file = self.files.get(at.file).ok_or_else(damaged)?;
        let symbol = file.symbols.get(index).ok_or_else(damaged)?;
        let own = match symbol.place {
            Place::Section(section) => {
                Some(Meaning::Section(SectionId { file: at.file, section }, symbol.value))
            }
            Place::Absolute => Some(Meaning::Fixed(symbol.value)),
            Place::Undefined | Place::Common => None,
            Place::Elsewhere(section) => {
                return Err(Fault::Elsewhere {
                    site: Box::new(self.site(at, offset)),
                    symbol: symbol.name.to_owned(),
                    section: section.to_owned(),
                });
            }
        };
        let local = symbol.binding == Binding::Local || symbol.name.starts_with(THUNKS);
        let meaning = match own {
            Some(own) if local => Some(own),
            own => self.global(symbol.name).or(own),
        };
        match meaning {
            Some(meaning) => Ok(meaning),
            None if symbol.binding != Binding::Global => Ok(Meaning::Nothing),
            None => Err(Fault::Undefined {
                symbols: vec![(symbol.name.to_owned(), self.site(at, offset))],
                arch: self.target.arch,
                known: Vec::new(),
            }),
        }
    }

    /// A place, for messages.
    pub(super) fn site(&self, at: SectionId, offset: u64) -> Site {
        let file = self.files.get(at.file);
        Site {
            file: file.map_or_else(String::new, |file| file.name.clone()),
            section: self.section(at).map_or("", |section| section.name).to_owned(),
            offset,
            function: file.and_then(|file| file.function_at(at.section, offset)).map(str::to_owned),
        }
    }

    /// What the linked sections of a file use, in the order of its symbols, with where each is used
    /// first.
    pub(super) fn used(&self, file: usize) -> Vec<(&'data str, SectionId, u64)> {
        let Some(object) = self.files.get(file) else { return Vec::new() };
        let mut first: Vec<Option<(usize, u64)>> = vec![None; object.symbols.len()];
        for (index, section) in object.sections.iter().enumerate() {
            for relocation in &section.relocations {
                // The relocation 0 of every architecture does nothing.
                if relocation.kind != 0
                    && let Some(first) = first.get_mut(relocation.symbol)
                {
                    first.get_or_insert((index, relocation.offset));
                }
            }
        }
        let wanted = |(symbol, first): (&Symbol<'data>, Option<(usize, u64)>)| {
            let (section, offset) = first?;
            let undefined = symbol.place == Place::Undefined && symbol.binding == Binding::Global;
            undefined.then_some((symbol.name, SectionId { file, section }, offset))
        };
        object.symbols.iter().zip(first).filter_map(wanted).collect()
    }

    /// Makes sure that everything that is used is defined.
    ///
    /// # Errors
    /// When something is not; what is missing is named.
    pub(super) fn check(&self) -> Result<(), Fault> {
        let used = (0..self.given).flat_map(|file| self.used(file));
        let mut missing: Vec<(String, Site)> = Vec::new();
        for (name, at, offset) in used {
            if missing.len() < TOLD
                && self.lacks(name)
                && !missing.iter().any(|(other, _)| other == name)
            {
                missing.push((name.to_owned(), self.site(at, offset)));
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        let objects = self.release.objects.iter().map(|(name, _)| name.clone());
        let mut known: Vec<String> =
            self.definitions.keys().map(|&name| name.to_owned()).chain(objects).collect();
        known.sort_unstable();
        Err(Fault::Undefined { symbols: missing, arch: self.target.arch, known })
    }
}

fn is_definition(symbol: &Symbol<'_>) -> bool {
    symbol.binding != Binding::Local && matches!(symbol.place, Place::Section(_) | Place::Absolute)
}
