//! Whose address is stored in data.
//!
//! Up to MicroPython v1.20 `tools/mpy_ld.py` fails when data refers to a section whose name is more than
//! `.rodata`, so an object that data refers to keeps its section. Whatever is not certain to be code
//! counts as data: initializers, what macros stand for, and branches that are read only for their brackets.

use std::borrow::Cow;
use std::collections::HashSet;

use super::code::Code;
use super::declaration::{Declaration, Reading};
use super::lexer::Kind;

/// Macros that take an array's size, and so no address.
const SIZES: &[&[u8]] = &[b"sizeof", b"MP_ARRAY_SIZE", b"ARRAY_SIZE"];

/// The names whose address data may hold.
#[derive(Debug)]
pub(super) struct Uses<'a> {
    stored: HashSet<Cow<'a, [u8]>>,
}

impl<'a> Uses<'a> {
    pub(super) fn of(code: &Code<'a>, declarations: &[Declaration]) -> Uses<'a> {
        let mut harmless = vec![false; code.tokens.len()];
        for declaration in declarations {
            mark_declaration(code, declaration, &mut harmless);
        }
        let mut stored = HashSet::new();
        for (index, token) in code.tokens.iter().enumerate() {
            let is_harmless = harmless.get(index).copied().unwrap_or_default();
            if token.kind == Kind::Word && !is_harmless && !is_size_or_field(code, index) {
                stored.insert(token.text(code.source));
            }
        }
        Uses { stored }
    }

    pub(super) fn stores(&self, name: &[u8]) -> bool {
        self.stored.contains(name)
    }
}

/// Whether a word is a structure's field, or an operand of `sizeof`.
fn is_size_or_field(code: &Code, index: usize) -> bool {
    let before = |steps: usize| index.checked_sub(steps).and_then(|at| code.tokens.get(at));
    let is_size = |token: &super::lexer::Token| SIZES.contains(&token.text(code.source).as_ref());
    match before(1) {
        Some(token) if token.kind == Kind::Mark(b'.') => true,
        Some(token) if token.kind == Kind::Mark(b'(') => before(2).is_some_and(is_size),
        Some(token) => is_size(token),
        None => false,
    }
}

fn mark_declaration(code: &Code, declaration: &Declaration, harmless: &mut [bool]) {
    let mut at = declaration.items.start;
    let mut mark = |item: usize, good: bool| {
        let token = code.items.get(item).map(|item| item.token);
        if let Some(slot) = token.and_then(|token| harmless.get_mut(token)) {
            *slot = good;
        }
    };
    // The body of a function is the bracket that ends it.
    let end = declaration.items.end;
    let function = end.checked_sub(1).is_some_and(|last| code.is(last, b'}'));
    // What is not understood may be a macro that makes data of its arguments.
    let mut initializer = !matches!(declaration.reading, Reading::Clear(..));
    while at < end {
        initializer |= code.is(at, b'=');
        if function && code.is(at, b'{') && code.after(at) == end {
            mark_body(code, at, end, &mut mark);
            return;
        }
        mark(at, !initializer);
        at += 1;
    }
    // The names between two initializers are declared, not used.
    if let Reading::Clear(_, declarators) = &declaration.reading {
        for declarator in declarators {
            mark(declarator.name, true);
        }
    }
}

/// Marks what is code in a function's body, from its `{` at `at`.
fn mark_body(code: &Code, mut at: usize, end: usize, mark: &mut impl FnMut(usize, bool)) {
    let mut data_until = 0;
    // Whether a static variable is being declared, and whether its initializer has begun.
    let (mut of_static, mut initialized) = (false, false);
    // For each open round bracket whether a word stands before it, and that of the last closed one.
    let mut round: Vec<bool> = Vec::new();
    let mut after_word = true;
    while at < end {
        let before = at.saturating_sub(1);
        if code.is(at, b'(') {
            round.push(is_name_or_keyword(code, before));
        } else if code.is(at, b')') {
            after_word = round.pop().unwrap_or(true);
        } else if code.is(at, b'{') && at >= data_until {
            let initializer = code.is(before, b'=');
            let literal = code.is(before, b')') && !after_word;
            if initializer || literal {
                data_until = code.after(at);
            }
        } else if code.is(at, b';') {
            (of_static, initialized) = (false, false);
        } else if code.is(at, b'=') {
            initialized |= of_static;
        } else if let Some(word) = code.word(at) {
            of_static |= word.as_ref() == b"static" || word.as_ref() == b"STATIC";
        }
        mark(at, at >= data_until && !initialized);
        at += 1;
    }
}

/// Whether a bracket after this item belongs to a statement or a call, not to a cast.
fn is_name_or_keyword(code: &Code, item: usize) -> bool {
    let not_a_call: [&[u8]; 3] = [b"return", b"sizeof", b"case"];
    code.word(item).is_some_and(|word| !not_a_call.contains(&word.as_ref()))
}
