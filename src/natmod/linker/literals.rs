//! The literals of Xtensa code: words before the code that `l32r` loads.
//!
//! Object files have them in `.literal` sections. A word with a relocation is an address, which the loader
//! must know, so it becomes an entry of the global offset table; any other is a number, and the module has
//! each number once. A literal is known by its file, section and offset: a file that was compiled with
//! `-ffunction-sections` has many such sections.

use std::collections::HashMap;

use super::elf::Part;
use super::fault::Fault;
use super::got::Got;
use super::relocate;
use super::symbols::{Program, SectionId};

const WORD: usize = 4;

/// Where a literal went.
#[derive(Debug, Clone, Copy)]
pub(super) enum Literal {
    /// An entry of the global offset table, by number.
    Address(usize),
    /// A number, by its place among those.
    Number(usize),
}

/// The literals of a program.
#[derive(Debug, Default)]
pub(super) struct Literals {
    places: HashMap<(SectionId, u64), Literal>,
    /// The numbers, each once.
    pub numbers: Vec<u32>,
}

impl Literals {
    /// The literals of a program, and the table of the addresses among them.
    pub(super) fn of_program<'data>(
        program: &Program<'data>,
    ) -> Result<(Literals, Got<'data>), Fault> {
        let (mut literals, mut got) = (Literals::default(), Got::default());
        let mut known: HashMap<u32, usize> = HashMap::new();
        for (file, object) in program.files.iter().enumerate() {
            for (section, contents) in object.sections.iter().enumerate() {
                if contents.part != Part::Literal {
                    continue;
                }
                let at = SectionId { file, section };
                let (words, rest) = contents.data.as_chunks::<WORD>();
                if !rest.is_empty() {
                    return Err(Fault::damaged(
                        &object.name,
                        format!("{} is not made of words", contents.name),
                    ));
                }
                for one in &contents.relocations {
                    relocate::check_literal(program, at, one)?;
                    let symbol = object.symbols.get(one.symbol);
                    let word = words.get(one.offset as usize / WORD);
                    let (Some(symbol), Some(word)) = (symbol, word) else { continue };
                    // The addend is in both places: what GNU as knows early is in the word.
                    let addend = i64::from(i32::from_le_bytes(*word)) + one.addend.unwrap_or(0);
                    let number = got.add(program, at, one.offset, one.symbol, symbol, addend)?;
                    literals.places.insert((at, one.offset), Literal::Address(number));
                }
                for (index, word) in words.iter().enumerate() {
                    let place = (at, (index * WORD) as u64);
                    if literals.places.contains_key(&place) {
                        continue;
                    }
                    let value = u32::from_le_bytes(*word);
                    let next = literals.numbers.len();
                    let number = *known.entry(value).or_insert(next);
                    if number == next {
                        literals.numbers.push(value);
                    }
                    literals.places.insert(place, Literal::Number(number));
                }
            }
        }
        let went = got.sort(program);
        for literal in literals.places.values_mut() {
            if let Literal::Address(number) = literal {
                *number = went.get(*number).copied().unwrap_or(0);
            }
        }
        Ok((literals, got))
    }

    /// The literal at an offset of a section.
    pub(super) fn at(&self, section: SectionId, offset: u64) -> Option<Literal> {
        self.places.get(&(section, offset)).copied()
    }
}
